//! `version`: which build of the plugin this is.

use anyhow::Result;
use clap::Args;

use crate::terminal::Terminal;
use crate::{Exit, Grammar};

/// Print the version of the plugin.
#[derive(Debug, Args)]
pub(crate) struct Version {
    /// Print the version alone.
    #[arg(long)]
    short: bool,
}

impl Version {
    /// Prints the version.
    pub(crate) fn run(&self, grammar: Grammar, terminal: &mut Terminal) -> Result<Exit> {
        let version = env!("CARGO_PKG_VERSION");
        match grammar {
            Grammar::Tidegate => terminal.say(&format!("kubectl-tidegate: v{version}"))?,
            Grammar::Argo => terminal.say(&format!("kubectl-argo-rollouts: v{version}+tidegate"))?,
        }
        if !self.short {
            terminal.say(&format!("  Platform: {}/{}", std::env::consts::OS, std::env::consts::ARCH))?;
        }
        Ok(Exit::Done)
    }
}
