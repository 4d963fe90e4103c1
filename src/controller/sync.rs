//! The loop over Applications: look, ask Git, ask the cluster, plan, apply, and when to look again.
//!
//! Input: watches of Applications and AppProjects, and what their objects tell. Output: applied plans. All
//! decisions are the engine's. Off unless the installation turns it on.

mod apply;
mod count;
mod live;
mod observe;
mod place;
mod round;
mod shelf;
pub(crate) mod survey;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use kube::Client;
use kube::api::{Api, DynamicObject};
use tidegate_engine::plan::Notice;
use tidegate_engine::sync::{Install, Reach};
use tracing::info;

use self::live::Live;
use self::place::Places;
use self::round::Memory;
use self::shelf::Shelf;
use crate::client::Gate;
use crate::events::{Recorder, Subject};
use crate::git::{Git, Limits};
use crate::kinds;
use crate::metrics::Metrics;
use crate::store::Key;
use crate::work::Queue;

pub(crate) use self::count::Counts;

/// Requests per second to the API server, and how many may go out at once; as upstream.
const REQUESTS_PER_SECOND: f64 = 50.0;
const BURST: u32 = 100;
/// How much a poll is spread, as upstream.
const POLL_JITTER_SECONDS: i64 = 60;
/// How long an unreadable repository is kept from the status, as upstream.
const GRACE_SECONDS: i64 = 180;

/// What this installation may sync, and how.
#[derive(Clone, Debug)]
pub(crate) struct SyncConfig {
    /// The namespace of Applications, AppProjects and repository Secrets.
    pub(crate) applications: String,
    /// The namespace that the controller runs in.
    pub(crate) own_namespace: String,
    /// Where objects may be written.
    pub(crate) reach: Reach,
    /// The name of the ServiceAccount to act as; nothing means as the controller itself.
    pub(crate) impersonate: Option<String>,
    /// The directory for stores of repositories.
    pub(crate) git_cache: PathBuf,
    /// The most that the stores may take of the disk, in bytes.
    pub(crate) git_cache_bytes: u64,
    /// Whether repositories on the controller's own disk may be read.
    pub(crate) allow_file_repositories: bool,
    /// How old a comparison may get before Git is asked again.
    pub(crate) poll: Duration,
    /// Applications looked at at once.
    pub(crate) threads: usize,
}

impl SyncConfig {
    /// The user to act as at a destination, unless a project names another.
    ///
    /// In an installation for some namespaces that is an account of the destination itself, which cannot write
    /// anywhere else whatever an Application asks for; in one for the whole cluster it is one beside the
    /// controller.
    fn user(&self, destination: &str) -> Option<String> {
        let account = self.impersonate.as_ref()?;
        let namespace = match &self.reach {
            Reach::Namespaces(_) if !destination.is_empty() => destination,
            Reach::Namespaces(_) | Reach::Cluster => &self.own_namespace,
        };
        Some(format!("system:serviceaccount:{namespace}:{account}"))
    }
}

/// The loop's tools and memory.
pub(crate) struct Applications {
    config: SyncConfig,
    install: Install,
    /// Acts as the controller itself, on Applications and their Secrets.
    client: Client,
    places: Places,
    git: Git,
    shelf: Shelf,
    live: Live,
    recorder: Recorder,
    counts: Counts,
    queue: Queue<Key>,
    /// The time of day.
    clock: fn() -> Timestamp,
    /// Applications whose objects have changed.
    prompted: Mutex<BTreeSet<String>>,
    memories: Mutex<BTreeMap<Key, Arc<tokio::sync::Mutex<Memory>>>>,
    renders: Mutex<round::Renders>,
}

impl Applications {
    /// Prepares the loop.
    ///
    /// # Errors
    /// The credentials of the kubeconfig cannot be read.
    pub(crate) fn new(
        config: SyncConfig,
        cluster: kube::Config,
        gate: Gate,
        metrics: Arc<Metrics>,
        recorder: Recorder,
        counts: Counts,
    ) -> Result<Arc<Self>, kube::Error> {
        let limits = Limits { stored_bytes: config.git_cache_bytes, ..Limits::default() };
        let places = Places::new(cluster, gate, metrics, REQUESTS_PER_SECOND, BURST);
        let install = Install {
            controller_namespace: config.own_namespace.clone(),
            reach: config.reach.clone(),
            poll_seconds: i64::try_from(config.poll.as_secs()).unwrap_or(i64::MAX),
            poll_jitter_seconds: POLL_JITTER_SECONDS
                .min(i64::try_from(config.poll.as_secs()).unwrap_or(0) / 2),
            grace_seconds: GRACE_SECONDS,
        };
        Ok(Arc::new(Self {
            client: places.client(None)?,
            git: Git::new(config.git_cache.clone(), config.allow_file_repositories, limits),
            config,
            install,
            places,
            shelf: Shelf::default(),
            live: Live::default(),
            recorder,
            counts,
            queue: Queue::default(),
            clock: Timestamp::now,
            prompted: Mutex::default(),
            memories: Mutex::default(),
            renders: Mutex::default(),
        }))
    }

    /// Works until `stop`. Dropping the future ends everything at once.
    pub(crate) async fn work(self: &Arc<Self>, stop: impl Future<Output = ()>) {
        let config = &self.config;
        info!(namespace = config.applications, reach = ?config.reach, impersonate = ?config.impersonate, "syncing");
        let _end = End(self);
        let work = async {
            let attend = |key| Arc::clone(self).attend(key);
            let panicked = |_: &Key| {};
            let mut stop = std::pin::pin!(stop);
            tokio::select! {
                // Nothing is decided without the projects: what is absent from a list not read yet is not absent.
                () = self.shelf.wait_listed() => {}
                () = &mut stop => return,
            }
            let first = self.shelf.applications.names().iter().map(|name| self.key(name)).collect();
            self.queue.work(first, config.threads.max(1), stop, attend, panicked).await;
        };
        tokio::select! {
            () = work => {}
            () = self.watch_applications() => {}
            () = self.watch_projects() => {}
        }
    }

    async fn watch_applications(&self) {
        let api = self.applications();
        self.shelf
            .applications
            .follow(api, |name, change| {
                self.counts.stands(change.old.as_deref(), change.new.as_deref());
                if change.is_of_spec() {
                    self.prompt(name);
                } else {
                    self.queue.push(self.key(name));
                }
            })
            .await;
    }

    async fn watch_projects(&self) {
        let api = Api::namespaced_with(self.client.clone(), &self.config.applications, &kinds::app_project());
        self.shelf
            .projects
            .follow(api, |project, change| {
                let came_or_went = change.old.is_none() || change.new.is_none();
                if change.is_of_spec() || (came_or_went && self.shelf.projects.is_listed()) {
                    for application in self.shelf.of_project(project) {
                        self.prompt(&application);
                    }
                }
            })
            .await;
    }

    /// The Applications, as the API server has them.
    fn applications(&self) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.config.applications, &kinds::application())
    }

    fn key(&self, name: &str) -> Key {
        Key::new(&self.config.applications, name)
    }

    /// Asks for an Application to be compared again, because something about it changed.
    fn prompt(&self, name: &str) {
        self.prompted.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
        self.queue.push(self.key(name));
    }

    fn take_prompt(&self, name: &str) -> bool {
        self.prompted.lock().unwrap_or_else(PoisonError::into_inner).remove(name)
    }

    fn record(&self, application: &serde_json::Value, notice: Notice) {
        let metadata = application.get("metadata").cloned().unwrap_or_default();
        let metadata = serde_json::from_value(metadata).unwrap_or_default();
        self.recorder.record(&Subject::new("Application", &metadata), notice);
    }
}

/// Ends the watches of objects with the loop, however that ends.
struct End<'a>(&'a Applications);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.live.clear();
    }
}
