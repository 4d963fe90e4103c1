//! Every decision Tidegate takes, as pure functions from an observed world to a plan.
//!
//! Nothing here reads a clock, talks to a server or draws a random number: time, objects and names come
//! in as arguments, and what must happen goes out as a [`plan::Plan`]. The crate cannot do I/O because none
//! of its dependencies can.

pub mod analysis;
pub mod experiment;
pub mod fence;
pub mod judge;
pub mod lint;
pub mod metric;
pub mod plan;
pub mod rollout;
pub mod route;
pub mod sync;
pub mod view;

mod at;
mod covers;
mod time;

#[cfg(test)]
mod cases;
