//! What a process costs, read from `/proc`.

use std::path::Path;

use anyhow::{Context, Result};

/// The unit of `/proc/PID/stat`: the same on every architecture Kubernetes runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// The resident memory of a process, in MiB.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    pub(crate) now_mib: f64,
    /// The most it ever had.
    pub(crate) peak_mib: f64,
}

/// Reads the memory of a process, by its directory below `/proc`.
pub(crate) fn memory(process: &Path) -> Result<Memory> {
    let status = std::fs::read_to_string(process.join("status")).context("the process has ended")?;
    Ok(Memory {
        now_mib: mib(&status, "VmRSS:").context("no VmRSS in /proc")?,
        peak_mib: mib(&status, "VmHWM:").context("no VmHWM in /proc")?,
    })
}

/// All processor time that a process has used since it started.
pub(crate) fn cpu_seconds(process: &Path) -> Result<f64> {
    let stat = std::fs::read_to_string(process.join("stat")).context("the process has ended")?;
    ticks(&stat).map(|ticks| ticks / TICKS_PER_SECOND).context("unreadable /proc/PID/stat")
}

/// Time in user and in kernel mode: the 12th and 13th field after the
/// program's name, which may itself hold spaces.
fn ticks(stat: &str) -> Option<f64> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some(fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?)
}

fn mib(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.split_whitespace().next()?.parse::<f64>().ok()? / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::{mib, ticks};

    #[test]
    fn proc_files_are_read() {
        let stat = "7 (a b) S 1 7 7 0 -1 4194560 1 2 3 4 150 50 0 0 20 0 9 0 100 1 1";
        assert_eq!(ticks(stat), Some(200.0));
        assert_eq!(mib("Name:\ta\nVmRSS:\t   20480 kB\n", "VmRSS:"), Some(20.0));
    }
}
