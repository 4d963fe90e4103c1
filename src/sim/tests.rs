//! A portion of the seeds, and proof that the simulator bites: without the fence, or with a planted bug, seeds break.

use crate::{Campaign, Report, Sabotage, Settings, run};

fn campaign(seeds: u64, settings: Settings) -> Report {
    run(&Campaign { from: 0, seeds, rounds: 100, settings })
}

#[test]
fn the_first_seeds_are_safe_and_come_to_rest() {
    let report = campaign(300, Settings::default());
    let failures: Vec<_> = report.failures.iter().map(|failure| (failure.seed, &failure.why)).collect();
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(report.rounds >= 100 * 300);
}

#[test]
fn a_seed_tells_the_same_story_twice() {
    let campaign = Campaign { from: 3, seeds: 1, rounds: 100, settings: Settings::default() };
    assert_eq!(crate::story(3, &campaign), crate::story(3, &campaign));
    assert_ne!(crate::story(3, &campaign), crate::story(4, &campaign));
}

#[test]
fn without_the_fence_seeds_become_unsafe() {
    let report = campaign(4000, Settings { fence: false, sabotage: None });
    assert!(!report.failures.is_empty());
}

/// The first seed that notices a planted bug, among the first hundred.
fn bites(sabotage: Sabotage) {
    let report = campaign(100, Settings { fence: true, sabotage: Some(sabotage) });
    let first = report.failures.first().unwrap_or_else(|| panic!("{sabotage:?} went unnoticed"));
    assert!(!first.story.is_empty(), "a failure tells its story");
}

#[test]
fn a_weight_that_is_not_gone_yet_is_noticed() {
    bites(Sabotage::BelievesInWeight);
}

#[test]
fn writes_in_the_opposite_order_are_noticed() {
    bites(Sabotage::Backwards);
}

#[test]
fn pods_that_are_missing_are_noticed() {
    bites(Sabotage::OnePodShort);
}

#[test]
fn endpoints_that_are_only_believed_in_are_noticed() {
    bites(Sabotage::BelievesInEndpoints);
}
