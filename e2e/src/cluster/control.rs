//! The control plane: etcd, the API server with RBAC, the controller manager
//! and the scheduler, each with a certificate of its own.

use anyhow::Result;

use crate::cluster::network::SERVICES;
use crate::cluster::place::Place;
use crate::cluster::process::Processes;
use crate::tools::ControlPlane;

const ETCD: &str = "http://127.0.0.1:2379";
const ETCD_PEER: &str = "http://127.0.0.1:2380";

/// Requests per second that the controller manager and the scheduler may send.
pub(crate) const REQUESTS_PER_SECOND: u32 = 200;

/// Starts what the API needs, the API server with further flags.
pub(crate) fn start_api(
    place: &Place,
    tools: &ControlPlane,
    processes: &Processes,
    further: &[(&str, &str)],
) -> Result<()> {
    let data = place.data_dir().join("etcd").display().to_string();
    processes.start(
        "etcd",
        &tools.etcd,
        &flags(&[
            ("data-dir", &data),
            ("listen-client-urls", ETCD),
            ("advertise-client-urls", ETCD),
            ("listen-peer-urls", ETCD_PEER),
            ("initial-advertise-peer-urls", ETCD_PEER),
            ("initial-cluster", &format!("default={ETCD_PEER}")),
            ("log-level", "warn"),
            // The data need not survive a power cut.
            ("unsafe-no-fsync", "true"),
        ]),
        &[],
    )?;
    let file = |name: &str| place.pki_dir().join(name).display().to_string();
    let address = place.node_address().to_string();
    let mut args = flags(&[
        ("etcd-servers", ETCD),
        ("advertise-address", &address),
        ("bind-address", &address),
        ("secure-port", "6443"),
        ("tls-cert-file", &file("apiserver.crt")),
        ("tls-private-key-file", &file("apiserver.key")),
        ("client-ca-file", &file("ca.crt")),
        ("kubelet-client-certificate", &file("kubelet-client.crt")),
        ("kubelet-client-key", &file("kubelet-client.key")),
        ("service-account-issuer", "https://kubernetes.default.svc.cluster.local"),
        ("service-account-signing-key-file", &file("accounts.key")),
        ("service-account-key-file", &file("accounts.pub")),
        ("service-cluster-ip-range", SERVICES),
        ("authorization-mode", "Node,RBAC"),
        // The node has no name that a resolver knows.
        ("kubelet-preferred-address-types", "InternalIP"),
        ("enable-admission-plugins", "NodeRestriction"),
        ("allow-privileged", "true"),
    ]);
    args.extend(flags(further));
    processes.start("kube-apiserver", &tools.kubernetes("kube-apiserver"), &args, &[])
}

/// Starts what needs the API.
pub(crate) fn start_controllers(
    place: &Place,
    tools: &ControlPlane,
    processes: &Processes,
    per_second: u32,
) -> Result<()> {
    let (qps, burst) = (per_second.to_string(), (2 * per_second).to_string());
    let file = |name: &str| place.pki_dir().join(name).display().to_string();
    let kubeconfig = |user: &str| place.kubeconfig(user).display().to_string();
    let manager = kubeconfig("kube-controller-manager");
    processes.start(
        "kube-controller-manager",
        &tools.kubernetes("kube-controller-manager"),
        &flags(&[
            ("kubeconfig", &manager),
            ("authentication-kubeconfig", &manager),
            ("authorization-kubeconfig", &manager),
            ("bind-address", "127.0.0.1"),
            ("root-ca-file", &file("ca.crt")),
            ("service-account-private-key-file", &file("accounts.key")),
            ("use-service-account-credentials", "true"),
            ("flex-volume-plugin-dir", &place.data_dir().join("volume-plugins").display().to_string()),
            ("leader-elect", "false"),
            ("kube-api-qps", &qps),
            ("kube-api-burst", &burst),
        ]),
        &[],
    )?;
    let scheduler = kubeconfig("kube-scheduler");
    processes.start(
        "kube-scheduler",
        &tools.kubernetes("kube-scheduler"),
        &flags(&[
            ("kubeconfig", &scheduler),
            ("authentication-kubeconfig", &scheduler),
            ("authorization-kubeconfig", &scheduler),
            ("bind-address", "127.0.0.1"),
            ("leader-elect", "false"),
            ("kube-api-qps", &qps),
            ("kube-api-burst", &burst),
        ]),
        &[],
    )
}

/// Spells flags the way all of these programs read them.
pub(crate) fn flags(pairs: &[(&str, &str)]) -> Vec<String> {
    pairs.iter().map(|(name, value)| format!("--{name}={value}")).collect()
}
