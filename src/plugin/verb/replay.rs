//! `replay analysisrun NAME`: the verdict once more, from what the run recorded; with `--with`, on the terms of a template.
//!
//! Nothing is asked of a metric server and nothing is written. Ends with 0 when the same follows as was recorded, with 1 when
//! something else does, and with 2 when nothing can be said.

use anyhow::{Result, anyhow};
use clap::{Args, Subcommand};
use tidegate_api::analysis::{AnalysisRun, AnalysisTemplate};
use tidegate_engine::analysis::{Again, Replayed, replay, run_of};
use tidegate_engine::rollout::world::TemplateKey;
use tidegate_engine::view::render_replay;

use super::create::{included, template_kind};
use crate::Exit;
use crate::cli::Output;
use crate::kind::Kind;
use crate::session::{Session, decode};
use crate::switch::TRUE;

/// Judge a run again from what it recorded, on its own terms or on those of another template.
#[derive(Debug, Args)]
pub(crate) struct Replay {
    #[command(subcommand)]
    kind: ReplayKind,
}

/// What to judge again.
#[derive(Debug, Subcommand)]
enum ReplayKind {
    /// Judge an analysis run again.
    #[command(visible_aliases = ["analysisruns", "ar"])]
    Analysisrun(OfRun),
}

/// Which run, and on whose terms.
#[derive(Debug, Args)]
struct OfRun {
    /// Name of the analysis run.
    #[arg(value_name = "NAME")]
    name: String,
    /// Name of an analysis template whose metrics judge instead of the run's own.
    #[arg(long, value_name = "TEMPLATE")]
    with: Option<String>,
    /// Take a ClusterAnalysisTemplate.
    #[arg(long, requires_ifs = TRUE.map(|word| (word, "with")))]
    global: bool,
    /// Form of the output.
    #[arg(short, long, value_enum, value_name = "FORM")]
    output: Option<Output>,
}

impl Replay {
    /// Judges again.
    pub(crate) async fn run(&self, session: &mut Session<'_>) -> Result<Exit> {
        let ReplayKind::Analysisrun(of) = &self.kind;
        let run: AnalysisRun = decode(session.object(Kind::AnalysisRun, &of.name).await?)?;
        let other = of.terms(session, &run).await?;
        let replayed = replay(&run, other.as_ref()).map_err(|why| anyhow!(why))?;
        match of.output {
            Some(Output::Json) => session.terminal.print_json(&replayed)?,
            Some(Output::Yaml) => session.terminal.print_yaml(&replayed)?,
            Some(Output::Name | Output::Wide) | None => {
                let by = of.with.as_ref().map_or_else(|| "again".to_owned(), |name| format!("with {name}"));
                session.terminal.print(&render_replay(&replayed, &by))?;
            }
        }
        Ok(exit(&replayed))
    }
}

impl OfRun {
    /// The metrics and arguments of the other template, if one is named.
    async fn terms(&self, session: &Session<'_>, run: &AnalysisRun) -> Result<Option<AnalysisRun>> {
        let Some(name) = &self.with else { return Ok(None) };
        let template: AnalysisTemplate = decode(session.object(template_kind(self.global), name).await?)?;
        let key = TemplateKey { cluster: self.global, name: name.clone() };
        let templates = included(session, key.clone(), template.into()).await?;
        run_of(&key, &templates, &run.spec.args).map(Some).map_err(|why| anyhow!(why))
    }
}

fn exit(replayed: &[Replayed]) -> Exit {
    let mut measurements = replayed.iter().flat_map(|metric| &metric.measurements).peekable();
    if measurements.peek().is_none() {
        return Exit::NotCompared;
    }
    if measurements.all(Again::is_same) { Exit::Done } else { Exit::Differs }
}
