//! Operations of Applications: asking for one, following it to its end, and ending it early.
//!
//! The request is the top-level `operation` of the object and its progress `status.operationState`; whoever may patch
//! an Application may ask. A request is made only where none is under way, under the resourceVersion that was read.

use std::time::Duration;

use anyhow::{Error, Result, anyhow, bail};
use clap::Args;
use jiff::Timestamp;
use kube::api::DynamicObject;
use serde_json::{Value, json};
use tidegate_api::source::{OperationPhase, SyncOperation};
use tidegate_engine::view::{ApplicationView, Paint, ResourceView, render_resources};
use tokio::time::Instant;

use super::application::{self, find};
use crate::Exit;
use crate::cli::Output;
use crate::connection::parse_duration;
use crate::kind::Kind;
use crate::session::{Failure, Part, Session};

/// How often a request is tried when others change the object at the same time.
const ATTEMPTS: usize = 5;
/// How often an Application that is waited for is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Whether and how long to wait.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Patience {
    /// Wait until it is done, and tell how it went.
    #[arg(long)]
    pub(crate) wait: bool,
    /// How long to wait, such as 90s, 5m; 0 for no limit. Implies --wait.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    timeout: Option<Duration>,
}

impl Patience {
    /// Tells whether to wait at all.
    pub(crate) fn waits(&self) -> bool {
        self.wait || self.timeout.is_some()
    }

    fn end(&self) -> Option<Instant> {
        self.timeout.filter(|timeout| !timeout.is_zero()).map(|timeout| Instant::now() + timeout)
    }
}

/// Asks for a sync; `build` says what exactly, from the Application as it was read.
pub(super) async fn ask(
    session: &mut Session<'_>,
    name: &str,
    build: impl Fn(&Value) -> Result<SyncOperation>,
) -> Result<()> {
    let user = session.user().await.unwrap_or_else(|| session.grammar.program().to_owned());
    change(session, name, |known| {
        // What will not do is said before what will not do yet.
        let sync = build(known)?;
        refuse_if_busy(known, name)?;
        Ok(request(known, &sync, &user))
    })
    .await
}

/// Patches an Application as `patch` says of what was read; reads again when somebody else was faster.
async fn change(
    session: &mut Session<'_>,
    name: &str,
    patch: impl Fn(&Value) -> Result<Value>,
) -> Result<()> {
    let mut application = find(session, name).await?;
    let mut conflict = None;
    for _ in 0..ATTEMPTS {
        let patch = patch(&serde_json::to_value(&application)?)?;
        match session.merge(Kind::Application, name, &patch, Part::Object).await {
            Ok(()) => return Ok(()),
            Err(Failure::Conflict(error)) => conflict = Some(error),
            Err(failure @ (Failure::NotFound(_) | Failure::Other(_))) => return Err(failure.into()),
        }
        application = session.object(Kind::Application, name).await?;
    }
    Err(conflict.unwrap_or_else(|| anyhow!("application {name:?} could not be changed")))
}

/// Refuses a request that could not be carried out.
fn refuse_if_busy(application: &Value, name: &str) -> Result<()> {
    if !application["operation"].is_null() {
        bail!(
            "another operation is already in progress on application {name:?}: wait for it, or terminate it"
        );
    }
    if !application["metadata"]["deletionTimestamp"].is_null() {
        bail!("application {name:?} is being deleted");
    }
    Ok(())
}

/// The patch that asks for a sync, unless somebody changed the Application since.
fn request(application: &Value, sync: &SyncOperation, user: &str) -> Value {
    json!({
        "metadata": { "resourceVersion": application["metadata"]["resourceVersion"] },
        "operation": { "sync": sync, "initiatedBy": { "username": user } },
        "status": { "operationState": null },
    })
}

/// Returns the automation of an Application when it is on.
pub(super) fn automated(application: &Value) -> Option<&Value> {
    let automated =
        application.pointer("/spec/syncPolicy/automated").filter(|automated| automated.is_object());
    automated.filter(|automated| automated["enabled"] != Value::Bool(false))
}

/// Returns the sync options of the spec, which a request carries along.
pub(super) fn options(application: &Value) -> Option<Vec<String>> {
    let options = application.pointer("/spec/syncPolicy/syncOptions")?.as_array()?;
    let options: Vec<String> = options.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    (!options.is_empty()).then_some(options)
}

/// Follows an operation to its end, and tells what it did with each object.
pub(super) async fn follow(
    session: &mut Session<'_>,
    name: &str,
    patience: Patience,
    output: Option<Output>,
) -> Result<Exit> {
    let end = patience.end();
    let mut last = String::new();
    loop {
        let application = session.object(Kind::Application, name).await?;
        let known = serde_json::to_value(&application)?;
        if known["operation"].is_null() {
            return tell_end(session, name, application, &known, output);
        }
        let message = known.pointer("/status/operationState/message").and_then(Value::as_str);
        let message = message.unwrap_or_default().to_owned();
        if message != last && !message.is_empty() {
            session.terminal.warn(&message)?;
            last = message;
        }
        if !pause(end).await {
            let why = if last.is_empty() { "it has not begun" } else { &last };
            session.terminal.warn(&format!("Error: the sync of application {name:?} takes longer: {why}"))?;
            return Ok(Exit::TimedOut);
        }
    }
}

/// Waits until an Application is as wanted; nothing when the time is over first.
pub(super) async fn until(
    session: &mut Session<'_>,
    name: &str,
    patience: Patience,
    holds: impl Fn(&DynamicObject) -> bool,
) -> Result<Option<DynamicObject>> {
    let end = patience.end();
    loop {
        let application = session.object(Kind::Application, name).await?;
        if holds(&application) {
            return Ok(Some(application));
        }
        if !pause(end).await {
            return Ok(None);
        }
    }
}

/// Lets some time pass; false when the end has come.
async fn pause(end: Option<Instant>) -> bool {
    let next = Instant::now() + LOOK_EVERY;
    match end.filter(|end| *end < next) {
        Some(end) => {
            tokio::time::sleep_until(end).await;
            false
        }
        None => {
            tokio::time::sleep_until(next).await;
            true
        }
    }
}

fn tell_end(
    session: &mut Session<'_>,
    name: &str,
    application: DynamicObject,
    known: &Value,
    output: Option<Output>,
) -> Result<Exit> {
    let state = &known["status"]["operationState"];
    let view = application::view(application, Timestamp::now())?;
    let Some(operation) = &view.operation else {
        bail!("the request was taken back before the controller of application {name:?} saw it");
    };
    match output {
        Some(Output::Json) => session.terminal.print_json(state)?,
        Some(Output::Yaml) => session.terminal.print_yaml(state)?,
        Some(Output::Name) => session.terminal.say(&format!("application.argoproj.io/{name}"))?,
        Some(Output::Wide) | None => {
            session.terminal.print(&results(&view, state, output == Some(Output::Wide)))?;
        }
    }
    let revision = if operation.revision.is_empty() { "Git" } else { &operation.revision };
    let said = if operation.message.is_empty() { "no reason is told" } else { &operation.message };
    match operation.phase {
        OperationPhase::Succeeded => {
            if matches!(output, Some(Output::Wide) | None) {
                session.terminal.say(&format!("application '{name}' synced to {revision}: {said}"))?;
            }
            Ok(Exit::Done)
        }
        OperationPhase::Failed | OperationPhase::Error => {
            Err(Error::msg(format!("the sync of application {name:?} to {revision} failed: {said}")))
        }
        OperationPhase::Running | OperationPhase::Terminating | OperationPhase::Unrecognised => {
            bail!(
                "the request on application {name:?} is gone, but its state is {:?}: {said}",
                operation.phase
            )
        }
    }
}

/// The table of what a sync did: only the objects that it was about.
fn results(view: &ApplicationView, state: &Value, is_wide: bool) -> String {
    let results = state.pointer("/syncResult/resources").and_then(Value::as_array);
    let results: Vec<&Value> = results.into_iter().flatten().collect();
    let is_about = |resource: &&ResourceView| {
        results.iter().any(|result| {
            let text = |field: &str| result[field].as_str().unwrap_or_default();
            (text("group"), text("kind"), text("namespace"), text("name"))
                == (&resource.group, &resource.kind, &resource.namespace, &resource.name)
        })
    };
    let resources: Vec<ResourceView> = view.resources.iter().filter(is_about).cloned().collect();
    // What was pruned is not among the Application's objects any more.
    let gone = results.iter().filter(|result| result["status"] == "Pruned").filter(|result| {
        !resources.iter().any(|resource| resource.name == result["name"] && resource.kind == result["kind"])
    });
    let gone: String = gone.map(|result| format!("{}\n", pruned(result))).collect();
    if resources.is_empty() { gone } else { render_resources(&resources, is_wide, Paint::Plain) + &gone }
}

fn pruned(result: &Value) -> String {
    let text = |field: &str| result[field].as_str().unwrap_or_default();
    format!("{}/{} {}/{}: {}", text("group"), text("kind"), text("namespace"), text("name"), text("message"))
}

/// Asks for the end of the sync that is under way.
pub(super) async fn terminate(session: &mut Session<'_>, name: &str) -> Result<()> {
    change(session, name, |known| {
        termination(known).ok_or_else(|| {
            anyhow!("unable to terminate: no operation is in progress on application {name:?}")
        })
    })
    .await
}

/// The patch that ends a sync; a request that nobody has begun to carry out is taken back.
fn termination(application: &Value) -> Option<Value> {
    if application["operation"].is_null() {
        return None;
    }
    let version = &application["metadata"]["resourceVersion"];
    let state = &application["status"]["operationState"];
    Some(if state.is_null() {
        json!({ "metadata": { "resourceVersion": version }, "operation": null })
    } else {
        json!({
            "metadata": { "resourceVersion": version },
            "status": { "operationState": { "phase": "Terminating" } },
        })
    })
}

#[cfg(test)]
mod tests {
    use super::{automated, refuse_if_busy, request, termination};
    use serde_json::json;

    #[test]
    fn a_request_names_the_version_it_was_made_for() {
        let application = json!({ "metadata": { "resourceVersion": "7" } });
        let patch = request(&application, &Default::default(), "me");
        assert_eq!(
            patch,
            json!({
                "metadata": { "resourceVersion": "7" },
                "operation": { "sync": {}, "initiatedBy": { "username": "me" } },
                "status": { "operationState": null },
            })
        );
    }

    #[test]
    fn one_request_at_a_time_and_none_for_what_goes() {
        assert!(refuse_if_busy(&json!({ "operation": {} }), "shop").is_err());
        assert!(refuse_if_busy(&json!({ "metadata": { "deletionTimestamp": "now" } }), "shop").is_err());
        assert!(refuse_if_busy(&json!({ "operation": null }), "shop").is_ok());
    }

    #[test]
    fn a_sync_that_has_not_begun_is_taken_back_and_one_under_way_is_ended() {
        let mut application = json!({ "metadata": { "resourceVersion": "7" } });
        assert_eq!(termination(&application), None);
        application["operation"] = json!({ "sync": {} });
        assert_eq!(termination(&application).unwrap()["operation"], json!(null));
        application["status"] = json!({ "operationState": { "phase": "Running" } });
        let patch = termination(&application).unwrap();
        assert_eq!(patch["status"]["operationState"]["phase"], "Terminating");
        assert!(patch.get("operation").is_none());
    }

    #[test]
    fn automation_is_on_unless_it_says_otherwise() {
        let policy = |automated| json!({ "spec": { "syncPolicy": { "automated": automated } } });
        assert!(automated(&policy(json!({}))).is_some());
        assert!(automated(&policy(json!({ "enabled": false }))).is_none());
        assert!(automated(&policy(json!(null))).is_none());
    }
}
