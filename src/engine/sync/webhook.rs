//! Webhooks: what a Git server says has changed, and which Applications that concerns.
//!
//! Input: the headers and the body of a request that has proved itself, and Applications. Output: changes, and
//! whether one concerns an Application. A change is a hint to look at Git now and nothing more: no commit, path or
//! manifest is ever taken from it. It must never know how requests come in, or who may send them.

mod concern;
mod payload;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde_json::error::Category;

pub use concern::concerns;

/// Repositories, refs and files of one delivery that are looked at; more are left to the next poll.
pub const CHANGES_MAX: usize = 100;

/// Who sends webhooks.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Provider {
    /// GitHub and GitHub Enterprise.
    GitHub,
    /// GitLab.
    GitLab,
    /// Bitbucket Cloud.
    Bitbucket,
    /// Bitbucket Server and Data Center.
    BitbucketServer,
    /// Gogs, and Gitea and Forgejo, which grew out of it.
    Gogs,
}

impl Provider {
    /// Whose request this is, by its headers, and what it says it is about.
    ///
    /// Gitea also sends GitHub's headers, so it is asked first; only Bitbucket Cloud has a UUID for its hooks.
    #[must_use]
    pub fn of<'a>(header: impl Fn(&str) -> Option<&'a str>) -> Option<(Self, &'a str)> {
        let gogs = ["x-gitea-event", "x-forgejo-event", "x-gogs-event"].into_iter().find_map(&header);
        let bitbucket = header("x-event-key");
        None.or_else(|| gogs.map(|event| (Self::Gogs, event)))
            .or_else(|| header("x-github-event").map(|event| (Self::GitHub, event)))
            .or_else(|| header("x-gitlab-event").map(|event| (Self::GitLab, event)))
            .or_else(|| header("x-hook-uuid").and(bitbucket).map(|event| (Self::Bitbucket, event)))
            .or_else(|| bitbucket.map(|event| (Self::BitbucketServer, event)))
    }

    /// Its name, for people and for metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::GitHub => "github",
            Self::GitLab => "gitlab",
            Self::Bitbucket => "bitbucket",
            Self::BitbucketServer => "bitbucket-server",
            Self::Gogs => "gogs",
        }
    }

    /// Reads what has changed. An event that is about no branch and no tag changes nothing.
    ///
    /// # Errors
    /// The body is not what this provider sends for this event.
    pub fn changes(self, event: &str, body: &[u8]) -> Result<Vec<Change>, String> {
        let changes = match self {
            Self::GitHub => payload::github(event, body),
            Self::GitLab => payload::gitlab(body),
            Self::Bitbucket => payload::bitbucket(event, body),
            Self::BitbucketServer => payload::bitbucket_server(event, body),
            Self::Gogs => payload::gogs(event, body),
        };
        // serde's own words may hold a value of the body.
        let mut changes = changes.map_err(|error| {
            let (name, line, column) = (self.name(), error.line(), error.column());
            let what = match error.classify() {
                Category::Data => "a field is missing or of another kind",
                Category::Eof => "it ends early",
                Category::Io | Category::Syntax => "it is no JSON",
            };
            format!("the body is not what {name} sends: {what}, at line {line} column {column}")
        })?;
        changes.truncate(CHANGES_MAX);
        Ok(changes)
    }
}

/// A branch or tag that now stands for another commit.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Change {
    /// The repository, by each of its addresses, as places.
    repositories: BTreeSet<String>,
    reference: Reference,
    /// Whether `HEAD` is this branch, if that is known.
    is_default: Option<bool>,
    /// The files that differ, if all are known.
    files: Option<BTreeSet<String>>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Reference {
    Branch(String),
    Tag(String),
}

impl Reference {
    /// Reads `refs/heads/x` or `refs/tags/x`; other refs are nobody's revision.
    fn read(full: &str) -> Option<Self> {
        let branch = full.strip_prefix("refs/heads/").map(|name| Self::Branch(name.to_owned()));
        branch.or_else(|| full.strip_prefix("refs/tags/").map(|name| Self::Tag(name.to_owned())))
    }
}

impl Change {
    /// What to call it in a log.
    #[must_use]
    pub fn shown(&self) -> String {
        let (Reference::Branch(name) | Reference::Tag(name)) = &self.reference;
        let first = self.repositories.first().map(String::as_str).unwrap_or_default();
        format!("{first} {name}")
    }
}
