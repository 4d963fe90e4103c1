//! Addresses of repositories, in the one form in which two of them can be compared.

/// The comparable form: lower-case, without `.git`, a trailing slash or credentials; `git@host:path` and
/// `ssh://git@host/path` are the same.
#[must_use]
pub fn normal(address: &str) -> String {
    let address = address.trim().to_lowercase();
    let address = address.trim_end_matches('/');
    let address = address.strip_suffix(".git").unwrap_or(address);
    match address.split_once("://") {
        Some(("ssh", rest)) => rest.to_owned(),
        Some((scheme, rest)) => format!("{scheme}://{}", without_credentials(rest)),
        // The short form of ssh: the first colon stands for the first slash.
        None if address.contains('@') => address.replacen(':', "/", 1),
        None => address.to_owned(),
    }
}

/// Cuts `user:password@` off the part of an address after the scheme.
fn without_credentials(rest: &str) -> &str {
    let host_end = rest.find('/').unwrap_or(rest.len());
    rest[..host_end].rfind('@').map_or(rest, |at| &rest[at + 1..])
}

/// The address without credentials, for messages.
#[must_use]
pub fn redacted(address: &str) -> String {
    match address.split_once("://") {
        Some((scheme, rest)) => format!("{scheme}://{}", without_credentials(rest)),
        None => address.to_owned(),
    }
}

/// Whether an address has steps (`..`) that would lead a server to another repository than the one that a
/// project's pattern was matched against.
#[must_use]
pub fn is_devious(address: &str) -> bool {
    let lower = address.to_lowercase();
    let path = lower.split_once("://").map_or(lower.as_str(), |(_, rest)| rest);
    path.split(['/', '\\']).any(|step| step == ".." || step == ".")
        || path.contains("%2e")
        || path.contains("%2f")
        || path.contains("%5c")
        || path.contains(['?', '#'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_one_address_are_equal() {
        for (address, want) in [
            ("https://Git.Example/Shop.git", "https://git.example/shop"),
            ("https://git.example/shop/", "https://git.example/shop"),
            ("https://me:secret@git.example/shop", "https://git.example/shop"),
            ("git@git.example:team/shop.git", "git@git.example/team/shop"),
            ("ssh://git@git.example/team/shop", "git@git.example/team/shop"),
        ] {
            assert_eq!(normal(address), want, "{address}");
        }
    }

    #[test]
    fn messages_show_no_password() {
        assert_eq!(redacted("https://me:s3cret@git.example/a@b"), "https://git.example/a@b");
        assert_eq!(redacted("https://git.example/a"), "https://git.example/a");
    }

    #[test]
    fn detours_are_seen() {
        assert!(is_devious("https://git.example/team-a/../team-b/shop"));
        assert!(is_devious("https://git.example/team-a/%2E%2e/team-b/shop"));
        assert!(!is_devious("https://git.example/team..a/shop"));
    }
}
