//! Who is asked for metrics: servers of metrics, and the API server.
//!
//! Input: a request. Output: the answer, and what the request was signed in with. It must never know which run asks.

use std::sync::Arc;

use kube::Client;
use tidegate_engine::metric::{Answer, Request, Sent};
use tokio::sync::Semaphore;

use super::under_way::Told;
use crate::cluster_metrics;
use crate::fetch::Fetcher;
use crate::jobs::Jobs;

/// Requests to metric servers at once, of all runs: each has a connection, of which a process has a thousand or more. Rounds
/// do not wait for a slow server, so the number of rounds at once is no bound.
const AT_ONCE: usize = 512;

/// The ways to ask.
pub(super) struct Servers {
    client: Client,
    fetcher: Fetcher,
    pub(super) jobs: Jobs,
    turns: Semaphore,
}

impl Servers {
    pub(super) fn new(client: Client, jobs: Jobs) -> Arc<Self> {
        Arc::new(Self { client, fetcher: Fetcher::of_process(), jobs, turns: Semaphore::new(AT_ONCE) })
    }

    /// Makes one request.
    ///
    /// # Errors
    /// Fails when the API server says nothing about a Job. All else that fails is an answer.
    pub(super) async fn ask(self: Arc<Self>, request: Request) -> Told {
        let mut sent = Sent::default();
        let answer = match &request {
            Request::Prometheus(query) => {
                let _turn = self.turns.acquire().await;
                self.fetcher.prometheus(query, &mut sent).await.map(Answer::Server)
            }
            Request::Http(call) => {
                let _turn = self.turns.acquire().await;
                self.fetcher.http(call, &mut sent).await.map(Answer::Server)
            }
            Request::Cluster(path) => cluster_metrics::read(&self.client, path).await.map(Answer::Server),
            Request::Job(request) => self.jobs.ask(request).await?.map(Answer::Job),
        };
        Ok((answer, sent))
    }
}
