//! A pod in one line: the word that `kubectl get pods` shows, ready containers, restarts, and what ails it.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::icon::Icon;
use super::read::{condition, list, number, text, time};

/// A pod in one line.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodView {
    pub name: String,
    pub created: Option<Timestamp>,
    /// Phase, or the reason why it is not running, such as CrashLoopBackOff.
    pub status: String,
    pub icon: Icon,
    /// Ready containers.
    pub ready: usize,
    /// All containers, without the ones that initialise.
    pub containers: usize,
    pub restarts: i64,
    /// What keeps the pod from being ready, in words of the kubelet or the scheduler.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

impl PodView {
    /// Sums up a pod.
    #[must_use]
    pub fn new(pod: &Value) -> Self {
        let state = match initializing(pod) {
            Some(state) => state,
            None => running(pod),
        };
        let lost = text(pod, "/status/reason") == "NodeLost";
        let status = match (pod.pointer("/metadata/deletionTimestamp").is_some(), lost) {
            (true, true) => "Unknown".to_owned(),
            (true, false) => "Terminating".to_owned(),
            (false, _) => state.reason,
        };
        Self {
            name: text(pod, "/metadata/name").to_owned(),
            created: time(pod, "/metadata/creationTimestamp"),
            icon: icon(&status),
            trouble: trouble(pod, &status),
            status,
            ready: state.ready,
            containers: list(pod, "/spec/containers").len(),
            restarts: state.restarts,
        }
    }
}

/// What the containers say together.
struct State {
    reason: String,
    ready: usize,
    restarts: i64,
}

/// Returns the word that holds before any container speaks.
fn phase(pod: &Value) -> String {
    let reason = text(pod, "/status/reason");
    if reason.is_empty() { text(pod, "/status/phase").to_owned() } else { reason.to_owned() }
}

/// Sums up the containers that initialise; nothing when all of them are through.
fn initializing(pod: &Value) -> Option<State> {
    let total = list(pod, "/spec/initContainers").len();
    let mut restarts = 0;
    for (index, container) in list(pod, "/status/initContainerStatuses").iter().enumerate() {
        restarts += number(container, "/restartCount");
        let waiting = text(container, "/state/waiting/reason");
        if container.pointer("/state/terminated").is_some() {
            if number(container, "/state/terminated/exitCode") == 0 {
                continue;
            }
            return Some(State { reason: format!("Init:{}", ended(container)), ready: 0, restarts });
        }
        if is_sidecar(pod, text(container, "/name")) && container["started"] == Value::Bool(true) {
            continue;
        }
        let reason = match waiting {
            "" | "PodInitializing" => format!("Init:{index}/{total}"),
            reason => format!("Init:{reason}"),
        };
        return Some(State { reason, ready: 0, restarts });
    }
    None
}

/// Tells whether a container that initialises goes on running beside the others.
fn is_sidecar(pod: &Value, name: &str) -> bool {
    list(pod, "/spec/initContainers")
        .iter()
        .any(|container| text(container, "/name") == name && text(container, "/restartPolicy") == "Always")
}

/// Sums up the containers proper; the first one with something to say wins, as in kubectl.
fn running(pod: &Value) -> State {
    let mut state = State { reason: phase(pod), ready: 0, restarts: 0 };
    for container in list(pod, "/status/containerStatuses").iter().rev() {
        state.restarts += number(container, "/restartCount");
        let waiting = text(container, "/state/waiting/reason");
        if !waiting.is_empty() {
            state.reason = waiting.to_owned();
        } else if container.pointer("/state/terminated").is_some() {
            state.reason = ended(container);
        } else if container["ready"] == Value::Bool(true) && container.pointer("/state/running").is_some() {
            state.ready += 1;
        }
    }
    if state.reason == "Completed" && state.ready > 0 {
        state.reason = "Running".to_owned();
    }
    state
}

/// Names the end of a container: its reason, else its signal, else its exit code.
fn ended(container: &Value) -> String {
    let reason = text(container, "/state/terminated/reason");
    if !reason.is_empty() {
        return reason.to_owned();
    }
    match number(container, "/state/terminated/signal") {
        0 => format!("ExitCode:{}", number(container, "/state/terminated/exitCode")),
        signal => format!("Signal:{signal}"),
    }
}

/// Chooses the icon for the word that stands for a pod.
fn icon(status: &str) -> Icon {
    if status.starts_with("Init:") {
        return Icon::Progressing;
    }
    if status.starts_with("Signal:") || status.starts_with("ExitCode:") {
        return Icon::Bad;
    }
    if status.ends_with("Error") || status.starts_with("Err") {
        return Icon::Warning;
    }
    match status {
        "Pending" | "Terminating" | "ContainerCreating" => Icon::Progressing,
        "Running" | "Completed" => Icon::Good,
        "Failed" | "InvalidImageName" | "CrashLoopBackOff" => Icon::Bad,
        "ImagePullBackOff" | "RegistryUnavailable" => Icon::Warning,
        "Unknown" => Icon::Unknown,
        _ => Icon::Blank,
    }
}

/// Says what keeps a pod from being ready; nothing when it is ready, on its way, or going.
fn trouble(pod: &Value, status: &str) -> Option<String> {
    if status == "Terminating" || condition(pod, "Ready", "True").is_some() {
        return None;
    }
    if let Some(unscheduled) = condition(pod, "PodScheduled", "False") {
        return Some(format!("{}: {}", text(unscheduled, "/reason"), text(unscheduled, "/message")));
    }
    let containers =
        list(pod, "/status/initContainerStatuses").iter().chain(list(pod, "/status/containerStatuses"));
    for container in containers {
        let reason = text(container, "/state/waiting/reason");
        if !matches!(reason, "" | "ContainerCreating" | "PodInitializing") {
            let message = text(container, "/state/waiting/message");
            return Some(if message.is_empty() { reason.to_owned() } else { format!("{reason}: {message}") });
        }
        if number(container, "/state/terminated/exitCode") != 0 {
            let code = number(container, "/state/terminated/exitCode");
            return Some(format!("{} with exit code {code}", ended(container)));
        }
    }
    (status == "Running").then(|| "runs, but is not ready".to_owned())
}
