//! Long campaigns on a cluster of their own: `lossless` plays stories under load and counts what users got, `soak`
//! goes on for half an hour and looks at what is left, `judge` counts how often good and bad releases are told apart.
//!
//! What the stories share with the tests is in the tests. Figures go to a table and to a file; a request that was lost,
//! or answered by a version that should not have, is a failure.

mod judge;
mod soak;
mod stories;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::json;

pub(crate) use self::judge::{Judge, judge};
pub(crate) use self::soak::{Soak, soak};
use self::stories::{STORIES, Setting, Story};
use super::chance::Chance;
use super::figures::Figures;
use super::namespace_of;
use crate::cluster::Cluster;
use crate::scene::Scene;
use crate::{demo, install, say};

/// No story takes longer.
const LIMIT: Duration = Duration::from_secs(1200);
/// What the campaigns' controller is told: its lease may be taken over as soon as it allows, so that many kills fit in.
const VALUES: [&str; 1] = [
    "extraArgs={--leader-election-lease-duration=7s,--leader-election-renew-deadline=3s,--leader-election-retry-period=1s}",
];

/// What `lossless` is asked to do.
#[derive(clap::Args)]
pub(crate) struct Lossless {
    /// Requests per second.
    #[arg(long, default_value_t = 200)]
    rate: u32,
    /// Only the stories whose name contains this.
    #[arg(long)]
    only: Option<String>,
    /// How often the controller is killed during one update.
    #[arg(long, default_value_t = 20)]
    kills: u32,
    /// What the moments of the kills follow from.
    #[arg(long)]
    seed: Option<u64>,
    #[command(flatten)]
    place: Where,
}

/// Where a campaign runs, and where its figures go.
#[derive(clap::Args)]
struct Where {
    /// Where the figures go.
    #[arg(long, value_name = "FILE")]
    keep: Option<PathBuf>,
    /// A cluster that `cluster up` has started; without it, one is started and removed.
    #[arg(long)]
    cluster: Option<String>,
}

impl Where {
    /// A cluster with Tidegate on it.
    async fn cluster(&self, purpose: &str) -> Result<Arc<Cluster>> {
        let cluster = Cluster::attach_or_start(self.cluster.as_deref(), purpose).await?;
        install::with_values(&cluster, &VALUES).await?;
        Ok(Arc::new(cluster))
    }

    /// The file of the figures, which is named after the campaign unless somebody says otherwise.
    fn file(&self, name: &str) -> PathBuf {
        self.keep.clone().unwrap_or_else(|| demo::target_dir().join(name))
    }
}

/// Plays every story, one after the other, and fails when a request was lost.
pub(crate) async fn lossless(options: Lossless) -> Result<()> {
    let cluster = options.place.cluster("lossless").await?;
    let setting = Setting {
        per_second: options.rate,
        kills: options.kills,
        seed: options.seed.unwrap_or_else(Chance::fresh_seed),
    };
    let wanted = |name: &str| options.only.as_ref().is_none_or(|only| name.contains(only));
    let mut all = Vec::new();
    for (name, story) in STORIES.iter().filter(|(name, _)| wanted(name)) {
        let figures = play(&cluster, name, *story, setting).await?;
        say(row(&figures));
        all.push(figures);
        let path = options.place.file("lossless.json");
        // After each story, so that an end in the middle loses none of them.
        keep(&path, setting, &all)?;
    }
    table(&all);
    ensure!(
        !all.is_empty(),
        "no story has that name; there are {}",
        STORIES.map(|(name, _)| name).join(", ")
    );
    let bad: Vec<&str> = all.iter().filter(|one| !one.is_clean()).map(|one| one.scenario.as_str()).collect();
    ensure!(bad.is_empty(), "not without a loss: {}", bad.join(", "));
    Ok(())
}

async fn play(cluster: &Arc<Cluster>, name: &str, story: Story, setting: Setting) -> Result<Figures> {
    say(format!("== {name}"));
    let scene = Arc::new(Scene::open(Arc::clone(cluster), &namespace_of(name)).await?);
    let start = Instant::now();
    let told = tokio::time::timeout(LIMIT, story(&scene, setting)).await;
    let told = told.unwrap_or_else(|_late| Err(anyhow::anyhow!("not over after {} s", LIMIT.as_secs())));
    let mut figures = told.unwrap_or_else(|error| Figures {
        failed: Some(format!("{error:#}")),
        seconds: start.elapsed().as_secs_f64(),
        ..Figures::default()
    });
    figures.scenario = name.to_owned();
    if !figures.is_clean() {
        say(scene.report().await);
    }
    // A namespace that stays is no reason to play no other story.
    if let Err(error) = scene.close().await {
        say(format!("{error:#}"));
    }
    Ok(figures)
}

fn table(all: &[Figures]) {
    say(format!(
        "\n{:32} {:>8} {:>8} {:>6} {:>6} {:>8} {:>10} {:>10}",
        "story", "requests", "answered", "lost", "wrong", "seconds", "median ms", "slowest ms"
    ));
    all.iter().for_each(|one| say(row(one)));
    let sum = |of: fn(&Figures) -> usize| all.iter().map(of).sum::<usize>();
    say(format!(
        "{:32} {:>8} {:>8} {:>6} {:>6}",
        "all",
        sum(|one| one.requests),
        sum(|one| one.answered),
        sum(|one| one.lost),
        sum(|one| one.wrong)
    ));
}

fn row(one: &Figures) -> String {
    let mut row = format!(
        "{:32} {:>8} {:>8} {:>6} {:>6} {:>8.1} {:>10.1} {:>10.0}",
        one.scenario,
        one.requests,
        one.answered,
        one.lost,
        one.wrong,
        one.seconds,
        one.median_ms,
        one.slowest_ms
    );
    if !one.kinds.is_empty() {
        row.push_str(&format!("  lost by {:?}", one.kinds));
    }
    for example in &one.examples {
        row.push_str(&format!("\n    {example}"));
    }
    if let Some(why) = &one.failed {
        row.push_str(&format!("\n    FAILED: {why}"));
    }
    row
}

fn keep(path: &Path, setting: Setting, all: &[Figures]) -> Result<()> {
    let text = serde_json::to_string_pretty(&json!({
        "at": jiff::Timestamp::now().to_string(),
        "machine": demo::machine(),
        "requestsPerSecond": setting.per_second,
        "kills": setting.kills,
        "seed": setting.seed,
        "scenarios": all,
    }))?;
    demo::write(path, &format!("{text}\n"))
}
