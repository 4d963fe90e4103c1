//! `create -f FILE`: makes the objects of files. `create analysisrun --from TEMPLATE`: a run of a template, by hand.

mod run;

use anyhow::{Result, anyhow, bail};
use clap::{Args, Subcommand};
use serde_json::Value;
use tidegate_api::GROUP;
use tidegate_api::strict::Schemas;
use tidegate_api::valid::FieldErrorKind;

use crate::document::{self, Document};
use crate::kind::Kind;
use crate::session::Session;
use crate::{Exit, cli};
use run::CreateRun;
pub(super) use run::{included, template_kind};

/// Create rollouts, experiments, analysis templates and analysis runs from files, or a run of a template.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
pub(crate) struct Create {
    #[command(subcommand)]
    what: Option<CreateWhat>,
    /// Files, or - for the standard input.
    #[arg(short, long, value_name = "FILE")]
    filename: Vec<String>,
    /// Watch the object that was created.
    #[arg(short, long)]
    watch: bool,
    /// Print no colours.
    #[arg(long)]
    no_color: bool,
}

/// What to create without a file of its own.
#[derive(Debug, Subcommand)]
enum CreateWhat {
    /// Create an analysis run of an analysis template.
    #[command(visible_alias = "ar")]
    Analysisrun(CreateRun),
}

impl Create {
    /// Creates the objects.
    pub(crate) async fn run(&self, session: &mut Session<'_>) -> Result<Exit> {
        if let Some(CreateWhat::Analysisrun(run)) = &self.what {
            return run.run(session).await;
        }
        if self.filename.is_empty() {
            bail!("name the files with -f, or a template with \"create analysisrun --from\"");
        }
        if self.watch && self.filename.len() > 1 {
            bail!("Cannot watch multiple resources");
        }
        let documents = read(&self.filename)?;
        let mut last = None;
        for document in &documents {
            let kind = kind_of(document)?;
            let created = session.create(kind, &document.value).await?.metadata;
            let name = created.name.unwrap_or_default();
            session.terminal.say(&format!("{}.{GROUP}/{name} created", singular(kind)))?;
            last = Some((kind, name, created.namespace));
        }
        match last.filter(|_| self.watch) {
            Some((kind @ (Kind::Rollout | Kind::Experiment), name, namespace)) => {
                // The file may have named another namespace.
                if let Some(namespace) = namespace {
                    session.namespace = namespace;
                }
                self.watch(session, kind, &name).await
            }
            Some(_) => Err(anyhow!("Can only watch resources of type Rollout or Experiment")),
            None => Ok(Exit::Done),
        }
    }

    /// Goes on as `get KIND NAME --watch` does.
    async fn watch(&self, session: &mut Session<'_>, kind: Kind, name: &str) -> Result<Exit> {
        let mut words = vec!["get", kind.word(), name, "--watch"];
        words.extend(self.no_color.then_some("--no-color"));
        let cli = cli::parse(session.grammar, words)?;
        Box::pin(super::run_on(&cli.verb, session)).await
    }
}

/// Reads all objects before the first is created, and refuses what their kinds do not know.
fn read(files: &[String]) -> Result<Vec<Document>> {
    let schemas = Schemas::default();
    let mut documents = Vec::new();
    for source in document::sources(files, false)? {
        let read = document::documents(&source).map_err(|broken| {
            let document::Place { line, column } = broken.place;
            anyhow!("{}:{line}:{column}: {}", source.name, broken.why)
        })?;
        documents.extend(read);
    }
    for document in &documents {
        kind_of(document)?;
        let mut errors = schemas.check(&document.value).unwrap_or_default().into_iter();
        // What must be there is said by the API server.
        if let Some(error) = errors.find(|error| error.kind != FieldErrorKind::Required) {
            let document::Place { line, column } = document.place(&error.path);
            bail!("{}:{line}:{column}: {error}", document.file);
        }
    }
    if documents.is_empty() {
        bail!("there is no object in {}", files.join(", "));
    }
    Ok(documents)
}

fn kind_of(document: &Document) -> Result<Kind> {
    let (group, kind) = (document.group(), document.text("/kind"));
    match (group, kind) {
        (GROUP, "Rollout") => Ok(Kind::Rollout),
        (GROUP, "Experiment") => Ok(Kind::Experiment),
        (GROUP, "AnalysisTemplate") => Ok(Kind::AnalysisTemplate),
        (GROUP, "ClusterAnalysisTemplate") => Ok(Kind::ClusterAnalysisTemplate),
        (GROUP, "AnalysisRun") => Ok(Kind::AnalysisRun),
        _ => Err(anyhow!("creates of {group}/{kind} unsupported")),
    }
}

/// What the line about a created object calls its kind: as the Argo Rollouts plugin does, which has one name for both
/// kinds of templates.
fn singular(kind: Kind) -> &'static str {
    if kind == Kind::ClusterAnalysisTemplate { Kind::AnalysisTemplate.word() } else { kind.word() }
}

/// Reads the one object of a file.
fn one(file: &str) -> Result<Value> {
    let mut documents = read(&[file.to_owned()])?;
    match (documents.pop(), documents.len()) {
        (Some(document), 0) => Ok(document.value),
        _ => Err(anyhow!("{file} holds several objects; a run is made from one template")),
    }
}
