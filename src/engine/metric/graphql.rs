//! What servers that speak GraphQL answer with.

use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
pub(super) struct Answer {
    #[serde(default)]
    pub(super) data: Value,
    /// Servers may write null for none.
    #[serde(default)]
    errors: Option<Vec<Told>>,
}

#[derive(Deserialize)]
struct Told {
    #[serde(default)]
    message: String,
}

impl Answer {
    /// What the server says of its errors.
    pub(super) fn errors(&self) -> impl Iterator<Item = &str> {
        self.errors.iter().flatten().map(|error| error.message.as_str())
    }
}
