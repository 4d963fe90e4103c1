//! The ready-made templates in `analysis-templates/`: each is parsed, built into a run as a Rollout would, and
//! measured on sample answers.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use tidegate_api::analysis::{AnalysisRun, AnalysisTemplate, Metric};
use tidegate_api::rollout::{Rollout, RolloutAnalysis};

use super::*;
use crate::metric::{Answer, Defaults, Request, Response, job};
use crate::rollout::world::TemplateKey;

/// Name of a metric, an answer that is just good, one that is just bad; `None` where a metric has no row, which fails.
fn samples(metric: &str) -> Option<(&'static str, &'static str)> {
    match metric {
        "success-rate" => Some(("0.95", "0.94")),
        "latency-p95" => Some(("0.5", "0.51")),
        "error-ratio" => Some(("2", "2.1")),
        "cpu" | "memory" => Some(("0.9", "0.91")),
        "throttled" => Some(("0.25", "0.26")),
        "restarts" => Some(("0", "1")),
        "error-log-rate" => Some(("1", "1.1")),
        "queue-lag" => Some(("1000", "1001")),
        _ => None,
    }
}

fn templates() -> BTreeMap<String, AnalysisTemplate> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../analysis-templates");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.file_name().unwrap() != "README.md");
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

/// Builds the run of a step, with a value for each argument that has no default and those given.
fn build(template: &AnalysisTemplate, given: &[(&str, &str)]) -> AnalysisRun {
    let name = template.metadata.name.as_deref().unwrap();
    let rollout: Rollout = serde_json::from_value(json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
        "metadata": {"name": "shop", "namespace": "ns", "uid": "u"}, "spec": {},
    }))
    .unwrap();
    let is_given = |name: &str| given.iter().any(|(known, _)| *known == name);
    let args: Vec<Value> = template
        .spec
        .args
        .iter()
        .filter(|arg| arg.value.is_none() && !is_given(&arg.name))
        .map(|arg| match arg.name.as_str() {
            "canary-hash" => json!({"name": arg.name, "valueFrom": {"podTemplateHashValue": "Latest"}}),
            "stable-hash" => json!({"name": arg.name, "valueFrom": {"podTemplateHashValue": "Stable"}}),
            "namespace" => {
                json!({"name": arg.name, "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}})
            }
            "url" => json!({"name": arg.name, "value": "http://sample"}),
            _ => json!({"name": arg.name, "value": "sample"}),
        })
        .chain(given.iter().map(|(name, value)| json!({"name": name, "value": value})))
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

fn defaults() -> Defaults {
    Defaults { prometheus_address: Some("http://prometheus".to_owned()), ..Defaults::default() }
}

/// Measures until the run ends; returns its phase and how often that metric was measured.
fn verdict(run: &AnalysisRun, metric: &str, answer: impl Fn(&MeasureRequest) -> Answer) -> (String, usize) {
    let mut run = run.clone();
    let mut now = jiff::Timestamp::UNIX_EPOCH;
    let mut measured = 0;
    for _ in 0..30 {
        let world = RunWorld { defaults: defaults(), ..RunWorld::of(&run, now) };
        let mut planned = plan(&world);
        if !planned.requests.is_empty() {
            measured += planned.requests.iter().filter(|request| request.metric == metric).count();
            let outcome = |request: &MeasureRequest| Outcome {
                metric: request.metric.clone(),
                answer: Ok(answer(request)),
            };
            let outcomes: Vec<Outcome> = planned.requests.iter().map(outcome).collect();
            planned = record(&world, &outcomes, now);
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

fn server(status: u16, body: &str) -> Answer {
    Answer::Server(Response { status, body: body.as_bytes().to_vec(), retry_after_seconds: None })
}

/// What Prometheus answers: one sample, or none.
fn vector(query: &str, sample: &str) -> Answer {
    let balance = |open: char, close: char| query.matches(open).count() == query.matches(close).count();
    assert!(!query.contains("{{") && balance('(', ')') && balance('{', '}'), "{query}");
    let result = if sample.is_empty() {
        String::new()
    } else {
        format!(r#"{{"metric":{{}},"value":[1,"{sample}"]}}"#)
    };
    server(200, &format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{result}]}}}}"#))
}

/// The value that an argument has by default.
fn default_of(template: &AnalysisTemplate, name: &str) -> usize {
    let arg = template.spec.args.iter().find(|arg| arg.name == name).unwrap();
    arg.value.as_ref().unwrap().parse().unwrap()
}

#[test]
fn no_template_has_a_fault_or_a_condition_that_passes_on_missing_data() {
    let templates = templates();
    assert_eq!(templates.len(), 24);
    for (name, template) in templates {
        let known = Template::from(template);
        let told = [template_faults(&known), template_cautions(&known)].concat();
        assert!(told.is_empty(), "{name}: {told:?}");
    }
}

/// An analysis that names several templates is refused where they disagree.
#[test]
fn arguments_of_one_name_have_one_default_so_that_templates_go_together() {
    let templates = templates();
    let mut defaults: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, template) in &templates {
        for arg in &template.spec.args {
            let Some(value) = arg.value.as_deref() else { continue };
            let known = *defaults.entry(&arg.name).or_insert(value);
            assert_eq!(known, value, "{} of {name}", arg.name);
        }
    }
}

#[test]
fn each_metric_of_prometheus_tells_good_from_bad_and_waits_when_it_is_quiet() {
    for (name, template) in templates() {
        let of_prometheus = |metric: &&Metric| metric.provider.prometheus.is_some();
        for metric in template.spec.metrics.iter().filter(of_prometheus) {
            let known = |metric: &str| samples(metric).unwrap_or_else(|| panic!("{metric} has no samples"));
            let (good, bad) = known(&metric.name);
            let run = build(&template, &[]);
            let count = |name| default_of(&template, name);
            let (failed, quiet) = (count("failure-limit") + 1, count("quiet-limit") + 1);
            for (sample, phase, measured) in [
                (good, "Successful", count("count")),
                (bad, "Failed", failed),
                ("", "Inconclusive", quiet),
                ("NaN", "Inconclusive", quiet),
            ] {
                // The others are good.
                let told = verdict(&run, &metric.name, |request| {
                    let Request::Prometheus(query) = &request.request else { panic!("{request:?}") };
                    let sample =
                        if request.metric == metric.name { sample } else { known(&request.metric).0 };
                    vector(&query.query, sample)
                });
                assert_eq!(told, (phase.to_owned(), measured), "{name}, {} on {sample:?}", metric.name);
            }
        }
    }
}

#[test]
fn the_smoke_test_over_the_web_wants_the_value_that_is_expected() {
    let template = &templates()["smoke-test-web"];
    for (status, body, phase, measured) in [
        (200, r#"{"status": "ok"}"#, "Successful", 3),
        (200, r#"{"status": "down"}"#, "Failed", 1),
        // Five errors in a row are one more than upstream bears.
        (200, r#"{"other": "ok"}"#, "Error", 5),
        (503, r#"{"status": "ok"}"#, "Error", 5),
    ] {
        let told = verdict(&build(template, &[]), "smoke-test-web", |_| server(status, body));
        assert_eq!(told, (phase.to_owned(), measured), "{status} {body}");
    }
    let whole = build(template, &[("json-path", "{$}"), ("expected", "fine")]);
    assert_eq!(verdict(&whole, "smoke-test-web", |_| server(200, "fine")).0, "Successful");
}

#[test]
fn the_smoke_test_by_a_job_ends_as_its_job() {
    let given = [("contains", "two words"), ("image", "registry/tools:1")];
    let mut run = build(&templates()["smoke-test-job"], &given);
    run.metadata.uid = Some("u".to_owned());
    for (status, phase) in [
        (json!({"conditions": [{"type": "Complete", "status": "True"}]}), "Successful"),
        (json!({"conditions": [{"type": "Failed", "status": "True"}]}), "Failed"),
    ] {
        let job = RefCell::new(Value::Null);
        let told = verdict(&run, "smoke-test-job", |request| {
            if let Request::Job(job::Request::Start { object, .. }) = &request.request {
                *job.borrow_mut() = object.clone();
            } else {
                job.borrow_mut()["status"] = status.clone();
            }
            Answer::Job(job::Shown { job: job.borrow().clone(), pods: Vec::new() })
        });
        assert_eq!(told.0, phase);
        let pod = &job.borrow()["spec"]["template"]["spec"];
        let container = &pod["containers"][0];
        assert_eq!(
            (&container["image"], &pod["restartPolicy"]),
            (&json!("registry/tools:1"), &json!("Never"))
        );
        let env =
            json!([{"name": "URL", "value": "http://sample"}, {"name": "CONTAINS", "value": "two words"}]);
        assert_eq!(container["env"], env);
    }
}

#[test]
fn the_judges_templates_ask_for_the_counters_of_both_versions() {
    let hashes = ["-new-", "-old-"];
    let services = ["shop-canary", "shop-stable"];
    for (name, preset, counter, sides) in [
        ("judge-pods", "app", "http_requests_total", hashes),
        ("judge-pods", "istio", "istio_requests_total", hashes),
        ("judge-pods", "linkerd", "response_total", hashes),
        ("judge-services", "traefik", "traefik_service_requests_total", services),
        ("judge-services", "openshift-router", "haproxy_server_http_responses_total", services),
        ("judge-services", "envoy-gateway", "envoy_cluster_upstream_rq_total", services),
        (
            "judge-ingress-nginx",
            "nginx",
            "nginx_ingress_controller_requests",
            ["canary!=\"\"", "canary=\"\""],
        ),
    ] {
        let given = [("preset", preset), ("stable", services[1]), ("canary", services[0])];
        let template = &templates()[name];
        let has = |word: &str| template.spec.args.iter().any(|arg| arg.name == word);
        let given: Vec<_> = given.into_iter().filter(|(word, _)| has(word)).collect();
        let run = build(template, &given);
        let world = RunWorld { defaults: defaults(), ..RunWorld::of(&run, jiff::Timestamp::UNIX_EPOCH) };
        let planned = plan(&world);
        let [MeasureRequest { request: Request::Prometheus(query), .. }] = planned.requests.as_slice() else {
            panic!("{name}: {:?}", record(&world, &[], world.now).status)
        };
        for part in [&[counter, "ns"], &sides[..]].concat() {
            assert!(
                query.query.contains(part) && query.address == "http://prometheus",
                "{name}: {}",
                query.query
            );
        }
    }
}
