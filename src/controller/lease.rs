//! Leader election by a Lease, with the name, the fields and the timing of upstream's, so that an upstream
//! controller and this one never act at once.
//!
//! Input: a Lease. Output: the gate for writes, open while this controller holds the Lease. As client-go does, it
//! never compares clocks: another holder is out when its Lease has not changed for a whole duration of our own clock.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::{Api, PostParams};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::client::Gate;
use crate::failure::{Class, chain};
use crate::request::FIELD_MANAGER;

/// How long things last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    /// A holder that does not renew for this long is out.
    pub(crate) duration: Duration,
    /// A holder that could not renew for this long stops by itself.
    pub(crate) deadline: Duration,
    /// The pause between attempts.
    pub(crate) retry: Duration,
}

/// The name of the Lease: two controllers with the same instance id compete for the same one.
pub(crate) fn name(instance_id: Option<&str>) -> String {
    let base = "argo-rollouts-controller-lock";
    instance_id.map_or_else(|| base.to_owned(), |id| format!("{base}-{id}"))
}

/// A name for this process that no other one has: the host's name alone stays the same over restarts.
pub(crate) fn identity() -> String {
    let host = std::env::var("HOSTNAME").ok().or_else(|| std::fs::read_to_string("/etc/hostname").ok());
    // The standard library seeds each of its hashers from the system's random numbers.
    let chance = RandomState::new().build_hasher().finish();
    format!("{}_{chance:016x}", host.as_deref().unwrap_or("tidegate").trim())
}

/// One candidate.
#[derive(Debug)]
pub(crate) struct Election {
    api: Api<Lease>,
    name: String,
    identity: String,
    timing: Timing,
    gate: Gate,
    /// The Lease as last read, and since when it has been like that.
    observed: Option<(Lease, Instant)>,
}

/// What to do about the Lease as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Claim {
    Create,
    /// Nobody has it, or its holder is out.
    Take,
    /// It is ours already.
    Renew,
    /// Somebody else has it.
    Wait,
}

impl Election {
    /// Builds a candidate whose gate is shut.
    pub(crate) fn new(api: Api<Lease>, name: String, identity: String, timing: Timing, gate: Gate) -> Self {
        Self { api, name, identity, timing, gate, observed: None }
    }

    /// Returns once this controller holds the Lease; the gate is then open.
    pub(crate) async fn win(&mut self) {
        let mut told = String::new();
        loop {
            match self.attempt_in_time().await {
                Ok(true) => {
                    info!(lease = self.name, identity = self.identity, "leading");
                    return;
                }
                Ok(false) => {}
                Err(error) => self.tell(&error, &mut told),
            }
            tokio::time::sleep(self.timing.retry).await;
        }
    }

    /// Says why the Lease cannot be had, once for each reason.
    fn tell(&self, error: &kube::Error, told: &mut String) {
        let why = chain(error);
        if why == *told {
            return;
        }
        let hint = if Class::of(error) == Class::Gone {
            "the namespace of the controller does not exist: make it, or name another one in POD_NAMESPACE"
        } else {
            "this controller does nothing until it holds the lease"
        };
        warn!(lease = self.name, error = why, hint, "cannot claim the lease, trying on");
        *told = why;
    }

    /// Renews the Lease; returns once it is lost, by which time the gate has shut.
    pub(crate) async fn keep(&mut self) {
        while let Some(until) = self.gate.until() {
            tokio::time::sleep(self.timing.retry.min(until - Instant::now())).await;
            let Some(until) = self.gate.until() else { break };
            match tokio::time::timeout_at(until, self.attempt_in_time()).await {
                Ok(Ok(true)) => {}
                Ok(Ok(false)) | Err(_) => break,
                Ok(Err(error)) => warn!(lease = self.name, error = %chain(&error), "cannot renew the lease"),
            }
        }
        self.gate.close();
        warn!(lease = self.name, "no longer leading");
    }

    /// A request that hangs must leave time for another one before the deadline.
    async fn attempt_in_time(&mut self) -> Result<bool, kube::Error> {
        let within = self.timing.deadline / 2;
        match tokio::time::timeout(within, self.attempt()).await {
            Ok(outcome) => outcome,
            Err(elapsed) => Err(kube::Error::Service(elapsed.into())),
        }
    }

    /// Gives the Lease back, so that another controller need not wait for its end.
    pub(crate) async fn release(&mut self) {
        self.gate.close();
        let Some((mut lease, _)) = self.observed.take() else { return };
        if holder(&lease) != self.identity {
            return;
        }
        let spec = lease.spec.get_or_insert_default();
        spec.holder_identity = Some(String::new());
        spec.lease_duration_seconds = Some(1);
        spec.renew_time = Some(MicroTime(Timestamp::now()));
        match self.api.replace(&self.name, &written(), &lease).await {
            Ok(_) => info!(lease = self.name, "lease given back"),
            Err(error) => warn!(lease = self.name, error = %chain(&error), "cannot give the lease back"),
        }
    }

    /// Claims or renews the Lease; says whether it is ours now.
    async fn attempt(&mut self) -> Result<bool, kube::Error> {
        // Counted from before the request: the others count from when the API server stored it.
        let started = Instant::now();
        // A holder knows the Lease as it wrote it, and need not read it again.
        let known =
            self.observed.as_ref().map(|(lease, _)| lease).filter(|lease| holder(lease) == self.identity);
        let (found, unchanged_for) = match known {
            Some(lease) => (Some(lease.clone()), Duration::ZERO),
            None => {
                let found = self.api.get_opt(&self.name).await?;
                let unchanged_for = self.note(found.clone());
                (found, unchanged_for)
            }
        };
        let claim = claim(found.as_ref(), &self.identity, self.timing.duration, unchanged_for);
        debug!(lease = self.name, ?claim, "looked at the lease");
        let stored = match claim {
            Claim::Wait => return Ok(false),
            Claim::Create => {
                let lease = self.renewed(Lease::default(), Claim::Create);
                self.api.create(&written(), &lease).await
            }
            Claim::Take | Claim::Renew => {
                let lease = self.renewed(found.unwrap_or_default(), claim);
                self.api.replace(&self.name, &written(), &lease).await
            }
        };
        match stored {
            Ok(lease) => {
                self.note(Some(lease));
                self.gate.open_until(started + self.timing.deadline);
                Ok(true)
            }
            // Another candidate was faster.
            Err(error) if Class::of(&error) == Class::Conflict && claim != Claim::Renew => Ok(false),
            Err(error) => {
                // Whatever went wrong, the Lease may have changed: read it again next time.
                self.observed = self.observed.take().filter(|_| claim != Claim::Renew);
                Err(error)
            }
        }
    }

    /// Remembers the Lease; says for how long it has not changed.
    fn note(&mut self, found: Option<Lease>) -> Duration {
        let Some(found) = found else {
            self.observed = None;
            return Duration::ZERO;
        };
        let version = |lease: &Lease| lease.metadata.resource_version.clone();
        match &self.observed {
            Some((known, since)) if version(known) == version(&found) => since.elapsed(),
            Some(_) | None => {
                self.observed = Some((found, Instant::now()));
                Duration::ZERO
            }
        }
    }

    fn renewed(&self, mut lease: Lease, claim: Claim) -> Lease {
        let now = MicroTime(Timestamp::now());
        if claim == Claim::Create {
            lease.metadata = ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() };
        }
        let before = lease.spec.take().unwrap_or_default();
        let transitions = before.lease_transitions.unwrap_or(0);
        let kept = claim == Claim::Renew;
        lease.spec = Some(LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(self.timing.duration.as_secs()).ok(),
            acquire_time: if kept { before.acquire_time.clone() } else { Some(now.clone()) },
            renew_time: Some(now),
            lease_transitions: Some(if claim == Claim::Take { transitions + 1 } else { transitions }),
            ..before
        });
        lease
    }
}

fn written() -> PostParams {
    PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() }
}

fn holder(lease: &Lease) -> &str {
    lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()).unwrap_or_default()
}

/// Judges a Lease that has not changed for `unchanged_for` by our own clock.
fn claim(lease: Option<&Lease>, identity: &str, duration: Duration, unchanged_for: Duration) -> Claim {
    let Some(lease) = lease else { return Claim::Create };
    let spec = lease.spec.as_ref();
    let holder = holder(lease);
    if holder == identity {
        return Claim::Renew;
    }
    // Its holder may have been started with a longer duration than ours.
    let theirs =
        spec.and_then(|spec| spec.lease_duration_seconds).and_then(|seconds| u64::try_from(seconds).ok());
    let theirs = Duration::from_secs(theirs.unwrap_or(0));
    if holder.is_empty() || unchanged_for > duration.max(theirs) { Claim::Take } else { Claim::Wait }
}

#[cfg(test)]
mod tests;
