//! The rights that the controller needs, taken from what it watches and from every write that a plan can hold; the
//! chart's rules are generated from here and compared.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use kube::api::ApiResource;
use tidegate_engine::experiment;
use tidegate_engine::plan::{Reference, RouteWrite, SetPatch, StatusWrite, Write};

use crate::kinds;

/// The rules in the chart, and how to write them anew.
const RULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../charts/tidegate/files/rules");
const HEADER: &str =
    "  # Generated from src/controller/rights.rs by `UPDATE=1 cargo test -p tidegate-controller rights`.\n";

/// One of each write. A new variant fails to compile in `right` below: add it here as well.
fn writes() -> Vec<Write> {
    let (name, uid) = (String::new, String::new);
    let reference = |kind: &ApiResource| kinds::reference(kind, "x");
    let route = |from, reference: Reference| {
        Write::Route(RouteWrite { reference, from, to: serde_json::Value::Null, weight: 0, max_weight: 100 })
    };
    let status = StatusWrite { from: Default::default(), to: Default::default() };
    let mut writes = vec![
        Write::DefaultReplicas { replicas: 1 },
        Write::AnnotateRollout { annotations: BTreeMap::new() },
        Write::CreateSet(Box::default()),
        Write::PatchSet(SetPatch::default()),
        Write::AdoptSet { name: name(), uid: uid() },
        Write::ReleaseSet { name: name(), uid: uid() },
        Write::DeleteSet { name: name(), uid: uid() },
        Write::PointService { service: name(), from: None, to: name(), rollout: name() },
        Write::ScaleWorkload { name: name(), uid: uid(), from: 1, to: 0 },
        Write::RestartPod { name: name(), uid: uid() },
        Write::PatchPod(Default::default()),
        Write::CreateRun(Box::default()),
        Write::StopRun { name: name() },
        Write::DeleteRun { name: name() },
        Write::CreateExperiment(Box::default()),
        Write::StopExperiment { name: name() },
        Write::DeleteExperiment { name: name() },
        Write::Status(Box::new(status)),
    ];
    for kind in kinds::routes() {
        // Routes of the Gateway API and of OpenShift are their users'; only canary Ingresses are made here.
        if kind == kinds::ingress() {
            writes.push(route(None, reference(&kind)));
        }
        writes.push(route(Some(serde_json::Value::Null), reference(&kind)));
    }
    writes
}

/// The resource and the verb that one write needs.
fn right(write: &Write) -> (ApiResource, &'static str, &'static str) {
    match write {
        Write::DefaultReplicas { .. } | Write::AnnotateRollout { .. } => (kinds::rollout(), "", "patch"),
        Write::Status(_) => (kinds::rollout(), "/status", "patch"),
        Write::CreateSet(_) => (kinds::replica_set(), "", "create"),
        Write::PatchSet(_) | Write::AdoptSet { .. } | Write::ReleaseSet { .. } => {
            (kinds::replica_set(), "", "patch")
        }
        Write::DeleteSet { .. } => (kinds::replica_set(), "", "delete"),
        Write::PointService { .. } => (kinds::service(), "", "patch"),
        Write::Route(route) => {
            let kind = kinds::routes().into_iter().find(|kind| kind.kind == route.reference.kind);
            (kind.unwrap(), "", if route.from.is_some() { "patch" } else { "create" })
        }
        Write::ScaleWorkload { .. } => (kinds::deployment(), "", "patch"),
        Write::RestartPod { .. } => (kinds::pod(), "/eviction", "create"),
        Write::PatchPod(_) => (kinds::pod(), "", "patch"),
        Write::CreateRun(_) => (kinds::analysis_run(), "", "create"),
        Write::StopRun { .. } => (kinds::analysis_run(), "", "patch"),
        Write::DeleteRun { .. } => (kinds::analysis_run(), "", "delete"),
        Write::CreateExperiment(_) => (kinds::experiment(), "", "create"),
        Write::StopExperiment { .. } => (kinds::experiment(), "", "patch"),
        Write::DeleteExperiment { .. } => (kinds::experiment(), "", "delete"),
    }
}

/// One of each write of an Experiment. A new variant fails to compile in `right_of_experiment` below: add it here, too.
fn experiment_writes() -> Vec<experiment::Write> {
    let name = String::new;
    let status = experiment::StatusWrite { from: Default::default(), to: Default::default() };
    vec![
        experiment::Write::CreateSet(Box::default()),
        experiment::Write::PatchSet(SetPatch::default()),
        experiment::Write::CreateService { name: name(), object: serde_json::Value::Null },
        experiment::Write::DeleteService { name: name() },
        experiment::Write::CreateRun(Box::default()),
        experiment::Write::StopRun { name: name() },
        experiment::Write::Status(Box::new(status)),
    ]
}

/// The resource and the verb that one write of an Experiment needs; its status is part of the object.
fn right_of_experiment(write: &experiment::Write) -> (ApiResource, &'static str) {
    match write {
        experiment::Write::CreateSet(_) => (kinds::replica_set(), "create"),
        experiment::Write::PatchSet(_) => (kinds::replica_set(), "patch"),
        experiment::Write::CreateService { .. } => (kinds::service(), "create"),
        experiment::Write::DeleteService { .. } => (kinds::service(), "delete"),
        experiment::Write::CreateRun(_) => (kinds::analysis_run(), "create"),
        experiment::Write::StopRun { .. } => (kinds::analysis_run(), "patch"),
        experiment::Write::Status(_) => (kinds::experiment(), "patch"),
    }
}

/// Verbs by group and resource.
#[derive(Default)]
struct Rules(BTreeMap<(String, String), BTreeSet<&'static str>>);

impl Rules {
    fn grant(&mut self, kind: &ApiResource, part: &str, granted: &[&'static str]) {
        let resource = format!("{}{part}", kind.plural);
        self.0.entry((kind.group.clone(), resource)).or_default().extend(granted);
    }

    /// Resources of one group with the same verbs together.
    fn text(self) -> String {
        let mut rules: BTreeMap<(String, BTreeSet<&str>), Vec<String>> = BTreeMap::new();
        for ((group, resource), verbs) in self.0 {
            rules.entry((group, verbs)).or_default().push(resource);
        }
        let mut text = HEADER.to_owned();
        for ((group, verbs), resources) in rules {
            let verbs: Vec<&str> = verbs.into_iter().collect();
            text.push_str(&format!(
                "  - apiGroups: [\"{group}\"]\n    resources: [{}]\n    verbs: [{}]\n",
                resources.join(", "),
                verbs.join(", ")
            ));
        }
        text
    }
}

/// What analyses by Jobs need, which an installation may do without: whoever creates Jobs runs any pod.
fn job_rules() -> String {
    let mut rules = Rules::default();
    rules.grant(&kinds::job(), "", &["create", "delete", "get", "list", "watch"]);
    // A Job's owner reference blocks the deletion of its run.
    rules.grant(&kinds::analysis_run(), "/finalizers", &["update"]);
    rules.text()
}

/// Every rule of delivery.
fn rules() -> String {
    let mut rules = Rules::default();
    let mut grant =
        |kind: &ApiResource, part: &str, granted: &[&'static str]| rules.grant(kind, part, granted);
    for kind in kinds::watched() {
        grant(&kind, "", &["list", "watch"]);
    }
    for write in writes() {
        let (kind, part, verb) = right(&write);
        grant(&kind, part, &[verb]);
        if part.is_empty() || part == "/eviction" {
            // The fence asks for one object when the cache cannot settle what became of a write.
            grant(&kind, "", &["get"]);
        }
    }
    for write in experiment_writes() {
        let (kind, verb) = right_of_experiment(&write);
        grant(&kind, "", &["get", verb]);
    }
    // An owner reference that blocks deletion needs the right to set the owner's finalizers, where that is checked.
    grant(&kinds::rollout(), "/finalizers", &["update"]);
    grant(&kinds::experiment(), "/finalizers", &["update"]);
    grant(&kinds::event(), "", &["create", "patch"]);
    rules.text()
}

#[test]
fn the_chart_grants_what_is_needed_and_nothing_else() {
    for (file, rules) in [("delivery.yaml", rules()), ("jobs.yaml", job_rules())] {
        let file = Path::new(RULES).join(file);
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&file, &rules).unwrap();
        }
        let chart = std::fs::read_to_string(&file).unwrap();
        assert_eq!(chart, rules, "run UPDATE=1 cargo test -p tidegate-controller rights");
    }
}

#[test]
fn beside_the_controller_only_the_secrets_of_the_list_may_be_read() {
    let chart = |file: &str| {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../charts/tidegate");
        std::fs::read_to_string(Path::new(folder).join(file)).unwrap()
    };
    let values: serde_json::Value = serde_saphyr::from_str(&chart("values.yaml")).unwrap();
    let known = serde_json::json!(["datadog", "newrelic", "influxdb", "wavefront-api-tokens"]);
    assert_eq!(values["rbac"]["providerSecrets"], known);
    // An empty list is no rule at all: one without names would be for all Secrets.
    let rule = "{{- with .Values.rbac.providerSecrets }}\n  # The credentials of metric providers.\n  - apiGroups: [\"\"]\n    \
                resources: [secrets]\n    resourceNames: {{ toJson . }}\n    verbs: [get]\n{{- end }}\n";
    let roles = chart("templates/rbac.yaml");
    let (_, own) = roles.split_once("-own\n").unwrap();
    assert!(own.contains(rule) && own.matches("secrets]").count() == 1, "{own}");
}

#[test]
fn the_chart_has_the_version_of_the_workspace() {
    let chart =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../charts/tidegate/Chart.yaml"));
    let chart = chart.unwrap();
    for field in ["version", "appVersion"] {
        let line = format!("\n{field}: {}\n", env!("CARGO_PKG_VERSION"));
        assert!(chart.contains(&line), "{field} in Chart.yaml is not {}", env!("CARGO_PKG_VERSION"));
    }
}
