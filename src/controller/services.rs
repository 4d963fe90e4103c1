//! Services that no Rollout uses any more get back the selector that they had.
//!
//! Input: Services that select a revision. Output: a patch that takes the revision and the name of its Rollout away, as
//! Argo Rollouts' Service controller does. Otherwise a Service whose Rollout was deleted, renamed or given other Services
//! would select a revision that is about to go, and no Rollout of another name could ever use it.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use kube::Client;
use kube::api::{ApiResource, ListParams, Patch};
use serde_json::{Value, json};
use tidegate_engine::rollout::world::{HASH_LABEL, MANAGED_BY, Service};
use tracing::{info, warn};

use crate::facts::{Facts, RolloutFacts, user_of};
use crate::failure::{Class, chain};
use crate::kinds;
use crate::request::Requests;
use crate::store::{Change, Kept, Key};
use crate::watch::Scene;
use crate::work::Next;

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
        let mut is_used = false;
        stores.rollouts.visit_found(&key.namespace, &user_of(&key.name), |_, _| is_used = true);
        if is_used {
            return Next::Idle;
        }
        match self.give_back(&key, &kept).await {
            Ok(()) => Next::Idle,
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
    async fn give_back(&self, key: &Key, kept: &Kept<Service>) -> Result<(), kube::Error> {
        let requests = Requests::new(&self.client, &key.namespace);
        if is_used_unseen(&requests, key, kept.value.annotations.get(MANAGED_BY)).await? {
            return Ok(());
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
        Ok(())
    }
}

/// Whether the API server has a Rollout that uses a Service: the one whose name it bears, or any where it bears none.
async fn is_used_unseen(
    requests: &Requests<'_>,
    key: &Key,
    managed_by: Option<&String>,
) -> Result<bool, kube::Error> {
    let kind: ApiResource = kinds::rollout();
    let Some(name) = managed_by else {
        let request = requests.path(&kind).list(&ListParams::default());
        let list: Value = requests.answer(request).await?;
        let mut items = list["items"].as_array().into_iter().flatten();
        return Ok(items.any(|rollout| uses(rollout, &key.name)));
    };
    match requests.get(&kind, name).await {
        Ok(rollout) => Ok(uses(&rollout, &key.name)),
        Err(error) if Class::of(&error) == Class::Gone => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether a Rollout uses a Service; of one that cannot be read nobody knows that it does not.
fn uses(rollout: &Value, service: &str) -> bool {
    RolloutFacts::keep(rollout.clone(), None).map_or(true, |facts| facts.uses.services.contains(service))
}

/// Whether a Service selects the pods of a revision, and is nobody's but its user's. One that an Experiment made ends with
/// that.
fn selects_a_revision(service: &Service) -> bool {
    service.owner.is_none() && service.hash().is_some()
}

/// Looks at a Service that changed.
pub(crate) fn wake(scene: &Scene, change: &Change<Service>) {
    if change.new.as_deref().is_some_and(selects_a_revision) {
        scene.services.push_soon(change.key.clone());
    }
}

/// Looks at the Services that a Rollout used and does not use any more.
pub(crate) fn wake_by_rollout(scene: &Scene, change: &Change<RolloutFacts>) {
    let now = change.new.as_ref().map(|facts| &facts.uses.services);
    let before = change.old.iter().flat_map(|facts| &facts.uses.services);
    for name in before.filter(|name| now.is_none_or(|now| !now.contains(*name))) {
        scene.services.push_soon(Key::new(&change.key.namespace, name));
    }
}
