//! The kubectl plugin: `kubectl tidegate`, and `kubectl argo rollouts` for those who know that one.
//!
//! Input: arguments and a kubeconfig. Output: text, exit codes, and the same small patches that a user could
//! send with `kubectl patch`. What is shown comes from [`tidegate_engine::view`]; the plugin decides nothing
//! about a rollout, and never talks to a controller except through objects. Where it must see what a controller
//! sees, it looks through [`tidegate_controller::survey`], with the user's rights.
//!
//! One file per verb in `verb/`; each has its arguments, its patch as a pure function, and its words.

mod candidates;
mod cli;
mod connection;
mod document;
mod kind;
mod live;
mod objects;
mod patch;
mod screen;
mod session;
mod switch;
mod terminal;
mod verb;

#[cfg(test)]
mod scripted;

use std::ffi::{OsStr, OsString};
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Command;

use crate::terminal::Terminal;

/// Which plugin's words are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grammar {
    /// `kubectl tidegate`.
    Tidegate,
    /// `kubectl argo rollouts`: the arguments and defaults of the Argo Rollouts plugin.
    Argo,
}

impl Grammar {
    /// Returns the grammar that belongs to the name of a program, with or without its folder.
    ///
    /// ```
    /// use tidegate_plugin::Grammar;
    /// assert_eq!(Grammar::of_program("/bin/kubectl-argo-rollouts".as_ref()), Some(Grammar::Argo));
    /// assert_eq!(Grammar::of_program("kubectl-tidegate".as_ref()), Some(Grammar::Tidegate));
    /// assert_eq!(Grammar::of_program("tidegate".as_ref()), None);
    /// ```
    #[must_use]
    pub fn of_program(program: &OsStr) -> Option<Self> {
        match Path::new(program).file_stem()?.to_str()? {
            "kubectl-tidegate" => Some(Self::Tidegate),
            "kubectl-argo-rollouts" => Some(Self::Argo),
            _ => None,
        }
    }

    /// Returns the grammar that kubectl wants completed by a program of this name.
    ///
    /// ```
    /// use tidegate_plugin::Grammar;
    /// assert_eq!(Grammar::of_completer("kubectl_complete-tidegate".as_ref()), Some(Grammar::Tidegate));
    /// assert_eq!(Grammar::of_completer("kubectl-tidegate".as_ref()), None);
    /// ```
    #[must_use]
    pub fn of_completer(program: &OsStr) -> Option<Self> {
        match Path::new(program).file_stem()?.to_str()? {
            "kubectl_complete-tidegate" => Some(Self::Tidegate),
            "kubectl_complete-argo-rollouts" => Some(Self::Argo),
            _ => None,
        }
    }

    /// Returns what a person types.
    pub(crate) fn typed(self) -> &'static str {
        match self {
            Self::Tidegate => "kubectl tidegate",
            Self::Argo => "kubectl argo rollouts",
        }
    }

    /// Returns the name of the program that kubectl looks for.
    pub(crate) fn program(self) -> &'static str {
        match self {
            Self::Tidegate => "kubectl-tidegate",
            Self::Argo => "kubectl-argo-rollouts",
        }
    }
}

/// How a command ended, as scripts see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Done,
    Failed,
    Degraded,
    TimedOut,
    Paused,
    /// A comparison found differences.
    Differs,
    /// No comparison was possible.
    NotCompared,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed | Exit::Differs => 1,
            Exit::Degraded | Exit::NotCompared => 2,
            Exit::TimedOut => 3,
            Exit::Paused => 4,
        })
    }
}

/// Describes the commands of `kubectl tidegate`, for help and completion.
#[must_use]
pub fn command() -> Command {
    cli::command(Grammar::Tidegate)
}

/// Runs one command and returns its exit code: 0 done, 1 error or usage, 2 degraded, 3 timeout, 4 paused; `diff` has
/// codes of its own.
///
/// `args` are the arguments alone, without the name of the program.
pub fn main(args: impl Iterator<Item = OsString>, grammar: Grammar) -> ExitCode {
    let mut terminal = Terminal::standard();
    let cli = match cli::parse(grammar, args) {
        Ok(cli) => cli,
        Err(usage) => return explain_usage(&usage, &mut terminal),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = runtime
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(verb::run(cli, grammar, &mut terminal)));
    match outcome {
        Ok(exit) => exit.into(),
        Err(error) if is_closed_pipe(&error) => Exit::Done.into(),
        Err(error) => {
            // Nobody is left to tell when even this cannot be written.
            let _ = writeln!(terminal.err, "Error: {error:#}");
            Exit::Failed.into()
        }
    }
}

/// Answers kubectl, which asks under the name `kubectl_complete-tidegate` what may follow the words typed so far.
pub fn complete(words: impl Iterator<Item = OsString>, grammar: Grammar) -> ExitCode {
    let words: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    let answer = candidates::answer(cli::command(grammar), &words);
    if Terminal::standard().print(&answer).is_ok() { Exit::Done.into() } else { Exit::Failed.into() }
}

/// Prints help to the output, and a mistake in the arguments to the error output.
fn explain_usage(usage: &clap::Error, terminal: &mut Terminal) -> ExitCode {
    let asked =
        matches!(usage.kind(), clap::error::ErrorKind::DisplayHelp | clap::error::ErrorKind::DisplayVersion);
    let text = usage.render();
    let (exit, written) = if asked {
        (Exit::Done, write!(terminal.out, "{text}"))
    } else {
        (Exit::Failed, write!(terminal.err, "{text}"))
    };
    if written.is_ok() { exit.into() } else { Exit::Failed.into() }
}

/// Tells whether the reader of our output has gone, as in `... | head -1`.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
    })
}
