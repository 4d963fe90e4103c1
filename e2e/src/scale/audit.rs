//! The requests of one user, read from the API server's audit log as it grows.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Add;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// Requests that a controller makes whether there are objects or not, by what they are for.
const STANDING: [&str; 1] = ["leases"];
/// Verbs that change something.
const WRITES: [&str; 5] = ["create", "update", "patch", "delete", "deletecollection"];

/// One line of the log.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    verb: String,
    object_ref: Option<Object>,
    response_status: Option<Status>,
}

#[derive(Deserialize)]
struct Object {
    resource: String,
    subresource: Option<String>,
}

#[derive(Deserialize)]
struct Status {
    code: Option<u16>,
}

/// How many requests were made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Tally {
    /// Requests about objects, by verb and resource, such as `patch rollouts/status`.
    pub(super) about_objects: BTreeMap<String, u64>,
    /// Kubernetes Events that were written.
    pub(super) events: u64,
    /// Watches that began anew, and renewals of the Lease.
    pub(super) standing: u64,
    /// Requests that the API server refused, by code, verb and resource; they count above as well.
    pub(super) refused: BTreeMap<String, u64>,
}

impl Tally {
    /// Requests about objects that change something, without Events.
    pub(super) fn writes(&self) -> u64 {
        let is_write = |name: &str| WRITES.iter().any(|verb| name.split(' ').next() == Some(*verb));
        self.about_objects.iter().filter(|(name, _)| is_write(name)).map(|(_, count)| count).sum()
    }

    /// All requests about objects, Events included.
    pub(super) fn all(&self) -> u64 {
        self.about_objects.values().sum::<u64>() + self.events
    }

    /// Whether there was nothing but what is always there.
    pub(super) fn is_quiet(&self) -> bool {
        self.all() == 0
    }

    fn note(&mut self, line: Line) {
        let Some(object) = line.object_ref else { return self.standing += 1 };
        let resource = match &object.subresource {
            Some(subresource) => format!("{}/{subresource}", object.resource),
            None => object.resource.clone(),
        };
        let name = format!("{} {resource}", line.verb);
        if let Some(code) = line.response_status.and_then(|status| status.code).filter(|code| *code >= 400) {
            *self.refused.entry(format!("{code} {name}")).or_default() += 1;
        }
        if line.verb == "watch" || STANDING.contains(&object.resource.as_str()) {
            self.standing += 1;
        } else if object.resource == "events" {
            self.events += 1;
        } else {
            *self.about_objects.entry(name).or_default() += 1;
        }
    }
}

impl Add for Tally {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        let sum = |into: &mut BTreeMap<String, u64>, from: BTreeMap<String, u64>| {
            for (name, count) in from {
                *into.entry(name).or_default() += count;
            }
        };
        sum(&mut self.about_objects, other.about_objects);
        sum(&mut self.refused, other.refused);
        self.events += other.events;
        self.standing += other.standing;
        self
    }
}

/// The log, and how far it was read.
pub(super) struct Log {
    path: PathBuf,
    offset: u64,
    /// The beginning of a line that was not complete yet.
    rest: String,
}

impl Log {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, offset: 0, rest: String::new() }
    }

    /// Counts what was added since it was read last.
    pub(super) fn read(&mut self) -> Result<Tally> {
        let mut text = std::mem::take(&mut self.rest);
        let mut file = File::open(&self.path).with_context(|| format!("no {}", self.path.display()))?;
        file.seek(SeekFrom::Start(self.offset))?;
        self.offset += u64::try_from(file.read_to_string(&mut text)?)?;
        let complete = text.rfind('\n').map_or(0, |end| end + 1);
        self.rest = text.split_off(complete);
        tally(&text)
    }
}

fn tally(text: &str) -> Result<Tally> {
    let mut tally = Tally::default();
    for line in text.lines() {
        tally.note(serde_json::from_str(line).context("cannot read a line of the audit log")?);
    }
    Ok(tally)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_concerns_objects_is_told_from_what_is_always_there() {
        let line = |verb: &str, resource: &str, more: &str, code: u16| {
            format!(
                r#"{{"kind":"Event","verb":"{verb}","objectRef":{{"resource":"{resource}"{more}}},"responseStatus":{{"code":{code}}}}}"#
            )
        };
        let lines = [
            line("create", "replicasets", "", 201),
            line("patch", "rollouts", r#","subresource":"status""#, 200),
            line("patch", "rollouts", r#","subresource":"status""#, 409),
            line("get", "replicasets", "", 200),
            line("create", "events", "", 201),
            line("watch", "pods", "", 200),
            line("update", "leases", "", 200),
            r#"{"verb":"get","requestURI":"/version"}"#.to_owned(),
        ];
        let told = tally(&lines.join("\n")).unwrap();
        let about = |name: &str| told.about_objects.get(name).copied();
        assert_eq!(about("patch rollouts/status"), Some(2));
        assert_eq!((told.writes(), told.events, told.standing, told.all()), (3, 1, 3, 5));
        assert_eq!(told.refused, BTreeMap::from([("409 patch rollouts/status".to_owned(), 1)]));
        assert!(!told.is_quiet() && tally(&lines[5..].join("\n")).unwrap().is_quiet());
        assert_eq!((told.clone() + told.clone()).writes(), 6);
    }
}
