//! What the demo claims about Tidegate, and what was seen of each claim.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// One thing that must hold, in the order in which it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Claim {
    FirstSync,
    Climb,
    Judged,
    Shares,
    Promoted,
    BadJudged,
    BadStopped,
    TrafficBack,
    Held,
    HandPaused,
    HandPromoted,
    HandAborted,
    RevertedByGit,
    NothingLost,
    NeverRestarted,
}

impl Claim {
    const ALL: [Self; 15] = [
        Self::FirstSync,
        Self::Climb,
        Self::Judged,
        Self::Shares,
        Self::Promoted,
        Self::BadJudged,
        Self::BadStopped,
        Self::TrafficBack,
        Self::Held,
        Self::HandPaused,
        Self::HandPromoted,
        Self::HandAborted,
        Self::RevertedByGit,
        Self::NothingLost,
        Self::NeverRestarted,
    ];

    fn text(self) -> &'static str {
        match self {
            Self::FirstSync => "the first commit is synced, and version 1 is healthy and answers",
            Self::Climb => "version 2 climbs 20, 40, 60, 80, 100 in this order",
            Self::Judged => "each of its steps is judged good by Prometheus",
            Self::Shares => "its measured share follows the wanted weight within 5 points",
            Self::Promoted => "version 2 is promoted and answers every request",
            Self::BadJudged => "Prometheus' numbers fail version 3",
            Self::BadStopped => "version 3 is aborted and never gets beyond its first step",
            Self::TrafficBack => "after the abort every request is answered by version 2 again",
            Self::Held => "a later commit ships its other changes and not version 3 again, and says why",
            Self::HandPaused => "version 4 stays at its pause step until a person acts",
            Self::HandPromoted => "`kubectl tidegate promote` moves version 4 on",
            Self::HandAborted => "`kubectl tidegate abort` takes version 4 back",
            Self::RevertedByGit => "a commit back to version 2 makes everything Synced and Healthy",
            Self::NothingLost => "no request is lost, and nothing fails but version 3 itself",
            Self::NeverRestarted => "Tidegate never restarts",
        }
    }
}

/// A claim and how it went.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    pub(super) claim: &'static str,
    pub(super) held: bool,
    /// What was seen, in a few words.
    pub(super) seen: String,
}

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    found: Mutex<BTreeMap<Claim, (bool, String)>>,
}

impl Ledger {
    /// Notes what was seen of a claim.
    pub(super) fn note(&self, claim: Claim, held: bool, seen: impl Into<String>) {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).insert(claim, (held, seen.into()));
    }

    /// Every claim; one that was never looked at did not hold.
    pub(super) fn all(&self) -> Vec<Finding> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let finding = |claim: Claim| {
            let (held, seen) = found.get(&claim).cloned().unwrap_or((false, "never reached".to_owned()));
            Finding { claim: claim.text(), held, seen }
        };
        Claim::ALL.into_iter().map(finding).collect()
    }

    /// The claims that did not hold.
    pub(super) fn broken(&self) -> Vec<String> {
        let broken = self.all().into_iter().filter(|finding| !finding.held);
        broken.map(|finding| format!("{} ({})", finding.claim, finding.seen)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Claim, Ledger};

    #[test]
    fn a_claim_that_nobody_looked_at_did_not_hold() {
        let ledger = Ledger::default();
        for claim in Claim::ALL.into_iter().skip(1) {
            ledger.note(claim, true, "seen");
        }
        assert_eq!(ledger.broken().len(), 1);
        ledger.note(Claim::FirstSync, true, "seen");
        assert!(ledger.broken().is_empty());
        ledger.note(Claim::Climb, false, "seen otherwise");
        assert!(ledger.broken()[0].contains("seen otherwise"));
    }
}
