//! Bounds on who comes in: connections at once, the life of one, and deliveries per second.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::bounded::Bounded;

/// Connections at once; further ones wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 64;
/// The life of a connection. Whoever is slower than this in sending a request keeps others out.
const LIFE: Duration = Duration::from_secs(60);

/// Peers whose deliveries are counted one by one.
const PEERS_MAX: usize = 1000;

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

    /// Adds what was gained since the last time.
    fn fill(&self) -> MutexGuard<'_, (f64, Instant)> {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let gained = now.duration_since(left.1).as_secs_f64() * self.per_second;
        *left = ((left.0 + gained).min(self.reserve), now);
        left
    }

    /// Whether nothing of the reserve is gone, as if there had never been anybody.
    fn is_full(&self) -> bool {
        self.fill().0 >= self.reserve
    }

    /// Takes one out of the reserve, if there is one.
    pub(super) fn admits(&self) -> bool {
        let mut left = self.fill();
        let admitted = left.0 >= 1.0;
        if admitted {
            left.0 -= 1.0;
        }
        admitted
    }
}

/// Where a connection comes from: an address, or for IPv6 the network of 64 bits that one visitor has all of.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Peer(IpAddr);

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        Self(match address.ip().to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        })
    }
}

impl Connected<IncomingStream<'_, Door>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        Self::from(*stream.remote_addr())
    }
}

/// So many per second of each peer.
#[derive(Debug)]
pub(super) struct Peers {
    per_second: f64,
    reserve: f64,
    rates: Mutex<BTreeMap<Peer, Rate>>,
}

impl Peers {
    pub(super) fn new(per_second: f64, reserve: f64) -> Self {
        Self { per_second, reserve, rates: Mutex::default() }
    }

    /// Takes one out of a peer's reserve, if there is one. With more peers than are kept the others share a bound.
    pub(super) fn admits(&self, peer: Peer) -> bool {
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        if rates.len() >= PEERS_MAX && !rates.contains_key(&peer) {
            rates.retain(|_, rate| !rate.is_full());
        }
        let is_kept = rates.len() < PEERS_MAX || rates.contains_key(&peer);
        let place = if is_kept { peer } else { Peer(IpAddr::V6(Ipv6Addr::UNSPECIFIED)) };
        rates.entry(place).or_insert_with(|| Rate::new(self.per_second, self.reserve)).admits()
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
        (Bounded::keeping(stream, Instant::now() + LIFE, place), address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that ends when its time is over, and its place among those that are let in.
pub(super) type Visitor = Bounded<Option<OwnedSemaphorePermit>>;

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(address: &str) -> Peer {
        Peer::from(SocketAddr::new(address.parse().unwrap(), 1))
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_floods_keeps_no_other_out() {
        let peers = Peers::new(1.0, 2.0);
        let flood = [(); 4].map(|()| peers.admits(peer("192.0.2.1")));
        assert_eq!(flood, [true, true, false, false]);
        assert!(!peers.admits(peer("::ffff:192.0.2.1")));
        assert!(peers.admits(peer("192.0.2.2")));
        let network = [1, 2, 3].map(|n| peers.admits(peer(&format!("2001:db8::{n}"))));
        assert_eq!(network, [true, true, false]);
        assert!(peers.admits(peer("2001:db8:0:1::1")));
        for n in 0..3000_u32 {
            peers.admits(peer(&std::net::Ipv4Addr::from_bits(n << 8).to_string()));
        }
        assert!(peers.rates.lock().unwrap().len() <= PEERS_MAX + 1);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(peers.admits(peer("198.51.100.1")));
        assert_eq!(peers.rates.lock().unwrap().len(), 1);
    }

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
