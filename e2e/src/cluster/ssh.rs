//! Git over ssh, beside the cluster: Debian's OpenSSH server with keys of its own and one user, who may fetch and push
//! the repositories of the Git server and nothing else. The machine's own ssh is left alone.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::cluster::place::Place;
use crate::cluster::process::Processes;
use crate::cluster::surroundings::git_root;
use crate::command::{command, output};
use crate::debian::Program;

/// Where it listens on the node; pods reach it at `git.forge` on ssh's own port.
pub(crate) const SSH_PORT: u16 = 3022;

/// What a client needs to know.
#[derive(Clone, Debug)]
pub(crate) struct SshKeys {
    /// A private key that is let in.
    pub(crate) client: String,
    /// The server's public key, in one line.
    pub(crate) host: String,
    /// Another public key, which the server does not have.
    pub(crate) other_host: String,
}

/// Not below `/run`, which the server has one of its own of.
fn dir(place: &Place) -> PathBuf {
    place.data_dir().join("ssh")
}

/// The keys of a running server.
pub(crate) fn keys(place: &Place) -> Result<SshKeys> {
    let read = |name: &str| {
        let path = dir(place).join(name);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    let public = |name: &str| anyhow::Ok(read(name)?.trim().to_owned());
    Ok(SshKeys { client: read("client")?, host: public("host.pub")?, other_host: public("client.pub")? })
}

/// Starts the server.
pub(crate) fn start(place: &Place, sshd: &Program, processes: &Processes) -> Result<()> {
    let dir = dir(place);
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let file = |name: &str| dir.join(name).display().to_string();
    for name in ["host", "client"] {
        output(&mut command(
            "ssh-keygen",
            &["-q", "-t", "ed25519", "-N", "", "-C", "e2e", "-f", &file(name)],
        ))?;
    }
    fs::copy(file("client.pub"), file("authorized_keys"))?;
    // The server wants a user of its own and the one who logs in; only it sees them.
    let users = fs::read_to_string("/etc/passwd")?;
    let root = git_root(place);
    let users = format!(
        "{users}sshd:x:65533:65534::/run/sshd:/usr/sbin/nologin\ngit:x:0:0::{}:/usr/bin/git-shell\n",
        root.display()
    );
    fs::write(file("passwd"), users)?;
    let address = place.node_address();
    let config = [
        format!("ListenAddress {address}\nPort {SSH_PORT}\nHostKey {}", file("host")),
        format!("AuthorizedKeysFile {}\nStrictModes no\nUsePAM no", file("authorized_keys")),
        "PasswordAuthentication no\nPidFile none\nAcceptEnv GIT_PROTOCOL\nAllowUsers git\nMaxStartups 100\n"
            .to_owned(),
    ];
    fs::write(file("sshd_config"), config.join("\n"))?;
    let script = "mount --bind \"$1\" /etc/passwd && mount -t tmpfs -o mode=755 tmpfs /run && mkdir /run/sshd \
                  && exec \"$2\" -D -e -f \"$3\"";
    let args = [
        "--mount",
        "sh",
        "-c",
        script,
        "sh",
        &file("passwd"),
        &sshd.path.display().to_string(),
        &file("sshd_config"),
    ];
    let unshare = PathBuf::from("unshare");
    let libraries: Vec<String> = sshd.libraries.iter().map(|path| path.display().to_string()).collect();
    processes.start("sshd", &unshare, &args.map(str::to_owned), &[("LD_LIBRARY_PATH", &libraries.join(":"))])
}
