//! Compares what Git wants with what the cluster has, and decides what follows when nobody has asked for a
//! sync.

use serde_json::Value;
use tidegate_api::source::{AppProjectSpec, HealthCode, SyncCode};

use super::adopt;
use super::automate::{self, Decision};
use super::delegate::Delegation;
use super::health::{self, Health};
use super::hook::{self, HookPhase};
use super::ignore::{Rules, placed};
use super::look::{Level, poll_at};
use super::object::{Key, annotation, group_version, has_owner, is_going, text};
use super::operate;
use super::options::has;
use super::plan::{Because, Plan};
use super::project;
use super::settings::{self, Settings};
use super::status;
use super::subject::Subject;
use super::target::{HookTarget, Target, Targets, targets};
use super::tracking::{Owner, owner};
use super::world::{Cluster, NamespaceFact, Prediction, World};

/// How many of several problems a message names.
const NAMED_PROBLEMS: usize = 5;

/// One object as it should be, ready for a dry run.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// The object's key.
    pub key: Key,
    /// The version of its kind that Git names.
    pub version: String,
    /// The object, with what the delivery half owns copied from the live one.
    pub object: Value,
    /// Whether anything was copied from the live object.
    pub pinned: bool,
    /// Whether the server can be asked: the kind and the namespace are there.
    pub can_dry_run: bool,
    /// Why the server would refuse it, where that is plain without asking.
    pub(super) refused: Option<String>,
}

/// One object on both sides.
pub(super) struct Pair<'a> {
    pub(super) key: Key,
    pub(super) version: String,
    pub(super) live: Option<&'a Value>,
    pub(super) wanted: Option<Wanted>,
    pub(super) status: SyncCode,
    /// Whether its status counts for the Application's.
    pub(super) counts: bool,
    pub(super) health: Option<Health>,
    /// Why the cluster cannot take it: it does not serve the kind or the version.
    pub(super) unserved: Option<String>,
    /// Why the server refuses it.
    pub(super) refused: Option<String>,
}

impl Pair<'_> {
    /// Whether the object is in the cluster and not in Git.
    pub(super) fn requires_pruning(&self) -> bool {
        self.wanted.is_none()
    }

    /// Whether the object is not in Git and is being deleted already.
    pub(super) fn is_going_extra(&self) -> bool {
        self.requires_pruning() && self.live.is_some_and(is_going)
    }
}

/// One hook on both sides.
pub(super) struct HookPair<'a> {
    pub(super) key: Key,
    pub(super) version: String,
    pub(super) phases: Vec<HookPhase>,
    /// What the cluster has by that name: the hook, or what an earlier sync left of it.
    pub(super) live: Option<&'a Value>,
    pub(super) object: Value,
    /// Why the cluster cannot take it: it does not serve the kind or the version.
    pub(super) unserved: Option<String>,
    /// Why the server refuses it.
    pub(super) refused: Option<String>,
}

/// Both sides of an Application.
pub(super) struct Comparison<'a> {
    pub(super) pairs: Vec<Pair<'a>>,
    pub(super) hooks: Vec<HookPair<'a>>,
    pub(super) revision: String,
    pub(super) sync: SyncCode,
    pub(super) warnings: Vec<(&'static str, String)>,
    /// Whether another Application's objects are among the wanted ones.
    pub(super) shares: bool,
}

/// The objects as they should be, then the hooks. What the delivery half owns comes from the live objects.
#[must_use]
pub fn wanted(world: &World, targets: &Targets) -> Vec<Wanted> {
    let Ok(subject) = Subject::read(&world.application) else { return Vec::new() };
    // What is wrong with a rule is told by the comparison, which no prediction is needed for then.
    let Ok(settings) = settings(world) else { return Vec::new() };
    let wanted = ignored(&subject, &settings).and_then(|ignored| {
        let options = subject.sync_options();
        all_wanted(world, &subject, targets, &options, &ignored)
    });
    wanted.unwrap_or_default()
}

/// What the installation says about comparing.
pub(super) fn settings(world: &World) -> Result<Settings, String> {
    match &world.settings {
        Ok(config_map) => Settings::read(config_map.as_ref()),
        Err(error) => Err(format!("Failed to read the ConfigMap {}: {error}", settings::NAME)),
    }
}

/// What does not count on the objects of an Application.
pub(super) fn ignored<'s>(subject: &'s Subject, settings: &'s Settings) -> Result<Rules<'s>, String> {
    let general = settings.ignored.iter().map(|(place, rule)| (place.clone(), rule));
    let own = placed(subject.spec.ignore_differences.as_deref().unwrap_or_default());
    Rules::read(general.chain(own), settings.ignores_aggregated_roles)
}

fn all_wanted(
    world: &World,
    subject: &Subject,
    targets: &Targets,
    options: &[String],
    rules: &Rules,
) -> Result<Vec<Wanted>, String> {
    let Some(cluster) = &world.cluster else { return Ok(Vec::new()) };
    let respects = has(options, "RespectIgnoreDifferences=true");
    let objects = targets.list.iter().map(|target| &target.object);
    let delegation = Delegation::read(cluster.neighbours.iter().chain(objects));
    let place = Place { subject, cluster, targets, creates: has(options, "CreateNamespace=true") };
    let hooks_are_next = operate::begins_with_hooks(subject);
    let hooks = targets.hooks.iter().map(|hook| {
        let target = &hook.target;
        let (can_dry_run, refused) = place.can_dry_run(target);
        Ok(Wanted {
            key: target.key.clone(),
            version: target.version.clone(),
            object: target.object.clone(),
            pinned: false,
            // What an earlier sync left is deleted first, so a change of it says nothing.
            can_dry_run: can_dry_run && hooks_are_next && !cluster.live.contains_key(&target.key),
            refused,
        })
    });
    let wanted = targets.list.iter().map(|target| {
        let mut object = target.object.clone();
        let mut pinned = false;
        if let Some(live) = cluster.live.get(&target.key) {
            pinned = delegation.settle(&mut object, live);
            if respects {
                pinned |= rules.respect(&target.key, &mut object, live)?;
            }
        }
        let (can_dry_run, refused) = place.can_dry_run(target);
        let (key, version) = (target.key.clone(), target.version.clone());
        Ok(Wanted { key, version, object, pinned, can_dry_run, refused })
    });
    wanted.chain(hooks).collect()
}

/// What it takes to say whether a dry run makes sense.
struct Place<'a> {
    subject: &'a Subject<'a>,
    cluster: &'a Cluster,
    targets: &'a Targets,
    creates: bool,
}

impl Place<'_> {
    fn can_dry_run(&self, target: &Target) -> (bool, Option<String>) {
        if target.defined_here || target.unserved.is_some() {
            return (false, None);
        }
        if self.needs_another(target) {
            return (false, None);
        }
        let namespace = &target.key.namespace;
        if !matches!(self.cluster.namespaces.get(namespace), Some(NamespaceFact::Missing)) {
            return (true, None);
        }
        let is_made_by_option = self.creates && namespace == self.subject.namespace();
        let is_in_git = self.targets.all().any(|other| {
            other.key.kind == "Namespace" && other.key.group.is_empty() && other.key.name == *namespace
        });
        let refused = (!is_made_by_option && !is_in_git).then(|| {
            format!(
                "namespaces \"{namespace}\" not found: create it, or add CreateNamespace=true to \
                 spec.syncPolicy.syncOptions"
            )
        });
        (false, refused)
    }

    /// Whether the server would refuse an object only because another one, which comes before it, is not there yet: a
    /// binding without its role, a pod without its account.
    fn needs_another(&self, target: &Target) -> bool {
        let Key { group, kind, namespace, .. } = &target.key;
        let object = &target.object;
        let (group, kind, namespace, name) = match (group.as_str(), kind.as_str()) {
            ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => {
                let role = text(object, "/roleRef/kind");
                let namespace = if role == "Role" { namespace.as_str() } else { "" };
                (group.as_str(), role, namespace, text(object, "/roleRef/name"))
            }
            ("", "Pod") => {
                ("", "ServiceAccount", namespace.as_str(), text(object, "/spec/serviceAccountName"))
            }
            _ => return false,
        };
        let needed = Key {
            group: group.to_owned(),
            kind: kind.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
        !self.cluster.live.contains_key(&needed) && self.targets.all().any(|other| other.key == needed)
    }
}

/// Compares both sides.
///
/// # Errors
/// One side could not be read in full; then nothing may be concluded from what is absent.
pub(super) fn compare<'a>(world: &'a World, subject: &Subject) -> Result<Comparison<'a>, String> {
    let load = |error: &dyn std::fmt::Display| format!("Failed to load target state: {error}");
    let fetched = match &world.source {
        Some(Ok(fetched)) => fetched,
        Some(Err(error)) => return Err(load(error)),
        None => return Err(load(&"the repository was not read")),
    };
    let render = fetched.render.as_ref().as_ref().map_err(|error| load(error))?;
    let cluster = world.cluster.as_ref().ok_or("Failed to load live state: the cluster was not read")?;
    if !cluster.unread.is_empty() {
        return Err(format!("Failed to load live state: {}", listed(&cluster.unread)));
    }
    let targets = targets(world, render);
    if !targets.problems.is_empty() {
        return Err(listed(&targets.problems));
    }
    let permitted = project::rules(subject.project(), world.project.as_ref())?;
    let settings = settings(world)?;
    let ignored = ignored(subject, &settings)?;
    let options = subject.sync_options();
    let mut pairs = Vec::new();
    let mut warnings = targets.warnings.clone();
    let mut shares = false;
    let mut wanted = all_wanted(world, subject, &targets, &options, &ignored)?.into_iter();
    for (target, wanted) in targets.list.iter().zip(wanted.by_ref()) {
        let live = cluster.live.get(&target.key);
        if let Some(other) = live.and_then(|live| other_owner(live, subject.name())) {
            shares = true;
            let Key { kind, name, .. } = &target.key;
            let message = format!("{kind}/{name} is part of applications {} and {other}", subject.name());
            warnings.push(("SharedResourceWarning", message));
        }
        pairs.push(target_pair(&ignored, cluster, target, wanted, live)?);
    }
    pairs.extend(extra_pairs(cluster, subject, &targets, &permitted));
    let unchecked = settings.unchecked(pairs.iter().map(|pair| &pair.key));
    if !unchecked.is_empty() {
        let kinds = unchecked.into_iter().collect::<Vec<_>>().join(", ");
        let message = format!("{} has health checks in Lua, which are not run: {kinds}", settings::NAME);
        warnings.push(("UnsupportedFieldWarning", message));
    }
    let hooks = targets.hooks.iter().zip(wanted);
    let hooks =
        hooks.map(|(hook, wanted)| hook_pair(cluster, hook, wanted)).collect::<Result<Vec<_>, _>>()?;
    pairs.sort_by(|a, b| a.key.cmp(&b.key));
    let differs = pairs.iter().any(|pair| pair.counts && pair.status == SyncCode::OutOfSync);
    let sync =
        if differs || namespace_differs(subject, cluster) { SyncCode::OutOfSync } else { SyncCode::Synced };
    Ok(Comparison { pairs, hooks, revision: fetched.revision.clone(), sync, warnings, shares })
}

/// Several problems in one message.
fn listed(problems: &[String]) -> String {
    let more = problems.len().saturating_sub(NAMED_PROBLEMS);
    let named = problems.iter().take(NAMED_PROBLEMS).cloned().collect::<Vec<_>>().join("; ");
    if more > 0 { format!("{named}; and {more} more") } else { named }
}

/// The other Application whose mark an object carries.
fn other_owner<'a>(live: &'a Value, own: &str) -> Option<&'a str> {
    match owner(live) {
        Owner::Application(name) if name != own => Some(name),
        Owner::Application(_) | Owner::Nobody | Owner::Copied => None,
    }
}

/// Pairs an object that Git wants.
fn target_pair<'a>(
    ignored: &Rules,
    cluster: &Cluster,
    target: &Target,
    wanted: Wanted,
    live: Option<&'a Value>,
) -> Result<Pair<'a>, String> {
    let mut refused = wanted.refused.clone();
    let mut is_same = false;
    match (cluster.predicted.get(&target.key), live) {
        (Some(Prediction::Unanswered(error)), _) => {
            return Err(format!("Failed to compare desired state to live state: {}: {error}", target.key));
        }
        (Some(Prediction::Refused(error)), _) => refused = Some(error.clone()),
        (Some(Prediction::Accepted(predicted)), Some(live)) => {
            let differs = ignored.differ(&target.key, live, predicted)?;
            is_same = !differs && !adopt::leaves_behind(live, &wanted.object);
        }
        (Some(Prediction::Accepted(_)), None) | (None, _) => {}
    }
    let status = if is_same { SyncCode::Synced } else { SyncCode::OutOfSync };
    let missing = || Health { code: HealthCode::Missing, message: String::new() };
    Ok(Pair {
        key: target.key.clone(),
        version: target.version.clone(),
        live,
        wanted: Some(wanted),
        status,
        counts: true,
        health: live.map_or_else(|| Some(missing()), health::judged),
        unserved: target.unserved.clone(),
        refused,
    })
}

/// Pairs a hook.
fn hook_pair<'a>(cluster: &'a Cluster, hook: &HookTarget, wanted: Wanted) -> Result<HookPair<'a>, String> {
    let target = &hook.target;
    let refused = match cluster.predicted.get(&target.key) {
        Some(Prediction::Unanswered(error)) => {
            return Err(format!("Failed to compare desired state to live state: {}: {error}", target.key));
        }
        Some(Prediction::Refused(error)) => Some(error.clone()),
        Some(Prediction::Accepted(_)) | None => wanted.refused,
    };
    Ok(HookPair {
        key: target.key.clone(),
        version: target.version.clone(),
        phases: hook.phases.clone(),
        live: cluster.live.get(&target.key),
        object: wanted.object,
        unserved: target.unserved.clone(),
        refused,
    })
}

/// Pairs the objects that carry the Application's mark and are not in Git.
fn extra_pairs<'a>(
    cluster: &'a Cluster,
    subject: &Subject,
    targets: &Targets,
    rules: &AppProjectSpec,
) -> Vec<Pair<'a>> {
    let keys = targets.keys();
    let is_extra = |(key, live): &(&Key, &Value)| {
        let namespaced = !key.namespace.is_empty();
        !keys.contains(*key)
            && !targets.left_alone.contains(*key)
            && owner(live) == Owner::Application(subject.name())
            && !has_owner(live)
            // What is left of a hook was never state, so its absence from Git says nothing.
            && !hook::is_hook(live)
            && project::permits_object(rules, key, namespaced)
    };
    let pair = |(key, live): (&'a Key, &'a Value)| Pair {
        key: key.clone(),
        version: group_version(live).1.to_owned(),
        live: Some(live),
        wanted: None,
        status: SyncCode::OutOfSync,
        counts: !is_ignored_when_extra(live),
        health: health::judged(live),
        unserved: None,
        refused: None,
    };
    cluster.live.iter().filter(is_extra).map(pair).collect()
}

fn is_ignored_when_extra(live: &Value) -> bool {
    let options = annotation(live, "argocd.argoproj.io/compare-options").unwrap_or_default();
    options.split(',').any(|option| option.trim() == "IgnoreExtraneous")
}

/// Whether the destination namespace lacks labels or annotations that the spec gives it.
pub(super) fn namespace_differs(subject: &Subject, cluster: &Cluster) -> bool {
    let policy = subject.spec.sync_policy.as_ref();
    let Some(metadata) = policy.and_then(|policy| policy.managed_namespace_metadata.as_ref()) else {
        return false;
    };
    let Some(NamespaceFact::There(live)) = cluster.namespaces.get(subject.namespace()) else { return false };
    let lacks = |part: &str, given: &Option<std::collections::BTreeMap<String, String>>| {
        let live = live.get("metadata").and_then(|metadata| metadata.get(part)).unwrap_or(&Value::Null);
        given.iter().flatten().any(|(name, value)| live.get(name).and_then(Value::as_str) != Some(value))
    };
    has(&subject.sync_options(), "CreateNamespace=true")
        && (lacks("labels", &metadata.labels) || lacks("annotations", &metadata.annotations))
}

/// Writes what a comparison found, and starts a sync where automation asks for one.
pub(super) fn plan(world: &World, level: Level) -> Plan {
    let subject = match Subject::read(&world.application) {
        Ok(subject) => subject,
        Err(error) => return status::invalid(world, vec![("InvalidSpecError", error)]),
    };
    let comparison = match compare(world, &subject) {
        Ok(comparison) => comparison,
        Err(message) => return failed(world, &subject, level, message),
    };
    let decision = automate::decide(world, &subject, &comparison);
    let mut conditions = comparison.warnings.clone();
    conditions.extend(status::unsupported(world, &subject));
    let mut plan = Plan::nothing(because(&comparison));
    let mut started = None;
    match decision {
        Decision::Nothing(because) => plan.because = because.unwrap_or(plan.because),
        Decision::Later { until } => {
            plan.wake_at(until);
            plan.because = Because::HealLater { until };
        }
        Decision::Refuse { message, because } => {
            conditions.push(("SyncError", message));
            plan.because = because;
        }
        Decision::Start { operation } => {
            plan.because = Because::SyncStarted { revision: comparison.revision.clone() };
            started = Some(operation);
        }
    }
    status::compared(world, &subject, &comparison, level, &conditions, started, &mut plan);
    if let Some(at) = poll_at(&after(world, level), &subject).filter(|at| *at > world.now) {
        plan.wake_at(at);
    }
    plan
}

/// The world in which the repository has just been read.
fn after(world: &World, level: Level) -> World {
    let mut after = world.clone();
    if level > Level::SameRevision {
        after.failing = None;
    }
    after
}

fn because(comparison: &Comparison) -> Because {
    let revision = comparison.revision.clone();
    if comparison.sync == SyncCode::Synced {
        return Because::Synced { revision };
    }
    let objects =
        comparison.pairs.iter().filter(|pair| pair.counts && pair.status == SyncCode::OutOfSync).count();
    Because::OutOfSync { revision, objects }
}

/// Says that no comparison was possible. A repository that cannot be read is news only when that lasts, or
/// when somebody asked.
fn failed(world: &World, subject: &Subject, level: Level, message: String) -> Plan {
    let hidden = match (&world.source, &world.failing) {
        (Some(Err(_)), Some(failing)) => {
            world.now.as_second() - failing.since.as_second() < world.install.grace_seconds
        }
        (Some(_) | None, Some(_) | None) => false,
    };
    let next = poll_at(world, subject).filter(|at| *at > world.now);
    if hidden && level < Level::Force && subject.compared_revision().is_some() {
        let mut plan = Plan::nothing(Because::Unknown { message });
        plan.wake = next;
        return plan;
    }
    let mut plan = Plan::nothing(Because::Unknown { message: message.clone() });
    status::unknown(world, subject, message, &mut plan);
    plan.wake = next.or_else(|| Some(status::next_poll(world, subject)));
    plan
}
