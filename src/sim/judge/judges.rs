//! The judges that are compared: ours, and thresholds and tests as they are used today.

use std::collections::VecDeque;

use tidegate_engine::judge::judgement::Judgement;
use tidegate_engine::judge::{Comparison, Look, Settings, Share, Verdict, judge};

use crate::world::{HISTORY, LOOKS};

/// Somebody who looks at a release and may stop it.
pub(crate) trait Judge {
    /// Learns from the stable pods before the release.
    fn learn(&mut self, _stable: &[Share]) {}
    /// Takes up one look; `minute` says that a minute ends with it. True stops the release.
    fn look(&mut self, look: &Look, minute: bool) -> bool;
    /// Whether it called the canary good.
    fn called_good(&self) -> bool {
        false
    }
}

/// Ours, with or without its measure of its own error, at every look or each minute.
pub(crate) struct Evidence {
    comparison: Comparison,
    settings: Settings,
    calibrated: bool,
    good: bool,
}

impl Evidence {
    pub(crate) fn new(calibrated: bool) -> Self {
        Self { comparison: Comparison::default(), settings: Settings::default(), calibrated, good: false }
    }
}

impl Judge for Evidence {
    fn learn(&mut self, stable: &[Share]) {
        if self.calibrated {
            self.comparison.learn(stable);
        }
    }

    fn look(&mut self, look: &Look, _minute: bool) -> bool {
        if !self.calibrated {
            let (canary, stable) = look.sides();
            self.comparison.harm.look(canary, stable, self.settings.tolerance);
            return self.comparison.harm.log_evidence(1.0) >= -self.settings.false_abort.ln();
        }
        self.comparison.look(look, &self.settings);
        match judge(&[(&self.comparison, self.settings)]) {
            Verdict::Bad => true,
            Verdict::Good => {
                self.good = true;
                false
            }
            Verdict::Undecided { .. } => false,
        }
    }

    fn called_good(&self) -> bool {
        self.good
    }
}

/// Ours, in one judgement after the other; each has its part of the rate of false aborts.
#[derive(Default)]
pub(crate) struct Row {
    now: Option<Evidence>,
    judgements: u32,
    /// Looks until the next one begins.
    rests: usize,
    /// What the next one learns from.
    past: VecDeque<Vec<Share>>,
}

impl Row {
    fn begun(&mut self) -> Evidence {
        let mut begun = Evidence::new(true);
        begun.settings.false_abort *= Judgement::after(self.judgements).part.unwrap_or(1.0);
        self.judgements += 1;
        for look in &self.past {
            begun.learn(look);
        }
        begun
    }
}

impl Judge for Row {
    fn learn(&mut self, stable: &[Share]) {
        self.past.push_back(stable.to_vec());
        if self.past.len() > HISTORY * LOOKS {
            self.past.pop_front();
        }
    }

    fn look(&mut self, look: &Look, minute: bool) -> bool {
        if self.rests > 0 {
            self.rests -= 1;
            self.learn(&look.stable);
            return false;
        }
        let mut now = self.now.take().unwrap_or_else(|| self.begun());
        self.learn(&look.stable);
        let stops = now.look(look, minute);
        if now.good {
            self.rests = LOOKS;
        } else {
            self.now = Some(now);
        }
        stops
    }

    fn called_good(&self) -> bool {
        self.judgements > 1
    }
}

/// A fixed share of good requests, looked at each minute.
pub(crate) struct Threshold {
    least: f64,
    /// Bad minutes that are forgiven.
    limit: u32,
    /// Whether a minute without requests is a bad one.
    empty_is_bad: bool,
    bad_minutes: u32,
    minute: Share,
}

impl Threshold {
    pub(crate) fn new(least: f64, limit: u32, empty_is_bad: bool) -> Self {
        Self { least, limit, empty_is_bad, bad_minutes: 0, minute: Share::default() }
    }
}

impl Judge for Threshold {
    fn look(&mut self, look: &Look, minute: bool) -> bool {
        self.minute += look.sides().0;
        if !minute {
            return false;
        }
        let seen = std::mem::take(&mut self.minute);
        let bad = if seen.requests == 0 { self.empty_is_bad } else { 1.0 - seen.rate() < self.least };
        self.bad_minutes += u32::from(bad);
        self.bad_minutes > self.limit
    }
}

/// A test of two shares at 5 %, made anew each minute over all that was seen.
#[derive(Default)]
pub(crate) struct Peeked {
    canary: Share,
    stable: Share,
}

impl Judge for Peeked {
    fn look(&mut self, look: &Look, minute: bool) -> bool {
        let (canary, stable) = look.sides();
        self.canary += canary;
        self.stable += stable;
        let (own, other) = (self.canary.requests as f64, self.stable.requests as f64);
        let pooled = [self.canary, self.stable].iter().sum::<Share>().rate();
        let error = (pooled * (1.0 - pooled) * (1.0 / own + 1.0 / other)).sqrt();
        minute && error > 0.0 && (self.canary.rate() - self.stable.rate()) / error > 1.645
    }
}
