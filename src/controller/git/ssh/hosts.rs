//! Which host keys are trusted: the lines of a `known_hosts` file, as OpenSSH reads them.
//!
//! Input: the text, a host, a port and the key that the host shows. Output: whether it is the host's key. Lines that
//! name an authority for certificates, and lines that cannot be read, trust nobody. It must never ask anybody.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::hmac;
use russh::keys::{Algorithm, PublicKey};

use tidegate_engine::sync::address::SSH_PORT;

/// The longest text that is read: what a ConfigMap may hold.
const TEXT_MAX: usize = 1 << 20;
/// What a hashed name begins with.
const HASHED: &str = "|1|";

/// What is known of a key that a host shows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    /// It is the host's.
    Known,
    /// It was the host's, and is given up.
    Revoked,
    /// The host has other keys.
    Other,
    /// Nothing is known of the host.
    Unknown,
}

/// The lines that name keys.
#[derive(Debug)]
pub(super) struct KnownHosts {
    lines: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    revoked: bool,
    hosts: String,
    key: PublicKey,
}

impl KnownHosts {
    pub(super) fn read(text: &str) -> Self {
        let text = text.get(..TEXT_MAX).unwrap_or(text);
        Self { lines: text.lines().filter_map(Line::read).collect() }
    }

    /// Judges the key that a host shows.
    pub(super) fn judge(&self, host: &str, port: u16, key: &PublicKey) -> Verdict {
        let is_it = |line: &&Line| line.key.key_data() == key.key_data();
        if self.of(host, port, true).iter().any(is_it) {
            return Verdict::Revoked;
        }
        let lines = self.of(host, port, false);
        if lines.is_empty() {
            Verdict::Unknown
        } else if lines.iter().any(is_it) {
            Verdict::Known
        } else {
            Verdict::Other
        }
    }

    /// The kinds of keys that the host has, so that it is asked for one of these first.
    pub(super) fn algorithms(&self, host: &str, port: u16) -> Vec<Algorithm> {
        self.of(host, port, false).iter().map(|line| line.key.algorithm()).collect()
    }

    /// The lines of a host. One on another port than ssh's own has lines of its own; without any, those of the host
    /// count, as for OpenSSH.
    fn of(&self, host: &str, port: u16, revoked: bool) -> Vec<&Line> {
        let find = |name: &str| -> Vec<&Line> {
            self.lines.iter().filter(|line| line.revoked == revoked && line.is_for(name)).collect()
        };
        if port == SSH_PORT {
            return find(host);
        }
        let own = find(&format!("[{host}]:{port}"));
        if own.is_empty() || revoked { [own, find(host)].concat() } else { own }
    }
}

impl Line {
    fn read(line: &str) -> Option<Self> {
        let mut fields = line.split_whitespace().peekable();
        let revoked = match fields.peek()? {
            comment if comment.starts_with('#') => return None,
            // An authority's key is no host's key.
            marker if marker.starts_with('@') => {
                fields.next_if_eq(&"@revoked")?;
                true
            }
            _ => false,
        };
        let (hosts, kind, key) = (fields.next()?, fields.next()?, fields.next()?);
        let key = PublicKey::from_openssh(&format!("{kind} {key}")).ok()?;
        // A hashed name is told in base64, whose letters have a case.
        let hosts = if hosts.starts_with(HASHED) { hosts.to_owned() } else { hosts.to_lowercase() };
        Some(Self { revoked, hosts, key })
    }

    fn is_for(&self, name: &str) -> bool {
        if let Some(hashed) = self.hosts.strip_prefix(HASHED) {
            return hashed.split_once('|').is_some_and(|(salt, hash)| is_hash(salt, hash, name));
        }
        let mut found = false;
        for pattern in self.hosts.split(',') {
            match pattern.strip_prefix('!') {
                Some(pattern) if matches(pattern.as_bytes(), name.as_bytes()) => return false,
                Some(_) => {}
                None => found |= matches(pattern.as_bytes(), name.as_bytes()),
            }
        }
        found
    }
}

/// Whether a hashed name is this one: HMAC-SHA1 under the salt, as OpenSSH's `HashKnownHosts` writes it.
fn is_hash(salt: &str, hash: &str, name: &str) -> bool {
    let (Ok(salt), Ok(hash)) = (BASE64.decode(salt), BASE64.decode(hash)) else { return false };
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &salt);
    hmac::verify(&key, name.as_bytes(), &hash).is_ok()
}

/// Patterns with `*` and `?`: the last star is the only one that ever has to be tried again.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut from, mut star) = (0, 0, None);
    while at < name.len() {
        match pattern.get(from) {
            Some(b'*') => {
                star = Some((from, at));
                from += 1;
            }
            Some(c) if *c == b'?' || *c == name[at] => (at, from) = (at + 1, from + 1),
            Some(_) | None => {
                let Some((again, taken)) = star else { return false };
                star = Some((again, taken + 1));
                (from, at) = (again + 1, taken + 1);
            }
        }
    }
    pattern[from..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIERKF8GFdVk8oSxTKmGvUYbw0f4lBVw7d75EahH/uE/G";
    const B: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEFCalutg+v8tlNX5FIHIg64g6hvu0rW/bhxqpNRHXal";

    fn judge(text: &str, host: &str, port: u16) -> Verdict {
        KnownHosts::read(text).judge(host, port, &PublicKey::from_openssh(A).unwrap())
    }

    #[test]
    fn a_key_is_known_by_name_port_and_pattern() {
        use Verdict::{Known, Other, Revoked, Unknown};
        for (lines, host, port, want) in [
            (format!("git.example {A}"), "git.example", 22, Known),
            (format!("# git.example {A}\n\nGit.Example,1.2.3.4 {A} comment"), "git.example", 22, Known),
            (format!("git.example {B}"), "git.example", 22, Other),
            (format!("git.example {B}\ngit.example {A}"), "git.example", 22, Known),
            (format!("git.example.evil {A}"), "git.example", 22, Unknown),
            (format!("git.example {A}"), "git.example.evil", 22, Unknown),
            (format!("[git.example]:2222 {A}"), "git.example", 2222, Known),
            (format!("[git.example]:2222 {A}"), "git.example", 22, Unknown),
            (format!("git.example {A}"), "git.example", 2222, Known),
            (format!("[git.example]:2222 {B}\ngit.example {A}"), "git.example", 2222, Other),
            (format!("*.example,!bad.example {A}"), "git.example", 22, Known),
            (format!("*.example,!bad.example {A}"), "bad.example", 22, Unknown),
            (format!("g?t.*le {A}"), "git.example", 22, Known),
            (format!("@revoked git.example {A}\ngit.example {A}"), "git.example", 22, Revoked),
            (format!("@revoked * {A}\n[git.example]:2222 {A}"), "git.example", 2222, Revoked),
            (format!("@cert-authority * {A}"), "git.example", 22, Unknown),
            (format!("@gibberish git.example {A}"), "git.example", 22, Unknown),
            ("git.example ssh-ed25519 AAAA".to_owned(), "git.example", 22, Unknown),
            (String::new(), "git.example", 22, Unknown),
        ] {
            assert_eq!(judge(&lines, host, port), want, "{lines} for {host}:{port}");
        }
    }

    #[test]
    fn hashed_names_are_recognised() {
        // As `ssh-keygen -H` wrote it for git.example.
        let line = format!("|1|db6v8Oy8fs4rsHgRRwQ9HbpeP2g=|hubfbazvTJSRwBrA/xg+pcyUT9I= {A}");
        assert_eq!(judge(&line, "git.example", 22), Verdict::Known);
        assert_eq!(judge(&line, "other.example", 22), Verdict::Unknown);
        assert_eq!(
            judge(&format!("|1|db6v8Oy8fs4rsHgRRwQ9HbpeP2g= {A}"), "git.example", 22),
            Verdict::Unknown
        );
    }
}
