//! The Jobs of analyses: created, read and deleted as the engine says, and watched so that their end is not waited for.
//!
//! Input: one request about a Job. Output: what the API server shows, or why it will not do it. The watch begins with the
//! first AnalysisRun that has a Job, keeps three words of each, and only wakes: whoever cannot watch looks from time to
//! time.

use std::collections::BTreeSet;
use std::sync::Arc;

use kube::Client;
use kube::api::{DeleteParams, ListParams, PostParams};
use serde_json::Value;
use tidegate_api::analysis::AnalysisRun;
use tidegate_engine::metric::job::{self, Name, RUN_NAME, RUN_NAMESPACE, RUN_UID, Request, Shown};
use tokio::task::JoinSet;
use tracing::info;

use crate::apply::Failed;
use crate::facts::Facts;
use crate::failure::{Class, chain};
use crate::kinds;
use crate::metrics::Metrics;
use crate::request::{FIELD_MANAGER, Requests, already_exists};
use crate::store::{Change, Key};
use crate::watch::{Scene, Scope, config};
use crate::workloads::{self, Followed};

/// Pods of one run that are read to see why a Job does not start.
const MOST_PODS: u32 = 50;

/// Where Jobs run.
#[derive(Clone)]
pub(crate) struct Jobs {
    client: Client,
}

impl Jobs {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Does one thing about a Job: what is there then, or why it was refused for good.
    ///
    /// # Errors
    /// Fails when there is no answer that says what became of it. Whoever asks again, does it once all the same.
    pub(crate) async fn ask(&self, request: &Request) -> Result<Result<Shown, String>, Failed> {
        let (verb, job) = match request {
            Request::Start { job, .. } => ("create", job),
            Request::Look { job, .. } => ("read", job),
            Request::End { job } => ("delete", job),
        };
        let requests = Requests::new(&self.client, &job.namespace);
        let sent = match request {
            Request::Start { job, object } => start(requests, job, object).await,
            Request::Look { job, selector } => look(requests, job, selector).await,
            Request::End { job } => end(requests, job).await,
        };
        match sent {
            Ok(shown) => Ok(Ok(shown)),
            Err(source) => match Class::of(&source) {
                Class::Denied | Class::Bug | Class::Gone => Ok(Err(chain(&source))),
                class @ (Class::Conflict | Class::Throttled(_) | Class::Unreachable) => {
                    let doing = format!("{verb} Job {}/{}", job.namespace, job.name);
                    Err(Failed { doing, class, source, taken: None })
                }
            },
        }
    }
}

async fn start(requests: Requests<'_>, job: &Name, object: &Value) -> Result<Shown, kube::Error> {
    let kind = kinds::job();
    let parameters = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
    let request = requests.path(&kind).create(&parameters, object.to_string().into_bytes());
    let job = match requests.answer(request).await {
        Ok(created) => {
            info!(namespace = job.namespace, job = job.name, "created the Job of an analysis");
            created
        }
        // An earlier attempt of ours, as its labels will tell.
        Err(error) if already_exists(&error) => requests.get(&kind, &job.name).await?,
        Err(error) => return Err(error),
    };
    Ok(Shown { job, pods: Vec::new() })
}

async fn look(requests: Requests<'_>, job: &Name, selector: &str) -> Result<Shown, kube::Error> {
    let job = match requests.get(&kinds::job(), &job.name).await {
        Ok(job) => job,
        Err(error) if Class::of(&error) == Class::Gone => return Ok(Shown::default()),
        Err(error) => return Err(error),
    };
    if job::ended(&job).is_some() {
        return Ok(Shown { job, pods: Vec::new() });
    }
    let wanted = ListParams::default().labels(selector).limit(MOST_PODS);
    let listed = requests.answer::<Value>(requests.path(&kinds::pod()).list(&wanted)).await;
    let pods = match listed {
        Ok(mut list) => {
            if let Value::Array(pods) = list["items"].take() {
                pods
            } else {
                Vec::new()
            }
        }
        // Who may not read pods only hears later that they do not start.
        Err(error) if Class::of(&error) == Class::Denied => Vec::new(),
        Err(error) => return Err(error),
    };
    Ok(Shown { job, pods })
}

async fn end(requests: Requests<'_>, job: &Name) -> Result<Shown, kube::Error> {
    let request = requests.path(&kinds::job()).delete(&job.name, &DeleteParams::foreground());
    match requests.answer::<Value>(request).await {
        Ok(_) => info!(namespace = job.namespace, job = job.name, "deleted the Job of an analysis"),
        Err(error) if Class::of(&error) == Class::Gone => {}
        Err(error) => return Err(error),
    }
    Ok(Shown::default())
}

/// What is kept of a Job.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct JobFacts {
    /// The run that it measures for.
    run: Key,
    has_ended: bool,
}

impl Facts for JobFacts {
    fn keep(object: Value, _old: Option<&Self>) -> Result<Self, String> {
        let text =
            |map: &str, key: &str| object["metadata"][map][key].as_str().filter(|text| !text.is_empty());
        let name = text("annotations", RUN_NAME).ok_or("names no AnalysisRun")?;
        let own = object["metadata"]["namespace"].as_str();
        let namespace = text("annotations", RUN_NAMESPACE).or(own).unwrap_or_default();
        Ok(Self { run: Key::new(namespace, name), has_ended: job::ended(&object).is_some() })
    }

    fn differs(&self, old: &Self) -> bool {
        self != old
    }
}

/// Whether a run measures by a Job, so that Jobs are worth watching.
pub(crate) fn has_job(run: &AnalysisRun) -> bool {
    run.spec.metrics.iter().any(|metric| metric.provider.job.is_some())
}

/// Those of the Jobs that a run waits for which have ended.
pub(crate) fn over(followed: &Followed<JobFacts>, run: &AnalysisRun) -> BTreeSet<Name> {
    let waited = run.status.iter().flat_map(|status| job::in_flight(run, status));
    let has_ended =
        |job: &Name| followed.store.value(&job.namespace, &job.name).is_some_and(|job| job.has_ended);
    waited.filter(has_ended).collect()
}

/// Starts the watch, which sleeps until a run has a Job.
pub(crate) fn watch(
    client: &Client,
    scope: &Scope,
    scene: &Arc<Scene>,
    metrics: &Arc<Metrics>,
    tasks: &mut JoinSet<()>,
) {
    let kind = kinds::job();
    let api = scope.api(client, &kind);
    let (scene, metrics) = (Arc::clone(scene), Arc::clone(metrics));
    tasks.spawn(async move {
        let wake = |change: &Change<JobFacts>| {
            if let Some(job) = change.new.as_ref().or(change.old.as_ref()).filter(|job| job.has_ended) {
                scene.runs.push(job.run.clone());
            }
        };
        let ours = config().labels(RUN_UID);
        workloads::follow(&scene.stores.jobs, api, &kind, ours, wake, || (), &metrics).await;
    });
}

#[cfg(test)]
mod tests;
