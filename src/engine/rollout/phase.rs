//! The whole status in one word and one sentence, as every client of Argo Rollouts reads it.
//!
//! Input: the Rollout's spec and a status. Output: phase and message, first rule that matches.

use tidegate_api::phase::AnalysisPhase;
use tidegate_api::rollout::{BlueGreenStrategy, Rollout, RolloutPhase, RolloutStatus};

use super::condition::{INVALID_SPEC, ROLLOUT_ABORTED, TIMED_OUT};
use super::restart;

/// Computes phase and message of a status.
#[must_use]
pub fn phase(rollout: &Rollout, status: &RolloutStatus) -> (RolloutPhase, String) {
    for condition in &status.conditions {
        if condition.type_ == INVALID_SPEC {
            return (RolloutPhase::Degraded, format!("{INVALID_SPEC}: {}", condition.message));
        }
        if condition.reason == ROLLOUT_ABORTED || condition.reason == TIMED_OUT {
            return (RolloutPhase::Degraded, format!("{}: {}", condition.reason, condition.message));
        }
    }
    if rollout.spec.paused {
        return (RolloutPhase::Paused, "manually paused".to_owned());
    }
    if let Some(pause) = status.pause_conditions.first() {
        return (RolloutPhase::Paused, pause.reason.clone());
    }
    match progress(rollout, status) {
        Some(message) => (RolloutPhase::Progressing, message.to_owned()),
        None => (RolloutPhase::Healthy, String::new()),
    }
}

fn progress(rollout: &Rollout, status: &RolloutStatus) -> Option<&'static str> {
    let spec = &rollout.spec;
    if restart::asked(rollout, status).is_some() {
        return Some("rollout is restarting");
    }
    if status.updated_replicas < spec.replicas.unwrap_or(1) {
        return Some("more replicas need to be updated");
    }
    if status.available_replicas < status.updated_replicas {
        return Some("updated replicas are still becoming available");
    }
    if let Some(strategy) = &spec.strategy.blue_green {
        return cutover(strategy, status);
    }
    let canary = spec.strategy.canary.as_ref();
    let routed = canary.is_some_and(|canary| canary.traffic_routing.is_some());
    if !routed && status.replicas > status.updated_replicas {
        return Some("old replicas are pending termination");
    }
    if status.stable_rs.is_empty() || status.stable_rs != status.current_pod_hash {
        return Some("waiting for all steps to complete");
    }
    // Going back to a stable revision that follows the traffic, another one keeps weight until its pods are there: the
    // pods of both together look like all that are wanted.
    let weight = status.canary.weights.as_ref().map(|weights| &weights.canary);
    let leaves = weight.is_some_and(|it| it.weight > 0 && it.pod_template_hash != status.stable_rs);
    (leaves && canary.is_some_and(|canary| canary.dynamic_stable_scale))
        .then_some("waiting for all steps to complete")
}

/// What a blue-green update still has to do once its pods are there.
fn cutover(strategy: &BlueGreenStrategy, status: &RolloutStatus) -> Option<&'static str> {
    let active = &status.blue_green.active_selector;
    if active.is_empty() || *active != status.current_pod_hash {
        return Some("active service cutover pending");
    }
    if status.stable_rs.is_empty() || status.stable_rs != status.current_pod_hash {
        let run = status.blue_green.post_promotion_analysis_run_status.as_ref();
        let judged = run.and_then(|run| run.status).is_some_and(AnalysisPhase::is_completed);
        return Some(if strategy.post_promotion_analysis.is_some() && !judged {
            "waiting for analysis to complete"
        } else {
            "waiting for post-promotion verification to complete"
        });
    }
    None
}

#[cfg(test)]
mod tests {
    use tidegate_api::rollout::{
        CanaryStrategy, PauseCondition, RolloutAnalysis, RolloutAnalysisRunStatus, TrafficWeights,
        WeightDestination,
    };

    use super::super::condition;
    use super::*;

    fn settled() -> (Rollout, RolloutStatus) {
        let mut rollout = Rollout::default();
        rollout.spec.replicas = Some(3);
        rollout.spec.strategy.canary = Some(CanaryStrategy::default());
        let status = RolloutStatus {
            updated_replicas: 3,
            available_replicas: 3,
            replicas: 3,
            stable_rs: "a".to_owned(),
            current_pod_hash: "a".to_owned(),
            ..RolloutStatus::default()
        };
        (rollout, status)
    }

    #[test]
    fn rules_apply_in_their_order() {
        let (rollout, status) = settled();
        assert_eq!(phase(&rollout, &status), (RolloutPhase::Healthy, String::new()));

        let waiting = RolloutStatus { current_pod_hash: "b".to_owned(), ..status.clone() };
        assert_eq!(phase(&rollout, &waiting).1, "waiting for all steps to complete");

        let draining = RolloutStatus { replicas: 4, ..waiting.clone() };
        assert_eq!(phase(&rollout, &draining).1, "old replicas are pending termination");

        let starting = RolloutStatus { available_replicas: 2, ..draining.clone() };
        assert_eq!(phase(&rollout, &starting).1, "updated replicas are still becoming available");

        let short = RolloutStatus { updated_replicas: 1, ..starting.clone() };
        assert_eq!(phase(&rollout, &short).1, "more replicas need to be updated");

        let mut asked = rollout.clone();
        let restart = |text: &str| serde_json::from_value(serde_json::json!(text)).unwrap();
        asked.spec.restart_at = Some(restart("2026-01-01T12:00:00.7Z"));
        assert_eq!(phase(&asked, &short).1, "rollout is restarting");
        let done = RolloutStatus { restarted_at: Some(restart("2026-01-01T12:00:00Z")), ..short.clone() };
        assert_eq!(phase(&asked, &done).1, "more replicas need to be updated", "fractions are not stored");

        let mut paused = short.clone();
        paused
            .pause_conditions
            .push(PauseCondition { reason: "CanaryPauseStep".to_owned(), start_time: None });
        assert_eq!(phase(&rollout, &paused), (RolloutPhase::Paused, "CanaryPauseStep".to_owned()));

        let mut aborted = paused;
        let now = jiff::Timestamp::UNIX_EPOCH;
        condition::set(&mut aborted, condition::new(now, "Progressing", "False", ROLLOUT_ABORTED, "why"));
        assert_eq!(phase(&rollout, &aborted), (RolloutPhase::Degraded, "RolloutAborted: why".to_owned()));
    }

    #[test]
    fn going_back_is_not_done_while_another_revision_has_weight() {
        let (mut rollout, mut status) = settled();
        let weight = |hash: &str| {
            let canary = WeightDestination {
                weight: 40,
                service_name: "web-canary".to_owned(),
                pod_template_hash: hash.to_owned(),
            };
            Some(TrafficWeights { canary, ..TrafficWeights::default() })
        };
        status.canary.weights = weight("b");
        assert_eq!(phase(&rollout, &status).0, RolloutPhase::Healthy, "stable has all its pods");
        let strategy = CanaryStrategy { dynamic_stable_scale: true, ..CanaryStrategy::default() };
        rollout.spec.strategy.canary = Some(strategy);
        assert_eq!(phase(&rollout, &status).1, "waiting for all steps to complete");
        status.canary.weights = weight("a");
        assert_eq!(phase(&rollout, &status).0, RolloutPhase::Healthy, "both Services select it");
    }

    #[test]
    fn a_blue_green_update_waits_for_the_switch_and_then_for_its_judge() {
        let (mut rollout, mut status) = settled();
        let strategy = BlueGreenStrategy { active_service: "web".to_owned(), ..BlueGreenStrategy::default() };
        rollout.spec.strategy.canary = None;
        rollout.spec.strategy.blue_green = Some(strategy);
        status.current_pod_hash = "b".to_owned();
        let told = |rollout: &Rollout, status: &RolloutStatus| phase(rollout, status).1;
        assert_eq!(told(&rollout, &status), "active service cutover pending");
        status.blue_green.active_selector = "a".to_owned();
        assert_eq!(told(&rollout, &status), "active service cutover pending");
        status.blue_green.active_selector = "b".to_owned();
        assert_eq!(told(&rollout, &status), "waiting for post-promotion verification to complete");
        if let Some(strategy) = &mut rollout.spec.strategy.blue_green {
            strategy.post_promotion_analysis = Some(RolloutAnalysis::default());
        }
        assert_eq!(told(&rollout, &status), "waiting for analysis to complete");
        let run =
            |phase| RolloutAnalysisRunStatus { status: Some(phase), ..RolloutAnalysisRunStatus::default() };
        status.blue_green.post_promotion_analysis_run_status = Some(run(AnalysisPhase::Running));
        assert_eq!(told(&rollout, &status), "waiting for analysis to complete");
        status.blue_green.post_promotion_analysis_run_status = Some(run(AnalysisPhase::Successful));
        assert_eq!(told(&rollout, &status), "waiting for post-promotion verification to complete");
        status.stable_rs = "b".to_owned();
        status.replicas = 6;
        assert_eq!(phase(&rollout, &status), (RolloutPhase::Healthy, String::new()), "old pods may stay");
    }
}
