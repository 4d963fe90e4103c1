//! Reads Secrets that analyses need, and nothing that they do not.
//!
//! Input: which Secret, or the accounts of providers. Output: what is in them. What may not be read by rights, or does not
//! exist, is told in the run; a server that gives no answer is a failure of the round.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::Api;
use tidegate_engine::metric::{Account, Accounts};

use crate::apply::Failed;
use crate::failure::Class;

/// The keys of a Secret, or why there are none.
pub(crate) type Data = Result<BTreeMap<String, ByteString>, String>;

/// Reads one Secret.
///
/// # Errors
/// Fails when the API server gives no answer that says what there is.
pub(crate) async fn read(client: &Client, namespace: &str, name: &str) -> Result<Data, Failed> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    match api.get_opt(name).await {
        Ok(Some(secret)) => Ok(Ok(secret.data.unwrap_or_default())),
        Ok(None) => Ok(Err(format!("secrets \"{name}\" not found"))),
        Err(source) => {
            let class = Class::of(&source);
            let failed = Failed { doing: format!("read Secret {name}"), class, source, taken: None };
            if failed.class == Class::Denied { Ok(Err(failed.to_string())) } else { Err(failed) }
        }
    }
}

/// Reads the accounts of providers: those beside the controller, those beside a run, and variables of this process.
///
/// # Errors
/// Fails as [`read`] does.
pub(crate) async fn accounts(
    client: &Client,
    own: &str,
    of_run: &str,
    needed: BTreeSet<Account>,
) -> Result<Accounts, Failed> {
    let mut accounts = Accounts::default();
    for account in needed {
        let found = match &account {
            Account::Own(name) => read(client, own, name).await?.map(texts),
            Account::Run(name) => read(client, of_run, name).await?.map(texts),
            Account::Environment(names) => Ok(variables(names)),
        };
        accounts.insert(account, found);
    }
    Ok(accounts)
}

fn texts(data: BTreeMap<String, ByteString>) -> BTreeMap<String, String> {
    let text = |(key, value): (String, ByteString)| (key, String::from_utf8_lossy(&value.0).into_owned());
    data.into_iter().map(text).collect()
}

fn variables(names: &[&str]) -> BTreeMap<String, String> {
    names.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?))).collect()
}
