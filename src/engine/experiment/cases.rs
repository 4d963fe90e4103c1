//! Golden cases: an Experiment with its objects as a person would write them, and the plan that follows.
//!
//! Each folder in `cases/experiment` holds `world.yaml` and `plan.txt`, in the form of the cases of Rollouts. Objects
//! that the Experiment does not control are those whose names somebody else has.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use tidegate_api::experiment::Experiment;

use super::{ExperimentWorld, Taken, plan};
use crate::cases::documents;
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
        (key, Arc::new(serde_json::from_value(object["spec"].clone()).unwrap()))
    });
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
        templates: templates.collect(),
        troubles: header.troubles,
        experiment: Arc::new(experiment),
    }
}

fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases/experiment");
    let entries = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

#[test]
fn plans_are_as_written() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut wrong = Vec::new();
    for folder in folders() {
        let world = world(&folder.join("world.yaml"));
        let text = plan(&world).to_string();
        let golden = folder.join("plan.txt");
        assert_eq!(plan(&world).to_string(), text, "{} plans differently the second time", folder.display());
        if update {
            std::fs::write(&golden, &text).unwrap();
        } else if std::fs::read_to_string(&golden).unwrap_or_default() != text {
            wrong.push(format!("{}:\n{text}", folder.display()));
        }
    }
    assert!(wrong.is_empty(), "these plans differ from plan.txt:\n{}", wrong.join("\n"));
}
