//! From rendered objects to targets: placed in their namespace, marked, permitted, and each only once.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use tidegate_api::source::AppProjectSpec;

use super::hook::{self, HookPhase, Nature};
use super::manifest::Render;
use super::object::{Key, child_map, group_version, list, text};
use super::options;
use super::project;
use super::subject::Subject;
use super::supported;
use super::tracking;
use super::world::{Cluster, KindFact, Reach, World};

/// Kinds that clusters make by themselves in great number; upstream leaves them out by default.
const EXCLUDED: [(&str, &str); 11] = [
    ("", "Endpoints"),
    ("discovery.k8s.io", "EndpointSlice"),
    ("coordination.k8s.io", "Lease"),
    ("authentication.k8s.io", "*"),
    ("authorization.k8s.io", "*"),
    ("certificates.k8s.io", "CertificateSigningRequest"),
    ("cert-manager.io", "CertificateRequest"),
    ("cilium.io", "CiliumIdentity"),
    ("cilium.io", "CiliumEndpoint"),
    ("cilium.io", "CiliumEndpointSlice"),
    ("wgpolicyk8s.io", "*"),
];

/// One object that Git wants.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Target {
    pub(crate) key: Key,
    /// The version that Git names.
    pub(crate) version: String,
    /// The object, placed and marked.
    pub(crate) object: Value,
    pub(crate) namespaced: bool,
    /// Why the cluster cannot take it: it does not know the kind or the version.
    pub(crate) unserved: Option<String>,
    /// Whether the kind is unknown now and will be known once its definition, which is part of the same
    /// source, is applied.
    pub(crate) defined_here: bool,
}

/// One hook that Git wants run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct HookTarget {
    pub(crate) target: Target,
    /// When it runs; it may run more than once.
    pub(super) phases: Vec<HookPhase>,
}

/// What Git wants, and what is wrong with it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Targets {
    /// The objects.
    pub(crate) list: Vec<Target>,
    /// Tasks that Git wants run.
    pub(crate) hooks: Vec<HookTarget>,
    /// Objects that Git has and that are neither applied as state nor pruned.
    pub(crate) left_alone: BTreeSet<Key>,
    /// Sentences; one is enough to stop any sync.
    pub(crate) problems: Vec<String>,
    /// Condition types and messages that stop nothing.
    pub(crate) warnings: Vec<(&'static str, String)>,
}

/// Where to look for objects that carry an Application's mark.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scan {
    /// Whether to look through every kind, because it is not known which were used.
    pub every_kind: bool,
    /// The kinds to look through otherwise.
    pub kinds: BTreeSet<(String, String)>,
    /// The namespaces.
    pub namespaces: BTreeSet<String>,
}

/// Places, marks and checks the objects of a render.
#[must_use]
pub fn targets(world: &World, render: &Render) -> Targets {
    let mut targets = Targets::default();
    let (Ok(subject), Some(cluster)) = (Subject::read(&world.application), &world.cluster) else {
        return targets;
    };
    let rules = match project::rules(subject.project(), world.project.as_ref()) {
        Ok(rules) => rules,
        Err(message) => {
            targets.problems.push(message);
            return targets;
        }
    };
    let place = Place { subject: &subject, cluster, rules: &rules, reach: &world.install.reach };
    let defined = definitions(render);
    let naming = naming(world, &subject);
    let mut by_key: BTreeMap<Key, (Target, Option<Vec<HookPhase>>, usize)> = BTreeMap::new();
    for manifest in &render.objects {
        for (object, phases) in instances(&manifest.object, &naming) {
            let Some(target) = place.target(object, &manifest.file, &defined, &mut targets) else {
                continue;
            };
            // Of several objects with one name the last one counts, as upstream.
            let count = by_key.get(&target.key).map_or(0, |(_, _, count)| *count);
            by_key.insert(target.key.clone(), (target, phases, count + 1));
        }
    }
    for (target, phases, count) in by_key.into_values() {
        if count > 1 {
            let Key { group, kind, namespace, name } = &target.key;
            targets.warnings.push((
                "RepeatedResourceWarning",
                format!(
                    "Resource {group}/{kind}/{namespace}/{name} appeared {count} times among application resources."
                ),
            ));
        }
        let Some(phases) = phases else {
            targets.list.push(target);
            continue;
        };
        targets.left_alone.insert(target.key.clone());
        if !phases.is_empty() {
            targets.hooks.push(HookTarget { target, phases });
        }
    }
    targets
}

/// What a manifest stands for: itself, or a hook with its phases, under each of its names.
fn instances(object: &Value, naming: &hook::Naming) -> Vec<(Value, Option<Vec<HookPhase>>)> {
    match hook::nature(object) {
        Nature::Object | Nature::Skipped => vec![(object.clone(), None)],
        Nature::Hook(phases) => {
            let instances = hook::instances(object, phases, naming).into_iter();
            instances.map(|(object, phases)| (object, Some(phases))).collect()
        }
    }
}

/// What generated names are made of: those of the sync that runs, else of the last one.
fn naming(world: &World, subject: &Subject) -> hook::Naming {
    let fetched = world.source.as_ref().and_then(|source| source.as_ref().ok());
    let state = subject.status.operation_state.as_ref();
    let state = state.filter(|state| subject.operation.is_none() || !state.phase.is_completed());
    let began = state.and_then(|state| state.started_at.as_ref()).map_or(world.now, |time| time.0);
    hook::Naming { revision: fetched.map(|fetched| fetched.revision.clone()).unwrap_or_default(), began }
}

/// What it takes to place one object.
struct Place<'a> {
    subject: &'a Subject<'a>,
    cluster: &'a Cluster,
    rules: &'a AppProjectSpec,
    reach: &'a Reach,
}

impl Place<'_> {
    /// Places one object; nothing when it is left out, with a word in `targets` about why.
    fn target(
        &self,
        mut object: Value,
        file: &str,
        defined: &BTreeMap<(String, String), Definition>,
        targets: &mut Targets,
    ) -> Option<Target> {
        let given = Key::of(&object);
        let (_, version) = group_version(&object);
        let version = version.to_owned();
        if is_excluded(&given) {
            let message = format!("Resource {given} is excluded, as all objects of its kind are");
            targets.warnings.push(("ExcludedResourceWarning", message));
            return None;
        }
        let known = self.cluster.kinds.get(&given.group_kind());
        let definition = defined.get(&given.group_kind());
        let defined_namespaced = definition.map(|definition| definition.namespaced);
        let namespaced = known.map(|kind| kind.namespaced).or(defined_namespaced).unwrap_or(true);
        settle_namespace(&mut object, namespaced, self.subject.namespace());
        let key = Key::of(&object);
        if hook::nature(&object) == Nature::Skipped {
            targets.left_alone.insert(key);
            return None;
        }
        if let Some(problem) = self.problem(&key, &object, namespaced) {
            targets.problems.push(format!("{file}: {problem}"));
            return None;
        }
        let warning = supported::object_warning(&object);
        targets.warnings.extend(warning.map(|w| ("UnsupportedFieldWarning", format!("{file}: {key}: {w}"))));
        clean(&mut object);
        tracking::mark(&mut object, self.subject.name(), self.subject.namespace());
        let is_served = known.is_some_and(|known| known.versions.contains(&version));
        let defined_here =
            !is_served && definition.is_some_and(|definition| definition.versions.contains(&version));
        let unserved = if defined_here { None } else { unserved(&key, &version, known) };
        Some(Target { key, version, object, namespaced, unserved, defined_here })
    }

    /// What forbids to write an object.
    fn problem(&self, key: &Key, object: &Value, namespaced: bool) -> Option<String> {
        if let Some(problem) = supported::object(object).or_else(|| secret_problem(key, object)) {
            return Some(format!("{key}: {problem}"));
        }
        if namespaced && key.namespace.is_empty() {
            return Some(format!("{key} names no namespace: set it, or spec.destination.namespace"));
        }
        if !project::permits_object(self.rules, key, namespaced) {
            let project = self.subject.project();
            return Some(format!("{key} is not permitted in project {project}"));
        }
        if self.reach.covers(&key.namespace) {
            return None;
        }
        Some(if namespaced {
            format!(
                "{key} is outside the namespaces that this installation may write to; add {} to the chart value \
                 sync.namespaces",
                key.namespace
            )
        } else {
            format!("{key} is cluster-scoped; set the chart value sync.clusterWide to allow such objects")
        })
    }
}

/// What a definition among the objects serves.
struct Definition {
    namespaced: bool,
    versions: Vec<String>,
}

/// The kinds that the render itself defines, and whether their objects live in namespaces.
fn definitions(render: &Render) -> BTreeMap<(String, String), Definition> {
    let definitions = render.objects.iter().map(|manifest| &manifest.object);
    let definitions = definitions.filter(|object| text(object, "/kind") == "CustomResourceDefinition");
    definitions
        .map(|object| {
            let kind = (text(object, "/spec/group").to_owned(), text(object, "/spec/names/kind").to_owned());
            let versions = list(object, "/spec/versions").iter();
            let served = versions.filter(|version| version.get("served") == Some(&Value::Bool(true)));
            let versions = served.map(|version| text(version, "/name").to_owned()).collect();
            (kind, Definition { namespaced: text(object, "/spec/scope") == "Namespaced", versions })
        })
        .collect()
}

fn is_excluded(key: &Key) -> bool {
    EXCLUDED.iter().any(|(group, kind)| key.group == *group && (*kind == "*" || key.kind == *kind))
}

/// Gives a namespaced object the destination namespace if it names none, and takes a namespace from a
/// cluster-scoped one.
fn settle_namespace(object: &mut Value, namespaced: bool, destination: &str) {
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    if !namespaced {
        metadata.remove("namespace");
    } else if metadata.get("namespace").and_then(Value::as_str).unwrap_or_default().is_empty() {
        metadata.insert("namespace".to_owned(), Value::String(destination.to_owned()));
    }
}

/// Takes out what only a server may write, and folds a Secret's `stringData` into its `data`: the server
/// does that too, but would keep a key that later leaves `stringData`.
fn clean(object: &mut Value) {
    let is_application =
        text(object, "/kind") == "Application" && text(object, "/apiVersion").starts_with("argoproj.io/");
    let is_secret = text(object, "/kind") == "Secret" && text(object, "/apiVersion") == "v1";
    if let Some(map) = object.as_object_mut() {
        map.remove("status");
        if is_application {
            map.remove("operation");
        }
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        for name in ["creationTimestamp", "managedFields", "resourceVersion", "uid", "generation", "selfLink"]
        {
            metadata.remove(name);
        }
        drop_nulls(metadata, "annotations");
        drop_nulls(metadata, "labels");
    }
    if is_secret {
        fold_string_data(object);
    }
}

/// Removes entries without a value from a map of texts; Go reads them as absent.
fn drop_nulls(metadata: &mut Map<String, Value>, name: &str) {
    match metadata.get_mut(name) {
        Some(Value::Object(map)) => map.retain(|_, value| !value.is_null()),
        Some(Value::Null) => {
            metadata.remove(name);
        }
        Some(_) | None => {}
    }
}

/// Which value of a Secret is no text. The server would show the value in its refusal, so it is not asked; and nobody
/// but its author knows which text `pin: 0123` stands for.
fn secret_problem(key: &Key, object: &Value) -> Option<String> {
    if key.kind != "Secret" || !key.group.is_empty() {
        return None;
    }
    ["data", "stringData"].into_iter().find_map(|part| {
        let map = object.get(part)?.as_object()?;
        let (name, _) = map.iter().find(|(_, value)| !value.is_string() && !value.is_null())?;
        Some(format!("{part}.{name} must be a text: put its value in quotes"))
    })
}

fn fold_string_data(secret: &mut Value) {
    let Some(Value::Object(texts)) = secret.as_object_mut().and_then(|map| map.remove("stringData")) else {
        return;
    };
    let Some(data) = child_map(secret, "data") else { return };
    for (name, value) in texts {
        let encoded = base64(value.as_str().unwrap_or_default().as_bytes());
        data.insert(name, Value::String(encoded));
    }
}

/// Standard base64 with padding.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let at = |n: usize| u32::from(chunk.get(n).copied().unwrap_or(0));
        let bits = (at(0) << 16) | (at(1) << 8) | at(2);
        for n in 0..4_usize {
            let index = (bits >> (18 - 6 * n)) & 63;
            out.push(if n <= chunk.len() { char::from(ALPHABET[index as usize]) } else { '=' });
        }
    }
    out
}

/// Why the cluster cannot take an object, in upstream's words.
fn unserved(key: &Key, version: &str, known: Option<&KindFact>) -> Option<String> {
    let Key { group, kind, namespace, name } = key;
    let qualified = if group.is_empty() { kind.clone() } else { format!("{group}/{kind}") };
    let Some(known) = known else {
        return Some(format!(
            "The Kubernetes API could not find {qualified} for requested resource {namespace}/{name}. Make sure the \
             \"{kind}\" CRD is installed on the destination cluster."
        ));
    };
    if known.versions.iter().any(|served| served == version) {
        return None;
    }
    let installed = known.versions.first().map(String::as_str).unwrap_or_default();
    Some(format!(
        "The Kubernetes API could not find version \"{version}\" of {qualified} for requested resource \
         {namespace}/{name}. Version \"{installed}\" of {qualified} is installed on the destination cluster."
    ))
}

/// Says where objects with this Application's mark may be.
///
/// Every object that was ever applied is in `status.resources` until it has gone. Only when that list may
/// not be trusted (there was no comparison yet, the Application is being deleted, or somebody asked for a
/// hard refresh) is every kind looked through.
#[must_use]
pub fn scan(world: &World, targets: &Targets, every_kind: bool) -> Scan {
    let Ok(subject) = Subject::read(&world.application) else { return Scan::default() };
    let mut scan = Scan { every_kind, ..Scan::default() };
    scan.namespaces.insert(subject.namespace().to_owned());
    for target in targets.all() {
        scan.kinds.insert(target.key.group_kind());
        scan.namespaces.insert(target.key.namespace.clone());
    }
    for resource in list(world.application.get("status").unwrap_or(&Value::Null), "/resources") {
        scan.kinds.insert((text(resource, "/group").to_owned(), text(resource, "/kind").to_owned()));
        scan.namespaces.insert(text(resource, "/namespace").to_owned());
    }
    // An operation may have applied another commit than the one that is compared.
    let applied = subject.status.operation_state.as_ref().and_then(|state| state.sync_result.as_ref());
    for result in applied.into_iter().flat_map(|result| result.resources.iter().flatten()) {
        scan.kinds.insert((result.group.clone(), result.kind.clone()));
        scan.namespaces.insert(result.namespace.clone());
    }
    scan.every_kind |= subject.reconciled_at().is_none() || subject.status.resources.is_none();
    scan.kinds.retain(|(group, kind)| {
        !is_excluded(&Key { group: group.clone(), kind: kind.clone(), ..Key::default() })
    });
    scan.namespaces.retain(|namespace| !namespace.is_empty() && world.install.reach.covers(namespace));
    scan
}

/// The objects of the last comparison with the versions of their kinds: what can still be looked at when Git
/// cannot be read, and what a deletion begins with.
#[must_use]
pub fn last_known(application: &Value) -> BTreeMap<Key, String> {
    let resources = list(application.get("status").unwrap_or(&Value::Null), "/resources");
    // A sync that runs may have hooks in the cluster, which no comparison knows.
    let results = list(application, "/status/operationState/syncResult/resources").iter();
    let hooks = results.filter(|result| !text(result, "/hookType").is_empty());
    let known = resources.iter().chain(hooks);
    known.map(|resource| (known_key(resource), text(resource, "/version").to_owned())).collect()
}

/// The key of one entry of `status.resources`.
pub(super) fn known_key(resource: &Value) -> Key {
    Key {
        group: text(resource, "/group").to_owned(),
        kind: text(resource, "/kind").to_owned(),
        namespace: text(resource, "/namespace").to_owned(),
        name: text(resource, "/name").to_owned(),
    }
}

impl Scan {
    /// Whether objects of this kind are to be looked for.
    #[must_use]
    pub fn includes(&self, group: &str, kind: &str) -> bool {
        let key = Key { group: group.to_owned(), kind: kind.to_owned(), ..Key::default() };
        !is_excluded(&key) && (self.every_kind || self.kinds.contains(&key.group_kind()))
    }
}

impl Targets {
    /// Everything that Git wants, hooks included.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Target> {
        self.list.iter().chain(self.hooks.iter().map(|hook| &hook.target))
    }

    /// The keys of the objects that Git wants as state.
    #[must_use]
    pub fn keys(&self) -> BTreeSet<Key> {
        self.list.iter().map(|target| target.key.clone()).collect()
    }

    /// The versions of everything that Git wants, hooks included, by key.
    #[must_use]
    pub fn versions(&self) -> BTreeMap<Key, String> {
        self.all().map(|target| (target.key.clone(), target.version.clone())).collect()
    }
}

/// Whether one object may wait for its kind to appear during the sync.
pub(super) fn may_wait_for_kind(object: &Value, application: &[String]) -> bool {
    options::applies(object, application, "SkipDryRunOnMissingResource=true")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn base64_is_padded() {
        for (text, want) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")] {
            assert_eq!(base64(text.as_bytes()), want);
        }
    }

    #[test]
    fn a_secrets_texts_become_data() {
        let mut secret = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": { "name": "s", "creationTimestamp": null, "labels": { "a": null } },
            "data": { "old": "b2xk" },
            "stringData": { "new": "foo" },
            "status": {},
        });
        clean(&mut secret);
        assert_eq!(
            secret,
            json!({
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": { "name": "s", "labels": {} },
                "data": { "old": "b2xk", "new": "Zm9v" },
            })
        );
    }
}
