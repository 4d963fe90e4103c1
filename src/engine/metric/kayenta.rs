//! Provider Kayenta: a comparison of canary and control that Kayenta makes on its own.
//!
//! Input: the settings of a metric, its run and the measurement, then the answer to one of three requests: which canary
//! config has the name, a new execution, what became of it. Output: the request, then the measurement, whose metadata says
//! which of them comes next. Conditions have no say; the thresholds are the verdict.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Map, Value, json};
use tidegate_api::analysis::{
    AnalysisPhase, AnalysisRun, KayentaMetric, KayentaScope, Measurement, Metric, ScopeDetail,
};
use tidegate_api::go_duration;

use super::http::{self, Call, Method};
use super::{Response, shown};
use crate::time::whole_seconds;

/// Metadata of a measurement: the canary config that was found, then the execution in its place.
const CONFIG: &str = "canaryConfigId";
const EXECUTION: &str = "canaryExecutionId";
/// How long to wait before looking what became of an execution.
const PAUSE: SignedDuration = SignedDuration::from_secs(15);
const TIMEOUT_SECONDS: u64 = 15;

/// What a measurement waits for.
enum Stage<'a> {
    Config,
    Execution { config: &'a str },
    Score { execution: &'a str },
}

fn stage(open: &Measurement) -> Stage<'_> {
    match (open.metadata.get(EXECUTION), open.metadata.get(CONFIG)) {
        (Some(execution), _) => Stage::Score { execution },
        (None, Some(config)) => Stage::Execution { config },
        (None, None) => Stage::Config,
    }
}

fn settings(metric: &Metric) -> Result<&KayentaMetric, String> {
    metric.provider.kayenta.as_ref().ok_or_else(|| "the metric does not ask Kayenta".to_owned())
}

/// The request that a measurement needs next.
pub(crate) fn request(
    run: &AnalysisRun,
    metric: &Metric,
    open: &Measurement,
    now: Timestamp,
) -> Result<Call, String> {
    let settings = settings(metric)?;
    let address = http::address(&settings.address, "the address of Kayenta")?;
    let call = Call::to(Method::Get, String::new(), TIMEOUT_SECONDS);
    let application = ("application", settings.application.as_str());
    let storage = settings.storage_account_name.as_str();
    Ok(match stage(open) {
        Stage::Config => {
            // Argo Rollouts looks configs up under the storage account, and installations are set up for that.
            let query = http::form(&[application, ("configurationAccountName", storage)]);
            Call { url: format!("{address}/canaryConfig?{query}"), ..call }
        }
        Stage::Execution { config } => {
            let query = http::form(&[
                application,
                ("metricsAccountName", &settings.metrics_account_name),
                ("configurationAccountName", &settings.configuration_account_name),
                ("storageAccountName", storage),
            ]);
            let body = execution(run, metric, settings, open, now)?.to_string();
            let url = format!("{address}/canary/{}?{query}", http::segment(config));
            Call { method: Method::Post, url, headers: http::json_headers(&[]), body: Some(body), ..call }
        }
        Stage::Score { execution } => {
            Call { url: format!("{address}/canary/{}", http::segment(execution)), ..call }
        }
    })
}

/// The body that begins an execution.
fn execution(
    run: &AnalysisRun,
    metric: &Metric,
    settings: &KayentaMetric,
    open: &Measurement,
    now: Timestamp,
) -> Result<Value, String> {
    let end = open.started_at.as_ref().map_or(now, |time| time.0);
    let start = if settings.lookback {
        let started = run.status.as_ref().and_then(|status| status.started_at.as_ref());
        started.map_or(end, |time| time.0)
    } else {
        let interval = metric.interval.as_deref().unwrap_or_default();
        // A metric without an interval needs a start of its own.
        let needs_start = settings.scopes.iter().any(|scope| text(&scope.control_scope.start).is_empty());
        let nanoseconds = match go_duration::parse_nanoseconds(interval) {
            Ok(nanoseconds) => nanoseconds,
            Err(_) if !needs_start => 0,
            Err(why) => return Err(format!("Invalid duration {interval:?}: {why}")),
        };
        end.checked_sub(SignedDuration::from_nanos(nanoseconds)).unwrap_or(end)
    };
    let times = (whole_seconds(start).to_string(), whole_seconds(end).to_string());
    let mut scopes = Map::new();
    for scope in &settings.scopes {
        scopes.insert(scope.name.clone(), both(scope, &times)?);
    }
    let thresholds = json!({"pass": settings.threshold.pass, "marginal": settings.threshold.marginal});
    Ok(json!({"scopes": scopes, "thresholds": thresholds}))
}

fn text(text: &Option<String>) -> &str {
    text.as_deref().unwrap_or_default()
}

fn both(scope: &KayentaScope, times: &(String, String)) -> Result<Value, String> {
    let (control, experiment) = (&scope.control_scope, &scope.experiment_scope);
    if text(&control.start).is_empty() != text(&experiment.start).is_empty() {
        return Err("controlScope.start and experimentScope.start must both be set or be empty".to_owned());
    }
    if text(&control.end).is_empty() != text(&experiment.end).is_empty() {
        return Err("controlScope.end and experimentScope.end must both be set or be empty".to_owned());
    }
    let side = |detail: &ScopeDetail| {
        let or = |given: &Option<String>, usual: &String| {
            given.clone().filter(|given| !given.is_empty()).unwrap_or_else(|| usual.clone())
        };
        json!({
            "scope": detail.scope, "location": detail.region, "step": detail.step,
            "start": or(&detail.start, &times.0), "end": or(&detail.end, &times.1),
        })
    };
    Ok(json!({"controlScope": side(control), "experimentScope": side(experiment)}))
}

/// What an answer makes of the measurement.
///
/// # Errors
/// Fails when the answer is not one of Kayenta's.
pub(crate) fn look(
    metric: &Metric,
    open: &Measurement,
    response: &Response,
    now: Timestamp,
) -> Result<Measurement, String> {
    if response.status != 200 {
        let body = shown::excerpt(&response.body);
        return Err(format!("Invalid Response: HTTP {} {body}", response.status).trim_end().to_owned());
    }
    let json: Value = serde_json::from_slice(&response.body)
        .map_err(|error| format!("kayenta did not answer JSON: {error}"))?;
    let settings = settings(metric)?;
    match stage(open) {
        Stage::Config => {
            let configs = json.as_array().into_iter().flatten();
            let named = |config: &&Value| {
                config.get("name").and_then(Value::as_str) == Some(&settings.canary_config_name)
            };
            let id = configs.into_iter().find(named).and_then(|config| config.get("id")?.as_str());
            let id = id.filter(|id| !id.is_empty()).ok_or("Canary config not found")?;
            Ok(running(open, CONFIG, id, now))
        }
        Stage::Execution { .. } => {
            let id = json.get("canaryExecutionId").and_then(Value::as_str).filter(|id| !id.is_empty());
            let id = id.ok_or("Invalid canaryExecutionId")?;
            Ok(running(open, EXECUTION, id, now.saturating_add(PAUSE).unwrap_or(now)))
        }
        Stage::Score { execution } => {
            let complete = json.get("complete").and_then(Value::as_bool).ok_or("Missing Complete Status")?;
            if !complete {
                return Ok(running(open, EXECUTION, execution, now.saturating_add(PAUSE).unwrap_or(now)));
            }
            let score = json.pointer("/result/judgeResult/score/score").and_then(Value::as_f64);
            // Cut towards zero, as Argo Rollouts does: 94.9 does not reach 95.
            let score = score.filter(|score| !score.is_nan()).ok_or("Missing Score")? as i64;
            Ok(Measurement {
                phase: Some(verdict(settings, score)),
                message: String::new(),
                value: score.to_string(),
                finished_at: Some(Time(whole_seconds(now))),
                ..open.clone()
            })
        }
    }
}

fn running(open: &Measurement, key: &str, id: &str, resume: Timestamp) -> Measurement {
    Measurement {
        phase: Some(AnalysisPhase::Running),
        message: String::new(),
        metadata: [(key.to_owned(), id.to_owned())].into(),
        resume_at: Some(Time(whole_seconds(resume))),
        ..open.clone()
    }
}

fn verdict(settings: &KayentaMetric, score: i64) -> AnalysisPhase {
    if score >= settings.threshold.pass {
        AnalysisPhase::Successful
    } else if score >= settings.threshold.marginal {
        AnalysisPhase::Inconclusive
    } else {
        AnalysisPhase::Failed
    }
}
