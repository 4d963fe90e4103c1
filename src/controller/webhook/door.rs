//! Bounds on who comes in: connections at once, the life of one, and deliveries per second.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

/// Connections at once; further ones wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 64;
/// The life of a connection. Whoever is slower than this in sending a request keeps others out.
const LIFE: Duration = Duration::from_secs(60);

/// So many per second, with a reserve for bursts.
#[derive(Debug)]
pub(super) struct Rate {
    per_second: f64,
    reserve: f64,
    left: Mutex<(f64, Instant)>,
}

impl Rate {
    pub(super) fn new(per_second: f64, reserve: f64) -> Self {
        Self { per_second, reserve, left: Mutex::new((reserve, Instant::now())) }
    }

    /// Takes one out of the reserve, if there is one.
    pub(super) fn admits(&self) -> bool {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let gained = now.duration_since(left.1).as_secs_f64() * self.per_second;
        *left = ((left.0 + gained).min(self.reserve), now);
        let admitted = left.0 >= 1.0;
        if admitted {
            left.0 -= 1.0;
        }
        admitted
    }
}

/// A listener that lets in so many at once.
pub(super) struct Door {
    listener: TcpListener,
    places: Arc<Semaphore>,
}

impl Door {
    pub(super) fn new(listener: TcpListener) -> Self {
        Self { listener, places: Arc::new(Semaphore::new(CONNECTIONS_MAX)) }
    }
}

impl Listener for Door {
    type Io = Visitor;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Visitor, SocketAddr) {
        // The semaphore is never closed.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        let (stream, address) = Listener::accept(&mut self.listener).await;
        (Visitor { stream, end: Box::pin(sleep(LIFE)), _place: place }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that ends when its time is over.
pub(super) struct Visitor {
    stream: TcpStream,
    end: Pin<Box<Sleep>>,
    _place: Option<OwnedSemaphorePermit>,
}

impl Visitor {
    fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        self.end.as_mut().poll(context).is_ready()
    }
}

fn over() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the connection's time is over")
}

impl AsyncRead for Visitor {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_over(context) {
            return Poll::Ready(Err(over()));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Visitor {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_over(context) {
            return Poll::Ready(Err(over()));
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_rate_has_a_reserve_and_fills_up_again() {
        let rate = Rate::new(2.0, 3.0);
        assert_eq!([(); 5].map(|()| rate.admits()), [true, true, true, false, false]);
        tokio::time::advance(Duration::from_millis(600)).await;
        assert_eq!([(); 2].map(|()| rate.admits()), [true, false]);
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!([(); 4].map(|()| rate.admits()), [true, true, true, false]);
    }
}
