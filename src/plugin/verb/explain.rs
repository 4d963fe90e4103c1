//! `explain rollout NAME`: one page that says what a Rollout is doing, why, what it waits for, and what an abort would do.
//! `explain analysisrun NAME`: what the verdict of a run is made of.
//!
//! The objects are read with the user's own rights; the page comes from the planner that the controller runs.

mod run;

use anyhow::{Result, anyhow};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use tidegate_controller::survey;
use tidegate_engine::view::{Explanation, render_explanation};

use crate::Exit;
use crate::cli::Output;
use crate::kind::Kind;
use crate::session::Session;
use run::OfRun;

/// Say what a rollout is doing, why, what it waits for, what would make it go on, and what an abort would do now; or what
/// the verdict of an analysis run is made of.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Explain {
    #[command(subcommand)]
    kind: Option<ExplainKind>,
    #[command(flatten)]
    rollout: Option<OfRollout>,
}

/// What to explain.
#[derive(Debug, Subcommand)]
enum ExplainKind {
    /// Explain a rollout.
    #[command(visible_aliases = ["rollouts", "ro"])]
    Rollout(OfRollout),
    /// Explain an analysis run: its metrics, and the evidence of the judge over time.
    #[command(visible_aliases = ["analysisruns", "ar"])]
    Analysisrun(OfRun),
}

/// Which rollout to explain, and how.
#[derive(Debug, Args)]
struct OfRollout {
    /// Name of the rollout.
    #[arg(value_name = "NAME")]
    name: String,
    /// Form of the output.
    #[arg(short, long, value_enum, value_name = "FORM")]
    output: Option<Output>,
    /// Print without colours; $NO_COLOR does the same.
    #[arg(long)]
    no_color: bool,
}

impl Explain {
    /// Explains what was asked for.
    pub(crate) async fn run(&self, session: &mut Session<'_>) -> Result<Exit> {
        match (&self.kind, &self.rollout) {
            (Some(ExplainKind::Rollout(of)), _) | (None, Some(of)) => of.run(session).await,
            (Some(ExplainKind::Analysisrun(of)), _) => of.run(session).await,
            (None, None) => Err(anyhow!("name a rollout")),
        }
    }
}

impl OfRollout {
    async fn run(&self, session: &mut Session<'_>) -> Result<Exit> {
        let name = &self.name;
        let seen = survey::rollout(&session.client, &session.namespace, name, Timestamp::now()).await;
        let seen = match seen {
            Ok(Some(seen)) => seen,
            // The second read fails as well, and says it in the usual words.
            Ok(None) => {
                session.object(Kind::Rollout, name).await?;
                return Err(anyhow!("rollout {name:?} has just come: ask again"));
            }
            Err(error) => return Err(session.explain("get", Kind::Rollout, name, error).into()),
        };
        let page = Explanation::new(&seen.world, seen.unknown);
        let named = format!("rollout.argoproj.io/{name}");
        session.terminal.print_page(self.output, &page, &named, self.no_color, render_explanation)?;
        Ok(Exit::Done)
    }
}
