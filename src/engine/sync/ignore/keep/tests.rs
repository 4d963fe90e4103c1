//! What is kept, moved, left out and left alone.

use serde_json::{Value, json};

use super::super::jq::{Path, Step};
use super::{Extent, Selection, keep};

fn path(pointer: &str) -> Path {
    let steps = pointer.split('/').skip(1);
    steps.map(|step| step.parse().map_or_else(|_| Step::Key(step.to_owned()), Step::Index)).collect()
}

fn selection(wanted: &[&str], live: &[&str]) -> Selection {
    let paths = |pointers: &[&str]| pointers.iter().map(|pointer| path(pointer)).collect();
    Selection { wanted: paths(wanted), live: paths(live) }
}

/// Who owns what in a live object.
fn managed(mut live: Value, manager: &str, fields: Value) -> Value {
    let operation = if manager == "tidegate-sync" { "Apply" } else { "Update" };
    live["metadata"]["managedFields"] = json!([
        { "manager": manager, "operation": operation, "apiVersion": "v1", "fieldsV1": fields },
    ]);
    live
}

#[test]
fn the_live_value_is_taken() {
    let live = json!({ "spec": { "replicas": 5, "paused": false } });
    let mut wanted = json!({ "spec": { "replicas": 2 } });
    let replicas = selection(&["/spec/replicas"], &["/spec/replicas"]);
    assert!(keep(&mut wanted, &live, &replicas, Extent::Endangered));
    assert_eq!(wanted, json!({ "spec": { "replicas": 5 } }));
    assert!(keep(&mut wanted, &live, &replicas, Extent::Endangered), "equal, and still not Git's");
    assert!(!keep(&mut wanted, &live, &selection(&[], &[]), Extent::Endangered));
}

#[test]
fn what_only_git_has_is_left_out() {
    let live = json!({ "metadata": {}, "spec": { "emptyDir": {} } });
    let mut wanted =
        json!({ "metadata": { "annotations": { "a": "1" } }, "spec": { "emptyDir": { "size": 1 } } });
    let given = selection(&["/metadata/annotations/a", "/spec/emptyDir/size"], &[]);
    assert!(keep(&mut wanted, &live, &given, Extent::Endangered));
    // The map that the live object lacks as well goes with its last entry; the other one stays.
    assert_eq!(wanted, json!({ "metadata": {}, "spec": { "emptyDir": {} } }));
}

#[test]
fn what_only_the_live_object_has_stays_whoevers_it_is() {
    let live = json!({ "metadata": {}, "data": { "a": "1", "b": "2" } });
    let given = selection(&[], &["/data/a", "/data/b"]);
    for (manager, fields, want) in [
        ("operator", json!({ "f:data": { "f:a": {}, "f:b": {} } }), json!({})),
        // Left out, it would be removed: it was applied before.
        ("tidegate-sync", json!({ "f:data": { "f:a": {} } }), json!({ "data": { "a": "1" } })),
        ("kubectl-client-side-apply", json!({ "f:data": { "f:b": {} } }), json!({ "data": { "b": "2" } })),
    ] {
        let live = managed(live.clone(), manager, fields);
        let mut wanted = json!({});
        keep(&mut wanted, &live, &given, Extent::Endangered);
        assert_eq!(wanted, want, "{manager}");
    }
    let mut all = json!({});
    assert!(keep(&mut all, &live, &given, Extent::Everything));
    assert_eq!(all["data"], live["data"]);
}

#[test]
fn items_are_matched_by_what_tells_them_apart() {
    // A sidecar was put in front: the places of the containers differ.
    let live = json!({ "metadata": {}, "spec": { "containers": [
        { "name": "proxy", "image": "proxy:9" }, { "name": "app", "image": "app:live" } ] } });
    let live = managed(
        live,
        "injector",
        json!({ "f:spec": { "f:containers": {
        "k:{\"name\":\"proxy\"}": { "f:image": {} } } } }),
    );
    let mut wanted =
        json!({ "spec": { "containers": [{ "name": "app", "image": "app:git", "command": ["run"] }] } });
    let images =
        selection(&["/spec/containers/0/image"], &["/spec/containers/0/image", "/spec/containers/1/image"]);
    assert!(keep(&mut wanted, &live, &images, Extent::Endangered));
    assert_eq!(
        wanted,
        json!({ "spec": { "containers": [{ "name": "app", "image": "app:live", "command": ["run"] }] } })
    );
    // By the keys that the server merges by, one of which Git leaves to its default.
    let live = json!({ "metadata": {}, "spec": { "ports": [
        { "port": 53, "protocol": "UDP", "nodePort": 1 }, { "port": 53, "protocol": "TCP", "nodePort": 2 },
        { "port": 80, "protocol": "TCP", "nodePort": 3 } ] } });
    let live = managed(
        live,
        "x",
        json!({ "f:spec": { "f:ports": { "k:{\"port\":80,\"protocol\":\"TCP\"}": {} } } }),
    );
    let mut wanted = json!({ "spec": { "ports": [
        { "port": 80, "nodePort": 9 }, { "port": 53, "protocol": "TCP", "nodePort": 9 } ] } });
    let ports = selection(
        &["/spec/ports/0/nodePort", "/spec/ports/1/nodePort"],
        &["/spec/ports/0/nodePort", "/spec/ports/1/nodePort", "/spec/ports/2/nodePort"],
    );
    assert!(keep(&mut wanted, &live, &ports, Extent::Endangered));
    assert_eq!(wanted["spec"]["ports"][0]["nodePort"], 3);
    assert_eq!(wanted["spec"]["ports"][1]["nodePort"], 2);
}

#[test]
fn items_without_names_are_matched_by_what_the_rule_selects() {
    let live = managed(
        json!({ "metadata": {}, "spec": { "args": ["run", "--extra", "--log=9"] } }),
        "tidegate-sync",
        json!({ "f:spec": { "f:args": {} } }),
    );
    let mut wanted = json!({ "spec": { "args": ["--log=1", "run"] } });
    assert!(keep(&mut wanted, &live, &selection(&["/spec/args/0"], &["/spec/args/2"]), Extent::Endangered));
    assert_eq!(wanted["spec"]["args"], json!(["--log=9", "run"]));
    // An item that only the live list has would go with the list, which is replaced whole.
    let mut wanted = json!({ "spec": { "args": ["run"] } });
    assert!(keep(&mut wanted, &live, &selection(&[], &["/spec/args/2"]), Extent::Endangered));
    assert_eq!(wanted["spec"]["args"], json!(["run", "--log=9"]));
    // A list that Git does not have is not replaced, and stays others'.
    let others = managed(live, "operator", json!({ "f:spec": { "f:args": {} } }));
    let mut wanted = json!({ "spec": {} });
    assert!(!keep(&mut wanted, &others, &selection(&[], &["/spec/args/2"]), Extent::Endangered));
    assert_eq!(wanted, json!({ "spec": {} }));
}

#[test]
fn an_item_that_git_removed_is_not_made_up_for_one_of_its_fields() {
    let live = managed(
        json!({ "metadata": {}, "spec": { "containers": [{ "name": "old", "image": "o" }] } }),
        "tidegate-sync",
        json!({ "f:spec": { "f:containers": { "k:{\"name\":\"old\"}": { ".": {}, "f:name": {}, "f:image": {} } } } }),
    );
    let mut wanted = json!({ "spec": { "containers": [{ "name": "new", "image": "n" }] } });
    let before = wanted.clone();
    assert!(!keep(&mut wanted, &live, &selection(&[], &["/spec/containers/0/image"]), Extent::Endangered));
    assert_eq!(wanted, before);
    let mut wanted = json!({});
    assert!(!keep(&mut wanted, &live, &selection(&[], &["/spec/containers/0/image"]), Extent::Endangered));
    assert_eq!(wanted, json!({}));
}

#[test]
fn where_a_rule_looks_at_values_gits_new_value_counts() {
    // `select(.value == "x")` meets the live item and not Git's any more.
    let live = json!({ "env": [{ "name": "A", "value": "x" }] });
    let mut wanted = json!({ "env": [{ "name": "A", "value": "new" }] });
    assert!(!keep(&mut wanted, &live, &selection(&[], &["/env/0"]), Extent::Everything));
    assert!(!keep(
        &mut wanted,
        &json!({ "env": [{ "name": "A", "value": "y" }] }),
        &selection(&["/env/0"], &[]),
        Extent::Everything
    ));
    assert_eq!(wanted, json!({ "env": [{ "name": "A", "value": "new" }] }));
}

#[test]
fn odd_shapes_change_nothing() {
    for live in [
        json!(null),
        json!([]),
        json!({ "spec": 7 }),
        json!({ "spec": [1] }),
        json!({ "spec": { "a": null } }),
    ] {
        for (wanted_path, live_path) in
            [("/spec/a/b", "/spec/a/b"), ("/spec/0", "/spec/0"), ("/spec/a", "/spec/a/0/b")]
        {
            let mut wanted = json!({ "spec": "text" });
            keep(&mut wanted, &live, &selection(&[wanted_path], &[live_path]), Extent::Everything);
            assert_eq!(wanted, json!({ "spec": "text" }), "{live} {wanted_path} {live_path}");
        }
    }
}
