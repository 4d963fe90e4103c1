//! Whether anything is due for an Application, seen from the Application alone.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tidegate_api::source::{ApplicationSource, OperationPhase};

use super::object::{is_going, text};
use super::operate;
use super::plan::Because;
use super::project;
use super::retry;
use super::subject::Subject;
use super::supported;
use super::world::World;
use super::{FIELD_MANAGER, address};

/// How long after another controller's last write it counts as alive: twice its longest poll of 180 s.
const FOREIGN_GRACE_SECONDS: i64 = 360;
/// The longest wait between two attempts to read a repository that cannot be read.
const LONGEST_REPOSITORY_WAIT_SECONDS: i64 = 180;
/// Finalizers that ask for a cascading deletion.
pub(super) const CASCADE_FINALIZERS: [&str; 3] = [
    "resources-finalizer.argocd.argoproj.io",
    "resources-finalizer.argocd.argoproj.io/foreground",
    "resources-finalizer.argocd.argoproj.io/background",
];

/// What is due.
#[derive(Clone, Debug, PartialEq)]
pub enum Look {
    /// Nothing, and not only for now.
    Leave(Because),
    /// Nothing before this time.
    Wait {
        /// The time.
        until: Timestamp,
    },
    /// The spec asks for what cannot be done.
    Invalid {
        /// Condition types and messages.
        conditions: Vec<(&'static str, String)>,
    },
    /// The objects are to be deleted.
    Remove,
    /// A sync runs.
    Operate(Question),
    /// Git and cluster are to be compared.
    Compare {
        /// How deeply.
        level: Level,
        /// What Git is to be asked.
        question: Question,
    },
}

/// How deeply Git and cluster are compared.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Level {
    /// With the commit of the last comparison.
    SameRevision,
    /// With whatever commit the target revision is now.
    Resolve,
    /// The same, because somebody asked or the spec changed.
    Force,
    /// The same, and nothing that was found earlier is trusted.
    Hard,
}

/// What Git is to be asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// The source.
    pub source: ApplicationSource,
    /// A branch, tag or commit; empty means `HEAD`.
    pub revision: String,
}

/// Says what is due.
#[must_use]
pub fn look(world: &World) -> Look {
    if let Some(because) = foreign(world) {
        return Look::Leave(because);
    }
    let subject = match Subject::read(&world.application) {
        Ok(subject) => subject,
        Err(error) => return Look::Invalid { conditions: vec![("InvalidSpecError", error)] },
    };
    if subject.is_skipped() {
        return Look::Leave(Because::Skipped);
    }
    if is_going(&world.application) {
        let ours = subject.finalizers().iter().any(|finalizer| CASCADE_FINALIZERS.contains(finalizer));
        return if ours { Look::Remove } else { Look::Leave(Because::Going) };
    }
    let conditions = invalid(world, &subject);
    let look = if conditions.is_empty() {
        comparison(world, &subject)
    } else {
        // Told once; again when somebody asks, when the spec changes, or with the next poll.
        match told_already(world, &subject, &conditions) {
            Some(until) => Look::Wait { until },
            None => Look::Invalid { conditions },
        }
    };
    with_operation(world, &subject, look)
}

/// Puts a sync that was asked for in its place: after a comparison that is due, before one that is not.
fn with_operation(world: &World, subject: &Subject, look: Look) -> Look {
    if subject.operation.is_none() {
        return look;
    }
    let state = subject.status.operation_state.as_ref();
    if state.is_some_and(|state| state.phase == OperationPhase::Terminating) {
        // Whoever asks to stop is obeyed at once, also when Git does not answer or the spec is invalid.
        return operation(world, subject);
    }
    let retry_at = state.and_then(retry::waits_until).filter(|until| world.now < *until);
    match (look, retry_at) {
        (
            look @ (Look::Invalid { .. }
            | Look::Compare { level: Level::Resolve | Level::Force | Level::Hard, .. }),
            _,
        ) => look,
        (Look::Wait { until }, Some(retry_at)) => Look::Wait { until: until.min(retry_at) },
        (look, Some(_)) => look,
        (_, None) => operation(world, subject),
    }
}

/// Whether another live controller looks after this Application.
///
/// Argo CD takes no Lease, but writes `status.reconciledAt` with every comparison, at most 180 s apart. A
/// fresh one that was written by another field manager, or from another namespace, is a sign of life; while
/// it lasts nothing at all is written here.
fn foreign(world: &World) -> Option<Because> {
    let status = world.application.get("status")?;
    let at: Timestamp = text(status, "/reconciledAt").parse().ok()?;
    let seconds = world.now.as_second() - at.as_second();
    if seconds >= FOREIGN_GRACE_SECONDS {
        return None;
    }
    let manager = reconciled_by(&world.application).unwrap_or("another controller");
    let namespace = text(status, "/controllerNamespace");
    if manager == FIELD_MANAGER && namespace == world.install.controller_namespace {
        return None;
    }
    let manager =
        if namespace.is_empty() { manager.to_owned() } else { format!("{manager} in namespace {namespace}") };
    Some(Because::OwnedElsewhere { manager, seconds })
}

/// The field manager that wrote `status.reconciledAt` last.
fn reconciled_by(application: &Value) -> Option<&str> {
    let entries = application.pointer("/metadata/managedFields")?.as_array()?;
    let owner = entries.iter().find(|entry| entry.pointer("/fieldsV1/f:status/f:reconciledAt").is_some())?;
    owner.get("manager")?.as_str()
}

/// What of the spec and the project forbids any comparison.
pub(super) fn invalid(world: &World, subject: &Subject) -> Vec<(&'static str, String)> {
    let mut found: Vec<(&'static str, String)> = Vec::new();
    let invalid = |message: String| ("InvalidSpecError", message);
    found.extend(subject.check_destination().err().map(invalid));
    let spec = world.application.get("spec").cloned().unwrap_or_default();
    let findings = supported::spec(&spec, &subject.sync_options());
    let unsupported = !findings.refused.is_empty();
    found.extend(findings.refused.into_iter().map(|message| ("ComparisonError", message)));
    match subject.spec.source.as_ref().filter(|source| !source.repo_url.is_empty()) {
        None if !unsupported => {
            found.push(invalid("spec.source.repoURL is required: name the Git repository".to_owned()));
        }
        None => {}
        Some(source) => found.extend(source_errors(source)),
    }
    found.extend(reach_error(world, subject).map(invalid));
    found.extend(project_errors(world, subject));
    found
}

/// What of a source forbids to read it.
pub(super) fn source_errors(source: &ApplicationSource) -> Vec<(&'static str, String)> {
    if source.repo_url.starts_with("oci://") {
        let message = "spec.source.repoURL names an OCI registry, which is not implemented yet".to_owned();
        return vec![("ComparisonError", message)];
    }
    path_error(source).map(|message| ("InvalidSpecError", message)).into_iter().collect()
}

/// Why the source's path cannot be read.
fn path_error(source: &ApplicationSource) -> Option<String> {
    let path = source.path.as_deref().unwrap_or_default();
    if path.is_empty() {
        return Some("spec.source.path is required: name the directory, or . for the top".to_owned());
    }
    (path.starts_with('/') || path.split('/').any(|step| step == ".."))
        .then(|| format!("spec.source.path {path} must stay inside the repository"))
}

/// Why this installation may not write to the destination.
fn reach_error(world: &World, subject: &Subject) -> Option<String> {
    let namespace = subject.namespace();
    (!namespace.is_empty() && !world.install.reach.covers(namespace)).then(|| {
        format!(
            "spec.destination.namespace {namespace} is not among the namespaces that this installation may \
             write to; add it to the chart value sync.namespaces"
        )
    })
}

/// What the project forbids, or asks for and does not get.
fn project_errors(world: &World, subject: &Subject) -> Vec<(&'static str, String)> {
    let name = subject.project();
    let rules = match project::rules(name, world.project.as_ref()) {
        Ok(rules) => rules,
        Err(message) => return vec![("InvalidSpecError", message)],
    };
    let mut found = Vec::new();
    if let Some(source) = &subject.spec.source {
        let violations = project::violations(&rules, name, source, &subject.spec.destination);
        found.extend(violations.into_iter().map(|message| ("InvalidSpecError", message)));
    }
    let spec = world.project.as_ref().and_then(|project| project.get("spec")).cloned().unwrap_or_default();
    found.extend(supported::project(&spec).refused.into_iter().map(|message| ("ComparisonError", message)));
    if !project::windows(&rules, subject.name(), subject.namespace()).is_empty() {
        let message = format!(
            "AppProject {name} has spec.syncWindows for this Application, which are not implemented yet; \
             nothing is synced until they are removed"
        );
        found.push(("ComparisonError", message));
    }
    let account = project::service_account(world.project.as_ref(), subject.namespace());
    found.extend(account.err().map(|message| ("InvalidSpecError", message)));
    found
}

/// Whether the status already says exactly this; if so, when to look again.
fn told_already(
    world: &World,
    subject: &Subject,
    conditions: &[(&'static str, String)],
) -> Option<Timestamp> {
    let told = |(type_, message): &(&'static str, String)| {
        subject.status.conditions.iter().flatten().any(|c| c.type_ == *type_ && c.message == *message)
    };
    let next = poll_at(world, subject)?;
    (conditions.iter().all(told) && subject.refresh().is_none() && world.now < next).then_some(next)
}

/// What a sync that was asked for needs.
fn operation(world: &World, subject: &Subject) -> Look {
    let sync = subject.operation.as_ref().and_then(|operation| operation.sync.clone()).unwrap_or_default();
    // A source that is refused is not read either: no project has permitted it.
    let source = operate::source(world, subject)
        .or_else(|_| subject.spec.source.clone().ok_or(()))
        .unwrap_or_default();
    // A sync that is under way stays with its commit, also after a restart of the controller.
    let pinned = operate::pinned(subject).map(|result| result.revision.clone());
    let asked = sync.revision.filter(|revision| !revision.is_empty());
    let asked = asked.filter(|_| !retry::takes_newest(subject));
    let revision = pinned.or(asked).or_else(|| source.target_revision.clone()).unwrap_or_default();
    Look::Operate(Question { source, revision })
}

/// What a comparison needs, if one is due.
fn comparison(world: &World, subject: &Subject) -> Look {
    let Some(source) = subject.spec.source.clone() else { return Look::Leave(Because::Going) };
    // A repository that could not be read a moment ago is what this look is about, not a reason to wait.
    let is_unread = matches!(world.source, Some(Err(_))) && world.stalled.is_none();
    let next = poll_at(world, subject).filter(|_| !is_unread);
    let level = match subject.refresh() {
        Some("hard") => Some(Level::Hard),
        Some(_) => Some(Level::Force),
        None if compared_to_other(subject, "source") => Some(Level::Force),
        None if next.is_none_or(|next| world.now >= next) => Some(Level::Resolve),
        None if compared_to_other(subject, "destination") => Some(Level::Resolve),
        None if compared_to_other(subject, "ignoreDifferences") => Some(Level::Resolve),
        None if ended_since(subject) => Some(Level::Resolve),
        None if world.prompted && told_of_errors(subject) => Some(Level::Resolve),
        None if world.prompted => Some(Level::SameRevision),
        None => None,
    };
    let target = source.target_revision.clone().unwrap_or_default();
    match (level, next) {
        (Some(Level::SameRevision), _) => match subject.compared_revision() {
            Some(revision) => {
                let revision = revision.to_owned();
                Look::Compare { level: Level::SameRevision, question: Question { source, revision } }
            }
            None => Look::Compare { level: Level::Resolve, question: Question { source, revision: target } },
        },
        (Some(level), _) => Look::Compare { level, question: Question { source, revision: target } },
        (None, Some(until)) => Look::Wait { until },
        (None, None) => {
            Look::Compare { level: Level::Resolve, question: Question { source, revision: target } }
        }
    }
}

/// Whether the last look could not compare. What it was told of may be mended.
fn told_of_errors(subject: &Subject) -> bool {
    ["ComparisonError", "InvalidSpecError"].iter().any(|type_| subject.has_condition(type_))
}

/// When the next comparison is due, or the next attempt at a repository that cannot be read; nothing when
/// there was no comparison yet.
pub(super) fn poll_at(world: &World, subject: &Subject) -> Option<Timestamp> {
    if let Some(failing) = &world.failing {
        // 10, 20, 40, 80, 160, 180 s after the first failure, each counted from the one before.
        let waits = (0..failing.attempts.min(32))
            .map(|n| 10_i64.saturating_mul(1 << n.min(5)).min(LONGEST_REPOSITORY_WAIT_SECONDS));
        return failing.since.checked_add(SignedDuration::from_secs(waits.sum())).ok();
    }
    let seconds = world.install.poll_seconds + jitter(subject.uid(), world.install.poll_jitter_seconds);
    subject.reconciled_at().and_then(|at| at.checked_add(SignedDuration::from_secs(seconds)).ok())
}

/// A number of seconds below the limit that is the same for one Application every time (FNV-1a of its uid).
fn jitter(uid: &str, limit_seconds: i64) -> i64 {
    let hash = uid.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    i64::try_from(hash >> 1).unwrap_or(0).checked_rem(limit_seconds).unwrap_or(0)
}

/// Whether the last comparison was about another value of this field of the spec.
fn compared_to_other(subject: &Subject, field: &str) -> bool {
    let Some(compared) = subject.raw.pointer("/status/sync/comparedTo") else {
        return subject.reconciled_at().is_some();
    };
    let of = |value: Option<&Value>| value.filter(|value| !value.is_null()).cloned();
    of(compared.get(field)) != of(subject.raw.get("spec").and_then(|spec| spec.get(field)))
}

/// Whether a sync ended after the last comparison.
fn ended_since(subject: &Subject) -> bool {
    let Some(state) = &subject.status.operation_state else { return false };
    let finished = state.finished_at.as_ref().filter(|_| state.phase.is_completed()).map(|time| time.0);
    finished.is_some_and(|finished| subject.reconciled_at().is_none_or(|at| finished >= at))
}

/// The repository of a question, fit for messages.
impl Question {
    /// The repository without credentials.
    #[must_use]
    pub fn repository(&self) -> String {
        address::redacted(&self.source.repo_url)
    }
}
