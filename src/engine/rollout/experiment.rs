//! The Experiments of a Rollout: the one that the current step runs, what it says, and which to stop or forget.
//!
//! Input: facts and the wishes of this round. Output: a judgement first, because a failed Experiment moves traffic before
//! anything else, and the writes later. What happens inside an Experiment is not decided here.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, OwnerReference};
use serde_json::Value;
use tidegate_api::experiment::{Experiment, ExperimentAnalysisTemplateRef, ExperimentSpec, TemplateSpec};
use tidegate_api::phase::AnalysisPhase;
use tidegate_api::raw::PodTemplate;
use tidegate_api::rollout::{
    ArgumentValueFrom, RolloutExperimentStep, RolloutExperimentTemplate, TemplateService,
};

use super::facts::Facts;
use super::pause::{self, INCONCLUSIVE, INCONCLUSIVE_EXPERIMENT, Wishes};
use super::runs::heed_phase;
use super::world::{HASH_LABEL, REVISION, Set, owner_reference};
use super::{experiment_shares, history, revision};
use crate::analysis::rollout_args;
use crate::plan::{Because, Move, Notice, Plan, Write};

/// What the Experiments mean for this round.
#[derive(Debug, Default)]
pub(crate) struct Experiments {
    /// Name of the Experiment of the current step; empty when there is none.
    pub(crate) current: String,
    /// Why the step's Experiment cannot be made.
    pub(crate) refused: Option<String>,
    phase: Option<AnalysisPhase>,
    create: Option<Box<Experiment>>,
    stop: Vec<String>,
    delete: Vec<String>,
}

impl Experiments {
    /// Whether the Experiment of the current step has succeeded.
    pub(crate) fn step_succeeded(&self) -> bool {
        self.phase == Some(AnalysisPhase::Successful)
    }

    /// Adds the writes that the judgement calls for.
    pub(crate) fn write(&self, plan: &mut Plan) {
        if let Some(experiment) = &self.create {
            let made = name(experiment).to_owned();
            let notice = Notice::normal("ExperimentCreated", format!("Created Experiment '{made}'"));
            let because = Because::Moves(Move::ExperimentNeeded { experiment: made });
            plan.push_with(Write::CreateExperiment(experiment.clone()), because, vec![notice]);
        }
        for name in &self.stop {
            let because = Because::Moves(Move::ExperimentNotNeeded { experiment: name.clone() });
            plan.push(Write::StopExperiment { name: name.clone() }, because);
        }
        for name in &self.delete {
            plan.push(
                Write::DeleteExperiment { name: name.clone() },
                Because::Moves(Move::History { name: name.clone() }),
            );
        }
    }
}

/// Judges the Experiments: what the current one says about this update, and which are needed from now on.
pub(crate) fn judge(facts: &Facts<'_>, wishes: &mut Wishes) -> Experiments {
    let mut found = Experiments::default();
    let over = facts.promoted() || facts.promote_full() || facts.status.stable_rs.is_empty();
    if !over && !wishes.aborted(facts.status) {
        judge_step(facts, wishes, &mut found);
    }
    found.stop = unfinished(facts)
        .filter(|experiment| name(experiment) != found.current)
        .map(|experiment| name(experiment).to_owned())
        .collect();
    forget(facts, &mut found);
    found
}

fn judge_step(facts: &Facts<'_>, wishes: &mut Wishes, found: &mut Experiments) {
    let Some(step) = facts.asked().and_then(|step| step.experiment.as_ref()) else { return };
    let known = find(facts, &facts.status.canary.current_experiment);
    let judged = pause::find(facts.status, INCONCLUSIVE).is_some();
    if judged || !facts.status.pause_conditions.is_empty() {
        // Whoever has to decide finds the step as it was.
        found.current.clone_from(&facts.status.canary.current_experiment);
        return;
    }
    let Some(experiment) = known.filter(|experiment| !needs_another(facts, experiment)) else {
        start(facts, step, found);
        return;
    };
    name(experiment).clone_into(&mut found.current);
    found.phase = phase(experiment);
    let message = experiment.status.as_ref().map_or("", |status| &status.message);
    let cause = "Experiment analysis phase is error/failed";
    let aborts_already = wishes.abort.is_some();
    heed_phase(found.phase, message, cause, INCONCLUSIVE_EXPERIMENT, wishes);
    if wishes.abort.is_some() && !aborts_already {
        found.current.clear();
    }
}

/// Another Experiment replaces the current one after somebody resumed from an inconclusive one, and after a retry.
fn needs_another(facts: &Facts<'_>, experiment: &Experiment) -> bool {
    facts.status.aborted_at.is_some()
        || facts.status.controller_pause && phase(experiment) == Some(AnalysisPhase::Inconclusive)
}

/// Creates an Experiment, or takes up one of ours that has the same name, is unfinished and does the same.
fn start(facts: &Facts<'_>, step: &RolloutExperimentStep, found: &mut Experiments) {
    let mut wanted = match build(facts, step) {
        Ok(experiment) => Box::new(experiment),
        Err(why) => {
            found.refused = Some(why);
            return;
        }
    };
    let base = name(&wanted).to_owned();
    let known = &facts.world.experiments;
    for attempt in 0..=known.own.len() + known.foreign.len() {
        let name = if attempt == 0 { base.clone() } else { format!("{base}-{attempt}") };
        if known.foreign.contains(&name) {
            continue;
        }
        match find(facts, &name) {
            Some(taken) if finished(taken) || taken.spec != wanted.spec => continue,
            Some(_) => {}
            None => {
                wanted.metadata.name = Some(name.clone());
                found.create = Some(wanted);
            }
        }
        found.current = name;
        return;
    }
}

/// The Experiment of a step, under the name that it has unless somebody has it.
fn build(facts: &Facts<'_>, step: &RolloutExperimentStep) -> Result<Experiment, String> {
    let index = facts.index().unwrap_or(0);
    let (rollout, revision) = (facts.rollout, revision::number(facts));
    let mut spec = ExperimentSpec {
        duration: step.duration.clone(),
        progress_deadline_seconds: rollout.spec.progress_deadline_seconds,
        scale_down_delay_seconds: step.scale_down_delay_seconds,
        dry_run: step.dry_run.clone(),
        analysis_run_metadata: step.analysis_run_metadata.clone(),
        ..ExperimentSpec::default()
    };
    for template in &step.templates {
        spec.templates.push(pods(facts, template)?);
    }
    let from_field = |from: &ArgumentValueFrom| from.field_ref.is_some();
    let mut args = step.analyses.iter().flat_map(|analysis| &analysis.args);
    let looks = args.any(|arg| arg.value_from.as_ref().is_some_and(from_field));
    let object = if looks { serde_json::to_value(rollout).unwrap_or(Value::Null) } else { Value::Null };
    for analysis in &step.analyses {
        spec.analyses.push(ExperimentAnalysisTemplateRef {
            name: analysis.name.clone(),
            template_name: analysis.template_name.clone(),
            cluster_scope: analysis.cluster_scope == Some(true),
            args: rollout_args(&object, &analysis.args, &facts.status.stable_rs, &facts.hash)?,
            required_for_completion: analysis.required_for_completion,
        });
    }
    let name = format!("{}-{}-{revision}-{index}", facts.name, facts.hash);
    let mut experiment = Experiment::new(&name, spec);
    experiment.metadata.namespace.clone_from(&rollout.metadata.namespace);
    // The labels hold the instance, where there are several.
    let mut labels = rollout.metadata.labels.clone().unwrap_or_default();
    labels.insert(HASH_LABEL.to_owned(), facts.hash.clone());
    experiment.metadata.labels = Some(labels);
    experiment.metadata.annotations = Some([(REVISION.to_owned(), revision.to_string())].into());
    experiment.metadata.owner_references =
        serde_json::from_value::<OwnerReference>(owner_reference(rollout)).ok().map(|owner| vec![owner]);
    Ok(experiment)
}

/// The pods of one template: those of the ReplicaSet that it refers to, with metadata of their own.
fn pods(facts: &Facts<'_>, template: &RolloutExperimentTemplate) -> Result<TemplateSpec, String> {
    let set: &Set = match template.spec_ref.as_str() {
        "canary" => facts.new.ok_or("the canary has no ReplicaSet")?,
        "stable" => facts.stable.ok_or("the stable revision has no ReplicaSet")?,
        _ => return Err("Invalid template step SpecRef: must be canary or stable".to_owned()),
    };
    let of_set = || serde_json::from_value::<LabelSelector>((*set.selector).clone()).unwrap_or_default();
    let mut selector = template.selector.clone().unwrap_or_else(of_set);
    let mut pods = (*set.template).clone();
    for (key, value) in &template.metadata.labels {
        pods["metadata"]["labels"][key] = value.as_str().into();
        selector.match_labels.get_or_insert_default().insert(key.clone(), value.clone());
    }
    for (key, value) in &template.metadata.annotations {
        pods["metadata"]["annotations"][key] = value.as_str().into();
    }
    // A share of the traffic comes through a Service.
    let service = template.service.as_ref().map(|service| TemplateService { name: service.name.clone() });
    let service = service.or_else(|| template.weight.map(|_| TemplateService::default()));
    Ok(TemplateSpec {
        name: template.name.clone(),
        replicas: template.replicas,
        min_ready_seconds: set.min_ready_seconds,
        selector: Some(selector),
        template: PodTemplate(pods.into()),
        service,
    })
}

/// Chooses finished Experiments that history no longer keeps.
fn forget(facts: &Facts<'_>, found: &mut Experiments) {
    let in_use = experiment_shares::in_use(facts.world);
    let is_in_use = |experiment: &Experiment| {
        let templates = experiment.status.iter().flat_map(|status| &status.template_statuses);
        templates.into_iter().any(|template| in_use.contains(&template.service_name))
    };
    let own = facts.world.experiments.own.iter();
    let ended = own.filter(|experiment| {
        is_ended(experiment) && name(experiment) != found.current && !is_in_use(experiment)
    });
    found.delete =
        history::forgotten(facts, ended.map(|experiment| (&experiment.metadata, phase(experiment))));
}

pub(super) fn find<'w>(facts: &Facts<'w>, wanted: &str) -> Option<&'w Experiment> {
    let own = facts.world.experiments.own.iter().map(AsRef::as_ref);
    own.into_iter().find(|experiment: &&Experiment| name(experiment) == wanted)
}

fn unfinished<'w>(facts: &Facts<'w>) -> impl Iterator<Item = &'w Arc<Experiment>> {
    facts.world.experiments.own.iter().filter(|experiment| !finished(experiment))
}

/// Whether it has a verdict, or was told to end.
pub(super) fn finished(experiment: &Experiment) -> bool {
    is_ended(experiment) || experiment.spec.terminate
}

fn is_ended(experiment: &Experiment) -> bool {
    phase(experiment).is_some_and(AnalysisPhase::is_completed)
}

pub(super) fn phase(experiment: &Experiment) -> Option<AnalysisPhase> {
    experiment.status.as_ref().and_then(|status| status.phase)
}

fn name(experiment: &Experiment) -> &str {
    experiment.metadata.name.as_deref().unwrap_or_default()
}
