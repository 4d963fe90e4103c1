//! Access tokens of Google: by the key of a service account, or of the account that this process runs as.
//!
//! Input: a key as JSON, or none, and what the token is for. Output: the token, which is kept until shortly before its end.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde::Deserialize;
use serde_json::json;
use tidegate_engine::metric::Response;
use tidegate_engine::metric::http::{Call, Method};

use crate::fetch::{Fetcher, Unsigned, refused};
use crate::kept::Kept;

/// The metadata server, which only pods on Google Cloud have.
const METADATA: &str = "metadata.google.internal";
const TOKEN_PATH: &str = "/computeMetadata/v1/instance/service-accounts/default/token";
/// How long a claim to be an account holds.
const CLAIM_SECONDS: i64 = 3600;
/// Tokens are renewed this long before they end.
const MARGIN_SECONDS: i64 = 60;
/// No token is kept longer, whatever its server says.
const MOST_SECONDS: i64 = 3600;
/// Longer ones are not Google's.
const LONGEST_TOKEN: usize = 16 << 10;
const TIMEOUT_SECONDS: u64 = 10;

/// What tokens are kept by: the hash of the key, and the scope.
type Identity = (Vec<u8>, &'static str);

/// Gets tokens and keeps them.
#[derive(Default)]
pub(crate) struct Google {
    /// The metadata server where it is another one.
    metadata: Option<String>,
    /// Whether a key may name a server without TLS: only those of tests do.
    allows_plain: bool,
    kept: Kept<Identity, String, Unsigned>,
}

impl std::fmt::Debug for Google {
    /// Leaves out everything.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Google").finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Key {
    client_email: String,
    private_key: String,
    #[serde(default)]
    private_key_id: String,
    token_uri: String,
}

#[derive(Deserialize)]
struct Token {
    access_token: String,
    expires_in: i64,
}

impl Google {
    /// With the metadata server that this process is told of.
    pub(crate) fn of_process() -> Self {
        let metadata = std::env::var("GCE_METADATA_HOST").ok().filter(|host| !host.is_empty());
        Self { metadata, ..Self::default() }
    }

    /// A token.
    ///
    /// # Errors
    /// Says what is wrong with the key, or which server gave no token; and that one asks to be left alone.
    pub(crate) async fn token(
        &self,
        fetcher: &Fetcher,
        key: Option<&str>,
        scope: &'static str,
    ) -> Result<String, Unsigned> {
        let hash = key.map(|key| digest(&SHA256, key.as_bytes()).as_ref().to_vec()).unwrap_or_default();
        self.kept.get((hash, scope), self.fetched(fetcher, key, scope)).await
    }

    /// A token, and how long it is kept.
    async fn fetched(
        &self,
        fetcher: &Fetcher,
        key: Option<&str>,
        scope: &str,
    ) -> Result<(String, Timestamp), Unsigned> {
        let now = Timestamp::now();
        let call = match key {
            Some(key) => claim(key, scope, now)?,
            None => self.metadata(),
        };
        if key.is_some() && !self.allows_plain && !call.url.starts_with("https://") {
            return Err("token_uri of serviceAccountKey must begin with https://".to_owned().into());
        }
        let answer = if key.is_some() {
            fetcher.send(&call, &[]).await?
        } else {
            fetcher.send_directly(&call).await?
        };
        granted(call.server(), &answer, now)
    }

    fn metadata(&self) -> Call {
        let host = self.metadata.as_deref().unwrap_or(METADATA);
        let flavor = ("Metadata-Flavor".to_owned(), "Google".to_owned());
        call(Method::Get, format!("http://{host}{TOKEN_PATH}"), vec![flavor], None)
    }
}

/// The token in an answer, and how long it is kept.
fn granted(server: &str, answer: &Response, now: Timestamp) -> Result<(String, Timestamp), Unsigned> {
    let token: Result<Token, _> = serde_json::from_slice(&answer.body);
    let token = token.ok().filter(|_| answer.status == 200).ok_or_else(|| refused(server, answer))?;
    if token.access_token.len() > LONGEST_TOKEN {
        let why = format!("no token from {server}: the access_token is longer than {LONGEST_TOKEN} bytes");
        return Err(why.into());
    }
    let seconds = token.expires_in.clamp(0, MOST_SECONDS).saturating_sub(MARGIN_SECONDS);
    let until = now.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(now);
    Ok((token.access_token, until))
}

fn call(method: Method, url: String, headers: Vec<(String, String)>, body: Option<String>) -> Call {
    Call { headers, body, ..Call::to(method, url, TIMEOUT_SECONDS) }
}

/// The call that changes a signed claim into a token. Nothing of the key is told when it is wrong.
fn claim(key: &str, scope: &str, now: Timestamp) -> Result<Call, String> {
    let wrong = "serviceAccountKey is not the JSON of a service account's key";
    let key: Key = serde_json::from_str(key).map_err(|_| wrong.to_owned())?;
    let pair = key_pair(&key.private_key).ok_or_else(|| wrong.to_owned())?;
    let begun = now.as_second();
    let header = json!({"alg": "RS256", "typ": "JWT", "kid": key.private_key_id});
    let claims = json!({
        "iss": key.client_email, "scope": scope, "aud": key.token_uri, "iat": begun, "exp": begun + CLAIM_SECONDS,
    });
    let part = |json: serde_json::Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let text = format!("{}.{}", part(header), part(claims));
    let mut signature = vec![0; pair.public().modulus_len()];
    let signed = pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature);
    signed.map_err(|_| wrong.to_owned())?;
    let assertion = format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature));
    // Neither part needs encoding but the colons of the grant.
    let form =
        format!("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={assertion}");
    let kind = ("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned());
    Ok(call(Method::Post, key.token_uri, vec![kind], Some(form)))
}

/// A private key in PEM, as PKCS #8.
fn key_pair(pem: &str) -> Option<RsaKeyPair> {
    let lines = pem.lines().map(str::trim).filter(|line| !line.starts_with("-----"));
    let der = STANDARD.decode(lines.collect::<String>()).ok()?;
    RsaKeyPair::from_pkcs8(&der).ok()
}

#[cfg(test)]
mod tests;
