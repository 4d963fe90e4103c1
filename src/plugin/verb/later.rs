//! Commands of the Argo Rollouts plugin that are not part of this version, so that it says so and not "unknown".

use std::ffi::OsString;

use anyhow::{Error, anyhow};
use clap::{Args, Subcommand};

use crate::Grammar;

/// Arguments of a command that is not carried out.
#[derive(Debug, Args)]
pub(crate) struct Rest {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    rest: Vec<OsString>,
}

/// Commands of the Argo Rollouts plugin that are not part of this version.
#[derive(Debug, Subcommand)]
pub(crate) enum Later {
    #[command(hide = true, disable_help_flag = true)]
    Dashboard(Rest),
    #[command(hide = true, disable_help_flag = true)]
    Notifications(Rest),
}

impl Later {
    /// Says that the command is not there.
    pub(crate) fn refusal(&self, grammar: Grammar) -> Error {
        let name = match self {
            Self::Dashboard(_) => "dashboard",
            Self::Notifications(_) => "notifications",
        };
        refusal(name, grammar)
    }
}

/// Says that a command is not there.
pub(crate) fn refusal(name: &str, grammar: Grammar) -> Error {
    anyhow!("\"{} {name}\" is not part of this version of Tidegate", grammar.typed())
}
