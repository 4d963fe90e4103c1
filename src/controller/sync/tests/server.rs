//! A small API server in memory: objects by path, lists, merge patches, apply, dry runs and refusals.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};

use http::{Method, Request, Response};
use json_patch::merge;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

use crate::sync::place::Served;

/// The server; clones share one state.
#[derive(Clone, Default)]
pub(crate) struct Server(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Value>,
    refusals: BTreeMap<(String, String), (u16, String)>,
    asked: Vec<String>,
    bodies: Vec<Value>,
    version: u64,
}

/// The kinds that the server serves.
pub(crate) fn served() -> Served {
    Served::of_kinds(&[
        ("", "v1", "ConfigMap", "configmaps", true),
        ("", "v1", "Namespace", "namespaces", false),
        ("argoproj.io", "v1alpha1", "Rollout", "rollouts", true),
    ])
}

impl Server {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub(crate) fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move {
                let (parts, body) = request.into_parts();
                let bytes = body.collect_bytes().await.unwrap();
                let body =
                    if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() };
                let (code, answer) = server.lock().answer(&parts.method, &parts.uri, &body);
                let bytes = serde_json::to_vec(&answer).unwrap();
                Ok::<_, Infallible>(Response::builder().status(code).body(Body::from(bytes)).unwrap())
            }
        });
        Client::new(service, "default")
    }

    pub(crate) fn put(&self, collection: &str, mut object: Value) {
        let mut state = self.lock();
        let path = format!("{collection}/{}", object["metadata"]["name"].as_str().unwrap());
        state.version += 1;
        object["metadata"]["resourceVersion"] = json!(state.version.to_string());
        object["metadata"]["uid"] = json!("u");
        state.objects.insert(path, object);
    }

    pub(crate) fn get(&self, path: &str) -> Option<Value> {
        self.lock().objects.get(path).cloned()
    }

    pub(crate) fn change(&self, path: &str, change: impl FnOnce(&mut Value)) {
        let mut state = self.lock();
        state.version += 1;
        let version = state.version.to_string();
        let object = state.objects.get_mut(path).unwrap();
        change(object);
        object["metadata"]["resourceVersion"] = json!(version);
    }

    pub(crate) fn refuse(&self, method: &str, path: &str, code: u16, message: &str) {
        self.lock().refusals.insert((method.into(), path.into()), (code, message.into()));
    }

    pub(crate) fn allow(&self, method: &str, path: &str) {
        self.lock().refusals.remove(&(method.into(), path.into()));
    }

    /// Requests, as method and address.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.lock().asked.clone()
    }

    /// Bodies of the requests that had one.
    pub(crate) fn bodies(&self) -> Vec<Value> {
        self.lock().bodies.clone()
    }

    /// The requests that changed something.
    pub(crate) fn written(&self) -> Vec<String> {
        let asked = self.asked().into_iter();
        asked
            .filter(|line| {
                !line.starts_with("GET") && !line.contains("dryRun") && !line.contains("/applications/")
            })
            .collect()
    }
}

impl State {
    fn answer(&mut self, method: &Method, uri: &http::Uri, body: &Value) -> (u16, Value) {
        self.asked.push(format!("{method} {uri}"));
        if !body.is_null() {
            self.bodies.push(body.clone());
        }
        let path = uri.path().to_owned();
        if let Some((code, message)) = self.refusals.get(&(method.to_string(), path.clone())) {
            return (*code, status(*code, message));
        }
        let query = uri.query().unwrap_or_default();
        match method.as_str() {
            "GET" if self.objects.contains_key(&path) => (200, self.objects[&path].clone()),
            "GET" if is_collection(&path) => (200, self.list(&path)),
            "PATCH" => self.patch(path, body, query),
            "DELETE" if self.objects.remove(&path).is_some() => {
                (200, json!({ "kind": "Status", "status": "Success" }))
            }
            _ => (404, status(404, &format!("{path} not found"))),
        }
    }

    fn list(&self, path: &str) -> Value {
        let prefix = format!("{path}/");
        let items: Vec<Value> = self
            .objects
            .iter()
            .filter(|(found, _)| found.strip_prefix(&prefix).is_some_and(|name| !name.contains('/')))
            .map(|(_, object)| object.clone())
            .collect();
        json!({ "apiVersion": "v1", "kind": "List", "metadata": {}, "items": items })
    }

    fn patch(&mut self, path: String, body: &Value, query: &str) -> (u16, Value) {
        let applies = query.contains("force=true");
        let Some(mut object) = self.objects.get(&path).cloned().or_else(|| applies.then(|| json!({}))) else {
            return (404, status(404, "not found"));
        };
        let asked = body.pointer("/metadata/resourceVersion");
        if asked.is_some() && asked != object.pointer("/metadata/resourceVersion") {
            return (409, status(409, "the object has been modified"));
        }
        let before = object.clone();
        merge(&mut object, body);
        if applies {
            object["metadata"]["managedFields"] = json!([{ "manager": "tidegate-sync", "operation": "Apply", "apiVersion": "v1", "fieldsV1": {} }]);
        } else if body.pointer("/status/reconciledAt").is_some() {
            object["metadata"]["managedFields"] = json!([{
                "manager": "tidegate-sync", "operation": "Update",
                "fieldsV1": { "f:status": { "f:reconciledAt": {} } },
            }]);
        }
        object["metadata"]["uid"] = json!("u");
        if query.contains("dryRun") {
            return (200, object);
        }
        if object != before {
            self.version += 1;
            object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        }
        self.objects.insert(path, object.clone());
        (200, object)
    }
}

/// Whether a path names all objects of a kind: `/api/v1/namespaces/shop/configmaps`, not one of them.
fn is_collection(path: &str) -> bool {
    let last = path.rsplit('/').next().unwrap_or_default();
    ["configmaps", "secrets", "rollouts", "namespaces", "applications"].contains(&last)
}

fn status(code: u16, message: &str) -> Value {
    let reason = match code {
        404 => "NotFound",
        409 => "Conflict",
        403 => "Forbidden",
        422 => "Invalid",
        _ => "InternalError",
    };
    json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code, "reason": reason })
}
