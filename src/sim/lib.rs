//! A deterministic simulator: one Rollout, a model of Kubernetes around it, faults, people, and virtual time.
//!
//! Input: seeds. Output: the seeds that break a safety rule or never come to rest, and stories. Everything that
//! happens follows from the seed, so a failure can be told again line by line.

mod analysis;
mod campaign;
mod cluster;
mod controller;
mod experiment_acts;
mod experiment_objects;
mod experiments;
mod fixed;
mod laws;
mod laws_of_blue_green;
mod laws_of_dynamic;
mod laws_of_experiments;
mod network;
mod patch;
mod pods;
mod random;
mod rest;
mod round;
mod shape;
mod shelf;
mod simulation;
mod tale;
mod users;
mod workloads;

pub use campaign::{Campaign, Effort, Failure, Report, run, run_watched, story};
pub use controller::Sabotage;
pub use random::Random;
pub use simulation::Settings;

#[cfg(test)]
mod stories;
#[cfg(test)]
mod stories_of_blue_green;
#[cfg(test)]
mod stories_of_dynamic;
#[cfg(test)]
mod stories_of_experiments;
#[cfg(test)]
mod stories_of_workloads;
#[cfg(test)]
mod tests;
