//! Election against an API server that the test plays.

use serde_json::{Value, json};

use super::*;
use crate::mock::{Server, server};

const TIMING: Timing = Timing {
    duration: Duration::from_secs(15),
    deadline: Duration::from_secs(10),
    retry: Duration::from_secs(2),
};

fn lease(holder: &str, version: &str) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": "lock", "namespace": "ns", "resourceVersion": version},
        "spec": {
            "holderIdentity": holder, "leaseDurationSeconds": 15, "leaseTransitions": 4,
            "acquireTime": "2026-01-01T00:00:00.000000Z", "renewTime": "2026-01-01T00:00:00.000000Z",
        },
    })
}

fn candidate() -> (Election, Gate, Server) {
    let (client, server) = server();
    let gate = Gate::default();
    let api = Api::namespaced(client, "ns");
    let election = Election::new(api, "lock".to_owned(), "me".to_owned(), TIMING, gate.clone());
    (election, gate, server)
}

fn typed(value: Value) -> Lease {
    serde_json::from_value(value).unwrap()
}

fn missing() -> Value {
    json!({"kind": "Status", "code": 404, "reason": "NotFound", "message": "not found"})
}

#[test]
fn the_lease_is_upstreams_so_that_both_never_act_at_once() {
    assert_eq!(name(None), "argo-rollouts-controller-lock");
    assert_eq!(name(Some("blue")), "argo-rollouts-controller-lock-blue");
    assert_ne!(identity(), identity());
}

#[test]
fn a_holder_is_out_only_after_its_own_whole_duration() {
    let judge = |holder: &str, seconds: u64| {
        let mut lease = typed(lease(holder, "1"));
        lease.spec.as_mut().unwrap().lease_duration_seconds = Some(30);
        claim(Some(&lease), "me", TIMING.duration, Duration::from_secs(seconds))
    };
    assert_eq!(judge("other", 20), Claim::Wait);
    assert_eq!(judge("other", 31), Claim::Take);
    assert_eq!(judge("me", 0), Claim::Renew);
    assert_eq!(judge("", 0), Claim::Take);
    assert_eq!(claim(None, "me", TIMING.duration, Duration::ZERO), Claim::Create);
}

#[tokio::test(start_paused = true)]
async fn a_missing_lease_is_created_and_opens_the_gate_for_the_deadline() {
    let (mut election, gate, mut server) = candidate();
    let ((), created) = tokio::join!(election.win(), async {
        server.answer(404, missing()).await;
        server.answer(201, lease("me", "1")).await
    });
    assert_eq!(created.body["spec"]["holderIdentity"], "me");
    assert_eq!(created.body["spec"]["leaseDurationSeconds"], 15);
    assert!(gate.is_open());
    tokio::time::advance(TIMING.deadline).await;
    assert!(!gate.is_open(), "nothing but renewal keeps it open");
}

#[tokio::test(start_paused = true)]
async fn a_dead_holder_is_replaced_after_its_duration_and_not_before() {
    let (mut election, gate, mut server) = candidate();
    let begun = Instant::now();
    let ((), taken) = tokio::join!(election.win(), async {
        // Looks at 0, 2, .. 14 s find it unchanged for too short a time; the one at 16 s takes it.
        for _ in 0..8 {
            server.answer(200, lease("other", "5")).await;
        }
        server.answer(200, lease("other", "5")).await;
        server.answer(200, lease("me", "6")).await
    });
    assert_eq!(begun.elapsed(), Duration::from_secs(16));
    assert_eq!(taken.body["metadata"]["resourceVersion"], "5");
    assert_eq!(taken.body["spec"]["leaseTransitions"], 5);
    assert!(gate.is_open());
}

#[tokio::test(start_paused = true)]
async fn a_holder_without_a_server_stops_at_the_deadline() {
    let (mut election, gate, mut server) = candidate();
    tokio::join!(election.win(), async {
        server.answer(404, missing()).await;
        server.answer(201, lease("me", "1")).await;
    });
    let begun = Instant::now();
    tokio::join!(election.keep(), async {
        // Attempts at 2, 4, 6 and 8 s; at 10 s it is over.
        for _ in 0..4 {
            server.hang_up().await;
        }
    });
    assert!(!gate.is_open());
    assert_eq!(begun.elapsed(), TIMING.deadline);
}

#[tokio::test(start_paused = true)]
async fn renewal_keeps_the_time_of_acquisition_and_ends_when_somebody_else_holds_it() {
    let (mut election, gate, mut server) = candidate();
    tokio::join!(election.win(), async {
        server.answer(200, lease("me", "1")).await;
        server.answer(200, lease("me", "2")).await;
    });
    let ((), renewed) = tokio::join!(election.keep(), async {
        let renewed = server.answer(200, lease("me", "3")).await;
        let conflict = json!({"kind": "Status", "code": 409, "reason": "Conflict", "message": "changed"});
        server.answer(409, conflict).await;
        server.answer(200, lease("other", "4")).await;
        renewed
    });
    assert_eq!(renewed.body["spec"]["acquireTime"], "2026-01-01T00:00:00.000000Z");
    assert_ne!(renewed.body["spec"]["renewTime"], "2026-01-01T00:00:00.000000Z");
    assert!(!gate.is_open());
}

/// An answer that takes longer than the deadline must not open a gate that is over already.
#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_too_late_is_no_lease() {
    let (mut election, gate, mut server) = candidate();
    let answers = async {
        tokio::time::sleep(TIMING.deadline * 2).await;
        // Requests that were given up still stand in the queue; their answers reach nobody.
        loop {
            server.answer(200, lease("me", "1")).await;
        }
    };
    tokio::select! {
        () = election.win() => {}
        () = answers => {}
    }
    assert!(gate.until().is_some_and(|until| until > Instant::now() + TIMING.deadline / 2));
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_given_back_at_the_end() {
    let (mut election, gate, mut server) = candidate();
    tokio::join!(election.win(), async {
        server.answer(200, lease("me", "1")).await;
        server.answer(200, lease("me", "2")).await;
    });
    let ((), released) = tokio::join!(election.release(), server.answer(200, lease("", "3")));
    assert_eq!(released.body["spec"]["holderIdentity"], "");
    assert_eq!(released.body["metadata"]["resourceVersion"], "2");
    assert!(!gate.is_open());
}
