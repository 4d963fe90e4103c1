//! Arguments of an analysis: what a Rollout gives, what a template asks for, and `{{args.x}}` in a metric.
//!
//! Input: arguments, the Rollout as JSON, the values of Secrets. Output: arguments with values, metrics with
//! the values filled in, and the list of Secrets somebody must fetch first.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tidegate_api::analysis::{AnalysisTemplateSpec, Argument, Metric, SecretKeyRef};
use tidegate_api::rollout::AnalysisRunArgument;

/// Stands in for the value of a Secret while a metric is only checked.
pub(super) const SECRET_PLACEHOLDER: &str = "temp-for-secret";

/// Values of Secret keys by the name of the Secret and the key; an entry that is absent could not be read.
pub type Secrets = BTreeMap<(String, String), Result<String, String>>;

/// Gives the arguments of a Rollout's analysis their values: pod template hashes and fields of the Rollout.
///
/// # Errors
/// Fails when a field path names nothing, or nothing that is a plain value.
pub fn rollout_args(
    rollout: &Value,
    args: &[AnalysisRunArgument],
    stable_hash: &str,
    latest_hash: &str,
) -> Result<Vec<Argument>, String> {
    args.iter().map(|arg| argument(arg, rollout, stable_hash, latest_hash)).collect()
}

/// Arguments as they are known before anything runs, and the names of those that are still open: a field such as one of the
/// status may come later, and counts as empty until then.
///
/// # Errors
/// Fails when a path outside the status names nothing that there can be: those are there from the beginning.
pub(super) fn expected_args(
    rollout: &Value,
    args: &[AnalysisRunArgument],
    stable_hash: &str,
    latest_hash: &str,
) -> Result<(Vec<Argument>, BTreeSet<String>), String> {
    let (mut given, mut open) = (Vec::new(), BTreeSet::new());
    for arg in args {
        if is_open(arg, rollout) {
            open.insert(arg.name.clone());
            given.push(Argument { name: arg.name.clone(), value: Some(String::new()), value_from: None });
        } else {
            given.push(argument(arg, rollout, stable_hash, latest_hash)?);
        }
    }
    Ok((given, open))
}

/// Whether an argument is a field of the status that is not there yet; what the spec lacks does not come by itself.
fn is_open(arg: &AnalysisRunArgument, rollout: &Value) -> bool {
    let from = arg.value_from.as_ref().filter(|from| from.pod_template_hash_value.is_none());
    let field = from.and_then(|from| from.field_ref.as_ref());
    let path = field.map(|field| field.field_path.as_str()).filter(|path| path.starts_with("status"));
    path.is_some_and(|path| field_value(rollout, path).is_err())
}

/// One argument with its value.
fn argument(
    arg: &AnalysisRunArgument,
    rollout: &Value,
    stable_hash: &str,
    latest_hash: &str,
) -> Result<Argument, String> {
    let from = arg.value_from.as_ref();
    let value = if let Some(which) = from.and_then(|from| from.pod_template_hash_value.as_deref()) {
        match which {
            "Latest" => latest_hash.to_owned(),
            "Stable" => stable_hash.to_owned(),
            _ => String::new(),
        }
    } else if let Some(field) = from.and_then(|from| from.field_ref.as_ref()) {
        let path = &field.field_path;
        let is_of_metadata = path.starts_with("metadata");
        let value = if is_of_metadata { metadata(rollout, path) } else { field_value(rollout, path) };
        value.map_err(|error| format!("args.{}: {error}", arg.name))?
    } else {
        arg.value.clone().unwrap_or_default()
    };
    Ok(Argument { name: arg.name.clone(), value: Some(value), value_from: None })
}

/// Reads metadata by the paths of Kubernetes' downward API, such as `metadata.labels['env']`.
fn metadata(object: &Value, path: &str) -> Result<String, String> {
    if let Some((field, key)) = path.strip_suffix("']").and_then(|rest| rest.split_once("['")) {
        return match field {
            "metadata.annotations" | "metadata.labels" => {
                let map = &object["metadata"][&field["metadata.".len()..]];
                Ok(map[key].as_str().unwrap_or_default().to_owned())
            }
            _ => Err(format!("fieldPath {path:?} does not support subscript")),
        };
    }
    match path {
        "metadata.annotations" | "metadata.labels" => {
            let map = object["metadata"][&path["metadata.".len()..]].as_object();
            let line =
                |(key, value): (&String, &Value)| format!("{key}={:?}", value.as_str().unwrap_or_default());
            Ok(map.into_iter().flatten().map(line).collect::<Vec<_>>().join("\n"))
        }
        "metadata.name" | "metadata.namespace" | "metadata.uid" => {
            let value = &object["metadata"][&path["metadata.".len()..]];
            Ok(value.as_str().unwrap_or_default().to_owned())
        }
        _ => Err(format!("unsupported fieldPath: {path}")),
    }
}

/// Walks a path such as `spec.template.spec.containers[0].image` to a plain value.
fn field_value(object: &Value, path: &str) -> Result<String, String> {
    let invalid = || format!("invalid path {path} in rollout");
    let mut at = object;
    for section in path.split(['.', '[', ']']).filter(|section| !section.is_empty()) {
        at = match at {
            Value::Array(items) => {
                let index: usize = section.parse().map_err(|_| format!("invalid index '{section}'"))?;
                items.get(index).ok_or_else(|| format!("index {index} out of range"))?
            }
            Value::Object(fields) => fields.get(section).ok_or_else(invalid)?,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return Err(invalid()),
        };
    }
    match at {
        Value::Null => Err(invalid()),
        Value::Bool(flag) => Ok(flag.to_string()),
        Value::Number(number) => Ok(number.to_string()),
        Value::String(text) => Ok(text.clone()),
        Value::Array(_) | Value::Object(_) => {
            Err(format!("path {path} in rollout must terminate in a primitive value"))
        }
    }
}

/// Lays the arguments that come in over those a template declares; what no template declares is left out.
pub(crate) fn merge(incoming: &[Argument], declared: &[Argument]) -> Result<Vec<Argument>, String> {
    let mut merged = declared.to_vec();
    for arg in &mut merged {
        let Some(given) = incoming.iter().rfind(|given| given.name == arg.name) else { continue };
        if given.value.is_some() {
            arg.value.clone_from(&given.value);
            arg.value_from = None;
        } else if given.value_from.is_some() {
            arg.value = None;
            arg.value_from.clone_from(&given.value_from);
        }
    }
    match merged.iter().find(|arg| arg.value.is_none() && arg.value_from.is_none()) {
        Some(arg) => Err(format!("args.{} was not resolved", arg.name)),
        None => Ok(merged),
    }
}

/// The Secret keys whose values the arguments need.
pub(crate) fn needed_secrets(args: &[Argument]) -> Vec<SecretKeyRef> {
    args.iter().filter_map(|arg| secret_of(arg).cloned()).collect()
}

fn secret_of(arg: &Argument) -> Option<&SecretKeyRef> {
    arg.value_from.as_ref()?.secret_key_ref.as_ref()
}

/// Where the values of Secrets come from while arguments are filled in.
pub(crate) enum SecretValues<'a> {
    /// Placeholders: enough to check a metric.
    Hidden,
    /// The values as fetched.
    Fetched(&'a Secrets),
}

/// Values of arguments by name.
pub(crate) type Values = BTreeMap<String, String>;

/// Gives each argument its value.
pub(crate) fn values(args: &[Argument], secrets: &SecretValues<'_>) -> Result<Values, String> {
    let mut values = Values::new();
    for arg in args {
        let value = match (secret_of(arg), secrets) {
            (Some(_), SecretValues::Hidden) => SECRET_PLACEHOLDER.to_owned(),
            (Some(secret), SecretValues::Fetched(fetched)) => {
                match fetched.get(&(secret.name.clone(), secret.key.clone())) {
                    Some(Ok(value)) => value.clone(),
                    Some(Err(error)) => return Err(error.clone()),
                    None => return Err(format!("secret '{}' was not read", secret.name)),
                }
            }
            (None, _) => {
                arg.value.clone().ok_or_else(|| format!("argument {:?} was not supplied", arg.name))?
            }
        };
        values.insert(arg.name.clone(), value);
    }
    Ok(values)
}

/// Checks that every text of a template's metrics names arguments that the template declares.
///
/// # Errors
/// Fails with the first one that it does not declare, or that is declared as a value and as something to look up.
pub(crate) fn check_arguments(template: &AnalysisTemplateSpec) -> Result<(), String> {
    let mut values = Values::new();
    for arg in &template.args {
        if arg.value.is_some() && arg.value_from.is_some() {
            return Err(format!("arg '{}' has both Value and ValueFrom fields", arg.name));
        }
        values.insert(arg.name.clone(), arg.value.clone().unwrap_or_else(|| "dummy-value".to_owned()));
    }
    template.metrics.iter().try_for_each(|metric| {
        let text = serde_json::to_string(metric).map_err(|error| error.to_string())?;
        // In compact JSON two braces open next to each other in nothing but a text.
        if !text.contains("{{") {
            return Ok(());
        }
        fill(&mut serde_json::from_str(&text).map_err(|error| error.to_string())?, &values)
    })
}

/// Fills the values of arguments into every text of a metric.
pub(crate) fn substitute(metric: &Metric, values: &Values) -> Result<Metric, String> {
    let mut json = serde_json::to_value(metric).map_err(|error| error.to_string())?;
    fill(&mut json, values)?;
    serde_json::from_value(json).map_err(|error| error.to_string())
}

fn fill(json: &mut Value, values: &Values) -> Result<(), String> {
    match json {
        Value::String(text) => {
            if text.contains("{{") {
                *text = fill_text(text, values)?;
            }
            Ok(())
        }
        Value::Array(items) => items.iter_mut().try_for_each(|item| fill(item, values)),
        Value::Object(fields) => fill_object(fields, values),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

/// Fills keys as well as values: a label of a Job's pod template may well be an argument.
fn fill_object(fields: &mut serde_json::Map<String, Value>, values: &Values) -> Result<(), String> {
    fields.values_mut().try_for_each(|field| fill(field, values))?;
    if fields.keys().any(|key| key.contains("{{")) {
        let filled = std::mem::take(fields);
        for (key, value) in filled {
            fields.insert(fill_text(&key, values)?, value);
        }
    }
    Ok(())
}

/// Fills the values of arguments into a text.
pub(super) fn fill_text(text: &str, values: &Values) -> Result<String, String> {
    fill_tags(text, |tag| tag.strip_prefix("args.").and_then(|name| values.get(name)).map(String::as_str))
}

/// Fills a text where `{{tag}}` stands for a value; blanks around a tag do not count.
///
/// # Errors
/// Fails when a tag has no value, or no end.
pub(crate) fn fill_tags<'v>(text: &str, lookup: impl Fn(&str) -> Option<&'v str>) -> Result<String, String> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((tag, after)) = after.split_once("}}") else {
            return Err(format!("no closing }}}} after {{{{ in {text:?}"));
        };
        filled.push_str(before);
        filled.push_str(lookup(tag.trim()).ok_or_else(|| format!("failed to resolve {{{{{tag}}}}}"))?);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rollout() -> Value {
        json!({
            "metadata": {"name": "web", "namespace": "shop", "uid": "u1",
                "labels": {"env": "prod", "app.kubernetes.io/name": "web"}},
            "spec": {"replicas": 3, "paused": true, "template": {"spec": {"containers": [{"image": "web:1"}]}}},
        })
    }

    #[test]
    fn field_paths_reach_what_argo_reaches() {
        let cases = [
            ("metadata.name", Ok("web")),
            ("metadata.uid", Ok("u1")),
            ("metadata.labels['env']", Ok("prod")),
            ("metadata.labels['app.kubernetes.io/name']", Ok("web")),
            ("metadata.annotations['none']", Ok("")),
            ("metadata.labels", Ok("app.kubernetes.io/name=\"web\"\nenv=\"prod\"")),
            ("metadata.generation", Err("args.x: unsupported fieldPath: metadata.generation")),
            ("spec.replicas", Ok("3")),
            ("spec.paused", Ok("true")),
            ("spec.template.spec.containers[0].image", Ok("web:1")),
            ("spec.template.spec.containers[1].image", Err("args.x: index 1 out of range")),
            ("spec.template.spec.containers[a].image", Err("args.x: invalid index 'a'")),
            ("spec.none.deeper", Err("args.x: invalid path spec.none.deeper in rollout")),
            (
                "spec.template",
                Err("args.x: path spec.template in rollout must terminate in a primitive value"),
            ),
        ];
        for (path, wanted) in cases {
            let arg = json!([{"name": "x", "valueFrom": {"fieldRef": {"fieldPath": path}}}]);
            let args: Vec<AnalysisRunArgument> = serde_json::from_value(arg).unwrap();
            let got =
                rollout_args(&rollout(), &args, "old", "new").map(|args| args[0].value.clone().unwrap());
            assert_eq!(got.as_deref().map_err(String::as_str), wanted, "{path}");
        }
    }

    #[test]
    fn what_is_not_there_yet_is_open_while_nothing_runs() {
        let args = |path: &str| -> Vec<AnalysisRunArgument> {
            let from = json!({"fieldRef": {"fieldPath": path}});
            serde_json::from_value(json!([{"name": "x", "valueFrom": from}, {"name": "y", "value": "1"}]))
                .unwrap()
        };
        for (path, value, is_open) in [
            ("status.stableRS", "", true),
            ("status.alb.loadBalancer.name", "", true),
            ("status.albs[0].loadBalancer.arn", "", true),
            ("spec.replicas", "3", false),
            ("metadata.labels['env']", "prod", false),
            ("metadata.labels['missing']", "", false),
        ] {
            let (given, open) = expected_args(&rollout(), &args(path), "old", "new").unwrap();
            let values: Vec<_> = given.iter().map(|arg| arg.value.as_deref().unwrap()).collect();
            assert_eq!(values, [value, "1"], "{path}");
            assert_eq!(open.contains("x"), is_open, "{path}");
            assert_eq!(rollout_args(&rollout(), &args(path), "old", "new").is_err(), is_open, "{path}");
        }
        for (path, wanted) in [
            ("metadata.generation", "args.x: unsupported fieldPath: metadata.generation"),
            ("spec.none", "args.x: invalid path spec.none in rollout"),
        ] {
            assert_eq!(expected_args(&rollout(), &args(path), "old", "new").unwrap_err(), wanted);
        }
    }

    #[test]
    fn pod_template_hashes_and_plain_values() {
        let args = json!([
            {"name": "stable", "valueFrom": {"podTemplateHashValue": "Stable"}},
            {"name": "latest", "valueFrom": {"podTemplateHashValue": "Latest"}},
            {"name": "plain", "value": "1"},
            {"name": "none"},
        ]);
        let args: Vec<AnalysisRunArgument> = serde_json::from_value(args).unwrap();
        let got = rollout_args(&rollout(), &args, "old", "new").unwrap();
        let values: Vec<_> = got.iter().map(|arg| arg.value.as_deref().unwrap()).collect();
        assert_eq!(values, ["old", "new", "1", ""]);
    }

    fn args(json: Value) -> Vec<Argument> {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn merging_overrides_by_name_and_reports_what_is_left_open() {
        let declared = args(json!([
            {"name": "a", "value": "1"}, {"name": "b"},
            {"name": "c", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
        ]));
        let merged =
            merge(&args(json!([{"name": "b", "value": "2"}, {"name": "unknown", "value": "3"}])), &declared);
        assert_eq!(
            serde_json::to_value(merged.unwrap()).unwrap(),
            json!([{"name": "a", "value": "1"}, {"name": "b", "value": "2"},
                {"name": "c", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}])
        );
        assert_eq!(merge(&[], &declared).unwrap_err(), "args.b was not resolved");
    }

    #[test]
    fn substitution_fills_every_text_and_names_what_is_missing() {
        let metric = |query: &str| -> Metric {
            let json = json!({"name": "m", "count": "{{ args.count }}", "provider": {"prometheus": {"query": query}}});
            serde_json::from_value(json).unwrap()
        };
        let values: Values =
            [("count", "3"), ("svc", "a\"b\\c\n{{args.count}}")].map(|(k, v)| (k.into(), v.into())).into();
        let filled = substitute(&metric("up{service=\"{{args.svc}}\"} / {{args.count}}"), &values).unwrap();
        let query = filled.provider.prometheus.unwrap().query.unwrap();
        assert_eq!(query, "up{service=\"a\"b\\c\n{{args.count}}\"} / 3");
        assert_eq!(serde_json::to_value(filled.count).unwrap(), json!("3"));
        assert_eq!(
            substitute(&metric("{{args.none}}"), &values).unwrap_err(),
            "failed to resolve {{args.none}}"
        );
        assert!(substitute(&metric("{{args.svc"), &values).is_err());
    }

    #[test]
    fn secrets_stand_in_and_missing_ones_are_named() {
        let args = args(json!([{"name": "token", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]));
        assert_eq!(values(&args, &SecretValues::Hidden).unwrap()["token"], "temp-for-secret");
        let mut secrets = Secrets::new();
        secrets.insert(("s".into(), "k".into()), Err("key 'k' does not exist in secret 's'".into()));
        let error = values(&args, &SecretValues::Fetched(&secrets)).unwrap_err();
        assert_eq!(error, "key 'k' does not exist in secret 's'");
        secrets.insert(("s".into(), "k".into()), Ok("hush".into()));
        assert_eq!(values(&args, &SecretValues::Fetched(&secrets)).unwrap()["token"], "hush");
    }

    #[test]
    fn a_field_reference_in_a_run_is_never_supplied() {
        let args = args(json!([{"name": "x", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]));
        assert_eq!(values(&args, &SecretValues::Hidden).unwrap_err(), "argument \"x\" was not supplied");
    }
}
