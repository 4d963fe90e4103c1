//! `history NAME`: the revisions of a Rollout. `history application NAME`: the syncs of an Application.

use anyhow::{Result, anyhow};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::Value;
use tidegate_api::source::Application;
use tidegate_engine::view::{render_application_history, render_history, render_revision};

use super::application::find;
use crate::Exit;
use crate::cli::Output;
use crate::objects::Collected;
use crate::session::{Session, decode};

/// Show the revisions of a rollout, or the syncs of an application.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct History {
    #[command(subcommand)]
    kind: Option<HistoryKind>,
    #[command(flatten)]
    rollout: Option<OfRollout>,
}

/// Whose history to show.
#[derive(Debug, Subcommand)]
enum HistoryKind {
    /// The revisions of a rollout.
    #[command(visible_aliases = ["rollouts", "ro"])]
    Rollout(OfRollout),
    /// The syncs of an application.
    #[command(visible_aliases = ["applications", "app"])]
    Application(OfApplication),
}

/// Which revisions to show, and how. It may be absent, and only arguments of its own tell whether it is: no others are
/// flattened into it.
#[derive(Debug, Args)]
struct OfRollout {
    /// Name of the rollout.
    #[arg(value_name = "NAME")]
    name: String,
    /// Show this revision alone, with its pod template.
    #[arg(long, value_name = "NUMBER")]
    revision: Option<i64>,
    /// Form of the output.
    #[arg(short, long, value_enum, value_name = "FORM")]
    output: Option<Output>,
    /// Print without colours; $NO_COLOR does the same.
    #[arg(long)]
    no_color: bool,
}

/// Whose syncs to show, and how.
#[derive(Debug, Args)]
struct OfApplication {
    /// Name of the application.
    name: String,
    /// Form of the output.
    #[arg(short, long, value_enum, value_name = "FORM")]
    output: Option<Output>,
    /// Print without colours; $NO_COLOR does the same.
    #[arg(long)]
    no_color: bool,
}

impl History {
    /// Shows what was asked for.
    pub(crate) async fn run(&self, session: &mut Session<'_>) -> Result<Exit> {
        match (&self.kind, &self.rollout) {
            (Some(HistoryKind::Application(of)), _) => of.run(session).await,
            (Some(HistoryKind::Rollout(of)), _) | (None, Some(of)) => of.run(session).await,
            (None, None) => Err(anyhow!("name a rollout, or \"application\" and its name")),
        }
    }
}

impl OfRollout {
    async fn run(&self, session: &mut Session<'_>) -> Result<Exit> {
        let collected = Collected::read(session, &self.name).await?;
        let view = collected.history(Timestamp::now(), self.revision);
        if let Some(wanted) = self.revision
            && view.revisions.is_empty()
        {
            let all = collected.history(Timestamp::now(), None);
            let there: Vec<String> = all.revisions.iter().map(|one| one.revision.to_string()).collect();
            return Err(anyhow!(
                "rollout {:?} has no revision {wanted}: there are {}",
                self.name,
                there.join(", ")
            ));
        }
        let paint = session.terminal.paint(self.no_color);
        match self.output {
            Some(Output::Json) => session.terminal.print_json(&view)?,
            Some(Output::Yaml) => session.terminal.print_yaml(&view)?,
            Some(Output::Name) => {
                for one in &view.revisions {
                    session.terminal.say(&format!("replicaset.apps/{}", one.replica_set))?;
                }
            }
            Some(Output::Wide) | None if self.revision.is_some() => {
                for one in &view.revisions {
                    session.terminal.print(&render_revision(one, view.now, paint))?;
                    session.terminal.say("Pod template:")?;
                    session.terminal.print_yaml(&one.template)?;
                }
            }
            Some(Output::Wide) | None => {
                let is_wide = self.output == Some(Output::Wide);
                session.terminal.print(&render_history(&view, is_wide, paint))?;
            }
        }
        Ok(Exit::Done)
    }
}

impl OfApplication {
    async fn run(&self, session: &mut Session<'_>) -> Result<Exit> {
        let object = find(session, &self.name).await?;
        let entries =
            object.data.pointer("/status/history").cloned().unwrap_or_else(|| Value::Array(Vec::new()));
        match self.output {
            Some(Output::Json) => session.terminal.print_json(&entries)?,
            Some(Output::Yaml) => session.terminal.print_yaml(&entries)?,
            Some(Output::Name) => {
                for entry in entries.as_array().into_iter().flatten() {
                    session.terminal.say(&entry["id"].to_string())?;
                }
            }
            Some(Output::Wide) | None => {
                let application: Application = decode(object)?;
                let paint = session.terminal.paint(self.no_color);
                let is_wide = self.output == Some(Output::Wide);
                session.terminal.print(&render_application_history(&application, is_wide, paint))?;
            }
        }
        Ok(Exit::Done)
    }
}
