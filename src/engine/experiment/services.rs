//! The Service of a template that asks for one.
//!
//! Input: facts, the template and its ReplicaSet. Output: a Service as long as pods are wanted, and its end once they
//! are gone. It selects by the labels of the ReplicaSet, those of its template and the hash of this very one.

use serde_json::{Value, json};
use tidegate_api::experiment::{TemplateSpec, TemplateStatus};
use tidegate_api::phase::TemplateStatusCode;

use super::plan::{Because, Planned, Write};
use super::templates::set_name;
use super::world::{EXPERIMENT_NAME, TEMPLATE_NAME, owner_reference};
use super::{Facts, Round, is_done};
use crate::rollout::world::Set;

/// Looks at the Service of a template whose ReplicaSet exists.
pub(super) fn look(
    facts: &Facts<'_>,
    template: &TemplateSpec,
    set: &Set,
    want: i32,
    next: &mut TemplateStatus,
    round: &mut Round,
) {
    let found = facts.world.service_of(&template.name);
    if template.service.is_none() || want == 0 && set.replicas == 0 && set.status.available == 0 {
        remove(facts, template, next, round);
        return;
    }
    if found.is_some() || want == 0 {
        return;
    }
    let ports = ports(&set.template);
    if ports.is_empty() {
        return;
    }
    let name = name(facts, template);
    if facts.world.taken.services.contains(&name) {
        if !is_done(next.status) {
            next.status = Some(TemplateStatusCode::Error);
            next.message = format!(
                "Failed to create Service {name} for template '{template}': service {name} already exists and is not \
                 owned by experiment template {template}",
                template = template.name
            );
        }
        return;
    }
    let object = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            "namespace": facts.experiment.metadata.namespace,
            "annotations": {EXPERIMENT_NAME: facts.name, TEMPLATE_NAME: template.name},
            "ownerReferences": [owner_reference(facts.experiment)],
        },
        "spec": {"selector": set.labels, "ports": ports},
    });
    next.service_name.clone_from(&name);
    set.hash().clone_into(&mut next.pod_template_hash);
    let because = Because::ServiceNeeded { service: name.clone() };
    round.grow.push(Planned::new(Write::CreateService { name, object }, because));
}

/// Deletes the Service of a template, if there is one.
pub(super) fn remove(
    facts: &Facts<'_>,
    template: &TemplateSpec,
    next: &mut TemplateStatus,
    round: &mut Round,
) {
    if let Some(service) = facts.world.service_of(&template.name) {
        let because = Because::ServiceNotNeeded { service: service.name.clone() };
        round.shrink.push(Planned::new(Write::DeleteService { name: service.name.clone() }, because));
    }
    next.service_name.clear();
    next.pod_template_hash.clear();
}

/// Deletes Services of templates that the spec does not have any more, once no pod is behind them.
pub(super) fn remove_strangers(facts: &Facts<'_>, round: &mut Round) {
    for service in &facts.world.services {
        let Some(template) = service.annotations.get(TEMPLATE_NAME) else { continue };
        let is_known = facts.experiment.spec.templates.iter().any(|known| known.name == *template);
        let set = facts.world.set_of(template);
        let has_pods = set.is_some_and(|set| set.replicas > 0 || set.status.available > 0);
        if !is_known && !has_pods {
            let because = Because::ServiceNotNeeded { service: service.name.clone() };
            round.shrink.push(Planned::new(Write::DeleteService { name: service.name.clone() }, because));
        }
    }
}

/// The name that the template gives its Service, or that of its ReplicaSet.
fn name(facts: &Facts<'_>, template: &TemplateSpec) -> String {
    let given = template.service.as_ref().and_then(|service| service.name.clone());
    given.filter(|name| !name.is_empty()).unwrap_or_else(|| set_name(facts, template))
}

/// One port for each port of each container.
fn ports(template: &Value) -> Vec<Value> {
    let list = |value: &Value, field: &str| value[field].as_array().cloned().unwrap_or_default();
    let containers = list(&template["spec"], "containers");
    let ports = containers.iter().flat_map(|container| list(container, "ports"));
    let service_port = |port: Value| {
        let number = port["containerPort"].clone();
        let mut made = json!({"port": number, "targetPort": number});
        for field in ["name", "protocol"] {
            if let Some(text) = port[field].as_str().filter(|text| !text.is_empty()) {
                made[field] = text.into();
            }
        }
        made
    };
    ports.map(service_port).collect()
}
