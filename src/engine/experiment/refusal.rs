//! The Event for a ReplicaSet that the API server would not have made or sized.
//!
//! Input: the write and what the server said. Output: the Event, in the words and of the type that Argo Rollouts has for it.

use super::plan::Write;
use crate::plan::Notice;
use crate::rollout::refusal::{SET_CREATE_ERROR, set_not_created};

/// Says which ReplicaSet could not be written; nothing for other writes, whose refusal the status alone tells.
#[must_use]
pub fn refusal(write: &Write, why: &str) -> Option<Notice> {
    match write {
        Write::CreateSet(set) => {
            // Of type Normal, as it is for clients that count Events by their type.
            Some(Notice::normal(SET_CREATE_ERROR, set_not_created(&set.name, why)))
        }
        Write::PatchSet(patch) => {
            let (from, to) = patch.replicas?;
            let way = if to > from { "up" } else { "down" };
            let message = format!("Failed to scale {} {way}: {why}", patch.name);
            Some(Notice::warning("ReplicaSetUpdateError", message))
        }
        Write::CreateService { .. }
        | Write::DeleteService { .. }
        | Write::CreateRun(_)
        | Write::StopRun { .. }
        | Write::Status(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::SetPatch;
    use crate::rollout::world::Set;

    #[test]
    fn what_is_refused_of_a_replica_set_has_an_event() {
        let set = Set { name: "e-a".to_owned(), ..Set::default() };
        let create = refusal(&Write::CreateSet(Box::new(set)), "exceeded quota");
        let message = "Failed to create new replica set \"e-a\": exceeded quota";
        assert_eq!(create, Some(Notice::normal("ReplicaSetCreateError", message)));
        let sized = |replicas: Option<(i32, i32)>| {
            let patch = SetPatch { name: "e-a".to_owned(), replicas, ..SetPatch::default() };
            refusal(&Write::PatchSet(patch), "exceeded quota")
        };
        let told = |message: &str| Some(Notice::warning("ReplicaSetUpdateError", message));
        assert_eq!(sized(Some((0, 2))), told("Failed to scale e-a up: exceeded quota"));
        assert_eq!(sized(Some((2, 0))), told("Failed to scale e-a down: exceeded quota"));
        assert_eq!(sized(None), None, "a deadline is no size");
        assert_eq!(refusal(&Write::StopRun { name: "r".to_owned() }, "no"), None);
    }
}
