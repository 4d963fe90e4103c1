//! Experiments from beginning to end in a small model of the API server and of the ReplicaSet controller, with crashes
//! between writes, pods that come and go, runs that end as they like, and people who terminate and retry.

use std::path::Path;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};
use tidegate_api::analysis::{AnalysisRunStatus, AnalysisTemplateSpec};
use tidegate_api::experiment::Experiment;
use tidegate_api::phase::AnalysisPhase;

use super::{Because, ExperimentWorld, Plan, Taken, Write, plan};
use crate::lint::patched;
use crate::rollout::hash::{canonical, pod_template_hash};
use crate::rollout::world::{Service, Set, TemplateKey};

fn world(spec: Value) -> ExperimentWorld {
    let experiment: Experiment = serde_json::from_value(json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Experiment",
        "metadata": {"name": "e", "namespace": "shop", "uid": "e1", "generation": 1},
        "spec": spec,
    }))
    .unwrap();
    let template = json!({"metrics": [{"name": "m", "provider": {"prometheus": {"query": "up"}}}]});
    let key = TemplateKey { cluster: false, name: "ok".to_owned() };
    ExperimentWorld {
        now: "2026-01-01T12:00:00Z".parse().unwrap(),
        experiment: Arc::new(experiment),
        sets: Vec::new(),
        services: Vec::new(),
        runs: Vec::new(),
        taken: Taken::default(),
        in_use: Default::default(),
        templates: [(
            key,
            Arc::new(serde_json::from_value::<AnalysisTemplateSpec>(template).unwrap().into()),
        )]
        .into(),
        troubles: Default::default(),
    }
}

fn template(name: &str, replicas: i32) -> Value {
    json!({
        "name": name, "replicas": replicas, "selector": {"matchLabels": {"app": name}}, "service": {},
        "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [
            {"name": "c", "image": "i", "ports": [{"containerPort": 80}]},
        ]}},
    })
}

/// Changes a World by one write, as the API server would.
fn apply(world: &mut ExperimentWorld, write: &Write) {
    match write {
        Write::CreateSet(set) => {
            assert_eq!(set.replicas, 0, "created with pods");
            let selected = set.selector["matchLabels"].as_object().unwrap();
            let labels = &set.template["metadata"]["labels"];
            assert!(selected.iter().all(|(key, value)| labels[key] == *value), "selects no pod of its own");
            assert!(world.sets.iter().all(|known| known.name != set.name), "created twice: {}", set.name);
            let uid = format!("uid-of-{}", set.name);
            world.sets.push(Arc::new(Set { uid, generation: 1, created: world.now, ..(**set).clone() }));
        }
        Write::PatchSet(patch) => {
            let set = world.sets.iter_mut().find(|set| set.name == patch.name).unwrap();
            let before = set.clone();
            if let Some((from, to)) = patch.replicas {
                assert_eq!(from, set.replicas, "sized from what is not there");
                assert_ne!(from, to, "a size that changes nothing");
            }
            patched(Arc::make_mut(set), patch);
            assert_ne!(before, *set, "a patch that changes nothing");
        }
        Write::CreateService { name, object } => {
            assert!(world.services.iter().all(|known| known.name != *name));
            world.services.push(Arc::new(Service::parse(object)));
        }
        Write::DeleteService { name } => world.services.retain(|service| service.name != *name),
        Write::CreateRun(run) => {
            assert!(world.runs.iter().all(|known| known.metadata.name != run.metadata.name));
            world.runs.push(Arc::new((**run).clone()));
        }
        Write::StopRun { name } => {
            for run in world.runs.iter_mut().filter(|run| run.metadata.name.as_ref() == Some(name)) {
                assert!(!run.spec.terminate, "stopped twice");
                Arc::make_mut(run).spec.terminate = true;
            }
        }
        Write::Status(status) => {
            assert_ne!(status.from, status.to, "a status that changes nothing");
            assert_eq!(status.from, world.experiment.status.clone().unwrap_or_default());
            Arc::make_mut(&mut world.experiment).status = Some(status.to.clone());
        }
    }
}

/// What must hold of every write, by the spec and the status as they were read: nothing of the planner is used.
fn judge(world: &ExperimentWorld, plan: &Plan) {
    let status = world.experiment.status.clone().unwrap_or_default();
    let over = status.phase.is_some_and(AnalysisPhase::is_completed);
    for (index, planned) in plan.writes.iter().enumerate() {
        match &planned.write {
            Write::CreateSet(_) | Write::CreateService { .. } => {
                assert!(!over && !world.experiment.spec.terminate, "made at the end: {}", planned.write);
            }
            Write::CreateRun(_) => {
                assert!(!over && !world.experiment.spec.terminate, "measured at the end");
                assert!(status.available_at.is_some(), "measured before all pods were available");
            }
            Write::PatchSet(patch) => {
                let Some((from, to)) = patch.replicas else { continue };
                if to > from {
                    assert!(!over && !world.experiment.spec.terminate, "grown at the end");
                } else {
                    let set = world.sets.iter().find(|set| set.name == patch.name).unwrap();
                    let delay = world.experiment.spec.scale_down_delay_seconds.unwrap_or(30);
                    let passed = set.deadline().is_some_and(|until| until < world.now);
                    assert!(delay == 0 || passed, "pods go before their delay");
                }
            }
            Write::DeleteService { name } => {
                let set = world.sets.iter().find(|set| set.name == *name);
                let left = set.map_or(0, |set| set.status.available.max(set.replicas));
                assert_eq!(left, 0, "a Service goes before its pods");
            }
            Write::StopRun { .. } => {}
            Write::Status(_) => assert_eq!(index + 1, plan.writes.len(), "the status is not the last write"),
        }
    }
    let woken = plan.wake.is_none_or(|wake| wake > world.now);
    assert!(woken, "wakes at {:?}, but it is {}", plan.wake, world.now);
    if plan.writes.is_empty() && plan.because == Because::Settled {
        assert!(over, "nothing to do, and no reason");
    }
}

/// One round; the controller dies after `upto` writes.
fn round(world: &mut ExperimentWorld, upto: usize) -> Plan {
    let plan = plan(world);
    judge(world, &plan);
    for planned in plan.writes.iter().take(upto) {
        apply(world, &planned.write);
    }
    plan
}

/// Rounds until nothing is left to do, with nobody else acting: each plan's result has its own end.
fn settle(world: &mut ExperimentWorld) -> Plan {
    for _ in 0..20 {
        let plan = round(world, usize::MAX);
        if plan.writes.is_empty() {
            return plan;
        }
    }
    panic!("plans follow each other without end: {}", plan(world));
}

/// The ReplicaSet controller brings all pods about; `broken` ones never become available.
fn bring_about(world: &mut ExperimentWorld, broken: bool) {
    for set in &mut world.sets {
        let set = Arc::make_mut(set);
        set.status.observed_generation = set.generation;
        set.status.replicas = set.replicas;
        set.status.ready = if broken { 0 } else { set.replicas };
        set.status.available = set.status.ready;
    }
}

fn finish_runs(world: &mut ExperimentWorld, phase: AnalysisPhase, only_stopped: bool) {
    for run in &mut world.runs {
        let done =
            run.status.as_ref().and_then(|status| status.phase).is_some_and(AnalysisPhase::is_completed);
        if !done && (!only_stopped || run.spec.terminate) {
            Arc::make_mut(run).status = Some(AnalysisRunStatus { phase: Some(phase), ..Default::default() });
        }
    }
}

fn pass(world: &mut ExperimentWorld, seconds: i64) {
    world.now = world.now.checked_add(SignedDuration::from_secs(seconds)).unwrap();
}

fn phase(world: &ExperimentWorld) -> Option<AnalysisPhase> {
    world.experiment.status.as_ref().and_then(|status| status.phase)
}

fn pods(world: &ExperimentWorld) -> i32 {
    world.sets.iter().map(|set| set.replicas.max(set.status.replicas)).sum()
}

/// A duration, an analysis that succeeds, and an end without pods and without a Service.
#[test]
fn a_whole_life() {
    let spec = json!({
        "duration": "5m", "templates": [template("a", 2), template("b", 1)],
        "analyses": [{"name": "x", "templateName": "ok"}],
    });
    let mut world = world(spec);
    settle(&mut world);
    bring_about(&mut world, false);
    settle(&mut world);
    assert_eq!((phase(&world), pods(&world)), (Some(AnalysisPhase::Running), 3));
    assert_eq!((world.runs.len(), world.services.len()), (1, 2));
    pass(&mut world, 60);
    finish_runs(&mut world, AnalysisPhase::Successful, false);
    settle(&mut world);
    assert_eq!(phase(&world), Some(AnalysisPhase::Running), "the duration is not over");
    pass(&mut world, 241);
    settle(&mut world);
    assert_eq!((phase(&world), pods(&world)), (Some(AnalysisPhase::Successful), 3));
    pass(&mut world, 31);
    settle(&mut world);
    bring_about(&mut world, false);
    assert_eq!(settle(&mut world).because, Because::Settled);
    assert_eq!((pods(&world), world.services.len()), (0, 0));
}

/// How an Experiment ends by what its analysis says, and that it ends at all.
#[test]
fn verdicts() {
    use AnalysisPhase::{Error, Failed, Inconclusive, Running, Successful};
    for (required, duration, run, wanted) in [
        (false, "", Successful, Running),
        (true, "", Successful, Successful),
        (false, "1h", Failed, Failed),
        (true, "1h", Inconclusive, Inconclusive),
        (false, "", Error, Error),
    ] {
        let mut world = world(json!({
            "duration": duration, "templates": [template("a", 1)],
            "analyses": [{"name": "x", "templateName": "ok", "requiredForCompletion": required}],
        }));
        settle(&mut world);
        bring_about(&mut world, false);
        settle(&mut world);
        finish_runs(&mut world, run, false);
        settle(&mut world);
        assert_eq!(phase(&world), Some(wanted), "{required} {duration} {run:?}");
    }
}

/// The end of an Experiment may cut a Job short, which then has said nothing.
#[test]
fn a_job_that_the_end_cuts_short_is_no_verdict() {
    let (job, judge) = (json!({"job": {}}), json!({"plugin": {"tidegate.dev/judge": {}}}));
    for (provider, inconclusive, message, wanted) in [
        (&job, 1, "Metric Terminated", AnalysisPhase::Successful),
        (&job, 2, "Metric Terminated", AnalysisPhase::Inconclusive),
        (&job, 1, "image not found", AnalysisPhase::Inconclusive),
        (&judge, 1, "Metric Terminated", AnalysisPhase::Inconclusive),
    ] {
        let mut world = world(json!({
            "duration": "30s", "templates": [template("a", 1)],
            "analyses": [{"name": "x", "templateName": "ok"}],
        }));
        settle(&mut world);
        bring_about(&mut world, false);
        settle(&mut world);
        pass(&mut world, 31);
        settle(&mut world);
        let status: AnalysisRunStatus = serde_json::from_value(json!({
            "phase": "Inconclusive", "metricResults": [{
                "name": "m", "phase": "Inconclusive", "inconclusive": inconclusive,
                "measurements": [{"phase": "Inconclusive", "message": message}],
            }],
        }))
        .unwrap();
        for run in &mut world.runs {
            assert!(run.spec.terminate, "the Experiment ends its run");
            let run = Arc::make_mut(run);
            run.spec.metrics = serde_json::from_value(json!([{"name": "m", "provider": provider}])).unwrap();
            run.status = Some(status.clone());
        }
        settle(&mut world);
        let shown = world.experiment.status.as_ref().unwrap().analysis_runs[0].phase;
        assert_eq!(shown, Some(wanted), "{provider} {inconclusive} {message}");
        assert_eq!(phase(&world), Some(AnalysisPhase::Successful), "the end has come for it before");
    }
}

#[test]
fn pods_that_never_come_fail_it_and_go() {
    let spec =
        json!({"templates": [template("a", 1)], "progressDeadlineSeconds": 60, "scaleDownDelaySeconds": 0});
    let mut world = world(spec);
    settle(&mut world);
    bring_about(&mut world, true);
    let waits = settle(&mut world);
    assert!(matches!(waits.because, Because::WaitingForPods { .. }), "{}", waits.because);
    let wake = waits.wake.unwrap();
    assert_eq!(wake, "2026-01-01T12:01:01Z".parse::<Timestamp>().unwrap());
    world.now = wake;
    settle(&mut world);
    bring_about(&mut world, true);
    settle(&mut world);
    assert_eq!((phase(&world), pods(&world)), (Some(AnalysisPhase::Failed), 0));
    let status = world.experiment.status.clone().unwrap();
    assert_eq!(status.message, "Template 'a' exceeded its progressDeadlineSeconds (60)");
}

#[test]
fn a_refused_write_fails_its_template() {
    let mut world = world(json!({"templates": [template("a", 1), template("b", 1)]}));
    let plan = plan(&world);
    let refused = super::refused(&world, &plan.writes[1].write, "exceeded quota");
    apply(&mut world, &refused.writes[0].write);
    let status = world.experiment.status.clone().unwrap();
    assert_eq!(
        status.template_statuses[0].message,
        "Failed to create ReplicaSet for template 'b': exceeded quota"
    );
    settle(&mut world);
    assert_eq!(phase(&world), Some(AnalysisPhase::Error));
    let again = super::refused(&world, &plan.writes[1].write, "exceeded quota");
    assert!(again.writes.is_empty(), "one that has failed stays as it failed");
}

/// Not for ever tried again: whoever waits for the Experiment hears that it can have no verdict.
#[test]
fn a_refused_run_fails_its_analysis() {
    let mut world = world(json!({
        "templates": [template("a", 1)], "scaleDownDelaySeconds": 0,
        "analyses": [{"name": "x", "templateName": "ok"}, {"name": "x.y", "templateName": "ok"}],
    }));
    settle(&mut world);
    bring_about(&mut world, false);
    let run = loop {
        let plan = plan(&world);
        let created = plan.writes.iter().find(|planned| matches!(planned.write, Write::CreateRun(_)));
        if let Some(created) = created {
            break created.write.clone();
        }
        plan.writes.iter().for_each(|planned| apply(&mut world, &planned.write));
    };
    let refused = super::refused(&world, &run, "exceeded quota");
    let told: Vec<&str> = refused.writes[0].notices.iter().map(|notice| notice.reason).collect();
    assert_eq!(told, ["AnalysisRunError"]);
    apply(&mut world, &refused.writes[0].write);
    let status = world.experiment.status.clone().unwrap();
    let message = "Failed to create AnalysisRun for analysis 'x': exceeded quota";
    assert_eq!(status.analysis_runs[0].message, message);
    settle(&mut world);
    bring_about(&mut world, false);
    settle(&mut world);
    let status = world.experiment.status.clone().unwrap();
    assert_eq!((status.phase, status.message.as_str()), (Some(AnalysisPhase::Error), message));
    assert_eq!((pods(&world), world.runs.len()), (0, 0));
}

/// The Experiment that a canary's step asks for runs to its end, and then the step is done.
#[test]
fn what_a_step_asks_for_can_be_run() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/cases/rollout/experiment_begins/world.yaml");
    let mut canary = crate::cases::world(Path::new(path));
    let begun = crate::rollout::plan(&canary);
    let made = begun.writes.iter().find_map(|planned| {
        if let crate::plan::Write::CreateExperiment(made) = &planned.write { Some(made) } else { None }
    });
    let made = made.unwrap();
    let mut world = world(json!({}));
    world.templates.clone_from(&canary.templates);
    world.experiment = Arc::new((**made).clone());
    Arc::make_mut(&mut world.experiment).metadata.uid = Some("e1".to_owned());
    settle(&mut world);
    let hashes: Vec<&str> = world.sets.iter().map(|set| set.hash()).collect();
    assert!(!hashes.contains(&"v1") && !hashes.contains(&"v2"), "in the Services of the canary: {hashes:?}");
    bring_about(&mut world, false);
    settle(&mut world);
    assert_eq!((phase(&world), pods(&world)), (Some(AnalysisPhase::Running), 3));
    assert_eq!(world.runs[0].spec.args[0].value.as_deref(), Some("v2"));
    pass(&mut world, 61);
    settle(&mut world);
    assert_eq!(phase(&world), Some(AnalysisPhase::Successful));
    canary = crate::lint::after(&canary, &begun);
    for experiment in &mut canary.experiments.own {
        if experiment.metadata.name == world.experiment.metadata.name {
            *experiment = Arc::clone(&world.experiment);
        }
    }
    let done = crate::rollout::plan(&canary);
    assert_eq!(done.because, crate::plan::Because::Moves(crate::plan::Move::StepDone { step: 1, of: 2 }));
}

/// The hash of the same pods in a Rollout, and of the same pods in another template, is another one.
#[test]
fn no_service_reaches_pods_of_two_owners() {
    let same = |name: &str| {
        let mut template = template(name, 1);
        template["template"]["metadata"]["labels"] = json!({"app": "shop"});
        template["selector"] = json!({"matchLabels": {"app": "shop"}});
        template
    };
    let mut world = world(json!({"templates": [same("a"), same("b")]}));
    settle(&mut world);
    let of_a_rollout = pod_template_hash(&canonical(&world.experiment.spec.templates[0].template.0), None);
    let hashes: Vec<&str> = world.sets.iter().map(|set| set.hash()).collect();
    assert!(hashes[0] != hashes[1] && !hashes.contains(&of_a_rollout.as_str()), "{hashes:?}");
    for service in &world.services {
        let reached = world.sets.iter().filter(|set| Some(set.hash()) == service.hash());
        assert_eq!(reached.count(), 1);
    }
}

/// What somebody does, or what happens.
#[derive(Clone, Debug)]
enum Act {
    Round { upto: usize },
    Pods { broken: bool },
    Runs(AnalysisPhase),
    Pass(i64),
    Terminate,
    Retry,
    DeleteSet,
    DeleteRun,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let phases = prop::sample::select(vec![
        AnalysisPhase::Running,
        AnalysisPhase::Successful,
        AnalysisPhase::Failed,
        AnalysisPhase::Error,
        AnalysisPhase::Inconclusive,
    ]);
    let act = prop_oneof![
        8 => (0_usize..6).prop_map(|upto| Act::Round { upto }),
        8 => Just(Act::Round { upto: usize::MAX }),
        6 => prop::bool::weighted(0.2).prop_map(|broken| Act::Pods { broken }),
        3 => phases.prop_map(Act::Runs),
        4 => (1_i64..400).prop_map(Act::Pass),
        1 => Just(Act::Terminate),
        1 => Just(Act::Retry),
        1 => Just(Act::DeleteSet),
        1 => Just(Act::DeleteRun),
    ];
    prop::collection::vec(act, 1..60)
}

fn specs() -> impl Strategy<Value = Value> {
    let durations = prop::sample::select(vec!["", "1m", "10m", "soon"]);
    (durations, 0_i32..3, 0_i32..3, prop::sample::select(vec![0, 5, 30]), any::<[bool; 2]>()).prop_map(
        |(duration, one, other, delay, [analysed, required])| {
            let analyses = if analysed {
                json!([
                    {"name": "x", "templateName": "ok", "requiredForCompletion": required},
                    {"name": "y", "templateName": "ok"},
                ])
            } else {
                json!([])
            };
            json!({
                "duration": duration, "templates": [template("a", one), template("b", other)],
                "scaleDownDelaySeconds": delay, "progressDeadlineSeconds": 100, "analyses": analyses,
            })
        },
    )
}

fn act(world: &mut ExperimentWorld, act: &Act) {
    match act {
        Act::Round { upto } => drop(round(world, *upto)),
        Act::Pods { broken } => bring_about(world, *broken),
        Act::Runs(phase) => finish_runs(world, *phase, false),
        Act::Pass(seconds) => pass(world, *seconds),
        Act::Terminate => Arc::make_mut(&mut world.experiment).spec.terminate = true,
        Act::Retry => Arc::make_mut(&mut world.experiment).status = None,
        Act::DeleteSet => drop(world.sets.pop()),
        Act::DeleteRun => drop(world.runs.pop()),
    }
}

proptest! {
    /// Every prefix is safe whatever happens, each plan comes to an end, and whoever terminates it ends with no pods, no
    /// Services, no run that measures, and a verdict.
    #[test]
    fn terminating_always_ends_with_nothing_left(spec in specs(), acts in acts()) {
        let mut world = world(spec);
        for one in &acts {
            act(&mut world, one);
        }
        settle(&mut world);
        act(&mut world, &Act::Terminate);
        for _ in 0..6 {
            settle(&mut world);
            bring_about(&mut world, false);
            finish_runs(&mut world, AnalysisPhase::Successful, true);
            pass(&mut world, 31);
        }
        let last = settle(&mut world);
        prop_assert_eq!(last.because, Because::Settled);
        prop_assert_eq!((pods(&world), world.services.len()), (0, 0));
        prop_assert!(phase(&world).is_some_and(AnalysisPhase::is_completed), "{:?}", phase(&world));
        for run in &world.runs {
            let done = run.status.as_ref().and_then(|status| status.phase).is_some_and(AnalysisPhase::is_completed);
            prop_assert!(done, "{:?} still measures", run.metadata.name);
        }
    }
}
