//! Runs whose metrics lack data, on the terms of annotations.

use jiff::Timestamp;
use serde_json::{Value, json};
use tidegate_api::analysis::{AnalysisPhase, AnalysisRun, AnalysisTemplate, Measurement, MetricResult};
use tidegate_api::rollout::AnalysisTemplateRef;

use super::*;
use crate::metric::{Answer, Response};
use crate::rollout::world::TemplateKey;

const START: i64 = 1_800_000_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(START + seconds).unwrap()
}

fn metric(more: &Value) -> Value {
    let mut metric = json!({
        "name": "m", "successCondition": "result[0] >= 0.95",
        "provider": {"prometheus": {"query": "up", "address": "http://prom"}},
    });
    metric.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    metric
}

/// A run with one metric and these annotations.
fn run(more: &Value, annotations: &Value) -> AnalysisRun {
    serde_json::from_value(json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisRun",
        "metadata": {"name": "r", "uid": "u", "annotations": annotations}, "spec": {"metrics": [metric(more)]},
    }))
    .unwrap()
}

fn waits() -> Value {
    json!({"tidegate.dev/on-no-data": "wait"})
}

/// One round; the server answers samples such as `0.5 NaN`; or `busy`, which is no answer, or `later`, which asks to be left
/// alone.
fn round(run: &mut AnalysisRun, now: i64, samples: &str) -> RunPlan {
    let world = RunWorld::of(run, at(now));
    let mut planned = plan(&world);
    if let [request] = planned.requests.as_slice() {
        let series: Vec<Value> = samples
            .split_whitespace()
            .filter(|_| samples != "later")
            .map(|sample| json!({"metric": {}, "value": [1, sample]}))
            .collect();
        let body = json!({"status": "success", "data": {"resultType": "vector", "result": series}});
        let (status, retry_after_seconds) = if samples == "later" { (429, Some(60)) } else { (200, None) };
        let response = Response { status, body: body.to_string().into_bytes(), retry_after_seconds };
        let answer =
            if samples == "busy" { Err("no answer".to_owned()) } else { Ok(Answer::Server(response)) };
        planned = record(&world, &[Outcome { metric: request.metric.clone(), answer }], at(now));
    }
    if let Some(status) = &planned.status {
        run.status = Some(status.clone());
    }
    planned
}

/// Rounds at each wake until the run ends, or this time comes; gives the time of the last one.
fn play(run: &mut AnalysisRun, from: i64, until: i64, samples: &str) -> i64 {
    let mut now = from;
    loop {
        let planned = round(run, now, samples);
        match planned.wake.filter(|_| !phase(run).is_completed()) {
            Some(wake) if wake <= at(until) => now = wake.as_second() - START,
            Some(_) | None => return now,
        }
    }
}

fn phase(run: &AnalysisRun) -> AnalysisPhase {
    run.status.as_ref().unwrap().phase.unwrap()
}

fn result(run: &AnalysisRun) -> &MetricResult {
    &run.status.as_ref().unwrap().metric_results[0]
}

fn last(run: &AnalysisRun) -> &Measurement {
    result(run).measurements.last().unwrap()
}

fn said(run: &AnalysisRun) -> (&str, &str) {
    let status = run.status.as_ref().unwrap();
    (phase(run).as_str(), &status.message)
}

#[test]
fn what_one_measurement_comes_to() {
    let failure = json!({"failureCondition": "result[0] < 0.9"});
    let any = json!({"successCondition": "", "failureCondition": "any(result, # > 0.5)"});
    let fault = json!({"successCondition": "result[0] >"});
    let accepts = json!({"successCondition": "len(result) == 0 || result[0] > 0.5"});
    let made = json!({"successCondition": "(result[0] - 1) / (result[0] - 1) < 2"});
    let rests = json!({
        "successCondition": "", "failureCondition": "!((result[0] - 1) / (result[0] - 1) < 0.05)",
    });
    let fails = json!({
        "successCondition": "(result[0] - 1) / (result[0] - 1) < 2", "failureCondition": "result[0] > 0.5",
    });
    for (more, samples, word, wanted) in [
        // Without a word it is as ever.
        (&json!({}), "", "", "Error"),
        (&json!({}), "NaN", "", "Failed"),
        (&failure, "NaN", "", "Inconclusive"),
        (&accepts, "", "", "Successful"),
        // No data at all, whatever the conditions make of it.
        (&json!({}), "", "fail", "Failed"),
        (&json!({}), "", "inconclusive", "Inconclusive"),
        (&json!({}), "", "wait", "waits"),
        (&json!({}), "NaN", "fail", "Failed"),
        (&json!({}), "NaN", "inconclusive", "Inconclusive"),
        (&json!({}), "NaN NaN", "wait", "waits"),
        (&accepts, "", "fail", "Failed"),
        (&accepts, "", "wait", "waits"),
        (&made, "1", "wait", "waits"),
        // A failure that rests on NaN.
        (&rests, "1", "", "Failed"),
        (&rests, "1", "wait", "waits"),
        (&rests, "1", "inconclusive", "Inconclusive"),
        (&rests, "2", "wait", "Failed"),
        // There are numbers, and they fail.
        (&fails, "1", "wait", "Failed"),
        (&any, "NaN 0.7", "wait", "Failed"),
        (&any, "NaN 0.7", "inconclusive", "Failed"),
        (&any, "NaN 0.1", "wait", "waits"),
        // Nothing is missing, or something else is wrong.
        (&json!({}), "0.97", "fail", "Successful"),
        (&json!({}), "0.9", "wait", "Failed"),
        (&fault, "", "wait", "Error"),
        (&fault, "NaN", "fail", "Error"),
        (&json!({}), "busy", "wait", "Error"),
    ] {
        let annotations = if word.is_empty() { json!({}) } else { json!({"tidegate.dev/on-no-data": word}) };
        let mut run = run(more, &annotations);
        round(&mut run, 0, samples);
        let got = last(&run).phase.unwrap().as_str();
        let waits = last(&run).metadata.contains_key("tidegate.dev/waited");
        assert_eq!(if waits { "waits" } else { got }, wanted, "{more} of [{samples}], {word}");
        if word.is_empty() {
            let told = serde_json::to_string(&run.status).unwrap();
            assert!(
                !told.contains("tidegate.dev"),
                "nothing of ours in a status without our annotations: {told}"
            );
        }
    }
}

#[test]
fn a_metric_waits_and_goes_on_when_data_comes() {
    let mut run = run(&json!({"interval": "1m", "count": 2}), &waits());
    assert_eq!(round(&mut run, 0, "").wake, Some(at(60)));
    assert_eq!(play(&mut run, 60, 600, ""), 600);
    let waiting = serde_json::to_value(result(&run)).unwrap();
    assert_eq!(
        waiting,
        json!({
            "name": "m", "phase": "Running", "metadata": {
                "ResolvedPrometheusQuery": "up", "tidegate.dev/waited": "11", "tidegate.dev/waits-since": at(0),
            },
            "measurements": [{
                "phase": "Inconclusive", "value": "[]", "startedAt": at(0), "finishedAt": at(600),
                "message": "waits for data, for 3600 s at most: metric result is nil or empty: no data returned \
                            from the metric provider, asked 11 times in 600 s",
                "metadata": {"tidegate.dev/waited": "11", "tidegate.dev/without-data": "true"},
            }],
        }),
        "one measurement, counted nowhere, and finished for Argo's controller"
    );
    assert_eq!(play(&mut run, 660, 9999, "0.97"), 720);
    assert_eq!(said(&run), ("Successful", ""));
    assert_eq!((result(&run).count, result(&run).measurements.len()), (2, 2), "what waited made room");
    assert_eq!(result(&run).measurements[0].started_at.as_ref().unwrap().0, at(660));
    let told = serde_json::to_string(result(&run)).unwrap();
    assert!(!told.contains("tidegate.dev/wait"), "the wait is over: {told}");
}

#[test]
fn what_is_measured_once_is_asked_again_after_ten_seconds() {
    let mut run = run(&json!({}), &waits());
    assert_eq!(round(&mut run, 0, "NaN").wake, Some(at(10)));
    assert_eq!(round(&mut run, 9, "0.97"), RunPlan { wake: Some(at(10)), ..RunPlan::default() });
    round(&mut run, 10, "0.97");
    assert_eq!(said(&run), ("Successful", ""));
}

#[test]
fn nobody_waits_for_ever() {
    let mut short = run(&json!({"interval": "1m"}), &waits());
    assert_eq!(play(&mut short, 0, 99_999, ""), 3600);
    let why = "Metric \"m\" assessed Inconclusive due to inconclusive (1) > inconclusiveLimit (0): \"Error Message: \
               metric result is nil or empty: no data returned from the metric provider, asked 61 times in 3600 s\"";
    assert_eq!(said(&short), ("Inconclusive", why));
    let mut long = run(&json!({"interval": "1h"}), &waits());
    assert_eq!(play(&mut long, 0, 99_999, ""), 36_000, "ten intervals, where they are longer");
    // Limits that bear with everything do not turn it into a success.
    let mut patient = run(&json!({"interval": "1m", "count": 3, "inconclusiveLimit": 3}), &waits());
    assert_eq!(play(&mut patient, 0, 99_999, ""), 10_920);
    let why = "Metric \"m\" assessed Inconclusive due to samples (0) < min-samples (1): \"Error Message: metric result \
               is nil or empty: no data returned from the metric provider, asked 61 times in 3600 s\"";
    assert_eq!(said(&patient), ("Inconclusive", why));
    assert_eq!(result(&patient).metadata["tidegate.dev/without-data"], "3");
}

#[test]
fn a_wait_ends_when_the_annotation_says() {
    let until = |most: &str| json!({"tidegate.dev/on-no-data": "wait", "tidegate.dev/wait-at-most": most});
    let mut short = run(&json!({"interval": "1m"}), &until("10m"));
    round(&mut short, 0, "");
    let why = "waits for data, for 600 s at most: metric result is nil or empty: no data returned from the metric \
               provider, asked once";
    assert_eq!(last(&short).message, why);
    assert_eq!(play(&mut short, 60, 540, ""), 540, "it still waits");
    assert!(!phase(&short).is_completed());
    assert_eq!(play(&mut short, 600, 99_999, ""), 600);
    let why = "Metric \"m\" assessed Inconclusive due to inconclusive (1) > inconclusiveLimit (0): \"Error Message: \
               metric result is nil or empty: no data returned from the metric provider, asked 11 times in 600 s\"";
    assert_eq!(said(&short), ("Inconclusive", why));
    let mut long = run(&json!({"interval": "1m"}), &until("2h"));
    assert_eq!(play(&mut long, 0, 99_999, ""), 7200, "longer than without a word");
    let mut late = run(&json!({"interval": "1m", "count": 1}), &until("10m"));
    play(&mut late, 0, 540, "");
    round(&mut late, 600, "0.97");
    assert_eq!(said(&late), ("Successful", ""), "data in the last moment count");
}

#[test]
fn whatever_comes_between_begins_no_wait_anew() {
    for between in [&["later"][..], &["busy"], &["later", "busy", "later"]] {
        let more = json!({"interval": "1m", "consecutiveErrorLimit": 1000});
        let (mut run, mut now, mut empty) = (run(&more, &waits()), 0, 0);
        let mut answers = ["", ""].iter().chain(between).cycle();
        while now <= 2 * 3600 {
            let samples = answers.next().unwrap();
            empty += i64::from(samples.is_empty());
            let wake = round(&mut run, now, samples).wake;
            if phase(&run).is_completed() {
                break;
            }
            now = wake.unwrap().as_second() - START;
        }
        assert_eq!(phase(&run), AnalysisPhase::Inconclusive, "{between:?}");
        assert!(
            (3600..3900).contains(&now),
            "{between:?}: it ends with the first empty answer after an hour, not at {now}"
        );
        let why = format!("asked {empty} times in {now} s");
        assert!(last(&run).message.ends_with(&why), "{between:?}: {} {why}", last(&run).message);
    }
}

#[test]
fn errors_between_two_waits_are_limited_as_ever() {
    let mut run = run(&json!({"interval": "10s"}), &waits());
    for now in (0..100).step_by(10) {
        round(&mut run, now, if now % 20 == 0 { "" } else { "busy" });
    }
    assert_eq!((phase(&run), result(&run).consecutive_error), (AnalysisPhase::Error, 5));
}

#[test]
fn a_metric_needs_values_to_succeed() {
    let least = |least: &str| json!({"tidegate.dev/min-samples": least});
    let tolerant =
        json!({"successCondition": "len(result) == 0 || result[0] > 0.5", "interval": "1m", "count": 3});
    for (annotations, values, wanted) in [
        (least("2"), ["", "0.9", "0.9"], ("Successful", "")),
        (
            least("2"),
            ["", "", "0.9"],
            ("Inconclusive", "Metric \"m\" assessed Inconclusive due to samples (1) < min-samples (2)"),
        ),
        (json!({}), ["", "", "0.9"], ("Successful", "")),
    ] {
        let mut run = run(&tolerant, &annotations);
        for (index, value) in values.into_iter().enumerate() {
            round(&mut run, 60 * i64::try_from(index).unwrap(), value);
        }
        assert_eq!(said(&run), wanted, "{annotations} {values:?}");
    }
    let early = json!({"interval": "1m", "consecutiveSuccessLimit": 1});
    let mut early = run(&early, &least("3"));
    assert_eq!(play(&mut early, 0, 9999, "1"), 120, "a limit of successes waits for enough of them");
    assert_eq!(said(&early), ("Successful", ""));
}

#[test]
fn who_succeeds_often_enough_with_too_few_values_is_inconclusive_and_says_so() {
    let annotations = json!({"tidegate.dev/on-no-data": "inconclusive", "tidegate.dev/min-samples": "3"});
    for (limit, values, wanted) in [
        (-1, ["", "0.97", "0.97"], ("Inconclusive", "samples (2) < min-samples (3)")),
        (0, ["", "0.97", "0.97"], ("Inconclusive", "samples (2) < min-samples (3)")),
        (-1, ["0.97", "0.97", "0.97"], ("Successful", "")),
        (-1, ["0.97", "0.97", "0.5"], ("Failed", "")),
    ] {
        let more = json!({
            "interval": "1m", "count": 3, "failureLimit": limit, "consecutiveSuccessLimit": 1, "inconclusiveLimit": 1,
        });
        let mut run = run(&more, &annotations);
        for (now, value) in [0, 60, 120].into_iter().zip(values) {
            round(&mut run, now, value);
        }
        let (phase, message) = said(&run);
        assert_eq!(phase, wanted.0, "{limit} {values:?}");
        assert!(message.contains(wanted.1), "{limit} {values:?}: {message:?}");
    }
}

#[test]
fn who_is_ended_early_with_too_few_values_does_not_pass() {
    let why = "Metric \"m\" assessed Inconclusive due to samples (0) < min-samples (1)";
    for (annotations, more, wanted) in [
        (waits(), json!({"interval": "1m"}), ("Inconclusive", why)),
        (waits(), json!({"interval": "1m", "initialDelay": "1h"}), ("Inconclusive", why)),
        (json!({}), json!({"interval": "1m", "initialDelay": "1h"}), ("Successful", "Run Terminated")),
    ] {
        let mut run = run(&more, &annotations);
        round(&mut run, 0, "");
        run.spec.terminate = true;
        round(&mut run, 30, "");
        let (phase, message) = said(&run);
        assert!(phase == wanted.0 && message.starts_with(wanted.1), "{more}: {phase} {message}");
    }
}

#[test]
fn a_wrong_annotation_ends_the_run_with_the_mend() {
    let mut run = run(&json!({}), &json!({"tidegate.dev/on-no-data": "pass"}));
    round(&mut run, 0, "");
    let why = "Analysis spec invalid: metadata.annotations[tidegate.dev/on-no-data]: Invalid value: \"pass\": write \
               wait, inconclusive or fail, and for a single metric \"m=wait\"";
    assert_eq!(said(&run), ("Error", why));
}

#[test]
fn what_providers_take_for_an_error_is_missing_data_too() {
    for (annotations, wanted) in
        [(json!({}), "Error"), (waits(), "waits"), (json!({"tidegate.dev/on-no-data": "fail"}), "Failed")]
    {
        let provider = json!({"provider": {"graphite": {"address": "http://g", "query": "q"}}});
        let mut run = run(&provider, &annotations);
        let world = RunWorld::of(&run, at(0));
        let response = Response { status: 200, body: b"[]".to_vec(), retry_after_seconds: None };
        let outcome = Outcome { metric: "m".to_owned(), answer: Ok(Answer::Server(response)) };
        run.status = record(&world, &[outcome], at(0)).status;
        let waits = last(&run).metadata.contains_key("tidegate.dev/waited");
        let phase = last(&run).phase.unwrap().as_str();
        assert_eq!(if waits { "waits" } else { phase }, wanted);
        assert!(last(&run).message.contains("no values found"), "{}", last(&run).message);
    }
}

#[test]
fn runs_have_what_each_template_says_of_its_metrics() {
    let template = |name: &str, annotations: Value, includes: Value| {
        let mut metric = metric(&json!({"interval": "1m", "count": 5}));
        metric["name"] = json!(name);
        let template: AnalysisTemplate = serde_json::from_value(json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisTemplate",
            "metadata": {"name": name, "annotations": annotations},
            "spec": {"metrics": [metric], "templates": includes},
        }))
        .unwrap();
        (TemplateKey { cluster: false, name: name.to_owned() }, std::sync::Arc::new(Template::from(template)))
    };
    let note = json!({"note": "x", "tidegate.dev/on-no-data": "wait", "tidegate.dev/min-samples": "3"});
    let templates = [
        template("a", note, json!([{"templateName": "b"}])),
        template("b", json!({"tidegate.dev/min-samples": "b=3"}), json!([])),
        template("c", json!({"tidegate.dev/min-samples": "many"}), json!([])),
    ];
    let run = run_of(&templates[0].0, &templates.clone().into(), &[]).unwrap();
    let annotations = run.metadata.annotations.unwrap();
    let wanted = [("tidegate.dev/min-samples", "3"), ("tidegate.dev/on-no-data", "a=wait")];
    assert_eq!(annotations, wanted.map(|(key, text)| (key.to_owned(), text.to_owned())).into());
    let why = flatten(&[AnalysisTemplateRef::new("c", false)], &templates.into()).unwrap_err();
    assert_eq!(
        why,
        "AnalysisTemplate 'c': metadata.annotations[tidegate.dev/min-samples]: Invalid value: \"many\": write a number \
         of 1 or more, and for a single metric \"c=3\""
    );
}
