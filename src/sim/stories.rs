//! Stories: a few rollouts played in a calm world, told line by line and compared with `stories/*.txt`.
//!
//! Input: a spec, and who does what when. Output: the tale. `UPDATE=1 cargo test -p tidegate-sim` writes the files anew.

use std::path::PathBuf;

use serde_json::{Value, json};
use tidegate_api::phase::AnalysisPhase;

use crate::laws_of_blue_green::unserved;
use crate::random::Random;
use crate::rest;
use crate::shape::{
    self, ACTIVE_SERVICE, CANARY_SERVICE, GOOD_IMAGES, HTTP_ROUTES, INGRESSES, PING_SERVICE, PONG_SERVICE,
    PREVIEW_SERVICE, STABLE_SERVICE, Shape, Temper, Way,
};
use crate::simulation::{Event, Settings, Simulation};
use crate::tale::Tale;
use crate::users::Act;

/// Plays acts at their seconds until everything is at rest, and compares the tale with its file.
/// Tells the reasons of the Events on the way.
pub(crate) fn tells(
    name: &str,
    spec: Value,
    acts: &[(i64, Act)],
    verdicts: &[AnalysisPhase],
) -> Vec<&'static str> {
    play(name, spec, false, acts, verdicts)
}

fn play(
    name: &str,
    spec: Value,
    holds: bool,
    acts: &[(i64, Act)],
    verdicts: &[AnalysisPhase],
) -> Vec<&'static str> {
    let routed = spec.pointer("/strategy/canary/trafficRouting").is_some();
    let ways = ways_of(&spec);
    let blue_green = spec.pointer("/strategy/blueGreen").is_some();
    let previewed = spec.pointer("/strategy/blueGreen/previewService").is_some();
    let takes_turns = spec.pointer("/strategy/canary/pingPong").is_some();
    let services: &[&str] = match (routed, blue_green, previewed) {
        (true, ..) if takes_turns => &[PING_SERVICE, PONG_SERVICE],
        (true, ..) => &[CANARY_SERVICE, STABLE_SERVICE],
        (false, true, true) => &[ACTIVE_SERVICE, PREVIEW_SERVICE],
        (false, true, false) => &[ACTIVE_SERVICE],
        (false, false, _) => &[],
    };
    let rollout = shape::rollout(spec, GOOD_IMAGES[0]);
    let (experiments, temper) = (false, Temper::calm());
    let shape = Shape { rollout, routed, ways, services, holds, experiments, temper };
    let mut simulation = Simulation::new(shape, Random::new(1), Settings::default(), Tale::wanted());
    simulation.verdicts.script = verdicts.to_vec();
    for (second, act) in acts {
        simulation.schedule(second * 1000, Event::Act(act.clone()));
    }
    let mut has_served = false;
    while simulation.broken.is_none() && simulation.step() {
        if let Some(why) = unserved(&simulation, &mut has_served) {
            simulation.fail(why);
        }
    }
    assert_eq!(simulation.broken, None, "{}", simulation.tale.lines.join("\n"));
    assert_eq!(rest::objection(&simulation), None, "{}", simulation.tale.lines.join("\n"));
    let mut told = simulation.tale.lines.join("\n");
    told.push('\n');
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "stories", &format!("{name}.txt")].iter().collect();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &told).unwrap();
    }
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(known == told, "{name} is told differently now; UPDATE=1 writes it anew:\n{told}");
    simulation.events_told
}

/// The ways that a spec names.
fn ways_of(spec: &Value) -> Vec<Way> {
    let routing = spec.pointer("/strategy/canary/trafficRouting").cloned().unwrap_or_default();
    let named = |way: &Way| routing.to_string().contains(&format!("\"{}\"", way.name()));
    Way::all().into_iter().filter(named).collect()
}

fn nginx(replicas: i32, steps: Value) -> Value {
    json!({
        "replicas": replicas,
        "strategy": { "canary": {
            "canaryService": CANARY_SERVICE,
            "stableService": STABLE_SERVICE,
            "trafficRouting": { "nginx": { "stableIngress": INGRESSES[0].name() } },
            "steps": steps,
        } },
    })
}

fn basic(replicas: i32, steps: Value) -> Value {
    json!({ "replicas": replicas, "strategy": { "canary": { "steps": steps, "maxSurge": 1, "maxUnavailable": 0 } } })
}

#[test]
fn a_canary_is_promoted_step_by_step() {
    let steps =
        json!([{ "setWeight": 20 }, { "pause": { "duration": 10 } }, { "setWeight": 60 }, { "pause": {} }]);
    let acts = [(20, Act::Image("v2")), (80, Act::Promote)];
    tells("canary-promoted", nginx(5, steps), &acts, &[]);
}

/// The Events of an update that is aborted, tried again and promoted by itself are those that clients of Argo Rollouts know.
#[test]
fn a_person_aborts_and_tries_again() {
    let steps = json!([{ "setWeight": 50 }, { "pause": { "duration": "30s" } }]);
    let spec = json!({ "replicas": 1, "strategy": { "canary": { "steps": steps } } });
    let acts = [(20, Act::Image("v2")), (40, Act::Abort), (60, Act::Retry)];
    let events = tells("abort-retry-promoted", spec, &acts, &[]);
    let begins = ["RolloutUpdated", "NewReplicaSetCreated", "RolloutNotCompleted", "ScalingReplicaSet"];
    let paused = ["RolloutStepCompleted", "RolloutPaused"];
    let aborted = ["ScalingReplicaSet", "RolloutAborted", "ScalingReplicaSet"];
    let ends = ["RolloutStepCompleted", "RolloutResumed", "ScalingReplicaSet", "RolloutCompleted"];
    let known: [&[&str]; 7] = [&begins, &["RolloutCompleted"], &begins, &paused, &aborted, &paused, &ends];
    assert_eq!(events, known.concat());
}

#[test]
fn a_person_aborts_at_forty_percent() {
    let steps = json!([{ "setWeight": 40 }, { "pause": {} }]);
    let acts = [(20, Act::Image("v2")), (60, Act::Abort), (120, Act::Retry), (160, Act::Promote)];
    tells("abort-at-40", nginx(5, steps), &acts, &[]);
}

#[test]
fn two_routers_at_once_are_raised_and_aborted_together() {
    let steps = json!([{ "setWeight": 40 }, { "pause": {} }]);
    let mut spec = nginx(5, steps);
    spec["strategy"]["canary"]["trafficRouting"]["plugins"] = gateway();
    let acts = [(20, Act::Image("v2")), (60, Act::Abort)];
    tells("two-routers", spec, &acts, &[]);
}

#[test]
fn content_that_was_aborted_waits_until_somebody_retries_it() {
    let steps = json!([{ "setWeight": 40 }, { "pause": { "duration": 20 } }]);
    let acts = [
        (20, Act::Image("v2")),
        (40, Act::Abort),
        (90, Act::Image("v1")),
        (120, Act::Image("v2")),
        (160, Act::Retry),
    ];
    play("aborted-content-is-held", nginx(5, steps), true, &acts, &[]);
}

#[test]
fn a_failed_analysis_aborts() {
    let analysis = json!({ "analysis": { "templates": [{ "templateName": "check" }] } });
    let steps = json!([{ "setWeight": 20 }, analysis, { "setWeight": 60 }, analysis]);
    let acts = [(20, Act::Image("v2"))];
    tells("analysis-fails", nginx(5, steps), &acts, &[AnalysisPhase::Successful, AnalysisPhase::Failed]);
}

#[test]
fn an_inconclusive_analysis_waits_for_a_person() {
    let analysis = json!({ "analysis": { "templates": [{ "templateName": "check" }] } });
    let acts = [(20, Act::Image("v2")), (90, Act::Promote)];
    tells(
        "analysis-inconclusive",
        nginx(4, json!([{ "setWeight": 25 }, analysis])),
        &acts,
        &[AnalysisPhase::Inconclusive],
    );
}

#[test]
fn a_third_version_arrives_while_the_second_is_a_canary() {
    let steps = json!([{ "setWeight": 50 }, { "pause": { "duration": 30 } }]);
    let acts = [(20, Act::Image("v2")), (40, Act::Image("v3"))];
    tells("v1-v2-v3", nginx(4, steps), &acts, &[]);
}

#[test]
fn a_rollback_to_the_stable_version_skips_the_steps() {
    let steps = json!([{ "setWeight": 50 }, { "pause": {} }]);
    let acts = [(20, Act::Image("v2")), (50, Act::Image("v1"))];
    tells("rollback-to-v1", nginx(4, steps), &acts, &[]);
}

#[test]
fn going_back_within_the_window_skips_the_steps() {
    let steps = json!([{ "setWeight": 25 }, { "pause": {} }, { "setWeight": 75 }]);
    let mut spec = nginx(4, steps);
    spec["rollbackWindow"] = json!({ "revisions": 1 });
    let acts = [(20, Act::Image("v2")), (40, Act::Promote), (120, Act::Image("v1"))];
    let events = tells("rollback-window", spec, &acts, &[]);
    assert!(!events.contains(&"SkipSteps"), "its pods had gone: {events:?}");
}

#[test]
fn a_person_pauses_and_resumes_the_whole_rollout() {
    let steps = json!([{ "setWeight": 25 }, { "setWeight": 75 }]);
    let acts = [(20, Act::Image("v2")), (22, Act::Pause(true)), (60, Act::Pause(false))];
    tells("paused-by-hand", nginx(4, steps), &acts, &[]);
}

#[test]
fn replicas_change_during_a_canary() {
    let steps = json!([{ "setWeight": 50 }, { "pause": {} }]);
    let acts = [(20, Act::Image("v2")), (50, Act::Replicas(8)), (80, Act::Replicas(2)), (110, Act::Promote)];
    tells("scaled-during-canary", nginx(4, steps), &acts, &[]);
}

#[test]
fn pods_that_crash_run_into_the_deadline() {
    let mut spec = nginx(4, json!([{ "setWeight": 50 }]));
    spec["progressDeadlineSeconds"] = json!(60);
    spec["progressDeadlineAbort"] = json!(true);
    tells("crash-loop", spec, &[(20, Act::Image("crash"))], &[]);
}

#[test]
fn a_basic_canary_of_ten_takes_three_steps() {
    let steps = json!([
        { "setWeight": 20 }, { "pause": { "duration": 5 } }, { "setWeight": 50 }, { "pause": { "duration": 5 } },
        { "setWeight": 100 },
    ]);
    tells("basic-20-50-100", basic(10, steps), &[(60, Act::Image("v2"))], &[]);
}

/// The Rollout that the benchmark `scale` makes a thousand of: what it costs is counted here line by line.
#[test]
fn a_canary_of_two_costs_ten_writes() {
    let pause = json!({ "pause": { "duration": 5 } });
    let steps = json!([{ "setWeight": 50 }, pause, { "setWeight": 100 }, pause]);
    let spec = json!({ "replicas": 2, "strategy": { "canary": { "steps": steps } } });
    tells("two-pods-50-100", spec, &[(60, Act::Image("v2"))], &[]);
}

#[test]
fn a_full_promotion_skips_what_is_left() {
    let steps = json!([{ "setWeight": 10 }, { "pause": {} }, { "setWeight": 50 }, { "pause": {} }]);
    tells("promoted-in-full", nginx(5, steps), &[(20, Act::Image("v2")), (50, Act::PromoteFull)], &[]);
}

#[test]
fn pods_have_the_metadata_of_their_role_and_keep_apart() {
    let mut spec = nginx(2, json!([{ "setWeight": 50 }, { "pause": { "duration": 10 } }]));
    let canary = &mut spec["strategy"]["canary"];
    canary["canaryMetadata"] =
        json!({ "labels": { "role": "canary" }, "annotations": { "shop.test/watch": "closely" } });
    canary["stableMetadata"] = json!({ "labels": { "role": "stable" } });
    canary["antiAffinity"] = json!({ "requiredDuringSchedulingIgnoredDuringExecution": {} });
    tells("roles-of-pods", spec, &[(20, Act::Image("v2"))], &[]);
}

/// The plugin's settings for one HTTPRoute.
pub(crate) fn gateway() -> Value {
    json!({ "argoproj-labs/gatewayAPI": { "httpRoute": HTTP_ROUTES[0].name() } })
}

/// Steps of a canary that testers reach by a header before anybody else does.
fn for_testers(header: &Value) -> Value {
    json!([
        { "setCanaryScale": { "replicas": 1 } },
        { "setHeaderRoute": { "name": "testers", "match": [header] } }, { "pause": {} },
        { "setHeaderRoute": { "name": "testers" } }, { "setWeight": 50 }, { "pause": {} },
    ])
}

#[test]
fn testers_reach_the_canary_by_a_header() {
    let header = json!({ "headerName": "X-Tester", "headerValue": { "prefix": "ye" } });
    let mut spec = nginx(4, for_testers(&header));
    spec["strategy"]["canary"]["trafficRouting"] =
        json!({ "plugins": gateway(), "managedRoutes": [{ "name": "testers" }] });
    let acts = [
        (20, Act::Image("v2")),
        (60, Act::Abort),
        (90, Act::Retry),
        (120, Act::Promote),
        (150, Act::Promote),
    ];
    tells("header-route", spec, &acts, &[]);
}

/// Two Services that take turns behind an HTTPRoute.
fn ping_pong(replicas: i32, steps: Value) -> Value {
    json!({
        "replicas": replicas,
        "strategy": { "canary": {
            "pingPong": { "pingService": PING_SERVICE, "pongService": PONG_SERVICE },
            "trafficRouting": { "plugins": gateway() },
            "steps": steps,
        } },
    })
}

#[test]
fn two_services_take_turns_from_version_to_version() {
    let steps = json!([{ "setWeight": 50 }, { "pause": {} }]);
    let acts = [(20, Act::Image("v2")), (50, Act::Promote), (120, Act::Image("v3")), (150, Act::Promote)];
    tells("ping-pong", ping_pong(4, steps), &acts, &[]);
}

#[test]
fn a_canary_of_ping_pong_is_aborted_replaced_and_taken_back() {
    let steps = json!([{ "setWeight": 50 }, { "pause": {} }]);
    let acts = [
        (20, Act::Image("v2")),
        (50, Act::Abort),
        (90, Act::Retry),
        (120, Act::Image("v3")),
        (160, Act::Image("v1")),
    ];
    tells("ping-pong-taken-back", ping_pong(4, steps), &acts, &[]);
}

#[test]
fn ping_pong_without_steps_and_in_full_moves_users_after_the_turn() {
    let steps = json!([{ "setWeight": 25 }, { "pause": {} }]);
    let acts = [(20, Act::Image("v2")), (50, Act::PromoteFull)];
    tells("ping-pong-in-full", ping_pong(4, steps), &acts, &[]);
}

#[test]
fn testers_reach_the_canary_of_an_ingress_by_a_header() {
    let header = json!({ "headerName": "X-Tester", "headerValue": { "exact": "yes" } });
    let mut spec = nginx(4, for_testers(&header));
    spec["strategy"]["canary"]["trafficRouting"]["managedRoutes"] = json!([{ "name": "testers" }]);
    let acts = [
        (20, Act::Image("v2")),
        (60, Act::Abort),
        (90, Act::Retry),
        (120, Act::Promote),
        (150, Act::Promote),
    ];
    tells("header-route-of-an-ingress", spec, &acts, &[]);
}

#[test]
fn a_canary_is_scaled_apart_from_its_traffic() {
    let steps = json!([
        { "setCanaryScale": { "replicas": 1 } }, { "pause": { "duration": 10 } }, { "setWeight": 60 },
        { "pause": { "duration": 10 } }, { "setCanaryScale": { "matchTrafficWeight": true } }, { "pause": {} },
    ]);
    let mut spec = nginx(5, steps);
    spec["strategy"]["canary"]["minPodsPerReplicaSet"] = json!(2);
    let acts = [(20, Act::Image("v2")), (80, Act::Abort), (130, Act::Retry), (200, Act::Promote)];
    tells("canary-scaled", spec, &acts, &[]);
}
