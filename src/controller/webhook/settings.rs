//! What Argo CD's Secret and ConfigMap say about webhooks: the secrets, and how large a body may be.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Client;
use kube::api::Api;
use tidegate_engine::sync::webhook::Provider;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::failure::chain;

/// Where the secrets are.
pub(super) const SECRET: &str = "argocd-secret";
/// Where the bound of a body is, in megabytes.
pub(super) const MAP: &str = "argocd-cm";
pub(super) const MAX_KEY: &str = "webhook.maxPayloadSizeMB";

/// Upstream's bound; ours is never above it.
const BODY_MAX_MEGABYTES: usize = 50;
const MEGABYTE: usize = 1 << 20;
/// How old what was read may be: a new secret counts after this, and a flood of deliveries reads it no faster.
const FRESH: Duration = Duration::from_secs(5);

/// The key of a provider's secret.
pub(super) fn key(provider: Provider) -> &'static str {
    match provider {
        Provider::GitHub => "webhook.github.secret",
        Provider::GitLab => "webhook.gitlab.secret",
        Provider::Bitbucket => "webhook.bitbucket.uuid",
        Provider::BitbucketServer => "webhook.bitbucketserver.secret",
        Provider::Gogs => "webhook.gogs.secret",
    }
}

/// What was read.
#[derive(Debug)]
pub(super) struct Current {
    pub(super) secrets: Secrets,
    pub(super) body_max: usize,
}

/// The secrets by their keys. There is no way to show them.
#[derive(Default)]
pub(super) struct Secrets(BTreeMap<String, String>);

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Secrets {
    fn read(secret: Option<Secret>) -> Self {
        let data = secret.and_then(|secret| secret.data).unwrap_or_default();
        let text = |value: Vec<u8>| String::from_utf8(value).ok().map(|value| value.trim().to_owned());
        Self(data.into_iter().filter_map(|(key, value)| Some((key, text(value.0)?))).collect())
    }

    /// The secret of a provider; nothing when there is none. As for upstream, `$other` stands for what the key `other`
    /// of the same Secret holds.
    ///
    /// # Errors
    /// It stands for a key that is not there, so that nobody knows the secret. What it says is not told: it may be a
    /// secret that begins so.
    pub(super) fn of(&self, provider: Provider) -> Result<Option<&str>, String> {
        let key = key(provider);
        let Some(given) = self.0.get(key) else { return Ok(None) };
        let secret = match given.strip_prefix('$') {
            Some(name) => self.0.get(name).ok_or_else(|| {
                format!(
                    "{key} in Secret {SECRET} begins with $, and the rest is no key of that Secret: put the secret itself \
                     there, or a key that is"
                )
            })?,
            None => given,
        };
        Ok(Some(secret.as_str()).filter(|secret| !secret.is_empty()))
    }
}

/// Reads both when they are needed.
pub(super) struct Settings {
    client: Client,
    namespace: String,
    latest: Mutex<Option<(Instant, Arc<Current>)>>,
}

impl Settings {
    pub(super) fn new(client: Client, namespace: String) -> Self {
        Self { client, namespace, latest: Mutex::default() }
    }

    /// What counts now. Deliveries that come together read once.
    ///
    /// # Errors
    /// The API server does not say.
    pub(super) async fn current(&self) -> Result<Arc<Current>, String> {
        let mut latest = self.latest.lock().await;
        if let Some((_, current)) = latest.as_ref().filter(|(read, _)| read.elapsed() < FRESH) {
            return Ok(Arc::clone(current));
        }
        let secret = Api::<Secret>::namespaced(self.client.clone(), &self.namespace).get_opt(SECRET).await;
        let secret = secret.map_err(|error| format!("Secret {SECRET} cannot be read: {}", chain(&error)))?;
        let map = Api::<ConfigMap>::namespaced(self.client.clone(), &self.namespace).get_opt(MAP).await;
        let map = map.map_err(|error| format!("ConfigMap {MAP} cannot be read: {}", chain(&error)))?;
        let current = Arc::new(Current { secrets: Secrets::read(secret), body_max: body_max(map) });
        *latest = Some((Instant::now(), Arc::clone(&current)));
        Ok(current)
    }
}

/// The bound of a body in bytes. What is no number of megabytes, or more than memory is meant for, counts as 50.
fn body_max(map: Option<ConfigMap>) -> usize {
    let told = map.and_then(|map| map.data?.remove(MAX_KEY)?.trim().parse().ok());
    told.unwrap_or(BODY_MAX_MEGABYTES).clamp(1, BODY_MAX_MEGABYTES) * MEGABYTE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_found_and_never_shown() {
        let data = [
            ("webhook.github.secret", "hub\n"),
            ("webhook.gitlab.secret", "$elsewhere"),
            ("elsewhere", "lab"),
            ("webhook.gogs.secret", "$argocd-webhook:gogs"),
            ("webhook.bitbucket.uuid", " "),
        ];
        let bytes = |text: &str| k8s_openapi::ByteString(text.as_bytes().to_vec());
        let data = data.into_iter().map(|(key, value)| (key.to_owned(), bytes(value))).collect();
        let secrets = Secrets::read(Some(Secret { data: Some(data), ..Secret::default() }));
        for (provider, want) in [
            (Provider::GitHub, Some("hub")),
            (Provider::GitLab, Some("lab")),
            (Provider::Bitbucket, None),
            (Provider::BitbucketServer, None),
        ] {
            assert_eq!(secrets.of(provider), Ok(want), "{provider:?}");
        }
        let error = secrets.of(Provider::Gogs).unwrap_err();
        assert!(error.contains("webhook.gogs.secret") && !error.contains("argocd-webhook"), "{error}");
        assert!(!format!("{secrets:?}").contains("lab\""), "{secrets:?}");
        assert_eq!(Secrets::read(None).of(Provider::GitHub), Ok(None));
    }

    #[test]
    fn a_body_is_bounded_whatever_is_told() {
        for (told, want) in [("10", 10), ("0", 1), ("5000", 50), ("-1", 50), ("ten", 50), ("", 50)] {
            let data = BTreeMap::from([(MAX_KEY.to_owned(), told.to_owned())]);
            let map = ConfigMap { data: Some(data), ..ConfigMap::default() };
            assert_eq!(body_max(Some(map)), want * MEGABYTE, "{told}");
        }
        assert_eq!(body_max(None), 50 * MEGABYTE);
    }
}
