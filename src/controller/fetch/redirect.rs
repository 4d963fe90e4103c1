//! Where a server may send a request on to: nowhere but to itself, because headers with keys go along.

use reqwest::Url;
use reqwest::redirect::Policy;

const MOST: usize = 10;

/// Follows a server to other places of its own.
pub(super) fn policy() -> Policy {
    Policy::custom(|attempt| {
        if attempt.previous().len() > MOST {
            return attempt.error("too many redirects");
        }
        let is_own = attempt.previous().last().is_some_and(|from| is_own(from, attempt.url()));
        if is_own { attempt.follow() } else { attempt.error("it sends on to another server") }
    })
}

/// Whether it is the same server, or the same host over TLS.
fn is_own(from: &Url, to: &Url) -> bool {
    let is_same = from.scheme() == to.scheme() && from.port_or_known_default() == to.port_or_known_default();
    let is_safer = from.scheme() == "http" && to.scheme() == "https";
    from.host_str() == to.host_str() && (is_same || is_safer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_may_send_on_to_itself_alone() {
        for (from, to, wanted) in [
            ("http://a/x", "http://a/y?z", true),
            ("http://a/x", "http://a:80/y", true),
            ("http://a/x", "https://a/x", true),
            ("http://a:8080/x", "https://a:8443/x", true),
            ("https://a/x", "http://a/x", false),
            ("https://a/x", "https://a:8443/x", false),
            ("https://a/x", "https://b/x", false),
            ("https://a/x", "https://a.b/x", false),
        ] {
            assert_eq!(is_own(&Url::parse(from).unwrap(), &Url::parse(to).unwrap()), wanted, "{from} {to}");
        }
    }
}
