//! The application under test: a small HTTP/1.1 server that answers with its
//! version, counts what it did, and fails or dawdles when its environment says so.
//!
//! | variable         | meaning                                        | default   |
//! |------------------|------------------------------------------------|-----------|
//! | `VERSION`        | answered in the body and as `x-version`        | `unknown` |
//! | `LISTEN`         | address to serve on                            | `0.0.0.0:8080` |
//! | `FAIL_PERCENT`   | share of `/` answered with 500                 | 0         |
//! | `SLOW_PERCENT`   | share of `/` answered late                     | 0         |
//! | `SLOW_MS`        | how late                                       | 500       |
//! | `READY_AFTER_MS` | how long `/readyz` says 503 after the start    | 0         |
//! | `DRAIN_MS`       | how long it goes on serving after SIGTERM      | 5000      |
//!
//! Invoked as `app pause` it only waits for SIGTERM, which is all a pod's
//! sandbox container has to do.

mod count;
mod http;

use std::env;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::count::Counts;

/// Connections served at once; one more waits in the kernel's queue.
const CONNECTIONS_MAX: usize = 512;

fn main() -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    if env::args().nth(1).as_deref() == Some("pause") {
        signals.forever().next();
        return Ok(());
    }
    let app = Arc::new(App::from_env());
    let listener = TcpListener::bind(env::var("LISTEN").unwrap_or_else(|_| "0.0.0.0:8080".to_owned()))?;
    let drain = Duration::from_millis(number("DRAIN_MS", 5000));
    let serving = Arc::clone(&app);
    thread::spawn(move || serve(&listener, &serving));
    signals.forever().next();
    // A pod that ends is taken out of its Service only some time after SIGTERM:
    // until then requests still arrive and must be answered. Traefik alone puts
    // off what it hears for up to two seconds.
    thread::sleep(drain);
    Ok(())
}

/// What one process knows: how to behave, and what it has done so far.
pub(crate) struct App {
    version: String,
    fail_percent: u64,
    slow_percent: u64,
    slow: Duration,
    ready_after: Duration,
    started: Instant,
    served: AtomicUsize,
    counts: Counts,
}

/// One answer, ready to be written.
pub(crate) struct Answer {
    status: u16,
    body: String,
}

impl App {
    fn from_env() -> Self {
        let version = env::var("VERSION").unwrap_or_else(|_| "unknown".to_owned());
        Self {
            counts: Counts::new(&version),
            version,
            fail_percent: number("FAIL_PERCENT", 0),
            slow_percent: number("SLOW_PERCENT", 0),
            slow: Duration::from_millis(number("SLOW_MS", 500)),
            ready_after: Duration::from_millis(number("READY_AFTER_MS", 0)),
            started: Instant::now(),
            served: AtomicUsize::new(0),
        }
    }

    /// Answers one request by its path. Probes and scrapes are never failed,
    /// slowed or counted: the counters speak of users' requests only.
    fn answer(&self, path: &str) -> Answer {
        match path.split('?').next().unwrap_or_default() {
            "/healthz" => Answer { status: 200, body: "ok\n".to_owned() },
            "/readyz" if self.started.elapsed() < self.ready_after => {
                Answer { status: 503, body: "not ready yet\n".to_owned() }
            }
            "/readyz" => Answer { status: 200, body: "ok\n".to_owned() },
            "/metrics" => Answer { status: 200, body: self.counts.exposition() },
            _ => self.answer_user(),
        }
    }

    fn answer_user(&self) -> Answer {
        let start = Instant::now();
        let turn = self.served.fetch_add(1, Ordering::Relaxed) as u64;
        if due(turn, self.slow_percent) {
            thread::sleep(self.slow);
        }
        let status = if due(turn, self.fail_percent) { 500 } else { 200 };
        self.counts.record(status, start.elapsed());
        Answer { status, body: format!("{}\n", self.version) }
    }
}

/// Whether request number `turn` is one of `percent` in a hundred. The share is
/// exact over any hundred requests and spread evenly, so that a short
/// measurement sees it as well as a long one.
fn due(turn: u64, percent: u64) -> bool {
    let percent = percent.min(100);
    (turn + 1) * percent / 100 > turn * percent / 100
}

/// Accepts for as long as the process lives, one thread per connection.
fn serve(listener: &TcpListener, app: &Arc<App>) {
    let open = Arc::new(AtomicUsize::new(0));
    for connection in listener.incoming() {
        let Ok(connection) = connection else { continue };
        while open.load(Ordering::Acquire) >= CONNECTIONS_MAX {
            thread::sleep(Duration::from_millis(1));
        }
        open.fetch_add(1, Ordering::AcqRel);
        let (app, open) = (Arc::clone(app), Arc::clone(&open));
        thread::spawn(move || {
            // A client that goes away in the middle is its own affair.
            drop(http::talk(&connection, &app));
            open.fetch_sub(1, Ordering::AcqRel);
        });
    }
}

/// A number from the environment; anything unreadable counts as the default.
fn number(name: &str, default: u64) -> u64 {
    env::var(name).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(default)
}

#[cfg(test)]
mod tests {
    use super::due;

    #[test]
    fn a_share_is_exact_over_a_hundred_requests() {
        for percent in [0, 1, 20, 30, 33, 100] {
            let hits = (0..100).filter(|turn| due(*turn, percent)).count() as u64;
            assert_eq!(hits, percent);
        }
    }

    #[test]
    fn a_share_is_spread_evenly() {
        let hits = (0..10).filter(|turn| due(*turn, 30)).count();
        assert_eq!(hits, 3);
    }
}
