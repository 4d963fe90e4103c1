//! The loop against a small API server in memory, and Git on disk; and each write as one exact request.

mod server;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use jiff::SignedDuration;
use serde_json::{Value, json};
use tidegate_engine::sync::{
    Apply, Because, Install, Key as ObjectKey, Outcome, Planned, Propagation, Reach, Write,
};

use self::server::{Server, served};
use super::apply::Hand;
use super::place::{Actors, Places};
use super::*;
use crate::store::Key;
use crate::work::Next;

const APP: &str = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/shop";
const MAP: &str = "/api/v1/namespaces/shop/configmaps/a";
const APPLY: &str = "force=true&fieldManager=tidegate-sync&fieldValidation=Strict";

fn map_key(name: &str) -> ObjectKey {
    ObjectKey {
        kind: "ConfigMap".into(),
        namespace: "shop".into(),
        name: name.into(),
        ..ObjectKey::default()
    }
}

fn config_map(name: &str, data: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": { "name": name, "namespace": "shop" },
        "data": { "a": data },
    })
}

fn apply(name: &str, pinned: bool) -> Planned {
    let write = Write::Apply(Box::new(Apply {
        key: map_key(name),
        version: "v1".into(),
        object: config_map(name, "1"),
        resource_version: Some("7".into()),
        pinned,
    }));
    Planned { write, because: Because::Differs }
}

fn prune(name: &str) -> Planned {
    let propagation = Propagation::Background;
    let write = Write::Prune { key: map_key(name), version: "v1".into(), uid: "u".into(), propagation };
    Planned { write, because: Because::NotInGit }
}

async fn write(server: &Server, writes: &[Planned]) -> Vec<Outcome> {
    let client = server.client();
    let places = Places::fixed(client.clone(), served());
    let actors = Actors::new(client, BTreeMap::new());
    Hand::new(&actors, &places, "shop").write(writes).await
}

fn failed(message: &str) -> Outcome {
    Outcome::Failed { message: message.into() }
}

#[tokio::test]
async fn applying_is_one_forced_and_strict_request() {
    let server = Server::default();
    let outcomes = write(&server, &[apply("a", false)]).await;
    assert_eq!(outcomes, [Outcome::Done { resource_version: Some("1".into()) }]);
    assert_eq!(server.asked(), [format!("PATCH {MAP}?&{APPLY}")]);
    assert_eq!(server.bodies()[0], config_map("a", "1"));
}

#[tokio::test]
async fn what_holds_live_values_is_refused_when_those_have_changed() {
    let server = Server::default();
    server.refuse("PATCH", MAP, 409, "the object has been modified");
    let outcomes = write(&server, &[apply("a", true), apply("b", false)]).await;
    assert_eq!(outcomes, [Outcome::Stale, Outcome::NotTried]);
    assert_eq!(server.bodies()[0]["metadata"]["resourceVersion"], "7");
}

#[tokio::test]
async fn a_takeover_hands_its_version_on() {
    let server = Server::default();
    server.put("/api/v1/namespaces/shop/configmaps", config_map("a", "0"));
    let write_adopt = Write::Adopt {
        key: map_key("a"),
        version: "v1".into(),
        managed_fields: json!([{ "manager": "tidegate-sync" }]),
        resource_version: "1".into(),
    };
    let adopt = Planned { write: write_adopt, because: Because::OtherManager };
    write(&server, &[adopt, apply("a", true)]).await;
    let bodies = server.bodies();
    assert_eq!(
        bodies[0],
        json!({ "metadata": { "managedFields": [{ "manager": "tidegate-sync" }], "resourceVersion": "1" } })
    );
    assert_eq!(bodies[1]["metadata"]["resourceVersion"], "2");
}

#[tokio::test]
async fn a_refusal_stops_pruning_but_no_other_object() {
    let server = Server::default();
    server.refuse("PATCH", MAP, 422, "data is invalid");
    let outcomes = write(&server, &[apply("a", false), apply("b", false), prune("c")]).await;
    let done = Outcome::Done { resource_version: Some("1".into()) };
    assert_eq!(outcomes, [failed("data is invalid"), done, Outcome::NotTried]);
}

#[tokio::test]
async fn nothing_is_applied_without_its_namespace() {
    let server = Server::default();
    server.refuse("PATCH", "/api/v1/namespaces/shop", 403, "forbidden");
    let (labels, annotations) = (BTreeMap::new(), BTreeMap::new());
    let namespace = Write::Namespace { name: "shop".into(), labels, annotations };
    let namespace = Planned { write: namespace, because: Because::NotThere };
    let outcomes = write(&server, &[namespace, apply("a", false)]).await;
    assert_eq!(outcomes, [failed("forbidden"), Outcome::NotTried]);
}

#[tokio::test]
async fn pruning_names_the_very_object() {
    let server = Server::default();
    server.put("/api/v1/namespaces/shop/configmaps", config_map("a", "0"));
    let outcomes = write(&server, &[prune("a"), prune("gone")]).await;
    assert_eq!(
        outcomes,
        [Outcome::Done { resource_version: None }, Outcome::Done { resource_version: None }]
    );
    assert_eq!(
        server.bodies()[0],
        json!({ "propagationPolicy": "Background", "preconditions": { "uid": "u" } })
    );
    server.refuse("DELETE", MAP, 409, "the UID does not match");
    assert_eq!(write(&server, &[prune("a")]).await, [Outcome::Stale]);
}

#[tokio::test]
async fn a_finalizer_is_taken_from_the_very_object_that_was_read() {
    let server = Server::default();
    let mut object = config_map("a", "0");
    object["metadata"]["finalizers"] = json!(["other", "hook"]);
    server.put("/api/v1/namespaces/shop/configmaps", object);
    let release = |version: &str, name: &str| {
        let finalizers = vec!["other".to_owned()];
        let (version, resource_version) = ("v1".to_owned(), version.to_owned());
        let write = Write::Release { key: map_key(name), version, finalizers, resource_version };
        Planned { write, because: Because::HookOver }
    };
    assert_eq!(
        write(&server, &[release("7", "a"), release("1", "a")]).await,
        [Outcome::Stale, Outcome::NotTried]
    );
    let outcomes = write(&server, &[release("1", "a"), release("1", "gone")]).await;
    assert_eq!(outcomes[0], Outcome::Done { resource_version: Some("2".into()) });
    assert_eq!(outcomes[1], Outcome::Done { resource_version: None });
    assert_eq!(server.get(MAP).unwrap()["metadata"]["finalizers"], json!(["other"]));
}

/// A repository on disk.
struct Repository(PathBuf);

impl Repository {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tidegate-sync-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(path.join("origin/deploy")).unwrap();
        let repository = Self(path);
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        repository
    }

    fn origin(&self) -> PathBuf {
        self.0.join("origin")
    }

    fn git(&self, arguments: &[&str]) {
        let mut command = Command::new("git");
        command.args(arguments).current_dir(self.origin()).env("GIT_CONFIG_GLOBAL", "/dev/null");
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "t").env(format!("GIT_{who}_EMAIL"), "t@t");
        }
        assert!(command.status().unwrap().success(), "{arguments:?}");
    }

    fn commit(&self, files: &[(&str, Option<Value>)]) {
        for (name, object) in files {
            let path = self.origin().join("deploy").join(name);
            match object {
                Some(object) => std::fs::write(path, object.to_string()).unwrap(),
                None => std::fs::remove_file(path).unwrap(),
            }
        }
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message=change"]);
    }
}

impl Drop for Repository {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The loop, its API server and its repository.
struct Stage {
    server: Server,
    repository: Repository,
    applications: Arc<Applications>,
}

impl Stage {
    fn new(name: &str) -> Self {
        let (server, repository) = (Server::default(), Repository::new(name));
        server.put(
            "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications",
            json!({
                "apiVersion": "argoproj.io/v1alpha1",
                "kind": "Application",
                "metadata": { "name": "shop", "namespace": "argocd" },
                "spec": {
                    "project": "default",
                    "source": { "repoURL": format!("file://{}", repository.origin().display()), "path": "deploy" },
                    "destination": { "name": "in-cluster", "namespace": "shop" },
                    "syncPolicy": { "automated": { "prune": true, "selfHeal": true } },
                },
            }),
        );
        server.put("/api/v1/namespaces", json!({ "metadata": { "name": "shop" } }));
        let applications = applications(&server, &repository.0);
        Self { server, repository, applications }
    }

    /// Looks at the Application until it waits for more than a moment.
    async fn settle(&self) {
        for _ in 0..20 {
            let now = self.server.get(APP);
            self.applications.shelf.applications.put("shop", now.clone());
            let next = Arc::clone(&self.applications).attend(Key::new("argocd", "shop")).await;
            match next {
                Next::After(delay) if delay > Duration::from_secs(1) => return,
                Next::After(delay) => tokio::time::advance(delay).await,
                Next::Idle => return,
                Next::Failed { .. } => {}
            }
        }
        panic!("does not settle: {:#}", self.server.get(APP).unwrap());
    }

    /// Asks for a comparison now.
    async fn refresh(&self) {
        self.server.change(APP, |application| {
            application["metadata"]["annotations"]["argocd.argoproj.io/refresh"] = json!("normal");
        });
        self.settle().await;
    }

    fn status(&self, pointer: &str) -> String {
        let application = self.server.get(APP).unwrap();
        application["status"].pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    }
}

/// The time of day that goes with tokio's paused clock.
fn virtual_time() -> Timestamp {
    static START: std::sync::OnceLock<(Timestamp, std::time::Instant)> = std::sync::OnceLock::new();
    let (start, at) = *START.get_or_init(|| (Timestamp::now(), std::time::Instant::now()));
    let passed = tokio::time::Instant::now().into_std().saturating_duration_since(at);
    start + SignedDuration::try_from(passed).unwrap()
}

fn applications(server: &Server, directory: &Path) -> Arc<Applications> {
    let config = SyncConfig {
        applications: "argocd".into(),
        own_namespace: "tidegate".into(),
        reach: Reach::Namespaces(["shop".to_owned()].into()),
        impersonate: Some("tidegate-sync".into()),
        git_cache: directory.join("cache"),
        git_cache_bytes: Limits::default().stored_bytes,
        allow_file_repositories: true,
        poll: Duration::from_secs(120),
        threads: 1,
    };
    let install = Install {
        controller_namespace: "tidegate".into(),
        reach: config.reach.clone(),
        poll_seconds: 120,
        poll_jitter_seconds: 0,
        grace_seconds: 180,
    };
    let (recorder, _writer) = crate::events::channel(server.client(), Arc::default());
    Arc::new(Applications {
        git: Git::new(config.git_cache.clone(), true, Limits::default()),
        config,
        install,
        client: server.client(),
        places: Places::fixed(server.client(), served()),
        shelf: Shelf::default(),
        live: Live::default(),
        recorder,
        counts: Counts::default(),
        queue: Queue::default(),
        clock: virtual_time,
        prompted: Mutex::default(),
        memories: Mutex::default(),
        renders: Mutex::default(),
    })
}

#[tokio::test(start_paused = true)]
async fn from_a_commit_to_the_cluster_and_back() {
    let stage = Stage::new("story");
    stage
        .repository
        .commit(&[("a.json", Some(config_map("a", "1"))), ("b.json", Some(config_map("b", "1")))]);
    stage.settle().await;
    assert_eq!(stage.status("/sync/status"), "Synced");
    assert_eq!(stage.server.get(MAP).unwrap()["data"]["a"], "1");
    // Looking again writes nothing: neither dry runs nor anything else changes an object.
    let before = stage.server.written();
    stage.applications.prompt("shop");
    stage.settle().await;
    assert_eq!(stage.server.written(), before);
    // A new commit changes one object and takes one away.
    stage.repository.commit(&[("a.json", Some(config_map("a", "2"))), ("b.json", None)]);
    stage.refresh().await;
    assert_eq!(stage.server.get(MAP).unwrap()["data"]["a"], "2");
    assert_eq!(stage.server.get("/api/v1/namespaces/shop/configmaps/b"), None);
    assert_eq!(stage.status("/operationState/phase"), "Succeeded");
    // Somebody changes it by hand.
    stage.server.change(MAP, |map| map["data"]["a"] = json!("by hand"));
    stage.applications.prompt("shop");
    stage.settle().await;
    assert_eq!(stage.server.get(MAP).unwrap()["data"]["a"], "2");
    // The repository goes away: it is said, and nothing is pruned.
    std::fs::remove_dir_all(stage.repository.origin()).unwrap();
    stage.refresh().await;
    assert_eq!(stage.status("/sync/status"), "Unknown");
    assert!(stage.server.get(MAP).is_some());
    let annotations = stage.server.get(APP).unwrap()["metadata"]["annotations"].clone();
    assert_eq!(annotations, json!({}));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_stops_the_sync() {
    let stage = Stage::new("forbidden");
    stage.repository.commit(&[("a.json", Some(config_map("a", "1")))]);
    stage.server.refuse("GET", MAP, 403, "configmaps \"a\" is forbidden");
    stage.settle().await;
    assert_eq!(stage.status("/sync/status"), "Unknown");
    let message = stage.status("/conditions/0/message");
    assert!(message.contains("ConfigMap shop/a: configmaps \"a\" is forbidden"), "{message}");
    assert!(stage.server.written().is_empty());
    // The server is busy: that says nothing about the manifest.
    stage.server.allow("GET", MAP);
    stage.server.refuse("PATCH", MAP, 500, "etcd is slow");
    stage.refresh().await;
    assert_eq!(stage.status("/sync/status"), "Unknown");
    // The server refuses the manifest: the sync fails and says why.
    stage.server.refuse("PATCH", MAP, 422, "data is invalid");
    stage.server.change(APP, |application| {
        application["spec"]["syncPolicy"]["retry"] = json!({ "limit": 0 });
    });
    stage.refresh().await;
    assert_eq!(stage.status("/operationState/phase"), "Failed");
    assert!(stage.status("/operationState/message").contains("data is invalid"));
}
