//! Renders the page about an AnalysisRun for a terminal.

use tidegate_api::analysis::AnalysisPhase;

use super::explain_text::Page;
use super::icon::{Line, Paint};
use super::judged::{JudgedPage, MetricPage, RunPage};
use super::plot::plot;
use super::run::icon;
use crate::judge::words::{number, span};

/// Renders the page.
#[must_use]
pub fn render_run(view: &RunPage, paint: Paint) -> String {
    let mut page = Page::new(paint);
    let state = state(view.status, &view.message);
    page.line("AnalysisRun:", Line::from(format!("{}/{}: ", view.namespace, view.name)).line(state));
    if view.metrics.is_empty() {
        page.say("Metrics:", "nothing was measured yet");
    }
    for metric in &view.metrics {
        page.blank();
        render_metric(metric, &mut page);
    }
    page.text
}

fn state(phase: Option<AnalysisPhase>, message: &str) -> Line {
    let shown = phase.map_or("not looked at yet", AnalysisPhase::as_str);
    let message = if message.is_empty() { String::new() } else { format!(" ({message})") };
    Line::default().icon(icon(phase)).text(format!(" {shown}{message}"))
}

fn render_metric(metric: &MetricPage, page: &mut Page) {
    let effect = if metric.dry_run { ", without effect (dry run)" } else { "" };
    page.line(
        "Metric:",
        Line::from(format!("{}: ", metric.name)).line(state(metric.status, "")).text(effect),
    );
    if let Some(judged) = &metric.judged {
        // What it says itself is of the last look, and may tell why there was no answer.
        let said = if metric.message.is_empty() { &judged.said } else { &metric.message };
        page.say("The judge says:", said);
        render_judged(judged, page);
        return;
    }
    let MetricPage { count, successful, error, .. } = metric;
    page.say("Measured:", &format!("{count} times, {successful} good; {error} errors beside"));
    for (label, text) in [("Last value:", &metric.value), ("Last message:", &metric.message)] {
        if !text.is_empty() {
            page.say(label, text);
        }
    }
}

fn render_judged(judged: &JudgedPage, page: &mut Page) {
    page.say("Looked:", &format!("{} times in {}", judged.looks, span(judged.seconds.into())));
    for comparison in &judged.comparisons {
        let mut what = comparison.what.clone();
        if let Some(first) = what.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        page.heading(&format!("{what}:"));
        page.item(&format!("the canary {}", comparison.seen));
        page.item(&format!(
            "evidence against it {}, for it {}; stable pods differ {} times as much as chance explains",
            number(comparison.log_harm.exp()),
            number(comparison.log_promise.exp()),
            number(comparison.dispersion)
        ));
    }
    if judged.timeline.is_empty() {
        return;
    }
    let harm = judged.timeline.iter().map(|moment| (moment.seconds, moment.log_harm)).collect::<Vec<_>>();
    let promise =
        judged.timeline.iter().map(|moment| (moment.seconds, moment.log_promise)).collect::<Vec<_>>();
    let enough = number(judged.harm_enough);
    page.heading(&format!("Evidence against the canary, by now {}; {enough} stops it:", number(judged.harm)));
    plot(&harm, judged.harm_enough).iter().for_each(|line| page.heading(line));
    let enough = number(judged.promise_enough);
    let least = number(judged.promise);
    page.heading(&format!(
        "Evidence that it is good enough, of what has least, by now {least}; {enough} passes it:"
    ));
    plot(&promise, judged.promise_enough).iter().for_each(|line| page.heading(line));
}
