//! Checks against what Argo Rollouts' own functions answer: `upstream/*.json`, made by `e2e/tools/oracle`.
//!
//! A row where Tidegate differs on purpose has the number of the difference in the table of `src/README.md`, and
//! what Tidegate answers; every other row has to be upstream's.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use tidegate_api::analysis::{AnalysisPhase, AnalysisTemplateSpec, Argument, Metric};
use tidegate_api::rollout::AnalysisTemplateRef;
use tidegate_api::valid::validate_metrics;

use super::assess::badness;
use super::condition::{NO_DATA, judge};
use super::{args, template};
use crate::metric::MetricValue;
use crate::rollout::world::TemplateKey;

const RUNS: &str = "runs.json";
const VERDICTS: &str = "verdicts.json";

fn section(file: &str, name: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("analysis/upstream").join(file);
    let vectors: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    vectors[name].as_array().unwrap().clone()
}

/// Fails with the first few differences, or with all of them where `DIFFERENCES=all` asks for it.
fn assert_none(checked: usize, differences: &[String]) {
    let shown = if std::env::var_os("DIFFERENCES").is_some() { differences.len() } else { 8 };
    let shown: Vec<&str> = differences.iter().take(shown).map(String::as_str).collect();
    assert!(differences.is_empty(), "{} of {checked} differ:\n{}", differences.len(), shown.join("\n"));
}

fn result(written: &Value) -> MetricValue {
    // Go writes +Inf, which Rust reads as well.
    let number = |text: &Value| text.as_str().unwrap().parse::<f64>().unwrap();
    if let Some(samples) = written["samples"].as_array() {
        MetricValue::Samples(samples.iter().map(number).collect())
    } else if written["number"].is_string() {
        MetricValue::Number(number(&written["number"]))
    } else {
        MetricValue::Json(written["json"].clone())
    }
}

fn letter(metric: &Metric, value: &MetricValue) -> char {
    let verdict = judge(metric, value, "2026-11-21T08:00:00Z".parse().unwrap());
    match verdict.phase {
        AnalysisPhase::Error if verdict.message.contains(NO_DATA) => 'N',
        AnalysisPhase::Error => 'E',
        AnalysisPhase::Failed => 'F',
        AnalysisPhase::Inconclusive => 'I',
        AnalysisPhase::Successful => 'S',
        AnalysisPhase::Pending | AnalysisPhase::Running | AnalysisPhase::Unknown => '?',
    }
}

/// The letters that are right for Tidegate: upstream's, and over them those of the deliberate differences.
fn wanted(row: &Value) -> Vec<char> {
    let mut wanted: Vec<char> = row["go"].as_str().unwrap().chars().collect();
    for mask in row["differs"].as_object().into_iter().flat_map(|masks| masks.values()) {
        for (letter, here) in wanted.iter_mut().zip(mask.as_str().unwrap().chars()) {
            if here != '.' {
                *letter = here;
            }
        }
    }
    wanted
}

#[test]
fn verdicts_are_upstreams() {
    let written = section(VERDICTS, "results");
    let values: Vec<MetricValue> = written.iter().map(result).collect();
    let rows = section(VERDICTS, "verdicts");
    let mut differences = Vec::new();
    let (mut differ, mut conditions) = (BTreeSet::new(), BTreeSet::new());
    for row in &rows {
        // A condition that is at fault whatever it is asked about shows less.
        if row["go"].as_str().unwrap().contains(['S', 'F', 'I']) {
            conditions.extend(["success", "failure"].iter().filter_map(|name| row[name].as_str()));
        }
        let text = |name: &str| row[name].as_str().map(ToOwned::to_owned);
        let metric = Metric {
            success_condition: text("success"),
            failure_condition: text("failure"),
            ..Metric::default()
        };
        differ.extend(row["differs"].as_object().into_iter().flat_map(|masks| masks.keys().cloned()));
        let wanted: String = wanted(row).into_iter().collect();
        let got: String = values.iter().map(|value| letter(&metric, value)).collect();
        if got != wanted {
            differences
                .push(format!("{} / {}\n  wanted {wanted}\n  got    {got}", row["success"], row["failure"]));
        }
    }
    let checked = rows.len() * values.len();
    assert!(checked > 50_000, "{checked}");
    assert!(conditions.len() > 400, "{} conditions with a verdict", conditions.len());
    assert_none(rows.len(), &differences);
    assert_eq!(differ.into_iter().collect::<Vec<_>>(), ["1", "13", "14", "2", "28", "33"]);
}

fn spec_of_run(row: &Value) -> Result<Value, String> {
    let (mut templates, mut references) = (BTreeMap::new(), Vec::new());
    for (list, cluster) in [("templates", false), ("cluster", true)] {
        for (index, spec) in row[list].as_array().into_iter().flatten().enumerate() {
            let spec: AnalysisTemplateSpec = serde_json::from_value(spec.clone()).unwrap();
            let name = format!("t{index}");
            templates.insert(TemplateKey { cluster, name: name.clone() }, Arc::new(spec.into()));
            references.push(AnalysisTemplateRef::new(&name, cluster));
        }
    }
    let given: Vec<Argument> = serde_json::from_value(row.get("args").cloned().unwrap_or(json!([]))).unwrap();
    let combined = template::flatten(&references, &templates)?.spec;
    let merged = args::merge(&given, &combined.args)?;
    let list = |name: &str| row.get(name).cloned().unwrap_or(json!([]));
    let mut dry_run = serde_json::from_value(list("dryRun")).unwrap();
    template::add_dry_run(&mut dry_run, &combined.dry_run)?;
    let mut retention = serde_json::from_value(list("retention")).unwrap();
    template::add_retention(&mut retention, &combined.measurement_retention)?;
    let metrics: Vec<&str> = combined.metrics.iter().map(|metric| metric.name.as_str()).collect();
    Ok(json!({"metrics": metrics, "args": merged, "dryRun": dry_run, "measurementRetention": retention}))
}

#[test]
fn templates_make_upstreams_runs() {
    let rows = section(RUNS, "runs");
    let mut differences = Vec::new();
    for row in &rows {
        let right = row.get("here").unwrap_or(&row["go"]);
        let list = |name: &str| right.get(name).cloned().unwrap_or(json!([]));
        let wanted = match row["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(json!({"metrics": list("metrics"), "args": list("args"), "dryRun": list("dryRun"),
                "measurementRetention": list("measurementRetention")})),
        };
        let got = spec_of_run(row);
        if got != wanted {
            differences.push(format!("{got:?}\n  for {row}"));
        }
    }
    assert_none(rows.len(), &differences);
}

#[test]
fn arguments_are_filled_in_as_upstream_does() {
    let rows = section(RUNS, "fills");
    let mut differences = Vec::new();
    for row in &rows {
        let given: Vec<Argument> = serde_json::from_value(row["args"].clone()).unwrap();
        let metric: Metric =
            serde_json::from_value(json!({"name": "m", "provider": {"prometheus": {"query": row["query"]}}}))
                .unwrap();
        let got = args::values(&given, &args::SecretValues::Hidden)
            .and_then(|values| args::substitute(&metric, &values))
            .map(|metric| metric.provider.prometheus.unwrap().query.unwrap_or_default());
        let right = row.get("here").unwrap_or(&row["go"]);
        // Of several arguments that are missing, upstream names another one, so that there is no text to compare.
        let agrees = match (right["text"].as_str(), right["error"].as_str(), &got) {
            (Some(text), _, Ok(got)) => text == got,
            (None, Some(error), Err(got)) => error == got,
            (None, None, Err(_)) => true,
            (Some(_), _, Err(_)) | (None, _, Ok(_)) => false,
        };
        if !agrees {
            differences.push(format!("{got:?}\n  for {row}"));
        }
    }
    assert_none(rows.len(), &differences);
}

#[test]
fn metrics_have_upstreams_first_fault() {
    let rows = section(RUNS, "metrics");
    let mut differences = Vec::new();
    for row in &rows {
        let metrics: Vec<Metric> = serde_json::from_value(row["metrics"].clone()).unwrap();
        let got = validate_metrics(&metrics).err().unwrap_or_default();
        if row["error"] != got {
            differences.push(format!("{got:?}\n  for {row}"));
        }
    }
    assert_none(rows.len(), &differences);
}

#[test]
fn the_worse_of_two_phases_is_upstreams() {
    for row in section(RUNS, "worst") {
        let [left, right, worst]: [AnalysisPhase; 3] = serde_json::from_value(row).unwrap();
        let got = if badness(right) > badness(left) { right } else { left };
        assert_eq!(got, worst, "of {left:?} and {right:?}");
    }
}
