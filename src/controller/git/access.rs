//! Which address and which credentials to read a repository with, from upstream's labelled Secrets.
//!
//! `argocd.argoproj.io/secret-type: repository` is for one repository, `repo-creds` for all whose address
//! begins with its `url`; the longest such beginning counts. It must never show a credential in an error.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::api::core::v1::Secret;
use tidegate_engine::sync::address;

use super::GitError;

/// The label that tells what a Secret is for.
pub(crate) const SECRET_TYPE: &str = "argocd.argoproj.io/secret-type";

/// Keys of credentials that are not implemented, and what they are.
const UNSUPPORTED: [(&str, &str); 6] = [
    ("sshPrivateKey", "ssh"),
    ("githubAppPrivateKey", "a GitHub App"),
    ("gcpServiceAccountKey", "a Google service account"),
    ("useAzureWorkloadIdentity", "Azure workload identity"),
    ("tlsClientCertData", "a client certificate"),
    ("proxy", "a proxy of its own"),
];

/// An address and credentials.
#[derive(Clone, Default)]
pub(crate) struct Access {
    /// The address, without credentials.
    pub(crate) url: String,
    /// What to prove who asks with.
    pub(crate) credentials: Credentials,
    /// Whether the server's certificate is taken on trust.
    pub(crate) insecure: bool,
    /// Where the credentials come from; part of what stores are told apart by.
    pub(crate) source: String,
}

/// What to prove who asks with.
#[derive(Clone, Default, Eq, PartialEq)]
pub(crate) enum Credentials {
    /// Nothing.
    #[default]
    None,
    /// A user and a password or token.
    Basic { username: String, password: String },
    /// A token of its own sort.
    Bearer { token: String },
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("url", &self.url).field("source", &self.source).finish_non_exhaustive()
    }
}

impl Access {
    /// The address for messages.
    pub(crate) fn shown(&self) -> String {
        address::redacted(&self.url)
    }

    /// A text from outside without any credential in it.
    pub(crate) fn scrubbed(&self, text: &str) -> String {
        let secret = match &self.credentials {
            Credentials::None => return text.to_owned(),
            Credentials::Basic { password, .. } => password,
            Credentials::Bearer { token } => token,
        };
        if secret.is_empty() { text.to_owned() } else { text.replace(secret.as_str(), "***") }
    }

    /// Chooses what to read a repository with, for an Application of a project.
    ///
    /// # Errors
    /// The credentials that fit are of a kind that is not implemented.
    pub(crate) fn choose(url: &str, project: &str, secrets: &[Secret]) -> Result<Self, GitError> {
        let secrets: Vec<Entry> = secrets.iter().filter_map(Entry::read).collect();
        let wanted = address::normal(url);
        let repository = best_repository(&secrets, &wanted, project);
        let template = best_template(&secrets, &wanted, project);
        // A repository without credentials of its own takes those of a template.
        let chosen = repository.filter(|entry| entry.has_credentials()).or(template).or(repository);
        let (url, own) = split_credentials(url);
        let insecure =
            [repository, chosen].into_iter().flatten().any(|entry| entry.get("insecure") == "true");
        match chosen {
            Some(entry) if entry.has_credentials() => {
                entry.check(&url)?;
                let source = format!("{}/{}", entry.kind, entry.name);
                Ok(Self { credentials: entry.credentials(), url, insecure, source })
            }
            Some(_) | None => {
                let source = if own == Credentials::None { "anonymous" } else { "address" };
                Ok(Self { url, credentials: own, insecure, source: source.to_owned() })
            }
        }
    }
}

/// One Secret, decoded.
struct Entry {
    kind: String,
    name: String,
    url: String,
    data: BTreeMap<String, String>,
}

impl Entry {
    fn read(secret: &Secret) -> Option<Self> {
        let kind = secret.metadata.labels.as_ref()?.get(SECRET_TYPE)?.clone();
        if kind != "repository" && kind != "repo-creds" {
            return None;
        }
        let data: BTreeMap<String, String> = secret
            .data
            .iter()
            .flatten()
            .filter_map(|(name, value)| Some((name.clone(), String::from_utf8(value.0.clone()).ok()?)))
            .collect();
        let is_git = data.get("type").is_none_or(|kind| kind.trim().is_empty() || kind.trim() == "git");
        let url = data.get("url")?.trim().to_owned();
        let name = secret.metadata.name.clone().unwrap_or_default();
        (is_git && !url.is_empty()).then_some(Self { kind, name, url, data })
    }

    fn get(&self, key: &str) -> &str {
        self.data.get(key).map(|value| value.trim()).unwrap_or_default()
    }

    /// Whether Applications of this project may use it.
    fn serves(&self, project: &str) -> bool {
        self.get("project").is_empty() || self.get("project") == project
    }

    fn has_credentials(&self) -> bool {
        let keys = ["username", "password", "bearerToken"];
        keys.iter().any(|key| !self.get(key).is_empty())
            || UNSUPPORTED.iter().any(|(key, _)| !self.get(key).is_empty())
    }

    fn credentials(&self) -> Credentials {
        let text = |key: &str| self.get(key).to_owned();
        if !self.get("bearerToken").is_empty() {
            return Credentials::Bearer { token: text("bearerToken") };
        }
        // A token alone is a password; servers that take tokens do not look at the user.
        let username = if self.get("username").is_empty() { "git".to_owned() } else { text("username") };
        Credentials::Basic { username, password: text("password") }
    }

    fn check(&self, url: &str) -> Result<(), GitError> {
        let found = UNSUPPORTED.iter().find(|(key, _)| !matches!(self.get(key), "" | "false"));
        match found {
            Some((key, what)) => Err(GitError::Unsupported {
                repository: address::redacted(url),
                why: format!("Secret {} has {key}: {what} is not implemented yet", self.name),
            }),
            None => Ok(()),
        }
    }
}

/// The Secret for exactly this repository; one of the project beats one for everybody.
fn best_repository<'a>(secrets: &'a [Entry], wanted: &str, project: &str) -> Option<&'a Entry> {
    let fits = |entry: &&Entry| {
        entry.kind == "repository" && entry.serves(project) && address::normal(&entry.url) == wanted
    };
    secrets.iter().filter(fits).max_by_key(|entry| !entry.get("project").is_empty())
}

/// The template with the longest address that this one begins with.
fn best_template<'a>(secrets: &'a [Entry], wanted: &str, project: &str) -> Option<&'a Entry> {
    let fits = |entry: &&Entry| {
        entry.kind == "repo-creds" && entry.serves(project) && begins(wanted, &address::normal(&entry.url))
    };
    secrets.iter().filter(fits).max_by_key(|entry| address::normal(&entry.url).len())
}

/// Whether an address begins with another one. A beginning without a path must be the whole host, or
/// `https://git.example` would give its password to `https://git.example.evil`.
fn begins(wanted: &str, beginning: &str) -> bool {
    let Some(rest) = wanted.strip_prefix(beginning) else { return false };
    let has_path = beginning.split_once("://").map_or(beginning, |(_, rest)| rest).contains('/');
    rest.is_empty() || rest.starts_with('/') || has_path
}

/// Takes `user:password@` out of an address.
fn split_credentials(url: &str) -> (String, Credentials) {
    let clean = address::redacted(url.trim());
    let given = url.trim().split_once("://").and_then(|(_, rest)| {
        let host = rest.split('/').next().unwrap_or_default();
        host.rsplit_once('@').map(|(given, _)| given)
    });
    let Some(given) = given.filter(|_| clean != url.trim()) else { return (clean, Credentials::None) };
    let (username, password) = given.split_once(':').unwrap_or((given, ""));
    (clean, Credentials::Basic { username: decoded(username), password: decoded(password) })
}

/// Resolves `%xx`.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        let hex = more.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.filter(|_| *first == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &more[2..];
            }
            None => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(name: &str, kind: &str, data: &[(&str, &str)]) -> Secret {
        let data: BTreeMap<&str, &str> = data.iter().copied().collect();
        let mut secret: Secret = serde_json::from_value(serde_json::json!({
            "metadata": { "name": name, "labels": { SECRET_TYPE: kind } },
        }))
        .unwrap();
        let bytes = |text: &str| k8s_openapi::ByteString(text.as_bytes().to_vec());
        secret.data = Some(data.into_iter().map(|(name, value)| (name.to_owned(), bytes(value))).collect());
        secret
    }

    fn chosen(url: &str, project: &str, secrets: &[Secret]) -> String {
        match Access::choose(url, project, secrets).unwrap().credentials {
            Credentials::None => "none".to_owned(),
            Credentials::Basic { username, password } => format!("{username}:{password}"),
            Credentials::Bearer { token } => format!("bearer {token}"),
        }
    }

    #[test]
    fn the_exact_repository_beats_the_longest_template() {
        let secrets = [
            secret(
                "a",
                "repo-creds",
                &[("url", "https://git.example"), ("username", "all"), ("password", "1")],
            ),
            secret(
                "b",
                "repo-creds",
                &[("url", "https://git.example/team"), ("username", "team"), ("password", "2")],
            ),
            secret("c", "repository", &[("url", "https://git.example/team/shop.git"), ("bearerToken", "3")]),
            secret("d", "repository", &[("url", "https://git.example/team/bare")]),
            secret("e", "cluster", &[("url", "https://git.example/team/bare"), ("password", "4")]),
            secret(
                "f",
                "repository",
                &[("url", "https://git.example/team/chart"), ("type", "helm"), ("password", "5")],
            ),
        ];
        for (url, want) in [
            ("https://git.example/team/shop", "bearer 3"),
            ("https://git.example/team/bare", "team:2"),
            ("https://git.example/team/chart", "team:2"),
            ("https://git.example/other/x", "all:1"),
            ("https://git.example.evil/team/shop", "none"),
            ("https://elsewhere/x", "none"),
        ] {
            assert_eq!(chosen(url, "default", &secrets), want, "{url}");
        }
    }

    #[test]
    fn a_projects_repository_is_for_that_project() {
        let url = "https://git.example/shop";
        let secrets = [secret("a", "repository", &[("url", url), ("project", "team"), ("password", "t")])];
        assert_eq!(chosen(url, "team", &secrets), "git:t");
        assert_eq!(chosen(url, "other", &secrets), "none");
    }

    #[test]
    fn an_address_may_hold_credentials_and_messages_never() {
        let access = Access::choose("https://me:p%40ss@git.example/shop", "default", &[]).unwrap();
        assert_eq!(access.url, "https://git.example/shop");
        let Credentials::Basic { username, password } = &access.credentials else { panic!() };
        assert_eq!((username.as_str(), password.as_str()), ("me", "p@ss"));
        assert_eq!(access.scrubbed("got p@ss from git"), "got *** from git");
        assert!(!format!("{access:?}").contains("p@ss"));
    }

    #[test]
    fn credentials_that_are_not_implemented_are_named() {
        let secrets =
            [secret("key", "repository", &[("url", "https://git.example/a"), ("sshPrivateKey", "x")])];
        let error = Access::choose("https://git.example/a", "default", &secrets).unwrap_err().to_string();
        assert!(error.contains("Secret key has sshPrivateKey: ssh is not implemented"), "{error}");
    }
}
