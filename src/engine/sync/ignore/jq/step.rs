//! The ways from a value to its parts, with and without a path.

use std::borrow::Cow;

use serde_json::Value;

use super::run::{Item, Items, Run};
use super::value;
use super::{Path, Step, Stop};

static NULL: Value = Value::Null;

impl Run<'_> {
    /// An item and everything below it.
    pub(super) fn descend<'o>(&self, input: &Item<'o>) -> Result<Items<'o>, Stop> {
        let mut all = Vec::new();
        let mut open = vec![self.copied(input)?];
        while let Some(item) = open.pop() {
            let mut inner = self.iterate(&item)?;
            inner.reverse();
            open.extend(inner);
            all.push(item);
        }
        Ok(all)
    }

    /// One field or item of a value. What is absent is null, and has a path all the same.
    pub(super) fn index<'o>(&self, item: &Item<'o>, index: &Value) -> Result<Option<Item<'o>>, Stop> {
        let step = match (item.value.as_ref(), index) {
            (Value::Object(_) | Value::Null, Value::String(key)) => Step::Key(key.clone()),
            (Value::Array(items), Value::Number(_)) => match value::position(index, items.len()) {
                Some(position) => Step::Index(position),
                None => return Ok(None),
            },
            (Value::Null, Value::Number(_)) => Step::Index(0),
            _ => return Ok(None),
        };
        self.step(item, step).map(Some)
    }

    /// One step further.
    fn step<'o>(&self, item: &Item<'o>, step: Step) -> Result<Item<'o>, Stop> {
        let path = match &item.path {
            None => None,
            Some(path) => {
                self.pay(2 + path.len())?;
                // An item of some items of a list is an item of the list.
                let offset = item.slice.map_or(0, |(from, _)| from);
                Some(stepped(
                    path,
                    match &step {
                        Step::Index(index) => Step::Index(index + offset),
                        Step::Key(_) => step.clone(),
                    },
                ))
            }
        };
        let value = match &item.value {
            Cow::Borrowed(value) => Cow::Borrowed(inner(value, &step).unwrap_or(&NULL)),
            Cow::Owned(value) => {
                let inner = inner(value, &step).unwrap_or(&NULL);
                self.pay_for(inner)?;
                Cow::Owned(inner.clone())
            }
        };
        Ok(Item { path, slice: None, value })
    }

    /// All fields or items of a value.
    pub(super) fn iterate<'o>(&self, item: &Item<'o>) -> Result<Items<'o>, Stop> {
        let steps: Vec<Step> = match item.value.as_ref() {
            Value::Array(items) => (0..items.len()).map(Step::Index).collect(),
            Value::Object(map) => {
                self.pay(map.len())?;
                map.keys().map(|key| Step::Key(key.clone())).collect()
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
        };
        self.pay(steps.len())?;
        steps.into_iter().map(|step| self.step(item, step)).collect()
    }

    pub(super) fn slice<'o>(
        &self,
        item: &Item<'o>,
        from: &Value,
        to: &Value,
    ) -> Result<Option<Item<'o>>, Stop> {
        self.pay_for(&item.value)?;
        let Some((from, to, value)) = value::sliced(&item.value, from, to) else { return Ok(None) };
        let outer = item.slice.map_or(0, |(outer, _)| outer);
        let path = item.path.clone().filter(|_| value.is_array());
        Ok(Some(Item { path, slice: Some((outer + from, outer + to)), value: Cow::Owned(value) }))
    }
}

fn inner<'v>(value: &'v Value, step: &Step) -> Option<&'v Value> {
    match step {
        Step::Key(key) => value.get(key),
        Step::Index(index) => value.get(index),
    }
}

pub(super) fn stepped(path: &[Step], step: Step) -> Path {
    path.iter().cloned().chain(std::iter::once(step)).collect()
}
