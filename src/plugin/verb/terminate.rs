//! `terminate analysisrun NAME...`: ends an AnalysisRun, an Experiment, or the sync of an Application under way.

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::json;

use super::operation;
use crate::Exit;
use crate::cli::Names;
use crate::kind::Kind;
use crate::session::{Part, Session};

/// End an analysis run, an experiment, or the sync of an application that is under way.
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
    /// End the sync of applications.
    #[command(visible_aliases = ["applications", "app"])]
    Application(Names),
}

impl Terminate {
    /// Ends them, one after the other.
    pub(crate) async fn run(&self, session: &mut Session<'_>) -> Result<Exit> {
        let (kind, word, names) = match &self.kind {
            TerminateKind::Analysisrun(names) => (Kind::AnalysisRun, "analysisRun", &names.names),
            TerminateKind::Experiment(names) => (Kind::Experiment, "experiment", &names.names),
            TerminateKind::Application(names) => return applications(session, &names.names).await,
        };
        for name in names {
            session.merge(kind, name, &json!({ "spec": { "terminate": true } }), Part::Object).await?;
            session.terminal.say(&format!("{word} '{name}' terminated"))?;
        }
        Ok(Exit::Done)
    }
}

/// Ends the sync of Applications, one after the other.
pub(super) async fn applications(session: &mut Session<'_>, names: &[String]) -> Result<Exit> {
    for name in names {
        operation::terminate(session, name).await?;
        session.terminal.say(&format!("application '{name}' operation terminating"))?;
    }
    Ok(Exit::Done)
}
