//! A load that knows at each moment which versions may answer.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::figures::{Eras, Figures};
use super::shop::Shop;
use crate::load::{Answers, Load, Outcome, Running};
use crate::scene::PATIENCE;

/// So many requests may wait for their answers at once, so that a few slow ones do not hold up the rest.
const WORKERS: u32 = 48;
/// What was asked for in so long a time tells who answers now.
const RECENT: Duration = Duration::from_millis(700);

/// A running load and what may answer it.
pub(super) struct Watched {
    running: Running,
    eras: Eras,
}

impl Watched {
    /// Starts a load on a shop that answers with this version and no other.
    pub(super) async fn start(shop: &Shop, per_second: u32, version: &str) -> Result<Self> {
        let load = Load { workers: WORKERS, ..shop.load(per_second).await? };
        let mut watched = Self { running: load.start(), eras: Vec::new() };
        watched.allow(&[version]);
        Ok(watched)
    }

    /// From now on these versions may answer, and no others.
    pub(super) fn allow(&mut self, versions: &[&str]) {
        let versions = versions.iter().map(|version| (*version).to_owned()).collect();
        self.eras.push((self.running.elapsed(), versions));
    }

    /// Waits until these versions alone answer; from then on no other may. The data plane learns of a change some time
    /// after the API server, and that is no fault.
    pub(super) async fn settle(&mut self, versions: &[&str]) -> Result<()> {
        self.until(&format!("answered by {versions:?} alone"), |answers| {
            let seen = versions_of(answers);
            !seen.is_empty() && seen.iter().all(|version| versions.contains(&version.as_str()))
        })
        .await?;
        self.allow(versions);
        Ok(())
    }

    /// Waits until a version answers.
    pub(super) async fn until_answered_by(&self, version: &str) -> Result<()> {
        self.until(&format!("answered by {version}"), |answers| versions_of(answers).contains(version)).await
    }

    async fn until(&self, what: &str, holds: impl Fn(&Answers) -> bool) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        // What was sent before this moment says nothing.
        let began = self.running.elapsed();
        let mut pace = tokio::time::interval(Duration::from_millis(50));
        loop {
            pace.tick().await;
            let now = self.running.elapsed();
            if now < began + RECENT {
                continue;
            }
            let answers = self.running.recent(RECENT);
            if holds(&answers) {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("the shop is not {what} after {} s but {:?}", PATIENCE.as_secs(), answers.counts());
            }
        }
    }

    /// How long the load has been running.
    pub(super) fn elapsed(&self) -> Duration {
        self.running.elapsed()
    }

    /// Ends the load without counting: what came back, as it is.
    pub(super) async fn stop_raw(self) -> Result<Answers> {
        self.running.stop().await
    }

    /// Ends the load and counts.
    pub(super) async fn stop(self) -> Result<Figures> {
        Ok(Figures::of(&self.running.stop().await?, &self.eras))
    }
}

fn versions_of(answers: &Answers) -> BTreeSet<String> {
    let versions = answers.samples.iter().filter_map(|sample| match &sample.outcome {
        Outcome::Answered { version, .. } => Some(version.clone()),
        Outcome::Lost(_) => None,
    });
    versions.collect()
}
