//! Equal queries of the same moment are one request, and no server has more than a few of ours before it.
//!
//! Input: queries, and who would ask the server. Output: answers. A thousand runs of one template ask the same; times in
//! their statuses are whole seconds, so an answer that was asked for half a second ago is as new as one's own. It must never
//! know what an answer is for.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidegate_engine::metric::http::Login;
use tidegate_engine::metric::prometheus::Query;
use tidegate_engine::metric::{Response, Sent};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};

/// How old an answer may be: shorter than intervals of two seconds and more, so that no metric of such a one gets its own
/// last answer again.
const NEW: Duration = Duration::from_millis(500);
/// Requests that one address has before it at once.
const AT_ONCE: usize = 16;
/// A longer answer is given to those who wait for it and is not kept: it would fill the memory.
const KEPT_BYTES: usize = 4 << 10;

/// What came of a request, and what it was signed in with.
pub(super) type Answered = (Result<Response, String>, Sent);

/// Requests that are under way, and the answers of this moment.
#[derive(Clone, Default)]
pub(super) struct Shared(Arc<Mutex<Inner>>);

impl fmt::Debug for Shared {
    /// Leaves out what was asked and answered, which holds secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Inner {
    places: HashMap<Key, Arc<Place>>,
    /// Turns for each address.
    turns: HashMap<String, Arc<Semaphore>>,
    /// Whether somebody will look for what is old.
    is_swept: bool,
}

/// Whoever holds the lock asks; the others find the answer in it.
type Place = tokio::sync::Mutex<Option<Kept>>;

/// An answer, and since when it is one: whoever asked earlier may have it as well.
struct Kept {
    at: Instant,
    answered: Answered,
}

/// Everything that two queries have in common if one answer serves both.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    address: String,
    query: String,
    /// Start and end in seconds, as they are sent, and the bits of the step.
    range: Option<(i64, i64, u64)>,
    headers: Vec<(String, String)>,
    timeout_seconds: u64,
    insecure: bool,
    login: Login,
}

impl Key {
    fn of(query: &Query) -> Self {
        let Query { address, query, range, headers, timeout_seconds, insecure, login } = query.clone();
        let range =
            range.map(|range| (range.start.as_second(), range.end.as_second(), range.step_seconds.to_bits()));
        Self { address, query, range, headers, timeout_seconds, insecure, login }
    }
}

impl Shared {
    /// The answer to a query: that of somebody who asks the same in this moment or later, or one's own by `ask`; `None`
    /// when the turn to ask does not come within `limit`.
    pub(super) async fn answer(
        &self,
        query: &Query,
        limit: Duration,
        ask: impl Future<Output = Answered>,
    ) -> Option<Answered> {
        let (place, turns) = self.place(query);
        let asked = Instant::now();
        let turn = async {
            let kept = place.lock().await;
            let known = kept.as_ref().filter(|kept| kept.at + NEW > asked).map(|kept| kept.answered.clone());
            let turn = if known.is_some() { None } else { Some(turns.acquire().await) };
            (kept, known, turn)
        };
        let (mut kept, known, turn) = timeout(limit, turn).await.ok()?;
        let answered = match known {
            Some(answered) => answered,
            None => {
                let begun = Instant::now();
                let answered = ask.await;
                // What failed has failed for all who wait: a server that is away is not waited for by one after the other.
                let is_good = answered.0.as_ref().is_ok_and(|response| response.status < 500);
                let at = if is_good { begun } else { Instant::now() };
                *kept = Some(Kept { at, answered: answered.clone() });
                answered
            }
        };
        drop(turn);
        let is_last = Arc::strong_count(&place) <= 2;
        if is_last && answered.0.as_ref().is_ok_and(|response| response.body.len() > KEPT_BYTES) {
            *kept = None;
        }
        Some(answered)
    }

    fn place(&self, query: &Query) -> (Arc<Place>, Arc<Semaphore>) {
        let mut inner = self.lock();
        if !inner.is_swept {
            inner.is_swept = true;
            let shared = self.clone();
            tokio::spawn(async move {
                while !shared.sweep() {
                    sleep(NEW).await;
                }
            });
        }
        let turns = inner.turns.entry(query.address.clone());
        let turns = Arc::clone(turns.or_insert_with(|| Arc::new(Semaphore::new(AT_ONCE))));
        (Arc::clone(inner.places.entry(Key::of(query)).or_default()), turns)
    }

    /// Forgets old answers, and addresses that nobody asks; says whether nothing is left.
    fn sweep(&self) -> bool {
        let mut inner = self.lock();
        let now = Instant::now();
        let is_new = |kept: &Option<Kept>| kept.as_ref().is_some_and(|kept| kept.at + NEW > now);
        inner.places.retain(|_, place| {
            Arc::strong_count(place) > 1 || place.try_lock().is_ok_and(|kept| is_new(&kept))
        });
        inner.turns.retain(|_, turns| Arc::strong_count(turns) > 1);
        inner.is_swept = !inner.places.is_empty();
        !inner.is_swept
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::net::{IpAddr, Ipv4Addr, SocketAddr};

    use futures::future::join_all;

    use super::super::tests::query;
    use super::*;

    const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9090);
    const LIMIT: Duration = Duration::from_secs(30);
    const SECOND: Duration = Duration::from_secs(1);

    /// A server that takes a while, counts what it was asked, and how much of that at once at most.
    struct Server {
        takes: Duration,
        bytes: usize,
        fails: bool,
        asked: Cell<usize>,
        busy: Cell<usize>,
        busiest: Cell<usize>,
    }

    impl Default for Server {
        fn default() -> Self {
            let (asked, busy, busiest) = (Cell::default(), Cell::default(), Cell::default());
            Self { takes: 2 * SECOND, bytes: 0, fails: false, asked, busy, busiest }
        }
    }

    impl Server {
        async fn ask(&self) -> Answered {
            self.asked.set(self.asked.get() + 1);
            self.busy.set(self.busy.get() + 1);
            self.busiest.set(self.busiest.get().max(self.busy.get()));
            sleep(self.takes).await;
            self.busy.set(self.busy.get() - 1);
            let body = vec![b' '; self.bytes];
            let response = Response { status: 200, body, retry_after_seconds: None };
            (if self.fails { Err("away".to_owned()) } else { Ok(response) }, Sent::default())
        }

        /// Whether there is a good answer, if there is one.
        async fn answer(&self, shared: &Shared, text: &str) -> Option<bool> {
            let answered = shared.answer(&query(ADDRESS, text), LIMIT, self.ask()).await;
            answered.map(|(answer, _)| answer.is_ok())
        }

        /// Twenty answers to the same query, asked for after a while.
        async fn twenty(&self, shared: &Shared, after: Duration) -> Vec<Option<bool>> {
            sleep(after).await;
            join_all((0..20).map(|_| self.answer(shared, "up"))).await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn equal_queries_of_a_moment_are_one_request() {
        let (shared, server) = (Shared::default(), Server { takes: NEW / 5, ..Server::default() });
        assert_eq!(server.twenty(&shared, SECOND).await, [Some(true); 20]);
        server.twenty(&shared, NEW / 2).await;
        assert_eq!(server.asked.get(), 1, "the answer is new");
        server.twenty(&shared, NEW / 2).await;
        assert_eq!(server.asked.get(), 2, "it is old");
        server.answer(&shared, "down").await;
        assert_eq!(server.asked.get(), 3, "something else");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_asks_in_between_shares_the_next_request() {
        let (shared, server) = (Shared::default(), Server::default());
        tokio::join!(server.answer(&shared, "up"), server.twenty(&shared, SECOND));
        assert_eq!(server.asked.get(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_one_for_all_who_wait() {
        let (shared, server) = (Shared::default(), Server { fails: true, ..Server::default() });
        let (first, others) = tokio::join!(server.answer(&shared, "up"), server.twenty(&shared, SECOND));
        assert_eq!((first, others, server.asked.get()), (Some(false), vec![Some(false); 20], 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_answer_is_for_those_who_wait_and_is_not_kept() {
        let (shared, server) = (Shared::default(), Server { bytes: KEPT_BYTES + 1, ..Server::default() });
        assert_eq!(server.twenty(&shared, SECOND).await, [Some(true); 20]);
        assert_eq!(server.asked.get(), 1);
        server.answer(&shared, "up").await;
        assert_eq!(server.asked.get(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_has_a_few_requests_before_it_and_nothing_is_kept_for_long() {
        let (shared, server) = (Shared::default(), Server::default());
        let texts: Vec<String> = (0..40).map(|index| format!("up{index}")).collect();
        join_all(texts.iter().map(|text| server.answer(&shared, text))).await;
        assert_eq!((server.asked.get(), server.busiest.get()), (40, AT_ONCE));
        sleep(2 * SECOND).await;
        let inner = shared.lock();
        assert_eq!((inner.places.len(), inner.turns.len(), inner.is_swept), (0, 0, false));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_a_turn_longer_than_for_an_answer() {
        let (shared, server) = (Shared::default(), Server { takes: 2 * LIMIT, ..Server::default() });
        let texts: Vec<String> = (0..=AT_ONCE).map(|index| format!("up{index}")).collect();
        let begun = Instant::now();
        let all = join_all(texts.iter().map(|text| server.answer(&shared, text)));
        let (answers, equal) = tokio::join!(all, async {
            sleep(SECOND).await;
            let answer = server.answer(&shared, "up0").await;
            (answer, begun.elapsed())
        });
        assert_eq!((answers[0], answers[AT_ONCE]), (Some(true), None));
        assert_eq!(equal, (None, LIMIT + SECOND));
    }
}
