//! Equal queries of the same moment are one request, and no server has more than a few of ours before it.
//!
//! Input: queries, and who would ask the server. Output: answers. A thousand runs of one template ask the same; times in
//! their statuses are whole seconds, so an answer that was asked for in the same second is as new as one's own. It must
//! never know what an answer is for.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tidegate_engine::metric::http::Login;
use tidegate_engine::metric::prometheus::Query;
use tidegate_engine::metric::{Response, Sent};
use tokio::sync::Semaphore;

/// Requests that one server has before it at once.
const AT_ONCE: usize = 16;
/// A longer answer is given to whoever asked for it and to nobody else: it would fill the memory.
const KEPT_BYTES: usize = 64 << 10;

/// What came of a request, and what it was signed in with.
pub(super) type Answered = (Result<Response, String>, Sent);

/// Requests that are under way, and the answers of this second.
#[derive(Default)]
pub(super) struct Shared(Mutex<Inner>);

impl fmt::Debug for Shared {
    /// Leaves out what was asked and answered, which holds secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Inner {
    places: HashMap<Key, Arc<Place>>,
    /// Turns for each server.
    turns: HashMap<String, Arc<Semaphore>>,
    /// When the places were last looked through for old answers.
    swept: i64,
}

/// Whoever holds the lock asks; the others find the answer in it.
type Place = tokio::sync::Mutex<Option<Kept>>;

/// An answer, and the second that it is good for: also for whoever asked earlier.
struct Kept {
    second: i64,
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
    /// The answer to a query: that of somebody who asks the same in this second or later, or one's own by `ask`.
    ///
    /// `second` tells the time in seconds, of whatever epoch.
    pub(super) async fn answer(
        &self,
        query: &Query,
        second: impl Fn() -> i64,
        ask: impl Future<Output = Answered>,
    ) -> Answered {
        let asked = second();
        let (place, turns) = self.place(query, asked);
        let mut kept = place.lock().await;
        if let Some(kept) = kept.as_ref().filter(|kept| kept.second >= asked) {
            return kept.answered.clone();
        }
        // Nobody closes it.
        let _turn = turns.acquire().await;
        let begun = second();
        let answered = ask.await;
        // What failed has failed for all who wait: a server that is away is not waited for by one after the other.
        let (second, bytes) = match &answered.0 {
            Ok(response) => (begun, response.body.len()),
            Err(_) => (second(), 0),
        };
        *kept = (bytes <= KEPT_BYTES).then(|| Kept { second, answered: answered.clone() });
        answered
    }

    fn place(&self, query: &Query, now: i64) -> (Arc<Place>, Arc<Semaphore>) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.swept != now {
            inner.sweep(now);
        }
        let turns = inner.turns.entry(query.address.clone());
        let turns = Arc::clone(turns.or_insert_with(|| Arc::new(Semaphore::new(AT_ONCE))));
        (Arc::clone(inner.places.entry(Key::of(query)).or_default()), turns)
    }
}

impl Inner {
    /// Forgets the answers of earlier seconds, and servers that nobody asks.
    fn sweep(&mut self, now: i64) {
        let is_new = |kept: &Option<Kept>| kept.as_ref().is_some_and(|kept| kept.second >= now);
        self.places.retain(|_, place| {
            Arc::strong_count(place) > 1 || place.try_lock().is_ok_and(|kept| is_new(&kept))
        });
        self.turns.retain(|_, turns| Arc::strong_count(turns) > 1);
        self.swept = now;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use futures::future::join_all;
    use tokio::time::{Duration, sleep};

    use super::*;

    fn query(text: &str) -> Query {
        Query {
            address: "http://prometheus".to_owned(),
            query: text.to_owned(),
            range: None,
            headers: Vec::new(),
            timeout_seconds: 30,
            insecure: false,
            login: Login::None,
        }
    }

    /// A server that takes a while, counts what it was asked, and how much of that at once at most.
    #[derive(Default)]
    struct Server {
        clock: Cell<i64>,
        asked: Cell<usize>,
        busy: Cell<usize>,
        busiest: Cell<usize>,
        bytes: usize,
        fails: bool,
    }

    impl Server {
        async fn ask(&self) -> Answered {
            self.asked.set(self.asked.get() + 1);
            self.busy.set(self.busy.get() + 1);
            self.busiest.set(self.busiest.get().max(self.busy.get()));
            sleep(Duration::from_secs(2)).await;
            self.busy.set(self.busy.get() - 1);
            self.clock.set(self.clock.get() + 2);
            let body = vec![b' '; self.bytes];
            let response = Response { status: 200, body, retry_after_seconds: None };
            (if self.fails { Err("away".to_owned()) } else { Ok(response) }, Sent::default())
        }

        async fn answer(&self, shared: &Shared, text: &str) -> bool {
            shared.answer(&query(text), || self.clock.get(), self.ask()).await.0.is_ok()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn equal_queries_of_a_second_are_one_request() {
        let (shared, server) = (Shared::default(), Server::default());
        assert!(join_all((0..20).map(|_| server.answer(&shared, "up"))).await.into_iter().all(|good| good));
        assert_eq!(server.asked.get(), 1);
        server.answer(&shared, "up").await;
        assert_eq!(server.asked.get(), 2, "two seconds later the answer is old");
        server.clock.set(server.clock.get() - 2);
        server.answer(&shared, "up").await;
        assert_eq!(server.asked.get(), 2, "in the second of the last request it is new");
        server.answer(&shared, "down").await;
        assert_eq!(server.asked.get(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_asks_in_between_shares_the_next_request() {
        let (shared, server) = (Shared::default(), Server::default());
        let late = async {
            sleep(Duration::from_secs(1)).await;
            server.clock.set(1);
            join_all((0..20).map(|_| server.answer(&shared, "up"))).await
        };
        tokio::join!(server.answer(&shared, "up"), late);
        assert_eq!(server.asked.get(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_one_for_all_who_wait() {
        let (shared, server) = (Shared::default(), Server { fails: true, ..Server::default() });
        let late = async {
            sleep(Duration::from_secs(1)).await;
            server.clock.set(1);
            server.answer(&shared, "up").await
        };
        assert_eq!(tokio::join!(server.answer(&shared, "up"), late), (false, false));
        assert_eq!(server.asked.get(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_has_a_few_requests_before_it_and_long_answers_are_not_kept() {
        let (shared, server) = (Shared::default(), Server { bytes: KEPT_BYTES + 1, ..Server::default() });
        let texts: Vec<String> = (0..40).map(|index| format!("up{index}")).collect();
        join_all(texts.iter().map(|text| server.answer(&shared, text))).await;
        assert_eq!((server.asked.get(), server.busiest.get()), (40, AT_ONCE));
        server.clock.set(1);
        server.answer(&shared, "up0").await;
        assert_eq!(server.asked.get(), 41);
        let inner = shared.0.lock().unwrap();
        assert_eq!((inner.places.len(), inner.turns.len()), (1, 1), "nothing old is left");
    }
}
