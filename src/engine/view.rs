//! A Rollout as people look at it: its state in a few lines, the tree of what it owns, and why it waits.
//!
//! Input: the objects as they were read, and the time. Output: values that serialise to JSON for a dashboard
//! and render to text for a terminal. Names, icons and columns are those of the Argo Rollouts plugin, which
//! people and scripts know by heart; the line `Waiting for:` is our addition. Nothing here decides anything,
//! and nothing here may know where the objects came from.

mod duration;
mod experiment;
mod icon;
pub mod list;
mod phase;
mod pod;
mod read;
mod rollout;
mod run;
mod set;
mod step;
mod table;
mod text;
mod waiting;

#[cfg(test)]
mod tests;

pub use duration::human_duration;
pub use experiment::ExperimentView;
pub use icon::{Icon, Paint};
pub use phase::client_phase;
pub use pod::PodView;
pub use rollout::{ImageView, Objects, ReplicaCounts, RevisionView, RolloutView, Strategy};
pub use run::{JobView, RunView};
pub use set::{SetHealth, SetView};
pub use text::{render_rollout, render_summary};
