//! Git for the tests: a server that hands requests to Git's own HTTP backend,
//! and repositories to commit to.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::command::{command, output};

const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

struct Server {
    root: PathBuf,
    /// The `Authorization` header that is demanded for what is below `private/`.
    authorization: Option<String>,
}

/// Serves every bare repository below `root` until the process ends.
pub(crate) async fn serve(root: PathBuf, listen: SocketAddr, credentials: Option<String>) -> Result<()> {
    let authorization = credentials.map(|pair| format!("Basic {}", BASE64.encode(pair)));
    let server = Arc::new(Server { root, authorization });
    let router =
        Router::new().fallback(answer).layer(DefaultBodyLimit::max(BODY_BYTES_MAX)).with_state(server);
    let listener =
        tokio::net::TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    axum::serve(listener, router).await.context("the Git server ended")
}

async fn answer(
    State(server): State<Arc<Server>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let text = |name: header::HeaderName| {
        headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    };
    let is_private = uri.path().starts_with("/private/");
    if is_private
        && server.authorization.as_deref().is_some_and(|wanted| text(header::AUTHORIZATION) != wanted)
    {
        return refusal(StatusCode::UNAUTHORIZED, "credentials wanted");
    }
    let mut backend = Command::new("git");
    backend
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", &server.root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REMOTE_USER", "harness")
        .env("REQUEST_METHOD", method.as_str())
        .env("PATH_INFO", uri.path())
        .env("QUERY_STRING", uri.query().unwrap_or_default())
        .env("CONTENT_TYPE", text(header::CONTENT_TYPE))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", text(header::CONTENT_ENCODING))
        .env("GIT_PROTOCOL", text(header::HeaderName::from_static("git-protocol")))
        // The repositories may belong to another user than this server's.
        .env("GIT_CONFIG_COUNT", "2")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*")
        .env("GIT_CONFIG_KEY_1", "http.receivepack")
        .env("GIT_CONFIG_VALUE_1", "true")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .kill_on_drop(true);
    match talk(&mut backend, &body).await {
        Ok(said) => response(&said).unwrap_or_else(|| refusal(StatusCode::BAD_GATEWAY, "unreadable answer")),
        Err(error) => refusal(StatusCode::BAD_GATEWAY, &format!("{error:#}")),
    }
}

async fn talk(backend: &mut Command, body: &[u8]) -> Result<Vec<u8>> {
    let mut child = backend.spawn().context("cannot start git http-backend")?;
    let mut input = child.stdin.take().context("no standard input")?;
    let write = async {
        // The backend may answer before it has read everything.
        let _early = input.write_all(body).await;
        drop(input);
    };
    let ((), done) = tokio::join!(write, child.wait_with_output());
    Ok(done?.stdout)
}

/// Turns a CGI program's output into a response.
fn response(said: &[u8]) -> Option<Response> {
    let end = said.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    let (head, body) = (std::str::from_utf8(&said[..end]).ok()?, said[end + 4..].to_vec());
    let mut response = Response::builder();
    for line in head.lines() {
        let (name, value) = line.split_once(':')?;
        let value = value.trim();
        response = if name.eq_ignore_ascii_case("status") {
            response.status(value.split(' ').next()?.parse::<u16>().ok()?)
        } else {
            response.header(name, value)
        };
    }
    response.body(Body::from(body)).ok()
}

fn refusal(status: StatusCode, why: &str) -> Response {
    let mut response = Response::new(Body::from(format!("{why}\n")));
    *response.status_mut() = status;
    if status == StatusCode::UNAUTHORIZED {
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Basic realm=\"git\""));
    }
    response
}

/// A working copy whose commits go to one repository on the server.
pub(crate) struct Repository {
    work: PathBuf,
}

impl Repository {
    /// Makes an empty repository `NAME.git` below the server's root, its default branch `main`.
    pub(crate) fn create(root: &Path, name: &str) -> Result<Self> {
        let bare = root.join(format!("{name}.git"));
        let work = root.join("work").join(name);
        if bare.exists() {
            bail!("the repository {} exists", bare.display());
        }
        std::fs::create_dir_all(&work).with_context(|| format!("cannot create {}", work.display()))?;
        let path = |path: &Path| path.display().to_string();
        output(&mut command("git", &["init", "--quiet", "--bare", "--initial-branch=main", &path(&bare)]))?;
        let repository = Self { work };
        repository.git(&["init", "--quiet", "--initial-branch=main"])?;
        repository.git(&["remote", "add", "origin", &path(&bare)])?;
        Ok(repository)
    }

    /// Writes files, commits and pushes them; returns the commit's id. A file
    /// with no text is removed.
    pub(crate) fn commit(&self, message: &str, files: &[(&str, Option<&str>)]) -> Result<String> {
        for (name, text) in files {
            let path = self.work.join(name);
            match text {
                Some(text) => {
                    if let Some(dir) = path.parent() {
                        std::fs::create_dir_all(dir)?;
                    }
                    std::fs::write(&path, text)
                        .with_context(|| format!("cannot write {}", path.display()))?;
                }
                None => std::fs::remove_file(&path)
                    .with_context(|| format!("cannot remove {}", path.display()))?,
            }
        }
        self.git(&["add", "--all"])?;
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message])?;
        self.git(&["push", "--quiet", "origin", "HEAD"])?;
        Ok(self.git(&["rev-parse", "HEAD"])?.trim().to_owned())
    }

    /// The working copy.
    pub(crate) fn path(&self) -> &Path {
        &self.work
    }

    /// Runs Git in the working copy: tags, branches, whatever a test wants.
    pub(crate) fn git(&self, args: &[&str]) -> Result<String> {
        let mut git = command("git", args);
        git.current_dir(&self.work)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .envs([("GIT_AUTHOR_NAME", "Ada"), ("GIT_AUTHOR_EMAIL", "ada@example.com")])
            .envs([("GIT_COMMITTER_NAME", "Ada"), ("GIT_COMMITTER_EMAIL", "ada@example.com")]);
        output(&mut git)
    }
}
