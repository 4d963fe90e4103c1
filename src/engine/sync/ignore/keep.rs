//! Keeps the live values of ignored fields in what is applied, as `RespectIgnoreDifferences=true` asks.
//!
//! Input: the object that Git wants, the live one, and what a rule selects in each. Places in lists mean little
//! (somebody may have put an item in front), so the items of both are matched by the keys that the server merges
//! them by, by name, or by what the rule selects, and by place only as the last resort.
//!
//! A field that only Git has is left out: the live state is that it is absent. A field that only the live object
//! has is copied if leaving it out would remove it: because Tidegate applied it before, or because it is in a list
//! that is replaced whole. Otherwise it stays whoever's it is.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::fields::{merge_keys, ownership};
use super::jq::{Path, Step};

/// What one rule selects.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Selection {
    pub(super) wanted: Vec<Path>,
    pub(super) live: Vec<Path>,
}

impl Selection {
    /// Fields of the live object, and the same ones in the other, where it has them.
    pub(super) fn same_fields(paths: Vec<Path>, live: &Value, other: &Value) -> Self {
        let nothing = Self::default();
        let there = paths.iter().filter_map(|path| {
            let found = counterpart(path, live, other, live, &nothing, Side::Live)?;
            value_at(other, &found).is_some().then_some(found)
        });
        Self { wanted: there.collect(), live: paths }
    }
}

/// Whether live fields that the wanted object lacks are all taken over, or only those that applying would remove.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Extent {
    /// All of them: both sides shall be equal there.
    Everything,
    /// Those that would be lost.
    Endangered,
}

/// Takes the live values into the wanted object. Says whether there are any.
pub(super) fn keep(wanted: &mut Value, live: &Value, selection: &Selection, extent: Extent) -> bool {
    let mut pairs: Vec<(Path, Path)> = Vec::new();
    let mut removed = Vec::new();
    let selected: BTreeSet<&Path> = selection.live.iter().collect();
    for path in &selection.wanted {
        match counterpart(path, wanted, live, live, selection, Side::Wanted) {
            Some(other) if value_at(live, &other).is_some() => {
                // Where the rule looks at values and only Git's meets it, Git's counts.
                if selected.contains(&other) {
                    pairs.push((path.clone(), other));
                }
            }
            Some(_) | None => removed.push(path.clone()),
        }
    }
    let mut added = Vec::new();
    let paired: BTreeSet<Path> = pairs.iter().map(|(_, other)| other.clone()).collect();
    for path in selection.live.iter().filter(|path| value_at(live, path).is_some()) {
        let there = counterpart(path, live, wanted, live, selection, Side::Live)
            .is_some_and(|other| value_at(wanted, &other).is_some());
        if !there && !paired.contains(path) && is_endangered(live, wanted, path, extent) {
            added.push(path.clone());
        }
    }
    let mut kept = false;
    for (path, other) in pairs {
        if let (Some(place), Some(value)) = (value_at_mut(wanted, &path), value_at(live, &other)) {
            *place = value.clone();
            kept = true;
        }
    }
    // From the end, so that the places of the others stay what they are.
    removed.sort();
    for path in removed.iter().rev() {
        kept |= remove(wanted, path, live);
    }
    added.sort();
    for path in &added {
        kept |= has_room(wanted, live, path) && add(wanted, live, path);
    }
    kept
}

fn is_endangered(live: &Value, wanted: &Value, path: &[Step], extent: Extent) -> bool {
    match extent {
        Extent::Everything => true,
        Extent::Endangered => {
            let ownership = ownership(live, path);
            // A list that Git does not have at all is not replaced.
            let top = path.split_last().map_or(&[][..], |(_, above)| above);
            let has_list = (1..=top.len()).rev().any(|length| {
                top.get(..length).is_some_and(|part| value_at(wanted, part).is_some_and(Value::is_array))
            });
            ownership.ours || (ownership.in_atomic && has_list)
        }
    }
}

/// Which side a path belongs to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Side {
    Wanted,
    Live,
}

/// The path of the same field in the other object; nothing when a list there lacks the item.
fn counterpart(
    path: &[Step],
    from: &Value,
    to: &Value,
    live: &Value,
    selection: &Selection,
    side: Side,
) -> Option<Path> {
    let mut found = Path::new();
    let (mut from, mut to) = (Some(from), Some(to));
    for (at, step) in path.iter().enumerate() {
        let next = match (step, from.and_then(Value::as_array), to.and_then(Value::as_array)) {
            (Step::Index(index), Some(items), Some(others)) => {
                let item = items.get(*index)?;
                let live_list = match side {
                    Side::Wanted => &found,
                    Side::Live => path.get(..at).unwrap_or_default(),
                };
                let keys = merge_keys(live, live_list);
                match match_item(item, *index, others, &keys) {
                    Match::At(index) => Step::Index(index),
                    Match::None => return None,
                    Match::Unknown if at + 1 == path.len() => {
                        return nth_selected(path, &found, selection, side);
                    }
                    Match::Unknown => Step::Index(*index),
                }
            }
            (Step::Index(_) | Step::Key(_), _, _) => step.clone(),
        };
        from = from.and_then(|from| child(from, step));
        to = to.and_then(|to| child(to, &next));
        found.push(next);
    }
    Some(found)
}

/// What is known about the place of an item in another list.
enum Match {
    At(usize),
    None,
    /// Nothing tells the items apart.
    Unknown,
}

fn match_item(item: &Value, index: usize, others: &[Value], keys: &[String]) -> Match {
    if !item.is_object() {
        let at_place = others.get(index).filter(|other| *other == item).map(|_| index);
        let found = at_place.or_else(|| others.iter().position(|other| other == item));
        return found.map_or(Match::Unknown, Match::At);
    }
    let by = |keys: &[&str]| {
        // A field that one side leaves to its default does not tell the two apart.
        let same = |other: &Value| {
            keys.iter().all(|key| match (item.get(key), other.get(key)) {
                (Some(one), Some(other)) => one == other,
                (Some(_), None) | (None, Some(_)) | (None, None) => true,
            }) && keys.iter().any(|key| item.get(key).is_some() && item.get(key) == other.get(key))
        };
        // Of several that fit, the one at the same place.
        let at_place = others.get(index).filter(|other| same(other)).map(|_| index);
        at_place.or_else(|| others.iter().position(same)).map_or(Match::None, Match::At)
    };
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    if keys.iter().any(|key| item.get(key).is_some()) {
        by(&keys)
    } else if item.get("name").is_some_and(Value::is_string) {
        by(&["name"])
    } else {
        Match::Unknown
    }
}

/// The item that the rule selects in the other list as the same one in order.
fn nth_selected(path: &[Step], other_list: &[Step], selection: &Selection, side: Side) -> Option<Path> {
    let (own, others) = match side {
        Side::Wanted => (&selection.wanted, &selection.live),
        Side::Live => (&selection.live, &selection.wanted),
    };
    let (_, list) = path.split_last()?;
    let place = own.iter().filter(|p| p.split_last().is_some_and(|(_, above)| above == list));
    let place = place.take_while(|p| p.as_slice() != path).count();
    let mut inside = others.iter().filter(|p| p.split_last().is_some_and(|(_, above)| above == other_list));
    inside.nth(place).cloned()
}

fn child<'v>(value: &'v Value, step: &Step) -> Option<&'v Value> {
    match step {
        Step::Key(key) => value.get(key),
        Step::Index(index) => value.get(index),
    }
}

pub(super) fn value_at<'v>(value: &'v Value, path: &[Step]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, step| child(value, step))
}

fn value_at_mut<'v>(value: &'v mut Value, path: &[Step]) -> Option<&'v mut Value> {
    path.iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.get_mut(key),
        Step::Index(index) => value.get_mut(index),
    })
}

/// Removes a field, and the maps that are empty by that and that the live object lacks. Says whether it was there.
fn remove(wanted: &mut Value, path: &[Step], live: &Value) -> bool {
    let Some((last, above)) = path.split_last() else { return false };
    let Some(parent) = value_at_mut(wanted, above) else { return false };
    let was_there = match (parent, last) {
        (Value::Object(map), Step::Key(key)) => map.remove(key).is_some(),
        (Value::Array(items), Step::Index(index)) if *index < items.len() => {
            items.remove(*index);
            true
        }
        _ => false,
    };
    let is_empty = value_at(wanted, above).is_some_and(|parent| match parent {
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    });
    if was_there && is_empty && matches!(above.last(), Some(Step::Key(_))) && value_at(live, above).is_none()
    {
        remove(wanted, above, live);
    }
    was_there
}

/// Whether a live field can be added: all that is missing above it are maps.
fn has_room(wanted: &Value, live: &Value, path: &[Step]) -> bool {
    let mut place = Some(wanted);
    for (at, step) in path.iter().enumerate() {
        let above = path.get(at..path.len() - 1).unwrap_or_default();
        let Some(here) = place.filter(|place| !place.is_null()) else {
            return above.iter().all(|step| matches!(step, Step::Key(_)));
        };
        place = match (step, here) {
            (Step::Key(key), Value::Object(map)) => map.get(key),
            (Step::Index(_), Value::Array(_)) if above.is_empty() => return true,
            (Step::Index(index), Value::Array(items)) => {
                match same_item(items, *index, live, path.get(..at).unwrap_or_default()) {
                    Some(found) => items.get(found),
                    None => return false,
                }
            }
            (Step::Key(_) | Step::Index(_), _) => return false,
        };
    }
    true
}

/// The place in `items` of an item of the live list at `list`.
fn same_item(items: &[Value], index: usize, live: &Value, list: &[Step]) -> Option<usize> {
    let item = value_at(live, list).and_then(|items| items.get(index))?;
    let found = match match_item(item, index, items, &merge_keys(live, list)) {
        Match::At(found) => found,
        Match::Unknown => index,
        Match::None => return None,
    };
    (found < items.len()).then_some(found)
}

/// Adds a live field, with the maps above it. An item of a list that the wanted object lacks is not made up.
fn add(wanted: &mut Value, live: &Value, path: &[Step]) -> bool {
    let Some(value) = value_at(live, path) else { return false };
    let mut place = wanted;
    for (at, step) in path.iter().enumerate() {
        let is_last = at + 1 == path.len();
        let list = path.get(..at).unwrap_or_default();
        match step {
            Step::Key(key) => {
                if place.is_null() {
                    *place = Value::Object(Map::new());
                }
                let Value::Object(map) = place else { return false };
                place = map.entry(key.clone()).or_insert(Value::Null);
            }
            Step::Index(index) if is_last => {
                if place.is_null() {
                    *place = Value::Array(Vec::new());
                }
                let Value::Array(items) = place else { return false };
                items.insert((*index).min(items.len()), value.clone());
                return true;
            }
            Step::Index(index) => {
                let Value::Array(items) = &mut *place else { return false };
                let found = same_item(items, *index, live, list);
                let Some(found) = found.and_then(|found| items.get_mut(found)) else { return false };
                place = found;
            }
        }
    }
    *place = value.clone();
    true
}

#[cfg(test)]
mod tests;
