//! What proves that a delivery comes from who knows the secret: a signature of the body, or the secret itself.
//!
//! Comparisons take the same time whatever differs: those of signatures by HMAC's own check, those of secrets by
//! comparing signatures under them.

use axum::http::HeaderMap;
use ring::hmac;
use tidegate_engine::sync::webhook::Provider;

/// The longest signature in hexadecimal: SHA-256's.
const HEX_MAX: usize = 64;

/// A proof that was given, or that the body has yet to give.
#[derive(Debug)]
pub(super) enum Proof {
    /// Nothing is left to be shown.
    Given,
    /// The body has this signature.
    Signed { key: hmac::Key, signature: Vec<u8> },
}

impl Proof {
    /// Reads the proof from the headers.
    ///
    /// # Errors
    /// There is none, or it is wrong already.
    pub(super) fn read(provider: Provider, headers: &HeaderMap, secret: &str) -> Result<Self, String> {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let told = |name: &'static str| header(name).ok_or_else(|| format!("the header {name} is missing"));
        match provider {
            Provider::GitHub => signed(secret, told("X-Hub-Signature-256")?, "sha256="),
            Provider::BitbucketServer => signed(secret, told("X-Hub-Signature")?, "sha256="),
            Provider::Gogs => {
                let names = ["X-Gitea-Signature", "X-Forgejo-Signature", "X-Gogs-Signature"];
                let found = names.into_iter().find_map(header);
                signed(
                    secret,
                    found.ok_or_else(|| format!("the header {} is missing", names.join(" or ")))?,
                    "",
                )
            }
            Provider::GitLab => same(secret, told("X-Gitlab-Token")?, "X-Gitlab-Token"),
            Provider::Bitbucket => same(bare(secret), bare(told("X-Hook-UUID")?), "X-Hook-UUID"),
        }
    }

    /// Checks what the body has to show.
    ///
    /// # Errors
    /// The signature is another one's.
    pub(super) fn check(&self, body: &[u8]) -> Result<(), String> {
        match self {
            Self::Given => Ok(()),
            Self::Signed { key, signature } => hmac::verify(key, body, signature)
                .map_err(|_| "the signature does not fit the body".to_owned()),
        }
    }
}

fn signed(secret: &str, told: &str, prefix: &str) -> Result<Proof, String> {
    let unreadable = || format!("the signature is not {prefix} and 64 hexadecimal digits");
    let signature = told.trim().strip_prefix(prefix).and_then(bytes).ok_or_else(unreadable)?;
    Ok(Proof::Signed { key: hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), signature })
}

fn same(secret: &str, told: &str, name: &str) -> Result<Proof, String> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let expected = hmac::sign(&key, secret.as_bytes());
    let is_same = hmac::verify(&key, told.as_bytes(), expected.as_ref()).is_ok();
    if is_same { Ok(Proof::Given) } else { Err(format!("the header {name} does not hold the secret")) }
}

/// A UUID without the braces that Bitbucket shows it in.
fn bare(uuid: &str) -> &str {
    uuid.trim().trim_start_matches('{').trim_end_matches('}')
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    if hex.len() != HEX_MAX {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    hex.as_bytes().chunks(2).map(|pair| Some(digit(pair[0])? << 4 | digit(*pair.get(1)?)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// HMAC-SHA256 of `{"a":1}` under `s3cret`, by `openssl dgst -sha256 -hmac s3cret`.
    const BODY: &[u8] = b"{\"a\":1}";
    const SIGNATURE: &str = "5910e62016ef5034272c926c27071992a465c2335cecf41851bda071577f4f6d";

    fn outcome(provider: Provider, name: &'static str, value: &str) -> Result<(), String> {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        Proof::read(provider, &headers, "s3cret")?.check(BODY)
    }

    #[test]
    fn only_the_secret_opens() {
        let (with, wrong) = (format!("sha256={SIGNATURE}"), SIGNATURE.replace(&SIGNATURE[..2], "00"));
        for (provider, name, value, opens) in [
            (Provider::GitHub, "x-hub-signature-256", with.as_str(), true),
            (Provider::GitHub, "x-hub-signature-256", &with.to_uppercase().replace("SHA", "sha"), true),
            (Provider::GitHub, "x-hub-signature-256", SIGNATURE, false),
            (Provider::GitHub, "x-hub-signature-256", &format!("sha256={wrong}"), false),
            (Provider::GitHub, "x-hub-signature-256", &with[..with.len() - 2], false),
            (Provider::GitHub, "x-hub-signature-256", "sha256=", false),
            (Provider::GitHub, "x-hub-signature-256", &format!("sha256={}", "zz".repeat(32)), false),
            // SHA-1, and the header of others.
            (Provider::GitHub, "x-hub-signature", &with, false),
            (Provider::GitHub, "x-gitlab-token", "s3cret", false),
            (Provider::BitbucketServer, "x-hub-signature", &with, true),
            (Provider::BitbucketServer, "x-hub-signature", &format!("sha1={SIGNATURE}"), false),
            (Provider::Gogs, "x-gitea-signature", SIGNATURE, true),
            (Provider::Gogs, "x-gogs-signature", SIGNATURE, true),
            (Provider::Gogs, "x-forgejo-signature", SIGNATURE, true),
            (Provider::Gogs, "x-gogs-signature", &wrong, false),
            (Provider::GitLab, "x-gitlab-token", "s3cret", true),
            (Provider::GitLab, "x-gitlab-token", "s3cre", false),
            (Provider::GitLab, "x-gitlab-token", "s3cret ", false),
            (Provider::GitLab, "x-gitlab-token", "", false),
            (Provider::Bitbucket, "x-hook-uuid", "{s3cret}", true),
            (Provider::Bitbucket, "x-hook-uuid", "{other}", false),
        ] {
            let found = outcome(provider, name, value);
            assert_eq!(found.is_ok(), opens, "{provider:?} {name}: {value}");
            assert!(found.is_ok() || !format!("{found:?}").contains("s3cret"), "{found:?}");
        }
    }
}
