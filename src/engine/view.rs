//! A Rollout as people look at it: its state in a few lines, the tree of what it owns, and why it waits.
//!
//! Input: the objects as they were read, and the time. Output: values that serialise to JSON for a dashboard
//! and render to text for a terminal. Names, icons and columns are those of the Argo Rollouts plugin, which
//! people and scripts know by heart; the line `Waiting for:` is our addition. Nothing here decides anything,
//! and nothing here may know where the objects came from.

mod application;
mod application_text;
mod duration;
mod experiment;
mod explain;
mod explain_text;
mod forecast;
mod history;
mod icon;
mod judged;
mod judged_text;
pub mod list;
mod phase;
mod plot;
mod pod;
mod read;
mod remedy;
mod replay_text;
mod rollout;
mod run;
mod set;
mod standing;
mod step;
mod table;
mod text;
mod waiting;

#[cfg(test)]
mod tests;

pub use application::{ApplicationView, ConditionView, OperationView, ResourceView, SourceView};
pub use application_text::{
    ApplicationColumns, render_application, render_application_history, render_application_summary,
    render_applications, resources as render_resources,
};
pub use duration::human_duration;
pub use experiment::{ExperimentObjects, ExperimentPage, ExperimentRow, ExperimentView, render_experiments};
pub use explain::{Deadline, Explanation, SetCounts, WeightView};
pub use explain_text::render_explanation;
pub use forecast::{Forecast, Foreseen};
pub use history::{HistoryView, PastRevision, render_history, render_revision};
pub use icon::{Icon, Paint};
pub use judged::{ComparisonPage, JudgedPage, MetricPage, MomentPage, RunPage};
pub use judged_text::render_run;
pub use phase::client_phase;
pub use pod::PodView;
pub use replay_text::render_replay;
pub use rollout::{ImageView, Objects, ReplicaCounts, RevisionView, RolloutView, Strategy};
pub use run::{JobView, RunView};
pub use set::{SetHealth, SetView};
pub use text::{render_experiment, render_experiment_summary, render_rollout, render_summary};
