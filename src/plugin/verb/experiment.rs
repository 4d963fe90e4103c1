//! `get experiment NAME`: one Experiment with its pods and AnalysisRuns, once or live. `list experiments`: all of them.

use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use jiff::Timestamp;
use kube::api::ListParams;
use tidegate_api::experiment::Experiment;
use tidegate_engine::view::{
    ExperimentObjects, ExperimentPage, ExperimentRow, render_experiment, render_experiment_summary,
    render_experiments,
};
use tokio::time::{Instant, MissedTickBehavior};

use super::get::{CLOCK, FRAME, late, until};
use crate::Exit;
use crate::cli::Output;
use crate::kind::Kind;
use crate::live::{Change, Live};
use crate::objects::{Collected, OWNED};
use crate::session::{Session, decode};

/// Which experiments to show, and how.
#[derive(Debug, Args)]
pub(crate) struct Experiments {
    /// Name of the experiment; all experiments when absent.
    name: Option<String>,
    /// Show what changes as it changes.
    #[arg(short, long)]
    watch: bool,
    /// Fail when it was watched for so many seconds; 0 for no limit.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    timeout_seconds: u64,
    #[command(flatten)]
    listing: ExperimentListing,
}

/// How to list experiments.
#[derive(Debug, Args)]
pub(crate) struct ExperimentListing {
    /// Form of the output.
    #[arg(short, long, value_enum, value_name = "FORM")]
    output: Option<Output>,
    /// Print without colours; $NO_COLOR does the same.
    #[arg(long)]
    no_color: bool,
    /// List experiments of all namespaces.
    #[arg(short = 'A', long)]
    all_namespaces: bool,
}

impl ExperimentListing {
    /// Lists the Experiments.
    pub(crate) async fn run(&self, session: &mut Session<'_>) -> Result<Exit> {
        let api = if self.all_namespaces {
            session.api_everywhere(Kind::Experiment)
        } else {
            session.api(Kind::Experiment)
        };
        let mut rows = Vec::new();
        for object in session.list(&api, Kind::Experiment, &ListParams::default()).await? {
            rows.push(ExperimentRow::new(&decode(object)?));
        }
        rows.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        match self.output {
            Some(Output::Json) => session.terminal.print_json(&rows)?,
            Some(Output::Yaml) => session.terminal.print_yaml(&rows)?,
            Some(Output::Name) => {
                for row in &rows {
                    session.terminal.say(&format!("experiment.argoproj.io/{}", row.name))?;
                }
            }
            Some(Output::Wide) | None if rows.is_empty() => session.terminal.warn("No resources found.")?,
            Some(Output::Wide) | None => {
                let paint = session.terminal.paint(self.no_color);
                let text = render_experiments(&rows, self.all_namespaces, Timestamp::now(), paint);
                session.terminal.print(&text)?;
            }
        }
        Ok(Exit::Done)
    }
}

impl Experiments {
    /// Shows what was asked for.
    pub(crate) async fn run(&self, session: &mut Session<'_>) -> Result<Exit> {
        let Some(name) = &self.name else {
            if self.watch {
                bail!("--watch goes with one experiment, not with a list");
            }
            return self.listing.run(session).await;
        };
        if self.listing.all_namespaces {
            bail!("--all-namespaces goes with a list, not with experiment {name:?}");
        }
        if self.watch {
            return self.watch(session, name).await;
        }
        let page = read(session, name).await?;
        match self.listing.output {
            Some(Output::Json) => session.terminal.print_json(&page)?,
            Some(Output::Yaml) => session.terminal.print_yaml(&page)?,
            Some(Output::Name) => session.terminal.say(&format!("experiment.argoproj.io/{name}"))?,
            Some(Output::Wide) | None => {
                let paint = session.terminal.paint(self.listing.no_color);
                session.terminal.print(&render_experiment(&page, paint))?;
            }
        }
        Ok(Exit::Done)
    }

    /// Draws the Experiment whenever something changes; prints a line instead when nobody looks.
    async fn watch(&self, session: &mut Session<'_>, name: &str) -> Result<Exit> {
        // A single read first: a watch would wait for ever for an Experiment that is not there.
        session.object(Kind::Experiment, name).await?;
        let mut live = Live::experiment_with_owned(session, name);
        let mut frames = tokio::time::interval(FRAME);
        frames.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let limit = (self.timeout_seconds > 0).then(|| Duration::from_secs(self.timeout_seconds));
        let end = limit.map(|limit| Instant::now() + limit);
        let mut screen = Screen { no_color: self.listing.no_color, drawn: None, line: String::new() };
        let mut is_changed = false;
        loop {
            tokio::select! {
                change = live.next() => match change? {
                    Change::Objects => is_changed = true,
                    Change::Trouble(kind, error) if screen.drawn.is_none() => {
                        let message = format!("Warning: cannot watch {}s, trying again: {error}", kind.word());
                        session.terminal.warn(&message)?;
                    }
                    // It would spoil the picture.
                    Change::Trouble(..) => {}
                },
                _ = frames.tick() => {
                    if live.is_complete() && (is_changed || screen.is_stale(session)) {
                        let Some(object) = live.objects(Kind::Experiment).next() else {
                            bail!("experiment {name:?} was deleted");
                        };
                        let experiment = decode(object.clone())?;
                        let mut beside = Collected::default();
                        for (kind, _) in OWNED {
                            live.objects(kind).for_each(|object| beside.add(kind, object.clone()));
                        }
                        screen.show(session, &page(&experiment, &beside))?;
                        is_changed = false;
                    }
                }
                () = until(end) => return Ok(late(session)),
            }
        }
    }
}

/// Reads an Experiment and what it owns; what may not be read is left out with a warning.
async fn read(session: &mut Session<'_>, name: &str) -> Result<ExperimentPage> {
    let experiment: Experiment = decode(session.object(Kind::Experiment, name).await?)?;
    let mut beside = Collected::default();
    for (kind, label) in OWNED.into_iter().filter(|(kind, _)| *kind != Kind::Experiment) {
        let params = label.map_or_else(ListParams::default, |label| ListParams::default().labels(label));
        match session.list(&session.api(kind), kind, &params).await {
            Ok(objects) => objects.into_iter().for_each(|object| beside.add(kind, object)),
            Err(failure) => {
                session.terminal.warn(&format!("Warning: {:#}", anyhow::Error::from(failure)))?;
            }
        }
    }
    Ok(page(&experiment, &beside))
}

fn page(experiment: &Experiment, beside: &Collected) -> ExperimentPage {
    let objects = ExperimentObjects::new(&beside.sets, &beside.pods, &beside.runs);
    ExperimentPage::new(experiment, objects, Timestamp::now())
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
    /// Tells whether the ages in the picture are out of date.
    fn is_stale(&self, session: &Session<'_>) -> bool {
        session.terminal.is_watched && self.drawn.is_none_or(|drawn| drawn.elapsed() >= CLOCK)
    }

    fn show(&mut self, session: &mut Session<'_>, page: &ExperimentPage) -> Result<()> {
        if session.terminal.is_watched {
            if self.drawn.is_none() {
                session.terminal.clear()?;
            }
            self.drawn = Some(Instant::now());
            let paint = session.terminal.paint(self.no_color);
            return session.terminal.draw(&render_experiment(page, paint));
        }
        let line = render_experiment_summary(page);
        if line != self.line {
            session.terminal.say(&format!("{} {line}", page.now.strftime("%H:%M:%SZ")))?;
            self.line = line;
        }
        Ok(())
    }
}
