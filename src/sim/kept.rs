//! The figures of a long campaign in a file, from which it can go on when it was interrupted.
//!
//! Input: a file, what a campaign has come to. Output: the file.

use std::path::Path;
use std::{fs, io};

use serde::{Deserialize, Serialize};
use tidegate_sim::{Campaign, Report};

/// What the file holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Kept {
    /// The first seed of all.
    pub(crate) from: u64,
    /// Every seed below is played.
    pub(crate) next: u64,
    /// Least rounds of each seed.
    pub(crate) rounds_of_each: u32,
    pub(crate) fence: bool,
    pub(crate) seeds: u64,
    pub(crate) rounds: u64,
    /// Of playing, all sittings together.
    pub(crate) seconds: f64,
    pub(crate) seeds_per_second: f64,
    pub(crate) broken: Vec<Broken>,
}

/// A seed that broke a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Broken {
    pub(crate) seed: u64,
    pub(crate) why: String,
}

impl Kept {
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let text =
            fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        serde_json::from_str(&text).map_err(|error| format!("{} holds no figures: {error}", path.display()))
    }

    /// Writes beside the file first, so that an end in the middle leaves the last one whole.
    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        let beside = path.with_extension("new");
        fs::write(&beside, serde_json::to_string_pretty(self)? + "\n")?;
        fs::rename(beside, path)
    }

    /// Whether a campaign is the one that the figures are of.
    pub(crate) fn check(&self, campaign: &Campaign) -> Result<(), String> {
        let same = self.from == campaign.from
            && self.rounds_of_each == campaign.rounds
            && self.fence == campaign.settings.fence;
        let why = format!(
            "the figures are of seeds from {} with {} rounds each: --resume wants the same flags",
            self.from, self.rounds_of_each
        );
        if same { Ok(()) } else { Err(why) }
    }

    pub(crate) fn is_broken(&self) -> bool {
        !self.broken.is_empty()
    }

    /// These figures and those of a campaign that went on from them. Seeds above `next` will be played again, so they
    /// do not count yet.
    pub(crate) fn with(&self, campaign: &Campaign, report: &Report, seconds: f64) -> Self {
        let seeds = report.next - campaign.from;
        let before = self.seeds;
        let from = if before == 0 { campaign.from } else { self.from };
        let failures = report.failures.iter().filter(|failure| failure.seed < report.next);
        let failures = failures.map(|failure| Broken { seed: failure.seed, why: failure.why.clone() });
        let share = if report.seeds == 0 { 0.0 } else { seeds as f64 / report.seeds as f64 };
        let seconds = self.seconds + seconds;
        Self {
            from,
            next: report.next,
            rounds_of_each: campaign.rounds,
            fence: campaign.settings.fence,
            seeds: before + seeds,
            rounds: self.rounds + (report.rounds as f64 * share) as u64,
            seconds,
            seeds_per_second: (before + seeds) as f64 / seconds,
            broken: self.broken.iter().cloned().chain(failures).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use tidegate_sim::{Settings, run};

    use super::*;

    fn campaign(from: u64, seeds: u64) -> Campaign {
        Campaign { from, seeds, rounds: 20, settings: Settings::default() }
    }

    #[test]
    fn figures_add_up_over_sittings() {
        let path = std::env::temp_dir().join(format!("sim-kept-{}.json", std::process::id()));
        let first = Kept::default().with(&campaign(5, 10), &run(&campaign(5, 4)), 2.0);
        first.write(&path).unwrap();
        let read = Kept::read(&path).unwrap();
        assert_eq!(read, first);
        assert_eq!((read.from, read.next, read.seeds), (5, 9, 4));
        assert!(read.check(&campaign(5, 10)).is_ok() && read.check(&campaign(6, 9)).is_err());
        let all = read.with(&campaign(9, 6), &run(&campaign(9, 6)), 3.0);
        assert_eq!((all.from, all.next, all.seeds, all.seconds), (5, 15, 10, 5.0));
        assert_eq!(all.rounds, run(&campaign(5, 10)).rounds);
        fs::remove_file(path).unwrap();
    }
}
