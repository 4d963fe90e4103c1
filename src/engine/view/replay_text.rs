//! Renders what a run comes to when it is judged again.

use crate::analysis::{Again, Replayed};
use crate::judge::words::span;

/// Renders a line for each judgement, and one for all measurements of any other metric. `by` says on whose terms.
#[must_use]
pub fn render_replay(replayed: &[Replayed], by: &str) -> String {
    let mut text = String::new();
    for metric in replayed {
        for line in lines(metric, by) {
            text += &format!("{}: {line}\n", metric.metric);
        }
    }
    if text.is_empty() { "nothing was measured yet\n".to_owned() } else { text }
}

fn lines(metric: &Replayed, by: &str) -> Vec<String> {
    if let Some(trouble) = &metric.trouble {
        return vec![format!("not judged again: {trouble}")];
    }
    if metric.is_judge {
        return metric.measurements.iter().map(|again| judged(again, by)).collect();
    }
    let all = metric.measurements.len();
    let same = metric.measurements.iter().filter(|again| again.is_same()).count();
    let mut lines = vec![format!("{same} of {all} kept values are {by} what was recorded")];
    for again in metric.measurements.iter().filter(|again| !again.is_same()) {
        let (recorded, replayed) = (again.recorded.as_str(), again.replayed.as_str());
        lines.push(format!("  recorded {recorded}, {by} {replayed}: {}", again.said));
    }
    lines
}

fn judged(again: &Again, by: &str) -> String {
    let recorded = if again.was_cut_short { "ended early" } else { again.recorded.as_str() };
    let after = again.seconds.map(|seconds| format!(" after {}", span(seconds.into()))).unwrap_or_default();
    let about = if again.is_approximate { "about, for looks were recorded together: " } else { "" };
    format!("recorded {recorded}, {by} {}{after}: {about}{}", again.replayed.as_str(), again.said)
}
