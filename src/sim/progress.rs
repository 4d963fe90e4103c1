//! How far a long campaign is, and when it will be over.
//!
//! Input: what it has come to so far, and the time. Output: a line now and then.

use std::time::Duration;

use tidegate_sim::Report;

/// Between two lines. A campaign that is over sooner says nothing but its end.
const PACE: Duration = Duration::from_secs(20);

/// Whoever follows a campaign of so many seeds.
pub(crate) struct Progress {
    seeds: u64,
    told: Duration,
}

impl Progress {
    pub(crate) fn new(seeds: u64) -> Self {
        Self { seeds, told: Duration::ZERO }
    }

    /// A line, when it is time for one.
    pub(crate) fn line(&mut self, report: &Report, elapsed: Duration) -> Option<String> {
        if elapsed < self.told + PACE {
            return None;
        }
        self.told = elapsed;
        let per_second = report.seeds as f64 / elapsed.as_secs_f64();
        let left = (self.seeds.saturating_sub(report.seeds)) as f64 / per_second;
        Some(format!(
            "{} of {} seeds, {:.1} %, {per_second:.0} a second, {} left, {} broken, next {}",
            report.seeds,
            self.seeds,
            100.0 * report.seeds as f64 / self.seeds.max(1) as f64,
            clock(left),
            report.failures.len(),
            report.next
        ))
    }
}

/// Hours, minutes and seconds.
fn clock(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_comes_now_and_then_and_says_when_it_will_be_over() {
        let mut progress = Progress::new(1000);
        let mut report = Report::default();
        (report.seeds, report.next) = (100, 99);
        assert_eq!(progress.line(&report, Duration::from_secs(19)), None);
        let line = progress.line(&report, Duration::from_secs(25)).unwrap_or_default();
        assert_eq!(line, "100 of 1000 seeds, 10.0 %, 4 a second, 0:03:45 left, 0 broken, next 99");
        assert_eq!(progress.line(&report, Duration::from_secs(44)), None);
        assert!(progress.line(&report, Duration::from_secs(45)).is_some());
    }
}
