//! What a failed request means for the loop: one enum, and one match from it to when to try again.
//!
//! Input: errors of the Kubernetes client. Output: a class and a text. It must never know what was requested.

use std::error::Error;
use std::time::Duration;

use kube::core::Status;

use crate::client::Refused;
use crate::work::{BACKOFF_LONGEST, Next};

/// Why a request failed, as far as it matters for what to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// The object does not exist any more.
    Gone,
    /// Somebody else changed or created it first.
    Conflict,
    /// The API server asks to slow down, for at least this long.
    Throttled(Duration),
    /// The API server refuses it, and will again until somebody changes rights, quota or the object.
    Denied,
    /// No answer, or one that says nothing about the request: it may have happened or not.
    Unreachable,
    /// The request or its answer makes no sense: a mistake of ours.
    Bug,
}

impl Class {
    /// Classifies an error of the Kubernetes client.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the list of the client's transport errors is open")]
    pub(crate) fn of(error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::of_status(status),
            kube::Error::SerdeError(_) | kube::Error::BuildRequest(_) | kube::Error::HttpError(_) => {
                Self::Bug
            }
            // Everything else is transport: connection, TLS, credentials that cannot be read just now.
            _ => Self::Unreachable,
        }
    }

    fn of_status(status: &Status) -> Self {
        match status.code {
            404 | 410 => Self::Gone,
            409 => Self::Conflict,
            429 | 503 => {
                let seconds = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
                Self::Throttled(
                    Duration::from_secs(seconds.into()).clamp(Duration::from_secs(1), BACKOFF_LONGEST),
                )
            }
            400 | 500 if is_of_admission(&status.message) => Self::Denied,
            400 | 405 | 415 => Self::Bug,
            401 | 403 | 422 => Self::Denied,
            _ => Self::Unreachable,
        }
    }

    /// When the same key is to be tried again.
    pub(crate) fn next(self) -> Next {
        let at_least = match self {
            // The cache is about to show what happened; a short delay lets it.
            Self::Gone | Self::Conflict => Duration::from_millis(5),
            Self::Throttled(delay) => delay,
            Self::Denied => Duration::from_secs(1),
            Self::Unreachable => Duration::from_millis(100),
            Self::Bug => BACKOFF_LONGEST,
        };
        Next::Failed { at_least }
    }

    /// The word in logs and metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Conflict => "conflict",
            Self::Throttled(_) => "throttled",
            Self::Denied => "denied",
            Self::Unreachable => "unreachable",
            Self::Bug => "bug",
        }
    }
}

/// Whether the API server has said that it will not do this, which users are told: for as long as nobody changes something it
/// says the same again. A server in trouble of its own is no such reason, nor are an object that somebody else has changed
/// and the wish to be asked later.
pub(crate) fn is_refusal(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    [Class::Denied, Class::Bug].contains(&Class::of_status(status))
}

/// Whether nobody has refused anything but a webhook that has to be asked cannot be: it may be back in a moment.
pub(crate) fn is_webhook_away(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.message.contains(WEBHOOK_AWAY))
}

/// Whether a refusal blames the object that was to be written; not a policy of the cluster, which somebody else may change.
pub(crate) fn blames_object(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    [400, 422].contains(&status.code) && !is_of_admission(&status.message)
}

/// What the API server says of a webhook that it cannot reach, with code 500.
const WEBHOOK_AWAY: &str = "failed calling webhook";

/// Whether a webhook or a policy refuses: a webhook that names no code answers 400, one that fails or is away 500, a policy 422.
/// <https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/>
fn is_of_admission(message: &str) -> bool {
    message.starts_with("admission webhook ")
        || message.contains("ValidatingAdmissionPolicy '")
        || message.contains(WEBHOOK_AWAY)
}

/// Whether a request was stopped on our own side, so that it certainly did not happen.
pub(crate) fn was_refused(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Service(cause) if cause.is::<Refused>())
}

/// An error and its causes in one line, without repeating what a cause already says. What the API server says is
/// all there is to tell: kube's own text of it shows the whole Status twice.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(kube::Error::Api(status)) = cause.downcast_ref::<kube::Error>() {
            return format!("{} ({})", status.message, status.code);
        }
        let said = cause.to_string();
        if text.is_empty() {
            text = said;
        } else if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(code: u16) -> Class {
        Class::of(&kube::Error::Api(Box::new(Status { code, ..Status::default() })))
    }

    #[test]
    fn codes_of_the_api_server_fall_into_classes() {
        assert_eq!([api(404), api(410)], [Class::Gone; 2]);
        assert_eq!(api(409), Class::Conflict);
        assert_eq!(api(429), Class::Throttled(Duration::from_secs(1)));
        assert_eq!([api(403), api(401), api(422)], [Class::Denied; 3]);
        assert_eq!([api(500), api(502)], [Class::Unreachable; 2]);
        assert_eq!(api(400), Class::Bug);
    }

    #[test]
    fn what_will_not_be_done_is_told_apart_from_what_is_not_done_yet() {
        let refusal = |code, message: &str| {
            let status = Status { code, message: message.to_owned(), ..Status::default() };
            let error = kube::Error::Api(Box::new(status));
            (is_refusal(&error), blames_object(&error), Class::of(&error))
        };
        let webhook = "admission webhook \"policy\" denied the request: no latest";
        let policy = "replicasets.apps \"a\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no";
        let down = "Internal error occurred: failed calling webhook \"policy\": connection refused";
        for (code, message, want) in [
            (403, "exceeded quota", (true, false, Class::Denied)),
            (422, "ReplicaSet.apps \"a\" is invalid: spec.template", (true, true, Class::Denied)),
            (400, "quantities must match the regular expression", (true, true, Class::Bug)),
            (400, webhook, (true, false, Class::Denied)),
            (422, policy, (true, false, Class::Denied)),
            (500, down, (true, false, Class::Denied)),
            (500, webhook, (true, false, Class::Denied)),
            (500, "etcdserver: leader changed", (false, false, Class::Unreachable)),
            (409, "already exists", (false, false, Class::Conflict)),
        ] {
            assert_eq!(refusal(code, message), want, "{code} {message}");
        }
        assert!(!is_refusal(&kube::Error::ReadEvents(std::io::Error::other("reset"))));
    }

    #[test]
    fn what_the_api_server_says_is_told_once() {
        let status = Status { code: 403, message: "exceeded quota".to_owned(), ..Status::default() };
        let error = kube::runtime::watcher::Error::InitialListFailed(kube::Error::Api(Box::new(status)));
        assert_eq!(chain(&error), "exceeded quota (403)");
        let error = kube::Error::ReadEvents(std::io::Error::other("reset"));
        assert_eq!(chain(&error), "Error reading events stream: reset");
    }

    #[test]
    fn a_server_that_asks_for_an_hour_gets_ten_seconds() {
        let status = serde_json::json!({"code": 429, "details": {"retryAfterSeconds": 3600}});
        let status: Status = serde_json::from_value(status).unwrap();
        assert_eq!(Class::of(&kube::Error::Api(Box::new(status))), Class::Throttled(BACKOFF_LONGEST));
    }
}
