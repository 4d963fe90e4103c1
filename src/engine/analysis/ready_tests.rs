//! The ready-made templates in `analysis-templates/`: each is parsed, built into a run as a Rollout would, and
//! measured on sample answers.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use tidegate_api::analysis::{AnalysisRun, AnalysisTemplate};
use tidegate_api::rollout::{Rollout, RolloutAnalysis};

use super::*;
use crate::metric::{Answer, Defaults, Request, Response};
use crate::rollout::world::TemplateKey;

/// Name, a good answer, a bad answer; `None` where a file has no row, which fails.
fn samples(name: &str) -> Option<(&'static str, &'static str)> {
    match name {
        "success-rate-traefik" | "success-rate-application" | "success-rate-ingress-nginx" => {
            Some(("0.95", "0.94"))
        }
        "latency-p95-traefik" | "latency-p95-application" => Some(("0.5", "0.51")),
        "error-ratio-canary-stable" => Some(("2", "2.1")),
        _ => None,
    }
}

fn templates() -> BTreeMap<String, AnalysisTemplate> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../analysis-templates");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let parse = |path: std::path::PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        let json: Value = serde_saphyr::from_str(&text).unwrap();
        let template: AnalysisTemplate = serde_json::from_value(json.clone()).unwrap();
        let written = serde_json::to_value(&template).unwrap();
        assert_eq!(written["spec"], json["spec"], "{}: a field is not one of the kind's", path.display());
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        assert_eq!(template.metadata.name.as_deref(), Some(name.as_str()));
        (name, template)
    };
    files.map(parse).collect()
}

/// Builds the run of a step, with a value for each argument that has no default.
fn build(name: &str, template: &AnalysisTemplate) -> AnalysisRun {
    let rollout: Rollout = serde_json::from_value(json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
        "metadata": {"name": "shop", "namespace": "ns", "uid": "u"}, "spec": {},
    }))
    .unwrap();
    let args: Vec<Value> = template
        .spec
        .args
        .iter()
        .filter(|arg| arg.value.is_none())
        .map(|arg| match arg.name.as_str() {
            "canary-hash" => json!({"name": arg.name, "valueFrom": {"podTemplateHashValue": "Latest"}}),
            "stable-hash" => json!({"name": arg.name, "valueFrom": {"podTemplateHashValue": "Stable"}}),
            "namespace" => {
                json!({"name": arg.name, "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}})
            }
            _ => json!({"name": arg.name, "value": "sample"}),
        })
        .collect();
    let analysis: RolloutAnalysis =
        serde_json::from_value(json!({"templates": [{"templateName": name}], "args": args})).unwrap();
    let key = TemplateKey { cluster: false, name: name.to_owned() };
    let request = RunRequest {
        rollout: &rollout,
        name: "run".to_owned(),
        analysis: &analysis,
        kind: RunKind::Step { index: 0 },
        templates: &BTreeMap::from([(key, Arc::new(template.clone().into()))]),
        stable_hash: "old",
        latest_hash: "new",
        revision: 2,
        instance_id: None,
    };
    new_run(&request).unwrap_or_else(|why| panic!("{name}: {why}"))
}

/// Measures until the run ends, always with the same answer; returns its phase and how often it measured.
fn verdict(run: &AnalysisRun, sample: &str) -> (String, usize) {
    let result = if sample.is_empty() {
        String::new()
    } else {
        format!(r#"{{"metric":{{}},"value":[1,"{sample}"]}}"#)
    };
    let body = format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{result}]}}}}"#)
        .into_bytes();
    let mut run = run.clone();
    let mut now = jiff::Timestamp::UNIX_EPOCH;
    let mut measured = 0;
    for _ in 0..30 {
        let defaults =
            Defaults { prometheus_address: Some("http://prometheus".to_owned()), ..Defaults::default() };
        let world = RunWorld { defaults, ..RunWorld::of(&run, now) };
        let mut planned = plan(&world);
        if let [request] = planned.requests.as_slice() {
            let Request::Prometheus(query) = &request.request else { panic!("{request:?}") };
            let balance = |open: char, close: char| {
                query.query.matches(open).count() == query.query.matches(close).count()
            };
            assert!(!query.query.contains("{{") && balance('(', ')') && balance('{', '}'), "{}", query.query);
            let answer =
                Ok(Answer::Server(Response { status: 200, body: body.clone(), retry_after_seconds: None }));
            planned = record(&world, &[Outcome { metric: request.metric.clone(), answer }], now);
            measured += 1;
        }
        run.status = planned.status.or(run.status);
        let phase = run.status.as_ref().and_then(|status| status.phase).unwrap();
        if phase.is_completed() {
            return (phase.as_str().to_owned(), measured);
        }
        now = planned.wake.unwrap();
    }
    panic!("no verdict: {:?}", run.status);
}

#[test]
fn each_template_tells_good_from_bad_and_waits_when_it_is_quiet() {
    let templates = templates();
    assert!(templates.len() >= 7);
    let asks_judge = |template: &&AnalysisTemplate| template.spec.metrics[0].provider.judge().is_some();
    for (name, template) in templates.iter().filter(|(_, template)| !asks_judge(template)) {
        let (good, bad) = samples(name).unwrap_or_else(|| panic!("{name} has no sample answers"));
        let run = build(name, template);
        for (sample, phase, measured) in
            [(good, "Successful", 5), (bad, "Failed", 2), ("", "Inconclusive", 3), ("NaN", "Inconclusive", 3)]
        {
            assert_eq!(verdict(&run, sample), (phase.to_owned(), measured), "{name} on {sample:?}");
        }
    }
}

#[test]
fn the_judges_templates_ask_for_the_counters_of_both_versions() {
    for (name, template) in templates() {
        let known = Template::from(template.clone());
        let told = [template_faults(&known), template_cautions(&known)].concat();
        assert!(told.is_empty(), "{name}: {told:?}");
        if template.spec.metrics[0].provider.judge().is_none() {
            continue;
        }
        let defaults =
            Defaults { prometheus_address: Some("http://prometheus".to_owned()), ..Defaults::default() };
        let now = jiff::Timestamp::UNIX_EPOCH;
        let world = RunWorld { defaults, ..RunWorld::of(&build(&name, &template), now) };
        let planned = plan(&world);
        let [MeasureRequest { request: Request::Prometheus(query), .. }] = planned.requests.as_slice() else {
            panic!("{name}: {:?}", record(&world, &[], world.now).status)
        };
        for part in ["namespace=\"ns\"", "-new-", "-old-"] {
            assert!(
                query.query.contains(part) && query.address == "http://prometheus",
                "{name}: {}",
                query.query
            );
        }
    }
}
