//! `get rollout NAME`: one Rollout with all that belongs to it, once or live. `get rollouts`: all of them. The same for
//! Applications and Experiments, in files of their own.

use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use tidegate_engine::view::{render_rollout, render_summary};
use tokio::time::{Instant, MissedTickBehavior};

use super::application::Applications;
use super::experiment::Experiments;
use super::list::Listing;
use crate::Exit;
use crate::cli::Output;
use crate::kind::Kind;
use crate::live::{Change, Live};
use crate::objects::Collected;
use crate::session::Session;

/// How often a picture is drawn at most; faster, nobody can read it.
pub(super) const FRAME: Duration = Duration::from_millis(200);
/// How often a picture is drawn at least, so that ages and remaining times move on.
pub(super) const CLOCK: Duration = Duration::from_secs(1);

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
        match self.listing.output {
            Some(Output::Json) => session.terminal.print_json(&view)?,
            Some(Output::Yaml) => session.terminal.print_yaml(&view)?,
            Some(Output::Name) => session.terminal.say(&format!("rollout.argoproj.io/{name}"))?,
            Some(Output::Wide) | None => {
                let paint = session.terminal.paint(self.listing.no_color);
                session.terminal.print(&render_rollout(&view, paint))?;
            }
        }
        Ok(Exit::Done)
    }

    /// Draws the Rollout whenever something changes; prints a line instead when nobody looks.
    async fn watch(&self, session: &mut Session<'_>, name: &str) -> Result<Exit> {
        // A single read first: a watch would wait for ever for a Rollout that is not there.
        session.rollout(name).await?;
        let mut live = Live::one_with_owned(session, name);
        let mut frames = tokio::time::interval(FRAME);
        frames.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let end = self.limit().map(|limit| Instant::now() + limit);
        let mut screen = Screen::new(self.listing.no_color);
        let mut is_changed = false;
        loop {
            tokio::select! {
                change = live.next() => match change? {
                    Change::Objects => is_changed = true,
                    Change::Trouble(kind, error) => screen.trouble(session, kind, &error)?,
                },
                _ = frames.tick() => {
                    if live.is_complete() && (is_changed || screen.is_stale(session)) {
                        let Some(collected) = live.collected()? else {
                            bail!("rollout {name:?} was deleted");
                        };
                        screen.show(session, &collected)?;
                        is_changed = false;
                    }
                }
                () = until(end) => return Ok(late(session)),
            }
        }
    }
}

/// Waits until a moment, or for ever.
pub(super) async fn until(end: Option<Instant>) {
    match end {
        Some(end) => tokio::time::sleep_until(end).await,
        None => std::future::pending().await,
    }
}

/// Returns how a watch of limited time ends: the Argo Rollouts plugin ends it well.
pub(super) fn late(session: &Session<'_>) -> Exit {
    match session.grammar {
        crate::Grammar::Tidegate => Exit::TimedOut,
        crate::Grammar::Argo => Exit::Done,
    }
}

/// What a watch shows: pictures to a person, lines to a log.
struct Screen {
    no_color: bool,
    /// When the last picture was drawn.
    drawn: Option<Instant>,
    /// The last line.
    line: String,
}

impl Screen {
    fn new(no_color: bool) -> Self {
        Self { no_color, drawn: None, line: String::new() }
    }

    /// Tells whether the ages in the picture are out of date.
    fn is_stale(&self, session: &Session<'_>) -> bool {
        session.terminal.is_watched && self.drawn.is_none_or(|drawn| drawn.elapsed() >= CLOCK)
    }

    fn show(&mut self, session: &mut Session<'_>, collected: &Collected) -> Result<()> {
        let now = Timestamp::now();
        let view = collected.view(now);
        if session.terminal.is_watched {
            if self.drawn.is_none() {
                session.terminal.clear()?;
            }
            self.drawn = Some(Instant::now());
            let paint = session.terminal.paint(self.no_color);
            return session.terminal.draw(&render_rollout(&view, paint));
        }
        let line = render_summary(&view);
        if line != self.line {
            session.terminal.say(&format!("{} {line}", now.strftime("%H:%M:%SZ")))?;
            self.line = line;
        }
        Ok(())
    }

    /// Tells about a watch that fails, where it does not spoil a picture.
    fn trouble(
        &self,
        session: &mut Session<'_>,
        kind: Kind,
        error: &kube::runtime::watcher::Error,
    ) -> Result<()> {
        if session.terminal.is_watched && self.drawn.is_some() {
            return Ok(());
        }
        let message = format!("Warning: cannot watch {}s, trying again: {error}", kind.word());
        session.terminal.warn(&message)
    }
}
