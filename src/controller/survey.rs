//! Looks at one Rollout or one Application as the controller does, once, and with the rights of whoever asks.
//!
//! Input: a connection and a name. Output: the world that a decision would be made on, and what of it could not be read.
//! The stores, the facts and their assembly are the controller's own, so an explanation never tells of another world
//! than the one that the controller sees. Nothing is written.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use kube::Client;
use kube::api::{Api, ApiResource, ListParams};
use kube::{Resource, ResourceExt};
use tidegate_engine::fence::Seen;
use tidegate_engine::rollout::world::{HASH_LABEL, World};

use crate::facts::{Facts, Uses};
use crate::failure::chain;
use crate::kinds;
use crate::observe::observe;
use crate::optional::is_absent;
use crate::raw::Raw;
use crate::store::{Key, Store};
use crate::watch::Stores;

pub use crate::sync::survey::{Origin, Request, application};

/// Objects per page of a list.
const PAGE: u32 = 500;

/// A world, and what of it could not be read.
#[derive(Debug)]
pub struct Survey<W> {
    /// The world.
    pub world: W,
    /// One sentence for each kind or object that is missing from it.
    pub unknown: Vec<String>,
}

/// Looks at one Rollout; `None` when there is no such Rollout.
///
/// # Errors
/// The Rollout itself cannot be read. What else cannot be read is said in the answer.
pub async fn rollout(
    client: &Client,
    namespace: &str,
    name: &str,
    now: Timestamp,
) -> Result<Option<Survey<World>>, kube::Error> {
    let stores = Stores::default();
    let mut eye = Eye { client, namespace, unknown: Vec::new() };
    let api: Api<Raw> = Api::namespaced_with(client.clone(), namespace, &kinds::rollout());
    let Some(found) = api.get_opt(name).await? else { return Ok(None) };
    eye.keep(&stores.rollouts, &kinds::rollout(), found);
    let key = Key::new(namespace, name);
    let Some(facts) = stores.rollouts.value(namespace, name) else {
        return Err(kube::Error::Service(
            format!("Rollout {key} is malformed: {}", eye.unknown.join("; ")).into(),
        ));
    };
    let (hashed, all) = (ListParams::default().labels(HASH_LABEL), ListParams::default());
    eye.look(&stores.sets, &kinds::replica_set(), &hashed).await;
    eye.look(&stores.pods, &kinds::pod(), &hashed).await;
    eye.look(&stores.runs, &kinds::analysis_run(), &all).await;
    if facts.uses.experiment {
        eye.look(&stores.experiments, &kinds::experiment(), &all).await;
    }
    if !facts.uses.services.is_empty() {
        eye.look(&stores.services, &kinds::service(), &all).await;
        eye.look(&stores.slices, &kinds::endpoint_slice(), &all).await;
    }
    for (kind, namespaces) in routes(&facts.uses, namespace) {
        eye.routes(&stores, &kind, &namespaces).await;
    }
    if facts.uses.analysis {
        eye.look(&stores.templates, &kinds::analysis_template(), &all).await;
        eye.look(&stores.cluster_templates, &kinds::cluster_analysis_template(), &all).await;
    }
    if let Some((kind, named)) = &facts.uses.workload {
        let only = ListParams::default().fields(&format!("metadata.name={named}"));
        let (followed, before) = (stores.workloads.of(*kind), eye.unknown.len());
        eye.look(&followed.store, &kinds::workload(*kind), &only).await;
        followed.note(eye.unknown.get(before).cloned());
    }
    let unknown = eye.unknown;
    Ok(observe(&stores, &key, now).map(|observed| Survey { world: observed.world, unknown }))
}

/// The kinds of routing objects that a Rollout uses, and the namespaces that they are in.
fn routes(uses: &Uses, home: &str) -> BTreeMap<String, BTreeSet<String>> {
    let named = uses.routes.iter().map(|route| (route.kind.clone(), route.namespace_or(home).to_owned()));
    let selected = uses.selections.iter().map(|selection| {
        let namespace = selection.namespace.as_deref().unwrap_or(home);
        (selection.kind.to_owned(), namespace.to_owned())
    });
    let mut places: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (kind, namespace) in named.chain(selected) {
        places.entry(kind).or_default().insert(namespace);
    }
    places
}

/// Fills stores by lists.
struct Eye<'a> {
    client: &'a Client,
    namespace: &'a str,
    unknown: Vec<String>,
}

impl Eye<'_> {
    /// Lists one kind; a kind that cannot be listed is said to be unknown.
    async fn look<T: Facts>(&mut self, store: &Store<T>, kind: &ApiResource, params: &ListParams) {
        let is_cluster_wide = *kind == kinds::cluster_analysis_template();
        let namespace = if is_cluster_wide { None } else { Some(self.namespace) };
        if let Err(error) = self.list(store, kind, namespace, params).await {
            self.unknown.push(format!("{}: {}", kind.plural, chain(&error)));
        }
    }

    async fn list<T: Facts>(
        &mut self,
        store: &Store<T>,
        kind: &ApiResource,
        namespace: Option<&str>,
        params: &ListParams,
    ) -> Result<(), kube::Error> {
        let client = self.client.clone();
        let api: Api<Raw> = match namespace {
            Some(namespace) => Api::namespaced_with(client, namespace, kind),
            None => Api::all_with(client, kind),
        };
        let mut page = params.clone().limit(PAGE);
        loop {
            let list = api.list(&page).await?;
            let next = list.metadata.continue_.clone().filter(|token| !token.is_empty());
            for object in list.items {
                self.keep(store, kind, object);
            }
            match next {
                Some(token) => page = page.continue_token(&token),
                None => return Ok(()),
            }
        }
    }

    /// Lists the routing objects of one kind, in the newest version that is served.
    async fn routes(&mut self, stores: &Stores, kind: &str, namespaces: &BTreeSet<String>) {
        let Some(newest) = kinds::routes().into_iter().find(|known| known.kind == kind) else { return };
        let Some(store) = stores.routes(kind) else { return };
        let older = (newest == kinds::http_route()).then(|| kinds::in_version(&newest, "v1beta1"));
        let note = |served, unread| stores.optional(kind).map(|optional| optional.note(served, unread));
        'versions: for version in std::iter::once(newest.clone()).chain(older) {
            for namespace in namespaces {
                match self.list(store, &version, Some(namespace), &ListParams::default()).await {
                    Ok(()) => {}
                    Err(error) if is_absent(&error) => continue 'versions,
                    Err(error) => {
                        self.unknown.push(format!("{}: {}", version.plural, chain(&error)));
                        note(Some(version), Some(chain(&error)));
                        return;
                    }
                }
            }
            note(Some(version), None);
            return;
        }
        let why = format!("the cluster does not serve {}", newest.plural);
        note(None, Some(why.clone()));
        self.unknown.push(why);
    }

    fn keep<T: Facts>(&mut self, store: &Store<T>, kind: &ApiResource, object: Raw) {
        let key = Key::new(object.namespace().unwrap_or_default(), object.name_any());
        let seen = Seen {
            version: object.meta().resource_version.clone().unwrap_or_default(),
            uid: object.meta().uid.clone().unwrap_or_default(),
        };
        match object.whole(kind, T::spec(None)).and_then(|object| T::keep(object, None)) {
            Ok(facts) => {
                store.apply(key, seen, facts);
            }
            Err(error) => self.unknown.push(format!("{} {key} is malformed: {error}", kind.kind)),
        }
    }
}
