//! People: they ship, roll back, scale, pause, promote, abort, retry, and delete what they should not.
//!
//! Input: chance, or a script. Output: the same small writes that kubectl and its plugin send.

use serde_json::Value;
use tidegate_api::rollout::CanaryStep;
use tidegate_engine::rollout::world::{Pod, Service, Set};

use crate::cluster::{Cluster, time};
use crate::experiment_acts::ExperimentAct;
use crate::network;
use crate::random::Random;
use crate::shape::{self, BAD_IMAGES, GOOD_IMAGES, Shape, Way};
use crate::workloads::{DEPLOYMENT, is_of_deployment};

/// Something that a person does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Act {
    Image(&'static str),
    Replicas(i32),
    /// An autoscaler looks at a load that is worth so many pods.
    Autoscale(i32),
    /// Writes other steps.
    Steps(u64),
    Promote,
    PromoteFull,
    Abort,
    Retry,
    Pause(bool),
    DeleteService(&'static str),
    RestoreService(&'static str),
    DeleteWay(Way),
    RestoreWay(Way),
    /// Writes a weight into a routing object by hand.
    Tamper(Way, i32),
    /// Scales a ReplicaSet by hand; the number chooses which.
    ScaleSet(u64, i32),
    /// Deletes a ReplicaSet with its pods; the number chooses which.
    DeleteSet(u64),
    KillPods(u64),
    /// Writes other metadata for the roles of pods.
    RoleMetadata(u64),
    /// Asks for new pods, so many seconds from now.
    Restart(i64),
    Experiment(ExperimentAct),
}

impl Act {
    /// What people do when nobody watches them.
    pub(crate) fn random(random: &mut Random, shape: &Shape) -> Self {
        if shape.experiments && random.below(5) == 0 {
            return Self::Experiment(ExperimentAct::random(random));
        }
        let way = *random.pick(&Way::all());
        match random.below(100) {
            0..=24 => Self::Image(random.pick::<&str>(&GOOD_IMAGES)),
            25..=30 => Self::Image(random.pick::<&str>(&BAD_IMAGES)),
            31..=41 => Self::Replicas(random.int(0, 12)),
            42 => Self::Autoscale(random.int(0, 12)),
            43..=45 => Self::Steps(random.draw()),
            46..=62 => Self::Promote,
            63..=66 => Self::PromoteFull,
            67..=74 => Self::Abort,
            75..=82 => Self::Retry,
            83..=85 => Self::Pause(true),
            86..=89 => Self::Pause(false),
            choice @ (90 | 91) if !shape.services.is_empty() => {
                let last = shape.services.len() - 1;
                Self::DeleteService(shape.services[usize::from(choice == 91).min(last)])
            }
            92 if shape.routed => Self::DeleteWay(way),
            93 if shape.routed => Self::Tamper(way, random.int(0, 100)),
            94 => Self::ScaleSet(random.draw(), random.int(0, 12)),
            95 => Self::DeleteSet(random.draw()),
            96 => Self::RoleMetadata(random.draw()),
            97 => Self::KillPods(random.below(4) + 1),
            _ => Self::Restart(i64::from(random.int(-20, 40))),
        }
    }

    /// Does it. Killing pods is the caller's, who has the pods.
    #[expect(clippy::too_many_lines, reason = "one arm for each act")]
    pub(crate) fn carry_out(&self, cluster: &mut Cluster) {
        match self {
            Self::Image(image) => {
                let template = shape::template(image);
                if cluster.workloads.get(DEPLOYMENT).is_some() {
                    cluster.edit_deployment(|workload| workload.template = template);
                } else {
                    cluster.edit_rollout(|rollout| rollout.spec.template.0 = template.into());
                }
            }
            Self::Replicas(replicas) => {
                cluster.edit_rollout(|rollout| rollout.spec.replicas = Some(*replicas));
            }
            Self::Autoscale(load) => autoscale(cluster, *load),
            Self::Steps(seed) => {
                cluster.edit_rollout(|rollout| {
                    if let Some(canary) = &mut rollout.spec.strategy.canary {
                        canary.steps = steps(*seed, canary.traffic_routing.is_some());
                    }
                });
            }
            Self::Promote => promote(cluster),
            Self::PromoteFull => {
                cluster.edit_rollout(|rollout| rollout.spec.paused = false);
                cluster.edit_rollout(|rollout| {
                    let status = rollout.status.get_or_insert_default();
                    status.promote_full |= status.current_pod_hash != status.stable_rs;
                });
            }
            Self::Abort => {
                cluster.edit_rollout(|rollout| rollout.status.get_or_insert_default().abort = true);
            }
            Self::Retry => {
                cluster.edit_rollout(|rollout| rollout.status.get_or_insert_default().abort = false);
            }
            Self::Pause(paused) => {
                cluster.edit_rollout(|rollout| rollout.spec.paused = *paused);
            }
            Self::DeleteService(name) => cluster.remove_service(name),
            Self::RestoreService(name) => {
                if cluster.services.get(name).is_none() {
                    cluster.put_service(service(name));
                }
            }
            Self::DeleteWay(way) => cluster.remove_route(way.name()),
            Self::RestoreWay(way) => {
                if cluster.routes.get(way.name()).is_none() {
                    let turn = network::turn(cluster);
                    cluster.put_route(way.name(), network::made(*way, turn));
                }
            }
            Self::Tamper(way, weight) => network::tamper(cluster, *way, *weight),
            Self::ScaleSet(which, replicas) => {
                if let Some(mut set) = chosen(cluster, *which) {
                    set.generation += i64::from(set.replicas != *replicas);
                    set.replicas = *replicas;
                    cluster.put_set(set);
                }
            }
            Self::RoleMetadata(seed) => {
                let roles = shape::role_metadata(&mut Random::new(*seed));
                let [canary_role, stable_role] =
                    roles.map(|role| serde_json::from_value(role).ok().flatten());
                cluster.edit_rollout(|rollout| {
                    if let Some(canary) = &mut rollout.spec.strategy.canary {
                        (canary.canary_metadata, canary.stable_metadata) = (canary_role, stable_role);
                    }
                });
            }
            Self::DeleteSet(which) => {
                if let Some(set) = chosen(cluster, *which) {
                    cluster.remove_set(&set.name);
                }
            }
            Self::KillPods(_) => {}
            Self::Experiment(act) => act.carry_out(cluster),
            Self::Restart(seconds) => {
                let at = cluster.now - cluster.now % 1000 + seconds * 1000;
                let at = serde_json::from_value(Value::from(time(at).to_string())).ok();
                cluster.edit_rollout(|rollout| rollout.spec.restart_at = at);
            }
        }
    }

    /// What somebody does about it some time later.
    pub(crate) fn repaired_by(&self, shape: &Shape) -> Option<Self> {
        if let Self::DeleteService(name) = self {
            return Some(Self::RestoreService(name));
        }
        if let Self::DeleteWay(way) = self
            && shape.ways.contains(way)
        {
            return Some(Self::RestoreWay(*way));
        }
        None
    }

    /// Whether it changes what belongs to the controller, behind its back. A route that is made again brings requests that
    /// nobody has heard of yet.
    pub(crate) fn meddles(&self) -> bool {
        matches!(
            self,
            Self::Tamper(..)
                | Self::ScaleSet(..)
                | Self::DeleteSet(_)
                | Self::DeleteWay(_)
                | Self::RestoreWay(_)
        )
    }

    /// How a story tells it.
    pub(crate) fn told(&self) -> String {
        match self {
            Self::Image(image) => format!("sets the image to {image}"),
            Self::Replicas(replicas) => format!("sets spec.replicas to {replicas}"),
            Self::Autoscale(load) => format!("has a load for {load} pods, which an autoscaler notices"),
            Self::Steps(seed) => format!("writes {} other steps", steps(*seed, true).len()),
            Self::Promote => "promotes".to_owned(),
            Self::PromoteFull => "promotes in full".to_owned(),
            Self::Abort => "aborts".to_owned(),
            Self::Retry => "retries".to_owned(),
            Self::Pause(true) => "sets spec.paused".to_owned(),
            Self::Pause(false) => "takes spec.paused away".to_owned(),
            Self::DeleteService(name) => format!("deletes Service {name}"),
            Self::RestoreService(name) => format!("creates Service {name} again"),
            Self::DeleteWay(way) => format!("deletes {}", way.told()),
            Self::RestoreWay(way) => format!("creates {} again", way.told()),
            Self::Tamper(way, weight) => format!("writes weight {weight} into {} by hand", way.told()),
            Self::ScaleSet(_, replicas) => format!("scales some ReplicaSet to {replicas} by hand"),
            Self::RoleMetadata(_) => "writes other metadata for the roles of pods".to_owned(),
            Self::DeleteSet(_) => "deletes some ReplicaSet".to_owned(),
            Self::Restart(seconds) => format!("asks for new pods in {seconds} seconds"),
            Self::Experiment(act) => act.told(),
            Self::KillPods(many) => format!("kills up to {many} pods of each ReplicaSet"),
        }
    }
}

/// What a HorizontalPodAutoscaler does: it finds the pods by the selector of the scale subresource, shares the load
/// among those that are ready, and asks for as many as bring each to its target; within a tenth it leaves things alone.
fn autoscale(cluster: &mut Cluster, load: i32) {
    let status = cluster.status();
    let selected = |pod: &Pod| {
        status.selector.split(',').all(|term| {
            term.split_once('=')
                .is_some_and(|(key, value)| pod.labels.get(key).map(String::as_str) == Some(value))
        })
    };
    let pods = cluster.pods.all().filter(|(_, held)| selected(&held.object));
    let ready =
        i32::try_from(pods.filter(|(_, held)| held.object.ready_since.is_some()).count()).unwrap_or(0);
    // Of no pods, and of fewer than the scale subresource tells of, an autoscaler makes nothing.
    if ready == 0 || ready != status.hpa_replicas {
        return;
    }
    if (load - ready).abs() * 10 > ready {
        cluster.edit_rollout(|rollout| rollout.spec.replicas = Some(load));
    }
}

/// Some ReplicaSet.
fn chosen(cluster: &Cluster, which: u64) -> Option<Set> {
    let all = || cluster.sets.all().filter(|(_, held)| !is_of_deployment(&held.object));
    let count = all().count().max(1) as u64;
    let index = usize::try_from(which % count).unwrap_or(0);
    all().nth(index).map(|(_, held)| (*held.object).clone())
}

/// A Service as users write it: it selects all pods of the application.
pub(crate) fn service(name: &str) -> Service {
    let selector = [("app".to_owned(), "shop".to_owned())].into();
    Service { name: name.to_owned(), selector, ..Service::default() }
}

fn steps(seed: u64, routed: bool) -> Vec<CanaryStep> {
    let Value::Array(steps) = shape::steps(&mut Random::new(seed), routed) else { return Vec::new() };
    steps.into_iter().filter_map(|step| serde_json::from_value(step).ok()).collect()
}

/// What the plugin's promote sends: it ends a pause, or else skips the step.
fn promote(cluster: &mut Cluster) {
    cluster.edit_rollout(|rollout| rollout.spec.paused = false);
    cluster.edit_rollout(|rollout| {
        let steps = rollout.spec.strategy.canary.as_ref().map_or(0, |canary| canary.steps.len());
        let steps = i32::try_from(steps).unwrap_or(i32::MAX);
        let status = rollout.status.get_or_insert_default();
        let next = status.current_step_index.map(|index| (index + 1).min(steps));
        let inconclusive =
            status.pause_conditions.iter().any(|pause| pause.reason == "InconclusiveAnalysisRun");
        if status.pause_conditions.is_empty() {
            status.current_step_index = next;
        } else if inconclusive && status.canary.current_step_analysis_run_status.is_some() {
            status.controller_pause = false;
            status.current_step_index = next;
        }
        status.pause_conditions.clear();
    });
}
