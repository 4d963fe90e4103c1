//! Where one cluster lives on the machine: its directories, its network and its
//! control group, all derived from its name and one small number.

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::cluster::process::{self, Identity};
use crate::command::{exists, run};

const RUN: &str = "/run/tidegate";
const DATA: &str = "/var/lib/tidegate";
const NETNS: &str = "/run/netns";
const KUBELET: &str = "/var/lib/kubelet";

/// One cluster's record, kept until the last trace of it is removed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) name: String,
    /// Chooses the network 10.99.`index`.0/24.
    pub(crate) index: u8,
    /// The process whose end is the cluster's end; none for a cluster that a person keeps.
    pub(crate) owner: Option<Identity>,
}

impl Place {
    /// Claims a name and a free network.
    pub(crate) fn claim(name: &str, owner: Option<Identity>) -> Result<Self> {
        let valid = !name.is_empty()
            && name.len() <= 24
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if !valid {
            bail!("cluster name {name:?}: use at most 24 lower-case letters, digits and dashes");
        }
        let _lock = lock()?;
        let taken = Self::list()?;
        if taken.iter().any(|place| place.name == name) {
            bail!(
                "a cluster {name} exists: use another name, or remove it with `cargo run -p e2e -- cluster down {name}`"
            );
        }
        let index = (1..=250)
            .find(|index| !taken.iter().any(|place| place.index == *index) && !has_link(*index))
            .context("no free network 10.99.N.0/24: remove a cluster")?;
        let place = Self { name: name.to_owned(), index, owner };
        for dir in [place.run_dir(), place.data_dir(), place.log_dir()] {
            fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        }
        fs::write(place.record(), serde_json::to_vec(&place)?)
            .with_context(|| format!("cannot write {}", place.record().display()))?;
        Ok(place)
    }

    /// Every cluster of which something may be left.
    pub(crate) fn list() -> Result<Vec<Self>> {
        let mut places = Vec::new();
        let Ok(entries) = fs::read_dir(RUN) else { return Ok(places) };
        for entry in entries {
            let record = entry?.path().join("cluster.json");
            // A record that is being removed, or was never finished, has nothing behind it.
            let Ok(text) = fs::read(&record) else { continue };
            if let Ok(place) = serde_json::from_slice(&text) {
                places.push(place);
            }
        }
        places.sort_by(|a: &Self, b: &Self| a.name.cmp(&b.name));
        Ok(places)
    }

    pub(crate) fn find(name: &str) -> Result<Option<Self>> {
        Ok(Self::list()?.into_iter().find(|place| place.name == name))
    }

    /// Whether the process that the cluster belonged to is gone.
    pub(crate) fn is_orphan(&self) -> bool {
        self.owner.as_ref().is_some_and(|owner| !owner.is_alive())
    }

    /// Sockets, process ids, container mounts.
    pub(crate) fn run_dir(&self) -> PathBuf {
        Path::new(RUN).join(&self.name)
    }

    /// Everything that may grow.
    pub(crate) fn data_dir(&self) -> PathBuf {
        Path::new(DATA).join(&self.name)
    }

    pub(crate) fn log_dir(&self) -> PathBuf {
        self.data_dir().join("log")
    }

    pub(crate) fn pki_dir(&self) -> PathBuf {
        self.run_dir().join("pki")
    }

    pub(crate) fn kubeconfig(&self, user: &str) -> PathBuf {
        self.pki_dir().join(format!("{user}.kubeconfig"))
    }

    pub(crate) fn containerd_socket(&self) -> PathBuf {
        self.run_dir().join("containerd.sock")
    }

    pub(crate) fn record(&self) -> PathBuf {
        self.run_dir().join("cluster.json")
    }

    /// The network namespace's name.
    pub(crate) fn netns(&self) -> String {
        format!("tidegate-{}", self.name)
    }

    pub(crate) fn netns_path(&self) -> String {
        format!("/run/netns/{}", self.netns())
    }

    /// The host's end of the one link into the namespace.
    pub(crate) fn link(&self) -> String {
        link(self.index)
    }

    pub(crate) fn host_address(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 99, self.index, 1)
    }

    /// The node's address: API server, data plane, Prometheus and Git listen here.
    pub(crate) fn node_address(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 99, self.index, 2)
    }

    pub(crate) fn node_name(&self) -> String {
        format!("{}-node", self.name)
    }

    /// The control group, below each hierarchy's root.
    pub(crate) fn cgroup(&self) -> String {
        format!("tidegate/{}", self.name)
    }
}

/// Serialises claims and removals of all harness processes on the machine.
pub(crate) fn lock() -> Result<File> {
    fs::create_dir_all(RUN).with_context(|| format!("cannot create {RUN}"))?;
    let path = Path::new(RUN).join("lock");
    loop {
        let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
        file.lock()?;
        // Whoever held it before may have removed it with the last cluster.
        let is_current =
            fs::metadata(&path).is_ok_and(|now| file.metadata().is_ok_and(|mine| mine.ino() == now.ino()));
        if is_current {
            return Ok(file);
        }
        fs::create_dir_all(RUN).with_context(|| format!("cannot create {RUN}"))?;
    }
}

/// Removes what all clusters share when the last one is gone.
pub(crate) fn tidy() {
    if !Place::list().is_ok_and(|places| places.is_empty()) {
        return;
    }
    let _lock = fs::remove_file(Path::new(RUN).join("lock"));
    // Directories that are not empty stay.
    for dir in [RUN, DATA] {
        let _stays = fs::remove_dir(dir);
    }
    // `ip netns` mounts this directory on itself and never lets go of it.
    if is_empty(Path::new(NETNS)) && run("umount", &[NETNS]).is_ok() {
        let _stays = fs::remove_dir(NETNS);
    }
    // kubelet puts this one socket where it cannot be told otherwise. A kubelet
    // of the machine's own would have more here.
    let plugins = Path::new(KUBELET).join("device-plugins");
    let only_ours = |dir: &Path, name: &str| {
        fs::read_dir(dir)
            .is_ok_and(|entries| entries.filter_map(Result::ok).all(|entry| entry.file_name() == name))
    };
    if only_ours(Path::new(KUBELET), "device-plugins") && only_ours(&plugins, "kubelet.sock") {
        let _gone = fs::remove_dir_all(KUBELET);
    }
}

fn is_empty(dir: &Path) -> bool {
    fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_none())
}

fn link(index: u8) -> String {
    format!("tidegate{index}")
}

fn has_link(index: u8) -> bool {
    Path::new("/sys/class/net").join(link(index)).exists()
}

/// The harness process itself, as the owner of a cluster.
pub(crate) fn myself() -> Result<Identity> {
    if !exists("nsenter") {
        bail!("nsenter is missing: apt-get install -y util-linux");
    }
    process::Identity::of(std::process::id()).context("this process has no entry in /proc")
}
