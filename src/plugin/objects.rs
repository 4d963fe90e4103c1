//! A Rollout with everything it owns, read once.

use anyhow::Result;
use jiff::Timestamp;
use kube::api::{DynamicObject, ListParams};
use serde_json::Value;
use tidegate_api::analysis::AnalysisRun;
use tidegate_api::experiment::Experiment;
use tidegate_api::rollout::Rollout;
use tidegate_engine::view::{HistoryView, Objects, RolloutView};

use crate::kind::Kind;
use crate::session::{Session, decode};

/// The label that every ReplicaSet and pod of a Rollout or Experiment carries.
pub(crate) const HASH_LABEL: &str = "rollouts-pod-template-hash";

/// The kinds that a Rollout owns, with the label that keeps foreign objects out where there is one.
pub(crate) const OWNED: [(Kind, Option<&str>); 4] = [
    (Kind::ReplicaSet, Some(HASH_LABEL)),
    (Kind::Pod, Some(HASH_LABEL)),
    (Kind::AnalysisRun, None),
    (Kind::Experiment, None),
];

/// A Rollout and the objects beside it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Collected {
    pub(crate) rollout: Rollout,
    pub(crate) sets: Vec<Value>,
    pub(crate) pods: Vec<Value>,
    pub(crate) runs: Vec<AnalysisRun>,
    pub(crate) experiments: Vec<Experiment>,
}

impl Collected {
    /// Reads a Rollout and what it owns; what may not be read is left out with a warning.
    pub(crate) async fn read(session: &mut Session<'_>, name: &str) -> Result<Self> {
        Ok(Self { rollout: session.rollout(name).await?, ..Self::owned(session, OWNED).await? })
    }

    /// Reads the objects of the kinds that others own; what may not be read is left out with a warning.
    pub(crate) async fn owned(
        session: &mut Session<'_>,
        kinds: impl IntoIterator<Item = (Kind, Option<&'static str>)>,
    ) -> Result<Self> {
        let mut collected = Self::default();
        let reads = kinds.into_iter().map(|(kind, label)| {
            let params = label.map_or_else(ListParams::default, |label| ListParams::default().labels(label));
            let (session, api) = (&*session, session.api(kind));
            async move { (kind, session.list(&api, kind, &params).await) }
        });
        let mut warnings = Vec::new();
        for (kind, objects) in futures::future::join_all(reads).await {
            match objects {
                Ok(objects) => objects.into_iter().for_each(|object| collected.add(kind, object)),
                Err(failure) => warnings.push(anyhow::Error::from(failure)),
            }
        }
        for warning in warnings {
            session.terminal.warn(&format!("Warning: {warning:#}"))?;
        }
        Ok(collected)
    }

    /// Adds an object; one that cannot be read is left out.
    pub(crate) fn add(&mut self, kind: Kind, object: DynamicObject) {
        match kind {
            Kind::ReplicaSet => self.sets.extend(serde_json::to_value(object)),
            Kind::Pod => self.pods.extend(serde_json::to_value(object)),
            Kind::AnalysisRun => self.runs.extend(decode(object)),
            Kind::Experiment => self.experiments.extend(decode(object)),
            Kind::Rollout
            | Kind::Deployment
            | Kind::PodTemplate
            | Kind::Application
            | Kind::AnalysisTemplate
            | Kind::ClusterAnalysisTemplate => {}
        }
    }

    /// Looks at all of it at once.
    pub(crate) fn view(&self, now: Timestamp) -> RolloutView {
        RolloutView::new(&self.objects(now))
    }

    /// Looks at the revisions; at one of them with its pod template.
    pub(crate) fn history(&self, now: Timestamp, only: Option<i64>) -> HistoryView {
        HistoryView::new(&self.objects(now), only)
    }

    fn objects(&self, now: Timestamp) -> Objects<'_> {
        Objects {
            rollout: &self.rollout,
            sets: &self.sets,
            pods: &self.pods,
            runs: &self.runs,
            experiments: &self.experiments,
            now,
        }
    }
}
