//! The loop over Rollouts: fence, observe, plan, apply, and when to look again.
//!
//! Input: keys from the queue. Output: applied plans. All decisions are the engine's; all requests are `apply`'s.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tidegate_engine::fence::{Fence, Verdict};
use tidegate_engine::lint::lint;
use tidegate_engine::plan::{Because, Notice, Plan};
use tidegate_engine::rollout::urgent;
use tidegate_engine::rollout::wait::undeclared;
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

use crate::apply::{Failed, Hand, kind_of};
use crate::events::{Recorder, Subject};
use crate::metrics::{Decided, Loop, Metrics};
use crate::observe::{Observed, observe};
use crate::options::HoldAborted;
use crate::store::Key;
use crate::watch::Scene;
use crate::work::{Next, STALE_PAUSE, WAKE_SOONEST};

/// The loop's tools and memory.
pub(crate) struct Rollouts {
    pub(crate) scene: Arc<Scene>,
    pub(crate) hand: Hand,
    pub(crate) recorder: Recorder,
    pub(crate) metrics: Arc<Metrics>,
    /// How often to look at a Rollout about which nothing is heard.
    pub(crate) resync: Duration,
    pub(crate) hold: HoldAborted,
    pub(crate) memories: Mutex<BTreeMap<Key, Arc<tokio::sync::Mutex<Memory>>>>,
}

/// What is remembered of one Rollout between rounds: nothing that cannot be lost.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    fence: Fence,
    /// The Rollout that was greeted, so that each is greeted once, and that it is known whose end to tell.
    greeted: Option<Subject>,
    /// The generation that was told to be unserved.
    unserved: Option<i64>,
    reason: String,
    /// How it stands still without a declared reason, if it does.
    undeclared: Option<String>,
    /// Names of AnalysisRuns and Experiments that are taken by what this controller cannot see.
    taken: BTreeSet<String>,
}

impl Rollouts {
    /// Makes one round for one Rollout.
    pub(crate) async fn attend(self: Arc<Self>, key: Key) -> Next {
        let begun = Instant::now();
        let memory = self.memory(&key);
        // One round per key runs at a time, so this never waits; it survives a panic, which a std Mutex would not.
        let mut memory = memory.lock().await;
        if self.scene.stores.awaits_workload(&key) {
            return Next::After(STALE_PAUSE);
        }
        // Before anything is observed: what is shown later has these writes as well.
        let verdict = self.judge_caches(&key, &mut memory);
        if let Verdict::Stale { object } = &verdict
            && !self.is_aborted(&key)
        {
            debug!(rollout = %key, %object, "cache is behind our own write");
            return Next::After(STALE_PAUSE);
        }
        let Some(mut observed) = observe(&self.scene.stores, &key, Timestamp::now()) else {
            if let Some(subject) = memory.greeted.take() {
                let message = format!("Rollout {}/{} is deleted.", key.name, key.namespace);
                self.recorder.record(&subject, Notice::normal("RolloutDeleted", message));
            }
            self.metrics.forget(Loop::Rollout, &key);
            self.memories.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
            return Next::Idle;
        };
        match self.hold {
            HoldAborted::Synced => {}
            HoldAborted::Always => observed.world.holds = true,
            HoldAborted::Never => observed.world.holds = false,
        }
        observed.world.foreign_runs.extend(memory.taken.iter().cloned());
        observed.world.experiments.foreign.extend(memory.taken.iter().cloned());
        self.metrics.round_begins(&key);
        let outcome = self.round(&key, &observed, verdict, &mut memory).await;
        let took = begun.elapsed();
        match outcome {
            Ok(next) => {
                let is_undeclared = memory.undeclared.is_some();
                let decided = Decided { reason: memory.reason.clone(), is_undeclared };
                self.metrics.round_ended(&key, took, Ok(decided));
                next
            }
            Err(failed) => {
                memory.taken.extend(failed.taken.clone());
                self.metrics.round_ended(&key, took, Err(failed.class.name()));
                failed.tell("Rollout", &key);
                failed.class.next()
            }
        }
    }

    /// Whether the caches show all that was written for a Rollout. One that is gone has nothing to wait for.
    fn judge_caches(&self, key: &Key, memory: &mut Memory) -> Verdict {
        let stores = &self.scene.stores;
        if stores.rollouts.value(&key.namespace, &key.name).is_none() {
            return Verdict::Fresh;
        }
        memory.fence.check(Timestamp::now(), |object| stores.seen(&key.namespace, object))
    }

    /// Whether somebody asked for an abort, which does not wait for caches.
    fn is_aborted(&self, key: &Key) -> bool {
        let facts = self.scene.stores.rollouts.value(&key.namespace, &key.name);
        facts.is_some_and(|facts| facts.rollout.status.as_ref().is_some_and(|status| status.abort))
    }

    async fn round(
        &self,
        key: &Key,
        observed: &Observed,
        verdict: Verdict,
        memory: &mut Memory,
    ) -> Result<Next, Failed> {
        let world = &observed.world;
        match verdict {
            Verdict::Fresh => {}
            Verdict::Stale { .. } => {
                self.abort_meanwhile(observed, memory).await?;
                return Ok(Next::After(STALE_PAUSE));
            }
            Verdict::Ask { object } => {
                self.abort_meanwhile(observed, memory).await?;
                let kind = self.scene.stores.served(&object).unwrap_or_else(|| kind_of(&object));
                let found = self.hand.look_up(&key.namespace, &object, &kind).await?;
                memory.fence.answered(&object, found.as_ref(), Timestamp::now());
                return Ok(Next::After(WAKE_SOONEST));
            }
        }
        self.greet(observed, key, memory);
        let plan = tidegate_engine::rollout::plan_ahead(world);
        for breach in lint(world, &plan) {
            self.metrics.breached(format!("{:?}", breach.rule));
            error!(rollout = %key, %breach, "plan breaks a safety rule: this is a bug, please report it");
        }
        self.tell_reason(observed, key, &plan, memory);
        let wake = plan.wake;
        self.hand.apply(observed, plan, &mut memory.fence).await?;
        Ok(Next::at(wake, self.resync))
    }

    /// Takes the weight off an aborted canary even while caches are behind. Everything else waits.
    async fn abort_meanwhile(&self, observed: &Observed, memory: &mut Memory) -> Result<(), Failed> {
        let planner = tidegate_engine::rollout::plan;
        let writes = Vec::from_iter(urgent(&observed.world, &memory.fence, planner));
        let plan = Plan { writes, ..Plan::default() };
        self.hand.apply(observed, plan, &mut memory.fence).await.map(drop)
    }

    /// Says that this controller has taken a Rollout up, once per start, as upstream does.
    fn greet(&self, observed: &Observed, key: &Key, memory: &mut Memory) {
        let subject = Subject::rollout(&observed.world.rollout);
        if memory.greeted.as_ref().map(Subject::uid) != Some(subject.uid()) {
            let message = format!("Rollout resource added to informer: {key}");
            self.recorder.record(&subject, Notice::normal("RolloutAddedToInformer", message));
            memory.greeted = Some(subject);
        }
    }

    /// Logs the reason when it becomes another one, and tells the user once per generation what is not served.
    fn tell_reason(&self, observed: &Observed, key: &Key, plan: &Plan, memory: &mut Memory) {
        let reason = reason(&plan.because);
        if memory.reason != reason {
            info!(rollout = %key, because = %plan.because, "decided");
            memory.reason = reason;
        }
        let undeclared = undeclared(&observed.world, plan);
        if let Some(why) = undeclared.as_ref().filter(|why| memory.undeclared.as_ref() != Some(*why)) {
            error!(rollout = %key, why, "stands still without a reason: this is a bug, please report it");
        }
        memory.undeclared = undeclared;
        let Because::Unserved { what } = &plan.because else { return };
        let rollout = &observed.world.rollout;
        if memory.unserved != rollout.metadata.generation {
            memory.unserved = rollout.metadata.generation;
            warn!(rollout = %key, what, "left untouched");
            self.metrics.unserved("Rollout");
            let message = format!("Rollout left untouched: {what}");
            self.recorder.record(&Subject::rollout(rollout), Notice::warning("RolloutNotServed", message));
        }
    }

    fn memory(&self, key: &Key) -> Arc<tokio::sync::Mutex<Memory>> {
        let mut memories = self.memories.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(memories.entry(key.clone()).or_default())
    }
}

/// The name of a reason's variant: few values, so that it can be a label.
fn reason(because: &Because) -> String {
    let text =
        if let Because::Moves(moves) = because { format!("{moves:?}") } else { format!("{because:?}") };
    text.split(|letter: char| !letter.is_alphanumeric()).next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tidegate_engine::fence::Seen;
    use tidegate_engine::plan::Move;

    use super::*;
    use crate::events::{self, Writer};
    use crate::facts::{Facts, RolloutFacts};
    use crate::kinds;
    use crate::mock::server;

    /// The loop, and where its Events go.
    fn stage(client: kube::Client, scene: &Arc<Scene>) -> (Arc<Rollouts>, Writer) {
        let metrics = Arc::new(Metrics::default());
        let (recorder, told) = events::channel(client.clone(), Arc::clone(&metrics));
        let rollouts = Rollouts {
            scene: Arc::clone(scene),
            hand: Hand::new(client, recorder.clone()),
            recorder,
            metrics,
            resync: Duration::from_secs(900),
            hold: HoldAborted::Synced,
            memories: Mutex::default(),
        };
        (Arc::new(rollouts), told)
    }

    #[tokio::test]
    async fn a_rollout_is_greeted_once_and_its_end_is_told() {
        let (client, _server) = server();
        let scene = Arc::new(Scene::default());
        let (rollouts, mut told) = stage(client, &scene);
        // One that is being deleted is left alone, so nothing is asked of the API server.
        let object = json!({
            "metadata": {"name": "shop", "namespace": "ns", "uid": "r1", "deletionTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"strategy": {"canary": {}}},
        });
        let key = Key::new("ns", "shop");
        let seen = Seen { version: "1".to_owned(), uid: "r1".to_owned() };
        scene.stores.rollouts.apply(key.clone(), seen, RolloutFacts::keep(object, None).unwrap());
        Arc::clone(&rollouts).attend(key.clone()).await;
        Arc::clone(&rollouts).attend(key.clone()).await;
        assert_eq!(told.waiting(), ["RolloutAddedToInformer"]);
        scene.stores.rollouts.delete(key.clone());
        Arc::clone(&rollouts).attend(key.clone()).await;
        Arc::clone(&rollouts).attend(key).await;
        assert_eq!(told.waiting(), ["RolloutDeleted"]);
    }

    #[tokio::test]
    async fn nothing_is_planned_on_caches_that_are_behind() {
        let (client, mut server) = server();
        let scene = Arc::new(Scene::default());
        let (rollouts, _told) = stage(client, &scene);
        let key = Key::new("ns", "shop");
        let show = |version: &str| {
            let object = json!({
                "metadata": {"name": "shop", "namespace": "ns", "uid": "u", "generation": 1, "resourceVersion": version},
                "spec": {
                    "replicas": 1, "selector": {"matchLabels": {"app": "shop"}}, "strategy": {"canary": {}},
                    "template": {"metadata": {"labels": {"app": "shop"}}, "spec": {"containers": [{"name": "a", "image": "b"}]}},
                },
            });
            let seen = Seen { version: version.to_owned(), uid: "u".to_owned() };
            scene.stores.rollouts.apply(key.clone(), seen, RolloutFacts::keep(object, None).unwrap());
        };
        show("7");
        let written = kinds::reference(&kinds::rollout(), "shop");
        rollouts.memory(&key).lock().await.fence.wrote(written, "9", Timestamp::now());
        assert_eq!(Arc::clone(&rollouts).attend(key.clone()).await, Next::After(STALE_PAUSE));
        show("9");
        let (next, asked) = tokio::join!(rollouts.attend(key.clone()), server.hang_up());
        assert!(asked.line.starts_with("POST /apis/apps/v1/namespaces/ns/replicasets"), "{}", asked.line);
        assert!(matches!(next, Next::Failed { .. }), "{next:?}");
    }

    #[test]
    fn a_reason_is_the_name_of_its_variant() {
        assert_eq!(reason(&Because::Settled), "Settled");
        assert_eq!(reason(&Because::UserPaused), "UserPaused");
        assert_eq!(reason(&Because::Moves(Move::History { name: "x".to_owned() })), "History");
        assert_eq!(reason(&Because::WaitingForRun { run: "x y".to_owned() }), "WaitingForRun");
    }
}
