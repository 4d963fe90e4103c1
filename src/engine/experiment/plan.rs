//! The vocabulary of decisions about an Experiment: what to write, in which order, why, and when to look again.
//!
//! Input: none. Output: types only. A plan is complete: whoever applies it has no choice left to make.

use std::fmt;

use jiff::Timestamp;
use serde_json::Value;
use tidegate_api::analysis::AnalysisRun;
use tidegate_api::experiment::ExperimentStatus;

use crate::plan::{Notice, SetPatch};
use crate::rollout::world::Set;

/// What to do for one Experiment, complete and in order; and why. An empty plan still has a reason.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// API requests in the order in which they must happen. Every prefix of them is safe.
    pub writes: Vec<Planned>,
    /// When to look again even if nothing changes.
    pub wake: Option<Timestamp>,
    /// What the Experiment is doing or waiting for after these writes.
    pub because: Because,
}

/// One write, its reason, and the events that are true once it has succeeded.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// The request.
    pub write: Write,
    /// Why it is made.
    pub because: Because,
    /// Kubernetes Events to record on the Experiment after the request succeeded, in order.
    pub notices: Vec<Notice>,
    /// Events to record on the Rollout that owns the Experiment, as well.
    pub passed_on: Vec<Notice>,
}

impl Planned {
    /// A write without events.
    pub(super) fn new(write: Write, because: Because) -> Self {
        Self { write, because, notices: Vec::new(), passed_on: Vec::new() }
    }

    /// A write with one event.
    pub(super) fn telling(write: Write, because: Because, notice: Notice) -> Self {
        Self { notices: vec![notice], ..Self::new(write, because) }
    }
}

/// One API request each; the executor has no choice left.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// Creates a ReplicaSet with zero replicas.
    CreateSet(Box<Set>),
    /// Patches a ReplicaSet: its size and its scale-down deadline, in one request.
    PatchSet(SetPatch),
    /// Creates a Service, given as the whole object.
    CreateService { name: String, object: Value },
    /// Deletes a Service whose pods are gone.
    DeleteService { name: String },
    /// Creates an AnalysisRun.
    CreateRun(Box<AnalysisRun>),
    /// Asks a running AnalysisRun to stop.
    StopRun { name: String },
    /// Writes the difference between two statuses, under the resourceVersion that was read.
    Status(Box<StatusWrite>),
}

/// The status as read and as wanted; the executor sends the difference as a merge patch.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusWrite {
    pub from: ExperimentStatus,
    pub to: ExperimentStatus,
}

/// Why something is written, or what is waited for. Shown to users, compared in goldens, never parsed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Because {
    /// The Experiment has ended, and its pods are gone.
    #[default]
    Settled,
    /// The Experiment is being deleted; Kubernetes collects what it owns.
    Deleting,
    /// The spec cannot be acted on; the message says what to change.
    InvalidSpec { message: String },
    /// The spec asks for something that this version does not serve. The Experiment is left exactly as it is.
    Unserved { what: String },
    /// A template has no ReplicaSet yet.
    SetNeeded { set: String },
    /// The name of a ReplicaSet is somebody else's; the progress deadline ends the wait.
    NameTaken { set: String },
    /// A ReplicaSet gets the size that its template asks for.
    Resize { set: String, from: i32, to: i32 },
    /// A ReplicaSet has a deadline that no longer holds.
    DeadlineLifted { set: String },
    /// A ReplicaSet needs more available pods; `trouble` is what the pods themselves report.
    WaitingForPods { set: String, ready: i32, need: i32, trouble: Option<String> },
    /// A template asks for a Service.
    ServiceNeeded { service: String },
    /// A Service has no pods left to stand for.
    ServiceNotNeeded { service: String },
    /// An analysis has no AnalysisRun yet.
    RunNeeded { run: String },
    /// The Experiment ends, so nothing is measured any more.
    RunNotNeeded { run: String },
    /// An AnalysisRun must come to its end first.
    WaitingForRun { run: String },
    /// The Experiment runs for its duration.
    RunsUntil { until: Timestamp },
    /// The Experiment has no end of its own: no duration, and no analysis that is required.
    RunsUntilTerminated,
    /// Pods stay up until this time.
    ScaleDownDelay { set: String, until: Timestamp },
    /// Pods stay while routes of the Rollout may send requests to their Service.
    StillRouted { set: String, service: String },
    /// Pods of a ReplicaSet are on their way out.
    PodsLeaving { set: String, pods: i32 },
    /// The status is brought up to date with what was observed.
    StatusMoved,
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settled => write!(f, "the Experiment has ended and its pods are gone"),
            Self::Deleting => write!(f, "the Experiment is being deleted"),
            Self::InvalidSpec { message } => write!(f, "the spec must be changed: {message}"),
            Self::Unserved { what } => {
                write!(f, "left untouched, because this version does not serve it: {what}")
            }
            Self::SetNeeded { set } => write!(f, "ReplicaSet {set} is needed"),
            Self::NameTaken { set } => {
                write!(f, "ReplicaSet {set} exists and is somebody else's: rename the template or remove it")
            }
            Self::Resize { set, from, to } => write!(f, "ReplicaSet {set} goes from {from} to {to}"),
            Self::DeadlineLifted { set } => write!(f, "ReplicaSet {set} is in use again"),
            Self::WaitingForPods { set, ready, need, trouble } => {
                write!(f, "waiting for pods of {set}: {ready} of {need} available")?;
                trouble.as_ref().map_or(Ok(()), |trouble| write!(f, " ({trouble})"))
            }
            Self::ServiceNeeded { service } => write!(f, "Service {service} is needed"),
            Self::ServiceNotNeeded { service } => write!(f, "Service {service} has no pods left"),
            Self::RunNeeded { run } => write!(f, "AnalysisRun {run} is needed"),
            Self::RunNotNeeded { run } => write!(f, "AnalysisRun {run} is no longer needed"),
            Self::WaitingForRun { run } => write!(f, "waiting for AnalysisRun {run}"),
            Self::RunsUntil { until } => write!(f, "running until {until}"),
            Self::RunsUntilTerminated => write!(f, "running until somebody terminates it"),
            Self::ScaleDownDelay { set, until } => write!(f, "ReplicaSet {set} stays up until {until}"),
            Self::StillRouted { set, service } => {
                write!(f, "ReplicaSet {set} stays up while routes lead to Service {service}")
            }
            Self::PodsLeaving { set, pods } => write!(f, "waiting for {pods} pods of {set} to end"),
            Self::StatusMoved => write!(f, "status follows what was observed"),
        }
    }
}

impl Plan {
    /// The status that the plan writes, if it changes.
    #[must_use]
    pub fn status(&self) -> Option<&ExperimentStatus> {
        self.writes.iter().find_map(|planned| {
            if let Write::Status(status) = &planned.write { Some(&status.to) } else { None }
        })
    }
}
