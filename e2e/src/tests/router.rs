//! The routers that a shop can be behind: the route each of them wants, where its weight stands, and where the data
//! plane listens that obeys it.

use std::net::SocketAddr;

use anyhow::Result;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::foreign;
use crate::scene::Scene;

/// An Ingress; NGINX's canary is a second one, which the controller makes. `HOST` and `NOTE` are filled in, in all three.
const INGRESS: &str = r#"
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: shop, annotations: {example.com/note: "NOTE"}}
spec:
  ingressClassName: nginx
  rules:
    - host: HOST
      http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: shop-stable, port: {number: 80}}}}]}
"#;

/// Two rules, since all that name the stable Service are weighed; the note stands in the same atomic list as the weights.
const HTTPROUTE: &str = r#"
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop}
spec:
  parentRefs: [{name: web, namespace: gateways}]
  hostnames: [HOST]
  rules:
    - matches: [{path: {type: PathPrefix, value: /}}]
      filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: x-note, value: "NOTE"}]}}]
      backendRefs: [{name: shop-stable, port: 80, weight: 100}, {name: shop-canary, port: 80, weight: 0}]
    - matches: [{path: {type: PathPrefix, value: /cart}}]
      backendRefs: [{name: shop-stable, port: 80, weight: 100}, {name: shop-canary, port: 80, weight: 0}]
"#;

const ROUTE: &str = r#"
apiVersion: route.openshift.io/v1
kind: Route
metadata: {name: shop}
spec:
  host: HOST
  to: {kind: Service, name: shop-stable, weight: 100}
  port: {targetPort: 8080}
  httpHeaders: {actions: {response: [{name: x-note, action: {type: Set, set: {value: "NOTE"}}}]}}
"#;

/// One way to split traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Router {
    Nginx,
    Gateway,
    OpenShift,
}

/// An object of a kind without a Rust type.
pub(super) struct Named {
    pub(super) kind: (&'static str, &'static str),
    pub(super) name: &'static str,
}

impl Router {
    /// What a Rollout says of it.
    pub(super) fn routing(self) -> Value {
        match self {
            Self::Nginx => json!({"nginx": {"stableIngress": "shop"}}),
            Self::Gateway => json!({"plugins": {"argoproj-labs/gatewayAPI": {"httpRoute": "shop"}}}),
            Self::OpenShift => json!({"plugins": {"argoproj-labs/openshift": {"routes": ["shop"]}}}),
        }
    }

    /// Where requests go, with the host in their Host header.
    pub(super) fn data_plane(self, cluster: &Cluster) -> Result<SocketAddr> {
        match self {
            Self::Nginx | Self::Gateway => cluster.ingress(),
            Self::OpenShift => cluster.openshift_router(),
        }
    }

    /// The route of the shop.
    pub(super) fn manifest(self, host: &str, note: &str) -> String {
        let text = match self {
            Self::Nginx => INGRESS,
            Self::Gateway => HTTPROUTE,
            Self::OpenShift => ROUTE,
        };
        text.replace("HOST", host).replace("NOTE", note)
    }

    /// The route that a manifest makes.
    pub(super) fn route(self) -> Named {
        let kind = match self {
            Self::Nginx => ("networking.k8s.io/v1", "Ingress"),
            Self::Gateway => ("gateway.networking.k8s.io/v1", "HTTPRoute"),
            Self::OpenShift => foreign::ROUTE,
        };
        Named { kind, name: "shop" }
    }

    /// The object that the weight stands in.
    pub(super) fn weighed(self) -> Named {
        match self {
            Self::Nginx => Named { kind: self.route().kind, name: "shop-shop-canary" },
            Self::Gateway | Self::OpenShift => self.route(),
        }
    }

    /// Where the note stands in the route.
    pub(super) fn note(self) -> &'static str {
        match self {
            Self::Nginx => "/metadata/annotations/example.com~1note",
            Self::Gateway => "/spec/rules/0/filters/0/responseHeaderModifier/set/0/value",
            Self::OpenShift => "/spec/httpHeaders/actions/response/0/action/set/value",
        }
    }

    /// The canary's weights as they stand in the weighed object, one for each rule.
    pub(super) fn weights(self, object: &Value) -> Vec<i64> {
        let of = |backends: &Value| {
            let canary =
                backends.as_array().into_iter().flatten().find(|backend| backend["name"] == "shop-canary");
            canary.and_then(|backend| backend["weight"].as_i64()).unwrap_or(0)
        };
        match self {
            Self::Nginx => {
                let text = &object["metadata"]["annotations"]["nginx.ingress.kubernetes.io/canary-weight"];
                vec![text.as_str().and_then(|text| text.parse().ok()).unwrap_or(0)]
            }
            Self::Gateway => object["spec"]["rules"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|r| of(&r["backendRefs"]))
                .collect(),
            Self::OpenShift => vec![of(&object["spec"]["alternateBackends"])],
        }
    }

    /// The canary's weights when all of the shop's rules have this one.
    pub(super) fn everywhere(self, weight: i64) -> Vec<i64> {
        match self {
            Self::Nginx | Self::OpenShift => vec![weight],
            Self::Gateway => vec![weight; 2],
        }
    }

    /// Waits until the cluster knows the kind: one of them comes only while the tests run.
    pub(super) async fn until_known(self, scene: &Scene) -> Result<()> {
        let (api_version, kind) = self.route().kind;
        foreign::until_known(&scene.client(), api_version, kind).await.map(drop)
    }
}
