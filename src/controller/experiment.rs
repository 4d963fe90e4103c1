//! The loop over Experiments: fence, observe, plan, apply, and when to look again.
//!
//! Input: keys from the queue. Output: applied plans. All decisions are the engine's; all requests are `apply`'s.

mod apply;
mod observe;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use kube::Client;
use tidegate_engine::experiment::{Because, Plan, Taken, plan};
use tidegate_engine::fence::{Fence, Verdict};
use tidegate_engine::plan::{Notice, Reference};
use tokio::time::Instant;
use tracing::{info, warn};

use self::apply::{Stopped, apply};
use self::observe::{Observed, observe};
use crate::apply::{Failed, Hand, kind_of};
use crate::events::{Recorder, Subject};
use crate::kinds;
use crate::metrics::{Loop, Metrics};
use crate::store::Key;
use crate::watch::Scene;
use crate::work::{Next, STALE_PAUSE, WAKE_SOONEST};

/// The loop's tools and memory.
pub(crate) struct Experiments {
    scene: Arc<Scene>,
    client: Client,
    hand: Hand,
    recorder: Recorder,
    metrics: Arc<Metrics>,
    /// How often to look at an Experiment about which nothing is heard.
    resync: Duration,
    memories: Mutex<BTreeMap<Key, Arc<tokio::sync::Mutex<Memory>>>>,
}

/// What is remembered of one Experiment between rounds: nothing that cannot be lost.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    fence: Fence,
    /// The generation that was told to be unserved.
    unserved: Option<i64>,
    reason: String,
    /// Names that are taken by what this controller cannot see.
    taken: Taken,
}

impl Experiments {
    /// Builds the loop; `resync` is how often to look at an Experiment about which nothing is heard.
    pub(crate) fn new(
        scene: &Arc<Scene>,
        client: Client,
        hand: Hand,
        recorder: Recorder,
        metrics: &Arc<Metrics>,
        resync: Duration,
    ) -> Arc<Self> {
        let (scene, metrics) = (Arc::clone(scene), Arc::clone(metrics));
        Arc::new(Self { scene, client, hand, recorder, metrics, resync, memories: Mutex::default() })
    }

    /// Makes one round for one Experiment.
    pub(crate) async fn attend(self: Arc<Self>, key: Key) -> Next {
        let begun = Instant::now();
        let memory = self.memory(&key);
        let mut memory = memory.lock().await;
        // Before anything is observed: what is shown later has these writes as well.
        let seen = |object: &Reference| self.scene.stores.seen(&key.namespace, object);
        let verdict = memory.fence.check(Timestamp::now(), seen);
        let Some(mut observed) = observe(&self.scene.stores, &key, Timestamp::now()) else {
            self.metrics.forget(Loop::Experiment, &key);
            self.memories.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
            return Next::Idle;
        };
        let taken = &mut observed.world.taken;
        taken.sets.extend(memory.taken.sets.iter().cloned());
        taken.services.extend(memory.taken.services.iter().cloned());
        taken.runs.extend(memory.taken.runs.iter().cloned());
        let outcome = self.round(&key, &observed, verdict, &mut memory).await;
        self.metrics.took(Loop::Experiment, &key, begun.elapsed());
        outcome.unwrap_or_else(|failed| {
            self.metrics.failed(Loop::Experiment, &key);
            failed.tell("Experiment", &key);
            failed.class.next()
        })
    }

    async fn round(
        &self,
        key: &Key,
        observed: &Observed,
        verdict: Verdict,
        memory: &mut Memory,
    ) -> Result<Next, Failed> {
        match verdict {
            Verdict::Fresh => {}
            Verdict::Stale { .. } => return Ok(Next::After(STALE_PAUSE)),
            Verdict::Ask { object } => {
                let found = self.hand.look_up(&key.namespace, &object, &kind_of(&object)).await?;
                memory.fence.answered(&object, found.as_ref(), Timestamp::now());
                return Ok(Next::After(WAKE_SOONEST));
            }
        }
        let plan = plan(&observed.world);
        self.tell_reason(key, observed, &plan, memory);
        let wake = plan.wake;
        match apply(&self.client, &self.recorder, observed, plan, &mut memory.fence).await {
            Ok(()) => {}
            Err(stopped) => {
                let Stopped { failed, taken } = *stopped;
                if let Some(object) = taken {
                    note_taken(&mut memory.taken, &object);
                }
                return Err(failed);
            }
        }
        Ok(Next::at(wake, self.resync))
    }

    /// Logs the reason when it becomes another one, and tells the user once per generation what is not served.
    fn tell_reason(&self, key: &Key, observed: &Observed, plan: &Plan, memory: &mut Memory) {
        let reason = plan.because.to_string();
        if memory.reason != reason {
            info!(experiment = %key, because = reason, "decided");
            memory.reason = reason;
        }
        let Because::Unserved { what } = &plan.because else { return };
        let experiment = &observed.world.experiment;
        if memory.unserved != experiment.metadata.generation {
            memory.unserved = experiment.metadata.generation;
            warn!(experiment = %key, what, "left untouched");
            self.metrics.unserved("Experiment");
            let subject = Subject::new("Experiment", &experiment.metadata);
            let message = format!("Experiment left untouched: {what}");
            self.recorder.record(&subject, Notice::warning("ExperimentNotServed", message));
        }
    }

    fn memory(&self, key: &Key) -> Arc<tokio::sync::Mutex<Memory>> {
        let mut memories = self.memories.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(memories.entry(key.clone()).or_default())
    }
}

/// Remembers a name that is not to be had.
fn note_taken(taken: &mut Taken, object: &Reference) {
    let names = if object.kind == kinds::replica_set().kind {
        &mut taken.sets
    } else if object.kind == kinds::service().kind {
        &mut taken.services
    } else {
        &mut taken.runs
    };
    names.insert(object.name.clone());
}
