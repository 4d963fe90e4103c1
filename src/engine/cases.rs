//! Golden cases: a World as a person would write it, and the plan that follows, as a person would read it.
//!
//! Each folder in `cases/rollout` holds `world.yaml` and `plan.txt`. The first document of a world names the time, a
//! base of common objects, and what is not an object (endpoints, troubles); the others are objects, merged over those
//! of the base with the same kind and name. A step hash of `STEPS` stands for that of the spec. `UPDATE=1 cargo test -p tidegate-engine` writes the plans.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use json_patch::merge;
use serde::Deserialize;
use serde_json::Value;
use tidegate_api::analysis::AnalysisTemplate;
use tidegate_api::rollout::Rollout;

use crate::lint::lint;
use crate::plan::Reference;
use crate::rollout::plan;
use crate::rollout::wait::undeclared;
use crate::rollout::workload::{self, Workload, WorkloadKind};
use crate::rollout::world::{Endpoints, Experiments, Pod, Service, Set, TemplateKey, World};
use crate::view::{Explanation, Paint, render_explanation};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Header {
    pub(crate) now: Option<jiff::Timestamp>,
    base: Option<String>,
    #[serde(default)]
    endpoints: BTreeMap<String, BTreeMap<String, i32>>,
    #[serde(default)]
    pub(crate) troubles: BTreeMap<String, String>,
    /// Kinds of routing objects that cannot be read, and why.
    #[serde(default)]
    unread: BTreeMap<String, String>,
    #[serde(default)]
    digests: BTreeMap<String, BTreeMap<String, String>>,
    #[serde(default)]
    holds: bool,
    /// Services of an Experiment that routes of its Rollout lead to.
    #[serde(default)]
    pub(crate) in_use: BTreeSet<String>,
}

/// Kinds of routing objects.
const ROUTES: [&str; 4] = ["Ingress", "HTTPRoute", "GRPCRoute", "Route"];

pub(crate) fn documents(path: &Path) -> (Header, Vec<Value>) {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
    let header: Header = serde_json::from_value(documents.remove(0)).unwrap();
    let mut objects = Vec::new();
    if let Some(base) = &header.base {
        objects = documents_of_base(path, base);
    }
    for document in documents {
        let same = |known: &&mut Value| {
            known["kind"] == document["kind"] && known["metadata"]["name"] == document["metadata"]["name"]
        };
        match objects.iter_mut().find(same) {
            Some(known) => merge(known, &document),
            None => objects.push(document),
        }
    }
    (header, objects)
}

fn documents_of_base(path: &Path, base: &str) -> Vec<Value> {
    let folder = path.ancestors().find(|folder| folder.join(base).is_file());
    documents(&folder.unwrap_or_else(|| panic!("{}: no base {base} above it", path.display())).join(base)).1
}

pub(crate) fn world(path: &Path) -> World {
    let (header, objects) = documents(path);
    let of_kind = |kind: &'static str| objects.iter().filter(move |object| object["kind"] == kind);
    let name = |object: &Value| object["metadata"]["name"].as_str().unwrap().to_owned();
    let mut rollout: Rollout = serde_json::from_value(of_kind("Rollout").next().unwrap().clone()).unwrap();
    let reference = rollout.spec.workload_ref.as_ref();
    let kind = reference.and_then(WorkloadKind::of);
    let named = reference.and_then(|reference| reference.name.clone());
    let workload = kind.and_then(|kind| {
        let mut there = of_kind(kind_name(kind)).filter(|object| Some(name(object)) == named);
        Some(Arc::new(Workload::parse(kind, there.next()?)))
    });
    let spec = workload::parsed(&Arc::new(rollout.clone()), workload.as_deref(), None);
    if let Some(status) = rollout.status.as_mut().filter(|status| status.current_step_hash == "STEPS") {
        status.current_step_hash.clone_from(&spec.steps_hash);
    }
    let decode = |object: &Value| serde_json::from_value(object.clone()).unwrap();
    let templates = of_kind("AnalysisTemplate").map(|object| {
        let key = TemplateKey { cluster: false, name: name(object) };
        (key, Arc::new(serde_json::from_value::<AnalysisTemplate>(object.clone()).unwrap().into()))
    });
    let home = rollout.metadata.namespace.clone();
    let route = |object: &Value| {
        let text = |field: &Value| field.as_str().unwrap().to_owned();
        let elsewhere = object["metadata"]["namespace"].as_str().map(str::to_owned);
        let namespace = elsewhere.filter(|namespace| Some(namespace) != home.as_ref());
        let (api_version, kind) = (text(&object["apiVersion"]), text(&object["kind"]));
        let reference = Reference { namespace, ..Reference::new(&api_version, &kind, name(object)) };
        (reference, Arc::new(object.clone()))
    };
    let is_route = |object: &&Value| ROUTES.contains(&object["kind"].as_str().unwrap());
    World {
        now: header.now.unwrap_or_else(|| "2026-01-01T12:00:00Z".parse().unwrap()),
        spec: Arc::new(spec),
        rollout: workload::resolved(&Arc::new(rollout), workload.as_deref()),
        sets: of_kind("ReplicaSet").map(|object| Arc::new(Set::parse(object))).collect(),
        pods: of_kind("Pod").map(|object| Arc::new(Pod::parse(object))).collect(),
        services: of_kind("Service").map(|object| (name(object), Arc::new(Service::parse(object)))).collect(),
        endpoints: header
            .endpoints
            .into_iter()
            .map(|(service, ready)| (service, Endpoints { ready }))
            .collect(),
        routes: objects.iter().filter(is_route).map(route).collect(),
        unread: header.unread,
        runs: of_kind("AnalysisRun").map(|object| Arc::new(decode(object))).collect(),
        foreign_runs: BTreeSet::new(),
        experiments: Experiments {
            own: of_kind("Experiment")
                .map(|object| Arc::new(serde_json::from_value(object.clone()).unwrap()))
                .collect(),
            foreign: BTreeSet::new(),
        },
        templates: templates.collect(),
        troubles: header.troubles,
        digests: header.digests,
        holds: header.holds,
        workload,
    }
}

fn kind_name(kind: WorkloadKind) -> &'static str {
    match kind {
        WorkloadKind::Deployment => "Deployment",
        WorkloadKind::ReplicaSet => "ReplicaSet",
        WorkloadKind::PodTemplate => "PodTemplate",
    }
}

/// The folders of the cases of one kind, in order.
pub(crate) fn folders(of: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases").join(of);
    let mut folders: Vec<PathBuf> = std::fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    folders
}

/// Compares texts with golden files, or writes these anew where that is asked for.
pub(crate) fn are_as_written(texts: impl Iterator<Item = (PathBuf, String)>) {
    let update = std::env::var_os("UPDATE").is_some();
    let mut wrong = Vec::new();
    for (golden, text) in texts {
        if update {
            std::fs::write(&golden, &text).unwrap();
        } else if std::fs::read_to_string(&golden).unwrap_or_default() != text {
            wrong.push(format!("{}:\n{text}", golden.display()));
        }
    }
    assert!(wrong.is_empty(), "these differ from their golden files:\n{}", wrong.join("\n"));
}

#[test]
fn plans_are_as_written() {
    let text = |folder: PathBuf| {
        let text = plan(&world(&folder.join("world.yaml"))).to_string();
        (folder.join("plan.txt"), text)
    };
    are_as_written(folders("rollout").into_iter().map(text));
}

#[test]
fn plans_are_the_same_every_time_and_pass_lint() {
    for folder in folders("rollout") {
        let world = world(&folder.join("world.yaml"));
        let first = plan(&world);
        assert_eq!(first, plan(&world), "{} plans differently the second time", folder.display());
        let breaches = lint(&world, &first);
        assert!(breaches.is_empty(), "{}: {breaches:?}", folder.display());
        assert_eq!(undeclared(&world, &first), None, "{}", folder.display());
    }
}

/// Pages of `explain` for the cases that hold an `explain.txt`.
#[test]
fn explanations_are_as_written() {
    let told = |folder: &PathBuf| folder.join("explain.txt").exists();
    let page = |folder: PathBuf| {
        let page = Explanation::new(&world(&folder.join("world.yaml")), Vec::new());
        (folder.join("explain.txt"), render_explanation(&page, Paint::Plain))
    };
    are_as_written(folders("rollout").into_iter().filter(told).map(page));
}
