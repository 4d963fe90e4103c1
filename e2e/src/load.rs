//! Sends requests through a data plane at a bounded rate and counts what comes
//! back, so that splits and losses are measured and not believed.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// A request that takes longer counts as lost.
const PATIENCE: Duration = Duration::from_secs(10);
/// What an answer without `x-version` is counted as: the data plane's own.
pub(crate) const NO_VERSION: &str = "-";

/// Where to send requests, and how many.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    /// The Host header, by which the data plane finds the route.
    pub(crate) host: String,
    pub(crate) path: String,
    /// A header that each request has besides, by name and value.
    pub(crate) header: Option<(String, String)>,
    pub(crate) per_second: u32,
    pub(crate) workers: u32,
}

/// One request's end.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    /// Since the load began.
    pub(crate) at: Duration,
    pub(crate) took: Duration,
    pub(crate) outcome: Outcome,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// An answer, by the version that gave it.
    Answered { version: String, status: u16 },
    /// No answer at all, and why.
    Lost(Loss),
}

/// How a request got lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Loss {
    /// In a word, to count by: `refused`, `reset`, `cut off`, `timeout` or `other`.
    pub(crate) kind: &'static str,
    /// In the client's words.
    pub(crate) why: String,
}

impl Loss {
    fn of(error: &reqwest::Error) -> Self {
        Self { kind: if error.is_timeout() { "timeout" } else { kind_of(error) }, why: chain(error) }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

/// What a socket tells, and what it is called here.
const KINDS: [(io::ErrorKind, &str); 5] = [
    (io::ErrorKind::ConnectionRefused, "refused"),
    (io::ErrorKind::ConnectionReset, "reset"),
    (io::ErrorKind::BrokenPipe, "reset"),
    (io::ErrorKind::UnexpectedEof, "cut off"),
    (io::ErrorKind::TimedOut, "timeout"),
];

/// The kind of loss that the socket tells of, somewhere down the chain of causes: others wrap it once more.
fn kind_of(error: &(dyn std::error::Error + 'static)) -> &'static str {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let told = error.downcast_ref::<io::Error>().map(io::Error::kind);
        if let Some((_, name)) = KINDS.iter().find(|(kind, _)| Some(*kind) == told) {
            return name;
        }
        cause = error.source();
    }
    "other"
}

/// Everything that came back, in the order of sending.
#[derive(Clone, Debug)]
pub(crate) struct Answers {
    /// When the load began.
    pub(crate) began: Timestamp,
    pub(crate) samples: Vec<Sample>,
}

/// A load that runs until it is stopped.
pub(crate) struct Running {
    stop: watch::Sender<bool>,
    answers: JoinHandle<Result<Answers>>,
    record: Arc<Record>,
}

/// What a load has sent and got so far.
struct Record {
    began: Timestamp,
    start: Instant,
    sent: AtomicU64,
    samples: Mutex<Vec<Sample>>,
}

impl Record {
    fn new() -> Arc<Self> {
        let (began, start) = (Timestamp::now(), Instant::now());
        Arc::new(Self { began, start, sent: AtomicU64::new(0), samples: Mutex::default() })
    }

    /// Everything that was sent since `from`, in the order of sending.
    fn answers(&self, from: Duration) -> Answers {
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let mut samples: Vec<Sample> = samples.iter().filter(|sample| sample.at >= from).cloned().collect();
        samples.sort_by_key(|sample| sample.at);
        Answers { began: self.began, samples }
    }
}

impl Load {
    pub(crate) fn new(address: SocketAddr, host: &str, per_second: u32) -> Self {
        Self { address, host: host.to_owned(), path: "/".to_owned(), header: None, per_second, workers: 8 }
    }

    /// Sends exactly `count` requests.
    pub(crate) async fn send(&self, count: u64) -> Result<Answers> {
        let (_stop, stopped) = watch::channel(false);
        self.clone().run(count, stopped, Record::new()).await
    }

    /// Sends requests until `Running::stop`.
    pub(crate) fn start(&self) -> Running {
        let (stop, stopped) = watch::channel(false);
        let record = Record::new();
        let answers = tokio::spawn(self.clone().run(u64::MAX, stopped, Arc::clone(&record)));
        Running { stop, answers, record }
    }

    /// Sends small bursts until one of them is answered as wanted: a data plane
    /// learns of a route some time after the API server does.
    pub(crate) async fn until_answers(&self, holds: impl Fn(&Answers) -> bool) -> Result<Answers> {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let answers = self.send(u64::from(self.per_second.min(50))).await?;
            if holds(&answers) {
                return Ok(answers);
            }
            if Instant::now() > deadline {
                let bad = answers.first_bad().map_or_else(|| "none is bad".to_owned(), ToString::to_string);
                bail!("{}: the last answers were {:?}; {bad}", self.host, answers.counts());
            }
        }
    }

    async fn run(self, count: u64, stopped: watch::Receiver<bool>, record: Arc<Record>) -> Result<Answers> {
        let client = reqwest::Client::builder()
            .timeout(PATIENCE)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .context("cannot make a load generator")?;
        let turn = Arc::new(AtomicU64::new(0));
        let mut workers = JoinSet::new();
        for _worker in 0..self.workers {
            let (load, client, turn, record) =
                (self.clone(), client.clone(), Arc::clone(&turn), Arc::clone(&record));
            let mut stopped = stopped.clone();
            workers.spawn(async move {
                loop {
                    let mine = turn.fetch_add(1, Ordering::Relaxed);
                    if mine >= count || !load.wait_for_turn(record.start, mine, &mut stopped).await {
                        return;
                    }
                    record.sent.fetch_add(1, Ordering::Relaxed);
                    let sample = load.ask(&client, record.start).await;
                    record.samples.lock().unwrap_or_else(PoisonError::into_inner).push(sample);
                }
            });
        }
        workers.join_all().await;
        Ok(record.answers(Duration::ZERO))
    }

    /// Waits until request number `turn` is due; false when the load is stopped before.
    async fn wait_for_turn(&self, start: Instant, turn: u64, stopped: &mut watch::Receiver<bool>) -> bool {
        let due = start + Duration::from_secs_f64(turn as f64 / f64::from(self.per_second.max(1)));
        tokio::select! {
            biased;
            // Also when the sender is gone: nobody waits for the answers any more.
            _ = stopped.wait_for(|stop| *stop) => false,
            () = tokio::time::sleep_until(due.into()) => true,
        }
    }

    async fn ask(&self, client: &reqwest::Client, start: Instant) -> Sample {
        let at = start.elapsed();
        let url = format!("http://{}{}", self.address, self.path);
        let answer = async {
            let mut request = client.get(url).header("host", &self.host);
            if let Some((name, value)) = &self.header {
                request = request.header(name, value);
            }
            let response = request.send().await?;
            let version = response.headers().get("x-version").and_then(|value| value.to_str().ok());
            let version = version.unwrap_or(NO_VERSION).to_owned();
            let status = response.status().as_u16();
            // An answer cut off in its body is no answer.
            response.bytes().await?;
            Ok::<_, reqwest::Error>(Outcome::Answered { version, status })
        };
        let outcome = answer.await.unwrap_or_else(|error| Outcome::Lost(Loss::of(&error)));
        Sample { at, took: start.elapsed() - at, outcome }
    }
}

impl Running {
    /// How many requests have been sent so far.
    pub(crate) fn sent(&self) -> u64 {
        self.record.sent.load(Ordering::Relaxed)
    }

    /// How long it has been running.
    pub(crate) fn elapsed(&self) -> Duration {
        self.record.start.elapsed()
    }

    /// What came back of the requests of the last `span`, for whoever watches.
    pub(crate) fn recent(&self, span: Duration) -> Answers {
        self.record.answers(self.record.start.elapsed().saturating_sub(span))
    }

    /// What came back so far.
    pub(crate) fn so_far(&self) -> Answers {
        self.record.answers(Duration::ZERO)
    }

    /// Ends the load and returns what came back.
    pub(crate) async fn stop(self) -> Result<Answers> {
        self.stop.send_replace(true);
        self.answers.await?
    }
}

impl Sample {
    /// What went wrong, in a word: the status of a bad answer or the kind of a loss.
    pub(crate) fn trouble(&self) -> Option<String> {
        match &self.outcome {
            Outcome::Answered { status, .. } => self.is_bad().then(|| status.to_string()),
            Outcome::Lost(loss) => Some(loss.kind.to_owned()),
        }
    }

    /// Anything but an answer below 500.
    pub(crate) fn is_bad(&self) -> bool {
        match &self.outcome {
            Outcome::Answered { status, .. } => *status >= 500 || *status == 404,
            Outcome::Lost(_) => true,
        }
    }
}

impl Answers {
    pub(crate) fn len(&self) -> usize {
        self.samples.len()
    }

    /// Answers by version and status.
    pub(crate) fn counts(&self) -> BTreeMap<(String, u16), u64> {
        let mut counts = BTreeMap::new();
        for sample in &self.samples {
            if let Outcome::Answered { version, status } = &sample.outcome {
                *counts.entry((version.clone(), *status)).or_default() += 1;
            }
        }
        counts
    }

    /// A version's share of all answers, in percent.
    pub(crate) fn share_percent(&self, version: &str) -> f64 {
        let (mut all, mut of_version) = (0_u64, 0_u64);
        for ((name, _status), count) in self.counts() {
            all += count;
            of_version += if name == version { count } else { 0 };
        }
        if all == 0 { 0.0 } else { 100.0 * of_version as f64 / all as f64 }
    }

    /// Requests that got no answer, or one that only a broken route gives.
    pub(crate) fn bad(&self) -> impl Iterator<Item = &Sample> {
        self.samples.iter().filter(|sample| sample.is_bad())
    }

    /// Requests without any answer.
    pub(crate) fn lost(&self) -> impl Iterator<Item = &Sample> {
        self.samples.iter().filter(|sample| matches!(sample.outcome, Outcome::Lost(_)))
    }

    /// When the first bad answer was asked for, since the load began.
    pub(crate) fn first_bad(&self) -> Option<&Sample> {
        self.bad().next()
    }

    /// The part that was sent between two moments since the load began.
    pub(crate) fn between(&self, from: Duration, to: Duration) -> Self {
        let samples =
            self.samples.iter().filter(|sample| from <= sample.at && sample.at < to).cloned().collect();
        Self { began: self.began, samples }
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (at, took) = (self.at.as_secs_f64(), self.took.as_secs_f64());
        match &self.outcome {
            Outcome::Answered { version, status } => {
                write!(f, "{status} from {version} at {at:.1} s, after {took:.3} s")
            }
            Outcome::Lost(why) => write!(f, "no answer at {at:.1} s, after {took:.3} s: {why}"),
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(at_ms: u64, version: &str, status: u16) -> Sample {
        let outcome = Outcome::Answered { version: version.to_owned(), status };
        Sample { at: Duration::from_millis(at_ms), took: Duration::ZERO, outcome }
    }

    #[test]
    fn shares_losses_and_the_first_bad_answer_are_told_apart() {
        let lost = Sample {
            at: Duration::from_millis(30),
            took: PATIENCE,
            outcome: Outcome::Lost(Loss { kind: "refused", why: "connection refused".to_owned() }),
        };
        let samples = vec![
            answered(0, "v1", 200),
            answered(10, "v1", 200),
            answered(20, "v2", 500),
            lost,
            answered(1500, "v1", 200),
        ];
        let answers = Answers { began: Timestamp::UNIX_EPOCH, samples };
        assert_eq!(answers.counts().get(&("v1".to_owned(), 200)), Some(&3));
        assert!((answers.share_percent("v2") - 25.0).abs() < 1e-9);
        assert_eq!(answers.bad().count(), 2);
        assert_eq!(answers.lost().count(), 1);
        assert_eq!(answers.first_bad().map(|sample| sample.at), Some(Duration::from_millis(20)));
        let troubles: Vec<String> = answers.bad().filter_map(Sample::trouble).collect();
        assert_eq!(troubles, ["500", "refused"]);
    }

    #[tokio::test]
    async fn a_refused_connection_and_a_cut_answer_are_told_apart() {
        // Another test may have been first.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let load = Load::new(address, "shop.test", 100);
        let cutting = std::thread::spawn(move || {
            use std::io::{Read, Write};
            let (mut connection, _) = listener.accept().unwrap();
            let _request = connection.read(&mut [0; 1024]).unwrap();
            connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf").unwrap();
        });
        let cut = load.send(1).await.unwrap();
        cutting.join().unwrap();
        assert_eq!(cut.samples[0].trouble().as_deref(), Some("cut off"), "{:?}", cut.samples);
        let refused = load.send(1).await.unwrap();
        assert_eq!(refused.samples[0].trouble().as_deref(), Some("refused"), "{:?}", refused.samples);
    }
}
