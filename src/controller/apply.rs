//! Turns a plan into API requests, in order, and stops at the first failure.
//!
//! Input: a plan and the world it was made from. Output: requests, marks in the fence, events. Each write is one
//! request with a field manager and a precondition. It has no choice left to make, and makes none.

mod evict;
mod pod;

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::Client;
use kube::api::{ApiResource, DynamicObject, Patch, Resource};
use kube::core::Request;
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_api::analysis::AnalysisRun;
use tidegate_api::experiment::Experiment;
use tidegate_engine::fence::{Fence, Seen};
use tidegate_engine::plan::{Plan, Planned, Reference, RouteWrite, SetPatch, Write};
use tidegate_engine::rollout::world::{HASH_LABEL, INSTANCE_ID, MANAGED_BY, Set, World, owner_reference};
use tidegate_engine::rollout::{duration, refusal, refused, template};
use tracing::{debug, error, info, warn};

use crate::difference::merge_patch;
use crate::events::{Recorder, Subject};
use crate::failure::{Class, blames_object, chain, is_refusal, was_refused};
use crate::kinds;
use crate::observe::Observed;
use crate::request::{Answer, Done, Requests, Sent, already_exists, is_controlled_by, managed, set_body};
use crate::store::Key;

/// A request that failed, and what was being done.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing}: {}", chain(.source))]
pub(crate) struct Failed {
    pub(crate) doing: String,
    pub(crate) class: Class,
    pub(crate) source: kube::Error,
    /// The name of an AnalysisRun or Experiment that somebody else has, or that is there but invisible to this controller.
    pub(crate) taken: Option<String>,
}

impl Failed {
    /// Says in the log why a round about an object of a kind ended early, as loudly as it matters.
    pub(crate) fn tell(&self, kind: &str, key: &Key) {
        match self.class {
            Class::Unreachable if was_refused(&self.source) => {
                debug!(kind, object = %key, error = %self, "stopped");
            }
            // Somebody was faster; the next round sees what they did.
            Class::Gone | Class::Conflict => debug!(kind, object = %key, error = %self, "planning again"),
            Class::Throttled(_) | Class::Denied | Class::Unreachable => {
                warn!(kind, object = %key, class = self.class.name(), error = %self, "round failed");
            }
            Class::Bug => {
                error!(kind, object = %key, error = %self, "round failed: this is a bug, please report it");
            }
        }
    }
}

/// Carries out plans.
#[derive(Clone)]
pub(crate) struct Hand {
    client: Client,
    recorder: Recorder,
}

impl Hand {
    /// Builds the executor of plans.
    pub(crate) fn new(client: Client, recorder: Recorder) -> Self {
        Self { client, recorder }
    }

    /// Carries out a plan; says how many writes were made.
    ///
    /// # Errors
    /// Fails with the first request that fails; the writes before it have happened, those after it have not.
    pub(crate) async fn apply(
        &self,
        observed: &Observed,
        plan: Plan,
        fence: &mut Fence,
    ) -> Result<usize, Failed> {
        let world = &observed.world;
        let metadata = &world.rollout.metadata;
        let key = Key::new(
            metadata.namespace.clone().unwrap_or_default(),
            metadata.name.clone().unwrap_or_default(),
        );
        let subject = Subject::rollout(&world.rollout);
        let mut version = metadata.resource_version.clone().unwrap_or_default();
        let (mut made, mut moved) = (0, BTreeMap::new());
        for Planned { write, because, notices } in plan.writes {
            let requests = Requests::new(&self.client, &key.namespace);
            let one = One { requests, observed, key: &key, version: &version, moved: &moved };
            let doing = describe(&write);
            let done = match one.send(&write).await {
                Ok(done) => done,
                Err((object, source)) => {
                    let class = Class::of(&source);
                    if class == Class::Unreachable && !was_refused(&source) {
                        fence.doubted(object);
                    }
                    if is_refusal(&source) {
                        let why = chain(&source);
                        // It is for the user to mend, so the user is told.
                        if let Some(notice) = refusal(&write, &why) {
                            self.recorder.record(&subject, notice);
                        }
                        let plan = refused(world, &write, &doing, &why, blames_object(&source));
                        one.show_refusal(&plan, fence).await;
                    }
                    let taken = taken_name(&write, &source);
                    return Err(Failed { doing, class, source, taken });
                }
            };
            done.note(fence, Timestamp::now());
            let notices = if matches!(done, Done::AsWanted(..)) { Vec::new() } else { notices };
            if let Done::Wrote(object, new) = done {
                if object.kind == "Rollout" {
                    version.clone_from(&new);
                }
                moved.insert(object, new);
            }
            made += 1;
            if let Write::Status(status) = &write {
                for ended in duration::ended(&status.from, &status.to, world.now) {
                    self.recorder.update_ended(&ended);
                }
            }
            info!(rollout = %key, write = doing, because = %because, "written");
            for notice in notices {
                self.recorder.record(&subject, notice);
            }
        }
        Ok(made)
    }

    /// Reads what the API server has of an object, for a fence that the cache cannot settle.
    ///
    /// # Errors
    /// Fails when the API server gives no usable answer.
    pub(crate) async fn look_up(
        &self,
        namespace: &str,
        object: &Reference,
        kind: &ApiResource,
    ) -> Result<Option<Seen>, Failed> {
        let namespace = object.namespace_or(namespace);
        let request = Request::new(DynamicObject::url_path(kind, Some(namespace)));
        let request = request.get(&object.name, &Default::default()).map_err(kube::Error::BuildRequest);
        let answer = match request {
            Ok(request) => self.client.request::<Answer>(request).await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(answer) => Ok(Some(answer.seen())),
            Err(source) => match Class::of(&source) {
                Class::Gone => Ok(None),
                class @ (Class::Conflict
                | Class::Throttled(_)
                | Class::Denied
                | Class::Unreachable
                | Class::Bug) => Err(Failed { doing: format!("read {object}"), class, source, taken: None }),
            },
        }
    }
}

/// One write under way.
struct One<'a> {
    requests: Requests<'a>,
    observed: &'a Observed,
    key: &'a Key,
    /// The newest known version of the Rollout: a write before this one in the same plan may have moved it.
    version: &'a str,
    /// The versions of other objects that this plan has moved already.
    moved: &'a BTreeMap<Reference, String>,
}

impl One<'_> {
    async fn send(&self, write: &Write) -> Sent {
        match write {
            Write::DefaultReplicas { replicas } => {
                self.patch_rollout(json!({"spec": {"replicas": replicas}})).await
            }
            Write::AnnotateRollout { annotations } => {
                self.patch_rollout(json!({"metadata": {"annotations": annotations}})).await
            }
            Write::Status(status) => {
                let value = |status| serde_json::to_value(status).unwrap_or_default();
                match merge_patch(&value(&status.from), &value(&status.to)) {
                    Some(difference) => self.patch_status(difference).await,
                    None => Ok(Done::Nothing),
                }
            }
            Write::CreateSet(set) => self.create_set(set).await,
            Write::PatchSet(patch) => self.patch_set(patch).await,
            Write::AdoptSet { name, uid } => {
                let owners = json!([owner_reference(&self.world().rollout)]);
                let body = json!({"metadata": {"uid": uid, "ownerReferences": owners}});
                self.requests.patch(&kinds::replica_set(), name, &Patch::Strategic(body)).await
            }
            Write::ReleaseSet { name, uid } => {
                let owner = json!({"$patch": "delete", "uid": self.world().rollout.metadata.uid});
                let body = json!({"metadata": {"uid": uid, "ownerReferences": [owner]}});
                self.requests.patch(&kinds::replica_set(), name, &Patch::Strategic(body)).await
            }
            Write::DeleteSet { name, uid } => {
                self.requests.delete(&kinds::replica_set(), name, Some(uid), self.known(name)).await
            }
            Write::PointService { service, to, rollout, from: _ } => self.point(service, to, rollout).await,
            Write::Route(route) => self.route(route).await,
            Write::ScaleWorkload { name, uid, from: _, to } => self.scale_workload(name, uid, *to).await,
            Write::RestartPod { name, uid } => self.evict(name, uid).await,
            Write::PatchPod(patch) => self.patch_pod(patch).await,
            Write::CreateRun(run) => {
                let object = serde_json::to_value(run).unwrap_or_default();
                self.create_visible(&kinds::analysis_run(), &object).await
            }
            Write::StopRun { name } => self.requests.stop(&kinds::analysis_run(), name).await,
            Write::DeleteRun { name } => {
                let run = self.world().runs.iter().find(|run| run.metadata.name.as_ref() == Some(name));
                let uid = run.and_then(|run| run.metadata.uid.as_ref());
                self.requests.delete(&kinds::analysis_run(), name, uid, None).await
            }
            Write::CreateExperiment(experiment) => {
                let object = serde_json::to_value(experiment).unwrap_or_default();
                self.create_visible(&kinds::experiment(), &object).await
            }
            Write::StopExperiment { name } => self.requests.stop(&kinds::experiment(), name).await,
            Write::DeleteExperiment { name } => {
                let mut own = self.world().experiments.own.iter();
                let experiment = own.find(|experiment| experiment.metadata.name.as_ref() == Some(name));
                let uid = experiment.and_then(|experiment| experiment.metadata.uid.as_ref());
                self.requests.delete(&kinds::experiment(), name, uid, None).await
            }
        }
    }

    fn world(&self) -> &World {
        &self.observed.world
    }

    async fn patch_rollout(&self, mut body: Value) -> Sent {
        body["metadata"]["resourceVersion"] = self.version.into();
        self.requests.patch(&kinds::rollout(), &self.key.name, &Patch::Merge(body)).await
    }

    async fn patch_status(&self, difference: Value) -> Sent {
        let body = json!({"metadata": {"resourceVersion": self.version}, "status": difference});
        let kind = kinds::rollout();
        let object = kinds::reference(&kind, &self.key.name);
        let request = self.requests.path(&kind).patch_subresource(
            "status",
            &self.key.name,
            &managed(),
            &Patch::Merge(body),
        );
        self.requests.wrote(object, request).await
    }

    /// Puts into the status what the API server would not have. That this may fail too changes nothing: the next attempt says
    /// it again.
    async fn show_refusal(&self, plan: &Plan, fence: &mut Fence) {
        for planned in &plan.writes {
            if let Ok(Done::Wrote(object, version)) = self.send(&planned.write).await {
                fence.wrote(object, &version, Timestamp::now());
            }
        }
    }

    /// A name that is taken is either our own earlier attempt, or a collision of hashes that the next plan avoids.
    async fn create_set(&self, set: &Set) -> Sent {
        let kind = kinds::replica_set();
        let failed = match self.requests.create(&kind, &set.name, &set.object(&self.world().rollout)).await {
            Err((object, error)) if already_exists(&error) => (object, error),
            done => return done,
        };
        let (object, _) = failed;
        let live = self.requests.get(&kind, &set.name).await.map_err(|error| (object.clone(), error))?;
        let ours = Set::parse(&live);
        if ours.owner == self.world().rollout.metadata.uid
            && template::equal_ignoring_hash(&ours.own_template(), &set.own_template())
        {
            let version =
                live.pointer("/metadata/resourceVersion").and_then(Value::as_str).unwrap_or_default();
            return Ok(Done::AsWanted(object, Seen { version: version.to_owned(), uid: ours.uid }));
        }
        let count =
            self.world().rollout.status.as_ref().and_then(|status| status.collision_count).unwrap_or(0);
        self.patch_status(json!({"collisionCount": count + 1})).await?;
        // The rest of the plan counts on a ReplicaSet that does not exist: plan again, under the new count.
        Err((object, failed.1))
    }

    /// Creates an AnalysisRun or an Experiment; one that is there already is as wanted when it is our own earlier
    /// attempt, and the watches will show it.
    async fn create_visible(&self, kind: &ApiResource, wanted: &Value) -> Sent {
        let name = wanted.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        let (object, error) = match self.requests.create(kind, name, wanted).await {
            Err((object, error)) if already_exists(&error) => (object, error),
            done => return done,
        };
        let live = self.requests.get(kind, name).await.map_err(|error| (object.clone(), error))?;
        let ours = is_controlled_by(&live, self.world().rollout.metadata.uid.as_deref());
        let text =
            |pointer: &str| live.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        if ours && self.shows(&live) {
            let seen = Seen { version: text("/metadata/resourceVersion"), uid: text("/metadata/uid") };
            return Ok(Done::AsWanted(object, seen));
        }
        Err((object, error))
    }

    async fn patch_set(&self, patch: &SetPatch) -> Sent {
        let set = self.world().sets.iter().find(|set| set.name == patch.name);
        let body = set_body(patch, set.map(|set| set.uid.as_str()), self.known(&patch.name));
        self.requests.patch(&kinds::replica_set(), &patch.name, &Patch::Merge(body)).await
    }

    /// The newest version of a ReplicaSet that this plan was made on or has made.
    fn known(&self, set: &str) -> Option<String> {
        let object = kinds::reference(&kinds::replica_set(), set);
        let seen = || self.observed.seen.get(&object).map(|seen| seen.version.clone());
        self.moved.get(&object).cloned().or_else(seen)
    }

    /// Whether the watches of this controller can show an AnalysisRun or an Experiment: it is of the same instance, and readable.
    fn shows(&self, run: &Value) -> bool {
        let instance = run.pointer("/metadata/labels").and_then(|labels| labels.get(INSTANCE_ID));
        let labels = self.world().rollout.metadata.labels.as_ref();
        let ours = labels.and_then(|labels| labels.get(INSTANCE_ID)).map(String::as_str);
        let readable = match run["kind"].as_str() {
            Some("Experiment") => Experiment::deserialize(run).is_ok(),
            _ => AnalysisRun::deserialize(run).is_ok(),
        };
        instance.and_then(Value::as_str) == ours && readable
    }

    /// Under the version that was read: whoever else scales it must not be overruled unseen.
    async fn scale_workload(&self, name: &str, uid: &str, replicas: i32) -> Sent {
        let kind = kinds::deployment();
        let mut body = json!({"metadata": {"uid": uid}, "spec": {"replicas": replicas}});
        if let Some(seen) = self.observed.seen.get(&kinds::reference(&kind, name)) {
            body["metadata"]["resourceVersion"] = seen.version.clone().into();
        }
        self.requests.patch(&kind, name, &Patch::Merge(body)).await
    }

    async fn point(&self, service: &str, hash: &str, rollout: &str) -> Sent {
        let kind = kinds::service();
        let mut body = json!({"spec": {"selector": {HASH_LABEL: hash}}});
        if let Some(seen) = self.observed.seen.get(&kinds::reference(&kind, service)) {
            body["metadata"]["resourceVersion"] = seen.version.clone().into();
        }
        let managed_by =
            self.world().services.get(service).and_then(|service| service.annotations.get(MANAGED_BY));
        if managed_by.is_none_or(|name| name != rollout) {
            body["metadata"]["annotations"] = json!({MANAGED_BY: rollout});
        }
        self.requests.patch(&kind, service, &Patch::Merge(body)).await
    }

    async fn route(&self, route: &RouteWrite) -> Sent {
        let kind = kind_of(&route.reference);
        let Some(from) = &route.from else {
            return self.requests.create(&kind, &route.reference.name, &route.to).await;
        };
        let Some(mut body) = merge_patch(from, &route.to) else { return Ok(Done::Nothing) };
        // Lists are written whole, so nobody may have changed one since: the API server answers Conflict then.
        if let Some(version) = from.pointer("/metadata/resourceVersion") {
            body["metadata"]["resourceVersion"] = version.clone();
        }
        // An older cluster serves the object in another version of its group than plans name.
        let served = from.get("apiVersion").and_then(Value::as_str).and_then(|text| text.split_once('/'));
        let kind = served.map_or(kind.clone(), |(_, version)| kinds::in_version(&kind, version));
        let namespace = route.reference.namespace_or(&self.key.namespace);
        let path = Request::new(DynamicObject::url_path(&kind, Some(namespace)));
        let request = path.patch(&route.reference.name, &managed(), &Patch::Merge(body));
        self.requests.wrote(route.reference.clone(), request).await
    }
}

/// The name of an AnalysisRun or Experiment that could not be made because there is one.
fn taken_name(write: &Write, error: &kube::Error) -> Option<String> {
    let metadata = if let Write::CreateRun(run) = write {
        &run.metadata
    } else if let Write::CreateExperiment(experiment) = write {
        &experiment.metadata
    } else {
        return None;
    };
    metadata.name.clone().filter(|_| already_exists(error))
}

/// The kind of an object that plans write.
pub(crate) fn kind_of(object: &Reference) -> ApiResource {
    let known =
        [kinds::rollout(), kinds::analysis_run(), kinds::replica_set(), kinds::service(), kinds::pod()];
    let known = known.into_iter().chain([kinds::deployment(), kinds::experiment()]).chain(kinds::routes());
    let found =
        known.into_iter().find(|kind| kind.api_version == object.api_version && kind.kind == object.kind);
    // A router that names a kind missing from the list gets 404 from the API server, which names the path.
    found.unwrap_or_else(|| {
        let (group, version) = object.api_version.split_once('/').unwrap_or(("", &object.api_version));
        ApiResource {
            group: group.to_owned(),
            version: version.to_owned(),
            api_version: object.api_version.clone(),
            kind: object.kind.clone(),
            plural: format!("{}s", object.kind.to_lowercase()),
        }
    })
}

/// What a write does, in few words, for logs and errors.
fn describe(write: &Write) -> String {
    match write {
        Write::DefaultReplicas { replicas } => format!("set spec.replicas to the default {replicas}"),
        Write::AnnotateRollout { .. } => "annotate the Rollout".to_owned(),
        Write::CreateSet(set) => format!("create ReplicaSet {}", set.name),
        Write::PatchSet(SetPatch { name, replicas: Some((from, to)), .. }) => {
            format!("scale ReplicaSet {name} from {from} to {to}")
        }
        Write::PatchSet(SetPatch { name, replicas: None, .. }) => format!("patch ReplicaSet {name}"),
        Write::AdoptSet { name, .. } => format!("adopt ReplicaSet {name}"),
        Write::ReleaseSet { name, .. } => format!("release ReplicaSet {name}"),
        Write::DeleteSet { name, .. } => format!("delete ReplicaSet {name}"),
        Write::PointService { service, to, .. } => format!("point Service {service} at {to}"),
        Write::Route(route) => {
            format!("route {}: weight {} of {}", route.reference, route.weight, route.max_weight)
        }
        Write::ScaleWorkload { name, from, to, .. } => format!("scale Deployment {name} from {from} to {to}"),
        Write::RestartPod { name, .. } => format!("evict pod {name}"),
        Write::PatchPod(patch) => format!("patch pod {}", patch.name),
        Write::CreateRun(run) => {
            format!("create AnalysisRun {}", run.metadata.name.as_deref().unwrap_or_default())
        }
        Write::StopRun { name } => format!("stop AnalysisRun {name}"),
        Write::DeleteRun { name } => format!("delete AnalysisRun {name}"),
        Write::CreateExperiment(experiment) => {
            format!("create Experiment {}", experiment.metadata.name.as_deref().unwrap_or_default())
        }
        Write::StopExperiment { name } => format!("stop Experiment {name}"),
        Write::DeleteExperiment { name } => format!("delete Experiment {name}"),
        Write::Status(_) => "update status".to_owned(),
    }
}

#[cfg(test)]
mod tests;
