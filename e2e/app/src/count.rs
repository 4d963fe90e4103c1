//! Counters and a latency histogram in Prometheus' text format.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Upper bounds of the histogram's buckets, in seconds.
const BOUNDS_SECONDS: [f64; 10] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];

/// What has been answered so far, by status.
pub(crate) struct Counts {
    version: String,
    by_status: Mutex<BTreeMap<u16, Latency>>,
}

#[derive(Default)]
struct Latency {
    count: u64,
    sum_seconds: f64,
    buckets: [u64; BOUNDS_SECONDS.len()],
}

impl Counts {
    pub(crate) fn new(version: &str) -> Self {
        // A success counter that exists from the start: a rate over a series
        // that appears late misses its first increase.
        let by_status = Mutex::new(BTreeMap::from([(200, Latency::default())]));
        Self { version: version.to_owned(), by_status }
    }

    pub(crate) fn record(&self, status: u16, took: Duration) {
        let seconds = took.as_secs_f64();
        let mut by_status = self.by_status.lock().unwrap_or_else(PoisonError::into_inner);
        let latency = by_status.entry(status).or_default();
        latency.count += 1;
        latency.sum_seconds += seconds;
        for (bound, bucket) in BOUNDS_SECONDS.iter().zip(&mut latency.buckets) {
            if seconds <= *bound {
                *bucket += 1;
            }
        }
    }

    pub(crate) fn exposition(&self) -> String {
        let by_status = self.by_status.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::from("# TYPE http_requests_total counter\n");
        for (code, latency) in &*by_status {
            let labels = format!("version=\"{}\",code=\"{code}\"", self.version);
            line(&mut text, "http_requests_total", &labels, &latency.count.to_string());
        }
        text.push_str("# TYPE http_request_duration_seconds histogram\n");
        for (code, latency) in &*by_status {
            let labels = format!("version=\"{}\",code=\"{code}\"", self.version);
            for (bound, bucket) in BOUNDS_SECONDS.iter().zip(latency.buckets) {
                let labels = format!("{labels},le=\"{bound}\"");
                line(&mut text, "http_request_duration_seconds_bucket", &labels, &bucket.to_string());
            }
            let infinite = format!("{labels},le=\"+Inf\"");
            line(&mut text, "http_request_duration_seconds_bucket", &infinite, &latency.count.to_string());
            line(&mut text, "http_request_duration_seconds_sum", &labels, &latency.sum_seconds.to_string());
            line(&mut text, "http_request_duration_seconds_count", &labels, &latency.count.to_string());
        }
        text
    }
}

fn line(text: &mut String, name: &str, labels: &str, value: &str) {
    // Writing to a String cannot fail.
    let _written = writeln!(text, "{name}{{{labels}}} {value}");
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Counts;

    #[test]
    fn counters_and_buckets_tell_what_was_answered() {
        let counts = Counts::new("v2");
        counts.record(200, Duration::from_millis(3));
        counts.record(500, Duration::from_millis(700));
        let text = counts.exposition();
        for line in [
            r#"http_requests_total{version="v2",code="200"} 1"#,
            r#"http_requests_total{version="v2",code="500"} 1"#,
            r#"http_request_duration_seconds_bucket{version="v2",code="200",le="0.001"} 0"#,
            r#"http_request_duration_seconds_bucket{version="v2",code="200",le="0.005"} 1"#,
            r#"http_request_duration_seconds_bucket{version="v2",code="500",le="0.5"} 0"#,
            r#"http_request_duration_seconds_bucket{version="v2",code="500",le="1"} 1"#,
            r#"http_request_duration_seconds_bucket{version="v2",code="500",le="+Inf"} 1"#,
        ] {
            assert!(text.lines().any(|have| have == line), "{line} is missing from\n{text}");
        }
    }
}
