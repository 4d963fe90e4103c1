//! Labels of series about objects: a word is kept once, however many series have it.
//!
//! A thousand Rollouts have ten thousand series, whose labels are a few thousand words.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;

use crate::store::Key;

/// A value of a label.
pub(crate) type Word = Arc<str>;

/// With fewer words than this nobody looks for those that no label has any more.
const FEW: usize = 1000;

/// The words that labels share, and some that no label has any more: no more than the others, or than a few.
#[derive(Debug, Default)]
pub(crate) struct Words(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    words: HashSet<Word>,
    /// How many there are when it is time to look for those that no label has any more.
    sweep_at: usize,
}

impl Words {
    /// The one copy of a word.
    pub(crate) fn get(&self, text: &str) -> Word {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(word) = known.words.get(text) {
            return Arc::clone(word);
        }
        if known.words.len() >= known.sweep_at {
            known.words.retain(|word| Arc::strong_count(word) > 1);
            known.sweep_at = FEW.max(known.words.len() * 2);
        }
        let word = Word::from(text);
        known.words.insert(Arc::clone(&word));
        word
    }

    /// The labels of an object.
    pub(crate) fn object(&self, key: &Key) -> OfObject {
        OfObject { namespace: self.get(&key.namespace), name: self.get(&key.name) }
    }
}

/// Labels of what is counted for each object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfObject {
    namespace: Word,
    name: Word,
}

impl OfObject {
    /// Labels of the Events about the object.
    pub(crate) fn event(self, [type_, reason]: [Word; 2]) -> OfEvent {
        OfEvent { namespace: self.namespace, name: self.name, r#type: type_, reason }
    }
}

/// Labels of Events about an object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfEvent {
    namespace: Word,
    name: Word,
    r#type: Word,
    reason: Word,
}

/// Labels of requests to the API server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub(crate) struct OfRequest {
    pub(crate) kind: Word,
    pub(crate) namespace: Word,
    pub(crate) name: Word,
    pub(crate) verb: &'static str,
    pub(crate) status_code: u16,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_kept_once_and_as_long_as_a_label_has_it() {
        let words = Words::default();
        let (shop, other) = (words.object(&Key::new("ns", "shop")), words.object(&Key::new("ns", "other")));
        assert!(Arc::ptr_eq(&shop.namespace, &other.namespace));
        drop(other);
        for number in 0..3 * FEW {
            words.get(&number.to_string());
        }
        let known = words.0.lock().unwrap();
        let has = |word: &str| known.words.contains(word);
        assert!(has("ns") && has("shop") && !has("other") && known.words.len() <= FEW);
    }
}
