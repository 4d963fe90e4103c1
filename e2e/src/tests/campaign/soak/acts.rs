//! What people do to one shop in the course of days, in minutes.

use std::sync::Arc;

use anyhow::Result;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::super::blue_green;
use super::super::super::chance::Chance;
use super::super::super::client::Client;
use super::super::super::figures::Figures;
use super::super::super::router::Router;
use super::super::super::shop::{Shop, is_current, routed_by};
use super::super::super::watched::Watched;
use super::leftovers::{REVISIONS, RUNS};
use crate::images::APP_VERSIONS;
use crate::scene::Scene;

/// A run that measures something good for as long as it is let.
const GOOD: &str = r#"
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: good}
spec:
  metrics:
    - name: up
      interval: 1s
      count: 3
      successCondition: result[0] > 0
      provider: {prometheus: {address: ADDRESS, query: "vector(1)"}}
"#;

/// How a shop is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Nginx,
    Gateway,
    BlueGreen,
}

impl Way {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Nginx => "soak-canary",
            Self::Gateway => "soak-httproute",
            Self::BlueGreen => "soak-blue-green",
        }
    }

    fn strategy(self) -> Value {
        let analysis = json!({"templates": [{"templateName": "good"}]});
        let steps = json!([
            {"setWeight": 30}, {"pause": {}}, {"analysis": analysis}, {"setWeight": 60},
            {"pause": {"duration": 1}},
        ]);
        match self {
            Self::Nginx => routed_by(Router::Nginx, &steps),
            Self::Gateway => routed_by(Router::Gateway, &steps),
            Self::BlueGreen => json!({"autoPromotionEnabled": false, "prePromotionAnalysis": analysis}),
        }
    }
}

/// One thing that people do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Release,
    Abort,
    Undo,
    Scale,
    Restart,
}

impl Act {
    const ALL: [Self; 5] = [Self::Release, Self::Abort, Self::Undo, Self::Scale, Self::Restart];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Abort => "abort",
            Self::Undo => "undo",
            Self::Scale => "scale",
            Self::Restart => "restart",
        }
    }
}

/// One shop, who acts on it, and the load on it.
pub(super) struct Player {
    shop: Shop,
    plugin: Client,
    watched: Watched,
    chance: Chance,
    way: Way,
    /// Every release has a number, so that none is like one before.
    release: u32,
    /// The release that users get.
    current: u32,
    pub(super) replicas: i64,
}

impl Player {
    pub(super) async fn open(scene: &Arc<Scene>, way: Way, rate: u32, seed: u64) -> Result<Self> {
        scene.apply(&GOOD.replace("ADDRESS", &scene.cluster().prometheus_url()?)).await?;
        let shop = match way {
            Way::Nginx => Shop::open(scene, 3, &way.strategy()).await?,
            Way::Gateway => Shop::behind(scene, Router::Gateway).opened(3, &way.strategy()).await?,
            Way::BlueGreen => blue_green::open(scene, &way.strategy()).await?,
        };
        let limits = json!({"successfulRunHistoryLimit": RUNS, "unsuccessfulRunHistoryLimit": RUNS});
        shop.patch(json!({"spec": {"revisionHistoryLimit": REVISIONS, "analysis": limits}})).await?;
        shop.until_phase("Healthy").await?;
        let watched = Watched::start(&shop, rate, APP_VERSIONS[0]).await?;
        let plugin = Client::own(scene).await?;
        let chance = Chance::new(seed ^ way.name().len() as u64);
        Ok(Self { shop, plugin, watched, chance, way, release: 0, current: 0, replicas: 3 })
    }

    pub(super) fn next(&mut self) -> Act {
        Act::ALL[self.chance.below(Act::ALL.len() as u64) as usize]
    }

    pub(super) async fn play(&mut self, act: Act) -> Result<()> {
        match act {
            Act::Release => self.release().await,
            Act::Abort => self.abort().await,
            Act::Undo => {
                self.release().await?;
                self.undo().await
            }
            Act::Scale => self.scale().await,
            Act::Restart => self.restart().await,
        }
    }

    pub(super) async fn stop(self) -> Result<Figures> {
        self.watched.stop().await
    }

    /// Ships the next release and waits until it pauses; the versions of the image before and now.
    async fn ship(&mut self) -> Result<(&'static str, &'static str)> {
        self.release += 1;
        let (old, new) = (image(self.current), image(self.release));
        if self.way != Way::BlueGreen {
            self.watched.allow(&[old, new]);
        }
        self.shop.ship(new, environment(self.release)).await?;
        if self.way == Way::BlueGreen {
            self.shop.until_phase("Paused").await?;
        } else {
            self.shop.until_paused_at(1).await?;
        }
        Ok((old, new))
    }

    async fn release(&mut self) -> Result<()> {
        let (old, new) = self.ship().await?;
        self.watched.allow(&[old, new]);
        self.shop.promote().await?;
        self.shop.until_promoted(new).await?;
        self.current = self.release;
        self.watched.settle(&[new]).await?;
        self.at_rest().await
    }

    async fn abort(&mut self) -> Result<()> {
        let (old, _new) = self.ship().await?;
        self.shop.patch_status(json!({"abort": true})).await?;
        self.shop.until_phase("Degraded").await?;
        self.watched.settle(&[old]).await?;
        self.shop.ship(old, environment(self.current)).await?;
        self.shop.until_phase("Healthy").await?;
        self.at_rest().await
    }

    /// Back to what was before the last release, all the way.
    async fn undo(&mut self) -> Result<()> {
        let old = image(self.current);
        self.plugin.expect("undo shop", 0, &[]).await?;
        let rollout = self.shop.until("there", |_| true).await?;
        let container = &rollout["spec"]["template"]["spec"]["containers"][0];
        let back = container["env"][0]["value"].as_str().and_then(|text| text.parse().ok()).unwrap_or(0);
        let new = image(back);
        self.watched.allow(&[old, new]);
        if self.way == Way::BlueGreen {
            self.shop.until_phase("Paused").await?;
        } else {
            self.shop.until_paused_at(1).await?;
        }
        self.shop.promote().await?;
        self.shop.until_promoted(new).await?;
        self.current = back;
        self.watched.settle(&[new]).await?;
        self.at_rest().await
    }

    async fn scale(&mut self) -> Result<()> {
        self.replicas = 2 + self.chance.below(3) as i64;
        self.shop.patch(json!({"spec": {"replicas": self.replicas}})).await?;
        self.at_rest().await
    }

    async fn restart(&mut self) -> Result<()> {
        let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        self.shop.patch(json!({"spec": {"restartAt": now}})).await?;
        self.shop.until("restarted", |rollout| rollout["status"]["restartedAt"] == now.as_str()).await?;
        self.at_rest().await
    }

    /// Waits until there are just the pods that the spec asks for, and all are ready.
    async fn at_rest(&self) -> Result<()> {
        let wanted = self.replicas;
        self.shop
            .until(&format!("at rest with {wanted} pods"), |rollout| {
                let status = &rollout["status"];
                status["phase"] == "Healthy"
                    && is_current(rollout)
                    && status["replicas"].as_i64() == Some(wanted)
                    && status["readyReplicas"].as_i64() == Some(wanted)
            })
            .await
            .map(drop)
    }
}

fn image(release: u32) -> &'static str {
    APP_VERSIONS[release as usize % APP_VERSIONS.len()]
}

/// What tells one release from another; the first one has nothing.
fn environment(release: u32) -> Value {
    if release == 0 { json!([]) } else { json!([{"name": "RELEASE", "value": release.to_string()}]) }
}
