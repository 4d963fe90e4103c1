use serde_json::{Value, json};

use super::*;
use crate::metric::Response;

const START: i64 = 1_800_000_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(START + seconds).unwrap()
}

fn run(spec: Value) -> AnalysisRun {
    serde_json::from_value(json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisRun", "metadata": {"name": "r", "uid": "u"},
        "spec": spec,
    }))
    .unwrap()
}

fn world(run: &AnalysisRun, now: i64) -> RunWorld {
    let defaults = Defaults { prometheus_address: Some("http://prom".into()), ..Defaults::default() };
    RunWorld { defaults, ..RunWorld::of(run, at(now)) }
}

fn metric(name: &str, more: Value) -> Value {
    let mut metric = json!({
        "name": name, "provider": {"prometheus": {"query": name}}, "successCondition": "result[0] >= 0.95",
    });
    metric.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    metric
}

fn answer(text: &str) -> Result<Answer, String> {
    let result =
        if text.is_empty() { String::new() } else { format!(r#"{{"metric":{{}},"value":[1,"{text}"]}}"#) };
    let body = format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{result}]}}}}"#);
    Ok(Answer::Server(Response { status: 200, body: body.into_bytes(), retry_after_seconds: None }))
}

/// Plans once and answers every request; puts the status into the run as a controller would.
fn round(run: &mut AnalysisRun, now: i64, answers: &[(&str, Result<Answer, String>)]) -> RunPlan {
    let world = world(run, now);
    let mut plan = plan(&world);
    if !plan.requests.is_empty() {
        let outcome = |request: &MeasureRequest| {
            let answer = match &request.request {
                Request::Job(job::Request::Start { object, .. }) => {
                    Ok(Answer::Job(job::Shown { job: object.clone(), pods: Vec::new() }))
                }
                Request::Job(_) => Ok(Answer::Job(job::Shown::default())),
                Request::Prometheus(_) | Request::Http(_) | Request::Cluster(_) => {
                    let answer = answers.iter().find(|(name, _)| *name == request.metric);
                    answer.expect(&request.metric).1.clone()
                }
            };
            Outcome { metric: request.metric.clone(), answer }
        };
        let outcomes: Vec<Outcome> = plan.requests.iter().map(outcome).collect();
        plan = record(&world, &outcomes, at(now));
    }
    if let Some(status) = &plan.status {
        run.status = Some(status.clone());
    }
    plan
}

/// Goes on round by round, at each wake, until the run is finished or `most` rounds are over.
fn until_finished(
    run: &mut AnalysisRun,
    answers: &[(&str, Result<Answer, String>)],
    most: usize,
) -> Vec<i64> {
    let mut times = vec![0];
    for _ in 0..most {
        let now = *times.last().unwrap();
        let plan = round(run, now, answers);
        if is_finished(run.status.as_ref().unwrap()) {
            return times;
        }
        times.push(plan.wake.expect("an unfinished run wakes").as_second() - START);
    }
    panic!("not finished: {:?}", run.status);
}

fn status(run: &AnalysisRun) -> Value {
    serde_json::to_value(run.status.as_ref().unwrap()).unwrap()
}

fn events(plan: &RunPlan) -> Vec<String> {
    let kind = |warning: bool| if warning { "Warning" } else { "Normal" };
    plan.notices.iter().map(|n| format!("{} {}: {}", kind(n.warning), n.reason, n.message)).collect()
}

#[test]
fn a_metric_is_measured_as_often_as_its_count_says() {
    let mut run = run(json!({"metrics": [metric("m", json!({"count": 2, "interval": "1m"}))]}));
    let first = round(&mut run, 0, &[("m", answer("0.97"))]);
    assert_eq!((first.wake, first.notices.len()), (Some(at(60)), 0));
    assert_eq!(status(&run)["phase"], "Running");
    assert_eq!(round(&mut run, 59, &[]), RunPlan { wake: Some(at(60)), ..RunPlan::default() });
    let last = round(&mut run, 60, &[("m", answer("1"))]);
    assert_eq!(
        events(&last),
        [
            "Normal MetricSuccessful: Metric 'm' Completed. Result: Successful",
            "Normal AnalysisRunSuccessful: Analysis Completed. Result: Successful",
        ]
    );
    assert_eq!(
        status(&run),
        json!({
            "phase": "Successful", "startedAt": at(0), "completedAt": at(60),
            "runSummary": {"count": 1, "successful": 1}, "dryRunSummary": {},
            "metricResults": [{
                "name": "m", "phase": "Successful", "count": 2, "successful": 2, "consecutiveSuccess": 2,
                "metadata": {"ResolvedPrometheusQuery": "m"},
                "measurements": [
                    {"phase": "Successful", "value": "[0.97]", "startedAt": at(0), "finishedAt": at(0)},
                    {"phase": "Successful", "value": "[1]", "startedAt": at(60), "finishedAt": at(60)},
                ],
            }],
        })
    );
    assert_eq!(round(&mut run, 1000, &[]), RunPlan::default(), "nothing is left to do");
}

#[test]
fn the_first_failure_beyond_the_limit_ends_the_run_in_the_same_write() {
    let mut run = run(json!({"metrics": [
        metric("bad", json!({"interval": "10s", "failureLimit": 1})),
        metric("good", json!({"interval": "10s"})),
        metric("delayed", json!({"initialDelay": "1h"})),
    ]}));
    let answers = [("bad", answer("0.5")), ("good", answer("1"))];
    assert_eq!(until_finished(&mut run, &answers, 9), [0, 10]);
    let status = status(&run);
    assert_eq!(status["phase"], "Failed");
    assert_eq!(status["message"], "Metric \"bad\" assessed Failed due to failed (2) > failureLimit (1)");
    assert_eq!(status["metricResults"][1]["phase"], "Successful", "ended because the run ends");
    assert_eq!(status["runSummary"], json!({"count": 3, "successful": 1, "failed": 1}));
}

#[test]
fn errors_are_retried_after_ten_seconds_and_told_in_the_message() {
    let mut run = run(json!({"metrics": [metric("m", json!({"interval": "5m", "count": 3}))]}));
    let unreachable = Err("prometheus at http://prom cannot be reached: connection refused".to_owned());
    assert_eq!(until_finished(&mut run, &[("m", unreachable)], 9), [0, 10, 20, 30, 40]);
    let status = status(&run);
    assert_eq!(status["phase"], "Error");
    assert_eq!(
        status["message"],
        "Metric \"m\" assessed Error due to consecutiveErrors (5) > consecutiveErrorLimit (4): \
         \"Error Message: prometheus at http://prom cannot be reached: connection refused\""
    );
    assert_eq!(status["metricResults"][0]["error"], 5);
    assert_eq!(status["metricResults"][0].get("count"), None, "errors are not counted as measurements");
}

#[test]
fn no_data_and_nan_are_told_in_the_measurement() {
    for (value, phase, part) in [
        ("", "Error", "metric result is nil or empty: no data returned from the metric provider"),
        ("NaN", "Failed", "metric result is NaN"),
    ] {
        let mut run = run(json!({"metrics": [metric("m", json!({}))]}));
        round(&mut run, 0, &[("m", answer(value))]);
        let measurement = status(&run)["metricResults"][0]["measurements"][0].clone();
        assert_eq!(measurement["phase"], phase);
        assert!(measurement["message"].as_str().unwrap_or_default().contains(part), "{measurement}");
    }
}

#[test]
fn a_good_measurement_ends_a_row_of_errors() {
    let mut run = run(json!({"metrics": [metric("m", json!({"interval": "1m", "count": 9}))]}));
    let mut now = 0;
    for value in ["", "", "", "", "1", "", "", "", "", "1"] {
        let plan = round(&mut run, now, &[("m", answer(value))]);
        now = plan.wake.unwrap().as_second() - START;
    }
    let result = &status(&run)["metricResults"][0];
    assert_eq!(
        (&result["phase"], &result["error"], &result["count"]),
        (&json!("Running"), &json!(8), &json!(2))
    );
}

#[test]
fn limits_decide_in_order() {
    let both = json!({"successCondition": "result[0] > 0.9", "failureCondition": "result[0] < 0.1"});
    let cases = [
        // Measured values, settings, phase of the run.
        (&["0.5"][..], json!({}), "Inconclusive"),
        (&["0.5", "1"], json!({"inconclusiveLimit": 1, "count": 2}), "Successful"),
        (&["0", "0", "1"], json!({"failureLimit": -1, "consecutiveSuccessLimit": 1}), "Successful"),
        (&["0", "0", "0"], json!({"failureLimit": -1, "consecutiveSuccessLimit": 1, "count": 3}), "Failed"),
        (
            &["1", "0", "1", "1"],
            json!({"failureLimit": 2, "consecutiveSuccessLimit": 2, "count": 4}),
            "Successful",
        ),
        (
            &["1", "0", "1", "0"],
            json!({"failureLimit": 2, "consecutiveSuccessLimit": 2, "count": 4}),
            "Inconclusive",
        ),
        (&["0", "0", "1"], json!({"failureLimit": 2, "count": 3}), "Successful"),
        (&["0", "0", "0"], json!({"failureLimit": "2", "count": "3"}), "Failed"),
    ];
    for (values, settings, wanted) in cases {
        let mut settings = settings;
        settings["interval"] = json!("1s");
        settings.as_object_mut().unwrap().extend(both.as_object().unwrap().clone());
        let mut run = run(json!({"metrics": [metric("m", settings.clone())]}));
        for (index, value) in values.iter().enumerate() {
            assert!(!run.status.as_ref().is_some_and(is_finished), "{settings} too early");
            round(&mut run, i64::try_from(index).unwrap(), &[("m", answer(value))]);
        }
        assert_eq!(status(&run)["phase"], wanted, "{settings}");
    }
}

#[test]
fn dry_runs_have_no_effect() {
    let mut run = run(json!({
        "metrics": [metric("real", json!({"count": 2, "interval": "1s"})), metric("dry", json!({}))],
        "dryRun": [{"metricName": "^dry$"}],
    }));
    until_finished(&mut run, &[("real", answer("1")), ("dry", answer("0"))], 9);
    let status = status(&run);
    assert_eq!(status["phase"], "Successful");
    assert_eq!(status["dryRunSummary"], json!({"count": 1, "failed": 1}));
    assert_eq!(status["runSummary"], json!({"count": 1, "successful": 1}));
    let dry = &status["metricResults"][1];
    assert_eq!(dry["dryRun"], true);
    assert_eq!(dry["message"], "Metric assessed Failed due to failed (1) > failureLimit (0)");
}

#[test]
fn a_run_of_dry_metrics_only_succeeds() {
    let mut run = run(json!({"metrics": [metric("m", json!({}))], "dryRun": [{"metricName": "m"}]}));
    round(&mut run, 0, &[("m", answer("0"))]);
    assert_eq!(status(&run)["phase"], "Successful");
    assert_eq!(status(&run)["runSummary"], json!({}), "Go never leaves a struct out");
}

#[test]
fn termination_ends_at_once() {
    let mut fresh = run(json!({"metrics": [metric("m", json!({}))], "terminate": true}));
    round(&mut fresh, 0, &[]);
    assert_eq!(
        status(&fresh),
        json!({"phase": "Successful", "message": "Run Terminated", "startedAt": at(0), "completedAt": at(0),
            "runSummary": {"count": 1}, "dryRunSummary": {}})
    );
    let mut running = run(json!({"metrics": [metric("m", json!({"interval": "1m"}))]}));
    round(&mut running, 0, &[("m", answer("1"))]);
    running.spec.terminate = true;
    let plan = round(&mut running, 5, &[]);
    assert_eq!(status(&running)["phase"], "Successful");
    assert_eq!(plan.notices.len(), 2);
}

#[test]
fn a_measurement_that_another_controller_began_is_ended_or_taken_again() {
    let begun = json!({
        "phase": "Running", "startedAt": at(0), "runSummary": {},
        "metricResults": [{"name": "m", "phase": "Running", "measurements": [{"phase": "Running", "startedAt": at(0)}]}],
    });
    let mut again = run(json!({"metrics": [metric("m", json!({}))]}));
    again.status = Some(serde_json::from_value(begun.clone()).unwrap());
    round(&mut again, 5, &[("m", answer("1"))]);
    assert_eq!(status(&again)["phase"], "Successful");
    assert_eq!(status(&again)["metricResults"][0]["measurements"].as_array().unwrap().len(), 1);

    let mut ended = run(json!({"metrics": [metric("m", json!({}))], "terminate": true}));
    ended.status = Some(serde_json::from_value(begun).unwrap());
    round(&mut ended, 5, &[]);
    assert_eq!(status(&ended)["metricResults"][0]["measurements"][0]["message"], "Metric Terminated");
    assert_eq!(status(&ended)["phase"], "Successful");
}

#[test]
fn delays_begin_with_the_first_look() {
    let mut run = run(json!({"metrics": [metric("m", json!({"initialDelay": "5m"}))]}));
    let plan = round(&mut run, 0, &[]);
    assert_eq!(plan.wake, Some(at(300)));
    let wanted =
        json!({"phase": "Running", "startedAt": at(0), "runSummary": {"count": 1}, "dryRunSummary": {}});
    assert_eq!(status(&run), wanted);
    assert_eq!(round(&mut run, 299, &[]), RunPlan { wake: Some(at(300)), ..RunPlan::default() });
    round(&mut run, 300, &[("m", answer("1"))]);
    assert_eq!(status(&run)["phase"], "Successful");
}

#[test]
fn mistakes_end_the_run_without_a_completion_time() {
    for (spec, message) in [
        (json!({"metrics": []}), "Analysis spec invalid: no metrics specified"),
        (
            json!({"metrics": [metric("{{args.x}}", json!({}))]}),
            "Unable to resolve metric arguments: failed to resolve {{args.x}}",
        ),
        (
            json!({"metrics": [metric("m", json!({}))], "dryRun": [{"metricName": "x"}]}),
            "Analysis spec invalid: dryRun[0]: Rule didn't match any metric name(s)",
        ),
    ] {
        let mut run = run(spec);
        run.spec.ttl_strategy = serde_json::from_value(json!({"secondsAfterCompletion": 0})).unwrap();
        let plan = round(&mut run, 0, &[]);
        assert_eq!(status(&run), json!({"phase": "Error", "message": message, "runSummary": {}}));
        assert_eq!(events(&plan), ["Warning AnalysisRunError: Analysis Completed. Result: Error"]);
        assert_eq!(round(&mut run, 99, &[]), RunPlan::default());
    }
}

#[test]
fn settings_that_make_no_request_are_errors_of_the_measurement() {
    let mut run =
        run(json!({"metrics": [metric("m", json!({"provider": {"prometheus": {"address": "x"}}}))]}));
    let plan = round(&mut run, 0, &[]);
    let measurement = &status(&run)["metricResults"][0]["measurements"][0];
    assert_eq!(measurement["message"], "prometheus address is not in url format");
    assert_eq!(plan.wake, Some(at(10)));
}

#[test]
fn debugging_shows_no_secrets() {
    let mut world = world(&run(json!({"metrics": []})), 0);
    world.secrets.insert(("s".into(), "k".into()), Ok("hush".into()));
    let shown = format!("{world:?}");
    assert!(shown.contains("RunWorld") && !shown.contains("hush"), "{shown}");
}

#[test]
fn secrets_are_hidden_before_answers_are_cut() {
    let spec = json!({
        "metrics": [metric("m", json!({"provider": {"prometheus": {"query": "{{args.token}}"}}}))],
        "args": [{"name": "token", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
    });
    let mut world = world(&run(spec), 0);
    world.secrets.insert(("s".into(), "k".into()), Ok("hush-hush-hush\n".into()));
    let body = format!("hush-hush-hush {}hush-hush-hush", "x".repeat(175)).into_bytes();
    let response = Response { status: 500, body, retry_after_seconds: None };
    let outcome = Outcome { metric: "m".into(), answer: Ok(Answer::Server(response)) };
    let status = record(&world, &[outcome], world.now).status.unwrap();
    let message = &status.metric_results[0].measurements[0].message;
    assert!(message.contains("xx*****…") && !message.contains("hush"), "{message}");
}

#[test]
fn secrets_are_read_when_due_and_never_shown() {
    let provider = json!({"prometheus": {"query": "up{t=\"{{args.token}}\"}",
        "headers": [{"key": "Authorization", "value": "Bearer {{args.token}}"}]}});
    let spec = json!({
        "metrics": [metric("m", json!({"provider": provider, "interval": "1m", "count": 2,
            "successCondition": "result[0] == \"{{args.token}}\" + 1"}))],
        "args": [{"name": "token", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
    });
    let mut run = run(spec);
    assert_eq!(needs(&world(&run, 0)).len(), 1);
    let mut world = world(&run, 0);
    world.secrets.insert(("s".into(), "k".into()), Ok("hush".into()));
    let asked = plan(&world);
    let Request::Prometheus(query) = &asked.requests[0].request else { panic!("{asked:?}") };
    assert_eq!(query.headers[0].1, "Bearer hush");
    assert_eq!(query.query, "up{t=\"hush\"}");
    let plan = record(&world, &[Outcome { metric: "m".into(), answer: answer("1") }], at(0));
    let text = serde_json::to_string(&plan.status).unwrap();
    assert!(text.contains("*****") && text.contains("temp-for-secret") && !text.contains("hush"), "{text}");

    run.status = plan.status;
    assert!(needs(&self::world(&run, 1)).is_empty(), "nothing is due");

    let missing = "key 'k' does not exist in secret 's'";
    world.secrets.insert(("s".into(), "k".into()), Err(missing.into()));
    let refused = super::plan(&world).status.unwrap();
    assert_eq!(refused.message, format!("Unable to resolve metric arguments: {missing}"));
}

#[test]
fn providers_that_are_not_served_leave_the_run_untouched() {
    let run = run(json!({"metrics": [
        metric("m", json!({})), metric("w", json!({"provider": {"plugin": {"acme/x": {"query": "q"}}}})),
    ]}));
    let plan = plan(&world(&run, 0));
    let unserved = plan.unserved.clone().unwrap();
    assert_eq!((unserved.metric.as_str(), unserved.provider), ("w", "plugin"));
    assert_eq!(plan, RunPlan { unserved: Some(unserved), ..RunPlan::default() });
}

#[test]
fn finished_runs_live_as_long_as_they_may() {
    let strategy =
        json!({"secondsAfterCompletion": 100, "secondsAfterFailure": 50, "secondsAfterSuccess": 0});
    for (phase, seconds) in [("Failed", 50), ("Successful", 0), ("Error", 100), ("Inconclusive", 100)] {
        let mut run = run(json!({"metrics": [metric("m", json!({}))], "ttlStrategy": strategy}));
        run.status = serde_json::from_value(json!({"phase": phase, "completedAt": at(0)})).unwrap();
        let waiting = RunPlan { wake: Some(at(seconds + 1)), ..RunPlan::default() };
        assert_eq!(plan(&world(&run, seconds)), waiting, "{phase}");
        assert!(plan(&world(&run, seconds + 1)).delete);
        run.spec.ttl_strategy = None;
        assert_eq!(plan(&world(&run, seconds + 1)), RunPlan::default());
    }
}

#[test]
fn the_oldest_measurements_are_dropped() {
    let mut run = run(json!({
        "metrics": [metric("a", json!({"interval": "1s"})), metric("b", json!({"interval": "1s"}))],
        "measurementRetention": [{"metricName": "b", "limit": 2}],
    }));
    for now in 0..15 {
        round(&mut run, now, &[("a", answer("1")), ("b", answer("1"))]);
    }
    let results = &run.status.as_ref().unwrap().metric_results;
    assert_eq!((results[0].measurements.len(), results[1].measurements.len()), (10, 2));
    assert_eq!((results[0].count, results[1].measurements[1].started_at.as_ref().unwrap().0), (15, at(14)));
}

#[test]
fn a_run_that_is_being_deleted_is_left_alone() {
    let mut run = run(json!({"metrics": [metric("m", json!({}))]}));
    run.metadata.deletion_timestamp = Some(Time(at(0)));
    assert_eq!(plan(&world(&run, 0)), RunPlan::default());
}

mod any_run {
    use super::*;
    use proptest::prelude::*;

    fn phase() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec![
            "",
            "Pending",
            "Running",
            "Successful",
            "Failed",
            "Error",
            "Inconclusive",
            "New",
        ])
    }

    fn number() -> impl Strategy<Value = Value> {
        prop_oneof![
            5 => Just(json!(null)),
            3 => (0..4).prop_map(|number| json!(number)),
            1 => any::<i32>().prop_map(|number| json!(number)),
            1 => prop::sample::select(vec![json!("2"), json!("{{args.n}}"), json!("x"), json!(-1)]),
        ]
    }

    fn text() -> impl Strategy<Value = Value> {
        let texts = ["", "result[0] > 0", "result > 0", "isNaN(result)", "{{args.n}}", "{{"];
        prop::sample::select(texts.to_vec()).prop_map(|text| json!(text))
    }

    fn time() -> impl Strategy<Value = Value> {
        let texts = ["", "1s", "1m", "0s", "-5s", "1ns", "99999h", "x"];
        prop::sample::select(texts.to_vec()).prop_map(|text| json!(text))
    }

    fn any_metric() -> impl Strategy<Value = Value> {
        let limits = (number(), number(), number(), number(), number());
        let texts = (time(), time(), text(), text());
        let providers = vec![
            json!({"prometheus": {"query": "q"}}),
            json!({"prometheus": {"query": "q"}}),
            json!({"web": {"url": "http://check", "jsonPath": "{.data.result[0].value[1]}"}}),
            json!({"web": {"url": "check"}}),
            json!({"job": {"spec": {}}}),
            json!({"job": {"spec": {"template": 5}}}),
            json!({"datadog": {"query": "u"}}),
        ];
        (prop::sample::select(vec!["a", "b", "{{args.n}}"]), limits, texts, prop::sample::select(providers))
            .prop_map(|(name, limits, texts, provider)| {
                json!({
                    "name": name, "provider": provider, "count": limits.0, "failureLimit": limits.1,
                    "inconclusiveLimit": limits.2, "consecutiveErrorLimit": limits.3,
                    "consecutiveSuccessLimit": limits.4, "interval": texts.0, "initialDelay": texts.1,
                    "successCondition": texts.2, "failureCondition": texts.3,
                })
            })
    }

    fn any_result() -> impl Strategy<Value = Value> {
        let time = || prop::option::of(-100_000i64..100_000).prop_map(|seconds| seconds.map(at));
        let jobs = prop::sample::select(vec![
            json!({}),
            json!({"job-name": "j"}),
            json!({"job-name": ""}),
            json!({"tidegate.dev/waited": "3", "tidegate.dev/without-data": "true"}),
        ]);
        let measurement =
            (phase(), time(), time(), time(), jobs).prop_map(|(phase, started, finished, resume, job)| {
                json!({"phase": phase, "startedAt": started, "finishedAt": finished, "resumeAt": resume, "metadata": job})
            });
        let counts = prop::collection::vec(any::<i32>(), 4);
        let measurements = prop::collection::vec(measurement, 0..4);
        (phase(), prop::sample::select(vec!["a", "b"]), counts, measurements, any::<bool>()).prop_map(
            |(phase, name, counts, measurements, dry)| {
                json!({"phase": phase, "name": name, "count": counts[0], "failed": counts[1], "consecutiveError": counts[2],
                    "consecutiveSuccess": counts[3], "measurements": measurements, "dryRun": dry})
            },
        )
    }

    fn any_run() -> impl Strategy<Value = AnalysisRun> {
        let metrics = prop::collection::vec(any_metric(), 0..3);
        let results = prop::collection::vec(any_result(), 0..3);
        let missing = prop::sample::select(vec!["", "wait", "fail", "inconclusive", "a=wait"]);
        (metrics, results, phase(), any::<bool>(), prop::option::of(any::<i32>()), 0..3i32, missing).prop_map(
            |(metrics, results, phase, terminate, ttl, rules, missing)| {
                let mut run = run(json!({
                    "metrics": metrics, "terminate": terminate, "args": [{"name": "n", "value": "2"}],
                    "dryRun": (0..rules).map(|_| json!({"metricName": "a|2"})).collect::<Vec<_>>(),
                    "ttlStrategy": {"secondsAfterCompletion": ttl},
                }));
                let status = json!({"phase": phase, "metricResults": results, "completedAt": at(0)});
                run.status = Some(serde_json::from_value(status).unwrap());
                if !missing.is_empty() {
                    let annotation = ("tidegate.dev/on-no-data".to_owned(), missing.to_owned());
                    run.metadata.annotations = Some([annotation].into());
                }
                run
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn has_a_plan_and_settles(run in any_run(), value in prop::sample::select(vec!["1", "0", "NaN", "", "+Inf"])) {
            let mut run = run;
            let answers = ["a", "b", "2"].map(|name| (name, answer(value)));
            let mut first = round(&mut run, 0, &answers);
            prop_assert!(first.status.is_none() || first.requests.is_empty());
            if first.wake == Some(at(0)) && first.status.is_some() {
                // A Job is ended in a round of its own, and its run after that.
                first = round(&mut run, 0, &answers);
            }
            prop_assert!(first.wake.is_none_or(|wake| wake > at(0)), "a plan that wakes at once never rests: {first:?}");
            let second = round(&mut run, 0, &answers);
            prop_assert_eq!(&second.status, &None, "planning twice does nothing the second time");
            prop_assert!(second.requests.is_empty() && second.notices.is_empty(), "{first:?} then {second:?}");
        }
    }
}
