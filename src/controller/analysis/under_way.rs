//! Requests of one run that outlive the round which made them, so that a slow server delays its own metric alone.
//!
//! Input: what is due, and how to ask for it. Output: answers, each with the world that it was asked for in. Once somebody
//! has answered the others get a short while, so that what comes together is one write; whoever comes later wakes the run.
//! It must never know what an answer means.

use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::FutureExt;
use tidegate_api::analysis::{AnalysisRun, Measurement};
use tidegate_engine::analysis::{MeasureRequest, Outcome, RunWorld};
use tidegate_engine::metric::{Answer, Request, Sent, job};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::time::{Instant, sleep_until};

use crate::apply::Failed;
use crate::store::Key;
use crate::watch::Scene;
use crate::work::Errand;

/// Requests of one run at once: as many metrics may wait for servers that hang before another one waits for them.
const AT_ONCE: usize = 32;
/// How long a round waits for the others once it has an answer to record: of a judge that looks every 10 s and has 15 s
/// to stop a release this is not much, and most servers answer within it.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a round waits where nobody answers. Meanwhile it keeps a place from other runs, and hears of no change.
const SILENCE: Duration = Duration::from_secs(5);

/// What came of a request and what it was signed in with; the API server's silence about a Job is no answer.
pub(super) type Told = Result<(Result<Answer, String>, Sent), Failed>;

/// The same, or the panic on the way to it.
type Came = Result<Told, Box<dyn Any + Send>>;

/// The requests of one run that nobody has recorded an answer to.
pub(super) struct UnderWay {
    /// By metric.
    asked: BTreeMap<String, Asked>,
    /// How many were made so far: tells a request from an earlier one for the same metric.
    made: u64,
    came: UnboundedReceiver<(String, u64, Came)>,
    sender: UnboundedSender<(String, u64, Came)>,
    /// Whether no round waits, so that an answer has to wake the run.
    is_left: Arc<AtomicBool>,
}

/// A request. Dropping it ends it.
struct Asked {
    number: u64,
    world: Arc<RunWorld>,
    request: Request,
    errand: Errand,
    came: Option<Came>,
}

/// An answer, and the world that it was asked for in.
pub(super) struct Answered {
    pub(super) world: Arc<RunWorld>,
    pub(super) outcome: Outcome,
    pub(super) sent: Sent,
}

/// What a round has heard.
#[derive(Default)]
pub(super) struct Heard {
    pub(super) answered: Vec<Answered>,
    /// The API server said nothing about a Job: that is no verdict on anything.
    pub(super) unanswered: Option<Failed>,
    /// Metrics that wait for an answer, or for a place to ask in: the next answer wakes the run.
    pub(super) awaited: Vec<String>,
}

/// How a request is made: by whom, and where somebody is woken by a late answer.
pub(super) struct Way<'a, A> {
    pub(super) scene: &'a Arc<Scene>,
    pub(super) key: &'a Key,
    pub(super) ask: A,
}

/// What a round waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wait {
    /// Nothing: all have answered.
    Over,
    /// Answers that may come later as well.
    Some,
    /// That of the API server: it takes seconds, and whoever lets go of it does not know what became of the Job.
    All,
}

impl Default for UnderWay {
    fn default() -> Self {
        let (sender, came) = mpsc::unbounded_channel();
        Self { asked: BTreeMap::new(), made: 0, came, sender, is_left: Arc::default() }
    }
}

impl UnderWay {
    /// Asks for what is due and not under way yet, ends what is not due any longer, and waits for a while: until all that it
    /// asked for has come, `until` at most, when something else is due.
    ///
    /// # Panics
    /// With the panic of a request, which is one of the round.
    pub(super) async fn hear<F: Future<Output = Told> + Send + 'static>(
        &mut self,
        world: &Arc<RunWorld>,
        due: &[MeasureRequest],
        until: Option<Instant>,
        way: &Way<'_, impl Fn(Request) -> F>,
    ) -> Heard {
        self.keep(world, due);
        self.is_left.store(false, Ordering::SeqCst);
        let (begun, since) = (Instant::now(), self.made);
        let mut fresh: VecDeque<&MeasureRequest> = due.iter().collect();
        let mut first = None;
        loop {
            self.ask_for(&mut fresh, world, way);
            if first.is_none() && self.asked.values().any(|asked| asked.came.is_some()) {
                first = Some(Instant::now());
            }
            let limit = first.map_or(begun + SILENCE, |first| first + PATIENCE);
            let limit = until.map_or(limit, |until| until.min(limit));
            let wait = self.wait(since);
            if wait == Wait::Over || wait == Wait::Some && Instant::now() >= limit {
                break;
            }
            tokio::select! {
                biased;
                Some(came) = self.came.recv() => self.note(came),
                () = sleep_until(limit), if wait == Wait::Some => {}
            }
        }
        // In this order: whoever does not see the flag has sent its answer before, and is heard.
        self.is_left.store(true, Ordering::SeqCst);
        self.note_all();
        self.heard(fresh)
    }

    /// What there is to wait for of the requests since one of them.
    fn wait(&self, since: u64) -> Wait {
        let mut wait = Wait::Over;
        for asked in self.open().filter(|asked| asked.number >= since) {
            if asked.is_write() {
                return Wait::All;
            }
            wait = Wait::Some;
        }
        wait
    }

    /// Ends what nobody wants to know any longer, and forgets what ended without an answer because the lease was lost.
    fn keep(&mut self, world: &RunWorld, due: &[MeasureRequest]) {
        // Looked at before the answers are: what is over by then has sent its own.
        let over: Vec<u64> =
            self.asked.values().filter(|asked| asked.errand.is_over()).map(|asked| asked.number).collect();
        self.note_all();
        self.asked.retain(|metric, asked| {
            let is_lost = asked.came.is_none() && over.contains(&asked.number);
            let is_due = |due: &MeasureRequest| due.metric == *metric && asked.serves(&world.run, due);
            !is_lost && due.iter().any(is_due)
        });
    }

    /// Makes requests, of those that are not under way, while there is a place.
    fn ask_for<F: Future<Output = Told> + Send + 'static>(
        &mut self,
        fresh: &mut VecDeque<&MeasureRequest>,
        world: &Arc<RunWorld>,
        way: &Way<'_, impl Fn(Request) -> F>,
    ) {
        while self.is_free()
            && let Some(due) = fresh.pop_front()
        {
            if !self.asked.contains_key(&due.metric) {
                self.ask(world, due, way);
            }
        }
    }

    fn ask<F: Future<Output = Told> + Send + 'static>(
        &mut self,
        world: &Arc<RunWorld>,
        due: &MeasureRequest,
        way: &Way<'_, impl Fn(Request) -> F>,
    ) {
        let MeasureRequest { metric, request } = due;
        let number = self.made;
        self.made += 1;
        let told = AssertUnwindSafe((way.ask)(request.clone())).catch_unwind();
        let (sender, is_left) = (self.sender.clone(), Arc::clone(&self.is_left));
        let (scene, key, of) = (Arc::clone(way.scene), way.key.clone(), metric.clone());
        let errand = way.scene.runs.beside(async move {
            let _ = sender.send((of, number, told.await));
            if is_left.load(Ordering::SeqCst) {
                scene.runs.push_soon(key);
            }
        });
        let (world, request) = (Arc::clone(world), request.clone());
        self.asked.insert(metric.clone(), Asked { number, world, request, errand, came: None });
    }

    /// What has no answer yet.
    fn open(&self) -> impl Iterator<Item = &Asked> {
        self.asked.values().filter(|asked| asked.came.is_none())
    }

    fn is_free(&self) -> bool {
        self.open().count() < AT_ONCE
    }

    /// Keeps an answer, unless its request was ended.
    fn note(&mut self, (metric, number, came): (String, u64, Came)) {
        if let Some(asked) = self.asked.get_mut(&metric).filter(|asked| asked.number == number) {
            asked.came = Some(came);
        }
    }

    fn note_all(&mut self) {
        while let Ok(came) = self.came.try_recv() {
            self.note(came);
        }
    }

    /// Hands over the answers that came. Metrics without a place wait for one only if none is free.
    fn heard(&mut self, unasked: VecDeque<&MeasureRequest>) -> Heard {
        let mut heard = Heard::default();
        for (metric, asked) in std::mem::take(&mut self.asked) {
            let Some(came) = asked.came else {
                heard.awaited.push(metric.clone());
                self.asked.insert(metric, asked);
                continue;
            };
            match came {
                Ok(Ok((answer, sent))) => {
                    let (world, outcome) = (asked.world, Outcome { metric, answer });
                    heard.answered.push(Answered { world, outcome, sent });
                }
                Ok(Err(failed)) => heard.unanswered = Some(failed),
                Err(panic) => resume_unwind(panic),
            }
        }
        if !self.is_free() {
            heard.awaited.extend(unasked.into_iter().map(|due| due.metric.clone()));
        }
        heard
    }
}

impl Asked {
    /// Whether the answer is one to what is due now. The requests themselves may hold the time, which has gone on.
    fn serves(&self, run: &AnalysisRun, due: &MeasureRequest) -> bool {
        let then = &self.world.run;
        let is_same_run = then.metadata.uid == run.metadata.uid
            && then.spec.metrics == run.spec.metrics
            && then.spec.args == run.spec.args;
        let is_same_request = match (&self.request, &due.request) {
            (Request::Job(asked), Request::Job(due)) => asked == due,
            (Request::Job(_), _) | (_, Request::Job(_)) => false,
            (
                Request::Prometheus(_) | Request::Http(_) | Request::Cluster(_),
                Request::Prometheus(_) | Request::Http(_) | Request::Cluster(_),
            ) => true,
        };
        is_same_run && is_same_request && last(then, &due.metric) == last(run, &due.metric)
    }

    fn is_write(&self) -> bool {
        matches!(self.request, Request::Job(job::Request::Start { .. } | job::Request::End { .. }))
    }
}

/// The last measurement of a metric: another one follows it, or it goes on.
fn last<'a>(run: &'a AnalysisRun, metric: &str) -> Option<&'a Measurement> {
    let results = &run.status.as_ref()?.metric_results;
    results.iter().find(|result| result.name == metric)?.measurements.last()
}

#[cfg(test)]
mod tests;
