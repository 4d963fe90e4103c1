//! Bodies of deliveries, within bounds of size and time.
//!
//! Whoever proves nothing yet pays with what has come, not with what is told to come: who sends little keeps nobody out.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use futures::StreamExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::{Refused, settings};

/// What every body may take without a turn: more than most pushes, and with all connections 64 MB of memory.
const SMALL_BYTES: usize = 1 << 20;
/// What all bodies together may take beyond that: two of the largest of 50 MB.
const LARGE_BYTES: usize = 100 << 20;
/// How finely that is counted.
const UNIT_BYTES: usize = 64 << 10;
/// The longest that a body may take to come, that nothing of it comes, and that its turn may take. GitHub gives up after
/// 10 s.
const BODY_WITHIN: Duration = Duration::from_secs(20);
const STALL_WITHIN: Duration = Duration::from_secs(3);
const TURN_WITHIN: Duration = Duration::from_secs(5);

/// Room for bodies.
#[derive(Debug)]
pub(super) struct Bodies(Arc<Semaphore>);

impl Default for Bodies {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(LARGE_BYTES / UNIT_BYTES)))
    }
}

/// A body, and the room that it takes until it is dropped.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) bytes: Vec<u8>,
    turn: Option<OwnedSemaphorePermit>,
}

impl Bodies {
    /// Reads a body.
    pub(super) async fn read(&self, headers: &HeaderMap, body: Body, most: usize) -> Result<Taken, Refused> {
        let length = headers
            .get(header::CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        if length.is_some_and(|length| length > most) {
            return Err(large(most));
        }
        timeout(BODY_WITHIN, self.parts(body, most)).await.map_err(|_| slow())?
    }

    async fn parts(&self, body: Body, most: usize) -> Result<Taken, Refused> {
        let mut taken = Taken::default();
        let mut parts = body.into_data_stream();
        while let Some(part) = timeout(STALL_WITHIN, parts.next()).await.map_err(|_| slow())? {
            let early = "the body ended early";
            let part = part.map_err(|_| Refused::new("malformed", StatusCode::BAD_REQUEST, early, early))?;
            let length = taken.bytes.len() + part.len();
            if length > most {
                return Err(large(most));
            }
            self.make_room(&mut taken, length).await?;
            taken.bytes.extend_from_slice(&part);
        }
        Ok(taken)
    }

    /// Waits for the room that a body of this length needs beyond what it has.
    async fn make_room(&self, taken: &mut Taken, length: usize) -> Result<(), Refused> {
        let units = length.saturating_sub(SMALL_BYTES).div_ceil(UNIT_BYTES);
        let more = units.saturating_sub(taken.turn.as_ref().map_or(0, OwnedSemaphorePermit::num_permits));
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        if more == 0 {
            return Ok(());
        }
        let Ok(Ok(turn)) = timeout(TURN_WITHIN, Arc::clone(&self.0).acquire_many_owned(more)).await else {
            let why = "too many bodies";
            return Err(Refused::new("limited", StatusCode::SERVICE_UNAVAILABLE, "try again later", why));
        };
        match &mut taken.turn {
            Some(held) => held.merge(turn),
            None => taken.turn = Some(turn),
        }
        Ok(())
    }
}

fn large(most: usize) -> Refused {
    let why = format!(
        "the body is larger than {most} bytes, see {} in ConfigMap {}",
        settings::MAX_KEY,
        settings::MAP
    );
    Refused::new("large", StatusCode::PAYLOAD_TOO_LARGE, "the body is too large", why)
}

fn slow() -> Refused {
    Refused::new("slow", StatusCode::REQUEST_TIMEOUT, "the body is too slow", "too slow")
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;
    use futures::stream;

    use super::*;

    const MOST: usize = 50 << 20;

    fn body(megabytes: usize) -> Body {
        let part = Bytes::from(vec![b'x'; 1 << 20]);
        Body::from_stream(stream::iter((0..megabytes).map(move |_| Ok::<_, std::io::Error>(part.clone()))))
    }

    /// What begins like this and then stops.
    fn stalling(megabytes: usize) -> Body {
        let rest = stream::pending::<Result<Bytes, axum::Error>>();
        Body::from_stream(body(megabytes).into_data_stream().chain(rest))
    }

    #[tokio::test]
    async fn room_is_taken_by_what_came_until_it_is_dropped() {
        let bodies = Bodies::default();
        let all = bodies.0.available_permits();
        let read =
            async |megabytes| bodies.read(&HeaderMap::new(), body(megabytes), MOST).await.ok().unwrap();
        let small = read(1).await;
        assert_eq!((small.bytes.len(), bodies.0.available_permits()), (1 << 20, all));
        let large = read(3).await;
        assert_eq!((large.bytes.len(), bodies.0.available_permits()), (3 << 20, all - 32));
        drop(large);
        assert_eq!(bodies.0.available_permits(), all);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_stalls_is_refused_soon_and_keeps_no_small_body_out() {
        let bodies = Bodies(Arc::new(Semaphore::new(32)));
        let headers = HeaderMap::new();
        let stall = || bodies.read(&headers, stalling(2), MOST);
        let begun = tokio::time::Instant::now();
        let small = async {
            let taken = bodies.read(&headers, body(1), MOST).await;
            (taken.map(|taken| taken.bytes.len()).ok(), begun.elapsed())
        };
        let (one, other, small) = tokio::join!(stall(), stall(), small);
        assert_eq!(small, (Some(1 << 20), Duration::ZERO));
        for stalled in [one, other] {
            assert_eq!(stalled.err().map(|refused| refused.status), Some(StatusCode::REQUEST_TIMEOUT));
        }
        assert!((STALL_WITHIN..BODY_WITHIN).contains(&begun.elapsed()));
        assert_eq!(bodies.0.available_permits(), 32);
    }

    #[tokio::test(start_paused = true)]
    async fn large_bodies_wait_for_each_other() {
        let bodies = Bodies(Arc::new(Semaphore::new(32)));
        let headers = HeaderMap::new();
        let held = bodies.read(&headers, body(3), MOST).await.ok().unwrap();
        let refused = bodies.read(&headers, body(2), MOST).await.err().unwrap();
        assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
        drop(held);
        assert!(bodies.read(&headers, body(2), MOST).await.is_ok());
    }
}
