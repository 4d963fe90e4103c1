//! What a Rollout is doing, why, what it waits for, what would make it go on, and what an abort would do now.
//!
//! Input: a World, as the controller would see it, and what of it could not be read. Output: values that serialise to
//! JSON and render to text. Everything comes from the planner itself: nothing here decides anything.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tidegate_api::rollout::RolloutPhase;

use super::forecast::{Forecast, Foreseen};
use super::phase::client_phase;
use super::remedy::remedy;
use super::rollout::{ReplicaCounts, Strategy};
use super::step;
use crate::plan::{Because, Plan, Write};
use crate::rollout::world::{Set, World};
use crate::rollout::{plan, weight_observed};
use crate::time::whole_seconds;

/// The seconds without progress after which an update counts as stuck, unless the spec says otherwise.
const PROGRESS_DEADLINE_SECONDS: i64 = 600;

/// One page about a Rollout.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    pub name: String,
    pub namespace: String,
    pub now: Timestamp,
    pub status: RolloutPhase,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    pub strategy: Strategy,
    /// Where it stands in its steps, such as `2/8 (pause: 10m)`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<WeightView>,
    pub replicas: ReplicaCounts,
    pub revisions: Vec<SetCounts>,
    /// What it does or waits for.
    pub doing: String,
    /// What would make it go on.
    pub goes_on: Vec<String>,
    /// When the controller looks again, even if nothing changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub looks_again: Option<Timestamp>,
    /// When an update that does not get on counts as stuck.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Deadline>,
    /// What the controller would write now, in order.
    pub writes: Vec<Foreseen>,
    pub abort: Forecast,
    /// What could not be read; what is said may be wrong where it depends on that.
    pub unknown: Vec<String>,
}

/// The weight of the canary.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WeightView {
    /// What the steps ask for.
    pub wanted: i32,
    /// What the router's objects show; absent without a router.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shown: Option<i32>,
    pub of: i32,
}

/// The pods of one revision.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SetCounts {
    pub role: &'static str,
    pub name: String,
    pub revision: i64,
    pub wanted: i32,
    pub available: i32,
    /// Ready endpoints of this revision by Service.
    pub endpoints: Vec<(String, i32)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// A moment, and what happens if nothing gets on until then.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Deadline {
    pub at: Timestamp,
    pub aborts: bool,
}

impl Explanation {
    /// Explains a World; `unknown` says what of it could not be read.
    #[must_use]
    pub fn new(world: &World, unknown: Vec<String>) -> Self {
        let rollout = &world.rollout;
        let round = plan(world);
        let (status, message) = client_phase(rollout);
        let strategy = Strategy::of(rollout);
        let place = step::progress(rollout).map(|progress| match step::current(rollout) {
            Some((_, current)) => format!("{progress} ({current})"),
            None => progress,
        });
        let is_canary = strategy == Strategy::Canary;
        Self {
            name: rollout.metadata.name.clone().unwrap_or_default(),
            namespace: rollout.metadata.namespace.clone().unwrap_or_default(),
            now: whole_seconds(world.now),
            status,
            message,
            strategy,
            step: place,
            weight: is_canary.then(|| WeightView {
                wanted: step::set_weight(rollout),
                shown: weight_observed(world),
                of: step::max_weight(rollout),
            }),
            replicas: ReplicaCounts::of(rollout),
            revisions: revisions(world),
            doing: round.because.to_string(),
            goes_on: remedy(world, &round.because),
            looks_again: round.wake,
            deadline: deadline(world, &round.because),
            writes: writes(&round),
            abort: Forecast::of_abort(world),
            unknown,
        }
    }
}

/// What the controller would write now. Of a status only the heading: its fields are in the page above.
fn writes(round: &Plan) -> Vec<Foreseen> {
    let planned = round.writes.iter().map(|planned| {
        let what = match &planned.write {
            Write::Status(status) => {
                let to = &status.to;
                let phase = to.phase.map_or("", RolloutPhase::as_str);
                let step = to.current_step_index.map(|step| format!(", step {step}")).unwrap_or_default();
                let message =
                    if to.message.is_empty() { String::new() } else { format!(" ({})", to.message) };
                format!("write the status: {phase}{message}{step}")
            }
            Write::DefaultReplicas { .. }
            | Write::AnnotateRollout { .. }
            | Write::CreateSet(_)
            | Write::PatchSet(_)
            | Write::AdoptSet { .. }
            | Write::ReleaseSet { .. }
            | Write::DeleteSet { .. }
            | Write::PointService { .. }
            | Write::Route(_)
            | Write::CreateRun(_)
            | Write::StopRun { .. }
            | Write::DeleteRun { .. }
            | Write::PatchPod(_)
            | Write::ScaleWorkload { .. }
            | Write::CreateExperiment(_)
            | Write::StopExperiment { .. }
            | Write::DeleteExperiment { .. }
            | Write::RestartPod { .. } => planned.write.to_string(),
        };
        Foreseen { after_seconds: 0, what, because: planned.because.to_string() }
    });
    planned.collect()
}

/// The revisions that have pods, or should have some: the new one first.
fn revisions(world: &World) -> Vec<SetCounts> {
    let status = world.rollout.status.clone().unwrap_or_default();
    let blue_green = world.rollout.spec.strategy.blue_green.as_ref();
    let selects = |service: Option<&str>, hash: &str| {
        service.and_then(|name| world.services.get(name)).and_then(|service| service.hash()) == Some(hash)
    };
    let is_active = |hash: &str| selects(blue_green.map(|spec| spec.active_service.as_str()), hash);
    let is_preview = |hash: &str| selects(blue_green.and_then(|spec| spec.preview_service.as_deref()), hash);
    let role = |set: &Set| match set.hash() {
        hash if hash == status.stable_rs && is_active(hash) => "stable, active",
        hash if hash == status.stable_rs => "stable",
        hash if is_active(hash) => "active",
        hash if is_preview(hash) => "preview",
        hash if hash == status.current_pod_hash => "new",
        _ => "old",
    };
    let mut sets: Vec<&Set> = world.sets.iter().map(AsRef::as_ref).collect();
    sets.retain(|set| set.replicas > 0 || set.status.replicas > 0 || role(set) != "old");
    sets.sort_by_key(|set| std::cmp::Reverse(set.revision()));
    let endpoints = |set: &Set| {
        let of =
            world.endpoints.iter().map(|(service, endpoints)| (service.clone(), endpoints.of(set.hash())));
        of.filter(|(_, ready)| *ready > 0).collect()
    };
    sets.into_iter()
        .map(|set| SetCounts {
            role: role(set),
            name: set.name.clone(),
            revision: set.revision(),
            wanted: set.replicas,
            available: set.status.available,
            endpoints: endpoints(set),
            trouble: world.troubles.get(set.hash()).cloned(),
        })
        .collect()
}

/// When an update that waits for pods or traffic counts as stuck.
fn deadline(world: &World, because: &Because) -> Option<Deadline> {
    let applies = matches!(
        because,
        Because::WaitingForPods { .. }
            | Because::WaitingForEndpoints { .. }
            | Because::WeightNotYetSeen { .. }
            | Because::WeightNotAccepted { .. }
            | Because::SizeNotYetSeen { .. }
            | Because::PodsLeaving { .. }
    );
    let status = world.rollout.status.as_ref().filter(|_| applies)?;
    let progressing = status.conditions.iter().find(|condition| condition.type_ == "Progressing")?;
    if progressing.reason != "ReplicaSetUpdated" && progressing.reason != "NewReplicaSetCreated" {
        return None;
    }
    let spec = &world.rollout.spec;
    let seconds = spec.progress_deadline_seconds.map_or(PROGRESS_DEADLINE_SECONDS, i64::from);
    let from = progressing.last_update_time.as_ref()?.0;
    let at = from.checked_add(SignedDuration::from_secs(seconds)).ok()?;
    Some(Deadline { at, aborts: spec.progress_deadline_abort })
}
