//! What the ConfigMap `argocd-cm` says about comparing and judging objects of every Application.
//!
//! Input: the ConfigMap. Output: rules for fields that do not count, whether the rules of aggregated ClusterRoles
//! count, and which kinds have a health check of their own. Such a check is a Lua script, which is not run: the
//! kind keeps the built-in check, and the Application says so. What cannot be read stops the comparison, because
//! leaving it out would overwrite what it protects.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use tidegate_api::source::IgnoreDifferences;

use super::glob;
use super::object::Key;

/// The name of the ConfigMap.
pub const NAME: &str = "argocd-cm";
/// One key per kind and purpose.
const SPLIT: &str = "resource.customizations.";
/// All customizations in one text.
const WHOLE: &str = "resource.customizations";
/// What counts in comparisons.
const COMPARE: &str = "resource.compareoptions";

/// What was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Settings {
    /// Rules with the place where each is written.
    pub(super) ignored: Vec<(String, IgnoreDifferences)>,
    /// Whether the rules of ClusterRoles that others are aggregated into do not count.
    pub(super) ignores_aggregated_roles: bool,
    /// Groups and kinds, as globs, with a health check that is not run.
    checked: BTreeSet<(String, String)>,
}

impl Settings {
    /// Reads the ConfigMap.
    ///
    /// # Errors
    /// Which key cannot be read, and why.
    pub(super) fn read(config_map: Option<&Value>) -> Result<Self, String> {
        let mut settings = Self::default();
        let data = config_map.and_then(|map| map.get("data")).and_then(Value::as_object);
        for (name, value) in data.into_iter().flatten() {
            let text = value.as_str().unwrap_or_default();
            let place = || format!("{NAME} {name}");
            if name == WHOLE {
                settings.read_whole(&place(), &yaml(text).map_err(|error| bad(&place(), &error))?)?;
            } else if name == COMPARE {
                let options = yaml(text).map_err(|error| bad(&place(), &error))?;
                settings.ignores_aggregated_roles =
                    options.get("ignoreAggregatedRoles") == Some(&Value::Bool(true));
            } else if let Some((purpose, joined)) =
                name.strip_prefix(SPLIT).and_then(|rest| rest.split_once('.'))
            {
                let (group, kind) = group_kind(joined, '_');
                settings.customize(&place(), purpose, group, kind, text)?;
            }
        }
        Ok(settings)
    }

    /// Reads the older form: a map from group and kind to purposes.
    fn read_whole(&mut self, place: &str, customizations: &Value) -> Result<(), String> {
        for (joined, purposes) in customizations.as_object().into_iter().flatten() {
            let (group, kind) = group_kind(joined, '/');
            for (purpose, value) in purposes.as_object().into_iter().flatten() {
                let purpose = if purpose == "health.lua" { "health" } else { purpose };
                let text = value.as_str().unwrap_or_default();
                self.customize(&format!("{place} of {joined}"), purpose, group, kind, text)?;
            }
        }
        Ok(())
    }

    fn customize(
        &mut self,
        place: &str,
        purpose: &str,
        group: &str,
        kind: &str,
        text: &str,
    ) -> Result<(), String> {
        match purpose {
            "ignoreDifferences" => {
                let rule = yaml(text).map_err(|error| bad(place, &error))?;
                let rule = rule.as_object().map(|rule| rule_of(rule, group, kind)).unwrap_or_default();
                let rule = serde_json::from_value(Value::Object(rule));
                let rule: IgnoreDifferences = rule.map_err(|error| bad(place, &error.to_string()))?;
                self.ignored.push((place.to_owned(), rule));
            }
            "health" => {
                self.checked.insert((group.to_owned(), kind.to_owned()));
            }
            _ => {}
        }
        Ok(())
    }

    /// Which of these kinds have a health check that is not run.
    pub(super) fn unchecked<'k>(&self, keys: impl Iterator<Item = &'k Key>) -> BTreeSet<String> {
        let is_checked = |key: &&Key| {
            self.checked.iter().any(|(group, kind)| {
                glob::matches(group, &key.group, None) && glob::matches(kind, &key.kind, None)
            })
        };
        let name = |key: &Key| {
            if key.group.is_empty() { key.kind.clone() } else { format!("{}/{}", key.group, key.kind) }
        };
        keys.filter(is_checked).map(name).collect()
    }
}

/// Group and kind of a key: `apps_Deployment`, `ConfigMap` for the core group, `all` for every kind.
fn group_kind(joined: &str, between: char) -> (&str, &str) {
    match joined.rsplit_once(between) {
        Some((group, kind)) => (group, kind),
        None if joined == "all" => ("*", "*"),
        None => ("", joined),
    }
}

/// A rule as an Application would write it. The names of its fields are read in any case, as Go does.
fn rule_of(given: &Map<String, Value>, group: &str, kind: &str) -> Map<String, Value> {
    const FIELDS: [&str; 3] = ["jsonPointers", "jqPathExpressions", "managedFieldsManagers"];
    let mut rule = Map::new();
    rule.insert("group".to_owned(), group.into());
    rule.insert("kind".to_owned(), kind.into());
    for (name, value) in given {
        if let Some(field) = FIELDS.iter().find(|field| field.eq_ignore_ascii_case(name)) {
            rule.insert((*field).to_owned(), value.clone());
        }
    }
    rule
}

fn yaml(text: &str) -> Result<Value, String> {
    if text.trim().is_empty() {
        return Ok(Value::Null);
    }
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| error.to_string())
}

fn bad(place: &str, error: &str) -> String {
    format!("{place} cannot be read: {}", error.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(data: Value) -> Result<Settings, String> {
        Settings::read(Some(&json!({ "data": data })))
    }

    #[test]
    fn nothing_says_nothing() {
        assert_eq!(Settings::read(None), Ok(Settings::default()));
        assert_eq!(
            read(json!({ "url": "https://argocd.example", "resource.exclusions": "[" })),
            Ok(Settings::default())
        );
        assert_eq!(
            read(json!({ "resource.compareoptions": "", "resource.customizations": "" })),
            Ok(Settings::default())
        );
    }

    #[test]
    fn rules_are_read_in_both_forms() {
        let settings = read(json!({
            "resource.customizations.ignoreDifferences.apps_Deployment": "jsonPointers:\n- /spec/replicas\n",
            "resource.customizations.ignoreDifferences.Secret": "jqpathexpressions: ['.data']",
            "resource.customizations.ignoreDifferences.all": "managedFieldsManagers: [kube-controller-manager]",
            "resource.customizations.ignoreDifferences.*.example.com_*": "jsonPointers: []",
            "resource.customizations.actions.apps_Deployment": "not: [read",
            "resource.customizations": "route.openshift.io/Route:\n  ignoreDifferences: |\n    jsonPointers:\n    - /spec/to/weight\n  health.lua: |\n    return {}\n",
            "resource.compareoptions": "ignoreAggregatedRoles: true\nignoreResourceStatusField: all\n",
        }))
        .unwrap();
        let shown: Vec<String> = settings
            .ignored
            .iter()
            .map(|(place, rule)| {
                format!(
                    "{place}: {}/{} {:?} {:?} {:?}",
                    rule.group.clone().unwrap_or_default(),
                    rule.kind,
                    rule.json_pointers.clone().unwrap_or_default(),
                    rule.jq_path_expressions.clone().unwrap_or_default(),
                    rule.managed_fields_managers.clone().unwrap_or_default()
                )
            })
            .collect();
        assert_eq!(shown.len(), 5);
        for want in [
            "argocd-cm resource.customizations of route.openshift.io/Route: route.openshift.io/Route [\"/spec/to/weight\"] [] []",
            "argocd-cm resource.customizations.ignoreDifferences.apps_Deployment: apps/Deployment [\"/spec/replicas\"] [] []",
            "argocd-cm resource.customizations.ignoreDifferences.Secret: /Secret [] [\".data\"] []",
            "argocd-cm resource.customizations.ignoreDifferences.all: */* [] [] [\"kube-controller-manager\"]",
            "argocd-cm resource.customizations.ignoreDifferences.*.example.com_*: *.example.com/* [] [] []",
        ] {
            assert!(shown.iter().any(|rule| rule == want), "{want}: {shown:#?}");
        }
        assert!(settings.ignores_aggregated_roles);
        let key = |group: &str, kind: &str| Key { group: group.into(), kind: kind.into(), ..Key::default() };
        let keys =
            [key("route.openshift.io", "Route"), key("route.openshift.io", "Route"), key("", "Service")];
        let unchecked: Vec<String> = settings.unchecked(keys.iter()).into_iter().collect();
        assert_eq!(unchecked, ["route.openshift.io/Route"]);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (data, want) in [
            (
                json!({ "resource.customizations.ignoreDifferences.apps_Deployment": "jsonPointers: {a: 1}" }),
                "argocd-cm resource.customizations.ignoreDifferences.apps_Deployment cannot be read: ",
            ),
            (
                json!({ "resource.customizations": "a: [" }),
                "argocd-cm resource.customizations cannot be read: ",
            ),
        ] {
            let error = read(data).unwrap_err();
            assert!(error.starts_with(want), "{error}");
        }
    }
}
