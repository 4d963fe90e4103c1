//! `abort NAME...`: stops an update and sends all traffic back to the stable version.

use anyhow::Result;
use clap::Args;
use serde_json::json;

use crate::Exit;
use crate::cli::Names;
use crate::patch::Patches;
use crate::session::Session;

/// Abort the update of a rollout: all traffic goes back to the stable version.
///
/// The spec still asks for the new version; change it back, or begin again with retry.
#[derive(Debug, Args)]
pub(crate) struct Abort {
    #[command(flatten)]
    names: Names,
}

impl Abort {
    /// Aborts the Rollouts, one after the other.
    pub(crate) async fn run(&self, session: &mut Session<'_>) -> Result<Exit> {
        for name in &self.names.names {
            Patches::status(json!({ "status": { "abort": true } })).send(session, name).await?;
            session.terminal.say(&format!("rollout '{name}' aborted"))?;
        }
        Ok(Exit::Done)
    }
}
