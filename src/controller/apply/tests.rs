//! One write, one exact request.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tidegate_api::analysis::AnalysisRun;
use tidegate_api::rollout::{Rollout, RolloutDurationStatus, RolloutStatus};
use tidegate_engine::fence::Verdict;
use tidegate_engine::plan::{Because, Move, Notice, PodPatch, StatusWrite};
use tidegate_engine::rollout::world::{Parsed, Service};

use super::*;
use crate::metrics::Metrics;
use crate::mock::{Asked, Server, server};

const RUNS: &str = "/apis/argoproj.io/v1alpha1/namespaces/ns/analysisruns";
const SETS: &str = "/apis/apps/v1/namespaces/ns/replicasets";

fn rollout() -> Rollout {
    let object = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
        "metadata": {"name": "shop", "namespace": "ns", "uid": "r1", "resourceVersion": "70"},
        "spec": {"strategy": {"canary": {}}},
        "status": {"collisionCount": 2},
    });
    serde_json::from_value(object).unwrap()
}

fn observed() -> Observed {
    let rollout = Arc::new(rollout());
    let set = Set { name: "shop-aa".to_owned(), uid: "s1".to_owned(), ..Set::default() };
    let service = Service { name: "shop".to_owned(), ..Service::default() };
    let world = World {
        now: Timestamp::UNIX_EPOCH,
        spec: Arc::new(Parsed::new(&rollout)),
        rollout,
        sets: vec![Arc::new(set)],
        pods: Vec::new(),
        services: BTreeMap::from([("shop".to_owned(), Arc::new(service))]),
        endpoints: BTreeMap::new(),
        routes: BTreeMap::new(),
        unread: Default::default(),
        runs: vec![Arc::new(run())],
        foreign_runs: Default::default(),
        experiments: Default::default(),
        templates: BTreeMap::new(),
        troubles: BTreeMap::new(),
        digests: BTreeMap::new(),
        holds: false,
        workload: None,
    };
    let seen = Seen { version: "50".to_owned(), uid: "v1".to_owned() };
    let set = Seen { version: "60".to_owned(), uid: "s1".to_owned() };
    let deployment = Seen { version: "80".to_owned(), uid: "d1".to_owned() };
    let seen = BTreeMap::from([
        (kinds::reference(&kinds::deployment(), "web"), deployment),
        (kinds::reference(&kinds::service(), "shop"), seen),
        (kinds::reference(&kinds::replica_set(), "shop-aa"), set),
    ]);
    Observed { world, seen }
}

fn run() -> AnalysisRun {
    let object = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisRun",
        "metadata": {"name": "shop-aa-2", "namespace": "ns", "uid": "a1"}, "spec": {"metrics": []},
    });
    serde_json::from_value(object).unwrap()
}

fn planned(write: Write) -> Planned {
    Planned {
        write,
        because: Because::Moves(Move::Bookkeeping),
        notices: vec![Notice::normal("Told", "it happened")],
    }
}

/// What came of a plan: the result, the fence, and the reasons of the events.
struct Outcome {
    result: Result<usize, Failed>,
    fence: Fence,
    told: Vec<&'static str>,
}

/// Applies writes against a server that the test plays.
async fn apply<T>(writes: Vec<Write>, play: impl AsyncFnOnce(&mut Server) -> T) -> (Outcome, T) {
    apply_counting(&Arc::default(), writes, play).await
}

async fn apply_counting<T>(
    metrics: &Arc<Metrics>,
    writes: Vec<Write>,
    play: impl AsyncFnOnce(&mut Server) -> T,
) -> (Outcome, T) {
    let (client, mut server) = server();
    let (recorder, mut writer) = crate::events::channel(client.clone(), Arc::clone(metrics));
    let hand = Hand::new(client, recorder);
    let plan = Plan { writes: writes.into_iter().map(planned).collect(), ..Plan::default() };
    let (observed, mut fence) = (observed(), Fence::default());
    let (result, played) = tokio::join!(hand.apply(&observed, plan, &mut fence), play(&mut server));
    (Outcome { result, fence, told: writer.waiting() }, played)
}

fn stored(version: &str) -> Value {
    json!({"metadata": {"name": "x", "resourceVersion": version, "uid": "u"}})
}

/// Applies one write that succeeds, and returns its one request.
async fn request(write: Write) -> Asked {
    let (outcome, asked) =
        apply(vec![write], async |server: &mut Server| server.answer(200, stored("71")).await).await;
    assert_eq!(outcome.result.unwrap(), 1);
    assert_eq!(outcome.told, ["Told"]);
    asked
}

fn merge(line: &str, body: Value) -> Asked {
    let line = format!("PATCH {line}?&fieldManager=tidegate");
    Asked { line, content_type: "application/merge-patch+json".to_owned(), body }
}

#[tokio::test]
async fn a_deployment_is_scaled_under_the_version_that_was_read() {
    let write = Write::ScaleWorkload { name: "web".to_owned(), uid: "d1".to_owned(), from: 3, to: 1 };
    let body = json!({"metadata": {"uid": "d1", "resourceVersion": "80"}, "spec": {"replicas": 1}});
    assert_eq!(request(write).await, merge("/apis/apps/v1/namespaces/ns/deployments/web", body));
}

#[tokio::test]
async fn a_rollout_is_patched_under_the_version_that_was_read() {
    let shop = "/apis/argoproj.io/v1alpha1/namespaces/ns/rollouts/shop";
    let expected = merge(shop, json!({"metadata": {"resourceVersion": "70"}, "spec": {"replicas": 1}}));
    assert_eq!(request(Write::DefaultReplicas { replicas: 1 }).await, expected);
    let annotations = BTreeMap::from([("rollout.argoproj.io/revision".to_owned(), "2".to_owned())]);
    let body = json!({"metadata": {"annotations": annotations, "resourceVersion": "70"}});
    assert_eq!(request(Write::AnnotateRollout { annotations }).await, merge(shop, body));
}

#[tokio::test]
async fn a_status_is_the_difference_and_nothing_else() {
    let from = RolloutStatus { abort: true, replicas: 3, ..RolloutStatus::default() };
    let to = RolloutStatus { replicas: 4, ..RolloutStatus::default() };
    let path = "/apis/argoproj.io/v1alpha1/namespaces/ns/rollouts/shop/status";
    let body = json!({"metadata": {"resourceVersion": "70"}, "status": {"abort": null, "replicas": 4}});
    assert_eq!(request(Write::Status(Box::new(StatusWrite { from, to }))).await, merge(path, body));
}

#[tokio::test]
async fn a_status_without_a_difference_is_no_request() {
    let same = StatusWrite { from: RolloutStatus::default(), to: RolloutStatus::default() };
    let (outcome, ()) = apply(vec![Write::Status(Box::new(same))], async |_: &mut Server| {}).await;
    outcome.result.unwrap();
}

/// The first write moves the Rollout's version, so the second one must count on the new one.
#[tokio::test]
async fn writes_to_the_rollout_in_one_plan_follow_each_other() {
    let status = StatusWrite {
        from: RolloutStatus::default(),
        to: RolloutStatus { replicas: 1, ..RolloutStatus::default() },
    };
    let writes = vec![Write::DefaultReplicas { replicas: 1 }, Write::Status(Box::new(status))];
    let (outcome, second) = apply(writes, async |server: &mut Server| {
        server.answer(200, stored("71")).await;
        server.answer(200, stored("72")).await
    })
    .await;
    assert_eq!(second.body["metadata"], json!({"resourceVersion": "71"}));
    let mut fence = outcome.fence;
    let shown = |version: &str| Some(Seen { version: version.to_owned(), uid: "r1".to_owned() });
    assert!(matches!(fence.check(Timestamp::now(), |_| shown("71")), Verdict::Stale { .. }));
    assert_eq!(fence.check(Timestamp::now(), |_| shown("72")), Verdict::Fresh);
}

#[tokio::test]
async fn a_set_changes_size_and_annotations_in_one_request() {
    let patch = SetPatch {
        name: "shop-aa".to_owned(),
        replicas: Some((2, 5)),
        annotations: BTreeMap::from([
            ("scale-down-deadline".to_owned(), None),
            ("rollout.argoproj.io/desired-replicas".to_owned(), Some("5".to_owned())),
        ]),
        min_ready_seconds: Some(3),
        template: Some(json!({"metadata": {"labels": {"role": null}}})),
    };
    let annotations = json!({"scale-down-deadline": null, "rollout.argoproj.io/desired-replicas": "5"});
    let body = json!({"metadata": {"uid": "s1", "annotations": annotations}, "spec": {"replicas": 5, "minReadySeconds": 3,
        "template": {"metadata": {"labels": {"role": null}}}}});
    assert_eq!(request(Write::PatchSet(patch)).await, merge(&format!("{SETS}/shop-aa"), body));
}

#[tokio::test]
async fn ownership_of_a_set_moves_by_its_uid() {
    let (name, uid) = ("shop-aa".to_owned(), "s1".to_owned());
    let adopt = request(Write::AdoptSet { name: name.clone(), uid: uid.clone() }).await;
    assert_eq!(adopt.content_type, "application/strategic-merge-patch+json");
    assert_eq!(adopt.body["metadata"]["uid"], "s1");
    assert_eq!(adopt.body["metadata"]["ownerReferences"][0]["uid"], "r1");
    let release = request(Write::ReleaseSet { name, uid }).await;
    let owners = json!([{"$patch": "delete", "uid": "r1"}]);
    assert_eq!(release.body, json!({"metadata": {"uid": "s1", "ownerReferences": owners}}));
}

#[tokio::test]
async fn deletions_name_the_one_object_that_was_seen() {
    let asked = request(Write::DeleteSet { name: "shop-aa".to_owned(), uid: "s1".to_owned() }).await;
    assert_eq!(asked.line, format!("DELETE {SETS}/shop-aa?"));
    assert_eq!(
        asked.body,
        json!({"propagationPolicy": "Background", "preconditions": {"uid": "s1", "resourceVersion": "60"}})
    );
    let asked = request(Write::DeleteRun { name: "shop-aa-2".to_owned() }).await;
    assert_eq!(asked.line, format!("DELETE {RUNS}/shop-aa-2?"));
    assert_eq!(asked.body["preconditions"], json!({"uid": "a1"}));
}

#[tokio::test]
async fn what_is_gone_already_is_done() {
    let gone = json!({"kind": "Status", "code": 404, "reason": "NotFound", "message": "not found"});
    let writes = vec![
        Write::DeleteSet { name: "shop-aa".to_owned(), uid: "s1".to_owned() },
        Write::StopRun { name: "shop-aa-2".to_owned() },
    ];
    let (outcome, stop) = apply(writes, async |server: &mut Server| {
        server.answer(404, gone.clone()).await;
        server.answer(404, gone).await
    })
    .await;
    assert_eq!(outcome.result.unwrap(), 2);
    assert_eq!(stop, merge(&format!("{RUNS}/shop-aa-2"), json!({"spec": {"terminate": true}})));
}

#[tokio::test]
async fn a_service_is_pointed_at_a_revision_and_marked_on_adoption() {
    let service = "shop".to_owned();
    let write = Write::PointService { service, from: None, to: "aa".to_owned(), rollout: "shop".to_owned() };
    let body = json!({
        "metadata": {"resourceVersion": "50", "annotations": {"argo-rollouts.argoproj.io/managed-by-rollouts": "shop"}},
        "spec": {"selector": {"rollouts-pod-template-hash": "aa"}},
    });
    assert_eq!(request(write).await, merge("/api/v1/namespaces/ns/services/shop", body));
}

fn ingress(weight: &str) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": "shop-canary", "resourceVersion": "9", "annotations": {"weight": weight, "canary": "true"}},
    })
}

#[tokio::test]
async fn a_route_is_created_or_changed_by_its_difference() {
    let path = "/apis/networking.k8s.io/v1/namespaces/ns/ingresses";
    let write = |from| {
        let reference = kinds::reference(&kinds::ingress(), "shop-canary");
        Write::Route(RouteWrite { reference, from, to: ingress("20"), weight: 20, max_weight: 100 })
    };
    let created = request(write(None)).await;
    assert_eq!((created.line, created.body), (format!("POST {path}?&fieldManager=tidegate"), ingress("20")));
    let body = json!({"metadata": {"annotations": {"weight": "20"}, "resourceVersion": "9"}});
    assert_eq!(request(write(Some(ingress("5")))).await, merge(&format!("{path}/shop-canary"), body));
}

#[tokio::test]
async fn a_run_is_created() {
    let asked = request(Write::CreateRun(Box::new(run()))).await;
    assert_eq!(asked.line, format!("POST {RUNS}?&fieldManager=tidegate"));
    assert_eq!(asked.body["kind"], "AnalysisRun");
}

fn new_set() -> Set {
    let template = json!({"metadata": {"labels": {"app": "shop"}}, "spec": {"containers": [{"name": "app", "image": "shop:1"}]}});
    Set { name: "shop-bb".to_owned(), template: template.into(), ..Set::default() }
}

fn taken() -> Value {
    json!({"kind": "Status", "code": 409, "reason": "AlreadyExists", "message": "exists"})
}

fn live_set(owner: &str, image: &str) -> Value {
    let mut template = (*new_set().template).clone();
    template["spec"]["containers"][0]["image"] = image.into();
    let owners =
        json!([{"apiVersion": "x", "kind": "Rollout", "name": "shop", "uid": owner, "controller": true}]);
    json!({"metadata": {"name": "shop-bb", "uid": "s2", "resourceVersion": "80", "ownerReferences": owners}, "spec": {"template": template}})
}

#[tokio::test]
async fn a_set_that_was_created_before_is_taken_as_done_and_not_told_twice() {
    let (outcome, get) = apply(vec![Write::CreateSet(Box::new(new_set()))], async |server: &mut Server| {
        server.answer(409, taken()).await;
        server.answer(200, live_set("r1", "shop:1")).await
    })
    .await;
    assert_eq!(get.line, format!("GET {SETS}/shop-bb"));
    assert_eq!(outcome.result.unwrap(), 1);
    assert!(outcome.told.is_empty());
    let mut fence = outcome.fence;
    assert!(matches!(fence.check(Timestamp::now(), |_| None), Verdict::Stale { .. }));
}

/// Another Rollout's set, or another template under the same hash: the count goes into the next hash.
#[tokio::test]
async fn a_collision_is_counted_in_the_status() {
    for live in [live_set("r2", "shop:1"), live_set("r1", "shop:2")] {
        let (outcome, patch) =
            apply(vec![Write::CreateSet(Box::new(new_set()))], async |server: &mut Server| {
                server.answer(409, taken()).await;
                server.answer(200, live).await;
                server.answer(200, stored("71")).await
            })
            .await;
        assert_eq!(
            patch.body,
            json!({"metadata": {"resourceVersion": "70"}, "status": {"collisionCount": 3}})
        );
        assert_eq!(outcome.result.unwrap_err().class, Class::Conflict);
    }
}

#[tokio::test]
async fn the_first_failure_stops_the_plan() {
    let writes = vec![Write::StopRun { name: "a".to_owned() }, Write::StopRun { name: "b".to_owned() }];
    let conflict = json!({"kind": "Status", "code": 409, "reason": "Conflict", "message": "changed"});
    let (outcome, asked) =
        apply(writes, async |server: &mut Server| server.answer(409, conflict).await).await;
    assert!(asked.line.contains("/a?"));
    assert_eq!(outcome.result.unwrap_err().class, Class::Conflict);
    assert!(outcome.told.is_empty());
}

/// What ends an update in one attempt and is refused may be another end in the next one.
#[tokio::test]
async fn an_update_that_ends_is_counted_once_its_status_says_so() {
    let time = |second| Some(Time(Timestamp::from_second(second).unwrap()));
    let running = RolloutDurationStatus { rollout_started_at: time(100), ..Default::default() };
    let ended = RolloutDurationStatus {
        finished_at: time(160),
        completion_status: "Promoted".to_owned(),
        ..running.clone()
    };
    let status = |duration| RolloutStatus { duration: Some(duration), ..RolloutStatus::default() };
    let write = || StatusWrite { from: status(running.clone()), to: status(ended.clone()) };
    let metrics = Arc::new(Metrics::default());
    let counted = || {
        let mut registry = prometheus_client::registry::Registry::default();
        metrics.register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        text.contains("rollout_duration_seconds_sum{status=\"Promoted\"} 60.0")
    };
    let conflict = json!({"kind": "Status", "code": 409, "reason": "Conflict", "message": "changed"});
    for (code, answer, is_counted) in [(409, conflict, false), (200, stored("71"), true)] {
        let writes = vec![Write::Status(Box::new(write()))];
        apply_counting(&metrics, writes, async |server: &mut Server| server.answer(code, answer).await).await;
        assert_eq!(counted(), is_counted, "after {code}");
    }
}

#[tokio::test]
async fn a_lost_answer_leaves_a_doubt_in_the_fence() {
    let write = Write::StopRun { name: "shop-aa-2".to_owned() };
    let (outcome, _) = apply(vec![write], async |server: &mut Server| server.hang_up().await).await;
    assert_eq!(outcome.result.unwrap_err().class, Class::Unreachable);
    let mut fence = outcome.fence;
    let shown = Some(Seen { version: "999".to_owned(), uid: "a1".to_owned() });
    let object = kinds::reference(&kinds::analysis_run(), "shop-aa-2");
    assert_eq!(fence.check(Timestamp::now(), |_| shown.clone()), Verdict::Ask { object });
}

#[tokio::test]
async fn a_refused_set_is_told_to_the_user() {
    let denied = json!({"kind": "Status", "code": 403, "reason": "Forbidden", "message": "exceeded quota"});
    let write = Write::CreateSet(Box::new(new_set()));
    let (outcome, patch) = apply(vec![write], async |server: &mut Server| {
        server.answer(403, denied).await;
        server.answer(200, stored("71")).await
    })
    .await;
    assert_eq!(outcome.told, ["ReplicaSetCreateError"]);
    assert_eq!(outcome.result.unwrap_err().class, Class::Denied);
    let condition = &patch.body["status"]["conditions"][0];
    assert_eq!(condition["reason"], "ReplicaSetCreateError");
    assert_eq!(condition["message"], "Failed to create new replica set \"shop-bb\": exceeded quota (403)");
}

/// What the API server calls invalid is a fault of the spec, as Argo Rollouts' own validation would have said.
#[tokio::test]
async fn an_invalid_template_is_an_invalid_spec() {
    let invalid = json!({"kind": "Status", "code": 422, "reason": "Invalid", "message": "limits < requests"});
    let write = Write::CreateSet(Box::new(new_set()));
    let (_, patch) = apply(vec![write], async |server: &mut Server| {
        server.answer(422, invalid).await;
        server.answer(200, stored("71")).await
    })
    .await;
    assert_eq!(patch.body["status"]["phase"], "Degraded");
    assert_eq!(patch.body["status"]["conditions"][0]["type"], "InvalidSpec");
}

fn sized(from: i32, to: i32) -> Write {
    Write::PatchSet(SetPatch {
        name: "shop-aa".to_owned(),
        replicas: Some((from, to)),
        ..SetPatch::default()
    })
}

/// After a change of leader a cache may be older than the last leader's writes: pods go only from what was seen.
#[tokio::test]
async fn pods_are_taken_away_only_from_the_version_that_was_read() {
    let path = format!("{SETS}/shop-aa");
    let up = json!({"metadata": {"uid": "s1"}, "spec": {"replicas": 3}});
    assert_eq!(request(sized(2, 3)).await, merge(&path, up));
    let down = json!({"metadata": {"uid": "s1", "resourceVersion": "60"}, "spec": {"replicas": 1}});
    assert_eq!(request(sized(2, 1)).await, merge(&path, down));
    // A write before it in the same plan has moved the version.
    let annotations = BTreeMap::from([("a".to_owned(), Some("b".to_owned()))]);
    let first = SetPatch { name: "shop-aa".to_owned(), annotations, ..SetPatch::default() };
    let (_, second) = apply(vec![Write::PatchSet(first), sized(2, 1)], async |server: &mut Server| {
        server.answer(200, stored("61")).await;
        server.answer(200, stored("62")).await
    })
    .await;
    assert_eq!(second.body["metadata"]["resourceVersion"], "61");
}

/// A run of the same name that no watch of this controller shows would be waited for without end.
#[tokio::test]
async fn a_run_that_cannot_be_seen_takes_its_name() {
    let owners = json!([{"kind": "Rollout", "name": "shop", "uid": "r1", "controller": true}]);
    let unlabelled = json!({"metadata": {"name": "shop-aa-2", "uid": "a", "resourceVersion": "9",
        "labels": {INSTANCE_ID: "blue"}, "ownerReferences": owners}, "spec": {"metrics": []}});
    let unreadable = json!({"metadata": {"name": "shop-aa-2", "uid": "a", "resourceVersion": "9",
        "ownerReferences": owners}, "spec": {"metrics": 7}});
    for live in [unlabelled, unreadable] {
        let (outcome, _) = apply(vec![Write::CreateRun(Box::new(run()))], async |server: &mut Server| {
            server.answer(409, taken()).await;
            server.answer(200, live).await
        })
        .await;
        assert_eq!(outcome.result.unwrap_err().taken.as_deref(), Some("shop-aa-2"));
        assert!(!outcome.fence.waits_for(&kinds::reference(&kinds::analysis_run(), "shop-aa-2")));
    }
}

/// Rules are one list to the server, so they are written whole and only over what was read; in the namespace of the
/// route and in the version of its group that the cluster serves.
#[tokio::test]
async fn an_http_route_is_patched_where_and_as_it_was_read() {
    let rules = |canary: i32| json!([{ "backendRefs": [{ "name": "s", "weight": 100 - canary }, { "name": "c", "weight": canary }] }]);
    let object = |canary: i32| {
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1beta1", "kind": "HTTPRoute",
            "metadata": { "name": "shop", "namespace": "infra", "resourceVersion": "55" },
            "spec": { "parentRefs": [{ "name": "eg" }], "rules": rules(canary) },
        })
    };
    let reference =
        Reference { namespace: Some("infra".to_owned()), ..kinds::reference(&kinds::http_route(), "shop") };
    let (from, to) = (Some(object(0)), object(20));
    let route = RouteWrite { reference: reference.clone(), from, to, weight: 20, max_weight: 100 };
    let (outcome, asked) =
        apply(vec![Write::Route(route)], async |server: &mut Server| server.answer(200, stored("56")).await)
            .await;
    let body = json!({ "metadata": { "resourceVersion": "55" }, "spec": { "rules": rules(20) } });
    let path = "/apis/gateway.networking.k8s.io/v1beta1/namespaces/infra/httproutes/shop";
    assert_eq!(asked, merge(path, body));
    assert!(outcome.fence.waits_for(&reference));
}

#[tokio::test]
async fn a_refused_route_is_told_to_the_user() {
    let denied = json!({"kind": "Status", "code": 403, "reason": "Forbidden", "message": "no right"});
    let reference = kinds::reference(&kinds::ingress(), "shop-canary");
    let write =
        Write::Route(RouteWrite { reference, from: None, to: ingress("20"), weight: 20, max_weight: 100 });
    let (outcome, patch) = apply(vec![write], async |server: &mut Server| {
        server.answer(403, denied).await;
        server.answer(200, stored("71")).await
    })
    .await;
    assert_eq!(outcome.told, ["TrafficRoutingError"]);
    let told = "the API server refuses to route Ingress shop-canary: weight 20 of 100: no right (403)";
    let message = patch.body["status"]["message"].as_str().unwrap();
    assert!(message.ends_with(told), "{message}");
}

#[tokio::test]
async fn looking_up_tells_absence_from_failure() {
    let (client, mut server) = server();
    let (recorder, _writer) = crate::events::channel(client.clone(), Arc::new(Metrics::default()));
    let hand = Hand::new(client, recorder);
    let (object, kind) = (kinds::reference(&kinds::replica_set(), "shop-aa"), kinds::replica_set());
    let (found, _) = tokio::join!(hand.look_up("ns", &object, &kind), server.answer(200, stored("7")));
    assert_eq!(found.unwrap(), Some(Seen { version: "7".to_owned(), uid: "u".to_owned() }));
    let gone = json!({"kind": "Status", "code": 404, "reason": "NotFound"});
    let (found, _) = tokio::join!(hand.look_up("ns", &object, &kind), server.answer(404, gone));
    assert_eq!(found.unwrap(), None);
    let (found, _) = tokio::join!(hand.look_up("ns", &object, &kind), server.hang_up());
    assert_eq!(found.unwrap_err().class, Class::Unreachable);
}

#[test]
fn kinds_are_found_by_reference() {
    let set = kinds::reference(&kinds::replica_set(), "x");
    assert_eq!(kind_of(&set).plural, "replicasets");
    let route = kinds::reference(&kinds::ingress(), "x");
    assert_eq!(kind_of(&route).plural, "ingresses");
}

#[tokio::test]
async fn a_pod_is_evicted_by_its_uid_and_then_looked_at() {
    let restart = || Write::RestartPod { name: "shop-aa-1".to_owned(), uid: "p1".to_owned() };
    let done = json!({"kind": "Status", "status": "Success", "code": 201});
    let (mut outcome, asked) =
        apply(vec![restart()], async |server: &mut Server| server.answer(201, done).await).await;
    assert_eq!(outcome.result.unwrap(), 1);
    assert_eq!(asked.line, "POST /api/v1/namespaces/ns/pods/shop-aa-1/eviction");
    let body = json!({
        "apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "shop-aa-1", "namespace": "ns"},
        "deleteOptions": {"preconditions": {"uid": "p1"}},
    });
    assert_eq!(asked.body, body);
    let object = kinds::reference(&kinds::pod(), "shop-aa-1");
    assert_eq!(outcome.fence.check(Timestamp::now(), |_| None), Verdict::Ask { object });

    // A disruption budget that says no leaves the rest of the plan as it is.
    let refusal = json!({"kind": "Status", "status": "Failure", "code": 429, "reason": "TooManyRequests",
        "details": {"causes": [{"reason": "DisruptionBudget", "message": "The disruption budget shop needs 2"}]}});
    let (mut outcome, ()) = apply(vec![restart(), restart()], async |server: &mut Server| {
        server.answer(429, refusal).await;
        server.answer(404, json!({"kind": "Status", "status": "Failure", "code": 404})).await;
    })
    .await;
    assert_eq!(outcome.result.unwrap(), 2);
    assert_eq!(outcome.fence.check(Timestamp::now(), |_| None), Verdict::Fresh);
}

#[tokio::test]
async fn a_pod_gets_its_role_by_its_uid_and_a_policy_may_say_no() {
    let mark = || {
        let labels = BTreeMap::from([("role".to_owned(), Some("stable".to_owned()))]);
        let annotations = BTreeMap::from([("watch".to_owned(), None)]);
        Write::PatchPod(PodPatch { name: "shop-aa-1".to_owned(), uid: "p1".to_owned(), labels, annotations })
    };
    let body =
        json!({"metadata": {"uid": "p1", "labels": {"role": "stable"}, "annotations": {"watch": null}}});
    assert_eq!(request(mark()).await, merge("/api/v1/namespaces/ns/pods/shop-aa-1", body));
    let (outcome, ()) = apply(vec![mark(), mark()], async |server: &mut Server| {
        server
            .answer(403, json!({"kind": "Status", "status": "Failure", "code": 403, "reason": "Forbidden"}))
            .await;
        server
            .answer(404, json!({"kind": "Status", "status": "Failure", "code": 404, "reason": "NotFound"}))
            .await;
    })
    .await;
    assert_eq!(outcome.result.unwrap(), 2);
}
