//! The revisions of a Rollout: what each was, what became of it, and what analysis said.
//!
//! Input: a Rollout, its ReplicaSets and AnalysisRuns as they were read, and the time. Output: values that serialise to
//! JSON and render to text. What history limits have deleted is not known here.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use tidegate_api::analysis::AnalysisPhase;

use super::duration::age;
use super::icon::{Icon, Line, Paint};
use super::read::{annotation, list, number, owned_by, text, time};
use super::rollout::Objects;
use super::run::{self, RunView};
use super::{set, table};
use crate::rollout::world::{HASH_LABEL, REVISION, REVISION_HISTORY};
use crate::time::whole_seconds;

/// What people write into an annotation to say why they changed something.
const CHANGE_CAUSE: &str = "kubernetes.io/change-cause";
/// Letters of an AnalysisRun's message in a table.
const MESSAGE_MAX: usize = 80;

/// The revisions of a Rollout, newest first.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoryView {
    pub name: String,
    pub namespace: String,
    pub now: Timestamp,
    pub revisions: Vec<PastRevision>,
}

/// One revision.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PastRevision {
    pub revision: i64,
    /// Numbers that the same template had before it came back.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub former: BTreeSet<i64>,
    pub hash: String,
    pub replica_set: String,
    pub created: Option<Timestamp>,
    /// stable, canary, active, preview, ping, pong; and aborted.
    pub roles: Vec<&'static str>,
    pub images: Vec<String>,
    pub pods: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change_cause: Option<String>,
    pub runs: Vec<RunView>,
    /// The pod template, without the label that names the revision.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub template: Value,
}

impl HistoryView {
    /// Builds the view; with the pod template of one revision, if that is asked for.
    #[must_use]
    pub fn new(objects: &Objects<'_>, only: Option<i64>) -> Self {
        let rollout = objects.rollout;
        let uid = rollout.metadata.uid.as_deref().unwrap_or_default();
        let runs = run::runs(uid, objects.runs);
        let sets = objects.sets.iter().filter(|set| owned_by(set, uid));
        let mut revisions: Vec<PastRevision> =
            sets.map(|set| PastRevision::new(objects, set, &runs, only)).collect();
        revisions.retain(|one| only.is_none_or(|wanted| one.had(wanted)));
        // A number that one template had before may be asked for: whose it is now comes first.
        revisions.sort_by_key(|one| (only != Some(one.revision), std::cmp::Reverse(one.revision)));
        if only.is_some() {
            revisions.truncate(1);
        }
        Self {
            name: rollout.metadata.name.clone().unwrap_or_default(),
            namespace: rollout.metadata.namespace.clone().unwrap_or_default(),
            now: whole_seconds(objects.now),
            revisions,
        }
    }
}

impl PastRevision {
    fn new(objects: &Objects<'_>, set: &Value, runs: &[RunView], only: Option<i64>) -> Self {
        let label = |key: &str| set.pointer("/metadata/labels").and_then(|labels| labels[key].as_str());
        let hash = label(HASH_LABEL).unwrap_or_default().to_owned();
        let revision = annotation(set, REVISION).and_then(|text| text.parse().ok()).unwrap_or(0);
        let former = annotation(set, REVISION_HISTORY).unwrap_or_default();
        let former: BTreeSet<i64> = former.split(',').filter_map(|text| text.trim().parse().ok()).collect();
        let containers = ["/spec/template/spec/initContainers", "/spec/template/spec/containers"];
        let containers = containers.into_iter().flat_map(|path| list(set, path));
        let mut roles = set::tags(objects.rollout, set);
        if is_aborted(objects, &hash) {
            roles.push("aborted");
        }
        let template = only.map(|_| without_hash(set.pointer("/spec/template").cloned().unwrap_or_default()));
        Self {
            revision,
            hash,
            replica_set: text(set, "/metadata/name").to_owned(),
            created: time(set, "/metadata/creationTimestamp"),
            roles,
            images: containers.map(|container| text(container, "/image").to_owned()).collect(),
            pods: number(set, "/status/replicas"),
            change_cause: annotation(set, CHANGE_CAUSE).map(str::to_owned),
            runs: runs
                .iter()
                .filter(|run| run.revision == revision || former.contains(&run.revision))
                .cloned()
                .collect(),
            template: template.unwrap_or_default(),
            former,
        }
    }

    fn had(&self, revision: i64) -> bool {
        self.revision == revision || self.former.contains(&revision)
    }
}

/// Whether the update to a revision is aborted now.
fn is_aborted(objects: &Objects<'_>, hash: &str) -> bool {
    let status = objects.rollout.status.as_ref();
    status.is_some_and(|status| status.abort && status.current_pod_hash == hash && status.stable_rs != hash)
}

fn without_hash(mut template: Value) -> Value {
    if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.remove(HASH_LABEL);
    }
    template
}

/// Renders the revisions as a table.
#[must_use]
pub fn render_history(view: &HistoryView, wide: bool, paint: Paint) -> String {
    let mut heading = vec!["REVISION", "HASH", "ROLE", "AGE", "IMAGES", "ANALYSIS", "CHANGE-CAUSE"];
    if wide {
        heading.extend(["PODS", "REPLICASET", "CREATED", "FORMERLY"]);
    }
    let mut rows = vec![heading.into_iter().map(Line::from).collect()];
    for one in &view.revisions {
        let mut row: Vec<Line> = vec![
            one.revision.to_string().into(),
            one.hash.as_str().into(),
            one.roles.join(",").into(),
            age(one.created, view.now).into(),
            one.images.join(",").into(),
            Line::join(one.runs.iter().map(|run| verdict(run, wide)), ", "),
            one.change_cause.clone().unwrap_or_default().into(),
        ];
        if wide {
            row.push(one.pods.to_string().into());
            row.push(one.replica_set.as_str().into());
            row.push(one.created.map(|at| at.to_string()).unwrap_or_default().into());
            let former: Vec<String> = one.former.iter().map(ToString::to_string).collect();
            row.push(former.join(",").into());
        }
        rows.push(row);
    }
    table::render(&rows, &[], paint)
}

/// What one run said: its icon and verdict; its name and message where there is room.
fn verdict(run: &RunView, wide: bool) -> Line {
    let word = run.status.map_or("not begun", AnalysisPhase::as_str);
    let line = Line::default().icon(run.icon);
    if !wide {
        return line.text(format!(" {word}"));
    }
    let message: String = run.message.chars().take(MESSAGE_MAX).collect();
    let message = if message.is_empty() { message } else { format!(": {message}") };
    line.text(format!(" {} {word}{message}", run.name))
}

/// Renders one revision as lines, above its pod template.
#[must_use]
pub fn render_revision(revision: &PastRevision, now: Timestamp, paint: Paint) -> String {
    let mut lines: Vec<(&str, Line)> = vec![
        ("Revision:", revision.revision.to_string().into()),
        ("Hash:", revision.hash.as_str().into()),
        ("ReplicaSet:", revision.replica_set.as_str().into()),
        ("Role:", revision.roles.join(", ").into()),
        ("Age:", age(revision.created, now).into()),
    ];
    if let Some(cause) = &revision.change_cause {
        lines.push(("Change cause:", cause.as_str().into()));
    }
    lines.extend(revision.runs.iter().map(|run| ("Analysis:", verdict(run, true))));
    if revision.runs.is_empty() {
        lines.push(("Analysis:", Line::default().icon(Icon::Neutral).text(" none is kept")));
    }
    lines
        .iter()
        .map(|(label, line)| format!("{label:17}{}", line.render(paint)).trim_end().to_owned() + "\n")
        .collect()
}
