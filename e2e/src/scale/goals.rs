//! What the controller may cost.

use serde::Serialize;

use super::report::{Phase, Run};

/// Resident memory for a thousand Rollouts and fewer, in MiB.
const MEMORY_MIB: f64 = 60.0;
/// Processor seconds for a thousand Rollouts; for fewer or more in proportion.
const CPU_CREATED: f64 = 8.0;
const CPU_UPDATED: f64 = 20.0;
/// Requests that change something, for each Rollout, without Events.
const WRITES_CREATED: f64 = 6.0;
const WRITES_UPDATED: f64 = 10.0;

/// One goal and how it came out.
#[derive(Debug, Serialize)]
pub(super) struct Goal {
    pub(super) what: String,
    pub(super) limit: f64,
    pub(super) measured: f64,
    pub(super) met: bool,
}

/// All goals of a run.
pub(super) fn goals(run: &Run) -> Vec<Goal> {
    let thousands = run.rollouts as f64 / 1000.0;
    let each = |count: u64| count as f64 / run.rollouts.max(1) as f64;
    let peak = run.phases.iter().map(|phase| phase.peak_mib).fold(0.0, f64::max);
    let mut goals = vec![goal("memory at its highest, MiB", MEMORY_MIB * thousands.max(1.0), peak)];
    for phase in &run.phases {
        let (cpu, writes) = match phase.name {
            Phase::CREATED => (CPU_CREATED, WRITES_CREATED),
            Phase::UPDATED => (CPU_UPDATED, WRITES_UPDATED),
            _ => {
                goals.push(goal("requests while idle", 0.0, phase.requests.all() as f64));
                continue;
            }
        };
        let name = phase.name;
        goals.push(goal(&format!("processor seconds, {name}"), cpu * thousands, phase.cpu_seconds));
        goals.push(goal(&format!("writes for each, {name}"), writes, each(phase.requests.writes())));
    }
    goals
}

fn goal(what: &str, limit: f64, measured: f64) -> Goal {
    Goal { what: what.to_owned(), limit, measured, met: measured <= limit }
}

#[cfg(test)]
mod tests {
    use super::super::report::run_of_200;
    use super::goals;

    #[test]
    fn goals_of_fewer_rollouts_are_smaller_where_they_grow() {
        let all = goals(&run_of_200());
        let told: Vec<_> = all.iter().map(|goal| (goal.limit, goal.measured, goal.met)).collect();
        assert_eq!(
            told,
            [
                (60.0, 31.0, true),
                (1.6, 1.5, true),
                (6.0, 5.0, true),
                (0.0, 1.0, false),
                (4.0, 9.0, false),
                (10.0, 10.0, true),
            ]
        );
    }
}
