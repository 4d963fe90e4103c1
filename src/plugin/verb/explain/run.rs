//! `explain analysisrun NAME`: what each metric came to, and the evidence of the judge over time.

use anyhow::Result;
use clap::Args;
use tidegate_api::GROUP;
use tidegate_api::analysis::AnalysisRun;
use tidegate_engine::view::{RunPage, render_run};

use crate::Exit;
use crate::cli::Output;
use crate::kind::Kind;
use crate::session::{Session, decode};

/// Which run to explain, and how.
#[derive(Debug, Args)]
pub(super) struct OfRun {
    /// Name of the analysis run.
    #[arg(value_name = "NAME")]
    name: String,
    /// Form of the output.
    #[arg(short, long, value_enum, value_name = "FORM")]
    output: Option<Output>,
    /// Print without colours; $NO_COLOR does the same.
    #[arg(long)]
    no_color: bool,
}

impl OfRun {
    pub(super) async fn run(&self, session: &mut Session<'_>) -> Result<Exit> {
        let name = &self.name;
        let run: AnalysisRun = decode(session.object(Kind::AnalysisRun, name).await?)?;
        let page = RunPage::new(&run);
        let named = format!("analysisrun.{GROUP}/{name}");
        session.terminal.print_page(self.output, &page, &named, self.no_color, render_run)?;
        Ok(Exit::Done)
    }
}
