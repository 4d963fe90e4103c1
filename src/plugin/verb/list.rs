//! `list rollouts`: one line per Rollout, once or as they change.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use kube::api::{Api, DynamicObject, ListParams};
use kube::runtime::watcher;
use tidegate_engine::view::list::{Columns, Row, render_rows};
use tokio::time::Instant;

use super::application::Applications;
use super::experiment::ExperimentListing;
use crate::Exit;
use crate::cli::Output;
use crate::kind::Kind;
use crate::live::{Change, Live};
use crate::screen::until;
use crate::session::{Session, decode};

/// List rollouts, applications or experiments.
#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(subcommand)]
    kind: ListKind,
}

/// What to list.
#[derive(Debug, Subcommand)]
enum ListKind {
    /// List rollouts, one line each.
    #[command(visible_aliases = ["rollout", "ro"])]
    Rollouts(Listing),
    /// List applications, one line each.
    #[command(visible_aliases = ["application", "app", "apps"])]
    Applications(Applications),
    /// List experiments, one line each.
    #[command(visible_aliases = ["experiment", "exp"])]
    Experiments(ExperimentListing),
}

/// Which rollouts to list, and how.
#[derive(Debug, Args)]
pub(crate) struct Listing {
    /// Show what changes as it changes.
    #[arg(short, long)]
    pub(crate) watch: bool,
    /// Form of the output.
    #[arg(short, long, value_enum, value_name = "FORM")]
    pub(crate) output: Option<Output>,
    /// Print without colours; $NO_COLOR does the same.
    #[arg(long)]
    pub(crate) no_color: bool,
    /// List rollouts of all namespaces.
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// List only the rollout with this name.
    #[arg(id = "only", long = "name", value_name = "NAME")]
    only: Option<String>,
    /// Print the time in front of each line.
    #[arg(long)]
    timestamps: bool,
}

impl List {
    /// Lists what was asked for.
    pub(crate) async fn run(&self, session: &mut Session<'_>) -> Result<Exit> {
        match &self.kind {
            ListKind::Rollouts(listing) => listing.run(session, None).await,
            ListKind::Applications(applications) => applications.run(session).await,
            ListKind::Experiments(listing) => listing.run(session).await,
        }
    }
}

impl Listing {
    /// Tells whether a flag was given that makes no sense for a single Rollout.
    pub(crate) fn is_for_many(&self) -> bool {
        self.all_namespaces || self.timestamps || self.only.is_some()
    }

    /// Lists the Rollouts.
    pub(crate) async fn run(&self, session: &mut Session<'_>, limit: Option<Duration>) -> Result<Exit> {
        let api = session.api_of(Kind::Rollout, self.all_namespaces);
        if self.watch {
            return self.watch(session, api, limit).await;
        }
        let params =
            self.selector().map_or_else(ListParams::default, |fields| ListParams::default().fields(&fields));
        let mut rows = Vec::new();
        let now = Timestamp::now();
        for object in session.list(&api, Kind::Rollout, &params).await? {
            rows.push(Row::new(&decode(object)?, now));
        }
        rows.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        let name = |row: &Row| format!("rollout.argoproj.io/{}", row.name);
        if !session.terminal.print_list(self.output, &rows, name)? {
            self.print(session, &rows, true)?;
        }
        Ok(Exit::Done)
    }

    fn selector(&self) -> Option<String> {
        self.only.as_ref().map(|name| format!("metadata.name={name}"))
    }

    fn print(&self, session: &mut Session<'_>, rows: &[Row], with_heading: bool) -> Result<()> {
        let now = Timestamp::now();
        let columns = Columns {
            namespace: self.all_namespaces,
            wide: self.output == Some(Output::Wide),
            printed_at: self.timestamps.then_some(now),
        };
        let paint = session.terminal.paint(self.no_color);
        session.terminal.print(&render_rows(rows, with_heading, columns, now, paint))
    }

    /// Prints all Rollouts, and then each one whose line has changed.
    async fn watch(
        &self,
        session: &mut Session<'_>,
        api: Api<DynamicObject>,
        limit: Option<Duration>,
    ) -> Result<Exit> {
        if matches!(self.output, Some(Output::Json | Output::Yaml | Output::Name)) {
            bail!("--watch prints lines: it goes with --output wide, not with json, yaml or name");
        }
        let config = self
            .selector()
            .map_or_else(watcher::Config::default, |fields| watcher::Config::default().fields(&fields));
        let mut live = Live::many(api, config);
        let end = limit.map(|limit| Instant::now() + limit);
        let mut known: Option<BTreeMap<(String, String), Row>> = None;
        loop {
            let change = tokio::select! {
                change = live.next() => change?,
                () = until(end) => return Ok(Exit::TimedOut),
            };
            if let Change::Trouble(kind, error) = change {
                session
                    .terminal
                    .warn(&format!("Warning: cannot watch {}s, trying again: {error}", kind.word()))?;
                continue;
            }
            let now = Timestamp::now();
            let mut rows = BTreeMap::new();
            for object in live.objects(Kind::Rollout) {
                let row = Row::new(&decode(object.clone())?, now);
                rows.insert((row.namespace.clone(), row.name.clone()), row);
            }
            let fresh: Vec<Row> = match &known {
                None => rows.values().cloned().collect(),
                Some(known) => news(known, &rows),
            };
            if known.is_none() || !fresh.is_empty() {
                self.print(session, &fresh, known.is_none())?;
            }
            known = Some(rows);
        }
    }
}

/// Returns the rows that are new or look different.
fn news(known: &BTreeMap<(String, String), Row>, rows: &BTreeMap<(String, String), Row>) -> Vec<Row> {
    let is_new =
        |(key, row): &(&(String, String), &Row)| known.get(*key).is_none_or(|old| !old.looks_like(row));
    rows.iter().filter(is_new).map(|(_, row)| row.clone()).collect()
}
