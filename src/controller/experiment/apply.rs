//! Turns a plan about an Experiment into API requests, in order, and stops at the first failure.
//!
//! Input: a plan and the world it was made from. Output: requests, marks in the fence, events. Each write is one
//! request with a field manager and a precondition. It has no choice left to make, and makes none.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions,
};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use tidegate_engine::experiment::{Plan, Planned, Write, owner_reference, refused};
use tidegate_engine::fence::Fence;
use tidegate_engine::plan::{Reference, SetPatch};
use tidegate_engine::rollout::template::equal_ignoring_hash;
use tracing::info;

use super::observe::Observed;
use crate::apply::{FIELD_MANAGER, Failed};
use crate::difference::merge_patch;
use crate::events::{Recorder, Subject};
use crate::failure::{Class, chain, was_refused};
use crate::kinds;

/// One write, its answer's body included, takes no longer than this.
const WRITE_WITHIN: Duration = Duration::from_secs(5);

/// A request that failed.
#[derive(Debug)]
pub(super) struct Stopped {
    pub(super) failed: Failed,
    /// An object that somebody else has under the name that was wanted.
    pub(super) taken: Option<Reference>,
}

/// What one request did to one object.
enum Done {
    /// The version of the object now.
    Wrote(Reference, String),
    /// The uid of the object that is gone.
    Deleted(Reference, String),
    Nothing,
}

type Sent = Result<Done, Box<(Reference, kube::Error)>>;

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
    let hand = Hand { client, observed };
    let metadata = &observed.world.experiment.metadata;
    let name = metadata.name.clone().unwrap_or_default();
    let (subject, owner) = (Subject::new("Experiment", metadata), rollout(metadata));
    for Planned { write, because, notices, passed_on } in plan.writes {
        let done = match hand.send(&write).await {
            Ok(done) => done,
            Err(error) => {
                let (object, source) = *error;
                let class = Class::of(&source);
                if class == Class::Unreachable && !was_refused(&source) {
                    fence.doubted(object.clone());
                }
                hand.show_refusal(&write, class, &source, fence, recorder, &subject).await;
                let taken = (already_exists(&source) && !matches!(write, Write::Status(_))).then_some(object);
                let failed = Failed { doing: describe(&write), class, source, taken: None };
                return Err(Box::new(Stopped { failed, taken }));
            }
        };
        let now = Timestamp::now();
        match done {
            Done::Wrote(object, version) => fence.wrote(object, &version, now),
            Done::Deleted(object, uid) => fence.deleted(object, &uid, now),
            Done::Nothing => {}
        }
        info!(experiment = name, write = describe(&write), because = %because, "written");
        for notice in notices {
            recorder.record(&subject, notice);
        }
        if let Some(owner) = &owner {
            passed_on.into_iter().for_each(|notice| recorder.record(owner, notice));
        }
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
    client: &'a Client,
    observed: &'a Observed,
}

impl Hand<'_> {
    async fn send(&self, write: &Write) -> Sent {
        match write {
            Write::CreateSet(set) => {
                let experiment = &self.observed.world.experiment;
                let object =
                    set.object_of(experiment.metadata.namespace.as_deref(), &owner_reference(experiment));
                self.create(&kinds::replica_set(), &set.name, object).await
            }
            Write::PatchSet(patch) => self.patch_set(patch).await,
            Write::CreateService { name, object } => {
                self.create(&kinds::service(), name, object.clone()).await
            }
            Write::DeleteService { name } => self.delete_service(name).await,
            Write::CreateRun(run) => {
                let name = run.metadata.name.clone().unwrap_or_default();
                let object = serde_json::to_value(run).unwrap_or_default();
                self.create(&kinds::analysis_run(), &name, object).await
            }
            Write::StopRun { name } => {
                let body = json!({"spec": {"terminate": true}});
                match self.patch(&kinds::analysis_run(), name, body).await {
                    // What does not exist any more measures nothing.
                    Err(error) if Class::of(&error.1) == Class::Gone => Ok(Done::Nothing),
                    sent => sent,
                }
            }
            Write::Status(status) => {
                let value = |status| serde_json::to_value(status).unwrap_or_default();
                let Some(difference) = merge_patch(&value(&status.from), &value(&status.to)) else {
                    return Ok(Done::Nothing);
                };
                let metadata = &self.observed.world.experiment.metadata;
                let body = json!({
                    "metadata": {"resourceVersion": metadata.resource_version}, "status": difference,
                });
                self.patch(&kinds::experiment(), metadata.name.as_deref().unwrap_or_default(), body).await
            }
        }
    }

    /// Puts into the status what the API server would not have. That this may fail too changes nothing: the next
    /// attempt says it again.
    async fn show_refusal(
        &self,
        write: &Write,
        class: Class,
        source: &kube::Error,
        fence: &mut Fence,
        recorder: &Recorder,
        subject: &Subject,
    ) {
        let code = if let kube::Error::Api(status) = source { status.code } else { 0 };
        if class != Class::Denied && code != 400 {
            return;
        }
        for planned in refused(&self.observed.world, write, &chain(source)).writes {
            if let Ok(Done::Wrote(object, version)) = self.send(&planned.write).await {
                fence.wrote(object, &version, Timestamp::now());
                planned.notices.into_iter().for_each(|notice| recorder.record(subject, notice));
            }
        }
    }

    fn api(&self, kind: &ApiResource) -> Api<DynamicObject> {
        let namespace = self.observed.world.experiment.namespace().unwrap_or_default();
        Api::namespaced_with(self.client.clone(), &namespace, kind)
    }

    /// Creates an object; one that is there already is as wanted when it is our own earlier attempt.
    async fn create(&self, kind: &ApiResource, name: &str, object: Value) -> Sent {
        let reference = kinds::reference(kind, name);
        let parameters =
            PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let body: DynamicObject = match serde_json::from_value(object.clone()) {
            Ok(body) => body,
            Err(error) => return Err(Box::new((reference, kube::Error::SerdeError(error)))),
        };
        let api = self.api(kind);
        let error = match within(api.create(&parameters, &body)).await {
            Ok(made) => return Ok(Done::Wrote(reference, made.resource_version().unwrap_or_default())),
            Err(error) if already_exists(&error) => error,
            Err(error) => return Err(Box::new((reference, error))),
        };
        let live = match within(api.get(name)).await {
            Ok(live) => live,
            Err(error) => return Err(Box::new((reference, error))),
        };
        if self.is_ours(&live, &object) {
            return Ok(Done::Wrote(reference, live.resource_version().unwrap_or_default()));
        }
        Err(Box::new((reference, error)))
    }

    /// Whether an object is controlled by this Experiment, visible to the watches, and says the same.
    fn is_ours(&self, live: &DynamicObject, wanted: &Value) -> bool {
        let uid = self.observed.world.experiment.metadata.uid.as_ref();
        let mut owners = live.metadata.owner_references.iter().flatten();
        if !owners.any(|owner| owner.controller == Some(true) && Some(&owner.uid) == uid) {
            return false;
        }
        let same = |field: &str| {
            let wanted = wanted.pointer("/metadata").and_then(|metadata| metadata.get(field));
            let live = serde_json::to_value(&live.metadata).unwrap_or_default();
            wanted.and_then(Value::as_object).is_none_or(|wanted| {
                wanted.iter().all(|(key, value)| live.get(field).and_then(|map| map.get(key)) == Some(value))
            })
        };
        let template = |object: &Value| object.pointer("/spec/template").cloned();
        same("labels")
            && same("annotations")
            && match (template(&live.data), template(wanted)) {
                (Some(live), Some(wanted)) => equal_ignoring_hash(&live, &wanted),
                (_, wanted) => wanted.is_none(),
            }
    }

    /// Size and deadline go in one request.
    async fn patch_set(&self, patch: &SetPatch) -> Sent {
        let mut body = json!({});
        if let Some(seen) = self.observed.seen.get(&kinds::reference(&kinds::replica_set(), &patch.name)) {
            // The API server answers Conflict when another ReplicaSet has the name by now.
            body["metadata"]["uid"] = seen.uid.clone().into();
            if patch.replicas.is_some_and(|(from, to)| to < from) {
                // Whoever takes pods away must have seen the ReplicaSet as it is.
                body["metadata"]["resourceVersion"] = seen.version.clone().into();
            }
        }
        if !patch.annotations.is_empty() {
            body["metadata"]["annotations"] = json!(patch.annotations);
        }
        if let Some((_, replicas)) = patch.replicas {
            body["spec"]["replicas"] = replicas.into();
        }
        self.patch(&kinds::replica_set(), &patch.name, body).await
    }

    async fn patch(&self, kind: &ApiResource, name: &str, body: Value) -> Sent {
        let reference = kinds::reference(kind, name);
        let parameters =
            PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        match within(self.api(kind).patch(name, &parameters, &Patch::Merge(body))).await {
            Ok(written) => Ok(Done::Wrote(reference, written.resource_version().unwrap_or_default())),
            Err(error) => Err(Box::new((reference, error))),
        }
    }

    async fn delete_service(&self, name: &str) -> Sent {
        let reference = kinds::reference(&kinds::service(), name);
        let uid = self.observed.seen.get(&reference).map(|seen| seen.uid.clone());
        let preconditions = Preconditions { uid: uid.clone(), ..Preconditions::default() };
        let parameters = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::background() };
        match within(self.api(&kinds::service()).delete(name, &parameters)).await {
            Ok(_) => Ok(Done::Deleted(reference, uid.unwrap_or_default())),
            Err(error) if Class::of(&error) == Class::Gone => Ok(Done::Nothing),
            Err(error) => Err(Box::new((reference, error))),
        }
    }
}

/// Waits for an answer, but not for ever.
async fn within<T>(request: impl Future<Output = kube::Result<T>>) -> kube::Result<T> {
    let answer = tokio::time::timeout(WRITE_WITHIN, request).await;
    answer.unwrap_or_else(|elapsed| Err(kube::Error::Service(elapsed.into())))
}

fn already_exists(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409 && status.reason == "AlreadyExists")
}
