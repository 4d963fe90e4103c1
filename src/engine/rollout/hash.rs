//! The pod-template hash and the steps hash of Argo Rollouts, bit for bit.
//!
//! Both hash the JSON that Go writes for a typed object, so the order of
//! fields, the spelling of quantities and the escapes in strings all count. A
//! hash that differed would give every live Rollout a new ReplicaSet on the day
//! Tidegate takes over. The order comes from a table generated out of the Go
//! types; `e2e/tools/oracle` makes it and the examples the tests check.

mod fields;
mod go_json;
mod quantity;
mod template_fields;

use serde_json::Value;

use fields::Kind;
use quantity::Quantity;
use template_fields::{CANARY_STEP, POD_TEMPLATE_SPEC};

const POD_TEMPLATE: Kind = Kind::Struct(POD_TEMPLATE_SPEC);
const STEPS: Kind = Kind::List(&Kind::Struct(CANARY_STEP));

/// Returns the JSON that Go writes for a pod template, which is what is hashed.
///
/// Fields that no Kubernetes knows are left out. Fields newer than the
/// Kubernetes 0.34 types that Argo Rollouts 1.10 is built with come last in
/// their object, so that they count when used and change nothing when not.
///
/// ```text
/// {"spec": {"containers": [{"image": "a", "name": "b"}]}}
/// {"metadata":{},"spec":{"containers":[{"name":"b","image":"a","resources":{}}]}}
/// ```
pub fn canonical(template: &Value) -> String {
    let decoded = Value::Object(go_json::decode(template, POD_TEMPLATE_SPEC, Quantity::canonical));
    let mut text = String::new();
    go_json::write(&mut text, &decoded, &POD_TEMPLATE);
    text
}

/// Returns the JSON that Go writes for a value that it knows nothing of.
pub(crate) fn go_text(value: &Value) -> String {
    let mut text = String::new();
    go_json::write(&mut text, value, &Kind::Raw);
    text
}

/// What is left of a canonical pod template for its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest(u32);

impl Digest {
    /// Digests the text of a canonical template.
    pub fn of(canonical: &str) -> Self {
        Self(fnv1a(FNV_OFFSET, canonical.as_bytes()))
    }

    /// The hash; the collision count moves it aside when another ReplicaSet already has its name.
    pub fn hash(self, collision_count: Option<i32>) -> String {
        match collision_count {
            // Go writes the count into the first four of eight bytes.
            Some(count) => safe_encoded(fnv1a(fnv1a(self.0, &count.to_le_bytes()), &[0; 4])),
            None => safe_encoded(self.0),
        }
    }
}

/// Hashes a canonical pod template.
pub fn pod_template_hash(canonical: &str, collision_count: Option<i32>) -> String {
    Digest::of(canonical).hash(collision_count)
}

/// Hashes the steps of a canary; no steps and an empty list are the same.
pub fn steps_hash(steps: Option<&Value>) -> String {
    let mut text = String::new();
    let decoded = match steps.and_then(Value::as_array) {
        Some(steps) if !steps.is_empty() => {
            let step = |step| Value::Object(go_json::decode(step, CANARY_STEP, Quantity::canonical));
            steps.iter().map(step).collect()
        }
        Some(_) | None => Value::Null,
    };
    go_json::write(&mut text, &decoded, &STEPS);
    safe_encoded(fnv1a(FNV_OFFSET, text.as_bytes()))
}

/// Returns a template without the values that Kubernetes cannot read, such as
/// `memory: invalid`, which the API server would refuse in a ReplicaSet.
pub(super) fn readable(template: &Value) -> Value {
    go_json::readable(template, &POD_TEMPLATE).unwrap_or(Value::Null)
}

/// Returns a template as Go sees it, each quantity as a plain amount, so that
/// equal amounts are equal texts.
pub(super) fn with_plain_amounts(template: &Value) -> Value {
    Value::Object(go_json::decode(template, POD_TEMPLATE_SPEC, Quantity::amount))
}

const FNV_OFFSET: u32 = 0x811c_9dc5;
const FNV_PRIME: u32 = 0x0100_0193;

/// Continues a 32-bit FNV-1a hash.
fn fnv1a(hash: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(hash, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(FNV_PRIME))
}

/// Spells a number with letters and digits that cannot form a bad word.
fn safe_encoded(hash: u32) -> String {
    const SAFE: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    hash.to_string().bytes().map(|digit| char::from(SAFE[usize::from(digit) % SAFE.len()])).collect()
}

#[cfg(test)]
mod tests;
