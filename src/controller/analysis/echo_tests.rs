//! Servers that answer what they were sent, credentials and all.

use axum::Router;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::routing::any;
use serde_json::Value;
use tidegate_engine::analysis::{Outcome, record};
use tidegate_engine::metric::{Answer, Request, Sent};
use tokio::net::TcpListener;

use super::*;
use crate::fetch::Fetcher;

/// A server whose `/token` gives a token, and which tells everything else to whoever asks: `/well` as its answer, `/ill` as
/// an error.
async fn server() -> String {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let handle = move |uri: Uri, headers: HeaderMap| async move {
        let authorization = headers.get("authorization").and_then(|value| value.to_str().ok());
        let told = json!({"you": "sent", "authorization": authorization.unwrap_or_default()}).to_string();
        match uri.path() {
            "/token" => (StatusCode::OK, r#"{"access_token":"fetched-token"}"#.to_owned()),
            "/well" => (StatusCode::OK, told),
            _ => (StatusCode::FORBIDDEN, told),
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(any(handle))).await });
    address
}

/// Makes a measurement as the loop does, and gives it as it stands in the status.
async fn measured(provider: &Value, condition: &str) -> Value {
    let metric = json!({"name": "m", "provider": provider, "successCondition": condition});
    let run = super::tests::object(json!({"metrics": [metric]}), json!({}));
    let mut world = super::tests::world(run, Accounts::default());
    let planned = plan(&world);
    let [MeasureRequest { metric, request }] = planned.requests.as_slice() else { panic!("{planned:?}") };
    let (fetcher, mut sent) = (Fetcher::default(), Sent::default());
    let answer = match request {
        Request::Http(call) => fetcher.http(call, &mut sent).await,
        Request::Prometheus(query) => fetcher.prometheus(query, &mut sent).await,
        other @ (Request::Cluster(_) | Request::Job(_)) => panic!("{other:?}"),
    };
    world.accounts.were_sent(metric, sent);
    let outcome = Outcome { metric: metric.clone(), answer: answer.map(Answer::Server) };
    let status = record(&world, &[outcome], Timestamp::now()).status.unwrap();
    serde_json::to_value(&status.metric_results[0].measurements[0]).unwrap()
}

#[tokio::test]
async fn what_a_request_was_signed_in_with_is_told_nowhere() {
    let address = server().await;
    let basic = json!({"basicAuth": {"username": "user", "password": "pass"}});
    let oauth2 =
        json!({"oauth2": {"tokenUrl": format!("{address}/token"), "clientId": "c", "clientSecret": "s"}});
    for (login, scheme, secret) in [(basic, "Basic", "dXNlcjpwYXNz"), (oauth2, "Bearer", "fetched-token")] {
        let web = |path: &str| json!({"web": {"url": format!("{address}{path}"), "authentication": login}});
        let stars = format!(r#""authorization":"{scheme} *****""#);

        let well = measured(&web("/well"), &format!("result.authorization contains '{secret}'")).await;
        assert_eq!(well["phase"], "Successful", "the condition sees what was answered: {well}");
        assert!(
            well["value"].as_str().unwrap().contains(&stars) && !well.to_string().contains(secret),
            "{well}"
        );

        let ill = measured(&web("/ill"), "result.ok").await;
        let told = ill.to_string();
        assert!(told.contains("403") && !told.contains(secret), "{told}");

        let prometheus = json!({"prometheus": {"address": address, "query": "up", "authentication": login}});
        let told = measured(&prometheus, "result[0] > 1").await.to_string();
        assert!(told.contains("*****") && !told.contains(secret), "{told}");
    }
}
