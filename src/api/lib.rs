//! The kinds of `argoproj.io/v1alpha1`: their types, defaults, validation and CRDs.
//!
//! Types mirror the JSON that other tools read and write, field for field and in Go's field
//! order, so that encoding a value gives the same text as upstream's structs do. Nothing in
//! here does I/O or knows a cluster.

pub mod analysis;
pub mod compact;
pub mod crds;
pub mod experiment;
pub mod go_duration;
mod omit;
pub mod phase;
pub mod raw;
pub mod rollout;
#[cfg(test)]
mod round_trip;
pub mod source;
pub mod strict;
pub mod tolerant;
pub mod valid;

/// API group of all the kinds.
pub const GROUP: &str = "argoproj.io";
/// Version of all the kinds.
pub const VERSION: &str = "v1alpha1";
