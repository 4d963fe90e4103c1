//! A Kubernetes client that a test answers, request by request.

use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::Value;
use tower_test::mock::{self, Handle};

/// The side of the API server.
pub(crate) struct Server(Handle<Request<Body>, Response<Body>>);

/// One request as the API server sees it.
#[derive(Debug, PartialEq)]
pub(crate) struct Asked {
    pub(crate) line: String,
    pub(crate) content_type: String,
    pub(crate) body: Value,
}

/// Builds both sides.
pub(crate) fn server() -> (Client, Server) {
    let (service, handle) = mock::pair::<Request<Body>, Response<Body>>();
    (Client::new(service, "default"), Server(handle))
}

impl Server {
    /// Takes one request and answers it.
    pub(crate) async fn answer(&mut self, code: u16, answer: Value) -> Asked {
        let (request, respond) = self.0.next_request().await.expect("the client asks once more");
        let asked = read(request).await;
        let body = Body::from(serde_json::to_vec(&answer).unwrap());
        respond.send_response(Response::builder().status(code).body(body).unwrap());
        asked
    }

    /// Takes one request and breaks the connection.
    pub(crate) async fn hang_up(&mut self) -> Asked {
        let (request, respond) = self.0.next_request().await.expect("the client asks once more");
        let asked = read(request).await;
        respond.send_error("connection reset");
        asked
    }
}

async fn read(request: Request<Body>) -> Asked {
    let line = format!("{} {}", request.method(), request.uri());
    let content_type =
        request.headers().get("content-type").map_or("", |value| value.to_str().unwrap()).to_owned();
    let bytes = request.into_body().collect_bytes().await.unwrap();
    let body = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() };
    Asked { line, content_type, body }
}
