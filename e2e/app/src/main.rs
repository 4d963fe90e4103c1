//! The application under test: a small HTTP/1.1 server that answers with its
//! version, counts what it did, and fails or dawdles when its environment says so.
//!
//! | variable         | meaning                                        | default   |
//! |------------------|------------------------------------------------|-----------|
//! | `VERSION`        | answered in the body and as `x-version`        | `unknown` |
//! | `LISTEN`         | address to serve on                            | `0.0.0.0:8080` |
//! | `FAIL_PERCENT`   | share of `/` answered with 500, such as 0.5    | 0         |
//! | `SLOW_PERCENT`   | share of `/` answered late                     | 0         |
//! | `SLOW_MS`        | how late                                       | 500       |
//! | `CHANCE_SEED`    | a number: these shares come by chance, in each pod by another; without it they are spread evenly | none |
//! | `READY_AFTER_MS` | how long `/readyz` says 503 after the start    | 0         |
//! | `DRAIN_MS`       | how long it goes on serving after SIGTERM      | 5000      |
//!
//! Invoked as `app pause` it only waits for SIGTERM, which is all a pod's
//! sandbox container has to do.

mod count;
mod due;
mod http;

use std::env;
use std::io;
use std::net::TcpListener;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::count::Counts;
use crate::due::Due;

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
    fails: Due,
    dawdles: Due,
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
        let pod = env::var("HOSTNAME").unwrap_or_default();
        let seed = read("CHANCE_SEED").map(|told| due::seed_of(told, &pod));
        let share = |name: &str, what| Due::new(read(name).unwrap_or(0.0), seed, what);
        Self {
            counts: Counts::new(&version),
            version,
            fails: share("FAIL_PERCENT", 0),
            dawdles: share("SLOW_PERCENT", 1),
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
        if self.dawdles.is(turn) {
            thread::sleep(self.slow);
        }
        let status = if self.fails.is(turn) { 500 } else { 200 };
        self.counts.record(status, start.elapsed());
        Answer { status, body: format!("{}\n", self.version) }
    }
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
    read(name).unwrap_or(default)
}

/// A number from the environment, if there is one.
fn read<T: FromStr>(name: &str) -> Option<T> {
    env::var(name).ok()?.trim().parse().ok()
}
