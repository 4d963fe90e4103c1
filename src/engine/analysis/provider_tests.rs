//! Runs whose providers sign in, are busy, or take their time.

use jiff::Timestamp;
use serde_json::{Value, json};
use tidegate_api::analysis::{AnalysisPhase, AnalysisRun, AnalysisRunStatus, Measurement};

use super::*;
use crate::metric::http::{Call, Method};
use crate::metric::{Account, Accounts, Answer, Request, Response, Sent};

const START: i64 = 1_800_000_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(START + seconds).unwrap()
}

/// A run with one metric, the accounts there are, and the calls that were made.
struct Stage {
    run: AnalysisRun,
    accounts: Accounts,
    asked: Vec<Call>,
}

fn stage(provider: &Value, more: &Value) -> Stage {
    let mut metric = json!({"name": "m", "provider": provider});
    metric.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let run = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisRun",
        "metadata": {"name": "r", "namespace": "ns", "uid": "u"}, "spec": {"metrics": [metric]},
    });
    Stage { run: serde_json::from_value(run).unwrap(), accounts: Accounts::default(), asked: Vec::new() }
}

fn datadog(more: &Value) -> Stage {
    let mut stage = stage(&json!({"datadog": {"query": "q"}}), more);
    let keys = [("api-key", "hush1"), ("app-key", "hush2"), ("address", "http://dog")];
    let keys = keys.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    stage.accounts.insert(Account::Own("datadog".into()), Ok(keys));
    stage
}

impl Stage {
    fn world(&self, now: i64) -> RunWorld {
        RunWorld { accounts: self.accounts.clone(), ..RunWorld::of(&self.run, at(now)) }
    }

    /// One round, in which the server answers this; gives the plan.
    fn round(&mut self, now: i64, status: u16, body: &str, wait: Option<u64>) -> RunPlan {
        let world = self.world(now);
        let mut planned = plan(&world);
        if let [MeasureRequest { metric, request }] = planned.requests.as_slice() {
            let Request::Http(call) = request else { panic!("{request:?}") };
            self.asked.push(call.clone());
            let response = Response { status, body: body.as_bytes().to_vec(), retry_after_seconds: wait };
            let outcome = Outcome { metric: metric.clone(), answer: Ok(Answer::Server(response)) };
            planned = record(&world, &[outcome], at(now));
        }
        if let Some(status) = &planned.status {
            self.run.status = Some(status.clone());
        }
        planned
    }

    fn status(&self) -> &AnalysisRunStatus {
        self.run.status.as_ref().unwrap()
    }

    fn last(&self) -> &Measurement {
        self.status().metric_results[0].measurements.last().unwrap()
    }
}

const NUMBER: &str = r#"{"series":[{"pointlist":[[1,0.5]]}]}"#;

#[test]
fn keys_are_asked_for_only_while_something_is_due_and_are_never_shown() {
    let mut stage = datadog(&json!({"interval": "1m"}));
    let needed: Vec<Account> = accounts(&stage.world(0)).into_iter().collect();
    assert_eq!(needed.len(), 2);
    assert!(needed.contains(&Account::Own("datadog".into())));
    stage.round(0, 403, "the key hush1 of hush2 is not known", None);
    let text = serde_json::to_string(stage.status()).unwrap();
    assert!(text.contains("403 the key ***** of ***** is not known") && !text.contains("hush"), "{text}");
    assert_eq!(stage.asked[0].headers[1].1, "hush1");
    assert!(accounts(&stage.world(1)).is_empty(), "nothing is due");
    stage.run.spec.terminate = true;
    assert!(accounts(&stage.world(100)).is_empty());
    assert!(!format!("{:?} {:?}", stage.world(0), stage.asked).contains("hush"));
}

#[test]
fn no_server_learns_whether_it_guessed_what_other_metrics_sign_in_with() {
    let mut stage = datadog(&json!({}));
    let web = json!({"name": "w", "provider": {"web": {"url": "http://w"}}});
    stage.run.spec.metrics.push(serde_json::from_value(web).unwrap());
    let mut sent = Sent::default();
    sent.add("Bearer fetched");
    stage.accounts.were_sent("m", sent);
    let world = stage.world(0);
    let body = r#"{"errors":["hush1 hush2 fetched"]}"#.as_bytes().to_vec();
    let outcomes = [("m", 403), ("w", 200)].map(|(metric, status)| {
        let response = Response { status, body: body.clone(), retry_after_seconds: None };
        Outcome { metric: metric.to_owned(), answer: Ok(Answer::Server(response)) }
    });
    stage.run.status = record(&world, &outcomes, at(0)).status;
    let told = stage.status().metric_results.iter().map(|result| &result.measurements[0]);
    let told: Vec<_> = told.map(|last| (last.message.as_str(), last.value.as_str())).collect();
    assert!(told[0].0.contains("***** ***** *****"), "{told:?}");
    assert_eq!(told[1], ("", r#"{"errors":["hush1 hush2 fetched"]}"#));
}

#[test]
fn where_an_answer_is_cut_tells_nobody_what_a_key_begins_with() {
    let mut stage = datadog(&json!({"interval": "1m"}));
    let (before, after) = ("x".repeat(196), "y".repeat(99));
    for (now, asked, wanted) in
        [(0, "hush2 is it", "x*****…"), (60, "hush-is-it", "xhush…"), (120, "nush-is-it", "xnush…")]
    {
        stage.round(now, 403, &format!("{before}{asked}{after}"), None);
        let message = &stage.last().message;
        assert!(message.ends_with(wanted), "{asked}: {message}");
    }
}

#[test]
fn accounts_that_cannot_be_read_are_told_in_the_measurement() {
    let mut stage = stage(&json!({"newRelic": {"query": "q"}}), &json!({}));
    stage.accounts.insert(Account::Own("newrelic".into()), Err("secrets \"newrelic\" not found".into()));
    stage.round(0, 200, "", None);
    assert_eq!(stage.last().phase, Some(AnalysisPhase::Error));
    assert_eq!(stage.last().message, "secrets \"newrelic\" not found");
    assert_eq!(stage.status().metric_results[0].metadata["ResolvedNewRelicQuery"], "q");
}

#[test]
fn a_busy_server_is_asked_again_and_the_measurement_counts_once() {
    let mut stage = datadog(&json!({"successCondition": "result < 1"}));
    let planned = stage.round(0, 429, "slow", Some(40));
    assert_eq!(planned.wake, Some(at(40)));
    let result = &stage.status().metric_results[0];
    assert_eq!((result.count, result.error, result.phase), (0, 0, Some(AnalysisPhase::Running)));
    assert_eq!(stage.last().message, "the server answered 429 and is asked again in 40 s");
    let planned = stage.round(39, 200, NUMBER, None);
    assert_eq!((planned.wake, stage.asked.len()), (Some(at(40)), 1), "not before its time");
    stage.round(40, 200, NUMBER, None);
    let result = &stage.status().metric_results[0];
    assert_eq!((result.count, result.measurements.len()), (1, 1));
    assert_eq!(stage.status().phase, Some(AnalysisPhase::Successful));
    let last = stage.last();
    assert_eq!((last.started_at.as_ref().unwrap().0, last.message.as_str()), (at(0), ""));
    assert!(last.resume_at.is_none() && last.finished_at.is_some());
}

#[test]
fn a_server_that_stays_busy_is_an_error() {
    let mut stage = datadog(&json!({}));
    for now in [0, 300] {
        stage.round(now, 429, "slow", Some(9999));
        assert!(stage.last().finished_at.is_none(), "{now}");
    }
    stage.round(600, 429, "slow", Some(9999));
    assert_eq!(stage.last().message, "received non 2xx response code: 429 slow");
    assert_eq!(stage.status().metric_results[0].error, 1);
}

#[test]
fn a_run_that_ends_does_not_wait_for_a_busy_server() {
    let mut stage = datadog(&json!({}));
    stage.round(0, 429, "slow", Some(40));
    stage.run.spec.terminate = true;
    stage.round(1, 200, NUMBER, None);
    assert_eq!((stage.asked.len(), stage.last().message.as_str()), (1, "Metric Terminated"));
    assert_eq!(stage.status().phase, Some(AnalysisPhase::Successful));
}

#[test]
fn missing_data_never_passes() {
    let empty = r#"{"series":[]}"#;
    for (condition, phase) in [
        (json!({}), AnalysisPhase::Error),
        (json!({"failureCondition": "result > 5"}), AnalysisPhase::Error),
        (json!({"successCondition": "result < 5"}), AnalysisPhase::Error),
        (json!({"successCondition": "default(result, 0) < 5"}), AnalysisPhase::Successful),
    ] {
        let mut stage = datadog(&condition);
        stage.round(0, 200, empty, None);
        assert_eq!(stage.last().phase, Some(phase), "{condition}: {}", stage.last().message);
    }
    let query = json!({"query": "query", "address": "http://sky", "interval": "5m"});
    let mut stage = stage(&json!({"skywalking": query}), &json!({"failureCondition": "len(result.a) > 5"}));
    stage.round(0, 200, r#"{"data":{"a":[null]}}"#, None);
    assert_eq!(stage.last().phase, Some(AnalysisPhase::Successful), "the condition names len");
    let mut stage =
        self::stage(&json!({"skywalking": query}), &json!({"failureCondition": "result.a != nil"}));
    stage.round(0, 200, r#"{"data":{"a":null}}"#, None);
    assert_eq!(stage.last().phase, Some(AnalysisPhase::Error));
}

#[test]
fn cloud_watch_results_are_used_by_their_fields() {
    let data =
        r#"{"MetricDataResults":[{"Id":"a","StatusCode":"Complete","Timestamps":[1],"Values":[0.5,0.25]}]}"#;
    for (condition, data, phase) in [
        (
            "len(result[0].Values) > 0 && result[0].Values[0] <= 0.5",
            data.to_owned(),
            AnalysisPhase::Successful,
        ),
        ("all(result[0].Values, {# < 0.5})", data.to_owned(), AnalysisPhase::Failed),
        ("all(result[0].Values, {# < 0.5})", data.replace("0.5,0.25", ""), AnalysisPhase::Error),
        ("result[0].Values[0] < 1", data.replace("0.5,0.25", ""), AnalysisPhase::Error),
    ] {
        let mut stage =
            stage(&json!({"cloudWatch": {"metricDataQueries": []}}), &json!({"successCondition": condition}));
        let region = Ok([("AWS_REGION".to_owned(), "r".to_owned())].into());
        for account in accounts(&stage.world(0)) {
            stage.accounts.insert(account, region.clone());
        }
        stage.round(0, 200, &data, None);
        assert_eq!(stage.last().phase, Some(phase), "{condition} {data}: {}", stage.last().message);
    }
}

fn kayenta(more: &Value) -> Stage {
    let side = json!({"scope": "app", "region": "us", "step": 60});
    let mut settings = json!({
        "address": "http://kayenta:8090/", "application": "guestbook", "canaryConfigName": "my test",
        "metricsAccountName": "m-acc", "configurationAccountName": "c-acc", "storageAccountName": "s-acc",
        "threshold": {"pass": 90, "marginal": 75},
        "scopes": [{"name": "default", "controlScope": side, "experimentScope": side}],
    });
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    stage(&json!({"kayenta": settings}), &json!({"interval": "5m", "count": 1}))
}

const CONFIGS: &str = r#"[{"id":"x","name":"other"},{"id":"c 1","name":"my test"}]"#;

/// Rounds until the execution has begun.
fn begun() -> Stage {
    let mut stage = kayenta(&json!({}));
    let planned = stage.round(0, 200, CONFIGS, None);
    assert_eq!(planned.wake, Some(at(0)), "the next request follows at once");
    stage.round(1, 200, r#"{"canaryExecutionId":"e1"}"#, None);
    stage
}

#[test]
fn kayenta_is_asked_in_three_steps_and_remembers_its_execution() {
    let mut stage = begun();
    let [config, execution] = stage.asked.as_slice() else { panic!("{:?}", stage.asked) };
    let wanted = "http://kayenta:8090/canaryConfig?application=guestbook&configurationAccountName=s-acc";
    assert_eq!((config.method, config.url.as_str()), (Method::Get, wanted));
    assert_eq!(
        execution.url,
        "http://kayenta:8090/canary/c%201?application=guestbook&metricsAccountName=m-acc\
         &configurationAccountName=c-acc&storageAccountName=s-acc"
    );
    let body: Value = serde_json::from_str(execution.body.as_ref().unwrap()).unwrap();
    let side = json!({
        "scope": "app", "location": "us", "step": 60, "start": at(-300).to_string(), "end": at(0).to_string(),
    });
    assert_eq!(body["scopes"], json!({"default": {"controlScope": side, "experimentScope": side}}));
    assert_eq!(body["thresholds"], json!({"pass": 90, "marginal": 75}));
    assert_eq!(stage.last().metadata, [("canaryExecutionId".to_owned(), "e1".to_owned())].into());
    assert_eq!(stage.last().resume_at.as_ref().unwrap().0, at(16));
    // Whoever resumes, another controller perhaps, looks at the same execution.
    stage.round(16, 200, r#"{"complete":false}"#, None);
    assert_eq!(stage.asked[2].url, "http://kayenta:8090/canary/e1");
    assert_eq!(stage.last().resume_at.as_ref().unwrap().0, at(31));
    stage.round(31, 200, r#"{"complete":true,"result":{"judgeResult":{"score":{"score":90.0}}}}"#, None);
    let result = &stage.status().metric_results[0];
    assert_eq!((result.measurements.len(), result.count, stage.last().value.as_str()), (1, 1, "90"));
    assert_eq!(stage.status().phase, Some(AnalysisPhase::Successful));
}

#[test]
fn the_thresholds_of_kayenta_are_the_verdict() {
    for (score, phase) in [
        ("100", AnalysisPhase::Successful),
        ("89.9", AnalysisPhase::Inconclusive),
        ("75", AnalysisPhase::Inconclusive),
        ("74.9", AnalysisPhase::Failed),
    ] {
        let mut stage = begun();
        let body =
            format!(r#"{{"complete":true,"result":{{"judgeResult":{{"score":{{"score":{score}}}}}}}}}"#);
        stage.round(16, 200, &body, None);
        assert_eq!(stage.last().phase, Some(phase), "{score}");
    }
}

#[test]
fn what_kayenta_does_not_answer_is_an_error() {
    for (status, body, wanted) in [
        (200, r#"{"complete":true}"#, "Missing Score"),
        (200, r#"{"complete":true,"result":{"judgeResult":{"score":{"score":"NaN"}}}}"#, "Missing Score"),
        (200, "{}", "Missing Complete Status"),
        (500, "oops", "Invalid Response: HTTP 500 oops"),
        (200, "<", "kayenta did not answer JSON: expected value at line 1 column 1"),
    ] {
        let mut stage = begun();
        stage.round(16, status, body, None);
        assert_eq!((stage.last().phase, stage.last().message.as_str()), (Some(AnalysisPhase::Error), wanted));
        assert!(stage.last().finished_at.is_some());
    }
    let mut stage = kayenta(&json!({}));
    stage.round(0, 200, "[]", None);
    assert_eq!(stage.last().message, "Canary config not found");
    let mut stage = kayenta(&json!({}));
    stage.round(0, 200, CONFIGS, None);
    stage.round(1, 200, "{}", None);
    assert_eq!(stage.last().message, "Invalid canaryExecutionId");
    let half = json!({"scope": "a", "region": "r", "step": 1, "start": "2026-01-01T00:00:00Z"});
    let whole = json!({"scope": "a", "region": "r", "step": 1});
    let scopes = json!([{"name": "d", "controlScope": half, "experimentScope": whole}]);
    let mut stage = kayenta(&json!({"scopes": scopes}));
    stage.round(0, 200, CONFIGS, None);
    stage.round(1, 200, "{}", None);
    let wanted = "controlScope.start and experimentScope.start must both be set or be empty";
    assert_eq!(stage.last().message, wanted);
}

#[test]
fn kayenta_may_look_back_to_the_start_and_may_be_ended() {
    let mut stage = kayenta(&json!({"lookback": true}));
    stage.round(0, 200, CONFIGS, None);
    stage.round(7, 200, r#"{"canaryExecutionId":"e1"}"#, None);
    let body = stage.asked[1].body.clone().unwrap();
    assert!(body.contains(&format!(r#""start":"{}""#, at(0))), "{body}");
    stage.run.spec.terminate = true;
    stage.round(8, 200, "{}", None);
    assert_eq!((stage.asked.len(), stage.last().message.as_str()), (2, "Metric Terminated"));
}
