//! Content that was aborted is remembered on the Rollout and not shipped again until somebody says so.
//!
//! Input: facts, and whether this install holds content at all. Output: the record of an abort as an annotation, and
//! the reason why an update that brings the same content starts aborted. Argo Rollouts forgets an abort at any change
//! of the pod template, so that a commit which only changes an environment variable ships the bad image once more.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidegate_api::rollout::{Rollout, RolloutStatus};

use super::condition::{self, PROGRESSING, ROLLOUT_ABORTED, time};
use super::core::Core;
use super::pause;
use super::world::Set;
use crate::at::at;
use crate::plan::{Because, Move, Plan, Write};

/// The contents that were aborted, oldest first, as JSON; written by the controller.
pub const ABORTED_CONTENT: &str = "tidegate.dev/aborted-content";
/// `true` or `false`: whether this Rollout holds aborted content, whatever the install's default is.
pub const HOLD: &str = "tidegate.dev/hold-aborted-content";
/// Template hashes or images that may ship again, separated by commas.
pub const SHIP_AGAIN: &str = "tidegate.dev/ship-again";

/// So many contents are remembered; an annotation is no archive.
const KEPT: usize = 10;
/// A cause is cut to so many characters.
const CAUSE_LENGTH: usize = 200;
/// More than this was not written by this controller: all annotations of an object may take 256 KiB.
const LONGEST: usize = 32 * 1024;

/// One content that was aborted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    /// Hash of the pod template.
    template: String,
    /// The images that the stable revision did not have; none when only configuration was new.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    images: Vec<Image>,
    revision: i64,
    at: String,
    why: String,
    /// An update was held because of this record, and nobody has lifted it yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    held: bool,
}

/// An image as the template names it, and what it was when a pod ran it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Image {
    image: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
}

impl Image {
    /// Whether a template's image is this one: by name, or by the digest that a name is pinned to.
    fn is(&self, image: &str) -> bool {
        let pinned = || image.rsplit_once('@').map(|(_, digest)| digest);
        self.image == image || self.digest.as_deref().is_some_and(|digest| pinned() == Some(digest))
    }
}

impl Record {
    /// Whether a template brings this content: all images that were new then, or else the very same template.
    fn is_brought_by(&self, hash: &str, images: &BTreeSet<String>) -> bool {
        self.template == hash
            || !self.images.is_empty()
                && self.images.iter().all(|known| images.iter().any(|image| known.is(image)))
    }

    fn may_ship(&self, rollout: &Rollout) -> bool {
        let named = annotation(rollout, SHIP_AGAIN).unwrap_or_default();
        named.split(',').map(str::trim).any(|name| {
            !name.is_empty() && (name == self.template || self.images.iter().any(|image| image.is(name)))
        })
    }

    fn told(&self, name: &str) -> String {
        format!(
            "held: this content was aborted at {} as revision {} ({}) and does not ship again by itself; \
             `kubectl tidegate retry rollout {name}` or the annotation {SHIP_AGAIN}: {} ships it",
            self.at, self.revision, self.why, self.template
        )
    }
}

/// What the records of a Rollout mean for one round.
pub(crate) struct Memory<'f, 'w> {
    facts: &'f Core<'w>,
    records: Vec<Record>,
    images: BTreeSet<String>,
    /// Why the records differ from those on the Rollout, if they do.
    changed: Option<Because>,
}

impl<'f, 'w> Memory<'f, 'w> {
    /// Reads the records; `None` where content is not held.
    pub(crate) fn of(facts: &'f Core<'w>) -> Option<Self> {
        let wanted = match annotation(facts.rollout, HOLD) {
            Some("true") => true,
            Some("false") => false,
            Some(_) | None => facts.world.holds,
        };
        wanted.then(|| Self {
            facts,
            records: records(facts.rollout),
            images: images(&facts.rollout.spec.template.0).into_values().collect(),
            changed: None,
        })
    }

    fn known(&self) -> Option<usize> {
        self.records.iter().position(|record| record.is_brought_by(&self.facts.hash, &self.images))
    }

    /// Why an update that has just begun must not go on, if it brings what was aborted.
    pub(crate) fn hold(mut self, plan: &mut Plan) -> Option<String> {
        self.remember_superseded();
        let held = self.held();
        self.write(plan);
        held
    }

    fn held(&mut self) -> Option<String> {
        let stable = &self.facts.status.stable_rs;
        let index = self.known().filter(|_| !stable.is_empty() && *stable != self.facts.hash)?;
        let record = self.records.get_mut(index).filter(|record| !record.may_ship(self.facts.rollout))?;
        let why = record.told(self.facts.name);
        if !record.held {
            record.held = true;
            self.changed = Some(Because::Held { why: why.clone() });
        }
        Some(why)
    }

    /// An abort that was asked for in the same moment as another template is remembered too.
    fn remember_superseded(&mut self) {
        let status = self.facts.status;
        if !pause::abort_asked(status) {
            return;
        }
        let aborted = self.facts.all.iter().copied().find(|set| set.hash() == status.current_pod_hash);
        if let Some(set) = aborted {
            self.remember(set, cause(status, None));
        }
    }

    /// Keeps the records in line with an update under way: adds an abort, drops what was overruled or proved good.
    pub(crate) fn settle(mut self, aborted: bool, why: Option<&str>, plan: &mut Plan) {
        if !aborted || self.facts.promoted() {
            let before = self.records.len();
            let (hash, images) = (&self.facts.hash, &self.images);
            self.records.retain(|record| !record.is_brought_by(hash, images));
            self.changed = (self.records.len() < before).then_some(Because::Moves(Move::Bookkeeping));
        } else if let Some(new) = self.facts.new {
            self.remember(new, cause(self.facts.status, why));
        }
        self.write(plan);
    }

    /// Whether somebody has allowed what is held: then the update goes on as after a retry.
    pub(crate) fn is_lifted(&self) -> bool {
        let record = self.known().and_then(|index| self.records.get(index));
        record.is_some_and(|record| record.held && record.may_ship(self.facts.rollout))
    }

    /// The reason of an update that is held right now.
    pub(crate) fn reason(&self) -> Option<Because> {
        let record = self.records.get(self.known()?).filter(|record| record.held)?;
        Some(Because::Held { why: record.told(self.facts.name) })
    }

    fn remember(&mut self, set: &Set, why: String) {
        let theirs = images(&set.template);
        let all = theirs.values().cloned().collect();
        if self.records.iter().any(|record| record.is_brought_by(set.hash(), &all)) {
            return;
        }
        let old: BTreeSet<String> = self
            .facts
            .stable
            .map(|stable| images(&stable.template))
            .unwrap_or_default()
            .into_values()
            .collect();
        let digests = self.facts.world.digests.get(set.hash());
        let new = theirs.into_iter().filter(|(_, image)| !old.contains(image)).map(|(container, image)| {
            let digest = digests.and_then(|digests| digests.get(&container)).cloned();
            Image { image, digest }
        });
        let new: BTreeSet<Image> = new.collect();
        self.records.push(Record {
            template: set.hash().to_owned(),
            images: new.into_iter().collect(),
            revision: set.revision(),
            at: time(self.facts.now).0.to_string(),
            why,
            held: false,
        });
        let surplus = self.records.len().saturating_sub(KEPT);
        self.records.drain(..surplus);
        self.changed = Some(Because::Moves(Move::Bookkeeping));
    }

    fn write(self, plan: &mut Plan) {
        let Some(because) = self.changed else { return };
        let text = serde_json::to_string(&self.records).unwrap_or_default();
        let annotations = BTreeMap::from([(ABORTED_CONTENT.to_owned(), text)]);
        plan.push(Write::AnnotateRollout { annotations }, because);
    }
}

/// Why an update is aborted, in the words of this round or of the condition that tells it.
fn cause(status: &RolloutStatus, why: Option<&str>) -> String {
    let told = condition::get(status, PROGRESSING).filter(|known| known.reason == ROLLOUT_ABORTED);
    let told = told.and_then(|known| known.message.split_once(": ")).map(|(_, why)| why);
    why.or(told).unwrap_or("by hand").chars().take(CAUSE_LENGTH).collect()
}

fn records(rollout: &Rollout) -> Vec<Record> {
    let text = annotation(rollout, ABORTED_CONTENT).filter(|text| text.len() <= LONGEST);
    text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

fn annotation<'r>(rollout: &'r Rollout, name: &str) -> Option<&'r str> {
    rollout.metadata.annotations.as_ref()?.get(name).map(String::as_str)
}

/// The images of a pod template by container.
fn images(template: &Value) -> BTreeMap<String, String> {
    let text = |container: &Value, field: &str| container[field].as_str().unwrap_or_default().to_owned();
    let lists = ["/spec/initContainers", "/spec/containers"];
    let containers = lists.iter().filter_map(|list| at(template, list)?.as_array()).flatten();
    containers.map(|container| (text(container, "name"), text(container, "image"))).collect()
}
