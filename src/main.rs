//! The one program: controller, kubectl plugin and printer of CRDs, told apart by its name or its first word.

use std::env;
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use tidegate_controller::Options;
use tidegate_plugin::Grammar;

/// Objects come and go in small pieces all the time: a fifth of the controller's work with the C library's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Progressive delivery for Kubernetes that shuts off bad releases by itself.
#[derive(Parser)]
#[command(name = "tidegate", version, max_term_width = 100)]
enum Program {
    /// Run the controller
    #[command(version)]
    Controller(Box<Options>),
    /// Print the CustomResourceDefinitions, for kubectl apply
    Crds,
    /// Any other word is a command of `kubectl tidegate`: get, status, promote, abort, retry, ...
    #[command(external_subcommand)]
    Plugin(Vec<OsString>),
}

fn main() -> ExitCode {
    // Both crypto users, kube and reqwest, take the process's provider. A second call could only repeat the first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut words = env::args_os();
    let name = words.next().unwrap_or_default();
    if let Some(grammar) = Grammar::of_program(&name) {
        return tidegate_plugin::main(words, grammar);
    }
    if let Some(grammar) = Grammar::of_completer(&name) {
        return tidegate_plugin::complete(words, grammar);
    }
    let program = match Program::try_parse() {
        Ok(program) => program,
        Err(told) => {
            let _ = told.print();
            // Usage errors end with 1: 2 means a degraded rollout to those who script the plugin.
            return if told.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
    };
    let outcome = match program {
        Program::Controller(options) => control(*options),
        Program::Crds => print_crds(),
        Program::Plugin(words) => return tidegate_plugin::main(words.into_iter(), Grammar::Tidegate),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when even this cannot be written.
            let _ = writeln!(std::io::stderr(), "Error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// One for each processor, but not many: they wait for others most of the time, and each keeps memory of its own.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |there| there.get().min(4))
}

fn control(options: Options) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads()).enable_all().build();
    let runtime = runtime.context("cannot start threads")?;
    runtime.block_on(tidegate_controller::run(options))?;
    Ok(())
}

/// A stream of YAML documents; JSON is YAML, and kubectl reads both.
fn print_crds() -> Result<()> {
    let mut out = std::io::stdout().lock();
    for definition in tidegate_api::crds::all() {
        writeln!(out, "---\n{definition:#}").context("cannot write to standard output")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::error::ErrorKind;

    use super::*;

    #[test]
    fn the_version_is_told_by_the_program_and_by_the_controller() {
        for words in [vec!["tidegate", "--version"], vec!["tidegate", "controller", "--version"]] {
            let told = Program::try_parse_from(words).err().unwrap();
            assert_eq!(told.kind(), ErrorKind::DisplayVersion);
            assert!(told.to_string().contains(env!("CARGO_PKG_VERSION")), "{told}");
        }
    }
}
