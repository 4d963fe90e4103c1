//! Settings of the providers that Flagger has and Argo Rollouts lacks: its field names, below `provider.plugin`.
//!
//! Input: what a template holds under a plugin's name. Output: settings, and the Secret with the credentials, which is one of
//! the run's namespace: whoever writes the address of a server must not choose among the controller's own Secrets.

use std::fmt;

use serde::Deserialize;
use serde_json::Value;
use tidegate_api::go_duration;

use super::account::{Account, Accounts};

/// The time that a query covers when the settings do not say.
const DEFAULT_INTERVAL: &str = "5m";

/// A provider as the plugin that it is here.
pub(super) struct Plugin {
    pub(super) name: &'static str,
    /// Its fields, of all that [`Settings`] has.
    pub(super) fields: &'static [&'static str],
}

impl fmt::Display for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Plugin {
    /// Reads its settings.
    ///
    /// # Errors
    /// Names the field that is wrong or missing.
    pub(super) fn read(&self, config: &Value) -> Result<Settings, String> {
        Settings::read(self.name, config, self.fields)
    }

    /// What is wrong with its settings, if anything is.
    pub(super) fn fault(&self, config: &Value) -> Option<String> {
        self.read(config).err()
    }

    /// The Secret that its settings name.
    pub(super) fn account(&self, config: &Value) -> Option<Account> {
        self.read(config).ok()?.account()
    }

    /// The token under a key of the Secret, which it cannot do without.
    ///
    /// # Errors
    /// Says what is missing where.
    pub(super) fn token<'a>(
        &self,
        settings: &Settings,
        accounts: &'a Accounts,
        key: &str,
    ) -> Result<&'a str, String> {
        let account = settings.account().ok_or_else(|| format!("{self}: secretRef.name is required"))?;
        accounts.needed(&account, key)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct Settings {
    pub(super) address: String,
    pub(super) query: String,
    pub(super) secret_ref: SecretRef,
    pub(super) interval: String,
    pub(super) insecure_skip_verify: bool,
    /// Of Google Cloud.
    pub(super) project: String,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct SecretRef {
    pub(super) name: String,
}

impl Settings {
    /// Reads the settings of a plugin, which `allowed` names the fields of.
    ///
    /// # Errors
    /// Names the field that is wrong or missing.
    fn read(plugin: &str, config: &Value, allowed: &[&str]) -> Result<Self, String> {
        let settings: Self =
            serde_json::from_value(config.clone()).map_err(|error| format!("{plugin}: {error}"))?;
        let fields = config.as_object().into_iter().flatten().map(|(field, _)| field.as_str());
        if let Some(field) = fields.into_iter().find(|field| !allowed.contains(field)) {
            return Err(format!("{plugin}: {field} is none of its fields, which are {}", allowed.join(", ")));
        }
        if settings.query.trim().is_empty() {
            return Err(format!("{plugin}: query is required"));
        }
        Ok(settings)
    }

    /// The Secret with the credentials, if one is named.
    pub(super) fn account(&self) -> Option<Account> {
        let name = &self.secret_ref.name;
        (!name.is_empty()).then(|| Account::Run(name.clone()))
    }

    /// Seconds that the query covers.
    ///
    /// # Errors
    /// Fails with Go's words when it is no duration, and when it is none of at least a second.
    pub(super) fn interval_seconds(&self) -> Result<i64, String> {
        let interval = if self.interval.is_empty() { DEFAULT_INTERVAL } else { &self.interval };
        let seconds = go_duration::parse_seconds(interval)?;
        if seconds > 0 { Ok(seconds) } else { Err("interval must be at least 1s".to_owned()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn settings_are_those_of_flagger() {
        let config = json!({"address": "http://a", "query": "q", "secretRef": {"name": "s"}, "insecureSkipVerify": true});
        let allowed = ["address", "query", "secretRef", "insecureSkipVerify"];
        let settings = Settings::read("p", &config, &allowed).unwrap();
        assert_eq!(settings.account(), Some(Account::Run("s".into())));
        assert_eq!((settings.interval_seconds(), settings.insecure_skip_verify), (Ok(300), true));
        for (config, wanted) in [
            (json!({"query": " "}), "p: query is required"),
            (
                json!({"query": "q", "project": "x"}),
                "p: project is none of its fields, which are address, query",
            ),
            (json!({"query": "q", "colour": "x"}), "p: unknown field `colour`"),
            (json!({"query": 1}), "p: invalid type: integer `1`"),
        ] {
            let error = Settings::read("p", &config, &allowed).unwrap_err();
            assert!(error.starts_with(wanted), "{error}");
        }
        let zero = Settings { interval: "0s".into(), ..Settings::default() };
        assert_eq!(zero.interval_seconds(), Err("interval must be at least 1s".into()));
    }
}
