//! `undo NAME`: puts the pod template of an earlier revision back into the spec.

use anyhow::{Result, anyhow};
use clap::Args;
use kube::ResourceExt;
use kube::api::{DynamicObject, ListParams};
use serde_json::Value;

use tidegate_engine::rollout::world::EPHEMERAL_METADATA;
use tidegate_engine::rollout::{additions, template};

use super::guard;
use crate::Exit;
use crate::kind::Kind;
use crate::objects::HASH_LABEL;
use crate::session::Session;

/// The revision number of a ReplicaSet.
const REVISION: &str = "rollout.argoproj.io/revision";

/// Go back to an earlier revision of a rollout.
#[derive(Debug, Args)]
pub(crate) struct Undo {
    /// Name of the rollout.
    name: String,
    /// Revision to go back to; 0 for the one before.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    to_revision: i64,
    /// Do it even if an Application will undo it.
    #[arg(long)]
    force: bool,
}

impl Undo {
    /// Puts the template back.
    pub(crate) async fn run(&self, session: &mut Session<'_>) -> Result<Exit> {
        let rollout = session.object(Kind::Rollout, &self.name).await?;
        let params = ListParams::default().labels(HASH_LABEL);
        let sets = session.list(&session.api(Kind::ReplicaSet), Kind::ReplicaSet, &params).await?;
        let (revision, set) = choose(&rollout, &sets, self.to_revision)?;
        let stored = set.data.pointer("/spec/template").unwrap_or(&Value::Null);
        // What a role or an update added to the pods is not the template's.
        let given = set.annotations().get(EPHEMERAL_METADATA).map(String::as_str);
        let wanted = without_hash(additions::own_template(stored, given));
        let (kind, target, path) = target(&rollout)?;
        let current = if kind == Kind::Rollout { rollout } else { session.object(kind, &target).await? };
        let known = current.data.pointer(path).cloned().unwrap_or(Value::Null);
        if template::equal_ignoring_hash(&wanted, &known) {
            let line = format!("skipped rollback (current template already matches revision {revision})");
            session.terminal.say(&line)?;
            return Ok(Exit::Done);
        }
        if !self.force {
            let commit = format!("the pod template of revision {revision}");
            guard::refuse_if_healed(session, &current, &commit).await?;
        }
        session.replace_at(kind, &target, path, &wanted).await?;
        session.terminal.say(&format!("rollout '{}' undo", self.name))?;
        Ok(Exit::Done)
    }
}

/// Says which object holds the pod template, and where.
pub(super) fn target(rollout: &DynamicObject) -> Result<(Kind, String, &'static str)> {
    let Some(reference) = rollout.data.pointer("/spec/workloadRef") else {
        return Ok((Kind::Rollout, rollout.name_any(), "/spec/template"));
    };
    let name = reference["name"].as_str().unwrap_or_default().to_owned();
    match reference["kind"].as_str().unwrap_or_default() {
        "Deployment" => Ok((Kind::Deployment, name, "/spec/template")),
        "ReplicaSet" => Ok((Kind::ReplicaSet, name, "/spec/template")),
        "PodTemplate" => Ok((Kind::PodTemplate, name, "/template")),
        other => Err(anyhow!(
            "rollout {:?} refers to a workload of kind {other:?}: only Deployment, ReplicaSet and PodTemplate can be changed",
            rollout.name_any()
        )),
    }
}

/// Chooses the ReplicaSet of a revision among those of a Rollout; 0 means the second newest.
fn choose<'s>(
    rollout: &DynamicObject,
    sets: &'s [DynamicObject],
    wanted: i64,
) -> Result<(i64, &'s DynamicObject)> {
    let uid = rollout.metadata.uid.as_deref().unwrap_or_default();
    let is_owned = |set: &&DynamicObject| {
        set.owner_references().iter().any(|owner| owner.uid == uid && owner.controller == Some(true))
    };
    let revision = |set: &DynamicObject| -> i64 {
        set.annotations().get(REVISION).and_then(|text| text.parse().ok()).unwrap_or(0)
    };
    let mut owned: Vec<(i64, &DynamicObject)> =
        sets.iter().filter(is_owned).map(|set| (revision(set), set)).collect();
    owned.sort_by_key(|(revision, _)| std::cmp::Reverse(*revision));
    let name = rollout.name_any();
    if wanted == 0 {
        return owned
            .get(1)
            .copied()
            .ok_or_else(|| anyhow!("rollout {name:?} has no earlier revision to go back to"));
    }
    owned.iter().find(|(revision, _)| *revision == wanted).copied().ok_or_else(|| {
        let there: Vec<String> = owned.iter().map(|(revision, _)| revision.to_string()).collect();
        anyhow!("rollout {name:?} has no revision {wanted}: there are {}", there.join(", "))
    })
}

/// Removes the label that names a revision.
fn without_hash(mut template: Value) -> Value {
    if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.remove(HASH_LABEL);
    }
    template
}

#[cfg(test)]
mod tests {
    use super::{choose, target, template, without_hash};
    use crate::kind::Kind;
    use kube::api::DynamicObject;
    use serde_json::{Value, json};

    fn object(value: Value) -> DynamicObject {
        serde_json::from_value(value).unwrap()
    }

    fn set(revision: &str, owner: &str) -> DynamicObject {
        object(json!({ "metadata": {
            "name": format!("web-{revision}"),
            "annotations": { "rollout.argoproj.io/revision": revision },
            "ownerReferences": [{ "apiVersion": "v1", "kind": "Rollout", "name": "web", "uid": owner, "controller": true }],
        } }))
    }

    #[test]
    fn the_revision_before_the_newest_is_chosen() {
        let rollout = object(json!({ "metadata": { "name": "web", "uid": "a" } }));
        let sets = [set("2", "a"), set("10", "a"), set("9", "a"), set("11", "b")];
        assert_eq!(choose(&rollout, &sets, 0).unwrap().0, 9);
        assert_eq!(choose(&rollout, &sets, 2).unwrap().0, 2);
        assert!(choose(&rollout, &sets, 11).is_err());
        assert!(choose(&rollout, &sets[..1], 0).is_err());
    }

    #[test]
    fn a_template_matches_despite_defaults_and_not_when_something_was_taken_away() {
        let ours = json!({ "metadata": { "labels": { "app": "web" } }, "spec": { "containers": [{ "name": "a", "image": "a:1" }] } });
        let stored = json!({
            "metadata": { "labels": { "app": "web", "rollouts-pod-template-hash": "h" } },
            "spec": {
                "containers": [{ "name": "a", "image": "a:1", "imagePullPolicy": "IfNotPresent" }],
                "dnsPolicy": "ClusterFirst",
            },
        });
        assert!(template::equal_ignoring_hash(&without_hash(stored.clone()), &ours));
        let mut probed = stored;
        probed["spec"]["containers"][0]["readinessProbe"] = json!({ "httpGet": { "path": "/", "port": 80 } });
        assert!(!template::equal_ignoring_hash(&without_hash(probed), &ours));
    }

    #[test]
    fn the_template_lies_where_the_workload_keeps_it() {
        let with = |kind: &str| {
            object(json!({ "metadata": {}, "spec": { "workloadRef": { "kind": kind, "name": "w" } } }))
        };
        assert_eq!(
            target(&with("Deployment")).unwrap(),
            (Kind::Deployment, "w".to_owned(), "/spec/template")
        );
        assert_eq!(target(&with("PodTemplate")).unwrap(), (Kind::PodTemplate, "w".to_owned(), "/template"));
        assert!(target(&with("Job")).is_err());
    }
}
