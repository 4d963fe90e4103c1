//! Points in time as Kubernetes writes them.

use jiff::Timestamp;

/// The same time in whole seconds: a fraction would come back from the API server as something else.
pub(crate) fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}
