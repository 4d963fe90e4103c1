//! How long an update takes, and how much of that it waits for a person: `status.duration`.
//!
//! Input: the status as read and as it will be. Output: the record in the latter, and what to count once it is written.
//! A record begins with a new template, new steps or a retry, and ends with all pods of the promoted revision available,
//! with an abort, or with the next update. Going back in the middle of an update goes on with its record. An update that
//! was under way before this controller came has none.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tidegate_api::rollout::{RolloutDurationStatus, RolloutStatus};
use tidegate_api::valid::Step;

use super::condition::time;
use super::core::Core;
use super::pause::{BLUE_GREEN, CANARY_STEP, abort_asked, find, is_undecided};
use super::window::older;

const PROMOTED: &str = "Promoted";
const FAST_PROMOTED: &str = "FastPromoted";
const ROLLED_BACK: &str = "RolledBack";
const FAST_ROLLED_BACK: &str = "FastRolledBack";
const ABORTED: &str = "Aborted";
const SUPERSEDED: &str = "Superseded";

/// An update that has ended, in seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// How it ended, as `status.duration.completionStatus` says.
    pub how: String,
    pub seconds: i64,
    /// Seconds in which a person was waited for.
    pub paused_seconds: i64,
}

/// Brings the record of the next status up to date. The rest of that status is as it will be.
pub(crate) fn track(facts: &Core<'_>, next: &mut RolloutStatus) {
    let now = time(facts.now);
    let mut record = next.duration.take();
    if is_new(facts) {
        record = begun(facts, next, record, &now);
    } else if is_retried(facts, next) && !record.as_ref().is_some_and(is_running) {
        record = Some(RolloutDurationStatus { rollout_started_at: Some(now.clone()), ..Default::default() });
    }
    if let Some(record) = record.as_mut().filter(|record| is_running(record)) {
        if is_manual(facts, next) {
            record.manual_pause_started_at.get_or_insert_with(|| now.clone());
        } else {
            resume(record, &now);
        }
        if abort_asked(next) {
            ABORTED.clone_into(&mut record.completion_status);
            end(record, &now);
        } else if !next.stable_rs.is_empty() && next.stable_rs == next.current_pod_hash {
            // How it ends is known by the time it is promoted; the last pods may come later.
            if record.completion_status.is_empty() {
                how(facts).clone_into(&mut record.completion_status);
            }
            if facts.new_available() >= facts.replicas {
                end(record, &now);
            }
        }
    }
    next.duration = record;
}

/// The updates that ended with the write of a status: the former one, and one that took no time.
#[must_use]
pub fn ended(from: &RolloutStatus, to: &RolloutStatus, now: Timestamp) -> Vec<Ended> {
    let mut all = Vec::new();
    let started = |status: &RolloutStatus| status.duration.as_ref()?.rollout_started_at.clone();
    if let Some(old) = from.duration.as_ref().filter(|old| is_running(old))
        && old.rollout_started_at != started(to)
    {
        let end = started(to).unwrap_or_else(|| time(now));
        let mut old = old.clone();
        resume(&mut old, &end);
        all.extend(measured(&old, &end, SUPERSEDED));
    }
    let finished = |status: &RolloutStatus| status.duration.as_ref()?.finished_at.clone();
    if let (Some(record), Some(end)) = (&to.duration, finished(to))
        && finished(from).as_ref() != Some(&end)
    {
        all.extend(measured(record, &end, &record.completion_status));
    }
    all
}

fn measured(record: &RolloutDurationStatus, end: &Time, how: &str) -> Option<Ended> {
    let start = record.rollout_started_at.as_ref()?;
    let paused_seconds = record.total_manual_pause_duration_seconds;
    Some(Ended { how: how.to_owned(), seconds: seconds(start, end), paused_seconds })
}

/// Whether the template, or the steps of a canary, are others than those that the status speaks of.
fn is_new(facts: &Core<'_>) -> bool {
    facts.status.current_pod_hash != facts.hash || facts.has_other_steps()
}

/// The record of an update that begins now. Content that is held back begins nothing.
fn begun(
    facts: &Core<'_>,
    next: &RolloutStatus,
    former: Option<RolloutDurationStatus>,
    now: &Time,
) -> Option<RolloutDurationStatus> {
    if abort_asked(next) {
        return None;
    }
    let goes_on = former.filter(|former| is_running(former) && is_back(facts));
    goes_on.or_else(|| {
        Some(RolloutDurationStatus { rollout_started_at: Some(now.clone()), ..Default::default() })
    })
}

/// Whether somebody tries an aborted update again.
fn is_retried(facts: &Core<'_>, next: &RolloutStatus) -> bool {
    facts.status.aborted_at.is_some() && !abort_asked(next) && next.stable_rs != next.current_pod_hash
}

/// Whether the new revision is the stable one, or older than that.
fn is_back(facts: &Core<'_>) -> bool {
    let stable_again = !facts.status.stable_rs.is_empty() && facts.status.stable_rs == facts.hash;
    stable_again || facts.new.zip(facts.stable).is_some_and(|(new, stable)| older(new, stable))
}

/// How an update that is being promoted ends.
fn how(facts: &Core<'_>) -> &'static str {
    let stable_again = facts.status.stable_rs == facts.hash
        && facts.status.duration.as_ref().is_some_and(is_running)
        && is_new(facts);
    let delayed = facts.blue_green.is_some()
        && facts.new.and_then(|new| new.deadline()).is_some_and(|deadline| deadline > facts.now);
    if facts.promote_full() {
        FAST_PROMOTED
    } else if stable_again || facts.in_rollback_window() || is_back(facts) && delayed {
        FAST_ROLLED_BACK
    } else if is_back(facts) && facts.status.stable_rs != facts.hash {
        ROLLED_BACK
    } else {
        PROMOTED
    }
}

/// Whether the update waits for a person: the spec says so, a pause has no end, or an analysis came to no verdict.
fn is_manual(facts: &Core<'_>, next: &RolloutStatus) -> bool {
    let endless_step = matches!(facts.step(), Some(Step::Pause(None)));
    let endless_preview = facts.blue_green.is_some_and(|strategy| {
        !strategy.auto_promotion_enabled() || strategy.spec.auto_promotion_seconds <= 0
    });
    facts.rollout.spec.paused
        || is_undecided(next)
        || endless_step && find(next, CANARY_STEP).is_some()
        || endless_preview && find(next, BLUE_GREEN).is_some()
}

fn is_running(record: &RolloutDurationStatus) -> bool {
    record.rollout_started_at.is_some() && record.finished_at.is_none()
}

fn end(record: &mut RolloutDurationStatus, now: &Time) {
    resume(record, now);
    record.finished_at = Some(now.clone());
}

fn resume(record: &mut RolloutDurationStatus, now: &Time) {
    if let Some(start) = record.manual_pause_started_at.take() {
        record.total_manual_pause_duration_seconds += seconds(&start, now);
    }
}

fn seconds(from: &Time, to: &Time) -> i64 {
    to.0.as_second().saturating_sub(from.0.as_second()).max(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Time {
        Time(Timestamp::from_second(second).unwrap())
    }

    fn status(record: Option<RolloutDurationStatus>) -> RolloutStatus {
        RolloutStatus { duration: record, ..RolloutStatus::default() }
    }

    fn running(start: i64) -> RolloutDurationStatus {
        RolloutDurationStatus { rollout_started_at: Some(at(start)), ..Default::default() }
    }

    fn finished(start: i64, end: i64, how: &str) -> RolloutDurationStatus {
        let completion_status = how.to_owned();
        RolloutDurationStatus { finished_at: Some(at(end)), completion_status, ..running(start) }
    }

    fn counted(from: Option<RolloutDurationStatus>, to: Option<RolloutDurationStatus>) -> Vec<Ended> {
        ended(&status(from), &status(to), Timestamp::from_second(500).unwrap())
    }

    fn measure(how: &str, seconds: i64, paused_seconds: i64) -> Ended {
        Ended { how: how.to_owned(), seconds, paused_seconds }
    }

    #[test]
    fn an_update_is_counted_when_it_ends_and_only_then() {
        let promoted =
            RolloutDurationStatus { total_manual_pause_duration_seconds: 40, ..finished(100, 190, PROMOTED) };
        assert_eq!(counted(Some(running(100)), Some(promoted.clone())), [measure(PROMOTED, 90, 40)]);
        assert_eq!(counted(Some(promoted.clone()), Some(promoted.clone())), []);
        assert_eq!(counted(Some(promoted), Some(running(300))), []);
        assert_eq!(counted(None, Some(running(300))), []);
    }

    #[test]
    fn an_update_in_the_way_of_another_is_superseded_with_the_pause_it_was_in() {
        let paused = RolloutDurationStatus { manual_pause_started_at: Some(at(150)), ..running(100) };
        assert_eq!(counted(Some(paused.clone()), Some(running(200))), [measure(SUPERSEDED, 100, 50)]);
        assert_eq!(counted(Some(paused), None), [measure(SUPERSEDED, 400, 350)]);
        let both = counted(Some(running(100)), Some(finished(200, 200, ABORTED)));
        assert_eq!(both, [measure(SUPERSEDED, 100, 0), measure(ABORTED, 0, 0)]);
    }
}
