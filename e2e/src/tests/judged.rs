//! Releases with no thresholds written down: the judge compares both versions, and passes or stops the new one.

mod release;
mod served;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde::Serialize;
use serde_json::Value;

pub(super) use self::release::{Counted, Fault, Release};
pub(super) use self::served::Served;
use super::router::Router;
use super::shop::{RUN, Shop, is_current};
use super::watched::Watched;
use crate::manifest;
use crate::say;
use crate::scene::Scene;

/// A release that is not decided by then is left undecided.
const LIMIT: Duration = Duration::from_secs(400);

/// How a release ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum End {
    Promoted,
    Aborted,
    Undecided,
}

/// What became of one release.
#[derive(Clone, Debug)]
pub(super) struct Judged {
    pub(super) end: End,
    /// What the judge said at last.
    pub(super) words: String,
    /// From the beginning of the judge's measurement to its end, in the whole seconds that objects carry.
    pub(super) measured_seconds: Option<i64>,
    pub(super) served: Served,
}

pub(super) async fn lets_a_good_release_pass(scene: Arc<Scene>) -> Result<()> {
    scene.given("two versions that are equally good, counted by their pods");
    judged_right(&scene, quick(Fault::Nothing, Counted::ByPods)).await
}

pub(super) async fn aborts_a_release_with_errors(scene: Arc<Scene>) -> Result<()> {
    scene.given("a new version that fails a fifth of its requests, behind a router that counts them");
    judged_right(&scene, quick(Fault::Errors(20), Counted::ByTraefik)).await
}

pub(super) async fn aborts_a_release_that_is_slow(scene: Arc<Scene>) -> Result<()> {
    scene.given("a new version that is late with a fifth of its answers");
    judged_right(&scene, quick(Fault::Slow, Counted::ByTraefik)).await
}

/// A release that is decided within half a minute. No failure is due to chance: what a judge makes of that is never
/// certain, and counted by the campaign.
fn quick(fault: Fault, counted: Counted) -> Release {
    let router = Router::Gateway;
    Release { fault, counted, router, weight: 50, per_second: 83, always_failing: 0.0, seed: 1 }
}

async fn judged_right(scene: &Arc<Scene>, release: Release) -> Result<()> {
    let judged = released(scene, release).await?;
    say(format!("       {} of {}: {}", judged.served.bad, judged.served.by_canary, judged.words));
    judged.ensure_right(release)
}

impl Judged {
    /// Whether it came to what it deserves.
    pub(super) fn is_right(&self, release: Release) -> bool {
        self.end == if release.is_bad() { End::Aborted } else { End::Promoted }
    }

    fn ensure_right(&self, release: Release) -> Result<()> {
        ensure!(self.is_right(release), "a release ({}) was {:?}: {}", release.fault, self.end, self.words);
        ensure!(self.served.lost == 0, "{} of {} requests were lost", self.served.lost, self.served.requests);
        ensure!(self.served.by_canary > 0, "nobody was served by the new version");
        Ok(())
    }
}

/// Ships one release under load, waits for what becomes of it, and until the version that is left answers alone.
pub(super) async fn released(scene: &Arc<Scene>, release: Release) -> Result<Judged> {
    let template = release.template(&scene.cluster().prometheus_url()?);
    manifest::apply_value(scene.cluster().client(), template, scene.namespace()).await?;
    let shop = Shop::behind(scene, release.router).with_env(release.env_of_stable());
    let shop = shop.opened(3, &release.strategy()).await?;
    let mut watched = Watched::start(&shop, release.per_second, "v1").await?;
    scene.when("the new version ships, and is judged");
    shop.ship("v2", release.env_of_canary()).await?;
    let (ended, weight_off) = tokio::join!(until_ended(&shop), until_weight_off(&shop, &watched, release));
    let end = ended.unwrap_or(End::Undecided);
    scene.then("the version that is left answers alone");
    match end {
        End::Promoted => watched.settle(&["v2"]).await?,
        End::Aborted => watched.settle(&["v1"]).await?,
        End::Undecided => {}
    }
    let answers = watched.stop_raw().await?;
    let (words, measured_seconds) = last_word(scene).await?;
    let served = Served::of(&answers, "v2", release.fault, weight_off);
    Ok(Judged { end, words, measured_seconds, served })
}

/// Waits until all that began with the release is over, one way or the other.
async fn until_ended(shop: &Shop) -> Result<End> {
    let end = |rollout: &Value| {
        let status = &rollout["status"];
        match status["phase"].as_str() {
            Some("Degraded") if is_current(rollout) && status["abort"] == true => Some(End::Aborted),
            Some("Healthy") if is_current(rollout) && status["stableRS"] == status["currentPodHash"] => {
                Some(End::Promoted)
            }
            _ => None,
        }
    };
    let is_new = |rollout: &Value| {
        rollout["spec"]["template"]["spec"]["containers"][0]["image"] == "tidegate.dev/app:v2"
    };
    let ended =
        shop.until_within(LIMIT, "judged", |rollout| is_new(rollout) && end(rollout).is_some()).await?;
    Ok(end(&ended).unwrap_or(End::Undecided))
}

/// The moment at which the route has the canary's weight no more, since the load began.
async fn until_weight_off(shop: &Shop, watched: &Watched, release: Release) -> Option<Duration> {
    let (weighed, router) = (release.router.weighed(), release.router);
    let until = async |weight| {
        let is_wanted = |route: &Value| router.weights(route) == router.everywhere(weight);
        shop.scene.until_json_within(LIMIT, weighed.kind, weighed.name, "weighed", is_wanted).await
    };
    until(release.weight).await.ok()?;
    until(0).await.ok()?;
    Some(watched.elapsed())
}

/// What the judge said at last, and how long it took.
async fn last_word(scene: &Scene) -> Result<(String, Option<i64>)> {
    let runs = scene.api_of(RUN.0, RUN.1).await?.list(&Default::default()).await?;
    let Some(run) = runs.items.first() else { return Ok(("it was never asked".to_owned(), None)) };
    let measurement = &run.data["status"]["metricResults"][0]["measurements"][0];
    let time = |field: &str| measurement[field].as_str()?.parse::<jiff::Timestamp>().ok();
    let seconds =
        time("startedAt").zip(time("finishedAt")).map(|(from, to)| to.duration_since(from).as_secs());
    let words = measurement["message"].as_str().or(run.data["status"]["message"].as_str());
    Ok((words.unwrap_or_default().to_owned(), seconds))
}
