//! Everything that a controller can touch in a namespace, at one moment, and how two moments differ.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use kube::api::ListParams;
use serde_json::{Value, json};

use crate::scene::Scene;

/// Every kind that either controller writes, or whose objects it makes others write.
const KINDS: [(&str, &str); 11] = [
    ("argoproj.io/v1alpha1", "Rollout"),
    ("argoproj.io/v1alpha1", "AnalysisTemplate"),
    ("argoproj.io/v1alpha1", "AnalysisRun"),
    ("argoproj.io/v1alpha1", "Experiment"),
    ("apps/v1", "ReplicaSet"),
    ("apps/v1", "Deployment"),
    ("v1", "Pod"),
    ("v1", "Service"),
    ("batch/v1", "Job"),
    ("networking.k8s.io/v1", "Ingress"),
    ("v1", "Event"),
];
/// Kinds whose Events are a controller's words.
const SPEAKERS: [&str; 3] = ["Rollout", "AnalysisRun", "Experiment"];
/// Nothing has moved for so long.
const QUIET: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(60);

/// All objects by kind and name.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Snapshot(BTreeMap<(String, String), Value>);

/// One field of one object at two moments.
#[derive(Debug)]
pub(super) struct Difference {
    pub(super) object: String,
    /// The field's path, or nothing where the whole object came or went.
    pub(super) path: String,
    pub(super) before: Value,
    pub(super) after: Value,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let short = |value: &Value| value.to_string().chars().take(400).collect::<String>();
        write!(f, "{} {}: {} -> {}", self.object, self.path, short(&self.before), short(&self.after))
    }
}

impl Snapshot {
    /// Lists everything once but for Services of these names.
    async fn take(scene: &Scene, restless: &[String]) -> Result<Self> {
        let mut all = BTreeMap::new();
        for (api_version, kind) in KINDS {
            let api = scene.api_of(api_version, kind).await?;
            let list =
                api.list(&ListParams::default()).await.with_context(|| format!("cannot list {kind}"))?;
            for object in list {
                let known = kept(kind, serde_json::to_value(object)?);
                let known = known.filter(|(name, _)| kind != "Service" || !restless.contains(name));
                if let Some((name, kept)) = known {
                    all.insert((kind.to_owned(), name), kept);
                }
            }
        }
        Ok(Self(all))
    }

    /// Lists everything again and again until nothing has moved for a while.
    pub(super) async fn until_quiet(scene: &Scene, restless: &[String]) -> Result<Self> {
        let deadline = Instant::now() + PATIENCE;
        let mut last = Self::take(scene, restless).await?;
        loop {
            tokio::time::sleep(QUIET).await;
            let now = Self::take(scene, restless).await?;
            let moved = last.differences(&now);
            if moved.is_empty() && !now.has_leaving_pods() {
                return Ok(now);
            }
            ensure!(Instant::now() < deadline, "it does not come to rest:\n{}", lines(&moved));
            last = now;
        }
    }

    /// Whether pods are on their way out: they keep still for some seconds, and then they are gone.
    fn has_leaving_pods(&self) -> bool {
        self.of_kind("Pod").any(|(_, pod)| !pod["metadata"]["deletionTimestamp"].is_null())
    }

    pub(super) fn of_kind(&self, wanted: &str) -> impl Iterator<Item = (&str, &Value)> {
        let of_kind = self.0.iter().filter(move |((kind, _), _)| kind == wanted);
        of_kind.map(|((_, name), object)| (name.as_str(), object))
    }

    /// What differs, field by field.
    pub(super) fn differences(&self, after: &Self) -> Vec<Difference> {
        let mut found = Vec::new();
        let keys = self.0.keys().chain(after.0.keys().filter(|key| !self.0.contains_key(*key)));
        for key in keys {
            let object = format!("{} {}", key.0, key.1);
            match (self.0.get(key), after.0.get(key)) {
                (Some(before), Some(after)) => compare(&object, String::new(), before, after, &mut found),
                (before, after) => {
                    let [before, after] = [before, after].map(|object| object.cloned().unwrap_or_default());
                    found.push(Difference { object, path: String::new(), before, after });
                }
            }
        }
        found
    }

    /// Writes one file with all objects, for a person.
    pub(super) fn keep(&self, path: &Path) -> Result<()> {
        let all: Vec<&Value> = self.0.values().collect();
        std::fs::write(path, serde_json::to_vec_pretty(&all)?)
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

/// One line for each.
pub(super) fn lines<'d>(differences: impl IntoIterator<Item = &'d Difference>) -> String {
    differences.into_iter().map(|one| format!("    {one}")).collect::<Vec<_>>().join("\n")
}

/// What counts of an object: not who wrote which field, not how the kubelet finds its pods, and of Events only what the
/// controllers say. Either of them says of each Rollout that it has found it, which is no change.
fn kept(kind: &str, mut object: Value) -> Option<(String, Value)> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    if kind == "Event" {
        let about = &object["involvedObject"];
        let speaks = about["kind"].as_str().is_some_and(|kind| SPEAKERS.contains(&kind));
        if !speaks || object["reason"] == "RolloutAddedToInformer" {
            return None;
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let name = format!("{} {} {}", text(&about["kind"]), text(&about["name"]), text(&object["reason"]));
        return Some((format!("{name}: {}", text(&object["message"])), json!({"kind": "Event"})));
    }
    let metadata = object["metadata"].as_object_mut()?;
    metadata.remove("managedFields");
    if kind == "Pod" {
        metadata.remove("resourceVersion");
        object.as_object_mut()?.remove("status");
    }
    Some((name, object))
}

fn compare(object: &str, path: String, before: &Value, after: &Value, found: &mut Vec<Difference>) {
    match (before, after) {
        (Value::Object(old), Value::Object(new)) => {
            let keys = old.keys().chain(new.keys().filter(|key| !old.contains_key(*key)));
            for key in keys {
                let field = format!("{path}.{key}");
                let [a, b] = [old, new].map(|side| side.get(key).unwrap_or(&Value::Null));
                compare(object, field, a, b, found);
            }
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            for (index, (a, b)) in old.iter().zip(new).enumerate() {
                compare(object, format!("{path}[{index}]"), a, b, found);
            }
        }
        _ if before == after => {}
        _ => found.push(Difference {
            object: object.to_owned(),
            path,
            before: before.clone(),
            after: after.clone(),
        }),
    }
}

#[cfg(test)]
mod unit {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::Snapshot;

    fn of(object: Value) -> Snapshot {
        Snapshot(BTreeMap::from([(("Rollout".to_owned(), "shop".to_owned()), object)]))
    }

    #[test]
    fn every_field_that_differs_is_found() {
        let before = of(json!({"spec": {"steps": [{"setWeight": 1}], "gone": 1}, "same": {"a": []}}));
        let after = of(json!({"spec": {"steps": [{"setWeight": 2}], "new": 1}, "same": {"a": []}}));
        let found: Vec<String> = before.differences(&after).iter().map(ToString::to_string).collect();
        let all = [
            "Rollout shop .spec.gone: 1 -> null",
            "Rollout shop .spec.steps[0].setWeight: 1 -> 2",
            "Rollout shop .spec.new: null -> 1",
        ];
        assert!(all.iter().all(|one| found.iter().any(|line| line == one)) && found.len() == 3, "{found:?}");
        let none = Snapshot(BTreeMap::new());
        assert_eq!(none.differences(&after).len(), 1);
        assert_eq!(after.differences(&none).len(), 1);
    }
}
