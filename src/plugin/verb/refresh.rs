//! `refresh APP`: asks the controller to compare an Application with Git now.

use anyhow::{Result, bail};
use clap::Args;
use jiff::Timestamp;
use kube::ResourceExt;
use serde_json::json;
use tidegate_engine::view::render_application_summary;

use super::application::{self, find};
use super::operation::{self, Patience};
use crate::Exit;
use crate::kind::Kind;
use crate::session::{Part, Session};

/// By which a comparison is asked for; the controller removes it when that is done.
const REFRESH: &str = "argocd.argoproj.io/refresh";
const SKIP_RECONCILE: &str = "argocd.argoproj.io/skip-reconcile";

/// Compare an application with its repository now, and not with the next poll.
#[derive(Debug, Args)]
pub(crate) struct Refresh {
    /// Name of the application.
    name: String,
    /// Trust nothing that was found earlier.
    #[arg(long)]
    hard: bool,
    #[command(flatten)]
    patience: Patience,
}

impl Refresh {
    /// Asks for the comparison, and waits for it if that is wanted.
    pub(crate) async fn run(&self, session: &mut Session<'_>) -> Result<Exit> {
        let name = &self.name;
        let known = find(session, name).await?;
        if known.annotations().get(SKIP_RECONCILE).is_some_and(|value| value == "true") {
            bail!(
                "application {name:?} is left alone by its controller: remove the annotation {SKIP_RECONCILE} first"
            );
        }
        let how = if self.hard { "hard" } else { "normal" };
        let patch = json!({ "metadata": { "annotations": { REFRESH: how } } });
        session.merge(Kind::Application, name, &patch, Part::Object).await?;
        if !self.patience.waits() {
            session.terminal.say(&format!("application '{name}' refresh requested"))?;
            return Ok(Exit::Done);
        }
        let is_done = |object: &kube::api::DynamicObject| !object.annotations().contains_key(REFRESH);
        let Some(application) = operation::until(session, name, self.patience, is_done).await? else {
            session.terminal.warn(&format!(
                "Error: application {name:?} is not compared yet: is a controller there that looks after it?"
            ))?;
            return Ok(Exit::TimedOut);
        };
        let view = application::view(application, Timestamp::now())?;
        session
            .terminal
            .say(&format!("application '{name}' refreshed: {}", render_application_summary(&view)))?;
        for condition in &view.conditions {
            session.terminal.warn(&format!("{}: {}", condition.type_, condition.message))?;
        }
        Ok(Exit::Done)
    }
}
