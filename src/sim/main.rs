//! Runs many seeds: `sim --seeds 20000 --from 0 --rounds 100`. Exits with 1 when a seed breaks a rule.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool talks to its user")]

mod kept;
mod progress;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Instant;

use tidegate_sim::{Campaign, Effort, Report, Settings, run_watched};

use kept::Kept;
use mimalloc::MiMalloc;
use progress::Progress;

/// A simulation is mostly small objects that come and go.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const USAGE: &str =
    "usage: sim [--seeds N] [--from S] [--rounds R] [--threads T] [--no-fence] [--brief] [--digest]
           [--keep FILE [--resume]]
  --brief   tells a line of each seed that breaks a rule, and not its story
  --digest  sums up all stories in a number, which is the same as long as the same things happen
  --keep    keeps figures in FILE as it goes; with --resume it goes on where FILE ends";

/// What to do, and what to say of it.
struct Options {
    campaign: Campaign,
    effort: Effort,
    brief: bool,
    keep: Option<PathBuf>,
    resume: bool,
}

fn main() -> ExitCode {
    let (options, before) = match parse(std::env::args().skip(1)).and_then(resumed) {
        Ok(options) => options,
        Err(why) => {
            println!("{why}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let start = Instant::now();
    std::panic::set_hook(Box::new(|_| {}));
    let progress = Mutex::new(Progress::new(options.campaign.seeds));
    let keep = |report: &Report, seconds: f64| {
        let Some(path) = &options.keep else { return };
        if let Err(error) = before.with(&options.campaign, report, seconds).write(path) {
            eprintln!("cannot write {}: {error}", path.display());
        }
    };
    let report = run_watched(&options.campaign, options.effort, |report| {
        let Ok(mut progress) = progress.lock() else { return };
        if let Some(line) = progress.line(report, start.elapsed()) {
            eprintln!("{line}");
            keep(report, start.elapsed().as_secs_f64());
        }
    });
    let seconds = start.elapsed().as_secs_f64();
    keep(&report, seconds);
    print(&report, &options.campaign, options.brief);
    let digest =
        if options.effort.digest { format!("digest {:016x}, ", report.digest) } else { String::new() };
    println!(
        "{} seeds from {}, {} rounds, {} broken, {digest}{seconds:.1} s",
        report.seeds,
        options.campaign.from,
        report.rounds,
        report.failures.len(),
    );
    let broken = !report.failures.is_empty() || before.is_broken();
    if broken { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let campaign = Campaign { from: 0, seeds: 1000, rounds: 100, settings: Settings::default() };
    let mut options =
        Options { campaign, effort: Effort::default(), brief: false, keep: None, resume: false };
    while let Some(flag) = arguments.next() {
        match flag.as_str() {
            "--brief" => options.brief = true,
            "--no-fence" => options.campaign.settings.fence = false,
            "--digest" => options.effort.digest = true,
            "--resume" => options.resume = true,
            "--keep" => options.keep = Some(arguments.next().ok_or("--keep needs a file")?.into()),
            "--seeds" => options.campaign.seeds = number(&flag, arguments.next())?,
            "--from" => options.campaign.from = number(&flag, arguments.next())?,
            "--rounds" => options.campaign.rounds = number(&flag, arguments.next())?,
            "--threads" => options.effort.threads = number(&flag, arguments.next())?,
            _ => return Err(format!("unknown flag {flag}")),
        }
    }
    Ok(options)
}

fn number<N: std::str::FromStr>(flag: &str, value: Option<String>) -> Result<N, String> {
    let value = value.ok_or_else(|| format!("{flag} needs a number"))?;
    value.parse().map_err(|_| format!("{flag} needs a number, not {value}"))
}

/// What is left to do, and what came of the seeds before it.
fn resumed(mut options: Options) -> Result<(Options, Kept), String> {
    if !options.resume {
        return Ok((options, Kept::default()));
    }
    let path = options.keep.as_ref().ok_or("--resume needs --keep FILE")?;
    let kept = Kept::read(path)?;
    let end = options.campaign.from + options.campaign.seeds;
    kept.check(&options.campaign)?;
    options.campaign.from = kept.next;
    options.campaign.seeds = end.saturating_sub(kept.next);
    Ok((options, kept))
}

/// Prints each failure, with its story unless a line each is enough.
fn print(report: &Report, campaign: &Campaign, brief: bool) {
    for failure in &report.failures {
        println!("seed {}: {}", failure.seed, failure.why);
        for line in failure.story.iter().filter(|_| !brief) {
            println!("    {line}");
        }
        println!(
            "  again: cargo run -q -p tidegate-sim --bin sim -- --seeds 1 --from {} --rounds {}\n",
            failure.seed, campaign.rounds
        );
    }
}
