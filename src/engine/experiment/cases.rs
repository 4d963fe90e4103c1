//! Golden cases: an Experiment with its objects as a person would write them, and the plan that follows.
//!
//! Each folder in `cases/experiment` holds `world.yaml` and `plan.txt`, in the form of the cases of Rollouts. Objects
//! that the Experiment does not control are those whose names somebody else has. Where the Rollout is among them that
//! made it, it tells which Services are in use.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use tidegate_api::analysis::AnalysisTemplate;
use tidegate_api::experiment::Experiment;

use super::{ExperimentWorld, Taken, plan};
use crate::cases::{are_as_written, documents, folders};
use crate::rollout::experiment_services_in_use;
use crate::rollout::world::{Service, Set, TemplateKey};

fn world(path: &Path) -> ExperimentWorld {
    let (header, objects) = documents(path);
    let of_kind = |kind: &'static str| objects.iter().filter(move |object| object["kind"] == kind);
    let name = |object: &&Value| object["metadata"]["name"].as_str().unwrap().to_owned();
    let experiment: Experiment =
        serde_json::from_value(of_kind("Experiment").next().unwrap().clone()).unwrap();
    let uid = experiment.metadata.uid.clone().unwrap();
    let ours = |object: &&Value| object["metadata"]["ownerReferences"][0]["uid"] == uid.as_str();
    let theirs = |object: &&Value| !ours(object);
    let templates = of_kind("AnalysisTemplate").map(|object| {
        let key = TemplateKey { cluster: false, name: name(&object) };
        (key, Arc::new(serde_json::from_value::<AnalysisTemplate>(object.clone()).unwrap().into()))
    });
    let mut in_use = header.in_use;
    if of_kind("Rollout").next().is_some() {
        in_use.extend(experiment_services_in_use(&crate::cases::world(path)));
    }
    ExperimentWorld {
        now: header.now.unwrap_or_else(|| "2026-01-01T12:00:00Z".parse().unwrap()),
        sets: of_kind("ReplicaSet").filter(ours).map(|object| Arc::new(Set::parse(object))).collect(),
        services: of_kind("Service").filter(ours).map(|object| Arc::new(Service::parse(object))).collect(),
        runs: of_kind("AnalysisRun")
            .filter(ours)
            .map(|object| Arc::new(serde_json::from_value(object.clone()).unwrap()))
            .collect(),
        taken: Taken {
            sets: of_kind("ReplicaSet").filter(theirs).map(|object| name(&object)).collect(),
            services: of_kind("Service").filter(theirs).map(|object| name(&object)).collect(),
            runs: of_kind("AnalysisRun").filter(theirs).map(|object| name(&object)).collect(),
        },
        in_use,
        templates: templates.collect(),
        troubles: header.troubles,
        experiment: Arc::new(experiment),
    }
}

#[test]
fn plans_are_as_written() {
    let text = |folder: PathBuf| {
        let world = world(&folder.join("world.yaml"));
        let text = plan(&world).to_string();
        assert_eq!(plan(&world).to_string(), text, "{} plans differently the second time", folder.display());
        (folder.join("plan.txt"), text)
    };
    are_as_written(folders("experiment").into_iter().map(text));
}
