//! Runs many seeds: `sim --seeds 20000 --from 0 --rounds 100`. Exits with 1 when a seed breaks a rule.

#![expect(clippy::print_stdout, reason = "a command line tool talks to its user")]

use std::process::ExitCode;
use std::time::Instant;

use tidegate_sim::{Campaign, Report, Settings, run};

const USAGE: &str = "usage: sim [--seeds N] [--from S] [--rounds R] [--no-fence] [--brief]";

fn main() -> ExitCode {
    let mut brief = false;
    let campaign = match parse(std::env::args().skip(1), &mut brief) {
        Ok(campaign) => campaign,
        Err(why) => {
            println!("{why}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let start = Instant::now();
    std::panic::set_hook(Box::new(|_| {}));
    let report = run(&campaign);
    print(&report, &campaign, brief);
    println!(
        "{} seeds from {}, {} rounds, {} broken, {:.1} s",
        report.seeds,
        campaign.from,
        report.rounds,
        report.failures.len(),
        start.elapsed().as_secs_f64()
    );
    if report.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn parse(mut arguments: impl Iterator<Item = String>, brief: &mut bool) -> Result<Campaign, String> {
    let mut campaign = Campaign { from: 0, seeds: 1000, rounds: 100, settings: Settings::default() };
    while let Some(flag) = arguments.next() {
        if flag == "--brief" {
            *brief = true;
            continue;
        }
        if flag == "--no-fence" {
            campaign.settings.fence = false;
            continue;
        }
        let value = arguments.next().ok_or_else(|| format!("{flag} needs a number"))?;
        let number: u64 = value.parse().map_err(|_| format!("{flag} needs a number, not {value}"))?;
        match flag.as_str() {
            "--seeds" => campaign.seeds = number,
            "--from" => campaign.from = number,
            "--rounds" => {
                campaign.rounds = u32::try_from(number).map_err(|_| format!("{value} is too many rounds"))?
            }
            _ => return Err(format!("unknown flag {flag}")),
        }
    }
    Ok(campaign)
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
