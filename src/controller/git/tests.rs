//! Against a real server: `git http-backend` behind a few lines of axum, on loopback.

mod ssh;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, StatusCode, Uri};

use super::access::{Access, Credentials};
use super::{Git, GitError, Limits, Question, Snapshot};

/// A directory that goes with the test.
pub(super) struct Scratch(pub(super) PathBuf);

impl Scratch {
    pub(super) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tidegate-git-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A repository with a work tree beside it.
struct Origin {
    scratch: Scratch,
}

impl Origin {
    fn new(name: &str) -> Self {
        let origin = Self { scratch: Scratch::new(name) };
        origin.git(&["init", "--quiet", "--initial-branch=main", "work"], &origin.scratch.0);
        origin.commit(&[("deploy/a.yaml", "a: 1\n"), ("deploy/sub/b.yaml", "b: 1\n"), ("other.txt", "x")]);
        origin
    }

    fn work(&self) -> PathBuf {
        self.scratch.0.join("work")
    }

    fn git(&self, arguments: &[&str], directory: &Path) -> String {
        let output = Command::new("git")
            .args(arguments)
            .current_dir(directory)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .envs([("GIT_AUTHOR_NAME", "t"), ("GIT_AUTHOR_EMAIL", "t@t")])
            .envs([("GIT_COMMITTER_NAME", "t"), ("GIT_COMMITTER_EMAIL", "t@t")])
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn commit(&self, files: &[(&str, &str)]) -> String {
        for (path, text) in files {
            let path = self.work().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        self.run(&["add", "--all"]);
        self.run(&["commit", "--quiet", "--message=change"]);
        self.run(&["rev-parse", "HEAD"])
    }

    fn run(&self, arguments: &[&str]) -> String {
        self.git(arguments, &self.work())
    }

    /// Serves the repository; `expected` is the Authorization header that it wants.
    async fn serve(&self, expected: Option<&'static str>) -> String {
        let state = Arc::new((self.scratch.0.clone(), expected));
        let app = Router::new().fallback(backend).with_state(state);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        format!("http://{address}/work/.git")
    }
}

type Served = Arc<(PathBuf, Option<&'static str>)>;

/// One request, answered by git's own CGI program.
async fn backend(
    State(state): State<Served>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let header =
        move |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("").to_owned();
    if state.1.is_some_and(|expected| header("authorization") != expected) {
        let refused = Response::builder().status(StatusCode::UNAUTHORIZED);
        return refused.header("www-authenticate", "Basic realm=\"git\"").body(Body::empty()).unwrap();
    }
    let (root, path, query) = (state.0.clone(), uri.path().to_owned(), uri.query().unwrap_or("").to_owned());
    let output = tokio::task::spawn_blocking(move || {
        let mut child = Command::new("git")
            .arg("http-backend")
            .env("GIT_PROJECT_ROOT", root)
            .env("GIT_HTTP_EXPORT_ALL", "1")
            .env("PATH_INFO", path)
            .env("QUERY_STRING", query)
            .env("REQUEST_METHOD", method.as_str())
            .env("CONTENT_TYPE", header("content-type"))
            .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
            .env("GIT_PROTOCOL", header("git-protocol"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(&body).unwrap();
        child.wait_with_output().unwrap().stdout
    })
    .await
    .unwrap();
    let end = output.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let mut response = Response::builder();
    for line in String::from_utf8_lossy(&output[..end]).lines() {
        let (name, value) = line.split_once(": ").unwrap();
        response = match name {
            "Status" => response.status(value[..3].parse::<u16>().unwrap()),
            name => response.header(name, value),
        };
    }
    response.body(Body::from(output[end + 4..].to_vec())).unwrap()
}

impl Git {
    /// Whether the store of a repository holds a commit.
    fn cache_has(&self, access: &Access, commit: &str) -> bool {
        let (room, _lock) = self.cache.room(&super::store_name(access), u64::MAX);
        let store = gix::open(room.store()).unwrap();
        store.has_object(gix::ObjectId::from_hex(commit.as_bytes()).unwrap())
    }
}

/// A reader with a cache of its own.
struct Reader {
    git: Git,
    cache: Scratch,
    access: Access,
}

impl Reader {
    fn new(name: &str, url: String) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let cache = Scratch::new(&format!("{name}-cache"));
        let limits = Limits { within: Duration::from_secs(20), ..Limits::default() };
        let access = Access { url, ..Access::default() };
        Self { git: Git::new(cache.0.clone(), true, limits), cache, access }
    }

    async fn read(&self, revision: &str) -> Result<Snapshot, GitError> {
        self.read_path(revision, "deploy", true).await
    }

    async fn read_path(&self, revision: &str, path: &str, recurse: bool) -> Result<Snapshot, GitError> {
        let question = Question { revision: revision.to_owned(), path: path.to_owned(), recurse };
        self.git.read(self.access.clone(), question, |path| path.ends_with(".yaml")).await
    }

    /// Breaks the one store that there is; gives back its directory.
    fn lose_packs(&self) -> PathBuf {
        let store = std::fs::read_dir(&self.cache.0).unwrap().next().unwrap().unwrap().path();
        for entry in std::fs::read_dir(store.join("objects/pack")).unwrap() {
            std::fs::remove_file(entry.unwrap().path()).unwrap();
        }
        store
    }

    async fn commit(&self, revision: &str) -> String {
        self.read(revision).await.unwrap().commit
    }
}

fn names(snapshot: &Snapshot) -> Vec<&str> {
    snapshot.files.as_ref().unwrap().keys().map(String::as_str).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_name_a_commit() {
    let origin = Origin::new("names");
    let first = origin.run(&["rev-parse", "HEAD"]);
    origin.run(&["tag", "light"]);
    origin.run(&["tag", "--annotate", "v1", "--message=one"]);
    let second = origin.commit(&[("deploy/a.yaml", "a: 2\n")]);
    origin.run(&["branch", "release/1"]);
    // A branch and a tag of one name: the branch counts.
    origin.run(&["tag", "release/1", &first]);
    let reader = Reader::new("names", origin.serve(None).await);
    for (revision, want) in [
        ("main", &second),
        ("", &second),
        ("HEAD", &second),
        ("light", &first),
        ("v1", &first),
        ("refs/tags/v1", &first),
        ("refs/heads/main", &second),
        ("release/1", &second),
        (first.as_str(), &first),
        (second.as_str(), &second),
        (&first[..8], &first),
    ] {
        assert_eq!(reader.commit(revision).await, *want, "{revision}");
    }
    let snapshot = reader.read("v1").await.unwrap();
    assert_eq!(names(&snapshot), ["a.yaml", "sub/b.yaml"]);
    assert_eq!(snapshot.files.unwrap()["a.yaml"], b"a: 1\n");
    let flat = reader.read_path("main", "./deploy/", false).await.unwrap();
    assert_eq!(names(&flat), ["a.yaml"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn new_and_rewritten_commits_are_seen_and_old_ones_need_no_server() {
    let origin = Origin::new("moves");
    let first = origin.run(&["rev-parse", "HEAD"]);
    let reader = Reader::new("moves", origin.serve(None).await);
    assert_eq!(reader.commit("main").await, first);
    let second = origin.commit(&[("deploy/a.yaml", "a: 2\n")]);
    assert_eq!(reader.commit("main").await, second);
    origin.run(&["reset", "--quiet", "--hard", &first]);
    let rewritten = origin.commit(&[("deploy/a.yaml", "a: 3\n")]);
    assert_eq!(reader.commit("main").await, rewritten);
    let snapshot = reader.read("main").await.unwrap();
    assert_eq!(snapshot.files.unwrap()["a.yaml"], b"a: 3\n");
    // The server goes away; what was fetched stays readable by its commit.
    let away = Access { url: reader.access.url.clone(), ..Access::default() };
    std::fs::remove_dir_all(origin.work()).unwrap();
    let reader = Reader { access: away, ..reader };
    assert!(reader.read("main").await.is_err());
    assert_eq!(reader.read(&second).await.unwrap().files.unwrap()["a.yaml"], b"a: 2\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_may_become_the_beginning_of_others_and_back() {
    let origin = Origin::new("beginning");
    origin.run(&["branch", "release"]);
    let url = origin.serve(None).await;
    let reader = Reader::new("beginning", url);
    let first = reader.commit("release").await;
    origin.run(&["branch", "--delete", "--force", "release"]);
    let second = origin.commit(&[("deploy/a.yaml", "a: 2\n")]);
    origin.run(&["branch", "release/1.0"]);
    assert_eq!(reader.commit("release/1.0").await, second);
    // The store is the same: what was fetched before is still there.
    assert!(reader.git.cache_has(&reader.access, &first));
    origin.run(&["branch", "--delete", "--force", "release/1.0"]);
    let third = origin.commit(&[("deploy/a.yaml", "a: 3\n")]);
    origin.run(&["branch", "release"]);
    // By the beginning of its name, for which everything is asked.
    assert_eq!(reader.commit(&third[..8]).await, third);
    assert_eq!(reader.commit("release").await, third);
    assert!(reader.git.cache_has(&reader.access, &first));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_no_branch_has_is_found_by_its_name() {
    let origin = Origin::new("lost");
    let first = origin.run(&["rev-parse", "HEAD"]);
    origin.commit(&[("deploy/a.yaml", "a: 2\n")]);
    let reader = Reader::new("lost", origin.serve(None).await);
    assert_eq!(reader.commit(&first).await, first);
    let nobody = "0123456789012345678901234567890123456789";
    let error = reader.read(nobody).await.unwrap_err();
    assert!(matches!(error, GitError::NoRevision { .. } | GitError::Unreachable { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_sent_and_never_shown() {
    let origin = Origin::new("basic");
    // me:s3cret
    let url = origin.serve(Some("Basic bWU6czNjcmV0")).await;
    let mut reader = Reader::new("basic", url);
    let error = reader.read("main").await.unwrap_err();
    assert!(matches!(error, GitError::Denied { .. }), "{error}");
    let basic = |password: &str| Credentials::Basic { username: "me".into(), password: password.into() };
    reader.access.credentials = basic("wr0ng");
    let error = reader.read("main").await.unwrap_err();
    assert!(matches!(error, GitError::Denied { .. }), "{error}");
    assert!(!error.to_string().contains("wr0ng"), "{error}");
    reader.access.credentials = basic("s3cret");
    let commit = reader.commit("main").await;
    assert_eq!(reader.commit(&commit).await, commit);
    // What was fetched with the right one is for those who have it.
    for other in
        [basic("wr0ng"), basic(""), Credentials::None, Credentials::Bearer { token: "s3cret".into() }]
    {
        reader.access.credentials = other;
        let error = reader.read(&commit).await.unwrap_err();
        assert!(matches!(error, GitError::Denied { .. }), "{error}");
    }
    let named = std::fs::read_dir(&reader.cache.0).unwrap().flatten();
    assert!(!named.map(|store| store.file_name()).any(|name| name.to_string_lossy().contains("s3cret")));
    let url = origin.serve(Some("Bearer t0ken")).await;
    let mut reader = Reader::new("bearer", url);
    reader.access.credentials = Credentials::Bearer { token: "t0ken".into() };
    reader.read("main").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_named() {
    let origin = Origin::new("missing");
    let url = origin.serve(None).await;
    let reader = Reader::new("missing", url.clone());
    for revision in ["nowhere", "v9", ">=1.0", "main..x", "abcdef1"] {
        let error = reader.read(revision).await.unwrap_err();
        assert!(matches!(error, GitError::NoRevision { .. }), "{revision}: {error}");
        assert!(error.to_string().contains(revision), "{error}");
    }
    let snapshot = reader.read_path("main", "nowhere", true).await.unwrap();
    assert!(snapshot.files.unwrap_err().to_string().contains("nowhere: app path does not exist"));
    let snapshot = reader.read_path("main", "other.txt", true).await.unwrap();
    assert!(snapshot.files.unwrap_err().to_string().contains("not a directory"));
    let reader = Reader::new("gone", url.replace("/work", "/nothing"));
    let error = reader.read("main").await.unwrap_err();
    assert!(matches!(error, GitError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("/nothing"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_answer_is_unreachable() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut reader = Reader::new("silent", format!("http://{address}/shop.git"));
    reader.git.limits.within = Duration::from_millis(300);
    let error = reader.read("main").await.unwrap_err();
    assert!(matches!(error, GitError::Unreachable { .. }), "{error}");
    drop(listener);
    reader.git.limits.within = Duration::from_secs(20);
    let error = reader.read("main").await.unwrap_err();
    assert!(matches!(error, GitError::Unreachable { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_be_a_manifest_and_cannot_be_read_is_an_error() {
    let origin = Origin::new("unfit");
    let reader = Reader::new("unfit", origin.serve(None).await);
    std::os::unix::fs::symlink("a.yaml", origin.work().join("deploy/link.yaml")).unwrap();
    origin.commit(&[]);
    let files = reader.read("main").await.unwrap().files;
    assert!(files.unwrap_err().to_string().contains("link.yaml is a symbolic link"));
    std::fs::remove_file(origin.work().join("deploy/link.yaml")).unwrap();
    std::os::unix::fs::symlink("a.yaml", origin.work().join("deploy/link.txt")).unwrap();
    origin.commit(&[("deploy/big.yaml", "version https://git-lfs.github.com/spec/v1\noid x\n")]);
    let files = reader.read("main").await.unwrap().files;
    assert!(files.unwrap_err().to_string().contains("big.yaml is kept by Git LFS"));
    origin.commit(&[("deploy/big.yaml", "a: 1\n")]);
    let mut reader = reader;
    reader.git.limits.read_bytes = 8;
    let files = reader.read("main").await.unwrap().files;
    assert!(files.unwrap_err().to_string().contains("more than 8 bytes"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_store_is_fetched_anew() {
    let origin = Origin::new("broken");
    let first = origin.run(&["rev-parse", "HEAD"]);
    let reader = Reader::new("broken", origin.serve(None).await);
    reader.read("main").await.unwrap();
    let store = reader.lose_packs();
    assert_eq!(reader.commit("main").await, first);
    std::fs::write(store.join("config"), "[core\nbroken").unwrap();
    assert_eq!(reader.commit("main").await, first);
}

#[tokio::test(flavor = "multi_thread")]
async fn stores_make_room_for_others() {
    let noise = |seed: u64| -> String {
        let step = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(seed).rotate_left(17);
        (0_u64..20_000).map(|n| format!("{:x}\n", step(n).wrapping_mul(0xd134_2543_de82_ef95))).collect()
    };
    let (one, other) = (Origin::new("room-one"), Origin::new("room-other"));
    for (origin, seed) in [(&one, 1), (&other, 2)] {
        origin.commit(&[("deploy/noise.txt", &noise(seed))]);
    }
    let mut reader = Reader::new("room", one.serve(None).await);
    reader.git.limits.stored_bytes = 400_000;
    let stores = || std::fs::read_dir(&reader.cache.0).unwrap().count();
    reader.read("main").await.unwrap();
    assert_eq!(stores(), 1);
    let elsewhere = Access { url: other.serve(None).await, ..Access::default() };
    let question = Question { revision: "main".into(), path: "deploy".into(), recurse: true };
    reader.git.read(elsewhere, question, |_| false).await.unwrap();
    assert_eq!(stores(), 1, "the older one has gone");
    reader.read("main").await.unwrap();
    assert_eq!(stores(), 1);
}

#[tokio::test]
async fn only_some_addresses_are_used() {
    let scratch = Scratch::new("schemes");
    let git = Git::new(scratch.0.clone(), false, Limits::default());
    for url in [
        "file:///etc",
        "ssh://-oProxyCommand=x/a",
        "git@git.example:-a",
        "git@git.example:a b",
        "ftp://git.example/a",
        "/etc",
    ] {
        let question = Question { revision: "main".into(), path: ".".into(), recurse: false };
        let access = Access { url: url.into(), ..Access::default() };
        let error = git.read(access, question, |_| true).await.unwrap_err();
        assert!(matches!(error, GitError::Unsupported { .. }), "{url}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_on_disk_is_read_where_that_is_allowed() {
    let origin = Origin::new("disk");
    let reader = Reader::new("disk", format!("file://{}", origin.work().display()));
    assert_eq!(reader.commit("main").await, origin.run(&["rev-parse", "HEAD"]));
}
