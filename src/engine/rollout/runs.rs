//! The AnalysisRuns of a Rollout: which one is current, what it says, and which to start, stop or forget.
//!
//! Input: facts and the wishes of this round. Output: a judgement first, because a failed run moves traffic before
//! anything else, and the writes later. Measuring is not done here.

use std::sync::Arc;

use tidegate_api::analysis::AnalysisRun;
use tidegate_api::phase::AnalysisPhase;
use tidegate_api::rollout::{RolloutAnalysis, RolloutAnalysisRunStatus};

use super::core::Core;
use super::experiment::{self, Experiments};
use super::facts::Facts;
use super::pause::{self, INCONCLUSIVE, Wishes};
use super::world::INSTANCE_ID;
use super::{history, revision};
use crate::analysis::{RunKind, RunRequest, new_run};
use crate::plan::{Because, Move, Notice, Plan, Write};

/// What the AnalysisRuns mean for this round.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    pub(crate) step: Option<RolloutAnalysisRunStatus>,
    pub(crate) background: Option<RolloutAnalysisRunStatus>,
    /// The run before a blue-green switch, and the one after it.
    pub(crate) pre: Option<RolloutAnalysisRunStatus>,
    pub(crate) post: Option<RolloutAnalysisRunStatus>,
    /// The Experiments, which run analyses of their own.
    pub(crate) experiments: Experiments,
    /// Why a run that is needed cannot be built.
    pub(crate) refused: Option<String>,
    create: Vec<AnalysisRun>,
    pub(super) stop: Vec<String>,
    delete: Vec<String>,
}

impl Runs {
    /// Whether the run of the current step has succeeded.
    pub(crate) fn step_succeeded(&self) -> bool {
        self.step.as_ref().is_some_and(|run| run.status == Some(AnalysisPhase::Successful))
    }

    /// What an update waits for that needs this run; nothing when the run itself waits for something else.
    pub(crate) fn because(&self, run: Option<&RolloutAnalysisRunStatus>) -> Option<Because> {
        let refused = || self.refused.clone().map(|why| Because::RunRefused { why });
        run.map(|run| Because::WaitingForRun { run: run.name.clone() }).or_else(refused)
    }

    /// Whether a run or an Experiment that is needed cannot be built.
    pub(crate) fn is_refused(&self) -> bool {
        self.refused.is_some() || self.experiments.refused.is_some()
    }

    /// An analysis that names nothing to run judges nothing, so that whatever waits for it stays.
    pub(super) fn refuse(&mut self, path: &str) {
        self.refused =
            Some(format!("{path}.templates is empty: name an AnalysisTemplate, or remove the analysis"));
    }

    /// Adds the writes that the judgement calls for.
    pub(crate) fn write(&self, plan: &mut Plan) {
        for run in &self.create {
            let because = Because::Moves(Move::RunNeeded { run: name(run).to_owned() });
            plan.push(Write::CreateRun(Box::new(run.clone())), because);
        }
        for run in &self.stop {
            plan.push(
                Write::StopRun { name: run.clone() },
                Because::Moves(Move::RunNotNeeded { run: run.clone() }),
            );
        }
        for run in &self.delete {
            plan.push(
                Write::DeleteRun { name: run.clone() },
                Because::Moves(Move::History { name: run.clone() }),
            );
        }
        self.experiments.write(plan);
    }

    /// The Events for runs whose phase differs from what the status said before.
    pub(crate) fn notices(&self, facts: &Core<'_>) -> Vec<Notice> {
        let canary = &facts.status.canary;
        let step = notice("Step", self.step.as_ref(), canary.current_step_analysis_run_status.as_ref());
        let background = notice(
            "Background",
            self.background.as_ref(),
            canary.current_background_analysis_run_status.as_ref(),
        );
        let known = &facts.status.blue_green;
        let pre = notice("PrePromotion", self.pre.as_ref(), known.pre_promotion_analysis_run_status.as_ref());
        let post =
            notice("PostPromotion", self.post.as_ref(), known.post_promotion_analysis_run_status.as_ref());
        step.into_iter().chain(background).chain(pre).chain(post).collect()
    }

    /// Whether the update needs this run.
    pub(super) fn needs(&self, run: &AnalysisRun) -> bool {
        let known = [&self.step, &self.background, &self.pre, &self.post];
        known.into_iter().flatten().any(|kept| kept.name == name(run))
    }

    /// The runs of an update that this very round aborts stay in the status until the next: as with Argo Rollouts.
    fn keep(&mut self, facts: &Core<'_>) {
        let known = &facts.status.canary;
        self.step = current(facts, known.current_step_analysis_run_status.as_ref()).map(state);
        self.background = current(facts, known.current_background_analysis_run_status.as_ref()).map(state);
    }
}

/// Judges the runs: what they say about this update, and which are needed from now on.
pub(crate) fn judge(facts: &Facts<'_>, wishes: &mut Wishes) -> Runs {
    let mut runs = Runs { experiments: experiment::judge(facts, wishes), ..Runs::default() };
    let over = facts.promoted();
    let unneeded = facts.promote_full() || facts.in_rollback_window() || facts.status.stable_rs.is_empty();
    if over || wishes.aborted(facts.status) || unneeded {
        if !over && !unneeded && !pause::abort_asked(facts.status) {
            runs.keep(facts);
        }
        runs.stop = unfinished(facts).map(|run| name(run).to_owned()).collect();
        forget(facts, &mut runs);
        return runs;
    }
    judge_step(facts, wishes, &mut runs);
    judge_background(facts, wishes, &mut runs);
    let stop = unfinished(facts).filter(|run| !runs.needs(run)).map(|run| name(run).to_owned()).collect();
    runs.stop = stop;
    forget(facts, &mut runs);
    runs
}

fn judge_step(facts: &Facts<'_>, wishes: &mut Wishes, runs: &mut Runs) {
    let known = current(facts, facts.status.canary.current_step_analysis_run_status.as_ref());
    if !facts.status.pause_conditions.is_empty() {
        runs.step = known.map(state);
        return;
    }
    let asked = facts.asked().and_then(|step| step.analysis.as_ref());
    let (Some(analysis), Some(index)) = (asked, facts.index()) else { return };
    if analysis.templates.is_empty() {
        runs.refuse(&format!("spec.strategy.canary.steps[{index}].analysis"));
        return;
    }
    let known = known.filter(|run| label(run, "step-index") == Some(index.to_string().as_str()));
    match known.filter(|run| !needs_another(facts, run)) {
        Some(run) => {
            runs.step = Some(state(run));
            heed(run, "Step-based analysis phase error/failed", wishes);
        }
        None => {
            start(facts, analysis, RunKind::Step { index: i32::try_from(index).unwrap_or(i32::MAX) }, runs)
        }
    }
}

fn judge_background(facts: &Facts<'_>, wishes: &mut Wishes, runs: &mut Runs) {
    let Some(background) = &facts.strategy.analysis else { return };
    let started =
        background.starting_step.is_none_or(|start| facts.status.current_step_index.unwrap_or(0) >= start);
    if background.analysis.templates.is_empty() || !started {
        return;
    }
    let known = current(facts, facts.status.canary.current_background_analysis_run_status.as_ref());
    if pause::find(facts.status, INCONCLUSIVE).is_some() {
        runs.background = known.map(state);
        return;
    }
    match known.filter(|run| !needs_another(facts, run)) {
        Some(run) => {
            runs.background = Some(state(run));
            heed(run, "Background analysis phase error/failed", wishes);
        }
        None => start(facts, &background.analysis, RunKind::Background, runs),
    }
}

/// Turns the verdict of a current run into a pause or an abort.
pub(super) fn heed(run: &AnalysisRun, cause: &str, wishes: &mut Wishes) {
    let message = run.status.as_ref().map_or("", |status| &status.message);
    heed_phase(phase(run), message, cause, INCONCLUSIVE, wishes);
}

/// Turns a verdict into a pause for this reason, or into an abort.
pub(super) fn heed_phase(
    phase: Option<AnalysisPhase>,
    message: &str,
    cause: &str,
    pause: &'static str,
    wishes: &mut Wishes,
) {
    match phase {
        Some(AnalysisPhase::Inconclusive) => wishes.add.push(pause),
        Some(AnalysisPhase::Error | AnalysisPhase::Failed) => {
            // Of several the last one is told, as with Argo Rollouts.
            let detail = if message.is_empty() { String::new() } else { format!(": {message}") };
            wishes.abort = Some(format!("{cause}{detail}"));
        }
        Some(
            AnalysisPhase::Pending
            | AnalysisPhase::Running
            | AnalysisPhase::Successful
            | AnalysisPhase::Unknown,
        )
        | None => {}
    }
}

/// A new run replaces the current one after a retry, and after somebody resumed from an inconclusive one.
pub(super) fn needs_another(facts: &Core<'_>, run: &AnalysisRun) -> bool {
    if facts.status.aborted_at.is_some() {
        return true;
    }
    let resumed = facts.status.controller_pause && facts.status.pause_conditions.is_empty();
    resumed && phase(run) == Some(AnalysisPhase::Inconclusive)
}

/// Creates a run, or takes up one of ours that has the same name, is unfinished and measures the same.
pub(super) fn start(facts: &Core<'_>, analysis: &RolloutAnalysis, kind: RunKind, runs: &mut Runs) {
    let infix = match kind {
        RunKind::Step { index } => format!("-{index}"),
        RunKind::Background => String::new(),
        RunKind::PrePromotion => "-pre".to_owned(),
        RunKind::PostPromotion => "-post".to_owned(),
    };
    let revision = revision::number(facts);
    let base = format!("{}-{}-{revision}{infix}", facts.name, facts.hash);
    let request = |name: String| RunRequest {
        rollout: facts.rollout,
        name,
        analysis,
        kind,
        templates: &facts.world.templates,
        stable_hash: &facts.status.stable_rs,
        latest_hash: &facts.hash,
        revision,
        instance_id: facts
            .rollout
            .metadata
            .labels
            .as_ref()
            .and_then(|labels| labels.get(INSTANCE_ID))
            .cloned(),
    };
    for attempt in 0..=facts.world.runs.len() + facts.world.foreign_runs.len() {
        let name = if attempt == 0 { base.clone() } else { format!("{base}.{attempt}") };
        if facts.world.foreign_runs.contains(&name) {
            continue;
        }
        let taken = find(facts, &name);
        let wanted = match new_run(&request(name)) {
            Ok(run) => run,
            Err(why) => {
                runs.refused = Some(why);
                return;
            }
        };
        let chosen = match taken {
            None => wanted.clone(),
            Some(run)
                if !finished(run)
                    && !run.spec.terminate
                    && crate::analysis::semantically_equal(run, &wanted) =>
            {
                run.clone()
            }
            Some(_) => continue,
        };
        let shown = Some(state(&chosen));
        match kind {
            RunKind::Step { .. } => runs.step = shown,
            RunKind::Background => runs.background = shown,
            RunKind::PrePromotion => runs.pre = shown,
            RunKind::PostPromotion => runs.post = shown,
        }
        if taken.is_none() {
            runs.create.push(wanted);
        }
        return;
    }
}

/// Chooses finished runs that history no longer keeps.
pub(super) fn forget(facts: &Core<'_>, runs: &mut Runs) {
    let ended = facts.world.runs.iter().filter(|run| finished(run) && !runs.needs(run));
    runs.delete = history::forgotten(facts, ended.map(|run| (&run.metadata, phase(run))));
}

fn notice(
    kind: &str,
    now: Option<&RolloutAnalysisRunStatus>,
    before: Option<&RolloutAnalysisRunStatus>,
) -> Option<Notice> {
    let now = now?;
    let phase = now.status?;
    // The first word of a run that replaces another one is not told.
    if before.is_some_and(|before| before.name != now.name) {
        return None;
    }
    if before.is_some_and(|before| before.status == Some(phase)) {
        return None;
    }
    // A run that was just made has no phase yet.
    let was = |before: &RolloutAnalysisRunStatus| before.status.map_or("", AnalysisPhase::as_str);
    let message = format!(
        "{kind} Analysis Run '{}' Status New: '{}' Previous: '{}'",
        now.name,
        phase.as_str(),
        before.map_or("NoPreviousStatus", was)
    );
    Some(match phase {
        AnalysisPhase::Pending => Notice::normal("AnalysisRunPending", message),
        AnalysisPhase::Running => Notice::normal("AnalysisRunRunning", message),
        AnalysisPhase::Successful => Notice::normal("AnalysisRunSuccessful", message),
        AnalysisPhase::Inconclusive => Notice::normal("AnalysisRunInconclusive", message),
        AnalysisPhase::Failed => Notice::warning("AnalysisRunFailed", message),
        AnalysisPhase::Error => Notice::warning("AnalysisRunError", message),
        AnalysisPhase::Unknown => Notice::normal("AnalysisRunUnknown", message),
    })
}

pub(super) fn current<'w>(
    facts: &Core<'w>,
    known: Option<&RolloutAnalysisRunStatus>,
) -> Option<&'w AnalysisRun> {
    find(facts, &known?.name)
}

fn find<'w>(facts: &Core<'w>, wanted: &str) -> Option<&'w AnalysisRun> {
    facts.world.runs.iter().map(AsRef::as_ref).find(|run| name(run) == wanted)
}

pub(super) fn unfinished<'w>(facts: &Core<'w>) -> impl Iterator<Item = &'w Arc<AnalysisRun>> {
    facts.world.runs.iter().filter(|run| !finished(run) && !run.spec.terminate)
}

pub(super) fn state(run: &AnalysisRun) -> RolloutAnalysisRunStatus {
    let message = run.status.as_ref().map(|status| status.message.clone()).unwrap_or_default();
    RolloutAnalysisRunStatus { name: name(run).to_owned(), status: phase(run), message }
}

fn phase(run: &AnalysisRun) -> Option<AnalysisPhase> {
    run.status.as_ref().and_then(|status| status.phase)
}

pub(super) fn finished(run: &AnalysisRun) -> bool {
    phase(run).is_some_and(AnalysisPhase::is_completed)
}

pub(super) fn name(run: &AnalysisRun) -> &str {
    run.metadata.name.as_deref().unwrap_or_default()
}

fn label<'r>(run: &'r AnalysisRun, key: &str) -> Option<&'r str> {
    run.metadata.labels.as_ref()?.get(key).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(name: &str, phase: AnalysisPhase) -> RolloutAnalysisRunStatus {
        let name = name.to_owned();
        RolloutAnalysisRunStatus { name, status: Some(phase), ..RolloutAnalysisRunStatus::default() }
    }

    #[test]
    fn a_run_is_told_when_it_is_the_first_or_its_phase_changes() {
        let told = |now, before: Option<RolloutAnalysisRunStatus>| {
            notice("Step", Some(&now), before.as_ref()).map(|notice| notice.message)
        };
        let (running, failed) = (AnalysisPhase::Running, AnalysisPhase::Failed);
        assert_eq!(
            told(run("a", running), None).as_deref(),
            Some("Step Analysis Run 'a' Status New: 'Running' Previous: 'NoPreviousStatus'")
        );
        assert_eq!(told(run("a", running), Some(run("a", running))), None);
        assert_eq!(
            told(run("a", failed), Some(run("a", running))).as_deref(),
            Some("Step Analysis Run 'a' Status New: 'Failed' Previous: 'Running'")
        );
        let new = RolloutAnalysisRunStatus { status: None, ..run("a", running) };
        assert_eq!(
            told(run("a", running), Some(new)).as_deref(),
            Some("Step Analysis Run 'a' Status New: 'Running' Previous: ''")
        );
        assert_eq!(told(run("a.1", running), Some(run("a", failed))), None);
    }
}
