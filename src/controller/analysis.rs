//! The loop over AnalysisRuns: fence, read Secrets, plan, fetch, record, write, and when to look again.
//!
//! Input: keys from the queue. Output: statuses, Events, deletions. All decisions are the engine's. Requests outlive a round:
//! whoever answers late is recorded by a later one.

mod recording;
mod servers;
mod under_way;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use kube::Client;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, Preconditions};
use serde_json::json;
use tidegate_api::analysis::{AnalysisRun, AnalysisRunStatus};
use tidegate_api::tolerant;
use tidegate_engine::analysis::{MeasureRequest, RunPlan, RunWorld, Secrets, accounts, needs, plan};
use tidegate_engine::fence::{Fence, Verdict};
use tidegate_engine::metric::{Accounts, Defaults, job};
use tidegate_engine::plan::Notice;
use tokio::time::Instant;
use tracing::{info, warn};

use self::recording::{recorded, wake_without};
use self::servers::Servers;
use self::under_way::{Heard, UnderWay, Way};
use crate::apply::{Failed, Hand, kind_of};
use crate::difference::merge_patch;
use crate::events::{Recorder, Subject};
use crate::failure::{Class, was_refused};
use crate::jobs::{self, Jobs};
use crate::kinds;
use crate::metrics::{Loop, Metrics};
use crate::request::managed;
use crate::secrets;
use crate::store::Key;
use crate::watch::Scene;
use crate::work::{Next, STALE_PAUSE, WAKE_SOONEST};

/// Looking once more than needed costs nothing; a timer for days would only have to be kept right.
const WAKE_LATEST: Duration = Duration::from_secs(15 * 60);
/// How often measurements are recorded anew on a run that changed meanwhile, before they are given up.
const RECORDINGS: usize = 3;

/// The loop's tools and memory.
pub(crate) struct Runs {
    scene: Arc<Scene>,
    client: Client,
    hand: Hand,
    recorder: Recorder,
    metrics: Arc<Metrics>,
    servers: Arc<Servers>,
    defaults: Defaults,
    /// Where the credentials of metric providers are.
    own_namespace: String,
    memories: Mutex<BTreeMap<Key, Arc<tokio::sync::Mutex<Memory>>>>,
}

/// What is remembered of one run between rounds: nothing that cannot be lost.
#[derive(Default)]
pub(crate) struct Memory {
    fence: Fence,
    under_way: UnderWay,
    /// The uid of the run that was told to be unserved.
    unserved: Option<String>,
}

impl Runs {
    /// Builds the loop.
    pub(crate) fn new(
        scene: &Arc<Scene>,
        client: &Client,
        hand: Hand,
        recorder: Recorder,
        metrics: &Arc<Metrics>,
        jobs: Jobs,
        (defaults, own_namespace): (Defaults, String),
    ) -> Arc<Self> {
        let (scene, client, metrics) = (Arc::clone(scene), client.clone(), Arc::clone(metrics));
        let (servers, memories) = (Servers::new(client.clone(), jobs), Mutex::default());
        Arc::new(Self { scene, client, hand, recorder, metrics, servers, defaults, own_namespace, memories })
    }

    /// Makes one round for one run.
    pub(crate) async fn attend(self: Arc<Self>, key: Key) -> Next {
        let begun = Instant::now();
        let memory = self.memory(&key);
        let mut memory = memory.lock().await;
        let Some(run) = self.scene.stores.runs.value(&key.namespace, &key.name) else {
            self.metrics.forget(Loop::Run, &key);
            self.memories.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
            return Next::Idle;
        };
        let outcome = self.round(&key, run, &mut memory).await;
        self.metrics.took(Loop::Run, &key, begun.elapsed());
        outcome.unwrap_or_else(|failed| {
            self.metrics.failed(Loop::Run, &key);
            failed.tell("AnalysisRun", &key);
            failed.class.next()
        })
    }

    async fn round(&self, key: &Key, run: Arc<AnalysisRun>, memory: &mut Memory) -> Result<Next, Failed> {
        let now = Timestamp::now();
        match memory.fence.check(now, |object| self.scene.stores.seen(&key.namespace, object)) {
            Verdict::Fresh => {}
            Verdict::Stale { .. } => return Ok(Next::After(STALE_PAUSE)),
            Verdict::Ask { object } => {
                let kind = self.scene.stores.served(&object).unwrap_or_else(|| kind_of(&object));
                let found = self.hand.look_up(&key.namespace, &object, &kind).await?;
                memory.fence.answered(&object, found.as_ref(), Timestamp::now());
                return Ok(Next::After(WAKE_SOONEST));
            }
        }
        let jobs_over = jobs::over(&self.scene.stores.jobs, &run);
        let (secrets, accounts_found) = (Secrets::new(), Accounts::default());
        let defaults = self.defaults.clone();
        let mut world = RunWorld { now, run, secrets, accounts: accounts_found, defaults, jobs_over };
        world.secrets = self.secrets(key, &world).await?;
        let needed = accounts(&world);
        world.accounts = secrets::accounts(&self.client, &self.own_namespace, &key.namespace, needed).await?;
        let mut plan = plan(&world);
        if let Some(unserved) = &plan.unserved {
            self.tell_unserved(key, &world.run, unserved.to_string(), memory);
            return Ok(Next::Idle);
        }
        if plan.delete {
            self.delete(key, &world.run, memory).await?;
            return Ok(Next::Idle);
        }
        let world = Arc::new(world);
        let Heard { answered, unanswered, awaited } =
            self.hear(key, &world, &plan.requests, &mut memory.under_way).await;
        let mut run = Arc::clone(&world.run);
        for attempt in 1.. {
            // A run has begun whether or not anybody answers.
            if !answered.is_empty() || !awaited.is_empty() {
                plan = recorded(&world, &run, &answered, Timestamp::now());
            }
            self.sweep(key, &plan.sweep).await;
            match self.write(key, &run, &plan, memory).await {
                Ok(()) => break,
                // The run was changed while it was measured, such as told to end: what was measured still counts.
                Err(failed)
                    if failed.class == Class::Conflict && !answered.is_empty() && attempt < RECORDINGS =>
                {
                    run = Arc::new(self.read(key).await?);
                }
                Err(failed) => return Err(failed),
            }
        }
        if !awaited.is_empty() {
            // These are due all the while, and looking again would not make them answer.
            plan.wake = wake_without(&world, plan.status.as_ref().or(run.status.as_ref()), &awaited);
        }
        // What nobody has answered is asked again.
        match unanswered {
            Some(failed) => Err(failed),
            None => Ok(next(&plan)),
        }
    }

    /// Asks for what is due, and waits for answers for a while; until something else is due at the longest.
    async fn hear(
        &self,
        key: &Key,
        world: &Arc<RunWorld>,
        due: &[MeasureRequest],
        under_way: &mut UnderWay,
    ) -> Heard {
        let metrics: Vec<String> = due.iter().map(|due| due.metric.clone()).collect();
        let is_asking = !metrics.is_empty();
        let wake = is_asking.then(|| wake_without(world, world.run.status.as_ref(), &metrics)).flatten();
        let until = wake.map(|wake| {
            let left = Duration::try_from(wake.duration_since(Timestamp::now())).unwrap_or_default();
            Instant::now() + left.min(WAKE_LATEST)
        });
        let ask = |request| Arc::clone(&self.servers).ask(request);
        under_way.hear(world, due, until, &Way { scene: &self.scene, key, ask }).await
    }

    /// Reads the Secrets that a due measurement needs. What cannot be read by rights is told in the run; a server that
    /// gives no answer is a failure of the round.
    async fn secrets(&self, key: &Key, world: &RunWorld) -> Result<Secrets, Failed> {
        let needed = needs(world);
        let mut secrets = Secrets::new();
        for name in needed.iter().map(|secret| &secret.name).collect::<BTreeSet<_>>() {
            let found = secrets::read(&self.client, &key.namespace, name).await?;
            for wanted in needed.iter().filter(|secret| secret.name == *name) {
                let value =
                    found.as_ref().map_err(Clone::clone).and_then(|data| match data.get(&wanted.key) {
                        Some(value) => Ok(String::from_utf8_lossy(&value.0).into_owned()),
                        None => Err(format!("key '{}' does not exist in secret '{name}'", wanted.key)),
                    });
                secrets.insert((name.clone(), wanted.key.clone()), value);
            }
        }
        Ok(secrets)
    }

    /// Deletes Jobs that nobody will tell of any longer. One that stays goes with its run at the latest.
    async fn sweep(&self, key: &Key, jobs: &[job::Name]) {
        for job in jobs {
            let request = job::Request::End { job: job.clone() };
            let why = match self.servers.jobs.ask(&request).await {
                Ok(Ok(_)) => continue,
                Ok(Err(why)) => why,
                Err(failed) => failed.to_string(),
            };
            warn!(run = %key, namespace = job.namespace, job = job.name, why, "an old Job stays");
        }
    }

    /// Writes the status that a plan holds, under the version of the run that it was made for, and tells its events.
    async fn write(
        &self,
        key: &Key,
        run: &AnalysisRun,
        plan: &RunPlan,
        memory: &mut Memory,
    ) -> Result<(), Failed> {
        let Some(status) = &plan.status else { return Ok(()) };
        let json = |status: &AnalysisRunStatus| serde_json::to_value(status).unwrap_or_default();
        let before = run.status.as_ref().map_or_else(|| json!({}), json);
        let Some(difference) = merge_patch(&before, &json(status)) else { return Ok(()) };
        let body = json!({
            "metadata": {"resourceVersion": run.metadata.resource_version}, "status": difference,
        });
        let object = kinds::reference(&kinds::analysis_run(), &key.name);
        match self.api(key).patch(&key.name, &managed(), &Patch::Merge(body)).await {
            Ok(written) => {
                let version = written.metadata.resource_version.unwrap_or_default();
                memory.fence.wrote(object, &version, Timestamp::now());
            }
            Err(source) => {
                let failed = failed(format!("write the status of AnalysisRun {}", key.name), source);
                if failed.class == Class::Unreachable && !was_refused(&failed.source) {
                    memory.fence.doubted(object);
                }
                return Err(failed);
            }
        }
        let phase = status.phase.map_or("", |phase| phase.as_str());
        info!(run = %key, phase, message = status.message, "recorded");
        for notice in plan.notices.clone() {
            self.recorder.record(&Subject::run(run), notice);
        }
        Ok(())
    }

    async fn delete(&self, key: &Key, run: &AnalysisRun, memory: &mut Memory) -> Result<(), Failed> {
        let uid = run.metadata.uid.clone();
        let preconditions = Some(Preconditions { uid: uid.clone(), ..Preconditions::default() });
        let parameters = DeleteParams { preconditions, ..DeleteParams::background() };
        match self.api(key).delete(&key.name, &parameters).await {
            Ok(_) => {
                info!(run = %key, "deleted, because its time to live is over");
                let object = kinds::reference(&kinds::analysis_run(), &key.name);
                memory.fence.deleted(object, &uid.unwrap_or_default(), Timestamp::now());
                Ok(())
            }
            Err(source) => match failed(format!("delete AnalysisRun {}", key.name), source) {
                failed if failed.class == Class::Gone => Ok(()),
                failed => Err(failed),
            },
        }
    }

    /// Reads a run from the API server, past the cache.
    async fn read(&self, key: &Key) -> Result<AnalysisRun, Failed> {
        let doing = || format!("read AnalysisRun {}", key.name);
        let object = self.api(key).get(&key.name).await.map_err(|source| failed(doing(), source))?;
        let json = serde_json::to_value(object).unwrap_or_default();
        match tolerant::decode(json) {
            Ok((run, _)) => Ok(run),
            Err(error) => Err(failed(doing(), kube::Error::Service(error.to_string().into()))),
        }
    }

    fn api(&self, key: &Key) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &key.namespace, &kinds::analysis_run())
    }

    /// Tells once what is not served; the run itself is left untouched.
    fn tell_unserved(&self, key: &Key, run: &AnalysisRun, message: String, memory: &mut Memory) {
        if memory.unserved != run.metadata.uid {
            memory.unserved.clone_from(&run.metadata.uid);
            warn!(run = %key, message, "left untouched");
            self.metrics.unserved("AnalysisRun");
            self.recorder.record(&Subject::run(run), Notice::warning("AnalysisRunNotServed", message));
        }
    }

    fn memory(&self, key: &Key) -> Arc<tokio::sync::Mutex<Memory>> {
        let mut memories = self.memories.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(memories.entry(key.clone()).or_default())
    }
}

fn next(plan: &RunPlan) -> Next {
    if plan.wake.is_none() { Next::Idle } else { Next::at(plan.wake, WAKE_LATEST) }
}

fn failed(doing: String, source: kube::Error) -> Failed {
    Failed { doing, class: Class::of(&source), source, taken: None }
}

#[cfg(test)]
mod echo_tests;
#[cfg(test)]
mod providers_tests;
#[cfg(test)]
mod slow_tests;
#[cfg(test)]
mod tests;
