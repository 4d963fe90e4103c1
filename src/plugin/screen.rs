//! What a watch of one object shows: pictures to a person, lines to a log.
//!
//! Input: objects as they change. Output: a picture whenever something changed, at most five a second and at least one;
//! or a line when nobody looks and it says something new. In the words of the Argo Rollouts plugin it is the whole picture
//! for a log, too: scripts look for its words.

use std::time::Duration;

use anyhow::{Result, bail};
use jiff::Timestamp;
use kube::runtime::watcher;
use tidegate_engine::view::Paint;
use tokio::time::{Instant, MissedTickBehavior};

use crate::kind::Kind;
use crate::live::{Change, Live};
use crate::session::Session;
use crate::{Exit, Grammar};

/// How often a picture is drawn at most; faster, nobody can read it.
const FRAME: Duration = Duration::from_millis(200);
/// How often a picture is drawn at least, so that ages and remaining times move on.
const CLOCK: Duration = Duration::from_secs(1);

/// Something to look at.
pub(crate) trait Page {
    /// When it was looked at.
    fn taken_at(&self) -> Timestamp;
    /// All of it.
    fn picture(&self, paint: Paint) -> String;
    /// Its state in a line.
    fn line(&self) -> String;
}

/// Draws one object whenever something changes, until `limit`; prints to a log instead when nobody looks. `look` makes
/// the page, or nothing when the object is gone.
///
/// # Errors
/// Fails when the object was deleted or cannot be read.
pub(crate) async fn watch<P: Page>(
    session: &mut Session<'_>,
    (kind, name): (Kind, &str),
    mut live: Live,
    limit: Option<Duration>,
    no_color: bool,
    look: impl Fn(&Live) -> Result<Option<P>>,
) -> Result<Exit> {
    let mut frames = tokio::time::interval(FRAME);
    frames.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let end = limit.map(|limit| Instant::now() + limit);
    let mut screen = Screen { no_color, drawn: None, logged: String::new() };
    let mut is_changed = false;
    loop {
        tokio::select! {
            change = live.next() => match change? {
                Change::Objects => is_changed = true,
                Change::Trouble(kind, error) => screen.trouble(session, kind, &error)?,
            },
            _ = frames.tick() => {
                if live.is_complete() && (is_changed || screen.is_stale(session)) {
                    let Some(page) = look(&live)? else {
                        bail!("{} {name:?} was deleted", kind.word());
                    };
                    screen.show(session, &page)?;
                    is_changed = false;
                }
            }
            () = until(end) => return Ok(late(session)),
        }
    }
}

/// Waits until a moment, or for ever.
pub(crate) async fn until(end: Option<Instant>) {
    match end {
        Some(end) => tokio::time::sleep_until(end).await,
        None => std::future::pending().await,
    }
}

/// Returns how a watch of limited time ends: the Argo Rollouts plugin ends it well.
fn late(session: &Session<'_>) -> Exit {
    match session.grammar {
        Grammar::Tidegate => Exit::TimedOut,
        Grammar::Argo => Exit::Done,
    }
}

struct Screen {
    no_color: bool,
    /// When the last picture was drawn.
    drawn: Option<Instant>,
    /// What the log got last, without its time.
    logged: String,
}

impl Screen {
    /// Tells whether the ages in the picture are out of date.
    fn is_stale(&self, session: &Session<'_>) -> bool {
        session.terminal.is_watched && self.drawn.is_none_or(|drawn| drawn.elapsed() >= CLOCK)
    }

    fn show(&mut self, session: &mut Session<'_>, page: &impl Page) -> Result<()> {
        if session.terminal.is_watched {
            if self.drawn.is_none() {
                session.terminal.clear()?;
            }
            self.drawn = Some(Instant::now());
            let paint = session.terminal.paint(self.no_color);
            return session.terminal.draw(&page.picture(paint));
        }
        let (time, news) = entry(session.grammar, page);
        if news != self.logged {
            session.terminal.print(&format!("{time}{news}"))?;
            self.logged = news;
        }
        Ok(())
    }

    /// Tells about a watch that fails, where it does not spoil a picture.
    fn trouble(&self, session: &mut Session<'_>, kind: Kind, error: &watcher::Error) -> Result<()> {
        if session.terminal.is_watched && self.drawn.is_some() {
            return Ok(());
        }
        let message = format!("Warning: cannot watch {}s, trying again: {error}", kind.word());
        session.terminal.warn(&message)
    }
}

/// What a log gets of a page: a time to go before it, empty where there is none, and the text that may be news.
fn entry(grammar: Grammar, page: &impl Page) -> (String, String) {
    match grammar {
        Grammar::Tidegate => {
            (page.taken_at().strftime("%H:%M:%SZ ").to_string(), format!("{}\n", page.line()))
        }
        Grammar::Argo => (String::new(), page.picture(Paint::Plain)),
    }
}

#[cfg(test)]
mod tests {
    use super::{Page, Paint, Timestamp, entry};
    use crate::Grammar;

    struct Sign;

    impl Page for Sign {
        fn taken_at(&self) -> Timestamp {
            "2026-01-01T10:20:30Z".parse().unwrap()
        }

        fn picture(&self, paint: Paint) -> String {
            assert_eq!(paint, Paint::Plain);
            "Name:  web\nState: well\n".to_owned()
        }

        fn line(&self) -> String {
            "well".to_owned()
        }
    }

    #[test]
    fn a_log_gets_lines_with_their_time_and_in_the_argo_grammar_whole_pages() {
        assert_eq!(entry(Grammar::Tidegate, &Sign), ("10:20:30Z ".to_owned(), "well\n".to_owned()));
        assert_eq!(entry(Grammar::Argo, &Sign), (String::new(), "Name:  web\nState: well\n".to_owned()));
    }
}
