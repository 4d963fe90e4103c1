//! What a sync says about each object, and what it remembers by that: which tasks are begun, done or failed.
//!
//! The record of a hook is written before the hook: one that says nothing of an outcome yet means "may be there
//! or not". So a controller that starts again in between neither runs a hook twice nor leaves one out.

use serde_json::Value;
use tidegate_api::source::{OperationPhase, OperationState, ResourceResult, ResultCode, SyncOperation};

use super::super::compare::{Comparison, Pair};
use super::super::hook::HookPhase;
use super::super::object::{Key, is_going, text};
use super::super::options;
use super::super::plan::Outcome;
use super::selects;
use super::task::{Task, Work, needs_apply};

/// The results so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Records(Vec<ResourceResult>);

impl Records {
    /// What the state of an operation remembers.
    pub(super) fn read(state: &OperationState) -> Self {
        let result = state.sync_result.as_ref();
        Self(result.and_then(|result| result.resources.clone()).unwrap_or_default())
    }

    pub(super) fn into_inner(self) -> Option<Vec<ResourceResult>> {
        Some(self.0).filter(|results| !results.is_empty())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn at(&self, task: &Task) -> Option<usize> {
        self.0.iter().position(|record| is_of(record, task.key(), task.step.0.phase()))
    }

    pub(super) fn of(&self, task: &Task) -> Option<&ResourceResult> {
        self.at(task).and_then(|at| self.0.get(at))
    }

    /// Whether a task is not begun. A hook of which only the intention is written is not.
    pub(super) fn is_pending(&self, task: &Task) -> bool {
        self.of(task).is_none_or(|record| task.is_hook() && record.status.is_none())
    }

    /// Whether a task is begun and not done.
    pub(super) fn is_running(&self, task: &Task) -> bool {
        !self.is_pending(task)
            && self.of(task).is_some_and(|record| {
                record.status == Some(ResultCode::Synced)
                    && record.hook_phase == Some(OperationPhase::Running)
            })
    }

    /// The hooks that were begun, with the phase each is in.
    pub(super) fn hooks(&self) -> impl Iterator<Item = (Key, OperationPhase)> {
        let hooks = self.0.iter().filter(|record| record.hook_type.as_ref().is_some_and(|t| !t.is_empty()));
        hooks.map(|record| (key(record), record.hook_phase.unwrap_or(OperationPhase::Running)))
    }

    /// Whether this sync has pruned an object.
    pub(super) fn has_pruned(&self, pruned: &Key) -> bool {
        self.0.iter().any(|record| record.status == Some(ResultCode::Pruned) && key(record) == *pruned)
    }

    /// Why the sync cannot succeed any more: the first failure outside the hooks of a failed sync.
    pub(super) fn failure(&self) -> Option<String> {
        let regular = self.0.iter().filter(|record| record.sync_phase.as_deref() != Some("SyncFail"));
        let failed = regular.into_iter().find(|record| is_failure(record))?;
        let message = failed.message.clone().unwrap_or_default();
        Some(format!("{}: {message}", key(failed)))
    }

    /// Puts a record in the place of an earlier one about the same.
    pub(super) fn put(&mut self, record: ResourceResult) {
        let phase = record.sync_phase.clone().unwrap_or_default();
        match self.0.iter_mut().find(|old| is_of(old, &key(&record), &phase)) {
            Some(old) => *old = record,
            None => self.0.push(record),
        }
    }

    pub(super) fn put_all(&mut self, records: Vec<ResourceResult>) {
        for record in records {
            self.put(record);
        }
    }

    /// Adds records about what has none yet.
    pub(super) fn put_new(&mut self, records: Vec<ResourceResult>) {
        for record in records {
            let phase = record.sync_phase.clone().unwrap_or_default();
            if !self.0.iter().any(|old| is_of(old, &key(&record), &phase)) {
                self.0.push(record);
            }
        }
    }

    /// Notes that a hook is there of which only the intention was written.
    pub(super) fn found(&mut self, task: &Task) {
        self.put(change(task, "created"));
    }

    /// Notes that a hook is about to be created.
    pub(super) fn intend(&mut self, task: &Task) {
        self.put(ResourceResult {
            status: None,
            message: None,
            ..record(task, ResultCode::Synced, String::new())
        });
    }

    /// Notes what became of a task that was begun.
    pub(super) fn settle(&mut self, task: &Task, phase: OperationPhase, message: &str) {
        let Some(record) = self.at(task).and_then(|at| self.0.get_mut(at)) else { return };
        record.status = Some(ResultCode::Synced);
        record.hook_phase = Some(phase);
        if !message.is_empty() {
            record.message = Some(message.to_owned());
        }
    }

    /// Notes how the write of a task went. A task without one was as Git wants it.
    pub(super) fn write(&mut self, task: &Task, outcome: Option<&Outcome>) {
        let made = match (outcome, task.work) {
            (Some(Outcome::Failed { message }), _) => record(task, ResultCode::SyncFailed, message.clone()),
            (Some(Outcome::NotTried | Outcome::Stale), _) => return,
            (Some(Outcome::Done { .. }), Work::Prune(_)) => {
                record(task, ResultCode::Pruned, "pruned".to_owned())
            }
            (None, Work::Prune(_) | Work::Run(_)) => return,
            (None, Work::Apply(_)) => change(task, "unchanged"),
            (Some(Outcome::Done { resource_version }), Work::Apply(_) | Work::Run(_)) => {
                let before = task.live().map(|live| text(live, "/metadata/resourceVersion"));
                change(
                    task,
                    match (before, resource_version.as_deref()) {
                        (None, _) => "created",
                        (Some(before), Some(after)) if before == after => "unchanged",
                        (Some(_), Some(_) | None) => "configured",
                    },
                )
            }
        };
        self.put(made);
    }
}

fn is_failure(record: &ResourceResult) -> bool {
    record.status == Some(ResultCode::SyncFailed)
        || matches!(record.hook_phase, Some(OperationPhase::Failed | OperationPhase::Error))
}

fn is_of(record: &ResourceResult, key: &Key, phase: &str) -> bool {
    (&record.group, &record.kind, &record.namespace, &record.name)
        == (&key.group, &key.kind, &key.namespace, &key.name)
        && record.sync_phase.as_deref().unwrap_or("Sync") == phase
}

fn key(record: &ResourceResult) -> Key {
    Key {
        group: record.group.clone(),
        kind: record.kind.clone(),
        namespace: record.namespace.clone(),
        name: record.name.clone(),
    }
}

fn change(task: &Task, what: &str) -> ResourceResult {
    record(task, ResultCode::Synced, format!("{} {what}", shown(task.key())))
}

fn record(task: &Task, code: ResultCode, message: String) -> ResourceResult {
    let phase = task.step.0.phase();
    let hook_type = task.is_hook().then(|| phase.to_owned());
    ResourceResult { hook_type, ..result(task.key(), task.version(), phase, code, message) }
}

fn result(key: &Key, version: &str, phase: &str, code: ResultCode, message: String) -> ResourceResult {
    let outcome = match code {
        ResultCode::Synced => OperationPhase::Running,
        ResultCode::SyncFailed => OperationPhase::Failed,
        ResultCode::Pruned | ResultCode::PruneSkipped => OperationPhase::Succeeded,
    };
    ResourceResult {
        group: key.group.clone(),
        version: version.to_owned(),
        kind: key.kind.clone(),
        namespace: key.namespace.clone(),
        name: key.name.clone(),
        status: Some(code),
        message: Some(message),
        hook_type: None,
        hook_phase: Some(outcome),
        sync_phase: Some(phase.to_owned()),
        images: None,
    }
}

/// An object as `kubectl` names it: `deployment.apps/web`.
fn shown(key: &Key) -> String {
    let kind = key.kind.to_lowercase();
    if key.group.is_empty() {
        format!("{kind}/{}", key.name)
    } else {
        format!("{kind}.{}/{}", key.group, key.name)
    }
}

/// The tasks that fail for a reason that is known before anything is written.
pub(super) fn refused(tasks: &[Task], why: impl Fn(&Task) -> Option<String>) -> Vec<ResourceResult> {
    let failed = tasks.iter().filter_map(|task| why(task).map(|message| (task, message)));
    failed.map(|(task, message)| record(task, ResultCode::SyncFailed, message)).collect()
}

/// What tasks would do.
pub(super) fn dry(tasks: &[Task]) -> Vec<ResourceResult> {
    let dry = |task: &Task| match task.work {
        Work::Prune(_) => record(task, ResultCode::Pruned, "pruned (dry run)".to_owned()),
        Work::Run(_) => change(task, "created (dry run)"),
        Work::Apply(pair) => {
            let what = match pair.live {
                None => "created",
                Some(_) if needs_apply(pair) => "configured",
                Some(_) => "unchanged",
            };
            change(task, &format!("{what} (dry run)"))
        }
    };
    tasks.iter().map(dry).collect()
}

/// The objects that are not in Git and stay even so, and why.
pub(super) fn kept(sync: &SyncOperation, comparison: &Comparison, options: &[String]) -> Vec<ResourceResult> {
    let why = |pair: &Pair, live: &Value| {
        if options::applies(live, options, "Prune=false") {
            Some("ignored (no prune)")
        } else if sync.prune != Some(true) {
            Some("ignored (requires pruning)")
        } else if is_going(live) {
            Some("ignored (is being deleted already)")
        } else if options::applies(live, options, "Prune=confirm") {
            Some("ignored (waits for a confirmation)")
        } else {
            None
        }
        .map(|why| {
            result(&pair.key, &pair.version, HookPhase::Sync.name(), ResultCode::PruneSkipped, why.to_owned())
        })
    };
    let extra = comparison.pairs.iter().filter(|pair| pair.requires_pruning() && selects(sync, pair));
    extra.filter_map(|pair| pair.live.and_then(|live| why(pair, live))).collect()
}
