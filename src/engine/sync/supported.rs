//! What of an Application, its project and its objects is not implemented yet, and what follows.
//!
//! A field that changes what is rendered, permitted, deleted, or in which order, stops the sync: going on
//! without it would do something else than the user wrote. Any other field that nothing acts on is named in
//! a warning. A field that this file has never heard of is of the second sort.

use serde_json::Value;

use super::hook;
use super::options::{self, Service};

/// What was found.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Findings {
    /// Sentences; one is enough to stop the sync.
    pub(super) refused: Vec<String>,
    /// Sentences for people.
    pub(super) warned: Vec<String>,
}

/// How a field is served.
#[derive(Clone, Copy, Debug)]
enum Field {
    /// It, and everything under it, is acted on or changes nothing.
    Served,
    /// It is not implemented: what it asks for.
    Refused(&'static str),
}

/// Fields of an Application's spec. A field that is neither listed nor leads to a listed one is warned of.
const SPEC: [(&str, Field); 40] = [
    ("project", Field::Served),
    ("destination.server", Field::Served),
    ("destination.name", Field::Served),
    ("destination.namespace", Field::Served),
    ("source.repoURL", Field::Served),
    ("source.path", Field::Served),
    ("source.targetRevision", Field::Served),
    ("source.name", Field::Served),
    ("source.directory.recurse", Field::Served),
    ("source.directory.include", Field::Served),
    ("source.directory.exclude", Field::Served),
    ("source.directory.jsonnet", Field::Refused("Jsonnet")),
    ("source.chart", Field::Refused("a Helm chart")),
    ("source.helm", Field::Refused("Helm")),
    ("source.kustomize", Field::Refused("Kustomize")),
    ("source.plugin", Field::Refused("a config management plugin")),
    ("sources", Field::Refused("several sources")),
    ("sourceHydrator", Field::Refused("the source hydrator")),
    ("syncPolicy.automated.enabled", Field::Served),
    ("syncPolicy.automated.prune", Field::Served),
    ("syncPolicy.automated.selfHeal", Field::Served),
    ("syncPolicy.automated.allowEmpty", Field::Served),
    // The options are judged one by one.
    ("syncPolicy.syncOptions", Field::Served),
    ("syncPolicy.retry.limit", Field::Served),
    ("syncPolicy.retry.refresh", Field::Served),
    ("syncPolicy.retry.backoff.duration", Field::Served),
    ("syncPolicy.retry.backoff.factor", Field::Served),
    ("syncPolicy.retry.backoff.maxDuration", Field::Served),
    ("syncPolicy.managedNamespaceMetadata.labels", Field::Served),
    ("syncPolicy.managedNamespaceMetadata.annotations", Field::Served),
    ("ignoreDifferences[].group", Field::Served),
    ("ignoreDifferences[].kind", Field::Served),
    ("ignoreDifferences[].name", Field::Served),
    ("ignoreDifferences[].namespace", Field::Served),
    ("ignoreDifferences[].jsonPointers", Field::Served),
    ("ignoreDifferences[].jqPathExpressions", Field::Served),
    ("ignoreDifferences[].managedFieldsManagers", Field::Served),
    ("info", Field::Served),
    ("revisionHistoryLimit", Field::Served),
    ("source.tagPrefix", Field::Refused("version constraints over tags")),
];

/// Fields of an AppProject's spec. Roles are rules for Argo CD's own API, which is not served here.
const PROJECT: [(&str, Field); 15] = [
    ("description", Field::Served),
    ("sourceRepos", Field::Served),
    ("destinations", Field::Served),
    ("sourceNamespaces", Field::Served),
    ("clusterResourceWhitelist", Field::Served),
    ("clusterResourceBlacklist", Field::Served),
    ("namespaceResourceWhitelist", Field::Served),
    ("namespaceResourceBlacklist", Field::Served),
    ("destinationServiceAccounts", Field::Served),
    ("roles", Field::Served),
    // Windows are judged one by one.
    ("syncWindows", Field::Served),
    ("permitOnlyProjectScopedClusters", Field::Refused("clusters that belong to one project")),
    ("signatureKeys", Field::Refused("signed commits")),
    ("sourceIntegrity", Field::Refused("signed commits")),
    ("orphanedResources.ignore", Field::Served),
];

/// Looks through an Application's spec.
pub(super) fn spec(spec: &Value, sync_options: &[String]) -> Findings {
    let mut findings = Findings::default();
    walk(spec, "", "spec", &SPEC, &mut findings);
    for option in sync_options {
        let path = "spec.syncPolicy.syncOptions";
        match options::service(option) {
            Service::Served => {}
            Service::Ignored => findings.warned.push(format!("{path} {option} is not acted on")),
            Service::Refused => findings.refused.push(format!(
                "{path} {option} is not implemented yet; nothing is synced until it is removed"
            )),
        }
    }
    findings
}

/// Looks through an AppProject's spec.
pub(super) fn project(spec: &Value) -> Findings {
    let mut findings = Findings::default();
    walk(spec, "", "AppProject spec", &PROJECT, &mut findings);
    findings
}

/// Looks through one object's annotations; a sentence if it cannot be synced as it asks.
pub(super) fn object(object: &Value) -> Option<String> {
    let mut options = options::of_object(object).into_iter();
    let refused = options.find(|option| options::service(option) == Service::Refused).map(|option| {
        format!(
            "annotation argocd.argoproj.io/sync-options: {option} asks for a way of syncing, which is not \
             implemented yet"
        )
    });
    hook::refused(object).or(refused)
}

/// What of one object's annotations is not acted on.
pub(super) fn object_warning(object: &Value) -> Option<String> {
    let ignored = options::of_object(object).into_iter().find(|o| options::service(o) == Service::Ignored);
    ignored
        .map(|option| format!("annotation argocd.argoproj.io/sync-options: {option} is not acted on"))
        .or_else(|| hook::warning(object))
}

/// Walks the fields of a spec: stops at listed ones, goes into those that lead to listed ones.
fn walk(value: &Value, path: &str, shown: &str, fields: &[(&str, Field)], findings: &mut Findings) {
    match fields.iter().find(|(listed, _)| *listed == path) {
        Some((_, Field::Served)) => return,
        Some((_, Field::Refused(what))) => {
            if !is_empty(value) {
                findings.refused.push(format!(
                    "{shown} asks for {what}, which is not implemented yet; nothing is synced until it is removed"
                ));
            }
            return;
        }
        None => {}
    }
    let leads = |prefix: &str| path.is_empty() || fields.iter().any(|(listed, _)| listed.starts_with(prefix));
    match value {
        Value::Object(map) if leads(&format!("{path}.")) => {
            for (name, child) in map {
                let inner = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                walk(child, &inner, &format!("{shown}.{name}"), fields, findings);
            }
        }
        Value::Array(items) if leads(&format!("{path}[]")) => {
            for item in items {
                walk(item, &format!("{path}[]"), &format!("{shown}[]"), fields, findings);
            }
        }
        Value::Object(_)
        | Value::Array(_)
        | Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_) => {
            let warning = format!("{shown} is not acted on");
            if !is_empty(value) && !findings.warned.contains(&warning) {
                findings.warned.push(warning);
            }
        }
    }
}

/// Whether a value says nothing: Go leaves such fields out.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.values().all(is_empty),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_changes_the_render_is_refused_and_named() {
        for (spec_value, want) in [
            (json!({ "source": { "helm": { "values": "a: 1" } } }), "spec.source.helm asks for Helm"),
            (
                json!({ "source": { "kustomize": { "namePrefix": "a" } } }),
                "spec.source.kustomize asks for Kustomize",
            ),
            (json!({ "source": { "plugin": { "name": "x" } } }), "spec.source.plugin asks for"),
            (json!({ "source": { "chart": "x" } }), "spec.source.chart asks for a Helm chart"),
            (
                json!({ "source": { "directory": { "jsonnet": { "libs": ["x"] } } } }),
                "spec.source.directory.jsonnet",
            ),
            (json!({ "sources": [{ "repoURL": "x" }] }), "spec.sources asks for several sources"),
            (json!({ "sourceHydrator": { "drySource": { "path": "x" } } }), "spec.sourceHydrator asks for"),
        ] {
            let findings = spec(&spec_value, &[]);
            assert_eq!(findings.refused.len(), 1, "{spec_value}");
            assert!(findings.refused[0].starts_with(want), "{}", findings.refused[0]);
        }
    }

    #[test]
    fn what_says_nothing_is_not_refused() {
        let quiet = json!({
            "source": { "helm": {}, "directory": { "jsonnet": { "tlas": [] }, "recurse": true }, "chart": "" },
            "sources": [],
        });
        assert_eq!(spec(&quiet, &[]), Findings::default());
    }

    #[test]
    fn anything_else_is_warned_of_once() {
        let value = json!({
            "newField": 1,
            "ignoreDifferences": [
                { "kind": "A", "newField": [".a"] },
                { "kind": "B", "newField": [".b"], "jsonPointers": ["/c"] },
            ],
        });
        let findings = spec(&value, &["Validate=false".to_owned()]);
        assert_eq!(findings.refused, Vec::<String>::new());
        assert_eq!(
            findings.warned,
            [
                "spec.ignoreDifferences[].newField is not acted on",
                "spec.newField is not acted on",
                "spec.syncPolicy.syncOptions Validate=false is not acted on",
            ]
        );
    }

    #[test]
    fn what_an_object_asks_for_and_does_not_get_is_refused() {
        for (name, value, refused) in [
            ("argocd.argoproj.io/hook", "PreSync", false),
            ("argocd.argoproj.io/hook", "Skip", false),
            ("argocd.argoproj.io/hook", "PreDelete", true),
            ("argocd.argoproj.io/hook", "PostSync, PostDelete", true),
            ("helm.sh/hook", "pre-install", false),
            ("argocd.argoproj.io/sync-wave", "1", false),
            ("argocd.argoproj.io/sync-options", "Replace=true", true),
            ("argocd.argoproj.io/sync-options", "Prune=false", false),
            ("argocd.argoproj.io/hook-delete-policy", "HookSucceeded", false),
        ] {
            let given = json!({ "metadata": { "annotations": { name: value } } });
            assert_eq!(object(&given).is_some(), refused, "{name}: {value}");
        }
    }

    #[test]
    fn a_project_that_restricts_what_cannot_be_checked_is_refused() {
        let findings =
            project(&json!({ "signatureKeys": [{ "keyID": "A" }], "orphanedResources": { "warn": true } }));
        assert_eq!(findings.refused.len(), 1);
        assert_eq!(findings.warned, ["AppProject spec.orphanedResources.warn is not acted on"]);
    }
}
