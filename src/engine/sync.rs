//! Git: what an Application needs from its repository and its cluster, and what to do about it.
//!
//! Input: a [`World`], gathered in steps. [`look`] says from the Application alone whether anything is due
//! and which revision to read; [`manifest::render`] turns the files into objects; [`wanted`] says what each
//! object should be, so that the server can predict the outcome by a dry run; [`plan`] decides; and after
//! the writes [`conclude`] says how they went. Nothing here knows Git, HTTP or the clock.

pub mod address;
mod adopt;
mod automate;
mod compare;
mod delegate;
mod diff;
mod differences;
mod glob;
pub mod health;
mod hook;
mod ignore;
mod look;
pub mod manifest;
mod object;
mod operate;
mod options;
mod order;
pub mod plan;
mod project;
mod remove;
mod retry;
mod settings;
mod status;
mod subject;
mod supported;
mod target;
pub mod tracking;
pub mod webhook;
pub mod world;

#[cfg(test)]
mod tests;

pub use compare::{Wanted, wanted};
pub use differences::{Change, Difference, differences};
pub use look::{Level, Look, Question, look};
pub use object::Key;
pub use operate::conclude;
pub use plan::{Apply, Because, Outcome, Plan, Planned, Propagation, Write};
pub use project::service_account;
pub use settings::NAME as SETTINGS;
pub use target::{Scan, Targets, last_known, scan, targets};
pub use world::{
    Cluster, Failing, Fetched, Install, KindFact, Kinds, NamespaceFact, Prediction, Reach, Unread, World,
};

/// The name under which Tidegate applies objects.
///
/// Not Argo CD's `argocd-controller`: with a name of its own, `kubectl get --show-managed-fields` says who
/// wrote what, and a Rollout's fields are never taken for the other controller's. Fields that Argo CD or
/// `kubectl apply` owned are taken over on the first sync (see [`adopt`]).
pub const FIELD_MANAGER: &str = "tidegate-sync";

/// Decides what to do about one Application. An empty plan still says why.
#[must_use]
pub fn plan(world: &World) -> Plan {
    match look(world) {
        Look::Leave(because) => Plan::nothing(because),
        Look::Wait { until } => Plan::wait(until, Because::NotDue { until }),
        Look::Invalid { conditions } => status::invalid(world, conditions),
        Look::Remove => remove::plan(world),
        Look::Operate(_) => operate::plan(world),
        Look::Compare { level, .. } => compare::plan(world, level),
    }
}
