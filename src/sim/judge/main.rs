//! How often each judge stops good releases and bad ones, by simulation: `judge --runs 20000 --seed 1`.
//!
//! Ends with 1 when the built-in judge stops more good releases than it promises, finds fewer bad ones than it must, or
//! calls more harmful ones good than it promises; each beyond three standard errors of the simulation.

#![expect(clippy::print_stdout, reason = "a command line tool talks to its user")]

mod chance;
mod judges;
mod situations;
mod world;

use std::process::ExitCode;
use std::thread;
use std::time::Instant;

use tidegate_engine::judge::Settings;

use chance::Chance;
use judges::{Evidence, Judge, Peeked, Row, Threshold};
use situations::Must;
use world::{LOOKS, Server, Situation};

const USAGE: &str = "usage: judge [--runs N] [--seed S]";
const JUDGES: [&str; 6] = ["5 below", "1 below", "3 below", "z-test", "e-process", "judge"];
/// The place of the built-in judge among them.
const OURS: usize = 5;

fn judges(situation: &Situation) -> [Box<dyn Judge>; 6] {
    [
        Box::new(Threshold::new(0.99, 4, false)),
        Box::new(Threshold::new(0.99, 0, true)),
        Box::new(Threshold::new(0.99, 2, true)),
        Box::new(Peeked::default()),
        Box::new(Evidence::new(false)),
        if situation.again { Box::new(Row::default()) } else { Box::new(Evidence::new(true)) },
    ]
}

/// What one judge did over all runs.
#[derive(Clone, Default)]
struct Tally {
    stopped: u64,
    called_good: u64,
    /// Minutes until it stopped, and errors that the canary had served by then.
    minutes: Vec<f64>,
    served: Vec<f64>,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.stopped += other.stopped;
        self.called_good += other.called_good;
        self.minutes.extend(other.minutes);
        self.served.extend(other.served);
    }
}

fn main() -> ExitCode {
    let (runs, seed) = match parse(std::env::args().skip(1)) {
        Ok(parsed) => parsed,
        Err(why) => {
            println!("{why}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let start = Instant::now();
    let mut broken = Vec::new();
    println!("{runs} runs each, seed {seed}; percent stopped, of a good canary:");
    head(9);
    for (situation, must) in situations::good() {
        let tallies = simulate(&situation, runs, seed);
        row(situation.name, &tallies, |tally| format!("{:9.2}", percent(tally.stopped, runs)), runs);
        broken.extend(check(situation.name, tallies[OURS].stopped, runs, must));
    }
    println!("\npercent stopped, median minutes, median errors served, of a bad canary:");
    head(19);
    for (situation, must) in situations::bad() {
        let tallies = simulate(&situation, runs, seed);
        row(situation.name, &tallies, |tally| found(tally, runs), runs);
        broken.extend(check(situation.name, tallies[OURS].stopped, runs, must));
    }
    println!("\nof a canary at the margin:");
    head(19);
    for situation in situations::at_the_margin() {
        let tallies = simulate(&situation, runs, seed);
        row(situation.name, &tallies, |tally| found(tally, runs), runs);
        let must = Must::StopAtMost(Settings::default().false_advance);
        let name = format!("{} (called good)", situation.name);
        broken.extend(check(&name, tallies[OURS].called_good, runs, must));
    }
    println!("\n{:.1} s; {} promises broken", start.elapsed().as_secs_f64(), broken.len());
    for line in &broken {
        println!("  {line}");
    }
    if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<(u64, u64), String> {
    let (mut runs, mut seed) = (2000, 1);
    while let Some(flag) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{flag} needs a number"))?;
        let number: u64 = value.parse().map_err(|_| format!("{flag} needs a number, not {value}"))?;
        match flag.as_str() {
            "--runs" => runs = number.max(1),
            "--seed" => seed = number,
            _ => return Err(format!("unknown flag {flag}")),
        }
    }
    Ok((runs, seed))
}

/// All runs of a situation, over the processors that there are. The seed of a run does not depend on their number.
fn simulate(situation: &Situation, runs: u64, seed: u64) -> [Tally; 6] {
    let threads = thread::available_parallelism().map_or(1, |count| count.get() as u64);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|first| {
                scope.spawn(move || some_runs(situation, (first..runs).step_by(threads as usize), seed))
            })
            .collect();
        let mut sums: [Tally; 6] = Default::default();
        for worker in workers {
            let Ok(tallies) = worker.join() else { continue };
            for (sum, tally) in sums.iter_mut().zip(tallies) {
                sum.add(tally);
            }
        }
        sums
    })
}

fn some_runs(situation: &Situation, runs: impl Iterator<Item = u64>, seed: u64) -> [Tally; 6] {
    let mut tallies: [Tally; 6] = Default::default();
    for run in runs {
        let mut chance = Chance::new(seed.wrapping_mul(1_000_003).wrapping_add(run));
        one_run(situation, &mut chance, &mut tallies);
    }
    tallies
}

fn one_run(situation: &Situation, chance: &mut Chance, tallies: &mut [Tally; 6]) {
    let mut judges = judges(situation);
    for look in world::history(chance, situation) {
        for judge in &mut judges {
            judge.learn(&look);
        }
    }
    let (mut running, mut served, mut server) = ([true; 6], 0, Server::default());
    for minute in 0..situation.minutes {
        for (at, look) in world::minute(chance, situation, minute).into_iter().enumerate() {
            served += look.canary.iter().map(|pod| pod.bad).sum::<u64>();
            let Some(look) = server.look(chance, situation, look) else { continue };
            for ((judge, running), tally) in judges.iter_mut().zip(&mut running).zip(tallies.iter_mut()) {
                if *running && judge.look(&look, at + 1 == LOOKS) {
                    *running = false;
                    tally.stopped += 1;
                    tally.minutes.push(minute as f64 + (at + 1) as f64 / LOOKS as f64);
                    tally.served.push(served as f64);
                }
            }
        }
    }
    for (judge, tally) in judges.iter().zip(tallies) {
        tally.called_good += u64::from(judge.called_good());
    }
}

/// What is wrong with a count, if it is beyond three standard errors of what it must be.
fn check(name: &str, count: u64, runs: u64, must: Must) -> Option<String> {
    let part = count as f64 / runs as f64;
    let slack = |limit: f64| 3.0 * (limit * (1.0 - limit).max(0.01) / runs as f64).sqrt();
    match must {
        Must::StopAtMost(limit) if part > limit + slack(limit) => {
            Some(format!("{name}: {:.2} % where at most {:.2} % are promised", 100.0 * part, 100.0 * limit))
        }
        Must::StopAtLeast(limit) if part < limit - slack(limit) => {
            Some(format!("{name}: {:.1} % where at least {:.1} % must be found", 100.0 * part, 100.0 * limit))
        }
        Must::StopAtMost(_) | Must::StopAtLeast(_) => None,
    }
}

fn head(width: usize) {
    let columns: Vec<String> = JUDGES.iter().map(|judge| format!("{judge:>width$.width$}")).collect();
    println!("{:32} {}  called good", "", columns.join(" "));
}

fn row(name: &str, tallies: &[Tally; 6], cell: impl Fn(&Tally) -> String, runs: u64) {
    let cells: Vec<String> = tallies.iter().map(cell).collect();
    println!("{name:32} {}  {:10.2}", cells.join(" "), percent(tallies[OURS].called_good, runs));
}

fn found(tally: &Tally, runs: u64) -> String {
    let (minutes, served) = (median(&tally.minutes), median(&tally.served));
    format!("{:5.1} {minutes:6.1} {served:6.0}", percent(tally.stopped, runs))
}

fn percent(count: u64, runs: u64) -> f64 {
    100.0 * count as f64 / runs as f64
}

/// NaN of none.
fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
