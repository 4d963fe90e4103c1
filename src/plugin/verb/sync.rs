//! `sync APP`: asks the controller to bring the cluster to what Git says, now.

use anyhow::{Result, anyhow, bail};
use clap::Args;
use serde_json::Value;
use tidegate_api::source::{SyncOperation, SyncOperationResource, SyncStrategy, SyncStrategyApply};

use super::operation::{self, Patience, automated, options};
use crate::Exit;
use crate::cli::Output;
use crate::session::Session;

/// Bring the cluster to what an application's repository says.
///
/// The controller does it; with --wait the command ends with it: 0 when it succeeded, 1 when it failed, 3 when the time
/// was over first. A dry run is always waited for.
#[derive(Debug, Args)]
pub(crate) struct Sync {
    /// Name of the application.
    name: String,
    /// A branch, tag or commit; that of the spec when absent.
    #[arg(long)]
    revision: Option<String>,
    /// Delete what is not in the repository any more.
    #[arg(long)]
    prune: bool,
    /// Only ask the server what would happen.
    #[arg(long)]
    dry_run: bool,
    /// Sync only this object; may be repeated. The core group is empty: :Service:web.
    #[arg(long, value_name = "GROUP:KIND:[NAMESPACE/]NAME", value_parser = parse_resource)]
    resource: Vec<SyncOperationResource>,
    /// Delete and make anew what cannot be changed: for Argo CD's controller, Tidegate's refuses it so far.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    patience: Patience,
    /// Form of the output, when it is waited for.
    #[arg(short, long, value_enum, value_name = "FORM")]
    output: Option<Output>,
}

/// Reads a resource as `argocd app sync --resource` does.
pub(super) fn parse_resource(text: &str) -> Result<SyncOperationResource> {
    let mistake =
        || anyhow!("must be GROUP:KIND:NAME or GROUP:KIND:NAMESPACE/NAME, such as apps:Deployment:web");
    let parts: Vec<&str> = text.split(':').collect();
    let [group, kind, name] = parts.as_slice() else { return Err(mistake()) };
    let (namespace, name) = name.split_once('/').map_or((None, *name), |(space, name)| (Some(space), name));
    if kind.is_empty() || name.is_empty() || name.contains('/') || namespace == Some("") {
        return Err(mistake());
    }
    Ok(SyncOperationResource {
        group: (!group.is_empty()).then(|| (*group).to_owned()),
        kind: (*kind).to_owned(),
        name: name.to_owned(),
        namespace: namespace.map(str::to_owned),
    })
}

impl Sync {
    /// Asks for the sync, and waits for it if that is wanted.
    pub(crate) async fn run(&self, session: &mut Session<'_>) -> Result<Exit> {
        operation::ask(session, &self.name, |application| self.operation(application)).await?;
        if self.patience.waits() || self.dry_run {
            return operation::follow(session, &self.name, self.patience, self.output).await;
        }
        session.terminal.say(&format!("application '{}' sync requested", self.name))?;
        Ok(Exit::Done)
    }

    /// What is asked for.
    fn operation(&self, application: &Value) -> Result<SyncOperation> {
        let name = &self.name;
        let target = application.pointer("/spec/source/targetRevision").and_then(Value::as_str);
        if let Some(revision) = &self.revision
            && !self.dry_run
            && automated(application).is_some()
            && Some(revision.as_str()) != target.or(Some("HEAD"))
        {
            bail!(
                "application {name:?} is synced automatically to {}, which would undo a sync to {revision}: change \
                 spec.source.targetRevision, or switch automation off",
                target.unwrap_or("HEAD")
            );
        }
        if let Some(lost) = self.resource.iter().find(|wanted| !is_there(application, wanted)) {
            let group = lost.group.as_deref().unwrap_or_default();
            bail!(
                "application {name:?} has no {group}:{}:{}: see its objects with \"get application {name}\"",
                lost.kind,
                lost.name
            );
        }
        let hook = self.force.then_some(SyncStrategyApply { force: Some(true) });
        Ok(SyncOperation {
            revision: self.revision.clone(),
            prune: self.prune.then_some(true),
            dry_run: self.dry_run.then_some(true),
            resources: (!self.resource.is_empty()).then(|| self.resource.clone()),
            sync_options: options(application),
            sync_strategy: hook.map(|hook| SyncStrategy { hook: Some(hook), apply: None }),
            ..SyncOperation::default()
        })
    }
}

/// Tells whether an object is among those of the Application; before the first comparison nobody knows.
fn is_there(application: &Value, wanted: &SyncOperationResource) -> bool {
    let Some(resources) = application.pointer("/status/resources").and_then(Value::as_array) else {
        return true;
    };
    resources.iter().any(|resource| {
        let text = |field: &str| resource[field].as_str().unwrap_or_default();
        text("group") == wanted.group.as_deref().unwrap_or_default()
            && text("kind") == wanted.kind
            && text("name") == wanted.name
            && wanted.namespace.as_deref().is_none_or(|namespace| namespace == text("namespace"))
    })
}

#[cfg(test)]
mod tests {
    use super::parse_resource;

    #[test]
    fn resources_have_argo_cds_form() {
        let one = parse_resource("apps:Deployment:web").unwrap();
        assert_eq!(
            (one.group.as_deref(), one.kind.as_str(), one.name.as_str()),
            (Some("apps"), "Deployment", "web")
        );
        let core = parse_resource(":Service:shop/web").unwrap();
        assert_eq!((core.group, core.namespace.as_deref(), core.name.as_str()), (None, Some("shop"), "web"));
        for text in ["web", "Service:web", "apps::web", "apps:Deployment:", "a:b:c:d", ":Service:/web"] {
            assert!(parse_resource(text).is_err(), "{text}");
        }
    }
}
