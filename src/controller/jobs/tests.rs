//! Requests about Jobs against an API server that the test plays.

use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::mock::{Server, server};

const JOBS: &str = "/apis/batch/v1/namespaces/ns/jobs";

fn name() -> Name {
    Name { namespace: "ns".to_owned(), name: "u1.m.1".to_owned() }
}

fn job(ended: Option<&str>) -> Value {
    let conditions: Vec<Value> = ended.iter().map(|kind| json!({"type": kind, "status": "True"})).collect();
    json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {
            "name": "u1.m.1", "namespace": "ns", "resourceVersion": "3",
            "labels": {RUN_UID: "u1"}, "annotations": {RUN_NAME: "r", RUN_NAMESPACE: "runs"},
        },
        "status": {"conditions": conditions},
    })
}

fn refusal(code: u16, reason: &str) -> Value {
    json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": "no"})
}

async fn asked<T>(
    request: Request,
    play: impl AsyncFnOnce(&mut Server) -> T,
) -> (Result<Result<Shown, String>, Failed>, T) {
    let (client, mut server) = server();
    let jobs = Jobs::new(client);
    tokio::join!(jobs.ask(&request), play(&mut server))
}

fn start() -> Request {
    Request::Start { job: name(), object: json!({"metadata": {"name": "u1.m.1"}}) }
}

fn look() -> Request {
    Request::Look { job: name(), selector: "a=b".to_owned() }
}

#[tokio::test]
async fn a_job_is_created() {
    let (shown, asked) = asked(start(), async |server| server.answer(201, job(None)).await).await;
    assert_eq!(shown.unwrap(), Ok(Shown { job: job(None), pods: Vec::new() }));
    assert_eq!(asked.line, format!("POST {JOBS}?&fieldManager=tidegate"));
    assert_eq!(asked.body["metadata"]["name"], "u1.m.1");
}

#[tokio::test]
async fn a_job_that_is_there_is_shown_instead() {
    let play = async |server: &mut Server| {
        server.answer(409, refusal(409, "AlreadyExists")).await;
        server.answer(200, job(Some("Complete"))).await.line
    };
    let (shown, read) = asked(start(), play).await;
    assert_eq!(read, format!("GET {JOBS}/u1.m.1"));
    assert_eq!(shown.unwrap().unwrap().job, job(Some("Complete")));
}

#[tokio::test]
async fn a_refusal_is_an_answer_and_silence_is_none() {
    for (code, reason) in [(403, "Forbidden"), (422, "Invalid"), (404, "NotFound"), (400, "BadRequest")] {
        let (shown, _) =
            asked(start(), async |server| server.answer(code, refusal(code, reason)).await).await;
        assert_eq!(shown.unwrap(), Err(format!("no ({code})")));
    }
    for (code, reason) in [(500, "InternalError"), (429, "TooManyRequests"), (409, "Conflict")] {
        let (shown, _) =
            asked(start(), async |server| server.answer(code, refusal(code, reason)).await).await;
        assert!(shown.unwrap_err().to_string().starts_with("cannot create Job ns/u1.m.1: "));
    }
    let (shown, _) = asked(look(), async |server| server.hang_up().await).await;
    assert!(shown.is_err());
}

#[tokio::test]
async fn pods_are_read_while_the_job_has_not_ended() {
    let (shown, asked) = asked(look(), async |server| server.answer(200, job(Some("Failed"))).await).await;
    assert_eq!((asked.line, shown.unwrap().unwrap().pods.len()), (format!("GET {JOBS}/u1.m.1"), 0));
    let play = async |server: &mut Server| {
        server.answer(200, job(None)).await;
        server.answer(200, json!({"kind": "PodList", "items": [{"metadata": {"name": "p"}}]})).await.line
    };
    let (shown, listed) = self::asked(look(), play).await;
    assert!(listed.starts_with("GET /api/v1/namespaces/ns/pods?"), "{listed}");
    assert!(listed.contains("labelSelector=a%3Db") && listed.contains("limit=50"), "{listed}");
    assert_eq!(shown.unwrap().unwrap().pods, [json!({"metadata": {"name": "p"}})]);
    let play = async |server: &mut Server| {
        server.answer(200, job(None)).await;
        server.answer(403, refusal(403, "Forbidden")).await
    };
    let (shown, _) = self::asked(look(), play).await;
    assert_eq!(shown.unwrap(), Ok(Shown { job: job(None), pods: Vec::new() }));
    let (shown, _) =
        self::asked(look(), async |server| server.answer(404, refusal(404, "NotFound")).await).await;
    assert_eq!(shown.unwrap(), Ok(Shown::default()), "a Job that is gone is an answer");
}

#[tokio::test]
async fn a_job_goes_with_its_pods() {
    let end = || Request::End { job: name() };
    let (shown, asked) = asked(end(), async |server| server.answer(200, job(None)).await).await;
    assert_eq!(shown.unwrap(), Ok(Shown::default()));
    assert_eq!(asked.line, format!("DELETE {JOBS}/u1.m.1?"));
    assert_eq!(asked.body["propagationPolicy"], "Foreground");
    let (shown, _) =
        self::asked(end(), async |server| server.answer(404, refusal(404, "NotFound")).await).await;
    assert_eq!(shown.unwrap(), Ok(Shown::default()));
}

#[test]
fn three_words_are_kept_of_a_job() {
    let running = JobFacts::keep(job(None), None).unwrap();
    assert_eq!(running, JobFacts { run: Key::new("runs", "r"), has_ended: false });
    let ended = JobFacts::keep(job(Some("Failed")), None).unwrap();
    assert!(ended.differs(&running) && !ended.differs(&JobFacts::keep(job(Some("Complete")), None).unwrap()));
    let mut old = job(None);
    old["metadata"]["annotations"] = json!({RUN_NAME: "r"});
    assert_eq!(JobFacts::keep(old, None).unwrap().run, Key::new("ns", "r"));
    assert!(JobFacts::keep(json!({"metadata": {"name": "other"}}), None).is_err());
}

#[tokio::test(start_paused = true)]
async fn jobs_are_watched_from_the_first_run_that_has_one() {
    let (client, mut server) = server();
    let scene = Arc::new(Scene::default());
    let scope = Scope { namespace: None, instance_id: None, analysis_only: false };
    let mut tasks = JoinSet::new();
    watch(&client, &scope, &scene, &Arc::new(Metrics::default()), &mut tasks);
    let run = |metric: Value| -> AnalysisRun {
        serde_json::from_value(json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisRun",
            "metadata": {"name": "r", "namespace": "runs", "uid": "u1"}, "spec": {"metrics": [metric]},
            "status": {"phase": "Running", "metricResults": [{"name": "m", "phase": "Running", "measurements": [
                {"phase": "Running", "metadata": {"job-name": "u1.m.1", "job-namespace": "ns"}},
            ]}]},
        }))
        .unwrap()
    };
    assert!(!has_job(&run(json!({"name": "m", "provider": {"web": {"url": "u"}}}))));
    let run = run(json!({"name": "m", "provider": {"job": {"spec": {}}}}));
    assert!(has_job(&run));
    scene.stores.jobs.want();
    let list = json!({"kind": "JobList", "apiVersion": "batch/v1", "metadata": {"resourceVersion": "7"}, "items": [job(Some("Complete"))]});
    let asked = server.answer(200, list).await;
    assert!(asked.line.starts_with("GET /apis/batch/v1/jobs?"), "{}", asked.line);
    assert!(asked.line.contains("labelSelector=analysisrun.argoproj.io%2Fuid"), "{}", asked.line);
    while over(&scene.stores.jobs, &run).is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(over(&scene.stores.jobs, &run).into_iter().collect::<Vec<_>>(), [name()]);
    tasks.abort_all();
}
