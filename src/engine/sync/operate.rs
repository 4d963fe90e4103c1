//! Carries out a sync that somebody asked for: a client, a person with `kubectl`, or automation.
//!
//! The request is the Application's top-level `operation`; its progress is `status.operationState`. Both
//! are upstream's protocol, so a sync that another controller began goes on here and the other way round.

mod result;
mod stage;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};
use tidegate_api::source::{
    History, OperationPhase, OperationState, ResourceResult, SyncOperation, SyncResult,
};

use self::result::Results;
use self::stage::{Stage, stage};
use super::automate::wipes;
use super::compare::{Comparison, Pair, compare};
use super::look::{Look, invalid, look};
use super::object::Key;
use super::options::has;
use super::plan::{Because, Outcome, Plan};
use super::project;
use super::remove;
use super::retry;
use super::status::{self, Draft, joined};
use super::subject::Subject;
use super::target::may_wait_for_kind;
use super::world::World;
use crate::plan::Notice;

/// How soon to look again at objects that pruning waits for, should no watch tell first.
const HEALTH_WAIT_SECONDS: i64 = 10;

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
    if run.state.phase == OperationPhase::Terminating {
        return run.end(OperationPhase::Failed, "Operation terminated", &[]);
    }
    let errors = invalid(world, &subject);
    if let Some((type_, message)) = errors.first() {
        return run.end(OperationPhase::Error, &format!("{type_}: {message}"), &[]);
    }
    if let Some(message) = run.refusal() {
        return run.end(OperationPhase::Error, &message, &[]);
    }
    let comparison = match compare(world, &subject) {
        Ok(comparison) => comparison,
        Err(message) => return run.end(OperationPhase::Error, &format!("ComparisonError: {message}"), &[]),
    };
    if let Some((message, results)) = run.failure(&comparison) {
        return run.end(OperationPhase::Failed, &message, &results);
    }
    if run.sync.dry_run == Some(true) {
        let results = Results::new(&run.sync, &comparison, &subject.sync_options()).dry();
        return run.end(OperationPhase::Succeeded, "successfully synced (dry run)", &results);
    }
    run.carry_on(&comparison)
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
            Some(state) if !state.phase.is_completed() => state.clone(),
            Some(_) | None => begin(),
        };
        Self { world, subject, sync, state, revision }
    }

    /// What of the request is not implemented and would do something else than was asked.
    fn refusal(&self) -> Option<String> {
        let given = |list: &Option<Vec<_>>| list.as_ref().is_some_and(|list| !list.is_empty());
        let strategy = self.sync.sync_strategy.clone().unwrap_or_default();
        let forced = [strategy.apply, strategy.hook].into_iter().flatten().any(|how| how.force == Some(true));
        let source = self.sync.source.as_ref();
        let other = source.is_some_and(|source| Some(source) != self.subject.spec.source.as_ref());
        let field = [
            (self.sync.sources.as_ref().is_some_and(|sources| !sources.is_empty()), "sources"),
            (given(&self.sync.revisions), "revisions"),
            (given(&self.sync.manifests), "manifests"),
            (forced, "syncStrategy with force"),
            (other, "source other than spec.source"),
        ];
        let asked = field.into_iter().find_map(|(asked, name)| asked.then_some(name));
        asked.map(|name| format!("operation.sync.{name} is not implemented yet; ask for a sync without it"))
    }

    /// Why nothing may be written at all.
    fn failure(&self, comparison: &Comparison) -> Option<(String, Vec<ResourceResult>)> {
        let options = self.subject.sync_options();
        let results = Results::new(&self.sync, comparison, &options);
        let waits = |pair: &Pair| {
            pair.wanted.as_ref().is_some_and(|wanted| may_wait_for_kind(&wanted.object, &options))
        };
        let failed = results.failed(|pair| pair.unserved.clone().filter(|_| !waits(pair)));
        if let Some(first) = failed.first() {
            let reason = first.message.clone().unwrap_or_default();
            return Some((format!("one or more synchronization tasks are not valid: {reason}"), failed));
        }
        let failed = results.failed(|pair| pair.refused.clone());
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
        if comparison.shares && has(&options, "FailOnSharedResource=true") {
            let shared = comparison.warnings.iter().find(|(type_, _)| *type_ == "SharedResourceWarning");
            let message = shared.map(|(_, message)| message.as_str()).unwrap_or_default();
            return Some((format!("Shared resource found: {message}"), Vec::new()));
        }
        let automated = self.subject.spec.sync_policy.as_ref().and_then(|policy| policy.automated.clone());
        if self.sync.prune == Some(true) && wipes(comparison, &automated.unwrap_or_default()) {
            let message = "the source holds no manifests, so a sync would delete every object; set \
                           spec.syncPolicy.automated.allowEmpty if that is wanted";
            return Some((message.to_owned(), Vec::new()));
        }
        None
    }

    /// Why the destination namespace may not be made or labelled: a project permits kinds, and Namespace is one.
    fn namespace_refused(&self, comparison: &Comparison) -> Option<String> {
        stage::namespace(self.world, self.subject, comparison)?;
        let name = self.subject.project();
        let rules = project::rules(name, self.world.project.as_ref()).ok()?;
        let key =
            Key { kind: "Namespace".to_owned(), name: self.subject.namespace().to_owned(), ..Key::default() };
        let permitted = project::permits_kind(&rules, &key, false);
        (!permitted)
            .then(|| format!("{key} is not permitted in project {name}: CreateNamespace=true needs it"))
    }

    /// The next writes, the wait for them to take effect, or the end.
    fn carry_on(&self, comparison: &Comparison) -> Plan {
        match stage(self.world, self.subject, &self.sync, comparison) {
            Stage::Write(writes) => {
                let revision = self.revision.clone();
                let mut plan = Plan::nothing(Because::Syncing { revision, writes: writes.len() });
                self.note(&self.state, &mut plan);
                plan.writes = writes;
                plan
            }
            Stage::Wait(message) => {
                let state = OperationState { message: Some(message.clone()), ..self.state.clone() };
                let mut plan = Plan::nothing(Because::WaitingForHealth { message });
                self.note(&state, &mut plan);
                plan.wake =
                    self.world.now.checked_add(jiff::SignedDuration::from_secs(HEALTH_WAIT_SECONDS)).ok();
                plan
            }
            Stage::Broken(message) => self.end(OperationPhase::Failed, &message, &[]),
            Stage::Done => {
                let results = Results::new(&self.sync, comparison, &self.subject.sync_options()).unchanged();
                self.end(OperationPhase::Succeeded, "successfully synced (all tasks run)", &results)
            }
        }
    }

    /// Writes the state of an operation that goes on.
    fn note(&self, state: &OperationState, plan: &mut Plan) {
        let mut draft = Draft::new(self.world, self.subject);
        draft.set("operationState", state);
        draft.finish(plan);
    }

    /// Ends the operation, or turns its failure into a wait for the next attempt.
    fn end(&self, phase: OperationPhase, message: &str, results: &[ResourceResult]) -> Plan {
        let mut state = self.state.clone();
        let mut result = state.sync_result.take().unwrap_or_default();
        if result.revision.is_empty() {
            result.revision.clone_from(&self.revision);
        }
        result.resources = Some(result::merged(result.resources.unwrap_or_default(), results));
        state.phase = phase;
        state.message = Some(message.to_owned());
        // The status knows whole seconds only; an end must not seem older than the comparison before it.
        let compared = self.subject.reconciled_at().unwrap_or(self.world.now);
        state.finished_at = Some(Time(self.world.now.max(compared)));
        state.sync_result = Some(result);
        let was_terminated = self.state.phase == OperationPhase::Terminating;
        if !was_terminated {
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
    let Ok(comparison) = compare(world, &subject) else { return Plan::wait(world.now, plan.because.clone()) };
    let options = subject.sync_options();
    let results = Results::new(&run.sync, &comparison, &options).written(&plan.writes, outcomes);
    let failed = plan.writes.iter().zip(outcomes).find_map(|(planned, outcome)| match outcome {
        Outcome::Failed { message } => Some(format!("{}: {message}", planned.write)),
        Outcome::Done { .. } | Outcome::NotTried | Outcome::Stale => None,
    });
    if let Some(reason) = failed {
        let message = format!("one or more synchronization tasks completed unsuccessfully, reason: {reason}");
        return run.end(OperationPhase::Failed, &message, &results);
    }
    if stage::prunes_later(&subject, &run.sync, &comparison, &plan.writes) {
        let mut result = run
            .state
            .sync_result
            .clone()
            .unwrap_or_else(|| SyncResult { revision: run.revision.clone(), ..SyncResult::default() });
        result.resources = Some(result::merged(result.resources.unwrap_or_default(), &results));
        let message = "waiting for healthy state before pruning".to_owned();
        let state =
            OperationState { sync_result: Some(result), message: Some(message.clone()), ..run.state.clone() };
        let mut plan = Plan::wait(world.now, Because::WaitingForHealth { message });
        run.note(&state, &mut plan);
        return plan;
    }
    run.end(OperationPhase::Succeeded, "successfully synced (all tasks run)", &results)
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
