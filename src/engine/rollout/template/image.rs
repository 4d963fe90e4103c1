//! How Kubernetes defaults `imagePullPolicy` from the name of an image.

use std::sync::LazyLock;

use regex::Regex;

/// A registry, a path, and then nothing or what still means the latest image.
///
/// The grammar is that of the distribution project, which Kubernetes uses; a
/// name outside it gets the policy of a fixed tag.
static LATEST: LazyLock<Regex> = LazyLock::new(|| {
    let label = "(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])";
    let host = format!(r"(?:{label}(?:\.{label})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?");
    let part = "[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*";
    let digest = "sha256:[a-f0-9]{64}|sha384:[a-f0-9]{96}|sha512:[a-f0-9]{128}";
    Regex::new(&format!("^(?:{host}/)?{part}(?:/{part})*(?<tag>:latest)?(?:@(?<digest>{digest}))?$"))
        .expect("a pattern without input compiles or does not, whatever runs")
});

/// Returns the pull policy of a container that gives none.
pub(super) fn pull_policy(image: &str) -> &'static str {
    let latest = LATEST.captures(&normalized(image)).is_some_and(|found| {
        // A digest fixes the image, but Kubernetes looks at the tag first.
        found.name("tag").is_some() || found.name("digest").is_none()
    });
    if latest && !is_identifier(image) { "Always" } else { "IfNotPresent" }
}

/// Puts the registry in front that a bare name stands for, so that the part
/// before the first slash is not taken for one when it is not.
fn normalized(image: &str) -> String {
    match image.split_once('/') {
        None => format!("docker.io/library/{image}"),
        Some((first, _)) if looks_like_a_host(first) => image.to_owned(),
        Some(_) => format!("docker.io/{image}"),
    }
}

fn looks_like_a_host(first: &str) -> bool {
    first == "localhost" || first.contains(['.', ':']) || first.chars().any(char::is_uppercase)
}

/// Tells whether a name is a bare image ID, which is no reference.
fn is_identifier(image: &str) -> bool {
    image.len() == 64 && image.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
}
