//! One round of the controller: observe, plan, judge, write, with the faults that may strike in between.
//!
//! Input: the cluster as the controller's caches show it. Output: writes to the cluster, or what is wrong with the plan.

use tidegate_engine::lint::lint;
use tidegate_engine::plan::{Plan, Planned, Write};
use tidegate_engine::rollout;
use tidegate_engine::rollout::world::World;

use crate::cluster::{milliseconds, time};
use crate::controller::{blind, shuffle};
use crate::fixed;
use crate::laws::Truth;
use crate::shape::{ROLLOUT, Temper};
use crate::simulation::Simulation;
use crate::users::Act;

impl Simulation {
    /// One round of the controller.
    pub(crate) fn round(&mut self) {
        self.controller.due = None;
        if self.settings.fence && !self.controller.caches_are_fresh(&self.cluster) {
            self.abort_meanwhile();
            self.schedule_round(100);
            return;
        }
        let Some((world, read)) = self.controller.observe(&self.cluster) else { return };
        self.rounds += 1;
        let plan = self.planned(&world);
        let breaches = lint(&world, &plan);
        self.tale.told_plan(&self.cluster, &plan, &self.because);
        self.because = plan.because.clone();
        if let Some(breach) = breaches.first() {
            self.fail(format!("lint: {breach}"));
            return;
        }
        if self.settings.sabotage.is_none()
            && let Some(why) = rollout::wait::undeclared(&world, &plan)
        {
            self.fail(format!("stuck: {why}"));
            return;
        }
        if self.settings.sabotage.is_none()
            && self.rounds.is_multiple_of(fixed::EVERY)
            && let Some(why) = fixed::objection(&world, &plan, rollout::plan_ahead)
        {
            self.fail(why);
            return;
        }
        self.apply(&world, &plan, read);
    }

    /// An abort's traffic does not wait for caches, unless they are behind on the routing object itself.
    fn abort_meanwhile(&mut self) {
        let cached = self.cluster.rollouts.cached(ROLLOUT);
        let status = cached.and_then(|held| held.object.rollout.status.as_ref());
        if !status.is_some_and(|status| status.abort) {
            return;
        }
        let Some((world, mut read)) = self.controller.observe(&self.cluster) else { return };
        let fence = &self.controller.fence;
        let Some(first) = rollout::urgent(&world, fence, |world| self.planned(world)) else { return };
        let temper = self.shape.temper.clone();
        self.write(&world, &first.write, &mut read, &temper);
    }

    fn planned(&self, world: &World) -> Plan {
        let Some(sabotage) = self.settings.sabotage else { return rollout::plan_ahead(world) };
        let mut seen = world.clone();
        blind(&mut seen, sabotage);
        let mut plan = rollout::plan_ahead(&seen);
        shuffle(&mut plan, sabotage);
        plan
    }

    /// Writes in order until one fails or a crash ends it.
    fn apply(&mut self, world: &World, plan: &Plan, mut read: u64) {
        let temper = self.shape.temper.clone();
        let crash = !self.calm && self.random.chance(temper.crashes);
        let crash = crash.then(|| self.random.below(plan.writes.len() as u64 + 1));
        for (index, Planned { write, notices, .. }) in plan.writes.iter().enumerate() {
            if crash == Some(index as u64) {
                self.crash();
                return;
            }
            if !self.calm && self.random.chance(temper.write_failures / 2) {
                let act = Act::random(&mut self.random, &self.shape);
                self.act(&act);
            }
            if !self.write(world, write, &mut read, &temper) {
                let back_off = self.random.between(5, 1_000);
                self.schedule_round(back_off);
                return;
            }
            self.events_told.extend(notices.iter().map(|notice| notice.reason));
        }
        if crash.is_some() {
            self.crash();
        } else if let Some(wake) = plan.wake {
            self.schedule_round((milliseconds(wake) - self.cluster.now).max(1));
        }
    }

    /// One write; whether the next may follow.
    fn write(&mut self, world: &World, write: &Write, read: &mut u64, temper: &Temper) -> bool {
        let failing = !self.calm && self.random.chance(temper.write_failures);
        let lost = failing && self.random.chance(500);
        if failing && !lost {
            self.tale.tell(&self.cluster, || "fault     the next write is refused".to_owned());
            return false;
        }
        let truth = Truth {
            cluster: &self.cluster,
            pods: &self.pods,
            data_weights: self.data_weights(),
            ways: &self.shape.ways,
            meddled: !self.cluster.sets.has_seen(self.meddled) || !self.cluster.routes.has_seen(self.meddled),
            world,
            routed: self.shape.routed,
        };
        if let Some(objection) = truth.objection(write) {
            self.fail(format!("truth: {objection}"));
            return false;
        }
        self.writes += 1;
        if let Write::RestartPod { name, .. } = write {
            // A disruption budget that says no is no failure.
            if !self.calm && self.random.chance(200) {
                self.tale.tell(&self.cluster, || format!("server    refuses to evict {name}"));
                return true;
            }
            self.pods.evict(name);
        }
        if let Write::PatchPod(patch) = write {
            self.pods.mark(patch);
        }
        let answer = self.cluster.write(write, read);
        if lost {
            self.tale.tell(&self.cluster, || "fault     the answer to the next write is lost".to_owned());
            self.controller.doubt(write);
            return false;
        }
        match answer {
            Ok(version) => {
                self.controller.wrote(write, version, time(self.cluster.now));
                true
            }
            Err(refusal) => {
                self.tale.tell(&self.cluster, || format!("server    refuses a write: {refusal:?}"));
                false
            }
        }
    }

    /// The controller, which looks after Rollouts and Experiments, dies and starts again.
    pub(crate) fn crash(&mut self) {
        self.tale.tell(&self.cluster, || "fault     the controller crashes and starts again".to_owned());
        self.controller.fence = Default::default();
        self.controller.desks.clear();
        self.cluster.relist();
        let pause = self.random.between(100, 20_000);
        self.controller.due = None;
        self.schedule_round(pause);
        self.wake_experiments(pause);
    }
}
