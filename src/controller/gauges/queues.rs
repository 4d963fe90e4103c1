//! The series of the loops' queues, under the names that client-go gives to those of its queues.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;

use super::{counters, family};
use crate::watch::Scene;
use crate::work::Measures;

/// Tells the load of each loop. The names of the queues are upstream's.
pub(super) fn encode(scene: &Scene, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let queues = [
        ("Rollouts", scene.rollouts.measures()),
        ("Experiments", scene.experiments.measures()),
        ("AnalysisRuns", scene.runs.measures()),
        ("Services", scene.services.measures()),
    ];
    let gauge =
        |of: fn(&Measures) -> f64| queues.iter().map(|(name, load)| (named(name), of(load))).collect();
    let count =
        |of: fn(&Measures) -> u64| queues.iter().map(|(name, load)| (named(name), of(load))).collect();
    let depth = gauge(|load| f64::from(u32::try_from(load.depth).unwrap_or(u32::MAX)));
    family(encoder, "workqueue_depth", "Current depth of workqueue", depth)?;
    let help = "Total number of adds handled by workqueue";
    counters(encoder, "workqueue_adds", help, count(|load| load.adds))?;
    let help = "Total number of retries handled by workqueue";
    counters(encoder, "workqueue_retries", help, count(|load| load.retries))?;
    let help = "Seconds that the looks under way have taken so far";
    family(encoder, "workqueue_unfinished_work_seconds", help, gauge(|load| load.unfinished))?;
    let help = "Seconds that the longest look under way has taken so far";
    family(encoder, "workqueue_longest_running_processor_seconds", help, gauge(|load| load.longest))?;
    let help = "Seconds from when a key was due until it was looked at";
    let mut metric =
        encoder.encode_descriptor("workqueue_queue_duration_seconds", help, None, MetricType::Histogram)?;
    for (name, load) in &queues {
        load.waited.encode(metric.encode_family(&named(name))?)?;
    }
    let help = "Seconds that a look took";
    let mut metric =
        encoder.encode_descriptor("workqueue_work_duration_seconds", help, None, MetricType::Histogram)?;
    for (name, load) in &queues {
        load.worked.encode(metric.encode_family(&named(name))?)?;
    }
    Ok(())
}

fn named(queue: &str) -> Vec<(&'static str, String)> {
    vec![("name", queue.to_owned())]
}
