//! The rules on a stable revision that follows its share of the traffic.

use super::*;

/// Ten replicas, 40 of 100 on four canary pods, and so many stable ones.
fn dynamic(stable: i32, ready: i32) -> World {
    let mut world = world_of(json!({
        "canaryService": "canary", "stableService": "stable", "dynamicStableScale": true,
        "trafficRouting": { "nginx": { "stableIngress": "shop" } },
        "steps": [{ "setWeight": 40 }, { "pause": { "duration": 30 } }, { "setWeight": 60 }],
    }));
    edit_set(&mut world, "v1", |set| {
        (set.replicas, set.status.available, set.status.ready) = (stable, ready, ready);
    });
    endpoints(&mut world, "stable", "v1", ready);
    world
}

fn aborted(world: &mut World) {
    edit_status(world, |status| status.abort = true);
}

#[test]
fn the_stable_revision_keeps_its_share_and_no_more() {
    let mut world = dynamic(10, 10);
    assert_eq!(broken(&world, vec![scale("v1", 10, 6)]), []);
    assert_eq!(broken(&world, vec![scale("v1", 10, 5)]), [(Rule::CapacityBeforeWeight, 0)]);
    let written = vec![route(40, 50), scale("v1", 10, 5)];
    assert!(broken(&world, written).contains(&(Rule::CapacityBeforeWeight, 1)), "written is not observed");
    edit_status(&mut world, |status| status.current_pod_hash = "v1".to_owned());
    assert_eq!(
        broken(&world, vec![scale("v1", 10, 6)]),
        [(Rule::StableTooSmall, 0)],
        "it is what is gone back to"
    );
}

#[test]
fn weight_goes_back_as_far_as_stable_pods_carry_it() {
    let world = dynamic(10, 8);
    assert_eq!(broken(&world, vec![route(40, 20)]), []);
    assert_eq!(broken(&world, vec![route(40, 19)]), [(Rule::LoweredBeyondPods, 0)]);
    let leaving = dynamic(7, 8);
    assert_eq!(
        broken(&leaving, vec![route(40, 20)]),
        [(Rule::LoweredBeyondPods, 0)],
        "one of the eight goes"
    );
}

#[test]
fn beside_a_canary_that_crashes_each_pod_gets_the_same() {
    let mut world = dynamic(6, 3);
    endpoints(&mut world, "canary", "v2", 1);
    assert_eq!(broken(&world, vec![route(40, 25)]), []);
    assert_eq!(broken(&world, vec![route(40, 24)]), [(Rule::LoweredBeyondPods, 0)]);
    endpoints(&mut world, "canary", "v2", 0);
    assert_eq!(broken(&world, vec![route(40, 0)]), []);
}

#[test]
fn an_abort_lowers_what_it_can_and_brings_all_stable_pods_back() {
    let mut world = dynamic(6, 6);
    aborted(&mut world);
    assert_eq!(broken(&world, vec![scale("v1", 6, 10)]), [], "six pods have their share already");
    assert_eq!(broken(&world, vec![]), [(Rule::AbortIncomplete, 0)]);
    assert_eq!(broken(&world, vec![scale("v1", 6, 9)]), [(Rule::AbortIncomplete, 1)]);
    Arc::make_mut(&mut world.rollout).spec.paused = true;
    assert_eq!(broken(&world, vec![scale("v1", 6, 10)]), [], "an abort is not held by spec.paused");
    let mut world = dynamic(10, 8);
    aborted(&mut world);
    assert_eq!(broken(&world, vec![route(40, 20)]), []);
    assert_eq!(broken(&world, vec![]), [(Rule::AbortNotFirst, 0), (Rule::AbortIncomplete, 0)]);
    assert_eq!(broken(&world, vec![route(40, 30)]), [(Rule::AbortIncomplete, 1)]);
    let shrunk = broken(&world, vec![route(40, 20), scale("v1", 10, 7)]);
    let rules = [(Rule::CapacityBeforeWeight, 1), (Rule::StableTooSmall, 1), (Rule::AbortIncomplete, 2)];
    assert_eq!(shrunk, rules);
}

#[test]
fn a_former_revision_goes_once_no_endpoint_is_of_it() {
    let mut world = dynamic(10, 10);
    world.sets.push(set("v0", 3, 3));
    assert_eq!(broken(&world, vec![scale("v0", 3, 0)]), []);
    world.endpoints.get_mut("stable").unwrap().ready.insert("v0".to_owned(), 1);
    assert_eq!(broken(&world, vec![scale("v0", 3, 0)]), [(Rule::CapacityBeforeWeight, 0)]);
}
