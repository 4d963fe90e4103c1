//! Runs whose metric is the judge, told look by look against a Prometheus of a few lines.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde_json::{Value, json};
use tidegate_api::analysis::{AnalysisRun, JUDGE_PLUGIN, Measurement};

use super::*;
use crate::judge::counters::Counters;
use crate::judge::judgement::{Judgement, Ruling, Terms};
use crate::judge::source::{KIND, SIDE};
use crate::metric::{Answer, Request, Response, judge, prometheus};
use crate::view::{Paint, RunPage, render_run};

const START: i64 = 1_800_000_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(START + seconds).unwrap()
}

/// What the counters of a pod say so many seconds after the judgement began; `None` of a pod that is not there.
type Traffic = fn(side: &str, pod: usize, seconds: i64) -> Option<Counters>;

/// A run, and the counters that its Prometheus has.
struct Stage {
    run: AnalysisRun,
    traffic: Traffic,
    /// Pods that may be there, on each side.
    pods: usize,
    /// What the Prometheus says instead of counters.
    trouble: Option<(u16, &'static str)>,
    /// How long it wants to be left alone while it is in trouble.
    retry_after_seconds: Option<u64>,
    /// It does not answer at all.
    silent: bool,
    asked: Vec<prometheus::Query>,
}

fn stage(settings: Value, traffic: Traffic) -> Stage {
    let mut config = json!({"preset": "app", "prometheus": {"address": "http://p"}});
    config.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    let run = serde_json::from_value(json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisRun",
        "metadata": {"name": "r", "namespace": "shop", "uid": "u"},
        "spec": {
            "args": [{"name": "stable-hash", "value": "old"}, {"name": "canary-hash", "value": "new"}],
            "metrics": [{"name": "judge", "provider": {"plugin": {"tidegate.dev/judge": config}}}],
        },
    }));
    let (trouble, retry_after_seconds) = (None, None);
    let (run, asked) = (run.unwrap(), Vec::new());
    Stage { run, traffic, pods: 4, trouble, retry_after_seconds, silent: false, asked }
}

/// A stage whose Prometheus wants to be left alone for so long.
fn busy(settings: Value, traffic: Traffic, status: u16, seconds: u64) -> Stage {
    let (trouble, retry_after_seconds) = (Some((status, "slow down")), Some(seconds));
    Stage { trouble, retry_after_seconds, ..stage(settings, traffic) }
}

/// So many requests by now, of which so many in a thousand fail and a tenth takes more than 0.1 s.
fn counted(requests: i64, bad_in_a_thousand: i64) -> Counters {
    let requests = u64::try_from(requests).unwrap();
    let bad = requests * u64::try_from(bad_in_a_thousand).unwrap() / 1000;
    let buckets = vec![(0.1, requests * 9 / 10), (1.0, requests), (f64::INFINITY, requests)];
    Counters { requests, bad, buckets }
}

/// Two canary pods of 5 requests a second since a minute ago, four stable ones of 20 since an hour ago.
fn of_rates(side: &str, pod: usize, seconds: i64, canary: i64, stable: i64) -> Option<Counters> {
    match side {
        "canary" if pod < 2 && seconds >= -60 => Some(counted((seconds + 60) * 5, canary)),
        "canary" => None,
        _ => Some(counted((seconds + 3600) * 20, stable)),
    }
}

fn good(side: &str, pod: usize, seconds: i64) -> Option<Counters> {
    of_rates(side, pod, seconds, 2, 2)
}

fn bad(side: &str, pod: usize, seconds: i64) -> Option<Counters> {
    of_rates(side, pod, seconds, 100, 2)
}

fn both_bad(side: &str, pod: usize, seconds: i64) -> Option<Counters> {
    of_rates(side, pod, seconds, 100, 100)
}

impl Stage {
    fn world(&self, now: i64) -> RunWorld {
        RunWorld::of(&self.run, at(now))
    }

    /// The counters at one time, as samples by their labels.
    fn samples(&self, seconds: i64) -> Vec<(Value, u64)> {
        let mut samples = Vec::new();
        for side in ["canary", "stable"] {
            for pod in 0..self.pods {
                let Some(counters) = (self.traffic)(side, pod, seconds) else { continue };
                let labels = |kind: &str| json!({SIDE: side, KIND: kind, "pod": format!("{side}-{pod}"), "instance": "i"});
                samples.push((labels("requests"), counters.requests));
                // A counter that never counted is not there.
                samples.extend((counters.bad > 0).then(|| (labels("errors"), counters.bad)));
                for (bound, count) in counters.buckets {
                    let mut labels = labels("buckets");
                    labels["le"] =
                        if bound.is_finite() { bound.to_string() } else { "+Inf".to_owned() }.into();
                    samples.push((labels, count));
                }
            }
        }
        samples
    }

    fn answer(&mut self, query: &prometheus::Query, now: i64) -> Result<Answer, String> {
        self.asked.push(query.clone());
        if self.silent {
            return Err("prometheus at http://p cannot be reached: Connection refused".to_owned());
        }
        if let Some((status, body)) = self.trouble {
            return Ok(Answer::Server(Response {
                status,
                body: body.as_bytes().to_vec(),
                retry_after_seconds: self.retry_after_seconds,
            }));
        }
        let instant = |seconds: i64| {
            let sample =
                move |(labels, count): (Value, u64)| (labels, json!([START + seconds, count.to_string()]));
            self.samples(seconds).into_iter().map(sample)
        };
        let data = match query.range {
            None => {
                let one = |(labels, point): (Value, Value)| json!({"metric": labels, "value": point});
                json!({"resultType": "vector", "result": instant(now).map(one).collect::<Vec<_>>()})
            }
            Some(range) => {
                let (from, step) = (range.start.as_second() - START, range.step_seconds as usize);
                let mut series: Vec<(Value, Vec<Value>)> = Vec::new();
                for (labels, point) in (from..=now).step_by(step).flat_map(instant) {
                    match series.iter_mut().find(|(known, _)| *known == labels) {
                        Some((_, points)) => points.push(point),
                        None => series.push((labels, vec![point])),
                    }
                }
                let one = |(labels, points): (Value, Vec<Value>)| json!({"metric": labels, "values": points});
                json!({"resultType": "matrix", "result": series.into_iter().map(one).collect::<Vec<_>>()})
            }
        };
        let body = json!({"status": "success", "data": data}).to_string().into_bytes();
        Ok(Answer::Server(Response { status: 200, body, retry_after_seconds: None }))
    }

    /// Plans once and answers; puts the status into the run as a controller would.
    fn round(&mut self, now: i64) -> RunPlan {
        let world = self.world(now);
        let mut planned = plan(&world);
        if !planned.requests.is_empty() {
            let outcomes = self.outcomes(&planned, now);
            planned = record(&world, &outcomes, at(now));
        }
        if let Some(status) = &planned.status {
            let read = serde_json::from_value(serde_json::to_value(status).unwrap()).unwrap();
            assert_eq!(&read, status, "what is read back is what was written");
            self.run.status = Some(read);
        }
        planned
    }

    fn outcomes(&mut self, planned: &RunPlan, now: i64) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        for MeasureRequest { metric, request } in &planned.requests {
            let Request::Prometheus(query) = request else { panic!("{request:?}") };
            let answer = match metric.as_str() {
                "judge" => self.answer(query, now),
                _ => Ok(Answer::Server(Response {
                    status: 200,
                    body: br#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"1"]}]}}"#.to_vec(),
                    retry_after_seconds: None,
                })),
            };
            outcomes.push(Outcome { metric: metric.clone(), answer });
        }
        outcomes
    }

    /// Looks every 10 s until the run ends, or to a time; what each look said.
    fn play(&mut self, from: i64, until: i64) -> String {
        let mut said = String::new();
        for now in (from..=until).step_by(10) {
            self.round(now);
            let last = self.judged();
            let phase = last.phase.unwrap().as_str();
            writeln!(said, "{now:4} s  {phase:10}  {:8}  {}", last.value, last.message).unwrap();
            if self.is_over() {
                break;
            }
        }
        said
    }

    /// Looks whenever it wants to, until the run ends, or to a time; returns when it looked.
    fn follow(&mut self, until: i64) -> Vec<i64> {
        let (mut now, mut looks) = (0, Vec::new());
        while now <= until {
            self.round(now);
            looks.push(now);
            match &self.judged().resume_at {
                Some(time) if !self.is_over() => now = time.0.as_second() - START,
                Some(_) | None => break,
            }
        }
        looks
    }

    fn is_over(&self) -> bool {
        self.run.status.as_ref().is_some_and(|status| status.phase.is_some_and(|phase| phase.is_completed()))
    }

    fn phase(&self) -> &'static str {
        self.run.status.as_ref().and_then(|status| status.phase).unwrap().as_str()
    }

    fn judged(&self) -> &Measurement {
        let status = self.run.status.as_ref().unwrap();
        let result = status.metric_results.iter().find(|result| result.name == "judge").unwrap();
        result.measurements.last().unwrap()
    }

    fn judgement(&self) -> Judgement {
        judge::recorded(self.judged()).unwrap().unwrap()
    }

    /// The ruling that anybody makes of what is recorded.
    fn recomputed(&self) -> Ruling {
        let source = judge::source(&self.run, &self.run.spec.metrics[0]).unwrap();
        self.judgement().ruling(&source.terms)
    }
}

#[test]
fn a_bad_canary_is_stopped() {
    let mut stage = stage(json!({}), bad);
    insta::assert_snapshot!("judge_bad", stage.play(0, 300));
    assert_eq!((stage.phase(), stage.judged().finished_at.is_some()), ("Failed", true));
    assert!(matches!(stage.recomputed(), Ruling::Worse { comparison: 0 }));
    let message = &stage.run.status.as_ref().unwrap().message;
    assert!(message.contains("the canary has more errors"), "{message}");
    assert!(stage.asked[0].range.is_some() && stage.asked[1..].iter().all(|query| query.range.is_none()));
}

/// A router's counters of a canary come with its first request, and new pods are scraped some seconds after the weight
/// was raised. What happens from then on is seen at the first look, and not noted at the first to be seen at the second.
#[test]
fn a_canary_whose_counters_come_late_is_stopped_at_the_first_look() {
    fn late(side: &str, pod: usize, seconds: i64) -> Option<Counters> {
        (side == "stable" || seconds >= 3).then(|| of_rates(side, pod, seconds, 200, 2))?
    }
    let mut stage = stage(json!({}), late);
    let looks = stage.follow(60);
    assert_eq!((looks.last(), stage.phase()), (Some(&10), "Failed"), "{looks:?}");
}

#[test]
fn a_canary_that_never_comes_is_looked_for_more_often_only_at_first() {
    fn alone(side: &str, pod: usize, seconds: i64) -> Option<Counters> {
        (side == "stable").then(|| of_rates(side, pod, seconds, 0, 2))?
    }
    let looks = stage(json!({}), alone).follow(60);
    assert_eq!(looks, (0..10).chain((10..=60).step_by(10)).collect::<Vec<_>>());
}

#[test]
fn a_good_canary_passes() {
    let mut stage = stage(json!({}), good);
    insta::assert_snapshot!("judge_good", stage.play(0, 600));
    assert_eq!((stage.phase(), stage.recomputed()), ("Successful", Ruling::Good));
    let result = &stage.run.status.as_ref().unwrap().metric_results[0];
    assert_eq!((result.count, result.successful, result.measurements.len()), (1, 1, 1));
    assert!(
        result.metadata["ResolvedPrometheusQuery"].contains("namespace=\"shop\",pod=~\".+-old-[a-z0-9]+\"")
    );
}

#[test]
fn a_verdict_waits_for_no_other_metric_and_no_interval() {
    let mut stage = stage(json!({}), bad);
    stage.run.spec.metrics[0].interval = Some("1h".to_owned());
    stage.run.spec.metrics.extend(serde_json::from_value::<Vec<_>>(json!([
        {"name": "slow", "interval": "10m", "count": 5, "provider": {"prometheus": {"address": "http://p", "query": "q"}}},
    ])).unwrap());
    assert_eq!(stage.round(0).wake, Some(at(10)));
    stage.play(10, 60);
    assert_eq!(stage.phase(), "Failed");
    assert_eq!(stage.run.status.as_ref().unwrap().metric_results.len(), 2);
}

#[test]
fn a_look_whose_record_was_lost_is_made_again() {
    let (mut whole, mut broken) = (stage(json!({}), good), stage(json!({}), good));
    let all = whole.play(0, 600);
    broken.play(0, 20);
    let before = broken.run.clone();
    broken.play(30, 40);
    // The controller that comes next knows only what is written.
    broken.run = serde_json::from_str(&serde_json::to_string(&before).unwrap()).unwrap();
    broken.play(50, 600);
    assert_eq!(broken.phase(), whole.phase());
    let requests = |stage: &Stage| stage.judgement().ledger.comparisons[0].canary.requests;
    let seconds = |stage: &Stage| u64::from(stage.judgement().seconds);
    assert_eq!(requests(&whole), 10 * seconds(&whole), "{all}");
    assert_eq!(requests(&broken), 10 * seconds(&broken), "no request is lost, and none counted twice");
}

#[test]
fn what_is_recorded_gives_the_same_ruling_at_every_look() {
    for traffic in [good, bad, both_bad] {
        let rails = json!({"mostErrors": 0.3, "mostSlow": 0.3, "slowAfter": "100ms"});
        let mut stage = stage(rails, traffic);
        for now in (0..600).step_by(10) {
            stage.round(now);
            assert_eq!(judge::phase(stage.recomputed()), stage.judged().phase.unwrap());
            if stage.is_over() {
                break;
            }
        }
        let source = judge::source(&stage.run, &stage.run.spec.metrics[0]).unwrap();
        let (again, _) = stage.judgement().on_other_terms(&source.terms);
        assert_eq!(judge::phase(again), stage.judged().phase.unwrap(), "the timeline says the same");
    }
}

#[test]
fn no_data_neither_passes_nor_fails() {
    let mut stage = stage(json!({}), |_, _, _| None);
    stage.play(0, 3600);
    assert_eq!(stage.phase(), "Running");
    assert_eq!(
        stage.judged().message,
        "undecided: no requests yet; about 1375 requests of the canary are missing"
    );
    // With traffic on the stable side alone, somebody says what is missing.
    stage.traffic = |side, pod, seconds| good(side, pod, seconds).filter(|_| side == "stable");
    stage.play(3610, 3900);
    assert_eq!(stage.phase(), "Running");
    assert!(stage.judged().message.contains("no requests of the canary yet"), "{}", stage.judged().message);
}

#[test]
fn a_person_decides_when_the_time_given_is_over() {
    let mut stage = stage(json!({"within": "2m"}), |_, _, _| None);
    stage.play(0, 110);
    assert_eq!(stage.phase(), "Running");
    stage.round(120);
    assert_eq!((stage.phase(), stage.recomputed()), ("Inconclusive", Ruling::TooLong));
}

#[test]
fn counters_that_start_again_are_no_evidence() {
    // Canary pods restart each minute, stable ones every five.
    let restarts: Traffic = |side, pod, seconds| {
        let period = if side == "canary" { 60 } else { 300 };
        let since = seconds.rem_euclid(period) + i64::try_from(pod).unwrap();
        Some(counted(since * 10, 2)).filter(|_| side == "stable" || pod < 2 && seconds >= -60)
    };
    let mut stage = stage(json!({}), restarts);
    let said = stage.play(0, 900);
    assert_eq!(stage.phase(), "Successful", "{said}");
    let seen = &stage.judgement().ledger.comparisons[0];
    assert!(seen.canary.requests <= 20 * u64::from(stage.judgement().seconds), "{seen:?}");
}

#[test]
fn a_prometheus_that_is_away_is_waited_for() {
    let mut stage = stage(json!({}), bad);
    stage.silent = true;
    stage.play(0, 600);
    assert_eq!(stage.phase(), "Running", "20 errors in a row are no verdict");
    assert_eq!(
        stage.judged().message,
        "no answer 61 times: prometheus at http://p cannot be reached: Connection refused; undecided: no requests yet; \
         waits for the first requests"
    );
    stage.silent = false;
    stage.trouble = Some((503, "busy"));
    stage.round(610);
    assert!(
        stage.judged().message.starts_with("no answer 62 times: prometheus answered 503: busy; undecided")
    );
    stage.trouble = None;
    stage.play(620, 900);
    assert_eq!(stage.phase(), "Failed");
    // What was seen before it went away is not forgotten.
    let mut stage = super::judge_tests::stage(json!({}), good);
    stage.play(0, 20);
    let seen = stage.judgement().ledger;
    stage.silent = true;
    stage.round(30);
    assert_eq!(stage.judgement().ledger, seen);
}

#[test]
fn a_prometheus_that_asks_to_be_left_alone_is_and_its_history_is_not_given_up() {
    let mut stage = busy(json!({}), bad, 429, 60);
    assert_eq!(stage.follow(240), [0, 60, 120, 180, 240]);
    let judgement = stage.judgement();
    assert_eq!((judgement.learned, judgement.missed, judgement.seconds), (false, 0, 240));
    assert_eq!(
        (stage.phase(), stage.judged().message.as_str()),
        (
            "Running",
            "the server answered 429 and is asked again in 60 s; undecided: no requests yet; waits for the first requests"
        )
    );
    stage.trouble = None;
    let said = stage.play(250, 900);
    assert_eq!(stage.phase(), "Failed", "{said}");
    assert_eq!(stage.asked.iter().filter(|query| query.range.is_some()).count(), 6, "{said}");
    assert_eq!(busy(json!({}), bad, 429, 5).follow(20), [0, 10, 20], "an interval is the least");
}

#[test]
fn a_look_that_is_put_off_loses_no_evidence() {
    let mut stage = stage(json!({}), good);
    stage.play(0, 20);
    let seen = stage.judgement().ledger;
    (stage.trouble, stage.retry_after_seconds) = (Some((503, "busy")), Some(60));
    stage.round(30);
    assert_eq!((stage.judgement().ledger, stage.judgement().seconds), (seen, 30));
    let message = &stage.judged().message;
    assert!(
        message.starts_with("the server answered 503 and is asked again in 60 s; undecided: errors in "),
        "{message}"
    );
    stage.trouble = None;
    let asked = stage.asked.len();
    let said = stage.play(40, 80);
    assert_eq!(stage.asked.len(), asked, "{said}");
    let said = stage.play(90, 600);
    assert_eq!(stage.phase(), "Successful", "{said}");
    let judgement = stage.judgement();
    let requests = judgement.ledger.comparisons[0].canary.requests;
    assert_eq!((requests, judgement.put_off_since), (10 * u64::from(judgement.seconds), None), "{said}");
    assert!(replay(&stage.run, None).unwrap()[0].measurements[0].is_same());
}

/// As with any other metric: that it asks for this for too long is a trouble, and then it may ask anew.
#[test]
fn a_prometheus_is_left_alone_for_ten_minutes_in_a_row() {
    let mut stage = busy(json!({}), bad, 429, 9999);
    assert_eq!(stage.follow(1220), [0, 300, 600, 610, 910, 1210, 1220]);
    assert_eq!((stage.judgement().learned, stage.judgement().missed), (false, 2));
    stage.round(1520);
    stage.round(1820);
    let message = &stage.judged().message;
    assert!(message.starts_with("no answer 3 times: prometheus answered 429: slow down; "), "{message}");
    assert!(stage.judgement().learned, "three misses are enough");
    stage.round(1830);
    assert!(stage.asked.last().unwrap().range.is_none());
    assert_eq!((stage.judged().resume_at.as_ref().unwrap().0, stage.phase()), (at(2130), "Running"));
}

#[test]
fn a_judgement_that_is_put_off_ends_in_time() {
    let mut stage = busy(json!({"within": "100s"}), bad, 503, 300);
    assert_eq!(stage.follow(600), [0, 100]);
    assert_eq!((stage.phase(), stage.recomputed()), ("Inconclusive", Ruling::TooLong));
    let message = &stage.judged().message;
    let wanted = "the server answered 503; not decided within the time given: no requests yet; ";
    assert!(message.starts_with(wanted), "{message}");
    let source = judge::source(&stage.run, &stage.run.spec.metrics[0]).unwrap();
    assert_eq!(stage.judgement().on_other_terms(&source.terms), (Ruling::TooLong, 100));
    for other in [None, Some(&stage.run)] {
        assert!(replay(&stage.run, other).unwrap()[0].measurements[0].is_same());
    }
    let mut late = busy(json!({"within": "100s"}), good, 503, 300);
    late.trouble = None;
    late.play(0, 50);
    late.trouble = Some((503, "busy"));
    late.round(60);
    assert_eq!(late.judged().resume_at.as_ref().unwrap().0, at(100), "what is left of the time given");
}

/// What a canary did after the time given says nothing about what would have been said at its end.
#[test]
fn other_terms_end_in_a_gap_of_answers() {
    let mut stage = stage(json!({}), bad);
    stage.trouble = Some((500, "broken"));
    stage.play(0, 60);
    stage.trouble = None;
    stage.play(70, 600);
    let (recorded, end) = (stage.recomputed(), stage.judgement().seconds);
    assert!(matches!(recorded, Ruling::Worse { .. }) && end > 70, "{recorded:?} at {end} s");
    let terms = judge::source(&stage.run, &stage.run.spec.metrics[0]).unwrap().terms;
    for (within, wanted) in [
        (0.5, (Ruling::TooLong, 1)),
        (30.0, (Ruling::TooLong, 30)),
        (60.0, (Ruling::TooLong, 60)),
        (3600.0, (recorded, end)),
    ] {
        let other = Terms { within_seconds: Some(within), ..terms.clone() };
        assert_eq!(stage.judgement().on_other_terms(&other), wanted, "within {within} s");
    }
    let text = stage.judgement().text();
    assert_eq!(Judgement::parse(&text).unwrap().text(), text);
}

/// So does a look at which nobody had sent a request yet.
#[test]
fn other_terms_end_among_looks_without_requests() {
    let mut stage = stage(json!({}), |side, pod, seconds| bad(side, pod, seconds.max(60)));
    stage.play(0, 600);
    let (recorded, end) = (stage.recomputed(), stage.judgement().seconds);
    assert!(matches!(recorded, Ruling::Worse { .. }) && end > 60, "{recorded:?} at {end} s");
    let terms = judge::source(&stage.run, &stage.run.spec.metrics[0]).unwrap().terms;
    for (within, wanted) in [(30.0, (Ruling::TooLong, 30)), (3600.0, (recorded, end))] {
        let other = Terms { within_seconds: Some(within), ..terms.clone() };
        assert_eq!(stage.judgement().on_other_terms(&other), wanted, "within {within} s");
    }
}

#[test]
fn what_no_asking_again_would_mend_is_an_error() {
    let mut stage = stage(json!({}), good);
    stage.trouble = Some((400, r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#));
    stage.round(0);
    assert_eq!(
        (stage.judged().phase.unwrap().as_str(), stage.judged().message.as_str()),
        ("Error", "bad_data: parse error")
    );
    for (settings, wanted) in [
        (json!({"threshold": 0.99}), "tidegate.dev/judge: threshold: there is no such field"),
        (json!({"prometheus": {"address": "p"}}), "prometheus address is not in url format"),
    ] {
        let mut stage = super::judge_tests::stage(settings, good);
        let planned = stage.round(0);
        assert!(stage.asked.is_empty());
        assert!(stage.judged().message.starts_with(wanted), "{}", stage.judged().message);
        assert_eq!(planned.wake, Some(at(10)), "retried like any error");
    }
}

#[test]
fn a_run_that_is_told_to_end_ends_at_once() {
    let mut stage = stage(json!({}), good);
    stage.play(0, 20);
    stage.run.spec.terminate = true;
    let asked = stage.asked.len();
    stage.round(23);
    assert_eq!((stage.phase(), stage.asked.len()), ("Inconclusive", asked));
    assert_eq!(
        (stage.judged().message.as_str(), stage.judged().finished_at.is_some()),
        ("Metric Terminated", true)
    );
    assert_eq!(stage.judgement().looks_taken(), 2, "what was seen can still be read");
}

/// A tenth of the requests of both versions takes more than 0.1 s, and none more than 1 s.
#[test]
fn a_guard_rail_stops_what_is_slow_in_both_versions() {
    let judged = |most: &str, after: &str| {
        let mut stage = stage(json!({"mostSlow": most, "slowAfter": after}), good);
        stage.play(0, 600);
        let source = judge::source(&stage.run, &stage.run.spec.metrics[0]).unwrap();
        assert_eq!(stage.judgement().on_other_terms(&source.terms).0, stage.recomputed());
        (stage.phase(), stage.judged().message.clone())
    };
    let (phase, message) = judged("5%", "100ms");
    assert_eq!(phase, "Failed", "{message}");
    let wanted = "the canary has more requests slower than 0.1 s than mostSlow allows, 5 %: ";
    assert!(message.starts_with(wanted), "{message}");
    assert_eq!(judged("20%", "100ms").0, "Successful");
    // The bound that stands for half a second is 1 s, so that nobody is stopped for what may have been fast enough.
    assert_eq!(judged("5%", "500ms").0, "Successful");
}

#[test]
fn what_a_guard_rail_cannot_measure_does_not_pass() {
    let mut stage = stage(json!({"mostSlow": "5%", "slowAfter": "2s", "within": "10m"}), good);
    stage.play(0, 590);
    assert_eq!((stage.phase(), stage.recomputed()), ("Running", Ruling::Unmeasured));
    let message = &stage.judged().message;
    assert!(message.ends_with("there is no histogram with a bound of 2 s or more"), "{message}");
    stage.play(600, 600);
    assert_eq!(stage.phase(), "Inconclusive");
}

#[test]
fn a_guard_rail_stops_what_both_versions_do_wrong() {
    let mut stage = stage(json!({}), both_bad);
    stage.play(0, 600);
    assert_ne!(stage.phase(), "Failed", "the canary is no worse");
    let mut stage = super::judge_tests::stage(json!({"mostErrors": "5%"}), both_bad);
    let said = stage.play(0, 600);
    assert_eq!(stage.phase(), "Failed", "{said}");
    assert!(
        stage.judged().message.starts_with("the canary has more errors than mostErrors allows, 5 %: "),
        "{said}"
    );
}

#[test]
fn a_guard_rail_waits_for_no_stable_version() {
    let all_traffic: Traffic = |side, pod, seconds| match side {
        "stable" => good(side, pod, 0),
        _ => of_rates(side, pod, seconds, 1000, 0),
    };
    let mut stage = stage(json!({"mostErrors": "5%"}), all_traffic);
    let said = stage.play(0, 600);
    assert_eq!((stage.phase(), stage.judgement().seconds), ("Failed", 10), "{said}");
    assert!(matches!(stage.recomputed(), Ruling::BeyondLimit { comparison: 0, .. }), "{said}");
    assert!(replay(&stage.run, Some(&stage.run)).unwrap()[0].measurements[0].is_same());
    let mut unlimited = super::judge_tests::stage(json!({}), all_traffic);
    unlimited.play(0, 100);
    assert_eq!(
        (unlimited.phase(), unlimited.judgement().looks_taken()),
        ("Running", 0),
        "one side proves nothing"
    );
}

/// All judgements of a run together stop a good canary no more often than a single one.
#[test]
fn judgements_in_a_row_share_what_they_may_do_wrong() {
    let mut stage = stage(json!({}), good);
    stage.run.spec.metrics[0].interval = Some("10s".to_owned());
    let said = stage.play(0, 290);
    let measurements = &stage.run.status.as_ref().unwrap().metric_results[0].measurements;
    let bars = [200, 400, 1200].map(|bar| format!("{bar} stops it"));
    assert!(measurements.iter().zip(&bars).all(|(one, bar)| one.message.contains(bar)), "{said}");
    assert_eq!(measurements.len(), bars.len(), "{said}");
    assert!(replay(&stage.run, None).unwrap()[0].measurements.iter().all(|again| again.is_same()));
}

/// Counters of `looks` steps of 10 s, before which there was only the stable version.
fn by_look(seconds: i64, looks: i64) -> i64 {
    (seconds / 10).clamp(0, looks)
}

/// Errors that are too few for a test over ranks of one point a minute.
#[test]
fn sparse_errors_are_found() {
    let sparse: Traffic = |side, pod, seconds| {
        const ERRORS: [u64; 7] = [0, 0, 1, 3, 4, 4, 4];
        let look = by_look(seconds, 6);
        match side {
            "canary" => (pod == 0).then(|| Counters {
                requests: 100 * look.unsigned_abs(),
                bad: ERRORS[look as usize],
                buckets: Vec::new(),
            }),
            _ => {
                Some(Counters { requests: (seconds + 3600).unsigned_abs() * 22, bad: 0, buckets: Vec::new() })
            }
        }
    };
    let mut stage = stage(json!({}), sparse);
    let said = stage.play(0, 60);
    assert_eq!(stage.phase(), "Failed", "{said}");
}

/// A mean that stays where it was, of times that do not.
#[test]
fn a_rise_of_the_variance_is_found() {
    let spread: Traffic = |side, pod, seconds| {
        const BOUNDS: [f64; 9] = [5.0, 10.0, 10.5, 15.0, 17.5, 18.0, 50.0, 200.0, f64::INFINITY];
        let (times, looks): (Vec<f64>, i64) = match side {
            "canary" => ((1..=9).chain(100..=106).map(f64::from).collect(), by_look(seconds, 30)),
            _ => {
                let slow = (0..8).map(|at| 17.0 + 0.1 * f64::from(at));
                ((0..7).map(|at| 10.0 + 0.1 * f64::from(at)).chain(slow).collect(), (seconds + 3600) / 10)
            }
        };
        let looks = looks.unsigned_abs();
        let within = |bound: f64| times.iter().filter(|time| **time <= bound).count() as u64 * looks;
        (side == "stable" || pod == 0).then(|| Counters {
            requests: times.len() as u64 * looks,
            bad: 0,
            buckets: BOUNDS.map(|bound| (bound, within(bound))).to_vec(),
        })
    };
    let mut stage = stage(json!({}), spread);
    let said = stage.play(0, 120);
    assert_eq!(stage.phase(), "Failed", "{said}");
    assert!(stage.judged().message.contains("requests slower than 18 s"), "{said}");
}

#[test]
fn what_is_recorded_is_bounded() {
    // Odds that keep the verdict open for hours, in more pods than are compared.
    let open: Traffic = |side, pod, seconds| {
        let rate = if side == "canary" { 9 } else { 2 };
        let mut counters = counted((seconds + 3600) * 1000 + i64::try_from(pod).unwrap(), rate);
        counters.buckets = (1..20).map(|bound| (f64::from(bound), counters.requests * 9 / 10)).collect();
        counters.buckets.push((f64::INFINITY, counters.requests));
        Some(counters)
    };
    let mut stage = stage(json!({"history": "0s", "harm": "0.7%", "tolerance": 1000}), open);
    stage.pods = 60;
    stage.play(0, 1300);
    assert_eq!(stage.phase(), "Running", "{}", stage.judged().message);
    let text = &stage.judged().metadata[JUDGE_PLUGIN];
    assert!(text.len() < 40_000, "{} bytes", text.len());
    assert!(stage.judged().message.len() < 500);
}

#[test]
fn secrets_are_in_the_request_and_nowhere_else() {
    let mut stage = stage(
        json!({"prometheus": {"address": "http://p", "authentication": {"basicAuth": {"username": "u", "password": "{{args.token}}"}}}}),
        good,
    );
    stage.run.spec.args.extend(
        serde_json::from_value::<Vec<_>>(
            json!([{"name": "token", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]),
        )
        .unwrap(),
    );
    let mut world = stage.world(0);
    assert_eq!(needs(&world).len(), 1);
    world.secrets.insert(("s".into(), "k".into()), Ok("hush".into()));
    let planned = plan(&world);
    let Request::Prometheus(query) = &planned.requests[0].request else { panic!("{planned:?}") };
    let login = crate::metric::http::Login::Basic { username: "u".into(), password: "hush".into() };
    assert!(query.login == login);
    let answer = Err("401: hush is wrong".to_owned());
    let recorded = record(&world, &[Outcome { metric: "judge".into(), answer }], at(0));
    let status = serde_json::to_string(&recorded.status).unwrap();
    assert!(!status.contains("hush") && status.contains("no answer: 401: *****"), "{status}");
}

/// The page about a run, without the parts of it that a terminal colours.
fn page(stage: &Stage) -> String {
    render_run(&RunPage::new(&stage.run), Paint::Plain)
}

#[test]
fn the_evidence_is_told_and_drawn() {
    let mut good = stage(json!({}), good);
    good.play(0, 600);
    insta::assert_snapshot!("judge_page_good", page(&good));
    // A rise that shows only in time.
    let slow: Traffic = |side, pod, seconds| of_rates(side, pod, seconds, 12, 2);
    let mut bad = stage(json!({"falseAdvance": 0.01}), slow);
    bad.play(0, 900);
    insta::assert_snapshot!("judge_page_bad", page(&bad));
    let empty = stage(json!({}), |_, _, _| None);
    assert!(page(&empty).ends_with("nothing was measured yet\n"));
}

#[test]
fn a_run_can_be_judged_again() {
    let mut stage = stage(json!({}), bad);
    stage.play(0, 300);
    let own = replay(&stage.run, None).unwrap();
    let again = &own[0].measurements[0];
    assert!(own[0].is_judge && again.is_same() && !again.is_approximate);
    assert_eq!((again.replayed.as_str(), again.said.as_str()), ("Failed", stage.judged().message.as_str()));

    // Other terms, under another name of the metric: what it tolerates there is no harm.
    let mut other = stage.run.clone();
    let judge = json!({"preset": "app", "tolerance": 1000, "harm": "30%", "latencyHarm": "30%"});
    other.spec.metrics[0] = serde_json::from_value(
        json!({"name": "another", "provider": {"plugin": {"tidegate.dev/judge": judge}}}),
    )
    .unwrap();
    let again = replay(&stage.run, Some(&other)).unwrap();
    assert_eq!(again[0].measurements[0].replayed.as_str(), "Successful", "{again:?}");
    assert!(!again[0].measurements[0].is_same());
    other.spec.metrics[0].provider.plugin.clear();
    other.spec.metrics[0].provider.web = serde_json::from_value(json!({"url": "u"})).unwrap();
    assert_eq!(
        replay(&stage.run, Some(&other)).unwrap()[0].trouble.as_deref(),
        Some("there is no such metric")
    );
}

#[test]
fn what_was_cut_short_has_no_other_verdict() {
    let mut stage = stage(json!({}), good);
    stage.play(0, 20);
    stage.run.spec.terminate = true;
    stage.round(23);
    let again = replay(&stage.run, None).unwrap();
    let again = &again[0].measurements[0];
    assert!(again.was_cut_short && again.is_same(), "{again:?}");
}
