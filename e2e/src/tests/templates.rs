//! The ready-made templates in `analysis-templates/`, each put to a real Prometheus that holds series of the shape which
//! its product has: a version that errs, one that does not, one without requests, and one that nobody knows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use futures::StreamExt;
use serde_json::{Value, json};

use super::shop::RUN;
use crate::images::BUSYBOX;
use crate::manifest;
use crate::scene::Scene;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../analysis-templates");
/// Writes what the exporters answer.
const SERIES: &str = include_str!("templates/series.sh");
/// Writes them anew each second: a scrape must cost next to nothing, or it is late on a busy machine.
const START: &str = "
    mkdir /tmp/www
    cp /files/*.json /tmp/www
    export START=$(date +%s)
    while true; do
        sh /files/series.sh > /tmp/metrics && mv /tmp/metrics /tmp/www/metrics
        sleep 1
    done &
    exec httpd -f -p 8080 -h /tmp/www
";
/// Runs that are created or waited for at once.
const AT_ONCE: usize = 16;

/// The versions that are asked about; of the last one there are no series.
const VERSIONS: [&str; 4] = ["good", "bad", "quiet", "absent"];

/// A template and the arguments that tell this question from others. `VERSION` stands for the version, `SPACE` for the
/// test's namespace.
type Question = (&'static str, &'static [(&'static str, &'static str)]);

const QUESTIONS: [Question; 36] = [
    ("error-log-rate", &[]),
    ("error-ratio-canary-stable", &[]),
    ("judge-ingress-nginx", &[("ingress", "kept-VERSION")]),
    ("judge-ingress-nginx", &[("ingress", "plain-VERSION")]),
    ("judge-pods", &[("preset", "app")]),
    ("judge-pods", &[("preset", "istio")]),
    ("judge-pods", &[("preset", "linkerd")]),
    ("judge-services", &[("preset", "traefik"), ("stable", "kept-old"), ("canary", "kept-VERSION")]),
    ("judge-services", &[("preset", "traefik"), ("stable", "plain-old"), ("canary", "plain-VERSION")]),
    ("judge-services", &[("preset", "openshift-router"), ("stable", "kept-old"), ("canary", "kept-VERSION")]),
    (
        "judge-services",
        &[("preset", "openshift-router"), ("stable", "plain-old"), ("canary", "plain-VERSION")],
    ),
    (
        "judge-services",
        &[
            ("preset", "envoy-gateway"),
            ("stable", "kept-VERSION/rule/0/backend/0"),
            ("canary", "kept-VERSION/rule/0/backend/1"),
        ],
    ),
    ("latency-p95-application", &[]),
    ("latency-p95-envoy-gateway", &[("cluster", "kept-VERSION/rule/0/backend/1")]),
    ("latency-p95-ingress-nginx", &[("ingress", "kept-VERSION")]),
    ("latency-p95-ingress-nginx", &[("ingress", "plain-VERSION")]),
    ("latency-p95-istio", &[]),
    ("latency-p95-linkerd", &[]),
    ("latency-p95-traefik", &[("service", "SPACE-kept-VERSION-80@kubernetescrd")]),
    ("latency-p95-traefik", &[("service", "SPACE-plain-VERSION-80@kubernetescrd")]),
    ("queue-lag-kafka", &[("consumer-group", "VERSION")]),
    ("restarts", &[]),
    ("saturation-cpu", &[]),
    ("saturation-memory", &[]),
    ("success-rate-application", &[]),
    ("success-rate-envoy-gateway", &[("cluster", "kept-VERSION/rule/0/backend/1")]),
    ("success-rate-ingress-nginx", &[("ingress", "kept-VERSION")]),
    ("success-rate-ingress-nginx", &[("ingress", "plain-VERSION")]),
    ("success-rate-istio", &[]),
    ("success-rate-linkerd", &[]),
    ("success-rate-openshift-router", &[("service", "kept-VERSION")]),
    ("success-rate-openshift-router", &[("service", "plain-VERSION")]),
    ("success-rate-traefik", &[("service", "SPACE-kept-VERSION-80@kubernetescrd")]),
    ("success-rate-traefik", &[("service", "SPACE-plain-VERSION-80@kubernetescrd")]),
    // These ask the canary itself; one without users answers like any other.
    ("smoke-test-job", &[("url", "http://check/VERSION.json"), ("contains", "ok")]),
    ("smoke-test-web", &[("url", "http://check.SPACE.svc.cluster.local/VERSION.json")]),
];

/// Arguments of all templates that have them: who is asked about, and less patience than the defaults have. Scrapes that
/// are late on a busy machine are borne.
const COMMON: [(&str, &str); 10] = [
    ("namespace", "SPACE"),
    ("canary-hash", "VERSION"),
    ("stable-hash", "old"),
    ("image", BUSYBOX),
    ("window", "1m"),
    ("initial-delay", "0s"),
    ("interval", "1s"),
    ("count", "4"),
    ("failure-limit", "0"),
    ("quiet-limit", "2"),
];

/// How a run must end. What asks for requests has nothing to say of a version without any; what asks for pods has.
fn expected(template: &str, version: &str) -> &'static str {
    let of_requests =
        ["success-rate", "latency", "error-ratio", "judge"].iter().any(|word| template.starts_with(word));
    match version {
        "good" => "Successful",
        "bad" => "Failed",
        "quiet" if !of_requests => "Successful",
        // Nobody answers; and a Job that finds nobody fails.
        "absent" if template == "smoke-test-web" => "Error",
        "absent" if template == "smoke-test-job" => "Failed",
        _ => "Inconclusive",
    }
}

/// Who answers scrapes: the pods of four versions, and two routers, of which one's own labels collide with those of its
/// series. One of them is the canary that smoke tests ask.
fn exporters() -> Vec<Value> {
    let versions = ["old", "good", "bad", "quiet"].map(|version| {
        let labels = json!({"rollouts-pod-template-hash": version});
        exporter(&format!("shop-{version}-a1b2c"), "pod", version, &labels)
    });
    let kept = exporter("router-kept", "kept", "", &json!({"service": "router-internal-default"}));
    let plain = exporter("router-plain", "plain", "", &json!({"app": "check"}));
    let files = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "files"},
        "data": {
            "series.sh": SERIES,
            "good.json": r#"{"status": "ok"}"#, "quiet.json": r#"{"status": "ok"}"#, "bad.json": r#"{"status": "down"}"#,
        },
    });
    let check = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "check"},
        "spec": {"selector": {"app": "check"}, "ports": [{"port": 80, "targetPort": 8080}]},
    });
    [files, check, kept, plain].into_iter().chain(versions).collect()
}

fn exporter(name: &str, shape: &str, version: &str, labels: &Value) -> Value {
    let annotations = json!({
        "prometheus.io/scrape": "true", "prometheus.io/port": "8080", "prometheus.io/path": "/metrics",
    });
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": labels, "annotations": annotations},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "volumes": [{"name": "files", "configMap": {"name": "files"}}],
            "containers": [{
                "name": "httpd", "image": BUSYBOX,
                "command": ["sh", "-c", START],
                "env": [
                    {"name": "NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
                    {"name": "SHAPE", "value": shape},
                    {"name": "VERSION", "value": version},
                ],
                "volumeMounts": [{"name": "files", "mountPath": "/files"}],
                "readinessProbe": {"httpGet": {"path": "/good.json", "port": 8080}, "periodSeconds": 1},
            }],
        },
    })
}

/// The templates by name, as they are.
fn templates() -> Result<BTreeMap<String, Value>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(FOLDER).context("cannot list the templates")? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            found.insert(name, read(&path)?);
        }
    }
    Ok(found)
}

fn read(path: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let [template] = <[Value; 1]>::try_from(manifest::parse(&text)?)
        .map_err(|all| anyhow::anyhow!("{} holds {} objects", path.display(), all.len()))?;
    Ok(template)
}

/// A run of a template, with the values that a question gives to its arguments.
fn run(template: &Value, name: &str, (_, own): Question, version: &str, scene: &Scene) -> Result<Value> {
    let address = scene.cluster().prometheus_url()?;
    // A judge that has data needs a few looks; one that has none would wait in vain.
    let within = if ["good", "bad"].contains(&version) { "80s" } else { "20s" };
    let given: BTreeMap<&str, String> = COMMON
        .iter()
        .chain(own)
        .map(|(name, value)| (*name, value.replace("SPACE", scene.namespace()).replace("VERSION", version)))
        .chain([("prometheus-address", address), ("within", within.to_owned())])
        .collect();
    let args = template["spec"]["args"].as_array().into_iter().flatten();
    let args: Vec<Value> = args
        .map(|arg| {
            let value = given.get(arg["name"].as_str().unwrap_or_default());
            value.map_or_else(|| arg.clone(), |value| json!({"name": arg["name"], "value": value}))
        })
        .collect();
    Ok(json!({
        "apiVersion": RUN.0, "kind": RUN.1, "metadata": {"name": name},
        "spec": {"args": args, "metrics": template["spec"]["metrics"]},
    }))
}

/// A run for each question and version, its name, and how it must end.
fn runs(templates: &BTreeMap<String, Value>, scene: &Scene) -> Result<Vec<(Value, String, &'static str)>> {
    let mut runs = Vec::new();
    for (number, question) in QUESTIONS.into_iter().enumerate() {
        let template = question.0;
        for version in VERSIONS {
            let name = format!("{number}-{template}-{version}");
            let run = run(&templates[template], &name, question, version, scene)?;
            runs.push((run, name, expected(template, version)));
        }
    }
    Ok(runs)
}

/// Waits for the end of a run; says what is wrong with it.
async fn end(scene: &Scene, name: &str, wanted: &'static str) -> Result<Option<String>> {
    let ended = |run: &Value| {
        let phase = run["status"]["phase"].as_str().unwrap_or_default();
        !["", "Pending", "Running"].contains(&phase)
    };
    let run = scene.until_json(RUN, name, "at its end", ended).await?;
    let status = &run["status"];
    let is_right = status["phase"] == wanted;
    Ok((!is_right).then(|| format!("{name} is {} and not {wanted}: {status}", status["phase"])))
}

pub(super) async fn tell_good_from_bad_by_real_series(scene: Arc<Scene>) -> Result<()> {
    let templates = templates()?;
    let asked: BTreeSet<&str> = QUESTIONS.iter().map(|(template, _)| *template).collect();
    ensure!(asked == templates.keys().map(String::as_str).collect(), "not each template is asked: {asked:?}");
    scene.given("a Prometheus with series of all shapes, of good, bad and quiet versions");
    for object in exporters() {
        manifest::apply_value(&scene.client(), object, scene.namespace()).await?;
    }
    scene.until_endpoints("check", 1).await?;
    let scraped = format!("count(sum_over_time(up{{namespace=\"{}\"}}[10s]) >= 3)", scene.namespace());
    scene.until_prometheus(&scraped, |pods| (pods - 6.0).abs() < 0.5).await?;
    scene.when("each template is run for each version, and for one that nobody knows");
    let runs = runs(&templates, &scene)?;
    let created: Vec<Result<_>> = futures::stream::iter(&runs)
        .map(|(run, ..)| manifest::apply_value(scene.cluster().client(), run.clone(), scene.namespace()))
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    created.into_iter().collect::<Result<Vec<_>>>()?;
    scene.then("good ones succeed, bad ones fail, and what is missing or quiet decides nothing");
    let ends: Vec<Result<Option<String>>> = futures::stream::iter(&runs)
        .map(|(_, name, wanted)| end(&scene, name, wanted))
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let wrong: Vec<String> = ends.into_iter().filter_map(Result::transpose).collect::<Result<_>>()?;
    ensure!(wrong.is_empty(), "{} runs ended otherwise:\n{}", wrong.len(), wrong.join("\n"));
    Ok(())
}
