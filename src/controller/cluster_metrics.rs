//! Reads metrics that the API server itself answers.
//!
//! Input: a path. Output: the raw answer, or in one line why there is none. Body and time are bounded.

use std::time::Duration;

use http_body_util::{BodyExt as _, Limited};
use kube::Client;
use kube::client::Body;
use tidegate_engine::metric::Response;
use tidegate_engine::metric::http::Call;

use crate::failure::chain;
use crate::fetch::retry_after_seconds;

const WITHIN: Duration = Duration::from_secs(10);

/// Reads a path.
///
/// # Errors
/// Fails with the reason when there is no answer.
pub(crate) async fn read(client: &Client, path: &str) -> Result<Response, String> {
    let answer = tokio::time::timeout(WITHIN, ask(client, path)).await;
    answer.map_err(|_| format!("the API server gave no answer within {WITHIN:?}"))?
}

async fn ask(client: &Client, path: &str) -> Result<Response, String> {
    let request = http::Request::get(path).header("Accept", "application/json").body(Body::empty());
    let request = request.map_err(|error| format!("the path of the metric is none: {error}"))?;
    let answer = client.send(request).await.map_err(|error| chain(&error))?;
    let (status, retry_after_seconds) = (answer.status().as_u16(), retry_after_seconds(answer.headers()));
    let body = Limited::new(answer.into_body(), Call::MOST_BYTES).collect().await;
    let body = body.map_err(|error| format!("the answer of the API server cannot be read: {error}"))?;
    Ok(Response { status, body: body.to_bytes().to_vec(), retry_after_seconds })
}

#[cfg(test)]
mod tests {
    use http::Request;
    use tower_test::mock;

    use super::*;

    #[tokio::test]
    async fn a_busy_api_server_says_when_to_come_again() {
        let (service, mut handle) = mock::pair::<Request<Body>, http::Response<Body>>();
        let client = Client::new(service, "default");
        let path = "/apis/external.metrics.k8s.io/v1beta1/namespaces/shop/lag";
        let serve = async {
            let (request, respond) = handle.next_request().await.expect("the client asks once");
            let answer = http::Response::builder().status(429).header("Retry-After", "7");
            respond.send_response(answer.body(Body::from(b"busy".to_vec())).unwrap());
            request.uri().path().to_owned()
        };
        let (answer, asked) = tokio::join!(read(&client, path), serve);
        let wanted = Response { status: 429, body: b"busy".to_vec(), retry_after_seconds: Some(7) };
        assert_eq!((answer, asked.as_str()), (Ok(wanted), path));
    }
}
