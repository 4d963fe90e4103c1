//! The vocabulary of sync: what to write, in which order, why, and when to look again.
//!
//! Input: none. Output: types only. A plan is carried out in this order: the patch of the Application, the
//! events, the writes. Applying goes on after an object was refused, because the objects of a repository
//! do not depend on each other; but nothing is pruned once anything was refused.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::object::Key;
use crate::plan::Notice;

/// What to do for one Application, complete and in order; and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// A merge patch of the Application, made first and under the resourceVersion that was read.
    pub patch: Option<Value>,
    /// Events to record on the Application once the patch is made.
    pub notices: Vec<Notice>,
    /// Requests to the destination, in order.
    pub writes: Vec<Planned>,
    /// When to look again even if nothing changes.
    pub wake: Option<Timestamp>,
    /// What the Application is doing or waiting for.
    pub because: Because,
}

/// One write and its reason.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// The request.
    pub write: Write,
    /// Why it is made.
    pub because: Because,
}

/// One API request each; the executor has no choice left.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// Creates the destination namespace, or applies the labels and annotations it should have.
    Namespace { name: String, labels: BTreeMap<String, String>, annotations: BTreeMap<String, String> },
    /// Renames the owner of fields that another tool applied, under the resourceVersion that was read.
    Adopt { key: Key, version: String, managed_fields: Value, resource_version: String },
    /// Applies an object on the server's side.
    Apply(Box<Apply>),
    /// Takes the finalizer of hooks from an object, under the resourceVersion that was read.
    Release { key: Key, version: String, finalizers: Vec<String>, resource_version: String },
    /// Deletes an object, if it is still the one that was read.
    Prune { key: Key, version: String, uid: String, propagation: Propagation },
}

/// One object to apply.
#[derive(Clone, Debug, PartialEq)]
pub struct Apply {
    /// The object's key.
    pub key: Key,
    /// The version of its kind that Git names.
    pub version: String,
    /// The object as wanted.
    pub object: Value,
    /// The resourceVersion of the live object. It is sent along when `pinned`, so that a value copied from
    /// the live object cannot overwrite a newer one.
    pub resource_version: Option<String>,
    /// Whether the object holds values copied from the live one.
    pub pinned: bool,
}

/// What happens to the objects that a deleted object owns.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Propagation {
    /// They go first.
    #[default]
    Foreground,
    /// They go later.
    Background,
    /// They stay.
    Orphan,
}

/// How a write went.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// The server did it; the object's resourceVersion afterwards, where there is one.
    Done { resource_version: Option<String> },
    /// The server refused it or could not be reached.
    Failed { message: String },
    /// It was not tried, because an earlier write failed.
    NotTried,
    /// The object has changed since it was read, so what was decided may be wrong.
    Stale,
}

/// Why something is written, or what is waited for. Shown to users, never parsed.
#[derive(Clone, Debug, PartialEq)]
pub enum Because {
    /// Git and cluster were compared a moment ago.
    NotDue { until: Timestamp },
    /// The Application asks to be left alone.
    Skipped,
    /// Another controller has written the status since.
    OwnedElsewhere { manager: String, seconds: i64 },
    /// The Application is deleted without a cascade, or by finalizers of somebody else.
    Going,
    /// The spec must change before anything can be done.
    InvalidSpec { message: String },
    /// The source could not be read, rendered or compared.
    Unknown { message: String },
    /// Everything is as Git says.
    Synced { revision: String },
    /// Something is not as Git says, and nobody asked for a sync.
    OutOfSync { revision: String, objects: usize },
    /// A sync of this revision has failed; the same again would fail again.
    AlreadyFailed { revision: String },
    /// Automation would delete every object.
    WouldWipe,
    /// Changes in the cluster are reverted, but not yet.
    HealLater { until: Timestamp },
    /// Automation asks for a sync.
    SyncStarted { revision: String },
    /// The object differs from Git.
    Differs,
    /// The object is not there.
    NotThere,
    /// Another tool owns fields of the object.
    OtherManager,
    /// Git does not have the object any more.
    NotInGit,
    /// The Application is being deleted.
    Cascade,
    /// It is the turn of a hook.
    Hook { phase: &'static str },
    /// An earlier sync left it, and the hook is to run again.
    LeftOver,
    /// A hook has run, and nothing needs to keep it any more.
    HookOver,
    /// A hook is to go with the sync that it belongs to.
    HookPolicy,
    /// A sync is running.
    Syncing { revision: String, writes: usize },
    /// Pruning waits until the applied objects are well.
    WaitingForHealth { message: String },
    /// A failed sync is tried again.
    RetryAt { until: Timestamp, attempt: i64 },
    /// A sync ended.
    SyncEnded { phase: String, message: String },
    /// Objects of a deleted Application have not gone yet.
    WaitingForDeletion { objects: usize },
    /// Nothing is left of a deleted Application.
    Deleted,
}

impl Plan {
    /// A plan that does nothing.
    pub(super) fn nothing(because: Because) -> Self {
        Self { patch: None, notices: Vec::new(), writes: Vec::new(), wake: None, because }
    }

    /// A plan that only looks again.
    pub(super) fn wait(until: Timestamp, because: Because) -> Self {
        Self { wake: Some(until), ..Self::nothing(because) }
    }

    /// Looks again at `at`, or earlier if the plan already asks for it.
    pub(super) fn wake_at(&mut self, at: Timestamp) {
        self.wake = Some(self.wake.map_or(at, |earlier| earlier.min(at)));
    }
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotDue { until } => write!(f, "compared a moment ago; next look at {until}"),
            Self::Skipped => write!(f, "annotation argocd.argoproj.io/skip-reconcile is true"),
            Self::OwnedElsewhere { manager, seconds } => {
                write!(f, "{manager} wrote the status {seconds} s ago, so it looks after this Application")
            }
            Self::Going => write!(f, "the Application is being deleted by others"),
            Self::InvalidSpec { message } => write!(f, "the spec must be changed: {message}"),
            Self::Unknown { message } => write!(f, "cannot compare: {message}"),
            Self::Synced { revision } => write!(f, "everything is as in {revision}"),
            Self::OutOfSync { revision, objects } => {
                write!(f, "{objects} objects are not as in {revision}, and nobody asked for a sync")
            }
            Self::AlreadyFailed { revision } => write!(f, "the last sync to {revision} failed"),
            Self::WouldWipe => write!(f, "a sync would delete every object"),
            Self::HealLater { until } => write!(f, "changes in the cluster are reverted at {until}"),
            Self::SyncStarted { revision } => write!(f, "automated sync to {revision}"),
            Self::Differs => write!(f, "differs from Git"),
            Self::NotThere => write!(f, "is in Git only"),
            Self::OtherManager => write!(f, "fields belong to another tool"),
            Self::NotInGit => write!(f, "is not in Git any more"),
            Self::Cascade => write!(f, "the Application is being deleted"),
            Self::Hook { phase } => write!(f, "{phase} hook"),
            Self::LeftOver => write!(f, "an earlier sync left it"),
            Self::HookOver => write!(f, "the hook has run"),
            Self::HookPolicy => write!(f, "the hook goes with its sync"),
            Self::Syncing { revision, writes } => write!(f, "{writes} writes to sync to {revision}"),
            Self::WaitingForHealth { message } => write!(f, "{message}"),
            Self::RetryAt { until, attempt } => write!(f, "attempt {attempt} at {until}"),
            Self::SyncEnded { phase, message } => write!(f, "sync ended as {phase}: {message}"),
            Self::WaitingForDeletion { objects } => write!(f, "waiting for {objects} objects to go"),
            Self::Deleted => write!(f, "nothing is left to delete"),
        }
    }
}

/// Shows a plan as people review it: one line per write.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "because: {}", self.because)?;
        for notice in &self.notices {
            writeln!(f, "event: {} {}", notice.reason, notice.message)?;
        }
        for planned in &self.writes {
            writeln!(f, "write: {} ({})", planned.write, planned.because)?;
        }
        if let Some(wake) = self.wake {
            writeln!(f, "wake: {wake}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Namespace { name, .. } => write!(f, "create namespace {name}"),
            Self::Adopt { key, .. } => write!(f, "adopt {key}"),
            Self::Apply(apply) if apply.pinned => write!(f, "apply {} as read", apply.key),
            Self::Apply(apply) => write!(f, "apply {}", apply.key),
            Self::Release { key, .. } => write!(f, "release {key}"),
            Self::Prune { key, .. } => write!(f, "prune {key}"),
        }
    }
}

/// The merge patch that turns `from` into `to`; nothing when they are equal. Lists are replaced whole.
pub(super) fn merge_patch(from: &Value, to: &Value) -> Option<Value> {
    let (Value::Object(from), Value::Object(to)) = (from, to) else {
        return (from != to).then(|| to.clone());
    };
    let mut patch = serde_json::Map::new();
    for (name, value) in to {
        match from.get(name) {
            Some(old) => patch.extend(merge_patch(old, value).map(|inner| (name.clone(), inner))),
            // A null means "remove", so there is nothing to say where there is nothing.
            None if value.is_null() => {}
            None => {
                patch.insert(name.clone(), value.clone());
            }
        }
    }
    for (name, old) in from {
        if !to.contains_key(name) && !old.is_null() {
            patch.insert(name.clone(), Value::Null);
        }
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

/// Puts a patch of the status into a patch of the whole Application.
pub(super) fn status_patch(old: &Value, new: &Value) -> Option<Value> {
    merge_patch(old, new).map(|patch| json!({ "status": patch }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_merge_patch_holds_the_difference_only() {
        let old = json!({ "a": 1, "b": { "c": 2, "d": 3 }, "e": [1], "gone": true });
        let new = json!({ "a": 1, "b": { "c": 2, "d": 4 }, "e": [1, 2] });
        let want = json!({ "b": { "d": 4 }, "e": [1, 2], "gone": null });
        assert_eq!(merge_patch(&old, &new), Some(want));
        assert_eq!(merge_patch(&old, &old), None);
    }
}
