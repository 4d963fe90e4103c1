//! The analyses of a strategy: their templates exist, fit together, end by themselves and find their arguments.
//!
//! Input: a World and an analysis. Output: faults with upstream's paths and texts.

use tidegate_api::analysis::AnalysisTemplateRef;
use tidegate_api::rollout::{RolloutAnalysis, RolloutStrategy};
use tidegate_api::valid::{FieldError, unsupported_providers};

use super::invalid;
use crate::analysis::{RunKind, RunRequest, check_arguments, check_run, endless_count};
use crate::rollout::world::{INSTANCE_ID, TemplateKey, World};

/// An analysis of a strategy and the field of its templates.
pub(super) struct NamedAnalysis<'a> {
    path: String,
    analysis: &'a RolloutAnalysis,
    kind: RunKind,
}

/// The analyses of a strategy, in the order in which they are looked at.
pub(super) fn named(strategy: &RolloutStrategy) -> Vec<NamedAnalysis<'_>> {
    let mut named = Vec::new();
    let mut add = |path: String, analysis, kind| named.push(NamedAnalysis { path, analysis, kind });
    if let Some(blue_green) = &strategy.blue_green {
        let path = |field: &str| format!("spec.strategy.blueGreen.{field}.templates");
        if let Some(analysis) = &blue_green.pre_promotion_analysis {
            add(path("prePromotionAnalysis"), analysis, RunKind::PrePromotion);
        }
        if let Some(analysis) = &blue_green.post_promotion_analysis {
            add(path("postPromotionAnalysis"), analysis, RunKind::PostPromotion);
        }
    } else if let Some(canary) = &strategy.canary {
        for (index, step) in canary.steps.iter().enumerate() {
            let Some(analysis) = &step.analysis else { continue };
            let kind = RunKind::Step { index: i32::try_from(index).unwrap_or(i32::MAX) };
            add(format!("spec.strategy.canary.steps[{index}].analysis.templates"), analysis, kind);
        }
        let background = canary.analysis.as_ref().map(|background| &background.analysis);
        if let Some(analysis) = background.filter(|analysis| !analysis.templates.is_empty()) {
            add("spec.strategy.canary.analysis.templates".to_owned(), analysis, RunKind::Background);
        }
    }
    named
}

/// The first template of an analysis, or of those its templates include, that is missing.
pub(super) fn missing(world: &World, named: &NamedAnalysis<'_>) -> Option<FieldError> {
    collect(world, &named.analysis.templates, &named.path, &mut Vec::new()).err()
}

/// What of an analysis does not fit; nothing where a template is not known.
pub(super) fn unfit(world: &World, named: &NamedAnalysis<'_>, faults: &mut Vec<FieldError>) {
    let mut found = Vec::new();
    if collect(world, &named.analysis.templates, &named.path, &mut found).is_err() {
        return;
    }
    // Those of the namespace come first.
    found.sort_by_key(|key| key.cluster);
    let labels = world.rollout.metadata.labels.as_ref();
    let request = RunRequest {
        rollout: &world.rollout,
        name: "dry".to_owned(),
        analysis: named.analysis,
        // Whether a metric ends is told below, with the name of its template.
        kind: RunKind::Background,
        templates: &world.templates,
        stable_hash: "",
        latest_hash: "",
        revision: 0,
        instance_id: labels.and_then(|labels| labels.get(INSTANCE_ID)).cloned(),
    };
    let values = match check_run(&request) {
        Ok(values) => values,
        Err(why) => {
            let names: Vec<&str> = found.iter().map(|key| key.name.as_str()).collect();
            faults.push(invalid(&named.path, &format!("templateNames: [{}]", names.join(" ")), &why));
            return;
        }
    };
    if named.kind == RunKind::Background {
        return;
    }
    for key in &found {
        let Some(template) = world.templates.get(key) else { continue };
        if let Err(why) = check_arguments(&template.spec) {
            faults.push(invalid(&named.path, &key.name, &format!("AnalysisTemplate {}: {why}", key.name)));
            continue;
        }
        for metric in &template.spec.metrics {
            let Some(count) = endless_count(metric, &values) else { continue };
            let why = format!(
                "AnalysisTemplate {} has metric {} which runs indefinitely. Invalid value for count: {count}",
                key.name, metric.name
            );
            faults.push(invalid(&named.path, &key.name, &why));
        }
    }
}

/// The first metric of the templates that asks a provider which is not served.
pub(crate) fn unserved_metric(world: &World) -> Option<String> {
    let mut found = Vec::new();
    for named in named(&world.rollout.spec.strategy) {
        // What is missing is told as a fault of the spec.
        let _missing = collect(world, &named.analysis.templates, "", &mut found);
    }
    let canary = world.rollout.spec.strategy.canary.as_ref();
    let steps = canary.map_or(&[][..], |canary| canary.steps.as_slice());
    let experiments = steps.iter().filter_map(|step| step.experiment.as_ref());
    for analysis in experiments.flat_map(|experiment| &experiment.analyses) {
        let cluster = analysis.cluster_scope == Some(true);
        let template = AnalysisTemplateRef::new(&analysis.template_name, cluster);
        let _missing = collect(world, &[template], "", &mut found);
    }
    found.iter().find_map(|key| {
        let refused = unsupported_providers(&world.templates.get(key)?.spec.metrics).into_iter().next()?;
        Some(format!("{} {}: {refused}", key.kind(), key.name))
    })
}

/// Collects templates and those nested in them, each once, or names the one that is missing.
fn collect(
    world: &World,
    wanted: &[AnalysisTemplateRef],
    path: &str,
    found: &mut Vec<TemplateKey>,
) -> Result<(), FieldError> {
    for reference in wanted {
        let key = TemplateKey { cluster: reference.is_cluster(), name: reference.template_name.clone() };
        if found.contains(&key) {
            continue;
        }
        let Some(template) = world.templates.get(&key) else {
            return Err(invalid(path, &key.name, &format!("{} '{}' not found", key.kind(), key.name)));
        };
        found.push(key);
        // The field is one of the template that includes, as upstream tells it.
        collect(world, &template.spec.templates, "spec.templates", found)?;
    }
    Ok(())
}
