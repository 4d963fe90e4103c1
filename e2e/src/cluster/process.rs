//! The programs a cluster runs: started inside its namespace and its control
//! group, known by process id and start time, ended by the control group's own
//! list of ids, so that what they started in turn is found too.

use std::fs::{self, File, OpenOptions};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use crate::cluster::cgroup;
use crate::cluster::place::Place;
use crate::command::last_lines_of;

/// A program that was asked to end and has not by then is ended.
const STOPPED_WITHIN: Duration = Duration::from_secs(30);

/// A process id together with the time the process started, which tells it
/// from a later process with the same id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pid: u32,
    start_ticks: u64,
}

impl Identity {
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The second field is the program's name in parentheses and may itself
        // hold spaces; the start time is the 20th field after it.
        let start_ticks = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()?;
        Some(Self { pid, start_ticks })
    }

    pub(crate) fn is_alive(&self) -> bool {
        Self::of(self.pid).as_ref() == Some(self)
    }
}

/// The programs that this process has started for a cluster.
pub(crate) struct Processes {
    place: Place,
    children: Mutex<Vec<(String, Child)>>,
}

impl Processes {
    pub(crate) fn new(place: &Place) -> Self {
        Self { place: place.clone(), children: Mutex::new(Vec::new()) }
    }

    /// Starts a program inside the namespace, its output going to a log of that name.
    pub(crate) fn start(
        &self,
        name: &str,
        program: &Path,
        args: &[String],
        env: &[(&str, &str)],
    ) -> Result<()> {
        let child = self
            .spawn(program, args, env, Path::new("/"), &self.log(name))
            .with_context(|| format!("cannot start {name}"))?;
        self.children.lock().unwrap_or_else(PoisonError::into_inner).push((name.to_owned(), child));
        Ok(())
    }

    /// Starts a program in a directory inside the namespace, its output going to a file. Whoever waits for its end looks
    /// after it; at the latest it is ended with the cluster.
    pub(crate) fn spawn(
        &self,
        program: &Path,
        args: &[String],
        env: &[(&str, &str)],
        directory: &Path,
        log_path: &Path,
    ) -> Result<Child> {
        let log: File = OpenOptions::new()
            .create(true)
            .append(true)
            .open(log_path)
            .with_context(|| format!("cannot open {}", log_path.display()))?;
        let mut command = Command::new("sh");
        // The shell enters the control group before it becomes the program.
        command
            .args(["-c", "for group in $0; do echo $$ > $group/cgroup.procs || exit 1; done; exec \"$@\""])
            .arg(cgroup::host_groups(&self.place).join(" "))
            .args(["nsenter", &format!("--net={}", self.place.netns_path()), "--"])
            .arg(program)
            .args(args)
            .envs(env.iter().copied())
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // A group of its own: Ctrl-C in the terminal is for the harness,
            // which then ends the cluster in order.
            .process_group(0);
        command.spawn().with_context(|| format!("cannot start {}", program.display()))
    }

    /// Asks a program to end, and waits until it has. One that was never started has ended.
    pub(crate) async fn stop(&self, name: &str) -> Result<()> {
        let found = {
            let mut children = self.children.lock().unwrap_or_else(PoisonError::into_inner);
            let place = children.iter().position(|(known, _)| known == name);
            place.map(|place| children.remove(place).1)
        };
        let Some(mut child) = found else { return Ok(()) };
        if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
            kill_process(pid, Signal::TERM).with_context(|| format!("cannot stop {name}"))?;
        }
        let deadline = Instant::now() + STOPPED_WITHIN;
        while child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                child.kill().with_context(|| format!("cannot end {name}"))?;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Takes note of the programs that have ended, so that no zombies are left.
    pub(crate) fn collect(&self) {
        let mut children = self.children.lock().unwrap_or_else(PoisonError::into_inner);
        children.retain_mut(|(_, child)| matches!(child.try_wait(), Ok(None)));
    }

    /// The names of the programs and their process ids.
    pub(crate) fn pids(&self) -> Vec<(String, u32)> {
        let children = self.children.lock().unwrap_or_else(PoisonError::into_inner);
        children.iter().map(|(name, child)| (name.clone(), child.id())).collect()
    }

    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.place.log_dir().join(format!("{name}.log"))
    }

    /// Fails, with the end of its log, when a program has ended by itself.
    pub(crate) fn check(&self) -> Result<()> {
        let mut children = self.children.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, child) in children.iter_mut() {
            if let Some(status) = child.try_wait()? {
                bail!("{name} ended with {status}:\n{}", last_lines_of(&self.log(name), 15));
            }
        }
        Ok(())
    }

    /// Waits until `ready` is true, failing early when a program ends.
    pub(crate) async fn until(
        &self,
        what: &str,
        limit: Duration,
        mut ready: impl AsyncFnMut() -> bool,
    ) -> Result<()> {
        let start = Instant::now();
        while !ready().await {
            self.check().with_context(|| format!("while waiting for {what}"))?;
            if start.elapsed() > limit {
                bail!(
                    "{what}: not within {} s; logs are in {}",
                    limit.as_secs(),
                    self.place.log_dir().display()
                );
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }
}

impl Processes {
    /// Waits for `event`, failing early when a program ends.
    pub(crate) async fn during<T>(
        &self,
        what: &str,
        limit: Duration,
        event: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let ended = async {
            loop {
                tokio::time::sleep(Duration::from_millis(200)).await;
                if let Err(error) = self.check() {
                    return error;
                }
            }
        };
        tokio::select! {
            done = tokio::time::timeout(limit, event) => match done {
                Ok(done) => done.with_context(|| format!("cannot wait for {what}")),
                Err(_late) => bail!("{what}: not within {} s; logs are in {}", limit.as_secs(), self.place.log_dir().display()),
            },
            error = ended => Err(error).with_context(|| format!("while waiting for {what}")),
        }
    }
}

/// Ends every process of the cluster's control group, those of its pods
/// included, and waits until none is left.
pub(crate) fn end_all(place: &Place) -> Result<()> {
    let start = Instant::now();
    loop {
        let pids = cgroup::pids(place);
        if pids.is_empty() {
            return Ok(());
        }
        for pid in &pids {
            if let Some(pid) = i32::try_from(*pid).ok().and_then(Pid::from_raw) {
                // It may have ended in between.
                let _gone = kill_process(pid, Signal::KILL);
            }
        }
        if start.elapsed() > Duration::from_secs(20) {
            bail!("cluster {}: processes {pids:?} do not end", place.name);
        }
        thread::sleep(Duration::from_millis(20));
    }
}
