//! `judge`: good and bad releases under load, each in a namespace of its own and some at once. How many were judged
//! wrongly, how long a bad one was served, and how many bad answers it gave.

mod report;

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, ensure};
use futures::StreamExt;

use self::report::Row;
use super::super::chance::Chance;
use super::super::judged::{Counted, Fault, Release, released};
use super::super::namespace_of;
use super::super::router::Router;
use super::Where;
use crate::cluster::Cluster;
use crate::say;
use crate::scene::Scene;

/// The weight at which releases are judged.
const WEIGHT: i64 = 20;
/// The part of requests that both versions fail, in percent: no judge has it as easy as with none.
const ALWAYS_FAILING: f64 = 0.5;
const FAULTS: [Fault; 3] = [Fault::Errors(20), Fault::Errors(5), Fault::Slow];

/// What `judge` is asked to do.
#[derive(clap::Args)]
pub(crate) struct Judge {
    /// Releases that are as good as what users have.
    #[arg(long, default_value_t = 20)]
    good: u32,
    /// Releases that are not: a fifth of the requests fails, a twentieth does, or a fifth is slow, in turn.
    #[arg(long, default_value_t = 20)]
    bad: u32,
    /// Requests per second on each release.
    #[arg(long, default_value_t = 200)]
    rate: u32,
    /// Releases under way at once.
    #[arg(long, default_value_t = 2)]
    at_once: usize,
    /// What the failures of all releases follow from.
    #[arg(long)]
    seed: Option<u64>,
    #[command(flatten)]
    place: Where,
}

/// Ships all releases, and fails when one was judged wrongly or came to no end.
pub(crate) async fn judge(options: Judge) -> Result<()> {
    let seed = options.seed.unwrap_or_else(Chance::fresh_seed);
    let releases = releases(options.good, options.bad, options.rate, seed);
    ensure!(!releases.is_empty(), "no release was asked for");
    let cluster = options.place.cluster("judge").await?;
    let path = options.place.file("judge.json");
    let (count, start) = (releases.len(), Instant::now());
    let mut rows = Vec::new();
    let mut running = futures::stream::iter(releases.into_iter().enumerate())
        .map(|(at, release)| play(&cluster, at, release))
        .buffer_unordered(options.at_once.max(1));
    while let Some(row) = running.next().await {
        say(format!("{:>3} of {count}  {row}", rows.len() + 1));
        rows.push(row);
        // After each release, so that an end in the middle loses none of them.
        report::keep(&path, options.rate, seed, &rows)?;
    }
    rows.sort_by_key(|row| row.number);
    report::table(&rows);
    say(format!(
        "seed {seed}, {:.0} s in all; the figures are in {}",
        start.elapsed().as_secs_f64(),
        path.display()
    ));
    let wrong = rows.iter().filter(|row| !row.is_right()).count();
    ensure!(wrong == 0, "{wrong} of {count} releases were judged wrongly or came to no end");
    Ok(())
}

/// Good and bad ones in turn, with every fault behind every router and counted by everybody.
fn releases(good: u32, bad: u32, per_second: u32, seed: u64) -> Vec<Release> {
    let mut chance = Chance::new(seed);
    let mut release = |turn: u32, fault: Fault| Release {
        fault,
        counted: if turn.is_multiple_of(2) { Counted::ByTraefik } else { Counted::ByPods },
        router: if (turn / 2).is_multiple_of(2) { Router::Nginx } else { Router::Gateway },
        weight: WEIGHT,
        per_second,
        always_failing: ALWAYS_FAILING,
        seed: chance.below(1_000_000),
    };
    let mut all = Vec::new();
    for turn in 0..good.max(bad) {
        if turn < good {
            all.push(release(turn, Fault::Nothing));
        }
        if turn < bad {
            all.push(release(turn, FAULTS[turn as usize % FAULTS.len()]));
        }
    }
    all
}

async fn play(cluster: &Arc<Cluster>, number: usize, release: Release) -> Row {
    let told = async {
        let scene =
            Arc::new(Scene::open(Arc::clone(cluster), &namespace_of(&format!("judge-{number}"))).await?);
        let judged = released(&scene, release).await;
        if !judged.as_ref().is_ok_and(|judged| judged.is_right(release)) {
            say(scene.report().await);
        }
        // A namespace that stays is no reason to play no other release.
        if let Err(error) = scene.close().await {
            say(format!("{error:#}"));
        }
        judged
    };
    Row::new(number, release, told.await)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_fault_comes_behind_every_router_and_counted_by_everybody() {
        let all = releases(20, 20, 200, 1);
        assert_eq!((all.len(), all.iter().filter(|release| release.is_bad()).count()), (40, 20));
        let kinds = all.iter().map(|one| format!("{} {} {:?}", one.fault, one.counted, one.router));
        assert_eq!(kinds.collect::<BTreeSet<_>>().len(), 16);
        assert_eq!(releases(1, 3, 200, 1).len(), 4);
        let seeds: BTreeSet<u64> = all.iter().map(|release| release.seed).collect();
        assert!(seeds.len() > 35, "{seeds:?}");
    }
}
