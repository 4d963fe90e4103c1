//! Git: which commit a branch, tag or commit is, and the files of one directory at it.
//!
//! Input: a repository, a revision and a path. Output: a commit and files, or why not. One bare store per
//! repository is kept in a cache directory and can be deleted at any time; no work tree is ever written.
//! Everything here blocks, so it runs on threads of its own. It must never know what the files are for.

pub(crate) mod access;
mod cache;
mod fetch;
pub(crate) mod ssh;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ring::digest::{Context, SHA256};
use tidegate_engine::sync::{Unread, address};
use tokio::time::{Instant, timeout_at};

use self::access::{Access, Credentials};
use self::cache::{Cache, Room};

/// Packs that a store may gather before it is thrown away and fetched anew. Each commit brings one; with
/// many, every look-up has to search all of them.
const PACKS_MAX: usize = 48;
/// What is waited beyond the limit for a fetch that ends itself at the limit.
const END_WITHIN: Duration = Duration::from_secs(10);

/// What one look at a repository may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The longest fetch.
    pub(crate) within: Duration,
    /// The most that one fetch may bring.
    pub(crate) fetched_bytes: u64,
    /// The most that all stores may take of the disk.
    pub(crate) stored_bytes: u64,
    /// The most that the files read may hold together.
    pub(crate) read_bytes: usize,
    /// The most entries that are looked at below the path.
    pub(crate) entries: usize,
}

impl Default for Limits {
    /// A minute, as upstream gives its repository server; a gigabyte on the wire; four of five parts of a volume of two
    /// gigabytes; and a little more than the 10 MiB of manifests that the render allows, so that the render is what
    /// says so.
    fn default() -> Self {
        Self {
            within: Duration::from_secs(60),
            fetched_bytes: 1 << 30,
            stored_bytes: (2 << 30) / 5 * 4,
            read_bytes: 12 << 20,
            entries: 100_000,
        }
    }
}

/// Why a repository could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GitError {
    /// The server wants other credentials.
    #[error("repository {repository} refuses the credentials: {why}")]
    Denied { repository: String, why: String },
    /// The server cannot be reached, or stopped talking.
    #[error("repository {repository} cannot be read: {why}")]
    Unreachable { repository: String, why: String },
    /// The server is another one than it claims to be, as far as anybody knows.
    #[error("repository {repository} cannot be read: {why}")]
    Untrusted { repository: String, why: String },
    /// There is no such revision.
    #[error("unable to resolve '{revision}' to a commit SHA: repository {repository} {why}")]
    NoRevision { repository: String, revision: String, why: String },
    /// The commit does not hold what is asked for.
    #[error("repository {repository} at {commit}: {why}")]
    Unfit { repository: String, commit: String, why: String },
    /// The repository is of a kind, or has credentials of a kind, that is not implemented.
    #[error("repository {repository} cannot be used: {why}")]
    Unsupported { repository: String, why: String },
    /// The local store is broken.
    #[error("the local store of repository {repository} is broken: {why}")]
    Store { repository: String, why: String },
}

impl GitError {
    /// The same for who decides: whether it is worth to ask again later.
    pub(crate) fn unread(&self) -> Unread {
        match self {
            Self::Denied { .. }
            | Self::Untrusted { .. }
            | Self::NoRevision { .. }
            | Self::Unfit { .. }
            | Self::Unsupported { .. } => Unread::Refused(self.to_string()),
            Self::Unreachable { .. } | Self::Store { .. } => Unread::Unanswered(self.to_string()),
        }
    }
}

/// What to read.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    /// A branch, tag or commit; empty means `HEAD`.
    pub(crate) revision: String,
    /// The directory.
    pub(crate) path: String,
    /// Whether files of sub-directories may be needed.
    pub(crate) recurse: bool,
}

/// Files by their path below the directory that was asked for.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// A commit, and its files or why there are none.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// The commit.
    pub(crate) commit: String,
    /// The files that were needed.
    pub(crate) files: Result<Files, GitError>,
}

/// The stores.
#[derive(Debug)]
pub(crate) struct Git {
    cache: Arc<Cache>,
    allow_files: bool,
    limits: Limits,
}

impl Git {
    /// Keeps stores below a directory, which is created when it is needed.
    pub(crate) fn new(cache: PathBuf, allow_files: bool, limits: Limits) -> Self {
        Self { cache: Arc::new(Cache::new(cache)), allow_files, limits }
    }

    /// Resolves a revision and reads the files that `is_needed` says are needed.
    ///
    /// # Errors
    /// The revision could not be resolved. That the commit lacks the path is said in the answer.
    pub(crate) async fn read(
        &self,
        access: Access,
        question: Question,
        is_needed: impl Fn(&str) -> bool + Send + 'static,
    ) -> Result<Snapshot, GitError> {
        let repository = access.shown();
        self.check_scheme(&access)?;
        let until = Instant::now() + self.limits.within + END_WITHIN;
        let late = || GitError::Unreachable {
            repository: repository.clone(),
            why: format!("no answer within {} s", self.limits.within.as_secs()),
        };
        let (room, lock) = self.cache.room(&store_name(&access), self.limits.stored_bytes);
        let held = timeout_at(until, lock.lock_owned()).await.map_err(|_| late())?;
        let limits = self.limits;
        let work = tokio::task::spawn_blocking(move || {
            // The lock goes when the work ends, also when nobody waits for it any more.
            let _held = held;
            let answer = read(&room, &access, &question, limits, &is_needed);
            // A fetch may end before it is seen how much it brought.
            if let Err(why) = room.make() {
                tracing::warn!(repository = access.shown(), why, "the cache is full");
            }
            answer
        });
        match timeout_at(until, work).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(panicked)) => {
                Err(GitError::Store { repository: repository.clone(), why: panicked.to_string() })
            }
            Err(_) => Err(late()),
        }
    }

    fn check_scheme(&self, access: &Access) -> Result<(), GitError> {
        let refuse =
            |why: &str| Err(GitError::Unsupported { repository: access.shown(), why: why.to_owned() });
        match access.url.split_once("://").map(|(scheme, _)| scheme) {
            Some("http" | "https") => Ok(()),
            Some("file") if self.allow_files => Ok(()),
            Some("file") => refuse("repositories on the controller's own disk are switched off"),
            Some(_) | None => match address::ssh(&access.url) {
                Some(Ok(_)) => Ok(()),
                Some(Err(why)) => refuse(&format!("its address is refused: {why}")),
                None => refuse("its address must be one of https, http or ssh"),
            },
        }
    }
}

/// A readable directory name for a store. Repositories with different credentials have different stores, so
/// that nobody reads by commit what somebody else was allowed to fetch. The digest shows none of them.
fn store_name(access: &Access) -> String {
    let mut parts = vec![access.url.as_str(), access.source.as_str()];
    parts.extend(match &access.credentials {
        Credentials::None => vec![],
        Credentials::Basic { username, password } => vec!["basic", username, password],
        Credentials::Bearer { token } => vec!["bearer", token],
        Credentials::Key { key } => vec!["key", key],
    });
    let mut told = Context::new(&SHA256);
    for part in parts {
        // With their lengths, so that no part can pass for the end of another.
        told.update(&part.len().to_be_bytes());
        told.update(part.as_bytes());
    }
    let digest: String = told.finish().as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let readable: String =
        access.url.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(80).collect();
    format!("{readable}-{digest}")
}

/// Reads once, and once more with a fresh store if the store was at fault.
fn read(
    room: &Room,
    access: &Access,
    question: &Question,
    limits: Limits,
    is_needed: &dyn Fn(&str) -> bool,
) -> Result<Snapshot, GitError> {
    match read_once(room, access, question, limits, is_needed) {
        Err(GitError::Store { why, .. }) => {
            tracing::warn!(repository = access.shown(), why, "the local store is broken and fetched anew");
            remove(room.store(), access)?;
            // What a fresh store does not mend is not the store's fault.
            read_once(room, access, question, limits, is_needed).map_err(|error| match error {
                GitError::Store { repository, why } => GitError::Unreachable { repository, why },
                error @ (GitError::Denied { .. }
                | GitError::Untrusted { .. }
                | GitError::Unreachable { .. }
                | GitError::NoRevision { .. }
                | GitError::Unfit { .. }
                | GitError::Unsupported { .. }) => error,
            })
        }
        answer => answer,
    }
}

fn read_once(
    room: &Room,
    access: &Access,
    question: &Question,
    limits: Limits,
    is_needed: &dyn Fn(&str) -> bool,
) -> Result<Snapshot, GitError> {
    if packs(room.store()) > PACKS_MAX {
        remove(room.store(), access)?;
    }
    let repository = fetch::open(room.store(), access)?;
    let commit = fetch::commit(&repository, access, &question.revision, limits, room)?;
    match tree::files(&repository, access, commit, question, limits, is_needed) {
        // A store that lacks objects of its own commit is mended by fetching it anew; anything else is news.
        Err(error @ GitError::Store { .. }) => Err(error),
        files => Ok(Snapshot { commit: commit.to_string(), files }),
    }
}

fn packs(store: &Path) -> usize {
    let entries = std::fs::read_dir(store.join("objects/pack"));
    entries.map_or(0, |entries| {
        entries.flatten().filter(|entry| entry.path().extension().is_some_and(|end| end == "pack")).count()
    })
}

fn remove(store: &Path, access: &Access) -> Result<(), GitError> {
    match std::fs::remove_dir_all(store) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(GitError::Store { repository: access.shown(), why: error.to_string() })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
