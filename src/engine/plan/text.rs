//! Plans as text: one line for each write and its reason, read in goldens, stories and logs.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde_json::Value;
use tidegate_api::rollout::RolloutStatus;

use super::{Notice, Plan, SetPatch, Write};

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for planned in &self.writes {
            writeln!(f, "{}", planned.write)?;
            writeln!(f, "    because {}", planned.because)?;
            notices_text(&planned.notices, "", f)?;
        }
        ending_text(self.wake, &self.because, f)
    }
}

/// Events in a line each; `on` says of what, where that is not the object of the plan.
pub(crate) fn notices_text(notices: &[Notice], on: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for notice in notices {
        let kind = if notice.warning { "warning" } else { "event" };
        writeln!(f, "    {kind}{on} {}: {}", notice.reason, notice.message)?;
    }
    Ok(())
}

/// The end of a plan: when to look again, and how things stand.
pub(crate) fn ending_text(
    wake: Option<Timestamp>,
    because: &dyn fmt::Display,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    if let Some(wake) = wake {
        writeln!(f, "wake {wake}")?;
    }
    writeln!(f, "now {because}")
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DefaultReplicas { replicas } => write!(f, "set spec.replicas to {replicas}"),
            Self::AnnotateRollout { annotations } => {
                write!(f, "annotate the rollout: {}", pairs(annotations))
            }
            Self::CreateSet(set) => write!(f, "create ReplicaSet {} (revision {})", set.name, set.revision()),
            Self::PatchSet(patch) => patch_text(patch, f),
            Self::AdoptSet { name, .. } => write!(f, "adopt ReplicaSet {name}"),
            Self::ReleaseSet { name, .. } => write!(f, "release ReplicaSet {name}"),
            Self::DeleteSet { name, .. } => write!(f, "delete ReplicaSet {name}"),
            Self::PointService { service, from, to, .. } => {
                write!(
                    f,
                    "point Service {service} from {} to {to}",
                    from.as_deref().unwrap_or("all revisions")
                )
            }
            Self::Route(route) => {
                let verb = if route.from.is_some() { "update" } else { "create" };
                write!(
                    f,
                    "{verb} {}: canary weight {} of {}",
                    route.reference, route.weight, route.max_weight
                )
            }
            Self::ScaleWorkload { name, from, to, .. } => {
                write!(f, "scale Deployment {name} from {from} to {to}")
            }
            Self::RestartPod { name, .. } => write!(f, "restart pod {name}"),
            Self::PatchPod(patch) => {
                write!(f, "patch pod {}:", patch.name)?;
                pairs_or_removed(&patch.labels, f)?;
                pairs_or_removed(&patch.annotations, f)
            }
            Self::CreateRun(run) => {
                write!(f, "create AnalysisRun {}", run.metadata.name.as_deref().unwrap_or_default())
            }
            Self::StopRun { name } => write!(f, "stop AnalysisRun {name}"),
            Self::DeleteRun { name } => write!(f, "delete AnalysisRun {name}"),
            Self::CreateExperiment(experiment) => {
                write!(f, "create Experiment {}", experiment.metadata.name.as_deref().unwrap_or_default())
            }
            Self::StopExperiment { name } => write!(f, "stop Experiment {name}"),
            Self::DeleteExperiment { name } => write!(f, "delete Experiment {name}"),
            Self::Status(status) => {
                write!(f, "status:")?;
                differences(&status.from, &status.to).iter().try_for_each(|line| write!(f, "\n    {line}"))
            }
        }
    }
}

fn pairs(annotations: &BTreeMap<String, String>) -> String {
    annotations.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
}

/// A patch of a ReplicaSet in one line.
pub(crate) fn patch_text(patch: &SetPatch, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "patch ReplicaSet {}:", patch.name)?;
    if let Some((from, to)) = patch.replicas {
        write!(f, " replicas {from} to {to}")?;
    }
    if let Some(seconds) = patch.min_ready_seconds {
        write!(f, " minReadySeconds {seconds}")?;
    }
    if let Some(template) = &patch.template {
        write!(f, " template {template}")?;
    }
    pairs_or_removed(&patch.annotations, f)
}

fn pairs_or_removed(texts: &BTreeMap<String, Option<String>>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (key, value) in texts {
        match value {
            Some(value) => write!(f, " {key}={value}")?,
            None => write!(f, " {key} removed")?,
        }
    }
    Ok(())
}

/// The differences between two statuses, one `path: value` for each; times of conditions are left out.
fn differences(from: &RolloutStatus, to: &RolloutStatus) -> Vec<String> {
    let mut lines = Vec::new();
    let json = |status: &RolloutStatus| {
        let mut status = status.clone();
        status.conditions.clear();
        serde_json::to_value(status).unwrap_or_default()
    };
    compare("", &json(from), &json(to), &mut lines);
    for condition in &to.conditions {
        if !from.conditions.iter().any(|known| known == condition) {
            lines.push(format!(
                "condition {} {} {}: {}",
                condition.type_, condition.status, condition.reason, condition.message
            ));
        }
    }
    for condition in &from.conditions {
        if to.conditions.iter().all(|kept| kept.type_ != condition.type_) {
            lines.push(format!("condition {} removed", condition.type_));
        }
    }
    lines
}

fn compare(path: &str, from: &Value, to: &Value, lines: &mut Vec<String>) {
    let (Value::Object(before), Value::Object(after)) = (from, to) else {
        if from != to {
            lines.push(format!("{path}: {to}"));
        }
        return;
    };
    for (key, value) in after {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match before.get(key) {
            Some(known) => compare(&path, known, value, lines),
            None => lines.push(format!("{path}: {value}")),
        }
    }
    for key in before.keys().filter(|key| !after.contains_key(*key)) {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        lines.push(format!("{path}: removed"));
    }
}
