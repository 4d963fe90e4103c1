//! Experiments that a seed has: as steps of its canary, and those that people make beside the Rollout.
//!
//! Input: chance. Output: steps, specs, and what people do with them.

use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::experiments::standalone;
use crate::random::Random;
use crate::shape::{self, BAD_IMAGES, GOOD_IMAGES, TEMPLATE};

/// Experiments that people make for themselves.
const STANDALONE: [&str; 2] = ["probe-a", "probe-b"];

/// Something that a person does with Experiments; the number chooses which.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ExperimentAct {
    /// Makes one of a spec in JSON, or gives the one that is there that spec.
    Apply(&'static str, String),
    Terminate(u64),
    /// Has it run again.
    Retry(u64),
    Delete(u64),
}

impl ExperimentAct {
    /// What people do when nobody watches them.
    pub(crate) fn random(random: &mut Random) -> Self {
        match random.below(10) {
            0..=5 => Self::Apply(random.pick::<&str>(&STANDALONE), spec(random).to_string()),
            6 | 7 => Self::Terminate(random.draw()),
            8 => Self::Retry(random.draw()),
            _ => Self::Delete(random.draw()),
        }
    }

    /// Does it.
    pub(crate) fn carry_out(&self, cluster: &mut Cluster) {
        let done = match self {
            Self::Apply(name, spec) => {
                let made = standalone(name, &serde_json::from_str(spec).unwrap_or_default());
                if cluster.experiments.get(name).is_some() {
                    cluster.edit_experiment(name, |known| known.spec = made.spec)
                } else {
                    cluster.create_experiment(&made)
                }
            }
            Self::Terminate(which) => cluster.stop_experiment(&chosen(cluster, *which)),
            Self::Retry(which) => {
                cluster.edit_experiment(&chosen(cluster, *which), |known| known.status = None)
            }
            Self::Delete(which) => cluster.remove_experiment(&chosen(cluster, *which)),
        };
        // With one that is not there, there is nothing to do.
        let _missing = done;
    }

    /// How a story tells it.
    pub(crate) fn told(&self) -> String {
        match self {
            Self::Apply(name, _) => format!("applies Experiment {name}"),
            Self::Terminate(_) => "terminates some Experiment".to_owned(),
            Self::Retry(_) => "has some Experiment run again".to_owned(),
            Self::Delete(_) => "deletes some Experiment".to_owned(),
        }
    }
}

fn chosen(cluster: &Cluster, which: u64) -> String {
    let count = cluster.experiments.all().count().max(1) as u64;
    let index = usize::try_from(which % count).unwrap_or(0);
    cluster.experiments.all().nth(index).map(|(name, _)| name.clone()).unwrap_or_default()
}

/// Puts steps that run Experiments among the others; where routers can, their templates may have shares of the traffic.
pub(crate) fn among(random: &mut Random, canary: &mut Value, shares: bool) {
    let Some(steps) = canary["steps"].as_array_mut() else { return };
    for _ in 0..random.int(1, 2) {
        let at = usize::try_from(random.below(steps.len() as u64 + 1)).unwrap_or(0);
        steps.insert(at, json!({ "experiment": step(random, shares) }));
    }
}

/// What a step asks for.
fn step(random: &mut Random, shares: bool) -> Value {
    let mut experiment = json!({});
    let templates = (0..random.int(1, 2)).map(|index| {
        let mut template = json!({
            "name": if index == 0 { "old" } else { "new" },
            "specRef": *random.pick(&["stable", "canary"]),
        });
        shared(random, &mut template);
        if shares && random.chance(500) {
            template["weight"] = json!(*random.pick(&[1, 5, 20, 60]));
        }
        if random.chance(300) {
            template["metadata"] = json!({ "labels": { "side": "experiment" } });
        }
        template
    });
    experiment["templates"] = templates.collect();
    // One that can never be run would hold its Rollout up for ever.
    terms(random, &[TEMPLATE], &mut experiment);
    experiment
}

/// The spec of one that stands alone.
fn spec(random: &mut Random) -> Value {
    let mut experiment = json!({});
    let templates = (0..random.int(1, 2)).map(|index| {
        let image = if random.chance(150) { random.pick(&BAD_IMAGES) } else { random.pick(&GOOD_IMAGES) };
        let twice = random.chance(30);
        let mut template = json!({
            "name": if index == 0 || twice { "old" } else { "new" },
            "selector": { "matchLabels": { "app": "shop" } },
            "template": shape::template(image),
            "minReadySeconds": *random.pick(&[0, 0, 3]),
        });
        shared(random, &mut template);
        template
    });
    experiment["templates"] = templates.collect();
    terms(random, &[TEMPLATE, TEMPLATE, TEMPLATE, "missing"], &mut experiment);
    if random.chance(600) {
        experiment["progressDeadlineSeconds"] = json!(*random.pick(&[10, 60]));
    }
    experiment
}

fn shared(random: &mut Random, template: &mut Value) {
    if random.chance(700) {
        template["replicas"] = json!(random.int(0, 3));
    }
    if random.chance(300) {
        template["service"] = json!({});
    }
}

/// How long an Experiment runs, and what it measures.
fn terms(random: &mut Random, known: &[&str], experiment: &mut Value) {
    if random.chance(800) {
        experiment["duration"] = json!(*random.pick(&["1s", "5s", "30s", "2m"]));
    }
    if random.chance(600) {
        experiment["scaleDownDelaySeconds"] = json!(*random.pick(&[0, 1, 5, 40]));
    }
    let names = ["errors", "latency"];
    let analyses = names.iter().take(usize::try_from(random.below(3)).unwrap_or(0)).map(|name| {
        let template = random.pick(known);
        json!({ "name": name, "templateName": template, "requiredForCompletion": random.chance(500) })
    });
    let analyses: Value = analyses.collect();
    if analyses != json!([]) {
        experiment["analyses"] = analyses;
    }
}
