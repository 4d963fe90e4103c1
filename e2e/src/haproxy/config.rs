//! HAProxy's configuration as text: Routes and EndpointSlices in, one frontend that chooses by host and one backend
//! for each Route out. Only what the tests need of a Route: its host, its port, and its weighted Services.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::Value;

use crate::cache;

/// The label by which a slice names its Service.
const SERVICE: &str = "kubernetes.io/service-name";
/// The largest weight that HAProxy takes for a server.
const WEIGHT_MAX: f64 = 256.0;

/// The host by which HAProxy is asked for its version of the configuration.
pub(super) const SELF: &str = "version.haproxy.internal";

/// What HAProxy is to do.
#[derive(PartialEq)]
pub(super) struct Config {
    pub(super) text: String,
    /// What it answers when it is asked which configuration it has.
    pub(super) version: String,
}

/// Where the configuration is.
pub(super) fn file(dir: &Path) -> PathBuf {
    dir.join("haproxy.cfg")
}

/// The whole configuration.
pub(super) fn config(
    dir: &Path,
    listen: SocketAddr,
    routes: &[Value],
    slices: &[Arc<EndpointSlice>],
) -> Config {
    let mut backends = BTreeMap::new();
    for route in routes {
        let word = |pointer: &str| route.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (namespace, name, host) =
            (word("/metadata/namespace"), word("/metadata/name"), word("/spec/host").to_ascii_lowercase());
        // What is not a host's name would be read as configuration.
        let is_host = host.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.');
        if !host.is_empty() && is_host {
            backends.insert(format!("{namespace}_{name}"), (host, servers(route, namespace, slices)));
        }
    }
    let mut body = String::new();
    for (name, (host, _)) in &backends {
        let _infallible =
            writeln!(body, "  use_backend {name} if {{ req.hdr(host),field(1,:),lower -m str {host} }}");
    }
    body.push_str("\nbackend nothing\n  http-request return status 503\n");
    for (name, (_, servers)) in &backends {
        // Turns by weight give the shares exactly.
        let _infallible = writeln!(body, "\nbackend {name}\n  balance roundrobin");
        for (address, weight) in servers {
            let _infallible = writeln!(body, "  server {address} {address} weight {weight}");
        }
    }
    let version = cache::key_of_bytes(body.as_bytes());
    let head = format!(
        "global
  stats socket {socket} mode 600 level admin expose-fd listeners
  maxconn 1000
  hard-stop-after 30s

defaults
  mode http
  timeout connect 2s
  timeout client 30s
  timeout server 30s
  option redispatch
  # An idle connection to a pod may end with the pod, just when a request is on its way.
  option http-server-close
  # A worker that has to stop answers once more on each connection that clients keep.
  option idle-close-on-response

frontend routes
  bind {listen}
  http-request return status 200 content-type text/plain string {version} if {{ req.hdr(host) -m str {SELF} }}
  default_backend nothing
",
        socket = dir.join("haproxy.sock").display(),
    );
    Config { text: head + &body, version }
}

/// The servers of a Route: each Service's weight is divided over its ready endpoints.
fn servers(route: &Value, namespace: &str, slices: &[Arc<EndpointSlice>]) -> BTreeMap<SocketAddr, i64> {
    let port = &route["spec"]["port"]["targetPort"];
    let others = route["spec"]["alternateBackends"].as_array().into_iter().flatten();
    let mut shares: BTreeMap<SocketAddr, f64> = BTreeMap::new();
    for service in std::iter::once(&route["spec"]["to"]).chain(others) {
        let name = service["name"].as_str().unwrap_or_default();
        // A Service without a weight counts as one with 100.
        let weight = service["weight"].as_i64().unwrap_or(100).clamp(0, 256);
        let ready = ready(namespace, name, port, slices);
        for address in ready.iter().filter(|_| weight > 0) {
            *shares.entry(*address).or_default() += weight as f64 / ready.len() as f64;
        }
    }
    let largest = shares.values().copied().fold(0.0, f64::max);
    let weight = |share: f64| (share / largest * WEIGHT_MAX).round().max(1.0) as i64;
    shares.into_iter().map(|(address, share)| (address, weight(share))).collect()
}

/// The ready endpoints of a Service, at the port that the Route names or at the first there is.
fn ready(namespace: &str, service: &str, port: &Value, slices: &[Arc<EndpointSlice>]) -> Vec<SocketAddr> {
    let mut ready = Vec::new();
    let of_service = |slice: &&Arc<EndpointSlice>| {
        let labels = slice.metadata.labels.as_ref();
        slice.metadata.namespace.as_deref() == Some(namespace)
            && labels.and_then(|labels| labels.get(SERVICE)).is_some_and(|name| name == service)
    };
    for slice in slices.iter().filter(of_service) {
        let is_meant = |number: Option<i32>, name: Option<&str>| match (port.as_i64(), port.as_str()) {
            (Some(wanted), _) => number.map(i64::from) == Some(wanted),
            (None, Some(wanted)) => name == Some(wanted),
            (None, None) => true,
        };
        let ports = slice.ports.as_deref().unwrap_or_default();
        let port = ports.iter().find(|port| is_meant(port.port, port.name.as_deref()));
        let Some(port) = port.and_then(|port| u16::try_from(port.port?).ok()) else { continue };
        for endpoint in &slice.endpoints {
            let is_ready =
                endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true);
            let address = endpoint.addresses.first().and_then(|address| address.parse::<IpAddr>().ok());
            ready.extend(address.filter(|_| is_ready).map(|address| SocketAddr::new(address, port)));
        }
    }
    ready.sort();
    ready.dedup();
    ready
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn slice(service: &str, addresses: &[(&str, bool)]) -> Arc<EndpointSlice> {
        let endpoints: Vec<Value> = addresses
            .iter()
            .map(|(address, ready)| json!({"addresses": [address], "conditions": {"ready": ready}}))
            .collect();
        let slice = json!({
            "metadata": {"namespace": "n", "name": service, "labels": {SERVICE: service}},
            "addressType": "IPv4", "ports": [{"name": "http", "port": 8080}], "endpoints": endpoints,
        });
        Arc::new(serde_json::from_value(slice).unwrap())
    }

    fn weights(spec: Value) -> Vec<(String, i64)> {
        let route = json!({"metadata": {"namespace": "n", "name": "r"}, "spec": spec});
        let slices = [
            slice("a", &[("10.0.0.1", true), ("10.0.0.2", true), ("10.0.0.3", true), ("10.0.0.4", true)]),
            slice("b", &[("10.0.1.1", true), ("10.0.1.2", false)]),
            slice("empty", &[]),
        ];
        servers(&route, "n", &slices)
            .into_iter()
            .map(|(address, weight)| (address.to_string(), weight))
            .collect()
    }

    #[test]
    fn a_service_s_weight_is_divided_over_its_ready_endpoints() {
        let all = |spec: Value| weights(spec).into_iter().map(|(_, weight)| weight).collect::<Vec<_>>();
        let to = json!({"name": "a", "weight": 80});
        assert_eq!(all(json!({"to": to, "alternateBackends": [{"name": "b", "weight": 20}]})), [256; 5]);
        let to = json!({"name": "a", "weight": 40});
        assert_eq!(
            all(json!({"to": to, "alternateBackends": [{"name": "b", "weight": 60}]})),
            [43, 43, 43, 43, 256]
        );
        assert_eq!(all(json!({"to": to, "alternateBackends": [{"name": "empty", "weight": 60}]})), [256; 4]);
        assert_eq!(all(json!({"to": to, "alternateBackends": [{"name": "b", "weight": 0}]})), [256; 4]);
        assert_eq!(all(json!({"to": {"name": "a", "weight": 0}, "alternateBackends": []})), [0; 0]);
        let spec = json!({"to": to, "port": {"targetPort": "https"}});
        assert!(weights(spec).is_empty(), "no endpoint has that port");
    }

    #[test]
    fn what_is_no_host_is_left_out() {
        let route = |name: &str, host: &str| json!({"metadata": {"namespace": "n", "name": name}, "spec": {"host": host, "to": {"name": "a"}}});
        let routes = [route("good", "Shop.example.com"), route("bad", "x }\n  bind :1")];
        let Config { text, .. } = config(
            Path::new("/d"),
            ([127, 0, 0, 1], 80).into(),
            &routes,
            &[slice("a", &[("10.0.0.1", true)])],
        );
        assert!(
            text.contains("use_backend n_good if { req.hdr(host),field(1,:),lower -m str shop.example.com }")
        );
        assert!(text.contains(
            "backend n_good\n  balance roundrobin\n  server 10.0.0.1:8080 10.0.0.1:8080 weight 256"
        ));
        assert!(!text.contains("bad"), "{text}");
    }
}
