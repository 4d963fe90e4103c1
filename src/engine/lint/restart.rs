//! Rules on restarts: only pods from before the restart, never more than may be away, and nothing else meanwhile.

use super::facts::{kept, total};
use super::{Judge, Rule};
use crate::plan::{Plan, Write};
use crate::rollout::world::{Pod, Set, World};

impl Judge<'_> {
    /// Judges the eviction of a pod.
    pub(super) fn restart(&mut self, name: &str, plan: &Plan) {
        let alone = |write: &Write| matches!(write, Write::RestartPod { .. } | Write::Status(_));
        if !plan.writes.iter().all(|planned| alone(&planned.write)) {
            let why = format!("pod {name} is restarted in a plan that changes other objects too");
            self.blame(Rule::RestartedInPassing, why);
        }
        let Some(pod) = self.live.pods.iter().find(|pod| pod.name == name).cloned() else { return };
        if !self.asked(&pod) {
            let why = format!("pod {name} is from {}, and no restart is due for it", pod.created);
            self.blame(Rule::RestartedUnasked, why);
        }
        // A pod that is not ready serves nobody: it may go.
        let Some(set) =
            self.live.sets.iter().find(|set| set.name == pod.set && pod.ready_since.is_some()).cloned()
        else {
            return;
        };
        self.leaves_enough(&pod);
        self.leaves_an_endpoint(&set);
    }

    fn asked(&self, pod: &Pod) -> bool {
        let seconds = |time: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Time| time.0.as_second();
        let asked = self.seen.rollout.spec.restart_at.as_ref().map(seconds);
        let done = self.facts.status.restarted_at.as_ref().map(seconds);
        asked != done
            && asked.is_some_and(|at| pod.created.as_second() < at && self.seen.now.as_second() >= at)
    }

    fn leaves_enough(&mut self, pod: &Pod) {
        let specified = total(self.live.sets.iter().map(|set| set.replicas)).max(self.facts.replicas);
        let floor = specified - self.facts.unavailable.max(1);
        let after = total(self.live.sets.iter().map(|set| self.available_without(set, pod)));
        if after < floor {
            let why = format!("pod {} goes, which leaves {after} available pods of {floor} needed", pod.name);
            self.blame(Rule::RestartedTooMany, why);
        }
    }

    fn available_without(&self, set: &Set, gone: &Pod) -> i32 {
        let there = |pod: &&std::sync::Arc<Pod>| {
            pod.set == set.name
                && pod.uid != gone.uid
                && !pod.leaving
                && pod.available_at(set).is_some_and(|at| at <= self.seen.now)
        };
        let pods = self.live.pods.iter().filter(there).count();
        kept(set).min(i32::try_from(pods).unwrap_or(i32::MAX))
    }

    /// A Service that carries weight keeps a ready pod, except where there is but one replica.
    fn leaves_an_endpoint(&mut self, set: &Set) {
        if self.facts.replicas <= 1 {
            return;
        }
        if let Some(spec) = self.facts.blue_green {
            let service = &spec.active_service;
            let selected =
                self.seen.services.get(service).is_some_and(|known| known.hash() == Some(set.hash()));
            if selected && serving(&self.live, set) <= 1 {
                let why = format!("the last ready pod of {} goes, but users reach it", set.name);
                self.blame(Rule::RestartedTooMany, why);
            }
            return;
        }
        if self.facts.routers.is_empty() {
            return;
        }
        for service in [self.facts.canary_service(), self.facts.stable_service()].into_iter().flatten() {
            let selected =
                self.seen.services.get(service).is_some_and(|known| known.hash() == Some(set.hash()));
            if selected && self.carried(service) > 0 && serving(&self.live, set) <= 1 {
                let why =
                    format!("the last ready pod of {} goes, but Service {service} has weight", set.name);
                self.blame(Rule::RestartedTooMany, why);
            }
        }
    }
}

/// Ready pods of a ReplicaSet that nobody has told to go.
fn serving(world: &World, set: &Set) -> usize {
    world.pods.iter().filter(|pod| pod.set == set.name && !pod.leaving && pod.ready_since.is_some()).count()
}
