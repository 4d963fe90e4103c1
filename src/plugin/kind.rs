//! The kinds of objects that the plugin reads and writes.

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Pod, PodTemplate};
use kube::api::ApiResource;
use tidegate_api::analysis::{AnalysisRun, AnalysisTemplate, ClusterAnalysisTemplate};
use tidegate_api::experiment::Experiment;
use tidegate_api::rollout::Rollout;

/// Kind of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Rollout,
    AnalysisRun,
    Experiment,
    ReplicaSet,
    Pod,
    Deployment,
    PodTemplate,
    Application,
    AnalysisTemplate,
    ClusterAnalysisTemplate,
}

impl Kind {
    /// Returns the kind in a sentence.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Rollout => "rollout",
            Self::AnalysisRun => "analysisrun",
            Self::Experiment => "experiment",
            Self::ReplicaSet => "replicaset",
            Self::Pod => "pod",
            Self::Deployment => "deployment",
            Self::PodTemplate => "podtemplate",
            Self::Application => "application",
            Self::AnalysisTemplate => "analysistemplate",
            Self::ClusterAnalysisTemplate => "clusteranalysistemplate",
        }
    }

    /// Returns what the API calls the kind.
    pub(crate) fn resource(self) -> ApiResource {
        match self {
            Self::Rollout => ApiResource::erase::<Rollout>(&()),
            Self::AnalysisRun => ApiResource::erase::<AnalysisRun>(&()),
            Self::Experiment => ApiResource::erase::<Experiment>(&()),
            Self::ReplicaSet => ApiResource::erase::<ReplicaSet>(&()),
            Self::Pod => ApiResource::erase::<Pod>(&()),
            Self::Deployment => ApiResource::erase::<Deployment>(&()),
            Self::PodTemplate => ApiResource::erase::<PodTemplate>(&()),
            Self::AnalysisTemplate => ApiResource::erase::<AnalysisTemplate>(&()),
            Self::ClusterAnalysisTemplate => ApiResource::erase::<ClusterAnalysisTemplate>(&()),
            Self::Application => ApiResource {
                group: tidegate_api::GROUP.to_owned(),
                version: tidegate_api::VERSION.to_owned(),
                api_version: format!("{}/{}", tidegate_api::GROUP, tidegate_api::VERSION),
                kind: "Application".to_owned(),
                plural: "applications".to_owned(),
            },
        }
    }
}
