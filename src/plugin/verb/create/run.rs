//! `create analysisrun`: a run of a template that is in the cluster or in a file.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Result, anyhow};
use clap::Args;
use kube::api::DynamicObject;
use serde_json::{Map, Value, json};
use tidegate_api::GROUP;
use tidegate_api::analysis::{AnalysisTemplate, Argument};
use tidegate_engine::analysis::{MISSING_DATA_ANNOTATIONS, Template, run_of};
use tidegate_engine::rollout::world::{INSTANCE_ID, TemplateKey};

use crate::Exit;
use crate::kind::Kind;
use crate::session::{Session, decode};

/// Templates that one run may include: a bound for what is read.
const TEMPLATES_MAX: usize = 100;
/// What `kubectl apply` remembers of a template is nothing of the run.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// From which template, and with which arguments.
#[derive(Debug, Args)]
pub(super) struct CreateRun {
    /// Name of the run.
    #[arg(long)]
    name: Option<String>,
    /// Beginning of the name, to which the server adds the rest; that of the template when absent.
    #[arg(long, value_name = "PREFIX")]
    generate_name: Option<String>,
    /// Controller instance that is to make the run.
    #[arg(long, value_name = "ID")]
    instance_id: Option<String>,
    /// Value of an argument of the template.
    #[arg(short, long = "argument", value_name = "NAME=VALUE", value_parser = parse_argument)]
    arguments: Vec<Argument>,
    /// Name of a template in the cluster.
    #[arg(long, value_name = "NAME")]
    from: Option<String>,
    /// File with a template.
    #[arg(long, value_name = "FILE")]
    from_file: Option<String>,
    /// Take a ClusterAnalysisTemplate.
    #[arg(long)]
    global: bool,
}

fn parse_argument(text: &str) -> Result<Argument> {
    let (name, value) =
        text.split_once('=').ok_or_else(|| anyhow!("arguments must be in the form NAME=VALUE"))?;
    Ok(Argument { name: name.to_owned(), value: Some(value.to_owned()), value_from: None })
}

impl CreateRun {
    /// Creates the run.
    pub(super) async fn run(&self, session: &mut Session<'_>) -> Result<Exit> {
        let template = match (&self.from, &self.from_file) {
            (Some(name), None) => session.object(template_kind(self.global), name).await?,
            (None, Some(file)) => serde_json::from_value(super::one(file)?)?,
            (Some(_), Some(_)) | (None, None) => {
                return Err(anyhow!("one of --from or --from-file must be specified"));
            }
        };
        let run = self.object(session, template).await?;
        let created = session.create(Kind::AnalysisRun, &run).await?;
        let name = created.metadata.name.unwrap_or_default();
        session.terminal.say(&format!("analysisrun.{GROUP}/{name} created"))?;
        Ok(Exit::Done)
    }

    /// The run to create.
    async fn object(&self, session: &Session<'_>, template: DynamicObject) -> Result<Value> {
        let of = template.metadata.name.clone().unwrap_or_default();
        let mut metadata = Map::new();
        match (&self.name, &self.generate_name) {
            (Some(name), _) => metadata.insert("name".to_owned(), name.clone().into()),
            (None, Some(prefix)) => metadata.insert("generateName".to_owned(), prefix.clone().into()),
            (None, None) => metadata.insert("generateName".to_owned(), format!("{of}-").into()),
        };
        let mut labels = template.metadata.labels.clone().unwrap_or_default();
        if let Some(id) = &self.instance_id {
            labels = [(INSTANCE_ID.to_owned(), id.clone())].into();
        }
        let mut annotations = template.metadata.annotations.clone().unwrap_or_default();
        // What is said of missing data is the run's affair: here it would speak of metrics of other templates.
        let is_of_template = |key: &str| key == LAST_APPLIED || MISSING_DATA_ANNOTATIONS.contains(&key);
        annotations.retain(|key, _| !is_of_template(key));
        metadata.insert("labels".to_owned(), json!(labels));
        metadata.insert("namespace".to_owned(), session.namespace.clone().into());
        let template: AnalysisTemplate = decode(template)?;
        let key = TemplateKey { cluster: self.global, name: of };
        let templates = included(session, key.clone(), template.into()).await?;
        let run = run_of(&key, &templates, &self.arguments).map_err(|why| anyhow!(why))?;
        // What it includes has a say in missing data, too.
        annotations.extend(run.metadata.annotations.unwrap_or_default());
        metadata.insert("annotations".to_owned(), json!(annotations));
        Ok(json!({
            "apiVersion": format!("{GROUP}/v1alpha1"),
            "kind": "AnalysisRun",
            "metadata": metadata,
            "spec": run.spec,
        }))
    }
}

pub(in crate::verb) fn template_kind(cluster: bool) -> Kind {
    if cluster { Kind::ClusterAnalysisTemplate } else { Kind::AnalysisTemplate }
}

/// A template with all those that it includes, which are read from the cluster.
pub(in crate::verb) async fn included(
    session: &Session<'_>,
    key: TemplateKey,
    template: Template,
) -> Result<BTreeMap<TemplateKey, Arc<Template>>> {
    let mut open = template.spec.templates.clone();
    let mut templates = BTreeMap::from([(key, Arc::new(template))]);
    while let Some(reference) = open.pop() {
        let cluster = reference.is_cluster();
        let key = TemplateKey { cluster, name: reference.template_name };
        if templates.contains_key(&key) {
            continue;
        }
        if templates.len() == TEMPLATES_MAX {
            return Err(anyhow!("a run may include {TEMPLATES_MAX} templates at most"));
        }
        let template: AnalysisTemplate = decode(session.object(template_kind(cluster), &key.name).await?)?;
        open.extend(template.spec.templates.iter().cloned());
        templates.insert(key, Arc::new(template.into()));
    }
    Ok(templates)
}
