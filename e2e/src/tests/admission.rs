//! The chart's ValidatingAdmissionPolicy on a real API server: what it refuses, what it lets through, and whom it leaves alone.

mod cases;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use http::Request;
use kube::Api;
use kube::client::Body;
use serde_json::{Value, json};
use tidegate_api::rollout::Rollout;
use tidegate_api::{tolerant, valid};

use self::cases::{accepted, refused};
use super::kinds;
use super::shop::ROLLOUT;
use crate::install;
use crate::scene::{self, PATIENCE, Scene};

/// The policy's release is for Rollouts of this instance in the test's namespace, so that other tests may write what
/// they like.
const INSTANCE: &str = "admitted";
const VALUES: [&str; 4] =
    ["namespaced=true", "instanceId=admitted", "crds.install=false", "admissionPolicy.enabled=true"];

/// No answer is longer.
const BYTES_MAX: usize = 1 << 20;

/// What the API server said to one request.
struct Said {
    status: u16,
    body: Value,
    warnings: Vec<String>,
}

impl Said {
    fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or_default()
    }
}

pub(super) async fn refuses_what_the_controller_would_call_invalid(scene: Arc<Scene>) -> Result<()> {
    scene.given("a release with the policy, which needs no controller");
    let values = [&VALUES[..], &["replicas=0"]].concat();
    install::in_namespace(scene.cluster(), scene.namespace(), &values).await?;
    until_in_force(&scene).await?;
    ensure_well_typed(&scene).await?;
    scene.then("everything invalid is refused, by the field and with what to do");
    let mut told = BTreeSet::new();
    for (changes, message) in refused() {
        let rollout = rollout("refused", &changes);
        ensure!(parse(&rollout)?.is_err(), "the controller itself finds nothing wrong with {changes}");
        let said = create(&scene, &rollout, true).await?;
        ensure!(
            said.status == 422 && said.message().contains(&format!("denied request: {message}")),
            "to {changes} the API server says {} {}, not {message:?}",
            said.status,
            said.message()
        );
        told.insert(said.message().split("denied request: ").nth(1).unwrap_or_default().to_owned());
    }
    ensure_every_rule(&scene, &told).await?;
    scene.then("everything valid is let through, and manifests of users are judged as the controller does");
    for changes in accepted() {
        let rollout = rollout("accepted", &changes);
        ensure!(parse(&rollout)?.is_ok(), "the controller itself refuses {changes}: {:?}", parse(&rollout)?);
        ensure_created(&create(&scene, &rollout, true).await?, &changes)?;
    }
    for mut document in kinds::rollouts()? {
        document["metadata"] = metadata(document["metadata"]["name"].as_str().unwrap_or_default());
        let said = create(&scene, &document, true).await?;
        match parse(&document)? {
            Ok(_) => ensure_created(&said, &document)?,
            Err(faults) => ensure!(said.status == 422, "{faults:?}, and the API server says {}", said.status),
        }
    }
    install::remove(scene.cluster(), scene.namespace()).await
}

pub(super) async fn leaves_the_controller_and_old_rollouts_alone(scene: Arc<Scene>) -> Result<()> {
    scene.given("a Rollout from before the policy, invalid and with no controller yet");
    let old = rollout("old", &json!({"strategy": {"canary": {"steps": [{"setWeight": 400}]}}}));
    ensure_created(&create(&scene, &old, false).await?, &old)?;
    install::in_namespace(scene.cluster(), scene.namespace(), &VALUES).await?;
    until_in_force(&scene).await?;
    scene.then("the controller can still say what is wrong with it, and scale and metadata can change");
    let is_told = |rollout: &Value| {
        rollout["status"]["message"].as_str().is_some_and(|message| message.starts_with("InvalidSpec"))
    };
    scene.until_json(ROLLOUT, "old", "told of its invalid spec", is_told).await?;
    let labelled = json!({"metadata": {"labels": {"team": "shop"}}});
    ensure_created(&patch(&scene, "old", &labelled).await?, &labelled)?;
    let scaled = json!({"spec": {"replicas": 2}});
    ensure_created(&patch(&scene, "old/scale", &scaled).await?, &scaled)?;
    scene.then("a change of its spec must mend it");
    let paused = json!({"spec": {"paused": true}});
    let said = patch(&scene, "old", &paused).await?;
    ensure!(said.message().contains("setWeight: SetWeight needs to be between 0 and 100"), "{}", said.body);
    let mended = json!({"spec": {"strategy": {"canary": {"steps": [{"setWeight": 40}]}}}});
    ensure_created(&patch(&scene, "old", &mended).await?, &mended)?;

    scene.when("the policy is to warn only");
    let warn = [&VALUES[..], &["admissionPolicy.action=Warn"]].concat();
    install::in_namespace(scene.cluster(), scene.namespace(), &warn).await?;
    scene.then("what is invalid gets in, with a warning");
    let broken = rollout("warned", &json!({"minReadySeconds": -1}));
    let said = until(&scene, &broken, |said| said.status == 201).await?;
    ensure!(
        said.warnings
            .iter()
            .any(|text| text.contains("spec.minReadySeconds: must be greater than or equal to 0")),
        "the warnings are {:?}",
        said.warnings
    );
    install::remove(scene.cluster(), scene.namespace()).await
}

/// A valid Rollout of the policy's instance, merged with changes of its spec.
fn rollout(name: &str, changes: &Value) -> Value {
    let mut spec = json!({
        "replicas": 0,
        "selector": {"matchLabels": {"app": "shop"}},
        "template": {
            "metadata": {"labels": {"app": "shop"}},
            "spec": {"containers": [{"name": "app", "image": "tidegate.dev/app:v1"}]},
        },
        "strategy": {"canary": {"steps": [{"setWeight": 20}, {"pause": {}}]}},
    });
    merge(&mut spec, changes);
    json!({"apiVersion": ROLLOUT.0, "kind": ROLLOUT.1, "metadata": metadata(name), "spec": spec})
}

fn metadata(name: &str) -> Value {
    json!({"name": name, "labels": {"argo-rollouts.argoproj.io/controller-instance-id": INSTANCE}})
}

/// A merge as `kubectl patch --type merge` does it: null removes.
fn merge(value: &mut Value, changes: &Value) {
    let Some(changes) = changes.as_object() else {
        *value = changes.clone();
        return;
    };
    if !value.is_object() {
        *value = json!({});
    }
    for (field, change) in changes {
        if change.is_null() {
            value.as_object_mut().map(|object| object.remove(field));
        } else {
            merge(&mut value[field], change);
        }
    }
}

/// The controller's own opinion of it.
fn parse(rollout: &Value) -> Result<Result<valid::ValidRollout, Vec<valid::FieldError>>> {
    let (rollout, _dropped) = tolerant::decode::<Rollout>(rollout.clone()).context("cannot decode")?;
    Ok(valid::validate(&rollout))
}

async fn create(scene: &Scene, rollout: &Value, dry: bool) -> Result<Said> {
    let dry = if dry { "?dryRun=All" } else { "" };
    let path = format!("/apis/{}/namespaces/{}/rollouts{dry}", ROLLOUT.0, scene.namespace());
    send(scene, Request::post(path).header("content-type", "application/json"), rollout).await
}

async fn patch(scene: &Scene, name: &str, patch: &Value) -> Result<Said> {
    let path = format!("/apis/{}/namespaces/{}/rollouts/{name}", ROLLOUT.0, scene.namespace());
    send(scene, Request::patch(path).header("content-type", "application/merge-patch+json"), patch).await
}

/// By hand, because warnings are headers.
async fn send(scene: &Scene, request: http::request::Builder, body: &Value) -> Result<Said> {
    let request = request.body(Body::from(serde_json::to_vec(body)?))?;
    let answer = scene.client().send(request).await.context("the API server does not answer")?;
    let status = answer.status().as_u16();
    let warnings = answer.headers().get_all("warning").iter();
    let warnings = warnings.filter_map(|text| text.to_str().ok()).map(str::to_owned).collect();
    let body = axum::body::to_bytes(axum::body::Body::new(answer.into_body()), BYTES_MAX).await?;
    Ok(Said { status, body: serde_json::from_slice(&body)?, warnings })
}

fn ensure_created(said: &Said, what: &Value) -> Result<()> {
    ensure!(said.status < 300, "to {what} the API server says {} {}", said.status, said.message());
    ensure!(said.warnings.is_empty(), "to {what} the API server warns: {:?}", said.warnings);
    Ok(())
}

/// The API server takes a policy up some time after it is there.
async fn until_in_force(scene: &Scene) -> Result<()> {
    let broken = rollout("probe", &json!({"minReadySeconds": -1}));
    until(scene, &broken, |said| said.status == 422).await.map(drop)
}

/// Creates it again and again, for nothing, until the answer is as wanted.
async fn until(scene: &Scene, rollout: &Value, holds: impl Fn(&Said) -> bool) -> Result<Said> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let said = create(scene, rollout, true).await?;
        if holds(&said) {
            return Ok(said);
        }
        if Instant::now() > deadline {
            bail!("the API server still says {} {}", said.status, said.body);
        }
    }
}

/// The policy as the API server has it, once it is as wanted. Its name is the chart's for two releases that do not meet.
async fn policy(scene: &Scene, what: &str, holds: impl Fn(&Value) -> bool) -> Result<Value> {
    let release: String = format!("{}-tidegate", scene.namespace()).chars().take(63).collect();
    let name = format!("{}-rollouts", release.trim_end_matches('-'));
    let kind = ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy");
    let resource = scene::resource(&scene.client(), kind.0, kind.1).await?;
    scene::until_json(Api::all_with(scene.client(), &resource), &name, what, PATIENCE, holds).await
}

/// The API server checks each expression against the kind's schema and says what can never be evaluated.
async fn ensure_well_typed(scene: &Scene) -> Result<()> {
    let checked = |policy: &Value| policy["status"]["observedGeneration"] == policy["metadata"]["generation"];
    let policy = policy(scene, "checked by the API server", checked).await?;
    let warnings = &policy["status"]["typeChecking"]["expressionWarnings"];
    ensure!(warnings.is_null(), "its expressions are doubtful: {warnings:#}");
    Ok(())
}

/// Fails when a rule of the policy has refused nothing.
async fn ensure_every_rule(scene: &Scene, told: &BTreeSet<String>) -> Result<()> {
    let policy = policy(scene, "there", |_| true).await?;
    let rules = policy["spec"]["validations"].as_array().cloned().unwrap_or_default();
    let silent: Vec<&str> = rules
        .iter()
        .filter_map(|rule| rule["message"].as_str())
        .filter(|message| !told.iter().any(|one| one.trim() == message.trim()))
        .collect();
    ensure!(
        rules.len() > 30 && silent.is_empty(),
        "of {} rules these refused nothing: {silent:#?}",
        rules.len()
    );
    Ok(())
}
