//! Servers that answer when the test says so, in virtual time.

use std::sync::{Mutex, PoisonError};

use futures::future::BoxFuture;
use serde_json::json;
use tidegate_engine::metric::{Accounts, Response};
use tokio::sync::oneshot;

use super::*;

/// Who answers a request, by what was asked. To drop it is to panic.
type Open = Arc<Mutex<Vec<(String, oneshot::Sender<Response>)>>>;

#[derive(Default)]
struct Stage {
    scene: Arc<Scene>,
    under_way: UnderWay,
    open: Open,
}

fn world(measured: i64) -> Arc<RunWorld> {
    let results: Vec<_> = ["quick", "slow"]
        .iter()
        .map(|name| json!({"name": name, "measurements": [{"value": measured.to_string()}]}))
        .collect();
    let run =
        json!({"metadata": {"uid": "u1"}, "spec": {"metrics": []}, "status": {"metricResults": results}});
    Arc::new(crate::analysis::tests::world(run, Accounts::default()))
}

fn due(metrics: &[&str]) -> Vec<MeasureRequest> {
    let request = |metric: &&str| MeasureRequest {
        metric: (*metric).to_owned(),
        request: Request::Cluster((*metric).to_owned()),
    };
    metrics.iter().map(request).collect()
}

fn answer() -> Response {
    Response { status: 200, body: Vec::new(), retry_after_seconds: None }
}

impl Stage {
    /// One round in which `quick` servers answer at once.
    async fn hear(&mut self, world: &Arc<RunWorld>, due: &[MeasureRequest], until: Option<Instant>) -> Heard {
        let open = Arc::clone(&self.open);
        let ask = move |request| -> BoxFuture<'static, Told> {
            let of = match request {
                Request::Cluster(path) => path,
                other @ (Request::Job(_) | Request::Http(_) | Request::Prometheus(_)) => format!("{other:?}"),
            };
            let (sender, told) = oneshot::channel();
            if of.starts_with("quick") {
                let _ = sender.send(answer());
            } else {
                open.lock().unwrap_or_else(PoisonError::into_inner).push((of, sender));
            }
            Box::pin(async move { Ok((Ok(Answer::Server(told.await.expect("planted"))), Sent::default())) })
        };
        let key = Key::new("ns", "r");
        let way = Way { scene: &self.scene, key: &key, ask };
        self.under_way.hear(world, due, until, &way).await
    }

    /// The only request that is under way, once no other was made for it.
    fn only(&self) -> oneshot::Sender<Response> {
        let mut open = self.open.lock().unwrap();
        assert_eq!(open.len(), 1, "asked once");
        open.remove(0).1
    }
}

fn heard(heard: &Heard) -> (Vec<&str>, Vec<&str>) {
    let answered = heard.answered.iter().map(|answered| answered.outcome.metric.as_str());
    (answered.collect(), heard.awaited.iter().map(String::as_str).collect())
}

#[tokio::test(start_paused = true)]
async fn who_is_slow_is_not_waited_for_and_is_heard_later() {
    let (mut stage, first) = (Stage::default(), world(1));
    let told = stage.hear(&first, &due(&["quick", "slow"]), None).await;
    assert_eq!(heard(&told), (vec!["quick"], vec!["slow"]));
    // Another metric's measurement changes nothing about what is under way.
    let second = world(1);
    let told = stage.hear(&second, &due(&["quick 2", "slow"]), None).await;
    assert_eq!(heard(&told), (vec!["quick 2"], vec!["slow"]));
    stage.only().send(answer()).unwrap();
    let told = loop {
        let told = stage.hear(&second, &due(&["slow"]), None).await;
        if !told.answered.is_empty() {
            break told;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(heard(&told), (vec!["slow"], vec![]));
    assert!(Arc::ptr_eq(&told.answered[0].world, &first), "it tells of the world that it was asked for in");
}

#[tokio::test(start_paused = true)]
async fn what_comes_within_a_while_is_heard_together() {
    let (mut stage, world) = (Stage::default(), world(1));
    let open = Arc::clone(&stage.open);
    tokio::spawn(async move {
        tokio::time::sleep(PATIENCE / 2).await;
        let (_, sender) = open.lock().unwrap().remove(0);
        sender.send(answer()).unwrap();
    });
    let told = stage.hear(&world, &due(&["quick", "slow"]), None).await;
    assert_eq!(heard(&told), (vec!["quick", "slow"], vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_round_ends_when_something_else_is_due() {
    let (mut stage, world, begun) = (Stage::default(), world(1), Instant::now());
    let until = begun + Duration::from_secs(2);
    let told = stage.hear(&world, &due(&["slow"]), Some(until)).await;
    assert_eq!((heard(&told), Instant::now()), ((vec![], vec!["slow"]), until));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_due_any_longer_is_ended() {
    for (next, then) in [(world(2), due(&["slow"])), (world(1), due(&[])), (world(1), due(&["other"]))] {
        let mut stage = Stage::default();
        stage.hear(&world(1), &due(&["slow"]), None).await;
        let mut old = stage.only();
        stage.hear(&next, &then, None).await;
        // Ends once the request is dropped.
        old.closed().await;
        let again = stage.open.lock().unwrap().len();
        assert_eq!(again, then.len(), "what is due is asked anew");
    }
    let mut stage = Stage::default();
    stage.hear(&world(1), &due(&["slow"]), None).await;
    let mut old = stage.only();
    drop(stage);
    old.closed().await;
}

#[tokio::test(start_paused = true)]
async fn no_more_than_so_many_are_asked_at_once() {
    let (mut stage, world) = (Stage::default(), world(1));
    let hung: Vec<String> = (10..10 + AT_ONCE).map(|number| number.to_string()).collect();
    let names: Vec<&str> = hung.iter().map(String::as_str).chain(["quick"]).collect();
    let all = due(&names);
    let told = stage.hear(&world, &all, None).await;
    assert_eq!(heard(&told), (vec![], names.clone()));
    let (_, sender) = stage.open.lock().unwrap().remove(0);
    sender.send(answer()).unwrap();
    while stage.under_way.came.is_empty() {
        tokio::task::yield_now().await;
    }
    let told = stage.hear(&world, &all, None).await;
    assert_eq!(heard(&told), (vec!["10", "quick"], names[1..AT_ONCE].to_vec()));
}

/// Whoever let go of the request would not know whether there is a Job.
#[tokio::test(start_paused = true)]
async fn that_a_job_is_made_or_ended_is_waited_for() {
    let (mut stage, world) = (Stage::default(), world(1));
    let open = Arc::clone(&stage.open);
    tokio::spawn(async move {
        tokio::time::sleep(SILENCE * 2).await;
        let (_, sender) = open.lock().unwrap().remove(0);
        sender.send(answer()).unwrap();
    });
    let job = job::Name { namespace: "ns".to_owned(), name: "j".to_owned() };
    let end = MeasureRequest { metric: "job".to_owned(), request: Request::Job(job::Request::End { job }) };
    let told = stage.hear(&world, &[due(&["quick"]), vec![end]].concat(), None).await;
    assert_eq!(heard(&told), (vec!["job", "quick"], vec![]));
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "planted")]
async fn a_panic_is_one_of_the_round() {
    let (mut stage, world) = (Stage::default(), world(1));
    let open = Arc::clone(&stage.open);
    tokio::spawn(async move { open.lock().unwrap().clear() });
    stage.hear(&world, &due(&["slow"]), None).await;
}

/// Whoever leads again asks again.
#[tokio::test(start_paused = true)]
async fn what_ended_with_the_lease_is_asked_again() {
    let (mut stage, world) = (Stage::default(), world(1));
    stage.hear(&world, &due(&["slow"]), None).await;
    let mut old = stage.only();
    let scene = Arc::clone(&stage.scene);
    let attend = |_| async { crate::work::Next::Idle };
    scene.runs.work(Vec::new(), 1, std::future::ready(()), attend, |_| {}).await;
    old.closed().await;
    while !stage.under_way.asked["slow"].errand.is_over() {
        tokio::task::yield_now().await;
    }
    let told = stage.hear(&world, &due(&["slow"]), None).await;
    assert_eq!(heard(&told), (vec![], vec!["slow"]));
    stage.only();
}
