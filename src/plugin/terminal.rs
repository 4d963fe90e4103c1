//! Where text goes: output, error output, and what the output can show.

use std::io::{self, IsTerminal, Write};

use anyhow::Result;
use serde::Serialize;
use tidegate_engine::view::Paint;

use crate::cli::Output;

/// Output and error output of a command.
pub(crate) struct Terminal {
    pub(crate) out: Box<dyn Write + Send>,
    pub(crate) err: Box<dyn Write + Send>,
    /// Somebody looks at the output: it may be drawn over, and coloured.
    pub(crate) is_watched: bool,
    /// The environment does not speak against colours.
    pub(crate) may_colour: bool,
}

impl Terminal {
    /// Returns the terminal of the process.
    pub(crate) fn standard() -> Self {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self {
            out: Box::new(io::stdout()),
            err: Box::new(io::stderr()),
            is_watched: io::stdout().is_terminal() && !is_dumb,
            may_colour: !is_set("NO_COLOR") && !is_dumb,
        }
    }

    /// Tells whether to colour the output.
    pub(crate) fn paint(&self, no_color: bool) -> Paint {
        if self.is_watched && self.may_colour && !no_color { Paint::Ansi } else { Paint::Plain }
    }

    /// Writes text as it is.
    pub(crate) fn print(&mut self, text: &str) -> Result<()> {
        self.out.write_all(text.as_bytes())?;
        self.out.flush()?;
        Ok(())
    }

    /// Writes a line.
    pub(crate) fn say(&mut self, line: &str) -> Result<()> {
        self.print(&format!("{line}\n"))
    }

    /// Writes a line to the error output.
    pub(crate) fn warn(&mut self, line: &str) -> Result<()> {
        writeln!(self.err, "{line}")?;
        Ok(())
    }

    /// Draws a picture over the one before.
    pub(crate) fn draw(&mut self, picture: &str) -> Result<()> {
        // Line by line over the old one, and then clear the rest: nothing flickers.
        let lines: String = picture.lines().map(|line| format!("{line}\x1b[K\n")).collect();
        self.print(&format!("\x1b[H{lines}\x1b[J"))
    }

    /// Clears the screen before the first picture.
    pub(crate) fn clear(&mut self) -> Result<()> {
        self.print("\x1b[H\x1b[2J")
    }

    /// Writes a value as JSON.
    pub(crate) fn print_json(&mut self, value: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string_pretty(value)?;
        self.say(&text)
    }

    /// Writes a value as YAML.
    pub(crate) fn print_yaml(&mut self, value: &impl Serialize) -> Result<()> {
        // By way of a JSON value, so that numbers and texts are written by one set of rules.
        let text = serde_saphyr::to_string(&serde_json::to_value(value)?)?;
        self.print(&text)
    }

    /// Writes one object: in a form for programs, by its name, or drawn for people.
    pub(crate) fn print_page<P: Serialize>(
        &mut self,
        form: Option<Output>,
        page: &P,
        name: &str,
        no_color: bool,
        draw: impl FnOnce(&P, Paint) -> String,
    ) -> Result<()> {
        match form {
            Some(Output::Json) => self.print_json(page),
            Some(Output::Yaml) => self.print_yaml(page),
            Some(Output::Name) => self.say(name),
            Some(Output::Wide) | None => {
                let drawn = draw(page, self.paint(no_color));
                self.print(&drawn)
            }
        }
    }

    /// Writes a list in a form for programs, or says that it is empty; false when it is left to be drawn as a table.
    pub(crate) fn print_list<R: Serialize>(
        &mut self,
        form: Option<Output>,
        rows: &[R],
        name: impl Fn(&R) -> String,
    ) -> Result<bool> {
        match form {
            Some(Output::Json) => self.print_json(&rows)?,
            Some(Output::Yaml) => self.print_yaml(&rows)?,
            Some(Output::Name) => rows.iter().try_for_each(|row| self.say(&name(row)))?,
            Some(Output::Wide) | None if rows.is_empty() => self.warn("No resources found.")?,
            Some(Output::Wide) | None => return Ok(false),
        }
        Ok(true)
    }
}
