//! `pause NAME...`: holds a Rollout where it is.

use anyhow::Result;
use clap::Args;
use serde_json::json;

use crate::Exit;
use crate::cli::Names;
use crate::kind::Kind;
use crate::session::{Part, Session};

/// Pause a rollout at its current step; promote goes on.
#[derive(Debug, Args)]
pub(crate) struct Pause {
    #[command(flatten)]
    names: Names,
}

impl Pause {
    /// Pauses the Rollouts, one after the other.
    pub(crate) async fn run(&self, session: &mut Session<'_>) -> Result<Exit> {
        for name in &self.names.names {
            session.merge(Kind::Rollout, name, &json!({ "spec": { "paused": true } }), Part::Object).await?;
            session.terminal.say(&format!("rollout '{name}' paused"))?;
        }
        Ok(Exit::Done)
    }
}
