//! What keeps pods from running, in words for the Rollout's own status, so that nobody has to search the pods.
//!
//! Input: pods as JSON. Output: one bounded text for the pods of a ReplicaSet: the worst trouble, and how many have it.
//! It leaves out what changes while a trouble stays (the length of a back-off, which half of it the kubelet is in), so
//! that nothing flaps; and what may be secret: the last words of a container, user names and queries in addresses.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::at::at;

/// Letters of a text that Kubernetes wrote; enough for the scheduler's counts of nodes, or the name of a quota.
const LETTERS_MAX: usize = 300;

/// How bad a trouble is; the least is the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// The container cannot be created as the template says.
    Config,
    /// The image cannot be had.
    Image,
    /// The container ends again and again.
    Crash,
    /// No node takes the pod.
    Unschedulable,
}

/// What keeps one pod from running; the least is the worst.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Trouble {
    rank: Rank,
    text: String,
}

impl Trouble {
    /// Reads the worst trouble that a pod reports. What was known of it tells what the kubelet says only in every other
    /// report: why an image cannot be pulled.
    #[must_use]
    pub fn of_pod(pod: &Value, known: Option<&Self>) -> Option<Self> {
        if at(pod, "/metadata/deletionTimestamp").is_some() {
            return None;
        }
        let list = |pointer| at(pod, pointer).and_then(Value::as_array).into_iter().flatten();
        let first = list("/status/initContainerStatuses").filter_map(|status| of_container(status, true));
        let main = list("/status/containerStatuses").filter_map(|status| of_container(status, false));
        let worst = first.chain(main).chain(unschedulable(pod)).min()?;
        let known = known.filter(|known| known.text.starts_with(&format!("{}: ", worst.text)));
        Some(known.filter(|known| known.rank == Rank::Image).cloned().unwrap_or(worst))
    }

    /// The text that users see, without the name of the pod.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// The troubles of pods that count together.
#[derive(Clone, Debug, Default)]
pub struct Troubles {
    /// How many pods have each, and the first of their names.
    known: BTreeMap<Trouble, (usize, String)>,
}

impl Troubles {
    /// Adds the trouble of a pod.
    pub fn note(&mut self, pod: &str, trouble: &Trouble) {
        let (count, first) = self.known.entry(trouble.clone()).or_insert_with(|| (0, pod.to_owned()));
        *count += 1;
        if pod < first.as_str() {
            pod.clone_into(first);
        }
    }

    /// Says the worst one, which pod has it, and how many more do.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        let (trouble, (count, first)) = self.known.first_key_value()?;
        Some(match count {
            1 => format!("pod {first}: {}", trouble.text),
            more => format!("{more} pods such as {first}: {}", trouble.text),
        })
    }
}

/// A text without the words that have a number: ports, times and ids differ each time that somebody says the same.
#[must_use]
pub fn unnumbered(text: &str) -> String {
    let words = text.split(|letter: char| !letter.is_alphanumeric());
    words
        .filter(|word| !word.is_empty() && !word.bytes().any(|byte| byte.is_ascii_digit()))
        .collect::<Vec<_>>()
        .join(" ")
}

/// Bounds a text of Kubernetes, puts it on one line, and takes out of addresses what nobody else may see.
#[must_use]
pub fn bounded(text: &str) -> String {
    let words: Vec<String> = text.split_whitespace().map(without_secrets).collect();
    let text = words.join(" ");
    match text.char_indices().nth(LETTERS_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default().trim_end()),
        None => text,
    }
}

/// A word without the user and the query of the address in it: `https://me:pass@host/v2?token=1` is `https://host/v2`.
fn without_secrets(word: &str) -> String {
    let Some((scheme, rest)) = word.split_once("://") else { return word.to_owned() };
    let (place, end) = rest.split_at(rest.find(['"', '\'']).unwrap_or(rest.len()));
    let (place, colon) = place.strip_suffix(':').map_or((place, ""), |place| (place, ":"));
    let place = place.split(['?', '#']).next().unwrap_or_default();
    let (host, path) = place.split_at(place.find('/').unwrap_or(place.len()));
    let host = host.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}{path}{colon}{end}")
}

fn of_container(status: &Value, is_first: bool) -> Option<Trouble> {
    let container = status["name"].as_str().unwrap_or_default();
    let waiting = at(status, "/state/waiting");
    let reason = waiting.and_then(|waiting| waiting["reason"].as_str()).unwrap_or_default();
    let message = waiting.and_then(|waiting| waiting["message"].as_str()).unwrap_or_default();
    let at = format!("container {container}: {reason}");
    match reason {
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" | "InvalidImageName" => {
            let text = if message.is_empty() { at } else { format!("{at}: {}", bounded(message)) };
            Some(Trouble { rank: Rank::Config, text })
        }
        "ErrImagePull" | "ImagePullBackOff" | "ErrImageNeverPull" | "RegistryUnavailable" => {
            let image = status["image"].as_str().unwrap_or_default();
            let text = format!("container {container}: image {image} cannot be pulled");
            let text = match cause_of_pull(message) {
                Some(cause) => format!("{text}: {}", bounded(cause)),
                None => text,
            };
            Some(Trouble { rank: Rank::Image, text })
        }
        _ => crash(status, container, is_first),
    }
}

/// The last part of what the kubelet says about an image, where the runtime's chain of causes ends: `not found`.
fn cause_of_pull(message: &str) -> Option<&str> {
    let cause = message.rsplit_once("\": ").map_or(message, |(_, cause)| cause);
    // In the back-off an older kubelet only names the image.
    (!cause.is_empty() && !cause.starts_with("Back-off pulling image")).then_some(cause)
}

/// A container that ended and is not ready. One that starts again says so as well, or the trouble would come and go.
fn crash(status: &Value, container: &str, is_first: bool) -> Option<Trouble> {
    if status["ready"] == Value::Bool(true) {
        return None;
    }
    let ended = at(status, "/state/terminated").or_else(|| at(status, "/lastState/terminated"))?;
    let code = ended["exitCode"].as_i64()?;
    // A container that prepares the others is to end.
    if is_first && code == 0 {
        return None;
    }
    let why = ended["reason"].as_str().filter(|why| !why.is_empty() && *why != "Error");
    let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
    let text = format!("container {container}: ends with exit code {code}{why}");
    Some(Trouble { rank: Rank::Crash, text })
}

fn unschedulable(pod: &Value) -> Option<Trouble> {
    let conditions = at(pod, "/status/conditions")?.as_array()?;
    let condition = conditions.iter().find(|condition| condition["type"] == "PodScheduled")?;
    let refused = condition["status"] == "False" && condition["reason"] == "Unschedulable";
    // What follows tells of each node why no pod could make room there.
    let message = condition["message"].as_str().unwrap_or_default();
    let message = message.split_once(" preemption: ").map_or(message, |(nodes, _)| nodes);
    refused
        .then(|| Trouble { rank: Rank::Unschedulable, text: format!("Unschedulable: {}", bounded(message)) })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn trouble(status: Value, known: Option<&Trouble>) -> Option<Trouble> {
        Trouble::of_pod(&json!({ "metadata": { "name": "shop-1" }, "status": status }), known)
    }

    fn told(status: Value) -> String {
        trouble(status, None).map_or_else(String::new, |trouble| trouble.text)
    }

    fn waiting(reason: &str, message: &str) -> Value {
        json!({"name": "app", "image": "shop:typo", "state": {"waiting": {"reason": reason, "message": message}}})
    }

    fn main(status: Value) -> Value {
        json!({ "containerStatuses": [status] })
    }

    #[test]
    fn the_cause_of_a_failed_pull_is_told_in_both_of_its_phases() {
        let cause = "rpc error: code = NotFound desc = failed to pull and unpack image \"docker.io/library/shop:typo\": failed \
                     to resolve reference \"docker.io/library/shop:typo\": docker.io/library/shop:typo: not found";
        let first = trouble(main(waiting("ErrImagePull", cause)), None).unwrap();
        let said = "container app: image shop:typo cannot be pulled: docker.io/library/shop:typo: not found";
        assert_eq!(first.text(), said);
        let newer = format!("Back-off pulling image \"shop:typo\": ErrImagePull: {cause}");
        assert_eq!(told(main(waiting("ImagePullBackOff", &newer))), said);
        let older = waiting("ImagePullBackOff", "Back-off pulling image \"shop:typo\"");
        assert_eq!(told(main(older.clone())), "container app: image shop:typo cannot be pulled");
        assert_eq!(trouble(main(older), Some(&first)), Some(first), "what is known stays known");
    }

    #[test]
    fn another_image_does_not_inherit_the_cause_of_the_first() {
        let first = trouble(main(waiting("ErrImagePull", "not found")), None);
        let mut other = waiting("ImagePullBackOff", "");
        other["image"] = json!("shop:typo2");
        let said = trouble(main(other), first.as_ref()).unwrap();
        assert_eq!(said.text(), "container app: image shop:typo2 cannot be pulled");
    }

    #[test]
    fn a_crash_is_the_same_trouble_while_it_waits_runs_and_ends() {
        let ended =
            json!({"terminated": {"exitCode": 137, "reason": "OOMKilled", "message": "password=secret"}});
        let mut waits = waiting("CrashLoopBackOff", "back-off 40s restarting failed container");
        waits["lastState"] = ended.clone();
        let runs = json!({"name": "app", "ready": false, "state": {"running": {}}, "lastState": ended});
        let ends = json!({"name": "app", "ready": false, "state": ended});
        for status in [waits, runs, ends] {
            assert_eq!(told(main(status)), "container app: ends with exit code 137 (OOMKilled)");
        }
    }

    #[test]
    fn what_starts_or_is_ready_or_has_done_its_work_is_no_trouble() {
        let ended = json!({"terminated": {"exitCode": 0, "reason": "Completed"}});
        assert_eq!(told(main(waiting("ContainerCreating", ""))), "");
        assert_eq!(told(main(json!({"name": "app", "ready": false, "state": {"running": {}}}))), "");
        let again =
            json!({"name": "app", "ready": true, "state": {"running": {}}, "lastState": ended.clone()});
        assert_eq!(told(main(again)), "");
        let first = json!({"name": "prepare", "ready": false, "state": ended});
        assert_eq!(told(json!({ "initContainerStatuses": [first.clone()] })), "");
        assert_eq!(
            told(main(first)),
            "container prepare: ends with exit code 0 (Completed)",
            "it is to go on"
        );
    }

    #[test]
    fn the_worst_trouble_wins_and_pods_with_it_are_counted() {
        let conditions = json!([{"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available."}]);
        let config = waiting("CreateContainerConfigError", "configmap \"x\" not found");
        let both = json!({"conditions": conditions.clone(), "containerStatuses": [config]});
        let (worst, other) = (trouble(both, None).unwrap(), trouble(json!({"conditions": conditions}), None));
        assert_eq!(worst.text(), "container app: CreateContainerConfigError: configmap \"x\" not found");
        let other = other.unwrap();
        assert_eq!(other.text(), "Unschedulable: 0/1 nodes are available: 1 Insufficient cpu.");
        let mut troubles = Troubles::default();
        assert_eq!(troubles.text(), None);
        troubles.note("shop-1", &other);
        assert_eq!(troubles.text().unwrap(), format!("pod shop-1: {}", other.text()));
        troubles.note("shop-3", &worst);
        troubles.note("shop-2", &worst);
        assert_eq!(troubles.text().unwrap(), format!("2 pods such as shop-2: {}", worst.text()));
    }

    #[test]
    fn texts_are_bounded_and_hold_no_credentials() {
        let pull = "failed to resolve reference \"x\": failed to do request: Head \
                    https://me:pass@registry.example/v2/shop?token=abc: dial tcp: no such host";
        assert_eq!(
            told(main(waiting("ErrImagePull", pull))),
            "container app: image shop:typo cannot be pulled: failed to do request: Head \
             https://registry.example/v2/shop: dial tcp: no such host"
        );
        assert_eq!(bounded("a\n  b \"http://u@h/p\""), "a b \"http://h/p\"");
        let long = bounded(&"ü ".repeat(400));
        assert!(long.chars().count() <= LETTERS_MAX + 1 && long.ends_with('…'), "{long}");
    }
}
