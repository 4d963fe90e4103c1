//! AnalysisRuns: how one is built from templates, when its metrics are measured, and what the measurements mean.
//!
//! Input: the run, the time and the answers of metric servers. Output: requests to make and a status to write.
//! Nothing in here may talk to a server; whoever calls does what the plan says and reports back.

mod args;
mod build;
mod template;

pub use args::rollout_args;
pub use build::{RunKind, RunRequest, new_run, semantically_equal};
