//! Keeps secrets out of what measurements tell.
//!
//! Input: what Secrets and accounts hold, what requests were signed in with, and a text that a server may have a say in.
//! Output: the text without them.

use std::collections::BTreeSet;

use serde_json::Value;
use tidegate_api::analysis::{JUDGE_PLUGIN, Measurement, Metric};

use super::run::RunWorld;
use crate::metric;
use crate::rollout::hash;

/// What stands for a secret.
pub(super) const STARS: &str = "*****";
/// What stands for the rest of a long text.
pub(super) const CUT: char = '…';
/// Forms of a secret that are shorter hide nothing but what they are not.
const SHORTEST: usize = 4;

/// Everything that nothing told of a metric may hold: the values of the run's arguments, and what this metric signs in with.
pub(super) fn secrets(world: &RunWorld, metric: &Metric) -> Vec<String> {
    forms(of_arguments(world).chain(world.accounts.secrets(metric)))
}

/// What the run's arguments take from Secrets, which no message about them may hold.
pub(super) fn argument_secrets(world: &RunWorld) -> Vec<String> {
    forms(of_arguments(world))
}

fn of_arguments(world: &RunWorld) -> impl Iterator<Item = String> + '_ {
    world.secrets.values().filter_map(|value| value.clone().ok())
}

/// Secrets as they are, without blanks around them, as JSON has them, and as an excerpt in one line shows all that.
fn forms(secrets: impl Iterator<Item = String>) -> Vec<String> {
    let mut forms = BTreeSet::new();
    for secret in secrets.filter(|secret| !secret.is_empty()) {
        let mut others = BTreeSet::from([secret.clone(), secret.trim().to_owned()]);
        // A text in JSON may be JSON itself.
        for _ in 0..2 {
            others = others.iter().flat_map(|form| escaped(form)).chain(others.clone()).collect();
        }
        let lines: Vec<String> = others.iter().map(|form| line(form)).collect();
        forms.extend(lines.into_iter().chain(others).filter(|form| form.len() >= SHORTEST));
        forms.insert(secret);
    }
    forms.into_iter().collect()
}

fn line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A text between the quotes of JSON: as Go writes it, as others do, with slashes escaped, and in ASCII alone.
fn escaped(text: &str) -> [String; 5] {
    let inside = |json: String| json[1..json.len() - 1].to_owned();
    let plain = inside(Value::from(text).to_string());
    let slashed = plain.replace('/', r"\/");
    [inside(hash::go_text(&text.into())), in_ascii(&plain), in_ascii(&slashed), plain, slashed]
}

fn in_ascii(json: &str) -> String {
    let mut ascii = String::new();
    for letter in json.chars() {
        if letter.is_ascii() {
            ascii.push(letter);
        } else {
            ascii.extend(letter.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    ascii
}

/// A measurement that tells none of these secrets.
///
/// Numbers stay as they were measured. What is remembered for the next look stays as well: the judge's record, the name of
/// a Job, and everything of a measurement that goes on.
pub(super) fn redact_measurement(metric: &Metric, measurement: &mut Measurement, secrets: &[String]) {
    measurement.message = redact(&measurement.message, secrets);
    let long: Vec<String> = secrets.iter().filter(|secret| secret.len() >= SHORTEST).cloned().collect();
    if !is_of_numbers(&measurement.value) {
        measurement.value = redact(&measurement.value, &long);
    }
    if metric.provider.job.is_some() || measurement.finished_at.is_none() {
        return;
    }
    for (key, text) in &mut measurement.metadata {
        if key != JUDGE_PLUGIN && !is_of_numbers(text) {
            *text = redact(text, &long);
        }
    }
}

/// Whether a text is a number, or several in brackets: in these a short secret would be found everywhere.
fn is_of_numbers(text: &str) -> bool {
    let inside = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let mut parts = inside.split([',', ' ']).filter(|part| !part.is_empty());
    parts.all(|part| part.parse::<f64>().is_ok())
}

/// A text without any of these secrets, and without its rest where it is long; what is shown there is for anybody to read.
///
/// A secret is hidden where all of it stands in the whole text, so that the place where a text is cut tells nobody whether
/// a part of one was guessed.
pub(super) fn redact(text: &str, secrets: &[String]) -> String {
    let (whole, rests) = metric::apart(text);
    let hidden = hidden(&whole, secrets);
    let (mut told, mut before) = (String::new(), Seen::Plain);
    for (at, letter) in whole.char_indices() {
        let seen = if rests.iter().any(|rest| rest.contains(&at)) {
            Seen::Rest
        } else if hidden.get(at) == Some(&true) {
            Seen::Secret
        } else {
            Seen::Plain
        };
        match seen {
            Seen::Plain => told.push(letter),
            Seen::Secret if before != seen => told.push_str(STARS),
            Seen::Rest if before != seen => told.push(CUT),
            Seen::Secret | Seen::Rest => {}
        }
        before = seen;
    }
    told
}

/// What is to be seen of a letter.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    Plain,
    Secret,
    Rest,
}

/// Which bytes of a text are of a secret. Of secrets that overlap all are: neither must keep its end.
fn hidden(text: &str, secrets: &[String]) -> Vec<bool> {
    let mut hidden = vec![false; text.len()];
    for secret in secrets {
        let mut from = 0;
        while let Some(at) = text[from..].find(secret.as_str()).map(|at| from + at) {
            hidden[at..at + secret.len()].fill(true);
            from = text.ceil_char_boundary(at + 1);
        }
    }
    hidden
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_and_facts_are_told_without_secrets_and_numbers_as_they_are() {
        let metric = |provider: serde_json::Value| -> Metric {
            serde_json::from_value(json!({"name": "m", "provider": provider})).unwrap()
        };
        let (web, of_job) = (metric(json!({"web": {"url": "u"}})), metric(json!({"job": {"spec": {}}})));
        let (end, open) = (json!("2026-01-01T00:00:00Z"), json!(null));
        let secrets = forms(["hush", "0.97", "7"].map(str::to_owned).into_iter());
        for (metric, end, value, fact, wanted) in [
            (
                &web,
                &end,
                r#"{"auth":"Bearer hush"}"#,
                "for hush",
                (r#"{"auth":"Bearer *****"}"#, "for *****"),
            ),
            (&web, &end, "[0.97,NaN,-inf]", "[0.97 7]", ("[0.97,NaN,-inf]", "[0.97 7]")),
            (&web, &end, "0.97", "7 of 7", ("0.97", "7 of 7")),
            (&web, &end, "0.97 hush", "0.97 s", ("***** *****", "***** s")),
            (&web, &open, "hush", "hush", ("*****", "hush")),
            (&of_job, &end, "", "hush", ("", "hush")),
        ] {
            let mut measurement: Measurement = serde_json::from_value(json!({
                "message": "7 hush", "value": value, "finishedAt": end, "metadata": {"fact": fact, JUDGE_PLUGIN: "hush"},
            }))
            .unwrap();
            redact_measurement(metric, &mut measurement, &secrets);
            let told = (measurement.value.as_str(), measurement.metadata["fact"].as_str());
            assert_eq!(told, wanted);
            assert_eq!(
                (measurement.message.as_str(), measurement.metadata[JUDGE_PLUGIN].as_str()),
                ("***** *****", "hush")
            );
        }
    }

    fn redacted(text: &str, secrets: &[&str]) -> String {
        redact(text, &forms(secrets.iter().map(|secret| (*secret).to_owned())))
    }

    #[test]
    fn nothing_of_a_secret_is_left() {
        for (text, secrets, wanted) in [
            ("401: hush-hush is wrong", &["hush", "hush-hush"][..], "401: ***** is wrong"),
            ("401: hush is wrong", &["hush\n"], "401: ***** is wrong"),
            ("401: first second is wrong", &["first\n second\n"], "401: ***** is wrong"),
            ("hush-hush-hush", &["hush-hush"], "*****"),
            ("of abcdef", &["abcd", "cdef"], "of *****"),
            ("hüsh hüsh", &["hüsh"], "***** *****"),
            // Where a text is long its rest is left out, and whole secrets alone are hidden.
            ("sent hush-h\u{fdd0}ush and more\u{fdd1}!", &["hush-hush"], "sent *****…!"),
            ("sent hush-h\u{fdd0}ello\u{fdd1}", &["hush-hush"], "sent hush-h…"),
            ("sent it\u{fdd0} hush\u{fdd1}", &["hush"], "sent it…"),
            // The servers' own words are no rest.
            ("sent hush-h…", &["hush-hush"], "sent hush-h…"),
            ("sent hush-h", &["hush-hush"], "sent hush-h"),
            ("count is 1", &["1\n", ""], "count is 1"),
            // As JSON has them: Go's, anybody else's, PHP's, Python's, and a text of JSON in JSON.
            (r#"{"a":"k\u0026\u003c\u003e\"\\"}"#, &[r#"k&<>"\"#], r#"{"a":"*****"}"#),
            (r#"{"a":"k&<>\"\\"}"#, &[r#"k&<>"\"#], r#"{"a":"*****"}"#),
            (r#"{"a":"hu\/sh"}"#, &["hu/sh"], r#"{"a":"*****"}"#),
            (r#"{"a":"h\u00fcsh\ud83d\ude00"}"#, &["h\u{fc}sh\u{1f600}"], r#"{"a":"*****"}"#),
            (r#"{"a":"{\"b\":\"ke\\\"\u0026\"}"}"#, &[r#"ke"&"#], r#"{"a":"{\"b\":\"*****\"}"}"#),
            (r#"{"a":"two\n lines & b"}"#, &["two\n  lines & b"], r#"{"a":"*****"}"#),
        ] {
            assert_eq!(redacted(text, secrets), wanted);
        }
    }
}
