//! AnalysisRuns: how one is built from templates, when its metrics are measured, and what the measurements mean.
//!
//! Input: the run, the time and the answers of metric servers. Output: requests to make and a status to write.
//! Nothing in here may talk to a server; whoever calls does what the plan says and reports back.

mod args;
mod assess;
mod build;
mod caution;
mod check;
mod condition;
mod expression;
mod functions;
mod limits;
mod measure;
mod missing;
mod redact;
mod replay;
mod resolve;
mod run;
mod schedule;
mod take;
mod template;
mod terms;

pub use args::{Secrets, rollout_args};
pub(crate) use args::{check_arguments, fill_tags};
pub(crate) use assess::was_cut_short;
pub(crate) use build::check_run;
pub use build::{
    ExperimentRunRequest, RunKind, RunRequest, new_experiment_run, new_run, run_of, semantically_equal,
};
pub use caution::template_cautions;
pub use check::{run_faults, template_faults};
pub(crate) use condition::evaluate_time;
pub(crate) use limits::endless_count;
pub use replay::{Again, Replayed, replay};
pub use resolve::dry_run_metrics;
pub(crate) use resolve::metrics_of;
pub use run::{MeasureRequest, Outcome, RunPlan, RunWorld, Unserved, accounts, needs, plan, record};
pub use template::Template;
pub(crate) use template::flatten;
pub use terms::KEYS as MISSING_DATA_ANNOTATIONS;

#[cfg(test)]
mod job_tests;
#[cfg(test)]
mod judge_tests;
#[cfg(test)]
mod missing_tests;
#[cfg(test)]
mod provider_tests;
#[cfg(test)]
mod ready_tests;
#[cfg(test)]
mod upstream;
