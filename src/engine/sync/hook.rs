//! Waves and hooks: where in a sync an object belongs, and which objects are tasks to run rather than state to
//! have.
//!
//! Input: one object, as Git or the cluster has it. Output: its wave, its phases, what becomes of it
//! afterwards. Argo CD's annotations count before Helm's, which plain manifests may carry too.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::object::{annotation, list, text};

const HOOK: &str = "argocd.argoproj.io/hook";
const HELM_HOOK: &str = "helm.sh/hook";
const WAVE: &str = "argocd.argoproj.io/sync-wave";
const HELM_WEIGHT: &str = "helm.sh/hook-weight";
const POLICY: &str = "argocd.argoproj.io/hook-delete-policy";
const HELM_POLICY: &str = "helm.sh/hook-delete-policy";
/// Keeps a hook in the cluster until its outcome has been seen, even if its owner or a time limit deletes it.
pub(super) const FINALIZER: &str = "argocd.argoproj.io/hook-finalizer";
/// How many digits of the commit are part of a generated name, as upstream.
const REVISION_DIGITS: usize = 7;
/// Kinds that run once and are done. What an earlier sync left of one says nothing about this sync.
const RUNS_ONCE: [(&str, &str); 5] = [
    ("batch", "Job"),
    ("", "Pod"),
    ("argoproj.io", "Workflow"),
    ("argoproj.io", "AnalysisRun"),
    ("argoproj.io", "Experiment"),
];

/// When a hook runs.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum HookPhase {
    /// Before any object is applied.
    PreSync,
    /// Among the objects.
    Sync,
    /// After all objects are well.
    PostSync,
    /// After the sync failed.
    SyncFail,
}

impl HookPhase {
    /// The name in annotations and results.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::PreSync => "PreSync",
            Self::Sync => "Sync",
            Self::PostSync => "PostSync",
            Self::SyncFail => "SyncFail",
        }
    }
}

/// What an object of a source is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Nature {
    /// State to have.
    Object,
    /// Nothing to a sync.
    Skipped,
    /// A task to run, in these phases; none when no phase is known by the name given.
    Hook(Vec<HookPhase>),
}

/// What an object is, by its annotations.
pub(super) fn nature(object: &Value) -> Nature {
    if let Some(given) = annotation(object, HOOK) {
        let names = words(given);
        if names == ["Skip"] {
            return Nature::Skipped;
        }
        return Nature::Hook(phases(&names, argo_phase));
    }
    let Some(given) = annotation(object, HELM_HOOK) else { return Nature::Object };
    let names = words(given);
    if names == ["crd-install"] {
        return Nature::Object;
    }
    Nature::Hook(phases(&names, helm_phase))
}

/// Whether an object is a hook or what is left of one.
pub(super) fn is_hook(object: &Value) -> bool {
    matches!(nature(object), Nature::Hook(_))
}

/// The parts of a list that is separated by commas.
fn words(text: &str) -> Vec<&str> {
    text.split(',').map(str::trim).filter(|word| !word.is_empty()).collect()
}

fn phases(names: &[&str], phase: fn(&str) -> Option<HookPhase>) -> Vec<HookPhase> {
    let mut phases: Vec<HookPhase> = names.iter().filter_map(|name| phase(name)).collect();
    phases.sort_unstable();
    phases.dedup();
    phases
}

fn argo_phase(name: &str) -> Option<HookPhase> {
    [HookPhase::PreSync, HookPhase::Sync, HookPhase::PostSync, HookPhase::SyncFail]
        .into_iter()
        .find(|phase| phase.name() == name)
}

fn helm_phase(name: &str) -> Option<HookPhase> {
    match name {
        "pre-install" | "pre-upgrade" => Some(HookPhase::PreSync),
        "post-install" | "post-upgrade" => Some(HookPhase::PostSync),
        _ => None,
    }
}

/// Why a hook cannot be served at all: it belongs to the Application's deletion.
pub(super) fn refused(object: &Value) -> Option<String> {
    let given = annotation(object, HOOK)?;
    let name = words(given).into_iter().find(|name| ["PreDelete", "PostDelete"].contains(name))?;
    Some(format!(
        "annotation {HOOK}: {name} asks for a hook of the Application's deletion, which is not implemented yet"
    ))
}

/// What of an object's hook and wave annotations says nothing that can be acted on.
pub(super) fn warning(object: &Value) -> Option<String> {
    if nature(object) == Nature::Hook(Vec::new()) {
        let (name, given) = [HOOK, HELM_HOOK]
            .into_iter()
            .find_map(|name| annotation(object, name).map(|given| (name, given)))
            .unwrap_or_default();
        return Some(format!("annotation {name}: {given:?} names no phase of a sync, so it never runs"));
    }
    let given = annotation(object, WAVE).filter(|given| given.parse::<i64>().is_err())?;
    let counted = wave(object);
    Some(format!("annotation {WAVE}: {given:?} is no whole number, so it counts as {counted}"))
}

/// The wave that an object asks for. What is no whole number counts as not given, as upstream.
pub(super) fn wave(object: &Value) -> i64 {
    let number = |name: &str| annotation(object, name).and_then(|given| given.parse().ok());
    number(WAVE).or_else(|| number(HELM_WEIGHT)).unwrap_or(0)
}

/// When a hook is deleted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Policy {
    /// Before it is created again.
    pub(super) before_creation: bool,
    /// When the sync succeeded.
    pub(super) succeeded: bool,
    /// When the sync failed.
    pub(super) failed: bool,
}

/// When a hook is deleted, by its annotations; before it is created again unless they say otherwise.
pub(super) fn policy(object: &Value) -> Policy {
    let (given, names) = match annotation(object, POLICY) {
        Some(given) => (given, ["BeforeHookCreation", "HookSucceeded", "HookFailed"]),
        None => (
            annotation(object, HELM_POLICY).unwrap_or_default(),
            ["before-hook-creation", "hook-succeeded", "hook-failed"],
        ),
    };
    let given = words(given);
    let has = |name: &str| given.contains(&name);
    let [before, succeeded, failed] = names.map(has);
    let none = !before && !succeeded && !failed;
    Policy { before_creation: before || none, succeeded, failed }
}

/// Whether what is there of a hook must go before the hook is created.
///
/// Upstream leaves that to the policies. But a Job that ran in an earlier sync does not run again by being
/// applied, so its old outcome would be taken for the new one.
pub(super) fn is_made_anew(object: &Value) -> bool {
    let group = text(object, "/apiVersion").split_once('/').map_or("", |(group, _)| group);
    policy(object).before_creation || RUNS_ONCE.contains(&(group, text(object, "/kind")))
}

/// Whether a live object is kept by the finalizer of hooks.
pub(super) fn is_held(live: &Value) -> bool {
    list(live, "/metadata/finalizers").iter().any(|finalizer| finalizer == FINALIZER)
}

/// The finalizers of a live object without that of hooks.
pub(super) fn other_finalizers(live: &Value) -> Vec<String> {
    let all = list(live, "/metadata/finalizers").iter().filter_map(Value::as_str);
    all.filter(|finalizer| *finalizer != FINALIZER).map(ToOwned::to_owned).collect()
}

/// What the names of hooks without one are made of.
#[derive(Clone, Debug)]
pub(super) struct Naming {
    pub(super) revision: String,
    /// When the sync began.
    pub(super) began: Timestamp,
}

/// The objects that a hook stands for, each with its phases: one with a name of its own, or one per phase. A
/// hook without a phase stands for itself.
pub(super) fn instances(
    hook: &Value,
    phases: Vec<HookPhase>,
    naming: &Naming,
) -> Vec<(Value, Vec<HookPhase>)> {
    let mut hook = hook.clone();
    if let Some(metadata) = hook.get_mut("metadata").and_then(Value::as_object_mut) {
        let finalizers = metadata.entry("finalizers").or_insert_with(|| json!([]));
        match finalizers.as_array_mut() {
            Some(finalizers) if finalizers.iter().any(|finalizer| finalizer == FINALIZER) => {}
            Some(finalizers) => finalizers.push(json!(FINALIZER)),
            None => *finalizers = json!([FINALIZER]),
        }
    }
    if phases.is_empty() || !text(&hook, "/metadata/name").is_empty() {
        return vec![(hook, phases)];
    }
    let named = phases.into_iter().map(|phase| {
        let mut hook = hook.clone();
        let digits: String = naming.revision.chars().take(REVISION_DIGITS).collect();
        let start = text(&hook, "/metadata/generateName");
        let name = format!("{start}{digits}-{}-{}", phase.name(), naming.began.as_second());
        if let Some(metadata) = hook.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("generateName");
            metadata.insert("name".to_owned(), Value::String(name.to_lowercase()));
        }
        (hook, vec![phase])
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(annotations: Value) -> Value {
        json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "a", "annotations": annotations } })
    }

    #[test]
    fn annotations_say_what_an_object_is() {
        use HookPhase::{PostSync, PreSync, Sync, SyncFail};
        for (annotations, want) in [
            (json!({}), Nature::Object),
            (json!({ HOOK: "PreSync" }), Nature::Hook(vec![PreSync])),
            (json!({ HOOK: " Sync , PreSync,Sync" }), Nature::Hook(vec![PreSync, Sync])),
            (json!({ HOOK: "SyncFail" }), Nature::Hook(vec![SyncFail])),
            (json!({ HOOK: "Skip" }), Nature::Skipped),
            (json!({ HOOK: "Skip,PostSync" }), Nature::Hook(vec![PostSync])),
            (json!({ HOOK: "presync" }), Nature::Hook(vec![])),
            (json!({ HOOK: "" }), Nature::Hook(vec![])),
            (json!({ HELM_HOOK: "pre-install,pre-upgrade" }), Nature::Hook(vec![PreSync])),
            (json!({ HELM_HOOK: "post-upgrade" }), Nature::Hook(vec![PostSync])),
            (json!({ HELM_HOOK: "crd-install" }), Nature::Object),
            (json!({ HELM_HOOK: "test" }), Nature::Hook(vec![])),
            (json!({ HOOK: "Sync", HELM_HOOK: "pre-install" }), Nature::Hook(vec![Sync])),
        ] {
            assert_eq!(nature(&object(annotations.clone())), want, "{annotations}");
        }
    }

    #[test]
    fn waves_are_whole_numbers() {
        for (annotations, want) in [
            (json!({}), 0),
            (json!({ WAVE: "-5" }), -5),
            (json!({ WAVE: "+5" }), 5),
            (json!({ WAVE: "2", HELM_WEIGHT: "7" }), 2),
            (json!({ HELM_WEIGHT: "7" }), 7),
            (json!({ WAVE: "soon", HELM_WEIGHT: "7" }), 7),
            (json!({ WAVE: "1.5" }), 0),
            (json!({ WAVE: " 1" }), 0),
            (json!({ WAVE: "99999999999999999999" }), 0),
            (json!({ WAVE: 3 }), 0),
        ] {
            assert_eq!(wave(&object(annotations.clone())), want, "{annotations}");
        }
        let odd = object(json!({ WAVE: "soon" }));
        assert!(warning(&odd).is_some_and(|warning| warning.contains("counts as 0")));
        assert!(warning(&object(json!({ HOOK: "Before" }))).is_some_and(|w| w.contains("never runs")));
        assert_eq!(warning(&object(json!({ WAVE: "1", HOOK: "PreSync" }))), None);
    }

    #[test]
    fn policies_say_when_a_hook_goes() {
        let policy = |annotations: Value| policy(&object(annotations));
        let before = Policy { before_creation: true, ..Policy::default() };
        assert_eq!(policy(json!({})), before);
        assert_eq!(policy(json!({ POLICY: "nonsense" })), before);
        assert_eq!(
            policy(json!({ POLICY: "HookSucceeded" })),
            Policy { succeeded: true, ..Policy::default() }
        );
        assert_eq!(
            policy(json!({ HELM_POLICY: "hook-failed, before-hook-creation" })),
            Policy { failed: true, ..before }
        );
        assert_eq!(
            policy(json!({ POLICY: "HookFailed", HELM_POLICY: "hook-succeeded" })),
            Policy { failed: true, ..Policy::default() }
        );
    }

    #[test]
    fn what_runs_once_is_always_made_anew() {
        let mut hook = object(json!({ POLICY: "HookSucceeded" }));
        assert!(is_made_anew(&hook));
        hook["kind"] = json!("ConfigMap");
        hook["apiVersion"] = json!("v1");
        assert!(!is_made_anew(&hook));
    }

    #[test]
    fn a_hook_without_a_name_gets_one_per_phase() {
        let mut hook = object(json!({}));
        hook["metadata"] = json!({ "generateName": "Migrate-", "finalizers": ["x"] });
        let naming = Naming { revision: "0123456789".into(), began: "2026-01-01T00:00:00Z".parse().unwrap() };
        let made = instances(&hook, vec![HookPhase::PreSync, HookPhase::PostSync], &naming);
        let names: Vec<&str> = made.iter().map(|(hook, _)| text(hook, "/metadata/name")).collect();
        assert_eq!(names, ["migrate-0123456-presync-1767225600", "migrate-0123456-postsync-1767225600"]);
        assert_eq!(made[0].0["metadata"]["finalizers"], json!(["x", FINALIZER]));
        assert!(made[0].0["metadata"].get("generateName").is_none());
        assert_eq!(other_finalizers(&made[0].0), ["x"]);
    }
}
