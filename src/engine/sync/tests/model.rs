//! A cluster and a repository in memory, just real enough to carry out plans.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use json_patch::merge;
use serde_json::{Value, json};

use crate::sync::manifest::{Manifest, Render};
use crate::sync::{
    Cluster, Failing, Fetched, Install, Key, KindFact, Look, NamespaceFact, Outcome, Plan, Prediction,
    Question, Reach, Unread, World, Write, conclude, look, plan, service_account, targets, wanted,
};

impl From<&str> for Unread {
    fn from(why: &str) -> Self {
        Self::Unanswered(why.to_owned())
    }
}

/// One Application, its repository and its cluster.
pub(super) struct Model {
    pub(super) world: World,
    /// The repository: the commit and its objects, or why it cannot be read.
    pub(super) git: Result<(String, Result<Vec<Value>, String>), Unread>,
    /// What older commits hold.
    older: BTreeMap<String, Vec<Value>>,
    /// Other repositories by address: the one commit that each has, and its objects.
    pub(super) elsewhere: BTreeMap<String, (String, Vec<Value>)>,
    /// Since when a sync is not answered by Git.
    pub(super) stalled: Option<Failing>,
    pub(super) live: BTreeMap<Key, Value>,
    pub(super) namespaces: BTreeMap<String, NamespaceFact>,
    /// Objects that the server refuses, by name.
    pub(super) refuses: BTreeMap<String, String>,
    pub(super) unread: Vec<String>,
    pub(super) neighbours: Vec<Value>,
    pub(super) unknown_kinds: Vec<&'static str>,
    /// What was done to the cluster, in order.
    pub(super) log: Vec<String>,
    /// How many more requests that change something the controller makes before it dies.
    pub(super) dies_after: Option<usize>,
    /// When the last plan asked to look again.
    pub(super) wake: Option<Timestamp>,
    version: u64,
}

pub(super) fn config_map(name: &str, data: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name }, "data": { "a": data } })
}

pub(super) fn deployment(name: &str) -> Value {
    json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": name }, "spec": { "replicas": 1 } })
}

pub(super) fn annotated(mut object: Value, name: &str, value: &str) -> Value {
    object["metadata"]["annotations"][name] = json!(value);
    object
}

pub(super) fn key(kind: &str, name: &str) -> Key {
    let group = match kind {
        "Deployment" => "apps",
        "HTTPRoute" => "gateway.networking.k8s.io",
        "Route" => "route.openshift.io",
        "Job" => "batch",
        _ => "",
    };
    Key { group: group.into(), kind: kind.into(), namespace: "shop".into(), name: name.into() }
}

impl Model {
    /// An Application `shop` that syncs, prunes and heals by itself, and a repository with these objects.
    pub(super) fn new(objects: Vec<Value>) -> Self {
        let application = json!({
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Application",
            "metadata": { "name": "shop", "namespace": "argocd", "uid": "u-1", "resourceVersion": "1" },
            "spec": {
                "project": "default",
                "source": { "repoURL": "https://git.example/shop", "path": "deploy", "targetRevision": "main" },
                "destination": { "server": "https://kubernetes.default.svc", "namespace": "shop" },
                "syncPolicy": { "automated": { "prune": true, "selfHeal": true } },
            },
        });
        let install = Install {
            controller_namespace: "tidegate".into(),
            reach: Reach::Cluster,
            poll_seconds: 120,
            poll_jitter_seconds: 0,
            grace_seconds: 180,
        };
        let world = World {
            now: "2026-01-01T12:00:00Z".parse().unwrap(),
            application,
            install,
            project: None,
            settings: Ok(None),
            prompted: false,
            failing: None,
            stalled: None,
            source: None,
            cluster: None,
        };
        let there = NamespaceFact::There(json!({ "metadata": { "name": "shop" } }));
        Self {
            world,
            git: Ok(("c1".into(), Ok(objects))),
            older: BTreeMap::new(),
            elsewhere: BTreeMap::new(),
            stalled: None,
            live: BTreeMap::new(),
            namespaces: [("shop".to_owned(), there)].into(),
            refuses: BTreeMap::new(),
            unread: Vec::new(),
            neighbours: Vec::new(),
            unknown_kinds: Vec::new(),
            log: Vec::new(),
            dies_after: None,
            wake: None,
            version: 1,
        }
    }

    /// The same after everything was synced.
    pub(super) fn synced(objects: Vec<Value>) -> Self {
        let mut model = Self::new(objects);
        model.settle();
        assert_eq!(model.status("/sync/status"), "Synced");
        model
    }

    /// Changes the repository.
    pub(super) fn commit(&mut self, revision: &str, objects: Vec<Value>) {
        if let Ok((old, Ok(objects))) = &self.git {
            self.older.insert(old.clone(), objects.clone());
        }
        self.git = Ok((revision.into(), Ok(objects)));
    }

    pub(super) fn spec(&mut self, pointer: &str, value: Value) {
        let (parent, last) = pointer.rsplit_once('/').unwrap();
        self.world.application.pointer_mut(&format!("/spec{parent}")).unwrap()[last] = value;
    }

    pub(super) fn annotate(&mut self, name: &str, value: &str) {
        self.world.application["metadata"]["annotations"][name] = json!(value);
    }

    pub(super) fn wait(&mut self, seconds: i64) {
        self.world.now = self.world.now.checked_add(SignedDuration::from_secs(seconds)).unwrap();
    }

    /// Puts an object into the cluster without Tidegate.
    pub(super) fn put(&mut self, mut object: Value) -> Key {
        if object["metadata"].get("namespace").is_none() && object["kind"] != "ClusterRole" {
            object["metadata"]["namespace"] = json!("shop");
        }
        self.version += 1;
        object["metadata"]["uid"] = json!(format!("uid-{}", object["metadata"]["name"].as_str().unwrap()));
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let key = Key::of(&object);
        self.live.insert(key.clone(), object);
        key
    }

    pub(super) fn status(&self, pointer: &str) -> &str {
        let status = self.world.application.get("status").and_then(|status| status.pointer(pointer));
        status.and_then(Value::as_str).unwrap_or("")
    }

    pub(super) fn conditions(&self) -> Vec<String> {
        let conditions = self.world.application.pointer("/status/conditions").and_then(Value::as_array);
        let line = |c: &Value| format!("{}: {}", c["type"].as_str().unwrap(), c["message"].as_str().unwrap());
        conditions.into_iter().flatten().map(line).collect()
    }

    /// Gathers what the Application asks for, as the shell does.
    pub(super) fn observe(&mut self) -> World {
        let mut world = self.world.clone();
        world.source = None;
        world.cluster = None;
        let looked = look(&world);
        let question = match &looked {
            Look::Compare { question, .. } | Look::Operate(question) => Some(question),
            Look::Remove => None,
            Look::Leave(_) | Look::Wait { .. } | Look::Invalid { .. } => return world,
        };
        if let Some(question) = question {
            let manifest = |object| Manifest { file: "all.yaml".into(), object };
            let render =
                |objects: Vec<Value>| Render { objects: objects.into_iter().map(manifest).collect() };
            world.source = Some(
                self.answer(question)
                    .map(|(revision, objects)| Fetched { revision, render: Arc::new(objects.map(render)) }),
            );
            if matches!(looked, Look::Operate(_)) {
                self.stalled =
                    world.source.as_ref().and_then(|source| source.as_ref().err()).map(|_| Failing {
                        since: self.stalled.as_ref().map_or(world.now, |failing| failing.since),
                        attempts: 1,
                    });
                world.stalled.clone_from(&self.stalled);
            }
        }
        let namespace = world.application.pointer("/spec/destination/namespace").and_then(Value::as_str);
        if service_account(world.project.as_ref(), namespace.unwrap_or_default()).is_err() {
            // Nobody may look there.
            return world;
        }
        world.cluster = Some(Cluster {
            kinds: self.kinds(),
            live: self.live.clone(),
            namespaces: self.namespaces.clone(),
            unread: self.unread.clone(),
            neighbours: self.neighbours.clone(),
            predicted: BTreeMap::new(),
        });
        self.predict(&mut world);
        world
    }

    /// What Git says: the repository has its newest commit and those before it; others have one.
    fn answer(&self, question: &Question) -> Result<(String, Result<Vec<Value>, String>), Unread> {
        if let Some((commit, objects)) = self.elsewhere.get(&question.source.repo_url) {
            let is_there = ["main", commit].contains(&question.revision.as_str());
            let missing =
                || Unread::Refused(format!("unable to resolve '{}' to a commit SHA", question.revision));
            return is_there.then(|| (commit.clone(), Ok(objects.clone()))).ok_or_else(missing);
        }
        let older = self.older.get(&question.revision);
        let older = older.map(|objects| Ok((question.revision.clone(), Ok(objects.clone()))));
        older.unwrap_or_else(|| self.git.clone())
    }

    fn predict(&self, world: &mut World) {
        let Some(Ok(fetched)) = &world.source else { return };
        let Ok(render) = fetched.render.as_ref() else { return };
        let targets = targets(world, render);
        let mut predicted = BTreeMap::new();
        for wanted in wanted(world, &targets).into_iter().filter(|wanted| wanted.can_dry_run) {
            let prediction = match self.refuses.get(&wanted.key.name) {
                Some(why) => Prediction::Refused(why.clone()),
                None => Prediction::Accepted(self.applied(&wanted.key, &wanted.object)),
            };
            predicted.insert(wanted.key, prediction);
        }
        if let Some(cluster) = &mut world.cluster {
            cluster.predicted = predicted;
        }
    }

    fn kinds(&self) -> BTreeMap<(String, String), KindFact> {
        let kinds = [("", "v1", "ConfigMap", true), ("", "v1", "Secret", true), ("", "v1", "Service", true)];
        let more = [
            ("apps", "v1", "Deployment", true),
            ("gateway.networking.k8s.io", "v1", "HTTPRoute", true),
            ("route.openshift.io", "v1", "Route", true),
            ("batch", "v1", "Job", true),
            ("argoproj.io", "v1alpha1", "Rollout", true),
            ("argoproj.io", "v1alpha1", "Application", true),
            ("", "v1", "Namespace", false),
            ("rbac.authorization.k8s.io", "v1", "ClusterRole", false),
            ("apiextensions.k8s.io", "v1", "CustomResourceDefinition", false),
        ];
        let known =
            kinds.into_iter().chain(more).filter(|(_, _, kind, _)| !self.unknown_kinds.contains(kind));
        known
            .map(|(group, version, kind, namespaced)| {
                (
                    (group.to_owned(), kind.to_owned()),
                    KindFact { versions: vec![version.to_owned()], namespaced },
                )
            })
            .collect()
    }

    /// What the server makes of an applied object: the live one with the applied fields over it.
    fn applied(&self, key: &Key, object: &Value) -> Value {
        let mut result = self.live.get(key).cloned().unwrap_or_else(|| json!({ "metadata": {} }));
        overlay(&mut result, object);
        if result["metadata"].get("uid").is_none() {
            result["metadata"]["uid"] = json!(format!("uid-{}", key.name));
        }
        let own =
            json!({ "manager": "tidegate-sync", "operation": "Apply", "apiVersion": "v1", "fieldsV1": {} });
        let others = result["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
        let others = others.into_iter().filter(|entry| entry["manager"] != "tidegate-sync");
        result["metadata"]["managedFields"] = std::iter::once(own).chain(others).collect();
        result
    }

    /// Plans and carries out one round; shows what happened.
    pub(super) fn round(&mut self) -> String {
        let mut world = self.observe();
        let first = plan(&world);
        let mut shown = show(&first);
        if !self.patch(&first) {
            return shown;
        }
        self.world.prompted = first.wake.is_some_and(|wake| wake <= world.now);
        self.wake = first.wake;
        if first.writes.is_empty() {
            return shown;
        }
        world.application = self.world.application.clone();
        let outcomes = self.write(&first);
        if outcomes.len() < first.writes.len() {
            return shown;
        }
        let second = conclude(&world, &first, &outcomes, self.world.now);
        self.patch(&second);
        self.wake = second.wake;
        let _ = write!(shown, "then\n{}", show(&second));
        shown
    }

    /// Time passes until the last plan asks to look again, 10 s at most.
    pub(super) fn sleep(&mut self) {
        let most = self.world.now.checked_add(SignedDuration::from_secs(10)).unwrap();
        self.world.now = self.wake.map_or(most, |wake| wake.clamp(self.world.now, most));
        self.world.prompted = true;
    }

    /// Rounds until nothing changes; shows those that did something.
    pub(super) fn settle(&mut self) -> String {
        let mut shown = String::new();
        for _ in 0..12 {
            let before = (self.world.application.clone(), self.live.clone());
            let round = self.round();
            if before == (self.world.application.clone(), self.live.clone()) {
                return shown;
            }
            let _ = writeln!(shown, "{round}");
        }
        panic!("does not settle:\n{shown}");
    }

    /// Whether the controller lives to make one more request; a dead one is followed by another.
    fn lives(&mut self) -> bool {
        let left = self.dies_after;
        self.dies_after = left.and_then(|left| left.checked_sub(1));
        left != Some(0)
    }

    fn patch(&mut self, plan: &Plan) -> bool {
        let Some(patch) = &plan.patch else { return true };
        if !self.lives() {
            return false;
        }
        merge(&mut self.world.application, patch);
        if patch.pointer("/status/reconciledAt").is_some() {
            self.world.application["metadata"]["managedFields"] = json!([{
                "manager": "tidegate-sync", "operation": "Update",
                "fieldsV1": { "f:status": { "f:reconciledAt": {} } },
            }]);
        }
        true
    }

    fn write(&mut self, plan: &Plan) -> Vec<Outcome> {
        let mut failed = false;
        let mut outcomes = Vec::new();
        for planned in &plan.writes {
            if !self.lives() {
                return outcomes;
            }
            let is_prune = matches!(planned.write, Write::Prune { .. });
            let outcome = if is_prune && failed { Outcome::NotTried } else { self.one(&planned.write) };
            failed |= matches!(outcome, Outcome::Failed { .. });
            outcomes.push(outcome);
        }
        outcomes
    }

    fn one(&mut self, write: &Write) -> Outcome {
        self.version += 1;
        let resource_version = Some(self.version.to_string());
        let created = if let Write::Apply(apply) = write { Some(&apply.key) } else { None };
        let created = created.filter(|key| !self.live.contains_key(key));
        self.log.push(created.map_or_else(|| write.to_string(), |key| format!("create {key}")));
        match write {
            Write::Namespace { name, .. } => {
                self.namespaces
                    .insert(name.clone(), NamespaceFact::There(json!({ "metadata": { "name": name } })));
            }
            Write::Adopt { key, managed_fields, .. } => {
                self.live.get_mut(key).unwrap()["metadata"]["managedFields"] = managed_fields.clone();
            }
            Write::Apply(apply) => {
                let live =
                    self.live.get(&apply.key).and_then(|live| live["metadata"]["resourceVersion"].as_str());
                if apply.pinned && live != apply.resource_version.as_deref() {
                    return Outcome::Stale;
                }
                if let Some(message) = self.refuses.get(&apply.key.name) {
                    return Outcome::Failed { message: message.clone() };
                }
                let mut object = self.applied(&apply.key, &apply.object);
                let old = self.live.get(&apply.key);
                let first = old.map(|old| &old["metadata"]["managedFields"][0]);
                let first = first.filter(|first| first["manager"] == "tidegate-sync");
                if let Some(time) = first.and_then(|first| first.get("time")) {
                    object["metadata"]["managedFields"][0]["time"] = time.clone();
                }
                if old != Some(&object) {
                    object["metadata"]["resourceVersion"] = json!(self.version.to_string());
                    object["metadata"]["managedFields"][0]["time"] = json!(self.world.now.to_string());
                }
                if old.is_none() {
                    object["metadata"]["uid"] = json!(format!("uid-{}-{}", apply.key.name, self.version));
                }
                self.live.insert(apply.key.clone(), object);
            }
            Write::Release { key, finalizers, resource_version: read, .. } => {
                let Some(live) = self.live.get_mut(key) else {
                    return Outcome::Done { resource_version: None };
                };
                if live["metadata"]["resourceVersion"] != json!(read) {
                    return Outcome::Stale;
                }
                live["metadata"]["finalizers"] = json!(finalizers);
                live["metadata"]["resourceVersion"] = json!(self.version.to_string());
                if finalizers.is_empty() && live["metadata"].get("deletionTimestamp").is_some() {
                    self.live.remove(key);
                }
            }
            Write::Prune { key, uid, .. } => {
                let Some(live) = self.live.get_mut(key) else {
                    return Outcome::Done { resource_version: None };
                };
                assert_eq!(live["metadata"]["uid"], json!(uid));
                if live["metadata"]["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty())
                {
                    live["metadata"]["deletionTimestamp"] = json!("2026-01-01T12:00:00Z");
                } else {
                    self.live.remove(key);
                }
                return Outcome::Done { resource_version: None };
            }
        }
        Outcome::Done { resource_version }
    }
}

/// Lays one object over another; lists are replaced.
fn overlay(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                overlay(into.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

/// A plan and what its patch says, without what the reader knows.
fn show(plan: &Plan) -> String {
    let mut shown = plan.to_string();
    let Some(patch) = &plan.patch else { return shown };
    for pointer in [
        "/metadata",
        "/operation",
        "/status/sync/status",
        "/status/sync/revision",
        "/status/health/status",
        "/status/operationState/phase",
        "/status/operationState/message",
        "/status/operationState/retryCount",
    ] {
        if let Some(value) = patch.pointer(pointer) {
            let _ = writeln!(shown, "patch: {} = {value}", pointer.trim_start_matches('/').replace('/', "."));
        }
    }
    for (name, list) in [("condition", "/status/conditions"), ("history", "/status/history")] {
        for item in patch.pointer(list).and_then(Value::as_array).into_iter().flatten() {
            let line = match name {
                "condition" => format!("{}: {}", text(item, "type"), text(item, "message")),
                _ => format!("{} {}", item["id"], text(item, "revision")),
            };
            let _ = writeln!(shown, "{name}: {line}");
        }
    }
    for result in patch
        .pointer("/status/operationState/syncResult/resources")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let _ = writeln!(
            shown,
            "result: {} {}: {}",
            text(result, "kind"),
            text(result, "status"),
            text(result, "message")
        );
    }
    shown
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or("")
}

/// The time some seconds after noon.
pub(super) fn noon(seconds: i64) -> Timestamp {
    let noon: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
    noon.checked_add(SignedDuration::from_secs(seconds)).unwrap()
}
