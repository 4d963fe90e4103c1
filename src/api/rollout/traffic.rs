//! Routers of a canary and their settings.

use crate::omit::{blank, empty};
use crate::raw::free_object;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Routers that split the traffic; several may be set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RolloutTrafficRouting {
    /// Istio.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub istio: Option<IstioTrafficRouting>,
    /// NGINX Ingress.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nginx: Option<NginxTrafficRouting>,
    /// AWS load balancer controller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alb: Option<AlbTrafficRouting>,
    /// Service Mesh Interface.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smi: Option<SmiTrafficRouting>,
    /// Ambassador.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ambassador: Option<AmbassadorTrafficRouting>,
    /// AWS App Mesh.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_mesh: Option<AppMeshTrafficRouting>,
    /// Traefik.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traefik: Option<TraefikTrafficRouting>,
    /// Routes that steps may create, in order of precedence.
    // What is wrong with a step that needs one is told differently for no list and for an empty one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub managed_routes: Option<Vec<ManagedRoute>>,
    /// APISIX.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub apisix: Option<ApisixTrafficRouting>,
    /// Settings of router plugins by plugin name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "free_object")]
    pub plugins: BTreeMap<String, Value>,
    /// Weight that means all traffic; 100 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_traffic_weight: Option<i32>,
}

/// Route that steps may create.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name"]))]
pub struct ManagedRoute {
    /// Name of the route.
    pub name: String,
}

/// Settings for Istio.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct IstioTrafficRouting {
    /// VirtualService to change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtual_service: Option<IstioVirtualService>,
    /// DestinationRule to change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination_rule: Option<IstioDestinationRule>,
    /// VirtualServices to change, in place of virtualService.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub virtual_services: Vec<IstioVirtualService>,
}

/// VirtualService and its routes to change.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name"]))]
pub struct IstioVirtualService {
    /// Name, optionally followed by a dot and the namespace.
    pub name: String,
    /// HTTP routes by name; the only one when absent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<String>,
    /// TLS routes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tls_routes: Vec<TlsRoute>,
    /// TCP routes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tcp_routes: Vec<TcpRoute>,
}

/// TLS route of a VirtualService.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TlsRoute {
    /// Port of the route.
    #[serde(skip_serializing_if = "empty")]
    pub port: i64,
    /// All SNI hosts of the route.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sni_hosts: Vec<String>,
}

/// TCP route of a VirtualService.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TcpRoute {
    /// Port of the route.
    #[serde(skip_serializing_if = "empty")]
    pub port: i64,
}

/// DestinationRule and its subsets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name", "canarySubsetName", "stableSubsetName"]))]
pub struct IstioDestinationRule {
    /// Name of the DestinationRule.
    pub name: String,
    /// Subset of the canary.
    pub canary_subset_name: String,
    /// Subset of the stable version.
    pub stable_subset_name: String,
    /// Subsets that are left as they are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub additional_subset_names: Vec<String>,
}

/// Settings for the NGINX Ingress controller.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NginxTrafficRouting {
    /// Prefix of the annotations; nginx.ingress.kubernetes.io when absent.
    #[serde(skip_serializing_if = "blank")]
    pub annotation_prefix: Option<String>,
    /// Ingress of the stable Service.
    #[serde(skip_serializing_if = "blank")]
    pub stable_ingress: Option<String>,
    /// Annotations of the canary Ingress; the prefix is added where missing.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub additional_ingress_annotations: BTreeMap<String, String>,
    /// Ingresses of the stable Service, in place of stableIngress.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stable_ingresses: Vec<String>,
    /// Annotations of the canary Ingress as they are.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub canary_ingress_annotations: BTreeMap<String, String>,
}

/// Settings for the AWS load balancer controller.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["servicePort"]))]
pub struct AlbTrafficRouting {
    /// Ingress to annotate.
    #[serde(skip_serializing_if = "blank")]
    pub ingress: Option<String>,
    /// Port of the Services.
    pub service_port: i32,
    /// Service in the Ingress that stands for the action; stableService when absent.
    #[serde(skip_serializing_if = "blank")]
    pub root_service: Option<String>,
    /// Prefix of the annotations; alb.ingress.kubernetes.io when absent.
    #[serde(skip_serializing_if = "blank")]
    pub annotation_prefix: Option<String>,
    /// Stickiness of the target groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stickiness_config: Option<StickinessConfig>,
    /// Ingresses to annotate, in place of ingress.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ingresses: Vec<String>,
}

/// Stickiness of target groups.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["enabled", "durationSeconds"]))]
pub struct StickinessConfig {
    /// Whether it is on.
    pub enabled: bool,
    /// Seconds from 1 to 604800.
    pub duration_seconds: i64,
}

/// Settings for the Service Mesh Interface.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SmiTrafficRouting {
    /// Service that clients use; stableService when absent.
    #[serde(skip_serializing_if = "blank")]
    pub root_service: Option<String>,
    /// Name of the TrafficSplit; that of the Rollout when absent.
    #[serde(skip_serializing_if = "blank")]
    pub traffic_split_name: Option<String>,
}

/// Settings for Ambassador.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["mappings"]))]
pub struct AmbassadorTrafficRouting {
    /// Names of the Mappings.
    pub mappings: Vec<String>,
}

/// Settings for AWS App Mesh.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AppMeshTrafficRouting {
    /// VirtualService whose router is changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtual_service: Option<AppMeshVirtualService>,
    /// VirtualNodes of both versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtual_node_group: Option<AppMeshVirtualNodeGroup>,
}

/// VirtualService of App Mesh.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name"]))]
pub struct AppMeshVirtualService {
    /// Name of the VirtualService.
    pub name: String,
    /// Routes by name; the only one when absent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<String>,
}

/// VirtualNodes of both versions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["canaryVirtualNodeRef", "stableVirtualNodeRef"]))]
pub struct AppMeshVirtualNodeGroup {
    /// VirtualNode of the canary.
    pub canary_virtual_node_ref: Option<AppMeshVirtualNodeReference>,
    /// VirtualNode of the stable version.
    pub stable_virtual_node_ref: Option<AppMeshVirtualNodeReference>,
}

/// Reference to a VirtualNode.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name"]))]
pub struct AppMeshVirtualNodeReference {
    /// Name of the VirtualNode.
    pub name: String,
}

/// Settings for Traefik.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["weightedTraefikServiceName"]))]
pub struct TraefikTrafficRouting {
    /// Name of the TraefikService.
    pub weighted_traefik_service_name: String,
}

/// Settings for APISIX.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ApisixTrafficRouting {
    /// ApisixRoute to change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<ApisixRoute>,
}

/// ApisixRoute and its rules.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name"]))]
pub struct ApisixRoute {
    /// Name of the ApisixRoute.
    pub name: String,
    /// Rules by name; the one named like the route when absent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
}
