//! The cluster's network namespace: one link to the host, no way out. Pods get
//! 10.244.0.0/24 and Services 10.96.0.0/16, the same in every cluster, since no
//! two share a namespace.

use anyhow::{Context, Result};

use crate::cluster::place::Place;
use crate::command::run;

pub(crate) const PODS: &str = "10.244.0.0/24";
pub(crate) const SERVICES: &str = "10.96.0.0/16";
pub(crate) const SERVICE_API: &str = "10.96.0.1";
pub(crate) const SERVICE_DNS: &str = "10.96.0.10";

/// Makes the namespace and its link.
pub(crate) fn create(place: &Place) -> Result<()> {
    let (netns, link) = (place.netns(), place.link());
    let host = format!("{}/24", place.host_address());
    let node = format!("{}/24", place.node_address());
    let steps: [&[&str]; 8] = [
        &["netns", "add", &netns],
        &["link", "add", &link, "type", "veth", "peer", "name", "eth0", "netns", &netns],
        &["addr", "add", &host, "dev", &link],
        &["link", "set", &link, "up"],
        &["-n", &netns, "addr", "add", &node, "dev", "eth0"],
        &["-n", &netns, "link", "set", "eth0", "up"],
        &["-n", &netns, "link", "set", "lo", "up"],
        // Nothing leaves the machine, and whoever tries is told so at once.
        &["-n", &netns, "route", "add", "unreachable", "default"],
    ];
    for step in steps {
        run("ip", step).with_context(|| format!("cannot make the network of cluster {}", place.name))?;
    }
    // nsenter and not `ip netns exec`: the latter remounts /sys, without cgroups.
    let enter = format!("--net={}", place.netns_path());
    run("nsenter", &[&enter, "--", "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"])
}

/// Removes the namespace, and the link with it.
pub(crate) fn remove(place: &Place) -> Result<()> {
    if std::path::Path::new(&place.netns_path()).exists() {
        run("ip", &["netns", "delete", &place.netns()])?;
    }
    if std::path::Path::new("/sys/class/net").join(place.link()).exists() {
        // The kernel takes the link down with the namespace, only a little later.
        let _gone = run("ip", &["link", "delete", &place.link()]);
    }
    Ok(())
}
