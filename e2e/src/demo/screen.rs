//! The demo's terminal: lines that stay, and below them a few that are redrawn
//! while something is under way. Where there is no terminal, the latter are
//! printed as plain lines, now and then.

use std::io::{IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often a plain log hears of what is under way.
const PLAIN_PERIOD: Duration = Duration::from_secs(5);
const CLEAR_BELOW: &str = "\x1b[J";
const NO_WRAP: &str = "\x1b[?7l";
const WRAP: &str = "\x1b[?7h";

/// What a piece of text is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Title,
    Faint,
    Good,
    Bad,
    Git,
    Person,
    Plain,
}

/// Standard output.
pub(super) struct Screen {
    is_terminal: bool,
    has_colors: bool,
    start: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Lines below the cursor that the next output replaces.
    drawn: usize,
    last_plain: Option<Instant>,
}

impl Screen {
    pub(super) fn new() -> Self {
        let is_terminal = std::io::stdout().is_terminal();
        let has_colors = is_terminal && std::env::var_os("NO_COLOR").is_none();
        Self { is_terminal, has_colors, start: Instant::now(), state: Mutex::default() }
    }

    /// Prints a heading.
    pub(super) fn title(&self, text: &str) {
        self.line("");
        self.line(&self.paint(Style::Title, text));
    }

    /// Prints a line with the time since the beginning.
    pub(super) fn event(&self, style: Style, text: &str) {
        let time = self.paint(Style::Faint, &format!("{:6.1} s", self.start.elapsed().as_secs_f64()));
        self.line(&format!("{time}  {}", self.paint(style, text)));
    }

    /// Prints somebody else's output, set off to the right.
    pub(super) fn block(&self, text: &str) {
        for line in text.trim_end().lines() {
            self.line(&format!("          {line}"));
        }
    }

    /// Prints a line that stays.
    pub(super) fn line(&self, text: &str) {
        let mut state = self.lock();
        self.write(&format!("{}{text}\n", up(state.drawn)));
        state.drawn = 0;
    }

    /// Shows what is under way.
    pub(super) fn show(&self, lines: &[String]) {
        let mut state = self.lock();
        if self.is_terminal {
            let text = lines.join("\n");
            self.write(&format!("{}{NO_WRAP}{text}\n{WRAP}", up(state.drawn)));
            state.drawn = lines.len();
        } else if state.last_plain.is_none_or(|last| last.elapsed() >= PLAIN_PERIOD) {
            state.last_plain = Some(Instant::now());
            let words: Vec<&str> =
                lines.iter().map(|line| line.trim()).filter(|line| !line.is_empty()).collect();
            self.write(&format!("          {}\n", words.join(" | ")));
        }
    }

    /// Removes what was under way.
    pub(super) fn clear(&self) {
        let mut state = self.lock();
        if state.drawn > 0 {
            self.write(&up(state.drawn));
            state.drawn = 0;
        }
    }

    /// Whether lines can be redrawn.
    pub(super) fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Gives a text its colour, where there are colours.
    pub(super) fn paint(&self, style: Style, text: &str) -> String {
        let code = match style {
            Style::Title => "1",
            Style::Faint => "2",
            Style::Good => "32",
            Style::Bad => "31",
            Style::Git => "36",
            Style::Person => "1;35",
            Style::Plain => return text.to_owned(),
        };
        if self.has_colors { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        // A terminal that is gone is no reason to stop.
        let _gone = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Moves to the first of the lines that may be replaced and clears them.
fn up(lines: usize) -> String {
    if lines == 0 { String::new() } else { format!("\x1b[{lines}A\r{CLEAR_BELOW}") }
}

/// A bar of twenty characters for a share in percent.
pub(super) fn bar(percent: f64) -> String {
    let full = (percent / 5.0).round().clamp(0.0, 20.0) as usize;
    format!("{}{}", "█".repeat(full), "░".repeat(20 - full))
}

#[cfg(test)]
mod tests {
    use super::bar;

    #[test]
    fn a_bar_is_always_as_wide() {
        for percent in [-3.0, 0.0, 20.0, 50.4, 100.0, 130.0, f64::NAN] {
            assert_eq!(bar(percent).chars().count(), 20);
        }
        assert_eq!(bar(20.0).matches('█').count(), 4);
    }
}
