//! Stories of Rollouts that take over from a Deployment.
//!
//! Input: a spec, and who does what when. Output: the tale, compared with `stories/*.txt`.

use serde_json::{Value, json};

use crate::shape::{CANARY_SERVICE, INGRESSES, STABLE_SERVICE};
use crate::stories::tells;
use crate::users::Act;
use crate::workloads::DEPLOYMENT;

fn takes_over(scale_down: &str, routed: bool) -> Value {
    let mut canary = json!({ "steps": [{ "setWeight": 50 }, { "pause": { "duration": 10 } }] });
    if routed {
        canary["canaryService"] = json!(CANARY_SERVICE);
        canary["stableService"] = json!(STABLE_SERVICE);
        canary["trafficRouting"] = json!({ "nginx": { "stableIngress": INGRESSES[0].name() } });
    }
    json!({
        "replicas": 4,
        "workloadRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": DEPLOYMENT, "scaleDown": scale_down },
        "strategy": { "canary": canary },
    })
}

#[test]
fn a_deployment_stays_where_nobody_asked_for_more() {
    tells("workload-never", takes_over("never", false), &[(30, Act::Image("v2"))], &[]);
}

#[test]
fn a_deployment_makes_room_once_the_rollout_is_healthy() {
    tells("workload-on-success", takes_over("onsuccess", true), &[(30, Act::Image("v2"))], &[]);
}

#[test]
fn a_deployment_makes_room_pod_by_pod() {
    let acts = [(2, Act::Replicas(6)), (5, Act::KillPods(2)), (40, Act::Image("v2"))];
    tells("workload-progressively", takes_over("progressively", false), &acts, &[]);
}
