//! What the spec refers to: Services, routing objects and analysis templates must exist and fit.
//!
//! Input: a World whose spec is valid by itself. Output: the first fault, as the text that Argo Rollouts puts into
//! the InvalidSpec condition. Faults are looked for in every round, because what is missing may appear later.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tidegate_api::analysis::{AnalysisTemplateRef, Metric};
use tidegate_api::rollout::{CanaryStrategy, RolloutAnalysis};
use tidegate_api::valid::unsupported_providers;

use super::world::{HASH_LABEL, INSTANCE_ID, MANAGED_BY, Service, TemplateKey, World};
use crate::analysis::{RunKind, RunRequest, is_counted, new_run};
use crate::route::Routers;

/// The first thing that the spec refers to and that is missing or unfit.
pub(crate) fn fault(world: &World, strategy: &CanaryStrategy) -> Option<String> {
    let services = [("stableService", &strategy.stable_service), ("canaryService", &strategy.canary_service)];
    for (field, name) in services {
        if let Some(name) = name.as_deref().filter(|name| !name.is_empty())
            && let Some(why) = service_fault(world, strategy, field, name)
        {
            return Some(invalid(&format!("spec.strategy.canary.{field}"), name, &why));
        }
    }
    analyses_fault(world, strategy).or_else(|| route_fault(world))
}

fn invalid(path: &str, value: &str, why: &str) -> String {
    format!("{path}: Invalid value: {value:?}: {why}")
}

fn service_fault(world: &World, strategy: &CanaryStrategy, field: &str, name: &str) -> Option<String> {
    let Some(service) = world.services.get(name) else {
        return Some(format!("service {name:?} not found"));
    };
    if let Some(label) = unmatched_label(world, strategy, field, service) {
        return Some(format!("Service {name:?} has unmatch label {label:?} in rollout"));
    }
    let owner = service.annotations.get(MANAGED_BY)?;
    let mine = world.rollout.metadata.name.as_deref() == Some(owner.as_str());
    (!mine).then(|| format!("Service {name:?} is managed by another Rollout"))
}

/// A selector label of the Service that no pod of this Rollout carries.
fn unmatched_label<'s>(
    world: &World,
    strategy: &CanaryStrategy,
    field: &str,
    service: &'s Service,
) -> Option<&'s str> {
    let labels = world.rollout.spec.template.metadata("labels");
    let role = if field == "stableService" { &strategy.stable_metadata } else { &strategy.canary_metadata };
    let of_role = |key: &str| role.as_ref().and_then(|metadata| metadata.labels.get(key));
    let unmatched = service.selector.iter().find(|(key, value)| {
        key.as_str() != HASH_LABEL && labels.get(*key) != Some(value) && of_role(key) != Some(value)
    });
    unmatched.map(|(key, _)| key.as_str())
}

fn route_fault(world: &World) -> Option<String> {
    let fault = Routers::of(&world.rollout, &world.spec).fault(world)?;
    Some(invalid(&fault.path, &fault.value, &fault.why))
}

fn analyses_fault(world: &World, strategy: &CanaryStrategy) -> Option<String> {
    let background = strategy.analysis.as_ref().map(|background| &background.analysis);
    let background = background.filter(|analysis| !analysis.templates.is_empty());
    if let Some(analysis) = background
        && let Some(fault) =
            analysis_fault(world, analysis, "spec.strategy.canary.analysis.templates", RunKind::Background)
    {
        return Some(fault);
    }
    strategy.steps.iter().enumerate().find_map(|(index, step)| {
        let path = format!("spec.strategy.canary.steps[{index}].analysis.templates");
        let kind = RunKind::Step { index: i32::try_from(index).unwrap_or(i32::MAX) };
        analysis_fault(world, step.analysis.as_ref()?, &path, kind)
    })
}

fn analysis_fault(world: &World, analysis: &RolloutAnalysis, path: &str, kind: RunKind) -> Option<String> {
    let mut found = Vec::new();
    if let Err((name, why)) = collect(world, &analysis.templates, &mut found) {
        return Some(invalid(path, &name, &why));
    }
    let names: Vec<&str> =
        analysis.templates.iter().map(|template| template.template_name.as_str()).collect();
    let request = RunRequest {
        rollout: &world.rollout,
        name: "dry".to_owned(),
        analysis,
        kind,
        templates: &world.templates,
        stable_hash: "",
        latest_hash: "",
        revision: 0,
        instance_id: world
            .rollout
            .metadata
            .labels
            .as_ref()
            .and_then(|labels| labels.get(INSTANCE_ID))
            .cloned(),
    };
    let endless = found.iter().filter(|_| !matches!(kind, RunKind::Background)).find_map(|key| {
        let endless = world.templates.get(key)?.metrics.iter().find(|metric| runs_forever(metric))?;
        let count = endless.count.as_ref().map_or_else(|| "<nil>".to_owned(), shown);
        let why = format!(
            "AnalysisTemplate {} has metric {} which runs indefinitely. Invalid value for count: {count}",
            key.name, endless.name
        );
        Some(invalid(path, &key.name, &why))
    });
    endless.or_else(|| {
        let why = new_run(&request).err()?;
        Some(invalid(path, &format!("templateNames: [{}]", names.join(" ")), &why))
    })
}

/// The first metric of the templates that asks a provider which is not served.
pub(crate) fn unserved_metric(world: &World, strategy: &CanaryStrategy) -> Option<String> {
    let background = strategy.analysis.as_ref().map(|background| &background.analysis);
    let analyses =
        background.into_iter().chain(strategy.steps.iter().filter_map(|step| step.analysis.as_ref()));
    let mut found = Vec::new();
    let experiments = strategy.steps.iter().filter_map(|step| step.experiment.as_ref());
    for analysis in experiments.flat_map(|experiment| &experiment.analyses) {
        let template = AnalysisTemplateRef {
            template_name: analysis.template_name.clone(),
            cluster_scope: analysis.cluster_scope,
        };
        let _missing = collect(world, &[template], &mut found);
    }
    for analysis in analyses {
        // What is missing is told as a fault of the spec.
        let _missing = collect(world, &analysis.templates, &mut found);
    }
    found.iter().find_map(|key| {
        let refused = unsupported_providers(&world.templates.get(key)?.metrics).into_iter().next()?;
        let kind = kind_of(key);
        Some(format!("{kind} {}: {refused}", key.name))
    })
}

/// Collects templates and those nested in them, each once, or names the one that is missing.
fn collect(
    world: &World,
    wanted: &[AnalysisTemplateRef],
    found: &mut Vec<TemplateKey>,
) -> Result<(), (String, String)> {
    for reference in wanted {
        let key = TemplateKey { cluster: reference.cluster_scope, name: reference.template_name.clone() };
        if found.contains(&key) {
            continue;
        }
        let Some(template) = world.templates.get(&key) else {
            let kind = kind_of(&key);
            let why = format!("{kind} '{}' not found", key.name);
            return Err((key.name, why));
        };
        found.push(key);
        collect(world, &template.templates, found)?;
    }
    Ok(())
}

fn kind_of(key: &TemplateKey) -> &'static str {
    if key.cluster { "ClusterAnalysisTemplate" } else { "AnalysisTemplate" }
}

/// Without a count, a metric with an interval is measured for ever.
fn runs_forever(metric: &Metric) -> bool {
    !is_counted(metric) && metric.interval.as_ref().is_some_and(|interval| !interval.is_empty())
}

fn shown(count: &IntOrString) -> String {
    match count {
        IntOrString::Int(number) => number.to_string(),
        IntOrString::String(text) => text.clone(),
    }
}
