//! A connection that ends at its time, whoever holds it and whatever the other side sends.
//!
//! A session goes on by itself when nobody waits for it any more, and the other side can keep it busy for ever.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

/// A connection and its end. What is `kept` is given back with it, such as a place among those who may connect.
pub(crate) struct Bounded<K = ()> {
    stream: TcpStream,
    end: Pin<Box<Sleep>>,
    _kept: K,
}

impl Bounded {
    pub(crate) fn new(stream: TcpStream, until: Instant) -> Self {
        Self::keeping(stream, until, ())
    }
}

impl<K> Bounded<K> {
    pub(crate) fn keeping(stream: TcpStream, until: Instant, kept: K) -> Self {
        Self { stream, end: Box::pin(sleep_until(until)), _kept: kept }
    }

    fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        self.end.as_mut().poll(context).is_ready()
    }
}

fn over<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the connection's time is over")))
}

impl<K: Unpin> AsyncRead for Bounded<K> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_over(context) { over() } else { Pin::new(&mut self.stream).poll_read(context, buffer) }
    }
}

impl<K: Unpin> AsyncWrite for Bounded<K> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_over(context) { over() } else { Pin::new(&mut self.stream).poll_write(context, bytes) }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
