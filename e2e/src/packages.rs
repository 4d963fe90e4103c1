//! Debian packages that a node needs. Missing ones are installed by root; what
//! cannot be installed is named with the command that would do it.

use anyhow::{Context, Result, bail};

use crate::command::{command, exists, output};
use crate::say;

/// A program, and the package that has it.
const PROGRAMS: [(&str, &str); 12] = [
    ("containerd", "containerd"),
    ("runc", "runc"),
    ("nft", "nftables"),
    ("ip", "iproute2"),
    ("conntrack", "conntrack"),
    ("busybox", "busybox-static"),
    ("git", "git"),
    ("ssh-keygen", "openssh-client"),
    ("nsenter", "util-linux"),
    ("mount", "mount"),
    ("sysctl", "procps"),
    ("dpkg-deb", "dpkg"),
];
/// Where CNI plugins may be, and their package.
const CNI_DIRS: [&str; 2] = ["/usr/lib/cni", "/opt/cni/bin"];
const CNI_PACKAGE: &str = "containernetworking-plugins";

/// Sees to it that everything a node needs is installed.
pub(crate) fn install() -> Result<()> {
    let is_missing = |program: &str| !exists(program) || program == "busybox" && !is_static(program);
    let mut missing: Vec<&str> =
        PROGRAMS.iter().filter(|(program, _)| is_missing(program)).map(|(_, package)| *package).collect();
    if cni_dir().is_err() {
        missing.push(CNI_PACKAGE);
    }
    if missing.is_empty() {
        return Ok(());
    }
    let hint = format!("apt-get install -y --no-install-recommends {}", missing.join(" "));
    if !is_root() || !exists("apt-get") {
        bail!("missing packages; run as root: {hint}");
    }
    say(format!("installing {}", missing.join(" ")));
    let install = || {
        let mut apt = command("apt-get", &["install", "-y", "-q", "--no-install-recommends"]);
        // Services of fresh packages (containerd's) are not wanted: the harness runs its own.
        apt.args(&missing).env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1");
        output(&mut apt)
    };
    if install().is_err() {
        output(&mut command("apt-get", &["update", "-q"])).context("cannot read Debian's package lists")?;
        install().with_context(|| format!("cannot install packages; try: {hint}"))?;
    }
    Ok(())
}

/// Whether a program runs where there are no shared libraries. Debian has two packages with a busybox, and the
/// other one may be there already.
fn is_static(program: &str) -> bool {
    let path = output(&mut command("sh", &["-c", &format!("command -v {program}")])).unwrap_or_default();
    output(&mut command("ldd", &[path.trim()])).is_err()
}

/// The directory of the CNI plugins.
pub(crate) fn cni_dir() -> Result<&'static str> {
    CNI_DIRS
        .into_iter()
        .find(|dir| std::path::Path::new(dir).join("ptp").is_file())
        .with_context(|| format!("no CNI plugins; run as root: apt-get install -y {CNI_PACKAGE}"))
}

/// Whether this process may make network namespaces and mounts.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
