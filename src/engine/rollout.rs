//! The decision for one Rollout: all branching in one place, the arithmetic in the files below.

pub mod hash;
mod replicas;
pub mod template;
pub mod world;
