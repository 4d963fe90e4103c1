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
    let status = answer.status().as_u16();
    let body = Limited::new(answer.into_body(), Call::MOST_BYTES).collect().await;
    let body = body.map_err(|error| format!("the answer of the API server cannot be read: {error}"))?;
    Ok(Response { status, body: body.to_bytes().to_vec(), retry_after_seconds: None })
}
