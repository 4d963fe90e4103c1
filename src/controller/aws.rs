//! Requests to AWS: signed by version 4 of its signatures, as its documentation of Signature Version 4 describes.
//!
//! Input: a request, credentials, the time. Output: the headers that sign it. The request must be sent as it was signed:
//! the same address, the same body, and the headers that were signed.

mod credentials;
mod settings;

use jiff::Timestamp;
use reqwest::Url;
use ring::{digest, hmac};
use tidegate_engine::metric::http;

pub(crate) use credentials::Aws;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// What signs a request.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    access_key: String,
    secret_key: String,
    /// Of credentials that end.
    session_token: Option<String>,
}

/// What is signed, and for whom.
pub(crate) struct ToSign<'a> {
    pub(crate) method: &'a str,
    pub(crate) url: &'a Url,
    /// Those that the request has already; names that begin with `x-amz-` and the type of the body are signed.
    pub(crate) headers: &'a [(String, String)],
    pub(crate) body: &'a str,
    pub(crate) region: &'a str,
    pub(crate) service: &'a str,
}

/// The headers to add to a request.
pub(crate) fn sign(to_sign: &ToSign<'_>, credentials: &Credentials, now: Timestamp) -> Vec<(String, String)> {
    let time = now.strftime("%Y%m%dT%H%M%SZ").to_string();
    let day = now.strftime("%Y%m%d").to_string();
    let mut added = vec![("x-amz-date".to_owned(), time.clone())];
    added.extend(credentials.session_token.clone().map(|token| ("x-amz-security-token".to_owned(), token)));
    let headers = signed_headers(to_sign, &added);
    let names = headers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(";");
    let scope = format!("{day}/{}/{}/aws4_request", to_sign.region, to_sign.service);
    let canonical = canonical(to_sign, &headers, &names);
    let text = format!("{ALGORITHM}\n{time}\n{scope}\n{}", hash(canonical.as_bytes()));
    let signature = hex(&mac(&key(credentials, &day, to_sign), text.as_bytes()));
    let access_key = &credentials.access_key;
    let authorization =
        format!("{ALGORITHM} Credential={access_key}/{scope}, SignedHeaders={names}, Signature={signature}");
    added.push(("authorization".to_owned(), authorization));
    added
}

/// The headers that are signed, by name, values without blanks around them.
fn signed_headers(to_sign: &ToSign<'_>, added: &[(String, String)]) -> Vec<(String, String)> {
    let given = to_sign.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.as_str()));
    let is_signed = |name: &str| name == "content-type" || name.starts_with("x-amz-");
    let given = given.filter(|(name, _)| is_signed(name)).map(|(name, value)| (name, words(value)));
    let mut headers: Vec<(String, String)> = given.chain(added.iter().cloned()).collect();
    headers.push(("host".to_owned(), host(to_sign.url)));
    headers.sort();
    headers
}

fn words(value: &str) -> String {
    value.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The host as the client sends it: with the port, unless it is the scheme's own.
fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn canonical(to_sign: &ToSign<'_>, headers: &[(String, String)], names: &str) -> String {
    let mut pairs: Vec<(String, String)> = to_sign
        .url
        .query_pairs()
        .map(|(name, value)| (http::segment(&name), http::segment(&value)))
        .collect();
    pairs.sort();
    let query = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&");
    let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    // The path is encoded once for the request and once more for the signature.
    let path = to_sign.url.path().split('/').map(http::segment).collect::<Vec<_>>().join("/");
    format!("{}\n{path}\n{query}\n{lines}\n{names}\n{}", to_sign.method, hash(to_sign.body.as_bytes()))
}

/// The key for one day, region and service.
fn key(credentials: &Credentials, day: &str, to_sign: &ToSign<'_>) -> Vec<u8> {
    let secret = format!("AWS4{}", credentials.secret_key);
    let parts = [day, to_sign.region, to_sign.service, "aws4_request"];
    parts.iter().fold(secret.into_bytes(), |key, part| mac(&key, part.as_bytes()))
}

fn mac(key: &[u8], text: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text).as_ref().to_vec()
}

fn hash(text: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, text).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The credentials, time, region and service of the test suite that AWS publishes for its signatures.
    fn signature(method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> String {
        let credentials = Credentials {
            access_key: "AKIDEXAMPLE".into(),
            secret_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
            session_token: None,
        };
        let headers: Vec<(String, String)> =
            headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let url = Url::parse(url).unwrap();
        let to_sign =
            ToSign { method, url: &url, headers: &headers, body, region: "us-east-1", service: "service" };
        let added = sign(&to_sign, &credentials, "2015-08-30T12:36:00Z".parse().unwrap());
        let (name, value) = added.last().unwrap().clone();
        assert_eq!((name.as_str(), added[0].1.as_str()), ("authorization", "20150830T123600Z"));
        let scope = "Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request";
        assert!(value.starts_with(&format!("{ALGORITHM} {scope}, SignedHeaders=")), "{value}");
        value.rsplit('=').next().unwrap().to_owned()
    }

    #[test]
    fn signatures_are_those_of_the_published_suite() {
        let form = ("Content-Type", "application/x-www-form-urlencoded");
        for (name, got, wanted) in [
            (
                "get-vanilla",
                signature("GET", "https://example.amazonaws.com/", &[], ""),
                "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
            ),
            (
                "get-vanilla-query-order-key-case",
                signature("GET", "https://example.amazonaws.com/?Param2=value2&Param1=value1", &[], ""),
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ),
            (
                "post-vanilla",
                signature("POST", "https://example.amazonaws.com/", &[], ""),
                "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
            ),
            (
                "post-x-www-form-urlencoded",
                signature("POST", "https://example.amazonaws.com/", &[form], "Param1=value1"),
                "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
            ),
        ] {
            assert_eq!(got, wanted, "{name}");
        }
    }

    #[test]
    fn the_token_of_a_session_is_signed_and_the_port_is_part_of_the_host() {
        let credentials = Credentials {
            access_key: "a".into(),
            secret_key: "hush".into(),
            session_token: Some("token".into()),
        };
        let url = Url::parse("http://127.0.0.1:4566/a%20b?x=%C3%A9+y").unwrap();
        let to_sign = ToSign { method: "GET", url: &url, headers: &[], body: "", region: "r", service: "s" };
        let added = sign(&to_sign, &credentials, Timestamp::UNIX_EPOCH);
        assert_eq!(added[1], ("x-amz-security-token".to_owned(), "token".to_owned()));
        assert!(added[2].1.contains("SignedHeaders=host;x-amz-date;x-amz-security-token"));
        let headers = signed_headers(&to_sign, &added[..2]);
        let text = canonical(&to_sign, &headers, "names");
        assert!(
            text.starts_with(
                "GET\n/a%2520b\nx=%C3%A9%20y\nhost:127.0.0.1:4566\nx-amz-date:19700101T000000Z\n"
            ),
            "{text}"
        );
    }
}
