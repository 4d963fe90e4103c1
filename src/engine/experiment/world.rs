//! Everything one decision about an Experiment may know, built once per round and never changed.
//!
//! Input: Kubernetes objects. Output: small typed facts. It must never know where the objects came from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use tidegate_api::analysis::AnalysisRun;
use tidegate_api::experiment::Experiment;

use crate::analysis::Template;
use crate::rollout::world::{Service, Set, TemplateKey};

/// Names the Experiment on its ReplicaSets and Services.
pub const EXPERIMENT_NAME: &str = "experiment.argoproj.io/name";
/// Names the template on the ReplicaSets and Services of an Experiment.
pub const TEMPLATE_NAME: &str = "experiment.argoproj.io/template-name";

/// Everything one decision may know. Built once per round, never changed.
#[derive(Clone, Debug)]
pub struct ExperimentWorld {
    pub now: Timestamp,
    pub experiment: Arc<Experiment>,
    /// ReplicaSets that the Experiment controls.
    pub sets: Vec<Arc<Set>>,
    /// Services that the Experiment controls.
    pub services: Vec<Arc<Service>>,
    /// AnalysisRuns that the Experiment controls.
    pub runs: Vec<Arc<AnalysisRun>>,
    /// Names in the namespace that others have.
    pub taken: Taken,
    /// Names of Services that routes of the Rollout may still send requests to.
    pub in_use: BTreeSet<String>,
    /// AnalysisTemplates of the namespace and ClusterAnalysisTemplates, by scope and name.
    pub templates: BTreeMap<TemplateKey, Arc<Template>>,
    /// Troubles that pods report, by the name of their ReplicaSet: the text of the worst one.
    pub troubles: BTreeMap<String, String>,
}

/// Names of objects that somebody else has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    pub sets: BTreeSet<String>,
    pub services: BTreeSet<String>,
    pub runs: BTreeSet<String>,
}

impl ExperimentWorld {
    /// The ReplicaSet of a template; of several the oldest, so that all rounds choose the same.
    pub(super) fn set_of(&self, template: &str) -> Option<&Set> {
        let name = self.experiment.metadata.name.as_ref();
        let of_template = |set: &&Set| {
            !set.deleting
                && set.annotations.get(EXPERIMENT_NAME) == name
                && set.annotations.get(TEMPLATE_NAME).is_some_and(|of| of == template)
        };
        let sets = self.sets.iter().map(AsRef::as_ref).filter(of_template);
        sets.min_by(|a: &&Set, b: &&Set| a.created.cmp(&b.created).then_with(|| a.name.cmp(&b.name)))
    }

    /// The Service of a template.
    pub(super) fn service_of(&self, template: &str) -> Option<&Service> {
        let name = self.experiment.metadata.name.as_ref();
        let services = self.services.iter().map(AsRef::as_ref).filter(|service: &&Service| {
            service.annotations.get(EXPERIMENT_NAME) == name
                && service.annotations.get(TEMPLATE_NAME).is_some_and(|of| of == template)
        });
        services.min_by(|a: &&Service, b: &&Service| a.name.cmp(&b.name))
    }

    pub(super) fn run(&self, name: &str) -> Option<&AnalysisRun> {
        self.runs.iter().map(AsRef::as_ref).find(|run| run.metadata.name.as_deref() == Some(name))
    }
}

/// The owner reference that makes an Experiment the controller of an object.
#[must_use]
pub fn owner_reference(experiment: &Experiment) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Experiment",
        "name": experiment.metadata.name,
        "uid": experiment.metadata.uid,
        "controller": true,
        "blockOwnerDeletion": true,
    })
}
