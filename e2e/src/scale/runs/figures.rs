//! The figures of many AnalysisRuns, as people read them and as machines do.

use std::collections::BTreeMap;
use std::fmt::Write;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::scale::audit::Tally;
use crate::subject::Heading;

/// Everything that was measured.
#[derive(Serialize)]
pub(super) struct Figures {
    #[serde(flatten)]
    pub(super) heading: Heading,
    /// How many different queries there are.
    pub(super) queries: usize,
    pub(super) interval_seconds: u32,
    pub(super) minutes: Vec<Minute>,
    pub(super) runs: Vec<Run>,
}

/// What one minute cost.
#[derive(Clone, Serialize)]
pub(super) struct Minute {
    /// The controller's resident memory at the end.
    pub(super) memory_mib: f64,
    pub(super) cpu_seconds: f64,
    pub(super) others_cpu_seconds: BTreeMap<String, f64>,
    /// Measurements that were recorded.
    pub(super) measurements: u64,
    /// Queries that Prometheus answered.
    pub(super) queries: u64,
    /// The controller's requests to the API server.
    pub(super) requests: Tally,
}

/// What became of one run since the first look at it.
#[derive(Serialize)]
pub(super) struct Run {
    /// Measurements since then.
    count: u64,
    /// From the last measurement of the first look to the last one of all.
    seconds: i64,
    /// Measurements that were no success, from the beginning.
    failures: u64,
    /// Whether it still runs.
    is_running: bool,
}

impl Run {
    /// Of what is known of it before and now.
    pub(super) fn of(before: &Value, now: Option<&Value>) -> Self {
        let now = now.unwrap_or(&Value::Null);
        let seconds = last_measured(before).zip(last_measured(now));
        let successful = now["metric"]["successful"].as_u64().unwrap_or_default();
        Self {
            count: count(now).saturating_sub(count(before)),
            seconds: seconds.map_or(0, |(before, now)| now.as_second() - before.as_second()),
            failures: count(now).saturating_sub(successful) + errors(now),
            is_running: now["phase"] == "Running",
        }
    }

    /// How many seconds later than by its interval it was measured last.
    fn late(&self, interval: u32) -> i64 {
        self.seconds - i64::try_from(self.count).unwrap_or(i64::MAX).saturating_mul(interval.into())
    }
}

/// How often a run was measured, errors included.
pub(super) fn count(run: &Value) -> u64 {
    run["metric"]["count"].as_u64().unwrap_or_default() + errors(run)
}

fn errors(run: &Value) -> u64 {
    run["metric"]["error"].as_u64().unwrap_or_default()
}

/// When the last measurement began.
pub(super) fn last_measured(run: &Value) -> Option<Timestamp> {
    run["metric"]["measurements"].as_array()?.last()?["startedAt"].as_str()?.parse().ok()
}

/// How many queries a Prometheus says that it has answered.
pub(super) fn queries(metrics: &str) -> u64 {
    let of_queries = |line: &&str| {
        line.starts_with("prometheus_http_requests_total{") && line.contains(r#"handler="/api/v1/query""#)
    };
    let count = |line: &str| line.rsplit(' ').next()?.parse::<f64>().ok();
    metrics.lines().filter(of_queries).filter_map(count).sum::<f64>() as u64
}

impl Minute {
    /// One line.
    pub(super) fn text(&self) -> String {
        let others = self.others_cpu_seconds.iter();
        let others: Vec<_> = others.map(|(name, seconds)| format!("{name} {seconds:.1}")).collect();
        format!(
            "{:6.1} MiB, {:5.2} s of processor, {:5} measurements, {:5} queries, {:5} requests to the API server; processor of others: {}",
            self.memory_mib,
            self.cpu_seconds,
            self.measurements,
            self.queries,
            self.requests.all(),
            others.join(", ")
        )
    }
}

impl Figures {
    /// Everything as a text.
    pub(super) fn text(&self) -> String {
        let mut text = self.heading.to_string();
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{} AnalysisRuns, {} queries, each run every {} s",
            self.runs.len(),
            self.queries,
            self.interval_seconds
        );
        for minute in &self.minutes {
            let _ = writeln!(text, "  {}", minute.text());
        }
        self.tell_sums(&mut text);
        text
    }

    fn tell_sums(&self, text: &mut String) {
        let sum = |of: fn(&Minute) -> f64| self.minutes.iter().map(of).sum::<f64>();
        let measurements = sum(|minute| minute.measurements as f64);
        let seconds = self.minutes.len() as f64 * 60.0;
        let _ = writeln!(
            text,
            "{measurements} measurements, {:.1} a second; {} queries, {:.1} a second; {:.3} requests to the API server for each measurement",
            measurements / seconds,
            sum(|minute| minute.queries as f64),
            sum(|minute| minute.queries as f64) / seconds,
            sum(|minute| minute.requests.all() as f64) / measurements
        );
        let _ = writeln!(
            text,
            "controller: {:.1} % of a processor; memory {}",
            100.0 * sum(|minute| minute.cpu_seconds) / seconds,
            self.memory()
        );
        let failed = self.runs.iter().filter(|run| run.failures > 0 || !run.is_running).count();
        let mut late: Vec<i64> = self.runs.iter().map(|run| run.late(self.interval_seconds)).collect();
        late.sort_unstable();
        let _ = writeln!(
            text,
            "runs: {failed} with failures or ended; the last measurement is late by {} s (median), {} s (most)",
            late.get(late.len() / 2).copied().unwrap_or_default(),
            late.last().copied().unwrap_or_default()
        );
    }

    /// How memory went: each quarter's highest.
    fn memory(&self) -> String {
        let quarter = self.minutes.len().div_ceil(4).max(1);
        let highest = self.minutes.chunks(quarter).map(|minutes| {
            format!("{:.1}", minutes.iter().map(|minute| minute.memory_mib).fold(0.0, f64::max))
        });
        format!("{} MiB at most in each quarter of the time", highest.collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn run(count: u64, error: u64, last: &str) -> Value {
        let measurements = json!([{"startedAt": "2026-11-27T00:00:00Z"}, {"startedAt": last}]);
        let metric =
            json!({"count": count, "successful": count, "error": error, "measurements": measurements});
        json!({"phase": "Running", "metric": metric})
    }

    #[test]
    fn a_run_that_is_late_or_fails_is_told() {
        let before = run(2, 0, "2026-11-27T00:00:10Z");
        let minute = Minute {
            memory_mib: 50.0,
            cpu_seconds: 6.0,
            others_cpu_seconds: BTreeMap::new(),
            measurements: 12,
            queries: 6,
            requests: Tally { events: 6, ..Tally::default() },
        };
        let figures = Figures {
            heading: Heading::example(),
            queries: 1,
            interval_seconds: 10,
            minutes: vec![minute.clone(), Minute { memory_mib: 52.0, ..minute }],
            runs: vec![
                Run::of(&before, Some(&run(8, 0, "2026-11-27T00:01:13Z"))),
                Run::of(&before, Some(&run(7, 1, "2026-11-27T00:01:10Z"))),
                Run::of(&before, None),
            ],
        };
        let text = figures.text();
        for line in [
            "24 measurements, 0.2 a second; 12 queries, 0.1 a second; 0.500 requests to the API server for each",
            "controller: 10.0 % of a processor; memory 50.0, 52.0 MiB at most in each quarter",
            "runs: 2 with failures or ended; the last measurement is late by 0 s (median), 3 s (most)",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }

    #[test]
    fn prometheus_counts_its_queries() {
        let metrics = "# HELP\nprometheus_http_requests_total{code=\"200\",handler=\"/api/v1/query\"} 12\n\
                       prometheus_http_requests_total{code=\"400\",handler=\"/api/v1/query\"} 1e+00\n\
                       prometheus_http_requests_total{code=\"200\",handler=\"/api/v1/query_range\"} 5\n";
        assert_eq!(queries(metrics), 13);
    }
}
