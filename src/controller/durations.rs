//! How long updates take, as upstream counts it, so that its dashboards fit.
//!
//! Input: updates that have ended. Output: three histograms by how they ended: all of the time, the part in which a person
//! was waited for, and the rest.

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tidegate_engine::rollout::duration::Ended;

/// All of the time: from half a minute to eight hours, in seconds.
const TOTAL: [f64; 11] =
    [30.0, 60.0, 120.0, 300.0, 600.0, 1_200.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0, 28_800.0];
/// Without the pauses: up to an hour.
const PROGRESSION: [f64; 8] = [30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1_800.0, 3_600.0];
/// The pauses: many an update has none.
const MANUAL_PAUSE: [f64; 9] = [0.0, 60.0, 300.0, 600.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0, 28_800.0];

type ByEnd = Family<[(&'static str, String); 1], Histogram>;

/// The histograms.
#[derive(Debug)]
pub(crate) struct Durations {
    total: ByEnd,
    progression: ByEnd,
    manual_pause: ByEnd,
}

impl Default for Durations {
    fn default() -> Self {
        let family = |histogram: fn() -> Histogram| Family::new_with_constructor(histogram);
        Self {
            total: family(|| Histogram::new(TOTAL)),
            progression: family(|| Histogram::new(PROGRESSION)),
            manual_pause: family(|| Histogram::new(MANUAL_PAUSE)),
        }
    }
}

impl Durations {
    /// Adds the histograms to a registry.
    pub(crate) fn register(&self, registry: &mut Registry) {
        let help = "Total wall-clock time for a rollout from start to completion/abort/supersede";
        registry.register("rollout_duration_seconds", help, self.total.clone());
        let help = "Active progression time for a rollout (excluding manual pause time)";
        registry.register("rollout_progression_duration_seconds", help, self.progression.clone());
        let help = "Time spent in manual pause waiting for human intervention";
        registry.register("rollout_manual_pause_duration_seconds", help, self.manual_pause.clone());
    }

    /// Counts an update.
    pub(crate) fn observe(&self, ended: &Ended) {
        let seconds = |whole: i64| f64::from(u32::try_from(whole).unwrap_or(u32::MAX));
        let labels = [("status", ended.how.clone())];
        self.total.get_or_create(&labels).observe(seconds(ended.seconds));
        let progression = (ended.seconds - ended.paused_seconds).max(0);
        self.progression.get_or_create(&labels).observe(seconds(progression));
        self.manual_pause.get_or_create(&labels).observe(seconds(ended.paused_seconds));
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;

    #[test]
    fn an_update_counts_in_all_three_histograms_by_how_it_ended() {
        let durations = Durations::default();
        let mut registry = Registry::default();
        durations.register(&mut registry);
        durations.observe(&Ended { how: "Promoted".to_owned(), seconds: 90, paused_seconds: 40 });
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for line in [
            r#"rollout_duration_seconds_bucket{le="60.0",status="Promoted"} 0"#,
            r#"rollout_duration_seconds_bucket{le="120.0",status="Promoted"} 1"#,
            r#"rollout_progression_duration_seconds_sum{status="Promoted"} 50.0"#,
            r#"rollout_progression_duration_seconds_bucket{le="900.0",status="Promoted"} 1"#,
            r#"rollout_manual_pause_duration_seconds_sum{status="Promoted"} 40.0"#,
            r#"rollout_manual_pause_duration_seconds_bucket{le="0.0",status="Promoted"} 0"#,
            r#"rollout_manual_pause_duration_seconds_bucket{le="60.0",status="Promoted"} 1"#,
            "# HELP rollout_duration_seconds Total wall-clock time for a rollout from start to completion/abort/supersede.",
            "# HELP rollout_progression_duration_seconds Active progression time for a rollout (excluding manual pause time).",
            "# HELP rollout_manual_pause_duration_seconds Time spent in manual pause waiting for human intervention.",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }
}
