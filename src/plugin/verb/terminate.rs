//! `terminate analysisrun NAME...`: ends an AnalysisRun or Experiment that is under way.

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::json;

use crate::Exit;
use crate::cli::Names;
use crate::kind::Kind;
use crate::session::{Part, Session};

/// End an analysis run or experiment that is under way.
#[derive(Debug, Args)]
pub(crate) struct Terminate {
    #[command(subcommand)]
    kind: TerminateKind,
}

/// What to end.
#[derive(Debug, Subcommand)]
enum TerminateKind {
    /// End analysis runs.
    #[command(visible_aliases = ["analysisruns", "ar"])]
    Analysisrun(Names),
    /// End experiments.
    #[command(visible_aliases = ["experiments", "exp"])]
    Experiment(Names),
}

impl Terminate {
    /// Ends them, one after the other.
    pub(crate) async fn run(&self, session: &mut Session<'_>) -> Result<Exit> {
        let (kind, word, names) = match &self.kind {
            TerminateKind::Analysisrun(names) => (Kind::AnalysisRun, "analysisRun", &names.names),
            TerminateKind::Experiment(names) => (Kind::Experiment, "experiment", &names.names),
        };
        for name in names {
            session.merge(kind, name, &json!({ "spec": { "terminate": true } }), Part::Object).await?;
            session.terminal.say(&format!("{word} '{name}' terminated"))?;
        }
        Ok(Exit::Done)
    }
}
