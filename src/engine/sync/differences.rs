//! What the next sync would change, object by object, for people to read.
//!
//! Input: a complete world. Output: both sides of every object that differs, without what only servers write and
//! without the values of Secrets. It is the comparison that a sync is decided by, so both always agree.

use serde_json::{Map, Value};
use tidegate_api::source::SyncCode;

use super::compare::{Pair, compare, ignored, settings};
use super::diff::comparable;
use super::ignore::Rules;
use super::look::invalid;
use super::object::{Key, child_map};
use super::options;
use super::subject::Subject;
use super::world::{Prediction, World};

/// What stands for a value of a Secret that both sides have.
const SAME: &str = "********";
/// What stands for a value of a Secret that the sides do not share.
const LIVE: &str = "******** (in the cluster)";
const WANTED: &str = "******** (in Git)";
/// What `kubectl apply` last wrote: a copy of the object, Secrets included.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// One object that is not as Git says.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The object's key.
    pub key: Key,
    /// What the cluster has.
    pub live: Option<Value>,
    /// What a sync would make of it.
    pub wanted: Option<Value>,
    /// What a sync does with it, and what would have to be asked for.
    pub what: Change,
    /// Why a sync would not get that far.
    pub refused: Option<String>,
}

/// What a sync does with an object.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Change {
    /// It is made.
    Create,
    /// It is changed.
    Update,
    /// It is deleted, if pruning is asked for.
    Prune,
    /// It is not in Git any more, and stays because it says so.
    Keep,
    /// Only the owner of its fields changes; what it says stays.
    TakeOver,
}

/// Compares both sides.
///
/// # Errors
/// Why no comparison is possible.
pub fn differences(world: &World) -> Result<Vec<Difference>, String> {
    let subject = Subject::read(&world.application)?;
    if let Some((type_, message)) = invalid(world, &subject).into_iter().next() {
        return Err(format!("{type_}: {message}"));
    }
    let settings = settings(world)?;
    let rules = ignored(&subject, &settings)?;
    let comparison = compare(world, &subject)?;
    let options = subject.sync_options();
    let differs = |pair: &&Pair| pair.counts && pair.status == SyncCode::OutOfSync;
    comparison.pairs.iter().filter(differs).map(|pair| difference(world, pair, &rules, &options)).collect()
}

/// One object that differs.
fn difference(world: &World, pair: &Pair, rules: &Rules, options: &[String]) -> Result<Difference, String> {
    let predicted = world.cluster.as_ref().and_then(|cluster| cluster.predicted.get(&pair.key));
    let wanted = pair.wanted.as_ref().map(|wanted| match (predicted, pair.live) {
        (Some(Prediction::Accepted(predicted)), Some(_)) => predicted.clone(),
        // What is made anew is shown as Git has it, without all that a server fills in.
        (Some(_) | None, _) => wanted.object.clone(),
    });
    let wanted = match (wanted, pair.live) {
        (Some(mut wanted), Some(live)) => {
            // What does not count is shown as it is, so that it does not look as if it would change.
            rules.respect(&pair.key, &mut wanted, live)?;
            Some(wanted)
        }
        (wanted, _) => wanted,
    };
    let (live, wanted) = masked(&pair.key, pair.live.map(comparable), wanted.as_ref().map(comparable));
    let keeps = |live: &Value| options::applies(live, options, "Prune=false");
    let what = match (&live, &wanted) {
        (None, _) => Change::Create,
        (Some(live), Some(wanted)) if live == wanted => Change::TakeOver,
        (Some(_), Some(_)) => Change::Update,
        (Some(_), None) if pair.live.is_some_and(keeps) => Change::Keep,
        (Some(_), None) => Change::Prune,
    };
    let refused = pair.unserved.clone().or(pair.refused.clone());
    Ok(Difference { key: pair.key.clone(), live, wanted, what, refused })
}

/// Both sides without what nobody should read.
fn masked(key: &Key, live: Option<Value>, wanted: Option<Value>) -> (Option<Value>, Option<Value>) {
    let (mut live, mut wanted) = (live, wanted);
    for side in [&mut live, &mut wanted].into_iter().flatten() {
        if let Some(annotations) = side.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
            annotations.remove(LAST_APPLIED);
        }
    }
    if key.group.is_empty() && key.kind == "Secret" {
        for part in ["data", "stringData"] {
            let values =
                |side: &Option<Value>| side.as_ref().and_then(|side| side[part].as_object().cloned());
            let (before, after) = (values(&live).unwrap_or_default(), values(&wanted).unwrap_or_default());
            mask(&mut live, part, &after, LIVE);
            mask(&mut wanted, part, &before, WANTED);
        }
    }
    (live, wanted)
}

/// Replaces the values of one part of a Secret: by one word where the other side has the same, by another elsewhere.
fn mask(side: &mut Option<Value>, part: &str, other: &Map<String, Value>, word: &str) {
    let Some(side) = side.as_mut().filter(|side| !side[part].is_null()) else { return };
    // Something that is no map is no place for a value either; it goes whole.
    if !side[part].is_object() {
        side[part] = Value::from(word);
        return;
    }
    let Some(values) = child_map(side, part) else { return };
    for (name, value) in values {
        let is_same = other.get(name) == Some(value);
        *value = Value::from(if is_same { SAME } else { word });
    }
}
