//! `get experiment NAME`: one Experiment with its pods and AnalysisRuns, once or live. `list experiments`: all of them.

use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use jiff::Timestamp;
use kube::api::ListParams;
use tidegate_api::experiment::Experiment;
use tidegate_engine::view::{
    ExperimentObjects, ExperimentPage, ExperimentRow, Paint, render_experiment, render_experiment_summary,
    render_experiments,
};

use crate::cli::Output;
use crate::kind::Kind;
use crate::live::Live;
use crate::objects::{Collected, OWNED};
use crate::screen::{self, Page};
use crate::session::{Session, decode};
use crate::{Exit, Grammar};

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
        let api = session.api_of(Kind::Experiment, self.all_namespaces);
        let mut rows = Vec::new();
        for object in session.list(&api, Kind::Experiment, &ListParams::default()).await? {
            rows.push(ExperimentRow::new(&decode(object)?));
        }
        rows.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        let name = |row: &ExperimentRow| format!("experiment.argoproj.io/{}", row.name);
        if !session.terminal.print_list(self.output, &rows, name)? {
            let paint = session.terminal.paint(self.no_color);
            let text = render_experiments(&rows, self.all_namespaces, Timestamp::now(), paint);
            session.terminal.print(&text)?;
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
        let named = format!("experiment.argoproj.io/{name}");
        let (output, no_color, grammar) = (self.listing.output, self.listing.no_color, session.grammar);
        session.terminal.print_page(output, &page, &named, no_color, |page, paint| {
            render_experiment(&shown(grammar, page.clone()), paint)
        })?;
        Ok(Exit::Done)
    }

    /// Draws the Experiment whenever something changes; prints to a log instead when nobody looks.
    async fn watch(&self, session: &mut Session<'_>, name: &str) -> Result<Exit> {
        // A single read first: a watch would wait for ever for an Experiment that is not there.
        session.object(Kind::Experiment, name).await?;
        let live = Live::experiment_with_owned(session, name);
        let grammar = session.grammar;
        let look = |live: &Live| match live.objects(Kind::Experiment).next() {
            Some(object) => Ok(Some(shown(grammar, page(&decode(object.clone())?, &live.owned())))),
            None => Ok(None),
        };
        let limit = (self.timeout_seconds > 0).then(|| Duration::from_secs(self.timeout_seconds));
        let no_color = self.listing.no_color;
        screen::watch(session, (Kind::Experiment, name), live, limit, no_color, look).await
    }
}

/// Reads an Experiment and what it owns; what may not be read is left out with a warning.
async fn read(session: &mut Session<'_>, name: &str) -> Result<ExperimentPage> {
    let experiment: Experiment = decode(session.object(Kind::Experiment, name).await?)?;
    let owned = OWNED.into_iter().filter(|(kind, _)| *kind != Kind::Experiment);
    Ok(page(&experiment, &Collected::owned(session, owned).await?))
}

fn page(experiment: &Experiment, beside: &Collected) -> ExperimentPage {
    let objects = ExperimentObjects::new(&beside.sets, &beside.pods, &beside.runs);
    ExperimentPage::new(experiment, objects, Timestamp::now())
}

/// Leaves out what the Argo Rollouts plugin does not draw, where its words are spoken: scripts count lines.
fn shown(grammar: Grammar, page: ExperimentPage) -> ExperimentPage {
    match grammar {
        Grammar::Tidegate => page,
        Grammar::Argo => ExperimentPage { runs_until: None, ..page },
    }
}

impl Page for ExperimentPage {
    fn taken_at(&self) -> Timestamp {
        self.now
    }

    fn picture(&self, paint: Paint) -> String {
        render_experiment(self, paint)
    }

    fn line(&self) -> String {
        render_experiment_summary(self)
    }
}
