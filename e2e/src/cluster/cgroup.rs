//! The cluster's control group: kubelet puts pods below it, the harness its own
//! programs. Works with the unified hierarchy (v2) and with split ones (v1).

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::cluster::place::Place;

const ROOT: &str = "/sys/fs/cgroup";
/// The child group for the harness's own programs: in a unified hierarchy only
/// a group without children may hold processes.
const HOST: &str = "host";

/// Makes the cluster's group in every hierarchy.
pub(crate) fn create(place: &Place) -> Result<()> {
    for hierarchy in hierarchies() {
        let mut dir = hierarchy.clone();
        if is_unified() {
            delegate(&dir)?;
        }
        for part in place.cgroup().split('/') {
            let parent = dir.clone();
            dir = dir.join(part);
            make(&parent, &dir)?;
            if is_unified() {
                delegate(&dir)?;
            }
        }
        make(&dir, &dir.join(HOST))?;
    }
    Ok(())
}

/// The groups that the harness's own programs enter.
pub(crate) fn host_groups(place: &Place) -> Vec<String> {
    tracked().map(|dir| dir.join(place.cgroup()).join(HOST).display().to_string()).into_iter().collect()
}

/// The cluster's group in every hierarchy.
pub(crate) fn dirs(place: &Place) -> Vec<PathBuf> {
    hierarchies().into_iter().map(|hierarchy| hierarchy.join(place.cgroup())).collect()
}

/// Every process in the cluster's group or below.
pub(crate) fn pids(place: &Place) -> Vec<u32> {
    pids_below(place, |_group| true)
}

/// The processes of a pod, by its uid. kubelet gives each pod a group of that name, and its containers groups below.
pub(crate) fn pids_of_pod(place: &Place, uid: &str) -> Vec<u32> {
    let name = format!("pod{uid}");
    pids_below(place, |group| group.iter().any(|part| part.to_str() == Some(name.as_str())))
}

fn pids_below(place: &Place, is_wanted: impl Fn(&Path) -> bool) -> Vec<u32> {
    let mut pids = Vec::new();
    if let Some(dir) = tracked() {
        walk(&dir.join(place.cgroup()), &mut |dir| {
            if !is_wanted(dir) {
                return;
            }
            let text = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
            pids.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()));
        });
    }
    pids
}

/// Removes the group, which must be without processes by now.
pub(crate) fn remove(place: &Place) {
    for hierarchy in hierarchies() {
        let top = hierarchy.join(place.cgroup());
        // The kernel may need a moment to notice that the last process is gone.
        for _attempt in 0..50 {
            walk(&top, &mut |dir| {
                let _busy = fs::remove_dir(dir);
            });
            if !top.exists() {
                break;
            }
            thread::sleep(Duration::from_millis(20));
        }
        // Stays as long as another cluster has a group in it.
        let _shared = top.parent().map(fs::remove_dir);
    }
}

/// Calls `visit` for a directory and all below it, children first.
fn walk(dir: &Path, visit: &mut impl FnMut(&Path)) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
        if path.is_dir() {
            walk(&path, visit);
        }
    }
    visit(dir);
}

fn is_unified() -> bool {
    Path::new(ROOT).join("cgroup.controllers").exists()
}

/// The roots of all hierarchies that kubelet and runc use.
fn hierarchies() -> Vec<PathBuf> {
    if is_unified() {
        return vec![PathBuf::from(ROOT)];
    }
    let Ok(entries) = fs::read_dir(ROOT) else { return Vec::new() };
    entries
        .filter_map(Result::ok)
        .filter(|entry| entry.path().join("cgroup.procs").exists() && !entry.path().is_symlink())
        .map(|entry| entry.path())
        .collect()
}

/// The hierarchy whose lists of processes count: one that runc puts every
/// container into.
fn tracked() -> Option<PathBuf> {
    let hierarchies = hierarchies();
    ["pids", "memory", "devices"]
        .iter()
        .find_map(|name| hierarchies.iter().find(|dir| dir.ends_with(name)))
        .or(hierarchies.first())
        .cloned()
}

fn make(parent: &Path, dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("cannot create the control group {}", dir.display()))?;
    // A new cpuset is empty, and no process may enter it, until it is told its share.
    for file in ["cpuset.cpus", "cpuset.mems"] {
        if !is_unified() && dir.join(file).exists() {
            let share = fs::read_to_string(parent.join(file))?;
            fs::write(dir.join(file), share.trim())
                .with_context(|| format!("cannot set {file} of {}", dir.display()))?;
        }
    }
    Ok(())
}

/// Hands every controller a unified group has to its children.
fn delegate(dir: &Path) -> Result<()> {
    let controllers = fs::read_to_string(dir.join("cgroup.controllers"))
        .with_context(|| format!("cannot read the controllers of {}", dir.display()))?;
    let all: Vec<String> = controllers.split_whitespace().map(|name| format!("+{name}")).collect();
    fs::write(dir.join("cgroup.subtree_control"), all.join(" "))
        .with_context(|| format!("cannot delegate the controllers of {}", dir.display()))
}
