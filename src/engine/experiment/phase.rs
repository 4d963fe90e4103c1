//! What the states of templates and analyses make of an Experiment.
//!
//! Input: the spec and a status whose templates and runs are up to date. Output: a phase and a message.

use tidegate_api::experiment::{Experiment, ExperimentStatus};
use tidegate_api::phase::{AnalysisPhase, TemplateStatusCode};

/// The message of an Experiment whose required runs have all succeeded.
const REQUIRED_DONE: &str = "Required AnalysisRuns completed";

/// Whether a run came to an end that fails the Experiment.
pub(super) fn is_bad(phase: Option<AnalysisPhase>) -> bool {
    matches!(phase, Some(AnalysisPhase::Failed | AnalysisPhase::Error | AnalysisPhase::Inconclusive))
}

/// Whether any analysis is required.
pub(super) fn has_required(experiment: &Experiment) -> bool {
    experiment.spec.analyses.iter().any(|analysis| analysis.required_for_completion)
}

/// Whether there are required analyses, and all of them have succeeded.
pub(super) fn required_succeeded(experiment: &Experiment, status: &ExperimentStatus) -> bool {
    let mut required =
        experiment.spec.analyses.iter().filter(|analysis| analysis.required_for_completion).peekable();
    required.peek().is_some()
        && required.all(|analysis| {
            let run = status.analysis_runs.iter().find(|run| run.name == analysis.name);
            run.is_some_and(|run| run.phase == Some(AnalysisPhase::Successful))
        })
}

/// A phase and its message.
type Verdict = (AnalysisPhase, String);

/// The state of all templates together: whether they run, and how they ended.
pub(super) fn of_templates(experiment: &Experiment, status: &ExperimentStatus) -> Verdict {
    let mut worst = (TemplateStatusCode::Successful, String::new());
    for template in &experiment.spec.templates {
        let known = status.template_statuses.iter().find(|known| known.name == template.name);
        let code = known.and_then(|known| known.status).unwrap_or(TemplateStatusCode::Progressing);
        if template_rank(code) > template_rank(worst.0) {
            worst = (code, known.map(|known| known.message.clone()).unwrap_or_default());
        }
    }
    let phase = match worst.0 {
        TemplateStatusCode::Progressing => AnalysisPhase::Pending,
        TemplateStatusCode::Failed => AnalysisPhase::Failed,
        TemplateStatusCode::Error => AnalysisPhase::Error,
        TemplateStatusCode::Successful => AnalysisPhase::Successful,
        TemplateStatusCode::Running | TemplateStatusCode::Unknown => AnalysisPhase::Running,
    };
    (phase, worst.1)
}

/// From best to worst.
fn template_rank(code: TemplateStatusCode) -> u8 {
    match code {
        TemplateStatusCode::Successful => 0,
        TemplateStatusCode::Running | TemplateStatusCode::Unknown => 1,
        TemplateStatusCode::Progressing => 2,
        TemplateStatusCode::Error => 3,
        TemplateStatusCode::Failed => 4,
    }
}

/// The state of all analyses together; successful when there are none.
fn of_runs(experiment: &Experiment, status: &ExperimentStatus) -> Verdict {
    let mut worst = (AnalysisPhase::Successful, String::new());
    for analysis in &experiment.spec.analyses {
        let known = status.analysis_runs.iter().find(|known| known.name == analysis.name);
        let Some((known, phase)) = known.and_then(|known| Some((known, known.phase?))) else { continue };
        if run_rank(phase) > run_rank(worst.0) {
            worst = (phase, known.message.clone());
        }
    }
    match worst.0 {
        AnalysisPhase::Successful if required_succeeded(experiment, status) => {
            (AnalysisPhase::Successful, REQUIRED_DONE.to_owned())
        }
        // The Experiment itself runs, whatever its runs wait for.
        AnalysisPhase::Pending => (AnalysisPhase::Running, worst.1),
        AnalysisPhase::Successful
        | AnalysisPhase::Running
        | AnalysisPhase::Failed
        | AnalysisPhase::Error
        | AnalysisPhase::Inconclusive
        | AnalysisPhase::Unknown => worst,
    }
}

/// From best to worst.
fn run_rank(phase: AnalysisPhase) -> u8 {
    match phase {
        AnalysisPhase::Successful => 0,
        AnalysisPhase::Running | AnalysisPhase::Unknown => 1,
        AnalysisPhase::Pending => 2,
        AnalysisPhase::Inconclusive => 3,
        AnalysisPhase::Error => 4,
        AnalysisPhase::Failed => 5,
    }
}

/// What an Experiment that has begun is at, or has come to.
pub(super) fn assess(experiment: &Experiment, status: &ExperimentStatus) -> Verdict {
    let templates = of_templates(experiment, status);
    let runs = of_runs(experiment, status);
    if templates.0.is_completed() {
        let judged = runs.0.is_completed() || has_required(experiment);
        return if templates.0 == AnalysisPhase::Successful && judged { runs } else { templates };
    }
    let failed = runs.0.is_completed() && runs.0 != AnalysisPhase::Successful;
    if failed || required_succeeded(experiment, status) { runs } else { templates }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn experiment(analyses: serde_json::Value) -> Experiment {
        serde_json::from_value(json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Experiment", "metadata": {"name": "e"},
            "spec": {"templates": [{"name": "a"}, {"name": "b"}], "analyses": analyses},
        }))
        .unwrap()
    }

    fn status(templates: [&str; 2], runs: &[(&str, &str)]) -> ExperimentStatus {
        let run = |(name, phase): &(&str, &str)| json!({"name": name, "analysisRun": "r", "phase": phase, "message": format!("{name} {phase}")});
        let template = |(name, code): (&str, &str)| json!({"name": name, "status": code, "message": name});
        serde_json::from_value(json!({
            "templateStatuses": [template(("a", templates[0])), template(("b", templates[1]))],
            "analysisRuns": runs.iter().map(run).collect::<Vec<_>>(),
        }))
        .unwrap()
    }

    /// Templates, runs (the first is required where it is named `must`), and what comes of them.
    #[test]
    fn outcomes() {
        use AnalysisPhase::{Error, Failed, Inconclusive, Pending, Running, Successful};
        type Row<'a> = ([&'a str; 2], &'a [(&'a str, &'a str)], AnalysisPhase, &'a str);
        let rows: [Row<'_>; 15] = [
            (["Running", "Progressing"], &[], Pending, "b"),
            (["Running", "Running"], &[], Running, "a"),
            (["Successful", "Successful"], &[], Successful, ""),
            (["Successful", "Failed"], &[], Failed, "b"),
            (["Error", "Failed"], &[], Failed, "b"),
            (["Running", "Error"], &[], Error, "b"),
            (["Running", "Running"], &[("x", "Failed")], Failed, "x Failed"),
            (["Running", "Running"], &[("x", "Inconclusive"), ("y", "Error")], Error, "y Error"),
            (["Running", "Progressing"], &[("x", "Inconclusive")], Inconclusive, "x Inconclusive"),
            (["Running", "Running"], &[("x", "Successful")], Running, "a"),
            (["Successful", "Successful"], &[("x", "Running")], Successful, ""),
            (["Successful", "Successful"], &[("x", "Failed")], Failed, "x Failed"),
            (["Successful", "Successful"], &[("must", "Pending")], Running, "must Pending"),
            (["Running", "Running"], &[("must", "Successful")], Successful, REQUIRED_DONE),
            (["Running", "Running"], &[("must", "Successful"), ("x", "Running")], Running, "x Running"),
        ];
        for (templates, runs, phase, message) in rows {
            let analyses: Vec<_> = runs
                .iter()
                .map(|(name, _)| json!({"name": name, "requiredForCompletion": *name == "must"}))
                .collect();
            let experiment = experiment(json!(analyses));
            let got = assess(&experiment, &status(templates, runs));
            assert_eq!(got, (phase, message.to_owned()), "{templates:?} {runs:?}");
        }
    }
}
