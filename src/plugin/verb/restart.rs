//! `restart NAME`: has all pods replaced by new ones of the same version.

use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::Exit;
use crate::connection::parse_duration;
use crate::kind::Kind;
use crate::session::{Part, Session};

/// Restart the pods of a rollout.
#[derive(Debug, Args)]
pub(crate) struct Restart {
    /// Name of the rollout.
    name: String,
    /// Time until the restart, such as 30s, 5m, 1h.
    #[arg(short, long = "in", value_name = "DURATION", default_value = "0s")]
    wait: String,
}

impl Restart {
    /// Notes in the spec when to restart.
    pub(crate) async fn run(&self, session: &mut Session<'_>) -> Result<Exit> {
        let wait = parse_duration(&self.wait).context("--in")?;
        let patch = patch(Timestamp::now(), wait)?;
        session.merge(Kind::Rollout, &self.name, &patch, Part::Object).await?;
        session.terminal.say(&format!("rollout '{}' restarts in {}", self.name, self.wait))?;
        Ok(Exit::Done)
    }
}

fn patch(now: Timestamp, wait: Duration) -> Result<Value> {
    let at = now.checked_add(wait).context("--in is too far away")?;
    Ok(json!({ "spec": { "restartAt": at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string() } }))
}

#[cfg(test)]
mod tests {
    use super::patch;
    use serde_json::json;
    use std::time::Duration;

    #[test]
    fn the_time_has_whole_seconds() {
        let now = "2026-01-08T00:03:05.678Z".parse().unwrap();
        let expected = json!({ "spec": { "restartAt": "2026-01-08T00:03:35Z" } });
        assert_eq!(patch(now, Duration::from_secs(30)).unwrap(), expected);
    }
}
