//! Numbers that may be percentages, by the rules of the library that upstream uses.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// Resolves a number or percentage against a total; nothing when the text is no number.
///
/// Any text is a percentage, with or without the sign: `"25"` and `"25%"` of 10 pods are both 2.5,
/// rounded as asked for. Only a number in the JSON is a number of pods.
#[must_use]
pub fn int_or_percent(value: &IntOrString, total: i32, round_up: bool) -> Option<i32> {
    let percent: i64 = match value {
        IntOrString::Int(number) => return Some(*number),
        IntOrString::String(text) => text.replace('%', "").parse().ok()?,
    };
    let hundredths = percent.checked_mul(i64::from(total))?;
    let rounded = if round_up { -((-hundredths).div_euclid(100)) } else { hundredths.div_euclid(100) };
    i32::try_from(rounded).ok()
}

/// Reads a number, or a text that is one; any other text counts as 0.
#[must_use]
pub fn int_value(value: &IntOrString) -> i32 {
    match value {
        IntOrString::Int(number) => *number,
        IntOrString::String(text) => text.parse().unwrap_or(0),
    }
}

/// Reads a number as validation does: `0%` is 0, and so is any text that is no number.
pub(crate) fn literal_value(value: &IntOrString) -> i32 {
    match value {
        IntOrString::Int(number) => *number,
        IntOrString::String(text) => text.strip_suffix('%').unwrap_or(text).parse().unwrap_or(0),
    }
}

/// Pods that may be added and pods that may be away during an update: `(surge, unavailable)`.
///
/// Surge rounds up and unavailable rounds down. When both are 0 nothing could move, so one pod may
/// be away: 25 % of 1 pod is a surge of 1 and 0 away, but `maxSurge: 0` with 25 % of 3 pods is 0 and 1.
pub(crate) fn surge_and_unavailable(
    surge: Option<&IntOrString>,
    unavailable: Option<&IntOrString>,
    replicas: i32,
) -> (i32, i32) {
    let default = IntOrString::String("25".to_owned());
    let surge = int_or_percent(surge.unwrap_or(&default), replicas, true).unwrap_or(0);
    let unavailable = int_or_percent(unavailable.unwrap_or(&default), replicas, false).unwrap_or(0);
    let unavailable = if surge == 0 && unavailable == 0 { 1 } else { unavailable };
    (surge, unavailable.min(replicas))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> IntOrString {
        IntOrString::String(text.to_owned())
    }

    #[test]
    fn any_text_is_a_percentage() {
        for (value, total, up, want) in [
            (IntOrString::Int(3), 10, true, Some(3)),
            (text("25%"), 10, true, Some(3)),
            (text("25%"), 10, false, Some(2)),
            (text("25"), 10, true, Some(3)),
            (text("25"), 10, false, Some(2)),
            (text("100%"), 7, false, Some(7)),
            (text("0%"), 7, true, Some(0)),
            (text("1"), 1000, true, Some(10)),
            (text("a quarter"), 10, true, None),
            (text(""), 10, true, None),
        ] {
            assert_eq!(int_or_percent(&value, total, up), want, "{value:?} of {total}");
        }
    }

    #[test]
    fn surge_and_unavailable_follow_upstream() {
        for (surge, unavailable, replicas, want) in [
            (None, None, 10, (3, 2)),
            (None, None, 1, (1, 0)),
            (None, None, 0, (0, 0)),
            (Some(IntOrString::Int(0)), None, 3, (0, 1)),
            (Some(IntOrString::Int(0)), None, 10, (0, 2)),
            (Some(IntOrString::Int(2)), Some(IntOrString::Int(50)), 10, (2, 10)),
            (Some(text("nonsense")), Some(text("nonsense")), 5, (0, 1)),
        ] {
            assert_eq!(surge_and_unavailable(surge.as_ref(), unavailable.as_ref(), replicas), want);
        }
    }
}
