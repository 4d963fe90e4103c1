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
const UNSUPPORTED: [(&str, &str); 5] = [
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
    /// Whether the server's certificate or host key is taken on trust.
    pub(crate) insecure: bool,
    /// Which host keys are trusted, as `known_hosts` tells them; for ssh only.
    pub(crate) known_hosts: String,
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
    /// A private key, for ssh.
    Key { key: String },
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

    /// The name of the Secret that the credentials come from.
    pub(crate) fn secret(&self) -> &str {
        self.source.split_once('/').map_or(self.source.as_str(), |(_, name)| name)
    }

    /// Whether it is read over ssh.
    pub(crate) fn is_ssh(&self) -> bool {
        address::ssh(&self.url).is_some()
    }

    /// A text from outside without any credential in it.
    pub(crate) fn scrubbed(&self, text: &str) -> String {
        let secret = match &self.credentials {
            // Nothing outside ever gets to see a private key.
            Credentials::None | Credentials::Key { .. } => return text.to_owned(),
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
        let is_ssh = address::ssh(&url).is_some();
        let trusting = if is_ssh {
            &["insecure", "insecureIgnoreHostKey"][..]
        } else {
            &["insecure", "insecureIgnoreHostKey"][..1]
        };
        let insecure = [repository, chosen]
            .into_iter()
            .flatten()
            .any(|entry| trusting.iter().any(|key| entry.get(key) == "true"));
        let (credentials, source) = match chosen {
            Some(entry) if entry.has_credentials() => {
                entry.check(&url, is_ssh)?;
                (entry.credentials(is_ssh), format!("{}/{}", entry.kind, entry.name))
            }
            Some(_) | None if own == Credentials::None => (own, "anonymous".to_owned()),
            Some(_) | None => (own, "address".to_owned()),
        };
        Ok(Self { url, credentials, insecure, known_hosts: String::new(), source })
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
        let keys = ["username", "password", "bearerToken", "sshPrivateKey"];
        keys.iter().any(|key| !self.get(key).is_empty())
            || UNSUPPORTED.iter().any(|(key, _)| !self.get(key).is_empty())
    }

    fn credentials(&self, is_ssh: bool) -> Credentials {
        let text = |key: &str| self.get(key).to_owned();
        if is_ssh {
            return Credentials::Key { key: text("sshPrivateKey") };
        }
        if !self.get("bearerToken").is_empty() {
            return Credentials::Bearer { token: text("bearerToken") };
        }
        // A token alone is a password; servers that take tokens do not look at the user.
        let username = if self.get("username").is_empty() { "git".to_owned() } else { text("username") };
        Credentials::Basic { username, password: text("password") }
    }

    fn check(&self, url: &str, is_ssh: bool) -> Result<(), GitError> {
        let refuse = |why: String| {
            Err(GitError::Unsupported {
                repository: address::redacted(url),
                why: format!("Secret {} has {why}", self.name),
            })
        };
        let found = UNSUPPORTED.iter().find(|(key, _)| !matches!(self.get(key), "" | "false"));
        if let Some((key, what)) = found {
            return refuse(format!("{key}: {what} is not implemented yet"));
        }
        let has_key = !self.get("sshPrivateKey").is_empty();
        let has_token = ["password", "bearerToken"].iter().any(|key| !self.get(key).is_empty());
        match (is_ssh, has_key, has_token) {
            (true, false, _) => refuse("no sshPrivateKey, which is how ssh proves who asks".to_owned()),
            (false, true, false) => refuse(
                "sshPrivateKey, which http does not take: give a password, or an address of ssh".to_owned(),
            ),
            (true, true, _) | (false, _, true) | (false, false, false) => Ok(()),
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

/// Takes `user:password@` out of an address; the user of an ssh address is a part of it.
fn split_credentials(url: &str) -> (String, Credentials) {
    if address::ssh(url).is_some() {
        return (url.trim().to_owned(), Credentials::None);
    }
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
            Credentials::Key { key } => format!("key {key}"),
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
    fn ssh_takes_keys_in_every_form_of_an_address() {
        let secrets = [
            secret("a", "repo-creds", &[("url", "git@git.example:team"), ("sshPrivateKey", "1")]),
            secret(
                "b",
                "repository",
                &[("url", "ssh://git@git.example/team/shop.git"), ("sshPrivateKey", "2")],
            ),
            secret(
                "c",
                "repository",
                &[("url", "git@git.example:team/bare"), ("insecureIgnoreHostKey", "true")],
            ),
        ];
        for (url, want) in [
            ("git@git.example:team/shop", "key 2"),
            ("ssh://git@git.example/team/other.git", "key 1"),
            ("git@git.example:team/bare.git", "key 1"),
            ("git@git.example.evil:team/shop", "none"),
            ("ssh://git@git.example:2222/team/shop", "none"),
            ("https://git.example/team/shop", "none"),
        ] {
            assert_eq!(chosen(url, "default", &secrets), want, "{url}");
        }
        let bare = Access::choose("git@git.example:team/bare", "default", &secrets).unwrap();
        assert!(bare.insecure && bare.is_ssh());
        assert_eq!((bare.url.as_str(), bare.secret()), ("git@git.example:team/bare", "a"));
        assert!(!Access::choose("git@git.example:team/shop", "default", &secrets).unwrap().insecure);
    }

    #[test]
    fn credentials_that_are_not_implemented_or_do_not_fit_are_named() {
        for (url, key, want) in [
            (
                "https://git.example/a",
                "githubAppPrivateKey",
                "githubAppPrivateKey: a GitHub App is not implemented",
            ),
            ("https://git.example/a", "sshPrivateKey", "sshPrivateKey, which http does not take"),
            ("ssh://git@git.example/a", "password", "no sshPrivateKey"),
        ] {
            let secrets = [secret("mine", "repository", &[("url", url), (key, "x")])];
            let error = Access::choose(url, "default", &secrets).unwrap_err().to_string();
            assert!(error.contains(&format!("Secret mine has {want}")), "{error}");
        }
    }
}
