use super::harm::Harm;
use super::latency::Histogram;
use super::*;

fn share(requests: u64, bad: u64) -> Share {
    Share::new(requests, bad)
}

/// A comparison over looks at one canary pod and two stable ones.
fn compared(looks: impl IntoIterator<Item = (Share, Share)>) -> Comparison {
    let mut comparison = Comparison::default();
    for (canary, stable) in looks {
        let half = share(stable.requests / 2, stable.bad / 2);
        let rest = share(stable.requests - half.requests, stable.bad - half.bad);
        comparison.look(&Look { canary: vec![canary], stable: vec![half, rest] }, &Settings::default());
    }
    comparison
}

fn verdict(comparison: &Comparison) -> Verdict {
    judge(&[(comparison, Settings::default())])
}

fn log_choose(all: u64, some: u64) -> f64 {
    (1..=some).map(|at| ((all - some + at) as f64 / at as f64).ln()).sum()
}

/// The mean of the evidence of one look when the odds ratio is `odds`, by Fisher's noncentral hypergeometric law.
fn mean_evidence(canary: u64, stable: u64, bad: u64, odds: f64, tolerance: f64) -> f64 {
    let possible = bad.saturating_sub(stable)..=bad.min(canary);
    let (mut weights, mut sum) = (0.0, 0.0);
    for own in possible {
        let weight = (log_choose(canary, own) + log_choose(stable, bad - own) + own as f64 * odds.ln()).exp();
        let mut harm = Harm::default();
        harm.look(share(canary, own), share(stable, bad - own), tolerance);
        weights += weight;
        sum += weight * harm.log_evidence(1.0).exp();
    }
    sum / weights
}

#[test]
fn a_canary_that_is_no_worse_gives_no_evidence_on_average() {
    let mut most: f64 = 0.0;
    for canary in [1, 2, 5, 17, 40] {
        for stable in [1, 3, 20, 60] {
            for bad in 1..(canary + stable) {
                for (odds, tolerance) in [(1.0, 1.0), (1.25, 1.25), (1.0, 1.25), (0.3, 1.25), (2.0, 2.0)] {
                    most = most.max(mean_evidence(canary, stable, bad, odds, tolerance));
                }
            }
        }
    }
    assert!(most <= 1.0 + 1e-9, "{most}");
    assert!(mean_evidence(20, 60, 20, 6.0, 1.25) > 2.0);
}

#[test]
fn what_hits_both_says_nothing_against_either() {
    let outage = (0..60).map(|_| (share(50, 25), share(950, 475)));
    let comparison = compared(outage);
    assert!(comparison.log_harm() < 0.0, "{}", comparison.log_harm());
    assert_ne!(verdict(&comparison), Verdict::Bad);
}

#[test]
fn a_canary_that_fails_a_fifth_is_stopped_at_the_first_look() {
    let comparison = compared([(share(100, 20), share(1900, 2))]);
    assert_eq!(verdict(&comparison), Verdict::Bad);
}

#[test]
fn without_requests_nothing_is_known() {
    let comparison = compared([(share(0, 0), share(500, 0)), (share(10, 10), share(0, 0))]);
    assert_eq!(comparison.log_harm(), 0.0);
    let Verdict::Undecided { missing: Some(missing) } = verdict(&comparison) else {
        panic!("{:?}", verdict(&comparison))
    };
    assert!((300..600).contains(&missing), "{missing}");
    assert_eq!(judge(&[]), Verdict::Undecided { missing: None });
}

#[test]
fn what_is_missing_is_what_it_takes() {
    let clean = |looks: u64| compared((0..looks).map(|_| (share(20, 0), share(380, 0))));
    let Verdict::Undecided { missing: Some(missing) } = verdict(&clean(5)) else { panic!() };
    let looks = 5 + missing.div_ceil(20);
    assert_eq!(verdict(&clean(looks)), Verdict::Good);
    assert_ne!(verdict(&clean(looks * 3 / 4)), Verdict::Good);
}

#[test]
fn what_is_as_bad_as_it_may_not_be_is_never_called_good() {
    // Two percentage points above, where one is the margin: more requests would not help.
    let comparison = compared((0..20).map(|_| (share(100, 3), share(1900, 19))));
    assert!(matches!(verdict(&comparison), Verdict::Bad | Verdict::Undecided { missing: None }));
}

#[test]
fn pods_that_differ_by_more_than_chance_weaken_the_evidence() {
    let looks = |uneven: bool| {
        let mut comparison = Comparison::default();
        for look in 0..120_usize {
            let pods: Vec<Share> = (0..6)
                .map(|pod| match uneven {
                    true => share(100, if look / 6 % 6 == pod { 12 } else { 0 }),
                    false => share(100, 2),
                })
                .collect();
            comparison.learn(&pods);
        }
        let stable = vec![share(100, 0); 6];
        comparison.look(&Look { canary: vec![share(60, 7)], stable }, &Settings::default());
        comparison
    };
    assert_eq!(looks(false).calibration.dispersion(), 1.0);
    assert_eq!(verdict(&looks(false)), Verdict::Bad);
    assert!(looks(true).calibration.dispersion() > 5.0, "{}", looks(true).calibration.dispersion());
    assert_ne!(verdict(&looks(true)), Verdict::Bad);
}

#[test]
fn a_lone_stable_pod_is_not_trusted_as_much() {
    let mut comparison = Comparison::default();
    comparison.look(&Look { canary: vec![share(100, 2)], stable: vec![share(900, 1)] }, &Settings::default());
    assert_eq!(comparison.calibration.dispersion(), 3.0);
}

/// A test over ranks of one point a minute does not see these six errors a canary at a tenth of the traffic has.
#[test]
fn sparse_errors_against_none_are_seen() {
    let errors = [0, 1, 2, 1, 0, 0];
    let comparison = compared(errors.map(|bad| (share(100, bad), share(900, 0))));
    assert_eq!(verdict(&comparison), Verdict::Bad);
}

/// Nor this rise of the variance: half of the canary's requests are faster, half are six times slower.
#[test]
fn a_rise_of_the_variance_of_latency_is_seen() {
    let histogram = |times: &[f64], bounds: &[f64]| Histogram {
        buckets: bounds
            .iter()
            .map(|bound| (*bound, times.iter().filter(|time| *time <= bound).count() as u64))
            .collect(),
    };
    let bounds = [5.0, 10.0, 10.5, 15.0, 17.5, 18.0, 50.0, 200.0, f64::INFINITY];
    let stable: Vec<f64> = (0..7)
        .map(|at| 10.0 + 0.1 * f64::from(at))
        .chain((0..8).map(|at| 17.0 + 0.1 * f64::from(at)))
        .collect();
    let canary: Vec<f64> = (1..=9).map(f64::from).chain((100..=106).map(f64::from)).collect();
    let (stable, canary) = (histogram(&stable, &bounds), histogram(&canary, &bounds));
    let at_edge = |edge| compared((0..3).map(|_| (canary.slower_than(edge), stable.slower_than(edge))));
    let comparisons: Vec<Comparison> = stable.edges(None).into_iter().map(at_edge).collect();
    let all: Vec<(&Comparison, Settings)> =
        comparisons.iter().map(|comparison| (comparison, Settings::default())).collect();
    assert_eq!(judge(&all), Verdict::Bad);
}

#[test]
fn what_is_known_survives_being_written_down() {
    let comparison = compared((0..7).map(|_| (share(20, 1), share(381, 3))));
    let text = serde_json::to_string(&comparison).unwrap();
    let again = serde_json::from_str::<Comparison>(&text).unwrap();
    assert!((again.log_harm() - comparison.log_harm()).abs() < 1e-9);
    assert_eq!((again.canary, again.stable), (comparison.canary, comparison.stable));
    assert!(text.len() < 2000, "{}", text.len());
}
