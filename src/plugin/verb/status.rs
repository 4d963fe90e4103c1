//! `status NAME`: the phase in one line and as an exit code; with `--watch`, until the Rollout is done.

use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use jiff::Timestamp;
use serde_json::json;
use tidegate_api::rollout::{Rollout, RolloutPhase};
use tidegate_engine::view::{client_phase, render_summary};
use tokio::time::Instant;

use crate::cli::Output;
use crate::connection::parse_duration;
use crate::kind::Kind;
use crate::live::{Change, Live};
use crate::objects::Collected;
use crate::screen::until;
use crate::session::{Session, decode};
use crate::{Exit, Grammar};

/// Show the phase of a rollout, and tell it by the exit code: 0, 2 when it is degraded, 4 when it is paused.
///
/// With --watch it waits until the rollout is healthy (0) or degraded (2), or the timeout passes (3).
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Name of the rollout.
    name: String,
    /// Wait until the rollout is done, and print every change; --watch=false looks once.
    #[arg(short, long, num_args = 0, default_missing_value = "true")]
    watch: Option<bool>,
    /// How long to wait, such as 90s, 5m; 0 for no limit.
    #[arg(short, long, value_name = "DURATION", default_value = "0", value_parser = parse_duration)]
    timeout: Duration,
    /// Form of the output; it goes with a single look.
    #[arg(short, long, value_enum, value_name = "FORM")]
    output: Option<Output>,
}

impl Status {
    /// Shows the phase, once or until the Rollout is done.
    pub(crate) async fn run(&self, session: &mut Session<'_>) -> Result<Exit> {
        let rollout = session.rollout(&self.name).await?;
        let by_default = match session.grammar {
            Grammar::Tidegate => false,
            Grammar::Argo => true,
        };
        if self.output.is_some() && self.watch == Some(true) {
            bail!("--output goes with a single look, not with --watch");
        }
        if self.watch.unwrap_or(by_default && self.output.is_none()) {
            return self.watch(session, rollout).await;
        }
        let (phase, message) = client_phase(&rollout);
        if let Some(output) = self.output {
            self.print(session, output).await?;
            return Ok(exit_code(phase, session.grammar));
        }
        match phase {
            RolloutPhase::Healthy | RolloutPhase::Degraded => session.terminal.say(phase.as_str())?,
            RolloutPhase::Progressing | RolloutPhase::Paused | RolloutPhase::Unknown => {
                session.terminal.say(&format!("{} - {message}", phase.as_str()))?;
            }
        }
        let exit = exit_code(phase, session.grammar);
        if exit == Exit::Degraded {
            complain(session, &message)?;
        }
        Ok(exit)
    }

    /// Prints what the page of `get rollout` says at its top.
    async fn print(&self, session: &mut Session<'_>, output: Output) -> Result<()> {
        let view = Collected::read(session, &self.name).await?.view(Timestamp::now());
        let brief = json!({
            "name": view.name,
            "namespace": view.namespace,
            "status": view.status,
            "message": view.message,
            "waitingFor": view.waiting_for,
            "step": view.step,
            "replicas": view.replicas,
        });
        match output {
            Output::Json => session.terminal.print_json(&brief),
            Output::Yaml => session.terminal.print_yaml(&brief),
            Output::Name => session.terminal.say(&format!("rollout.argoproj.io/{}", view.name)),
            Output::Wide => session.terminal.say(&render_summary(&view)),
        }
    }

    async fn watch(&self, session: &mut Session<'_>, mut rollout: Rollout) -> Result<Exit> {
        let mut live = Live::one(session, &self.name);
        let end = (!self.timeout.is_zero()).then(|| Instant::now() + self.timeout);
        let mut last_line = String::new();
        loop {
            let (phase, message) = client_phase(&rollout);
            let line = if message.is_empty() {
                phase.as_str().to_owned()
            } else {
                format!("{} - {message}", phase.as_str())
            };
            if line != last_line {
                session.terminal.say(&line)?;
                last_line = line;
            }
            match phase {
                RolloutPhase::Healthy => return Ok(Exit::Done),
                RolloutPhase::Degraded => {
                    complain(session, &message)?;
                    return Ok(Exit::Degraded);
                }
                RolloutPhase::Progressing | RolloutPhase::Paused | RolloutPhase::Unknown => {}
            }
            let change = tokio::select! {
                change = live.next() => change?,
                () = until(end) => return self.give_up(session).await,
            };
            match change {
                Change::Objects => match live.objects(Kind::Rollout).next() {
                    Some(object) => rollout = decode(object.clone())?,
                    None => bail!("rollout {:?} was deleted", self.name),
                },
                Change::Trouble(_, error) => {
                    session
                        .terminal
                        .warn(&format!("Warning: cannot watch the rollout, trying again: {error}"))?;
                }
            }
        }
    }

    /// Ends the watch when its time is over, with the reason why the Rollout is not done.
    async fn give_up(&self, session: &mut Session<'_>) -> Result<Exit> {
        let mut text = "Error: Rollout status watch exceeded timeout".to_owned();
        // The reason is worth one more look at the pods; when there is no answer, the timeout is told alone.
        if let Ok(collected) = Collected::read(session, &self.name).await
            && let Some(why) = collected.view(Timestamp::now()).waiting_for
        {
            text += &format!(": waiting for {why}");
        }
        session.terminal.warn(&text)?;
        Ok(Exit::TimedOut)
    }
}

/// Says in the Argo Rollouts plugin's words that a Rollout is degraded.
fn complain(session: &mut Session<'_>, message: &str) -> Result<()> {
    session.terminal.warn(&format!("Error: The rollout is in a degraded state with message: {message}"))
}

/// Returns the exit code for a phase that is looked at once.
fn exit_code(phase: RolloutPhase, grammar: Grammar) -> Exit {
    match (phase, grammar) {
        (RolloutPhase::Degraded, _) => Exit::Degraded,
        // Scripts written for the Argo Rollouts plugin rely on a paused Rollout being no failure.
        (RolloutPhase::Paused, Grammar::Tidegate) => Exit::Paused,
        (RolloutPhase::Paused, Grammar::Argo)
        | (RolloutPhase::Healthy | RolloutPhase::Progressing | RolloutPhase::Unknown, _) => Exit::Done,
    }
}
