//! Looks for what a removed cluster left on the machine; there must be nothing.

use std::fs;
use std::path::Path;

use crate::cluster::cgroup;
use crate::cluster::place::Place;

/// Names everything that still belongs to a cluster.
pub(crate) fn find(place: &Place) -> Vec<String> {
    let mut traces = Vec::new();
    let mut paths = vec![place.run_dir(), place.data_dir(), place.netns_path().into()];
    paths.push(Path::new("/sys/class/net").join(place.link()));
    paths.extend(cgroup::dirs(place));
    traces.extend(paths.into_iter().filter(|path| path.exists()).map(|path| path.display().to_string()));
    let (run, data) = (place.run_dir().display().to_string(), place.data_dir().display().to_string());
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    traces
        .extend(mounts.lines().filter(|line| line.contains(&run) || line.contains(&data)).map(str::to_owned));
    traces.extend(processes(&[&run, &data]));
    traces
}

/// Processes, other than zombies, whose arguments name one of the directories.
fn processes(dirs: &[&str]) -> Vec<String> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let mut found = Vec::new();
    for entry in entries.filter_map(Result::ok) {
        let pid = entry.file_name().to_string_lossy().into_owned();
        if !pid.chars().all(|c| c.is_ascii_digit()) {
            continue;
        }
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if dirs.iter().any(|dir| line.contains(&format!("{dir}/"))) {
            found.push(format!("process {pid}: {line}"));
        }
    }
    found
}
