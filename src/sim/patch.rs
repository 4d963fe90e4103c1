//! How the API server takes in what is written: merge patches keep what others wrote, times lose their fractions.
//!
//! Input: objects. Output: objects as they are stored.

use jiff::Timestamp;
use serde_json::{Value, json};
use tidegate_api::rollout::RolloutStatus;

/// Applies to `live` what a merge patch from one object to another says.
pub(crate) fn merge(live: &mut Value, from: &Value, to: &Value) {
    let (Value::Object(from), Value::Object(to)) = (from, to) else {
        *live = to.clone();
        return;
    };
    if !live.is_object() {
        *live = json!({});
    }
    let Some(fields) = live.as_object_mut() else { return };
    for key in from.keys().filter(|key| !to.contains_key(*key)) {
        fields.remove(key);
    }
    for (key, value) in to {
        match from.get(key) {
            Some(before) if before == value => {}
            Some(before) => merge(fields.entry(key.clone()).or_insert(Value::Null), before, value),
            None => {
                fields.insert(key.clone(), value.clone());
            }
        }
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_merge_patch_keeps_what_others_wrote_meanwhile() {
        let from = json!({"a": {"weight": 1, "old": 1}, "b": 1});
        let to = json!({"a": {"weight": 2}, "b": 1});
        let mut live = json!({"a": {"weight": 1, "old": 1, "theirs": 7}, "b": 5});
        merge(&mut live, &from, &to);
        assert_eq!(live, json!({"a": {"weight": 2, "theirs": 7}, "b": 5}));
    }
}
