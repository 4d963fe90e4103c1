//! `get rollout NAME`: one Rollout with all that belongs to it, once or live. `get rollouts`: all of them. The same for
//! Applications and Experiments, in files of their own.

use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use tidegate_engine::view::{Paint, RolloutView, render_rollout, render_summary};

use super::application::Applications;
use super::experiment::Experiments;
use super::list::Listing;
use crate::kind::Kind;
use crate::live::Live;
use crate::objects::Collected;
use crate::screen::{self, Page};
use crate::session::Session;
use crate::{Exit, Grammar};

/// Show rollouts, applications or experiments: one with its objects, or a list of them.
#[derive(Debug, Args)]
pub(crate) struct Get {
    #[command(subcommand)]
    kind: GetKind,
}

/// What to show.
#[derive(Debug, Subcommand)]
enum GetKind {
    /// Show one rollout with its revisions, pods and analysis runs; without a name, list all rollouts.
    #[command(visible_aliases = ["rollouts", "ro"])]
    Rollout(GetRollout),
    /// Show one application with its objects; without a name, list all applications.
    #[command(visible_aliases = ["applications", "app", "apps"])]
    Application(Applications),
    /// Show one experiment with its pods and analysis runs; without a name, list all experiments.
    #[command(visible_aliases = ["experiments", "exp"])]
    Experiment(Experiments),
}

/// What to show of which rollout.
#[derive(Debug, Args)]
struct GetRollout {
    /// Name of the rollout; all rollouts when absent.
    name: Option<String>,
    /// Fail when it was watched for so many seconds; 0 for no limit.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    timeout_seconds: u64,
    #[command(flatten)]
    listing: Listing,
}

impl Get {
    /// Shows what was asked for.
    pub(crate) async fn run(&self, session: &mut Session<'_>) -> Result<Exit> {
        match &self.kind {
            GetKind::Rollout(get) => match &get.name {
                Some(name) => get.one(session, name).await,
                None => get.listing.run(session, get.limit()).await,
            },
            GetKind::Application(applications) => applications.run(session).await,
            GetKind::Experiment(experiments) => experiments.run(session).await,
        }
    }
}

impl GetRollout {
    fn limit(&self) -> Option<Duration> {
        (self.timeout_seconds > 0).then(|| Duration::from_secs(self.timeout_seconds))
    }

    async fn one(&self, session: &mut Session<'_>, name: &str) -> Result<Exit> {
        if self.listing.is_for_many() {
            bail!("--all-namespaces and --timestamps go with a list, not with rollout {name:?}");
        }
        if self.listing.watch {
            return self.watch(session, name).await;
        }
        let view = Collected::read(session, name).await?.view(Timestamp::now());
        let named = format!("rollout.argoproj.io/{name}");
        let (output, no_color, grammar) = (self.listing.output, self.listing.no_color, session.grammar);
        session.terminal.print_page(output, &view, &named, no_color, |view, paint| {
            render_rollout(&shown(grammar, view.clone()), paint)
        })?;
        Ok(Exit::Done)
    }

    /// Draws the Rollout whenever something changes; prints to a log instead when nobody looks.
    async fn watch(&self, session: &mut Session<'_>, name: &str) -> Result<Exit> {
        // A single read first: a watch would wait for ever for a Rollout that is not there.
        session.rollout(name).await?;
        let live = Live::one_with_owned(session, name);
        let grammar = session.grammar;
        let look = |live: &Live| {
            let collected = live.collected()?;
            Ok(collected.map(|collected| shown(grammar, collected.view(Timestamp::now()))))
        };
        screen::watch(session, (Kind::Rollout, name), live, self.limit(), self.listing.no_color, look).await
    }
}

/// Leaves out what the Argo Rollouts plugin does not draw, where its words are spoken: scripts count lines.
fn shown(grammar: Grammar, view: RolloutView) -> RolloutView {
    match grammar {
        Grammar::Tidegate => view,
        Grammar::Argo => RolloutView { waiting_for: None, ..view },
    }
}

impl Page for RolloutView {
    fn taken_at(&self) -> Timestamp {
        self.now
    }

    fn picture(&self, paint: Paint) -> String {
        render_rollout(self, paint)
    }

    fn line(&self) -> String {
        render_summary(self)
    }
}
