//! A release to be judged: what is wrong with it, how it is looked at, and the Rollout and template that say so.

use std::fmt;

use serde::Serialize;
use serde_json::{Value, json};

use super::super::router::Router;
use super::super::shop::routed_by;

/// So many percent of a slow version's requests are late, by so many milliseconds.
const SLOW_PERCENT: u32 = 20;
pub(super) const SLOW_MS: u64 = 400;

/// What is wrong with a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::tests) enum Fault {
    Nothing,
    /// It fails so many percent of its requests.
    Errors(u32),
    Slow,
}

/// Who counts the requests that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::tests) enum Counted {
    ByTraefik,
    ByPods,
}

/// One release.
#[derive(Clone, Copy, Debug)]
pub(in crate::tests) struct Release {
    pub(in crate::tests) fault: Fault,
    pub(in crate::tests) counted: Counted,
    pub(in crate::tests) router: Router,
    /// The canary's weight while it is judged.
    pub(in crate::tests) weight: i64,
    /// Requests per second, of both versions together.
    pub(in crate::tests) per_second: u32,
    /// The part of requests that both versions fail, in percent, whatever else is wrong.
    pub(in crate::tests) always_failing: f64,
    /// What the failures of both versions follow from.
    pub(in crate::tests) seed: u64,
}

impl Release {
    /// The environment of the version that users have.
    pub(super) fn env_of_stable(self) -> Value {
        self.env(Fault::Nothing)
    }

    /// The environment of the version that ships.
    pub(super) fn env_of_canary(self) -> Value {
        self.env(self.fault)
    }

    fn env(self, fault: Fault) -> Value {
        let failing =
            if let Fault::Errors(percent) = fault { f64::from(percent) } else { self.always_failing };
        let slow = if fault == Fault::Slow { SLOW_PERCENT } else { 0 };
        json!([
            {"name": "CHANCE_SEED", "value": self.seed.to_string()},
            {"name": "FAIL_PERCENT", "value": failing.to_string()},
            {"name": "SLOW_PERCENT", "value": slow.to_string()},
            {"name": "SLOW_MS", "value": SLOW_MS.to_string()},
        ])
    }

    /// The strategy: a weight, and the judge's word on it.
    pub(super) fn strategy(self) -> Value {
        let hash = |name: &str, of: &str| json!({"name": name, "valueFrom": {"podTemplateHashValue": of}});
        let analysis = json!({
            "templates": [{"templateName": "judge"}],
            "args": [hash("stable-hash", "Stable"), hash("canary-hash", "Latest")],
        });
        routed_by(self.router, &json!([{"setWeight": self.weight}, {"analysis": analysis}]))
    }

    /// The template, with all of the judge's settings but one as users find them.
    pub(super) fn template(self, prometheus: &str) -> Value {
        let prometheus = json!({"address": prometheus});
        let judge = match self.counted {
            Counted::ByPods => json!({"preset": "app", "prometheus": prometheus}),
            Counted::ByTraefik => json!({
                "preset": "traefik", "stable": "shop-stable", "canary": "shop-canary", "prometheus": prometheus,
            }),
        };
        json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisTemplate", "metadata": {"name": "judge"},
            "spec": {
                "args": [{"name": "stable-hash"}, {"name": "canary-hash"}],
                "metrics": [{"name": "judge", "provider": {"plugin": {"tidegate.dev/judge": judge}}}],
            },
        })
    }

    /// Whether it must be aborted.
    pub(in crate::tests) fn is_bad(self) -> bool {
        self.fault != Fault::Nothing
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("good"),
            Self::Errors(percent) => write!(f, "errors {percent} %"),
            Self::Slow => write!(f, "slow {SLOW_PERCENT} %"),
        }
    }
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ByTraefik => "traefik",
            Self::ByPods => "app",
        })
    }
}
