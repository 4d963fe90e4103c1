//! `ignoreDifferences`: which fields of which objects do not count, and which stay as they are.
//!
//! Input: the rules of an Application and of the installation, one object of both sides. Output: whether the sides
//! differ apart from those fields; and, where `RespectIgnoreDifferences=true` asks for it, the wanted object with
//! the live values of those fields. A rule that cannot be read stops the comparison: leaving it out would overwrite
//! what it protects.

mod fields;
mod jq;
mod keep;

use std::collections::BTreeSet;

use serde_json::Value;
use tidegate_api::source::IgnoreDifferences;

use self::jq::{Expression, Fuel, Path, Step};
use self::keep::{Extent, Selection, keep, value_at};
use super::diff::comparable;
use super::glob;
use super::object::{Key, annotation};
use super::tracking::TRACKING_ID;

/// What one expression may cost on one object: some ten milliseconds.
const STEPS: u64 = 100_000;
/// What all of a comparison may: some seconds. Ten rules on five thousand objects take a tenth of it.
const STEPS_ALL: u64 = 10_000_000;
/// How many fields of one object one rule may select; more would be slow to match between the sides.
const FIELDS_MAX: usize = 2000;
/// What of an object's metadata only the server writes.
const SERVERS: [&str; 8] = [
    "managedFields",
    "resourceVersion",
    "uid",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "selfLink",
];

/// All rules that concern an Application.
#[derive(Debug)]
pub(super) struct Rules<'a> {
    rules: Vec<Rule<'a>>,
    /// Whether the rules of ClusterRoles that others are aggregated into do not count.
    aggregated_roles: bool,
    fuel: Fuel,
}

/// One rule, read.
#[derive(Debug)]
struct Rule<'a> {
    /// Where it is written.
    place: String,
    given: &'a IgnoreDifferences,
    pointers: Vec<Vec<String>>,
    expressions: Vec<Expression<'a>>,
}

impl<'a> Rules<'a> {
    /// Reads rules, each with the place where it is written.
    ///
    /// # Errors
    /// Which rule cannot be read, and why.
    pub(super) fn read(
        given: impl IntoIterator<Item = (String, &'a IgnoreDifferences)>,
        aggregated_roles: bool,
    ) -> Result<Self, String> {
        let rules = given.into_iter().map(|(place, given)| Rule::read(place, given));
        let rules = rules.collect::<Result<_, _>>()?;
        Ok(Self { rules, aggregated_roles, fuel: Fuel::new(STEPS, STEPS_ALL) })
    }

    /// Whether a live object and what applying would make of it differ in anything that counts.
    ///
    /// # Errors
    /// A rule cannot be evaluated on the object; which, and why.
    pub(super) fn differ(&self, key: &Key, live: &Value, predicted: &Value) -> Result<bool, String> {
        let rules: Vec<&Rule> = self.rules.iter().filter(|rule| rule.concerns(key)).collect();
        if self.aggregated_roles && is_aggregated(key, predicted) {
            let without = |object: &Value| {
                let mut object = comparable(object);
                object.as_object_mut().map(|map| map.remove("rules"));
                object
            };
            return Ok(without(live) != without(predicted));
        }
        if rules.is_empty() {
            return Ok(comparable(live) != comparable(predicted));
        }
        // Whatever else is ignored, whose the object is counts.
        if annotation(live, TRACKING_ID) != annotation(predicted, TRACKING_ID) {
            return Ok(true);
        }
        let mut predicted = predicted.clone();
        for rule in &rules {
            if let Some(managed) = rule.managed(key, live, &predicted)? {
                keep(&mut predicted, live, &managed, Extent::Everything);
            }
        }
        let (mut ones, mut others) = (BTreeSet::new(), BTreeSet::new());
        for rule in rules {
            for selector in 0..rule.selectors() {
                ones.extend(rule.paths(selector, key, live, &self.fuel)?);
                others.extend(rule.paths(selector, key, &predicted, &self.fuel)?);
            }
        }
        let (mut one, mut other) = (comparable(live), comparable(&predicted));
        let mut emptied = BTreeSet::new();
        for (value, paths) in [(&mut one, ones), (&mut other, others)] {
            // From the end, so that the places in lists stay what they are.
            for path in paths.iter().rev() {
                remove(value, path, &mut emptied);
            }
        }
        Ok(!same(&one, &other, &emptied, &mut Vec::new()))
    }

    /// Copies the live values of ignored fields into the wanted object. Says whether there are any: also equal ones
    /// may be others by the time that the object is applied.
    ///
    /// # Errors
    /// As for [`Self::differ`].
    pub(super) fn respect(&self, key: &Key, wanted: &mut Value, live: &Value) -> Result<bool, String> {
        let original = wanted.clone();
        let mut kept = false;
        for rule in self.rules.iter().filter(|rule| rule.concerns(key)) {
            for selector in 0..rule.selectors() {
                // On the wanted object as earlier rules left it: they may have moved items.
                let selection = Selection {
                    wanted: rule.paths(selector, key, wanted, &self.fuel)?,
                    live: rule.paths(selector, key, live, &self.fuel)?,
                };
                kept |= keep(wanted, live, &selection, Extent::Endangered);
            }
            if let Some(managed) = rule.managed(key, live, wanted)? {
                kept |= keep(wanted, live, &managed, Extent::Endangered);
            }
        }
        if kept {
            restore(wanted, &original);
        }
        Ok(kept)
    }
}

/// Whether the rules of a ClusterRole are gathered from others by the cluster.
fn is_aggregated(key: &Key, object: &Value) -> bool {
    key.group == "rbac.authorization.k8s.io"
        && key.kind == "ClusterRole"
        && object.get("aggregationRule").is_some_and(|rule| !rule.is_null())
}

/// The rules of an Application with their places.
pub(super) fn placed(given: &[IgnoreDifferences]) -> impl Iterator<Item = (String, &IgnoreDifferences)> {
    given.iter().enumerate().map(|(index, rule)| (format!("spec.ignoreDifferences[{index}]"), rule))
}

impl<'a> Rule<'a> {
    fn read(place: String, given: &'a IgnoreDifferences) -> Result<Self, String> {
        let mut pointers = Vec::new();
        for (index, pointer) in given.json_pointers.iter().flatten().enumerate() {
            let Some(rest) = pointer.strip_prefix('/') else {
                return Err(format!(
                    "{place}.jsonPointers[{index}] is no pointer to a field: it must begin with / as in /spec/replicas"
                ));
            };
            pointers.push(rest.split('/').map(|part| part.replace("~1", "/").replace("~0", "~")).collect());
        }
        let mut expressions = Vec::new();
        for (index, text) in given.jq_path_expressions.iter().flatten().enumerate() {
            let expression = Expression::read(text)
                .map_err(|error| format!("{place}.jqPathExpressions[{index}] {error}"))?;
            expressions.push(expression);
        }
        Ok(Self { place, given, pointers, expressions })
    }

    fn concerns(&self, key: &Key) -> bool {
        let given = self.given;
        let matches = |pattern: &Option<String>, value: &str| {
            pattern.as_deref().is_none_or(|pattern| pattern.is_empty() || glob::matches(pattern, value, None))
        };
        glob::matches(given.group.as_deref().unwrap_or_default(), &key.group, None)
            && glob::matches(&given.kind, &key.kind, None)
            && matches(&given.name, &key.name)
            && matches(&given.namespace, &key.namespace)
    }

    /// How many pointers and expressions there are.
    fn selectors(&self) -> usize {
        self.pointers.len() + self.expressions.len()
    }

    /// The fields of an object that are there and that one pointer or expression selects.
    fn paths(&self, selector: usize, key: &Key, object: &Value, fuel: &Fuel) -> Result<Vec<Path>, String> {
        if let Some(pointer) = self.pointers.get(selector) {
            return Ok(resolved(pointer, object).into_iter().collect());
        }
        let index = selector - self.pointers.len();
        let Some(expression) = self.expressions.get(index) else { return Ok(Vec::new()) };
        let place = format!("{}.jqPathExpressions[{index}]", self.place);
        let mut paths =
            expression.select(object, fuel).map_err(|error| format!("{place} {error} (on {key})"))?;
        paths.retain(|path| counts(path) && value_at(object, path).is_some());
        paths.sort();
        paths.dedup();
        self.bounded(key, &paths, &place)?;
        Ok(paths)
    }

    /// The fields of its managers, where they are on both sides.
    fn managed(&self, key: &Key, live: &Value, other: &Value) -> Result<Option<Selection>, String> {
        let managers = self.given.managed_fields_managers.as_deref().unwrap_or_default();
        if managers.is_empty() {
            return Ok(None);
        }
        let mut paths = fields::owned_by(live, managers);
        paths.retain(|path| counts(path));
        self.bounded(key, &paths, &format!("{}.managedFieldsManagers", self.place))?;
        Ok(Some(Selection::same_fields(paths, live, other)))
    }

    fn bounded(&self, key: &Key, paths: &[Path], place: &str) -> Result<(), String> {
        if paths.len() > FIELDS_MAX {
            return Err(format!(
                "{place} selects more than {FIELDS_MAX} fields of {key}; select the maps or lists that they are in"
            ));
        }
        Ok(())
    }
}

/// Whether a field can be ignored at all: not the object itself, nor what only a server writes.
fn counts(path: &[Step]) -> bool {
    match path {
        [] => false,
        [Step::Key(first), ..] if first == "status" => false,
        [Step::Key(first), Step::Key(second), ..] if first == "metadata" => {
            !SERVERS.contains(&second.as_str())
        }
        [Step::Key(_) | Step::Index(_), ..] => true,
    }
}

/// The path that a pointer means in an object, if it leads to something.
fn resolved(pointer: &[String], object: &Value) -> Option<Path> {
    let mut at = object;
    let mut path = Path::new();
    for part in pointer {
        let step = if at.is_array() { Step::Index(part.parse().ok()?) } else { Step::Key(part.clone()) };
        at = match &step {
            Step::Key(key) => at.get(key)?,
            Step::Index(index) => at.get(index)?,
        };
        path.push(step);
    }
    counts(&path).then_some(path)
}

/// Gives back what no rule may change: which object it is, and that the server's own fields are not sent.
fn restore(wanted: &mut Value, original: &Value) {
    for name in ["apiVersion", "kind"] {
        if let (Some(value), Some(map)) = (original.get(name), wanted.as_object_mut()) {
            map.insert(name.to_owned(), value.clone());
        }
    }
    let given = original.get("metadata");
    let Some(metadata) = wanted.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    for name in ["name", "namespace"].into_iter().chain(SERVERS).chain(["ownerReferences"]) {
        match given.and_then(|given| given.get(name)) {
            Some(value) => metadata.insert(name.to_owned(), value.clone()),
            None => metadata.remove(name),
        };
    }
    let mark =
        given.and_then(|given| given.pointer("/annotations")?.get(TRACKING_ID)).and_then(Value::as_str);
    if let Some(mark) = mark {
        super::object::set_annotation(wanted, TRACKING_ID, mark);
    }
}

/// A place that rules took something out of: the names on the way, nothing for the items of lists.
type Emptied = BTreeSet<Vec<Option<String>>>;

fn general(path: &[Step]) -> Vec<Option<String>> {
    let name = |step: &Step| match step {
        Step::Key(key) => Some(key.clone()),
        Step::Index(_) => None,
    };
    path.iter().map(name).collect()
}

/// Removes one field, and notes what may be empty now.
fn remove(value: &mut Value, path: &[Step], emptied: &mut Emptied) {
    let Some((last, above)) = path.split_last() else { return };
    let parent = above.iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.get_mut(key),
        Step::Index(index) => value.get_mut(index),
    });
    match (parent, last) {
        (Some(Value::Object(map)), Step::Key(key)) => {
            map.remove(key);
        }
        (Some(Value::Array(items)), Step::Index(index)) if *index < items.len() => {
            items.remove(*index);
        }
        _ => {}
    }
    for length in 1..path.len() {
        emptied.insert(general(path.get(..length).unwrap_or_default()));
    }
}

/// Whether two values are equal, where a map or list that rules took something out of may be empty on one side and
/// absent on the other.
fn same(one: &Value, other: &Value, emptied: &Emptied, at: &mut Vec<Option<String>>) -> bool {
    match (one, other) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            keys.into_iter().all(|key| {
                at.push(Some(key.clone()));
                let equal = match (a.get(key), b.get(key)) {
                    (Some(a), Some(b)) => same(a, b, emptied, at),
                    (Some(value), None) | (None, Some(value)) => {
                        is_hollow(value, emptied, at) && emptied.contains(at)
                    }
                    (None, None) => true,
                };
                at.pop();
                equal
            })
        }
        (Value::Array(a), Value::Array(b)) => {
            at.push(None);
            let equal = a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b, emptied, at));
            at.pop();
            equal
        }
        (a, b) => a == b,
    }
}

/// Whether nothing is left of a value but maps that rules emptied.
fn is_hollow(value: &Value, emptied: &Emptied, at: &mut Vec<Option<String>>) -> bool {
    match value {
        Value::Object(map) => map.iter().all(|(key, value)| {
            at.push(Some(key.clone()));
            let hollow = emptied.contains(at) && is_hollow(value, emptied, at);
            at.pop();
            hollow
        }),
        Value::Array(items) => items.is_empty(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests;
