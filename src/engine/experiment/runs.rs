//! The AnalysisRuns of an Experiment: which to start, which to stop, and what they have come to.
//!
//! Input: facts and one analysis. Output: writes, and the analysis' part of the status. Nothing is measured before all
//! templates were available at once.

use std::collections::BTreeMap;

use tidegate_api::analysis::{AnalysisRun, AnalysisTemplateRef, Argument};
use tidegate_api::experiment::{
    ExperimentAnalysisRunStatus, ExperimentAnalysisTemplateRef, ExperimentStatus,
};
use tidegate_api::phase::AnalysisPhase;
use tidegate_api::valid::unsupported_providers;

use super::plan::{Because, Planned, Write};
use super::{Facts, Round, is_completed};
use crate::analysis::{
    ExperimentRunRequest, fill_tags, flatten, new_experiment_run, semantically_equal, was_cut_short,
};
use crate::plan::Notice;
use crate::rollout::world::TemplateKey;

/// Looks at one analysis.
pub(super) fn look(facts: &Facts<'_>, analysis: &ExperimentAnalysisTemplateRef, round: &mut Round) {
    let before = known(facts.before, &analysis.name);
    let mut next = before.clone();
    if facts.before.available_at.is_none() {
        if !facts.is_over() && !is_completed(before.phase) && !exists(facts, analysis) {
            fail(&mut next, missing_template(analysis));
        }
    } else if before.analysis_run.is_empty() {
        if !facts.ending {
            start(facts, analysis, &mut next, round);
        }
    } else if !is_completed(before.phase) {
        follow(facts, analysis, &mut next, round);
    }
    record(facts, &before, next, round);
}

/// Ends an analysis whose run the API server would not have. `why` is what the server said.
pub(super) fn refuse(facts: &Facts<'_>, run: &AnalysisRun, why: &str, round: &mut Round) {
    let name = run.metadata.name.as_deref().unwrap_or_default();
    let analyses = &facts.experiment.spec.analyses;
    let first = analyses.iter().find(|analysis| name == base(facts, analysis));
    let later = || analyses.iter().find(|analysis| is_later_run_of(facts, analysis, name));
    let Some(analysis) = first.or_else(later) else { return };
    let before = known(facts.before, &analysis.name);
    let mut next = before.clone();
    fail(&mut next, not_created(analysis, why));
    record(facts, &before, next, round);
}

/// Whether a run has one of the names that those of an analysis get after the first.
fn is_later_run_of(facts: &Facts<'_>, analysis: &ExperimentAnalysisTemplateRef, run: &str) -> bool {
    let rest = run.strip_prefix(&base(facts, analysis));
    let number = rest.and_then(|rest| rest.strip_prefix('.'));
    number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The name of the first run of an analysis.
fn base(facts: &Facts<'_>, analysis: &ExperimentAnalysisTemplateRef) -> String {
    format!("{}-{}", facts.name, analysis.name)
}

fn not_created(analysis: &ExperimentAnalysisTemplateRef, why: &str) -> String {
    format!("Failed to create AnalysisRun for analysis '{}': {why}", analysis.name)
}

/// Puts the state of an analysis into the status, with the Events of its change.
fn record(
    facts: &Facts<'_>,
    before: &ExperimentAnalysisRunStatus,
    next: ExperimentAnalysisRunStatus,
    round: &mut Round,
) {
    if next.phase != before.phase
        && let Some(notice) = transition(before, &next)
    {
        if facts.is_of_a_rollout() {
            // Notifications subscribe on the Rollout, and hear of every change as a warning.
            round.passed_on.push(Notice { warning: true, ..notice.clone() });
        }
        round.notices.push(notice);
    }
    match round.next.analysis_runs.iter_mut().find(|known| known.name == next.name) {
        Some(known) => *known = next,
        None => round.next.analysis_runs.push(next),
    }
}

fn known(status: &ExperimentStatus, name: &str) -> ExperimentAnalysisRunStatus {
    let known = status.analysis_runs.iter().find(|known| known.name == name).cloned();
    known.unwrap_or_else(|| ExperimentAnalysisRunStatus { name: name.to_owned(), ..Default::default() })
}

fn fail(next: &mut ExperimentAnalysisRunStatus, message: String) {
    next.phase = Some(AnalysisPhase::Error);
    next.message = message;
}

fn key(analysis: &ExperimentAnalysisTemplateRef) -> TemplateKey {
    TemplateKey { cluster: analysis.cluster_scope, name: analysis.template_name.clone() }
}

fn exists(facts: &Facts<'_>, analysis: &ExperimentAnalysisTemplateRef) -> bool {
    facts.world.templates.contains_key(&key(analysis))
}

fn missing_template(analysis: &ExperimentAnalysisTemplateRef) -> String {
    let kind = key(analysis).kind();
    let resource = kind.to_lowercase();
    format!(
        "{kind} verification failed for analysis '{}': {resource}.argoproj.io \"{}\" not found",
        analysis.name, analysis.template_name
    )
}

/// Follows a run that was created: its state, and its end when the Experiment ends.
fn follow(
    facts: &Facts<'_>,
    analysis: &ExperimentAnalysisTemplateRef,
    next: &mut ExperimentAnalysisRunStatus,
    round: &mut Round,
) {
    let name = next.analysis_run.clone();
    let Some(run) = facts.world.run(&name) else {
        fail(next, format!("analysisrun.argoproj.io \"{name}\" not found"));
        return;
    };
    let status = run.status.clone().unwrap_or_default();
    if facts.ending && !is_completed(status.phase) {
        if !run.spec.terminate {
            let message = format!("Terminating {} ({name})", analysis.name);
            let because = Because::RunNotNeeded { run: name.clone() };
            let notice = Notice::normal("AnalysisRunTerminating", message);
            round.stop.push(Planned::telling(Write::StopRun { name: name.clone() }, because, notice));
        }
        round.waits.push(Because::WaitingForRun { run: name });
        return;
    }
    if status.phase.is_some() {
        // A Job that the end cuts short has said nothing.
        let says_nothing = run.spec.terminate && was_cut_short(run, &status);
        next.phase = if says_nothing { Some(AnalysisPhase::Successful) } else { status.phase };
        next.message = status.message;
    }
    if analysis.required_for_completion && !is_completed(next.phase) {
        round.waits.push(Because::WaitingForRun { run: name });
    }
}

/// Creates a run, or takes up one of ours that has the same name, is unfinished and measures the same.
fn start(
    facts: &Facts<'_>,
    analysis: &ExperimentAnalysisTemplateRef,
    next: &mut ExperimentAnalysisRunStatus,
    round: &mut Round,
) {
    let base = base(facts, analysis);
    let run = |name: &str| {
        let args = args(facts, &analysis.args)?;
        new_experiment_run(&ExperimentRunRequest {
            experiment: facts.experiment,
            name,
            template: AnalysisTemplateRef::new(&analysis.template_name, analysis.cluster_scope),
            args: &args,
            templates: &facts.world.templates,
        })
    };
    for attempt in 0..=facts.world.runs.len() + facts.world.taken.runs.len() {
        let name = if attempt == 0 { base.clone() } else { format!("{base}.{attempt}") };
        if facts.world.taken.runs.contains(&name) {
            continue;
        }
        let wanted = match run(&name) {
            Ok(wanted) => wanted,
            Err(why) => {
                fail(next, not_created(analysis, &why));
                return;
            }
        };
        match facts.world.run(&name) {
            None => {
                let because = Because::RunNeeded { run: name.clone() };
                round.start.push(Planned::new(Write::CreateRun(Box::new(wanted)), because));
            }
            Some(known) if is_usable(known) && semantically_equal(known, &wanted) => {}
            Some(_) => continue,
        }
        next.phase = Some(AnalysisPhase::Pending);
        next.analysis_run.clone_from(&name);
        if analysis.required_for_completion {
            round.waits.push(Because::WaitingForRun { run: name });
        }
        return;
    }
}

/// Stops what measures for nobody: a run of an analysis that is gone, or one that a crash has kept out of the status.
pub(super) fn stop_strangers(facts: &Facts<'_>, round: &mut Round) {
    let known = |name: &str| facts.before.analysis_runs.iter().any(|run| run.analysis_run == name);
    let unfinished = facts.world.runs.iter().filter(|run| facts.ending && is_usable(run));
    for name in unfinished.filter_map(|run| run.metadata.name.clone()).filter(|name| !known(name)) {
        let because = Because::RunNotNeeded { run: name.clone() };
        round.stop.push(Planned::new(Write::StopRun { name }, because));
    }
}

fn is_usable(run: &AnalysisRun) -> bool {
    !run.spec.terminate && !is_completed(run.status.as_ref().and_then(|status| status.phase))
}

/// Fills what is known of the Experiment into the values of arguments; where a value comes from elsewhere is for the
/// template to say.
fn args(facts: &Facts<'_>, args: &[Argument]) -> Result<Vec<Argument>, String> {
    let mut known = BTreeMap::new();
    if let Some(at) = &facts.before.available_at {
        known.insert("experiment.availableAt".to_owned(), at.0.to_string());
        if let Some(end) = facts.end {
            known.insert("experiment.finishedAt".to_owned(), end.to_string());
        }
    }
    for template in &facts.experiment.spec.templates {
        let Some(set) = facts.world.set_of(&template.name) else { continue };
        known.insert(format!("templates.{}.podTemplateHash", template.name), set.hash().to_owned());
        known.insert(format!("templates.{}.replicaset.name", template.name), set.name.clone());
    }
    let lookup = |tag: &str| known.get(tag).map(String::as_str);
    let fill = |arg: &Argument| {
        let value = arg.value.as_ref().map(|value| fill_tags(value, lookup)).transpose()?;
        Ok(Argument { name: arg.name.clone(), value, value_from: None })
    };
    args.iter().map(fill).collect()
}

/// The first metric of an analysis that has yet to begin, and that nobody would measure.
pub(super) fn unserved(facts: &Facts<'_>) -> Option<String> {
    if facts.ending {
        return None;
    }
    let open = facts.experiment.spec.analyses.iter().filter(|analysis| {
        let known = known(facts.before, &analysis.name);
        known.analysis_run.is_empty() && !is_completed(known.phase)
    });
    open.map(key).find_map(|key| {
        let template = AnalysisTemplateRef::new(&key.name, key.cluster);
        // What is missing is told as the error of its analysis.
        let combined = flatten(&[template], &facts.world.templates).ok()?;
        let refused = unsupported_providers(&combined.spec.metrics).into_iter().next()?;
        Some(format!("{} {}: {refused}", key.kind(), key.name))
    })
}

/// The Event of an analysis that goes from one phase to another.
fn transition(before: &ExperimentAnalysisRunStatus, next: &ExperimentAnalysisRunStatus) -> Option<Notice> {
    let phase = next.phase?;
    let from = before.phase.map_or("", AnalysisPhase::as_str);
    let mut message = format!("AnalysisRun '{}' transitioned from {from} -> {}", next.name, phase.as_str());
    if !next.message.is_empty() {
        message.push_str(&format!(": {}", next.message));
    }
    Some(match phase {
        AnalysisPhase::Pending => Notice::normal("AnalysisRunPending", message),
        AnalysisPhase::Running => Notice::normal("AnalysisRunRunning", message),
        AnalysisPhase::Successful => Notice::normal("AnalysisRunSuccessful", message),
        AnalysisPhase::Failed => Notice::warning("AnalysisRunFailed", message),
        AnalysisPhase::Error => Notice::warning("AnalysisRunError", message),
        AnalysisPhase::Inconclusive => Notice::warning("AnalysisRunInconclusive", message),
        AnalysisPhase::Unknown => Notice::normal("AnalysisRunUnknown", message),
    })
}
