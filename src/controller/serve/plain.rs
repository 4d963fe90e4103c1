//! Prometheus' own text format, made of what the registry writes.
//!
//! Input: OpenMetrics text. Output: the same series in the text format 0.0.4, described as upstream describes them.

use std::mem;

/// How families end that upstream counts in without `_total`, so that they are no counters to OpenMetrics.
const COUNTED: &str = "_reconcile_error";

/// Puts OpenMetrics text into the text format 0.0.4: the series stay as they are.
pub(super) fn of(open: &str) -> String {
    let mut plain = String::with_capacity(open.len());
    let mut help = "";
    for line in open.lines() {
        let told = |word: &str| line.strip_prefix(word)?.split_once(' ');
        if let Some((_, text)) = told("# HELP ") {
            help = text;
        } else if let Some((family, kind)) = told("# TYPE ") {
            describe(&mut plain, family, kind, mem::take(&mut help));
        } else if !line.starts_with('#') {
            plain.extend([line, "\n"]);
        }
    }
    plain
}

/// Says what a family is. A counter has the name of its series here.
fn describe(plain: &mut String, family: &str, kind: &str, help: &str) {
    let (ending, kind) = match kind {
        "counter" => ("_total", kind),
        "gauge" | "histogram" => ("", kind),
        _ if family.ends_with(COUNTED) => ("", "counter"),
        _ => ("", "untyped"),
    };
    for (word, text) in [("# HELP ", help), ("# TYPE ", kind)] {
        plain.extend([word, family, ending, " ", text, "\n"]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_describes_a_family_changes() {
        let rows = [
            ("# EOF\n", ""),
            (
                "# HELP rollout_events Count of rollout events.\n# TYPE rollout_events counter\n\
                 rollout_events_total{name=\"a\"} 1\n",
                "# HELP rollout_events_total Count of rollout events.\n# TYPE rollout_events_total counter\n\
                 rollout_events_total{name=\"a\"} 1\n",
            ),
            (
                "# HELP room_bytes R.\n# TYPE room_bytes gauge\n# UNIT room_bytes bytes\nroom_bytes 3.0\n# EOF\n",
                "# HELP room_bytes R.\n# TYPE room_bytes gauge\nroom_bytes 3.0\n",
            ),
            (
                "# HELP reconcile Long.\n# TYPE reconcile histogram\nreconcile_count 1\n",
                "# HELP reconcile Long.\n# TYPE reconcile histogram\nreconcile_count 1\n",
            ),
            (
                "# HELP rollout_reconcile_error Bad.\n# TYPE rollout_reconcile_error unknown\n\
                 rollout_reconcile_error{name=\"# EOF\"} 1\n",
                "# HELP rollout_reconcile_error Bad.\n# TYPE rollout_reconcile_error counter\n\
                 rollout_reconcile_error{name=\"# EOF\"} 1\n",
            ),
            (
                "# HELP other O.\n# TYPE other unknown\nother 1\n",
                "# HELP other O.\n# TYPE other untyped\nother 1\n",
            ),
        ];
        for (open, wanted) in rows {
            assert_eq!(of(open), wanted);
        }
    }
}
