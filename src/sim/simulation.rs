//! One seed: events in virtual time around one Rollout, with every plan judged.
//!
//! Input: a shape and chance. Output: a verdict, and the story when somebody wants it. Time jumps from event to event.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::sync::Arc;

use tidegate_engine::plan::Because;
use tidegate_engine::rollout::world::Parsed;

use crate::analysis::{self, Verdicts};
use crate::cluster::{Change, Cluster, Kind};
use crate::controller::{Controller, Sabotage};
use crate::network;
use crate::pods::Pods;
use crate::random::Random;
use crate::rest;
use crate::shape::{GOOD_IMAGES, Shape, Temper};
use crate::tale::Tale;
use crate::users::{self, Act};

/// More events than this within one seed mean that something runs in circles.
const EVENTS_LIMIT: u32 = 400_000;
/// More rounds than this without faults and users mean that the Rollout never comes to rest.
const CALM_ROUNDS_LIMIT: u32 = 600;

/// What a simulation may be told to do wrong.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Whether the controller refuses to plan on caches that are older than its own writes.
    pub fence: bool,
    pub sabotage: Option<Sabotage>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { fence: true, sabotage: None }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Event {
    Round(i64),
    Cache(Kind, u64),
    Set(String),
    Endpoints(String),
    Ingress,
    Deployment,
    Run(String),
    /// A look at an Experiment, and when it is due.
    Experiment(String, i64),
    Flap,
    People,
    Act(Act),
}

/// One Rollout, its cluster, its controller, and time.
pub(crate) struct Simulation {
    pub(crate) cluster: Cluster,
    pub(crate) pods: Pods,
    pub(crate) shape: Shape,
    pub(crate) verdicts: Verdicts,
    /// What the data plane does, once there is one.
    pub(crate) in_effect: Option<network::InEffect>,
    /// Version after which people had last changed ReplicaSets or routes by hand.
    pub(crate) meddled: u64,
    pub(crate) tale: Tale,
    pub(crate) rounds: u32,
    /// What the last plan said it is doing or waiting for.
    pub(crate) because: Because,
    /// What broke, if anything did.
    pub(crate) broken: Option<String>,
    pub(crate) controller: Controller,
    pub(crate) random: Random,
    pub(crate) settings: Settings,
    queue: BinaryHeap<Reverse<(i64, u64, Event)>>,
    sequence: u64,
    events: u32,
    pub(crate) calm: bool,
    pub(crate) writes: u32,
    pub(crate) experiment_rounds: u32,
    /// Reasons of the Events so far.
    pub(crate) events_told: Vec<&'static str>,
}

impl Simulation {
    pub(crate) fn new(shape: Shape, random: Random, settings: Settings, tale: Tale) -> Self {
        let mut simulation = Self {
            cluster: Cluster::default(),
            pods: Pods::default(),
            verdicts: Verdicts::default(),
            in_effect: None,
            meddled: 0,
            tale,
            rounds: 0,
            because: Because::Settled,
            broken: None,
            controller: Controller::new(analysis::template(), shape.holds),
            random,
            settings,
            queue: BinaryHeap::new(),
            sequence: 0,
            events: 0,
            calm: false,
            writes: 0,
            experiment_rounds: 0,
            events_told: Vec::new(),
            shape,
        };
        simulation.begin();
        simulation
    }

    fn begin(&mut self) {
        self.tale.tell(&self.cluster, || "user      creates the Rollout".to_owned());
        let rollout = self.shape.rollout.clone();
        let spec = Arc::new(Parsed::new(&rollout));
        for name in self.shape.services {
            self.cluster.put_service(users::service(name));
        }
        let turn = network::first_turn(&rollout);
        for way in self.shape.ways.clone() {
            self.cluster.put_route(way.name(), network::made(way, turn));
        }
        if rollout.spec.workload_ref.is_some() {
            self.cluster.make_deployment(rollout.spec.replicas.unwrap_or(1), GOOD_IMAGES[0]);
        }
        self.cluster.put_rollout(rollout, spec);
        self.cluster.relist();
        self.react();
        self.schedule_round(0);
    }

    /// Chaos until a number of rounds: people act, pods flap, writes fail, the controller crashes.
    pub(crate) fn chaos(&mut self, rounds: u32) {
        self.calm = false;
        self.schedule(1, Event::People);
        self.schedule(1000, Event::Flap);
        let until = self.rounds + rounds;
        while self.rounds < until && self.broken.is_none() {
            self.step();
        }
    }

    /// No faults and nobody acting, until everything is at rest.
    pub(crate) fn calm(&mut self) {
        self.calm = true;
        self.queue = std::mem::take(&mut self.queue)
            .into_iter()
            .filter(|Reverse((_, _, event))| !matches!(event, Event::People | Event::Flap | Event::Act(_)))
            .collect();
        for name in self.shape.services {
            Act::RestoreService(name).carry_out(&mut self.cluster);
        }
        for way in self.shape.ways.clone() {
            Act::RestoreWay(way).carry_out(&mut self.cluster);
        }
        self.meddled = self.cluster.version();
        self.react();
        self.schedule_round(0);
        self.wake_experiments(0);
        let limit = self.rounds + CALM_ROUNDS_LIMIT;
        let experiments_limit = self.experiment_rounds + CALM_ROUNDS_LIMIT * 4;
        while !self.queue.is_empty() && self.broken.is_none() {
            self.step();
            if self.rounds > limit || self.experiment_rounds > experiments_limit {
                self.fail(format!(
                    "no rest after {CALM_ROUNDS_LIMIT} rounds without faults: {}",
                    rest::picture(self)
                ));
            }
        }
        let before = self.writes;
        self.schedule_round(900_000);
        self.wake_experiments(900_000);
        while !self.queue.is_empty() && self.broken.is_none() {
            self.step();
        }
        if self.writes > before && self.broken.is_none() {
            self.fail("a look at a Rollout at rest made it move again".to_owned());
        }
    }

    /// A person acts now.
    pub(crate) fn act(&mut self, act: &Act) {
        self.tale.tell(&self.cluster, || format!("user      {}", act.told()));
        if let Act::KillPods(many) = act {
            let names: Vec<String> = self.cluster.sets.all().map(|(name, _)| name.clone()).collect();
            for name in names {
                self.pods.fail(&self.cluster, &name, *many, &self.shape.temper, &mut self.random);
                self.schedule(0, Event::Set(name));
            }
        } else {
            act.carry_out(&mut self.cluster);
        }
        if let Some(repair) = act.repaired_by(&self.shape) {
            let rest = self.random.between(1_000, 60_000);
            self.schedule(rest, Event::Act(repair));
        }
        if act.meddles() {
            self.meddled = self.cluster.version();
        }
        self.react();
    }

    pub(crate) fn schedule(&mut self, delay: i64, event: Event) {
        self.sequence += 1;
        self.queue.push(Reverse((self.cluster.now + delay, self.sequence, event)));
    }

    pub(crate) fn schedule_round(&mut self, delay: i64) {
        let at = self.cluster.now + delay;
        if self.controller.due.is_none_or(|due| at < due || due < self.cluster.now) {
            self.controller.due = Some(at);
            self.schedule(delay, Event::Round(at));
        }
    }

    pub(crate) fn fail(&mut self, why: String) {
        self.tale.tell(&self.cluster, || format!("BROKEN    {why}"));
        self.broken.get_or_insert(format!("round {}: {why}", self.rounds));
    }

    /// Takes the next event; false when nothing is left to happen.
    pub(crate) fn step(&mut self) -> bool {
        let Some(Reverse((at, _, event))) = self.queue.pop() else { return false };
        self.events += 1;
        if self.events > EVENTS_LIMIT {
            self.fail(format!("{EVENTS_LIMIT} events"));
        }
        self.cluster.now = self.cluster.now.max(at);
        match event {
            Event::Round(due) if self.controller.due == Some(due) => self.round(),
            Event::Round(_) => {}
            Event::Cache(kind, version) => {
                // Pods by themselves matter to a restart only; everything else hears of them by their ReplicaSet.
                if self.cluster.catch_up(kind, version) && (kind != Kind::Pod || self.pods_matter()) {
                    let delay = self.random.between(0, 5);
                    self.schedule_round(delay);
                    if !matches!(kind, Kind::Pod | Kind::Endpoints | Kind::Workload) {
                        self.wake_experiments(delay);
                    }
                }
            }
            Event::Experiment(name, due) => self.experiment_round(&name, due),
            Event::Set(name) => {
                let again = self.pods.sync(&mut self.cluster, &name, &self.shape.temper, &mut self.random);
                for at in again {
                    self.schedule(at - self.cluster.now, Event::Set(name.clone()));
                }
            }
            Event::Endpoints(service) => network::sync_endpoints(&mut self.cluster, &self.pods, &service),
            Event::Deployment => self.cluster.sync_deployment(),
            Event::Ingress => {
                let taken_up = network::taken_up(&self.cluster, &self.shape.ways, self.max_weight());
                self.in_effect = Some(taken_up);
                network::report(&mut self.cluster, &self.shape.ways);
            }
            Event::Run(name) => {
                let calm = Temper { bad_runs: 0, ..self.shape.temper.clone() };
                let temper = if self.calm { &calm } else { &self.shape.temper };
                let again = self.verdicts.sync(&mut self.cluster, &name, temper, &mut self.random);
                if let Some(at) = again {
                    self.schedule(at - self.cluster.now, Event::Run(name));
                }
            }
            Event::Flap => self.flap(),
            Event::People => {
                let act = Act::random(&mut self.random, &self.shape);
                self.act(&act);
                let rest = self.random.between(0, self.shape.temper.user_rest);
                self.schedule(rest, Event::People);
            }
            Event::Act(act) => self.act(&act),
        }
        self.react();
        true
    }

    /// The least and the most weight that the routing objects ask for now.
    pub(crate) fn weights(&self) -> (i32, i32) {
        network::weights(&self.cluster, &self.shape.ways, self.max_weight())
    }

    /// The least and the most weight that the data plane gives the canary now.
    pub(crate) fn data_weights(&self) -> (i32, i32) {
        let turn = network::turn(&self.cluster);
        self.in_effect.map_or((0, 0), |taken_up| taken_up.weights(turn, self.max_weight()))
    }

    fn max_weight(&self) -> i32 {
        let canary = self.shape.rollout.spec.strategy.canary.as_ref();
        let routing = canary.and_then(|canary| canary.traffic_routing.as_ref());
        routing.and_then(|routing| routing.max_traffic_weight).unwrap_or(100)
    }

    /// Whether a change of a pod alone may call for a round.
    fn pods_matter(&self) -> bool {
        let has_roles = self.cluster.rollout().is_some_and(|held| {
            let strategy = &held.object.rollout.spec.strategy;
            let canary = strategy.canary.as_ref();
            canary.is_some_and(|canary| canary.canary_metadata.is_some() || canary.stable_metadata.is_some())
        });
        has_roles || self.is_restarted()
    }

    /// Whether somebody has asked for new pods: what was sent away is looked for, also after the restart.
    fn is_restarted(&self) -> bool {
        self.cluster.rollout().is_some_and(|held| held.object.rollout.spec.restart_at.is_some())
    }

    /// Looks at all Experiments soon.
    pub(crate) fn wake_experiments(&mut self, delay: i64) {
        let known = self.cluster.experiments.all_cached().map(|(name, _)| name.clone());
        let remembered = self.controller.desks.keys().cloned();
        let names: BTreeSet<String> = known.chain(remembered).collect();
        for name in names {
            self.schedule_experiment(&name, delay);
        }
    }

    fn flap(&mut self) {
        let names: Vec<String> = self.cluster.sets.all().map(|(name, _)| name.clone()).collect();
        for name in names {
            if self.random.chance(self.shape.temper.flaps) {
                let many = self.random.below(3) + 1;
                self.pods.fail(&self.cluster, &name, many, &self.shape.temper, &mut self.random);
                self.schedule(0, Event::Set(name));
            }
        }
        let rest = self.random.between(1_000, 20_000);
        self.schedule(rest, Event::Flap);
    }

    fn lag(&mut self, usual: i64) -> i64 {
        let longest = if self.random.chance(50) { usual * 10 } else { usual };
        self.random.between(0, longest)
    }

    /// Lets caches and Kubernetes' controllers know what changed.
    fn react(&mut self) {
        for Change { kind, version, name } in self.cluster.take_changes() {
            let usual = self.shape.temper.cache_lag;
            let lag = if kind == Kind::Pod { lag_of_pod(usual, version) } else { self.lag(usual) };
            self.schedule(lag, Event::Cache(kind, version));
            match kind {
                Kind::Set => {
                    let lag = self.lag(self.shape.temper.set_lag);
                    self.schedule(lag + 1, Event::Set(name));
                    self.endpoints_follow();
                }
                Kind::Pod => {
                    let pod = self.cluster.pods.object(&name).filter(|pod| pod.leaving);
                    if let Some(set) = pod.map(|pod| pod.set.clone()) {
                        let lag = self.lag(self.shape.temper.set_lag);
                        self.schedule(lag + 1, Event::Set(set));
                        self.endpoints_follow();
                    }
                }
                Kind::Service => self.endpoints_follow(),
                Kind::Route => {
                    let lag = self.random.between(0, self.shape.temper.ingress_lag);
                    self.schedule(lag + 1, Event::Ingress);
                }
                Kind::Run => self.schedule(100, Event::Run(name)),
                Kind::Workload => {
                    let lag = self.lag(self.shape.temper.set_lag);
                    self.schedule(lag + 1, Event::Deployment);
                }
                Kind::Rollout | Kind::Endpoints | Kind::Experiment => {}
            }
        }
    }

    fn endpoints_follow(&mut self) {
        let of_rollout = self.shape.services.iter().map(|service| (*service).to_owned());
        let others = self.cluster.services.all().map(|(name, _)| name.clone());
        let others = others.filter(|name| !self.shape.services.contains(&name.as_str()));
        for service in of_rollout.chain(others).collect::<Vec<_>>() {
            let lag = self.lag(self.shape.temper.endpoints_lag);
            self.schedule(lag + 1, Event::Endpoints(service));
        }
    }

    /// Lets a careful person bring the Rollout to its end; what is wrong if that cannot be done.
    pub(crate) fn finish(&mut self) {
        for _ in 0..60 {
            self.calm();
            if self.broken.is_some() {
                return;
            }
            if let Some(why) = rest::objection(self) {
                self.fail(why);
                return;
            }
            match rest::next_act(self) {
                Some(act) => self.act(&act),
                None => return,
            }
        }
        self.fail(format!(
            "sixty acts of a careful person did not make the Rollout Healthy: {}",
            rest::picture(self)
        ));
    }
}

/// Pods change so often that a number drawn for each would change every story that has nothing to do with them.
fn lag_of_pod(usual: i64, version: u64) -> i64 {
    let longest = u64::try_from(usual).unwrap_or(0);
    i64::try_from(version.wrapping_mul(7919) % (longest + 1)).unwrap_or(0)
}
