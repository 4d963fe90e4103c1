//! `lint -f FILE`: what is wrong in manifests, before anybody applies them; it needs no cluster.
//!
//! Everything that is wrong is told at once, each with its place in the file. In the words of the Argo Rollouts plugin
//! it checks what that one checks, and ends with the first error.

mod findings;

use std::collections::BTreeSet;

use anyhow::{Result, anyhow, bail};
use clap::Args;
use serde::Serialize;

use crate::cli::Output;
use crate::document::{self, Document, Source};
use crate::terminal::Terminal;
use crate::{Exit, Grammar};
use findings::{Finding, Severity};

/// Check manifests of rollouts, analysis templates, analysis runs, experiments and applications.
///
/// Services, Ingresses and routes are checked against the rollouts that name them, as far as the files hold them. Ends
/// with 1 when something is wrong; what this release does not serve is a warning.
#[derive(Debug, Args)]
pub(crate) struct Lint {
    /// Files, folders, or - for the standard input.
    #[arg(short, long, value_name = "FILE", required = true)]
    filename: Vec<String>,
    /// Take the files in folders of a folder as well.
    #[arg(short = 'R', long)]
    recursive: bool,
    /// Form of the output.
    #[arg(short, long, value_enum, value_name = "FORM")]
    output: Option<Output>,
}

/// All that was found.
#[derive(Debug, Serialize)]
struct Report {
    findings: Vec<Finding>,
    /// Objects that were checked.
    objects: usize,
    errors: usize,
    warnings: usize,
}

impl Lint {
    /// Checks the files.
    pub(crate) fn run(&self, grammar: Grammar, terminal: &mut Terminal) -> Result<Exit> {
        let sources = document::sources(&self.filename, self.recursive)?;
        match grammar {
            Grammar::Tidegate => self.report(&sources, terminal),
            Grammar::Argo => as_upstream(&sources, terminal),
        }
    }

    fn report(&self, sources: &[Source], terminal: &mut Terminal) -> Result<Exit> {
        let report = report(sources);
        match self.output {
            Some(Output::Json) => terminal.print_json(&report)?,
            Some(Output::Yaml) => terminal.print_yaml(&report)?,
            Some(Output::Name) | Some(Output::Wide) => bail!("lint has the forms json and yaml"),
            None => {
                for finding in &report.findings {
                    terminal.say(&finding.to_string())?;
                }
                terminal.say(&report.summary())?;
            }
        }
        Ok(if report.errors == 0 { Exit::Done } else { Exit::Failed })
    }
}

impl Report {
    fn summary(&self) -> String {
        let count =
            |number: usize, one: &str| format!("{number} {one}{}", if number == 1 { "" } else { "s" });
        format!(
            "{} checked: {}, {}",
            count(self.objects, "object"),
            count(self.errors, "error"),
            count(self.warnings, "warning")
        )
    }
}

/// Checks all files together: what one names may be in another.
fn report(sources: &[Source]) -> Report {
    let (mut documents, mut found) = (Vec::new(), BTreeSet::new());
    for source in sources {
        match document::documents(source) {
            Ok(read) => documents.extend(read),
            Err(broken) => {
                found.insert(Finding::unreadable(source, &broken));
            }
        }
    }
    let objects = findings::all(&documents, &mut found);
    if objects == 0 && found.is_empty() {
        let file = sources.first().map(|source| source.name.clone()).unwrap_or_default();
        found.insert(Finding::nothing(file));
    }
    let count = |severity| found.iter().filter(|finding| finding.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    Report { objects, errors, warnings, findings: found.into_iter().collect() }
}

/// What the Argo Rollouts plugin says: the errors of Rollouts without their fields, then the first one as a whole.
fn as_upstream(sources: &[Source], terminal: &mut Terminal) -> Result<Exit> {
    let mut documents: Vec<Document> = Vec::new();
    for source in sources {
        documents.extend(document::documents(source).map_err(|broken| anyhow!("{}", broken.why))?);
    }
    let errors = findings::of_upstream(&documents).map_err(|why| anyhow!(why))?;
    for error in &errors {
        terminal.say(&error.body())?;
    }
    errors.first().map_or(Ok(Exit::Done), |first| Err(anyhow!("{first}")))
}

#[cfg(test)]
mod tests;
