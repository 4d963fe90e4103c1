//! Programs from Debian's archive, unpacked into the cache. They are not installed: their packages start services.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::cache;
use crate::command::{command, exists, output};

/// A program, and the directories where the libraries lie that came with it.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) libraries: Vec<PathBuf>,
}

/// Prometheus, which is one file.
pub(crate) fn prometheus() -> Result<Program> {
    unpack("prometheus", "usr/bin/prometheus", &["prometheus"])
}

/// HAProxy, and those of its libraries that few machines have.
pub(crate) fn haproxy() -> Result<Program> {
    let packages = ["haproxy", "liblua5.3-0", "libopentracing-c-wrapper0", "libopentracing1"];
    unpack("haproxy", "usr/sbin/haproxy", &packages)
}

/// OpenSSH's server, and the one of its libraries that few machines have. Always Debian's: it starts only by its whole path.
pub(crate) fn sshd() -> Result<Program> {
    unpack("openssh-server", "usr/sbin/sshd", &["openssh-server", "libwrap0"])
}

/// Unpacks packages unless that was done before, or the machine has the program.
fn unpack(name: &str, program: &str, packages: &[&str]) -> Result<Program> {
    let dir = cache::dir()?.join(format!("tools/{name}-debian"));
    let _lock = cache::lock(name)?;
    if !dir.join(program).is_file() {
        if exists(name) {
            return Ok(Program { path: PathBuf::from(name), libraries: Vec::new() });
        }
        if !exists("apt-get") {
            bail!("{name} is missing and there is no apt-get to fetch it: put a program {name} into PATH");
        }
        fetch(&dir, packages)?;
    }
    let libraries = fs::read_dir(dir.join("usr/lib")).into_iter().flatten().filter_map(Result::ok);
    let libraries = libraries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    Ok(Program { path: dir.join(program), libraries })
}

fn fetch(dir: &Path, packages: &[&str]) -> Result<()> {
    // The program must be there last or not at all: whoever finds it takes the rest for granted.
    let fresh = dir.with_extension("new");
    let _none = fs::remove_dir_all(&fresh);
    fs::create_dir_all(&fresh).with_context(|| format!("cannot create {}", fresh.display()))?;
    let download =
        || output(command("apt-get", &["download", "-q"]).args(packages).current_dir(&fresh)).map(drop);
    if download().is_err() {
        output(&mut command("apt-get", &["update", "-q"]))?;
        download().with_context(|| format!("cannot fetch Debian's packages {}", packages.join(", ")))?;
    }
    let files: Vec<PathBuf> = fs::read_dir(&fresh)?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .collect();
    for file in &files {
        output(command("dpkg-deb", &["-x"]).arg(file).arg(&fresh))?;
        fs::remove_file(file)?;
    }
    let _none = fs::remove_dir_all(dir);
    fs::rename(&fresh, dir).with_context(|| format!("cannot create {}", dir.display()))
}
