//! Single requests about objects of one namespace, each with a field manager and a bound in time.
//!
//! Input: a kind, a name, a body. Output: what became of the object, for the fence to know. What to ask for is decided in
//! plans; whoever carries one out asks through here.

use std::time::Duration;

use http::header::{ACCEPT, HeaderValue};
use jiff::Timestamp;
use kube::Client;
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions,
    PropagationPolicy, Resource,
};
use kube::core::Request;
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_engine::fence::{Fence, Seen};
use tidegate_engine::plan::{Reference, SetPatch};

use crate::failure::Class;
use crate::kinds;

/// Owner of the fields that Tidegate writes.
pub(crate) const FIELD_MANAGER: &str = "tidegate";
/// One write, its answer's body included, takes no longer than this.
const WRITE_WITHIN: Duration = Duration::from_secs(5);

/// The answer to a write need not tell what was written; where a server cannot leave it out, all of the object will do.
const METADATA_ALONE: HeaderValue =
    HeaderValue::from_static("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json");

/// What one request did to one object.
pub(crate) enum Done {
    /// The version of the object now.
    Wrote(Reference, String),
    /// The uid of the object that is gone.
    Deleted(Reference, String),
    /// The object is as wanted already, so the events of the write have been told before.
    AsWanted(Reference, Seen),
    /// It happened, and the answer does not show the object.
    Untold(Reference),
    Nothing,
}

impl Done {
    /// Marks in the fence what the caches have to show from now on.
    pub(crate) fn note(&self, fence: &mut Fence, now: Timestamp) {
        match self {
            Self::Wrote(object, version) => fence.wrote(object.clone(), version, now),
            Self::Deleted(object, uid) => fence.deleted(object.clone(), uid, now),
            Self::AsWanted(object, seen) => fence.wrote(object.clone(), &seen.version, now),
            Self::Untold(object) => fence.doubted(object.clone()),
            Self::Nothing => {}
        }
    }
}

pub(crate) type Sent = Result<Done, (Reference, kube::Error)>;

/// A request as kube builds it.
pub(crate) type Built = Result<http::Request<Vec<u8>>, kube::core::request::Error>;

/// The part of any answer that matters.
#[derive(Debug, Deserialize)]
pub(crate) struct Answer {
    metadata: Version,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    #[serde(default)]
    resource_version: String,
    #[serde(default)]
    uid: String,
}

impl Answer {
    /// Which object it is, at which version.
    pub(crate) fn seen(&self) -> Seen {
        let Version { resource_version, uid } = &self.metadata;
        Seen { version: resource_version.clone(), uid: uid.clone() }
    }
}

/// Asks about objects of one namespace.
#[derive(Clone, Copy)]
pub(crate) struct Requests<'a> {
    client: &'a Client,
    namespace: &'a str,
}

impl<'a> Requests<'a> {
    pub(crate) fn new(client: &'a Client, namespace: &'a str) -> Self {
        Self { client, namespace }
    }

    pub(crate) fn path(&self, kind: &ApiResource) -> Request {
        Request::new(DynamicObject::url_path(kind, Some(self.namespace)))
    }

    pub(crate) async fn get(&self, kind: &ApiResource, name: &str) -> Result<Value, kube::Error> {
        self.answer(self.path(kind).get(name, &Default::default())).await
    }

    pub(crate) async fn create(&self, kind: &ApiResource, name: &str, body: &Value) -> Sent {
        let parameters =
            PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let request = self.path(kind).create(&parameters, body.to_string().into_bytes());
        self.wrote(kinds::reference(kind, name), request).await
    }

    pub(crate) async fn patch(&self, kind: &ApiResource, name: &str, patch: &Patch<Value>) -> Sent {
        self.wrote(kinds::reference(kind, name), self.path(kind).patch(name, &managed(), patch)).await
    }

    /// Asks an AnalysisRun or an Experiment to end. One that does not exist any more has.
    pub(crate) async fn stop(&self, kind: &ApiResource, name: &str) -> Sent {
        let body = json!({"spec": {"terminate": true}});
        gone_is_done(self.patch(kind, name, &Patch::Merge(body)).await)
    }

    pub(crate) async fn delete(
        &self,
        kind: &ApiResource,
        name: &str,
        uid: Option<&String>,
        version: Option<String>,
    ) -> Sent {
        let object = kinds::reference(kind, name);
        let preconditions = Preconditions { uid: uid.cloned(), resource_version: version };
        let parameters = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Background),
            preconditions: Some(preconditions),
            ..DeleteParams::default()
        };
        // The answer is the object or a Status, as the API server likes; neither tells more than that it is done.
        match self.answer::<Value>(self.path(kind).delete(name, &parameters)).await {
            Ok(_) => Ok(Done::Deleted(object, uid.cloned().unwrap_or_default())),
            Err(error) => gone_is_done(Err((object, error))),
        }
    }

    /// Sends a request that writes an object.
    pub(crate) async fn wrote(&self, object: Reference, request: Built) -> Sent {
        let request = request.map(|mut request| {
            request.headers_mut().insert(ACCEPT, METADATA_ALONE);
            request
        });
        match self.answer::<Answer>(request).await {
            Ok(answer) => Ok(Done::Wrote(object, answer.seen().version)),
            Err(error) => Err((object, error)),
        }
    }

    /// Sends a request, and waits for the answer, but not for ever.
    pub(crate) async fn answer<T: for<'de> Deserialize<'de>>(
        &self,
        request: Built,
    ) -> Result<T, kube::Error> {
        let request = request.map_err(kube::Error::BuildRequest)?;
        let answer = tokio::time::timeout(WRITE_WITHIN, self.client.request::<T>(request)).await;
        answer.unwrap_or_else(|elapsed| Err(kube::Error::Service(elapsed.into())))
    }
}

/// The parameters of any patch of ours.
pub(crate) fn managed() -> PatchParams {
    PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() }
}

/// The body that changes a ReplicaSet: all in one request, so that a size never appears without its annotation. `version`
/// is the newest one that is known.
pub(crate) fn set_body(patch: &SetPatch, uid: Option<&str>, version: Option<String>) -> Value {
    let mut body = json!({});
    if let Some(uid) = uid {
        // The API server answers Conflict when another ReplicaSet has the name by now.
        body["metadata"]["uid"] = uid.into();
    }
    if !patch.annotations.is_empty() {
        body["metadata"]["annotations"] = json!(patch.annotations);
    }
    if let Some((from, replicas)) = patch.replicas {
        body["spec"]["replicas"] = replicas.into();
        // Whoever takes pods away must have seen the ReplicaSet as it is: after a change of leader the caches may be older
        // than what the last one wrote.
        if let Some(version) = version.filter(|_| replicas < from) {
            body["metadata"]["resourceVersion"] = version.into();
        }
    }
    if let Some(seconds) = patch.min_ready_seconds {
        body["spec"]["minReadySeconds"] = seconds.into();
    }
    if let Some(template) = &patch.template {
        body["spec"]["template"] = template.clone();
    }
    body
}

/// Whether the controlling owner of an object has this uid.
pub(crate) fn is_controlled_by(object: &Value, uid: Option<&str>) -> bool {
    let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array).into_iter().flatten();
    owners.filter(|owner| owner["controller"] == true).any(|owner| owner["uid"].as_str() == uid)
}

/// Whether the name of a new object is taken.
pub(crate) fn already_exists(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409 && status.reason == "AlreadyExists")
}

/// Stopping or deleting what does not exist any more is done.
#[expect(clippy::result_large_err, reason = "one error a round, and never in a loop")]
pub(crate) fn gone_is_done(sent: Sent) -> Sent {
    match sent {
        Err((_, error)) if Class::of(&error) == Class::Gone => Ok(Done::Nothing),
        sent => sent,
    }
}
