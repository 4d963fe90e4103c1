//! The node: containerd with runc and the `ptp` network plugin, kubelet, and
//! kube-proxy on nftables. Every path either of them writes to is the cluster's own.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::json;

use crate::cluster::control::flags;
use crate::cluster::network::{PODS, SERVICE_DNS};
use crate::cluster::place::Place;
use crate::cluster::process::Processes;
use crate::command::run;
use crate::images::PAUSE;
use crate::packages::cni_dir;
use crate::tools::Tools;

/// Starts containerd. It needs no API, so it starts first.
pub(crate) fn start_runtime(place: &Place, processes: &Processes) -> Result<()> {
    let conf = place.run_dir().join("cni");
    fs::create_dir_all(&conf)?;
    fs::write(conf.join("10-pods.conflist"), serde_json::to_vec(&pod_network(place))?)?;
    let path = place.run_dir().join("containerd.toml");
    fs::write(&path, containerd_config(place, cni_dir()?))
        .with_context(|| format!("cannot write {}", path.display()))?;
    processes.start(
        "containerd",
        &PathBuf::from("containerd"),
        &flags(&[("config", &path.display().to_string())]),
        &[],
    )
}

/// Loads an image archive into containerd, for kubelet to find.
pub(crate) fn import(place: &Place, archive: &std::path::Path) -> Result<()> {
    let socket = place.containerd_socket().display().to_string();
    let archive = archive.display().to_string();
    run("ctr", &["-a", &socket, "-n", "k8s.io", "images", "import", &archive])
}

/// Starts kubelet and kube-proxy.
pub(crate) fn start(place: &Place, tools: &Tools, processes: &Processes) -> Result<()> {
    let config = place.run_dir().join("kubelet.yaml");
    fs::write(&config, serde_json::to_vec_pretty(&kubelet_config(place))?)
        .with_context(|| format!("cannot write {}", config.display()))?;
    let (node, address) = (place.node_name(), place.node_address().to_string());
    processes.start(
        "kubelet",
        &tools.control.kubernetes("kubelet"),
        &flags(&[
            ("config", &config.display().to_string()),
            ("kubeconfig", &place.kubeconfig("kubelet").display().to_string()),
            ("hostname-override", &node),
            ("node-ip", &address),
            ("root-dir", &place.data_dir().join("kubelet").display().to_string()),
            ("cert-dir", &place.data_dir().join("kubelet/pki").display().to_string()),
        ]),
        &[],
    )?;
    processes.start(
        "kube-proxy",
        &tools.control.kubernetes("kube-proxy"),
        &flags(&[
            ("kubeconfig", &place.kubeconfig("kube-proxy").display().to_string()),
            ("hostname-override", &node),
            ("proxy-mode", "nftables"),
            ("cluster-cidr", PODS),
            ("healthz-bind-address", "127.0.0.1:10256"),
            ("metrics-bind-address", "127.0.0.1:10249"),
            // Zero leaves the machine's connection tracking as it is.
            ("conntrack-max-per-core", "0"),
            ("conntrack-tcp-timeout-established", "0"),
            ("conntrack-tcp-timeout-close-wait", "0"),
        ]),
        &[],
    )
}

/// A link of its own for each pod. On a shared bridge, an answer from one pod
/// to another would bypass the translation of Service addresses.
fn pod_network(place: &Place) -> serde_json::Value {
    json!({
        "cniVersion": "1.0.0",
        "name": place.netns(),
        "plugins": [{
            "type": "ptp",
            "ipMasq": false,
            "ipam": {
                "type": "host-local",
                "dataDir": place.run_dir().join("addresses"),
                "ranges": [[{"subnet": PODS}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        }],
    })
}

fn containerd_config(place: &Place, cni_dir: &str) -> String {
    let run = place.run_dir().display().to_string();
    let data = place.data_dir().display().to_string();
    format!(
        r#"version = 2
root = "{data}/containerd"
state = "{run}/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]

[grpc]
  address = "{run}/containerd.sock"

[plugins."io.containerd.internal.v1.opt"]
  path = "{data}/opt"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  # Lowering a process's oom_score_adj is refused in many sandboxes, and every pod would fail.
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  disable_apparmor = true

[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "{cni_dir}"
  conf_dir = "{run}/cni"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  Root = "{run}/runc"
"#
    )
}

fn kubelet_config(place: &Place) -> serde_json::Value {
    let file = |name: &str| place.pki_dir().join(name);
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": place.node_address(),
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": file("ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{}", place.cgroup()),
        "clusterDNS": [SERVICE_DNS],
        "clusterDomain": "cluster.local",
        "containerRuntimeEndpoint": format!("unix://{}", place.containerd_socket().display()),
        // How full the developer's disk is, is not the cluster's concern.
        "evictionHard": {"memory.available": "50Mi", "nodefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.available": "0%"},
        "failCgroupV1": false,
        "failSwapOn": false,
        "imageGCHighThresholdPercent": 100,
        "imageMinimumGCAge": "24h",
        "kubeAPIQPS": 100,
        "kubeAPIBurst": 200,
        "makeIPTablesUtilChains": false,
        "maxPods": 250,
        "oomScoreAdj": 0,
        "podLogsDir": place.data_dir().join("pods"),
        "resolvConf": "",
        "serializeImagePulls": false,
        "volumePluginDir": place.data_dir().join("volume-plugins"),
    })
}
