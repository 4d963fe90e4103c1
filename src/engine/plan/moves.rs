//! Reasons that are no waits: what the controller does at once.
//!
//! Input: none. Output: one type and its words. Whoever only asks what a Rollout waits for need not know these apart.

use std::fmt;

/// Why something is written. Shown to users, compared in goldens, never parsed.
#[derive(Clone, Debug, PartialEq)]
pub enum Move {
    /// A ReplicaSet for the current template was missing.
    NewTemplate { hash: String },
    /// The template or the steps changed, so the update starts over.
    UpdateStarted { hash: String },
    /// `spec.replicas` changed; only ReplicaSets are resized in this round.
    ScalingEvent { replicas: i32 },
    /// A ReplicaSet gets the size that the current weight asks for.
    Resize { set: String, from: i32, to: i32 },
    /// The weight of the canary changes.
    Weight { from: Option<i32>, to: i32, of: i32 },
    /// Requests go to the canary by these routes of steps, and by no others.
    StepRoutes { names: Vec<String> },
    /// Services of the Experiment get shares of the traffic, each as `service weight`, and no others.
    ExperimentShares { shares: Vec<String> },
    /// Traffic goes to the revision that the Service stands for.
    PointService { service: String, hash: String },
    /// The current step has no Experiment yet.
    ExperimentNeeded { experiment: String },
    /// An Experiment of another step or update.
    ExperimentNotNeeded { experiment: String },
    /// A run that the current step or the background analysis needs.
    RunNeeded { run: String },
    /// A run that is no longer needed.
    RunNotNeeded { run: String },
    /// The current step is done.
    StepDone { step: i32, of: i32 },
    /// The update is complete: the new revision is the stable one.
    Promoted { why: String },
    /// The Rollout's own pods take over from those of the workload that it refers to.
    WorkloadMakesRoom { available: i32, of: i32 },
    /// Old ReplicaSets, AnalysisRuns beyond the history limits.
    History { name: String },
    /// Conditions are brought in line with a pause or a resume that somebody asked for.
    PauseNoticed,
    /// Pods of a ReplicaSet get the labels and annotations of their role.
    RoleMetadata { set: String },
    /// The revision number or other bookkeeping on a ReplicaSet or Rollout.
    Bookkeeping,
    /// The status is brought up to date with what was observed.
    StatusMoved,
}

impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NewTemplate { hash } => write!(f, "no ReplicaSet has the template {hash}"),
            Self::UpdateStarted { hash } => {
                write!(f, "the template or the steps changed: update to {hash} starts")
            }
            Self::ScalingEvent { replicas } => write!(f, "spec.replicas is now {replicas}"),
            Self::Resize { set, from, to } => write!(f, "ReplicaSet {set} goes from {from} to {to}"),
            Self::Weight { from: Some(from), to, of } => write!(f, "canary weight {from} to {to} of {of}"),
            Self::Weight { from: None, to, of } => write!(f, "canary weight {to} of {of}"),
            Self::StepRoutes { names } if names.is_empty() => {
                write!(f, "no route of a step is wanted any more")
            }
            Self::StepRoutes { names } => write!(f, "steps ask for the routes {}", names.join(", ")),
            Self::ExperimentShares { shares } if shares.is_empty() => {
                write!(f, "no Service of an Experiment gets traffic any more")
            }
            Self::ExperimentShares { shares } => {
                write!(f, "the Experiment asks for the weights {}", shares.join(", "))
            }
            Self::PointService { service, hash } => write!(f, "Service {service} selects revision {hash}"),
            Self::ExperimentNeeded { experiment } => write!(f, "Experiment {experiment} is needed"),
            Self::ExperimentNotNeeded { experiment: name } => {
                write!(f, "Experiment {name} is no longer needed")
            }
            Self::RunNeeded { run } => write!(f, "AnalysisRun {run} is needed"),
            Self::RunNotNeeded { run } => write!(f, "AnalysisRun {run} is no longer needed"),
            Self::StepDone { step, of } => write!(f, "step {step} of {of} is done"),
            Self::Promoted { why } => write!(f, "promoted: {why}"),
            Self::WorkloadMakesRoom { available, of } => {
                write!(f, "{available} of {of} pods of the Rollout are available")
            }
            Self::History { name } => write!(f, "{name} is beyond the history limit"),
            Self::PauseNoticed => write!(f, "conditions follow the pause"),
            Self::RoleMetadata { set } => write!(f, "pods of {set} get the metadata of their role"),
            Self::Bookkeeping => write!(f, "bookkeeping"),
            Self::StatusMoved => write!(f, "status follows what was observed"),
        }
    }
}
