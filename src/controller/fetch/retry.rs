//! How long a server asks to be left alone.

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::header::{HeaderMap, RETRY_AFTER};

/// What some servers, Datadog among them, say instead: the seconds until they may be asked again.
const RESET: &str = "x-ratelimit-reset";
/// Others mean a time by it.
const MOST_SECONDS: u64 = 24 * 60 * 60;

/// Seconds from now, by `Retry-After` as seconds or as a date, or by what stands for it.
pub(super) fn after(headers: &HeaderMap, now: Timestamp) -> Option<u64> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    if let Some(asked) = text(RETRY_AFTER.as_str()) {
        let seconds = asked.parse().ok();
        return seconds.or_else(|| {
            // Jiff reads RFC 2822, of which the date in HTTP is a form that ends with GMT.
            let time = rfc2822::parse(asked).ok()?.timestamp();
            u64::try_from(time.as_second().saturating_sub(now.as_second())).ok()
        });
    }
    text(RESET)?.parse().ok().filter(|seconds| *seconds <= MOST_SECONDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_are_understood() {
        let now = "2026-11-26T13:45:00Z".parse().unwrap();
        for (name, value, wanted) in [
            ("retry-after", "120", Some(120)),
            ("retry-after", "Thu, 26 Nov 2026 13:45:30 GMT", Some(30)),
            ("retry-after", "Thu, 26 Nov 2026 13:44:30 GMT", None),
            ("retry-after", "soon", None),
            ("x-ratelimit-reset", "45", Some(45)),
            ("x-ratelimit-reset", "1795700700", None),
            ("x-other", "1", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            assert_eq!(after(&headers, now), wanted, "{name}: {value}");
        }
    }
}
