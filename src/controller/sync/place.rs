//! The cluster as a destination: which kinds it serves, and clients that act as the right ServiceAccount.
//!
//! Input: a kubeconfig and user names. Output: clients and kinds. It must never know what is applied.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kube::api::{Api, ApiResource, DynamicObject};
use kube::core::{DynamicResourceScope, PartialObjectMeta};
use kube::discovery::{ApiCapabilities, Discovery, Scope, verbs};
use kube::{Client, Config, Resource};
use serde_json::Value;
use tidegate_engine::sync::{Key, KindFact, Kinds};
use tokio::time::Instant;

use crate::client::{self, Gate, Limit};
use crate::metrics::Metrics;

/// How long the list of served kinds is trusted when nothing says that it is old.
const KINDS_FOR: Duration = Duration::from_secs(60);
/// Kinds whose objects come and go by themselves; nothing that anybody applied is among them.
const FLEETING: [(&str, &str); 2] = [("", "Event"), ("events.k8s.io", "Event")];

/// Clients for destinations.
pub(crate) struct Places {
    config: Config,
    gate: Gate,
    metrics: Arc<Metrics>,
    requests_per_second: f64,
    burst: u32,
    clients: Mutex<BTreeMap<String, Client>>,
    served: tokio::sync::Mutex<Option<(Instant, Arc<Served>)>>,
}

impl Places {
    pub(crate) fn new(
        config: Config,
        gate: Gate,
        metrics: Arc<Metrics>,
        requests_per_second: f64,
        burst: u32,
    ) -> Self {
        let (clients, served) = (Mutex::default(), tokio::sync::Mutex::default());
        Self { config, gate, metrics, requests_per_second, burst, clients, served }
    }

    /// A client that acts as a user; without one, as the controller itself.
    ///
    /// # Errors
    /// The controller's own credentials cannot be read.
    pub(crate) fn client(&self, user: Option<&str>) -> Result<Client, kube::Error> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(user.unwrap_or_default()) {
            return Ok(client.clone());
        }
        let mut config = self.config.clone();
        config.auth_info.impersonate = user.map(ToOwned::to_owned);
        let limit = Limit::new(self.requests_per_second, self.burst);
        let client = client::build(&config, limit, self.gate.clone(), Arc::clone(&self.metrics))?;
        clients.insert(user.unwrap_or_default().to_owned(), client.clone());
        Ok(client)
    }

    /// The kinds that the cluster serves. They are asked for anew when the answer is old, or when it lacks one
    /// of the kinds that are needed.
    ///
    /// # Errors
    /// The cluster cannot be asked.
    pub(crate) async fn served(&self, needed: &[(String, String)]) -> Result<Arc<Served>, kube::Error> {
        let mut held = self.served.lock().await;
        if let Some((at, served)) = held.as_ref() {
            let lacks = needed.iter().any(|kind| !served.kinds.contains_key(kind));
            // A kind that is not served at all would otherwise be asked for in every round.
            let for_long = if lacks { KINDS_FOR / 12 } else { KINDS_FOR };
            if at.elapsed() < for_long {
                return Ok(Arc::clone(served));
            }
        }
        let served = Arc::new(Served::read(Discovery::new(self.client(None)?).run_aggregated().await?));
        *held = Some((Instant::now(), Arc::clone(&served)));
        Ok(served)
    }

    /// Forgets the served kinds, because a definition was just applied.
    pub(crate) async fn forget_kinds(&self) {
        *self.served.lock().await = None;
    }
}

/// Who acts where: the account of each namespace that this installation may write to, and that of the destination for
/// everything else. An Application whose destination moves still finds, and may take away, what it left behind.
#[derive(Clone)]
pub(crate) struct Actors {
    destination: Client,
    elsewhere: BTreeMap<String, Client>,
}

impl Actors {
    /// One account for the destination, others elsewhere.
    pub(crate) fn new(destination: Client, elsewhere: BTreeMap<String, Client>) -> Self {
        Self { destination, elsewhere }
    }

    /// The client for objects of a namespace; an empty one stands for objects without.
    pub(crate) fn of(&self, namespace: &str) -> &Client {
        self.elsewhere.get(namespace).unwrap_or(&self.destination)
    }

    /// Access to Namespaces, as the account of one of them.
    pub(crate) fn namespace_api(&self, kind: &Kind, name: &str) -> Api<DynamicObject> {
        Api::all_with(self.of(name).clone(), &kind.resource)
    }

    /// Access to the objects of a kind, in a namespace if it has them.
    pub(crate) fn api(&self, kind: &Kind, namespace: &str) -> Api<DynamicObject> {
        self.access(kind, namespace)
    }

    /// The same to their metadata alone.
    pub(crate) fn metadata_api(&self, kind: &Kind, namespace: &str) -> Api<PartialObjectMeta<DynamicObject>> {
        self.access(kind, namespace)
    }

    fn access<K>(&self, kind: &Kind, namespace: &str) -> Api<K>
    where
        K: Resource<DynamicType = ApiResource, Scope = DynamicResourceScope>,
    {
        let client = self.of(namespace).clone();
        if kind.namespaced && !namespace.is_empty() {
            Api::namespaced_with(client, namespace, &kind.resource)
        } else {
            Api::all_with(client, &kind.resource)
        }
    }
}

/// The kinds that a cluster serves.
#[derive(Debug, Default)]
pub(crate) struct Served {
    kinds: BTreeMap<(String, String), Vec<Kind>>,
}

/// One kind in one version.
#[derive(Clone, Debug)]
pub(crate) struct Kind {
    pub(crate) resource: ApiResource,
    pub(crate) namespaced: bool,
    /// Whether its objects can be looked through and deleted one by one.
    pub(crate) manageable: bool,
}

impl Served {
    fn read(discovery: Discovery) -> Self {
        let mut served = Self::default();
        for group in discovery.groups() {
            // The preferred version comes first.
            for version in group.versions() {
                for (resource, capabilities) in group.versioned_resources(version) {
                    served.add(resource, &capabilities);
                }
            }
        }
        served
    }

    fn add(&mut self, resource: ApiResource, capabilities: &ApiCapabilities) {
        let can = |verb: &str| capabilities.supports_operation(verb);
        let kind = (resource.group.clone(), resource.kind.clone());
        let fleeting = FLEETING.contains(&(kind.0.as_str(), kind.1.as_str()));
        self.kinds.entry(kind).or_default().push(Kind {
            resource,
            namespaced: matches!(capabilities.scope, Scope::Namespaced),
            manageable: can(verbs::LIST) && can(verbs::DELETE) && can(verbs::WATCH) && !fleeting,
        });
    }

    /// The kinds as facts for decisions.
    pub(crate) fn facts(&self) -> Kinds {
        let fact = |kinds: &Vec<Kind>| KindFact {
            versions: kinds.iter().map(|kind| kind.resource.version.clone()).collect(),
            namespaced: kinds.first().is_some_and(|kind| kind.namespaced),
        };
        self.kinds.iter().map(|(name, kinds)| (name.clone(), fact(kinds))).collect()
    }

    /// One kind, in a version if it is served in that, else in the preferred one.
    pub(crate) fn kind(&self, group: &str, kind: &str, version: &str) -> Option<&Kind> {
        let kinds = self.kinds.get(&(group.to_owned(), kind.to_owned()))?;
        kinds.iter().find(|kind| kind.resource.version == version).or_else(|| kinds.first())
    }

    /// Every kind in its preferred version.
    pub(crate) fn preferred(&self) -> impl Iterator<Item = &Kind> {
        self.kinds.values().filter_map(|kinds| kinds.first())
    }

    /// The kind of an object.
    pub(crate) fn of(&self, key: &Key, version: &str) -> Option<&Kind> {
        self.kind(&key.group, &key.kind, version)
    }
}

/// An object as JSON, with the kind that items of a list lack.
pub(crate) fn json(object: &DynamicObject, resource: &ApiResource) -> Value {
    let mut value = serde_json::to_value(object).unwrap_or_default();
    if let Some(map) = value.as_object_mut() {
        map.insert("apiVersion".to_owned(), Value::String(resource.api_version.clone()));
        map.insert("kind".to_owned(), Value::String(resource.kind.clone()));
    }
    value
}

#[cfg(test)]
impl Places {
    /// Hands out one client for every user, and these kinds for ever.
    pub(crate) fn fixed(client: Client, served: Served) -> Self {
        let config = Config::new("http://127.0.0.1:1".parse().unwrap());
        let mut places = Self::new(config, Gate::always_open(), Arc::default(), 0.0, 1);
        for user in ["", "system:serviceaccount:shop:tidegate-sync"] {
            places.clients.get_mut().unwrap().insert(user.to_owned(), client.clone());
        }
        *places.served.get_mut() = Some((Instant::now(), Arc::new(served)));
        places
    }
}

#[cfg(test)]
impl Served {
    /// Kinds by group, version, kind, plural and whether they are namespaced.
    pub(crate) fn of_kinds(kinds: &[(&str, &str, &str, &str, bool)]) -> Self {
        let mut served = Self::default();
        for (group, version, kind, plural, namespaced) in kinds {
            let api_version =
                if group.is_empty() { (*version).to_owned() } else { format!("{group}/{version}") };
            let resource = ApiResource {
                group: (*group).to_owned(),
                version: (*version).to_owned(),
                api_version,
                kind: (*kind).to_owned(),
                plural: (*plural).to_owned(),
            };
            let name = (resource.group.clone(), resource.kind.clone());
            let kind = Kind { resource, namespaced: *namespaced, manageable: true };
            served.kinds.entry(name).or_default().push(kind);
        }
        served
    }
}
