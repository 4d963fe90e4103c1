//! `rollback APP [ID]`: asks the controller for a commit that was there before.

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use serde_json::Value;
use tidegate_api::source::{SyncOperation, SyncStrategy, SyncStrategyApply};

use super::operation::{self, Patience, automated, options};
use crate::Exit;
use crate::cli::Output;
use crate::session::Session;

/// Bring an application back to a commit of its history; the one before the last when no ID is given.
///
/// Hooks do not run. The application is OutOfSync afterwards, until its repository or its targetRevision follows.
#[derive(Debug, Args)]
pub(crate) struct Rollback {
    /// Name of the application.
    name: String,
    /// ID of the entry, as "history application NAME" shows it.
    id: Option<i64>,
    /// Delete what the commit does not have.
    #[arg(long)]
    prune: bool,
    /// Only ask the server what would happen.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    patience: Patience,
    /// Form of the output, when it is waited for.
    #[arg(short, long, value_enum, value_name = "FORM")]
    output: Option<Output>,
}

impl Rollback {
    /// Asks for the rollback, and waits for it if that is wanted.
    pub(crate) async fn run(&self, session: &mut Session<'_>) -> Result<Exit> {
        operation::ask(session, &self.name, |application| self.operation(application)).await?;
        if self.patience.waits() || self.dry_run {
            return operation::follow(session, &self.name, self.patience, self.output).await;
        }
        session.terminal.say(&format!("application '{}' rollback requested", self.name))?;
        Ok(Exit::Done)
    }

    fn operation(&self, application: &Value) -> Result<SyncOperation> {
        let name = &self.name;
        if automated(application).is_some() && !self.dry_run {
            bail!(
                "rollback cannot be initiated when auto-sync is enabled: application {name:?} would be synced to its \
                 repository again at once; switch spec.syncPolicy.automated off first, or revert the commit in Git"
            );
        }
        let entry = self.entry(application)?;
        let source = entry.get("source").filter(|source| !source.is_null()).cloned();
        let source = source.map(serde_json::from_value).transpose();
        Ok(SyncOperation {
            revision: entry["revision"].as_str().map(str::to_owned),
            source: source.with_context(|| format!("the history of application {name:?} cannot be read"))?,
            prune: self.prune.then_some(true),
            dry_run: self.dry_run.then_some(true),
            sync_options: options(application),
            sync_strategy: Some(SyncStrategy { apply: Some(SyncStrategyApply::default()), hook: None }),
            ..SyncOperation::default()
        })
    }

    /// The entry of the history that is asked for.
    fn entry<'a>(&self, application: &'a Value) -> Result<&'a Value> {
        let name = &self.name;
        let history = application.pointer("/status/history").and_then(Value::as_array);
        let history: Vec<&Value> = history.into_iter().flatten().collect();
        let Some(id) = self.id else {
            let before = history.len().checked_sub(2).and_then(|index| history.get(index)).copied();
            return before.ok_or_else(|| anyhow!("application {name:?} has no earlier sync to go back to"));
        };
        history.iter().find(|entry| entry["id"] == id).copied().ok_or_else(|| {
            let ids: Vec<String> = history.iter().map(|entry| entry["id"].to_string()).collect();
            anyhow!("application {name:?} has no history entry {id}: there are {}", ids.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Rollback;
    use clap::{Args, FromArgMatches};
    use serde_json::{Value, json};

    fn operation(line: &str, application: &Value) -> Result<Value, String> {
        let matches = Rollback::augment_args(clap::Command::new("rollback")).no_binary_name(true);
        let matches = matches.try_get_matches_from(line.split_whitespace()).unwrap();
        let rollback = Rollback::from_arg_matches(&matches).unwrap();
        let operation = rollback.operation(application).map_err(|error| error.to_string())?;
        Ok(serde_json::to_value(operation).unwrap())
    }

    #[test]
    fn the_entry_before_the_last_is_the_default() {
        let entry = |id: i64, revision: &str| json!({ "id": id, "revision": revision, "source": { "repoURL": "r", "path": "p" } });
        let mut application = json!({
            "spec": { "syncPolicy": { "syncOptions": ["CreateNamespace=true"] } },
            "status": { "history": [entry(3, "aaa"), entry(4, "bbb"), entry(5, "ccc")] },
        });
        let wanted = |revision: &str| {
            json!({
                "revision": revision,
                "source": { "repoURL": "r", "path": "p" },
                "syncStrategy": { "apply": {} },
                "syncOptions": ["CreateNamespace=true"],
            })
        };
        assert_eq!(operation("shop", &application).unwrap(), wanted("bbb"));
        assert_eq!(operation("shop 3", &application).unwrap(), wanted("aaa"));
        let error = operation("shop 9", &application).unwrap_err();
        assert_eq!(error, "application \"shop\" has no history entry 9: there are 3, 4, 5");
        application["spec"]["syncPolicy"]["automated"] = json!({});
        assert!(operation("shop", &application).unwrap_err().contains("auto-sync is enabled"));
    }
}
