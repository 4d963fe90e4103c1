//! Keeps secrets out of what measurements tell.
//!
//! Input: what Secrets and accounts hold, and a text that a server may have a say in. Output: the text without them.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::run::RunWorld;

const STARS: &str = "*****";
/// How a text ends that was cut off.
const CUT: char = '…';
/// Forms and parts of a secret that are shorter hide nothing but what they are not.
const SHORTEST: usize = 4;

/// Everything that no message may hold, the longest first: what begins like a shorter one must not keep its end.
pub(super) fn secrets(world: &RunWorld) -> Vec<String> {
    let of_arguments = world.secrets.values().filter_map(|value| value.clone().ok());
    forms(of_arguments.chain(world.accounts.secrets()))
}

/// Secrets as they are, without blanks around them, and as an excerpt in one line shows them.
fn forms(secrets: impl Iterator<Item = String>) -> Vec<String> {
    let mut forms = BTreeSet::new();
    for secret in secrets.filter(|secret| !secret.is_empty()) {
        let line = secret.split_whitespace().collect::<Vec<_>>().join(" ");
        let others = [secret.trim().to_owned(), line];
        forms.extend(others.into_iter().filter(|form| form.len() >= SHORTEST));
        forms.insert(secret);
    }
    let mut forms: Vec<String> = forms.into_iter().collect();
    forms.sort_by_key(|form| Reverse(form.len()));
    forms
}

/// A text without any of these secrets; what is shown there is for anybody to read.
pub(super) fn redact(text: &str, secrets: &[String]) -> String {
    let whole = secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), STARS));
    let Some(rest) = whole.strip_suffix(CUT) else { return whole };
    // The cut may have left the beginning of a secret, and of a character.
    let rest = rest.trim_end_matches(char::REPLACEMENT_CHARACTER);
    match secrets.iter().filter_map(|secret| begun(rest, secret)).max() {
        Some(length) => format!("{}{STARS}{CUT}", &rest[..rest.len() - length]),
        None => whole,
    }
}

/// How much of a secret stands at the end of a text.
fn begun(text: &str, secret: &str) -> Option<usize> {
    let mut lengths = (SHORTEST..secret.len()).rev().filter(|length| secret.is_char_boundary(*length));
    lengths.find(|length| text.ends_with(&secret[..*length]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(text: &str, secrets: &[&str]) -> String {
        redact(text, &forms(secrets.iter().map(|secret| (*secret).to_owned())))
    }

    #[test]
    fn nothing_of_a_secret_is_left() {
        for (text, secrets, wanted) in [
            ("401: hush-hush is wrong", &["hush", "hush-hush"][..], "401: ***** is wrong"),
            ("401: hush is wrong", &["hush\n"], "401: ***** is wrong"),
            ("401: first second is wrong", &["first\n second\n"], "401: ***** is wrong"),
            ("sent hush-h…", &["hush-hush"], "sent *****…"),
            ("sent hüs\u{fffd}…", &["hüsü-hush"], "sent *****…"),
            ("sent hush-h", &["hush-hush"], "sent hush-h"),
            ("count is 1", &["1\n", ""], "count is 1"),
        ] {
            assert_eq!(redacted(text, secrets), wanted);
        }
    }
}
