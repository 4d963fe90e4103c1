//! The independent judge of plans: replays a plan write by write and says which safety rules it breaks.
//!
//! Input: the World that was planned on, and the plan. Output: breaches, none for a safe plan. Written from the
//! rules and from the behaviour that clients of Argo Rollouts rely on, it must never call the planner: two
//! authors who agree on a mistake are one author.
//!
//! A controller may die after any write, so every prefix of a plan is judged, not only its end.

mod after;
mod blue_green;
mod dynamic;
mod facts;
mod form;
mod metadata;
mod restart;
mod scale;
mod status;
mod traffic;
mod workload;

use std::collections::BTreeSet;
use std::fmt;

use self::facts::Facts;
use crate::plan::{Plan, Planned, Write};
use crate::rollout::world::World;

pub use self::after::{after, apply, patched, pointed, repatched};

/// One broken rule: which, at which write, and in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    pub rule: Rule,
    /// Index of the write in the plan; the number of writes when the plan as a whole is at fault.
    pub write: usize,
    pub why: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "write {} breaks {:?}: {}", self.write, self.rule, self.why)
    }
}

/// What a plan must never do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// A revision gets more weight than its ready endpoints carry.
    RaisedWithoutEndpoints,
    /// Traffic moves to the stable Service, which has no ready endpoint, from a canary that has some.
    LoweredOntoNothing,
    /// Traffic moves to more stable pods than there are, from a canary that has pods for it.
    LoweredBeyondPods,
    /// A write says another weight than its object shows.
    WeightMisstated,
    /// An abort does something else before it takes the weight from the canary, or nothing at all.
    AbortNotFirst,
    /// An abort gives the canary weight.
    AbortRaises,
    /// An abort leaves the canary some weight.
    AbortIncomplete,
    /// Capacity goes while weight or a Service may still send requests to it.
    CapacityBeforeWeight,
    /// The stable revision shrinks below what it needs to take all traffic at any moment.
    StableTooSmall,
    /// Pods go before the delay that the spec grants them.
    DelayIgnored,
    /// Fewer pods are available than the spec allows.
    TooFewAvailable,
    /// More pods are asked for than the spec allows.
    SurgeExceeded,
    /// A canary grows above what setCanaryScale asks for.
    ScaleIgnored,
    /// A Service is pointed at a revision that cannot carry what it carries.
    PointedAtNothing,
    /// A Service of ping-pong is pointed while requests find it.
    SwitchedUnderLoad,
    /// The Services of ping-pong take turns without a promotion, or one becomes the stable one that leads elsewhere.
    TurnMisplaced,
    /// The active Service moves to a revision that somebody or something has still to let pass.
    SwitchedTooEarly,
    /// Pods are scaled although somebody paused the Rollout.
    ScaledWhilePaused,
    /// Pods are restarted that nobody asked to restart.
    RestartedUnasked,
    /// A restart takes more pods than may be away, or the last one that serves.
    RestartedTooMany,
    /// Pods are restarted in a plan that changes something else.
    RestartedInPassing,
    /// More of a pod template changes than what a role adds, or a label that selects the pods.
    TemplateChanged,
    /// A pod is given what its ReplicaSet does not give new ones, or loses a label that selects it.
    PodUnlikeTemplate,
    /// The status is not the last write.
    StatusNotLast,
    /// The same field is written twice.
    WrittenTwice,
    /// A write changes nothing.
    ChangesNothing,
    /// A write starts from something that is not there.
    WrongFrom,
    /// A write uses the result of an earlier one in the same plan.
    DependsOnEarlier,
    /// The referenced Deployment shrinks below the pods that the Rollout lacks.
    WorkloadTooSmall,
    /// A ReplicaSet is deleted with pods.
    DeletedWithPods,
    /// The step index moves in a way that no step, reset or promotion explains.
    StepJump,
    /// A step counts as done before it is.
    StepNotDone,
    /// A revision becomes the stable one without the pods for it.
    PromotedWithoutPods,
    /// The time to look again has already passed, so that the controller would spin.
    WakeInThePast,
    /// Nothing is done, and nothing explains why.
    SilentWait,
}

/// Judges a plan against the World it was made for.
#[must_use]
pub fn lint(world: &World, plan: &Plan) -> Vec<Breach> {
    let mut judge = Judge::new(world);
    judge.abort_comes_first(plan);
    judge.switch_back_comes_first(plan);
    for (index, Planned { write, .. }) in plan.writes.iter().enumerate() {
        judge.index = index;
        judge.form(write, index + 1 == plan.writes.len());
        match write {
            Write::PatchSet(patch) => {
                judge.scale(patch);
                judge.template(patch);
            }
            Write::CreateSet(set) => judge.first_size(set),
            Write::Route(route) => judge.route(route),
            Write::PointService { service, to, .. } => judge.point(service, to),
            Write::Status(status) => judge.status(status),
            Write::RestartPod { name, .. } => judge.restart(name, plan),
            Write::PatchPod(patch) => judge.pod(patch),
            Write::ScaleWorkload { from, to, .. } => judge.workload(*from, *to),
            Write::DefaultReplicas { .. }
            | Write::AnnotateRollout { .. }
            | Write::AdoptSet { .. }
            | Write::ReleaseSet { .. }
            | Write::DeleteSet { .. }
            | Write::CreateRun(_)
            | Write::StopRun { .. }
            | Write::DeleteRun { .. }
            | Write::CreateExperiment(_)
            | Write::StopExperiment { .. }
            | Write::DeleteExperiment { .. } => {}
        }
        apply(&mut judge.live, write);
    }
    judge.index = plan.writes.len();
    judge.abort_is_complete();
    judge.abort_brings_stable_back();
    judge.switch_back_is_complete();
    judge.says_why(plan);
    judge.breaches
}

/// The state of one judgement: the World as it was seen, and as it is after the writes so far.
struct Judge<'a> {
    seen: &'a World,
    live: World,
    facts: Facts<'a>,
    aborting: bool,
    index: usize,
    touched: BTreeSet<(String, String)>,
    breaches: Vec<Breach>,
}

impl<'a> Judge<'a> {
    fn new(world: &'a World) -> Self {
        Self {
            seen: world,
            live: world.clone(),
            facts: Facts::new(world),
            aborting: false,
            index: 0,
            touched: BTreeSet::new(),
            breaches: Vec::new(),
        }
    }

    fn blame(&mut self, rule: Rule, why: String) {
        self.breaches.push(Breach { rule, write: self.index, why });
    }

    /// A plan that does nothing still says why, and does not ask to be woken in the past.
    fn says_why(&mut self, plan: &Plan) {
        use crate::plan::Because;
        use tidegate_api::phase::RolloutPhase;

        if plan.writes.is_empty() && plan.wake.is_some_and(|wake| wake <= self.seen.now) {
            self.blame(Rule::WakeInThePast, format!("wakes at {:?}, but it is {}", plan.wake, self.seen.now));
        }
        let phase = self.facts.status.phase;
        if plan.writes.is_empty() && plan.because == Because::Settled && phase != Some(RolloutPhase::Healthy)
        {
            self.blame(Rule::SilentWait, format!("nothing to do and no reason, in phase {phase:?}"));
        }
    }
}

#[cfg(test)]
mod tests;
