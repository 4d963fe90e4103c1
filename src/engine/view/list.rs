//! Many Rollouts, one line each.

use jiff::Timestamp;
use serde::Serialize;
use tidegate_api::rollout::{Rollout, RolloutPhase};

use super::duration::age;
use super::icon::{Line, Paint};
use super::phase::client_phase;
use super::rollout::{ReplicaCounts, Strategy, icon};
use super::{step, table, waiting};

/// A Rollout in one line.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    pub namespace: String,
    pub name: String,
    pub created: Option<Timestamp>,
    pub strategy: Strategy,
    pub status: RolloutPhase,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Steps done and all steps, such as `2/8`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Weight that the steps ask for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set_weight: Option<i32>,
    pub replicas: ReplicaCounts,
    /// What the Rollout waits for, as far as its own object tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
}

/// Which columns are shown beside the usual ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    /// NAMESPACE, in front.
    pub namespace: bool,
    /// AGE and WAITING FOR, at the end.
    pub wide: bool,
    /// TIMESTAMP in front of everything: when the line was printed.
    pub printed_at: Option<Timestamp>,
}

impl Row {
    /// Sums up a Rollout.
    #[must_use]
    pub fn new(rollout: &Rollout, now: Timestamp) -> Self {
        let (status, message) = client_phase(rollout);
        let strategy = Strategy::of(rollout);
        Self {
            namespace: rollout.metadata.namespace.clone().unwrap_or_default(),
            name: rollout.metadata.name.clone().unwrap_or_default(),
            created: rollout.metadata.creation_timestamp.as_ref().map(|time| time.0),
            strategy,
            status,
            message,
            step: step::progress(rollout),
            set_weight: (strategy == Strategy::Canary).then(|| step::set_weight(rollout)),
            replicas: ReplicaCounts::of(rollout),
            waiting_for: waiting::waiting_for(rollout, &[], &[], now),
        }
    }

    /// Tells whether a line for `other` would look the same.
    #[must_use]
    pub fn looks_like(&self, other: &Self) -> bool {
        (&self.status, &self.step, &self.set_weight, &self.replicas, self.strategy)
            == (&other.status, &other.step, &other.set_weight, &other.replicas, other.strategy)
    }

    /// Lays out the cells with the least width of each.
    fn cells(&self, columns: Columns, now: Timestamp) -> Vec<(Line, usize)> {
        let dash = || "-".to_owned();
        let counts = self.replicas;
        let mut cells: Vec<(Line, usize)> = Vec::new();
        if let Some(at) = columns.printed_at {
            cells.push((at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into(), 20));
        }
        if columns.namespace {
            cells.push((self.namespace.as_str().into(), 9));
        }
        cells.push((self.name.as_str().into(), 10));
        cells.push((self.strategy.as_str("unknown").into(), 9));
        cells.push((Line::default().color(self.status.as_str(), icon(self.status).color()), 12));
        cells.push((self.step.clone().unwrap_or_else(dash).into(), 4));
        cells.push((self.set_weight.map_or_else(dash, |weight| weight.to_string()).into(), 10));
        cells.push((format!("{}/{}", counts.ready, counts.current).into(), 5));
        cells.push((counts.desired.to_string().into(), 7));
        cells.push((counts.updated.to_string().into(), 10));
        cells.push((counts.available.to_string().into(), 9));
        if columns.wide {
            cells.push((age(self.created, now).into(), 3));
            cells.push((self.waiting_for.clone().unwrap_or_else(dash).into(), 0));
        }
        cells
    }
}

/// Renders the heading and all rows, or the rows alone.
#[must_use]
pub fn render_rows(
    rows: &[Row],
    with_heading: bool,
    columns: Columns,
    now: Timestamp,
    paint: Paint,
) -> String {
    let mut lines: Vec<Vec<Line>> = Vec::new();
    if with_heading {
        lines.push(heading(columns));
    }
    // Least widths keep lines that are printed later, one by one, in line with the heading.
    let mut least_widths: Vec<usize> = Vec::new();
    for row in rows {
        let (cells, widths) = row.cells(columns, now).into_iter().unzip();
        lines.push(cells);
        least_widths = widths;
    }
    table::render(&lines, &least_widths, paint)
}

/// Lists the names of the columns.
fn heading(columns: Columns) -> Vec<Line> {
    let usual =
        ["NAME", "STRATEGY", "STATUS", "STEP", "SET-WEIGHT", "READY", "DESIRED", "UP-TO-DATE", "AVAILABLE"];
    let mut words: Vec<&str> = Vec::new();
    words.extend(columns.printed_at.map(|_| "TIMESTAMP"));
    words.extend(columns.namespace.then_some("NAMESPACE"));
    words.extend(usual);
    if columns.wide {
        words.extend(["AGE", "WAITING FOR"]);
    }
    words.into_iter().map(Line::from).collect()
}
