//! Carries out the writes of a plan, one request each, in order.
//!
//! Applying goes on after a refusal, since the objects of a repository do not depend on each other; pruning does
//! not, and nothing goes on without its namespace.

use std::collections::BTreeMap;
use std::time::Duration;

use kube::api::{DeleteParams, Patch, PatchParams, Preconditions, PropagationPolicy};
use serde_json::{Value, json};
use tidegate_engine::sync::{Apply, FIELD_MANAGER, Key, Outcome, Planned, Propagation, Write};
use tracing::info;

use super::observe::{applying, said};
use super::place::{Actors, Places};
use crate::failure::Class;

/// Owner of the labels of a destination namespace: another one than of objects from Git, because applying with one owner
/// takes away what the same owner applied elsewhere.
const NAMESPACE_MANAGER: &str = "tidegate-sync-namespace";
/// How long a new definition gets until its kind is served, and how often that is looked at.
const ESTABLISHED_WITHIN: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The hand that writes to one destination.
pub(crate) struct Hand<'a> {
    pub(crate) actors: &'a Actors,
    pub(crate) places: &'a Places,
    pub(crate) application: &'a str,
    /// The versions that earlier writes of the same plan left behind.
    versions: BTreeMap<Key, String>,
}

impl<'a> Hand<'a> {
    pub(crate) fn new(actors: &'a Actors, places: &'a Places, application: &'a str) -> Self {
        Self { actors, places, application, versions: BTreeMap::new() }
    }

    /// Makes every write that may still be made; says how each went.
    pub(crate) async fn write(&mut self, writes: &[Planned]) -> Vec<Outcome> {
        let mut outcomes = Vec::with_capacity(writes.len());
        let (mut stop, mut failed) = (false, false);
        for planned in writes {
            let is_prune = matches!(planned.write, Write::Prune { .. });
            let outcome = if stop || (failed && is_prune) {
                Outcome::NotTried
            } else {
                self.one(&planned.write).await.unwrap_or_else(|error| outcome(&planned.write, &error))
            };
            info!(application = self.application, write = %planned.write, because = %planned.because, ?outcome, "wrote");
            failed |= matches!(outcome, Outcome::Failed { .. });
            // Without its namespace nothing can be applied; and what was decided on an object that has changed
            // since must be decided again.
            stop |= matches!(outcome, Outcome::Stale)
                || (failed && matches!(planned.write, Write::Namespace { .. }));
            outcomes.push(outcome);
        }
        outcomes
    }

    async fn one(&mut self, write: &Write) -> Result<Outcome, kube::Error> {
        match write {
            Write::Namespace { name, labels, annotations } => {
                let object = json!({
                    "apiVersion": "v1",
                    "kind": "Namespace",
                    "metadata": { "name": name, "labels": labels, "annotations": annotations },
                });
                let key = Key { kind: "Namespace".to_owned(), name: name.clone(), ..Key::default() };
                let params = PatchParams { field_manager: Some(NAMESPACE_MANAGER.to_owned()), ..applying() };
                self.patch(&key, "v1", &params, &Patch::Apply(&object)).await
            }
            Write::Adopt { key, version, managed_fields, resource_version } => {
                let patch = json!({
                    "metadata": { "managedFields": managed_fields, "resourceVersion": resource_version },
                });
                let params =
                    PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
                self.patch(key, version, &params, &Patch::Merge(&patch)).await
            }
            Write::Release { key, version, finalizers, resource_version } => {
                self.release(key, version, finalizers, resource_version).await
            }
            Write::Apply(apply) => self.apply(apply).await,
            Write::Prune { key, version, uid, propagation } => {
                self.prune(key, version, uid, *propagation).await
            }
        }
    }

    /// Takes a finalizer away. An object that is gone has none left.
    async fn release(
        &mut self,
        key: &Key,
        version: &str,
        finalizers: &[String],
        resource_version: &str,
    ) -> Result<Outcome, kube::Error> {
        let patch = json!({ "metadata": { "finalizers": finalizers, "resourceVersion": resource_version } });
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        match self.patch(key, version, &params, &Patch::Merge(&patch)).await {
            Err(error) if Class::of(&error) == Class::Gone => Ok(Outcome::Done { resource_version: None }),
            done => done,
        }
    }

    async fn apply(&mut self, apply: &Apply) -> Result<Outcome, kube::Error> {
        let mut object = apply.object.clone();
        let version = self.versions.get(&apply.key).or(apply.resource_version.as_ref());
        if let (true, Some(version)) = (apply.pinned, version) {
            object["metadata"]["resourceVersion"] = Value::String(version.clone());
        }
        let outcome = self.patch(&apply.key, &apply.version, &applying(), &Patch::Apply(&object)).await?;
        if apply.key.kind == "CustomResourceDefinition" {
            self.wait_for_definition(&apply.key, &apply.version).await?;
        }
        Ok(outcome)
    }

    async fn patch(
        &mut self,
        key: &Key,
        version: &str,
        params: &PatchParams,
        patch: &Patch<&Value>,
    ) -> Result<Outcome, kube::Error> {
        let needed = [(key.group.clone(), key.kind.clone())];
        let served = self.places.served(&needed).await?;
        let Some(kind) = served.of(key, version) else {
            let message = format!("the cluster does not serve {} {}", key.group, key.kind);
            return Ok(Outcome::Failed { message });
        };
        let object = self.actors.api(kind, &key.namespace).patch(&key.name, params, patch).await?;
        let resource_version = object.metadata.resource_version;
        self.versions.extend(resource_version.clone().map(|version| (key.clone(), version)));
        Ok(Outcome::Done { resource_version })
    }

    /// Waits until a definition is established, so that objects of its kind can follow.
    async fn wait_for_definition(&self, key: &Key, version: &str) -> Result<(), kube::Error> {
        let served = self.places.served(&[]).await?;
        let Some(kind) = served.of(key, version) else { return Ok(()) };
        let api = self.actors.api(kind, "");
        let established = async {
            loop {
                let object = api.get(&key.name).await?;
                let conditions = object.data.pointer("/status/conditions").and_then(Value::as_array);
                let is = conditions
                    .into_iter()
                    .flatten()
                    .any(|condition| condition["type"] == "Established" && condition["status"] == "True");
                if is {
                    return Ok(());
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        // A definition that takes longer fails the objects that need it, which says so better than this could.
        let result = tokio::time::timeout(ESTABLISHED_WITHIN, established).await.unwrap_or(Ok(()));
        self.places.forget_kinds().await;
        result
    }

    async fn prune(
        &self,
        key: &Key,
        version: &str,
        uid: &str,
        propagation: Propagation,
    ) -> Result<Outcome, kube::Error> {
        let served = self.places.served(&[]).await?;
        // A kind that is not served any more has no objects left.
        let Some(kind) = served.of(key, version) else { return Ok(Outcome::Done { resource_version: None }) };
        let policy = match propagation {
            Propagation::Foreground => PropagationPolicy::Foreground,
            Propagation::Background => PropagationPolicy::Background,
            Propagation::Orphan => PropagationPolicy::Orphan,
        };
        let params = DeleteParams {
            propagation_policy: Some(policy),
            preconditions: Some(Preconditions { uid: Some(uid.to_owned()), resource_version: None }),
            ..DeleteParams::default()
        };
        match self.actors.api(kind, &key.namespace).delete(&key.name, &params).await {
            Ok(_) => Ok(Outcome::Done { resource_version: None }),
            Err(error) if Class::of(&error) == Class::Gone => Ok(Outcome::Done { resource_version: None }),
            Err(error) => Err(error),
        }
    }
}

/// What an error means for the sync.
fn outcome(write: &Write, error: &kube::Error) -> Outcome {
    let is_conditional = match write {
        Write::Adopt { .. } | Write::Release { .. } | Write::Prune { .. } => true,
        Write::Apply(apply) => apply.pinned,
        Write::Namespace { .. } => false,
    };
    match Class::of(error) {
        Class::Conflict if is_conditional => Outcome::Stale,
        Class::Gone
        | Class::Conflict
        | Class::Throttled(_)
        | Class::Denied
        | Class::Unreachable
        | Class::Bug => Outcome::Failed { message: said(error) },
    }
}
