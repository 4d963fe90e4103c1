//! Checks against what Argo Rollouts' own functions answer: `upstream/*.json`, made by `e2e/tools/oracle`.
//!
//! A row where Tidegate differs on purpose has the number of the difference in the table of `src/README.md`, and
//! what Tidegate answers; every other row has to be upstream's.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use tidegate_api::rollout::Rollout;

use super::facts::{Facts, size};
use super::replicas::{self, Counts};
use super::world::{HASH_LABEL, Parsed, Set, SetStatus, Texts, World};
use super::{pause, phase, step};
use crate::view::client_phase;

fn section(file: &str, name: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("rollout/upstream").join(file);
    let vectors: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    vectors[name].as_array().unwrap().clone()
}

/// Fails with the first few differences, or with all of them where `DIFFERENCES=all` asks for it.
fn assert_none(checked: usize, differences: &[String]) {
    let shown = if std::env::var_os("DIFFERENCES").is_some() { differences.len() } else { 8 };
    let shown: Vec<&str> = differences.iter().take(shown).map(String::as_str).collect();
    assert!(differences.is_empty(), "{} of {checked} differ:\n{}", differences.len(), shown.join("\n"));
}

fn rollout(row: &Value) -> Rollout {
    let step = |weight: &Value| {
        if weight.is_null() { json!({"pause": {}}) } else { json!({"setWeight": weight}) }
    };
    let steps: Vec<Value> = row["steps"].as_array().into_iter().flatten().map(step).collect();
    let mut canary = json!({"steps": steps, "maxSurge": row["surge"], "maxUnavailable": row["away"],
        "minPodsPerReplicaSet": row["minPods"], "replicaProgressThreshold": row["threshold"]});
    if row["routed"] == true {
        canary["canaryService"] = json!("canary");
        canary["stableService"] = json!("stable");
        canary["trafficRouting"] = json!({"nginx": {"stableIngress": "web"}, "maxTrafficWeight": row["max"]});
    }
    let stable = if row["stable"].is_null() { "" } else { "stable" };
    serde_json::from_value(json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": "web", "namespace": "shop", "uid": "u"},
        "spec": {
            "replicas": row["r"],
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": "web:1"}]},
            },
            "strategy": {"canary": canary},
        },
        "status": {
            "currentStepIndex": row["at"],
            "currentPodHash": "new",
            "stableRS": stable,
            "abort": row["abort"] == true,
            "promoteFull": row["full"] == true,
        },
    }))
    .unwrap()
}

/// A ReplicaSet of `[spec.replicas, status.replicas, available]`.
fn set(name: String, hash: &str, sizes: &Value) -> Option<Arc<Set>> {
    let at = |index: usize| i32::try_from(sizes[index].as_i64().unwrap()).unwrap();
    sizes.as_array()?;
    Some(Arc::new(Set {
        uid: name.clone(),
        name,
        owner: Some("u".to_owned()),
        labels: Texts::from_iter([(HASH_LABEL.to_owned(), hash.to_owned())]),
        replicas: at(0),
        status: SetStatus { replicas: at(1), available: at(2), ..SetStatus::default() },
        ..Set::default()
    }))
}

fn world(row: &Value) -> World {
    let rollout = rollout(row);
    let spec = Parsed::new(&rollout);
    let own = spec.template.hash(None);
    let mut sets: Vec<Arc<Set>> = Vec::new();
    sets.extend(set("new".to_owned(), &own, &row["new"]));
    sets.extend(set("stable".to_owned(), "stable", &row["stable"]));
    for (index, other) in row["others"].as_array().into_iter().flatten().enumerate() {
        sets.extend(set(format!("other-{index}"), &format!("other-{index}"), other));
    }
    World {
        now: "2026-01-01T12:00:00Z".parse().unwrap(),
        rollout: Arc::new(rollout),
        spec: Arc::new(spec),
        sets,
        pods: Vec::new(),
        services: BTreeMap::new(),
        endpoints: BTreeMap::new(),
        routes: BTreeMap::new(),
        unread: BTreeMap::new(),
        runs: Vec::new(),
        foreign_runs: BTreeSet::new(),
        experiments: Default::default(),
        templates: BTreeMap::new(),
        troubles: BTreeMap::new(),
        digests: BTreeMap::new(),
        holds: false,
        workload: None,
    }
}

/// Weight of the steps, weight for the pods, pods of the new and the stable ReplicaSet, whether they are there.
fn answer(world: &World) -> [i32; 5] {
    let valid = world.spec.valid.as_ref().unwrap_or_else(|errors| panic!("{errors:?}"));
    let (status, strategy) =
        (world.rollout.status.as_ref().unwrap(), world.rollout.spec.strategy.canary.as_ref().unwrap());
    let facts = Facts::new(world, valid, valid.canary().unwrap(), status, strategy);
    let aborted = pause::abort_asked(status);
    let want = step::desired_counts(&facts, aborted);
    let counts = if facts.routed() {
        want
    } else {
        let spec = |sets: &[&Set]| replicas::total(sets.iter().map(|set| set.replicas));
        let (new, stable) = (facts.new.map(size), facts.distinct_stable().map(size));
        replicas::next(facts.limits, want, new, stable, spec(&facts.all), spec(&facts.others))
    };
    let Counts { new, stable } = counts;
    let there = step::at_desired_counts(&facts, aborted);
    [step::weight(&facts, aborted), step::pod_weight(&facts, aborted), new, stable, i32::from(there)]
}

#[test]
fn weights_and_counts_are_upstreams() {
    let rows = section("counts.json", "counts");
    assert!(rows.len() >= 3000);
    let mut differences = Vec::new();
    let mut differ = BTreeSet::new();
    for row in &rows {
        let mut got = answer(&world(row));
        if row["stable"].is_null() || row["new"].is_null() {
            // Without one of the two revisions there are no steps, and nobody asks whether the pods are there for one.
            got[4] = 0;
        }
        let got = json!(got);
        differ.extend(row["differs"].as_array().into_iter().flatten().filter_map(Value::as_i64));
        if &got != row.get("here").unwrap_or(&row["go"]) {
            differences.push(format!("{got} for {row}"));
        }
    }
    assert_none(rows.len(), &differences);
    assert_eq!(differ.into_iter().collect::<Vec<_>>(), [5, 12, 31, 32]);
}

#[test]
fn phases_are_upstreams() {
    let rows = section("phases.json", "phases");
    assert!(rows.len() >= 500);
    let mut differences = Vec::new();
    let mut differ = BTreeSet::new();
    let words = |(phase, message)| json!([phase, message]);
    for row in &rows {
        let rollout: Rollout = serde_json::from_value(row["rollout"].clone()).unwrap();
        let got = words(phase::phase(&rollout, rollout.status.as_ref().unwrap()));
        let client = words(client_phase(&rollout));
        differ.extend(row["differs"].as_i64());
        if &got != row.get("here").unwrap_or(&row["go"])
            || &client != row.get("hereClient").unwrap_or(&row["client"])
        {
            differences.push(format!("{got} and {client} for {row}"));
        }
    }
    assert_none(rows.len(), &differences);
    assert_eq!(differ.into_iter().collect::<Vec<_>>(), [15]);
}
