//! Decodes objects that other tools wrote, dropping what is malformed instead of failing.
//!
//! One ill-typed field in one object must not stop the work on the others, nor on the rest of
//! that object. What was dropped is reported, so that it can be told to the user.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use serde_path_to_error::{Path, Segment};

/// More malformed fields than this in one object are no mistake but garbage: the object is given up.
const DROPS_MAX: usize = 100;

/// Field that was left out because its value has the wrong form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// Where the field stands, such as `spec.strategy.canary.steps[1].setWeight`.
    pub path: String,
    /// What is wrong with its value.
    pub error: String,
}

/// Reason why nothing of an object can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// Where decoding came to its end.
    pub path: String,
    /// What is wrong there.
    pub error: String,
}

impl std::fmt::Display for DecodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cannot decode the object at {}: {}", self.path, self.error)
    }
}

impl std::error::Error for DecodeError {}

/// Decodes a value, dropping fields whose form is wrong.
///
/// A null counts as an absent field, as it does in Go, and is not reported. A malformed element of a
/// list of objects becomes an empty object, so that the elements after it keep their places: a
/// broken canary step stays a step, and is then refused by validation instead of being skipped.
///
/// # Errors
/// Fails when the value is not an object, or has more malformed fields than anyone writes by mistake.
pub fn decode<T: DeserializeOwned>(mut value: Value) -> Result<(T, Vec<Dropped>), DecodeError> {
    // Following the path costs as much again as decoding does, and most objects have nothing to mend.
    if let Ok(decoded) = T::deserialize(&value) {
        return Ok((decoded, Vec::new()));
    }
    let mut dropped: Vec<Dropped> = Vec::new();
    loop {
        let failure = match serde_path_to_error::deserialize::<_, T>(&value) {
            Ok(decoded) => return Ok((decoded, dropped)),
            Err(failure) => failure,
        };
        let path = failure.path().to_string();
        let error = failure.inner().to_string();
        match mend(&mut value, failure.path()) {
            Mended::Null => {}
            Mended::Dropped if dropped.len() < DROPS_MAX => {
                if dropped.last().is_none_or(|last| last.path != path) {
                    dropped.push(Dropped { path, error });
                }
            }
            Mended::Dropped | Mended::Impossible => return Err(DecodeError { path, error }),
        }
    }
}

/// What was done about a malformed field.
enum Mended {
    /// It was null, and was removed.
    Null,
    /// It was malformed, and was removed or emptied.
    Dropped,
    /// There is nothing to remove.
    Impossible,
}

/// Removes the value at the end of the path, or empties it where it is an element of a list.
fn mend(value: &mut Value, path: &Path) -> Mended {
    let segments: Vec<&Segment> = path.iter().collect();
    // A buffered part of the object hides the rest of its path; then the whole part goes.
    let known = known_depth(value, &segments);
    let Some((last, parents)) = segments[..known].split_last() else { return add_required(value) };
    let mut parent = value;
    for segment in parents {
        parent = match segment {
            Segment::Map { key } => &mut parent[key.as_str()],
            Segment::Seq { index } => &mut parent[*index],
            Segment::Enum { .. } | Segment::Unknown => return Mended::Impossible,
        };
    }
    remove(parent, last)
}

/// Counts the leading segments of the path that lead somewhere.
fn known_depth(value: &Value, segments: &[&Segment]) -> usize {
    let mut place = value;
    for (depth, segment) in segments.iter().enumerate() {
        let next = match segment {
            Segment::Map { key } => place.get(key),
            Segment::Seq { index } => place.get(*index),
            Segment::Enum { .. } | Segment::Unknown => None,
        };
        let Some(next) = next else { return depth };
        place = next;
    }
    segments.len()
}

fn remove(parent: &mut Value, segment: &Segment) -> Mended {
    match (parent, segment) {
        (Value::Object(fields), Segment::Map { key }) => match fields.remove(key) {
            Some(Value::Null) => Mended::Null,
            Some(_) => Mended::Dropped,
            None => Mended::Impossible,
        },
        (Value::Array(elements), Segment::Seq { index }) if *index < elements.len() => {
            let empty = Value::Object(Map::new());
            if elements[*index] == empty {
                elements.remove(*index);
            } else {
                elements[*index] = empty;
            }
            Mended::Dropped
        }
        (_, _) => Mended::Impossible,
    }
}

/// Adds the two parts that every object has, where they are missing.
fn add_required(value: &mut Value) -> Mended {
    let Value::Object(fields) = value else { return Mended::Impossible };
    let mut mended = Mended::Impossible;
    for key in ["metadata", "spec"] {
        if !fields.contains_key(key) {
            fields.insert(key.to_owned(), Value::Object(Map::new()));
            mended = Mended::Dropped;
        }
    }
    mended
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::AnalysisRun;
    use crate::rollout::Rollout;
    use serde_json::json;

    fn paths(dropped: &[Dropped]) -> Vec<&str> {
        dropped.iter().map(|one| one.path.as_str()).collect()
    }

    #[test]
    fn ill_typed_fields_are_dropped_one_by_one_and_named() {
        let (rollout, dropped) = decode::<Rollout>(json!({
            "metadata": {"name": "shop"},
            "spec": {
                "replicas": "three",
                "minReadySeconds": 5,
                "restartAt": "yesterday",
                "unheardOf": {"of": 1},
                "strategy": {"canary": {"canaryService": 7, "maxSurge": 1.5, "stableService": "stable"}}
            }
        }))
        .unwrap();
        assert_eq!(
            paths(&dropped),
            [
                "spec.replicas",
                "spec.restartAt",
                "spec.strategy.canary.canaryService",
                "spec.strategy.canary.maxSurge"
            ]
        );
        assert_eq!(rollout.spec.min_ready_seconds, 5);
        let canary = rollout.spec.strategy.canary.unwrap();
        assert_eq!(canary.stable_service.as_deref(), Some("stable"));
        assert_eq!(canary.canary_service, None);
    }

    #[test]
    fn a_malformed_step_keeps_its_place() {
        let (rollout, dropped) = decode::<Rollout>(json!({
            "metadata": {},
            "spec": {"strategy": {"canary": {"steps": [{"setWeight": 20}, "oops", {"setWeight": 60}]}}}
        }))
        .unwrap();
        assert_eq!(paths(&dropped), ["spec.strategy.canary.steps[1]"]);
        let steps = rollout.spec.strategy.canary.unwrap().steps;
        assert_eq!(steps.len(), 3);
        assert_eq!(steps[1], Default::default());
    }

    #[test]
    fn a_malformed_text_in_a_list_of_texts_is_removed() {
        let (rollout, dropped) = decode::<Rollout>(json!({
            "metadata": {},
            "spec": {"strategy": {"canary": {"trafficRouting": {"nginx": {"stableIngresses": ["a", 1, "b"]}}}}}
        }))
        .unwrap();
        assert_eq!(paths(&dropped), ["spec.strategy.canary.trafficRouting.nginx.stableIngresses[1]"]);
        let routing = rollout.spec.strategy.canary.unwrap().traffic_routing.unwrap();
        assert_eq!(routing.nginx.unwrap().stable_ingresses, ["a", "b"]);
    }

    #[test]
    fn a_malformed_field_of_a_background_analysis_leaves_the_analysis() {
        let (rollout, dropped) = decode::<Rollout>(json!({
            "metadata": {},
            "spec": {"strategy": {"canary": {"analysis": {
                "startingStep": "two", "templates": [{"templateName": "success-rate"}]
            }}}}
        }))
        .unwrap();
        assert_eq!(paths(&dropped), ["spec.strategy.canary.analysis.startingStep"]);
        let background = rollout.spec.strategy.canary.unwrap().analysis.unwrap();
        assert_eq!(background.analysis.templates[0].template_name, "success-rate");
    }

    #[test]
    fn null_is_absence_and_is_not_reported() {
        let (rollout, dropped) = decode::<Rollout>(json!({
            "metadata": {"creationTimestamp": null},
            "spec": {"strategy": {"canary": {"steps": null, "maxSurge": null}}, "minReadySeconds": null,
                     "template": {"metadata": {"creationTimestamp": null}}}
        }))
        .unwrap();
        assert_eq!(dropped, []);
        assert_eq!(*rollout.spec.template.0, json!({"metadata": {"creationTimestamp": null}}));
    }

    #[test]
    fn a_missing_or_ill_typed_spec_is_an_empty_one() {
        let (_, dropped) = decode::<Rollout>(json!({"metadata": {"name": "a"}})).unwrap();
        assert_eq!(dropped.len(), 1);
        let (rollout, dropped) = decode::<Rollout>(json!({"metadata": {"name": "a"}, "spec": 3})).unwrap();
        assert_eq!(paths(&dropped), ["spec", "."]);
        assert_eq!(rollout.metadata.name.as_deref(), Some("a"));
    }

    #[test]
    fn what_is_no_object_is_refused() {
        assert!(decode::<Rollout>(json!("shop")).is_err());
        assert!(decode::<Rollout>(json!([])).is_err());
    }

    #[test]
    fn garbage_without_end_is_refused() {
        let steps: Vec<Value> = (0..DROPS_MAX + 1).map(|_| json!({"setWeight": "x"})).collect();
        let value = json!({"metadata": {}, "spec": {"strategy": {"canary": {"steps": steps}}}});
        assert!(decode::<Rollout>(value).is_err());
    }

    #[test]
    fn phases_from_the_future_and_empty_ones_are_read() {
        let (run, dropped) = decode::<AnalysisRun>(json!({
            "metadata": {}, "spec": {"metrics": []},
            "status": {"phase": "Contemplating", "metricResults": [{"name": "a", "phase": ""}]}
        }))
        .unwrap();
        assert_eq!(dropped, []);
        let status = run.status.unwrap();
        assert_eq!(status.phase, Some(crate::analysis::AnalysisPhase::Unknown));
        assert_eq!(status.metric_results[0].phase, None);
    }
}
