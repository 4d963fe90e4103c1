//! Finds the Applications that changes concern, and asks for a look at each.
//!
//! It asks as Argo CD's clients do, by an annotation, so that a replica without the lease can do it too: the request
//! is in the cluster, and whoever leads serves it. The API server is asked for the Applications each time, from its
//! cache, because a replica that does not lead has none of its own.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use kube::Client;
use kube::api::{Api, ListParams, Patch, PatchParams};
use kube::core::{NotUsed, Object};
use serde_json::{Value, json};
use tidegate_engine::sync::FIELD_MANAGER;
use tidegate_engine::sync::webhook::{Change, concerns};
use tokio::sync::mpsc;
use tracing::{info, warn};

use crate::failure::{Class, chain};
use crate::kinds;

/// Argo CD's own request for a comparison.
const REFRESH: &str = "argocd.argoproj.io/refresh";
/// When a webhook asked last. Without it a request that comes while another is being served would change nothing in
/// the object, and would be taken away with the other.
const ASKED_AT: &str = "tidegate.dev/webhook-at";

/// Changes that are looked up together.
const TOGETHER: usize = 100;
/// Applications that are asked for at once.
const AT_ONCE: usize = 8;
/// How often the API server is asked, and after how long; then the next poll has to do.
const ATTEMPTS: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// An Application without its status, which may be a thousand times larger than what is looked at.
type Application = Object<Option<Value>, NotUsed>;

/// Works on changes until nobody can tell any more.
pub(super) async fn run(client: Client, namespace: String, mut changes: mpsc::Receiver<Change>) {
    let api: Api<Application> = Api::namespaced_with(client, &namespace, &kinds::application());
    let mut together = Vec::new();
    while changes.recv_many(&mut together, TOGETHER).await > 0 {
        tell(&api, &together).await;
        together.clear();
    }
}

async fn tell(api: &Api<Application>, changes: &[Change]) {
    let mut pause = FIRST_PAUSE;
    for attempt in 1..=ATTEMPTS {
        match find(api, changes).await {
            Ok(found) => {
                let asking: Vec<_> =
                    found.into_iter().map(|(name, held)| ask(api.clone(), name, held)).collect();
                futures::stream::iter(asking).buffer_unordered(AT_ONCE).collect::<()>().await;
                return;
            }
            Err(error) => {
                warn!(attempt, error = chain(&error), "cannot list the Applications that a webhook concerns")
            }
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
}

/// The Applications that any of the changes concerns, with what they are asked for already.
async fn find(
    api: &Api<Application>,
    changes: &[Change],
) -> Result<BTreeMap<String, Option<String>>, kube::Error> {
    let all = api.list(&ListParams::default().match_any()).await?;
    let mut found = BTreeMap::new();
    for application in all.items {
        let Some(name) = application.metadata.name.clone() else { continue };
        let annotations = application.metadata.annotations.unwrap_or_default();
        let seen = json!({"metadata": {"annotations": annotations}, "spec": application.spec});
        if changes.iter().any(|change| concerns(change, &seen)) {
            found.insert(name, annotations.get(REFRESH).cloned());
        }
    }
    Ok(found)
}

async fn ask(api: Api<Application>, name: String, held: Option<String>) {
    // Who asked for more keeps it.
    let sort = if held.as_deref() == Some("hard") { "hard" } else { "normal" };
    let patch = json!({"metadata": {"annotations": {REFRESH: sort, ASKED_AT: Timestamp::now().to_string()}}});
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    match api.patch(&name, &params, &Patch::Merge(patch)).await {
        Ok(_) => info!(application = name, "asked for a look, because of a webhook"),
        Err(error) if Class::of(&error) == Class::Gone => {}
        Err(error) => {
            warn!(
                application = name,
                error = chain(&error),
                "cannot ask for a look; the next poll has to do"
            );
        }
    }
}
