//! The judgement of objects that stand in files.
//!
//! Input: documents. Output: findings with their places. What is valid is asked of those who act on it: the schemas, the
//! validation and the reference checks of the controller.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use tidegate_api::analysis::{AnalysisRun, AnalysisTemplate};
use tidegate_api::experiment::Experiment;
use tidegate_api::rollout::Rollout;
use tidegate_api::strict::Schemas;
use tidegate_api::valid::{FieldError, FieldErrorKind, unsupported, unsupported_providers, validate};
use tidegate_api::{GROUP, tolerant};
use tidegate_engine::analysis::{Template, run_faults, template_cautions, template_faults};
use tidegate_engine::experiment;
use tidegate_engine::plan::Reference;
use tidegate_engine::rollout::references::{Sight, faults};
use tidegate_engine::rollout::world::{Service, TemplateKey, World};

use crate::document::{Broken, Document, Place, Source};

/// Kinds of routing objects.
const ROUTES: [&str; 4] = ["Ingress", "HTTPRoute", "GRPCRoute", "Route"];

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    Error,
    Warning,
}

/// One thing to mend, in the order of files and lines.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Finding {
    file: String,
    #[serde(flatten)]
    place: Place,
    pub(super) severity: Severity,
    #[serde(skip_serializing_if = "String::is_empty")]
    kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    field: String,
    message: String,
}

impl Finding {
    fn new(document: &Document, severity: Severity, error: &FieldError) -> Self {
        Self {
            file: document.file.clone(),
            place: document.place(&error.path),
            severity,
            kind: document.text("/kind").to_owned(),
            name: document.text("/metadata/name").to_owned(),
            field: error.path.clone(),
            message: error.body(),
        }
    }

    fn bare(file: String, place: Place, severity: Severity, message: String) -> Self {
        let (kind, name, field) = Default::default();
        Self { file, place, severity, kind, name, field, message }
    }

    /// A text that cannot be read.
    pub(super) fn unreadable(source: &Source, broken: &Broken) -> Self {
        Self::bare(source.name.clone(), broken.place, Severity::Error, broken.why.clone())
    }

    /// Files without anything to check.
    pub(super) fn nothing(file: String) -> Self {
        let message = format!("no object of {GROUP} in it, so there is nothing to check");
        Self::bare(file, Place { line: 1, column: 1 }, Severity::Warning, message)
    }
}

impl fmt::Display for Finding {
    /// Writes the finding as compilers do, so that editors find the place.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{}:{}:{}: {severity}: ", self.file, self.place.line, self.place.column)?;
        if !self.kind.is_empty() {
            write!(f, "{} {}: ", self.kind, self.name)?;
        }
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)
    }
}

/// Judges all documents and says how many objects they were.
pub(super) fn all(documents: &[Document], found: &mut BTreeSet<Finding>) -> usize {
    let schemas = Schemas::default();
    let mut objects = 0;
    for document in documents {
        let kind = document.text("/kind");
        let Some(mut errors) = schemas.check(&document.value) else { continue };
        objects += 1;
        let mut warnings = Vec::new();
        if document.group() == GROUP {
            if document.text("/metadata/name").is_empty()
                && document.text("/metadata/generateName").is_empty()
            {
                errors.push(required("metadata.name", ""));
            }
            match kind {
                "Rollout" => rollout(document, documents, &mut errors, &mut warnings),
                "AnalysisTemplate" | "ClusterAnalysisTemplate" => {
                    template(document, &mut errors, &mut warnings);
                }
                "AnalysisRun" => run(document, &mut errors, &mut warnings),
                "Experiment" => of_experiment(document, &mut errors),
                _ => {}
            }
        }
        // A field that is wrong by its type is told once.
        let wrong: BTreeSet<String> = errors
            .iter()
            .filter(|error| error.kind == FieldErrorKind::TypeInvalid)
            .map(|error| error.path.clone())
            .collect();
        errors.retain(|error| error.kind == FieldErrorKind::TypeInvalid || !wrong.contains(&error.path));
        found.extend(errors.iter().map(|error| Finding::new(document, Severity::Error, error)));
        found.extend(warnings.iter().map(|error| Finding::new(document, Severity::Warning, error)));
    }
    objects
}

fn required(path: &str, detail: &str) -> FieldError {
    FieldError {
        path: path.to_owned(),
        kind: FieldErrorKind::Required,
        value: None,
        detail: detail.to_owned(),
    }
}

/// Reads an object as the controller does. What it drops, the schema has told already.
fn read<T: serde::de::DeserializeOwned>(document: &Document, errors: &mut Vec<FieldError>) -> Option<T> {
    match tolerant::decode(document.value.clone()) {
        Ok((object, _dropped)) => Some(object),
        Err(error) => {
            errors.push(FieldError {
                path: String::new(),
                kind: FieldErrorKind::Invalid,
                value: None,
                detail: error.to_string(),
            });
            None
        }
    }
}

fn rollout(
    document: &Document,
    documents: &[Document],
    errors: &mut Vec<FieldError>,
    warnings: &mut Vec<FieldError>,
) {
    let Some(rollout) = read::<Rollout>(document, errors) else { return };
    match validate(&rollout) {
        Ok(valid) => warnings.extend(unsupported(&valid)),
        Err(faults) => errors.extend(faults),
    }
    errors.extend(faults(&world(document, rollout, documents), Sight::Files));
}

/// A World of a Rollout and what the files hold of its namespace.
fn world(document: &Document, rollout: Rollout, documents: &[Document]) -> World {
    let mut world = World::of(rollout, Timestamp::UNIX_EPOCH);
    let home = document.text("/metadata/namespace").to_owned();
    // Files often leave the namespace to whoever applies them.
    let near = |other: &&Document| {
        let namespace = other.text("/metadata/namespace");
        namespace.is_empty() || home.is_empty() || namespace == home
    };
    let mut templates = BTreeMap::new();
    for other in documents.iter().filter(near) {
        let name = other.text("/metadata/name").to_owned();
        match (other.group(), other.text("/kind")) {
            ("", "Service") => {
                world.services.insert(name, Arc::new(Service::parse(&other.value)));
            }
            (GROUP, kind @ ("AnalysisTemplate" | "ClusterAnalysisTemplate")) => {
                let Ok((template, _)) = tolerant::decode::<AnalysisTemplate>(other.value.clone()) else {
                    continue;
                };
                let cluster = kind == "ClusterAnalysisTemplate";
                templates.insert(TemplateKey { cluster, name }, Arc::new(template.into()));
            }
            (_, kind) if ROUTES.contains(&kind) => {
                let reference = Reference::new(other.text("/apiVersion"), kind, name);
                world.routes.insert(reference, Arc::new(other.value.clone()));
            }
            _ => {}
        }
    }
    world.templates = templates;
    world
}

fn template(document: &Document, errors: &mut Vec<FieldError>, warnings: &mut Vec<FieldError>) {
    let Some(template) = read::<AnalysisTemplate>(document, errors) else { return };
    warnings.extend(unsupported_providers(&template.spec.metrics));
    let template = Template::from(template);
    errors.extend(template_faults(&template));
    warnings.extend(template_cautions(&template));
}

/// A run that somebody makes by hand: what a template says in general, its arguments say in numbers.
fn run(document: &Document, errors: &mut Vec<FieldError>, warnings: &mut Vec<FieldError>) {
    let Some(run) = read::<AnalysisRun>(document, errors) else { return };
    warnings.extend(unsupported_providers(&run.spec.metrics));
    errors.extend(run_faults(&run));
    warnings.extend(template_cautions(&Template::of_run(&run)));
}

/// The rules that an Experiment's own status would tell of.
fn of_experiment(document: &Document, errors: &mut Vec<FieldError>) {
    let Some(experiment) = read::<Experiment>(document, errors) else { return };
    errors.extend(experiment::faults(&experiment).into_iter().map(|fault| fault.error));
}

/// The errors that the Argo Rollouts plugin finds, in its order.
///
/// # Errors
/// Fails with the first Rollout, Service or Ingress that holds what its kind does not know.
pub(super) fn of_upstream(documents: &[Document]) -> Result<Vec<FieldError>, String> {
    let schemas = Schemas::default();
    let of_kind = |document: &&Document| {
        matches!(
            (document.group(), document.text("/kind")),
            (GROUP, "Rollout") | ("", "Service") | ("networking.k8s.io", "Ingress")
        )
    };
    let mut rollouts = Vec::new();
    for document in documents.iter().filter(of_kind) {
        let strict = schemas.check(&document.value).unwrap_or_default();
        // What must be there is for the API server.
        if let Some(first) = strict.iter().find(|error| error.kind != FieldErrorKind::Required) {
            return Err(strict_error(first));
        }
        if document.text("/kind") == "Rollout" {
            let (rollout, _) = tolerant::decode::<Rollout>(document.value.clone())
                .map_err(|error| format!("error unmarshaling JSON: {error}"))?;
            rollouts.push((document, rollout));
        }
    }
    let mut errors = Vec::new();
    for (document, rollout) in rollouts {
        errors.extend(validate(&rollout).err().unwrap_or_default());
        let referred = faults(&world(document, rollout, documents), Sight::Files);
        // That one looks at Services alone, and takes each for the Rollout's own.
        let services = referred
            .into_iter()
            .filter(|error| error.path.ends_with("Service") && error.detail.contains(" has unmatch label "));
        errors.extend(services);
    }
    Ok(errors)
}

/// A field that does not belong, as Go's decoder tells it.
fn strict_error(error: &FieldError) -> String {
    let cause = match error.detail.strip_prefix("unknown field ") {
        Some(field) => {
            let field = field.split_once(';').map_or(field, |(field, _)| field);
            format!("unknown field {field}")
        }
        None => format!("cannot unmarshal {}: {}", error.path, error.detail),
    };
    format!("error unmarshaling JSON: while decoding JSON: json: {cause}")
}
