//! Requests that go through no proxy, whatever the environment says.
//!
//! Its variables count for a whole process, so this program runs itself once more to try them.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// Where the child asks; without it there is no parent and nothing to do.
const ADDRESS: &str = "TIDEGATE_TEST_DIRECT";

/// A server that has one answer for all.
async fn server(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 1024]).await;
            let text = format!(
                "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{answer}",
                answer.len()
            );
            let _ = stream.write_all(text.as_bytes()).await;
        }
    });
    address
}

#[tokio::test]
async fn asks_both_ways_for_its_parent() {
    let Ok(url) = std::env::var(ADDRESS) else { return };
    let _ = rustls::crypto::ring::default_provider().install_default();
    let call = Call::to(Method::Get, url, 30);
    let fetcher = Fetcher::default();
    assert_eq!(fetcher.send(&call, &[]).await.unwrap().body, b"proxy");
    assert_eq!(fetcher.send_directly(&call).await.unwrap().body, b"node");
}

#[tokio::test]
async fn what_answers_on_the_node_is_asked_through_no_proxy() {
    let (node, proxy) = (server("node").await, server("proxy").await);
    let mut child = tokio::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "fetch::direct_tests::asks_both_ways_for_its_parent", "--nocapture"]);
    child.env("HTTP_PROXY", &proxy).env("http_proxy", &proxy).env(ADDRESS, node);
    for name in ["NO_PROXY", "no_proxy", "REQUEST_METHOD"] {
        child.env_remove(name);
    }
    let output = child.output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
}
