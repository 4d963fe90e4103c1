//! Everything that one decision about an Application may know.
//!
//! The shell fills it in steps: the Application and its project first; what Git holds once
//! [`look`](super::look) has asked for it; what the cluster holds last.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::manifest::Render;
use super::object::Key;

/// What is known about one Application at one moment.
#[derive(Clone, Debug)]
pub struct World {
    /// The moment.
    pub now: Timestamp,
    /// The Application as the server has it.
    pub application: Value,
    /// What this installation may do.
    pub install: Install,
    /// The AppProject that the Application names; nothing when there is none of that name.
    pub project: Option<Value>,
    /// The ConfigMap `argocd-cm` beside the Application, or why it could not be read; nothing when there is none.
    pub settings: Result<Option<Value>, String>,
    /// Whether a live object of this Application changed, or a wait that a plan asked for is over.
    pub prompted: bool,
    /// Since when the repository cannot be read, and how often that was tried.
    pub failing: Option<Failing>,
    /// Since when the sync that has asked Git is not answered; nothing when a comparison has asked.
    pub stalled: Option<Failing>,
    /// What Git holds, or why it could not be read; nothing before it was asked for.
    pub source: Option<Result<Fetched, Unread>>,
    /// What the cluster holds; nothing before it was asked for.
    pub cluster: Option<Cluster>,
}

/// What this installation may do, and how often it looks.
#[derive(Clone, Debug)]
pub struct Install {
    /// The namespace the controller runs in, written to `status.controllerNamespace`.
    pub controller_namespace: String,
    /// Where objects may be written.
    pub reach: Reach,
    /// How old a comparison may get before Git is asked again.
    pub poll_seconds: i64,
    /// By how much that is spread over the Applications, so that they do not ask all at once.
    pub poll_jitter_seconds: i64,
    /// How long an unreadable repository is kept from the status, so that a hiccup is not news.
    pub grace_seconds: i64,
}

/// Where objects may be written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reach {
    /// Only into these namespaces, and no cluster-scoped object.
    Namespaces(BTreeSet<String>),
    /// Anywhere.
    Cluster,
}

impl Reach {
    /// Whether objects of this namespace (empty: cluster-scoped) may be written.
    #[must_use]
    pub fn covers(&self, namespace: &str) -> bool {
        match self {
            Self::Namespaces(names) => names.contains(namespace),
            Self::Cluster => true,
        }
    }
}

/// A repository that cannot be read at present.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failing {
    /// When it was first found so.
    pub since: Timestamp,
    /// How often it was tried since, the first time included.
    pub attempts: u32,
}

/// Why Git could not be read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Unread {
    /// It is as it is until somebody changes something: there is no such commit, or nobody may read it.
    Refused(String),
    /// It may be answered later.
    Unanswered(String),
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) | Self::Unanswered(why) => f.write_str(why),
        }
    }
}

/// What Git holds at one commit.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The commit.
    pub revision: String,
    /// The objects, or why the files make none.
    pub render: Arc<Result<Render, String>>,
}

/// What the cluster holds.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    /// The kinds it serves.
    pub kinds: Kinds,
    /// The live objects: those that Git wants, and all others that carry this Application's mark.
    pub live: BTreeMap<Key, Value>,
    /// What a server-side dry run made of each wanted object.
    pub predicted: BTreeMap<Key, Prediction>,
    /// The live Rollouts and autoscalers of the namespaces concerned.
    pub neighbours: Vec<Value>,
    /// The namespaces concerned.
    pub namespaces: BTreeMap<String, NamespaceFact>,
    /// What could not be read, and why; not empty means that nothing may be concluded from absence.
    pub unread: Vec<String>,
}

/// The kinds that a cluster serves, by group and kind.
pub type Kinds = BTreeMap<(String, String), KindFact>;

/// One kind that a cluster serves.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct KindFact {
    /// Its versions, the preferred one first.
    pub versions: Vec<String>,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
}

/// What is known about a namespace.
#[derive(Clone, Debug, PartialEq)]
pub enum NamespaceFact {
    /// It is there; the object.
    There(Value),
    /// It is not there.
    Missing,
    /// It may not be read; taken to be there.
    Hidden,
}

/// What a server-side dry run made of an object.
#[derive(Clone, Debug, PartialEq)]
pub enum Prediction {
    /// The object as it would be.
    Accepted(Value),
    /// The server refuses the object, and why; the object must change.
    Refused(String),
    /// The server could not answer.
    Unanswered(String),
}
