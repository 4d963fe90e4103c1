//! Provider Job: a Kubernetes Job whose end is the verdict.
//!
//! Input: the settings of a metric and its run, then what the API server shows of the Job and its pods. Output: the Job
//! to create, then the phase of the measurement. Such a measurement is begun, looked at again until the Job ends, and
//! ended early when its run ends. Conditions have no say.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use tidegate_api::analysis::{AnalysisPhase, AnalysisRun, AnalysisRunStatus, JobMetric, Measurement, Metric};

use super::Defaults;

/// Label of Jobs and their pods: the uid of the run.
pub const RUN_UID: &str = "analysisrun.argoproj.io/uid";
/// Annotations of a Job: its run and metric.
pub const RUN_NAME: &str = "analysisrun.argoproj.io/name";
pub const RUN_NAMESPACE: &str = "analysisrun.argoproj.io/namespace";
const METRIC_NAME: &str = "analysisrun.argoproj.io/metric-name";
/// Metadata of a measurement: its Job.
const JOB_NAME: &str = "job-name";
const JOB_NAMESPACE: &str = "job-namespace";
/// The Job controller makes a label of the name.
const LONGEST_NAME: usize = 63;
/// What a container waits for that will not come by itself.
const STUCK: [&str; 3] = ["ErrImagePull", "ImagePullBackOff", "InvalidImageName"];
const SHORTEST_PAUSE: SignedDuration = SignedDuration::from_secs(1);

/// Names a Job.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    pub namespace: String,
    pub name: String,
}

/// One thing to do about a Job. Whoever does it has no choice left.
#[derive(Clone, PartialEq)]
pub enum Request {
    /// Create it. One of that name that is there already is shown instead.
    Start { job: Name, object: Value },
    /// Read it and, while it has not ended, the pods with this label.
    Look { job: Name, selector: String },
    /// Delete it, its pods first. One that is not there is fine.
    End { job: Name },
}

impl std::fmt::Debug for Request {
    /// Leaves out the Job itself, which may hold secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (verb, job) = match self {
            Self::Start { job, .. } => ("Start", job),
            Self::Look { job, .. } => ("Look", job),
            Self::End { job } => ("End", job),
        };
        f.debug_tuple(verb).field(job).finish()
    }
}

/// What the API server shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shown {
    /// The Job; null once it is deleted.
    pub job: Value,
    pub pods: Vec<Value>,
}

/// The Job that measures a metric of a run next.
///
/// Its name says which measurement it is for, so that a measurement which was begun and then forgotten finds its Job
/// again instead of starting another.
///
/// # Errors
/// Fails when the settings hold no Job.
pub(crate) fn start(run: &AnalysisRun, metric: &Metric, defaults: &Defaults) -> Result<Request, String> {
    let Some(settings) = &metric.provider.job else { return Err("the metric has no Job".to_owned()) };
    let Value::Object(spec) = &settings.spec else {
        return Err("the Job's spec must be an object".to_owned());
    };
    let own = run.metadata.namespace.clone().unwrap_or_default();
    let namespace = defaults.job_namespace.clone().unwrap_or_else(|| own.clone());
    let uid = run.metadata.uid.clone().unwrap_or_default();
    let job = Name { name: name(&uid, &metric.name, number(run, &metric.name)), namespace };
    let mut metadata = json!({
        "name": job.name, "namespace": job.namespace,
        "labels": labels(settings, &uid), "annotations": annotations(settings, run, &own, metric),
    });
    // An owner must be in the same namespace of the same cluster.
    if job.namespace == own && !defaults.jobs_elsewhere {
        metadata["ownerReferences"] = json!([{
            "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisRun", "name": run.metadata.name, "uid": uid,
            "controller": true, "blockOwnerDeletion": true,
        }]);
    }
    let mut spec = spec.clone();
    label_pods(&mut spec, &uid)?;
    let object = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec});
    Ok(Request::Start { job, object })
}

/// The number of the next measurement, counted from 1.
fn number(run: &AnalysisRun, metric: &str) -> i64 {
    let results = run.status.iter().flat_map(|status| &status.metric_results);
    let taken = results.filter(|result| result.name == metric);
    taken.map(|result| i64::from(result.count) + i64::from(result.error)).next().unwrap_or(0) + 1
}

/// `<uid>.<metric>.<number>`, the metric cut off where that is too long for a label.
fn name(uid: &str, metric: &str, number: i64) -> String {
    let number = number.to_string();
    let room = LONGEST_NAME.saturating_sub(uid.len() + number.len() + 2);
    let end = (0..=room.min(metric.len())).rev().find(|end| metric.is_char_boundary(*end)).unwrap_or(0);
    // A part of a name ends with a letter or a digit.
    let metric = if end < metric.len() { metric[..end].trim_end_matches(['-', '.', '_']) } else { metric };
    format!("{uid}.{metric}.{number}")
}

fn labels(settings: &JobMetric, uid: &str) -> Value {
    let mut labels = settings.metadata.labels.clone();
    labels.insert(RUN_UID.to_owned(), uid.to_owned());
    json!(labels)
}

fn annotations(settings: &JobMetric, run: &AnalysisRun, namespace: &str, metric: &Metric) -> Value {
    let mut annotations = settings.metadata.annotations.clone();
    let name = run.metadata.name.clone().unwrap_or_default();
    annotations.insert(RUN_NAME.to_owned(), name);
    annotations.insert(RUN_NAMESPACE.to_owned(), namespace.to_owned());
    annotations.insert(METRIC_NAME.to_owned(), metric.name.clone());
    json!(annotations)
}

/// Labels the pods, so that they are found by their run.
fn label_pods(spec: &mut Map<String, Value>, uid: &str) -> Result<(), String> {
    let mut at = spec;
    for field in ["template", "metadata", "labels"] {
        let inner = at.entry(field).or_insert_with(|| json!({}));
        if inner.is_null() {
            *inner = json!({});
        }
        let Value::Object(inner) = inner else {
            return Err(format!("{field} in the Job's spec must be an object"));
        };
        at = inner;
    }
    at.insert(RUN_UID.to_owned(), uid.into());
    Ok(())
}

/// The Job of a measurement.
///
/// # Errors
/// Fails when the measurement does not tell it.
pub(crate) fn of(run: &AnalysisRun, measurement: &Measurement) -> Result<Name, String> {
    let text = |key: &str| measurement.metadata.get(key).filter(|text| !text.is_empty()).cloned();
    let name = text(JOB_NAME).ok_or("job metadata reference missing")?;
    let namespace = text(JOB_NAMESPACE).or_else(|| run.metadata.namespace.clone());
    Ok(Name { namespace: namespace.unwrap_or_default(), name })
}

/// The Jobs of measurements that have not ended.
#[must_use]
pub fn in_flight(run: &AnalysisRun, status: &AnalysisRunStatus) -> Vec<Name> {
    let last = status.metric_results.iter().filter_map(|result| result.measurements.last());
    last.filter(|last| last.finished_at.is_none()).filter_map(|last| of(run, last).ok()).collect()
}

/// Asks what became of a Job.
pub(crate) fn look(run: &AnalysisRun, job: Name) -> Request {
    let uid = run.metadata.uid.clone().unwrap_or_default();
    Request::Look { job, selector: format!("{RUN_UID}={uid}") }
}

/// The measurement that a Job was created for, or found.
pub(crate) fn begun(run: &AnalysisRun, metric: &str, shown: &Shown, now: Timestamp) -> Result<Begun, String> {
    let text =
        |pointer: &str| shown.job.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let escaped = |key: &str| key.replace('/', "~1");
    let name = text("/metadata/name");
    let uid = text(&format!("/metadata/labels/{}", escaped(RUN_UID)));
    let of = text(&format!("/metadata/annotations/{}", escaped(METRIC_NAME)));
    if name.is_empty() || Some(uid) != run.metadata.uid || of != metric {
        return Err(format!("jobs.batch \"{name}\" already exists, and is not of this metric"));
    }
    let metadata = [(JOB_NAME, name), (JOB_NAMESPACE, text("/metadata/namespace"))];
    let resume = now.saturating_add(SHORTEST_PAUSE).unwrap_or(now);
    Ok(Begun { metadata: metadata.map(|(key, value)| (key.to_owned(), value)).into(), resume })
}

/// What a measurement shows while its Job runs.
pub(crate) struct Begun {
    pub(crate) metadata: std::collections::BTreeMap<String, String>,
    /// When to look again.
    pub(crate) resume: Timestamp,
}

/// What became of a Job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It has not ended: look again at this time.
    Runs(Timestamp),
    /// It has ended, or never will; why, where that is not plain.
    Ended(AnalysisPhase, String),
}

/// Judges a Job by its conditions and its pods.
pub(crate) fn judge(job: &Name, shown: &Shown, started: Timestamp, now: Timestamp) -> Outcome {
    if shown.job.is_null() {
        let gone = format!("jobs.batch \"{}\" not found", job.name);
        return Outcome::Ended(AnalysisPhase::Error, gone);
    }
    if let Some(phase) = ended(&shown.job) {
        return Outcome::Ended(phase, String::new());
    }
    let uid = &shown.job["metadata"]["uid"];
    let mut ours = shown.pods.iter().filter(|pod| {
        let owners = pod.pointer("/metadata/ownerReferences").and_then(Value::as_array);
        owners.into_iter().flatten().any(|owner| &owner["uid"] == uid)
    });
    if let Some(why) = ours.find_map(stuck) {
        return Outcome::Ended(AnalysisPhase::Inconclusive, why);
    }
    // The longer it runs already, the longer it may take: after 50 s another 10 s. Times in a status are whole seconds.
    let elapsed = now.duration_since(started).as_secs().max(0);
    let pause = SignedDuration::from_secs((2.0 * elapsed as f64).sqrt().ceil() as i64);
    Outcome::Runs(now.saturating_add(pause.max(SHORTEST_PAUSE)).unwrap_or(Timestamp::MAX))
}

/// How a Job ended, if it has.
#[must_use]
pub fn ended(job: &Value) -> Option<AnalysisPhase> {
    let conditions = job.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
    let holds = conditions.filter(|condition| condition["status"] != "False");
    holds
        .filter_map(|condition| match condition["type"].as_str() {
            Some("Complete") => Some(AnalysisPhase::Successful),
            Some("Failed") => Some(AnalysisPhase::Failed),
            _ => None,
        })
        .next_back()
}

/// Why a container of a pod will never start by itself.
fn stuck(pod: &Value) -> Option<String> {
    let lists = ["/status/initContainerStatuses", "/status/containerStatuses"];
    let statuses = lists.iter().filter_map(|list| pod.pointer(list)?.as_array()).flatten();
    let mut waiting = statuses.filter_map(|status| Some((status, status.pointer("/state/waiting")?)));
    let (status, waiting) = waiting
        .find(|(_, waiting)| waiting["reason"].as_str().is_some_and(|reason| STUCK.contains(&reason)))?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Some(format!(
        "Pod {}, container {} has terminal error ({}): {}",
        text(&pod["metadata"]["name"]),
        text(&status["name"]),
        text(&waiting["reason"]),
        text(&waiting["message"])
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "11111111-2222-3333-4444-555555555555";

    fn run(status: Value) -> AnalysisRun {
        serde_json::from_value(json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisRun",
            "metadata": {"name": "r", "namespace": "ns", "uid": UID}, "spec": {"metrics": []}, "status": status,
        }))
        .unwrap()
    }

    fn metric(name: &str, job: Value) -> Metric {
        serde_json::from_value(json!({"name": name, "provider": {"job": job}})).unwrap()
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    #[test]
    fn a_job_has_upstreams_name_labels_and_owner() {
        let settings = json!({
            "metadata": {"labels": {"team": "a"}, "annotations": {"note": "b"}},
            "spec": {"backoffLimit": 0, "template": {"metadata": {"labels": {"app": "test"}}, "spec": {"restartPolicy": "Never"}}},
        });
        let taken = json!({"phase": "Running", "metricResults": [{"name": "test", "phase": "Running", "count": 2, "error": 1}]});
        let Request::Start { job, object } =
            start(&run(taken), &metric("test", settings.clone()), &Defaults::default()).unwrap()
        else {
            panic!("no start")
        };
        assert_eq!(job, Name { namespace: "ns".into(), name: format!("{UID}.test.4") });
        let wanted = json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": {
                "name": job.name, "namespace": "ns",
                "labels": {"team": "a", "analysisrun.argoproj.io/uid": UID},
                "annotations": {
                    "note": "b", "analysisrun.argoproj.io/name": "r", "analysisrun.argoproj.io/namespace": "ns",
                    "analysisrun.argoproj.io/metric-name": "test",
                },
                "ownerReferences": [{
                    "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisRun", "name": "r", "uid": UID,
                    "controller": true, "blockOwnerDeletion": true,
                }],
            },
            "spec": {"backoffLimit": 0, "template": {
                "metadata": {"labels": {"app": "test", "analysisrun.argoproj.io/uid": UID}},
                "spec": {"restartPolicy": "Never"},
            }},
        });
        assert_eq!(object, wanted);
        let elsewhere = [
            (Defaults { job_namespace: Some("jobs".into()), ..Defaults::default() }, "jobs"),
            (Defaults { jobs_elsewhere: true, ..Defaults::default() }, "ns"),
        ];
        for (defaults, namespace) in elsewhere {
            let started =
                start(&run(json!({"phase": ""})), &metric("test", settings.clone()), &defaults).unwrap();
            let Request::Start { job, object } = started else { panic!("no start") };
            assert_eq!((job.namespace.as_str(), job.name), (namespace, format!("{UID}.test.1")));
            assert_eq!(
                object["metadata"].get("ownerReferences"),
                None,
                "nobody owns across namespaces or clusters"
            );
        }
        let odd = start(&run(json!({"phase": ""})), &metric("m", json!({"spec": 5})), &Defaults::default());
        assert_eq!(odd, Err("the Job's spec must be an object".into()));
        let odd = start(
            &run(json!({"phase": ""})),
            &metric("m", json!({"spec": {"template": 5}})),
            &Defaults::default(),
        );
        assert_eq!(odd, Err("template in the Job's spec must be an object".into()));
        assert!(
            start(&run(json!({"phase": ""})), &metric("m", json!({"spec": {}})), &Defaults::default())
                .is_ok()
        );
    }

    #[test]
    fn names_fit_in_a_label() {
        for (metric, number, wanted) in [
            ("abcdefghijklmnopqrstuvwx", 1, "abcdefghijklmnopqrstuvwx.1"),
            ("abcdefghijklmnopqrstuvwxy", 1, "abcdefghijklmnopqrstuvwx.1"),
            ("abcdefghijklmnopqrstuvwx", 10, "abcdefghijklmnopqrstuvw.10"),
            ("abcdefghijklmnopqrstuvw-y", 1, "abcdefghijklmnopqrstuvw.1"),
            ("ääääääääääääää", 1, "ääääääääääää.1"),
        ] {
            let got = name(UID, metric, number);
            assert_eq!(got, format!("{UID}.{wanted}"));
            assert!(got.len() <= LONGEST_NAME, "{got}");
        }
        assert_eq!(name(&"u".repeat(80), "metric", 1), format!("{}..1", "u".repeat(80)));
    }

    fn shown(name: &str, uid: &str, metric: &str) -> Shown {
        let job = json!({"metadata": {
            "name": name, "namespace": "ns", "uid": "j",
            "labels": {RUN_UID: uid}, "annotations": {METRIC_NAME: metric},
        }});
        Shown { job, pods: Vec::new() }
    }

    #[test]
    fn a_job_that_is_there_is_taken_up_if_it_is_of_the_metric() {
        let run = run(json!({"phase": ""}));
        let begun = super::begun(&run, "m", &shown("j1", UID, "m"), at(0)).ok().unwrap();
        assert_eq!(json!(begun.metadata), json!({"job-name": "j1", "job-namespace": "ns"}));
        assert_eq!(begun.resume, at(1));
        for other in [shown("j1", "other", "m"), shown("j1", UID, "n"), Shown::default()] {
            assert!(super::begun(&run, "m", &other, at(0)).is_err());
        }
    }

    fn pod(owner: &str, list: &str, reason: &str) -> Value {
        json!({
            "metadata": {"name": "p", "ownerReferences": [{"uid": owner}]},
            "status": {list: [{"name": "ready"}, {"name": "c", "state": {"waiting": {"reason": reason, "message": "no"}}}]},
        })
    }

    #[test]
    fn conditions_and_pods_decide() {
        let name = Name { namespace: "ns".into(), name: "j1".into() };
        let judged = |conditions: Value, pods: Vec<Value>| {
            let mut shown = shown("j1", UID, "m");
            shown.job["status"] = json!({"conditions": conditions});
            shown.pods = pods;
            judge(&name, &shown, at(0), at(50))
        };
        let ended = |phase, why: &str| Outcome::Ended(phase, why.to_owned());
        let condition = |kind: &str, status: &str| json!([{"type": kind, "status": status}]);
        assert_eq!(judged(condition("Complete", "True"), Vec::new()), ended(AnalysisPhase::Successful, ""));
        assert_eq!(judged(condition("Failed", "True"), Vec::new()), ended(AnalysisPhase::Failed, ""));
        for open in
            [json!(null), json!([]), condition("Complete", "False"), condition("FailureTarget", "True")]
        {
            assert_eq!(judged(open, Vec::new()), Outcome::Runs(at(60)));
        }
        for reason in STUCK {
            for list in ["initContainerStatuses", "containerStatuses"] {
                let why = format!("Pod p, container c has terminal error ({reason}): no");
                let wanted = ended(AnalysisPhase::Inconclusive, &why);
                assert_eq!(judged(json!([]), vec![pod("j", list, reason)]), wanted);
            }
        }
        let done = judged(condition("Complete", "True"), vec![pod("j", "containerStatuses", "ErrImagePull")]);
        assert_eq!(done, ended(AnalysisPhase::Successful, ""));
        for other in [
            pod("other", "containerStatuses", "ErrImagePull"),
            pod("j", "containerStatuses", "ContainerCreating"),
        ] {
            assert_eq!(judged(json!([]), vec![other]), Outcome::Runs(at(60)));
        }
        let gone = judge(&name, &Shown::default(), at(0), at(50));
        assert_eq!(gone, ended(AnalysisPhase::Error, "jobs.batch \"j1\" not found"));
    }

    #[test]
    fn a_young_job_is_looked_at_again_soon_and_an_old_one_later() {
        let name = Name { namespace: "ns".into(), name: "j1".into() };
        for (now, wanted) in [(0, 1), (-5, -4), (1, 3), (2, 4), (200, 220), (20_000, 20_200)] {
            assert_eq!(judge(&name, &shown("j1", UID, "m"), at(0), at(now)), Outcome::Runs(at(wanted)));
        }
    }
}
