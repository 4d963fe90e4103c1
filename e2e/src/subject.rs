//! What a long measurement is of, and where its figures go.

use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use crate::{demo, images, say};

/// What is measured, and where its figures go.
#[derive(Args)]
pub(crate) struct Subject {
    /// Where the figures go, as JSON, and beside it as text; a file in target that has this command's name by default.
    #[arg(long, value_name = "FILE")]
    pub(crate) keep: Option<PathBuf>,
    /// Another build of Tidegate than the one that cargo makes for the tests.
    #[arg(long, value_name = "FILE")]
    pub(crate) program: Option<PathBuf>,
    /// Further flags of the controller, such as --qps=20.
    #[arg(last = true)]
    pub(crate) controller_flags: Vec<String>,
}

impl Subject {
    /// The controller's program, which is built if nobody names one.
    pub(crate) async fn program(&self) -> Result<PathBuf> {
        match &self.program {
            Some(program) => Ok(std::path::absolute(program)?),
            None => tokio::task::spawn_blocking(images::tidegate_program).await?,
        }
    }

    /// The file of the figures, which has this name in `target` unless somebody says otherwise.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.keep.clone().unwrap_or_else(|| demo::target_dir().join(name))
    }
}

/// When something was measured, on what machine, and which controller.
#[derive(Serialize)]
pub(crate) struct Heading {
    began: Timestamp,
    /// This machine in a few words.
    machine: String,
    /// The controller's program, and its further flags.
    program: String,
    pub(crate) flags: Vec<String>,
}

impl Heading {
    /// Of a measurement that begins now.
    pub(crate) fn now(program: &Path, flags: &[String]) -> Self {
        let (began, machine) = (Timestamp::now(), demo::machine());
        Self { began, machine, program: program.display().to_string(), flags: flags.to_vec() }
    }

    /// One to test with.
    #[cfg(test)]
    pub(crate) fn example() -> Self {
        let (began, machine, program) = (Timestamp::UNIX_EPOCH, "m".to_owned(), "p".to_owned());
        Self { began, machine, program, flags: Vec::new() }
    }
}

impl Display for Heading {
    /// Two lines.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} on {}\n{} {}", self.began, self.machine, self.program, self.flags.join(" "))
    }
}

/// Writes figures as JSON to a file, and as a text beside it.
pub(crate) fn write(file: &Path, figures: &impl Serialize, text: &str) -> Result<()> {
    demo::write(file, &serde_json::to_string_pretty(figures)?)?;
    demo::write(&file.with_extension("txt"), text)
}

/// Says figures, and where they are kept.
pub(crate) fn tell(file: &Path, text: &str) {
    say(text);
    say(format!("kept in {} and {}", file.display(), file.with_extension("txt").display()));
}
