//! Which fields belong to whom, as an object's `managedFields` say.
//!
//! Input: a live object. Its `fieldsV1` are trees: `f:NAME` is a field, `k:{…}` the item of a list that has these
//! keys, `v:…` the item that is this value, `i:N` the item at a place, `.` the thing itself. A tree without
//! branches owns everything below: lists and maps that the server replaces whole end so.

use serde_json::{Map, Value};

use super::super::adopt;
use super::super::object::{list, text};
use super::jq::{Path, Step};

/// How deep trees are followed; JSON itself is not read deeper.
const DEPTH_MAX: usize = 128;

/// The paths of the fields that these managers own.
pub(super) fn owned_by(live: &Value, managers: &[String]) -> Vec<Path> {
    let mut paths = Vec::new();
    for entry in list(live, "/metadata/managedFields") {
        if managers.iter().any(|manager| manager == text(entry, "/manager"))
            && let Some(Value::Object(tree)) = entry.get("fieldsV1")
        {
            leaves(tree, live, &mut Path::new(), &mut paths);
        }
    }
    paths.sort();
    paths.dedup();
    paths
}

/// Gathers the leaves of a tree that are there.
fn leaves(tree: &Map<String, Value>, at: &Value, path: &mut Path, paths: &mut Vec<Path>) {
    if path.len() > DEPTH_MAX {
        return;
    }
    for (name, below) in tree.iter().filter(|(name, _)| *name != ".") {
        let Some((step, value)) = part(at, name) else { continue };
        path.push(step);
        match below {
            Value::Object(below) if !below.is_empty() => leaves(below, value, path, paths),
            Value::Object(_)
            | Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => paths.push(path.clone()),
        }
        path.pop();
    }
}

/// The part of a value that a branch of a tree names.
fn part<'v>(value: &'v Value, name: &str) -> Option<(Step, &'v Value)> {
    let (kind, rest) = name.split_once(':')?;
    let items = || value.as_array().map_or(&[][..], Vec::as_slice).iter().enumerate();
    let found = match kind {
        "f" => return Some((Step::Key(rest.to_owned()), value.get(rest)?)),
        "k" => {
            let keys: Map<String, Value> = serde_json::from_str(rest).ok()?;
            items().find(|(_, item)| keys.iter().all(|(key, value)| item.get(key) == Some(value)))
        }
        "v" => {
            let wanted: Value = serde_json::from_str(rest).ok()?;
            items().find(|(_, item)| **item == wanted)
        }
        "i" => {
            let index: usize = rest.parse().ok()?;
            items().nth(index)
        }
        _ => None,
    };
    found.map(|(index, item)| (Step::Index(index), item))
}

/// Whose a field is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Ownership {
    /// Tidegate applied it, or a tool did whose fields Tidegate takes over.
    pub(super) ours: bool,
    /// It lies in a list or map that the server replaces whole.
    pub(super) in_atomic: bool,
}

/// Says whose a field of a live object is.
pub(super) fn ownership(live: &Value, path: &[Step]) -> Ownership {
    let mut ownership = Ownership::default();
    for entry in list(live, "/metadata/managedFields") {
        let Some(tree) = entry.get("fieldsV1").filter(|tree| tree.as_object().is_some_and(|t| !t.is_empty()))
        else {
            continue;
        };
        match reach(tree, live, path) {
            Reach::Above => {
                ownership.in_atomic = true;
                ownership.ours |= adopt::becomes_ours(entry);
            }
            Reach::Whole => ownership.ours |= adopt::becomes_ours(entry),
            Reach::Elsewhere => {}
        }
    }
    ownership
}

/// How far a tree follows a path.
enum Reach {
    /// It ends above, and owns everything below.
    Above,
    /// It has the very path, or something below.
    Whole,
    /// It does not have the path.
    Elsewhere,
}

fn reach(tree: &Value, at: &Value, path: &[Step]) -> Reach {
    let Some(tree) = tree.as_object() else { return Reach::Elsewhere };
    let Some((first, rest)) = path.split_first() else { return Reach::Whole };
    if tree.is_empty() {
        return Reach::Above;
    }
    let (below, value) = match first {
        Step::Key(key) => (tree.get(&format!("f:{key}")), at.get(key)),
        Step::Index(index) => {
            let item = at.get(index);
            let is_it = |name: &str| item.is_some_and(|item| names_item(name, *index, item));
            (tree.iter().find(|(name, _)| is_it(name)).map(|(_, below)| below), item)
        }
    };
    match (below, value) {
        (Some(below), Some(value)) => reach(below, value, rest),
        (Some(_) | None, Some(_) | None) => Reach::Elsewhere,
    }
}

/// Whether a branch of a tree names this item of a list.
fn names_item(name: &str, index: usize, item: &Value) -> bool {
    match name.split_once(':') {
        Some(("k", keys)) => serde_json::from_str::<Map<String, Value>>(keys)
            .is_ok_and(|keys| keys.iter().all(|(key, value)| item.get(key) == Some(value))),
        Some(("v", value)) => serde_json::from_str::<Value>(value).is_ok_and(|value| value == *item),
        Some(("i", place)) => place.parse() == Ok(index),
        Some(_) | None => false,
    }
}

/// The fields by which the items of a list are told apart; empty when nothing says so. They are the same in every
/// item that holds such a list.
pub(super) fn merge_keys(live: &Value, path: &[Step]) -> Vec<String> {
    let entries = list(live, "/metadata/managedFields").iter();
    let mut trees = entries.filter_map(|entry| entry.get("fieldsV1"));
    trees.find_map(|tree| keys_at(tree, path)).unwrap_or_default()
}

fn keys_at(tree: &Value, path: &[Step]) -> Option<Vec<String>> {
    let tree = tree.as_object()?;
    match path.split_first() {
        None => {
            let named = tree.keys().find_map(|name| name.strip_prefix("k:"))?;
            let keys: Map<String, Value> = serde_json::from_str(named).ok()?;
            Some(keys.keys().cloned().collect())
        }
        Some((Step::Key(key), rest)) => keys_at(tree.get(&format!("f:{key}"))?, rest),
        Some((Step::Index(_), rest)) => {
            let mut items = tree.iter().filter(|(name, _)| !name.starts_with("f:") && *name != ".");
            items.find_map(|(_, below)| keys_at(below, rest))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn live() -> Value {
        json!({
            "metadata": {
                "annotations": { "a": "1", "b": "2" },
                "finalizers": ["x", "y"],
                "managedFields": [
                    { "manager": "tidegate-sync", "operation": "Apply", "fieldsV1": {
                        "f:metadata": { "f:annotations": { "f:a": {} }, "f:finalizers": { "v:\"x\"": {} } },
                        "f:spec": { "f:rules": {}, "f:containers": {
                            "k:{\"name\":\"app\"}": { ".": {}, "f:name": {}, "f:image": {} } } },
                    } },
                    { "manager": "scaler", "operation": "Update", "subresource": "scale", "fieldsV1": {
                        "f:spec": { "f:replicas": {} },
                    } },
                    { "manager": "injector", "operation": "Update", "fieldsV1": {
                        "f:metadata": { "f:annotations": { ".": {}, "f:b": {} }, "f:finalizers": { ".": {}, "v:\"y\"": {} } },
                        "f:spec": {
                            "f:containers": { "k:{\"name\":\"proxy\"}": { ".": {}, "f:image": {} } },
                            "f:ports": { "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": { ".": {} } },
                            "f:gone": {}, "x:odd": {}, "f:list": { "i:1": {} },
                        },
                    } },
                    { "manager": "odd" }, { "manager": "odd", "fieldsV1": 7 }, 7,
                ],
            },
            "spec": {
                "replicas": 3,
                "rules": [{ "weight": 1 }],
                "containers": [{ "name": "proxy", "image": "p" }, { "name": "app", "image": "a" }],
                "ports": [{ "containerPort": 80, "protocol": "TCP" }],
                "list": [1, 2],
            },
        })
    }

    fn path(pointer: &str) -> Path {
        let steps = pointer.split('/').skip(1);
        steps.map(|step| step.parse().map_or_else(|_| Step::Key(step.to_owned()), Step::Index)).collect()
    }

    #[test]
    fn the_fields_of_a_manager_are_found_where_they_are() {
        let of = |manager: &str| owned_by(&live(), &[manager.to_owned()]);
        assert_eq!(of("scaler"), [path("/spec/replicas")]);
        let injected = [
            path("/metadata/annotations/b"),
            path("/metadata/finalizers/1"),
            path("/spec/containers/0/image"),
            path("/spec/list/1"),
        ];
        assert_eq!(of("injector"), injected);
        assert_eq!(of("nobody"), Vec::<Path>::new());
        assert_eq!(of("odd"), Vec::<Path>::new());
    }

    #[test]
    fn ours_and_what_is_replaced_whole_is_told() {
        for (pointer, ours, in_atomic) in [
            ("/metadata/annotations/a", true, false),
            ("/metadata/annotations/b", false, false),
            ("/metadata/finalizers/0", true, false),
            ("/metadata/finalizers/1", false, false),
            ("/spec/rules/0/weight", true, true),
            ("/spec/rules", true, false),
            ("/spec/containers/1/image", true, false),
            ("/spec/containers/1", true, false),
            ("/spec/containers/0", false, false),
            ("/spec/replicas", false, false),
            ("/nothing", false, false),
        ] {
            assert_eq!(ownership(&live(), &path(pointer)), Ownership { ours, in_atomic }, "{pointer}");
        }
    }

    #[test]
    fn the_keys_of_lists_are_learnt() {
        assert_eq!(merge_keys(&live(), &path("/spec/containers")), ["name"]);
        assert_eq!(merge_keys(&live(), &path("/spec/ports")), ["containerPort", "protocol"]);
        assert_eq!(merge_keys(&live(), &path("/spec/rules")), Vec::<String>::new());
        assert_eq!(merge_keys(&json!({}), &path("/spec/rules")), Vec::<String>::new());
    }
}
