//! Plans about Experiments as text: one line for each write and its reason, read in goldens and logs.

use std::fmt;

use tidegate_api::experiment::{ExperimentAnalysisRunStatus, ExperimentStatus, TemplateStatus};
use tidegate_api::phase::AnalysisPhase;

use super::plan::{Plan, StatusWrite, Write};
use crate::plan::{ending_text, notices_text, patch_text};

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for planned in &self.writes {
            writeln!(f, "{}", planned.write)?;
            writeln!(f, "    because {}", planned.because)?;
            notices_text(&planned.notices, "", f)?;
            notices_text(&planned.passed_on, " on the Rollout", f)?;
        }
        ending_text(self.wake, &self.because, f)
    }
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateSet(set) => write!(f, "create ReplicaSet {}", set.name),
            Self::PatchSet(patch) => patch_text(patch, f),
            Self::CreateService { name, object } => {
                let ports = object["spec"]["ports"].as_array().into_iter().flatten();
                let ports: Vec<String> = ports.map(|port| port["port"].to_string()).collect();
                write!(f, "create Service {name} with ports {}", ports.join(", "))
            }
            Self::DeleteService { name } => write!(f, "delete Service {name}"),
            Self::CreateRun(run) => {
                write!(f, "create AnalysisRun {}", run.metadata.name.as_deref().unwrap_or_default())?;
                for arg in &run.spec.args {
                    write!(f, " {}={}", arg.name, arg.value.as_deref().unwrap_or("(from elsewhere)"))?;
                }
                Ok(())
            }
            Self::StopRun { name } => write!(f, "stop AnalysisRun {name}"),
            Self::Status(status) => {
                write!(f, "status:")?;
                differences(status).iter().try_for_each(|line| write!(f, "\n    {line}"))
            }
        }
    }
}

/// The differences between two statuses, one line each; times of conditions are left out.
fn differences(StatusWrite { from, to }: &StatusWrite) -> Vec<String> {
    let mut lines = Vec::new();
    let word = |status: &ExperimentStatus| status.phase.map_or("none", AnalysisPhase::as_str);
    if from.phase != to.phase {
        lines.push(format!("phase: {} to {}", word(from), word(to)));
    }
    if from.message != to.message {
        lines.push(format!("message: {}", to.message));
    }
    if from.available_at != to.available_at {
        lines.push(format!(
            "availableAt: {}",
            to.available_at.as_ref().map_or("none".to_owned(), |at| at.0.to_string())
        ));
    }
    let templates = to.template_statuses.iter().filter(|one| !from.template_statuses.contains(one));
    lines.extend(templates.map(template));
    let runs = to.analysis_runs.iter().filter(|one| !from.analysis_runs.contains(one));
    lines.extend(runs.map(run));
    for condition in to.conditions.iter().filter(|one| !from.conditions.contains(one)) {
        let (type_, status) = (&condition.type_, &condition.status);
        lines.push(format!("condition {type_} {status} {}: {}", condition.reason, condition.message));
    }
    for condition in &from.conditions {
        if to.conditions.iter().all(|kept| kept.type_ != condition.type_) {
            lines.push(format!("condition {} removed", condition.type_));
        }
    }
    lines
}

fn template(status: &TemplateStatus) -> String {
    let code = status.status.map_or_else(|| "none".to_owned(), |code| format!("{code:?}"));
    let mut line = format!(
        "template {}: {code}, {} pods, {} ready, {} available",
        status.name, status.replicas, status.ready_replicas, status.available_replicas
    );
    let since = status.last_transition_time.as_ref().map(|since| since.0.to_string()).unwrap_or_default();
    let more = [
        (", since", since),
        (", collisions", status.collision_count.map(|count| count.to_string()).unwrap_or_default()),
        (", Service", status.service_name.clone()),
        (":", status.message.clone()),
    ];
    for (word, value) in more.iter().filter(|(_, value)| !value.is_empty()) {
        line.push_str(&format!("{word} {value}"));
    }
    line
}

fn run(status: &ExperimentAnalysisRunStatus) -> String {
    let phase = status.phase.map_or("none", AnalysisPhase::as_str);
    let mut line = format!("analysis {}: {phase}", status.name);
    for (word, value) in [(", AnalysisRun", &status.analysis_run), (":", &status.message)] {
        if !value.is_empty() {
            line.push_str(&format!("{word} {value}"));
        }
    }
    line
}
