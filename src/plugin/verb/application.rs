//! Applications: finding one by its name, showing one or many, once or as they change.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use clap::Args;
use jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{DynamicObject, ListParams};
use kube::runtime::watcher;
use serde_json::Value;
use tidegate_engine::view::{
    ApplicationColumns, ApplicationView, render_application, render_application_summary, render_applications,
};
use tokio::time::Instant;

use crate::Exit;
use crate::cli::Output;
use crate::kind::Kind;
use crate::live::{Change, Live};
use crate::screen::until;
use crate::session::{Failure, Session, decode};

/// Which applications to show, and how.
#[derive(Debug, Args)]
pub(crate) struct Applications {
    /// Name of the application; all applications when absent.
    name: Option<String>,
    /// Show what changes as it changes.
    #[arg(short, long)]
    watch: bool,
    /// Form of the output.
    #[arg(short, long, value_enum, value_name = "FORM")]
    output: Option<Output>,
    /// Print without colours; $NO_COLOR does the same.
    #[arg(long)]
    no_color: bool,
    /// List applications of all namespaces.
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Fail when it was watched for so many seconds; 0 for no limit.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    timeout_seconds: u64,
}

impl Applications {
    /// Shows what was asked for.
    pub(crate) async fn run(&self, session: &mut Session<'_>) -> Result<Exit> {
        if let Some(name) = &self.name {
            if self.all_namespaces {
                bail!("--all-namespaces goes with a list, not with application {name:?}");
            }
            return self.one(session, name).await;
        }
        if self.watch {
            return self.watch(session, None).await;
        }
        let api = session.api_of(Kind::Application, self.all_namespaces);
        let mut objects = session.list(&api, Kind::Application, &ListParams::default()).await?;
        objects.sort_by_key(|object| (object.namespace(), object.name_any()));
        match self.output {
            Some(Output::Json) => session.terminal.print_json(&whole(objects))?,
            Some(Output::Yaml) => session.terminal.print_yaml(&whole(objects))?,
            Some(Output::Name) => say_names(session, &objects)?,
            Some(Output::Wide) | None if objects.is_empty() => {
                session.terminal.warn("No resources found.")?
            }
            Some(Output::Wide) | None => {
                let now = Timestamp::now();
                let views: Result<Vec<_>> = objects.into_iter().map(|object| view(object, now)).collect();
                self.print(session, &views?, true)?;
            }
        }
        Ok(Exit::Done)
    }

    async fn one(&self, session: &mut Session<'_>, name: &str) -> Result<Exit> {
        let mut object = find(session, name).await?;
        if self.watch {
            return self.watch(session, Some(name)).await;
        }
        object.metadata.managed_fields = None;
        match self.output {
            Some(Output::Json) => session.terminal.print_json(&object)?,
            Some(Output::Yaml) => session.terminal.print_yaml(&object)?,
            Some(Output::Name) => say_names(session, &[object])?,
            Some(Output::Wide) | None => {
                let view = view(object, Timestamp::now())?;
                let paint = session.terminal.paint(self.no_color);
                let is_wide = self.output == Some(Output::Wide);
                session.terminal.print(&render_application(&view, is_wide, paint))?;
            }
        }
        Ok(Exit::Done)
    }

    fn print(&self, session: &mut Session<'_>, views: &[ApplicationView], with_heading: bool) -> Result<()> {
        let columns =
            ApplicationColumns { namespace: self.all_namespaces, wide: self.output == Some(Output::Wide) };
        let paint = session.terminal.paint(self.no_color);
        session.terminal.print(&render_applications(views, with_heading, columns, paint))
    }

    /// Prints every change: of one Application its state in a line, of many the line that has changed.
    async fn watch(&self, session: &mut Session<'_>, only: Option<&str>) -> Result<Exit> {
        if matches!(self.output, Some(Output::Json | Output::Yaml | Output::Name)) {
            bail!("--watch prints lines: it goes with --output wide, not with json, yaml or name");
        }
        let mut live = self.live(session, only);
        let end =
            (self.timeout_seconds > 0).then(|| Instant::now() + Duration::from_secs(self.timeout_seconds));
        let mut known: Option<BTreeMap<(String, String), String>> = None;
        loop {
            let change = tokio::select! {
                change = live.next() => change?,
                () = until(end) => return Ok(Exit::TimedOut),
            };
            if let Change::Trouble(kind, error) = change {
                let message = format!("Warning: cannot watch {}s, trying again: {error}", kind.word());
                session.terminal.warn(&message)?;
                continue;
            }
            let now = Timestamp::now();
            let views: Result<Vec<_>> =
                live.objects(Kind::Application).map(|object| view(object.clone(), now)).collect();
            let (views, old) = (views?, known.take());
            if let Some(name) = only
                && views.is_empty()
            {
                bail!("application {name:?} was deleted");
            }
            let lines: BTreeMap<_, _> = views.iter().map(|view| (key(view), looks(view))).collect();
            let is_news = |view: &&ApplicationView| {
                old.as_ref().is_none_or(|old| old.get(&key(view)) != lines.get(&key(view)))
            };
            let fresh: Vec<ApplicationView> = views.iter().filter(is_news).cloned().collect();
            if only.is_some() {
                for view in &fresh {
                    let line = render_application_summary(view);
                    session.terminal.say(&format!("{} {line}", now.strftime("%H:%M:%SZ")))?;
                }
            } else if old.is_none() || !fresh.is_empty() {
                self.print(session, &fresh, old.is_none())?;
            }
            known = Some(lines);
        }
    }

    fn live(&self, session: &Session<'_>, only: Option<&str>) -> Live {
        match only {
            Some(name) => Live::one_of(session, Kind::Application, name),
            None => {
                let everywhere = session.api_everywhere(Kind::Application);
                let api = if self.all_namespaces { everywhere } else { session.api(Kind::Application) };
                Live::many_of(Kind::Application, api, watcher::Config::default())
            }
        }
    }
}

fn key(view: &ApplicationView) -> (String, String) {
    (view.namespace.clone(), view.name.clone())
}

/// What makes a new line worth printing: everything but the time that passes.
fn looks(view: &ApplicationView) -> String {
    let phase = view.operation.as_ref().map(|operation| operation.phase);
    let waits = view.waiting_for.as_deref().unwrap_or_default();
    // The time in brackets moves with every look.
    let waits = waits.split(" (running for").next().unwrap_or_default();
    format!("{:?} {:?} {} {phase:?} {waits}", view.sync, view.health, view.revision)
}

fn say_names(session: &mut Session<'_>, objects: &[DynamicObject]) -> Result<()> {
    for object in objects {
        session.terminal.say(&format!("application.argoproj.io/{}", object.name_any()))?;
    }
    Ok(())
}

/// The objects as clients of Argo CD expect them, without the record of who owns which field.
fn whole(objects: Vec<DynamicObject>) -> Vec<Value> {
    let objects = objects.into_iter().map(|mut object| {
        object.metadata.managed_fields = None;
        let mut value = serde_json::to_value(object).unwrap_or_default();
        let kind = Kind::Application.resource();
        // Items of a list lack what the list says once.
        value["apiVersion"] = Value::from(kind.api_version);
        value["kind"] = Value::from(kind.kind);
        value
    });
    objects.collect()
}

/// Looks at an Application.
pub(super) fn view(object: DynamicObject, now: Timestamp) -> Result<ApplicationView> {
    Ok(ApplicationView::new(&decode(object)?, now))
}

/// Reads an Application by its name, and goes on in its namespace.
///
/// Applications live beside their controller and not where their objects are, so they are looked for everywhere unless
/// the command named a namespace.
pub(super) async fn find(session: &mut Session<'_>, name: &str) -> Result<DynamicObject> {
    let here = match session.object(Kind::Application, name).await {
        Ok(found) => return Ok(found),
        Err(Failure::NotFound(error)) if session.is_namespace_given => return Err(error),
        Err(Failure::NotFound(error) | Failure::Other(error) | Failure::Conflict(error)) => error,
    };
    let params = ListParams::default().fields(&format!("metadata.name={name}"));
    let api = session.api_everywhere(Kind::Application);
    let Ok(found) = session.list(&api, Kind::Application, &params).await else {
        return Err(here.context("name its namespace with -n"));
    };
    let mut found = found.into_iter().filter(|object| object.name_any() == name);
    match (found.next(), found.next()) {
        (None, _) => Err(here),
        (Some(one), None) => {
            session.namespace = one.namespace().unwrap_or_default();
            Ok(session.object(Kind::Application, name).await?)
        }
        (Some(one), Some(other)) => {
            let namespaces = [one, other].map(|object| object.namespace().unwrap_or_default()).join(", ");
            Err(anyhow!("there is more than one application {name:?} ({namespaces}, …): choose one with -n"))
        }
    }
}
