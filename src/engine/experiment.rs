//! The decision for one Experiment: pods that run beside a workload for a while, and the analyses of them.
//!
//! Input: an [`ExperimentWorld`]. Output: a [`Plan`]. Total and deterministic, as the decisions about Rollouts are. The
//! order of the writes is the order of safety: measuring stops before the pods that are measured go, pods and Services
//! come before the runs that ask them, the status comes last.

#[cfg(test)]
mod cases;
mod phase;
mod plan;
mod refusal;
mod runs;
mod services;
mod status;
mod templates;
#[cfg(test)]
mod tests;
mod text;
mod valid;
mod world;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tidegate_api::experiment::{Experiment, ExperimentStatus, TemplateSpec, TemplateStatus};
use tidegate_api::go_duration::parse_nanoseconds;
use tidegate_api::phase::{AnalysisPhase, TemplateStatusCode};

use crate::plan::Notice;
use crate::time::whole_seconds;

pub use plan::{Because, Plan, Planned, StatusWrite, Write};
pub use refusal::refusal;
pub use status::refused;
pub use valid::{Fault, faults};
pub use world::{EXPERIMENT_NAME, ExperimentWorld, TEMPLATE_NAME, Taken, owner_reference};

/// Decides what to do for one Experiment, in which order, and why.
#[must_use]
pub fn plan(world: &ExperimentWorld) -> Plan {
    if world.experiment.metadata.deletion_timestamp.is_some() {
        return Plan { because: Because::Deleting, ..Plan::default() };
    }
    let none = ExperimentStatus::default();
    let facts = Facts::new(world, world.experiment.status.as_ref().unwrap_or(&none));
    let mut round = Round::new(&facts);
    if let Some(fault) = valid::faults(&world.experiment).into_iter().next() {
        if facts.ending {
            // Whoever asks to stop is obeyed, whatever else is wrong.
            templates::shrink_all(&facts, &mut round);
        }
        return status::invalid(&facts, &fault.message, round);
    }
    if let Some(what) = runs::unserved(&facts) {
        return Plan { because: Because::Unserved { what }, ..Plan::default() };
    }
    for template in &world.experiment.spec.templates {
        templates::look(&facts, template, &mut round);
    }
    templates::shrink_strangers(&facts, &mut round);
    services::remove_strangers(&facts, &mut round);
    for analysis in &world.experiment.spec.analyses {
        runs::look(&facts, analysis, &mut round);
    }
    runs::stop_strangers(&facts, &mut round);
    status::finish(&facts, round)
}

/// What one round knows at a glance.
struct Facts<'w> {
    world: &'w ExperimentWorld,
    now: Timestamp,
    experiment: &'w Experiment,
    name: &'w str,
    /// The status as it was read.
    before: &'w ExperimentStatus,
    /// Nothing is started any more, and everything that runs is stopped.
    ending: bool,
    /// When the duration is over; `None` without a duration, and before all templates were available.
    end: Option<Timestamp>,
}

impl<'w> Facts<'w> {
    fn new(world: &'w ExperimentWorld, before: &'w ExperimentStatus) -> Self {
        let experiment = world.experiment.as_ref();
        Self {
            world,
            now: world.now,
            experiment,
            name: experiment.metadata.name.as_deref().unwrap_or_default(),
            before,
            ending: is_ending(experiment, before),
            end: end(experiment, before),
        }
    }

    /// Whether the verdict has been spoken.
    fn is_over(&self) -> bool {
        is_completed(self.before.phase)
    }

    /// Whether a Rollout made it for one of its steps.
    fn is_of_a_rollout(&self) -> bool {
        let mut owners = self.experiment.metadata.owner_references.iter().flatten();
        owners.any(|owner| owner.controller == Some(true) && owner.kind == "Rollout")
    }

    /// Whether the duration has passed.
    fn is_past(&self) -> bool {
        self.end.is_some_and(|end| self.now > end)
    }

    /// Pods that a template is to have now.
    fn want(&self, template: &TemplateSpec, status: &TemplateStatus) -> i32 {
        if self.ending || is_done(status.status) { 0 } else { size(template) }
    }

    /// Seconds without progress before a template counts as failed.
    fn progress_deadline_seconds(&self) -> i32 {
        valid::progress_deadline_seconds(self.experiment)
    }
}

/// What one round decides, sorted by the order in which it must happen.
struct Round {
    /// Runs that are stopped.
    stop: Vec<Planned>,
    /// ReplicaSets and Services that come, sizes that rise.
    grow: Vec<Planned>,
    /// Runs that begin.
    start: Vec<Planned>,
    /// Sizes that fall, Services that go.
    shrink: Vec<Planned>,
    next: ExperimentStatus,
    /// Events that the status stands for.
    notices: Vec<Notice>,
    /// Those of them that the owning Rollout is told as well.
    passed_on: Vec<Notice>,
    wake: Option<Timestamp>,
    /// What the templates and runs wait for, in their order.
    waits: Vec<Because>,
}

impl Round {
    fn new(facts: &Facts<'_>) -> Self {
        Self {
            stop: Vec::new(),
            grow: Vec::new(),
            start: Vec::new(),
            shrink: Vec::new(),
            next: facts.before.clone(),
            notices: Vec::new(),
            passed_on: Vec::new(),
            wake: None,
            waits: Vec::new(),
        }
    }

    /// Looks again a second after `at`: what counts is that it has passed.
    fn wake_after(&mut self, at: Timestamp) {
        let at = later(at, 1);
        self.wake = Some(self.wake.map_or(at, |earlier| earlier.min(at)));
    }
}

/// Whether an Experiment is to end: it was asked to, its verdict is spoken, something failed, or what was required of it
/// is there.
fn is_ending(experiment: &Experiment, status: &ExperimentStatus) -> bool {
    let failed = |template: &TemplateStatus| {
        matches!(template.status, Some(TemplateStatusCode::Failed | TemplateStatusCode::Error))
    };
    experiment.spec.terminate
        || is_completed(status.phase)
        || status.template_statuses.iter().any(failed)
        || status.analysis_runs.iter().any(|run| phase::is_bad(run.phase))
        || phase::required_succeeded(experiment, status)
}

fn end(experiment: &Experiment, status: &ExperimentStatus) -> Option<Timestamp> {
    let available = status.available_at.as_ref()?.0;
    let nanoseconds = parse_nanoseconds(experiment.spec.duration.as_deref()?).ok()?;
    available.checked_add(SignedDuration::from_nanos(nanoseconds)).ok()
}

/// Pods that a template asks for.
fn size(template: &TemplateSpec) -> i32 {
    template.replicas.unwrap_or(1).max(0)
}

fn is_completed(phase: Option<AnalysisPhase>) -> bool {
    phase.is_some_and(AnalysisPhase::is_completed)
}

/// Whether a template has come to its end, which it never leaves.
fn is_done(status: Option<TemplateStatusCode>) -> bool {
    match status {
        Some(TemplateStatusCode::Successful | TemplateStatusCode::Failed | TemplateStatusCode::Error) => true,
        Some(TemplateStatusCode::Progressing | TemplateStatusCode::Running | TemplateStatusCode::Unknown)
        | None => false,
    }
}

fn later(at: Timestamp, seconds: i32) -> Timestamp {
    at.checked_add(SignedDuration::from_secs(seconds.into())).unwrap_or(Timestamp::MAX)
}

/// A point in time as Kubernetes stores it: whole seconds.
fn time(at: Timestamp) -> Time {
    Time(whole_seconds(at))
}
