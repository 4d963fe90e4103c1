//! Where the counters come from, and what a user may choose: the settings of the judge in a template.
//!
//! Input: what a template holds below `provider.plugin."tidegate.dev/judge"`, and the run that it became. Output: one
//! query in PromQL whose answer holds the counters of both sides, told apart by labels, and the terms of the verdict.
//! With a preset and the arguments `stable-hash` and `canary-hash` two lines are enough; own queries say everything.

use std::collections::BTreeMap;

use serde_json::Value;
use tidegate_api::analysis::PrometheusMetric;

use super::Settings;
use super::judgement::{MostSlow, Terms};
use super::preset::{self, Chosen, Preset, Queries};
use super::settings::{Fields, wrong};

/// Labels that the query adds: the side that a series belongs to, and what it counts.
pub(crate) const SIDE: &str = "tidegate_side";
pub(crate) const KIND: &str = "tidegate_kind";
pub(crate) const CANARY: &str = "canary";
const STABLE: &str = "stable";
pub(crate) const REQUESTS: &str = "requests";
pub(crate) const ERRORS: &str = "errors";

const INTERVAL_SECONDS: f64 = 10.0;
const HISTORY_SECONDS: f64 = 1800.0;
/// Looks of the time before that are asked for: half an hour of looks every 10 s.
const MOST_HISTORY: f64 = 180.0;
/// The rise of the part of slow requests that is worth stopping for, where nothing is said.
const LATENCY_HARM: f64 = 0.05;

const FIELDS: [&str; 16] = [
    "preset",
    "namespace",
    "ingress",
    "stable",
    "canary",
    "prometheus",
    "interval",
    "history",
    "within",
    "falseAbort",
    "falseAdvance",
    "harm",
    "latencyHarm",
    "mostErrors",
    "mostSlow",
    "slowAfter",
];
/// Those that an expert may want, which the others need not read about.
const RARE: &str = "tolerance";
const OF_PROMETHEUS: [&str; 5] = ["address", "authentication", "headers", "timeout", "insecure"];
const OF_A_SIDE: [&str; 3] = ["requests", "errors", "buckets"];

/// What the judge is asked to do, with nothing left open.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// How to reach Prometheus, with the query.
    pub prometheus: PrometheusMetric,
    /// Time between two looks.
    pub interval_seconds: f64,
    /// How far to look back before the first one; 0 for not at all.
    pub history_seconds: f64,
    /// Seconds in the unit of the buckets' bounds.
    pub bound_seconds: f64,
    pub terms: Terms,
}

/// What a run tells beside the settings.
#[derive(Clone, Debug, Default)]
pub struct Setting {
    /// Namespace of the run, for settings that name none.
    pub namespace: String,
    /// Values of its arguments, of which `stable-hash` and `canary-hash` say which pods to compare.
    pub arguments: BTreeMap<String, String>,
}

/// Reads the settings.
///
/// # Errors
/// Names the first field that is wrong, and what it must be.
pub fn parse(config: &Value, setting: &Setting) -> Result<Source, String> {
    let fields = Fields::new(config, "", &[&FIELDS[..], &[RARE]].concat())?;
    let interval_seconds = fields.seconds("interval", 1.0)?.unwrap_or(INTERVAL_SECONDS);
    let longest = MOST_HISTORY * interval_seconds;
    let history_seconds = fields.seconds("history", 0.0)?.unwrap_or(HISTORY_SECONDS.min(longest));
    if history_seconds > longest {
        let why = format!("must be at most {MOST_HISTORY} times the interval, which is {longest} s");
        return Err(fields.wrong("history", &why));
    }
    let preset = preset(&fields)?;
    let sides = [
        (CANARY, queries(&fields, preset, setting, CANARY)?),
        (STABLE, queries(&fields, preset, setting, STABLE)?),
    ];
    let query = query(&sides, preset.map_or("pod, instance", Preset::labels));
    let most_slow = most_slow(&fields)?;
    if most_slow.is_some() && sides.iter().any(|(_, queries)| queries.buckets.is_none()) {
        let why =
            "needs the durations of requests: a preset that has them, or the query buckets of both sides";
        return Err(fields.wrong("mostSlow", why));
    }
    Ok(Source {
        prometheus: PrometheusMetric { query: Some(query), ..prometheus(&fields)? },
        interval_seconds,
        history_seconds,
        bound_seconds: preset.map_or(1.0, Preset::bound_seconds),
        terms: Terms {
            errors: settings(&fields, "harm", Settings::default().harm)?,
            slow: settings(&fields, "latencyHarm", LATENCY_HARM)?,
            most_errors: fields.part("mostErrors")?,
            most_slow,
            within_seconds: fields.seconds("within", 1.0)?,
        },
    })
}

/// Says what is wrong with settings in which arguments have no values yet.
#[must_use]
pub fn fault(config: &Value) -> Option<String> {
    let mut known = config.clone();
    let is_open = |value: &Value| value.as_str().is_some_and(|text| text.contains("{{"));
    if let Value::Object(fields) = &mut known {
        let words = ["namespace", "ingress", "stable", "canary"];
        fields.retain(|name, value| words.contains(&name.as_str()) || !is_open(value));
        for value in fields.values_mut().filter(|value| is_open(value)) {
            *value = Value::from("open");
        }
        // One says nothing without the other.
        let limit = ["mostSlow", "slowAfter"];
        if limit.iter().any(|name| config.get(name).is_some_and(is_open)) {
            fields.retain(|name, _| !limit.contains(&name.as_str()));
        }
        // Its numbers may be open, too, and belong to a type of their own.
        if fields.get("prometheus").is_some_and(|value| value.to_string().contains("{{")) {
            fields.remove("prometheus");
        }
        // Without the preset nobody knows what the sides must be.
        if config.get("preset").is_some_and(is_open) {
            return None;
        }
    }
    let arguments = [STABLE_HASH, CANARY_HASH].map(|name| (name.to_owned(), "open".to_owned()));
    let setting = Setting { namespace: "open".to_owned(), arguments: arguments.into() };
    parse(&known, &setting).err()
}

const STABLE_HASH: &str = "stable-hash";
const CANARY_HASH: &str = "canary-hash";

fn settings(fields: &Fields<'_>, harm: &str, usual: f64) -> Result<Settings, String> {
    let usually = Settings::default();
    let tolerance = fields.number("tolerance")?.unwrap_or(usually.tolerance);
    if tolerance < 1.0 {
        return Err(fields.wrong("tolerance", "must be at least 1, such as 1.25"));
    }
    Ok(Settings {
        false_abort: fields.part("falseAbort")?.unwrap_or(usually.false_abort),
        false_advance: fields.part("falseAdvance")?.unwrap_or(usually.false_advance),
        harm: fields.part(harm)?.unwrap_or(usual),
        tolerance,
    })
}

fn prometheus(fields: &Fields<'_>) -> Result<PrometheusMetric, String> {
    let Some(value) = fields.value("prometheus") else { return Ok(PrometheusMetric::default()) };
    Fields::new(value, "prometheus.", &OF_PROMETHEUS)?;
    serde_json::from_value(value.clone()).map_err(|error| wrong("prometheus", &error.to_string()))
}

fn preset(fields: &Fields<'_>) -> Result<Option<Preset>, String> {
    let Some(name) = fields.text("preset")? else { return Ok(None) };
    Preset::of(name).map(Some).ok_or_else(|| {
        let names = preset::ALL.map(|(name, _)| name).join(", ");
        fields.wrong("preset", &format!("there is no {name:?}; the presets are {names}"))
    })
}

/// A limit of slow requests says how many, and what is slow.
fn most_slow(fields: &Fields<'_>) -> Result<Option<MostSlow>, String> {
    match (fields.part("mostSlow")?, fields.seconds("slowAfter", 0.001)?) {
        (None, None) => Ok(None),
        (Some(part), Some(after_seconds)) => Ok(Some(MostSlow { after_seconds, part })),
        (Some(_), None) => Err(fields.wrong("slowAfter", "says what is slow for mostSlow, such as 500ms")),
        (None, Some(_)) => {
            Err(fields.wrong("mostSlow", "says how many may be slower than slowAfter, such as 5%"))
        }
    }
}

/// One query for all counters of both sides.
fn query(sides: &[(&str, Queries)], by: &str) -> String {
    let mut parts = Vec::new();
    for (side, queries) in sides {
        parts.push(labelled(&queries.requests, by, side, REQUESTS));
        parts.push(labelled(&queries.errors, by, side, ERRORS));
        if let Some(buckets) = &queries.buckets {
            parts.push(labelled(buckets, &format!("{by}, le"), side, "buckets"));
        }
    }
    parts.join(" or ")
}

fn labelled(expression: &str, by: &str, side: &str, kind: &str) -> String {
    format!(
        "label_replace(label_replace(sum by ({by}) ({expression}), \"{SIDE}\", \"{side}\", \"\", \"\"), \
         \"{KIND}\", \"{kind}\", \"\", \"\")"
    )
}

/// The expressions of one side.
fn queries(
    fields: &Fields<'_>,
    preset: Option<Preset>,
    setting: &Setting,
    side: &'static str,
) -> Result<Queries, String> {
    let Some(preset) = preset else { return own(fields, side) };
    if fields.value(side).is_some_and(Value::is_object) {
        return Err(fields.wrong(side, "has queries beside a preset: remove one of the two"));
    }
    let namespace = fields.text("namespace")?.unwrap_or(&setting.namespace);
    let (word, stable) = (word(fields, preset, setting, side)?, word(fields, preset, setting, STABLE)?);
    for (field, text) in [("namespace", namespace), (side, word)] {
        if text.is_empty() || !text.chars().all(|c| c.is_ascii_alphanumeric() || "-./".contains(c)) {
            return Err(fields.wrong(field, &format!("{text:?} is no name")));
        }
    }
    Ok(preset.queries(namespace, word, stable, side == CANARY))
}

/// The word by which a preset tells a side from the other.
fn word<'a>(
    fields: &Fields<'a>,
    preset: Preset,
    setting: &'a Setting,
    side: &'static str,
) -> Result<&'a str, String> {
    match preset.chosen() {
        Chosen::Ingress => fields.needed("ingress", "name the stable Ingress"),
        Chosen::Service => fields.needed(side, "name its Service as the router's metrics do"),
        Chosen::Hash => {
            let argument = if side == CANARY { CANARY_HASH } else { STABLE_HASH };
            let given = setting.arguments.get(argument).map(String::as_str).filter(|text| !text.is_empty());
            fields.text(side)?.or(given).ok_or_else(|| {
                let mend = format!(
                    "give the pod template hash: as the argument {argument} of the run (valueFrom: \
                     {{podTemplateHashValue: {}}}), or here",
                    if side == CANARY { "Latest" } else { "Stable" }
                );
                fields.wrong(side, &mend)
            })
        }
    }
}

fn own(fields: &Fields<'_>, side: &'static str) -> Result<Queries, String> {
    let Some(value) = fields.value(side).filter(|value| value.is_object()) else {
        let names = preset::ALL.map(|(name, _)| name).join(", ");
        let mend = format!(
            "needs the queries requests and errors, whose series are counters; or name what counts as preset: {names}"
        );
        return Err(fields.wrong(side, &mend));
    };
    let queries = Fields::new(value, if side == CANARY { "canary." } else { "stable." }, &OF_A_SIDE)?;
    let counters = "needs a query whose series are counters";
    Ok(Queries {
        requests: queries.needed("requests", counters)?.to_owned(),
        errors: queries.needed("errors", counters)?.to_owned(),
        buckets: queries.text("buckets")?.map(str::to_owned),
    })
}

#[cfg(test)]
#[path = "source_tests.rs"]
mod tests;
