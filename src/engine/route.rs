//! Traffic routers: from the routing objects as they are and the weights as wanted to the objects as they should be.
//!
//! One file per router. Input: objects as JSON. Output: objects as JSON. A router never decides a weight and
//! never fetches anything.

mod nginx;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use tidegate_api::rollout::{Rollout, RolloutTrafficRouting};

use crate::plan::{Notice, Reference, RouteWrite};

/// Routing objects by name; one that is absent does not exist.
pub type Objects = BTreeMap<Reference, Arc<Value>>;

/// What a router is asked to bring about.
#[derive(Clone, Debug)]
pub struct Weights<'a> {
    pub rollout: &'a Rollout,
    pub canary_service: &'a str,
    pub stable_service: &'a str,
    /// Weight of the canary in parts of `max`.
    pub canary: i32,
    /// The weight that stands for all traffic.
    pub max: i32,
    /// Whether the spec names `max` itself; some routers only then write it.
    pub max_named: bool,
}

/// What a router answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Routed {
    /// These objects differ from what is wanted; none means that nothing is left to do.
    Writes(Vec<RouteWrite>),
    /// The router cannot be brought there; the text names the object and what to change.
    Refused(String),
}

/// One router: which objects it needs, what weight they show, and how to change it.
pub trait Router {
    /// The name users see, such as `Nginx`.
    fn name(&self) -> &'static str;

    /// The objects to read before anything can be decided.
    fn needs(&self, rollout: &Rollout) -> Vec<Reference>;

    /// The weight that the objects give to the canary now; the largest when they disagree, 0 where none is routed.
    fn weight(&self, now: &Objects, rollout: &Rollout) -> i32;

    /// The Events of one write, besides that of the weight.
    fn notices(&self, _write: &RouteWrite) -> Vec<Notice> {
        Vec::new()
    }

    /// The objects that must change so that the canary gets the wanted weight.
    fn route(&self, now: &Objects, want: &Weights<'_>) -> Routed;
}

/// The router that a Rollout's trafficRouting names, if it is one that Tidegate serves.
#[must_use]
pub fn router(routing: &RolloutTrafficRouting) -> Option<Box<dyn Router + '_>> {
    let nginx = routing.nginx.as_ref()?;
    Some(Box::new(nginx::Nginx::new(nginx)))
}
