//! From upstream's own controller to Tidegate and back: one stops, the other starts, and nothing changes by that.
//!
//! One controller brings objects into every state of a list, and stops. The other starts, looks at everything, and must
//! leave it as it is: the same pods, templates, sizes, selectors, weights. Then it goes on from there to the end.
//! Both own the same kinds, so this runs on a cluster of its own.

mod controller;
mod snapshot;
mod states;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, ensure};
use futures::future::{join_all, try_join_all};
use kube::api::{Patch, PatchParams};

use self::controller::{Side, ensure_no_writes};
use self::snapshot::{Difference, Snapshot, lines};
use self::states::{Move, State, filled};
use super::client::Client;
use crate::cluster::Cluster;
use crate::scene::Scene;
use crate::{argo, manifest, say};

/// How many states are looked at together unless somebody says otherwise.
const AT_ONCE: usize = 20;

/// What is looked at.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// Only the states whose name contains this
    #[arg(default_value = "")]
    filter: String,
    /// Only a few states, those that matter most
    #[arg(long)]
    short: bool,
    /// Only one way: `to` Tidegate or `back` to upstream
    #[arg(long)]
    only: Option<String>,
    /// How many states are looked at together; more take more of the machine, and fewer take longer
    #[arg(long, default_value_t = AT_ONCE)]
    at_once: usize,
    /// Keeps what the objects were before and after, as files in this directory
    #[arg(long)]
    keep: Option<PathBuf>,
}

impl Options {
    /// The few states, both ways.
    pub(crate) fn short() -> Self {
        Self { filter: String::new(), short: true, only: None, at_once: AT_ONCE, keep: None }
    }

    fn states(&self) -> Vec<State> {
        let chosen = |state: &State| state.name.contains(&self.filter) && (state.short || !self.short);
        states::all().into_iter().filter(chosen).collect()
    }
}

/// Both ways, on a cluster on which neither controller runs.
pub(crate) async fn run(cluster: Arc<Cluster>, options: &Options) -> Result<()> {
    ensure!(!options.states().is_empty(), "no state has {:?} in its name", options.filter);
    argo::apply_rollouts(cluster.client()).await?;
    let ways = [("to", Side::Upstream, Side::Tidegate), ("back", Side::Tidegate, Side::Upstream)];
    let mut failed = Vec::new();
    for (way, from, to) in ways {
        if options.only.as_ref().is_some_and(|only| only != way) {
            continue;
        }
        let mut states = options.states();
        for part in 1.. {
            let rest = states.split_off(states.len().min(options.at_once.max(1)));
            let handover = Handover { options, name: format!("{way}-{part}"), from, to, states };
            failed.extend(handover.in_its_own_place(&cluster).await?);
            if rest.is_empty() {
                break;
            }
            states = rest;
        }
    }
    ensure!(failed.is_empty(), "{}", failed.join("\n"));
    Ok(())
}

/// One way, for some of the states.
struct Handover<'a> {
    options: &'a Options,
    /// Such as `to-1`.
    name: String,
    from: Side,
    to: Side,
    states: Vec<State>,
}

impl Handover<'_> {
    /// In a namespace of its own; what went wrong is told with its story.
    async fn in_its_own_place(&self, cluster: &Arc<Cluster>) -> Result<Option<String>> {
        let unique = jiff::Timestamp::now().as_millisecond() % 1_000_000_000;
        let namespace = format!("handover-{}-{unique}", self.name);
        let scene = Arc::new(Scene::open(Arc::clone(cluster), &namespace).await?);
        let result = self.run(&scene).await;
        for side in [self.from, self.to] {
            side.stop(&scene).await?;
        }
        scene.close().await?;
        let (from, to) = (self.from.name(), self.to.name());
        Ok(result.err().map(|error| format!("from {from} to {to}: {error:#}\n{}", scene.story())))
    }

    async fn run(&self, scene: &Arc<Scene>) -> Result<()> {
        let states = &self.states;
        scene.given(&format!("{} with objects in {} states", self.from.name(), states.len()));
        self.from.start(scene).await?;
        // What others name must be there before them.
        self.apply(scene, states::shared().iter()).await?;
        self.apply(scene, states.iter().flat_map(|state| &state.objects)).await?;
        self.each(scene, |state| &state.way).await?;
        let restless: Vec<String> = states
            .iter()
            .filter(|state| state.is_restless)
            .map(|state| format!("{}-canary", state.name))
            .collect();
        let left = Snapshot::until_quiet(scene, &restless).await?;
        self.keep("before", &left)?;
        self.from.stop(scene).await?;

        scene.when(&format!("{} starts in its place", self.to.name()));
        self.to.start(scene).await?;
        self.to.until_it_has_seen(scene, &left).await?;
        let found = Snapshot::until_quiet(scene, &restless).await?;
        self.keep("after", &found)?;
        scene.then("everything is as it was");
        let all = left.differences(&found);
        let spoken: Vec<String> =
            all.iter().filter(|one| is_of_words(one)).map(|one| one.object.clone()).collect();
        let differences: Vec<&Difference> = all.iter().filter(|one| !self.may_differ(one, &spoken)).collect();
        let unchanged = if differences.is_empty() {
            Ok(())
        } else {
            Err(anyhow!("{} changed:\n{}", self.to.name(), lines(differences)))
        };
        let unwritten = if self.to == Side::Tidegate {
            ensure_no_writes(self.to, scene, &restless, spoken.len()).await
        } else {
            Ok(())
        };

        scene.when("it goes on from there");
        let ended = self.each(scene, |state| &state.onward).await;
        let problems: Vec<String> = [unchanged, unwritten, ended]
            .into_iter()
            .filter_map(|one| Some(format!("{:#}", one.err()?)))
            .collect();
        ensure!(problems.is_empty(), "{}", problems.join("\n"));
        say(format!(
            "   {} -> {}: {} states as they were, and all at their ends",
            self.from.name(),
            self.to.name(),
            states.len()
        ));
        Ok(())
    }

    /// What may differ: nothing that upstream left, when Tidegate looks at it, but the words behind upstream's in messages
    /// of these objects. Upstream for its part writes some things on every look, whoever was there before: these are
    /// times and versions, and what it says in Events.
    fn may_differ(&self, one: &Difference, spoken: &[String]) -> bool {
        const OF_ITS_OWN: [&str; 3] =
            [".metadata.resourceVersion", ".metadata.generation", ".lastTransitionTime"];
        let is_spoken = one.path == ".metadata.resourceVersion" && spoken.contains(&one.object);
        let is_upstreams =
            one.object.starts_with("Event ") || OF_ITS_OWN.iter().any(|end| one.path.ends_with(end));
        is_of_words(one) || is_spoken || self.to == Side::Upstream && is_upstreams
    }

    async fn apply<'v>(
        &self,
        scene: &Scene,
        objects: impl Iterator<Item = &'v serde_json::Value>,
    ) -> Result<()> {
        let prometheus = scene.cluster().prometheus_url()?;
        let objects: Vec<_> = objects.map(|object| filled(object, states::PROMETHEUS, &prometheus)).collect();
        let apply = objects
            .into_iter()
            .map(|object| manifest::apply_value(scene.cluster().client(), object, scene.namespace()));
        try_join_all(apply).await.map(drop)
    }

    /// Goes these ways, all at once, and names every state that does not get there.
    async fn each(&self, scene: &Arc<Scene>, way: impl Fn(&State) -> &Vec<Move>) -> Result<()> {
        let argo = Client::upstream(scene).await?;
        let gone = join_all(self.states.iter().map(|state| {
            let (way, argo) = (way(state), &argo);
            async move {
                for one in way {
                    go(scene, argo, state.name, one).await.with_context(|| state.name.to_owned())?;
                }
                anyhow::Ok(())
            }
        }));
        let lost: Vec<String> =
            gone.await.into_iter().filter_map(|one| Some(format!("    {:#}", one.err()?))).collect();
        ensure!(lost.is_empty(), "these did not get there:\n{}", lost.join("\n"));
        Ok(())
    }

    fn keep(&self, when: &str, snapshot: &Snapshot) -> Result<()> {
        match &self.options.keep {
            Some(directory) => snapshot.keep(&directory.join(format!("{}-{when}.json", self.name))),
            None => Ok(()),
        }
    }
}

/// Whether the message of a Rollout begins the same, and one of the two says more.
fn is_of_words(one: &Difference) -> bool {
    let (before, after) = (one.before.as_str().unwrap_or_default(), one.after.as_str().unwrap_or_default());
    let says_more = |more: &str, less: &str| !less.is_empty() && more.starts_with(less);
    one.object.starts_with("Rollout ")
        && one.path == ".status.message"
        && (says_more(before, after) || says_more(after, before))
}

/// Does one thing that brings a state further.
async fn go(scene: &Scene, argo: &Client, name: &str, one: &Move) -> Result<()> {
    match one {
        Move::Type(line) => argo.expect(&line.replace("{}", name), 0, &[]).await.map(drop),
        Move::Merge((api_version, kind), name, patch) => {
            let api = scene.api_of(api_version, kind).await?;
            api.patch(name, &PatchParams::default(), &Patch::Merge(patch))
                .await
                .with_context(|| format!("cannot patch the {kind} {name}"))?;
            Ok(())
        }
        Move::Until(kind, name, what, holds) => scene.until_json(*kind, name, what, holds).await.map(drop),
    }
}
