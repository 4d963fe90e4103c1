//! Which Applications a change concerns: those that follow the ref of the repository, and whose files it touches.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Change, Reference};
use crate::sync::{address, glob};

/// The paths that an Application's manifests are made of, as its owner tells them.
const PATHS: &str = "/metadata/annotations/argocd.argoproj.io~1manifest-generate-paths";

/// Whether an Application should be looked at because of a change.
#[must_use]
pub fn concerns(change: &Change, application: &Value) -> bool {
    let one = application.pointer("/spec/source").into_iter();
    let several = application.pointer("/spec/sources").and_then(Value::as_array).into_iter().flatten();
    let text = |source: &Value, field: &str| {
        source.get(field).and_then(Value::as_str).unwrap_or_default().trim().to_owned()
    };
    one.chain(several).any(|source| {
        is_of(change, &text(source, "repoURL"))
            && follows(change, &text(source, "targetRevision"))
            && touches(change, application, &text(source, "path"))
    })
}

/// Whether the repository is the one with this address.
fn is_of(change: &Change, address: &str) -> bool {
    let Some(place) = address::place(address) else { return false };
    change.repositories.iter().any(|repository| {
        // Where only the end of the address is known, that has to do.
        if repository.starts_with('/') { place.ends_with(repository.as_str()) } else { place == *repository }
    })
}

/// Whether a revision may now stand for another commit.
fn follows(change: &Change, revision: &str) -> bool {
    if matches!(revision, "" | "HEAD") {
        return change.is_default != Some(false);
    }
    let named = |prefix: &str| revision.strip_prefix(prefix).unwrap_or(revision);
    match &change.reference {
        Reference::Branch(name) => named("refs/heads/") == name,
        // A version constraint may choose any new tag.
        Reference::Tag(name) => {
            named("refs/tags/") == name || revision.contains(['*', '^', '~', '<', '>', '=', ' '])
        }
    }
}

/// Whether any file that differs is one that the manifests are made of; so it is where that is not known.
fn touches(change: &Change, application: &Value, path: &str) -> bool {
    let (Some(files), Some(told)) = (&change.files, application.pointer(PATHS).and_then(Value::as_str))
    else {
        return true;
    };
    let mut paths = told.split(';').map(str::trim).filter(|told| !told.is_empty()).peekable();
    paths.peek().is_none()
        || paths.any(|told| match resolved(path, told) {
            Some(resolved) => touched(files, &resolved),
            // Outside of the repository nothing can be said.
            None => true,
        })
}

fn touched(files: &BTreeSet<String>, path: &str) -> bool {
    let is_glob = path.contains(['*', '?', '[']);
    files.iter().any(|file| {
        let below = file.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        path.is_empty() || below || (is_glob && glob::matches(path, file, Some('/')))
    })
}

/// A path from the root of the repository, where one that begins with a slash begins, too.
fn resolved(base: &str, told: &str) -> Option<String> {
    let base = if told.starts_with('/') { "" } else { base };
    let mut steps = Vec::new();
    for step in base.split('/').chain(told.split('/')) {
        match step {
            "" | "." => {}
            ".." => {
                steps.pop()?;
            }
            step => steps.push(step),
        }
    }
    Some(steps.join("/"))
}
