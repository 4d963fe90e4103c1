//! What the annotations of a template or a run say of missing data, for each of its metrics.
//!
//! Input: annotations and metrics. Output: terms, or what is wrong with the annotations. `wait` is for all metrics,
//! `error-rate=fail, latency=wait` for single ones, and `wait, latency=fail` for all but one. A metric with a comma in its
//! name cannot be named: only what is said of all is said of it.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tidegate_api::analysis::Metric;
use tidegate_api::go_duration::parse_nanoseconds;
use tidegate_api::valid::{FieldError, FieldErrorKind};

use super::limits::Limits;

/// What to do with a measurement without data.
pub(super) const ON_NO_DATA: &str = "tidegate.dev/on-no-data";
/// Values that a metric needs before it may end Successful.
pub(super) const MIN_SAMPLES: &str = "tidegate.dev/min-samples";
/// How long `wait` waits, as a duration such as `10m`.
pub(super) const WAIT_AT_MOST: &str = "tidegate.dev/wait-at-most";
/// The annotations that are about missing data; the first says whom the last may be about.
pub const KEYS: [&str; 3] = [ON_NO_DATA, MIN_SAMPLES, WAIT_AT_MOST];

/// What a measurement without data comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnNoData {
    /// It does not count, and is taken again.
    Wait,
    Inconclusive,
    Fail,
}

impl OnNoData {
    const ALL: [Self; 3] = [Self::Wait, Self::Inconclusive, Self::Fail];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Wait => "wait",
            Self::Inconclusive => "inconclusive",
            Self::Fail => "fail",
        }
    }
}

/// What is said of the missing data of one metric; without a word upstream's rules hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Terms {
    pub(super) on_no_data: Option<OnNoData>,
    pub(super) min_samples: Option<i32>,
    /// Seconds to wait for data.
    pub(super) wait_at_most: Option<i64>,
}

impl Terms {
    /// Whether anything is said.
    pub(super) fn are_given(self) -> bool {
        self != Self::default()
    }

    /// Whether a measurement without data is taken again.
    fn waits(self) -> bool {
        self.on_no_data == Some(OnNoData::Wait)
    }

    /// Values that the metric needs before it may end Successful: one at least where somebody cares for missing data, as
    /// limits could bear with a metric that never had any.
    pub(super) fn least(self) -> i32 {
        self.min_samples.unwrap_or(i32::from(self.on_no_data.is_some()))
    }
}

/// The terms of each metric. `written` are the same metrics before their arguments were filled in: by either name they are
/// known.
///
/// # Errors
/// Fails with all that is wrong with the annotations.
pub(super) fn of(
    annotations: &BTreeMap<String, String>,
    metrics: &[Metric],
    written: &[Metric],
) -> Result<Vec<Terms>, Vec<FieldError>> {
    let mut terms = vec![Terms::default(); metrics.len()];
    let mut faults = Vec::new();
    for key in KEYS {
        let Some(text) = annotations.get(key) else { continue };
        let mut tell = |detail: String| {
            let value = Some(format!("{text:?}"));
            let path = format!("metadata.annotations[{key}]");
            faults.push(FieldError { path, kind: FieldErrorKind::Invalid, value, detail });
        };
        let said = match Said::read(text, metrics, written) {
            Ok(said) => said,
            Err(why) => {
                tell(why);
                continue;
            }
        };
        for ((terms, metric), written) in terms.iter_mut().zip(metrics).zip(written) {
            let Some((value, is_named)) = said.of(metric, written) else { continue };
            let applied = match key {
                ON_NO_DATA => on_no_data(value, metric, is_named).map(|found| terms.on_no_data = found),
                MIN_SAMPLES => min_samples(value, metric).map(|found| terms.min_samples = Some(found)),
                _ => wait_at_most(value, metric, *terms, is_named).map(|found| terms.wait_at_most = found),
            };
            if let Err(why) = applied {
                tell(why);
            }
        }
        if key == WAIT_AT_MOST && !annotations.contains_key(ON_NO_DATA) {
            tell(format!("no metric waits for data: write {ON_NO_DATA}: wait, too, or leave this out"));
        }
    }
    faults.dedup();
    if faults.is_empty() { Ok(terms) } else { Err(faults) }
}

/// The first of several faults, for a message that has room for one.
pub(super) fn first(faults: &[FieldError]) -> String {
    faults.first().map(ToString::to_string).unwrap_or_default()
}

/// What one annotation says.
struct Said<'a> {
    of_all: Option<&'a str>,
    of_metric: BTreeMap<&'a str, &'a str>,
}

impl<'a> Said<'a> {
    fn read(text: &'a str, metrics: &[Metric], written: &[Metric]) -> Result<Self, String> {
        let mut said = Self { of_all: None, of_metric: BTreeMap::new() };
        for entry in text.split(',').map(str::trim) {
            let before = match entry.rsplit_once('=') {
                Some((metric, value)) => said.of_metric.insert(metric.trim(), value.trim()),
                None => said.of_all.replace(entry),
            };
            if before.is_some() {
                let (metric, _) = entry.rsplit_once('=').unwrap_or(("all metrics", ""));
                return Err(format!("it speaks twice of {metric}: leave one of the two"));
            }
        }
        if metrics.is_empty() {
            return Err(
                "there is no metric in spec.metrics: annotate the templates that have the metrics".to_owned()
            );
        }
        let known: BTreeSet<&str> =
            metrics.iter().chain(written).map(|metric| metric.name.as_str()).collect();
        match said.of_metric.keys().find(|name| !known.contains(**name)) {
            Some(name) => {
                let known: Vec<&str> = metrics.iter().map(|metric| metric.name.as_str()).collect();
                let none =
                    format!("there is no metric {name:?} in spec.metrics: it has {}", known.join(", "));
                let nameless = known.iter().find(|name| !can_be_named(name));
                Err(none + &nameless.map(|name| format!("; {}", unnamed(name))).unwrap_or_default())
            }
            None => Ok(said),
        }
    }

    /// What is said of a metric, and whether by its name.
    fn of(&self, metric: &Metric, written: &Metric) -> Option<(&'a str, bool)> {
        let named = [metric, written].into_iter().find_map(|metric| self.of_metric.get(metric.name.as_str()));
        named.map(|value| (*value, true)).or_else(|| self.of_all.map(|value| (value, false)))
    }
}

fn on_no_data(value: &str, metric: &Metric, is_named: bool) -> Result<Option<OnNoData>, String> {
    let found = OnNoData::ALL
        .into_iter()
        .find(|known| known.as_str() == value)
        .ok_or_else(|| format!("write wait, inconclusive or fail{}", for_one(metric, "wait")))?;
    if is_judged_by_conditions(metric) {
        return Ok(Some(found));
    }
    let why = format!("metric {:?} is not judged by conditions, so leave it out", metric.name);
    if is_named { Err(why) } else { Ok(None) }
}

fn min_samples(value: &str, metric: &Metric) -> Result<i32, String> {
    let least: i32 = value
        .parse()
        .ok()
        .filter(|least| *least > 0)
        .ok_or_else(|| format!("write a number of 1 or more{}", for_one(metric, "3")))?;
    let is_open = matches!(&metric.count, Some(IntOrString::String(text)) if text.contains("{{"));
    match Limits::of(metric).count.filter(|count| !is_open && *count < least) {
        Some(count) => {
            let name = &metric.name;
            let mend = if can_be_named(name) { format!("{name}={count}") } else { count.to_string() };
            Err(format!(
                "metric {name:?} is measured {count} times only, and could never end Successful: write {mend:?} or less"
            ))
        }
        None => Ok(least),
    }
}

fn wait_at_most(value: &str, metric: &Metric, terms: Terms, is_named: bool) -> Result<Option<i64>, String> {
    let seconds = parse_nanoseconds(value).ok().map(|nanoseconds| nanoseconds / 1_000_000_000);
    let seconds = seconds.filter(|seconds| *seconds > 0).ok_or_else(|| {
        format!("write a duration of a second or more, such as 10m{}", for_one(metric, "10m"))
    })?;
    if terms.waits() {
        return Ok(Some(seconds));
    }
    let name = &metric.name;
    let why =
        format!("metric {name:?} does not wait for data: leave it out, or write {name}=wait in {ON_NO_DATA}");
    if is_named { Err(why) } else { Ok(None) }
}

/// Whether an annotation can speak of a metric by its name: commas are between metrics, and blanks around them.
fn can_be_named(name: &str) -> bool {
    !name.contains(',') && name.trim() == name
}

fn unnamed(name: &str) -> String {
    format!("metric {name:?} cannot be named here, for a comma or a blank in its name: rename it")
}

/// How to speak of a single metric.
fn for_one(metric: &Metric, word: &str) -> String {
    let name = &metric.name;
    if can_be_named(name) {
        format!(", and for a single metric \"{name}={word}\"")
    } else {
        format!("; {}", unnamed(name))
    }
}

/// Whether conditions say what a value means; Jobs, the judge and Kayenta come to a verdict of their own.
fn is_judged_by_conditions(metric: &Metric) -> bool {
    let provider = &metric.provider;
    provider.job.is_none() && provider.kayenta.is_none() && provider.judge().is_none()
}

/// The annotations that say the same again, of metrics of several templates.
///
/// # Errors
/// Names a metric that cannot be named in an annotation, where that would have to be.
pub(super) fn annotations(metrics: &[Metric], terms: &[Terms]) -> Result<BTreeMap<String, String>, String> {
    let mut said = BTreeMap::new();
    for key in KEYS {
        if let Some(text) = together(&each(key, metrics, terms)).map_err(|why| format!("{key}: {why}"))? {
            said.insert(key.to_owned(), text);
        }
    }
    Ok(said)
}

/// What an annotation says of each metric that it can be about.
fn each<'m>(key: &str, metrics: &'m [Metric], terms: &[Terms]) -> Vec<(&'m str, Option<String>)> {
    let all = metrics.iter().zip(terms);
    if key == ON_NO_DATA {
        let judged = all.filter(|(metric, _)| is_judged_by_conditions(metric));
        let text = |terms: &Terms| terms.on_no_data.map(|found| found.as_str().to_owned());
        return judged.map(|(metric, terms)| (metric.name.as_str(), text(terms))).collect();
    }
    if key == WAIT_AT_MOST {
        let waiting = all.filter(|(_, terms)| terms.waits());
        let text = |terms: &Terms| terms.wait_at_most.map(|seconds| format!("{seconds}s"));
        return waiting.map(|(metric, terms)| (metric.name.as_str(), text(terms))).collect();
    }
    let text = |terms: &Terms| terms.min_samples.map(|least| least.to_string());
    all.map(|(metric, terms)| (metric.name.as_str(), text(terms))).collect()
}

/// One word where it is the same for all, or what is said of each. What cannot be named takes a word for all, if the others
/// have words of their own.
fn together(each: &[(&str, Option<String>)]) -> Result<Option<String>, String> {
    let Some((_, first)) = each.first() else { return Ok(None) };
    if each.iter().all(|(_, text)| text == first) {
        return Ok(first.clone());
    }
    let nameless = each.iter().find(|(name, text)| text.is_some() && !can_be_named(name));
    let of_all = nameless.and_then(|(_, text)| text.as_deref());
    let said = |(name, text): &(&str, Option<String>)| {
        let text = text.as_deref().filter(|text| Some(*text) != of_all)?;
        Some(format!("{name}={text}"))
    };
    if let Some((name, _)) = nameless {
        let is_said = |(name, text): &(&str, Option<String>)| {
            text.is_some() && (can_be_named(name) || text.as_deref() == of_all)
        };
        if !each.iter().all(is_said) {
            return Err(format!("{}, or say the same of all metrics", unnamed(name)));
        }
    }
    let words: Vec<String> =
        of_all.map(str::to_owned).into_iter().chain(each.iter().filter_map(said)).collect();
    Ok(Some(words.join(", ")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn metrics() -> Vec<Metric> {
        let prometheus = json!({"prometheus": {"query": "up"}});
        serde_json::from_value(json!([
            {"name": "rate", "interval": "1m", "provider": prometheus},
            {"name": "a=b", "interval": "1m", "count": 5, "provider": prometheus},
            {"name": "smoke", "provider": {"job": {"spec": {}}}},
        ]))
        .unwrap()
    }

    fn read(key: &str, text: &str) -> Result<Vec<Terms>, Vec<String>> {
        let annotations = [(key.to_owned(), text.to_owned())].into();
        of(&annotations, &metrics(), &metrics())
            .map_err(|faults| faults.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn one_word_is_for_all_and_names_are_for_single_metrics() {
        use OnNoData::{Fail, Inconclusive, Wait};
        for (text, wanted) in [
            ("wait", [Some(Wait), Some(Wait), None]),
            ("rate=fail", [Some(Fail), None, None]),
            (" a=b=fail , rate = inconclusive", [Some(Inconclusive), Some(Fail), None]),
            ("wait, a=b=fail", [Some(Wait), Some(Fail), None]),
        ] {
            let found: Vec<_> =
                read(ON_NO_DATA, text).unwrap().iter().map(|terms| terms.on_no_data).collect();
            assert_eq!(found, wanted, "{text}");
        }
        let found: Vec<_> =
            read(MIN_SAMPLES, "5, smoke=1").unwrap().iter().map(|terms| terms.least()).collect();
        assert_eq!(found, [5, 5, 1]);
        assert_eq!(of(&BTreeMap::new(), &metrics(), &metrics()), Ok(vec![Terms::default(); 3]));
        assert_eq!((Terms::default().least(), read(ON_NO_DATA, "wait").unwrap()[0].least()), (0, 1));
    }

    #[test]
    fn the_wait_may_have_an_end_of_its_own() {
        let read = |policy: &str, most: &str| {
            let said = [(ON_NO_DATA, policy), (WAIT_AT_MOST, most)];
            let said = said.map(|(key, text)| (key.to_owned(), text.to_owned())).into();
            let terms = of(&said, &metrics(), &metrics());
            if let Ok(terms) = &terms {
                let again = annotations(&metrics(), terms).unwrap();
                assert_eq!(of(&again, &metrics(), &metrics()).as_ref(), Ok(terms), "{again:?}");
            }
            let seconds = |all: Vec<Terms>| all.iter().map(|terms| terms.wait_at_most).collect::<Vec<_>>();
            terms.map(seconds).map_err(|faults| first(&faults))
        };
        assert_eq!(read("wait", "10m"), Ok(vec![Some(600), Some(600), None]));
        assert_eq!(read("wait, a=b=fail", "1.5s"), Ok(vec![Some(1), None, None]), "of those that wait");
        assert_eq!(read("wait", "1h, rate=90s"), Ok(vec![Some(90), Some(3600), None]));
        assert_eq!(read("wait", "rate=90s"), Ok(vec![Some(90), None, None]));
        let told = |policy: &str, most: &str| read(policy, most).unwrap_err();
        for most in ["0s", "soon", "", "10", "0.5s"] {
            let why =
                "write a duration of a second or more, such as 10m, and for a single metric \"rate=10m\"";
            assert!(told("wait", most).ends_with(why), "{}", told("wait", most));
        }
        let why = "metric \"a=b\" does not wait for data: leave it out, or write a=b=wait in tidegate.dev/on-no-data";
        assert!(told("wait, a=b=fail", "a=b=1m").ends_with(why));
        assert_eq!(
            read("fail", "1m"),
            Ok(vec![None; 3]),
            "whoever uses a template may say that nothing waits"
        );
        let alone = [(WAIT_AT_MOST.to_owned(), "1m".to_owned())].into();
        let why = "no metric waits for data: write tidegate.dev/on-no-data: wait, too, or leave this out";
        assert!(first(&of(&alone, &metrics(), &metrics()).unwrap_err()).ends_with(why));
    }

    #[test]
    fn what_is_wrong_says_how_to_mend_it() {
        for (key, text, wanted) in [
            (ON_NO_DATA, "wiat", "write wait, inconclusive or fail, and for a single metric \"rate=wait\""),
            (ON_NO_DATA, "", "write wait, inconclusive or fail, and for a single metric \"rate=wait\""),
            (ON_NO_DATA, "wait,", "it speaks twice of all metrics: leave one of the two"),
            (ON_NO_DATA, "rate=wait,rate=fail", "it speaks twice of rate: leave one of the two"),
            (ON_NO_DATA, "rat=wait", "there is no metric \"rat\" in spec.metrics: it has rate, a=b, smoke"),
            (ON_NO_DATA, "smoke=wait", "metric \"smoke\" is not judged by conditions, so leave it out"),
            (MIN_SAMPLES, "rate=0", "write a number of 1 or more, and for a single metric \"rate=3\""),
            (
                MIN_SAMPLES,
                "a=b=6",
                "metric \"a=b\" is measured 5 times only, and could never end Successful: write \"a=b=5\" or less",
            ),
        ] {
            let faults = read(key, text).unwrap_err();
            let path = format!("metadata.annotations[{key}]: Invalid value: {text:?}");
            assert_eq!(faults[0], format!("{path}: {wanted}"));
        }
        assert_eq!(read(MIN_SAMPLES, "6").unwrap_err().len(), 2, "one fault for each metric that has one");
        let annotations = [(ON_NO_DATA.to_owned(), "wait".to_owned())].into();
        assert!(first(&of(&annotations, &[], &[]).unwrap_err()).contains("annotate the templates"));
    }

    #[test]
    fn what_was_read_can_be_written_again() {
        for (key, text, wanted) in [
            (ON_NO_DATA, "wait", "wait"),
            (ON_NO_DATA, "rate=wait,a=b=wait", "wait"),
            (ON_NO_DATA, "wait,a=b=fail", "rate=wait, a=b=fail"),
            (MIN_SAMPLES, "rate=3", "rate=3"),
            (MIN_SAMPLES, "1", "1"),
        ] {
            let terms = read(key, text).unwrap();
            let again = annotations(&metrics(), &terms).unwrap();
            assert_eq!(again, [(key.to_owned(), wanted.to_owned())].into());
            assert_eq!(of(&again, &metrics(), &metrics()), Ok(terms));
        }
        assert_eq!(annotations(&metrics(), &[Terms::default(); 3]), Ok(BTreeMap::new()));
    }

    #[test]
    fn what_is_said_of_a_name_with_a_comma_can_be_read_again_or_is_refused() {
        use OnNoData::{Fail, Wait};
        let metric = |name: &str| {
            let mut metric = metrics()[0].clone();
            name.clone_into(&mut metric.name);
            metric
        };
        let metrics = ["a,b", "rate", "c, d"].map(metric);
        let terms =
            |words: [Option<OnNoData>; 3]| words.map(|on_no_data| Terms { on_no_data, ..Terms::default() });
        for (words, wanted) in [
            ([Some(Wait), Some(Wait), Some(Wait)], "wait"),
            ([Some(Wait), Some(Fail), Some(Wait)], "wait, rate=fail"),
            ([None, Some(Fail), None], "rate=fail"),
        ] {
            let terms = terms(words);
            let again = annotations(&metrics, &terms).unwrap();
            assert_eq!(again, [(ON_NO_DATA.to_owned(), wanted.to_owned())].into());
            assert_eq!(of(&again, &metrics, &metrics), Ok(terms.to_vec()));
        }
        for words in [[Some(Wait), Some(Wait), Some(Fail)], [Some(Wait), None, Some(Wait)]] {
            let why = "tidegate.dev/on-no-data: metric \"a,b\" cannot be named here, for a comma or a blank in its name: \
                       rename it, or say the same of all metrics";
            assert_eq!(annotations(&metrics, &terms(words)), Err(why.to_owned()));
        }
        let told = |key: &str, text: &str| {
            let annotations = [(key.to_owned(), text.to_owned())].into();
            first(&of(&annotations, &metrics, &metrics).unwrap_err())
        };
        for (key, text) in [(ON_NO_DATA, "a,b=wait"), (ON_NO_DATA, "often"), (MIN_SAMPLES, "few")] {
            let mend = "; metric \"a,b\" cannot be named here, for a comma or a blank in its name: rename it";
            assert!(told(key, text).ends_with(mend), "{}", told(key, text));
        }
    }
}
