//! What requests were signed in with: tokens that were fetched, passwords as a header has them, signatures.
//!
//! Input: headers. Output: the credentials in them, which nothing may tell that somebody answers. They are never shown.

use std::collections::BTreeSet;
use std::fmt;

/// Credentials that left with requests.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Sent(BTreeSet<String>);

impl fmt::Debug for Sent {
    /// Tells how many there are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sent").field(&self.0.len()).finish()
    }
}

impl Sent {
    /// Adds the credentials of a header such as `Bearer abc`, or of one that is nothing else.
    pub fn add(&mut self, header: &str) {
        let credentials = header.split_once(' ').map_or(header, |(_scheme, credentials)| credentials);
        self.0.insert(credentials.to_owned());
        // A server may take the header of a signature apart.
        if let Some((_, signature)) = credentials.rsplit_once("Signature=") {
            self.0.insert(signature.to_owned());
        }
    }

    /// Adds those of other requests.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub(super) fn secrets(&self) -> impl Iterator<Item = &String> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_found_in_headers_and_are_not_shown() {
        for (header, wanted) in [
            ("Bearer hush", &["hush"][..]),
            ("Basic aHVzaA==", &["aHVzaA=="]),
            ("hush", &["hush"]),
            ("AWS4-HMAC-SHA256 Credential=a/b, Signature=0a", &["0a", "Credential=a/b, Signature=0a"]),
        ] {
            let mut sent = Sent::default();
            sent.add(header);
            assert_eq!(sent.secrets().collect::<Vec<_>>(), wanted, "{header}");
            assert_eq!(format!("{sent:?}"), format!("Sent({})", wanted.len()));
        }
    }
}
