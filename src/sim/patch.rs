//! How the API server takes in what is written: times lose their fractions.
//!
//! Input: objects. Output: objects as they are stored.

use jiff::Timestamp;
use tidegate_api::rollout::RolloutStatus;

/// Kubernetes stores times in whole seconds.
pub(crate) fn whole_seconds(mut status: RolloutStatus) -> RolloutStatus {
    let cut = |time: &mut Timestamp| *time = Timestamp::from_second(time.as_second()).unwrap_or(*time);
    for pause in &mut status.pause_conditions {
        pause.start_time.iter_mut().for_each(|time| cut(&mut time.0));
    }
    for condition in &mut status.conditions {
        condition.last_update_time.iter_mut().for_each(|time| cut(&mut time.0));
        condition.last_transition_time.iter_mut().for_each(|time| cut(&mut time.0));
    }
    status.aborted_at.iter_mut().for_each(|time| cut(&mut time.0));
    status.restarted_at.iter_mut().for_each(|time| cut(&mut time.0));
    status
}
