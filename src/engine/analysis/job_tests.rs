//! Runs whose metrics are Jobs, told round by round against a cluster of a few lines; and web metrics in a run.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value, json};
use tidegate_api::analysis::AnalysisRun;

use super::*;
use crate::metric::job::{Name, Shown};
use crate::metric::{Answer, Request, Response, http, job};

const START: i64 = 1_800_000_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(START + seconds).unwrap()
}

/// A run, and the Jobs that were created for it.
struct Stage {
    run: AnalysisRun,
    jobs: BTreeMap<String, Value>,
    pods: Vec<Value>,
    secrets: Secrets,
    /// What a Prometheus answers.
    sample: &'static str,
    /// The API server answers nothing about Jobs.
    silent: bool,
    /// What it refuses to do about Jobs, and in which words.
    refused: Option<&'static str>,
    ended: Vec<String>,
}

fn stage(metrics: Value) -> Stage {
    let run = serde_json::from_value(json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisRun",
        "metadata": {"name": "r", "namespace": "ns", "uid": "u"}, "spec": {"metrics": metrics},
    }));
    Stage {
        run: run.unwrap(),
        jobs: BTreeMap::new(),
        pods: Vec::new(),
        secrets: Secrets::new(),
        sample: "1",
        silent: false,
        refused: None,
        ended: Vec::new(),
    }
}

fn job_metric(name: &str, more: Value) -> Value {
    let mut metric = json!({"name": name, "provider": {"job": {"spec": {"template": {"spec": {}}}}}});
    metric.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    metric
}

impl Stage {
    fn world(&self, now: i64) -> RunWorld {
        let over = self.jobs.iter().filter(|(_, object)| job::ended(object).is_some());
        RunWorld {
            secrets: self.secrets.clone(),
            jobs_over: over.map(|(name, _)| Name { namespace: "ns".into(), name: name.clone() }).collect(),
            ..RunWorld::of(&self.run, at(now))
        }
    }

    fn answer(&mut self, request: &Request) -> Option<Result<Answer, String>> {
        let request = match request {
            Request::Job(request) => request,
            Request::Prometheus(_) => {
                let result = format!(r#"[{{"metric":{{}},"value":[1,"{}"]}}]"#, self.sample);
                let body =
                    format!(r#"{{"status":"success","data":{{"resultType":"vector","result":{result}}}}}"#);
                return Some(Ok(Answer::Server(Response {
                    status: 200,
                    body: body.into_bytes(),
                    retry_after_seconds: None,
                })));
            }
            Request::Http(_) | Request::Cluster(_) => return Some(Err("no server".to_owned())),
        };
        if self.silent {
            return None;
        }
        if let Some(why) = self.refused {
            return Some(Err(why.to_owned()));
        }
        let shown = match request {
            job::Request::Start { job, object } => {
                self.jobs.entry(job.name.clone()).or_insert_with(|| object.clone()).clone()
            }
            job::Request::Look { job, selector } => {
                assert_eq!(selector, "analysisrun.argoproj.io/uid=u");
                self.jobs.get(&job.name).cloned().unwrap_or_default()
            }
            job::Request::End { job } => {
                self.jobs.remove(&job.name);
                self.ended.push(job.name.clone());
                Value::Null
            }
        };
        Some(Ok(Answer::Job(Shown { job: shown, pods: self.pods.clone() })))
    }

    /// Plans once and answers; puts the status into the run as a controller would.
    fn round(&mut self, now: i64) -> RunPlan {
        let world = self.world(now);
        let mut planned = plan(&world);
        if !planned.requests.is_empty() {
            let outcomes = self.outcomes(&planned);
            if !outcomes.is_empty() {
                planned = record(&world, &outcomes, at(now));
            }
        }
        for job in &planned.sweep {
            self.ended.push(job.name.clone());
            self.jobs.remove(&job.name);
        }
        self.write(&planned);
        planned
    }

    fn outcomes(&mut self, planned: &RunPlan) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        for MeasureRequest { metric, request } in &planned.requests {
            if let Some(answer) = self.answer(request) {
                outcomes.push(Outcome { metric: metric.clone(), answer });
            }
        }
        outcomes
    }

    fn write(&mut self, planned: &RunPlan) {
        if let Some(status) = &planned.status {
            // What is read back has been through JSON, where times are whole seconds.
            let read = serde_json::from_value(serde_json::to_value(status).unwrap()).unwrap();
            assert_eq!(&read, status);
            self.run.status = Some(read);
        }
    }

    fn end(&mut self, name: &str, condition: &str) {
        let job = self.jobs.get_mut(name).unwrap();
        job["status"] = json!({"conditions": [{"type": condition, "status": "True"}]});
    }

    fn status(&self) -> Value {
        serde_json::to_value(&self.run.status).unwrap()
    }

    fn phase(&self) -> String {
        self.status()["phase"].as_str().unwrap_or_default().to_owned()
    }

    fn measurement(&self, metric: usize) -> Value {
        let status = self.status();
        status["metricResults"][metric]["measurements"].as_array().unwrap().last().unwrap().clone()
    }
}

#[test]
fn a_job_is_looked_at_until_it_ends() {
    let mut stage = stage(json!([job_metric("m", json!({}))]));
    assert_eq!(stage.round(0).wake, Some(at(1)));
    assert_eq!(stage.jobs.keys().collect::<Vec<_>>(), ["u.m.1"]);
    assert_eq!(
        stage.status(),
        json!({
            "phase": "Running", "startedAt": at(0), "runSummary": {"count": 1}, "dryRunSummary": {},
            "metricResults": [{"name": "m", "phase": "Running", "measurements": [{
                "phase": "Running", "startedAt": at(0), "resumeAt": at(1),
                "metadata": {"job-name": "u.m.1", "job-namespace": "ns"},
            }]}],
        })
    );
    assert_eq!(stage.round(0), RunPlan { wake: Some(at(1)), ..RunPlan::default() });
    assert_eq!(stage.round(1).wake, Some(at(3)));
    assert_eq!(stage.round(3).wake, Some(at(6)));
    assert_eq!(stage.measurement(0)["resumeAt"], json!(at(6)));
    stage.end("u.m.1", "Complete");
    let last = stage.round(4);
    assert_eq!(stage.phase(), "Successful", "a Job that is seen to have ended is not waited for");
    assert_eq!(last.notices.len(), 2);
    let result = &stage.status()["metricResults"][0];
    assert_eq!(
        (&result["count"], &result["successful"], &result["phase"]),
        (&json!(1), &json!(1), &json!("Successful"))
    );
    assert_eq!(stage.measurement(0)["finishedAt"], json!(at(4)));
    assert!(stage.ended.is_empty(), "what has ended stays to be read");
}

#[test]
fn without_a_watch_the_end_is_seen_by_looking() {
    let mut stage = stage(json!([job_metric("m", json!({}))]));
    stage.round(0);
    stage.end("u.m.1", "Failed");
    let mut world = stage.world(1);
    world.jobs_over = BTreeSet::new();
    let planned = plan(&world);
    let outcomes = stage.outcomes(&planned);
    let recorded = record(&world, &outcomes, at(1));
    stage.write(&recorded);
    assert_eq!(stage.phase(), "Failed");
    assert_eq!(
        stage.status()["message"],
        "Metric \"m\" assessed Failed due to failed (1) > failureLimit (0)"
    );
}

#[test]
fn each_measurement_has_a_job_of_its_own() {
    let limits = json!({"interval": "10s", "count": 3, "failureLimit": 1});
    let mut stage = stage(json!([job_metric("m", limits)]));
    for (number, end) in ["Complete", "Failed", "Complete"].iter().enumerate() {
        let now = i64::try_from(number).unwrap() * 20;
        stage.round(now);
        let name = format!("u.m.{}", number + 1);
        assert_eq!(stage.measurement(0)["metadata"]["job-name"], json!(name));
        stage.end(&name, end);
        stage.round(now + 1);
    }
    assert_eq!((stage.phase(), stage.jobs.len()), ("Successful".to_owned(), 3));
}

#[test]
fn a_crash_before_the_status_is_written_starts_no_second_job() {
    let mut stage = stage(json!([job_metric("m", json!({}))]));
    let first = plan(&stage.world(0));
    let _lost = stage.outcomes(&first);
    stage.end("u.m.1", "Complete");
    stage.round(30);
    assert_eq!((stage.jobs.len(), stage.phase()), (1, "Running".to_owned()));
    stage.round(30);
    assert_eq!((stage.jobs.len(), stage.phase()), (1, "Successful".to_owned()));
}

#[test]
fn a_job_of_somebody_else_is_not_taken_for_ours() {
    let mut stage = stage(json!([job_metric("m", json!({}))]));
    let foreign = json!({"metadata": {"name": "u.m.1", "namespace": "ns", "labels": {}}});
    stage.jobs.insert("u.m.1".to_owned(), foreign);
    stage.round(0);
    let measurement = stage.measurement(0);
    assert_eq!(measurement["phase"], "Error");
    assert_eq!(measurement["message"], "jobs.batch \"u.m.1\" already exists, and is not of this metric");
}

#[test]
fn refusals_and_lost_jobs_are_errors_and_silence_is_nothing() {
    let mut stage = stage(json!([job_metric("m", json!({"consecutiveErrorLimit": 1}))]));
    stage.silent = true;
    assert_eq!(stage.round(0).requests.len(), 1, "nothing to write: it is asked again");
    stage.silent = false;
    stage.refused = Some("exceeded quota");
    assert_eq!(stage.round(0).wake, Some(at(10)));
    assert_eq!(stage.measurement(0)["message"], "exceeded quota");
    stage.refused = None;
    stage.round(10);
    assert_eq!(stage.jobs.keys().collect::<Vec<_>>(), ["u.m.2"]);
    stage.jobs.clear();
    stage.round(11);
    assert_eq!(stage.measurement(0)["message"], "jobs.batch \"u.m.2\" not found");
    assert_eq!(stage.phase(), "Error");
}

#[test]
fn an_image_that_cannot_be_had_is_for_a_person_to_judge() {
    let mut stage = stage(json!([job_metric("m", json!({}))]));
    stage.round(0);
    stage.jobs.get_mut("u.m.1").unwrap()["metadata"]["uid"] = json!("j");
    stage.pods = vec![json!({
        "metadata": {"name": "p", "ownerReferences": [{"uid": "j"}]},
        "status": {"containerStatuses": [
            {"name": "c", "state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}}},
        ]},
    })];
    stage.round(1);
    let told = "Pod p, container c has terminal error (ErrImagePull): not found";
    let message = format!(
        "Metric \"m\" assessed Inconclusive due to inconclusive (1) > inconclusiveLimit (0): \"Error Message: {told}\""
    );
    assert_eq!((stage.phase(), &stage.status()["message"]), ("Inconclusive".to_owned(), &json!(message)));
}

#[test]
fn a_run_that_is_told_to_end_ends_its_job_first() {
    let mut stage = stage(json!([job_metric("m", json!({}))]));
    stage.round(0);
    stage.run.spec.terminate = true;
    stage.silent = true;
    assert_eq!(stage.round(5).status, None, "the run does not end before its Job has");
    stage.silent = false;
    stage.round(5);
    assert_eq!(stage.ended, ["u.m.1"]);
    let measurement = stage.measurement(0);
    assert_eq!(measurement["message"], "Metric Terminated");
    assert_eq!((&measurement["phase"], &measurement["finishedAt"]), (&json!("Inconclusive"), &json!(at(5))));
    assert_eq!(stage.phase(), "Inconclusive");
    assert_eq!(stage.round(6), RunPlan::default());
}

#[test]
fn a_job_that_must_not_be_ended_keeps_no_run() {
    let mut stage = stage(json!([job_metric("m", json!({}))]));
    stage.round(0);
    stage.run.spec.terminate = true;
    stage.refused = Some("no right to delete");
    stage.round(5);
    assert_eq!(
        (stage.measurement(0)["message"].as_str(), stage.phase().as_str()),
        (Some("no right to delete"), "Successful")
    );
}

#[test]
fn a_verdict_elsewhere_ends_the_job_and_then_the_run() {
    let good = json!({"name": "good", "provider": {"prometheus": {"address": "http://p", "query": "q"}},
        "successCondition": "result > 0.9", "interval": "10s"});
    let mut stage = stage(json!([good, job_metric("m", json!({}))]));
    stage.round(0);
    stage.sample = "0";
    let first = stage.round(10);
    assert_eq!((stage.phase(), first.wake), ("Running".to_owned(), Some(at(10))));
    let second = stage.round(10);
    assert_eq!((stage.phase(), stage.ended.len()), ("Failed".to_owned(), 1));
    assert_eq!(second.wake, None);
    let summary = json!({"count": 2, "failed": 1, "inconclusive": 1});
    assert_eq!(stage.status()["runSummary"], summary);
    assert_eq!(
        stage.status()["message"],
        "Metric \"good\" assessed Failed due to failed (1) > failureLimit (0)"
    );
}

#[test]
fn a_job_that_was_created_while_the_run_was_told_to_end_is_ended_too() {
    let mut stage = stage(json!([job_metric("m", json!({}))]));
    let planned = plan(&stage.world(0));
    let outcomes = stage.outcomes(&planned);
    stage.run.spec.terminate = true;
    let recorded = record(&stage.world(0), &outcomes, at(0));
    assert_eq!(recorded.wake, Some(at(0)));
    stage.write(&recorded);
    assert_eq!(stage.measurement(0)["metadata"]["job-name"], "u.m.1");
    stage.round(0);
    assert_eq!((stage.ended.len(), stage.phase()), (1, "Inconclusive".to_owned()));
}

#[test]
fn jobs_go_with_the_measurements_that_told_of_them() {
    let mut stage = stage(json!([
        job_metric("m", json!({"interval": "1s"})),
        job_metric("n", json!({"interval": "1s"}))
    ]));
    stage.run.spec.measurement_retention =
        serde_json::from_value(json!([{"metricName": "m", "limit": 2}])).unwrap();
    for number in 1..=4 {
        let now = number * 10;
        stage.round(now);
        for metric in ["m", "n"] {
            stage.end(&format!("u.{metric}.{number}"), "Complete");
        }
        stage.round(now + 1);
    }
    assert_eq!(stage.ended, ["u.m.1", "u.m.2"]);
    assert_eq!(stage.jobs.keys().collect::<Vec<_>>(), ["u.m.3", "u.m.4", "u.n.1", "u.n.2", "u.n.3", "u.n.4"]);
}

#[test]
fn a_job_gets_the_values_of_secrets_and_nobody_else_does() {
    let env = json!([{"name": "TOKEN", "value": "{{args.token}}"}]);
    let spec = json!({"template": {"spec": {"containers": [{"name": "c", "env": env}]}}});
    let mut stage = stage(json!([{"name": "m", "provider": {"job": {"spec": spec}}}]));
    stage.run.spec.args = serde_json::from_value(
        json!([{"name": "token", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]),
    )
    .unwrap();
    assert_eq!(needs(&stage.world(0)).len(), 1);
    stage.secrets.insert(("s".into(), "k".into()), Ok("hush".into()));
    let planned = plan(&stage.world(0));
    assert!(!format!("{planned:?}").contains("hush"));
    stage.round(0);
    assert!(stage.jobs["u.m.1"].to_string().contains("hush"));
    stage.refused = Some("invalid value: hush");
    stage.round(1);
    assert_eq!(stage.measurement(0)["message"], "invalid value: *****");
    assert!(!stage.status().to_string().contains("hush"));
    stage.run.spec.terminate = true;
    assert!(needs(&stage.world(2)).is_empty(), "to end a run nobody needs its Secrets");
}

#[test]
fn a_web_metric_is_one_call() {
    let web = json!({"url": "http://check/{{args.path}}", "jsonPath": "{.data.ok}", "headers": [{"key": "T", "value": "hush"}]});
    let metric = json!({"name": "w", "provider": {"web": web}, "successCondition": "result", "interval": "5s", "count": 2});
    let mut stage = stage(json!([metric]));
    stage.run.spec.args = serde_json::from_value(json!([{"name": "path", "value": "a"}])).unwrap();
    let measured = |stage: &mut Stage, now: i64, status: u16, body: &str| {
        let world = stage.world(now);
        let planned = plan(&world);
        let Request::Http(http::Call { url, .. }) = &planned.requests[0].request else {
            panic!("{planned:?}")
        };
        assert_eq!(url, "http://check/a");
        assert!(!format!("{planned:?}").contains("hush"));
        let answer = Ok(Answer::Server(Response {
            status,
            body: body.as_bytes().to_vec(),
            retry_after_seconds: None,
        }));
        let recorded = record(&world, &[Outcome { metric: "w".into(), answer }], at(now));
        stage.write(&recorded);
        stage.measurement(0)
    };
    let good = measured(&mut stage, 0, 200, r#"{"data": {"ok": true}}"#);
    assert_eq!((&good["phase"], &good["value"]), (&json!("Successful"), &json!("true")));
    let busy = measured(&mut stage, 5, 503, "busy");
    assert_eq!(
        (&busy["phase"], &busy["message"]),
        (&json!("Error"), &json!("received non 2xx response code: 503"))
    );
    let page = measured(&mut stage, 15, 200, "<html>");
    assert_eq!(page["phase"], "Error", "a page is not the answer that the condition asks about");
    assert_eq!(page["value"], "<html>");
    let missing = measured(&mut stage, 25, 200, r#"{"data": {"ok": null}}"#);
    assert_eq!((&missing["phase"], &missing["value"]), (&json!("Error"), &json!("null")));
    let bad = measured(&mut stage, 35, 200, r#"{"data": {"ok": false}}"#);
    assert_eq!(bad["phase"], "Failed");
    assert_eq!(stage.phase(), "Failed");
}
