//! Waves and hooks: what comes after what, what a failure stops, and that a controller that dies between any two
//! writes leaves nothing out and runs nothing twice.

use serde_json::{Value, json};

use super::model::{Model, annotated, config_map, deployment, key};
use crate::sync::hook::FINALIZER;
use crate::sync::{Failing, Key, Unread};

const HOOK: &str = "argocd.argoproj.io/hook";
const POLICY: &str = "argocd.argoproj.io/hook-delete-policy";
const WAVE: &str = "argocd.argoproj.io/sync-wave";

fn golden(name: &str, shown: &str) {
    insta::with_settings!({
        prepend_module_to_snapshot => false,
        snapshot_path => "../../cases/sync",
        omit_expression => true,
    }, { insta::assert_snapshot!(name, shown) });
}

fn job(name: &str) -> Value {
    json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": name }, "spec": {} })
}

fn hook(name: &str, phase: &str) -> Value {
    annotated(job(name), HOOK, phase)
}

fn in_wave(object: Value, wave: &str) -> Value {
    annotated(object, WAVE, wave)
}

/// The cluster's own controllers: Jobs end, Deployments become available, except those that are named.
#[derive(Default)]
struct Others {
    failing: Vec<&'static str>,
    stuck: Vec<&'static str>,
}

impl Others {
    fn act(&self, model: &mut Model) {
        for (key, live) in &mut model.live {
            if self.stuck.contains(&key.name.as_str()) {
                continue;
            }
            let condition = if self.failing.contains(&key.name.as_str()) { "Failed" } else { "Complete" };
            match key.kind.as_str() {
                "Job" if live.get("status").is_none() => {
                    live["status"] = json!({ "conditions": [{ "type": condition, "status": "True", "message": format!("{condition} of {}", key.name) }] });
                    live["metadata"]["resourceVersion"] =
                        json!(format!("{}-ended", live["metadata"]["resourceVersion"].as_str().unwrap()));
                }
                "Deployment" => {
                    live["status"] = json!({ "observedGeneration": 0, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1 });
                }
                _ => {}
            }
        }
    }

    /// Rounds and time until nothing is asked for any more; shows the rounds that did something.
    fn run(&self, model: &mut Model) -> String {
        let mut shown = String::new();
        for _ in 0..60 {
            let before = (model.world.application.clone(), model.live.clone());
            let round = model.round();
            let changed = before != (model.world.application.clone(), model.live.clone());
            if changed {
                shown.push_str(&round);
                shown.push('\n');
            }
            self.act(model);
            if !changed && model.world.application.get("operation").is_none() {
                return shown;
            }
            model.sleep();
        }
        panic!("does not end:\n{shown}");
    }
}

/// Asks for a sync by hand.
fn ask(model: &mut Model, sync: Value) {
    model.world.application["operation"] = json!({ "sync": sync, "initiatedBy": { "username": "ann" } });
    model.world.application["status"]["operationState"] = Value::Null;
}

fn by_hand(objects: Vec<Value>) -> Model {
    let mut model = Model::new(objects);
    model.spec("/syncPolicy", json!({}));
    model.settle();
    model
}

fn result<'a>(model: &'a Model, name: &str) -> &'a Value {
    let results = &model.world.application["status"]["operationState"]["syncResult"]["resources"];
    results.as_array().unwrap().iter().find(|result| result["name"] == name).unwrap_or(&Value::Null)
}

fn message(model: &Model) -> &str {
    model.status("/operationState/message")
}

/// A whole release: a migration, three waves, and a job at the end.
fn release() -> Vec<Value> {
    vec![
        in_wave(deployment("late"), "1"),
        annotated(hook("tell", "PostSync"), POLICY, "HookSucceeded"),
        deployment("web"),
        in_wave(config_map("early", "1"), "-1"),
        hook("migrate", "PreSync"),
        hook("sorry", "SyncFail"),
    ]
}

const RELEASE: [&str; 5] = [
    "create batch/Job shop/migrate",
    "create ConfigMap shop/early",
    "create apps/Deployment shop/web",
    "create apps/Deployment shop/late",
    "create batch/Job shop/tell",
];

#[test]
fn hooks_and_waves_come_in_order() {
    let mut model = Model::new(release());
    let shown = Others::default().run(&mut model);
    golden("waves", &shown);
    let created: Vec<&String> = model.log.iter().filter(|line| line.starts_with("create")).collect();
    assert_eq!(created, RELEASE.iter().collect::<Vec<_>>());
    assert_eq!(model.status("/operationState/phase"), "Succeeded");
    // A hook is no state: the Application is as Git says with and without it.
    assert_eq!(model.status("/sync/status"), "Synced");
    assert!(model.live.contains_key(&key("Job", "migrate")), "kept until it is to run again");
    assert!(!model.live.contains_key(&key("Job", "tell")), "HookSucceeded");
    let migrate = model.live[&key("Job", "migrate")].clone();
    assert_eq!(migrate["metadata"]["finalizers"], json!([]), "nothing keeps it");
    assert_eq!(result(&model, "migrate")["hookPhase"], "Succeeded");
    assert_eq!(result(&model, "migrate")["hookType"], "PreSync");
    assert_eq!(result(&model, "late")["syncPhase"], "Sync");
    // The next commit runs them again, once each.
    let mut objects = release();
    objects.push(config_map("new", "1"));
    model.commit("c2", objects);
    model.log.clear();
    model.wait(121);
    Others::default().run(&mut model);
    let jobs: Vec<&str> = model.log.iter().map(String::as_str).filter(|line| line.contains("Job")).collect();
    assert_eq!(
        jobs,
        [
            "prune batch/Job shop/migrate",
            "create batch/Job shop/migrate",
            "release batch/Job shop/migrate",
            "create batch/Job shop/tell",
            "release batch/Job shop/tell",
            "prune batch/Job shop/tell",
        ]
    );
}

#[test]
fn a_controller_that_dies_anywhere_leaves_nothing_out_and_runs_nothing_twice() {
    let mut deaths = 0;
    for first in 0..200 {
        let mut survived = false;
        for second in [None, Some(0), Some(1), Some(2)] {
            let mut model = Model::new(release());
            // What an earlier sync left is in the way as well.
            let mut old = hook("migrate", "PreSync");
            old["status"] = json!({ "conditions": [{ "type": "Failed", "status": "True" }] });
            model.put(old);
            let mark = "shop:/ConfigMap:shop/gone";
            model.put(annotated(config_map("gone", "1"), "argocd.argoproj.io/tracking-id", mark));
            let mut ends: Vec<usize> = second.into_iter().chain([first]).collect();
            model.dies_after = ends.pop();
            for _ in 0..60 {
                model.round();
                Others::default().act(&mut model);
                model.sleep();
                if model.dies_after.is_none() {
                    model.dies_after = ends.pop();
                }
                if model.status("/operationState/phase") == "Succeeded"
                    && model.status("/sync/status") == "Synced"
                {
                    break;
                }
            }
            survived |= model.dies_after.is_some();
            let created: Vec<&String> = model.log.iter().filter(|line| line.starts_with("create")).collect();
            let told = format!("died after {first}, then {second:?}: {}", message(&model));
            assert_eq!(created, RELEASE.iter().collect::<Vec<_>>(), "{told}");
            assert_eq!(model.status("/operationState/phase"), "Succeeded", "{told}");
            assert!(!model.live.contains_key(&key("ConfigMap", "gone")), "{told}");
            assert!(!model.live.contains_key(&key("Job", "tell")), "{told}");
            assert_eq!(model.world.application["status"]["history"].as_array().unwrap().len(), 1, "{told}");
        }
        if survived {
            break;
        }
        deaths += 1;
    }
    assert!((20..200).contains(&deaths), "{deaths} deaths");
}

#[test]
fn a_failed_migration_stops_everything() {
    let mut model = by_hand(release());
    model.put(annotated(
        config_map("old", "1"),
        "argocd.argoproj.io/tracking-id",
        "shop:/ConfigMap:shop/old",
    ));
    ask(&mut model, json!({ "prune": true }));
    let others = Others { failing: vec!["migrate"], ..Others::default() };
    golden("failed-hook", &others.run(&mut model));
    assert_eq!(model.status("/operationState/phase"), "Failed");
    assert_eq!(
        message(&model),
        "one or more synchronization tasks completed unsuccessfully, reason: batch/Job shop/migrate: Failed of migrate"
    );
    let created: Vec<&String> = model.log.iter().filter(|line| !line.starts_with("release")).collect();
    assert_eq!(created, ["create batch/Job shop/migrate", "create batch/Job shop/sorry"]);
    assert!(model.live.contains_key(&key("ConfigMap", "old")), "nothing is pruned by a sync that failed");
    assert_eq!(model.world.application["status"].get("history"), None);
}

#[test]
fn a_wave_that_is_not_well_stops_the_next() {
    let waves =
        || vec![in_wave(config_map("a", "1"), "-1"), deployment("web"), in_wave(deployment("late"), "1")];
    let mut model = by_hand(waves());
    ask(&mut model, json!({}));
    let others = Others { stuck: vec!["web"], ..Others::default() };
    for _ in 0..10 {
        model.round();
        others.act(&mut model);
        model.sleep();
    }
    assert_eq!(model.status("/operationState/phase"), "Running");
    assert_eq!(message(&model), "waiting for healthy state of apps/Deployment/web");
    assert!(!model.live.contains_key(&key("Deployment", "late")));
    // It turns out that it will not get well.
    model.live.get_mut(&key("Deployment", "web")).unwrap()["status"] = json!({ "conditions": [{ "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded" }] });
    others.run(&mut model);
    assert_eq!(model.status("/operationState/phase"), "Failed");
    assert!(
        message(&model).contains("apps/Deployment shop/web: it is Degraded: Deployment \"web\" exceeded"),
        "{}",
        message(&model)
    );
    assert!(!model.live.contains_key(&key("Deployment", "late")));
    // The last wave is waited for by nobody.
    let mut model = by_hand(waves());
    ask(&mut model, json!({}));
    Others { stuck: vec!["late"], ..Others::default() }.run(&mut model);
    assert_eq!(model.status("/operationState/phase"), "Succeeded");
    assert_eq!(message(&model), "successfully synced (all tasks run)");
}

#[test]
fn waves_are_two_seconds_apart() {
    let mut model = by_hand(vec![config_map("a", "1"), in_wave(config_map("b", "1"), "1")]);
    ask(&mut model, json!({}));
    model.round();
    assert!(model.live.contains_key(&key("ConfigMap", "a")));
    for _ in 0..3 {
        model.world.prompted = true;
        model.round();
        assert!(!model.live.contains_key(&key("ConfigMap", "b")), "too early");
    }
    model.wait(2);
    model.round();
    assert!(model.live.contains_key(&key("ConfigMap", "b")));
}

#[test]
fn pruning_goes_the_other_way_round_and_after_everything_is_well() {
    let all = || {
        vec![
            config_map("keep", "1"),
            in_wave(config_map("first", "1"), "-1"),
            in_wave(config_map("second", "1"), "3"),
            annotated(config_map("last", "1"), "argocd.argoproj.io/sync-options", "PruneLast=true"),
        ]
    };
    let mut model = Model::new(all());
    Others::default().run(&mut model);
    model.commit("c2", vec![config_map("keep", "1"), in_wave(deployment("web"), "1")]);
    model.log.clear();
    model.wait(121);
    Others::default().run(&mut model);
    assert_eq!(
        model.log,
        [
            "create apps/Deployment shop/web",
            "prune ConfigMap shop/second",
            "prune ConfigMap shop/first",
            "prune ConfigMap shop/last",
        ]
    );
    assert_eq!(model.status("/operationState/phase"), "Succeeded");
    // An object that does not go holds up those that are pruned later.
    let mut model = Model::new(all());
    Others::default().run(&mut model);
    model.live.get_mut(&key("ConfigMap", "second")).unwrap()["metadata"]["finalizers"] = json!(["x"]);
    model.commit("c2", vec![config_map("keep", "1")]);
    model.wait(121);
    for _ in 0..8 {
        model.round();
        model.sleep();
    }
    assert_eq!(message(&model), "waiting for deletion of /ConfigMap/second");
    assert!(model.live.contains_key(&key("ConfigMap", "first")));
}

#[test]
fn what_others_need_moves_to_the_front() {
    let namespace =
        in_wave(json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "tools" } }), "5");
    let mut early = in_wave(config_map("early", "1"), "-2");
    early["metadata"]["namespace"] = json!("tools");
    let mut migrate = hook("migrate", "PreSync");
    migrate["metadata"]["namespace"] = json!("tools");
    for (objects, want) in [
        (vec![early.clone(), namespace.clone()], ["create Namespace tools", "create ConfigMap tools/early"]),
        (vec![migrate, namespace], ["create Namespace tools", "create batch/Job tools/migrate"]),
    ] {
        let mut model = Model::new(objects);
        model.namespaces.insert("tools".into(), crate::sync::NamespaceFact::Missing);
        Others::default().run(&mut model);
        let created: Vec<&String> = model.log.iter().filter(|line| line.starts_with("create")).collect();
        assert_eq!(created, want);
    }
}

#[test]
fn an_ended_operation_takes_its_running_hooks_away() {
    let mut model = by_hand(release());
    ask(&mut model, json!({}));
    let others = Others { stuck: vec!["migrate"], ..Others::default() };
    for _ in 0..3 {
        model.round();
        others.act(&mut model);
        model.sleep();
    }
    assert_eq!(message(&model), "waiting for completion of hook batch/Job/migrate");
    assert_eq!(model.live[&key("Job", "migrate")]["metadata"]["finalizers"], json!([FINALIZER]));
    model.world.application["status"]["operationState"]["phase"] = json!("Terminating");
    // Also when Git does not answer any more.
    model.git = Err("gone".into());
    model.log.clear();
    model.round();
    let migrate = "batch/Job shop/migrate";
    assert_eq!(model.log, [format!("release {migrate}"), format!("prune {migrate}")]);
    assert_eq!(model.status("/operationState/phase"), "Failed");
    assert_eq!(message(&model), "Operation terminated");
    assert!(model.live.is_empty());
}

#[test]
fn hooks_are_cleared_away_once_somebody_may_act_again() {
    let open = json!({ "sourceRepos": ["*"], "destinations": [{ "server": "*", "namespace": "*" }] });
    let mut closed = open.clone();
    closed["destinationServiceAccounts"] =
        json!([{ "server": "*", "namespace": "elsewhere", "defaultServiceAccount": "deployer" }]);
    for phase in ["Running", "Terminating"] {
        let mut model = by_hand(release());
        ask(&mut model, json!({}));
        model.round();
        model.sleep();
        model.world.project = Some(json!({ "spec": closed }));
        model.world.application["status"]["operationState"]["phase"] = json!(phase);
        for _ in 0..3 {
            model.round();
            model.sleep();
        }
        assert_eq!(model.status("/operationState/phase"), phase);
        assert!(message(&model).contains("to clear away hook batch/Job shop/migrate"), "{}", message(&model));
        // The project names an account again, and forbids the sync: nothing stays behind.
        model.world.project =
            Some(json!({ "spec": { "sourceRepos": [], "destinations": open["destinations"] } }));
        Others { stuck: vec!["migrate"], ..Others::default() }.run(&mut model);
        let ended = if phase == "Running" { "Error" } else { "Failed" };
        assert_eq!(model.status("/operationState/phase"), ended);
        assert!(model.live.is_empty(), "{:?}", model.live);
    }
}

#[test]
fn a_retry_runs_the_hooks_again() {
    let mut model = Model::new(release());
    model.spec("/syncPolicy/retry", json!({ "limit": 1, "backoff": { "duration": "1s" } }));
    let others = Others { failing: vec!["migrate"], ..Others::default() };
    for _ in 0..12 {
        model.round();
        others.act(&mut model);
        model.sleep();
    }
    Others::default().run(&mut model);
    let migrations = model.log.iter().filter(|line| *line == "create batch/Job shop/migrate").count();
    let count = &model.world.application["status"]["operationState"]["retryCount"];
    assert_eq!((migrations, count), (2, &json!(1)));
    assert!(!model.live.contains_key(&key("Deployment", "web")));
    // The next commit mends it.
    model.commit("c2", release());
    model.wait(121);
    Others::default().run(&mut model);
    assert_eq!(model.status("/operationState/phase"), "Succeeded");
}

#[test]
fn partial_syncs_and_rollbacks_run_no_hooks() {
    for sync in [
        json!({ "resources": [{ "group": "apps", "kind": "Deployment", "name": "web" }] }),
        json!({ "syncStrategy": { "apply": {} } }),
    ] {
        let mut model = by_hand(release());
        ask(&mut model, sync.clone());
        Others::default().run(&mut model);
        assert_eq!(model.status("/operationState/phase"), "Succeeded", "{sync}");
        assert!(!model.log.iter().any(|line| line.contains("Job")), "{sync}: {:?}", model.log);
        assert!(model.live.contains_key(&key("Deployment", "web")));
    }
    // A change by hand is reverted without them as well.
    let mut model = Model::new(release());
    Others::default().run(&mut model);
    model.log.clear();
    model.live.get_mut(&key("ConfigMap", "early")).unwrap()["data"]["a"] = json!("by hand");
    model.world.prompted = true;
    Others::default().run(&mut model);
    assert_eq!(model.log, ["apply ConfigMap shop/early"]);
}

#[test]
fn a_hook_that_vanishes_while_it_runs_fails_the_sync() {
    let mut model = by_hand(vec![hook("migrate", "PreSync"), deployment("web")]);
    ask(&mut model, json!({}));
    model.round();
    model.live.clear();
    model.sleep();
    Others::default().run(&mut model);
    assert_eq!(model.status("/operationState/phase"), "Failed");
    assert!(
        message(&model).contains("batch/Job shop/migrate: it was deleted while it ran"),
        "{}",
        message(&model)
    );
    assert_eq!(model.live.len(), 0);
}

#[test]
fn a_hook_that_its_time_limit_deletes_still_counts() {
    let mut model = by_hand(vec![hook("migrate", "PreSync"), deployment("web")]);
    ask(&mut model, json!({}));
    model.round();
    Others::default().act(&mut model);
    model.live.get_mut(&key("Job", "migrate")).unwrap()["metadata"]["deletionTimestamp"] =
        json!("2026-01-01T12:00:00Z");
    model.sleep();
    Others::default().run(&mut model);
    assert_eq!(model.status("/operationState/phase"), "Succeeded");
    assert!(!model.live.contains_key(&key("Job", "migrate")), "the finalizer keeps it no longer");
}

#[test]
fn another_applications_object_is_not_deleted_for_a_hook() {
    let mut model = by_hand(vec![hook("migrate", "PreSync")]);
    let other = annotated(job("migrate"), "argocd.argoproj.io/tracking-id", "other:batch/Job:shop/migrate");
    model.put(other);
    ask(&mut model, json!({}));
    Others::default().run(&mut model);
    assert_eq!(model.status("/operationState/phase"), "Failed");
    assert!(message(&model).contains("belongs to application other"), "{}", message(&model));
    assert!(model.live.contains_key(&key("Job", "migrate")));
}

#[test]
fn a_hook_with_two_phases_runs_in_each() {
    let mut model = by_hand(vec![hook("check", "PreSync,PostSync"), deployment("web")]);
    ask(&mut model, json!({}));
    Others::default().run(&mut model);
    assert_eq!(model.status("/operationState/phase"), "Succeeded");
    let creations: Vec<&str> =
        model.log.iter().map(String::as_str).filter(|line| line.starts_with("create")).collect();
    assert_eq!(
        creations,
        ["create batch/Job shop/check", "create apps/Deployment shop/web", "create batch/Job shop/check"]
    );
}

#[test]
fn a_hook_may_leave_its_name_to_the_sync() {
    let mut nameless = hook("x", "PreSync");
    nameless["metadata"].as_object_mut().unwrap().remove("name");
    nameless["metadata"]["generateName"] = json!("migrate-");
    let mut model = by_hand(vec![nameless, deployment("web")]);
    ask(&mut model, json!({}));
    Others::default().run(&mut model);
    assert_eq!(model.status("/operationState/phase"), "Succeeded");
    let names: Vec<&str> =
        model.live.keys().filter(|key| key.kind == "Job").map(|key| key.name.as_str()).collect();
    assert_eq!(names, ["migrate-c1-presync-1767268800"]);
    assert_eq!(model.log.iter().filter(|line| line.contains("create batch/Job")).count(), 1);
}

#[test]
fn a_hook_is_refused_before_anything_is_written() {
    let mut model = by_hand(release());
    model.refuses.insert("tell".into(), "spec.template is required".into());
    ask(&mut model, json!({}));
    Others::default().run(&mut model);
    assert_eq!(model.status("/operationState/phase"), "Failed");
    assert!(
        message(&model).contains("(dry run), reason: Job tell: spec.template is required"),
        "{}",
        message(&model)
    );
    assert!(model.log.is_empty());
}

#[test]
fn a_moments_silence_does_not_end_what_is_begun() {
    let mut model = by_hand(release());
    ask(&mut model, json!({}));
    model.round();
    model.sleep();
    model.unread.push("etcd is slow".into());
    model.round();
    assert_eq!(model.status("/operationState/phase"), "Running");
    assert!(message(&model).contains("etcd is slow"));
    model.unread.clear();
    model.sleep();
    model.round();
    assert_eq!(message(&model), "waiting for completion of hook batch/Job/migrate");
    Others::default().run(&mut model);
    assert_eq!(model.status("/operationState/phase"), "Succeeded");
    assert_eq!(model.log.iter().filter(|line| line.contains("create batch/Job shop/migrate")).count(), 1);
}

fn two_waves() -> Vec<Value> {
    vec![deployment("web"), in_wave(deployment("late"), "1")]
}

/// A sync that somebody asked for; its first wave is under way and not well yet.
fn half_a_release() -> Model {
    let mut model = by_hand(two_waves());
    ask(&mut model, json!({}));
    half(model)
}

fn half(mut model: Model) -> Model {
    for _ in 0..4 {
        model.round();
        model.sleep();
    }
    assert_eq!(message(&model), "waiting for healthy state of apps/Deployment/web");
    model
}

#[test]
fn a_sync_under_way_stays_with_its_repository() {
    let mut model = half(Model::new(two_waves()));
    let moved = "https://git.example/moved";
    model.elsewhere.insert(moved.into(), ("m1".into(), vec![deployment("web"), config_map("new", "1")]));
    model.spec("/source/repoURL", json!(moved));
    for _ in 0..3 {
        model.round();
        model.sleep();
    }
    assert_eq!(message(&model), "waiting for healthy state of apps/Deployment/web");
    Others::default().run(&mut model);
    // Both are in the history, each with its own repository, and the newer one is what there is.
    let history = model.world.application["status"]["history"].as_array().unwrap().clone();
    let line = |at: usize| format!("{} {}", history[at]["revision"], history[at]["source"]["repoURL"]);
    assert_eq!(line(0), r#""c1" "https://git.example/shop""#);
    assert_eq!(line(1), r#""m1" "https://git.example/moved""#);
    assert!(model.live.contains_key(&key("ConfigMap", "new")));
    assert!(!model.live.contains_key(&key("Deployment", "late")));
}

#[test]
fn a_sync_under_way_ends_when_its_source_is_not_permitted_any_more() {
    let mut model = half_a_release();
    let moved = "https://git.example/moved";
    model.elsewhere.insert(moved.into(), ("m1".into(), vec![deployment("web")]));
    model.spec("/source/repoURL", json!(moved));
    model.world.project = Some(json!({ "spec": {
        "sourceRepos": [moved],
        "destinations": [{ "server": "*", "namespace": "*" }],
    } }));
    model.round();
    model.sleep();
    model.round();
    assert_eq!(model.status("/operationState/phase"), "Error");
    assert_eq!(
        message(&model),
        "status.operationState.syncResult.source: application repo https://git.example/shop is not permitted in project \
         'default'"
    );
}

#[test]
fn a_sync_whose_commit_is_not_to_be_had_ends() {
    let mut model = half_a_release();
    model.git = Err(Unread::Refused("repository shop has no such commit".into()));
    model.round();
    assert_eq!(model.status("/operationState/phase"), "Error");
    assert!(message(&model).contains("repository shop has no such commit"), "{}", message(&model));
    // So does one that asks for what is not there.
    let mut model = by_hand(vec![config_map("a", "1")]);
    model.git = Err(Unread::Refused("repository shop has no such branch or tag".into()));
    ask(&mut model, json!({ "revision": "nowhere" }));
    model.round();
    assert_eq!(model.status("/operationState/phase"), "Error");
}

#[test]
fn a_sync_waits_for_git_for_an_hour() {
    let mut model = half_a_release();
    model.git = Err("connection refused".into());
    model.round();
    model.world.failing = Some(Failing { since: model.world.now, attempts: 40 });
    model.wait(3590);
    model.round();
    assert_eq!(model.status("/operationState/phase"), "Running");
    assert!(message(&model).contains("connection refused"), "{}", message(&model));
    model.wait(10);
    model.round();
    assert_eq!(model.status("/operationState/phase"), "Error");
    assert!(message(&model).contains("connection refused"), "{}", message(&model));
}

fn rollout(name: &str, image: &str) -> Value {
    json!({ "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": { "name": name }, "spec": { "image": image } })
}

fn rollout_key(name: &str) -> Key {
    Key { group: "argoproj.io".into(), ..key("Rollout", name) }
}

#[test]
fn a_paused_rollout_holds_its_wave_but_not_the_next_commit() {
    let release = |image: &str| vec![rollout("web", image), in_wave(config_map("late", "1"), "1")];
    let mut model = Model::new(release("v1"));
    for _ in 0..4 {
        model.round();
        if let Some(live) = model.live.get_mut(&rollout_key("web")) {
            live["status"] =
                json!({ "phase": "Paused", "observedGeneration": "0", "message": "CanaryPauseStep" });
        }
        model.sleep();
    }
    assert_eq!(message(&model), "waiting for healthy state of argoproj.io/Rollout/web");
    model.wait(40);
    model.round();
    assert_eq!(model.status("/operationState/phase"), "Running");
    assert!(!model.live.contains_key(&key("ConfigMap", "late")));
    // The fix does not wait for the pause to end.
    model.commit("c2", release("v2"));
    model.wait(121);
    for _ in 0..6 {
        model.round();
        model.sleep();
    }
    assert_eq!(model.live[&rollout_key("web")]["spec"]["image"], "v2");
    model.live.get_mut(&rollout_key("web")).unwrap()["status"]["phase"] = json!("Healthy");
    Others::default().run(&mut model);
    assert!(model.live.contains_key(&key("ConfigMap", "late")));
    assert_eq!(model.status("/operationState/phase"), "Succeeded");
    assert_eq!(model.status("/operationState/syncResult/revision"), "c2");
}

#[test]
fn child_applications_come_one_after_the_other() {
    let child = |name: &str, wave: &str| {
        in_wave(
            json!({
                "apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": { "name": name },
                "spec": { "source": { "repoURL": "r", "path": name }, "destination": { "namespace": "x" } },
            }),
            wave,
        )
    };
    let of = |name: &str| Key { group: "argoproj.io".into(), ..key("Application", name) };
    let mut model = Model::new(vec![child("platform", "0"), child("shop", "1")]);
    for _ in 0..4 {
        model.round();
        model.sleep();
    }
    assert_eq!(message(&model), "waiting for healthy state of argoproj.io/Application/platform");
    // It was compared, and its own sync is under way.
    let spec = model.live[&of("platform")]["spec"].clone();
    let platform = model.live.get_mut(&of("platform")).unwrap();
    platform["status"] = json!({
        "sync": { "status": "OutOfSync", "comparedTo": spec.clone() }, "health": { "status": "Missing" },
    });
    model.round();
    assert!(!model.live.contains_key(&of("shop")));
    model.live.get_mut(&of("platform")).unwrap()["status"]["health"]["status"] = json!("Healthy");
    model.sleep();
    model.round();
    assert!(model.live.contains_key(&of("shop")));
    // They go the other way round.
    model.settle();
    model.world.application["metadata"]["deletionTimestamp"] = json!("2026-01-01T12:00:00Z");
    model.world.application["metadata"]["finalizers"] = json!(["resources-finalizer.argocd.argoproj.io"]);
    model.live.get_mut(&of("shop")).unwrap()["metadata"]["finalizers"] = json!(["x"]);
    model.log.clear();
    model.settle();
    assert_eq!(model.log, ["prune argoproj.io/Application shop/shop"]);
    model.live.remove(&of("shop"));
    model.settle();
    assert!(model.live.is_empty());
}

#[test]
fn a_cascade_takes_hooks_along() {
    let mut model = by_hand(release());
    ask(&mut model, json!({}));
    model.round();
    assert_eq!(model.live[&key("Job", "migrate")]["metadata"]["finalizers"], json!([FINALIZER]));
    model.world.application["metadata"]["deletionTimestamp"] = json!("2026-01-01T12:00:00Z");
    model.world.application["metadata"]["finalizers"] = json!(["resources-finalizer.argocd.argoproj.io"]);
    model.settle();
    assert!(model.live.is_empty());
}

#[test]
fn a_rollback_goes_back_and_stays() {
    let mut model = Model::synced(vec![config_map("a", "1")]);
    model.commit("c2", vec![config_map("a", "2")]);
    model.wait(121);
    model.settle();
    let first = model.world.application["status"]["history"][0].clone();
    assert_eq!(first["revision"], "c1");
    let back = json!({ "revision": "c1", "source": first["source"], "syncStrategy": { "apply": {} } });
    // Automation would sync the newest commit again at once.
    ask(&mut model, back.clone());
    model.settle();
    assert_eq!(model.status("/operationState/phase"), "Error");
    assert_eq!(
        message(&model),
        "cannot roll back to c1: auto-sync is on and would sync main (c2) again at once; set \
         spec.syncPolicy.automated.enabled to false first"
    );
    assert_eq!(model.live[&key("ConfigMap", "a")]["data"]["a"], "2");
    // Without it the rollback is done, told, and stays.
    model.spec("/syncPolicy/automated/enabled", json!(false));
    ask(&mut model, back);
    model.settle();
    assert_eq!(model.status("/operationState/phase"), "Succeeded");
    assert_eq!(model.live[&key("ConfigMap", "a")]["data"]["a"], "1");
    assert_eq!((model.status("/sync/status"), model.status("/sync/revision")), ("OutOfSync", "c2"));
    let history = model.world.application["status"]["history"].as_array().unwrap();
    assert_eq!(history[2]["revision"], "c1");
    assert_eq!(history[2]["initiatedBy"]["username"], "ann");
    model.wait(600);
    model.settle();
    assert_eq!(model.live[&key("ConfigMap", "a")]["data"]["a"], "1");
}

#[test]
fn another_source_is_held_to_the_projects_rules() {
    let other = |source: Value, project: Option<Value>| {
        let mut model = by_hand(vec![config_map("a", "1")]);
        model.world.project = project;
        ask(&mut model, json!({ "revision": "c1", "source": source }));
        model.settle();
        model
    };
    let source = json!({ "repoURL": "https://git.example/another", "path": "deploy" });
    let model = other(source.clone(), None);
    assert_eq!(model.status("/operationState/phase"), "Succeeded", "{}", message(&model));
    assert_eq!(model.world.application["status"]["history"][0]["source"], source);
    let strict = json!({ "spec": {
        "sourceRepos": ["https://git.example/shop"],
        "destinations": [{ "server": "*", "namespace": "*" }],
    } });
    for (source, project, words) in [
        (source, Some(strict), "operation.sync.source: "),
        (
            json!({ "repoURL": "https://git.example/shop", "path": "../x" }),
            None,
            "operation.sync.source.path",
        ),
        (
            json!({ "repoURL": "https://git.example/shop", "path": "x", "helm": { "values": "a: 1" } }),
            None,
            "operation.sync.source.helm",
        ),
        (json!({ "repoURL": "oci://x", "path": "." }), None, "operation.sync.source.repoURL"),
    ] {
        let model = other(source, project);
        assert_eq!(model.status("/operationState/phase"), "Error");
        assert!(message(&model).starts_with(words), "{}", message(&model));
        assert_eq!(model.live.len(), 0);
    }
}

#[test]
fn what_asks_for_no_known_phase_is_told_and_left_alone() {
    let mut model = Model::new(vec![hook("odd", "Sometime"), in_wave(config_map("a", "1"), "soon")]);
    Others::default().run(&mut model);
    assert_eq!(model.log, ["create ConfigMap shop/a"]);
    let conditions = model.conditions();
    assert_eq!(conditions.len(), 2, "{conditions:?}");
    assert!(conditions.iter().any(|condition| condition.contains("names no phase of a sync")));
    assert!(conditions.iter().any(|condition| condition.contains("counts as 0")));
    // Hooks of a deletion are refused, because leaving them out would change what a deletion does.
    let mut model = Model::new(vec![hook("odd", "PreDelete"), config_map("a", "1")]);
    model.settle();
    assert!(model.conditions()[0].contains("PreDelete asks for a hook of the Application's deletion"));
    assert!(model.live.is_empty());
}
