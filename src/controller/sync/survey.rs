//! One look at an Application with the rights of whoever asks: what Git or a directory wants, what the cluster has, and
//! what the server would make of it. Nothing is written; the server is asked by dry runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::api::Api;
use kube::{Client, Config};
use serde_json::Value;
use tidegate_api::source::ApplicationSource;
use tidegate_engine::sync::manifest::{is_needed, render};
use tidegate_engine::sync::{Fetched, Question, Reach, World};

use super::live::Live;
use super::observe::{Found, Look, Trust, observe};
use super::place::Actors;
use super::round::{Memory, needed_kinds};
use super::{Applications, Counts, SyncConfig};
use crate::client::Gate;
use crate::events;
use crate::failure::chain;
use crate::kinds;
use crate::metrics::Metrics;

/// The most that the files of a directory may hold together: a little more than the 10 MiB that a render allows.
const READ_BYTES_MAX: u64 = 12 << 20;
/// The most files that are looked at.
const FILES_MAX: usize = 100_000;

/// Where the wanted objects come from.
#[derive(Clone, Debug)]
pub enum Origin {
    /// The Application's repository, at its target revision or another one.
    Repository { revision: Option<String> },
    /// A directory on this machine.
    Directory(PathBuf),
}

/// What to look at.
#[derive(Debug)]
pub struct Request {
    /// How to reach the cluster, as whom.
    pub cluster: Config,
    /// The Application as the server has it.
    pub application: Value,
    /// Where the wanted objects come from.
    pub origin: Origin,
    /// A directory for the repository's store; the caller removes it.
    pub store: PathBuf,
    pub now: Timestamp,
}

/// Looks at one Application.
///
/// # Errors
/// The project, the repository or the cluster cannot be read at all; what of the cluster could not be read is in the world.
pub async fn application(request: Request) -> Result<World, String> {
    let metadata = |name: &str| request.application["metadata"][name].as_str().unwrap_or_default().to_owned();
    let (namespace, name) = (metadata("namespace"), metadata("name"));
    let applications = applications(&request, &namespace)?;
    let mut world = applications.world(request.application.clone(), &Memory::default(), request.now);
    world.project = project(&applications.client, &world.application, &namespace).await?;
    world.source = Some(Ok(match &request.origin {
        Origin::Repository { revision } => {
            let question = question(&world.application, revision.as_deref())?;
            let asked = applications.ask_git(&world, &question, &mut None).await;
            asked.map_err(|unread| unread.to_string())?
        }
        Origin::Directory(path) => local(&world.application, path)?,
    }));
    let said =
        |error: kube::Error| format!("application {name}: the cluster cannot be asked: {}", chain(&error));
    world.settings = applications.settings().await.map_err(said)?;
    let served = applications.places.served(&needed_kinds(&world)).await.map_err(said)?;
    // As oneself everywhere: the accounts that the controller acts as are not lent to anybody.
    let actors = Actors::new(applications.places.client(None).map_err(said)?, BTreeMap::new());
    let live = Live::default();
    let eye =
        Look { actors: &actors, served: &served, live: &live, trust: Trust::Nothing, every_kind: false };
    Ok(observe(&eye, world, &mut Found::default()).await)
}

/// The controller's own tools, set up to look only.
fn applications(request: &Request, namespace: &str) -> Result<Arc<Applications>, String> {
    let said = |error: kube::Error| format!("cannot set up the connection to the cluster: {}", chain(&error));
    let metrics = Arc::new(Metrics::default());
    let client = Client::try_from(request.cluster.clone()).map_err(said)?;
    let (recorder, _nobody_writes) = events::channel(client, Arc::clone(&metrics));
    let config = SyncConfig {
        applications: namespace.to_owned(),
        own_namespace: namespace.to_owned(),
        reach: Reach::Cluster,
        impersonate: None,
        git_cache: request.store.clone(),
        git_cache_bytes: u64::MAX,
        allow_file_repositories: false,
        poll: Duration::ZERO,
        threads: 1,
    };
    let cluster = request.cluster.clone();
    Applications::new(config, cluster, Gate::always_open(), metrics, recorder, Counts::default())
        .map_err(said)
}

/// The AppProject of an Application; nothing when there is none.
async fn project(client: &Client, application: &Value, namespace: &str) -> Result<Option<Value>, String> {
    let name = application.pointer("/spec/project").and_then(Value::as_str).filter(|name| !name.is_empty());
    let name = name.unwrap_or("default");
    let api: Api<kube::api::DynamicObject> =
        Api::namespaced_with(client.clone(), namespace, &kinds::app_project());
    let found = api.get_opt(name).await;
    let found =
        found.map_err(|error| format!("AppProject {namespace}/{name} cannot be read: {}", chain(&error)))?;
    Ok(found.map(|project| serde_json::to_value(project).unwrap_or_default()))
}

fn source(application: &Value) -> Result<ApplicationSource, String> {
    let source = application.pointer("/spec/source").cloned();
    let source = source.ok_or("spec.source is missing: only Applications of one source can be compared")?;
    serde_json::from_value(source).map_err(|error| format!("spec.source cannot be read: {error}"))
}

/// What Git is asked.
fn question(application: &Value, revision: Option<&str>) -> Result<Question, String> {
    let source = source(application)?;
    let revision = revision.map(str::to_owned).or(source.target_revision.clone()).unwrap_or_default();
    Ok(Question { source, revision })
}

/// Renders a directory in place of the repository's.
fn local(application: &Value, path: &Path) -> Result<Fetched, String> {
    let directory = source(application)?.directory.unwrap_or_default();
    let mut files = BTreeMap::new();
    let mut walk = Walk { root: path, recurse: directory.recurse == Some(true), seen: 0, bytes: 0 };
    walk.directory(path, &|path| is_needed(path, &directory), &mut files)?;
    let render = Arc::new(render(&files, &directory));
    Ok(Fetched { revision: path.display().to_string(), render })
}

/// A walk through a directory, within bounds.
struct Walk<'a> {
    root: &'a Path,
    recurse: bool,
    seen: usize,
    bytes: u64,
}

impl Walk<'_> {
    fn directory(
        &mut self,
        path: &Path,
        is_needed: &dyn Fn(&str) -> bool,
        files: &mut BTreeMap<String, Vec<u8>>,
    ) -> Result<(), String> {
        let said = |error: std::io::Error| format!("directory {} cannot be read: {error}", path.display());
        for entry in std::fs::read_dir(path).map_err(said)? {
            let entry = entry.map_err(said)?;
            self.seen += 1;
            if self.seen > FILES_MAX {
                return Err(format!("directory {} holds more than {FILES_MAX} files", self.root.display()));
            }
            let kind = entry.file_type().map_err(said)?;
            let below = entry.path();
            if kind.is_dir() {
                if self.recurse && entry.file_name() != ".git" {
                    self.directory(&below, is_needed, files)?;
                }
                continue;
            }
            let Some(name) = below.strip_prefix(self.root).ok().and_then(Path::to_str) else { continue };
            // As in a repository: what a link points at is no part of the directory.
            if kind.is_symlink() && is_needed(name) {
                return Err(format!("{} is a symbolic link", below.display()));
            }
            if kind.is_file() && is_needed(name) {
                self.bytes = self.bytes.saturating_add(entry.metadata().map_err(said)?.len());
                if self.bytes > READ_BYTES_MAX {
                    return Err(format!("the files below {} hold more than 12 MiB", self.root.display()));
                }
                let bytes = std::fs::read(&below).map_err(|error| format!("{}: {error}", below.display()))?;
                files.insert(name.to_owned(), bytes);
            }
        }
        Ok(())
    }
}
