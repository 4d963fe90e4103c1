//! The bodies that providers send: only the fields that say what has changed, everything else is passed over.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Change, Reference};
use crate::sync::address;

/// GitHub lists so many commits of a push at most, and so many files of a commit; at the limit some may be missing.
const GITHUB_COMMITS_MAX: usize = 2048;
const GITHUB_FILES_MAX: usize = 3000;

type Outcome = Result<Vec<Change>, serde_json::Error>;

/// A push as GitHub, Gitea and Gogs tell it.
#[derive(Deserialize)]
struct Push {
    #[serde(rename = "ref")]
    reference: String,
    forced: Option<bool>,
    created: Option<bool>,
    commits: Option<Vec<Commit>>,
    repository: Repository,
}

#[derive(Deserialize)]
struct Commit {
    added: Option<Vec<String>>,
    modified: Option<Vec<String>>,
    removed: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Repository {
    html_url: Option<String>,
    clone_url: Option<String>,
    ssh_url: Option<String>,
    default_branch: Option<String>,
}

/// A request of GitLab's; `object_kind` says of what sort, or `event_name` where a whole installation sends.
#[derive(Deserialize)]
struct GitLab {
    object_kind: Option<String>,
    event_name: Option<String>,
    #[serde(rename = "ref")]
    reference: Option<String>,
    project: Option<Project>,
    object_attributes: Option<MergeRequest>,
}

#[derive(Deserialize)]
struct Project {
    web_url: Option<String>,
    git_http_url: Option<String>,
    git_ssh_url: Option<String>,
    default_branch: Option<String>,
}

#[derive(Deserialize)]
struct MergeRequest {
    action: Option<String>,
    target_branch: Option<String>,
}

#[derive(Deserialize)]
struct Bitbucket {
    push: BitbucketPush,
    repository: BitbucketRepository,
}

#[derive(Deserialize)]
struct BitbucketPush {
    changes: Vec<BitbucketChange>,
}

#[derive(Deserialize)]
struct BitbucketChange {
    new: Option<BitbucketRef>,
    old: Option<BitbucketRef>,
}

#[derive(Deserialize)]
struct BitbucketRef {
    #[serde(rename = "type")]
    kind: String,
    name: String,
}

#[derive(Deserialize)]
struct BitbucketRepository {
    full_name: Option<String>,
    links: Option<BitbucketLinks>,
}

#[derive(Deserialize)]
struct BitbucketLinks {
    html: Option<Link>,
    clone: Option<Vec<Link>>,
}

#[derive(Deserialize)]
struct Link {
    href: String,
}

#[derive(Deserialize)]
struct Server {
    changes: Vec<ServerChange>,
    repository: ServerRepository,
}

#[derive(Deserialize)]
struct ServerChange {
    #[serde(rename = "ref")]
    reference: ServerRef,
}

#[derive(Deserialize)]
struct ServerRef {
    id: String,
}

#[derive(Deserialize)]
struct ServerRepository {
    slug: Option<String>,
    project: Option<ServerProject>,
    links: Option<BitbucketLinks>,
}

#[derive(Deserialize)]
struct ServerProject {
    key: Option<String>,
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(body)
}

/// Addresses as places; what is no address is passed over.
fn places<'a>(addresses: impl IntoIterator<Item = Option<&'a String>>) -> BTreeSet<String> {
    addresses.into_iter().flatten().filter_map(|address| address::place(address)).collect()
}

/// Whether `HEAD` is this ref, if the provider says what `HEAD` is.
fn is_default(reference: &Reference, default: Option<&str>) -> Option<bool> {
    match reference {
        Reference::Tag(_) => Some(false),
        Reference::Branch(name) => {
            default.filter(|default| !default.is_empty()).map(|default| default == name)
        }
    }
}

/// The files of commits, if none can be missing.
fn files(commits: Option<&Vec<Commit>>, complete: bool) -> Option<BTreeSet<String>> {
    let commits = commits.filter(|commits| complete && !commits.is_empty())?;
    let lists = commits.iter().flat_map(|commit| [&commit.added, &commit.modified, &commit.removed]);
    Some(lists.flatten().flatten().cloned().collect())
}

fn push(push: &Push, complete: bool) -> Vec<Change> {
    let Some(reference) = Reference::read(&push.reference) else { return Vec::new() };
    let repository = &push.repository;
    // A branch that was forced or made has other files than those of its last commits.
    let complete = complete && push.forced != Some(true) && push.created != Some(true);
    vec![Change {
        repositories: places(
            [&repository.html_url, &repository.clone_url, &repository.ssh_url].map(Option::as_ref),
        ),
        is_default: is_default(&reference, repository.default_branch.as_deref()),
        reference,
        files: files(push.commits.as_ref(), complete),
    }]
}

pub(super) fn github(event: &str, body: &[u8]) -> Outcome {
    if event != "push" {
        return Ok(Vec::new());
    }
    let told: Push = read(body)?;
    let commits = told.commits.as_deref().unwrap_or_default();
    let is_full =
        |list: &Option<Vec<String>>| list.as_ref().is_some_and(|list| list.len() >= GITHUB_FILES_MAX);
    let some_missing = commits.len() >= GITHUB_COMMITS_MAX
        || commits
            .iter()
            .any(|commit| [&commit.added, &commit.modified, &commit.removed].into_iter().any(is_full));
    // Whether a push was forced is always told; without that word it is another's imitation.
    let complete = !some_missing && told.forced.is_some();
    Ok(push(&told, complete))
}

pub(super) fn gogs(event: &str, body: &[u8]) -> Outcome {
    if event != "push" {
        return Ok(Vec::new());
    }
    let told: Push = read(body)?;
    // Neither says whether a push was forced, so it is never known which files differ.
    Ok(push(&told, false))
}

pub(super) fn gitlab(body: &[u8]) -> Outcome {
    let told: GitLab = read(body)?;
    let kind = told.object_kind.as_deref().or(told.event_name.as_deref()).unwrap_or_default();
    let Some(project) = &told.project else { return Ok(Vec::new()) };
    let merged = || {
        let request = told.object_attributes.as_ref()?;
        let branch = request.target_branch.as_ref().filter(|_| request.action.as_deref() == Some("merge"))?;
        Some(Reference::Branch(branch.clone()))
    };
    let reference = match kind {
        "push" | "tag_push" => told.reference.as_deref().and_then(Reference::read),
        "merge_request" => merged(),
        _ => None,
    };
    let repositories =
        places([&project.web_url, &project.git_http_url, &project.git_ssh_url].map(Option::as_ref));
    Ok(reference
        .map(|reference| Change {
            repositories,
            is_default: is_default(&reference, project.default_branch.as_deref()),
            reference,
            // Nothing tells a forced push from another one, so it is never known which files differ.
            files: None,
        })
        .into_iter()
        .collect())
}

pub(super) fn bitbucket(event: &str, body: &[u8]) -> Outcome {
    if event != "repo:push" {
        return Ok(Vec::new());
    }
    let told: Bitbucket = read(body)?;
    let links = told.repository.links.as_ref();
    let html = links.and_then(|links| links.html.as_ref()).map(|link| &link.href);
    let named = told.repository.full_name.as_ref().map(|name| format!("https://bitbucket.org/{name}"));
    let repositories = places([html, named.as_ref()]);
    let changes = told.push.changes.iter().filter_map(|change| {
        let named = change.new.as_ref().or(change.old.as_ref())?;
        match named.kind.as_str() {
            "branch" | "named_branch" => Some(Reference::Branch(named.name.clone())),
            "tag" | "annotated_tag" => Some(Reference::Tag(named.name.clone())),
            _ => None,
        }
    });
    Ok(changes.map(|reference| without_files(&repositories, reference)).collect())
}

pub(super) fn bitbucket_server(event: &str, body: &[u8]) -> Outcome {
    if event != "repo:refs_changed" {
        return Ok(Vec::new());
    }
    let told: Server = read(body)?;
    let clones = told.repository.links.as_ref().and_then(|links| links.clone.as_ref());
    let mut repositories = places(clones.into_iter().flatten().map(|link| Some(&link.href)));
    let key = told.repository.project.as_ref().and_then(|project| project.key.as_ref());
    // Older servers do not tell their own address, only the end of it.
    if let (true, Some(key), Some(slug)) = (repositories.is_empty(), key, &told.repository.slug) {
        repositories.insert(format!("/{key}/{slug}").to_lowercase());
    }
    let references = told.changes.iter().filter_map(|change| Reference::read(&change.reference.id));
    Ok(references.map(|reference| without_files(&repositories, reference)).collect())
}

fn without_files(repositories: &BTreeSet<String>, reference: Reference) -> Change {
    Change {
        repositories: repositories.clone(),
        is_default: is_default(&reference, None),
        reference,
        files: None,
    }
}
