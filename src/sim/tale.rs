//! What happened, in words: for stories that people read and for seeds that failed.
//!
//! Input: events as they happen. Output: lines with the time since the beginning. Revision hashes are told by image, so
//! that a story reads as a person would tell it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tidegate_engine::experiment;
use tidegate_engine::plan::{Because, Plan, Planned, Write};

use crate::cluster::{Cluster, milliseconds};
use crate::pods::image;

/// The lines of a story, when somebody wants them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tale {
    wanted: bool,
    /// What people call each revision.
    names: BTreeMap<String, String>,
    pub(crate) lines: Vec<String>,
}

impl Tale {
    /// A tale that nobody listens to costs nothing.
    pub(crate) fn silent() -> Self {
        Self::default()
    }

    pub(crate) fn wanted() -> Self {
        Self { wanted: true, ..Self::default() }
    }

    /// Adds a line.
    pub(crate) fn tell(&mut self, cluster: &Cluster, line: impl FnOnce() -> String) {
        if self.wanted {
            let mut text = line();
            for (hash, image) in &self.names {
                text = text.replace(hash, image);
            }
            let text = in_seconds(&text);
            self.lines.push(format!("{:>9} {text}", clock(cluster.now)));
        }
    }

    /// Adds the writes of a plan, and what it waits for when that is new.
    pub(crate) fn told_plan(&mut self, cluster: &Cluster, plan: &Plan, before: &Because) {
        if !self.wanted {
            return;
        }
        for Planned { write, because, .. } in &plan.writes {
            if let Write::CreateSet(set) = write {
                self.names.insert(set.hash().to_owned(), image(set).to_owned());
            }
            self.tell(cluster, || format!("tidegate  {} ({because})", deed(write)));
        }
        if plan.because != *before {
            self.tell(cluster, || format!("          now: {}", plan.because));
        }
    }
}

impl Tale {
    /// Adds the writes of a plan about an Experiment, and what it waits for when that is new.
    pub(crate) fn told_experiment(
        &mut self,
        cluster: &Cluster,
        name: &str,
        plan: &experiment::Plan,
        before: &experiment::Because,
    ) {
        if !self.wanted {
            return;
        }
        for experiment::Planned { write, because, .. } in &plan.writes {
            if let experiment::Write::CreateSet(set) = write {
                self.names.insert(set.hash().to_owned(), set.name.clone());
            }
            let deed = write.to_string().replace('\n', "");
            let deed = deed.split_whitespace().collect::<Vec<_>>().join(" ");
            self.tell(cluster, || format!("tidegate  {name}: {deed} ({because})"));
        }
        if plan.because != *before {
            self.tell(cluster, || format!("          {name} now: {}", plan.because));
        }
    }
}

/// Seconds, and tenths where there are any.
fn clock(milliseconds: i64) -> String {
    format!("{}.{} s", milliseconds / 1000, milliseconds % 1000 / 100)
}

/// Tells times of the calendar as seconds since the beginning.
fn in_seconds(text: &str) -> String {
    let words = text.split(' ').map(|word| {
        let start = word.rfind('=').map_or(0, |equals| equals + 1);
        let end = word.trim_end_matches([',', ')', ':']).len();
        match word.get(start..end).and_then(|word| word.parse::<Timestamp>().ok()) {
            Some(at) => format!("{}{}{}", &word[..start], clock(milliseconds(at)), &word[end..]),
            None => word.to_owned(),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// What a write does.
fn deed(write: &Write) -> String {
    match write {
        Write::DefaultReplicas { replicas } => format!("writes {replicas} replicas into the Rollout"),
        Write::AnnotateRollout { annotations } => {
            format!("annotates the Rollout {}", values(annotations.values()))
        }
        Write::CreateSet(set) => format!("creates ReplicaSet {} for {}", set.name, image(set)),
        Write::PatchSet(patch) => match patch.replicas {
            Some((from, to)) => format!("scales {} from {from} to {to}", patch.name),
            None => match &patch.template {
                Some(template) => format!("gives the template of {} {template}", patch.name),
                None => format!("annotates {} {}", patch.name, pairs(&patch.annotations)),
            },
        },
        Write::AdoptSet { name, .. } => format!("adopts {name}"),
        Write::ReleaseSet { name, .. } => format!("releases {name}"),
        Write::DeleteSet { name, .. } => format!("deletes {name}"),
        Write::PointService { service, from, to, .. } => {
            format!("points Service {service} from {} to {to}", from.as_deref().unwrap_or("all"))
        }
        Write::Route(route) => format!("gives the canary weight {} of {}", route.weight, route.max_weight),
        Write::ScaleWorkload { name, from, to, .. } => {
            format!("scales Deployment {name} from {from} to {to}")
        }
        Write::RestartPod { name, .. } => format!("evicts pod {name}"),
        Write::PatchPod(patch) => {
            format!(
                "marks pod {} {}",
                patch.name,
                format!("{} {}", pairs(&patch.labels), pairs(&patch.annotations)).trim()
            )
        }
        Write::CreateRun(run) => {
            format!("starts AnalysisRun {}", run.metadata.name.as_deref().unwrap_or_default())
        }
        Write::StopRun { name } => format!("stops AnalysisRun {name}"),
        Write::DeleteRun { name } => format!("deletes AnalysisRun {name}"),
        Write::CreateExperiment(experiment) => {
            format!("starts Experiment {}", experiment.metadata.name.as_deref().unwrap_or_default())
        }
        Write::StopExperiment { name } => format!("stops Experiment {name}"),
        Write::DeleteExperiment { name } => format!("deletes Experiment {name}"),
        Write::Status(status) => {
            let (from, to) = (&status.from, &status.to);
            let mut parts = Vec::new();
            if from.phase != to.phase || from.message != to.message {
                let phase = to.phase.map_or("", tidegate_api::phase::RolloutPhase::as_str);
                parts.push(format!("{phase} {}", to.message).trim_end().to_owned());
            }
            if from.current_step_index != to.current_step_index {
                parts.push(
                    to.current_step_index.map_or("no steps".to_owned(), |index| format!("step {index}")),
                );
            }
            if from.stable_rs != to.stable_rs {
                parts.push(format!("stable {}", to.stable_rs));
            }
            if from.canary.stable_ping_pong != to.canary.stable_ping_pong {
                parts.push(format!("{} is the stable Service", to.canary.stable_ping_pong));
            }
            if from.abort != to.abort {
                parts.push(format!("abort {}", to.abort));
            }
            if from.available_replicas != to.available_replicas || from.replicas != to.replicas {
                parts.push(format!("{} of {} pods available", to.available_replicas, to.replicas));
            }
            format!("status: {}", if parts.is_empty() { "details".to_owned() } else { parts.join(", ") })
        }
    }
}

fn values<'a>(values: impl Iterator<Item = &'a String>) -> String {
    values.map(String::as_str).collect::<Vec<_>>().join(", ")
}

fn pairs(annotations: &std::collections::BTreeMap<String, Option<String>>) -> String {
    let pair = |(key, value): (&String, &Option<String>)| {
        format!("{}={}", key.rsplit('/').next().unwrap_or(key), value.as_deref().unwrap_or("-"))
    };
    annotations.iter().map(pair).collect::<Vec<_>>().join(" ")
}
