//! One command's way to the cluster: reads and patches, with errors that say what to do.

use std::future::Future;
use std::time::Duration;

use anyhow::{Result, anyhow};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::{Client, Config, Error};
use serde_json::Value;
use tidegate_api::rollout::Rollout;
use tidegate_api::tolerant;

use crate::Grammar;
use crate::kind::Kind;
use crate::terminal::Terminal;

/// How long to wait for the server to say who the user is: a courtesy, without which everything works.
const WHO_AM_I_WITHIN: Duration = Duration::from_secs(5);

/// Everything that a verb works with.
pub(crate) struct Session<'t> {
    pub(crate) client: Client,
    /// How the client was set up, for those who need another one.
    pub(crate) config: Option<Config>,
    pub(crate) namespace: String,
    /// Whether the command itself named the namespace.
    pub(crate) is_namespace_given: bool,
    pub(crate) grammar: Grammar,
    pub(crate) terminal: &'t mut Terminal,
    /// How long a single request may take.
    pub(crate) request_timeout: Option<Duration>,
}

/// Why a request failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The server answered that there is no such thing.
    NotFound(anyhow::Error),
    /// Somebody else changed the object in between.
    Conflict(anyhow::Error),
    Other(anyhow::Error),
}

impl From<Failure> for anyhow::Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NotFound(error) | Failure::Conflict(error) | Failure::Other(error) => error,
        }
    }
}

/// What part of an object is patched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The object itself.
    Object,
    /// Its status subresource.
    Status,
}

impl Session<'_> {
    /// Returns access to the objects of a kind in the namespace, or to all of a kind that has no namespaces.
    pub(crate) fn api(&self, kind: Kind) -> Api<DynamicObject> {
        self.api_in(kind, &self.namespace)
    }

    fn api_in(&self, kind: Kind, namespace: &str) -> Api<DynamicObject> {
        match kind {
            Kind::ClusterAnalysisTemplate => Api::all_with(self.client.clone(), &kind.resource()),
            Kind::Rollout
            | Kind::AnalysisRun
            | Kind::Experiment
            | Kind::ReplicaSet
            | Kind::Pod
            | Kind::Deployment
            | Kind::PodTemplate
            | Kind::Application
            | Kind::AnalysisTemplate => {
                Api::namespaced_with(self.client.clone(), namespace, &kind.resource())
            }
        }
    }

    /// Creates an object, in the namespace that it names unless the command names one; for the Argo Rollouts plugin the
    /// object has the last word.
    pub(crate) async fn create(&self, kind: Kind, object: &Value) -> Result<DynamicObject, Failure> {
        let is_overruled = match self.grammar {
            Grammar::Tidegate => self.is_namespace_given,
            Grammar::Argo => false,
        };
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let named = text("/metadata/namespace").filter(|_| !is_overruled);
        let namespace = named.unwrap_or(&self.namespace);
        let name = text("/metadata/name").or_else(|| text("/metadata/generateName")).unwrap_or_default();
        let body: DynamicObject =
            serde_json::from_value(object.clone()).map_err(|error| Failure::Other(error.into()))?;
        let api = self.api_in(kind, namespace);
        let params = PostParams { dry_run: false, field_manager: Some(self.grammar.program().to_owned()) };
        self.request("create", kind, name, api.create(&params, &body)).await
    }

    /// Returns access to the objects of a kind in all namespaces.
    pub(crate) fn api_everywhere(&self, kind: Kind) -> Api<DynamicObject> {
        Api::all_with(self.client.clone(), &kind.resource())
    }

    /// Returns access to the objects of a kind, in the namespace or in all.
    pub(crate) fn api_of(&self, kind: Kind, all_namespaces: bool) -> Api<DynamicObject> {
        if all_namespaces { self.api_everywhere(kind) } else { self.api(kind) }
    }

    /// Reads one object.
    pub(crate) async fn object(&self, kind: Kind, name: &str) -> Result<DynamicObject, Failure> {
        let api = self.api(kind);
        self.request("get", kind, name, api.get(name)).await
    }

    /// Reads one Rollout.
    pub(crate) async fn rollout(&self, name: &str) -> Result<Rollout> {
        decode(self.object(Kind::Rollout, name).await?)
    }

    /// Reads all objects that match.
    pub(crate) async fn list(
        &self,
        api: &Api<DynamicObject>,
        kind: Kind,
        params: &ListParams,
    ) -> Result<Vec<DynamicObject>, Failure> {
        Ok(self.request("list", kind, "", api.list(params)).await?.items)
    }

    /// Sends a merge patch.
    pub(crate) async fn merge(
        &self,
        kind: Kind,
        name: &str,
        patch: &Value,
        part: Part,
    ) -> Result<(), Failure> {
        let api = self.api(kind);
        let patch = Patch::Merge(patch);
        let params = self.patch_params();
        match part {
            Part::Object => self.request("patch", kind, name, api.patch(name, &params, &patch)).await?,
            Part::Status => {
                self.request("patch", kind, name, api.patch_subresource("status", name, &params, &patch))
                    .await?
            }
        };
        Ok(())
    }

    /// Returns the name that the server knows the user by; nothing when it does not say.
    pub(crate) async fn user(&self) -> Option<String> {
        let api: Api<SelfSubjectReview> = Api::all(self.client.clone());
        let (params, review) = (PostParams::default(), SelfSubjectReview::default());
        let limit = self.request_timeout.unwrap_or(WHO_AM_I_WITHIN).min(WHO_AM_I_WITHIN);
        let answer = tokio::time::timeout(limit, api.create(&params, &review)).await.ok()?.ok()?;
        answer.status?.user_info?.username
    }

    /// Replaces one value in an object by a JSON patch.
    pub(crate) async fn replace_at(
        &self,
        kind: Kind,
        name: &str,
        path: &str,
        value: &Value,
    ) -> Result<(), Failure> {
        let api = self.api(kind);
        let patch = serde_json::json!([{ "op": "replace", "path": path, "value": value }]);
        let patch: Patch<()> =
            Patch::Json(serde_json::from_value(patch).map_err(|error| Failure::Other(error.into()))?);
        let params = self.patch_params();
        self.request("patch", kind, name, api.patch(name, &params, &patch)).await?;
        Ok(())
    }

    /// Replaces an object as a whole, unless somebody changed it since it was read.
    pub(crate) async fn replace(
        &self,
        kind: Kind,
        name: &str,
        object: &DynamicObject,
    ) -> Result<(), Failure> {
        let api = self.api(kind);
        let params = PostParams { dry_run: false, field_manager: Some(self.grammar.program().to_owned()) };
        self.request("update", kind, name, api.replace(name, &params, object)).await?;
        Ok(())
    }

    fn patch_params(&self) -> PatchParams {
        PatchParams { field_manager: Some(self.grammar.program().to_owned()), ..PatchParams::default() }
    }

    /// Waits for the answer to one request, and explains it when it is an error.
    async fn request<T>(
        &self,
        verb: &str,
        kind: Kind,
        name: &str,
        request: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, Failure> {
        let answer = match self.request_timeout {
            None => request.await,
            Some(limit) => tokio::time::timeout(limit, request).await.map_err(|_| {
                let seconds = limit.as_secs_f32();
                Failure::Other(anyhow!(
                    "cannot {verb} {}: no answer within {seconds} s",
                    self.what(kind, name)
                ))
            })?,
        };
        answer.map_err(|error| self.explain(verb, kind, name, error))
    }

    /// Names an object, or all of a kind.
    fn what(&self, kind: Kind, name: &str) -> String {
        if name.is_empty() { format!("{}s", kind.word()) } else { format!("{} {name:?}", kind.word()) }
    }

    /// Says what went wrong and what to do about it.
    pub(crate) fn explain(&self, verb: &str, kind: Kind, name: &str, error: Error) -> Failure {
        let what = self.what(kind, name);
        let Error::Api(status) = error else {
            let cause = innermost(&error);
            return Failure::Other(anyhow!("cannot {verb} {what}: the cluster cannot be reached: {cause}"));
        };
        let message = status.message.trim().to_owned();
        match status.code {
            404 if name.is_empty() || !message.contains(name) => Failure::NotFound(anyhow!(
                "cannot {verb} {what}: the cluster has no kind {}; install the CRDs",
                kind.resource().kind
            )),
            404 => {
                let namespace = &self.namespace;
                let hint = if kind == Kind::Rollout {
                    format!("; list them with \"{} list rollouts -n {namespace}\"", self.grammar.typed())
                } else {
                    String::new()
                };
                Failure::NotFound(anyhow!("{what} not found in namespace {namespace:?}{hint}"))
            }
            401 => {
                Failure::Other(anyhow!("cannot {verb} {what}: the cluster does not accept these credentials"))
            }
            403 => Failure::Other(anyhow!("not allowed to {verb} {what}: {message}")),
            409 => Failure::Conflict(anyhow!("cannot {verb} {what}: somebody else changed it: {message}")),
            _ => Failure::Other(anyhow!("cannot {verb} {what}: {message}")),
        }
    }
}

/// Returns the first cause; what lies around it repeats it.
fn innermost(error: &Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// Turns an object into a typed one; fields of a wrong form are left out, as the controller does.
pub(crate) fn decode<T: serde::de::DeserializeOwned>(object: DynamicObject) -> Result<T> {
    let name = object.metadata.name.clone().unwrap_or_default();
    let (decoded, _dropped) = tolerant::decode(serde_json::to_value(object)?)
        .map_err(|error| anyhow!(error).context(format!("cannot read object {name:?}")))?;
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use super::innermost;
    use std::io;

    #[test]
    fn only_the_first_cause_is_told() {
        let refused = io::Error::new(io::ErrorKind::ConnectionRefused, "connection refused");
        let error = kube::Error::Service(Box::new(io::Error::other(refused)));
        assert_eq!(innermost(&error), "connection refused");
    }
}
