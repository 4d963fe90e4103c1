//! Over ssh, against a server of russh's that hands each command to a shell, as sshd does.

use std::process::Stdio;
use std::sync::Arc;

use russh::keys::{HashAlg, PrivateKey, decode_secret_key};
use russh::server::{self, Auth, ChannelOpenHandle, Config, Handler, Msg, Session};
use russh::{Channel, ChannelId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::super::access::{Access, Credentials};
use super::super::{GitError, ssh};
use super::{Origin, Reader};

/// Keys made for these tests by ssh-keygen, in every form that it writes; they open nothing else.
const KEYS: [(&str, &str); 6] = [
    ("ed25519", include_str!("keys/ed25519")),
    ("ecdsa", include_str!("keys/ecdsa")),
    ("ecdsa-sec1", include_str!("keys/ecdsa-sec1")),
    ("rsa", include_str!("keys/rsa")),
    ("rsa-pkcs1", include_str!("keys/rsa-pkcs1")),
    ("rsa-pkcs8", include_str!("keys/rsa-pkcs8")),
];
const HOST: &str = include_str!("keys/host");
const OTHER_HOST: &str = include_str!("keys/ecdsa");

fn key(text: &str) -> PrivateKey {
    decode_secret_key(text, None).unwrap()
}

/// What a server is like.
#[derive(Clone)]
struct Manner {
    /// The name that is let in.
    user: &'static str,
    /// Whether the variable that asks for the second version of Git's protocol is taken.
    takes_variables: bool,
    /// Whether it says nothing once it was asked for the repository.
    falls_silent: bool,
    /// What it says to everybody beside the data.
    greeting: &'static str,
}

const USUAL: Manner = Manner { user: "git", takes_variables: true, falls_silent: false, greeting: "" };

/// One connection on the server's side.
struct Connection {
    manner: Manner,
    root: std::path::PathBuf,
    keys: Vec<PrivateKey>,
    protocol: Option<String>,
    channel: Option<Channel<Msg>>,
}

impl Handler for Connection {
    type Error = russh::Error;

    async fn auth_publickey(
        &mut self,
        user: &str,
        shown: server::VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        let known = self.keys.iter().any(|key| key.public_key().key_data() == shown.public_key.key_data());
        Ok(if known && user == self.manner.user { Auth::Accept } else { Auth::reject() })
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.channel = Some(channel);
        reply.accept().await;
        Ok(())
    }

    async fn env_request(
        &mut self,
        _channel: ChannelId,
        name: &str,
        value: &str,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        if self.manner.takes_variables && name == "GIT_PROTOCOL" {
            self.protocol = Some(value.to_owned());
        }
        Ok(())
    }

    async fn exec_request(
        &mut self,
        id: ChannelId,
        command: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_success(id)?;
        let channel = self.channel.take().unwrap();
        if self.manner.falls_silent {
            self.channel = Some(channel);
            return Ok(());
        }
        let command = String::from_utf8(command.to_vec()).unwrap();
        let mut shell = tokio::process::Command::new("sh");
        shell.args(["-c", &command]).current_dir(&self.root).env_remove("GIT_PROTOCOL").kill_on_drop(true);
        if let Some(protocol) = &self.protocol {
            shell.env("GIT_PROTOCOL", protocol);
        }
        tokio::spawn(run(channel, shell, self.manner.greeting));
        Ok(())
    }
}

/// Connects a program to a channel until it ends.
async fn run(channel: Channel<Msg>, mut program: tokio::process::Command, greeting: &'static str) {
    let (mut incoming, outgoing) = channel.split();
    if !greeting.is_empty() {
        drop(outgoing.extended_data_bytes(1, greeting.as_bytes().to_vec()).await);
    }
    program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = program.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let feed = tokio::spawn(async move {
        let mut reader = incoming.make_reader();
        drop(tokio::io::copy(&mut reader, &mut input).await);
    });
    let (mut output, mut complaints) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let (mut to, mut said) = (outgoing.make_writer(), Vec::new());
    let copied = tokio::io::copy(&mut output, &mut to).await;
    complaints.read_to_end(&mut said).await.unwrap();
    drop((copied, to.flush().await));
    feed.abort();
    let status = child.wait().await.unwrap().code().unwrap_or(1);
    drop(outgoing.extended_data_bytes(1, said).await);
    drop(outgoing.exit_status(u32::try_from(status).unwrap_or(1)).await);
    drop((outgoing.eof().await, outgoing.close().await));
}

/// Serves an origin's directory; returns the port.
async fn serve(origin: &Origin, manner: Manner, hosts: &[&str]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = Arc::new(Config {
        keys: hosts.iter().map(|text| key(text)).collect(),
        auth_rejection_time: std::time::Duration::ZERO,
        ..Config::default()
    });
    let root = origin.scratch.0.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let connection = Connection {
                manner: manner.clone(),
                root: root.clone(),
                keys: KEYS.iter().map(|(_, text)| key(text)).collect(),
                protocol: None,
                channel: None,
            };
            let config = Arc::clone(&config);
            tokio::spawn(async move {
                if let Ok(session) = server::run_stream(config, stream, connection).await {
                    drop(session.await);
                }
            });
        }
    });
    port
}

/// A reader of the origin's repository with a key, that trusts one host key.
fn reader(name: &str, origin: &Origin, port: u16, private: &str) -> Reader {
    let url = format!("ssh://git@127.0.0.1:{port}{}", origin.work().join(".git").display());
    let mut reader = Reader::new(name, url.clone());
    reader.access = Access {
        url,
        credentials: Credentials::Key { key: private.to_owned() },
        insecure: false,
        known_hosts: known(port, HOST),
        source: "repository/deploy-key".to_owned(),
    };
    reader
}

fn known(port: u16, host: &str) -> String {
    format!("[127.0.0.1]:{port} {}\n", key(host).public_key().to_openssh().unwrap())
}

fn fingerprint(private: &str) -> String {
    key(private).fingerprint(HashAlg::Sha256).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_key_opens_the_repository() {
    let origin = Origin::new("ssh-keys");
    let first = origin.run(&["rev-parse", "HEAD"]);
    let port = serve(&origin, USUAL, &[HOST]).await;
    for (name, private) in KEYS {
        let reader = reader(&format!("ssh-{name}"), &origin, port, private);
        assert_eq!(reader.commit("main").await, first, "{name}");
    }
    // As editors of other systems leave it.
    let reader = reader("ssh-crlf", &origin, port, &format!("\r\n{}\r\n", KEYS[0].1.replace('\n', "\r\n")));
    assert_eq!(reader.commit("main").await, first);
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_are_followed_in_both_versions_of_the_protocol() {
    for (name, takes_variables) in [("ssh-v2", true), ("ssh-v0", false)] {
        let origin = Origin::new(name);
        let first = origin.run(&["rev-parse", "HEAD"]);
        origin.run(&["tag", "--annotate", "v1", "--message=one"]);
        let port = serve(&origin, Manner { takes_variables, ..USUAL }, &[HOST]).await;
        let reader = reader(name, &origin, port, KEYS[0].1);
        assert_eq!(reader.commit("main").await, first, "{name}");
        // More than a window of ssh, so that both sides have to make room.
        let noise: String =
            (0_u64..400_000).map(|n| format!("{:x}\n", n.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
        let second = origin.commit(&[("deploy/a.yaml", "a: 2\n"), ("deploy/noise.txt", &noise)]);
        let snapshot = reader.read("").await.unwrap();
        assert_eq!(snapshot.commit, second, "{name}");
        assert_eq!(snapshot.files.unwrap()["a.yaml"], b"a: 2\n");
        assert_eq!(reader.commit("v1").await, first, "{name}");
        assert_eq!(reader.commit(&first[..8]).await, first, "{name}");
        let error = reader.read("nowhere").await.unwrap_err();
        assert!(matches!(error, GitError::NoRevision { .. }), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_is_asked_for_the_key_that_is_known_of_it() {
    let origin = Origin::new("ssh-hosts");
    let port = serve(&origin, USUAL, &[OTHER_HOST, HOST]).await;
    for (name, host) in [("ssh-first", HOST), ("ssh-second", OTHER_HOST)] {
        let mut reader = reader(name, &origin, port, KEYS[0].1);
        reader.access.known_hosts = known(port, host);
        reader.read("main").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_not_known_is_refused_and_told_by_its_key() {
    let origin = Origin::new("ssh-unknown");
    let port = serve(&origin, USUAL, &[HOST]).await;
    let mut reader = reader("ssh-unknown", &origin, port, KEYS[0].1);
    for (known_hosts, what) in [
        (String::new(), "is not known"),
        (known(port, OTHER_HOST), "is not the one that is known"),
        (format!("@revoked {}{0}", known(port, HOST)), "is revoked"),
    ] {
        reader.access.known_hosts = known_hosts;
        let error = reader.read("main").await.unwrap_err();
        assert!(matches!(error, GitError::Untrusted { .. }), "{error}");
        let text = error.to_string();
        for words in [what, "127.0.0.1", &fingerprint(HOST), ssh::KNOWN_HOSTS_MAP, ssh::KNOWN_HOSTS_KEY] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }
    reader.access.known_hosts = known(port, OTHER_HOST);
    reader.access.insecure = true;
    reader.read("main").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_let_in_is_told_by_the_secret_and_never_by_the_key() {
    let origin = Origin::new("ssh-denied");
    let port = serve(&origin, Manner { user: "somebody", ..USUAL }, &[HOST]).await;
    let denied = reader("ssh-denied", &origin, port, KEYS[0].1);
    let error = denied.read("main").await.unwrap_err();
    assert!(matches!(error, GitError::Denied { .. }), "{error}");
    let text = error.to_string();
    for words in ["Secret deploy-key", &fingerprint(KEYS[0].1), "ssh-ed25519"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    for (locked, want) in [
        (include_str!("keys/locked"), "has a passphrase"),
        (include_str!("keys/locked-pem"), "has a passphrase"),
        (include_str!("keys/locked-pkcs8"), "has a passphrase"),
        ("s3cret nonsense", "is no private key"),
        (
            "-----BEGIN OPENSSH PRIVATE KEY-----\ns3cret\n-----END OPENSSH PRIVATE KEY-----",
            "is no private key",
        ),
    ] {
        let locked = reader("ssh-locked", &origin, port, locked);
        let error = locked.read("main").await.unwrap_err();
        assert!(matches!(error, GitError::Unsupported { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains(want) && text.contains("Secret deploy-key"), "{text}");
        assert!(!text.contains("s3cret") && !text.contains("b3Blb"), "{text}");
    }
    let mut nobody = reader("ssh-nobody", &origin, port, "");
    nobody.access.credentials = Credentials::None;
    let error = nobody.read("main").await.unwrap_err().to_string();
    assert!(error.contains("no Secret for it has sshPrivateKey"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_says_is_told_and_the_store_is_kept() {
    let origin = Origin::new("ssh-gone");
    let port = serve(&origin, USUAL, &[HOST]).await;
    let mut reader = reader("ssh-gone", &origin, port, KEYS[0].1);
    let first = reader.commit("main").await;
    let url = reader.access.url.clone();
    std::fs::rename(origin.work(), origin.scratch.0.join("away")).unwrap();
    let error = reader.read("main").await.unwrap_err();
    assert!(matches!(error, GitError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("does not appear to be a git repository"), "{error}");
    assert_eq!(reader.commit(&first).await, first);
    // A name that a shell would take apart.
    std::fs::rename(origin.scratch.0.join("away"), origin.scratch.0.join("it's;exit${IFS}7!")).unwrap();
    reader.access.url = url.replace("/work/", "/it's;exit${IFS}7!/");
    assert_eq!(reader.commit("main").await, first);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_store_is_fetched_anew_also_from_a_server_that_greets() {
    let origin = Origin::new("ssh-greets");
    let first = origin.run(&["rev-parse", "HEAD"]);
    let port = serve(&origin, Manner { greeting: "welcome to the git server\n", ..USUAL }, &[HOST]).await;
    let reader = reader("ssh-greets", &origin, port, KEYS[0].1);
    assert_eq!(reader.commit("main").await, first);
    reader.lose_packs();
    assert_eq!(reader.commit("main").await, first);
    std::fs::rename(origin.work(), origin.scratch.0.join("away")).unwrap();
    let error = reader.read("main").await.unwrap_err();
    assert!(matches!(error, GitError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("the server says: welcome to the git server"), "{error}");
}

/// A server that says nothing but `IGNORE` (RFC 4253, section 11.2); ends when its visitor has gone.
async fn only_ignores(listener: TcpListener) {
    // Length, padding, the message with an empty text, and the padding up to the block of 8 bytes.
    const IGNORE: [u8; 16] = [0, 0, 0, 12, 6, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let (mut stream, _) = listener.accept().await.unwrap();
    stream.write_all(b"SSH-2.0-endless\r\n").await.unwrap();
    let (mut incoming, mut outgoing) = stream.split();
    let drip = async {
        let mut every = tokio::time::interval(std::time::Duration::from_millis(20));
        loop {
            every.tick().await;
            if outgoing.write_all(&IGNORE).await.is_err() {
                return;
            }
        }
    };
    let gone = async {
        let mut buffer = [0; 1024];
        while incoming.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
    };
    tokio::select! {
        () = drip => {}
        () = gone => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_keeps_talking_before_its_key_is_left_as_well() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(only_ignores(listener));
    let origin = Origin::new("ssh-endless");
    let mut endless = reader("ssh-endless", &origin, port, KEYS[0].1);
    endless.git.limits.within = std::time::Duration::from_millis(400);
    let error = endless.read("main").await.unwrap_err();
    assert!(matches!(error, GitError::Unreachable { .. }), "{error}");
    // Not only the fetch has ended, but the connection too.
    tokio::time::timeout(std::time::Duration::from_secs(60), server).await.expect("still connected").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_falls_silent_is_left_in_time() {
    let origin = Origin::new("ssh-silent");
    let port = serve(&origin, Manner { falls_silent: true, ..USUAL }, &[HOST]).await;
    let mut silent = reader("ssh-silent", &origin, port, KEYS[0].1);
    silent.git.limits.within = std::time::Duration::from_millis(400);
    let error = silent.read("main").await.unwrap_err();
    assert!(matches!(error, GitError::Unreachable { .. }), "{error}");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    silent.access.url = format!("ssh://git@127.0.0.1:{port}/x");
    let error = silent.read("main").await.unwrap_err();
    assert!(matches!(error, GitError::Unreachable { .. }), "{error}");
    drop(listener);
    let error = silent.read("main").await.unwrap_err();
    assert!(matches!(error, GitError::Unreachable { .. }), "{error}");
}
