//! Logins, as servers on loopback see them.

use axum::Router;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::routing::any;
use tidegate_engine::metric::http::Method;
use tidegate_engine::metric::prometheus::Query;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::super::tests::query;
use super::*;

/// A server that tells who is asking how, and whose `/token` believes a form only. `/no` believes nobody, and `/busy` asks
/// to be left alone.
async fn server() -> (String, UnboundedReceiver<String>) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (sender, receiver) = unbounded_channel();
    let handle = move |uri: Uri, headers: HeaderMap, body: String| async move {
        let login = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or("-");
        let _ = sender.send(format!("{} {login} {body}", uri.path()));
        let is_refused = uri.path() == "/no" || uri.path() == "/token" && !body.contains("client_secret=");
        let headers = [("retry-after", if uri.path() == "/busy" { "40" } else { "" })];
        if uri.path() == "/busy" {
            (StatusCode::TOO_MANY_REQUESTS, headers, r#"{"error":"slow_down"}"#)
        } else if is_refused {
            (StatusCode::UNAUTHORIZED, headers, r#"{"error":"invalid_client"}"#)
        } else {
            (StatusCode::OK, headers, r#"{"access_token":"t0"}"#)
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(any(handle))).await });
    (address, receiver)
}

async fn seen(login: Login, headers: &[(&str, &str)], address: &str) -> Result<u16, String> {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let url = format!("{address}/ratio");
    let call = Call { headers, login, ..Call::to(Method::Get, url, 30) };
    Fetcher::default().http(&call, &mut Sent::default()).await.map(|answer| answer.status)
}

fn oauth2(token_url: String) -> Login {
    Login::OAuth2 {
        token_url,
        client_id: "i d:".into(),
        client_secret: "h+us/h%".into(),
        scopes: vec!["a".into()],
    }
}

#[tokio::test]
async fn credentials_of_a_client_are_encoded_and_go_into_the_form_where_a_header_is_refused() {
    let (address, mut asked) = server().await;
    assert_eq!(seen(oauth2(format!("{address}/token")), &[], &address).await, Ok(200));
    let header = basic("i+d%3A", "h%2Bus%2Fh%25");
    let form = "grant_type=client_credentials&scope=a";
    assert_eq!(asked.recv().await.unwrap(), format!("/token {header} {form}"));
    let secrets = "client_id=i+d%3A&client_secret=h%2Bus%2Fh%25";
    assert_eq!(asked.recv().await.unwrap(), format!("/token - {form}&{secrets}"));
    assert_eq!(asked.recv().await.unwrap(), "/ratio Bearer t0 ");
    let error = seen(oauth2(format!("{address}/no")), &[], &address).await;
    assert_eq!(error, Err(format!("no token from {address}: answer 401 holds no access_token")));
}

#[tokio::test]
async fn a_token_that_is_to_be_asked_for_later_puts_off_the_request() {
    let (address, mut asked) = server().await;
    let (fetcher, login) = (Fetcher::default(), oauth2(format!("{address}/busy")));
    let body = format!("no token from {address}: answer 429 holds no access_token").into_bytes();
    let wanted = Ok(Response { status: 429, body, retry_after_seconds: Some(40) });
    let call = Call { login: login.clone(), ..Call::to(Method::Get, format!("{address}/ratio"), 30) };
    assert_eq!(fetcher.http(&call, &mut Sent::default()).await, wanted);
    let here = address.trim_start_matches("http://").parse().unwrap();
    let query = Query { login, ..query(here, "up") };
    assert_eq!(fetcher.prometheus(&query, &mut Sent::default()).await, wanted);
    for _ in 0..2 {
        let once = asked.recv().await.unwrap();
        assert!(once.starts_with("/busy Basic "), "{once}");
    }
    assert!(asked.try_recv().is_err(), "neither the metric's server was asked, nor twice for a token");
}

#[tokio::test]
async fn a_header_of_the_metric_goes_before_its_password() {
    let (address, mut asked) = server().await;
    let login = Login::Basic { username: "u".into(), password: "p".into() };
    seen(login.clone(), &[("authorization", "Token own")], &address).await.unwrap();
    assert_eq!(asked.recv().await.unwrap(), "/ratio Token own ");
    seen(login, &[("X-Other", "own")], &address).await.unwrap();
    assert_eq!(asked.recv().await.unwrap(), "/ratio Basic dTpw ");
}
