//! `restart NAME... [--in DURATION]`: asks for new pods, now or later, without a new revision.

use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::Exit;
use crate::cli::Names;
use crate::connection::parse_duration;
use crate::kind::Kind;
use crate::session::{Part, Session};

/// Restart the pods of a rollout, as many at a time as may be unavailable.
#[derive(Debug, Args)]
pub(crate) struct Restart {
    #[command(flatten)]
    names: Names,
    /// How long to wait before the restart, such as 30s, 5m, 1h.
    #[arg(short = 'i', long = "in", value_name = "DURATION")]
    wait: Option<String>,
}

impl Restart {
    /// Asks for the restarts, one after the other.
    pub(crate) async fn run(&self, session: &mut Session<'_>) -> Result<Exit> {
        let wait = self.wait.as_deref().unwrap_or("0s");
        let patch = patch(Timestamp::now(), parse_duration(wait)?)?;
        for name in &self.names.names {
            session.merge(Kind::Rollout, name, &patch, Part::Object).await?;
            session.terminal.say(&format!("rollout '{name}' restarts in {wait}"))?;
        }
        Ok(Exit::Done)
    }
}

/// The patch that asks for pods from after `now` and `wait`, in whole seconds as Kubernetes keeps times.
fn patch(now: Timestamp, wait: Duration) -> Result<Value> {
    let at = now.checked_add(wait).ok().and_then(|at| Timestamp::from_second(at.as_second()).ok());
    let at = at.with_context(|| format!("{} s from now is no time", wait.as_secs()))?;
    Ok(json!({ "spec": { "restartAt": at.to_string() } }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_is_a_time_in_the_spec() {
        let now: Timestamp = "2026-01-01T12:00:00.9Z".parse().unwrap();
        let at = |seconds| {
            patch(now, Duration::from_secs(seconds)).map(|patch| patch["spec"]["restartAt"].clone())
        };
        assert_eq!(at(0).unwrap(), "2026-01-01T12:00:00Z");
        assert_eq!(at(90).unwrap(), "2026-01-01T12:01:30Z");
        assert!(at(u64::MAX).is_err());
    }
}
