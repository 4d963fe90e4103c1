//! Reads the fields of a free-form map, and says of each that is wrong what it must be.
//!
//! Input: a map as a user wrote it, its numbers perhaps as texts, because arguments are filled in as texts. Output: values,
//! or one line that names the field and the mend.

use serde_json::{Map, Value};
use tidegate_api::analysis::JUDGE_PLUGIN;
use tidegate_api::go_duration;

/// The fields of one map.
pub(super) struct Fields<'a> {
    map: &'a Map<String, Value>,
    /// What the map is called where it is not the whole, such as `canary.`.
    prefix: &'static str,
}

/// One line about a field.
pub(super) fn wrong(field: &str, why: &str) -> String {
    format!("{JUDGE_PLUGIN}: {field}: {why}")
}

impl<'a> Fields<'a> {
    /// Takes a map whose fields are all known.
    pub(super) fn new(value: &'a Value, prefix: &'static str, known: &[&str]) -> Result<Self, String> {
        let Value::Object(map) = value else {
            let name = if prefix.is_empty() { "its settings" } else { prefix.trim_end_matches('.') };
            return Err(wrong(name, "must be fields with values"));
        };
        let unknown = map.keys().find(|key| !known.contains(&key.as_str()));
        if let Some(key) = unknown {
            let why = format!("there is no such field; the fields are {}", known.join(", "));
            return Err(wrong(&format!("{prefix}{key}"), &why));
        }
        Ok(Self { map, prefix })
    }

    /// A field as it is; one that is null or an empty text is absent.
    pub(super) fn value(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|value| !value.is_null() && value.as_str() != Some(""))
    }

    /// A text.
    pub(super) fn text(&self, name: &str) -> Result<Option<&'a str>, String> {
        let Some(value) = self.value(name) else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(|| self.wrong(name, "must be a text"))
    }

    /// A text that must be there.
    pub(super) fn needed(&self, name: &str, why: &str) -> Result<&'a str, String> {
        self.text(name)?.ok_or_else(|| self.wrong(name, why))
    }

    /// A part between 0 and 1, both excluded: `0.01` or `1%`.
    pub(super) fn part(&self, name: &str) -> Result<Option<f64>, String> {
        let part = self.number(name)?;
        let is_part = part.is_none_or(|part| part > 0.0 && part < 1.0);
        let mend = || self.wrong(name, "must lie between 0 and 1, such as 0.01 or 1%");
        if is_part { Ok(part) } else { Err(mend()) }
    }

    /// A number.
    pub(super) fn number(&self, name: &str) -> Result<Option<f64>, String> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let number = match value.as_str() {
            None => value.as_f64(),
            Some(text) => match text.strip_suffix('%') {
                Some(percent) => percent.trim().parse().ok().map(|percent: f64| percent / 100.0),
                None => text.trim().parse().ok(),
            },
        };
        let finite = number.filter(|number| number.is_finite());
        finite.map(Some).ok_or_else(|| self.wrong(name, "must be a number, such as 0.01 or 1%"))
    }

    /// A duration in seconds of at least so many.
    pub(super) fn seconds(&self, name: &str, least: f64) -> Result<Option<f64>, String> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let nanoseconds = go_duration::parse_nanoseconds(text);
        let nanoseconds =
            nanoseconds.map_err(|_| self.wrong(name, "must be a duration, such as 10s or 5m"))?;
        let seconds = nanoseconds as f64 / 1e9;
        if seconds < least {
            return Err(self.wrong(name, &format!("must be at least {least} s")));
        }
        Ok(Some(seconds))
    }

    pub(super) fn wrong(&self, name: &str, why: &str) -> String {
        wrong(&format!("{}{name}", self.prefix), why)
    }
}
