//! Accounts that providers sign in with: where their credentials are, and what was found there.
//!
//! Input: nothing; a provider names its accounts, and somebody who may read them reports back. Nothing of what
//! [`HIDDEN`] names is ever shown.

use std::collections::BTreeMap;
use std::fmt;

use tidegate_api::analysis::Metric;

use super::flagger::Plugin;
use super::provider::Provider;
use super::sent::Sent;
use super::{cloud_watch, datadog, dynatrace, external, google, influxdb, new_relic, splunk, wavefront};

/// Keys whose values no message may hold: those that a provider signs in with. Whoever names another Secret gets none of
/// its values into a message, so none is hidden there either: stars would tell who guessed one.
const HIDDEN: [&str; 9] = [
    "authToken",
    "personal-api-key",
    "api-key",
    "app-key",
    "DD_API_KEY",
    "DD_APP_KEY",
    dynatrace::TOKEN,
    splunk::TOKEN,
    google::KEY,
];

/// What is shorter is no secret, and a text in which every `1` is hidden tells nothing.
const SHORTEST_SECRET: usize = 4;

/// Where the credentials of a provider are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Account {
    /// A Secret in the controller's own namespace.
    Own(String),
    /// A Secret in the namespace of the run.
    Run(String),
    /// Variables of the controller's environment.
    Environment(&'static [&'static str]),
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own(name) => write!(f, "Secret {name} in the controller's namespace"),
            Self::Run(name) => write!(f, "Secret {name}"),
            Self::Environment(_) => f.write_str("the controller's environment"),
        }
    }
}

/// What an account holds, by key; or why it could not be read.
pub type Found = Result<BTreeMap<String, String>, String>;

/// The accounts that were looked up, and what the request for each metric was signed in with.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Accounts {
    found: BTreeMap<Account, Found>,
    sent: BTreeMap<String, Sent>,
}

impl fmt::Debug for Accounts {
    /// Tells which there are, and nothing of what they hold.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.found.keys()).finish()
    }
}

impl Accounts {
    /// Adds what was found of an account.
    pub fn insert(&mut self, account: Account, found: Found) {
        self.found.insert(account, found);
    }

    /// Adds the credentials that left with the request for a metric: some were fetched, and stand in no account.
    pub fn were_sent(&mut self, metric: &str, sent: Sent) {
        self.sent.entry(metric.to_owned()).or_default().extend(sent);
    }

    /// The value of a key, without the line break that editors leave behind it; nothing if it is empty.
    pub(super) fn value(&self, account: &Account, key: &str) -> Option<&str> {
        let found = self.found.get(account)?.as_ref().ok()?;
        found.get(key).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// Whether an account has a key, which may be empty.
    pub(super) fn has(&self, account: &Account, key: &str) -> bool {
        matches!(self.found.get(account), Some(Ok(found)) if found.contains_key(key))
    }

    /// Whether an account could be read at all.
    ///
    /// # Errors
    /// Says why not.
    pub(super) fn read(&self, account: &Account) -> Result<(), String> {
        match self.found.get(account) {
            Some(Ok(_)) => Ok(()),
            Some(Err(why)) => Err(why.clone()),
            None => Err(format!("{account} was not read")),
        }
    }

    /// The value of a key that a provider cannot do without.
    ///
    /// # Errors
    /// Says what is missing where, or why it could not be read.
    pub(super) fn needed(&self, account: &Account, key: &str) -> Result<&str, String> {
        self.read(account)?;
        self.value(account, key).ok_or_else(|| format!("{account} has no key {key}"))
    }

    /// What a metric signs in with, which nothing that is told of it may hold. What others sign in with is not among it:
    /// stars would tell whoever writes a metric that its server has guessed their keys.
    pub(crate) fn secrets(&self, metric: &Metric) -> Vec<String> {
        let of_account = |account: Account| {
            // The keys of Wavefront's tokens are addresses.
            let is_hidden = |key: &str| HIDDEN.contains(&key) || account == wavefront::account();
            let found = self.found.get(&account).and_then(|found| found.as_ref().ok()).into_iter().flatten();
            let hidden = found.filter(|(key, _)| is_hidden(key.as_str()));
            hidden.map(|(_, value)| value.trim().to_owned()).collect::<Vec<_>>()
        };
        let sent = self.sent.get(&metric.name).into_iter().flat_map(Sent::secrets).cloned();
        let values = accounts(metric).into_iter().flat_map(of_account).chain(sent);
        values.filter(|value| value.len() >= SHORTEST_SECRET).collect()
    }
}

/// The accounts that a metric's provider may sign in with.
#[must_use]
pub fn accounts(metric: &Metric) -> Vec<Account> {
    let Some(provider) = Provider::of(&metric.provider) else { return Vec::new() };
    let of_plugin = |plugin: &Plugin, config| plugin.account(config).into_iter().collect();
    match provider {
        Provider::Datadog(query) => datadog::accounts(query),
        Provider::NewRelic(query) => vec![new_relic::account(query)],
        Provider::Influxdb(query) => vec![influxdb::account(query)],
        Provider::Wavefront(_) => vec![wavefront::account()],
        Provider::CloudWatch(_) => vec![cloud_watch::ENVIRONMENT],
        Provider::Dynatrace(config) => of_plugin(&dynatrace::PLUGIN, config),
        Provider::External(config) => of_plugin(&external::PLUGIN, config),
        Provider::Google(config) => of_plugin(&google::PLUGIN, config),
        Provider::Splunk(config) => of_plugin(&splunk::PLUGIN, config),
        Provider::Prometheus(_) | Provider::Web(_) | Provider::Graphite(_) | Provider::SkyWalking(_) => {
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(pairs: &[(&str, &str)]) -> Found {
        Ok(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn what_is_missing_is_named_and_nothing_else() {
        let mut accounts = Accounts::default();
        let own = Account::Own("influxdb".into());
        accounts.insert(
            own.clone(),
            found(&[("authToken", "hush\n"), ("org", "shop"), ("address", ""), ("api-key", "1")]),
        );
        assert_eq!(accounts.needed(&own, "authToken"), Ok("hush"));
        let missing = "Secret influxdb in the controller's namespace has no key address";
        assert_eq!(accounts.needed(&own, "address"), Err(missing.into()));
        let run = Account::Run("x".into());
        assert_eq!(accounts.needed(&run, "k"), Err("Secret x was not read".into()));
        accounts.insert(run.clone(), Err("secrets \"x\" not found".into()));
        assert_eq!(accounts.needed(&run, "k"), Err("secrets \"x\" not found".into()));
        assert!(!format!("{accounts:?}").contains("hush"));
    }

    fn metric(name: &str, provider: serde_json::Value) -> Metric {
        serde_json::from_value(json!({"name": name, "provider": provider})).unwrap()
    }

    #[test]
    fn only_what_a_metric_signs_in_with_is_hidden() {
        let mut accounts = Accounts::default();
        let influx = |profile: &str| json!({"influxdb": {"profile": profile, "query": "q"}});
        let foreign = found(&[("password", "guessed"), ("address", "http://influx")]);
        accounts.insert(Account::Own("somebody-elses".into()), foreign);
        assert!(accounts.secrets(&metric("m", influx("somebody-elses"))).is_empty());
        let own = found(&[("authToken", "hush\n"), ("org", "shop"), ("address", ""), ("api-key", "1")]);
        accounts.insert(Account::Own("own".into()), own);
        accounts.insert(wavefront::account(), found(&[("example.wavefront.com", "of-wavefront")]));
        let mut sent = Sent::default();
        sent.add("Bearer fetched");
        accounts.were_sent("m", sent);
        assert_eq!(accounts.secrets(&metric("m", influx("own"))), ["hush", "fetched"]);
        assert_eq!(accounts.secrets(&metric("w", json!({"wavefront": {"query": "q"}}))), ["of-wavefront"]);
        assert!(accounts.secrets(&metric("n", json!({"web": {"url": "u"}}))).is_empty());
    }
}
