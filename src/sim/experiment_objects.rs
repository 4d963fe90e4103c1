//! The API server's part in Experiments: they come, change and go, and what they own goes with them.
//!
//! Input: writes of the controller and of people. Output: objects, or the refusal of a write.

use std::sync::Arc;

use tidegate_api::experiment::Experiment;
use tidegate_engine::experiment::Write;
use tidegate_engine::rollout::world::Service;

use crate::cluster::{Cluster, Kind, Refusal};
use crate::experiments::controls;

impl Cluster {
    /// Stores an Experiment; a changed spec gets a new generation.
    pub(crate) fn put_experiment(&mut self, mut experiment: Experiment) -> u64 {
        let name = experiment.metadata.name.clone().unwrap_or_default();
        let uid = experiment.metadata.uid.clone().unwrap_or_default();
        experiment.metadata.resource_version = Some((self.version() + 1).to_string());
        let held = self.held(Kind::Experiment, &name, &uid, Arc::new(experiment));
        let version = held.version;
        self.experiments.put(&name, held);
        version
    }

    pub(crate) fn create_experiment(&mut self, experiment: &Experiment) -> Result<u64, Refusal> {
        if self.experiments.get(experiment.metadata.name.as_deref().unwrap_or_default()).is_some() {
            return Err(Refusal::Exists);
        }
        let mut experiment = experiment.clone();
        experiment.metadata.uid = Some(format!("experiment-{}", self.version() + 1));
        experiment.metadata.generation = Some(1);
        experiment.metadata.creation_timestamp = self.creation_time();
        Ok(self.put_experiment(experiment))
    }

    /// Changes an Experiment, if it is there.
    pub(crate) fn edit_experiment(
        &mut self,
        name: &str,
        edit: impl FnOnce(&mut Experiment),
    ) -> Result<u64, Refusal> {
        let known = self.experiments.get(name).cloned().ok_or(Refusal::Missing)?;
        let mut experiment = (*known.object).clone();
        edit(&mut experiment);
        if experiment == *known.object {
            return Ok(known.version);
        }
        if experiment.spec != known.object.spec {
            experiment.metadata.generation = experiment.metadata.generation.map(|generation| generation + 1);
        }
        Ok(self.put_experiment(experiment))
    }

    pub(crate) fn stop_experiment(&mut self, name: &str) -> Result<u64, Refusal> {
        self.edit_experiment(name, |experiment| experiment.spec.terminate = true)
    }

    /// Removes an Experiment, and what it owns.
    pub(crate) fn remove_experiment(&mut self, name: &str) -> Result<u64, Refusal> {
        let uid = self.experiments.get(name).map(|held| held.uid.clone()).ok_or(Refusal::Missing)?;
        let of = |owner: &Option<String>| owner.as_deref() == Some(&uid);
        let sets = self.sets.all().filter(|(_, held)| of(&held.object.owner));
        let sets: Vec<String> = sets.map(|(name, _)| name.clone()).collect();
        let services = self.services.all().filter(|(_, held)| of(&held.object.owner));
        let services: Vec<String> = services.map(|(name, _)| name.clone()).collect();
        let runs = self.runs.all().filter(|(_, held)| controls(&uid, &held.object.metadata));
        let runs: Vec<String> = runs.map(|(name, _)| name.clone()).collect();
        let version = self.next_version(Kind::Experiment, name);
        self.experiments.remove(name, version);
        sets.iter().for_each(|name| self.remove_set(name));
        services.iter().for_each(|name| self.remove_service(name));
        for name in runs {
            let version = self.next_version(Kind::Run, &name);
            self.runs.remove(&name, version);
        }
        Ok(version)
    }

    /// Carries out one write about an Experiment; the new version of the object, or why it was refused.
    ///
    /// `read` is the version of the Experiment that the plan was made from: its status is written under it.
    pub(crate) fn write_of_experiment(
        &mut self,
        name: &str,
        uid: &str,
        read: u64,
        write: &Write,
    ) -> Result<u64, Refusal> {
        match write {
            Write::CreateSet(set) => self.create_set(set, uid),
            Write::PatchSet(patch) => self.patch_set(patch),
            Write::CreateService { name, object } => {
                if self.services.get(name).is_some() {
                    return Err(Refusal::Exists);
                }
                Ok(self.put_service(Service::parse(object)))
            }
            Write::DeleteService { name } => {
                self.services.get(name).ok_or(Refusal::Missing)?;
                self.remove_service(name);
                Ok(self.version())
            }
            Write::CreateRun(run) => self.create_run(run),
            Write::StopRun { name } => self.stop_run(name),
            Write::Status(status) => {
                if self.experiments.get(name).map(|held| held.version) != Some(read) {
                    return Err(Refusal::Conflict);
                }
                self.edit_experiment(name, |experiment| experiment.status = Some(status.to.clone()))
            }
        }
    }
}
