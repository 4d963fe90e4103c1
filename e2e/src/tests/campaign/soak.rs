//! `soak`: releases one after the other for a long time, under load, with the controller killed now and then. At the end
//! nothing may be left behind, and nothing may have grown.

mod acts;
mod leftovers;
mod observer;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use self::acts::{Player, Way};
use self::observer::Observer;
use super::super::chance::Chance;
use super::super::figures::Figures;
use super::super::kills::{Controller, uid};
use crate::cluster::Cluster;
use crate::scene::Scene;
use crate::{demo, say};

/// Between two kills: at least, and up to so much more.
const KILL_PAUSE_SECONDS: (u64, u64) = (60, 60);

/// What `soak` is asked to do.
#[derive(clap::Args)]
pub(crate) struct Soak {
    /// How long releases follow each other.
    #[arg(long, default_value_t = 30)]
    minutes: u64,
    /// Requests per second, over all shops.
    #[arg(long, default_value_t = 200)]
    rate: u32,
    /// What the order of the acts and the moments of the kills follow from.
    #[arg(long)]
    seed: Option<u64>,
    #[command(flatten)]
    place: super::Where,
}

/// What became of one shop.
struct Played {
    figures: Figures,
    acts: BTreeMap<&'static str, u32>,
    left: Vec<String>,
}

/// Soaks, and fails when something was lost, left behind, or grew.
pub(crate) async fn soak(options: Soak) -> Result<()> {
    let cluster = options.place.cluster("soak").await?;
    let seed = options.seed.unwrap_or_else(Chance::fresh_seed);
    say(format!("seed {seed}, {} minutes", options.minutes));
    let end = Instant::now() + Duration::from_secs(options.minutes * 60);
    let observer = Observer::start(&cluster);
    let killer = tokio::spawn(kill_now_and_then(Arc::clone(&cluster), seed, end, options.minutes));
    let ways = [Way::Nginx, Way::Gateway, Way::BlueGreen];
    let rate = options.rate / u32::try_from(ways.len())?;
    let shops = ways.map(|way| play(&cluster, way, rate, seed, end));
    let played = futures::future::join_all(shops).await;
    let kills = killer.await??;
    let observed = observer.stop().await?;
    let faults = faults(&played, &observed);
    let report = json!({
        "at": jiff::Timestamp::now().to_string(),
        "machine": demo::machine(),
        "minutes": options.minutes,
        "seed": seed,
        "shops": played.iter().map(shop).collect::<Vec<Value>>(),
        "kills": kills,
        "controller": observed,
        "faults": faults,
    });
    let path = options.place.file("soak.json");
    demo::write(&path, &format!("{}\n", serde_json::to_string_pretty(&report)?))?;
    for one in &played {
        say(super::row(&one.figures));
        say(format!("    {:?}", one.acts));
    }
    say(format!("{} kills; {}; figures in {}", kills.len(), observed.summary(), path.display()));
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}

fn shop(played: &Played) -> Value {
    json!({"figures": played.figures, "acts": played.acts, "left": played.left})
}

/// Everything that should not be.
fn faults(played: &[Played], observed: &observer::Observed) -> Vec<String> {
    let mut faults = observed.faults();
    for Played { figures, left, .. } in played {
        let name = &figures.scenario;
        if let Err(error) = figures.ensure_clean() {
            faults.push(format!("{name}: {error:#}"));
        }
        faults.extend(figures.failed.iter().map(|why| format!("{name}: {why}")));
        faults.extend(left.iter().map(|what| format!("{name} left behind: {what}")));
    }
    faults
}

/// Plays acts on a shop of its own until the end, and looks at what is left.
async fn play(cluster: &Arc<Cluster>, way: Way, rate: u32, seed: u64, end: Instant) -> Played {
    let (mut acts, mut left) = (BTreeMap::new(), Vec::new());
    let told = async {
        let scene = Arc::new(Scene::open(Arc::clone(cluster), &super::namespace_of(way.name())).await?);
        let told = act(&scene, way, rate, seed, end, &mut acts, &mut left).await;
        if told.is_err() {
            say(scene.report().await);
        }
        // A namespace that stays says nothing about the shop.
        if let Err(error) = scene.close().await {
            say(format!("{error:#}"));
        }
        told
    };
    let mut figures = told.await.unwrap_or_else(|error: anyhow::Error| Figures {
        failed: Some(format!("{error:#}")),
        ..Figures::default()
    });
    figures.scenario = way.name().to_owned();
    Played { figures, acts, left }
}

async fn act(
    scene: &Arc<Scene>,
    way: Way,
    rate: u32,
    seed: u64,
    end: Instant,
    acts: &mut BTreeMap<&'static str, u32>,
    left: &mut Vec<String>,
) -> Result<Figures> {
    let mut player = Player::open(scene, way, rate, seed).await?;
    while Instant::now() < end {
        let act = player.next();
        say(format!("{:6.0} s left  {}: {}", (end - Instant::now()).as_secs_f64(), way.name(), act.name()));
        player.play(act).await.with_context(|| format!("in the act {}", act.name()))?;
        *acts.entry(act.name()).or_default() += 1;
    }
    *left = leftovers::left(scene, player.replicas).await?;
    player.stop().await
}

/// Kills in the first half only: what grows in one life can be seen in the second.
async fn kill_now_and_then(
    cluster: Arc<Cluster>,
    seed: u64,
    end: Instant,
    minutes: u64,
) -> Result<Vec<String>> {
    let (controller, mut chance) = (Controller::installed(), Chance::new(seed));
    let (start, mut dead, mut kills) = (Instant::now(), BTreeSet::new(), Vec::new());
    loop {
        let pause = KILL_PAUSE_SECONDS.0 + chance.below(KILL_PAUSE_SECONDS.1);
        let at = Instant::now() + Duration::from_secs(pause);
        if at + Duration::from_secs(minutes * 30) > end {
            return Ok(kills);
        }
        tokio::time::sleep_until(at.into()).await;
        let pod = controller.until_at_work(&cluster, &dead).await?;
        controller.kill(&cluster, &pod).await?;
        dead.insert(uid(&pod));
        kills.push(format!("{:.0} s", start.elapsed().as_secs_f64()));
    }
}
