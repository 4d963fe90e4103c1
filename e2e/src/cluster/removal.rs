//! Takes a cluster away: its processes, mounts, network, control group and
//! files, in that order, and its record last, so that a removal that failed in
//! the middle can be done again. Clusters whose owner died are found here, too.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

use crate::cluster::place::{self, Place};
use crate::cluster::{cgroup, network, process};
use crate::command::run;
use crate::say;

/// Where container runtimes keep what cannot be configured.
const SHIM_SOCKETS: &str = "/run/containerd/s";
const NETWORK_RESULTS: &str = "/var/lib/cni/results";
const LOG_LINKS: &str = "/var/log/containers";

/// Removes everything of one cluster.
pub(crate) fn remove(place: &Place) -> Result<()> {
    let containers = containers(place);
    process::end_all(place)?;
    unmount(place)?;
    network::remove(place)?;
    cgroup::remove(place);
    remove_traces(place, &containers);
    let record = place.record();
    for dir in [place.data_dir(), place.run_dir()] {
        remove_below(&dir, &record).with_context(|| format!("cannot remove {}", dir.display()))?;
    }
    let _lock = place::lock()?;
    let _record = fs::remove_file(&record);
    for dir in [place.data_dir(), place.run_dir()] {
        let _dir = fs::remove_dir(dir);
    }
    place::tidy();
    Ok(())
}

/// Removes the clusters whose owners ended without doing so.
pub(crate) fn remove_orphans() -> Result<()> {
    for place in Place::list()?.into_iter().filter(Place::is_orphan) {
        say(format!("removing the cluster {}, left by a process that is gone", place.name));
        remove(&place)?;
    }
    Ok(())
}

/// A process that removes the cluster when its owner ends, however it ends:
/// it waits for the end of a pipe that only the owner holds open.
pub(crate) struct Guard {
    child: Child,
}

impl Guard {
    pub(crate) fn start(place: &Place) -> Result<Self> {
        let me = std::env::current_exe().context("cannot find this program")?;
        let child = Command::new(me)
            .args(["cluster", "guard", &place.name])
            .stdin(Stdio::piped())
            .current_dir("/")
            // Ctrl-C must not end it before its work is done.
            .process_group(0)
            .spawn()
            .context("cannot start the cluster's guard")?;
        Ok(Self { child })
    }

    /// The guard's own work: wait for the owner's end, then remove.
    pub(crate) fn stand(name: &str) -> Result<()> {
        let _end = std::io::stdin().read_to_end(&mut Vec::new());
        match Place::find(name)? {
            Some(place) => remove(&place),
            None => Ok(()),
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // Its failure is told by the guard itself, on the same terminal.
        let _status = self.child.wait();
    }
}

/// The ids of all containers, by the runtime's own directories.
fn containers(place: &Place) -> BTreeSet<String> {
    let tasks = place.run_dir().join("containerd/io.containerd.runtime.v2.task/k8s.io");
    let Ok(entries) = fs::read_dir(tasks) else { return BTreeSet::new() };
    entries.filter_map(Result::ok).map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// Unmounts everything below the cluster's directories, the innermost first.
fn unmount(place: &Place) -> Result<()> {
    let table = fs::read_to_string("/proc/self/mountinfo").context("cannot read the table of mounts")?;
    let dirs = [place.run_dir(), place.data_dir()];
    let mut points: Vec<PathBuf> = table
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(PathBuf::from)
        .filter(|point| dirs.iter().any(|dir| point.starts_with(dir)))
        .collect();
    points.reverse();
    for point in points {
        run("umount", &["-l", &point.display().to_string()])?;
    }
    Ok(())
}

/// Removes the few files that kubelet and containerd keep in fixed places.
fn remove_traces(place: &Place, containers: &BTreeSet<String>) {
    let remove_files = |dir: &Path, ours: &dyn Fn(&Path) -> bool| {
        let Ok(entries) = fs::read_dir(dir) else { return };
        for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
            if ours(&path) {
                let _gone = fs::remove_file(&path);
            }
        }
        // Stays when somebody else's files are in it.
        let _shared = fs::remove_dir(dir);
    };
    let logs = place.data_dir();
    remove_files(Path::new(LOG_LINKS), &|path| {
        fs::read_link(path).is_ok_and(|target| target.starts_with(&logs))
    });
    remove_files(Path::new(NETWORK_RESULTS), &|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.split('-').any(|part| containers.contains(part))
    });
    let sockets: BTreeSet<PathBuf> = containers
        .iter()
        .map(|id| {
            place.run_dir().join("containerd/io.containerd.runtime.v2.task/k8s.io").join(id).join("address")
        })
        .filter_map(|file| fs::read_to_string(file).ok())
        .map(|address| PathBuf::from(address.trim().trim_start_matches("unix://")))
        .collect();
    remove_files(Path::new(SHIM_SOCKETS), &|path| sockets.contains(path));
    for dir in ["/run/containerd", "/var/lib/cni"] {
        let _shared = fs::remove_dir(dir);
    }
}

/// Removes what is in a directory, except the cluster's record.
fn remove_below(dir: &Path, record: &Path) -> std::io::Result<()> {
    if !dir.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(&path)?;
        } else if path != record {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}
