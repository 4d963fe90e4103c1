//! Runs other programs to their end and turns their failure into an error that
//! names the command and carries what it said.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// A program with its arguments.
pub(crate) fn command(program: impl AsRef<OsStr>, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null());
    command
}

/// Runs a program, its output kept for the error only.
pub(crate) fn run(program: impl AsRef<OsStr>, args: &[&str]) -> Result<()> {
    output(&mut command(program, args)).map(drop)
}

/// Runs a command and returns what it wrote to its standard output.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let done = command.output().with_context(|| format!("cannot start {}", line(command)))?;
    if !done.status.success() {
        let said =
            format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        bail!("{} failed with {}:\n{}", line(command), done.status, last_lines(&said, 40));
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

/// Runs a command that talks to the terminal itself.
pub(crate) fn run_in_terminal(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {}", line(command)))?;
    if !status.success() {
        bail!("{} failed with {status}", line(command));
    }
    Ok(())
}

/// Looks a program up in PATH and the directories of system programs.
pub(crate) fn exists(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|dir| dir.join(program).is_file())
}

/// The last lines of a text, for messages.
pub(crate) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// The last lines of a file, or why there are none.
pub(crate) fn last_lines_of(path: &Path, count: usize) -> String {
    match std::fs::read(path) {
        Ok(bytes) => last_lines(&String::from_utf8_lossy(&bytes), count),
        Err(error) => format!("({} cannot be read: {error})", path.display()),
    }
}

fn line(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy()];
    words.extend(command.get_args().map(OsStr::to_string_lossy));
    let mut line = words.join(" ");
    if line.len() > 300 {
        line = line.chars().take(300).collect::<String>() + "…";
    }
    format!("`{line}`")
}
