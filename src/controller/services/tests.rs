use tidegate_engine::fence::Seen;

use super::*;
use crate::facts::Facts;
use crate::mock::{Server, server};

fn services(selector: Value, annotations: Value) -> (Arc<Services>, Server, Key) {
    let (client, server) = server();
    let scene = Arc::new(Scene::default());
    let key = Key::new("ns", "shop-active");
    let object = json!({
        "metadata": {"name": "shop-active", "namespace": "ns", "annotations": annotations},
        "spec": {"selector": selector},
    });
    let seen = Seen { version: "7".to_owned(), uid: "s".to_owned() };
    scene.stores.services.apply(key.clone(), seen, Service::keep(object, None).unwrap());
    (Arc::new(Services { scene, client }), server, key)
}

fn rollout(service: &str) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
        "metadata": {"name": "shop", "namespace": "ns", "uid": "r"},
        "spec": {"strategy": {"blueGreen": {"activeService": service}}},
    })
}

fn status(code: u16) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": code})
}

#[tokio::test]
async fn a_service_without_a_rollout_selects_no_revision() {
    let (services, mut server, key) =
        services(json!({"app": "shop", HASH_LABEL: "abc"}), json!({MANAGED_BY: "shop"}));
    let (next, (asked, patched)) = tokio::join!(services.attend(key), async {
        let asked = server.answer(404, status(404)).await;
        (asked.line, server.answer(200, json!({"metadata": {"name": "shop-active"}})).await)
    });
    assert_eq!(next, Next::Idle);
    assert_eq!(asked, "GET /apis/argoproj.io/v1alpha1/namespaces/ns/rollouts/shop");
    assert!(
        patched.line.starts_with("PATCH /api/v1/namespaces/ns/services/shop-active?"),
        "{}",
        patched.line
    );
    let wanted = json!({
        "metadata": {"resourceVersion": "7", "annotations": {MANAGED_BY: null}},
        "spec": {"selector": {HASH_LABEL: null}},
    });
    assert_eq!(patched.body, wanted);
}

#[tokio::test]
async fn a_service_that_a_rollout_left_is_given_back_and_one_of_another_instance_is_not() {
    for (used, patches) in [("other", true), ("shop-active", false)] {
        let wanted = if patches { Next::Idle } else { Next::After(AGAIN) };
        let (services, mut server, key) =
            services(json!({"app": "shop", HASH_LABEL: "abc"}), json!({MANAGED_BY: "shop"}));
        let (next, ()) = tokio::join!(services.attend(key), async {
            server.answer(200, rollout(used)).await;
            if patches {
                server.answer(200, json!({"metadata": {"name": "shop-active"}})).await;
            }
        });
        assert_eq!(next, wanted, "{used}");
    }
}

#[tokio::test]
async fn without_a_name_all_rollouts_of_the_namespace_are_asked() {
    let (services, mut server, key) = services(json!({HASH_LABEL: "abc"}), json!({}));
    let (next, asked) = tokio::join!(services.attend(key), async {
        server.answer(200, json!({"items": [rollout("other"), rollout("shop-active")]})).await.line
    });
    assert_eq!(next, Next::After(AGAIN));
    assert!(asked.starts_with("GET /apis/argoproj.io/v1alpha1/namespaces/ns/rollouts?"), "{asked}");
    assert!(asked.contains("limit=200"), "{asked}");
}

#[tokio::test]
async fn what_a_rollout_uses_or_selects_no_revision_is_left_without_a_question() {
    let (services, _server, key) = self::services(json!({"app": "shop"}), json!({MANAGED_BY: "shop"}));
    assert_eq!(services.attend(key).await, Next::Idle);
    let (services, _server, key) =
        self::services(json!({"app": "shop", HASH_LABEL: "abc"}), json!({MANAGED_BY: "shop"}));
    let seen = Seen { version: "2".to_owned(), uid: "r".to_owned() };
    let facts = RolloutFacts::keep(rollout("shop-active"), None).unwrap();
    services.scene.stores.rollouts.apply(Key::new("ns", "shop"), seen, facts);
    assert_eq!(services.attend(key).await, Next::Idle);
}

/// The Rollout `renamed` waits for the Service, because it names another one, which is gone.
#[tokio::test]
async fn a_service_that_names_a_rollout_that_is_gone_is_free_for_another() {
    let (services, mut server, key) =
        services(json!({"app": "shop", HASH_LABEL: "abc"}), json!({MANAGED_BY: "shop"}));
    let seen = Seen { version: "2".to_owned(), uid: "r".to_owned() };
    let facts = RolloutFacts::keep(rollout("shop-active"), None).unwrap();
    services.scene.stores.rollouts.apply(Key::new("ns", "renamed"), seen, facts);
    let (next, asked) = tokio::join!(services.attend(key), async {
        let asked = server.answer(404, status(404)).await;
        server.answer(200, json!({"metadata": {"name": "shop-active"}})).await;
        asked.line
    });
    assert_eq!(next, Next::Idle);
    assert_eq!(asked, "GET /apis/argoproj.io/v1alpha1/namespaces/ns/rollouts/shop");
}

#[tokio::test]
async fn a_text_that_is_no_name_names_nobody() {
    for text in ["", "a b", "a/b", "a?b"] {
        let (services, mut server, key) = services(json!({HASH_LABEL: "abc"}), json!({MANAGED_BY: text}));
        let (next, asked) =
            tokio::join!(services.attend(key), server.answer(200, json!({"metadata": {"name": "s"}})));
        assert_eq!(next, Next::Idle, "{text}");
        assert!(asked.line.starts_with("PATCH "), "{text}: {}", asked.line);
    }
}

#[tokio::test]
async fn an_answer_that_says_nothing_is_asked_for_again() {
    let (services, mut server, key) =
        services(json!({"app": "shop", HASH_LABEL: "abc"}), json!({MANAGED_BY: "shop"}));
    let (next, _) = tokio::join!(services.attend(key), server.answer(500, status(500)));
    assert!(matches!(next, Next::Failed { .. }), "{next:?}");
}
