//! Deletes the objects of an Application that is being deleted with a cascade.

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::hook;
use super::look::CASCADE_FINALIZERS;
use super::object::{Key, annotation, group_version, has_owner, is_going, text};
use super::operate;
use super::options::applies;
use super::order;
use super::plan::{Because, Outcome, Plan, Planned, Propagation, Write};
use super::project;
use super::status::{Draft, joined};
use super::subject::Subject;
use super::tracking::{Owner, owner};
use super::world::World;

/// How soon to look again at objects that are going.
const WAIT_SECONDS: i64 = 5;

/// The next deletions, a wait for them, or the end of the Application.
pub(super) fn plan(world: &World) -> Plan {
    let Ok(subject) = Subject::read(&world.application) else { return Plan::nothing(Because::Going) };
    if subject.check_destination().is_err() {
        // As upstream: the cluster is not known, so there is nothing that could be deleted from it.
        return release(world, &subject);
    }
    let candidates = match candidates(world, &subject) {
        Ok(candidates) => candidates,
        Err(message) => return failed(world, &subject, message),
    };
    if candidates.is_empty() {
        return release(world, &subject);
    }
    let because = Because::WaitingForDeletion { objects: candidates.len() };
    let mut plan = Plan::nothing(because);
    let background = subject.finalizers().contains(&CASCADE_FINALIZERS[2]);
    let propagation = if background { Propagation::Background } else { Propagation::Foreground };
    // The next wave goes when this one has gone.
    let wave = candidates.iter().map(|(_, live)| hook::wave(live)).max();
    for (key, live) in candidates.into_iter().filter(|(_, live)| Some(hook::wave(live)) == wave) {
        plan.writes.extend(operate::release(key, live, Because::Cascade));
        if is_going(live) {
            continue;
        }
        let write = Write::Prune {
            key: key.clone(),
            version: group_version(live).1.to_owned(),
            uid: text(live, "/metadata/uid").to_owned(),
            propagation,
        };
        plan.writes.push(Planned { write, because: Because::Cascade });
    }
    plan.wake = world.now.checked_add(SignedDuration::from_secs(WAIT_SECONDS)).ok();
    plan
}

/// The objects to delete, last kinds first, those that are going already included.
fn candidates<'a>(world: &'a World, subject: &Subject) -> Result<Vec<(&'a Key, &'a Value)>, String> {
    if let Some(hook) =
        subject.finalizers().iter().find(|finalizer| finalizer.starts_with("pre-delete-finalizer"))
    {
        return Err(format!(
            "finalizer {hook} asks for hooks before deletion, which are not implemented yet; remove it to delete \
             without them"
        ));
    }
    let cluster = world.cluster.as_ref().ok_or("the cluster was not read")?;
    if let Some(unread) = cluster.unread.first() {
        return Err(unread.clone());
    }
    out_of_reach(world, subject)?;
    let rules = project::rules(subject.project(), world.project.as_ref())?;
    let options = subject.sync_options();
    let is_candidate = |(key, live): &(&Key, &Value)| {
        owner(live) == Owner::Application(subject.name())
            && !has_owner(live)
            && key.kind != "CustomResourceDefinition"
            && text(live, "/metadata/uid") != subject.uid()
            && !applies(live, &options, "Delete=false")
            && annotation(live, "helm.sh/resource-policy") != Some("keep")
            && project::permits_object(&rules, key, !key.namespace.is_empty())
    };
    let mut found: Vec<(&Key, &Value)> = cluster.live.iter().filter(is_candidate).collect();
    if let Some((key, _)) = found.iter().find(|(_, live)| applies(live, &options, "Delete=confirm")) {
        return Err(format!(
            "{key} is to be deleted only when that is confirmed (Delete=confirm), which is not implemented yet; remove \
             the option to delete it, or the finalizer to leave all objects"
        ));
    }
    found.sort_by(|(a, _), (b, _)| order::rank(b).cmp(&order::rank(a)));
    Ok(found)
}

/// Fails when objects may be where this installation may not look.
fn out_of_reach(world: &World, subject: &Subject) -> Result<(), String> {
    let resources = subject.status.resources.clone().unwrap_or_default();
    let namespaces = resources.iter().map(|resource| resource.namespace.as_deref().unwrap_or_default());
    let destination = Some(subject.namespace()).filter(|namespace| !namespace.is_empty());
    let mut places = namespaces.chain(destination);
    match places.find(|namespace| !world.install.reach.covers(namespace)) {
        Some(namespace) => Err(format!(
            "objects in namespace {namespace} cannot be deleted: it is not among the namespaces that this \
             installation may write to; add it to the chart value sync.namespaces, or remove the finalizer to \
             leave the objects"
        )),
        None => Ok(()),
    }
}

/// Says why the deletion does not go on.
fn failed(world: &World, subject: &Subject, message: String) -> Plan {
    let mut plan = Plan::nothing(Because::Unknown { message: message.clone() });
    let mut draft = Draft::new(world, subject);
    draft.conditions_of(&["DeletionError"], &[("DeletionError", message)]);
    draft.finish(&mut plan);
    plan.wake = world.now.checked_add(SignedDuration::from_secs(world.install.poll_seconds.min(30))).ok();
    plan
}

/// Lets the Application go.
fn release(world: &World, subject: &Subject) -> Plan {
    let kept: Vec<&str> = subject
        .finalizers()
        .into_iter()
        .filter(|finalizer| !CASCADE_FINALIZERS.contains(finalizer))
        .collect();
    let mut plan = Plan::nothing(Because::Deleted);
    plan.patch = joined(plan.patch.take(), Some(json!({ "metadata": { "finalizers": kept } })));
    plan.wake = (!kept.is_empty()).then_some(world.now);
    plan
}

/// Decides after deletions.
pub(super) fn conclude(world: &World, plan: &Plan, outcomes: &[Outcome]) -> Plan {
    let failure = plan.writes.iter().zip(outcomes).find_map(|(planned, outcome)| match outcome {
        Outcome::Failed { message } => Some(format!("{}: {message}", planned.write)),
        Outcome::Done { .. } | Outcome::NotTried | Outcome::Stale => None,
    });
    match (failure, Subject::read(&world.application)) {
        (Some(message), Ok(subject)) => failed(world, &subject, message),
        (Some(_) | None, _) => Plan { writes: Vec::new(), patch: None, notices: Vec::new(), ..plan.clone() },
    }
}
