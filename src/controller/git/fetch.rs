//! Brings a commit into the store: asks the server which commit a revision is, and fetches only that one.
//!
//! Fetches are shallow: the commit and its tree, without history. A server that does not hand out a commit
//! by its name alone is asked for everything once.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use gix::bstr::BString;
use gix::credentials::helper::Action;
use gix::credentials::protocol::Outcome as Identity;
use gix::progress::Discard;
use gix::protocol::handshake::Ref;
use gix::protocol::transport::client::blocking_io::{Transport, http};
use gix::remote::{Direction, fetch::Shallow, ref_map};
use gix::{ObjectId, Repository};

use super::access::{Access, Credentials};
use super::cache::Room;
use super::{GitError, Limits, ssh};

/// How long a connection may take to come about.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// How often the size of what is being fetched is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// The shortest beginning of a commit's name that stands for it.
const SHORTEST_COMMIT: usize = 7;

/// Opens the store, and makes it when it is not there.
pub(super) fn open(store: &Path, access: &Access) -> Result<Repository, GitError> {
    let broken = |error: gix::Error| broken(access, &error);
    // Isolated: no configuration of this machine, no credential helpers, no rewriting of addresses.
    let options = gix::open::Options::isolated().config_overrides([
        "user.name=tidegate",
        "user.email=tidegate@localhost",
        "gc.auto=0",
    ]);
    if store.join("HEAD").exists() {
        return options.open(store).map(Into::into).map_err(broken);
    }
    std::fs::create_dir_all(store).map_err(|error| GitError::Store {
        repository: access.shown(),
        why: format!("{} cannot be made: {error}", store.display()),
    })?;
    let kind = gix::create::Kind::Bare;
    gix::ThreadSafeRepository::init_opts(store, kind, gix::create::Options::default(), options)
        .map(Into::into)
        .map_err(broken)
}

fn broken(access: &Access, error: &gix::Error) -> GitError {
    GitError::Store { repository: access.shown(), why: access.scrubbed(&chain(error)) }
}

/// An error of gix with its causes in one line.
pub(super) fn chain(error: &gix::Error) -> String {
    crate::failure::chain(error).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Finds the commit that a revision is, and sees to it that the store has it.
pub(super) fn commit(
    repository: &Repository,
    access: &Access,
    revision: &str,
    limits: Limits,
    room: &Room,
) -> Result<ObjectId, GitError> {
    let revision = revision.trim();
    let missing = |why: &str| GitError::NoRevision {
        repository: access.shown(),
        revision: revision.to_owned(),
        why: why.to_owned(),
    };
    let whole = is_hex(revision) && revision.len() == 40;
    if let Some(commit) = whole.then(|| stored(repository, revision)).flatten() {
        return Ok(commit);
    }
    if !is_plain(revision) {
        return Err(missing(
            "is not asked, because this is no branch, tag or commit; version constraints are not implemented yet",
        ));
    }
    let server = Server { repository, access, limits, room };
    if whole {
        let spec = format!("{revision}:refs/tidegate/commits/{revision}");
        // Some servers hand out only what a branch or tag points at; then everything is asked for.
        if server.fetch(&[spec], Depth::One).is_ok()
            && let Some(commit) = stored(repository, revision)
        {
            return Ok(commit);
        }
        server.fetch(&everything(), Depth::All)?;
        return stored(repository, revision).ok_or_else(|| missing("has no such commit"));
    }
    if let Some(found) = server.fetch(&specs(revision), Depth::One)?.tip(revision) {
        return peeled(repository, access, found);
    }
    if is_hex(revision) && revision.len() >= SHORTEST_COMMIT {
        server.fetch(&everything(), Depth::All)?;
        return abbreviated(repository, revision).ok_or_else(|| missing("has no such branch, tag or commit"));
    }
    Err(missing("has no such branch or tag"))
}

fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether a text can be the name of a ref: none of the characters that make it a pattern or an expression.
fn is_plain(revision: &str) -> bool {
    let bad = |c: char| c.is_whitespace() || c.is_control() || "*?[\\^~:<>=|,@{}".contains(c);
    !revision.contains(bad) && !revision.contains("..") && !revision.starts_with('-')
}

/// The commit, if the store has it with its tree.
fn stored(repository: &Repository, revision: &str) -> Option<ObjectId> {
    let id = ObjectId::from_hex(revision.as_bytes()).ok()?;
    let commit = repository.find_commit(id).ok()?;
    commit.tree().ok().map(|_| id)
}

fn abbreviated(repository: &Repository, revision: &str) -> Option<ObjectId> {
    let id = repository.rev_parse_single(revision).ok()?;
    repository.find_commit(id).ok().map(|commit| commit.id)
}

/// The commit behind an annotated tag.
fn peeled(repository: &Repository, access: &Access, id: ObjectId) -> Result<ObjectId, GitError> {
    let object = repository.find_object(id).map_err(|error| broken(access, &error))?;
    let commit = object.peel_to_kind(gix::objs::Kind::Commit).map_err(|error| GitError::Unfit {
        repository: access.shown(),
        commit: id.to_string(),
        why: chain(&error),
    })?;
    Ok(commit.id)
}

/// The refs that a revision may be, the first that exists counts: a branch beats a tag, as upstream.
fn names(revision: &str) -> Vec<String> {
    match revision {
        "" | "HEAD" => vec!["HEAD".to_owned()],
        name if name.starts_with("refs/") => vec![name.to_owned()],
        name => vec![format!("refs/heads/{name}"), format!("refs/tags/{name}")],
    }
}

fn specs(revision: &str) -> Vec<String> {
    names(revision).into_iter().map(|name| format!("+{name}:refs/tidegate/{name}")).collect()
}

fn everything() -> Vec<String> {
    vec![
        "+refs/heads/*:refs/tidegate/refs/heads/*".to_owned(),
        "+refs/tags/*:refs/tidegate/refs/tags/*".to_owned(),
    ]
}

#[derive(Clone, Copy)]
enum Depth {
    One,
    All,
}

/// What a server said about its refs.
struct Listing(Vec<Ref>);

impl Listing {
    fn tip(&self, revision: &str) -> Option<ObjectId> {
        names(revision).iter().find_map(|name| {
            self.0.iter().find_map(|listed| {
                let (full, target, _) = listed.unpack();
                (full == name.as_str()).then(|| target.map(ToOwned::to_owned)).flatten()
            })
        })
    }
}

/// One repository on its server.
struct Server<'a> {
    repository: &'a Repository,
    access: &'a Access,
    limits: Limits,
    room: &'a Room,
}

impl Server<'_> {
    /// Lists the refs that the specs are about and fetches what the store lacks.
    fn fetch(&self, specs: &[String], depth: Depth) -> Result<Listing, GitError> {
        let interrupt = Arc::new(AtomicBool::new(false));
        let watch = Watch::start(self.room.clone(), self.limits, Arc::clone(&interrupt));
        let notes = ssh::Notes::default();
        // Over ssh the connection comes first: what keeps it from coming about is told in words of its own.
        let connected =
            self.access.is_ssh().then(|| ssh::connect(self.access, self.limits, &notes)).transpose();
        let listing = connected.map(|wire| self.receive(specs, depth, wire, &interrupt));
        let stopped = watch.end();
        match (listing?, stopped) {
            (Err(_), Some(Stopped::Excess(why))) => Err(self.unreachable(why)),
            // A store of many commits is larger than one of the newest.
            (Err(_), Some(Stopped::Full(why))) => {
                Err(GitError::Store { repository: self.access.shown(), why })
            }
            // The store is not to blame for a connection that ended.
            (Err(error), None) if notes.is_failure() => {
                Err(self.unreachable(format!("{}{}", chain(&error), notes.said())))
            }
            (Err(error), None) => Err(self.failed(&error, &notes.said())),
            (Ok(refs), _) => Ok(Listing(refs)),
        }
    }

    fn receive(
        &self,
        specs: &[String],
        depth: Depth,
        wire: Option<Box<dyn Transport + Send>>,
        interrupt: &AtomicBool,
    ) -> gix::Result<Vec<Ref>> {
        let url = gix::url::parse(gix::bstr::BStr::new(&self.access.url))?;
        let specs = specs.iter().map(|spec| BString::from(spec.as_str()));
        let remote = self
            .repository
            .remote_at_without_url_rewrite(url)?
            .with_fetch_tags(gix::remote::fetch::Tags::None)
            .with_refspecs(specs, Direction::Fetch)?;
        let mut connection = match wire {
            Some(wire) => remote.to_connection_with_transport(wire),
            None => remote.connect(Direction::Fetch)?,
        };
        let over_tls = self.access.url.starts_with("https://");
        connection.set_credentials(authenticate(self.access.credentials.clone(), over_tls));
        if self.access.url.starts_with("http") {
            connection.set_transport_options(Box::new(self.transport()));
        }
        let prepared = connection.prepare_fetch(Discard, ref_map::Options::default())?;
        let refs = prepared.ref_map().remote_refs.clone();
        let wanted = prepared.ref_map().mappings.iter().filter_map(|mapping| mapping.remote.as_id());
        let lacks = wanted.into_iter().any(|id| !self.repository.has_object(id));
        let local = prepared.ref_map().mappings.iter().filter_map(|mapping| mapping.local.as_ref());
        self.give_way(&local.map(ToString::to_string).collect())?;
        if lacks {
            let shallow = match depth {
                Depth::One => Shallow::DepthAtRemote(NonZeroU32::MIN),
                Depth::All => Shallow::undo(),
            };
            prepared.with_shallow(shallow).receive(Discard, interrupt)?;
        } else if matches!(depth, Depth::All) && self.repository.is_shallow()? {
            prepared.with_shallow(Shallow::undo()).receive(Discard, interrupt)?;
        }
        Ok(refs)
    }

    /// Deletes the store's refs that are in the way of these: there was a branch `release`, and now there is
    /// `release/1.0`, which needs a directory of that name.
    fn give_way(&self, names: &BTreeSet<String>) -> gix::Result<()> {
        for reference in self.repository.references()?.prefixed(b"refs/tidegate/")? {
            let reference = reference?;
            let name = reference.name().as_bstr().to_string();
            let below = format!("{name}/");
            let is_directory = names.range(below.clone()..).next().is_some_and(|new| new.starts_with(&below));
            let mut above = name.match_indices('/').map(|(end, _)| &name[..end]);
            if is_directory || above.any(|above| names.contains(above)) {
                reference.delete()?;
            }
        }
        Ok(())
    }

    /// How to talk HTTP: bounded in time, with a bearer token where there is one.
    fn transport(&self) -> http::Options {
        let insecure = self.access.insecure;
        let within = self.limits.within;
        let backend = http::reqwest::Options {
            configure_client: Some(Box::new(move |client| {
                Ok(client
                    .connect_timeout(CONNECT_WITHIN)
                    .timeout(within)
                    .danger_accept_invalid_certs(insecure))
            })),
            configure_request: None,
        };
        let extra_headers = match &self.access.credentials {
            Credentials::Bearer { token } => vec![format!("Authorization: Bearer {token}")],
            // Over TLS the server is asked first, and may redirect. Without it gix sends no credentials by
            // itself; whoever writes http:// with a password has decided that it may be read on the way.
            Credentials::Basic { username, password } if self.access.url.starts_with("http://") => {
                vec![format!("Authorization: Basic {}", BASE64.encode(format!("{username}:{password}")))]
            }
            Credentials::None | Credentials::Basic { .. } | Credentials::Key { .. } => Vec::new(),
        };
        http::Options {
            extra_headers,
            connect_timeout: Some(CONNECT_WITHIN),
            ssl_verify: !insecure,
            backend: Some(Arc::new(Mutex::new(backend))),
            ..http::Options::default()
        }
    }

    fn unreachable(&self, why: String) -> GitError {
        GitError::Unreachable { repository: self.access.shown(), why }
    }

    fn failed(&self, error: &gix::Error, said: &str) -> GitError {
        use gix::error::Class;
        let why = format!("{}{said}", self.access.scrubbed(&chain(error)));
        let repository = self.access.shown();
        match error.dominant_class() {
            Some(Class::Unauthenticated | Class::PermissionDenied) => GitError::Denied { repository, why },
            // What the store's own refs point at is gone, or cannot be read.
            Some(Class::Corruption | Class::NotFound) => GitError::Store { repository, why },
            Some(_) | None => GitError::Unreachable { repository, why },
        }
    }
}

/// Answers a server that asks who is there; once, because asking again means that the answer was wrong.
fn authenticate(
    credentials: Credentials,
    over_tls: bool,
) -> impl FnMut(Action) -> gix::Result<Option<Identity>> {
    move |action| match (action, &credentials) {
        (Action::Get(context), Credentials::Basic { username, password }) if over_tls => {
            let identity = gix::sec::identity::Account {
                username: username.clone(),
                password: password.clone(),
                oauth_refresh_token: None,
            };
            Ok(Some(Identity { identity, next: context.into() }))
        }
        (
            Action::Get(_),
            Credentials::None
            | Credentials::Basic { .. }
            | Credentials::Bearer { .. }
            | Credentials::Key { .. },
        )
        | (Action::Store(_) | Action::Erase(_), _) => Ok(None),
    }
}

/// Why a fetch was stopped.
enum Stopped {
    /// It takes too long or brings too much.
    Excess(String),
    /// There is no room for what it brings.
    Full(String),
}

/// Stops a fetch that takes too long or brings too much.
struct Watch {
    done: Sender<()>,
    thread: std::thread::JoinHandle<Option<Stopped>>,
}

impl Watch {
    fn start(room: Room, limits: Limits, interrupt: Arc<AtomicBool>) -> Self {
        let (done, ended) = channel();
        let packs: PathBuf = room.store().join("objects/pack");
        let (before, begun) = (size(&packs), Instant::now());
        let thread = std::thread::spawn(move || {
            loop {
                match ended.recv_timeout(LOOK_EVERY) {
                    Err(RecvTimeoutError::Timeout) => {}
                    Ok(()) | Err(RecvTimeoutError::Disconnected) => return None,
                }
                let why = if begun.elapsed() > limits.within {
                    Some(Stopped::Excess(format!("the fetch took longer than {} s", limits.within.as_secs())))
                } else if size(&packs).saturating_sub(before) > limits.fetched_bytes {
                    Some(Stopped::Excess(format!(
                        "the fetch brought more than {} bytes",
                        limits.fetched_bytes
                    )))
                } else {
                    room.make().err().map(Stopped::Full)
                };
                if why.is_some() {
                    interrupt.store(true, Ordering::Relaxed);
                    return why;
                }
            }
        });
        Self { done, thread }
    }

    /// Ends the watch; says why it stopped the fetch, if it did.
    fn end(self) -> Option<Stopped> {
        drop(self.done);
        self.thread.join().ok().flatten()
    }
}

fn size(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_and_patterns_are_no_revisions() {
        for plain in ["", "main", "release/1.2", "v1.0.0", "HEAD", "refs/heads/main", "0123abc"] {
            assert!(is_plain(plain), "{plain}");
        }
        for other in [">=1.0", "1.*", "~1.2", "^2", "a..b", "-x", "a b", "main@{1}", "main:path"] {
            assert!(!is_plain(other), "{other}");
        }
    }
}
