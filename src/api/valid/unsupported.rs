//! What upstream can do and this release cannot yet. Each entry goes when its feature comes.

use super::field::{Field, FieldError};
use super::parsed::{Step, ValidCanary, ValidRollout, ValidStrategy};
use super::plugins;
use crate::analysis::{Metric, MetricProvider};
use crate::rollout::RolloutTrafficRouting;

/// Says which parts of a valid Rollout nobody would act on.
///
/// Such a Rollout is to be left alone as a whole: half of a strategy is not what its user asked for.
#[must_use]
pub fn unsupported(valid: &ValidRollout) -> Vec<FieldError> {
    let spec = valid.spec();
    let path = Field::new("spec");
    let mut errors = Vec::new();
    let mut refuse = |set: bool, field: &str, mend: &str| {
        if set {
            errors.push(refusal(&path.child(field), mend));
        }
    };
    refuse(spec.workload_ref.is_some(), "workloadRef", "put the pod template into spec.template");
    refuse(
        spec.rollback_window.is_some(),
        "rollbackWindow",
        "remove it; a rollback then goes through the steps",
    );
    let strategy = path.child("strategy");
    match &valid.strategy {
        ValidStrategy::BlueGreen(_) => {
            errors.push(refusal(&strategy.child("blueGreen"), "use strategy.canary"));
        }
        ValidStrategy::Canary(canary) => check_canary(canary, &strategy.child("canary"), &mut errors),
    }
    errors
}

fn check_canary(canary: &ValidCanary, path: &Field, errors: &mut Vec<FieldError>) {
    let spec = &canary.spec;
    let mut refuse = |set: bool, field: &str, mend: &str| {
        if set {
            errors.push(refusal(&path.child(field), mend));
        }
    };
    refuse(spec.ping_pong.is_some(), "pingPong", "use canaryService and stableService");
    refuse(spec.dynamic_stable_scale, "dynamicStableScale", "remove it; stable then keeps its size");
    refuse(spec.min_pods_per_replica_set.is_some(), "minPodsPerReplicaSet", "remove it");
    refuse(spec.anti_affinity.is_some(), "antiAffinity", "put the affinity into the pod template");
    refuse(spec.canary_metadata.is_some(), "canaryMetadata", "put the metadata into the pod template");
    refuse(spec.stable_metadata.is_some(), "stableMetadata", "put the metadata into the pod template");
    if let Some(routing) = &spec.traffic_routing {
        check_routers(routing, &path.child("trafficRouting"), errors);
    }
    for (index, step) in canary.steps.iter().enumerate() {
        check_step(step, &path.child("steps").index(index), errors);
    }
}

fn check_routers(routing: &RolloutTrafficRouting, path: &Field, errors: &mut Vec<FieldError>) {
    let routers = [
        ("istio", routing.istio.is_some()),
        ("alb", routing.alb.is_some()),
        ("smi", routing.smi.is_some()),
        ("ambassador", routing.ambassador.is_some()),
        ("appMesh", routing.app_mesh.is_some()),
        ("traefik", routing.traefik.is_some()),
        ("apisix", routing.apisix.is_some()),
    ];
    for (router, set) in routers {
        if set {
            errors.push(refusal(&path.child(router), "use trafficRouting.nginx, or no router"));
        }
    }
    let plugins = plugins::unserved(&routing.plugins, path);
    errors.extend(plugins.into_iter().map(|(field, mend)| refusal(&field, mend)));
}

fn check_step(step: &Step, path: &Field, errors: &mut Vec<FieldError>) {
    let field = match step {
        Step::SetWeight(_) | Step::Pause(_) | Step::Analysis(_) => return,
        Step::Experiment(experiment) => {
            let templates = path.child("experiment").child("templates");
            for (index, _) in experiment.templates.iter().enumerate().filter(|(_, one)| one.weight.is_some())
            {
                let weight = templates.index(index).child("weight");
                errors.push(refusal(&weight, "remove it; the pods then get no share of the traffic"));
            }
            return;
        }
        Step::SetCanaryScale(_) => "setCanaryScale",
        Step::SetHeaderRoute(_) => "setHeaderRoute",
        Step::SetMirrorRoute(_) => "setMirrorRoute",
        Step::Plugin(_) => "plugin",
    };
    errors.push(refusal(&path.child(field), "use setWeight, pause, analysis and experiment steps"));
}

/// Says which metrics need a provider that nobody would ask.
#[must_use]
pub fn unsupported_providers(metrics: &[Metric]) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, metric) in metrics.iter().enumerate() {
        let path = Field::new("spec").child("metrics").index(index).child("provider");
        if let Some(provider) = foreign_provider(&metric.provider) {
            errors.push(refusal(&path.child(provider), "use provider prometheus"));
        }
    }
    errors
}

fn foreign_provider(provider: &MetricProvider) -> Option<&'static str> {
    let providers = [
        ("kayenta", provider.kayenta.is_some()),
        ("web", provider.web.is_some()),
        ("datadog", provider.datadog.is_some()),
        ("wavefront", provider.wavefront.is_some()),
        ("newRelic", provider.new_relic.is_some()),
        ("job", provider.job.is_some()),
        ("cloudWatch", provider.cloud_watch.is_some()),
        ("graphite", provider.graphite.is_some()),
        ("influxdb", provider.influxdb.is_some()),
        ("skywalking", provider.skywalking.is_some()),
        ("plugin", !provider.plugin.is_empty()),
    ];
    providers.into_iter().find_map(|(name, set)| set.then_some(name))
}

fn refusal(path: &Field, mend: &str) -> FieldError {
    path.forbidden(&format!("this release of Tidegate cannot act on this field; {mend}"))
}
