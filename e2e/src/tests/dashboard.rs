//! Argo Rollouts' dashboard against Tidegate, through the API that its pages use.

use std::net::{Ipv4Addr, TcpListener};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;

use super::blue_green;
use super::client::Client;
use super::shop::{Shop, routed};
use crate::scene::Scene;

/// No answer takes longer.
const WITHIN: Duration = Duration::from_secs(30);

/// A dashboard that runs until it is dropped.
struct Dashboard {
    _process: Child,
    client: reqwest::Client,
    /// Up to the namespace.
    base: String,
}

impl Dashboard {
    async fn start(scene: &Arc<Scene>) -> Result<Self> {
        // The port is free again when the dashboard takes it; nobody else here asks for that one.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let argo = Client::upstream(scene).await?;
        let mut command = argo.command(&format!("dashboard --port {port}"));
        let mut process = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let mut lines = BufReader::new(process.stderr.take().context("no error stream")?).lines();
        loop {
            match tokio::time::timeout(WITHIN, lines.next_line()).await?? {
                Some(line) if line.contains("now available") => break,
                Some(_) => {}
                None => bail!("the dashboard ended at once"),
            }
        }
        // A pipe that nobody reads would stop it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let base = format!("http://127.0.0.1:{port}/rollouts/api/v1/rollouts/{}", scene.namespace());
        let client = reqwest::Client::builder().no_proxy().build()?;
        let dashboard = Self { _process: process, client, base };
        tokio::time::timeout(WITHIN, dashboard.ready()).await.context("the dashboard does not answer")?;
        Ok(dashboard)
    }

    /// It calls itself available before its own backend listens.
    async fn ready(&self) {
        while self.get("info").await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn get(&self, path: &str) -> Result<Value> {
        let sent = self.client.get(format!("{}/{path}", self.base)).timeout(WITHIN).send().await?;
        answer(path, sent).await
    }

    /// What a button sends.
    async fn put(&self, path: &str, body: Value) -> Result<Value> {
        let sent = self.client.put(format!("{}/{path}", self.base)).timeout(WITHIN).body(body.to_string());
        answer(path, sent.send().await?).await
    }

    /// A button whose request is never answered: the server then waits for a cache that it does not start.
    fn press(&self, path: &str) {
        let sent = self.client.put(format!("{}/{path}", self.base)).timeout(WITHIN).body("{}");
        tokio::spawn(sent.send());
    }

    /// Follows the stream of a Rollout, as its page does, until it shows this.
    async fn until(&self, path: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Result<Value> {
        let mut answer = self.client.get(format!("{}/{path}", self.base)).send().await?;
        let mut text = Vec::new();
        let mut last = Value::Null;
        let found = tokio::time::timeout(WITHIN * 4, async {
            while let Some(chunk) = answer.chunk().await? {
                text.extend_from_slice(&chunk);
                while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = text.drain(..=end).collect();
                    last = serde_json::from_slice::<Value>(&line)?["result"].clone();
                    if holds(&last) {
                        return Ok(());
                    }
                }
            }
            bail!("{path} ended")
        })
        .await;
        found.unwrap_or_else(|_late| bail!("{path} does not show it {what}; it shows {last}"))?;
        Ok(last)
    }
}

async fn answer(path: &str, answer: reqwest::Response) -> Result<Value> {
    let (status, text) = (answer.status(), answer.text().await?);
    ensure!(status.is_success(), "{path} answers {status}: {text}");
    serde_json::from_str(&text).with_context(|| format!("{path} answers {text}"))
}

pub(super) async fn shows_and_moves_a_rollout(scene: Arc<Scene>) -> Result<()> {
    scene.given("a healthy shop, and the dashboard");
    let shop = Shop::open(&scene, 4, &routed(&json!([{"setWeight": 25}, {"pause": {}}]))).await?;
    let dashboard = Dashboard::start(&scene).await?;
    let list = dashboard.get("info").await?;
    ensure!(list["rollouts"].as_array().is_some_and(|rollouts| rollouts.len() == 1), "it lists {list}");
    let info = dashboard.get("shop/info").await?;
    for (field, value) in [
        ("status", json!("Healthy")),
        ("strategy", json!("Canary")),
        ("step", json!("2/2")),
        ("setWeight", json!("100")),
        ("actualWeight", json!("100")),
        ("desired", json!(4)),
        ("ready", json!(4)),
        ("updated", json!(4)),
        ("available", json!(4)),
        ("restartedAt", json!("Never")),
    ] {
        ensure!(info[field] == value, "{field} is {} and not {value} in {info}", info[field]);
    }
    let set = &info["replicaSets"][0];
    ensure!(set["stable"] == true && set["pods"].as_array().map(Vec::len) == Some(4), "the set is {set}");
    scene.when("somebody sets an image on its page");
    dashboard.press("shop/set/app/tidegate.dev/app/v2");
    let paused = |info: &Value| info["status"] == "Paused" && info["step"] == "1/2";
    let info = dashboard.until("shop/info/watch", "paused", paused).await?;
    ensure!(
        info["setWeight"] == "25" && info["actualWeight"] == "25" && info["updated"] == 1,
        "it shows {info}"
    );
    scene.when("somebody aborts, and tries again");
    dashboard.put("shop/abort", json!({})).await?;
    dashboard.until("shop/info/watch", "Degraded", |info| info["status"] == "Degraded").await?;
    dashboard.put("shop/retry", json!({})).await?;
    dashboard.until("shop/info/watch", "paused", paused).await?;
    scene.when("somebody promotes it, and goes back");
    dashboard.put("shop/promote", json!({"full": false})).await?;
    shop.until_promoted("v2").await?;
    dashboard.press("shop/undo/1");
    dashboard.until("shop/info/watch", "paused", paused).await?;
    dashboard.put("shop/promote", json!({"full": true})).await?;
    shop.until_promoted("v1").await?;
    scene.when("somebody restarts it");
    dashboard.put("shop/restart", json!({})).await?;
    dashboard
        .until("shop/info/watch", "restarted", |info| {
            info["restartedAt"] != "Never" && info["status"] == "Healthy"
        })
        .await?;
    let all = |event: &Value| event["rolloutInfo"]["objectMeta"]["name"] == "shop";
    dashboard.until("info/watch", "with the shop", all).await.map(drop)
}

/// The one set of a Rollout's page that has a role.
fn set_of<'a>(info: &'a Value, role: &str) -> &'a Value {
    let sets = info["replicaSets"].as_array();
    sets.into_iter().flatten().find(|set| set[role] == true).unwrap_or(&Value::Null)
}

pub(super) async fn shows_and_switches_a_blue_green(scene: Arc<Scene>) -> Result<()> {
    scene.given("a healthy blue-green shop, and the dashboard");
    let shop = blue_green::open(&scene, &json!({"autoPromotionEnabled": false})).await?;
    let dashboard = Dashboard::start(&scene).await?;
    let info = dashboard.get("shop/info").await?;
    ensure!(info["strategy"] == "BlueGreen" && info["status"] == "Healthy", "it shows {info}");
    let set = set_of(&info, "active");
    ensure!(set["stable"] == true && set["pods"].as_array().map(Vec::len) == Some(3), "active is {set}");
    scene.when("somebody sets an image on its page");
    dashboard.press("shop/set/app/tidegate.dev/app/v2");
    let previewed = |info: &Value| {
        info["status"] == "Paused"
            && set_of(info, "preview")["images"][0] == "tidegate.dev/app:v2"
            && set_of(info, "active")["images"][0] == "tidegate.dev/app:v1"
    };
    dashboard.until("shop/info/watch", "paused with a preview", previewed).await?;
    scene.when("somebody aborts, tries again and promotes");
    dashboard.put("shop/abort", json!({})).await?;
    dashboard.until("shop/info/watch", "Degraded", |info| info["status"] == "Degraded").await?;
    dashboard.put("shop/retry", json!({})).await?;
    dashboard.until("shop/info/watch", "paused with a preview", previewed).await?;
    dashboard.put("shop/promote", json!({"full": false})).await?;
    shop.until_promoted("v2").await?;
    let switched = |info: &Value| {
        let set = set_of(info, "active");
        info["status"] == "Healthy" && set["stable"] == true && set["images"][0] == "tidegate.dev/app:v2"
    };
    dashboard.until("shop/info/watch", "switched", switched).await.map(drop)
}
