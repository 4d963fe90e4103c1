//! Many seeds on all cores: which break a rule, and how each of them went.
//!
//! Input: a range of seeds. Output: failures in the order of their seeds. A seed that panics has failed too.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use crate::random::Random;
use crate::shape::Shape;
use crate::simulation::{Settings, Simulation};
use crate::tale::Tale;

/// Lines of the story that a failed seed prints.
const LAST_LINES: usize = 60;
/// Failures after which a campaign stops: the first few tell enough.
const ENOUGH: usize = 5;
/// Rounds of chaos before the Rollout must come to rest, again and again.
const CHAOS_ROUNDS: u32 = 60;

/// Lag of the caches, in milliseconds, in campaigns without a fence.
const SLOW_CACHE: i64 = 3_000;

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Campaign {
    pub from: u64,
    pub seeds: u64,
    /// Least rounds of the controller for each seed.
    pub rounds: u32,
    pub settings: Settings,
}

/// A seed that broke something.
#[derive(Clone, Debug)]
pub struct Failure {
    pub seed: u64,
    pub why: String,
    pub story: Vec<String>,
}

/// How to run it; none of this changes what a seed does.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    pub threads: usize,
    /// Tells every story, and sums all of them up in a number.
    pub digest: bool,
}

impl Default for Effort {
    fn default() -> Self {
        Self { threads: thread::available_parallelism().map_or(1, usize::from), digest: false }
    }
}

/// What a campaign came to, or has come to so far.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub seeds: u64,
    pub rounds: u64,
    pub failures: Vec<Failure>,
    /// The least seed that is not played yet: a campaign that was interrupted goes on from there.
    pub next: u64,
    /// The same for the same stories, in whatever order they were told; 0 unless it was asked for.
    pub digest: u64,
    /// Seeds above `next` that are played already.
    ahead: BTreeSet<u64>,
}

impl Report {
    fn add(&mut self, seed: u64, played: Played) {
        self.seeds += 1;
        self.rounds += u64::from(played.rounds);
        self.digest = self.digest.wrapping_add(played.digest);
        if let Some(why) = played.why {
            self.failures.push(Failure { seed, why, story: Vec::new() });
        }
        self.ahead.insert(seed);
        while self.ahead.remove(&self.next) {
            self.next += 1;
        }
    }
}

/// How one seed went.
struct Played {
    rounds: u32,
    why: Option<String>,
    digest: u64,
}

/// Runs a campaign on all cores; stops early after a few failures.
#[must_use]
pub fn run(campaign: &Campaign) -> Report {
    run_watched(campaign, Effort::default(), |_| {})
}

/// The same with another effort; whoever watches is told after each seed.
#[must_use]
pub fn run_watched(campaign: &Campaign, effort: Effort, watch: impl Fn(&Report) + Sync) -> Report {
    let next = AtomicU64::new(campaign.from);
    let stop = AtomicBool::new(false);
    let report = Mutex::new(Report { next: campaign.from, ..Report::default() });
    let end = campaign.from + campaign.seeds;
    thread::scope(|scope| {
        for _ in 0..effort.threads.max(1) {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        break;
                    }
                    let played = judge(seed, campaign, effort.digest);
                    let Ok(mut report) = report.lock() else { break };
                    report.add(seed, played);
                    stop.fetch_or(report.failures.len() >= ENOUGH, Ordering::Relaxed);
                    watch(&report);
                }
            });
        }
    });
    let mut report = report.into_inner().unwrap_or_default();
    report.failures.sort_by_key(|failure| failure.seed);
    for failure in &mut report.failures {
        failure.story = story(failure.seed, campaign);
    }
    report
}

fn judge(seed: u64, campaign: &Campaign, digest: bool) -> Played {
    let played = catch_unwind(AssertUnwindSafe(|| {
        let tale = if digest { Tale::wanted() } else { Tale::silent() };
        let simulation = play(seed, campaign, tale);
        let digest = if digest { sum(seed, &simulation.tale.lines) } else { 0 };
        Played { rounds: simulation.rounds, why: simulation.broken, digest }
    }));
    played.unwrap_or_else(|panic| Played {
        rounds: 0,
        why: Some(format!("panic: {}", message(panic.as_ref()))),
        digest: 0,
    })
}

/// One number for one story.
fn sum(seed: u64, lines: &[String]) -> u64 {
    let mut hasher = DefaultHasher::new();
    (seed, lines).hash(&mut hasher);
    hasher.finish()
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

/// Plays one seed: chaos and rest in turn, until it had its rounds.
fn play(seed: u64, campaign: &Campaign, tale: Tale) -> Simulation {
    let mut random = Random::new(seed);
    let mut shape = Shape::random(&mut random);
    if !campaign.settings.fence {
        // What the fence is for shows where caches are slow.
        shape.temper.cache_lag = SLOW_CACHE;
    }
    let mut simulation = Simulation::new(shape, random, campaign.settings, tale);
    while simulation.rounds < campaign.rounds && simulation.broken.is_none() {
        let left = campaign.rounds - simulation.rounds;
        simulation.chaos(left.clamp(20, CHAOS_ROUNDS));
        if simulation.broken.is_none() {
            simulation.finish();
        }
    }
    simulation
}

/// The end of the story of a seed.
#[must_use]
pub fn story(seed: u64, campaign: &Campaign) -> Vec<String> {
    let shape = Shape::random(&mut Random::new(seed));
    let spec = serde_json::to_string(&shape.rollout.spec).unwrap_or_default();
    let mut lines = vec![format!("spec {spec}"), format!("{:?}", shape.temper)];
    let played = catch_unwind(AssertUnwindSafe(|| play(seed, campaign, Tale::wanted()).tale.lines));
    let told = played.unwrap_or_else(|panic| vec![format!("panic: {}", message(panic.as_ref()))]);
    lines.extend(told.into_iter().rev().take(LAST_LINES).collect::<Vec<_>>().into_iter().rev());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn campaign() -> Campaign {
        Campaign { from: 10, seeds: 12, rounds: 30, settings: Settings::default() }
    }

    #[test]
    fn a_digest_tells_stories_apart_and_not_who_told_them_when() {
        let digest = |campaign: &Campaign, threads| {
            run_watched(campaign, Effort { threads, digest: true }, |_| {}).digest
        };
        assert_eq!(digest(&campaign(), 1), digest(&campaign(), 3));
        assert_ne!(digest(&campaign(), 2), digest(&Campaign { from: 11, ..campaign() }, 2));
        assert_ne!(digest(&campaign(), 2), 0);
        assert_eq!(run(&campaign()).digest, 0);
    }

    #[test]
    fn a_campaign_that_was_interrupted_goes_on_where_no_seed_is_left_out() {
        let mut report = Report { next: 10, ..Report::default() };
        let mut told = Vec::new();
        for seed in [11, 10, 13, 14, 12] {
            report.add(seed, Played { rounds: 1, why: None, digest: 0 });
            told.push(report.next);
        }
        assert_eq!(told, [10, 12, 12, 12, 15]);
        let watched = Mutex::new(Vec::new());
        let all = run_watched(&campaign(), Effort { threads: 2, digest: false }, |report| {
            watched.lock().unwrap().push(report.seeds);
        });
        assert_eq!((all.next, all.seeds), (22, 12));
        assert_eq!(watched.into_inner().unwrap(), (1..=12).collect::<Vec<u64>>());
    }
}
