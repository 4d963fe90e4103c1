//! Renders the page about a Rollout for a terminal.

use jiff::Timestamp;

use super::duration::human_duration;
use super::explain::{Explanation, SetCounts};
use super::forecast::Foreseen;
use super::icon::{Line, Paint};
use super::rollout::icon;
use crate::time::whole_seconds;

/// Width of the names in front of the lines.
const LABEL_WIDTH: usize = 16;

/// Renders the page.
#[must_use]
pub fn render_explanation(view: &Explanation, paint: Paint) -> String {
    let mut page = Page::new(paint);
    let message = if view.message.is_empty() { String::new() } else { format!(" ({})", view.message) };
    let state = Line::default().icon(icon(view.status)).text(format!(" {}{message}", view.status.as_str()));
    page.line("Rollout:", Line::from(format!("{}/{}: ", view.namespace, view.name)).line(state));
    if let Some(step) = &view.step {
        page.say("Step:", step);
    }
    if let Some(weight) = &view.weight {
        let shown = weight
            .shown
            .map_or_else(|| "by the number of pods".to_owned(), |shown| format!("the router shows {shown}"));
        page.say("Canary weight:", &format!("{} of {} wanted, {shown}", weight.wanted, weight.of));
    }
    for set in &view.revisions {
        page.say(&format!("Revision {}:", set.revision), &counts(set));
    }
    page.blank();
    page.say("Now:", &view.doing);
    page.list("Goes on with:", &view.goes_on);
    if let Some(deadline) = &view.deadline {
        let what = if deadline.aborts { "is aborted" } else { "is told to be Degraded" };
        page.say("Without progress:", &format!("it {what} {}", at(view.now, deadline.at)));
    }
    if let Some(again) = view.looks_again {
        page.say("Looks again:", &at(view.now, again));
    }
    page.blank();
    page.heading("The controller would write now:");
    page.writes(&view.writes);
    page.heading("An abort now would:");
    match &view.abort.nothing {
        Some(why) => page.item(&format!("change nothing: {why}")),
        None => {
            page.writes(&view.abort.writes);
            page.item(&format!("then: {}", view.abort.then));
        }
    }
    if !view.unknown.is_empty() {
        page.heading("Not known, so that the above may be wrong:");
        view.unknown.iter().for_each(|unknown| page.item(unknown));
    }
    page.text
}

fn counts(set: &SetCounts) -> String {
    let mut text = format!("{}, {}, {} of {} pods available", set.role, set.name, set.available, set.wanted);
    for (service, ready) in &set.endpoints {
        text += &format!(", {ready} ready in {service}");
    }
    match &set.trouble {
        Some(trouble) => format!("{text} ({trouble})"),
        None => text,
    }
}

/// `2026-01-01T12:00:30Z, in 30s`.
fn at(now: Timestamp, at: Timestamp) -> String {
    let rest = at.duration_since(now);
    let when = whole_seconds(at);
    if rest.is_negative() {
        format!("at {when}, which has passed")
    } else {
        format!("at {when}, in {}", human_duration(rest))
    }
}

/// Lines with a name in front of them.
pub(super) struct Page {
    pub(super) text: String,
    paint: Paint,
}

impl Page {
    pub(super) fn new(paint: Paint) -> Self {
        Self { text: String::new(), paint }
    }

    pub(super) fn line(&mut self, label: &str, line: Line) {
        let text = format!("{label:LABEL_WIDTH$} {}", line.render(self.paint));
        self.text += text.trim_end();
        self.text.push('\n');
    }

    pub(super) fn say(&mut self, label: &str, text: &str) {
        self.line(label, Line::from(text));
    }

    fn list(&mut self, label: &str, texts: &[String]) {
        for (index, text) in texts.iter().enumerate() {
            self.say(if index == 0 { label } else { "" }, text);
        }
    }

    pub(super) fn blank(&mut self) {
        self.text.push('\n');
    }

    pub(super) fn heading(&mut self, text: &str) {
        self.text += text;
        self.text.push('\n');
    }

    pub(super) fn item(&mut self, text: &str) {
        self.text += &format!("  {text}\n");
    }

    fn writes(&mut self, writes: &[Foreseen]) {
        if writes.is_empty() {
            self.item("nothing");
        }
        for write in writes {
            let when = if write.after_seconds > 0 {
                format!("after {} s: ", write.after_seconds)
            } else {
                String::new()
            };
            self.item(&format!("{when}{}", write.what));
            self.item(&format!("    because {}", write.because));
        }
    }
}
