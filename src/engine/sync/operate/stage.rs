//! What a sync does next: begin tasks, clear something away first, wait, or end.
//!
//! Decided from what the cluster holds and from the results so far, so that a restart between any two writes
//! goes on where it was: what is applied is not applied again, and a hook runs once.

use jiff::Timestamp;
use serde_json::Value;
use tidegate_api::source::OperationPhase;

use super::super::compare::{Comparison, HookPair, Pair};
use super::super::hook;
use super::super::object::Key;
use super::super::plan::{Because, Planned};
use super::super::tracking::{Owner, owner};
use super::result::{Records, kept};
use super::task::{Task, Tasks, Work};
use super::well::{self, Verdict};
use super::write::{Close, applied, cleanup, hooked, namespace, pruned, release, removed};
use super::{Run, selects};

/// What comes next, and what is remembered from now on.
pub(super) struct Next {
    pub(super) records: Records,
    pub(super) then: Then,
}

/// What comes next.
pub(super) enum Then {
    /// Tasks are begun.
    Begin(Vec<Planned>),
    /// Something is cleared away before anything is begun.
    Clear(Vec<Planned>),
    /// What was begun is waited for.
    Wait { message: String, until: Option<Timestamp> },
    /// The sync ends once these writes are made.
    End { phase: OperationPhase, message: String, cleanup: Vec<Planned>, again: bool },
}

impl Then {
    /// The end of a sync that goes no further.
    pub(super) fn end(phase: OperationPhase, message: impl Into<String>) -> Self {
        Self::End { phase, message: message.into(), cleanup: Vec::new(), again: true }
    }

    fn wait(message: String) -> Self {
        Self::Wait { message, until: None }
    }
}

/// One sync and how far it is.
pub(super) struct Stage<'a> {
    run: &'a Run<'a>,
    comparison: &'a Comparison<'a>,
    pub(super) options: Vec<String>,
    pub(super) tasks: Tasks<'a>,
    pub(super) records: Records,
}

impl<'a> Stage<'a> {
    pub(super) fn new(run: &'a Run<'a>, comparison: &'a Comparison<'a>) -> Self {
        let options = run.subject.sync_options();
        let records = Records::read(&run.state);
        let tasks = Tasks::of(&run.sync, comparison, &options, &records);
        Self { run, comparison, options, tasks, records }
    }

    /// Says what comes next.
    pub(super) fn next(mut self) -> Next {
        // Each turn marks a step as begun, so there are no more turns than tasks.
        for _ in 0..=self.tasks.list.len() {
            let until = self.settle();
            if let Some(then) = self.blocked(until) {
                return Next { records: self.records, then };
            }
            let pending = self.tasks.pending(&self.records);
            let Some(first) = pending.first() else {
                return self.succeeded("successfully synced (no more tasks)");
            };
            let step = first.step;
            let then = self.begin(&pending);
            match then {
                Then::Begin(writes) if writes.is_empty() => {}
                then @ (Then::Begin(_) | Then::Clear(_) | Then::Wait { .. } | Then::End { .. }) => {
                    return Next { records: self.records, then };
                }
            }
            if self.tasks.ends_with(step) {
                if let Some(message) = self.going(|_| true) {
                    return Next { records: self.records, then: Then::wait(message) };
                }
                self.unchanged(&pending);
                return self.succeeded("successfully synced (all tasks run)");
            }
            self.unchanged(&pending);
        }
        self.succeeded("successfully synced (no more tasks)")
    }

    fn unchanged(&mut self, tasks: &[Task]) {
        for task in tasks {
            self.records.write(task, None);
        }
    }

    /// The end of a sync in which everything went well.
    fn succeeded(mut self, message: &str) -> Next {
        self.records.put_new(kept(&self.run.sync, self.comparison, &self.options));
        let cleanup = cleanup(self.run.world.cluster.as_ref(), &self.records, Close::Succeeded);
        let then =
            Then::End { phase: OperationPhase::Succeeded, message: message.to_owned(), cleanup, again: true };
        Next { records: self.records, then }
    }

    /// Looks at what was begun; says until when nothing can be known, where that is known.
    fn settle(&mut self) -> Option<Timestamp> {
        let mut later: Option<Timestamp> = None;
        for task in &self.tasks.list {
            match task.work {
                Work::Run(hook) => settle_hook(hook, task, &mut self.records),
                Work::Apply(pair) if self.tasks.waits && self.records.is_running(task) => {
                    match well::object(pair, self.run.world.now) {
                        Verdict::Well => self.records.settle(task, OperationPhase::Succeeded, ""),
                        Verdict::Ill(why) => self.records.settle(task, OperationPhase::Failed, &why),
                        Verdict::NotYet { until, .. } => {
                            later = until.map_or(later, |at| Some(later.map_or(at, |other| other.max(at))));
                        }
                    }
                }
                Work::Apply(_) | Work::Prune(_) => {}
            }
        }
        later
    }

    /// What keeps the next tasks from being begun.
    fn blocked(&mut self, until: Option<Timestamp>) -> Option<Then> {
        let released = self.released();
        if !released.is_empty() {
            return Some(Then::Clear(released));
        }
        let hooks = self.running(|task| task.is_hook());
        if !hooks.is_empty() {
            return Some(Then::wait(waiting("completion of hook", &hooks, "hooks")));
        }
        if let Some(reason) = self.records.failure() {
            return Some(self.failed(&reason));
        }
        let objects = self.running(|task| self.tasks.waits && matches!(task.work, Work::Apply(_)));
        if !objects.is_empty() {
            return Some(self.superseded(&objects).unwrap_or_else(|| Then::Wait {
                message: waiting("healthy state of", &objects, "resources"),
                until,
            }));
        }
        self.going(|pair| self.records.has_pruned(&pair.key)).map(Then::wait)
    }

    fn running(&self, which: impl Fn(&Task) -> bool) -> Vec<Task<'a>> {
        let running = self.tasks.regular().filter(|task| which(task) && self.records.is_running(task));
        running.copied().collect()
    }

    /// The way out of a failed sync: its hooks, then the end.
    fn failed(&mut self, reason: &str) -> Then {
        let hooks: Vec<Task> = self.tasks.on_failure().copied().collect();
        let pending: Vec<Task> = hooks.iter().filter(|task| self.records.is_pending(task)).copied().collect();
        if !pending.is_empty() {
            return self.begin(&pending);
        }
        let running: Vec<Task> = hooks.iter().filter(|task| self.records.is_running(task)).copied().collect();
        if !running.is_empty() {
            return Then::wait(waiting("completion of hook", &running, "hooks"));
        }
        let message = format!("one or more synchronization tasks completed unsuccessfully, reason: {reason}");
        let cleanup = cleanup(self.run.world.cluster.as_ref(), &self.records, Close::Failed);
        Then::End { phase: OperationPhase::Failed, message, cleanup, again: true }
    }

    /// Ends an automated sync that waits for a paused Rollout only, once there is a newer commit: the commit may
    /// be what mends the Rollout, and would wait for ever.
    fn superseded(&self, running: &[Task]) -> Option<Then> {
        let is_suspended = |task: &Task| match task.work {
            Work::Apply(pair) => {
                matches!(well::object(pair, self.run.world.now), Verdict::NotYet { suspended: true, .. })
            }
            Work::Prune(_) | Work::Run(_) => false,
        };
        let newer = self.run.newer_commit()?;
        let message = format!(
            "{}, which is suspended; {newer} is newer, so this sync is given up for it",
            waiting("healthy state of", running, "resources")
        );
        let cleanup = cleanup(self.run.world.cluster.as_ref(), &self.records, Close::Failed);
        let end = Then::End { phase: OperationPhase::Failed, message, cleanup, again: false };
        running.iter().all(is_suspended).then_some(end)
    }

    /// Pruned objects that have not gone yet.
    fn going(&self, which: impl Fn(&Pair) -> bool) -> Option<String> {
        if self.run.sync.prune != Some(true) {
            return None;
        }
        let left = self.comparison.pairs.iter();
        let left = left.filter(|pair| pair.is_going_extra() && selects(&self.run.sync, pair) && which(pair));
        let left: Vec<String> = left.map(|pair| path(&pair.key)).collect();
        (!left.is_empty()).then(|| format!("waiting for deletion of {}", left.join(", ")))
    }

    /// Takes the finalizer from hooks that have run.
    fn released(&self) -> Vec<Planned> {
        let is_used = |key: &Key| {
            self.tasks.list.iter().any(|other| other.key() == key && self.records.is_running(other))
        };
        let over = self.tasks.list.iter().filter(|task| {
            let begun = task.is_hook() && !self.records.is_pending(task);
            begun && !self.records.is_running(task) && !is_used(task.key())
        });
        let mut released: Vec<Planned> = Vec::new();
        for task in over {
            let write = task.live().and_then(|live| release(task.key(), live, Because::HookOver));
            released.extend(write.filter(|write| !released.contains(write)));
        }
        released
    }

    /// Begins tasks of one step. Hooks that are to run anew first lose what is left of them.
    fn begin(&mut self, tasks: &[Task]) -> Then {
        let is_old = |hook: &HookPair| hook.live.is_some() && hook::is_made_anew(&hook.object);
        let old: Vec<(&Key, &Value)> = tasks
            .iter()
            .filter_map(|task| match task.work {
                Work::Run(hook) if is_old(hook) => hook.live.map(|live| (&hook.key, live)),
                Work::Run(_) | Work::Apply(_) | Work::Prune(_) => None,
            })
            .collect();
        if let Some(message) = old.iter().find_map(|(key, live)| self.belongs_elsewhere(key, live)) {
            return Then::end(OperationPhase::Failed, message);
        }
        if !old.is_empty() {
            let writes: Vec<Planned> =
                old.iter().flat_map(|(key, live)| removed(key, live, &Because::LeftOver)).collect();
            if writes.is_empty() {
                let names: Vec<String> = old.iter().map(|(key, _)| path(key)).collect();
                return Then::wait(format!("waiting for deletion of hook {}", names.join(", ")));
            }
            return Then::Clear(writes);
        }
        let mut writes: Vec<Planned> =
            namespace(self.run.world, self.run.subject, self.comparison).into_iter().collect();
        for task in tasks {
            match task.work {
                Work::Apply(pair) => writes.extend(applied(pair)),
                Work::Prune(pair) => writes.extend(pruned(pair, &self.options)),
                Work::Run(hook) => {
                    self.records.intend(task);
                    writes.push(hooked(hook, task.step.0.phase()));
                }
            }
        }
        Then::Begin(writes)
    }

    /// Why what has a hook's name may not be deleted to make room for the hook.
    fn belongs_elsewhere(&self, key: &Key, live: &Value) -> Option<String> {
        match owner(live) {
            Owner::Application(name) if name != self.run.subject.name() => Some(format!(
                "{key} would have to be deleted for a hook of that name, but belongs to application {name}"
            )),
            Owner::Application(_) | Owner::Nobody | Owner::Copied => None,
        }
    }
}

/// Looks at one hook.
fn settle_hook(hook: &HookPair, task: &Task, records: &mut Records) {
    if records.is_pending(task) {
        // The intention is written only when nothing of that name is there, so what is there now is this hook.
        if records.of(task).is_none() || hook.live.is_none() || !hook::is_made_anew(&hook.object) {
            return;
        }
        records.found(task);
    }
    if !records.is_running(task) {
        return;
    }
    match hook.live {
        None => records.settle(task, OperationPhase::Error, "it was deleted while it ran"),
        Some(live) => match well::hook(live) {
            (OperationPhase::Failed, message) if message.is_empty() => {
                records.settle(task, OperationPhase::Failed, "the hook failed");
            }
            (phase, message) => records.settle(task, phase, &message),
        },
    }
}

fn path(key: &Key) -> String {
    format!("{}/{}/{}", key.group, key.kind, key.name)
}

/// What is waited for, in upstream's words.
fn waiting(what: &str, tasks: &[Task], plural: &str) -> String {
    let first = tasks.first().map(|task| path(task.key())).unwrap_or_default();
    match tasks.len().saturating_sub(1) {
        0 => format!("waiting for {what} {first}"),
        more => format!("waiting for {what} {first} and {more} more {plural}"),
    }
}

/// What the tasks that were just begun are waited for by.
pub(super) fn running(tasks: &[Task], records: &Records) -> Option<String> {
    let running: Vec<Task> = tasks.iter().filter(|task| records.is_running(task)).copied().collect();
    let hooks: Vec<Task> = running.iter().filter(|task| task.is_hook()).copied().collect();
    if !hooks.is_empty() {
        return Some(waiting("completion of hook", &hooks, "hooks"));
    }
    (!running.is_empty()).then(|| waiting("healthy state of", &running, "resources"))
}
