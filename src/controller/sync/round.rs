//! One round for one Application: from what is known to what is written.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Api, ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use tidegate_engine::plan::Notice;
use tidegate_engine::sync::manifest::{Render, is_needed, render};
use tidegate_engine::sync::{
    Because, FIELD_MANAGER, Failing, Fetched, Key as ObjectKey, Level, Look, Plan, Question, Reach, SETTINGS,
    Unread, World, conclude, look, plan, service_account,
};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::Applications;
use super::apply::Hand;
use super::observe::{self, Found, Trust, observe};
use super::place::Actors;
use crate::failure::{Class, chain};
use crate::git::access::{Access, SECRET_TYPE};
use crate::git::ssh::{KNOWN_HOSTS_KEY, KNOWN_HOSTS_MAP};
use crate::git::{GitError, Question as GitQuestion, Snapshot};
use crate::store::Key;
use crate::work::{Next, WAKE_SOONEST};

/// The shortest time between two looks that objects ask for: a rollout changes its objects many times a second.
const PROMPTS_APART: Duration = Duration::from_secs(1);
/// The longest time without a look.
const WAKE_LATEST: Duration = Duration::from_secs(600);
/// How often an Application of another controller is looked at.
const FOREIGN_EVERY: Duration = Duration::from_secs(60);
/// Renders kept for use by further rounds.
const RENDERS_MAX: usize = 64;

/// What is remembered of one Application between rounds: nothing that cannot be lost.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    failing: Option<Failing>,
    stalled: Option<Failing>,
    /// When the last plan asked to look again.
    wake: Option<Timestamp>,
    looked: Option<Instant>,
    found: Found,
    because: Option<std::mem::Discriminant<Because>>,
    is_foreign: bool,
}

/// Renders by what they were made of.
#[derive(Debug, Default)]
pub(crate) struct Renders {
    by_source: BTreeMap<String, Arc<Result<Render, String>>>,
}

/// Why a round ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    /// A request to the API server failed.
    #[error(transparent)]
    Request(#[from] kube::Error),
}

impl Applications {
    /// Makes one round for one Application.
    pub(crate) async fn attend(self: Arc<Self>, key: Key) -> Next {
        let begun = Instant::now();
        let memory = {
            let mut memories = self.memories.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(memories.entry(key.clone()).or_default())
        };
        // One round per key runs at a time, so this never waits.
        let mut memory = memory.lock().await;
        let Some(cached) = self.shelf.applications.get(&key.name) else {
            self.live.forget(&key.name);
            self.memories.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
            self.counts.owned_elsewhere(&key.namespace, &key.name, false);
            return Next::Idle;
        };
        let outcome = self.round(&key, &cached, &mut memory).await;
        self.counts.looked(&key.namespace, begun.elapsed());
        match outcome {
            Ok(next) => next,
            Err(Failed::Request(error)) => {
                let class = Class::of(&error);
                match class {
                    Class::Gone | Class::Conflict => {
                        debug!(application = %key, error = chain(&error), "planning again")
                    }
                    Class::Throttled(_) | Class::Denied | Class::Unreachable | Class::Bug => {
                        warn!(application = %key, class = class.name(), error = chain(&error), "round failed");
                    }
                }
                self.prompted.lock().unwrap_or_else(PoisonError::into_inner).insert(key.name.clone());
                class.next()
            }
        }
    }

    async fn round(self: &Arc<Self>, key: &Key, cached: &Value, memory: &mut Memory) -> Result<Next, Failed> {
        let now = (self.clock)();
        let mut world = self.world(cached.clone(), memory, now);
        let prompted = self.take_prompt(&key.name) || memory.wake.is_some_and(|wake| wake <= now);
        let waits = match look(&world) {
            Look::Wait { .. } => true,
            // A sync that waits for its objects looks no more often at them.
            Look::Operate(_) => memory.wake.is_some_and(|wake| wake > now),
            Look::Leave(_) | Look::Invalid { .. } | Look::Remove | Look::Compare { .. } => false,
        };
        if waits
            && prompted
            && let Some(rest) = memory.looked.and_then(|at| rest_of(PROMPTS_APART, at))
        {
            self.prompted.lock().unwrap_or_else(PoisonError::into_inner).insert(key.name.clone());
            return Ok(Next::After(rest));
        }
        world.prompted = prompted;
        if let Some(next) = self.rest(key, &look(&world), cached, memory) {
            return Ok(next);
        }
        // Something is due: from here on only what the API server itself says counts.
        let Some(application) = self.applications().get_opt(&key.name).await? else { return Ok(Next::Idle) };
        world.application = serde_json::to_value(&application).unwrap_or_default();
        let looked = look(&world);
        if let Some(next) = self.rest(key, &looked, &world.application, memory) {
            return Ok(next);
        }
        memory.looked = Some(Instant::now());
        memory.wake = None;
        match &looked {
            Look::Compare { question, .. } => {
                world.source = Some(self.ask_git(&world, question, &mut memory.failing).await);
                world.failing.clone_from(&memory.failing);
            }
            Look::Operate(question) => {
                world.source = Some(self.ask_git(&world, question, &mut memory.stalled).await);
                world.stalled.clone_from(&memory.stalled);
            }
            Look::Leave(_) | Look::Wait { .. } | Look::Invalid { .. } | Look::Remove => {}
        }
        if world.application.get("operation").is_none() {
            memory.stalled = None;
        }
        self.carry_out(key, world, &looked, memory).await
    }

    pub(super) fn world(&self, application: Value, memory: &Memory, now: Timestamp) -> World {
        let project =
            application.pointer("/spec/project").and_then(Value::as_str).filter(|name| !name.is_empty());
        let project = self.shelf.projects.get(project.unwrap_or("default"));
        World {
            now,
            application,
            install: self.install.clone(),
            project: project.map(|project| (*project).clone()),
            settings: Ok(None),
            prompted: false,
            failing: memory.failing.clone(),
            stalled: None,
            source: None,
            cluster: None,
        }
    }

    /// When to look again, if nothing is due.
    fn rest(&self, key: &Key, looked: &Look, application: &Value, memory: &mut Memory) -> Option<Next> {
        let is_foreign = matches!(looked, Look::Leave(Because::OwnedElsewhere { .. }));
        self.counts.owned_elsewhere(&key.namespace, &key.name, is_foreign);
        match looked {
            Look::Leave(because) => {
                if is_foreign && !memory.is_foreign {
                    warn!(application = %key, %because, "left untouched");
                    self.record(
                        application,
                        Notice::warning("OwnedElsewhere", format!("Left untouched: {because}")),
                    );
                }
                memory.is_foreign = is_foreign;
                Some(if is_foreign { Next::After(FOREIGN_EVERY) } else { Next::Idle })
            }
            Look::Wait { until } => {
                let until = memory.wake.map_or(*until, |wake| wake.min(*until));
                Some(Next::After(self.time_to(until)))
            }
            Look::Invalid { .. } | Look::Remove | Look::Operate(_) | Look::Compare { .. } => {
                memory.is_foreign = false;
                None
            }
        }
    }

    /// Resolves a revision and renders its files; remembers since when that fails.
    pub(super) async fn ask_git(
        &self,
        world: &World,
        question: &Question,
        failing: &mut Option<Failing>,
    ) -> Result<Fetched, Unread> {
        let begun = Instant::now();
        let answer = self.read_git(world, question).await;
        let outcome = if answer.is_ok() { "ok" } else { "error" };
        self.counts.asked(&question.source.repo_url, outcome, begun.elapsed());
        match answer {
            Ok(fetched) => {
                *failing = None;
                Ok(fetched)
            }
            Err(error) => {
                warn!(repository = question.repository(), error = %error, "cannot read the repository");
                let failing = failing.get_or_insert(Failing { since: world.now, attempts: 0 });
                failing.attempts = failing.attempts.saturating_add(1);
                Err(error.unread())
            }
        }
    }

    async fn read_git(&self, world: &World, question: &Question) -> Result<Fetched, GitError> {
        let source = &question.source;
        let project = world.application.pointer("/spec/project").and_then(Value::as_str).unwrap_or("default");
        let secrets = self.secrets(&question.repository()).await?;
        let mut access = Access::choose(&source.repo_url, project, &secrets)?;
        if access.is_ssh() && !access.insecure {
            access.known_hosts = self.known_hosts(&question.repository()).await?;
        }
        let directory = source.directory.clone().unwrap_or_default();
        let asked = GitQuestion {
            revision: question.revision.clone(),
            path: source.path.clone().unwrap_or_default(),
            recurse: directory.recurse == Some(true),
        };
        let needed = directory.clone();
        let Snapshot { commit, files } =
            self.git.read(access, asked, move |path| is_needed(path, &needed)).await?;
        let made_of = json!([source.repo_url, commit, source.path, directory]).to_string();
        let held = {
            let renders = self.renders.lock().unwrap_or_else(PoisonError::into_inner);
            renders.by_source.get(&made_of).cloned()
        };
        let rendered = match held {
            Some(rendered) => rendered,
            None => {
                let files = files.map_err(|error| error.to_string());
                let rendered = Arc::new(files.and_then(|files| render(&files, &directory)));
                let mut renders = self.renders.lock().unwrap_or_else(PoisonError::into_inner);
                // Old renders are cheap to make again from the store; which one goes does not matter.
                if renders.by_source.len() >= RENDERS_MAX {
                    renders.by_source.pop_first();
                }
                renders.by_source.insert(made_of, Arc::clone(&rendered));
                rendered
            }
        };
        Ok(Fetched { revision: commit, render: rendered })
    }

    /// What the installation says about comparing: the ConfigMap `argocd-cm`, as upstream reads it.
    pub(super) async fn settings(&self) -> Result<Result<Option<Value>, String>, kube::Error> {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.config.applications);
        match api.get_opt(SETTINGS).await {
            Ok(found) => Ok(Ok(found.map(|map| json!({ "data": map.data })))),
            // For whoever may not read it nothing is known of it, and nothing may be concluded.
            Err(error) if matches!(Class::of(&error), Class::Denied) => Ok(Err(observe::said(&error))),
            Err(error) => Err(error),
        }
    }

    /// The Secrets that may hold credentials for repositories.
    async fn secrets(&self, repository: &str) -> Result<Vec<Secret>, GitError> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &self.config.applications);
        let labelled = ListParams::default().labels(&format!("{SECRET_TYPE} in (repository,repo-creds)"));
        let list = api.list(&labelled).await.map_err(|error| GitError::Unreachable {
            repository: repository.to_owned(),
            why: format!("the Secrets with credentials cannot be listed: {}", observe::said(&error)),
        })?;
        Ok(list.items)
    }

    /// The host keys that are trusted; none where nobody has named any.
    async fn known_hosts(&self, repository: &str) -> Result<String, GitError> {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.config.applications);
        let map = api.get_opt(KNOWN_HOSTS_MAP).await.map_err(|error| GitError::Unreachable {
            repository: repository.to_owned(),
            why: format!("ConfigMap {KNOWN_HOSTS_MAP} cannot be read: {}", observe::said(&error)),
        })?;
        Ok(map.and_then(|map| map.data?.remove(KNOWN_HOSTS_KEY)).unwrap_or_default())
    }

    /// Observes the cluster, plans, and does what the plan says.
    async fn carry_out(
        self: &Arc<Self>,
        key: &Key,
        world: World,
        looked: &Look,
        memory: &mut Memory,
    ) -> Result<Next, Failed> {
        let actors = match self.actors(&world)? {
            Some(actors) => actors,
            None => return self.finish(key, &world, None, memory).await,
        };
        if matches!(looked, Look::Invalid { .. }) {
            return self.finish(key, &world, None, memory).await;
        }
        let mut world = world;
        world.settings = self.settings().await?;
        let needed = needed_kinds(&world);
        let served = self.places.served(&needed).await?;
        let (level_trust, every_kind) = match looked {
            Look::Compare { level: Level::SameRevision, .. } => (Trust::Watched, false),
            Look::Compare { level: Level::Hard, .. } | Look::Remove => (Trust::Nothing, true),
            Look::Compare { .. }
            | Look::Operate(_)
            | Look::Leave(_)
            | Look::Wait { .. }
            | Look::Invalid { .. } => (Trust::Nothing, false),
        };
        let eye = observe::Look {
            actors: &actors,
            served: &served,
            live: &self.live,
            trust: level_trust,
            every_kind,
        };
        let world = observe(&eye, world, &mut memory.found).await;
        self.follow(key, &world, &actors, &served);
        self.finish(key, &world, Some(&actors), memory).await
    }

    /// Who acts at the destination and in the other namespaces; nothing when the project names nobody for the
    /// destination, which the plan says.
    fn actors(&self, world: &World) -> Result<Option<Actors>, Failed> {
        let namespace = world.application.pointer("/spec/destination/namespace").and_then(Value::as_str);
        let namespace = namespace.unwrap_or_default();
        let Ok(named) = service_account(world.project.as_ref(), namespace) else { return Ok(None) };
        let user = named.or_else(|| self.config.user(namespace));
        let destination = self.places.client(user.as_deref())?;
        let mut elsewhere = BTreeMap::new();
        if let Reach::Namespaces(all) = &self.config.reach {
            for other in all.iter().filter(|other| *other != namespace) {
                // Where a project names accounts, and none for this namespace, nobody acts there.
                let Ok(named) = service_account(world.project.as_ref(), other) else { continue };
                let user = named.or_else(|| self.config.user(other));
                elsewhere.insert(other.clone(), self.places.client(user.as_deref())?);
            }
        }
        Ok(Some(Actors::new(destination, elsewhere)))
    }

    /// Watches what the Application uses.
    fn follow(self: &Arc<Self>, key: &Key, world: &World, actors: &Actors, served: &super::place::Served) {
        let Some(cluster) = &world.cluster else { return };
        let versions: BTreeMap<ObjectKey, Option<String>> = cluster
            .live
            .iter()
            .map(|(key, object)| {
                let version = object.pointer("/metadata/resourceVersion").and_then(Value::as_str);
                (key.clone(), version.map(ToOwned::to_owned))
            })
            .chain(
                cluster
                    .predicted
                    .keys()
                    .filter(|key| !cluster.live.contains_key(*key))
                    .map(|key| (key.clone(), None)),
            )
            .collect();
        let mut places: BTreeMap<(String, String, String), kube::api::ApiResource> = BTreeMap::new();
        for key in versions.keys() {
            if let Some(kind) = served.kind(&key.group, &key.kind, "").filter(|kind| kind.manageable) {
                let place = (key.group.clone(), key.kind.clone(), key.namespace.clone());
                places.insert(place, kind.resource.clone());
            }
        }
        let places = places.into_iter().map(|((_, _, namespace), resource)| (resource, namespace)).collect();
        let applications = Arc::downgrade(self);
        let prompt = Arc::new(move |name: &str| {
            if let Some(applications) = applications.upgrade() {
                applications.prompt(name);
            }
        });
        self.live.follow(&key.name, actors, places, &versions, &(prompt as Arc<dyn Fn(&str) + Send + Sync>));
    }

    /// Plans and carries out the plan.
    async fn finish(
        &self,
        key: &Key,
        world: &World,
        actors: Option<&Actors>,
        memory: &mut Memory,
    ) -> Result<Next, Failed> {
        let first = plan(world);
        tell(key, &first, memory);
        let mut application = self.patch(key, &world.application, &first).await?;
        let mut wake = first.wake;
        if let (Some(actors), false) = (actors, first.writes.is_empty()) {
            let outcomes = Hand::new(actors, &self.places, &key.name).write(&first.writes).await;
            let after = World { application, ..world.clone() };
            let second = conclude(&after, &first, &outcomes, (self.clock)());
            tell(key, &second, memory);
            application = self.patch(key, &after.application, &second).await?;
            wake = second.wake;
        }
        drop(application);
        memory.wake = wake;
        Ok(wake.map_or(Next::After(WAKE_LATEST), |wake| Next::After(self.time_to(wake))))
    }

    /// The time until a moment, within bounds.
    fn time_to(&self, until: Timestamp) -> Duration {
        let rest = Duration::try_from(until.duration_since((self.clock)())).unwrap_or_default();
        rest.clamp(WAKE_SOONEST, WAKE_LATEST)
    }

    /// Makes a plan's patch of the Application and records its events; gives back what the server has then.
    async fn patch(&self, key: &Key, application: &Value, plan: &Plan) -> Result<Value, Failed> {
        let mut latest = application.clone();
        if let Some(patch) = &plan.patch {
            let mut patch = patch.clone();
            // Whoever wrote in between makes this fail, and the round is made again.
            let version = application.pointer("/metadata/resourceVersion").cloned().unwrap_or_default();
            patch["metadata"]["resourceVersion"] = version;
            let params =
                PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
            let patched = self.applications().patch(&key.name, &params, &Patch::Merge(&patch)).await?;
            latest = serde_json::to_value(&patched).unwrap_or_default();
            if latest.get("apiVersion").is_none() {
                // An object that goes with its last finalizer may be answered by a mere status.
                latest = application.clone();
            }
        }
        for notice in &plan.notices {
            if notice.reason == "OperationCompleted" {
                let phase = latest.pointer("/status/operationState/phase").and_then(Value::as_str);
                self.counts.synced(&latest, phase.unwrap_or_default());
            }
            self.record(&latest, notice.clone());
        }
        Ok(latest)
    }
}

/// The kinds that the rendered objects have.
pub(super) fn needed_kinds(world: &World) -> Vec<(String, String)> {
    let render = world.source.as_ref().and_then(|source| source.as_ref().ok()).map(|fetched| &fetched.render);
    let objects = render.and_then(|render| render.as_ref().as_ref().ok()).map(|render| &render.objects);
    let kinds = objects.into_iter().flatten().map(|manifest| ObjectKey::of(&manifest.object).group_kind());
    kinds.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
}

/// What is left of a time that began at `since`; nothing when it is over.
fn rest_of(whole: Duration, since: Instant) -> Option<Duration> {
    whole.checked_sub(since.elapsed()).filter(|rest| !rest.is_zero())
}

/// Logs a decision when it is another one than before.
fn tell(key: &Key, plan: &Plan, memory: &mut Memory) {
    let kind = std::mem::discriminant(&plan.because);
    if memory.because != Some(kind) {
        info!(application = %key, because = %plan.because, "decided");
        memory.because = Some(kind);
    }
}
