//! The kinds that the controller reads and writes, with their plurals. One list, so that the chart's rights can
//! be compared with it.

use kube::api::ApiResource;
use tidegate_engine::plan::Reference;
use tidegate_engine::rollout::workload::WorkloadKind;

fn kind(group: &str, version: &str, kind: &str, plural: &str) -> ApiResource {
    let api_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version,
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    }
}

pub(crate) fn rollout() -> ApiResource {
    kind("argoproj.io", "v1alpha1", "Rollout", "rollouts")
}

pub(crate) fn analysis_run() -> ApiResource {
    kind("argoproj.io", "v1alpha1", "AnalysisRun", "analysisruns")
}

pub(crate) fn experiment() -> ApiResource {
    kind("argoproj.io", "v1alpha1", "Experiment", "experiments")
}

pub(crate) fn analysis_template() -> ApiResource {
    kind("argoproj.io", "v1alpha1", "AnalysisTemplate", "analysistemplates")
}

pub(crate) fn cluster_analysis_template() -> ApiResource {
    kind("argoproj.io", "v1alpha1", "ClusterAnalysisTemplate", "clusteranalysistemplates")
}

pub(crate) fn replica_set() -> ApiResource {
    kind("apps", "v1", "ReplicaSet", "replicasets")
}

pub(crate) fn deployment() -> ApiResource {
    kind("apps", "v1", "Deployment", "deployments")
}

pub(crate) fn pod_template() -> ApiResource {
    kind("", "v1", "PodTemplate", "podtemplates")
}

/// The kind of a workload that a Rollout refers to.
pub(crate) fn workload(kind: WorkloadKind) -> ApiResource {
    match kind {
        WorkloadKind::Deployment => deployment(),
        WorkloadKind::ReplicaSet => replica_set(),
        WorkloadKind::PodTemplate => pod_template(),
    }
}

pub(crate) fn job() -> ApiResource {
    kind("batch", "v1", "Job", "jobs")
}

pub(crate) fn service() -> ApiResource {
    kind("", "v1", "Service", "services")
}

pub(crate) fn pod() -> ApiResource {
    kind("", "v1", "Pod", "pods")
}

pub(crate) fn endpoint_slice() -> ApiResource {
    kind("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices")
}

pub(crate) fn ingress() -> ApiResource {
    kind("networking.k8s.io", "v1", "Ingress", "ingresses")
}

pub(crate) fn http_route() -> ApiResource {
    kind("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes")
}

pub(crate) fn grpc_route() -> ApiResource {
    kind("gateway.networking.k8s.io", "v1", "GRPCRoute", "grpcroutes")
}

pub(crate) fn openshift_route() -> ApiResource {
    kind("route.openshift.io", "v1", "Route", "routes")
}

/// The same kind in another version of its group.
pub(crate) fn in_version(kind: &ApiResource, version: &str) -> ApiResource {
    self::kind(&kind.group, version, &kind.kind, &kind.plural)
}

pub(crate) fn application() -> ApiResource {
    kind("argoproj.io", "v1alpha1", "Application", "applications")
}

pub(crate) fn app_project() -> ApiResource {
    kind("argoproj.io", "v1alpha1", "AppProject", "appprojects")
}

/// Kinds that the watches follow; the cluster-wide one only by a controller of all namespaces.
#[cfg(test)]
pub(crate) fn watched() -> [ApiResource; 15] {
    [
        rollout(),
        replica_set(),
        service(),
        endpoint_slice(),
        pod(),
        ingress(),
        analysis_run(),
        experiment(),
        analysis_template(),
        cluster_analysis_template(),
        http_route(),
        grpc_route(),
        openshift_route(),
        deployment(),
        pod_template(),
    ]
}

pub(crate) fn event() -> ApiResource {
    kind("", "v1", "Event", "events")
}

/// Kinds of routing objects that routers ask for.
pub(crate) fn routes() -> [ApiResource; 4] {
    [ingress(), http_route(), grpc_route(), openshift_route()]
}

/// Names an object of a kind, as plans do.
pub(crate) fn reference(kind: &ApiResource, name: impl Into<String>) -> Reference {
    Reference::new(&kind.api_version, &kind.kind, name)
}
