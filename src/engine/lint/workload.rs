//! Rules on the workload that a Rollout refers to: its pods go only as the Rollout's own can stand for them.

use super::facts::{kept, total};
use super::{Judge, Rule};

impl Judge<'_> {
    /// Judges a new size of the referenced Deployment.
    pub(super) fn workload(&mut self, from: i32, to: i32) {
        let reference = self.seen.rollout.spec.workload_ref.as_ref();
        let mode = reference.and_then(|reference| reference.scale_down.as_deref()).unwrap_or("never");
        if !["onsuccess", "progressively"].contains(&mode) {
            self.blame(Rule::WorkloadTooSmall, format!("nobody asked to scale it: scaleDown is {mode:?}"));
        }
        let live = self.live.workload.as_ref().map(|workload| workload.replicas);
        if live != Some(from) {
            self.blame(Rule::WrongFrom, format!("the Deployment has {live:?} replicas, not {from}"));
        }
        let available = total(self.seen.sets.iter().map(|set| kept(set)));
        let lacking = self.facts.replicas - available;
        let floor = if mode == "onsuccess" && lacking > 0 { from } else { lacking.max(0) };
        if to < from && to < floor {
            let why = format!(
                "the Deployment goes to {to} while {available} of {} pods of the Rollout are available",
                self.facts.replicas
            );
            self.blame(Rule::WorkloadTooSmall, why);
        }
    }
}
