//! Pauses and aborts: what a round wants to change about them, and what the status then says.
//!
//! Input: the status as read and the wishes of this round. Output: pauseConditions, controllerPause, abort and
//! abortedAt. A person resumes by emptying pauseConditions while controllerPause stays true; that pair is the
//! protocol that Argo Rollouts' clients speak.

use jiff::{SignedDuration, Timestamp};
use tidegate_api::rollout::{PauseCondition, RolloutStatus};

use super::condition::time;

/// A pause step of a canary.
pub(crate) const CANARY_STEP: &str = "CanaryPauseStep";
/// The pause of a blue-green update before the switch.
pub(crate) const BLUE_GREEN: &str = "BlueGreenPause";
/// An AnalysisRun that came to no verdict.
pub(crate) const INCONCLUSIVE: &str = "InconclusiveAnalysisRun";

/// An Experiment that came to no verdict.
pub(crate) const INCONCLUSIVE_EXPERIMENT: &str = "InconclusiveExperiment";

/// What one round wants to change about pauses and aborts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wishes {
    pub(crate) add: Vec<&'static str>,
    pub(crate) remove: Vec<&'static str>,
    pub(crate) clear: bool,
    /// Abort for this reason.
    pub(crate) abort: Option<String>,
    pub(crate) drop_abort: bool,
    /// Somebody ended the pause, and what it held back has still to happen.
    pub(crate) resumed: bool,
    /// Leave everything as it was read: a person's answer is for a round that looks at steps and runs.
    pub(crate) keep: bool,
}

impl Wishes {
    /// Whether the update is aborted once these wishes are fulfilled.
    pub(crate) fn aborted(&self, status: &RolloutStatus) -> bool {
        !self.drop_abort && (self.abort.is_some() || status.abort)
    }

    /// Writes the outcome into the next status: an abort wins, then clearing, then adding and removing.
    pub(crate) fn apply(&self, old: &RolloutStatus, next: &mut RolloutStatus, now: Timestamp) {
        next.abort = self.aborted(old);
        if self.keep {
            next.aborted_at = old.aborted_at.clone().or_else(|| next.abort.then(|| time(now)));
            next.pause_conditions.clone_from(&old.pause_conditions);
            next.controller_pause = old.controller_pause;
            return;
        }
        next.aborted_at = next.abort.then(|| old.aborted_at.clone().unwrap_or_else(|| time(now)));
        next.pause_conditions = Vec::new();
        next.controller_pause = false;
        if next.abort || self.clear {
            return;
        }
        let kept = old.pause_conditions.iter().filter(|pause| !self.remove.contains(&pause.reason.as_str()));
        next.pause_conditions = kept.cloned().collect();
        for reason in &self.add {
            if find(old, reason).is_none() {
                next.pause_conditions
                    .push(PauseCondition { reason: (*reason).to_owned(), start_time: Some(time(now)) });
            }
        }
        let paused = !next.pause_conditions.is_empty();
        next.controller_pause =
            paused && (old.controller_pause || !self.add.is_empty()) || self.resumed && old.controller_pause;
    }
}

/// Whether the status asks for an abort that still holds.
///
/// A full promotion that was asked for after the abort ends it; an abort that arrives during a full promotion,
/// not yet stamped with its time, is obeyed: whoever asks to stop is never ignored.
pub(crate) fn abort_asked(status: &RolloutStatus) -> bool {
    let promoted = !status.stable_rs.is_empty() && status.stable_rs == status.current_pod_hash;
    let overruled = status.promote_full && status.aborted_at.is_some();
    status.abort && !overruled && !promoted && !status.stable_rs.is_empty()
}

/// Whether the status still shows an abort that holds no longer.
pub(crate) fn abort_is_over(status: &RolloutStatus) -> bool {
    status.abort && !abort_asked(status)
}

/// Whether the status asks for a full promotion that still holds.
pub(crate) fn full_promotion_asked(status: &RolloutStatus) -> bool {
    status.promote_full && !abort_asked(status)
}

/// The pause condition with a reason, if the status has one.
pub(crate) fn find<'a>(status: &'a RolloutStatus, reason: &str) -> Option<&'a PauseCondition> {
    status.pause_conditions.iter().find(|pause| pause.reason == reason)
}

/// Whether an analysis or an Experiment came to no verdict, so that a person has to decide.
pub(crate) fn is_undecided(status: &RolloutStatus) -> bool {
    find(status, INCONCLUSIVE).is_some() || find(status, INCONCLUSIVE_EXPERIMENT).is_some()
}

/// Whether a pause step is over: somebody resumed it, or its time has passed.
pub(crate) fn completed(status: &RolloutStatus, duration_seconds: Option<i64>, now: Timestamp) -> bool {
    match find(status, CANARY_STEP) {
        None => status.controller_pause,
        Some(_) => until(status, duration_seconds).is_some_and(|end| now > end),
    }
}

/// When the running pause step ends by itself.
pub(crate) fn until(status: &RolloutStatus, duration_seconds: Option<i64>) -> Option<Timestamp> {
    let start = find(status, CANARY_STEP)?.start_time.as_ref()?.0;
    start.checked_add(SignedDuration::from_secs(duration_seconds?)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn paused_since(second: i64) -> RolloutStatus {
        let mut status = RolloutStatus::default();
        let wishes = Wishes { add: vec![CANARY_STEP], ..Wishes::default() };
        wishes.apply(&RolloutStatus::default(), &mut status, at(second));
        status
    }

    #[test]
    fn a_pause_ends_after_its_duration_and_not_before() {
        let status = paused_since(100);
        assert!(status.controller_pause);
        assert!(!completed(&status, Some(10), at(110)));
        assert!(completed(&status, Some(10), at(111)));
        assert!(!completed(&status, None, at(9_999)));
    }

    #[test]
    fn emptied_conditions_under_controller_pause_mean_that_somebody_resumed() {
        let mut status = paused_since(100);
        status.pause_conditions.clear();
        assert!(completed(&status, None, at(101)));
        assert!(!completed(&RolloutStatus::default(), None, at(101)));
    }

    #[test]
    fn an_abort_drops_pauses_and_keeps_its_first_time() {
        let mut first = RolloutStatus::default();
        let wishes = Wishes { abort: Some("why".to_owned()), ..Wishes::default() };
        wishes.apply(&paused_since(100), &mut first, at(200));
        assert!(first.abort && first.pause_conditions.is_empty() && !first.controller_pause);
        let mut second = RolloutStatus::default();
        Wishes::default().apply(&first, &mut second, at(300));
        assert_eq!(second.aborted_at, Some(time(at(200))));
    }

    #[test]
    fn an_existing_pause_keeps_its_start() {
        let old = paused_since(100);
        let mut next = RolloutStatus::default();
        Wishes { add: vec![CANARY_STEP, INCONCLUSIVE], ..Wishes::default() }.apply(&old, &mut next, at(150));
        assert_eq!(next.pause_conditions[0].start_time, Some(time(at(100))));
        assert_eq!(next.pause_conditions[1].start_time, Some(time(at(150))));
    }
}
