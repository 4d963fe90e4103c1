//! Git over ssh: a connection on which `git-upload-pack` talks, for gix to fetch with.
//!
//! Input: an address, a private key and the host keys that are trusted. Output: something to read from and to write
//! to. No program is started and no key touches a disk; every wait ends with the fetch's own time. It must never talk
//! to a host whose key it does not know, unless the repository's Secret says so.

mod hosts;

use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gix::bstr::BString;
use gix::protocol::transport::Protocol;
use gix::protocol::transport::client::blocking_io::Transport;
use gix::protocol::transport::client::git::{ConnectMode, blocking_io::Connection};
use russh::client::{self, Config, Handle, Handler, Msg};
use russh::keys::{self, Algorithm, HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Preferred};
use tidegate_engine::sync::address::{self, Ssh};
use tokio::net::TcpStream;
use tokio::runtime;
use tokio::time::{Instant, timeout_at};

use self::hosts::{KnownHosts, Verdict};
use super::access::{Access, Credentials};
use super::{GitError, Limits};
use crate::bounded::Bounded;

/// Where trusted host keys are: the ConfigMap and its key are Argo CD's.
pub(crate) const KNOWN_HOSTS_MAP: &str = "argocd-ssh-known-hosts-cm";
pub(crate) const KNOWN_HOSTS_KEY: &str = "ssh_known_hosts";

/// How long a connection may take to come about, as over http.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// How much of what the server says beside the data is kept for messages.
const SAID_MAX: usize = 400;

/// What a connection tells besides the data.
#[derive(Clone, Debug, Default)]
pub(super) struct Notes(Arc<Mutex<Told>>);

#[derive(Debug, Default)]
struct Told {
    said: String,
    /// Whether the program at the other end has told that all went well.
    ended_well: bool,
    failed: bool,
}

impl Notes {
    /// Whether the connection or the program at its other end failed.
    pub(super) fn is_failure(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).failed
    }

    /// What the server said in words, in one line, as the end of a message. Servers greet also when all goes well.
    pub(super) fn said(&self) -> String {
        let told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let said = told.said.split_whitespace().collect::<Vec<_>>().join(" ");
        if said.is_empty() { said } else { format!("; the server says: {said}") }
    }

    fn say(&self, bytes: &[u8]) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = SAID_MAX.saturating_sub(told.said.len());
        let text = String::from_utf8_lossy(bytes);
        told.said.extend(text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(room));
    }

    fn fail(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).failed = true;
    }

    fn exit(&self, status: u32) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.ended_well = status == 0;
        told.failed |= status != 0;
    }

    /// Nothing comes any more, which is all right after a good end.
    fn close(&self) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.failed |= !told.ended_well;
    }
}

/// Connects, proves who asks, and starts `git-upload-pack`. Blocks; must run on a thread for blocking work.
///
/// # Errors
/// Says what stands in the way, and where to change it.
pub(super) fn connect(
    access: &Access,
    limits: Limits,
    notes: &Notes,
) -> Result<Box<dyn Transport + Send>, GitError> {
    let asked = Asked::of(access)?;
    let runtime = runtime::Handle::current();
    let until = Instant::now() + limits.within;
    let opened = runtime.block_on(async { timeout_at(until, asked.open(limits.within, until)).await });
    let (session, incoming, outgoing) = opened.map_err(|_| GitError::Unreachable {
        repository: access.shown(),
        why: format!("{} does not answer within {} s", asked.place(), limits.within.as_secs()),
    })??;
    let wire = Wire { runtime, until };
    let reader = Incoming {
        wire: wire.clone(),
        channel: incoming,
        rest: VecDeque::new(),
        notes: notes.clone(),
        _session: session,
    };
    let writer = Outgoing { wire, channel: outgoing };
    let host = Some((asked.address.host.clone(), Some(asked.address.port)));
    let path = BString::from(asked.address.path.as_str());
    let connection = Connection::new(reader, writer, Protocol::V2, path, host, ConnectMode::Process, false);
    Ok(Box::new(connection.custom_url(Some(BString::from(access.url.as_str())))))
}

/// What is asked of whom.
struct Asked<'a> {
    access: &'a Access,
    address: Ssh,
    key: Arc<PrivateKey>,
    hosts: Arc<KnownHosts>,
}

type Opened = (Handle<Guard>, ChannelReadHalf, ChannelWriteHalf<Msg>);

impl<'a> Asked<'a> {
    fn of(access: &'a Access) -> Result<Self, GitError> {
        let unfit = |why: String| GitError::Unsupported { repository: access.shown(), why };
        let address = match address::ssh(&access.url) {
            Some(Ok(address)) => address,
            Some(Err(why)) => return Err(unfit(format!("its address is refused: {why}"))),
            None => return Err(unfit("its address is none of ssh".to_owned())),
        };
        let Credentials::Key { key } = &access.credentials else {
            return Err(unfit(
                "it is read over ssh, and no Secret for it has sshPrivateKey: label one \
                 argocd.argoproj.io/secret-type: repository, with its url"
                    .to_owned(),
            ));
        };
        let secret = access.secret();
        let locked =
            || unfit(format!("sshPrivateKey in Secret {secret} has a passphrase: store it without one"));
        let key = match keys::decode_secret_key(key, None) {
            Ok(key) if key.is_encrypted() => return Err(locked()),
            Ok(key) => key,
            Err(keys::Error::KeyIsEncrypted) => return Err(locked()),
            // Older formats say it in a header.
            Err(_) if key.contains("ENCRYPTED") => return Err(locked()),
            // What is wrong is not told: it could show a part of the key.
            Err(_) => {
                return Err(unfit(format!(
                    "sshPrivateKey in Secret {secret} is no private key that can be read (ed25519, ecdsa or rsa, as PEM)"
                )));
            }
        };
        let hosts = Arc::new(KnownHosts::read(&access.known_hosts));
        Ok(Self { access, address, key: Arc::new(key), hosts })
    }

    fn place(&self) -> String {
        format!("{} port {}", self.address.host, self.address.port)
    }

    fn unreachable(&self, why: String) -> GitError {
        GitError::Unreachable { repository: self.access.shown(), why }
    }

    async fn open(&self, within: Duration, until: Instant) -> Result<Opened, GitError> {
        let connecting = TcpStream::connect((self.address.host.as_str(), self.address.port));
        let stream = match timeout_at(Instant::now() + CONNECT_WITHIN, connecting).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(self.unreachable(format!("{}: {error}", self.place()))),
            Err(_) => {
                let seconds = CONNECT_WITHIN.as_secs();
                return Err(self.unreachable(format!("{}: no connection within {seconds} s", self.place())));
            }
        };
        let seen = Arc::new(Mutex::new(None));
        let guard = Guard {
            hosts: Arc::clone(&self.hosts),
            host: self.address.host.clone(),
            port: self.address.port,
            insecure: self.access.insecure,
            refused: Arc::clone(&seen),
        };
        let config = Arc::new(self.config(within));
        // The session is a task of its own: what ends it in any case is its connection.
        let stream = Bounded::new(stream, until);
        let mut session = client::connect_stream(config, stream, guard).await.map_err(|error| {
            let refused = seen.lock().unwrap_or_else(PoisonError::into_inner).take();
            match refused {
                Some(why) => GitError::Untrusted { repository: self.access.shown(), why },
                None => self.unreachable(format!("{}: {error}", self.place())),
            }
        })?;
        self.log_in(&mut session).await?;
        let failed = |error: russh::Error| self.unreachable(format!("{}: {error}", self.place()));
        let channel = session.channel_open_session().await.map_err(failed)?;
        let (incoming, outgoing) = channel.split();
        // A server that does not take the variable answers in the first version of the protocol, which works too.
        outgoing.set_env(false, "GIT_PROTOCOL", "version=2").await.map_err(failed)?;
        outgoing
            .exec(true, format!("git-upload-pack {}", quoted(&self.address.path)))
            .await
            .map_err(failed)?;
        Ok((session, incoming, outgoing))
    }

    fn config(&self, within: Duration) -> Config {
        let mut preferred = Preferred::default();
        // SHA-1 proves nothing any more.
        let mut algorithms: Vec<Algorithm> = preferred.key.to_vec();
        algorithms.retain(|algorithm| *algorithm != Algorithm::Rsa { hash: None });
        // A host with several keys is asked for one that is known, as OpenSSH does.
        let known = self.hosts.algorithms(&self.address.host, self.address.port);
        let is_rsa = |algorithm: &Algorithm| matches!(algorithm, Algorithm::Rsa { .. });
        let is_known = |algorithm: &Algorithm| {
            known.iter().any(|known| known == algorithm || (is_rsa(known) && is_rsa(algorithm)))
        };
        algorithms.sort_by_key(|algorithm| !is_known(algorithm));
        preferred.key = algorithms.into();
        Config { preferred, inactivity_timeout: Some(within), nodelay: true, ..Config::default() }
    }

    async fn log_in(&self, session: &mut Handle<Guard>) -> Result<(), GitError> {
        let failed = |error: russh::Error| self.unreachable(format!("{}: {error}", self.place()));
        let hash = if matches!(self.key.algorithm(), Algorithm::Rsa { .. }) {
            let best = session.best_supported_rsa_hash().await.map_err(failed)?;
            // A server that does not tell what it takes is offered what all of this decade's do.
            Some(best.flatten().unwrap_or(HashAlg::Sha256))
        } else {
            None
        };
        let key = PrivateKeyWithHashAlg::new(Arc::clone(&self.key), hash);
        let answer = session.authenticate_publickey(self.address.user.as_str(), key).await.map_err(failed)?;
        if answer.success() {
            return Ok(());
        }
        Err(GitError::Denied {
            repository: self.access.shown(),
            why: format!(
                "{} does not let {} in with the key of Secret {}, which is {} {}",
                self.place(),
                self.address.user,
                self.access.secret(),
                self.key.algorithm(),
                self.key.fingerprint(HashAlg::Sha256)
            ),
        })
    }
}

/// A path for the server's shell.
fn quoted(path: &str) -> String {
    let mut text = String::with_capacity(path.len() + 2);
    text.push('\'');
    for c in path.chars() {
        match c {
            '\'' | '!' => text.extend(['\'', '\\', c, '\'']),
            c => text.push(c),
        }
    }
    text.push('\'');
    text
}

/// Looks at the key of the host.
struct Guard {
    hosts: Arc<KnownHosts>,
    host: String,
    port: u16,
    insecure: bool,
    refused: Arc<Mutex<Option<String>>>,
}

impl Handler for Guard {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        let refuse = |why: String| {
            *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
            Ok(false)
        };
        let (host, port) = (&self.host, self.port);
        let PublicKeyOrCertificate::PublicKey { key, .. } = shown else {
            return refuse(format!("{host} port {port} shows a certificate, which is not asked for"));
        };
        let what = match self.hosts.judge(host, port, key) {
            Verdict::Known => return Ok(true),
            Verdict::Revoked => "is revoked",
            Verdict::Other | Verdict::Unknown if self.insecure => return Ok(true),
            Verdict::Other => "is not the one that is known",
            Verdict::Unknown => "is not known",
        };
        refuse(format!(
            "the key of {host} port {port} {what}: it shows {} {}. If that is its key, add it to {KNOWN_HOSTS_KEY} in \
             ConfigMap {KNOWN_HOSTS_MAP}, as ssh-keyscan prints it",
            key.algorithm(),
            key.fingerprint(HashAlg::Sha256)
        ))
    }
}

/// Where and until when to wait.
#[derive(Clone)]
struct Wire {
    runtime: runtime::Handle,
    until: Instant,
}

impl Wire {
    fn wait<T>(&self, work: impl Future<Output = T>) -> io::Result<T> {
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, "the ssh server stopped talking");
        self.runtime.block_on(async { timeout_at(self.until, work).await }).map_err(late)
    }
}

/// What comes from the server. The session ends when this is dropped.
struct Incoming {
    wire: Wire,
    channel: ChannelReadHalf,
    rest: VecDeque<u8>,
    notes: Notes,
    _session: Handle<Guard>,
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() && !buffer.is_empty() {
            match self.wire.wait(self.channel.wait()).inspect_err(|_| self.notes.fail())? {
                Some(ChannelMsg::Data { data }) => self.rest.extend(data.iter()),
                Some(ChannelMsg::ExtendedData { data, .. }) => self.notes.say(&data),
                Some(ChannelMsg::Failure) => {
                    self.notes.say(b"git-upload-pack is not to be had here");
                    self.notes.fail();
                }
                Some(ChannelMsg::ExitStatus { exit_status }) => self.notes.exit(exit_status),
                Some(ChannelMsg::Close) | None => {
                    self.notes.close();
                    return Ok(0);
                }
                // What the server says of its end comes after the end of the data.
                Some(_) => {}
            }
        }
        self.rest.read(buffer)
    }
}

/// What goes to the server.
struct Outgoing {
    wire: Wire,
    channel: ChannelWriteHalf<Msg>,
}

impl Write for Outgoing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.wire.wait(self.channel.data_bytes(bytes.to_vec()))?;
        sent.map(|()| bytes.len()).map_err(io::Error::other)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_for_a_shell() {
        assert_eq!(quoted("team/shop.git"), "'team/shop.git'");
        assert_eq!(quoted("a';reboot;'!b"), "'a'\\'';reboot;'\\'''\\!'b'");
    }
}
