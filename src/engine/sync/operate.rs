//! Carries out a sync that somebody asked for: a client, a person with `kubectl`, or automation.
//!
//! The request is the Application's top-level `operation`; its progress is `status.operationState`. Both
//! are upstream's protocol, so a sync that another controller began goes on here and the other way round.

mod request;
mod result;
mod stage;
mod task;
mod well;
mod write;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};
use tidegate_api::source::{History, OperationPhase, OperationState, ResourceResult, SyncOperation};

pub(super) use self::request::{pinned, source};
use self::result::Records;
use self::stage::{Next, Stage, Then};
use self::task::{Task, Work};
pub(super) use self::write::release;
use self::write::{Close, cleanup};
use super::automate::wipes;
use super::compare::{Comparison, Pair, compare};
use super::look::{Look, invalid, look};
use super::object::Key;
use super::options::has;
use super::plan::{Because, Outcome, Plan, Write};
use super::project;
use super::remove;
use super::retry;
use super::status::{self, Draft, joined};
use super::subject::Subject;
use super::target::may_wait_for_kind;
use super::world::{Cluster, Failing, Prediction, Unread, World};
use crate::plan::Notice;

/// How soon to look again at what is waited for, should no watch tell first.
const WAIT: SignedDuration = SignedDuration::from_secs(10);
/// How soon to look at what was just begun, as upstream waits between waves.
const SOON: SignedDuration = SignedDuration::from_secs(2);
/// How long a sync waits for a repository that is not answered: longer than a server's maintenance takes. What has begun
/// and cannot be read any more would wait for ever.
const GIT_WAIT_SECONDS: i64 = 3600;

/// One operation under way.
struct Run<'a> {
    world: &'a World,
    subject: &'a Subject<'a>,
    sync: SyncOperation,
    state: OperationState,
    /// The commit, once it is known.
    revision: String,
}

/// The next writes of an operation, or its end.
pub(super) fn plan(world: &World) -> Plan {
    let subject = match Subject::read(&world.application) {
        Ok(subject) => subject,
        Err(error) => return status::invalid(world, vec![("InvalidSpecError", error)]),
    };
    let run = Run::new(world, &subject);
    let Next { records, then } = run.decide();
    let writes = match then {
        Then::End { phase, message, cleanup, again } if cleanup.is_empty() => {
            return run.end(phase, &message, records, again);
        }
        Then::Wait { message, until } => return run.wait(message, until, records),
        Then::End { cleanup: writes, .. } | Then::Begin(writes) | Then::Clear(writes) => writes,
    };
    let revision = run.revision.clone();
    let mut plan = Plan::nothing(Because::Syncing { revision, writes: writes.len() });
    run.note(run.state.message.clone(), records, &mut plan);
    plan.writes = writes;
    plan
}

impl<'a> Run<'a> {
    fn new(world: &'a World, subject: &'a Subject<'a>) -> Self {
        let sync =
            subject.operation.as_ref().and_then(|operation| operation.sync.clone()).unwrap_or_default();
        let raw = subject.raw.get("operation").cloned().unwrap_or_default();
        let fetched = world.source.as_ref().and_then(|source| source.as_ref().ok());
        let revision = fetched.map(|fetched| fetched.revision.clone()).unwrap_or_default();
        let begin = || status::begin(world, subject, &raw, &revision);
        let state = match &subject.status.operation_state {
            // `Running` with an end is a wait for the next attempt, which begins now.
            Some(state) if state.phase == OperationPhase::Running && state.finished_at.is_some() => {
                OperationState {
                    started_at: state.started_at.clone(),
                    retry_count: state.retry_count,
                    ..begin()
                }
            }
            Some(state) if !state.phase.is_completed() => {
                let started_at = state.started_at.clone().or(Some(Time(world.now)));
                OperationState { started_at, ..state.clone() }
            }
            Some(_) | None => begin(),
        };
        let pinned = state.sync_result.as_ref().map(|result| result.revision.clone());
        let revision = Some(revision).filter(|revision| !revision.is_empty()).or(pinned).unwrap_or_default();
        Self { world, subject, sync, state, revision }
    }

    /// What comes next.
    fn decide(&self) -> Next {
        let records = Records::read(&self.state);
        if self.state.phase == OperationPhase::Terminating {
            return self.stop(OperationPhase::Failed, "Operation terminated".to_owned(), records);
        }
        if let Some((type_, message)) = invalid(self.world, self.subject).first() {
            return self.stop(OperationPhase::Error, format!("{type_}: {message}"), records);
        }
        if let Some(message) = request::refusal(self.world, self.subject, &self.sync) {
            return self.stop(OperationPhase::Error, message, records);
        }
        let comparison = match compare(self.world, self.subject) {
            Ok(comparison) => comparison,
            // What is begun is not given up because somebody does not answer for a moment.
            Err(message) if !records.is_empty() && self.is_unanswered() => {
                return Next {
                    records,
                    then: Then::Wait { message: format!("ComparisonError: {message}"), until: None },
                };
            }
            Err(message) => {
                return self.stop(OperationPhase::Error, format!("ComparisonError: {message}"), records);
            }
        };
        let stage = Stage::new(self, &comparison);
        if let Some((message, failed)) = self.failure(&comparison, &stage) {
            let mut next = self.stop(OperationPhase::Failed, message, records);
            next.records.put_all(failed);
            return next;
        }
        if self.sync.dry_run == Some(true) {
            let mut next =
                self.stop(OperationPhase::Succeeded, "successfully synced (dry run)".to_owned(), records);
            next.records.put_all(result::dry(&stage.tasks.list));
            next.records.put_new(result::kept(&self.sync, &comparison, &stage.options));
            return next;
        }
        stage.next()
    }

    /// The end of a sync that goes no further. Hooks that run are stopped; where the cluster was not read, because the
    /// project names nobody to act there, they would keep their finalizer for ever, so that is waited for.
    fn stop(&self, phase: OperationPhase, message: String, records: Records) -> Next {
        let left = records.hooks().next().filter(|_| self.world.cluster.is_none());
        if let Some((hook, _)) = left {
            let message = format!(
                "{message}; waiting until somebody may act in the destination again, to clear away hook {hook}"
            );
            return Next { records, then: Then::Wait { message, until: None } };
        }
        let cleanup = cleanup(self.world.cluster.as_ref(), &records, Close::Stopped);
        Next { records, then: Then::End { phase, message, cleanup, again: true } }
    }

    /// Whether Git or the cluster could not be read in full, and may be a moment later.
    fn is_unanswered(&self) -> bool {
        let unanswered = |cluster: &Cluster| {
            let predicted = cluster.predicted.values();
            !cluster.unread.is_empty()
                || predicted.into_iter().any(|prediction| matches!(prediction, Prediction::Unanswered(_)))
        };
        let waits =
            |failing: &Failing| self.world.now.as_second() - failing.since.as_second() < GIT_WAIT_SECONDS;
        match &self.world.source {
            Some(Err(Unread::Refused(_))) => return false,
            Some(Err(Unread::Unanswered(_))) => return self.world.stalled.as_ref().is_none_or(waits),
            Some(Ok(_)) | None => {}
        }
        self.world.settings.is_err() || self.world.cluster.as_ref().is_some_and(unanswered)
    }

    /// The commit that this automated sync keeps from being synced.
    fn newer_commit(&self) -> Option<&str> {
        let asked = self.subject.operation.as_ref()?.initiated_by.as_ref()?;
        let is_automated = asked.automated == Some(true) && self.subject.automated().is_some();
        self.subject.compared_revision().filter(|commit| is_automated && *commit != self.revision)
    }

    /// Why nothing may be written at all. What the server says beforehand counts only before anything is begun.
    fn failure(&self, comparison: &Comparison, stage: &Stage) -> Option<(String, Vec<ResourceResult>)> {
        let automated = self.subject.spec.sync_policy.as_ref().and_then(|policy| policy.automated.clone());
        if self.sync.prune == Some(true) && wipes(comparison, &automated.unwrap_or_default()) {
            let message = "the source holds no manifests, so a sync would delete every object; set \
                           spec.syncPolicy.automated.allowEmpty if that is wanted";
            return Some((message.to_owned(), Vec::new()));
        }
        if !stage.records.is_empty() {
            return None;
        }
        let tasks = &stage.tasks.list;
        let failed = result::refused(tasks, |task| unserved(task, &stage.options));
        if let Some(first) = failed.first() {
            let reason = first.message.clone().unwrap_or_default();
            return Some((format!("one or more synchronization tasks are not valid: {reason}"), failed));
        }
        let failed = result::refused(tasks, |task| match task.work {
            Work::Apply(pair) | Work::Prune(pair) => pair.refused.clone(),
            Work::Run(hook) => hook.refused.clone(),
        });
        if let Some(first) = failed.first() {
            let reason =
                format!("{} {}: {}", first.kind, first.name, first.message.clone().unwrap_or_default());
            return Some((
                format!("one or more objects failed to apply (dry run), reason: {reason}"),
                failed,
            ));
        }
        if let Some(message) = self.namespace_refused(comparison) {
            return Some((message, Vec::new()));
        }
        if comparison.shares && has(&stage.options, "FailOnSharedResource=true") {
            let shared = comparison.warnings.iter().find(|(type_, _)| *type_ == "SharedResourceWarning");
            let message = shared.map(|(_, message)| message.as_str()).unwrap_or_default();
            return Some((format!("Shared resource found: {message}"), Vec::new()));
        }
        None
    }

    /// Why the destination namespace may not be made or labelled: a project permits kinds, and Namespace is one.
    fn namespace_refused(&self, comparison: &Comparison) -> Option<String> {
        write::namespace(self.world, self.subject, comparison)?;
        let name = self.subject.project();
        let rules = project::rules(name, self.world.project.as_ref()).ok()?;
        let key =
            Key { kind: "Namespace".to_owned(), name: self.subject.namespace().to_owned(), ..Key::default() };
        let permitted = project::permits_kind(&rules, &key, false);
        (!permitted)
            .then(|| format!("{key} is not permitted in project {name}: CreateNamespace=true needs it"))
    }

    /// The state of this operation with these results.
    fn state(&self, message: Option<String>, records: Records) -> OperationState {
        let mut result = self.state.sync_result.clone().unwrap_or_default();
        if result.revision.is_empty() {
            result.revision.clone_from(&self.revision);
        }
        result.resources = records.into_inner();
        OperationState { message, sync_result: Some(result), ..self.state.clone() }
    }

    /// Waits for what was begun.
    fn wait(&self, message: String, until: Option<Timestamp>, records: Records) -> Plan {
        let mut plan = Plan::nothing(Because::WaitingForHealth { message: message.clone() });
        self.note(Some(message), records, &mut plan);
        plan.wake = until.or_else(|| self.world.now.checked_add(WAIT).ok());
        plan
    }

    /// Writes the state of an operation that goes on.
    fn note(&self, message: Option<String>, records: Records, plan: &mut Plan) {
        let mut draft = Draft::new(self.world, self.subject);
        draft.set("operationState", &self.state(message, records));
        draft.finish(plan);
    }

    /// Ends the operation, or turns its failure into a wait for the next attempt.
    fn end(&self, phase: OperationPhase, message: &str, records: Records, again: bool) -> Plan {
        let mut state = self.state(Some(message.to_owned()), records);
        state.phase = phase;
        // The status knows whole seconds only; an end must not seem older than the comparison before it.
        let compared = self.subject.reconciled_at().unwrap_or(self.world.now);
        state.finished_at = Some(Time(self.world.now.max(compared)));
        let was_terminated = self.state.phase == OperationPhase::Terminating;
        if again && !was_terminated {
            retry::settle(&mut state, self.world.now);
        }
        self.ended(&state)
    }

    fn ended(&self, state: &OperationState) -> Plan {
        let message = state.message.clone().unwrap_or_default();
        let mut draft = Draft::new(self.world, self.subject);
        draft.set("operationState", state);
        if state.phase == OperationPhase::Succeeded && self.is_whole() {
            draft.set("history", &self.history(state));
        }
        let mut plan = match retry::waits_until(state) {
            Some(until) => {
                Plan::wait(until, Because::RetryAt { until, attempt: state.retry_count.unwrap_or(0) })
            }
            None => {
                let phase = format!("{:?}", state.phase);
                Plan::wait(self.world.now, Because::SyncEnded { phase, message: message.clone() })
            }
        };
        draft.finish(&mut plan);
        if state.phase.is_completed() {
            plan.patch = joined(plan.patch.take(), Some(json!({ "operation": null })));
            plan.notices.push(self.completed(state, &message));
        }
        plan
    }

    /// The event for the end, in upstream's words.
    fn completed(&self, state: &OperationState, message: &str) -> Notice {
        let what = if self.sync.resources.is_some() { "Partial sync operation" } else { "Sync operation" };
        let revision = state.sync_result.as_ref().map(|result| result.revision.as_str()).unwrap_or_default();
        if state.phase == OperationPhase::Succeeded {
            Notice::normal("OperationCompleted", format!("{what} to {revision} succeeded"))
        } else {
            Notice::warning("OperationCompleted", format!("{what} to {revision} failed: {message}"))
        }
    }

    /// Whether the operation was about the whole Application and not just a question.
    fn is_whole(&self) -> bool {
        self.sync.resources.as_ref().is_none_or(Vec::is_empty) && self.sync.dry_run != Some(true)
    }

    /// The history with this sync at its end, cut to its limit.
    fn history(&self, state: &OperationState) -> Option<Vec<History>> {
        let mut history = self.subject.status.history.clone().unwrap_or_default();
        let result = state.sync_result.clone().unwrap_or_default();
        let by = state.operation.get("initiatedBy").cloned().and_then(|by| serde_json::from_value(by).ok());
        history.push(History {
            id: history.iter().map(|entry| entry.id + 1).max().unwrap_or(0),
            revision: Some(result.revision),
            source: result.source,
            deploy_started_at: state.started_at.clone(),
            deployed_at: Some(Time(self.world.now)),
            initiated_by: by,
            ..History::default()
        });
        let surplus = history.len().saturating_sub(self.subject.history_limit());
        history.drain(..surplus);
        Some(history).filter(|history| !history.is_empty())
    }
}

/// Decides after the writes of a plan, given how each of them went and the time. The Application in `world`
/// is the one that the plan's own patch left behind.
#[must_use]
pub fn conclude(world: &World, plan: &Plan, outcomes: &[Outcome], now: Timestamp) -> Plan {
    let mut world = world.clone();
    world.now = now;
    if outcomes.iter().any(|outcome| matches!(outcome, Outcome::Stale)) {
        // The object is not the one that was read any more; the next look reads it again.
        return Plan::wait(now, plan.because.clone());
    }
    match look(&world) {
        Look::Remove => remove::conclude(&world, plan, outcomes),
        Look::Leave(_)
        | Look::Wait { .. }
        | Look::Invalid { .. }
        | Look::Operate(_)
        | Look::Compare { .. } => conclude_sync(&world, plan, outcomes),
    }
}

fn conclude_sync(world: &World, plan: &Plan, outcomes: &[Outcome]) -> Plan {
    let Ok(subject) = Subject::read(&world.application) else {
        return Plan::wait(world.now, plan.because.clone());
    };
    let run = Run::new(world, &subject);
    let failed = plan.writes.iter().zip(outcomes).find_map(|(planned, outcome)| match outcome {
        Outcome::Failed { message } => Some(format!("{}: {message}", planned.write)),
        Outcome::Done { .. } | Outcome::NotTried | Outcome::Stale => None,
    });
    let unsuccessful =
        |reason| format!("one or more synchronization tasks completed unsuccessfully, reason: {reason}");
    // The world is as it was before the writes, so the decision is the one that led to them.
    let Next { records, then } = run.decide();
    match (then, failed) {
        (Then::End { phase, message, again, .. }, failed) => {
            let left = failed.map(|why| format!("; a hook could not be cleared away: {why}"));
            run.end(phase, &format!("{message}{}", left.unwrap_or_default()), records, again)
        }
        (Then::Clear(_), Some(reason)) => {
            run.end(OperationPhase::Failed, &unsuccessful(reason), records, true)
        }
        (Then::Clear(_) | Then::Wait { .. }, _) => Plan::wait(world.now, plan.because.clone()),
        (Then::Begin(_), failed) => run.begun(plan, outcomes, failed.map(unsuccessful)),
    }
}

impl Run<'_> {
    /// Decides after tasks were begun.
    fn begun(&self, plan: &Plan, outcomes: &[Outcome], failed: Option<String>) -> Plan {
        let Ok(comparison) = compare(self.world, self.subject) else {
            return Plan::wait(self.world.now, plan.because.clone());
        };
        let Stage { tasks, mut records, options, .. } = Stage::new(self, &comparison);
        let on_failure = records.failure().is_some();
        let begun: Vec<Task> = if on_failure {
            tasks.on_failure().filter(|task| records.is_pending(task)).copied().collect()
        } else {
            tasks.pending(&records)
        };
        for task in &begun {
            let outcome = plan.writes.iter().zip(outcomes).find(|(planned, _)| match &planned.write {
                Write::Apply(apply) => apply.key == *task.key(),
                Write::Prune { key, .. } => key == task.key(),
                Write::Namespace { .. } | Write::Adopt { .. } | Write::Release { .. } => false,
            });
            records.write(task, outcome.map(|(_, outcome)| outcome));
        }
        if let Some(message) = failed {
            records.put_new(result::kept(&self.sync, &comparison, &options));
            if records.failure().is_none() || !tasks.list.iter().any(Task::is_hook) {
                return self.end(OperationPhase::Failed, &message, records, true);
            }
        } else if !on_failure && begun.first().is_none_or(|task| tasks.ends_with(task.step)) {
            records.put_new(result::kept(&self.sync, &comparison, &options));
            let message = "successfully synced (all tasks run)";
            return self.end(OperationPhase::Succeeded, message, records, true);
        }
        let message = stage::running(&begun, &records);
        let until = self.world.now.checked_add(SOON).unwrap_or(self.world.now);
        let because = Because::WaitingForHealth { message: message.clone().unwrap_or_default() };
        let mut plan = Plan::wait(until, because);
        self.note(message.or_else(|| self.state.message.clone()), records, &mut plan);
        plan
    }
}

/// Why the cluster cannot take what a task applies, unless that may wait for its kind.
fn unserved(task: &Task, options: &[String]) -> Option<String> {
    let (unserved, object) = match task.work {
        Work::Apply(pair) => (&pair.unserved, pair.wanted.as_ref().map(|wanted| &wanted.object)),
        Work::Run(hook) => (&hook.unserved, Some(&hook.object)),
        Work::Prune(_) => return None,
    };
    let waits = object.is_some_and(|object| may_wait_for_kind(object, options));
    unserved.clone().filter(|_| !waits)
}

/// Whether the sync that is there begins with its hooks, so that the server can be asked about them first.
pub(super) fn begins_with_hooks(subject: &Subject) -> bool {
    let sync = subject.operation.as_ref().and_then(|operation| operation.sync.clone()).unwrap_or_default();
    let state = subject.status.operation_state.as_ref();
    let goes_on = state.is_some_and(|state| {
        !state.phase.is_completed() && state.finished_at.is_none() && !Records::read(state).is_empty()
    });
    subject.operation.is_some() && runs_hooks(&sync) && !goes_on
}

/// Whether a sync runs hooks: one that is about everything, unless it asks for objects alone.
fn runs_hooks(sync: &SyncOperation) -> bool {
    let strategy = sync.sync_strategy.clone().unwrap_or_default();
    sync.resources.as_ref().is_none_or(Vec::is_empty) && (strategy.apply.is_none() || strategy.hook.is_some())
}

/// Whether an operation's selection includes an object.
fn selects(sync: &SyncOperation, pair: &Pair) -> bool {
    let Some(resources) = sync.resources.as_ref().filter(|resources| !resources.is_empty()) else {
        return true;
    };
    resources.iter().any(|resource| {
        resource.group.as_deref().unwrap_or_default() == pair.key.group
            && resource.kind == pair.key.kind
            && resource.name == pair.key.name
            && resource.namespace.as_deref().is_none_or(|ns| ns.is_empty() || ns == pair.key.namespace)
    })
}

/// Whether an object may be pruned: it is there, it is not going already, and nothing keeps it.
fn may_prune(pair: &Pair, options: &[String]) -> bool {
    pair.requires_pruning()
        && pair.live.is_some_and(|live: &Value| {
            let kept = ["Prune=false", "Prune=confirm"];
            !super::object::is_going(live)
                && !kept.iter().any(|option| super::options::applies(live, options, option))
        })
}
