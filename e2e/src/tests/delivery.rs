//! An Application, its repository and the namespace that it fills: what the tests of the sync share.

use std::sync::Arc;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams};
use kube::runtime::wait::{await_condition, conditions::is_deleted};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::git::Repository;
use crate::install::NAMESPACE;
use crate::manifest;
use crate::scene::{self, PATIENCE, Scene};

/// The finalizer that deletes an Application's objects with it.
const CASCADE: &str = "resources-finalizer.argocd.argoproj.io";

/// An Application, its repository and the namespace that it fills.
pub(super) struct Delivery {
    scene: Arc<Scene>,
    pub(super) repository: Repository,
    /// The name of the repository below the server's root.
    pub(super) path: String,
    pub(super) applications: Api<DynamicObject>,
}

impl Delivery {
    /// Makes a repository; the Application comes with `install`.
    pub(super) async fn of(scene: &Arc<Scene>, path: &str) -> Result<Self> {
        let kind = scene::resource(&scene.client(), "argoproj.io/v1alpha1", "Application").await?;
        Ok(Self {
            scene: Arc::clone(scene),
            repository: Repository::create(&scene.cluster().git_root()?, path)?,
            path: path.to_owned(),
            applications: Api::namespaced_with(scene.client(), NAMESPACE, &kind),
        })
    }

    /// A repository with these files, and an Application that syncs, prunes and heals by itself.
    pub(super) async fn open(scene: &Arc<Scene>, files: &[(&str, &str)]) -> Result<Self> {
        let delivery = Self::of(scene, scene.namespace()).await?;
        delivery.commit(&files.iter().map(|(name, text)| (*name, Some(*text))).collect::<Vec<_>>())?;
        delivery.install(json!({})).await?;
        Ok(delivery)
    }

    /// Applies the Application, with these fields merged into its spec.
    pub(super) async fn install(&self, spec: Value) -> Result<()> {
        let mut application = json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
            "metadata": {"name": self.name(), "namespace": NAMESPACE, "finalizers": [CASCADE]},
            "spec": {
                "project": "default",
                "source": {"repoURL": Cluster::git_url_inside(&self.path), "targetRevision": "main", "path": "deploy"},
                "destination": {"server": "https://kubernetes.default.svc", "namespace": self.name()},
                "syncPolicy": {"automated": {"prune": true, "selfHeal": true}},
            },
        });
        for (name, value) in spec.as_object().into_iter().flatten() {
            application["spec"][name] = value.clone();
        }
        manifest::apply_value(&self.scene.client(), application, NAMESPACE).await.map(drop)
    }

    pub(super) fn name(&self) -> &str {
        self.scene.namespace()
    }

    /// Commits files below the Application's path; one without text is removed.
    pub(super) fn commit(&self, files: &[(&str, Option<&str>)]) -> Result<String> {
        let files: Vec<_> = files.iter().map(|(name, text)| (format!("deploy/{name}"), *text)).collect();
        let files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), *text)).collect();
        self.repository.commit("change", &files)
    }

    /// The newest commit.
    pub(super) fn head(&self) -> Result<String> {
        Ok(self.repository.git(&["rev-parse", "HEAD"])?.trim().to_owned())
    }

    /// Waits until the Application is as wanted.
    pub(super) async fn until(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Result<Value> {
        scene::until_json(self.applications.clone(), self.name(), what, PATIENCE, holds).await
    }

    /// Waits until everything is as in this commit, and healthy.
    pub(super) async fn until_synced(&self, commit: &str) -> Result<Value> {
        self.until(&format!("synced to {commit}"), |application| {
            let status = &application["status"];
            status["sync"]["revision"] == commit
                && status["sync"]["status"] == "Synced"
                && status["health"]["status"] == "Healthy"
                && status["operationState"]["phase"] == "Succeeded"
        })
        .await
    }

    /// Waits for a condition whose message has these words.
    pub(super) async fn until_told(&self, type_: &str, words: &str) -> Result<Value> {
        self.until(&format!("telling of {type_}: {words}"), |application| {
            application["status"]["conditions"].as_array().into_iter().flatten().any(|condition| {
                condition["type"] == type_
                    && condition["message"].as_str().is_some_and(|message| message.contains(words))
            })
        })
        .await
    }

    /// Asks for a comparison as upstream's clients do, and waits until it was made.
    pub(super) async fn refresh(&self) -> Result<Value> {
        let asked = json!({"metadata": {"annotations": {"argocd.argoproj.io/refresh": "normal"}}});
        self.applications.patch(self.name(), &PatchParams::default(), &Patch::Merge(asked)).await?;
        self.until("refreshed", |application| {
            application["metadata"]["annotations"].get("argocd.argoproj.io/refresh").is_none()
        })
        .await
    }

    pub(super) async fn config_map(&self, name: &str) -> Result<Option<ConfigMap>> {
        Ok(self.scene.api::<ConfigMap>().get_opt(name).await?)
    }

    pub(super) async fn until_data(&self, name: &str, value: &str) -> Result<()> {
        let holds =
            |map: &ConfigMap| map.data.as_ref().and_then(|data| data.get("key")).is_some_and(|v| v == value);
        self.scene.until(name, &format!("at {value}"), holds).await.map(drop)
    }

    /// Deletes the Application and waits until it is gone, with its objects.
    pub(super) async fn close(self) -> Result<()> {
        let known = self.applications.get(self.name()).await?;
        let uid = known.metadata.uid.context("the Application has no uid")?;
        self.applications.delete(self.name(), &DeleteParams::default()).await?;
        let gone = await_condition(self.applications.clone(), self.name(), is_deleted(&uid));
        tokio::time::timeout(scene::PATIENCE, gone).await.context("the Application does not go")??;
        Ok(())
    }
}

/// A ConfigMap with one entry.
pub(super) fn map(name: &str, value: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{key: {value}}}\n")
}
