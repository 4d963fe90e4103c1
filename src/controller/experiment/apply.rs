//! Turns a plan about an Experiment into API requests, in order, and stops at the first failure.
//!
//! Input: a plan and the world it was made from. Output: requests, marks in the fence, events. Each write is one
//! request with a field manager and a precondition. It has no choice left to make, and makes none.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;
use kube::api::{ApiResource, Patch};
use serde_json::{Value, json};
use tidegate_engine::experiment::{Plan, Planned, Write, owner_reference, refusal, refused};
use tidegate_engine::fence::Fence;
use tidegate_engine::plan::{Notice, Reference, SetPatch};
use tidegate_engine::rollout::template::equal_ignoring_hash;
use tracing::info;

use super::observe::Observed;
use crate::apply::Failed;
use crate::difference::merge_patch;
use crate::events::{Recorder, Subject};
use crate::failure::{Class, chain, is_refusal, is_webhook_away, was_refused};
use crate::kinds;
use crate::request::{Done, Requests, Sent, already_exists, is_controlled_by, set_body};

/// A request that failed.
#[derive(Debug)]
pub(super) struct Stopped {
    pub(super) failed: Failed,
    /// An object that somebody else has under the name that was wanted.
    pub(super) taken: Option<Reference>,
}

/// Carries out a plan.
///
/// # Errors
/// Fails with the first request that fails; the writes before it have happened, those after it have not.
pub(super) async fn apply(
    client: &Client,
    recorder: &Recorder,
    observed: &Observed,
    plan: Plan,
    fence: &mut Fence,
) -> Result<(), Box<Stopped>> {
    let metadata = &observed.world.experiment.metadata;
    let namespace = metadata.namespace.clone().unwrap_or_default();
    let (subject, owner) = (Subject::new("Experiment", metadata), rollout(metadata));
    let hand = Hand { requests: Requests::new(client, &namespace), observed, recorder, subject, owner };
    let name = metadata.name.clone().unwrap_or_default();
    for Planned { write, because, notices, passed_on } in plan.writes {
        let done = match hand.send(&write).await {
            Ok(done) => done,
            Err((object, source)) => {
                let class = Class::of(&source);
                if class == Class::Unreachable && !was_refused(&source) {
                    fence.doubted(object.clone());
                }
                if is_refusal(&source) {
                    let is_final = !is_webhook_away(&source);
                    hand.show_refusal(&write, &chain(&source), is_final, fence).await;
                }
                let taken = (already_exists(&source) && !matches!(write, Write::Status(_))).then_some(object);
                let failed = Failed { doing: describe(&write), class, source, taken: None };
                return Err(Box::new(Stopped { failed, taken }));
            }
        };
        done.note(fence, Timestamp::now());
        info!(experiment = name, write = describe(&write), because = %because, "written");
        hand.tell(notices, passed_on);
    }
    Ok(())
}

/// What a write does, in few words, for logs and errors.
fn describe(write: &Write) -> String {
    match write {
        Write::Status(_) => "update status".to_owned(),
        Write::CreateSet(_)
        | Write::PatchSet(_)
        | Write::CreateService { .. }
        | Write::DeleteService { .. }
        | Write::CreateRun(_)
        | Write::StopRun { .. } => write.to_string(),
    }
}

/// The Rollout that made an Experiment for one of its steps.
fn rollout(metadata: &ObjectMeta) -> Option<Subject> {
    let owners = metadata.owner_references.iter().flatten();
    let owner = owners.into_iter().find(|owner| owner.controller == Some(true) && owner.kind == "Rollout")?;
    let of_rollout = ObjectMeta {
        namespace: metadata.namespace.clone(),
        name: Some(owner.name.clone()),
        uid: Some(owner.uid.clone()),
        ..ObjectMeta::default()
    };
    Some(Subject::new("Rollout", &of_rollout))
}

/// The writes of one plan.
struct Hand<'a> {
    requests: Requests<'a>,
    observed: &'a Observed,
    recorder: &'a Recorder,
    subject: Subject,
    /// The Rollout that made the Experiment, if one did.
    owner: Option<Subject>,
}

impl Hand<'_> {
    async fn send(&self, write: &Write) -> Sent {
        match write {
            Write::CreateSet(set) => {
                let experiment = &self.observed.world.experiment;
                let object =
                    set.object_of(experiment.metadata.namespace.as_deref(), &owner_reference(experiment));
                self.create(&kinds::replica_set(), &set.name, &object).await
            }
            Write::PatchSet(patch) => self.patch_set(patch).await,
            Write::CreateService { name, object } => self.create(&kinds::service(), name, object).await,
            Write::DeleteService { name } => {
                let service = kinds::service();
                let seen = self.observed.seen.get(&kinds::reference(&service, name));
                self.requests.delete(&service, name, seen.map(|seen| &seen.uid), None).await
            }
            Write::CreateRun(run) => {
                let name = run.metadata.name.clone().unwrap_or_default();
                let object = serde_json::to_value(run).unwrap_or_default();
                self.create(&kinds::analysis_run(), &name, &object).await
            }
            Write::StopRun { name } => self.requests.stop(&kinds::analysis_run(), name).await,
            Write::Status(status) => {
                let value = |status| serde_json::to_value(status).unwrap_or_default();
                let Some(difference) = merge_patch(&value(&status.from), &value(&status.to)) else {
                    return Ok(Done::Nothing);
                };
                let metadata = &self.observed.world.experiment.metadata;
                let body = json!({
                    "metadata": {"resourceVersion": metadata.resource_version}, "status": difference,
                });
                let name = metadata.name.as_deref().unwrap_or_default();
                self.requests.patch(&kinds::experiment(), name, &Patch::Merge(body)).await
            }
        }
    }

    /// Records the Events of a write, on the Experiment and on the Rollout that made it.
    fn tell(&self, notices: Vec<Notice>, passed_on: Vec<Notice>) {
        notices.into_iter().for_each(|notice| self.recorder.record(&self.subject, notice));
        if let Some(owner) = &self.owner {
            passed_on.into_iter().for_each(|notice| self.recorder.record(owner, notice));
        }
    }

    /// Tells what the API server would not have, and puts it into the status. That this may fail too changes nothing: the
    /// next attempt says it again.
    async fn show_refusal(&self, write: &Write, why: &str, is_final: bool, fence: &mut Fence) {
        self.tell(refusal(write, why).into_iter().collect(), Vec::new());
        if !is_final {
            return;
        }
        for planned in refused(&self.observed.world, write, why).writes {
            if let Ok(Done::Wrote(object, version)) = self.send(&planned.write).await {
                fence.wrote(object, &version, Timestamp::now());
                self.tell(planned.notices, planned.passed_on);
            }
        }
    }

    /// Creates an object; one that is there already is as wanted when it is our own earlier attempt.
    async fn create(&self, kind: &ApiResource, name: &str, wanted: &Value) -> Sent {
        let (object, error) = match self.requests.create(kind, name, wanted).await {
            Err((object, error)) if already_exists(&error) => (object, error),
            done => return done,
        };
        let live = self.requests.get(kind, name).await.map_err(|error| (object.clone(), error))?;
        if !self.is_ours(&live, wanted) {
            return Err((object, error));
        }
        let version = live.pointer("/metadata/resourceVersion").and_then(Value::as_str).unwrap_or_default();
        Ok(Done::Wrote(object, version.to_owned()))
    }

    /// Whether an object is controlled by this Experiment, visible to the watches, and says the same.
    fn is_ours(&self, live: &Value, wanted: &Value) -> bool {
        let has = |map: &str| {
            let (live, wanted) = (live.pointer(map), wanted.pointer(map).and_then(Value::as_object));
            wanted.is_none_or(|wanted| {
                wanted.iter().all(|(key, value)| live.and_then(|live| live.get(key)) == Some(value))
            })
        };
        is_controlled_by(live, self.observed.world.experiment.metadata.uid.as_deref())
            && has("/metadata/labels")
            && has("/metadata/annotations")
            && match (live.pointer("/spec/template"), wanted.pointer("/spec/template")) {
                (Some(live), Some(wanted)) => equal_ignoring_hash(live, wanted),
                (_, wanted) => wanted.is_none(),
            }
    }

    async fn patch_set(&self, patch: &SetPatch) -> Sent {
        let seen = self.observed.seen.get(&kinds::reference(&kinds::replica_set(), &patch.name));
        let body = set_body(patch, seen.map(|seen| seen.uid.as_str()), seen.map(|seen| seen.version.clone()));
        self.requests.patch(&kinds::replica_set(), &patch.name, &Patch::Merge(body)).await
    }
}
