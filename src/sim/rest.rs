//! What a Rollout at rest must look like, and what a careful person does next to bring it to its end.
//!
//! Input: a simulation without faults and without anything left to happen. Output: what is wrong, or the next act.

use tidegate_api::phase::RolloutPhase;
use tidegate_api::rollout::{PodTemplateMetadata, RolloutStatus};
use tidegate_engine::plan::Because;
use tidegate_engine::rollout::world::HASH_LABEL;

use crate::pods::image;
use crate::shape::{ACTIVE_SERVICE, BAD_IMAGES, CANARY_SERVICE, GOOD_IMAGES, PING_SERVICE, PONG_SERVICE};
use crate::simulation::Simulation;
use crate::users::Act;
use crate::workloads::{self, DEPLOYMENT};
use crate::{laws_of_dynamic, laws_of_experiments, network};

/// What is wrong with a Rollout at rest, if anything.
pub(crate) fn objection(simulation: &Simulation) -> Option<String> {
    let status = simulation.cluster.status();
    if simulation.because == Because::Settled && status.phase != Some(RolloutPhase::Healthy) {
        return Some(format!("at rest in phase {:?} without a reason", status.phase));
    }
    if let Some(why) = laws_of_experiments::at_rest(simulation).or_else(|| workloads::at_rest(simulation)) {
        return Some(why);
    }
    match status.phase {
        Some(RolloutPhase::Healthy) => healthy(simulation, &status),
        Some(RolloutPhase::Degraded) if status.abort => aborted(simulation, &status),
        Some(RolloutPhase::Paused) if !status.pause_conditions.is_empty() => {
            roles(simulation, &status).or_else(|| laws_of_dynamic::at_rest(simulation, &status))
        }
        Some(
            RolloutPhase::Degraded | RolloutPhase::Paused | RolloutPhase::Progressing | RolloutPhase::Unknown,
        )
        | None => None,
    }
}

fn replicas(simulation: &Simulation) -> i32 {
    simulation.cluster.rollout().and_then(|held| held.object.rollout.spec.replicas).unwrap_or(1)
}

fn size(simulation: &Simulation, hash: &str) -> i32 {
    let sets = simulation.cluster.own_sets().filter(|(_, held)| held.object.hash() == hash);
    sets.map(|(_, held)| held.object.replicas).sum()
}

fn healthy(simulation: &Simulation, status: &RolloutStatus) -> Option<String> {
    let wanted = replicas(simulation);
    if status.stable_rs != status.current_pod_hash {
        return Some("Healthy, but the current template is not the stable one".to_owned());
    }
    let all: i32 = simulation.cluster.own_sets().map(|(_, held)| held.object.replicas).sum();
    let stable = size(simulation, &status.stable_rs);
    // While pods of the stable revision do not work, others have to stay, and no Service can be pointed at it.
    if !stable_works(simulation, status) {
        return None;
    }
    if (all, stable) != (wanted, wanted) {
        return Some(format!(
            "Healthy with {stable} pods of the stable revision and {all} in all; {wanted} are wanted"
        ));
    }
    roles(simulation, status).or_else(|| routed_to_stable(simulation, status, wanted > 0))
}

/// Whether the pods of a revision have exactly what their role gives them, and keep away from whom they should.
fn unlike_role(
    simulation: &Simulation,
    hash: &str,
    role: Option<&PodTemplateMetadata>,
    apart: Option<&str>,
) -> Option<String> {
    let role = role.cloned().unwrap_or_default();
    let (name, held) = simulation.cluster.own_sets().find(|(_, held)| held.object.hash() == hash)?;
    let pods = simulation
        .cluster
        .pods
        .all()
        .map(|(_, held)| &held.object)
        .filter(|pod| pod.set == *name && !pod.leaving);
    for pod in pods {
        let mut labels = pod.labels.clone();
        labels.retain(|key, _| !["app", HASH_LABEL].contains(&key.as_str()));
        if !labels.iter().eq(&role.labels) || !pod.annotations.iter().eq(&role.annotations) {
            return Some(format!("at rest, but pod {} has {labels:?} and {:?}", pod.name, pod.annotations));
        }
    }
    let affinity = held.object.template["spec"]["affinity"].to_string();
    let fine = match apart {
        Some(other) => affinity.matches(HASH_LABEL).count() == 1 && affinity.contains(other),
        None => affinity == "null",
    };
    (!fine).then(|| format!("at rest, but {name} keeps away from {apart:?} by {affinity}"))
}

/// The roles of pods while nothing moves.
fn roles(simulation: &Simulation, status: &RolloutStatus) -> Option<String> {
    let held = simulation.cluster.rollout()?;
    let canary = held.object.rollout.spec.strategy.canary.as_ref()?;
    let (stable, new) = (status.stable_rs.as_str(), status.current_pod_hash.as_str());
    let apart = canary.anti_affinity.as_ref().map(|_| stable);
    let of_new = || unlike_role(simulation, new, canary.canary_metadata.as_ref(), apart);
    unlike_role(simulation, stable, canary.stable_metadata.as_ref(), None)
        .or_else(|| if new == stable { None } else { of_new() })
}

fn routed_to_stable(simulation: &Simulation, status: &RolloutStatus, pods: bool) -> Option<String> {
    let (_, weight) = simulation.weights();
    let data_weights = simulation.data_weights();
    if weight != 0 || data_weights.1 != 0 {
        return Some(format!("at rest with weight {weight}, {data_weights:?} at the data plane"));
    }
    if !pods {
        return None;
    }
    let turn = network::turn(&simulation.cluster);
    // The other Service of ping-pong leads to the last revision until the next one comes.
    let idle = |name: &&str| *name == PING_SERVICE || *name == PONG_SERVICE;
    let services = simulation.shape.services.iter().copied();
    services.filter(|name| !idle(name) || *name == turn.stable).find_map(|name| {
        let hash =
            simulation.cluster.services.object(name).and_then(|service| service.hash().map(str::to_owned));
        let fine =
            hash.as_deref() == Some(status.stable_rs.as_str()) || (hash.is_none() && name == CANARY_SERVICE);
        (!fine).then(|| format!("at rest, but Service {name} selects {hash:?}"))
    })
}

fn aborted(simulation: &Simulation, status: &RolloutStatus) -> Option<String> {
    if status.stable_rs.is_empty() || status.stable_rs == status.current_pod_hash {
        return None;
    }
    let wanted = replicas(simulation);
    let held = simulation.cluster.rollout();
    let paused = held.is_some_and(|held| held.object.rollout.spec.paused);
    // A stable revision that follows the traffic comes back whatever is paused.
    let strategy = held.and_then(|held| held.object.rollout.spec.strategy.canary.as_ref());
    let follows = strategy.is_some_and(|canary| canary.dynamic_stable_scale);
    let stable = size(simulation, &status.stable_rs);
    let stable_works = stable_works(simulation, status);
    let is_off = if paused { follows && stable < wanted } else { stable != wanted };
    if is_off && stable_works {
        return Some(format!("aborted with {stable} of {wanted} pods of the stable revision"));
    }
    if simulation.shape.services.contains(&ACTIVE_SERVICE) {
        let active = simulation.cluster.services.object(ACTIVE_SERVICE);
        let elsewhere = active.is_some_and(|active| active.hash() != Some(status.stable_rs.as_str()));
        return (elsewhere && stable > 0 && stable_works)
            .then(|| "aborted, but users do not reach the stable revision".to_owned());
    }
    let (_, weight) = simulation.weights();
    (weight > 0 && stable > 0 && stable_works)
        .then(|| format!("aborted with weight {weight} still on the canary"))
}

/// Whether the stable revision has an image that starts.
fn stable_works(simulation: &Simulation, status: &RolloutStatus) -> bool {
    let mut sets = simulation.cluster.own_sets();
    sets.any(|(_, held)| held.object.hash() == status.stable_rs && !BAD_IMAGES.contains(&image(&held.object)))
}

/// Where everything stands, in one line.
pub(crate) fn picture(simulation: &Simulation) -> String {
    let status = simulation.cluster.status();
    let sets = simulation.cluster.own_sets().map(|(name, held)| {
        let set = &held.object;
        format!("{name}({}) {}/{}", image(set), set.status.available, set.replicas)
    });
    let services =
        simulation.cluster.services.all().map(|(name, held)| format!("{name}->{:?}", held.object.hash()));
    format!(
        "phase {:?} {:?}, {}, replicas {}, step {:?}, stable {}, current {}, weight {}, sets {:?}, services {:?}",
        status.phase,
        status.message,
        simulation.because,
        replicas(simulation),
        status.current_step_index,
        status.stable_rs,
        status.current_pod_hash,
        simulation.weights().1,
        sets.collect::<Vec<_>>(),
        services.collect::<Vec<_>>()
    )
}

/// What a careful person does next; `None` when the Rollout is Healthy and there is nothing left to do.
pub(crate) fn next_act(simulation: &Simulation) -> Option<Act> {
    let held = simulation.cluster.rollout()?;
    let rollout = &held.object.rollout;
    let status = simulation.cluster.status();
    let deployment = simulation.cluster.workloads.object(DEPLOYMENT);
    let template = deployment.map_or(&*rollout.spec.template.0, |deployment| &deployment.template);
    let running = template.pointer("/spec/containers/0/image").and_then(|image| image.as_str());
    if rollout.spec.paused {
        return Some(Act::Pause(false));
    }
    if running.is_some_and(|image| BAD_IMAGES.contains(&image)) {
        let choice = usize::try_from(simulation.rounds).unwrap_or(0) % GOOD_IMAGES.len();
        return Some(Act::Image(GOOD_IMAGES[choice]));
    }
    if status.stable_rs != status.current_pod_hash && !stable_works(simulation, &status) {
        return Some(Act::PromoteFull);
    }
    if status.abort {
        return Some(Act::Retry);
    }
    if !status.pause_conditions.is_empty() {
        return Some(Act::Promote);
    }
    // A person who sees neither a pause nor an end skips the step, which must not hang for ever either.
    (status.phase != Some(RolloutPhase::Healthy)).then_some(Act::Promote)
}
