//! `retry rollout NAME...`: begins an aborted update again, at its first step.

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::json;

use crate::Exit;
use crate::cli::Names;
use crate::kind::Kind;
use crate::patch::Patches;
use crate::session::{Part, Session};

/// Retry an aborted rollout from its first step.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Retry {
    #[command(subcommand)]
    kind: Option<RetryKind>,
    /// Names of the rollouts.
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
}

/// What to retry.
#[derive(Debug, Subcommand)]
enum RetryKind {
    /// Retry aborted rollouts.
    #[command(visible_aliases = ["rollouts", "ro"])]
    Rollout(Names),
    /// Retry failed experiments.
    #[command(visible_aliases = ["experiments", "exp"])]
    Experiment(Names),
}

impl Retry {
    /// Retries them, one after the other.
    pub(crate) async fn run(&self, session: &mut Session<'_>) -> Result<Exit> {
        match &self.kind {
            None => rollouts(session, &self.names).await,
            Some(RetryKind::Rollout(names)) => rollouts(session, &names.names).await,
            Some(RetryKind::Experiment(names)) => experiments(session, &names.names).await,
        }
    }

    #[cfg(test)]
    pub(crate) fn rollouts(&self) -> Option<&[String]> {
        match &self.kind {
            None => Some(&self.names),
            Some(RetryKind::Rollout(names)) => Some(&names.names),
            Some(RetryKind::Experiment(_)) => None,
        }
    }
}

async fn rollouts(session: &mut Session<'_>, names: &[String]) -> Result<Exit> {
    for name in names {
        Patches::status(json!({ "status": { "abort": false } })).send(session, name).await?;
        session.terminal.say(&format!("rollout '{name}' retried"))?;
    }
    Ok(Exit::Done)
}

async fn experiments(session: &mut Session<'_>, names: &[String]) -> Result<Exit> {
    for name in names {
        session.merge(Kind::Experiment, name, &json!({ "status": null }), Part::Object).await?;
        session.terminal.say(&format!("experiment '{name}' retried"))?;
    }
    Ok(Exit::Done)
}
