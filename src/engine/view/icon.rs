//! The icons and colours of the tree, and the pieces of coloured text that a line is made of.

use serde::{Serialize, Serializer};

/// Whether text is rendered with colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// Without any escape sequence.
    Plain,
    /// With ANSI colours.
    Ansi,
}

/// How an object is doing, in one character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Icon {
    Waiting,
    Progressing,
    Warning,
    Unknown,
    Good,
    Bad,
    Paused,
    Neutral,
    /// Nothing is known to say.
    Blank,
}

impl Icon {
    /// Returns the character.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "◷",
            Self::Progressing => "◌",
            Self::Warning => "⚠",
            Self::Unknown => "?",
            Self::Good => "✔",
            Self::Bad => "✖",
            Self::Paused => "॥",
            Self::Neutral => "•",
            Self::Blank => " ",
        }
    }

    /// Returns the colour of the character.
    pub(crate) fn color(self) -> Color {
        match self {
            Self::Waiting | Self::Unknown => Color::Yellow,
            Self::Progressing => Color::Blue,
            Self::Warning | Self::Bad => Color::Red,
            Self::Good => Color::Green,
            Self::Paused | Self::Neutral | Self::Blank => Color::Default,
        }
    }
}

impl Serialize for Icon {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Colours that terminals know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Color {
    Default,
    Red,
    Green,
    Yellow,
    Blue,
}

/// Text of one colour after another; its width does not depend on the colours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Line(Vec<(String, Option<Color>)>);

impl Line {
    /// Appends text.
    pub(crate) fn text(mut self, text: impl Into<String>) -> Self {
        self.0.push((text.into(), None));
        self
    }

    /// Appends coloured text.
    pub(crate) fn color(mut self, text: impl Into<String>, color: Color) -> Self {
        self.0.push((text.into(), Some(color)));
        self
    }

    /// Appends an icon in its colour.
    pub(crate) fn icon(self, icon: Icon) -> Self {
        self.color(icon.as_str(), icon.color())
    }

    /// Appends another line.
    pub(crate) fn line(mut self, line: Self) -> Self {
        self.0.extend(line.0);
        self
    }

    /// Joins lines by a text.
    pub(crate) fn join(lines: impl IntoIterator<Item = Self>, separator: &str) -> Self {
        let mut joined = Self::default();
        for (index, line) in lines.into_iter().enumerate() {
            if index > 0 {
                joined = joined.text(separator);
            }
            joined = joined.line(line);
        }
        joined
    }

    /// Counts the characters that a terminal shows.
    pub(crate) fn width(&self) -> usize {
        self.0.iter().map(|(text, _)| text.chars().count()).sum()
    }

    /// Renders the line.
    pub(crate) fn render(&self, paint: Paint) -> String {
        self.0.iter().map(|(text, color)| paint_text(text, *color, paint)).collect()
    }
}

impl From<&str> for Line {
    fn from(text: &str) -> Self {
        Self::default().text(text)
    }
}

impl From<String> for Line {
    fn from(text: String) -> Self {
        Self::default().text(text)
    }
}

/// Puts the escape sequences of a colour around a text.
fn paint_text(text: &str, color: Option<Color>, paint: Paint) -> String {
    let code = match color {
        None | Some(Color::Default) => return text.to_owned(),
        Some(Color::Red) => 31,
        Some(Color::Green) => 32,
        Some(Color::Yellow) => 33,
        Some(Color::Blue) => 94,
    };
    match paint {
        Paint::Plain => text.to_owned(),
        Paint::Ansi => format!("\x1b[{code}m{text}\x1b[0m"),
    }
}
