//! Requests to servers that send them on.

use axum::Router;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::routing::any;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::*;

/// A server that tells the paths and keys it sees, of `/agent` who asks, and sends on from `/to?<address>` to there, and from `/round` for ever.
async fn server() -> (String, UnboundedReceiver<String>) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (sender, receiver) = unbounded_channel();
    let handle = move |uri: Uri, headers: HeaderMap| async move {
        let name = if uri.path() == "/agent" { "user-agent" } else { "x-api-key" };
        let key = headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("-").to_owned();
        let _ = sender.send(format!("{} {key}", uri.path()));
        let to = match uri.path() {
            "/to" => uri.query().unwrap_or_default(),
            "/round" => "/round",
            _ => return (StatusCode::OK, [(header::LOCATION, String::new())]),
        };
        (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, to.to_owned())])
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(any(handle))).await });
    (address, receiver)
}

fn call(url: String) -> Call {
    let headers = vec![("X-Api-Key".to_owned(), "hush".to_owned())];
    Call { headers, ..Call::to(Method::Get, url, 30) }
}

#[tokio::test]
async fn requests_say_who_asks_unless_the_metric_does() {
    let (address, mut seen) = server().await;
    let fetcher = Fetcher::default();
    fetcher.http(&call(format!("{address}/agent")), &mut Sent::default()).await.unwrap();
    assert_eq!(seen.recv().await.unwrap(), format!("/agent {USER_AGENT}"));
    let headers = vec![("User-Agent".to_owned(), "mine".to_owned())];
    fetcher.http(&Call { headers, ..call(format!("{address}/agent")) }, &mut Sent::default()).await.unwrap();
    assert_eq!(seen.recv().await.unwrap(), "/agent mine");
}

#[tokio::test]
async fn keys_go_to_no_other_server() {
    let (own, mut seen) = server().await;
    let (other, mut never) = server().await;
    let fetcher = Fetcher::default();
    assert_eq!(
        fetcher.http(&call(format!("{own}/to?/there")), &mut Sent::default()).await.unwrap().status,
        200
    );
    assert_eq!(
        (seen.recv().await.unwrap(), seen.recv().await.unwrap()),
        ("/to hush".into(), "/there hush".into())
    );
    let error =
        fetcher.http(&call(format!("{own}/to?{other}/there")), &mut Sent::default()).await.unwrap_err();
    assert_eq!(error, format!("{own} cannot be reached: it sends on to another server"));
    assert!(never.try_recv().is_err());
    let error = fetcher.http(&call(format!("{own}/round")), &mut Sent::default()).await.unwrap_err();
    assert_eq!(error, format!("{own} cannot be reached: too many redirects"));
}
