//! The releases that are simulated, and what the judge must do with each.

use crate::world::{MINUTES, Situation};

/// What the judge must do, as parts of all runs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Must {
    /// Stop at most so many good releases.
    StopAtMost(f64),
    /// Stop at least so many bad ones.
    StopAtLeast(f64),
}

/// False aborts that are promised, and those that pods with bad minutes may cost.
const PROMISED: Must = Must::StopAtMost(0.01);
const WITH_BURSTS: Must = Must::StopAtMost(0.03);

const GOOD: Situation = Situation {
    name: "",
    rate: 2.0,
    stable: 0.001,
    canary: 0.001,
    outage: None,
    bursts: false,
    pods: 10,
    put_off: 0.0,
    minutes: MINUTES,
    again: false,
};
/// Of a busy server: more than half of the looks wait.
const BUSY: f64 = 0.2;

/// As a metric with an interval beside the steps of a slow release.
fn two_hours(situation: Situation) -> Situation {
    Situation { minutes: 120, again: true, ..situation }
}

/// Releases of a version that is as good as the one before.
pub(crate) fn good() -> Vec<(Situation, Must)> {
    let outage = Some((2, 5, 0.05));
    let bursts = |name, rate, pods| Situation { name, rate, pods, bursts: true, ..GOOD };
    vec![
        (Situation { name: "0.2 rps, errors 0.1 %", rate: 0.2, ..GOOD }, PROMISED),
        (Situation { name: "2 rps, errors 0.1 %", ..GOOD }, PROMISED),
        (Situation { name: "2 rps, errors 0.8 %", stable: 0.008, canary: 0.008, ..GOOD }, PROMISED),
        (
            Situation { name: "20 rps, errors 1.2 %", rate: 20.0, stable: 0.012, canary: 0.012, ..GOOD },
            PROMISED,
        ),
        (Situation { name: "2 rps, shared outage", outage, ..GOOD }, PROMISED),
        (Situation { name: "20 rps, shared outage", rate: 20.0, outage, ..GOOD }, PROMISED),
        (Situation { name: "20 rps, 2 pods", rate: 20.0, pods: 2, ..GOOD }, PROMISED),
        (bursts("20 rps, pods with bad minutes", 20.0, 10), WITH_BURSTS),
        (bursts("200 rps, pods with bad minutes", 200.0, 10), WITH_BURSTS),
        (bursts("20 rps, the same, 3 pods", 20.0, 3), WITH_BURSTS),
        (bursts("200 rps, the same, 3 pods", 200.0, 3), WITH_BURSTS),
        (bursts("200 rps, the same, 30 pods", 200.0, 30), WITH_BURSTS),
        (Situation { name: "20 rps, a busy server", rate: 20.0, put_off: BUSY, ..GOOD }, PROMISED),
        (
            Situation { name: "20 rps, outage, busy server", rate: 20.0, outage, put_off: BUSY, ..GOOD },
            PROMISED,
        ),
        (Situation { put_off: BUSY, ..bursts("20 rps, bad minutes, busy server", 20.0, 10) }, WITH_BURSTS),
        (Situation { put_off: BUSY, ..bursts("200 rps, bad minutes, busy server", 200.0, 10) }, WITH_BURSTS),
        (two_hours(Situation { name: "20 rps, judged for 2 h", rate: 20.0, ..GOOD }), PROMISED),
        (two_hours(bursts("20 rps, bad minutes, for 2 h", 20.0, 10)), WITH_BURSTS),
    ]
}

/// Releases of a version that has more errors. What must be found is nine tenths of what the bare e-process finds.
pub(crate) fn bad() -> Vec<(Situation, Must)> {
    let to = |name, rate, canary, found: f64| {
        (Situation { name, rate, canary, ..GOOD }, Must::StopAtLeast(0.9 * found))
    };
    let busy = |(situation, must)| (Situation { put_off: BUSY, ..situation }, must);
    vec![
        to("2 rps, 0.1 to 2 %", 2.0, 0.02, 0.386),
        to("2 rps, 0.1 to 20 %", 2.0, 0.2, 1.0),
        to("20 rps, 0.1 to 0.5 %", 20.0, 0.005, 0.482),
        to("20 rps, 0.1 to 2 %", 20.0, 0.02, 1.0),
        to("20 rps, 0.1 to 20 %", 20.0, 0.2, 1.0),
        to("200 rps, 0.1 to 0.5 %", 200.0, 0.005, 1.0),
        to("200 rps, 0.1 to 20 %", 200.0, 0.2, 1.0),
        busy(to("2 rps, to 20 %, a busy server", 2.0, 0.2, 1.0)),
        busy(to("20 rps, to 2 %, a busy server", 20.0, 0.02, 1.0)),
    ]
}

/// A release that does exactly the harm that is worth stopping for: few may be called good.
pub(crate) fn at_the_margin() -> Vec<Situation> {
    let at = |name, rate, stable, canary| Situation { name, rate, stable, canary, ..GOOD };
    vec![
        at("20 rps, 0.1 to 1.1 %", 20.0, 0.001, 0.011),
        at("200 rps, 0.1 to 1.1 %", 200.0, 0.001, 0.011),
        at("200 rps, 1 to 2 %", 200.0, 0.01, 0.02),
    ]
}
