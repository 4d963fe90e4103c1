//! `completion SHELL`: a script that completes commands and flags.

use anyhow::Result;
use clap::Args;
use clap_complete::Shell;

use crate::terminal::Terminal;
use crate::{Exit, Grammar, cli};

/// Print a completion script for a shell.
#[derive(Debug, Args)]
pub(crate) struct Completion {
    /// Name of the shell.
    shell: Shell,
}

impl Completion {
    /// Prints the script.
    pub(crate) fn run(&self, grammar: Grammar, terminal: &mut Terminal) -> Result<Exit> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut cli::command(grammar), grammar.program(), &mut script);
        terminal.print(&String::from_utf8_lossy(&script))?;
        Ok(Exit::Done)
    }
}
