//! Upstream's own end-to-end tests against Tidegate: Argo Rollouts' test suite, built of its module as it is, in front of a
//! real API server and simulated nodes.
//!
//! What a test there asks of pods and Jobs is simulated (`upstream_suite/pods.yaml`), and so are the three sites on the
//! internet that a few of them measure; what it asks of the controller is Tidegate's to do, with the rights of the chart.
//! Tests that cannot pass here are known by name, with the reason. Never part of `cargo verify`: it takes eight minutes,
//! and the deadlines of the tests count on a machine that is not busy.

mod collection;
mod controller;
mod output;
mod program;
mod report;
mod sites;
mod stage;
mod suites;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use futures::{StreamExt, TryStreamExt, stream};

use self::controller::Controller;
use self::program::TestProgram;
use self::report::Report;
use self::stage::Stage;
use self::suites::{SUITES, Suite};
use crate::cluster::simulated::Parts;
use crate::subject::{Heading, Subject, tell, write};
use crate::{debian, say};

/// What the simulated pods do.
const PODS: &str = include_str!("upstream_suite/pods.yaml");

/// What is run.
#[derive(Args)]
pub(crate) struct Options {
    /// Suites such as BlueGreen; all that can run here by default.
    #[arg(value_name = "SUITE")]
    suites: Vec<String>,
    /// Only the tests whose name matches this regular expression, which Go reads.
    #[arg(long, value_name = "REGEX")]
    only: Option<String>,
    /// How many suites run at once; more take more of the machine, and fewer take longer.
    #[arg(long, default_value_t = 4, value_name = "COUNT")]
    at_once: usize,
    /// How many seconds a test waits for what it expects.
    #[arg(long, default_value_t = 45, value_name = "SECONDS")]
    patience: u32,
    /// Runs the tests against upstream's own controller, to see what it is about them that cannot pass here.
    #[arg(long, conflicts_with = "program")]
    upstream: bool,
    #[command(flatten)]
    subject: Subject,
}

/// Runs the suites, prints and keeps what came of them, and fails if a test did that is not known to.
pub(crate) async fn run(options: Options) -> Result<()> {
    let chosen = chosen(&options.suites)?;
    let parts = tokio::task::spawn_blocking(Parts::build).await??.with_pods(PODS);
    let tests = tokio::task::spawn_blocking(TestProgram::build).await??;
    let haproxy = tokio::task::spawn_blocking(debian::haproxy).await??;
    let controller = Controller::of(&options).await?;
    let file = options.subject.file(controller.figures());
    let logs = file.with_extension("logs");
    empty(&logs)?;
    let mut report = Report {
        heading: Heading::now(controller.program(), &options.subject.controller_flags),
        upstream: tests.version.clone(),
        suites: Vec::new(),
        not_run: report::not_run(&chosen, &tests),
    };
    let stage = Stage::start(&parts, tests, &options, logs).await?;
    stage.start_controller(&controller, &haproxy, &options.subject.controller_flags).await?;
    let played = play(&stage, &chosen, options.at_once).await;
    stage.keep_logs()?;
    report.suites = played?;
    write(&file, &report, &report.text())?;
    tell(&file, &report.text());
    report.verdict()
}

/// Plays so many suites at once, and tells of them in the order in which they were given.
async fn play(stage: &Stage, chosen: &[&'static Suite], at_once: usize) -> Result<Vec<report::Played>> {
    let played = stream::iter(chosen.iter().enumerate()).map(|(turn, suite)| async move {
        let played = stage.play(suite).await;
        anyhow::Ok((turn, played.with_context(|| format!("the suite {} cannot be run", suite.name))?))
    });
    let played: BTreeMap<usize, report::Played> =
        played.buffer_unordered(at_once.max(1)).try_collect().await?;
    Ok(played.into_values().collect())
}

/// The suites of these names, or without any all that can run here.
fn chosen(names: &[String]) -> Result<Vec<&'static Suite>> {
    if names.is_empty() {
        return Ok(SUITES.iter().filter(|suite| suite.left_out.is_none()).collect());
    }
    let is = |suite: &Suite, name: &String| suite.name.eq_ignore_ascii_case(name);
    if let Some(name) = names.iter().find(|name| !SUITES.iter().any(|suite| is(suite, name))) {
        bail!("no suite {name}; there are {}", SUITES.map(|suite| suite.name).join(", "));
    }
    Ok(SUITES.iter().filter(|suite| names.iter().any(|name| is(suite, name))).collect())
}

/// Makes a directory, or empties the one of an earlier run: what is in it is always of one run.
fn empty(logs: &Path) -> Result<()> {
    if logs.exists() {
        for entry in fs::read_dir(logs).with_context(|| format!("cannot list {}", logs.display()))? {
            let path = entry?.path();
            ensure!(
                path.extension().is_some_and(|end| end == "log"),
                "{} has no log in it: give --keep another name",
                path.display()
            );
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    fs::create_dir_all(logs).with_context(|| format!("cannot create {}", logs.display()))?;
    say(format!("logs go to {}", logs.display()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_are_chosen_by_name_and_by_default_those_that_can_run() {
        let names = |given: &[&str]| -> Result<Vec<&str>> {
            let given: Vec<String> = given.iter().map(|name| (*name).to_owned()).collect();
            Ok(chosen(&given)?.into_iter().map(|suite| suite.name).collect())
        };
        let all = names(&[]).unwrap();
        assert!(all.contains(&"Functional") && !all.contains(&"Istio"), "{all:?}");
        assert_eq!(names(&["Istio", "bluegreen", "BlueGreen"]).unwrap(), ["BlueGreen", "Istio"]);
        assert!(names(&["Green"]).unwrap_err().to_string().contains("there are"));
    }

    #[test]
    fn every_stage_of_pods_has_a_name_and_says_what_it_is_of() {
        let stages = crate::manifest::parse(PODS).unwrap();
        assert!(stages.len() > 1);
        for stage in stages {
            assert_eq!(
                (&stage["kind"], &stage["spec"]["resourceRef"]["kind"]),
                (&"Stage".into(), &"Pod".into())
            );
            assert!(
                stage["metadata"]["name"].is_string() && stage["spec"]["selector"].is_object(),
                "{stage}"
            );
        }
    }
}
