//! What the nodes of a JSONPath find in a document.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::Value;

use super::{Filter, Node, Part, Slice};
use crate::metric::measured;

/// Values that one search may look at: several `..` in a row multiply what they find.
const MOST_VALUES: usize = 1_000_000;

type Found<'a> = Vec<Cow<'a, Value>>;

/// Finds the first value of the first part that finds any.
pub(super) fn first(parts: &[Part], document: &Value) -> Result<Option<Value>, String> {
    let mut search = Search { left: MOST_VALUES, first: None, depth: 0 };
    search.run(parts, 0, document)?;
    Ok(search.first)
}

struct Search {
    /// Values that may still be looked at.
    left: usize,
    first: Option<Value>,
    /// Ranges around the present part.
    depth: usize,
}

impl Search {
    /// Goes through the parts up to the end of the present range; where that end is, if there is one.
    fn run(&mut self, parts: &[Part], mut at: usize, current: &Value) -> Result<Option<usize>, String> {
        while let Some(part) = parts.get(at) {
            let (found, range) = match part {
                Part::Text(text) => (vec![Cow::Owned(text.as_str().into())], None),
                Part::List(nodes) => self.part(nodes, current)?,
            };
            match range {
                Some(Bound::End) => return Ok(Some(at)),
                Some(Bound::Begin) => {
                    self.depth += 1;
                    let mut end = None;
                    // Without any value the parts in the range are still checked, on nothing.
                    let nothing = [Cow::Owned(Value::Null)];
                    let (values, counts) =
                        if found.is_empty() { (&nothing[..], false) } else { (&found[..], true) };
                    let kept = self.first.clone();
                    for value in values {
                        self.spend(1)?;
                        end = self.run(parts, at + 1, value)?;
                    }
                    if !counts {
                        self.first = kept;
                    }
                    self.depth -= 1;
                    at = end.unwrap_or(at);
                }
                None => {
                    if let (None, Some(value)) = (&self.first, found.into_iter().next()) {
                        self.first = Some(kept(value)?);
                    }
                }
            }
            at += 1;
        }
        Ok(None)
    }

    /// One pair of braces, and whether a range begins or ends with it.
    fn part<'a>(&mut self, nodes: &[Node], current: &'a Value) -> Result<(Found<'a>, Option<Bound>), String> {
        if nodes.contains(&Node::End) {
            let inside = self.depth > 0;
            return if inside {
                Ok((Vec::new(), Some(Bound::End)))
            } else {
                Err("not in range, nothing to end".to_owned())
            };
        }
        let bound = nodes.contains(&Node::Range).then_some(Bound::Begin);
        Ok((self.list(nodes, vec![Cow::Borrowed(current)])?, bound))
    }

    fn list<'a>(&mut self, nodes: &[Node], mut found: Found<'a>) -> Result<Found<'a>, String> {
        for node in nodes {
            found = self.step(node, found)?;
            self.spend(found.len())?;
        }
        Ok(found)
    }

    fn spend(&mut self, values: usize) -> Result<(), String> {
        let left = self.left.checked_sub(values + 1);
        self.left = left.unwrap_or(0);
        left.map(|_| ()).ok_or_else(|| "the JSONPath looks at too many values".to_owned())
    }

    fn step<'a>(&mut self, node: &Node, found: Found<'a>) -> Result<Found<'a>, String> {
        match node {
            Node::Text(text) => Ok(vec![Cow::Owned(text.as_str().into())]),
            Node::Constant(value) => Ok(found.iter().map(|_| Cow::Owned(value.clone())).collect()),
            Node::Field(name) => field(&found, name),
            Node::Slice(slice) => elements(&found, *slice),
            Node::Union(members) => {
                let mut all = Vec::new();
                for member in members {
                    all.extend(self.list(member, found.clone())?);
                }
                Ok(all)
            }
            Node::Filter(filter) => self.filtered(&found, filter),
            Node::Wildcard => self.children_of(&found),
            Node::Recursive => {
                let mut all = Vec::new();
                self.descend(&found, &mut all)?;
                Ok(all)
            }
            Node::Range | Node::End => Ok(found),
            Node::Unknown(word) => Err(format!("unrecognized identifier {word}")),
        }
    }

    fn children_of<'a>(&mut self, values: &Found<'a>) -> Result<Found<'a>, String> {
        let mut all = Vec::new();
        for value in values {
            self.spend(size(value))?;
            all.extend(children(value));
        }
        Ok(all)
    }

    /// Every value that has others in it, each before what is in it.
    fn descend<'a>(&mut self, values: &Found<'a>, all: &mut Found<'a>) -> Result<(), String> {
        for value in values {
            self.spend(size(value))?;
            let inside = children(value);
            if !inside.is_empty() {
                all.push(value.clone());
                self.descend(&inside, all)?;
            }
        }
        Ok(())
    }

    fn filtered<'a>(&mut self, values: &Found<'a>, filter: &Filter) -> Result<Found<'a>, String> {
        let mut kept = Vec::new();
        for value in values {
            if !value.is_array() {
                return Err(format!("{} is not array or slice and cannot be filtered", go_type(value)));
            }
            for element in children(value) {
                if self.passes(&element, filter)? {
                    kept.push(element);
                }
            }
        }
        Ok(kept)
    }

    fn passes(&mut self, element: &Value, filter: &Filter) -> Result<bool, String> {
        match filter {
            // What cannot be found does not exist.
            Filter::Exists(nodes) => {
                let found = self.list(nodes, vec![Cow::Borrowed(element)]);
                if self.left == 0 {
                    return found.map(|_| false);
                }
                Ok(found.is_ok_and(|found| !found.is_empty()))
            }
            Filter::Compare { left, operator, right } => {
                let left = self.list(left, vec![Cow::Borrowed(element)])?;
                let Some(left) = alone(&left)? else { return Ok(false) };
                let right = self.list(right, vec![Cow::Borrowed(element)])?;
                let Some(right) = alone(&right)? else { return Ok(false) };
                compare(left, operator, right)
            }
        }
    }
}

/// A value that was found. What is too large is not copied.
fn kept(value: Cow<'_, Value>) -> Result<Value, String> {
    let count = measured::count(&value);
    if count > measured::MOST_VALUES {
        let most = measured::MOST_VALUES;
        return Err(format!("the result has {count} values in it, more than {most}: narrow jsonPath"));
    }
    Ok(value.into_owned())
}

/// Whether a range begins or ends with a part.
enum Bound {
    Begin,
    End,
}

fn alone<'v>(found: &'v [Cow<'_, Value>]) -> Result<Option<&'v Value>, String> {
    match found {
        [] => Ok(None),
        [one] => Ok(Some(&**one)),
        _ => Err("can only compare one element at a time".to_owned()),
    }
}

fn field<'a>(found: &Found<'a>, name: &str) -> Result<Found<'a>, String> {
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let of = |value: &Cow<'a, Value>| match value {
        Cow::Borrowed(value) => value.get(name).map(Cow::Borrowed),
        Cow::Owned(value) => value.get(name).cloned().map(Cow::Owned),
    };
    let fields: Found<'a> = found.iter().filter_map(of).collect();
    if fields.is_empty() { Err(format!("{name} is not found")) } else { Ok(fields) }
}

/// The elements that a slice takes of each list.
fn elements<'a>(found: &Found<'a>, slice: Slice) -> Result<Found<'a>, String> {
    let mut all = Vec::new();
    for value in found.iter().filter(|value| !value.is_null()) {
        let Some(list) = value.as_array() else {
            return Err(format!("{} is not array or slice", go_type(value)));
        };
        let length = i64::try_from(list.len()).unwrap_or(i64::MAX);
        let from_end = |index: i64| if index < 0 { index.saturating_add(length) } else { index };
        let from = from_end(slice.from.unwrap_or(0));
        let to = match slice.to.unwrap_or(length) {
            0 if slice.single => length,
            to => from_end(to),
        };
        if from == to {
            // Asking for nothing is asking for nothing of the other lists, too, as Kubernetes has it.
            return Ok(all);
        }
        let beyond = |index: i64| Err(format!("array index out of bounds: index {index}, length {length}"));
        if from < 0 || from >= length {
            return beyond(from);
        }
        if to < 0 || to > length {
            return beyond(to - 1);
        }
        if from > to {
            return Err(format!("starting index {from} is greater than ending index {to}"));
        }
        let step = usize::try_from(slice.step.unwrap_or(1)).ok().filter(|step| *step > 0);
        let Some(step) = step else { return Err("step must be > 0".to_owned()) };
        let range = usize::try_from(from).unwrap_or(0)..usize::try_from(to).unwrap_or(0);
        all.extend(children(value).into_iter().take(range.end).skip(range.start).step_by(step));
    }
    Ok(all)
}

fn size(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.len(),
        Value::Object(members) => members.len(),
        Value::String(text) => text.len(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

/// What is in a value; a text has its bytes in it, as Go sees it.
fn children<'a>(value: &Cow<'a, Value>) -> Found<'a> {
    let owned = |value: &Value| -> Vec<Value> {
        match value {
            Value::Array(items) => items.clone(),
            Value::Object(members) => members.values().cloned().collect(),
            Value::String(text) => text.bytes().map(Value::from).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
        }
    };
    match value {
        Cow::Borrowed(Value::Array(items)) => items.iter().map(Cow::Borrowed).collect(),
        Cow::Borrowed(Value::Object(members)) => members.values().map(Cow::Borrowed).collect(),
        Cow::Borrowed(value) => owned(value).into_iter().map(Cow::Owned).collect(),
        Cow::Owned(value) => owned(value).into_iter().map(Cow::Owned).collect(),
    }
}

fn compare(left: &Value, operator: &str, right: &Value) -> Result<bool, String> {
    let order = match (left, right) {
        (Value::Bool(left), Value::Bool(right)) => {
            // There is no more and less of truth.
            return match operator {
                "==" => Ok(left == right),
                "!=" => Ok(left != right),
                "<" | ">" | "<=" | ">=" => Err("invalid type for comparison".to_owned()),
                _ => Err(format!("unrecognized filter operator {operator}")),
            };
        }
        (Value::Number(left), Value::Number(right)) => {
            left.as_f64().partial_cmp(&right.as_f64()).unwrap_or(Ordering::Equal)
        }
        (Value::String(left), Value::String(right)) => left.cmp(right),
        (
            Value::Bool(_) | Value::Number(_) | Value::String(_),
            Value::Bool(_) | Value::Number(_) | Value::String(_),
        ) => return Err("incompatible types for comparison".to_owned()),
        _ => return Err("invalid type for comparison".to_owned()),
    };
    Ok(match operator {
        "==" => order.is_eq(),
        "!=" => order.is_ne(),
        "<" => order.is_lt(),
        "<=" => order.is_le(),
        ">" => order.is_gt(),
        ">=" => order.is_ge(),
        _ => return Err(format!("unrecognized filter operator {operator}")),
    })
}

/// The name that Go has for the type of a value; the value itself may be long, or a secret.
fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}
