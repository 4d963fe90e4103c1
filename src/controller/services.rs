//! Services that no Rollout uses any more get back the selector that they had.
//!
//! Input: Services that select a revision. Output: a patch that takes the revision and the name of its Rollout away, as
//! Argo Rollouts' Service controller does. Otherwise a Service whose Rollout was deleted, renamed or given other Services
//! would select a revision that is about to go, and no Rollout of another name could ever use it.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use kube::api::{ApiResource, ListParams, Patch};
use serde_json::{Value, json};
use tidegate_engine::rollout::world::{HASH_LABEL, MANAGED_BY, Service};
use tracing::{info, warn};

use crate::facts::{RolloutFacts, user_of};
use crate::failure::{Class, chain};
use crate::kinds;
use crate::request::Requests;
use crate::store::{Change, Kept, Key};
use crate::watch::Scene;
use crate::work::Next;

/// Rollouts that are asked for at once.
const PAGE: u32 = 200;
/// When a Service is looked at again that a Rollout uses which this controller does not see.
const AGAIN: Duration = Duration::from_secs(15 * 60);

/// The loop over Services.
pub(crate) struct Services {
    pub(crate) scene: Arc<Scene>,
    pub(crate) client: Client,
}

impl Services {
    /// Looks at one Service.
    pub(crate) async fn attend(self: Arc<Self>, key: Key) -> Next {
        let stores = &self.scene.stores;
        let Some(kept) = stores.services.get(&key).filter(|kept| selects_a_revision(&kept.value)) else {
            return Next::Idle;
        };
        // Whoever else uses it has to wait for the one that it names, and could wait for ever.
        let named = kept.value.annotations.get(MANAGED_BY);
        let mut is_used = false;
        stores.rollouts.visit_found(&key.namespace, &user_of(&key.name), |name, _| {
            is_used |= named.is_none_or(|named| named == name);
        });
        if is_used {
            return Next::Idle;
        }
        match self.give_back(&key, &kept).await {
            // Nobody tells here of the end of a Rollout that this controller does not see.
            Ok(Given::StaysUsed) => Next::After(AGAIN),
            Ok(Given::Back) => Next::Idle,
            Err(error) => {
                let class = Class::of(&error);
                if !matches!(class, Class::Gone | Class::Conflict) {
                    warn!(service = %key, error = chain(&error), "cannot give a Service back");
                }
                class.next()
            }
        }
    }

    /// Gives a Service back, unless a Rollout that this controller does not see uses it: one of another instance.
    async fn give_back(&self, key: &Key, kept: &Kept<Service>) -> Result<Given, kube::Error> {
        let requests = Requests::new(&self.client, &key.namespace);
        if is_used_unseen(&requests, key, kept.value.annotations.get(MANAGED_BY)).await? {
            return Ok(Given::StaysUsed);
        }
        let body = json!({
            "metadata": {"resourceVersion": kept.seen.version, "annotations": {MANAGED_BY: null}},
            "spec": {"selector": {HASH_LABEL: null}},
        });
        requests
            .patch(&kinds::service(), &key.name, &Patch::Merge(body))
            .await
            .map_err(|(_, error)| error)?;
        info!(service = %key, "no Rollout uses the Service any more: it selects no revision");
        Ok(Given::Back)
    }
}

/// What became of a Service that no Rollout of this controller uses.
enum Given {
    Back,
    StaysUsed,
}

/// Whether the API server has a Rollout that uses a Service: the one whose name it bears, or any where it bears none.
async fn is_used_unseen(
    requests: &Requests<'_>,
    key: &Key,
    managed_by: Option<&String>,
) -> Result<bool, kube::Error> {
    let kind = kinds::rollout();
    let Some(name) = managed_by else { return is_used_by_any(requests, &kind, key).await };
    if !is_a_name(name) {
        return Ok(false);
    }
    match requests.get(&kind, name).await {
        Ok(rollout) => Ok(uses(&rollout, &key.name)),
        Err(error) if Class::of(&error) == Class::Gone => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether any Rollout of the namespace uses a Service, page by page.
async fn is_used_by_any(requests: &Requests<'_>, kind: &ApiResource, key: &Key) -> Result<bool, kube::Error> {
    let mut page = ListParams::default().limit(PAGE);
    loop {
        let list: Value = requests.answer(requests.path(kind).list(&page)).await?;
        let mut rollouts = list["items"].as_array().into_iter().flatten();
        if rollouts.any(|rollout| uses(rollout, &key.name)) {
            return Ok(true);
        }
        match list["metadata"]["continue"].as_str().filter(|next| !next.is_empty()) {
            Some(next) => page = page.continue_token(next),
            None => return Ok(false),
        }
    }
}

/// Whether anything can have this name: what somebody else wrote there may be any text.
fn is_a_name(text: &str) -> bool {
    let is_part =
        |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "-.".contains(letter);
    !text.is_empty() && text.chars().all(is_part)
}

/// Whether a Rollout names a Service, however much of the rest of it can be read.
fn uses(rollout: &Value, service: &str) -> bool {
    let strategy = &rollout["spec"]["strategy"];
    let (canary, blue_green) = (&strategy["canary"], &strategy["blueGreen"]);
    let pair = &canary["pingPong"];
    let named = [
        &canary["canaryService"],
        &canary["stableService"],
        &pair["pingService"],
        &pair["pongService"],
        &blue_green["activeService"],
        &blue_green["previewService"],
    ];
    named.into_iter().any(|name| name == service)
}

/// Whether a Service selects the pods of a revision, as a Rollout had it do. One that an Experiment made names no Rollout,
/// and ends with that.
pub(crate) fn selects_a_revision(service: &Service) -> bool {
    let is_a_rollouts = || service.owner.is_none() || service.annotations.contains_key(MANAGED_BY);
    service.hash().is_some() && is_a_rollouts()
}

/// Looks at a Service that changed.
pub(crate) fn wake(scene: &Scene, change: &Change<Service>) {
    if change.new.as_deref().is_some_and(selects_a_revision) {
        scene.services.push_soon(change.key.clone());
    }
}

/// Looks at the Services that a Rollout used and does not use any more, and at those that it comes to use: they may still
/// name another one that is gone.
pub(crate) fn wake_by_rollout(scene: &Scene, change: &Change<RolloutFacts>) {
    let none = BTreeSet::new();
    let [old, new] =
        [&change.old, &change.new].map(|facts| facts.as_ref().map_or(&none, |facts| &facts.uses.services));
    for name in old.symmetric_difference(new) {
        scene.services.push_soon(Key::new(&change.key.namespace, name));
    }
}
