//! One HTTP request, for providers that ask a server in their own words.
//!
//! A provider that speaks HTTP needs two pure functions: one that makes a [`Call`] of its settings, one that reads the
//! answer. Nothing of a call is ever shown but the server's address: all the rest may hold secrets.

use std::fmt::{self, Write as _};

use tidegate_api::analysis::{BasicAuthConfig, OAuth2Config, WebMetricHeader};

/// Headers that belong to the connection: the client makes them from the call.
const OF_THE_CLIENT: [&str; 4] = ["host", "content-length", "transfer-encoding", "trailer"];

/// One request.
#[derive(Clone, PartialEq)]
pub struct Call {
    pub method: Method,
    pub url: String,
    /// Each name once.
    pub headers: Vec<(String, String)>,
    pub body: Option<String>,
    pub timeout_seconds: u64,
    /// Bytes of an answer that are read; a longer one is refused.
    pub most_bytes: usize,
    /// Does not verify the server's certificate.
    pub insecure: bool,
    pub login: Login,
}

/// What to ask the server to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Post,
    Put,
}

/// How to authenticate.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Login {
    None,
    Basic {
        username: String,
        password: String,
    },
    /// A token must be fetched first, by client credentials.
    OAuth2 {
        token_url: String,
        client_id: String,
        client_secret: String,
        scopes: Vec<String>,
    },
    /// The request is signed, with credentials that the controller has.
    Aws(Signing),
    /// A token of Google's must be fetched first.
    Google {
        /// The key of a service account as JSON; without one, the account that the controller runs as.
        key: Option<String>,
        scope: &'static str,
    },
}

/// How to sign a request to AWS, by signature version 4.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Signing {
    /// Such as `eu-west-1`; the controller's own where it is empty.
    pub region: String,
    /// The name that the service signs under, such as `monitoring`.
    pub service: &'static str,
    /// The profile of the shared credentials file; empty for the usual chain.
    pub profile: String,
    /// A role to take on first; empty for none.
    pub role: String,
}

impl Call {
    /// Bytes of an answer that are read, unless a provider needs more; much of what JSON says in two bytes takes thirty in memory.
    pub const MOST_BYTES: usize = 1 << 20;

    /// A request with nothing but this, to a server whose certificate is verified.
    #[must_use]
    pub fn to(method: Method, url: String, timeout_seconds: u64) -> Self {
        Self {
            method,
            url,
            headers: Vec::new(),
            body: None,
            timeout_seconds,
            most_bytes: Self::MOST_BYTES,
            insecure: false,
            login: Login::None,
        }
    }

    /// The scheme, host and port of the server: what may be told of a call.
    #[must_use]
    pub fn server(&self) -> &str {
        server(&self.url)
    }
}

impl fmt::Debug for Call {
    /// Leaves out what may hold secrets: nearly everything.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("method", &self.method)
            .field("server", &self.server())
            .field("timeout_seconds", &self.timeout_seconds)
            .finish_non_exhaustive()
    }
}

/// The scheme, host and port of an address, without a user, path or query; empty where there is no host.
#[must_use]
pub fn server(url: &str) -> &str {
    let Some(start) = ["http://", "https://"].iter().find(|scheme| url.starts_with(**scheme)) else {
        return "";
    };
    let rest = &url[start.len()..];
    let host = &rest[..rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len())];
    if host.contains('@') {
        // A user is no part of the address, and cannot be cut out of the middle.
        return "a server with a user in its address";
    }
    let is_host = !host.is_empty() && !host.starts_with(':') && !host.contains(char::is_whitespace);
    if is_host { &url[..start.len() + host.len()] } else { "" }
}

/// Pairs as a query or a form, in which a blank is `+`.
pub(super) fn form(pairs: &[(&str, &str)]) -> String {
    let pair = |(name, value): &(&str, &str)| format!("{}={}", encoded(name, "+"), encoded(value, "+"));
    pairs.iter().map(pair).collect::<Vec<_>>().join("&")
}

/// A text as it stands in a form.
#[must_use]
pub fn in_form(text: &str) -> String {
    encoded(text, "+")
}

/// A text as one segment of a path.
#[must_use]
pub fn segment(text: &str) -> String {
    encoded(text, "%20")
}

fn encoded(text: &str, blank: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                encoded.push(char::from(byte))
            }
            b' ' => encoded.push_str(blank),
            _ => {
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    encoded
}

/// An address without the slash at its end.
///
/// # Errors
/// Fails when it is no URL; `whose` says which address that is.
pub(super) fn address<'a>(address: &'a str, whose: &str) -> Result<&'a str, String> {
    if server(address).is_empty() {
        return Err(format!("{whose} must begin with http:// or https:// and name a host"));
    }
    Ok(address.trim_end_matches('/'))
}

/// The headers of a call whose body is JSON.
pub(super) fn json_headers(more: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
    more.iter().for_each(|(name, value)| set(&mut headers, name, value));
    headers
}

/// The headers as one request has them: of those that are given twice the last counts.
pub(super) fn headers(given: &[WebMetricHeader]) -> Vec<(String, String)> {
    let mut headers: Vec<(String, String)> = Vec::new();
    for header in given {
        if !OF_THE_CLIENT.contains(&header.key.to_ascii_lowercase().as_str()) {
            set(&mut headers, &header.key, &header.value);
        }
    }
    headers
}

/// Sets a header, whatever it was before.
pub(super) fn set(headers: &mut Vec<(String, String)>, name: &str, value: &str) {
    headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
    headers.push((name.to_owned(), value.to_owned()));
}

/// Client credentials, if a metric has any.
///
/// # Errors
/// Fails when a part of them is missing.
pub(super) fn oauth2(config: &OAuth2Config) -> Result<Option<Login>, String> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let token_url = text(&config.token_url);
    if token_url.is_empty() {
        return Ok(None);
    }
    let (client_id, client_secret) = (text(&config.client_id), text(&config.client_secret));
    if client_id.is_empty() || client_secret.is_empty() {
        return Err("authentication.oauth2 needs clientId and clientSecret beside tokenUrl".to_owned());
    }
    Ok(Some(Login::OAuth2 { token_url, client_id, client_secret, scopes: config.scopes.clone() }))
}

/// A user and a password, if a metric has any.
pub(super) fn basic(config: &BasicAuthConfig) -> Option<Login> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let (username, password) = (text(&config.username), text(&config.password));
    let is_given = !username.is_empty() || !password.is_empty();
    is_given.then_some(Login::Basic { username, password })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_server_of_an_address_is_told() {
        for (url, wanted) in [
            ("http://check", "http://check"),
            ("https://check:8443/a?token=hush", "https://check:8443"),
            ("http://check?token=hush", "http://check"),
            ("http://[::1]:80/x", "http://[::1]:80"),
            ("http://user:hush@check/x", "a server with a user in its address"),
            ("http:///x", ""),
            ("http://:80", ""),
            ("http://a b/", ""),
            ("ftp://check", ""),
            ("check", ""),
            ("", ""),
        ] {
            assert_eq!(server(url), wanted, "{url}");
        }
    }

    #[test]
    fn texts_are_encoded_as_their_place_needs() {
        assert_eq!(form(&[("q", "a b&c=é"), ("n", "1-2_3.4~")]), "q=a+b%26c%3D%C3%A9&n=1-2_3.4~");
        assert_eq!(segment("a b/c"), "a%20b%2Fc");
        assert_eq!(address("http://g/x//", "the address"), Ok("http://g/x"));
        assert_eq!(
            address("g", "the address"),
            Err("the address must begin with http:// or https:// and name a host".into())
        );
    }

    #[test]
    fn the_last_of_equal_headers_counts() {
        let given = [("A", "1"), ("host", "x"), ("b", "2"), ("a", "3"), ("Content-Length", "9")];
        let given = given.map(|(key, value)| WebMetricHeader { key: key.into(), value: value.into() });
        assert_eq!(headers(&given), [("b".to_owned(), "2".to_owned()), ("a".to_owned(), "3".to_owned())]);
    }
}
