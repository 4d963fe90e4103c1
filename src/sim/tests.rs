//! The laws of plans on a portion of the seeds, and proof that each is watched: planted bugs are noticed.
//!
//! The laws: no panic; the same World gives the same plan; every prefix of a plan is safe; carrying plans out comes to
//! an end; lint passes after every write; once faults stop the Rollout comes to rest and stays there; a plan that does
//! nothing says why. Each round of a seed checks them, so a seed that is not broken has kept them all.

use crate::{Campaign, Failure, Report, Sabotage, Settings, run};

fn campaign(seeds: u64, settings: Settings) -> Report {
    run(&Campaign { from: 0, seeds, rounds: 100, settings })
}

#[test]
fn the_first_seeds_keep_all_laws() {
    let report = campaign(300, Settings::default());
    let failures: Vec<_> = report.failures.iter().map(|failure| (failure.seed, &failure.why)).collect();
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(report.rounds >= 100 * 300);
}

/// Seeds that found something once: of blue-green updates, then of stable revisions that follow the traffic.
#[test]
fn seeds_that_broke_a_law_once_keep_them_all() {
    for seed in
        [115, 202, 273, 532, 1159, 1170, 1261, 1763, 2058, 2118, 2122, 813, 1645, 4775, 6058, 6081, 16887]
    {
        let report = run(&Campaign { from: seed, seeds: 1, rounds: 100, settings: Settings::default() });
        assert!(report.failures.is_empty(), "{:#?}", report.failures);
    }
}

#[test]
fn a_seed_tells_the_same_story_twice() {
    let campaign = Campaign { from: 3, seeds: 1, rounds: 100, settings: Settings::default() };
    assert_eq!(crate::story(3, &campaign), crate::story(3, &campaign));
    assert_ne!(crate::story(3, &campaign), crate::story(4, &campaign));
}

#[test]
fn without_the_fence_seeds_become_unsafe() {
    let report = campaign(300, Settings { fence: false, sabotage: None });
    assert!(!report.failures.is_empty());
}

/// The first seed that notices a planted bug, among the first hundred.
fn first_to_notice(sabotage: Sabotage) -> Failure {
    let report = campaign(100, Settings { fence: true, sabotage: Some(sabotage) });
    let first = report.failures.into_iter().next();
    first.unwrap_or_else(|| panic!("{sabotage:?} went unnoticed"))
}

#[test]
fn a_weight_that_is_not_gone_yet_is_noticed() {
    let failure = first_to_notice(Sabotage::BelievesInWeight);
    assert!(failure.story.len() > 3, "a failure tells its story: {failure:?}");
}

#[test]
fn writes_in_the_opposite_order_are_noticed() {
    assert!(first_to_notice(Sabotage::Backwards).why.contains("lint"));
}

#[test]
fn pods_that_are_missing_are_noticed() {
    first_to_notice(Sabotage::OnePodShort);
}

#[test]
fn endpoints_that_are_only_believed_in_are_noticed() {
    let settings = Settings { fence: true, sabotage: Some(Sabotage::BelievesInEndpoints) };
    let failures = campaign(100, settings).failures;
    // Some keep pods for endpoints that are not there, which is noticed as well.
    assert!(failures.iter().any(|failure| failure.why.contains("RaisedWithoutEndpoints")), "{failures:#?}");
}

#[test]
fn a_rollout_that_nobody_wakes_is_noticed() {
    assert!(first_to_notice(Sabotage::ForgetsToWake).why.contains("made it move again"));
}

#[test]
fn a_wait_without_a_reason_is_noticed() {
    assert!(first_to_notice(Sabotage::SaysNothing).why.contains("SilentWait"));
}

#[test]
fn a_panic_is_a_failure_of_its_seed_and_of_no_other() {
    let failure = first_to_notice(Sabotage::Panics);
    assert!(failure.why.contains("planted"), "{}", failure.why);
}
