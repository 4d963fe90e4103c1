//! Many seeds on all cores: which break a rule, and how each of them went.
//!
//! Input: a range of seeds. Output: failures in the order of their seeds. A seed that panics has failed too.

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

/// What a campaign came to.
#[derive(Debug, Default)]
pub struct Report {
    pub seeds: u64,
    pub rounds: u64,
    pub failures: Vec<Failure>,
}

/// Runs a campaign on all cores; stops early after a few failures.
#[must_use]
pub fn run(campaign: &Campaign) -> Report {
    let next = AtomicU64::new(campaign.from);
    let stop = AtomicBool::new(false);
    let report = Mutex::new(Report::default());
    let end = campaign.from + campaign.seeds;
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        break;
                    }
                    let (rounds, why) = judge(seed, campaign);
                    let Ok(mut report) = report.lock() else { break };
                    report.seeds += 1;
                    report.rounds += u64::from(rounds);
                    if let Some(why) = why {
                        report.failures.push(Failure { seed, why, story: Vec::new() });
                        stop.store(report.failures.len() >= ENOUGH, Ordering::Relaxed);
                    }
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

fn judge(seed: u64, campaign: &Campaign) -> (u32, Option<String>) {
    let played = catch_unwind(AssertUnwindSafe(|| {
        let simulation = play(seed, campaign, Tale::silent());
        (simulation.rounds, simulation.broken)
    }));
    played.unwrap_or_else(|panic| (0, Some(format!("panic: {}", message(panic.as_ref())))))
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
