//! The vocabulary of decisions: what to write, in which order, why, and when to look again.
//!
//! Input: none. Output: types only. A plan is complete: whoever applies it has no choice left to make.

mod moves;
mod text;

pub use moves::Move;
pub(crate) use text::{ending_text, notices_text, patch_text};

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use tidegate_api::analysis::AnalysisRun;
use tidegate_api::experiment::Experiment;
use tidegate_api::rollout::RolloutStatus;

use crate::rollout::world::Set;

/// What to do for one Rollout, complete and in order; and why. An empty plan still has a reason.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// API requests in the order in which they must happen. Every prefix of them is safe.
    pub writes: Vec<Planned>,
    /// When to look again even if nothing changes.
    pub wake: Option<Timestamp>,
    /// What the Rollout is doing or waiting for after these writes.
    pub because: Because,
}

/// One write, its reason, and the events that are true once it has succeeded.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// The request.
    pub write: Write,
    /// Why it is made.
    pub because: Because,
    /// Kubernetes Events to record on the Rollout after the request succeeded, in order.
    pub notices: Vec<Notice>,
}

/// One API request each; the executor has no choice left.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// Writes the default replica count into a Rollout that names none, because an HPA needs to read it.
    DefaultReplicas { replicas: i32 },
    /// Sets annotations of the Rollout itself (its revision).
    AnnotateRollout { annotations: BTreeMap<String, String> },
    /// Creates a ReplicaSet with its first size.
    CreateSet(Box<Set>),
    /// Patches a ReplicaSet: its size (seen as `from`), `None` where it stays; annotations (`None` removes one);
    /// its minReadySeconds; additions to its template. All in one request, so that a size never appears without its annotation.
    PatchSet(SetPatch),
    /// Makes the Rollout the controller of an orphaned ReplicaSet that its selector matches.
    AdoptSet { name: String, uid: String },
    /// Gives up control of a ReplicaSet that the selector no longer matches.
    ReleaseSet { name: String, uid: String },
    /// Deletes a ReplicaSet that has no pods left.
    DeleteSet { name: String, uid: String },
    /// Points the selector of a Service at the pods of one revision.
    PointService { service: String, from: Option<String>, to: String, rollout: String },
    /// Brings one routing object to the wanted content: created when `from` is absent, else merge-patched.
    Route(RouteWrite),
    /// Sets the size of the Deployment that the Rollout takes its template from.
    ScaleWorkload { name: String, uid: String, from: i32, to: i32 },
    /// Evicts a pod, so that its ReplicaSet replaces it; a disruption budget may refuse, which is no failure.
    RestartPod { name: String, uid: String },
    /// Changes labels and annotations of a pod for the time of its role.
    PatchPod(PodPatch),
    /// Creates an AnalysisRun.
    CreateRun(Box<AnalysisRun>),
    /// Asks a running AnalysisRun to stop.
    StopRun { name: String },
    /// Deletes an AnalysisRun that history no longer keeps.
    DeleteRun { name: String },
    /// Creates an Experiment.
    CreateExperiment(Box<Experiment>),
    /// Asks a running Experiment to end.
    StopExperiment { name: String },
    /// Deletes an Experiment that history no longer keeps.
    DeleteExperiment { name: String },
    /// Writes the difference between two statuses, under the resourceVersion that was read.
    Status(Box<StatusWrite>),
}

/// The difference to make in one ReplicaSet.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SetPatch {
    pub name: String,
    /// Old and new `spec.replicas`.
    pub replicas: Option<(i32, i32)>,
    pub annotations: BTreeMap<String, Option<String>>,
    pub min_ready_seconds: Option<i32>,
    /// Merge patch of the pod template: what is added to that of the Rollout. No pod restarts for it.
    pub template: Option<Value>,
}

/// The difference to make in the metadata of one pod; `None` removes a key.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PodPatch {
    pub name: String,
    pub uid: String,
    pub labels: BTreeMap<String, Option<String>>,
    pub annotations: BTreeMap<String, Option<String>>,
}

/// One routing object before and after, with the weight it gives to the canary.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteWrite {
    pub reference: Reference,
    /// The object as read; `None` when it does not exist yet.
    pub from: Option<Value>,
    /// The whole object as wanted; only the difference is sent.
    pub to: Value,
    /// Weight of the canary in parts of `max_weight` once written.
    pub weight: i32,
    pub max_weight: i32,
}

/// The status as read and as wanted; the executor sends the difference as a merge patch.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusWrite {
    pub from: RolloutStatus,
    pub to: RolloutStatus,
}

/// Names one object of any kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Reference {
    /// Such as `networking.k8s.io/v1`.
    pub api_version: String,
    pub kind: String,
    /// The namespace where it is another one than the Rollout's.
    pub namespace: Option<String>,
    pub name: String,
}

impl Reference {
    /// Names an object in the Rollout's namespace.
    #[must_use]
    pub fn new(api_version: &str, kind: &str, name: impl Into<String>) -> Self {
        Self {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            namespace: None,
            name: name.into(),
        }
    }

    /// The namespace of the object, for a Rollout in `home`.
    #[must_use]
    pub fn namespace_or<'r>(&'r self, home: &'r str) -> &'r str {
        self.namespace.as_deref().unwrap_or(home)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind, self.name),
            None => write!(f, "{} {}", self.kind, self.name),
        }
    }
}

/// One Kubernetes Event: `reason` and `message` are read by clients and must be exact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    pub warning: bool,
    pub reason: &'static str,
    pub message: String,
}

impl Notice {
    /// An Event of type Normal.
    #[must_use]
    pub fn normal(reason: &'static str, message: impl Into<String>) -> Self {
        Self { warning: false, reason, message: message.into() }
    }

    /// An Event of type Warning.
    #[must_use]
    pub fn warning(reason: &'static str, message: impl Into<String>) -> Self {
        Self { warning: true, reason, message: message.into() }
    }
}

/// Why something is written, or what is waited for. Shown to users, compared in goldens, never parsed.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Because {
    /// Everything is as the Rollout wants it.
    #[default]
    Settled,
    /// The controller moves something, at once: no wait.
    Moves(Move),
    /// The Rollout is being deleted; Kubernetes collects what it owns.
    Deleting,
    /// The spec cannot be acted on; the message says what to change.
    InvalidSpec { message: String },
    /// The spec asks for something that this version does not serve. The Rollout is left exactly as it is; the
    /// shell tells once per generation, by an Event, a metric and a line in the log.
    Unserved { what: String },
    /// A ReplicaSet needs more available pods; `trouble` is what the pods themselves report.
    WaitingForPods { set: String, ready: i32, need: i32, trouble: Option<String> },
    /// Kubernetes has not yet acted on the new size of a ReplicaSet.
    SizeNotYetSeen { set: String },
    /// Pods of a ReplicaSet are still on their way out.
    PodsLeaving { set: String, pods: i32 },
    /// A Service's endpoints do not yet show the pods that traffic is to be sent to.
    WaitingForEndpoints { service: String, ready: i32, need: i32 },
    /// A route was written but is not read back with the wanted weight yet.
    WeightNotYetSeen { router: String, want: i32 },
    /// A route shows its weight, but those who serve it have not taken it up.
    WeightNotAccepted { why: String },
    /// A pause step: until a time, or until somebody resumes.
    Paused { step: Option<i32>, until: Option<Timestamp> },
    /// `spec.paused` is set.
    UserPaused,
    /// An analysis was inconclusive; somebody has to decide.
    Inconclusive { run: String },
    /// An Experiment was inconclusive; somebody has to decide.
    InconclusiveExperiment { experiment: String },
    /// The Experiment of the current step must come to its end first.
    WaitingForExperiment { experiment: String },
    /// The Experiment of the current step cannot be made; the message says why.
    ExperimentRefused { why: String },
    /// An AnalysisRun must come to a verdict first.
    WaitingForRun { run: String },
    /// The AnalysisRun that the update needs cannot be made; the message says why.
    RunRefused { why: String },
    /// The update is aborted; traffic belongs to the stable revision.
    Aborted { why: String },
    /// The update brings content that was aborted before, so it has not begun.
    Held { why: String },
    /// An abort cannot give the stable revision traffic, because it has no ready endpoint.
    StableNotReady { service: String },
    /// An abort cannot give users back to the stable revision, because it has no ready pod.
    StableHasNoPods { service: String },
    /// Pods that are to go stay while endpoints of a Service still lead users to them.
    StillReached { set: String, service: String },
    /// Pods that are to go stay while a Service has no endpoints, although what it selects is ready.
    Unlisted { set: String, service: String },
    /// Old pods stay up until this time, in case they are needed again.
    ScaleDownDelay { set: String, until: Timestamp },
    /// Pods from before a restart are replaced, as many at a time as may be away.
    Restarting { at: Timestamp, left: usize },
    /// A restart that begins at a later time.
    RestartLater { at: Timestamp },
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Moves(moves) => moves.fmt(f),
            Self::Settled => write!(f, "everything is as wanted"),
            Self::Deleting => write!(f, "the Rollout is being deleted"),
            Self::InvalidSpec { message } => write!(f, "the spec must be changed: {message}"),
            Self::Unserved { what } => {
                write!(f, "left untouched, because this version does not serve it: {what}")
            }
            Self::WaitingForPods { set, ready, need, trouble } => {
                write!(f, "waiting for pods of {set}: {ready} of {need} available")?;
                trouble.as_ref().map_or(Ok(()), |t| write!(f, " ({t})"))
            }
            Self::SizeNotYetSeen { set } => {
                write!(f, "waiting for Kubernetes to act on the new size of {set}")
            }
            Self::PodsLeaving { set, pods } => write!(f, "waiting for {pods} pods of {set} to end"),
            Self::WaitingForEndpoints { service, ready, need } => {
                write!(f, "waiting for endpoints of Service {service}: {ready} of {need} ready")
            }
            Self::WeightNotYetSeen { router, want } => {
                write!(f, "waiting for {router} to show weight {want}")
            }
            Self::WeightNotAccepted { why } => write!(f, "waiting for the weight to be taken up: {why}"),
            Self::Paused { step, until } => {
                match step {
                    Some(step) => write!(f, "paused at step {}", step + 1)?,
                    None => write!(f, "paused")?,
                }
                match until {
                    Some(until) => write!(f, " until {until}"),
                    None => write!(f, " until somebody promotes it"),
                }
            }
            Self::UserPaused => write!(f, "spec.paused is true"),
            Self::Inconclusive { run } => write!(f, "AnalysisRun {run} is inconclusive: promote or abort"),
            Self::InconclusiveExperiment { experiment } => {
                write!(f, "Experiment {experiment} is inconclusive: promote or abort")
            }
            Self::WaitingForExperiment { experiment } => write!(f, "waiting for Experiment {experiment}"),
            Self::ExperimentRefused { why } => write!(f, "the step's Experiment cannot be made: {why}"),
            Self::WaitingForRun { run } => write!(f, "waiting for AnalysisRun {run}"),
            Self::RunRefused { why } => write!(f, "the update's AnalysisRun cannot be made: {why}"),
            Self::Aborted { why } if why.is_empty() => write!(f, "aborted"),
            Self::Aborted { why } => write!(f, "aborted: {why}"),
            Self::Held { why } => write!(f, "{why}"),
            Self::StableNotReady { service } => {
                write!(f, "aborted, but Service {service} has no ready endpoint to take the traffic")
            }
            Self::StableHasNoPods { service } => {
                write!(
                    f,
                    "aborted, but no pod of the stable revision is ready to take over Service {service}"
                )
            }
            Self::StillReached { set, service } => {
                write!(f, "ReplicaSet {set} stays while endpoints of Service {service} lead to it")
            }
            Self::Unlisted { set, service } => {
                write!(
                    f,
                    "ReplicaSet {set} stays until Service {service} has endpoints of the pods that it selects"
                )
            }
            Self::ScaleDownDelay { set, until } => write!(f, "ReplicaSet {set} stays up until {until}"),
            Self::Restarting { at, left: 0 } => {
                write!(f, "restarted pods from before {at}: waiting for Kubernetes to count the new ones")
            }
            Self::Restarting { at, left } => write!(f, "restarting pods from before {at}: {left} left"),
            Self::RestartLater { at } => write!(f, "pods are restarted at {at}"),
        }
    }
}

impl Plan {
    /// Adds a write with its reason.
    pub(crate) fn push(&mut self, write: Write, because: Because) {
        self.writes.push(Planned { write, because, notices: Vec::new() });
    }

    /// Adds a write with its reason and the events that follow its success.
    pub(crate) fn push_with(&mut self, write: Write, because: Because, notices: Vec<Notice>) {
        self.writes.push(Planned { write, because, notices });
    }

    /// Looks again at `at`, or earlier if the plan already asks for it.
    pub(crate) fn wake_at(&mut self, at: Timestamp) {
        self.wake = Some(self.wake.map_or(at, |earlier| earlier.min(at)));
    }

    /// The status that the plan writes, if it changes.
    #[must_use]
    pub fn status(&self) -> Option<&RolloutStatus> {
        self.writes.iter().find_map(|planned| {
            if let Write::Status(status) = &planned.write { Some(&status.to) } else { None }
        })
    }

    /// The Services that the plan points at revisions, with the revision, in order.
    pub(crate) fn pointed(&self) -> impl Iterator<Item = (&str, &str)> {
        self.writes.iter().filter_map(|planned| {
            if let Write::PointService { service, to, .. } = &planned.write {
                Some((service.as_str(), to.as_str()))
            } else {
                None
            }
        })
    }

    /// The patches of ReplicaSets, in order.
    pub fn set_patches(&self) -> impl Iterator<Item = &SetPatch> {
        self.writes.iter().filter_map(|planned| {
            if let Write::PatchSet(patch) = &planned.write { Some(patch) } else { None }
        })
    }
}
