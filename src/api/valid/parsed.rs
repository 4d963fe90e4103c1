//! The parsed form of a valid Rollout: defaults filled in, each step one action.

use super::{
    PROGRESS_DEADLINE_SECONDS_DEFAULT, REPLICAS_DEFAULT, REVISION_HISTORY_LIMIT_DEFAULT,
    SCALE_DOWN_DELAY_SECONDS_DEFAULT, canary, percent,
};
use crate::go_duration;
use crate::rollout::{
    BlueGreenStrategy, CanaryStep, CanaryStrategy, ReplicaProgressThreshold, RolloutAnalysisBackground,
    RolloutSpec, RolloutTrafficRouting, SetCanaryScale,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::sync::Arc;

/// Finished AnalysisRuns and Experiments to keep when the spec does not say.
const RUN_HISTORY_LIMIT_DEFAULT: i32 = 5;
/// Seconds before the canary or preview is scaled down after an abort when the strategy does not say.
const ABORT_DELAY_SECONDS_DEFAULT: i32 = 30;

/// Rollout whose spec is valid. Only [`super::validate`] makes one.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ValidRollout {
    /// The spec as it was read.
    spec: Arc<RolloutSpec>,
    /// Pods wanted; 1 when the spec does not say.
    pub replicas: i32,
    /// The strategy.
    pub strategy: ValidStrategy,
}

/// The one strategy of a Rollout.
#[derive(Clone, Debug, PartialEq)]
pub enum ValidStrategy {
    Canary(Box<ValidCanary>),
    BlueGreen(Box<ValidBlueGreen>),
}

impl ValidRollout {
    pub(crate) fn new(spec: &RolloutSpec) -> Self {
        let replicas = spec.replicas.unwrap_or(REPLICAS_DEFAULT);
        let strategy = match (&spec.strategy.canary, &spec.strategy.blue_green) {
            (_, Some(blue_green)) => {
                ValidStrategy::BlueGreen(Box::new(ValidBlueGreen::new(blue_green.clone(), replicas)))
            }
            (canary, None) => {
                let canary = canary.clone().unwrap_or_default();
                ValidStrategy::Canary(Box::new(ValidCanary::new(canary, replicas)))
            }
        };
        let mut spec = spec.clone();
        spec.template.0.fold();
        Self { spec: Arc::new(spec), replicas, strategy }
    }

    /// Returns the spec as it was read.
    #[must_use]
    pub fn spec(&self) -> &RolloutSpec {
        &self.spec
    }

    /// Returns the canary strategy, if that is the one.
    #[must_use]
    pub fn canary(&self) -> Option<&ValidCanary> {
        match &self.strategy {
            ValidStrategy::Canary(canary) => Some(canary),
            ValidStrategy::BlueGreen(_) => None,
        }
    }

    /// Returns the number of old ReplicaSets to keep; 10 by default.
    #[must_use]
    pub fn revision_history_limit(&self) -> i32 {
        self.spec().revision_history_limit.unwrap_or(REVISION_HISTORY_LIMIT_DEFAULT)
    }

    /// Returns the seconds without progress after which the update counts as failed; 600 by default.
    #[must_use]
    pub fn progress_deadline_seconds(&self) -> i32 {
        self.spec().progress_deadline_seconds.unwrap_or(PROGRESS_DEADLINE_SECONDS_DEFAULT)
    }

    /// Returns the number of successful AnalysisRuns to keep; 5 by default.
    #[must_use]
    pub fn successful_run_history_limit(&self) -> i32 {
        let limits = self.spec().analysis.as_ref();
        limits.and_then(|limits| limits.successful_run_history_limit).unwrap_or(RUN_HISTORY_LIMIT_DEFAULT)
    }

    /// Returns the number of other finished AnalysisRuns to keep; 5 by default.
    #[must_use]
    pub fn unsuccessful_run_history_limit(&self) -> i32 {
        let limits = self.spec().analysis.as_ref();
        limits.and_then(|limits| limits.unsuccessful_run_history_limit).unwrap_or(RUN_HISTORY_LIMIT_DEFAULT)
    }
}

/// Canary strategy, parsed.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ValidCanary {
    /// The strategy as it was read.
    pub spec: CanaryStrategy,
    /// The steps, each as the one action that decides when it is done.
    pub steps: Vec<Step>,
    /// Pods that may be added during an update.
    pub max_surge: i32,
    /// Pods that may be away during an update.
    pub max_unavailable: i32,
    /// Weight that means all traffic; 100 by default.
    pub max_weight: i32,
}

impl ValidCanary {
    fn new(spec: CanaryStrategy, replicas: i32) -> Self {
        let (max_surge, max_unavailable) =
            percent::surge_and_unavailable(spec.max_surge.as_ref(), spec.max_unavailable.as_ref(), replicas);
        let steps = spec.steps.iter().filter_map(Step::new).collect();
        let max_weight = canary::max_weight(&spec);
        Self { steps, max_surge, max_unavailable, max_weight, spec }
    }

    /// Returns the Service of the canary pods.
    #[must_use]
    pub fn canary_service(&self) -> Option<&str> {
        named(self.spec.canary_service.as_deref())
    }

    /// Returns the Service of the stable pods.
    #[must_use]
    pub fn stable_service(&self) -> Option<&str> {
        named(self.spec.stable_service.as_deref())
    }

    /// Returns the routers, if traffic is routed at all.
    #[must_use]
    pub fn traffic_routing(&self) -> Option<&RolloutTrafficRouting> {
        self.spec.traffic_routing.as_ref()
    }

    /// Returns the analysis that runs beside the steps.
    #[must_use]
    pub fn background(&self) -> Option<&RolloutAnalysisBackground> {
        self.spec.analysis.as_ref()
    }

    /// Returns the weight in force at a step: that of the nearest setWeight at or before it, all past the end.
    ///
    /// Looks at setWeight even where a step has other fields, as upstream does.
    #[must_use]
    pub fn weight_at(&self, index: usize) -> i32 {
        if index >= self.spec.steps.len() {
            return self.max_weight;
        }
        self.spec.steps[..=index].iter().rev().find_map(|step| step.set_weight).unwrap_or(0)
    }

    /// Returns the setCanaryScale in force at a step: the nearest at or before it, unless that follows the weight.
    #[must_use]
    pub fn scale_at(&self, index: usize) -> Option<&SetCanaryScale> {
        let scale =
            self.spec.steps.get(..=index)?.iter().rev().find_map(|step| step.set_canary_scale.as_ref())?;
        (!scale.match_traffic_weight).then_some(scale)
    }

    /// Returns whether the stable ReplicaSet follows its share of the traffic.
    #[must_use]
    pub fn is_dynamic(&self) -> bool {
        self.spec.dynamic_stable_scale && self.spec.traffic_routing.is_some()
    }

    /// Returns the seconds before an old ReplicaSet is scaled down: 30 by default, 0 without a router and where the
    /// stable ReplicaSet follows the traffic.
    #[must_use]
    pub fn scale_down_delay_seconds(&self) -> i32 {
        if self.spec.traffic_routing.is_none() || self.is_dynamic() {
            return 0;
        }
        self.spec.scale_down_delay_seconds.unwrap_or(SCALE_DOWN_DELAY_SECONDS_DEFAULT)
    }

    /// Returns how many old ReplicaSets may wait for their scale-down; no limit by default.
    #[must_use]
    pub fn scale_down_delay_revision_limit(&self) -> i32 {
        self.spec.scale_down_delay_revision_limit.unwrap_or(i32::MAX)
    }

    /// Returns when the canary is scaled down after an abort. Where the stable ReplicaSet follows the traffic, the canary
    /// does too, unless the spec itself names a delay.
    #[must_use]
    pub fn abort_delay(&self) -> AbortDelay {
        let unset = self.spec.abort_scale_down_delay_seconds.is_none();
        if self.spec.traffic_routing.is_none() || self.is_dynamic() && unset {
            return AbortDelay::None;
        }
        AbortDelay::new(self.spec.abort_scale_down_delay_seconds)
    }

    /// Returns how much of the canary must be available before a step is done.
    #[must_use]
    pub fn progress_threshold(&self) -> ProgressThreshold {
        ProgressThreshold::new(self.spec.replica_progress_threshold.as_ref())
    }
}

/// Blue-green strategy, parsed.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ValidBlueGreen {
    /// The strategy as it was read.
    pub spec: BlueGreenStrategy,
    /// Pods that may be away during a restart.
    pub max_unavailable: i32,
}

impl ValidBlueGreen {
    fn new(spec: BlueGreenStrategy, replicas: i32) -> Self {
        let default = IntOrString::String("25".to_owned());
        let unavailable = spec.max_unavailable.as_ref().unwrap_or(&default);
        let max_unavailable =
            percent::int_or_percent(unavailable, replicas, false).unwrap_or(0).min(replicas);
        Self { spec, max_unavailable }
    }

    /// Returns the Service of the preview pods.
    #[must_use]
    pub fn preview_service(&self) -> Option<&str> {
        named(self.spec.preview_service.as_deref())
    }

    /// Tells whether the switch needs no person; true by default.
    #[must_use]
    pub fn auto_promotion_enabled(&self) -> bool {
        self.spec.auto_promotion_enabled.unwrap_or(true)
    }

    /// Returns the seconds before an old ReplicaSet is scaled down; 30 by default.
    #[must_use]
    pub fn scale_down_delay_seconds(&self) -> i32 {
        self.spec.scale_down_delay_seconds.unwrap_or(SCALE_DOWN_DELAY_SECONDS_DEFAULT)
    }

    /// Returns how many old ReplicaSets may wait for their scale-down; no limit by default.
    #[must_use]
    pub fn scale_down_delay_revision_limit(&self) -> i32 {
        self.spec.scale_down_delay_revision_limit.unwrap_or(i32::MAX)
    }

    /// Returns when the preview is scaled down after an abort.
    #[must_use]
    pub fn abort_delay(&self) -> AbortDelay {
        AbortDelay::new(self.spec.abort_scale_down_delay_seconds)
    }
}

/// When the new version is scaled down after an abort.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbortDelay {
    /// There is no delay: replicas follow the traffic at once, as without a router.
    None,
    /// Never, because the spec says 0.
    Forever,
    /// After this time; `explicit` when the spec says so.
    Seconds { seconds: i32, explicit: bool },
}

impl AbortDelay {
    fn new(seconds: Option<i32>) -> Self {
        match seconds {
            Some(0) => Self::Forever,
            Some(seconds) => Self::Seconds { seconds, explicit: true },
            None => Self::Seconds { seconds: ABORT_DELAY_SECONDS_DEFAULT, explicit: false },
        }
    }
}

/// How much of the canary must be available before a step is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgressThreshold {
    /// All wanted pods.
    All,
    /// This percentage of the wanted pods.
    Percent(i32),
    /// This number of pods.
    Pods(i32),
}

impl ProgressThreshold {
    fn new(threshold: Option<&ReplicaProgressThreshold>) -> Self {
        let Some(threshold) = threshold else { return Self::All };
        match (threshold.type_.as_str(), threshold.value) {
            (_, ..0) => Self::All,
            ("Percent", value) => Self::Percent(value),
            (_, value) => Self::Pods(value),
        }
    }
}

/// The action of a canary step that decides when the step is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    SetWeight,
    /// Seconds; none when only a person ends the pause.
    Pause(Option<i64>),
    Experiment,
    Analysis,
    SetCanaryScale,
    SetHeaderRoute,
    SetMirrorRoute,
    Plugin,
}

impl Step {
    /// Finds it; nothing when the step does nothing, which validation refuses.
    ///
    /// Where several actions are set all are done, and the first of upstream's order decides.
    fn new(step: &CanaryStep) -> Option<Self> {
        if let Some(pause) = &step.pause {
            return Some(Self::Pause(pause.duration.as_ref().map(pause_seconds).map(i64::from)));
        }
        let kinds = [
            (step.set_canary_scale.is_some(), Self::SetCanaryScale),
            (step.set_weight.is_some(), Self::SetWeight),
            (step.experiment.is_some(), Self::Experiment),
            (step.analysis.is_some(), Self::Analysis),
            (step.set_header_route.is_some(), Self::SetHeaderRoute),
            (step.set_mirror_route.is_some(), Self::SetMirrorRoute),
            (step.plugin.is_some(), Self::Plugin),
        ];
        kinds.into_iter().find_map(|(is_set, kind)| is_set.then_some(kind))
    }
}

/// Seconds of a pause: a bare number is seconds, anything else a Go duration; -1 when it is neither.
pub(crate) fn pause_seconds(duration: &IntOrString) -> i32 {
    match duration {
        IntOrString::Int(seconds) => *seconds,
        IntOrString::String(text) => text.parse::<i32>().ok().unwrap_or_else(|| {
            let seconds = go_duration::parse_seconds(text).unwrap_or(-1);
            i32::try_from(seconds).unwrap_or(-1)
        }),
    }
}

fn named(name: Option<&str>) -> Option<&str> {
    name.filter(|name| !name.is_empty())
}
