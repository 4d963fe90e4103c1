//! The figures, as people read them and as machines do.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};

use super::audit::Tally;
use super::goals::goals;
use super::herd::Spread;
use crate::subject::Heading;

/// All runs.
#[derive(Serialize)]
pub(super) struct Report {
    #[serde(flatten)]
    pub(super) heading: Heading,
    pub(super) runs: Vec<Run>,
}

/// So many Rollouts, from the first to the last phase.
pub(super) struct Run {
    pub(super) rollouts: usize,
    /// What the steps of an update pause in all.
    pub(super) pause_seconds: u32,
    /// The machine's load before and after.
    pub(super) load: [f64; 2],
    pub(super) phases: Vec<Phase>,
}

/// What one phase cost.
#[derive(Serialize)]
pub(super) struct Phase {
    pub(super) name: &'static str,
    /// Until every Rollout was Healthy.
    pub(super) seconds: f64,
    /// Until the API server had taken all that the harness wrote.
    pub(super) given_within_seconds: Option<f64>,
    pub(super) spread: Option<Spread>,
    /// The controller's processor time.
    pub(super) cpu_seconds: f64,
    /// The controller's resident memory at the end, and at its highest.
    pub(super) memory_mib: f64,
    pub(super) peak_mib: f64,
    /// The processor time of everything else.
    pub(super) others_cpu_seconds: BTreeMap<String, f64>,
    pub(super) requests: Tally,
}

impl Phase {
    pub(super) const CREATED: &'static str = "created";
    pub(super) const IDLE: &'static str = "idle";
    pub(super) const UPDATED: &'static str = "updated";
}

impl Serialize for Run {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut run = serializer.serialize_struct("Run", 5)?;
        run.serialize_field("rollouts", &self.rollouts)?;
        run.serialize_field("pause_seconds", &self.pause_seconds)?;
        run.serialize_field("load", &self.load)?;
        run.serialize_field("phases", &self.phases)?;
        run.serialize_field("goals", &goals(self))?;
        run.end()
    }
}

impl Report {
    /// Everything as a text.
    pub(super) fn text(&self) -> String {
        let mut text = self.heading.to_string();
        for run in &self.runs {
            run.tell(&mut text);
        }
        text
    }
}

// Writing to a String cannot fail.
impl Run {
    fn tell(&self, text: &mut String) {
        let [before, after] = self.load;
        let _ = writeln!(text, "\n{} Rollouts (load {before} before, {after} after)", self.rollouts);
        for phase in &self.phases {
            self.tell_phase(text, phase);
        }
        let _ = writeln!(text, "  goals");
        for goal in goals(self) {
            let met = if goal.met { "met" } else { "NOT met" };
            let _ =
                writeln!(text, "    {:34} {:>9.2} of {:>7.2}  {met}", goal.what, goal.measured, goal.limit);
        }
    }

    fn tell_phase(&self, text: &mut String, phase: &Phase) {
        let _ = writeln!(text, "  {}: {:.1} s", phase.name, phase.seconds);
        if let (Some(given), Some(spread)) = (phase.given_within_seconds, phase.spread) {
            let _ = writeln!(
                text,
                "    given within {given:.1} s; Healthy after {:.1} s (fastest), {:.1} s (median), {:.1} s (slowest){}",
                spread.fastest,
                spread.median,
                spread.slowest,
                if phase.name == Phase::UPDATED {
                    format!(", of which {} s are pauses", self.pause_seconds)
                } else {
                    String::new()
                }
            );
        }
        let _ = writeln!(
            text,
            "    controller: {:.2} s of processor, {:.1} MiB, {:.1} MiB at most",
            phase.cpu_seconds, phase.memory_mib, phase.peak_mib
        );
        let others = phase.others_cpu_seconds.iter();
        let others: Vec<_> = others.map(|(name, seconds)| format!("{name} {seconds:.1} s")).collect();
        let _ = writeln!(text, "    processor of others: {}", others.join(", "));
        let each = |count: u64| count as f64 / self.rollouts.max(1) as f64;
        let requests = &phase.requests;
        let _ = writeln!(
            text,
            "    requests for each Rollout: {:.2} writes, {:.2} Events; {} in all beside {} of leases and watches",
            each(requests.writes()),
            each(requests.events),
            requests.all(),
            requests.standing
        );
        for (name, count) in &requests.about_objects {
            let _ = writeln!(text, "      {:34} {:>8.3}", name, each(*count));
        }
        for (name, count) in &requests.refused {
            let _ = writeln!(text, "      refused: {name} {count} times");
        }
    }
}

/// Figures to test with.
#[cfg(test)]
pub(super) fn run_of_200() -> Run {
    let phase = |name, cpu_seconds, peak_mib, (kind, count): (&str, u64)| Phase {
        name,
        seconds: 1.0,
        given_within_seconds: None,
        spread: None,
        cpu_seconds,
        memory_mib: 20.0,
        peak_mib,
        others_cpu_seconds: BTreeMap::new(),
        requests: Tally { about_objects: BTreeMap::from([(kind.to_owned(), count)]), ..Tally::default() },
    };
    Run {
        rollouts: 200,
        pause_seconds: 10,
        load: [0.0, 0.0],
        phases: vec![
            phase(Phase::CREATED, 1.5, 30.0, ("create replicasets", 1000)),
            phase(Phase::IDLE, 0.0, 29.0, ("get rollouts", 1)),
            phase(Phase::UPDATED, 9.0, 31.0, ("patch replicasets", 2000)),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_that_is_not_met_is_told() {
        let report = Report { heading: Heading::example(), runs: vec![run_of_200()] };
        let text = report.text();
        assert!(text.contains("requests while idle                     1.00 of    0.00  NOT met"), "{text}");
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["runs"][0]["goals"][3]["met"], false);
    }
}
