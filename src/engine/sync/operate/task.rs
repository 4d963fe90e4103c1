//! The tasks of one sync and their order: hooks before the objects, objects by wave, pruning, hooks after them.
//!
//! Upstream prunes first within a wave. Here pruning comes after everything that Git has is applied and well, so
//! that a refused object never leaves the cluster with less than it had; its waves go the other way round.

use std::cmp::Reverse;

use serde_json::Value;
use tidegate_api::source::{SyncCode, SyncOperation};

use super::super::adopt;
use super::super::compare::{Comparison, HookPair, Pair};
use super::super::hook::{self, HookPhase};
use super::super::object::{Key, list, text};
use super::super::options::{applies, has};
use super::super::order;
use super::result::Records;
use super::{may_prune, runs_hooks, selects};

/// The parts of a sync, in order.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Part {
    PreSync,
    Sync,
    Prune,
    PruneLast,
    PostSync,
    /// Not reached by a sync that goes well.
    SyncFail,
}

impl Part {
    fn of(phase: HookPhase) -> Self {
        match phase {
            HookPhase::PreSync => Self::PreSync,
            HookPhase::Sync => Self::Sync,
            HookPhase::PostSync => Self::PostSync,
            HookPhase::SyncFail => Self::SyncFail,
        }
    }

    /// The phase in upstream's results, which count pruning among the objects.
    pub(super) fn phase(self) -> &'static str {
        match self {
            Self::PreSync => "PreSync",
            Self::Sync | Self::Prune | Self::PruneLast => "Sync",
            Self::PostSync => "PostSync",
            Self::SyncFail => "SyncFail",
        }
    }
}

/// What is done together: the next step begins when all of this one is well.
pub(super) type Step = (Part, i64);

/// One thing to do.
#[derive(Clone, Copy)]
pub(super) enum Work<'a> {
    Apply(&'a Pair<'a>),
    Prune(&'a Pair<'a>),
    Run(&'a HookPair<'a>),
}

/// One thing to do and when.
#[derive(Clone, Copy)]
pub(super) struct Task<'a> {
    pub(super) work: Work<'a>,
    pub(super) step: Step,
}

impl<'a> Task<'a> {
    pub(super) fn key(&self) -> &'a Key {
        match self.work {
            Work::Apply(pair) | Work::Prune(pair) => &pair.key,
            Work::Run(hook) => &hook.key,
        }
    }

    pub(super) fn version(&self) -> &'a str {
        match self.work {
            Work::Apply(pair) | Work::Prune(pair) => &pair.version,
            Work::Run(hook) => &hook.version,
        }
    }

    pub(super) fn live(&self) -> Option<&'a Value> {
        match self.work {
            Work::Apply(pair) | Work::Prune(pair) => pair.live,
            Work::Run(hook) => hook.live,
        }
    }

    pub(super) fn is_hook(&self) -> bool {
        matches!(self.work, Work::Run(_))
    }

    /// What the server is to have; nothing for what it is to have no more.
    fn object(&self) -> Option<&'a Value> {
        match self.work {
            Work::Apply(pair) => pair.wanted.as_ref().map(|wanted| &wanted.object),
            Work::Run(hook) => Some(&hook.object),
            Work::Prune(_) => None,
        }
    }
}

/// The tasks of one sync, in order.
pub(super) struct Tasks<'a> {
    pub(super) list: Vec<Task<'a>>,
    /// Whether anything waits for anything else, so that the health of objects counts.
    pub(super) waits: bool,
}

impl<'a> Tasks<'a> {
    pub(super) fn of(
        sync: &SyncOperation,
        comparison: &'a Comparison<'a>,
        options: &[String],
        records: &Records,
    ) -> Self {
        let only_differing = has(options, "ApplyOutOfSyncOnly=true");
        let mut list = Vec::new();
        for pair in comparison.pairs.iter().filter(|pair| selects(sync, pair)) {
            if sync.prune == Some(true) && may_prune(pair, options) {
                list.push(Task { work: Work::Prune(pair), step: prune_step(pair, options) });
            }
            let Some(wanted) = &pair.wanted else { continue };
            let task = Task { work: Work::Apply(pair), step: (Part::Sync, hook::wave(&wanted.object)) };
            if !only_differing || needs_apply(pair) || records.of(&task).is_some() {
                list.push(task);
            }
        }
        for hook in comparison.hooks.iter().filter(|_| runs_hooks(sync)) {
            for phase in &hook.phases {
                let step = (Part::of(*phase), hook::wave(&hook.object));
                list.push(Task { work: Work::Run(hook), step });
            }
        }
        move_up(&mut list);
        join_pruning(&mut list);
        list.sort_by(|a, b| a.step.cmp(&b.step).then_with(|| by_rank(a, b)));
        let steps = list.windows(2).filter(|two| two[0].step != two[1].step).count();
        let waits = steps > 0 || list.iter().any(Task::is_hook);
        Self { list, waits }
    }

    /// The tasks of a sync that goes well.
    pub(super) fn regular(&self) -> impl Iterator<Item = &Task<'a>> {
        self.list.iter().filter(|task| task.step.0 != Part::SyncFail)
    }

    /// The hooks of a sync that fails.
    pub(super) fn on_failure(&self) -> impl Iterator<Item = &Task<'a>> {
        self.list.iter().filter(|task| task.step.0 == Part::SyncFail)
    }

    /// The tasks to do next, of those that are not done: nothing when none is left.
    pub(super) fn pending(&self, records: &Records) -> Vec<Task<'a>> {
        let pending = || self.regular().filter(|task| records.is_pending(task));
        let Some(step) = pending().map(|task| task.step).next() else { return Vec::new() };
        pending().filter(|task| task.step == step).copied().collect()
    }

    /// Whether a sync is over with this step, whatever becomes of its objects.
    pub(super) fn ends_with(&self, step: Step) -> bool {
        let last = self.regular().map(|task| task.step).last();
        let hooks = self.regular().any(|task| task.step == step && task.is_hook());
        last.is_none_or(|last| last == step) && !hooks
    }
}

/// Whether an object has to be applied, or taken over from another tool.
pub(super) fn needs_apply(pair: &Pair) -> bool {
    let is_ours = pair.live.is_some_and(adopt::is_applied);
    pair.status != SyncCode::Synced || !is_ours || pair.live.and_then(adopt::adopted).is_some()
}

/// When an object is pruned: those of the last wave go first.
fn prune_step(pair: &Pair, options: &[String]) -> Step {
    match pair.live {
        Some(live) if applies(live, options, "PruneLast=true") => (Part::PruneLast, 0),
        Some(live) => (Part::Prune, hook::wave(live).saturating_neg()),
        None => (Part::Prune, 0),
    }
}

/// A sync of one wave without hooks waits for nothing, so that its pruning does not either.
fn join_pruning(list: &mut [Task]) {
    let wave = |task: &Task| match task.step.0 {
        Part::Prune => task.step.1.saturating_neg(),
        Part::PreSync | Part::Sync | Part::PruneLast | Part::PostSync | Part::SyncFail => task.step.1,
    };
    let is_plain = |task: &Task| matches!(task.step.0, Part::Sync | Part::Prune) && !task.is_hook();
    let Some(first) = list.first().map(wave) else { return };
    let others = || list.iter().filter(|task| task.step.0 != Part::PruneLast);
    if others().all(|task| is_plain(task) && wave(task) == first) {
        for task in list.iter_mut().filter(|task| task.step.0 == Part::Prune) {
            task.step = (Part::Sync, first);
        }
    }
}

/// Moves a namespace or a definition to the step of the first task that needs it.
fn move_up(list: &mut [Task]) {
    for at in 0..list.len() {
        let Some(definition) = list[at].object().filter(|_| !list[at].is_hook()) else { continue };
        let key = list[at].key();
        let needed_by = |task: &Task| match (key.group.as_str(), key.kind.as_str()) {
            ("", "Namespace") => task.key().namespace == key.name,
            ("apiextensions.k8s.io", "CustomResourceDefinition") => {
                let kind = (text(definition, "/spec/group"), text(definition, "/spec/names/kind"));
                (task.key().group.as_str(), task.key().kind.as_str()) == kind
            }
            _ => false,
        };
        let users = list.iter().filter(|task| task.object().is_some() && needed_by(task));
        // Hooks of a failed sync do not count: what they need is there or was refused.
        let first = users.map(|task| task.step).filter(|step| step.0 != Part::SyncFail).min();
        if let Some(first) = first.filter(|first| *first < list[at].step) {
            list[at].step = first;
        }
    }
}

/// The order within a step: applying by kind, then pruning the other way round.
fn by_rank(a: &Task, b: &Task) -> std::cmp::Ordering {
    let prunes = |task: &Task| matches!(task.work, Work::Prune(_));
    let up = || order::rank(a.key()).cmp(&order::rank(b.key()));
    let down = || Reverse(order::rank(a.key())).cmp(&Reverse(order::rank(b.key())));
    prunes(a).cmp(&prunes(b)).then_with(|| if prunes(a) { down() } else { up() })
}

/// Where a live object was last applied by Tidegate, in seconds, if its server says so.
pub(super) fn applied_at(live: &Value) -> Option<jiff::Timestamp> {
    let own = list(live, "/metadata/managedFields").iter().filter(|entry| {
        text(entry, "/manager") == super::super::FIELD_MANAGER && text(entry, "/operation") == "Apply"
    });
    own.filter_map(|entry| text(entry, "/time").parse().ok()).max()
}
