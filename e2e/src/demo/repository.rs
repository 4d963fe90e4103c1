//! What the demo's repository holds at each version, and the commits to it.

use anyhow::Result;

use crate::git::Repository;

const APPLICATION: &str = include_str!("manifests/application.yaml");
const ROLLOUT: &str = include_str!("manifests/rollout.yaml");
const SERVICES: &str = include_str!("manifests/services.yaml");
const INGRESS: &str = include_str!("manifests/ingress.yaml");
const SETTINGS: &str = include_str!("manifests/settings.yaml");
const SUCCESS_RATE: &str = include_str!("manifests/success-rate.yaml");
const STEPS_JUDGED: &str = include_str!("manifests/steps-judged.yaml");
const STEPS_BY_HAND: &str = include_str!("manifests/steps-by-hand.yaml");

/// The share of its requests that the bad version fails.
pub(super) const FAIL_PERCENT: u32 = 30;
/// The weights of the steps that Prometheus judges.
pub(super) const JUDGED_WEIGHTS: [i32; 5] = [20, 40, 60, 80, 100];
/// The weights before each pause of the steps that a person ends.
pub(super) const HAND_WEIGHTS: [i32; 2] = [30, 60];

/// Names and addresses that the manifests are filled in with.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub(super) namespace: String,
    pub(super) application_namespace: String,
    /// The repository's address, as pods reach it.
    pub(super) url: String,
    pub(super) host: String,
    pub(super) prometheus: String,
}

/// A version of the application, as it is committed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Release {
    pub(super) version: &'static str,
    pub(super) fail_percent: u32,
    /// A person moves it on, and not Prometheus.
    pub(super) by_hand: bool,
    /// A setting that has nothing to do with the version.
    pub(super) greeting: &'static str,
    pub(super) message: &'static str,
}

/// The releases of the demo, in order.
pub(super) const RELEASES: [Release; 5] = [
    Release { version: "v1", fail_percent: 0, by_hand: false, greeting: "hello", message: "shop: version 1" },
    Release { version: "v2", fail_percent: 0, by_hand: false, greeting: "hello", message: "shop: version 2" },
    Release {
        version: "v3",
        fail_percent: FAIL_PERCENT,
        by_hand: false,
        greeting: "hello",
        message: "shop: version 3, what could go wrong",
    },
    Release {
        version: "v4",
        fail_percent: 0,
        by_hand: true,
        greeting: "hello",
        message: "shop: version 4, with a person at each step",
    },
    Release {
        version: "v2",
        fail_percent: 0,
        by_hand: false,
        greeting: "hello",
        message: "shop: back to version 2",
    },
];

/// A commit that is not about the version at all, made while Git still names the bad one.
pub(super) const UNRELATED: Release = Release {
    version: "v3",
    fail_percent: FAIL_PERCENT,
    by_hand: false,
    greeting: "good evening",
    message: "shop: another greeting",
};

impl Names {
    /// The Application that is installed once.
    pub(super) fn application(&self) -> String {
        self.fill(APPLICATION)
    }

    /// Commits a release and returns the commit's id.
    pub(super) fn commit(&self, repository: &Repository, release: Release) -> Result<String> {
        let application = self.application();
        let files: Vec<(String, String)> = self.files(release);
        let mut all: Vec<(&str, Option<&str>)> = vec![("application.yaml", Some(&application))];
        all.extend(files.iter().map(|(name, text)| (name.as_str(), Some(text.as_str()))));
        repository.commit(release.message, &all)
    }

    fn files(&self, release: Release) -> Vec<(String, String)> {
        let steps = if release.by_hand { STEPS_BY_HAND } else { STEPS_JUDGED };
        let rollout = ROLLOUT
            .replace("VERSION", release.version)
            .replace("FAILURES", &release.fail_percent.to_string())
            .replace("GREETING", release.greeting)
            .replace("STEPS\n", steps);
        let settings = SETTINGS.replace("GREETING", release.greeting);
        [
            ("rollout", rollout.as_str()),
            ("services", SERVICES),
            ("ingress", INGRESS),
            ("settings", settings.as_str()),
            ("success-rate", SUCCESS_RATE),
        ]
        .into_iter()
        .map(|(name, text)| (format!("shop/{name}.yaml"), self.fill(text)))
        .collect()
    }

    fn fill(&self, text: &str) -> String {
        text.replace("APPLICATION_NAMESPACE", &self.application_namespace)
            .replace("NAMESPACE", &self.namespace)
            .replace("REPOSITORY", &self.url)
            .replace("HOST", &self.host)
            .replace("PROMETHEUS", &self.prometheus)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest;

    #[test]
    fn every_release_is_complete_and_readable() {
        let names = Names {
            namespace: "n".to_owned(),
            application_namespace: "a".to_owned(),
            url: "http://git/shop.git".to_owned(),
            host: "shop.example.com".to_owned(),
            prometheus: "http://prometheus".to_owned(),
        };
        for release in RELEASES {
            for (name, text) in names.files(release) {
                for word in ["VERSION", "FAILURES", "GREETING", "STEPS", "NAMESPACE", "HOST", "PROMETHEUS"] {
                    assert!(!text.contains(word), "{name} still says {word}");
                }
                let objects = manifest::parse(&text).unwrap();
                assert!(objects.iter().all(|object| object["kind"].is_string()), "{name}");
            }
        }
        let weights = |release: Release| -> Vec<i64> {
            let files = names.files(release);
            let rollout = &manifest::parse(&files[0].1).unwrap()[0];
            let steps = rollout["spec"]["strategy"]["canary"]["steps"].as_array().unwrap();
            steps.iter().filter_map(|step| step["setWeight"].as_i64()).collect()
        };
        assert_eq!(weights(RELEASES[1]), JUDGED_WEIGHTS.map(i64::from));
        assert_eq!(weights(RELEASES[3]), HAND_WEIGHTS.map(i64::from));
    }
}
