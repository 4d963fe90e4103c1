//! Deliveries from the first byte to the annotation, against an API server that a test answers.

use axum::http::Request as HttpRequest;
use ring::hmac;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;
use crate::mock::{self, Server};

const SECRET: &str = "s3cret";

/// A receiver, the changes that it passes on, and the API server that it asks.
struct Stage {
    receiver: Arc<Receiver>,
    changes: mpsc::Receiver<Change>,
    server: Server,
}

fn stage(allow_unsigned: bool) -> Stage {
    let (client, server) = mock::server();
    let (sender, changes) = mpsc::channel(2);
    let receiver = Receiver {
        settings: Settings::new(client, "argocd".to_owned()),
        allow_unsigned,
        deliveries: Deliveries::default(),
        bodies: Bodies::default(),
        rate: door::Rate::new(1.0, 4.0),
        peers: door::Peers::new(1.0, 3.0),
        changes: sender,
    };
    Stage { receiver: Arc::new(receiver), changes, server }
}

impl Stage {
    /// Answers what the receiver asks the API server before it looks at a proof.
    async fn configured(&mut self, secrets: Value, megabytes: &str) {
        let secrets = secrets.as_object().unwrap().iter();
        let data: serde_json::Map<String, Value> =
            secrets.map(|(key, value)| (key.clone(), value.clone())).collect();
        let asked =
            self.server.answer(200, json!({"metadata": {"name": "argocd-secret"}, "data": data})).await;
        assert_eq!(asked.line, "GET /api/v1/namespaces/argocd/secrets/argocd-secret");
        let map = json!({"metadata": {"name": "argocd-cm"}, "data": {"webhook.maxPayloadSizeMB": megabytes}});
        let asked = self.server.answer(200, map).await;
        assert_eq!(asked.line, "GET /api/v1/namespaces/argocd/configmaps/argocd-cm");
    }

    /// Sends a request and says what came back.
    async fn send(&self, request: HttpRequest<Body>) -> (u16, String) {
        let response = routes(Arc::clone(&self.receiver)).oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 16).await.unwrap();
        (status, String::from_utf8(bytes.to_vec()).unwrap())
    }

    fn counted(&self, outcome: &'static str) -> u64 {
        self.receiver.deliveries.0.get_or_create(&[("provider", "github"), ("outcome", outcome)]).get()
    }
}

/// `s3cret` in base64, as the API server sends it.
fn secrets() -> Value {
    json!({"webhook.github.secret": "czNjcmV0"})
}

fn push() -> String {
    json!({
        "ref": "refs/heads/main", "forced": false, "created": false, "commits": [],
        "repository": {"html_url": "https://git.example/shop", "default_branch": "main"},
    })
    .to_string()
}

fn signature(body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let hex: String =
        hmac::sign(&key, body.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={hex}")
}

fn request(event: &str, signature: Option<&str>, body: &str) -> HttpRequest<Body> {
    let mut request = HttpRequest::post(PATH).header("x-github-event", event);
    if let Some(signature) = signature {
        request = request.header("x-hub-signature-256", signature);
    }
    request.body(Body::from(body.to_owned())).unwrap()
}

#[tokio::test]
async fn a_signed_push_is_passed_on_and_a_ping_is_answered() {
    let mut stage = stage(false);
    let body = push();
    let (answer, ()) = {
        let receiver = Arc::clone(&stage.receiver);
        let sent = routes(receiver).oneshot(request("push", Some(&signature(&body)), &body));
        let sent = async { sent.await.unwrap().status().as_u16() };
        tokio::join!(sent, stage.configured(secrets(), "50"))
    };
    assert_eq!(answer, 200);
    assert_eq!(stage.changes.try_recv().unwrap().shown(), "git.example/shop main");
    // What was read counts for some seconds: nobody is asked again.
    let (status, said) = stage.send(request("ping", Some(&signature("{}")), "{}")).await;
    assert_eq!((status, said.as_str()), (200, "nothing to do\n"));
    assert!(stage.changes.try_recv().is_err());
    assert_eq!((stage.counted("accepted"), stage.counted("ignored")), (1, 1));
}

/// Sends one request to a receiver with these secrets.
async fn outcome(
    secrets: Value,
    allow_unsigned: bool,
    megabytes: &str,
    request: HttpRequest<Body>,
) -> (u16, usize) {
    let mut stage = stage(allow_unsigned);
    let receiver = Arc::clone(&stage.receiver);
    let sent = async { routes(receiver).oneshot(request).await.unwrap().status().as_u16() };
    let (status, ()) = tokio::join!(sent, stage.configured(secrets, megabytes));
    let passed_on = std::iter::from_fn(|| stage.changes.try_recv().ok()).count();
    (status, passed_on)
}

#[tokio::test]
async fn what_proves_nothing_does_nothing() {
    let body = push();
    let good = signature(&body);
    let other = body.replace("main", "evil");
    for (what, secrets, allow_unsigned, request, want) in [
        ("signed", secrets(), false, request("push", Some(&good), &body), (200, 1)),
        ("no signature", secrets(), false, request("push", None, &body), (401, 0)),
        ("another body", secrets(), false, request("push", Some(&good), &other), (401, 0)),
        ("a cut body", secrets(), false, request("push", Some(&good), &body[..body.len() - 1]), (401, 0)),
        ("not even allowed to", secrets(), true, request("push", None, &body), (401, 0)),
        ("no secret", json!({}), false, request("push", Some(&good), &body), (401, 0)),
        (
            "an empty secret",
            json!({"webhook.github.secret": ""}),
            false,
            request("push", Some(&signature(&body)), &body),
            (401, 0),
        ),
        (
            // `$nobody-knows` in base64.
            "a secret that is elsewhere",
            json!({"webhook.github.secret": "JG5vYm9keS1rbm93cw=="}),
            true,
            request("push", None, &body),
            (401, 0),
        ),
        ("unsigned where that is allowed", json!({}), true, request("push", None, &body), (200, 1)),
        ("no JSON", secrets(), false, request("push", Some(&signature("payload=x")), "payload=x"), (400, 0)),
    ] {
        assert_eq!(outcome(secrets, allow_unsigned, "50", request).await, want, "{what}");
    }
}

#[tokio::test]
async fn a_large_body_is_refused_whatever_length_it_tells() {
    let body = format!("{}{}", push(), " ".repeat(1 << 20));
    let told = request("push", Some(&signature(&body)), &body);
    assert_eq!(outcome(secrets(), false, "1", told).await, (413, 0));
    let mut claims = request("push", Some(&signature("{}")), "{}");
    claims.headers_mut().insert("content-length", "99999999".parse().unwrap());
    assert_eq!(outcome(secrets(), false, "1", claims).await, (413, 0));
    let part = body.clone().into_bytes();
    let parts = futures::stream::iter((0..3).map(move |_| Ok::<_, std::io::Error>(part.clone())));
    let mut streamed = request("push", Some(&signature(&body)), "");
    *streamed.body_mut() = Body::from_stream(parts);
    assert_eq!(outcome(secrets(), false, "1", streamed).await, (413, 0));
    assert_eq!(
        outcome(secrets(), false, "2", request("push", Some(&signature(&body)), &body)).await,
        (200, 1)
    );
}

#[tokio::test]
async fn other_requests_are_refused_at_once() {
    let stage = stage(true);
    let (status, _) = stage.send(HttpRequest::get(PATH).body(Body::empty()).unwrap()).await;
    assert_eq!(status, 405);
    let (status, _) = stage.send(HttpRequest::post("/api/other").body(Body::empty()).unwrap()).await;
    assert_eq!(status, 404);
    let (status, said) = stage.send(HttpRequest::post(PATH).body(Body::empty()).unwrap()).await;
    assert_eq!((status, said.as_str()), (400, "unknown kind of webhook\n"));
}

#[tokio::test]
async fn an_api_server_that_says_nothing_is_waited_for_by_the_sender() {
    let mut stage = stage(true);
    let receiver = Arc::clone(&stage.receiver);
    let sent = async { routes(receiver).oneshot(request("push", None, &push())).await.unwrap() };
    let (answer, _) = tokio::join!(sent, stage.server.answer(500, json!({})));
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));
}

#[tokio::test]
async fn a_flood_is_stopped_before_anything_is_asked() {
    let mut stage = stage(false);
    let receiver = Arc::clone(&stage.receiver);
    let first =
        async { routes(receiver).oneshot(request("push", None, "")).await.unwrap().status().as_u16() };
    let (status, ()) = tokio::join!(first, stage.configured(secrets(), "50"));
    assert_eq!(status, 401);
    let mut seen = Vec::new();
    for _ in 0..5 {
        seen.push(stage.send(request("push", None, "")).await.0);
    }
    assert_eq!(seen, [401, 401, 401, 429, 429]);
}

#[tokio::test]
async fn one_address_that_floods_keeps_no_other_out() {
    let mut stage = stage(false);
    let body = push();
    let from = |address: &str, signature: Option<&str>| {
        let mut request = request("push", signature, &body);
        let address: std::net::SocketAddr = format!("{address}:1").parse().unwrap();
        request.extensions_mut().insert(ConnectInfo(Peer::from(address)));
        request
    };
    let receiver = Arc::clone(&stage.receiver);
    let first = from("192.0.2.1", None);
    let first = async { routes(receiver).oneshot(first).await.unwrap().status().as_u16() };
    let (status, ()) = tokio::join!(first, stage.configured(secrets(), "50"));
    assert_eq!(status, 401);
    let mut seen = Vec::new();
    for _ in 0..5 {
        seen.push(stage.send(from("192.0.2.1", None)).await.0);
    }
    assert_eq!(seen, [401, 401, 429, 429, 429]);
    assert_eq!(stage.send(from("192.0.2.2", Some(&signature(&body)))).await.0, 200);
}

#[tokio::test]
async fn more_than_can_wait_is_told_to_come_again() {
    let mut stage = stage(false);
    let body = push();
    let signed = || request("push", Some(&signature(&body)), &body);
    let receiver = Arc::clone(&stage.receiver);
    let first = async { routes(receiver).oneshot(signed()).await.unwrap().status().as_u16() };
    let (status, ()) = tokio::join!(first, stage.configured(secrets(), "50"));
    assert_eq!(status, 200);
    assert_eq!(stage.send(signed()).await.0, 200);
    assert_eq!(stage.send(signed()).await.0, 503);
}

fn applications() -> Value {
    let one = |name: &str, address: &str, annotations: Value| {
        json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
            "metadata": {"name": name, "namespace": "argocd", "annotations": annotations},
            "spec": {"source": {"repoURL": address, "targetRevision": "HEAD"}},
            "status": {"sync": {"status": "Synced"}},
        })
    };
    json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "ApplicationList", "metadata": {}, "items": [
        one("other", "https://git.example/bank", json!({})),
        one("shop", "git@git.example:shop.git", json!({})),
        one("urgent", "https://git.example/shop", json!({"argocd.argoproj.io/refresh": "hard"})),
        {"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": "odd"}},
    ]})
}

#[tokio::test(start_paused = true)]
async fn applications_concerned_are_asked_for_a_look_and_no_others() {
    let (client, mut server) = mock::server();
    let (sender, changes) = mpsc::channel(8);
    for _ in 0..2 {
        let told = Provider::GitHub.changes("push", push().as_bytes()).unwrap();
        sender.try_send(told.into_iter().next().unwrap()).unwrap();
    }
    drop(sender);
    let work = tell::run(client, "argocd".to_owned(), changes);
    let api_server = async {
        let mut asked = vec![server.answer(500, json!({})).await, server.answer(200, applications()).await];
        for _ in 0..2 {
            asked
                .push(server.answer(404, json!({"kind": "Status", "code": 404, "reason": "NotFound"})).await);
        }
        asked
    };
    let ((), asked) = tokio::join!(work, api_server);
    let list = "GET /apis/argoproj.io/v1alpha1/namespaces/argocd/applications?&resourceVersion=0&resourceVersionMatch=NotOlderThan";
    assert_eq!((asked[0].line.as_str(), asked[1].line.as_str()), (list, list));
    let patches: std::collections::BTreeMap<&str, &Value> =
        asked[2..].iter().map(|asked| (asked.line.as_str(), &asked.body)).collect();
    let shown = |name: &str| {
        let line = format!(
            "PATCH /apis/argoproj.io/v1alpha1/namespaces/argocd/applications/{name}?&fieldManager=tidegate-sync"
        );
        patches[line.as_str()]["metadata"]["annotations"].clone()
    };
    assert_eq!(shown("shop")["argocd.argoproj.io/refresh"], "normal");
    assert!(shown("shop")["tidegate.dev/webhook-at"].is_string());
    assert_eq!(shown("urgent")["argocd.argoproj.io/refresh"], "hard");
}
