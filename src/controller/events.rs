//! Kubernetes Events, written in the background so that a slow API server never delays a decision.
//!
//! Input: notices about objects. Output: Events of core/v1, as upstream writes them; the same notice about the same
//! object again raises the count of the Event that is there. Full queues drop notices and count them.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use jiff::{Timestamp, Unit};
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::Client;
use kube::api::Patch;
use serde_json::json;
use tidegate_api::analysis::AnalysisRun;
use tidegate_api::rollout::Rollout;
use tidegate_engine::plan::Notice;
use tidegate_engine::rollout::duration::Ended;
use tidegate_engine::rollout::trouble::unnumbered;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::JoinSet;
use tracing::warn;

use crate::failure::{Class, chain};
use crate::kinds;
use crate::metrics::Metrics;
use crate::request::Requests;
use crate::store::Key;

/// The component that clients know these Events by.
const COMPONENT: &str = "rollouts-controller";
/// Notices that may wait; an update makes about ten, and a thousand may begin at once.
const WAITING_MAX: usize = 16_384;
/// Events that are written at once, those of one object one after the other.
const LANES: usize = 4;
/// Events that each lane remembers, so that a repetition raises a count.
const REMEMBERED_MAX: usize = 1024;
/// Attempts at one Event, with this pause between them; then it is dropped, for others wait behind it.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);

/// The object that an Event is about.
#[derive(Clone, Debug, Default)]
pub(crate) struct Subject(Arc<ObjectReference>);

impl Subject {
    /// Names a Rollout.
    pub(crate) fn rollout(rollout: &Rollout) -> Self {
        Self::new("Rollout", &rollout.metadata)
    }

    /// Names an AnalysisRun.
    pub(crate) fn run(run: &AnalysisRun) -> Self {
        Self::new("AnalysisRun", &run.metadata)
    }

    /// Names an object of group argoproj.io.
    pub(crate) fn new(kind: &str, metadata: &ObjectMeta) -> Self {
        Self(Arc::new(ObjectReference {
            api_version: Some("argoproj.io/v1alpha1".to_owned()),
            kind: Some(kind.to_owned()),
            namespace: metadata.namespace.clone(),
            name: metadata.name.clone(),
            uid: metadata.uid.clone(),
            resource_version: metadata.resource_version.clone(),
            field_path: None,
        }))
    }

    /// The object itself, whatever others had its name.
    pub(crate) fn uid(&self) -> &str {
        self.0.uid.as_deref().unwrap_or_default()
    }

    fn namespace(&self) -> &str {
        self.0.namespace.as_deref().unwrap_or("default")
    }

    fn name(&self) -> &str {
        self.0.name.as_deref().unwrap_or_default()
    }
}

/// A notice on its way, and when it was given.
type Waiting = (Subject, Notice, Timestamp);

/// The way in for notices; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Recorder {
    sender: Sender<Waiting>,
    metrics: Arc<Metrics>,
}

impl Recorder {
    /// Counts an update that has ended.
    pub(crate) fn update_ended(&self, ended: &Ended) {
        self.metrics.update_ended(ended);
    }

    /// Notes that something happened to an object.
    pub(crate) fn record(&self, subject: &Subject, notice: Notice) {
        let kind = if notice.warning { "Warning" } else { "Normal" };
        let key = Key::new(subject.namespace(), subject.name());
        self.metrics.event(subject.0.kind.as_deref().unwrap_or_default(), &key, kind, notice.reason);
        if self.sender.try_send((subject.clone(), notice, Timestamp::now())).is_err() {
            self.metrics.event_dropped();
        }
    }
}

/// Builds the two ends: the recorder, and the writer to run in the background.
pub(crate) fn channel(client: Client, metrics: Arc<Metrics>) -> (Recorder, Writer) {
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    let writer = Writer { client, receiver, metrics: Arc::clone(&metrics) };
    (Recorder { sender, metrics }, writer)
}

/// The end that talks to the API server.
pub(crate) struct Writer {
    client: Client,
    receiver: Receiver<Waiting>,
    metrics: Arc<Metrics>,
}

impl Writer {
    /// Writes notices until every recorder is dropped.
    pub(crate) async fn run(mut self) {
        let mut tasks = JoinSet::new();
        let lanes = Vec::from_iter((0..LANES).map(|_| {
            let (sender, receiver) = mpsc::channel(1);
            let (client, metrics) = (self.client.clone(), Arc::clone(&self.metrics));
            tasks.spawn(Lane { client, receiver, past: Past::default(), metrics }.run());
            sender
        }));
        while let Some(waiting) = self.receiver.recv().await {
            // A lane ends only with a panic, which loses what it had.
            if lanes[lane(&waiting.0)].send(waiting).await.is_err() {
                self.metrics.event_dropped();
            }
        }
        drop(lanes);
        while tasks.join_next().await.is_some() {}
    }

    /// Returns the reasons of the notices that wait.
    #[cfg(test)]
    pub(crate) fn waiting(&mut self) -> Vec<&'static str> {
        std::iter::from_fn(|| self.receiver.try_recv().ok()).map(|(_, notice, _)| notice.reason).collect()
    }
}

/// The lane of an object's Events: always the same, so that they stay in order and are counted together.
fn lane(subject: &Subject) -> usize {
    let mut hasher = DefaultHasher::new();
    subject.0.uid.hash(&mut hasher);
    usize::try_from(hasher.finish() % LANES as u64).unwrap_or_default()
}

/// Writes Events one after the other.
struct Lane {
    client: Client,
    receiver: Receiver<Waiting>,
    past: Past,
    metrics: Arc<Metrics>,
}

impl Lane {
    async fn run(mut self) {
        while let Some((subject, notice, at)) = self.receiver.recv().await {
            for attempt in 1..=ATTEMPTS {
                match self.write(&subject, &notice, at).await {
                    Ok(()) => break,
                    Err(error) => {
                        let lasting = matches!(Class::of(&error), Class::Denied | Class::Gone | Class::Bug);
                        if lasting || attempt == ATTEMPTS {
                            self.metrics.event_dropped();
                            warn!(object = subject.name(), reason = notice.reason, error = %chain(&error), "event is lost");
                            break;
                        }
                        tokio::time::sleep(PAUSE).await;
                    }
                }
            }
        }
    }

    async fn write(&mut self, subject: &Subject, notice: &Notice, at: Timestamp) -> Result<(), kube::Error> {
        let (kind, requests) = (kinds::event(), Requests::new(&self.client, subject.namespace()));
        let same = Same::of(subject, notice);
        if let Some((name, count)) = self.past.find(same) {
            let body = json!({"count": count + 1, "lastTimestamp": seconds(at), "message": notice.message});
            match requests.patch(&kind, &name, &Patch::Merge(body)).await.map_err(|(_, error)| error) {
                Ok(_) => {
                    self.past.remember(same, &name, count + 1);
                    return Ok(());
                }
                // Events live for an hour; then a new one begins.
                Err(error) if Class::of(&error) == Class::Gone => {}
                Err(error) => return Err(error),
            }
        }
        let event = event(subject, notice, at);
        let name = event.metadata.name.clone().unwrap_or_default();
        let body = serde_json::to_value(&event).map_err(kube::Error::SerdeError)?;
        match requests.create(&kind, &name, &body).await.map_err(|(_, error)| error) {
            Ok(_) => self.past.remember(same, &name, 1),
            // An earlier attempt got through, and only its answer was lost.
            Err(error) if Class::of(&error) == Class::Conflict => self.past.remember(same, &name, 1),
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// Reasons of Events about what the API server would not have: ports and times in its words make no other Event.
const REFUSALS: [&str; 3] = ["ReplicaSetCreateError", "ReplicaSetUpdateError", "TrafficRoutingError"];

/// What makes two notices the same Event: the object, the reason and the message, digested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Same(u64);

impl Same {
    fn of(subject: &Subject, notice: &Notice) -> Self {
        let mut hasher = DefaultHasher::new();
        let (of, why) = notice.message.split_once(": ").unwrap_or((&notice.message, ""));
        let why = match REFUSALS.contains(&notice.reason) {
            true => Cow::Owned(unnumbered(why)),
            false => Cow::Borrowed(why),
        };
        (subject.uid(), notice.reason, of, why).hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// Names and counts of the Events written last.
#[derive(Debug, Default)]
struct Past {
    known: BTreeMap<Same, (Box<str>, i32)>,
    order: VecDeque<Same>,
}

impl Past {
    fn find(&self, same: Same) -> Option<(String, i32)> {
        self.known.get(&same).map(|(name, count)| (name.to_string(), *count))
    }

    fn remember(&mut self, same: Same, name: &str, count: i32) {
        if self.known.insert(same, (name.into(), count)).is_none() {
            self.order.push_back(same);
            if self.order.len() > REMEMBERED_MAX
                && let Some(oldest) = self.order.pop_front()
            {
                self.known.remove(&oldest);
            }
        }
    }
}

fn seconds(at: Timestamp) -> Time {
    // The API keeps whole seconds.
    Time(at.round(Unit::Second).unwrap_or(at))
}

fn event(subject: &Subject, notice: &Notice, at: Timestamp) -> Event {
    let time = seconds(at);
    Event {
        metadata: ObjectMeta {
            // As client-go names them: the object, and the time in nanoseconds as hexadecimal digits.
            name: Some(format!("{}.{:x}", subject.name(), at.as_nanosecond())),
            namespace: Some(subject.namespace().to_owned()),
            ..ObjectMeta::default()
        },
        involved_object: (*subject.0).clone(),
        type_: Some(if notice.warning { "Warning" } else { "Normal" }.to_owned()),
        reason: Some(notice.reason.to_owned()),
        message: Some(notice.message.clone()),
        source: Some(EventSource { component: Some(COMPONENT.to_owned()), host: None }),
        first_timestamp: Some(time.clone()),
        last_timestamp: Some(time),
        count: Some(1),
        reporting_component: Some(COMPONENT.to_owned()),
        reporting_instance: Some(String::new()),
        ..Event::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject() -> Subject {
        let metadata = ObjectMeta {
            name: Some("shop".to_owned()),
            namespace: Some("ns".to_owned()),
            uid: Some("u1".to_owned()),
            ..ObjectMeta::default()
        };
        Subject::new("Rollout", &metadata)
    }

    #[test]
    fn an_event_looks_as_upstream_writes_it() {
        let at = Timestamp::from_second(1_700_000_000).unwrap();
        let event =
            serde_json::to_value(event(&subject(), &Notice::warning("RolloutAborted", "why"), at)).unwrap();
        assert_eq!(event["metadata"]["name"], "shop.17979cfe362a0000");
        assert_eq!(event["source"], json!({"component": "rollouts-controller"}));
        assert_eq!(
            (&event["type"], &event["reason"], &event["count"]),
            (&json!("Warning"), &json!("RolloutAborted"), &json!(1))
        );
        assert_eq!(event["involvedObject"]["kind"], "Rollout");
        assert_eq!(event["firstTimestamp"], "2023-11-14T22:13:20Z");
    }

    #[test]
    fn repetitions_are_recognised_and_memory_is_bounded() {
        let mut past = Past::default();
        let notice = |number: usize| Notice::normal("ScalingReplicaSet", format!("Scaled up {number}"));
        for number in 0..=REMEMBERED_MAX {
            past.remember(Same::of(&subject(), &notice(number)), &format!("shop.{number}"), 1);
        }
        let refused = |port: usize| {
            let message = format!("Failed to create new replica set \"a-1\": read 10.0.0.1:{port}: reset");
            Same::of(&subject(), &Notice::warning("ReplicaSetCreateError", message))
        };
        assert_eq!(refused(41_234), refused(51_001), "the same but for a port");
        assert_eq!(past.known.len(), REMEMBERED_MAX);
        assert_eq!(past.find(Same::of(&subject(), &notice(0))), None);
        assert_eq!(past.find(Same::of(&subject(), &notice(1))), Some(("shop.1".to_owned(), 1)));
    }
}
