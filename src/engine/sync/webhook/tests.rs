//! Bodies as the providers send them, and who is concerned.

use serde_json::{Value, json};

use super::{CHANGES_MAX, Change, Provider, concerns};

const GITHUB: &str = include_str!("../../cases/webhook/github-push.json");
const GITLAB: &str = include_str!("../../cases/webhook/gitlab-push.json");
const GITLAB_TAG: &str = include_str!("../../cases/webhook/gitlab-tag.json");
const GITLAB_MERGE: &str = include_str!("../../cases/webhook/gitlab-merge.json");
const BITBUCKET: &str = include_str!("../../cases/webhook/bitbucket-push.json");
const SERVER: &str = include_str!("../../cases/webhook/bitbucket-server-push.json");
const SERVER_OLD: &str = include_str!("../../cases/webhook/bitbucket-server-old.json");
const GITEA: &str = include_str!("../../cases/webhook/gitea-push.json");
const GOGS: &str = include_str!("../../cases/webhook/gogs-push.json");

/// A change in one line: addresses, ref, whether it is `HEAD`, files.
fn told(change: &Change) -> String {
    let repositories: Vec<&str> = change.repositories.iter().map(String::as_str).collect();
    let files = change.files.as_ref().map(|files| files.iter().cloned().collect::<Vec<_>>().join(","));
    format!("{} {:?} {:?} {:?}", repositories.join(","), change.reference, change.is_default, files)
}

fn changes(provider: Provider, event: &str, body: &str) -> Vec<Change> {
    provider.changes(event, body.as_bytes()).unwrap()
}

#[test]
fn every_provider_is_understood() {
    for (provider, event, body, want) in [
        (
            Provider::GitHub,
            "push",
            GITHUB,
            &[
                r#"github.com/team/shop Branch("main") Some(true) Some("deploy/shop/new.yaml,docs/readme.md")"#,
            ][..],
        ),
        (
            Provider::GitLab,
            "Push Hook",
            GITLAB,
            &[r#"gitlab.example/team/shop Branch("release/1") Some(false) None"#],
        ),
        (
            Provider::GitLab,
            "Tag Push Hook",
            GITLAB_TAG,
            &[r#"gitlab.example/team/shop Tag("v1.2.0") Some(false) None"#],
        ),
        (
            Provider::GitLab,
            "System Hook",
            GITLAB,
            &[r#"gitlab.example/team/shop Branch("release/1") Some(false) None"#],
        ),
        (
            Provider::GitLab,
            "Merge Request Hook",
            GITLAB_MERGE,
            &[r#"gitlab.example/team/shop Branch("main") Some(true) None"#],
        ),
        (
            Provider::Bitbucket,
            "repo:push",
            BITBUCKET,
            &[
                r#"bitbucket.org/team/shop Branch("main") None None"#,
                r#"bitbucket.org/team/shop Tag("v1") Some(false) None"#,
                r#"bitbucket.org/team/shop Branch("gone") None None"#,
            ],
        ),
        (
            Provider::BitbucketServer,
            "repo:refs_changed",
            SERVER,
            &[r#"bitbucket.example/scm/team/shop,bitbucket.example/team/shop Branch("main") None None"#],
        ),
        (
            Provider::BitbucketServer,
            "repo:refs_changed",
            SERVER_OLD,
            &[r#"/team/shop Tag("v1") Some(false) None"#],
        ),
        (Provider::Gogs, "push", GITEA, &[r#"gitea.example/team/shop Branch("main") Some(true) None"#]),
        (Provider::Gogs, "push", GOGS, &[r#"gogs.example/team/shop Tag("v2") Some(false) None"#]),
    ] {
        let found: Vec<String> = changes(provider, event, body).iter().map(told).collect();
        assert_eq!(found, want, "{provider:?} {event}");
    }
}

#[test]
fn other_events_change_nothing() {
    for (provider, event, body) in [
        (Provider::GitHub, "ping", r#"{"zen": "x", "hook_id": 1}"#),
        (Provider::GitHub, "pull_request", "{}"),
        (Provider::GitLab, "Note Hook", r#"{"object_kind": "note", "project": {}}"#),
        (Provider::GitLab, "System Hook", r#"{"event_name": "user_create"}"#),
        (Provider::Bitbucket, "pullrequest:created", "{}"),
        (Provider::BitbucketServer, "diagnostics:ping", r#"{"test": true}"#),
        (Provider::Gogs, "issues", "{}"),
        // A ref that is no branch and no tag.
        (Provider::GitHub, "push", r#"{"ref": "refs/notes/x", "repository": {}}"#),
    ] {
        assert_eq!(changes(provider, event, body), [], "{provider:?} {event}");
    }
    let open = GITLAB_MERGE.replace("\"action\": \"merge\"", "\"action\": \"update\"");
    assert_eq!(changes(Provider::GitLab, "Merge Request Hook", &open), []);
}

#[test]
fn a_broken_body_is_an_error_that_shows_nothing_of_it() {
    for (provider, event, body) in [
        (Provider::GitHub, "push", GITHUB),
        (Provider::GitLab, "Push Hook", GITLAB),
        (Provider::Bitbucket, "repo:push", BITBUCKET),
        (Provider::BitbucketServer, "repo:refs_changed", SERVER),
        (Provider::Gogs, "push", GITEA),
    ] {
        for broken in [
            &body[..body.len() / 2],
            "",
            "null",
            "[]",
            "{\"ref\": 5, \"changes\": 5, \"push\": 5}",
            "payload=%7B",
        ] {
            let found = provider.changes(event, broken.as_bytes());
            assert!(found.is_err(), "{provider:?}: {broken}");
        }
    }
    let hostile = r#"{"ref": "x", "forced": "s3cret", "repository": {}}"#;
    let error = Provider::GitHub.changes("push", hostile.as_bytes()).unwrap_err();
    assert!(!error.contains("s3cret"), "{error}");
    let deep = "[".repeat(100_000);
    assert!(Provider::GitLab.changes("Push Hook", deep.as_bytes()).is_err());
}

#[test]
fn a_delivery_is_bounded() {
    let change = r#"{"new": {"type": "branch", "name": "x"}}"#;
    let body = format!(
        r#"{{"push": {{"changes": [{}]}}, "repository": {{"full_name": "a/b"}}}}"#,
        vec![change; CHANGES_MAX * 3].join(",")
    );
    assert_eq!(changes(Provider::Bitbucket, "repo:push", &body).len(), CHANGES_MAX);
}

#[test]
fn a_provider_is_known_by_its_headers() {
    for (headers, want) in [
        (&[("x-github-event", "push")][..], Some((Provider::GitHub, "push"))),
        (
            &[("x-github-event", "push"), ("x-gogs-event", "push"), ("x-gitea-event", "push")],
            Some((Provider::Gogs, "push")),
        ),
        (&[("x-gitlab-event", "Push Hook")], Some((Provider::GitLab, "Push Hook"))),
        (&[("x-event-key", "repo:push"), ("x-hook-uuid", "a")], Some((Provider::Bitbucket, "repo:push"))),
        (&[("x-event-key", "repo:refs_changed")], Some((Provider::BitbucketServer, "repo:refs_changed"))),
        (&[("x-hook-uuid", "a")], None),
        (&[("content-type", "application/json")], None),
    ] {
        let header = |name: &str| headers.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        assert_eq!(Provider::of(header), want, "{headers:?}");
    }
}

fn application(address: &str, revision: &str, path: &str, paths: Option<&str>) -> Value {
    let mut application = json!({
        "metadata": {"name": "shop", "annotations": {}},
        "spec": {"source": {"repoURL": address, "targetRevision": revision, "path": path}},
    });
    if let Some(paths) = paths {
        application["metadata"]["annotations"]["argocd.argoproj.io/manifest-generate-paths"] = json!(paths);
    }
    application
}

#[test]
fn applications_are_found_by_repository_and_revision() {
    let concerned = |body: &str, provider: Provider, event: &str, address: &str, revision: &str| {
        changes(provider, event, body)
            .iter()
            .any(|change| concerns(change, &application(address, revision, "deploy", None)))
    };
    for (address, revision, want) in [
        ("https://github.com/team/shop", "main", true),
        ("https://github.com/Team/Shop.git", "HEAD", true),
        ("git@github.com:team/shop.git", "", true),
        ("ssh://git@ssh.github.com:443/team/shop", "refs/heads/main", true),
        ("https://github.com/team/shop", "other", false),
        ("https://github.com/team/shop", "refs/tags/main", false),
        ("https://github.com/team/shop", "2222222222222222222222222222222222222222", false),
        ("https://github.com/team/shop2", "main", false),
        ("https://github.com.evil/team/shop", "main", false),
        ("https://elsewhere/team/shop", "main", false),
        ("", "main", false),
    ] {
        assert_eq!(
            concerned(GITHUB, Provider::GitHub, "push", address, revision),
            want,
            "{address} {revision}"
        );
    }
    let lab = "https://gitlab.example/team/shop";
    for (body, revision, want) in [
        (GITLAB, "release/1", true),
        (GITLAB, "1", false),
        (GITLAB, "HEAD", false),
        (GITLAB, "1.*", false),
        (GITLAB_TAG, "v1.2.0", true),
        (GITLAB_TAG, "refs/tags/v1.2.0", true),
        (GITLAB_TAG, "1.*", true),
        (GITLAB_TAG, "HEAD", false),
        (GITLAB_MERGE, "HEAD", true),
    ] {
        assert_eq!(concerned(body, Provider::GitLab, "any", lab, revision), want, "{revision}");
    }
    // What HEAD is, Bitbucket does not tell.
    assert!(concerned(
        BITBUCKET,
        Provider::Bitbucket,
        "repo:push",
        "https://bitbucket.org/team/shop",
        "HEAD"
    ));
    let old = |address| concerned(SERVER_OLD, Provider::BitbucketServer, "repo:refs_changed", address, "v1");
    assert!(old("https://bitbucket.example/scm/TEAM/shop.git") && old("ssh://git@b.example:7999/team/shop"));
    assert!(!old("https://bitbucket.example/scm/steam/shop"));
}

#[test]
fn any_of_several_sources_is_enough_and_odd_objects_are_no_trouble() {
    let change = &changes(Provider::GitHub, "push", GITHUB)[0];
    let sources = json!({"spec": {"sources": [
        {"repoURL": "https://elsewhere/x"}, {"repoURL": "git@github.com:team/shop.git", "targetRevision": "main"},
    ]}});
    assert!(concerns(change, &sources));
    for odd in [
        json!(null),
        json!({"spec": 5}),
        json!({"spec": {"source": [], "sources": {}}}),
        json!({"spec": {"source": {"repoURL": 5}}}),
    ] {
        assert!(!concerns(change, &odd), "{odd}");
    }
}

#[test]
fn applications_whose_files_are_untouched_are_left_alone() {
    let change = &changes(Provider::GitHub, "push", GITHUB)[0];
    let unknown =
        &changes(Provider::GitHub, "push", &GITHUB.replace("\"forced\": false", "\"forced\": true"))[0];
    // Touched are deploy/shop/new.yaml and docs/readme.md.
    for (path, paths, want) in [
        ("deploy/shop", Some("."), true),
        ("deploy/bank", Some("."), false),
        ("deploy/bank", Some(".;../shop"), true),
        ("deploy/bank", Some(".;/docs"), true),
        ("deploy/bank", Some("/deploy/*/new.yaml"), true),
        ("deploy/bank", Some("/deploy/*.yaml"), false),
        ("deploy/sho", Some("."), false),
        ("deploy/bank", Some("/"), true),
        ("deploy/bank", Some(" ; "), true),
        ("deploy/bank", Some("../../../elsewhere"), true),
        ("deploy/bank", None, true),
        ("", Some("."), true),
    ] {
        let application = application("https://github.com/team/shop", "main", path, paths);
        assert_eq!(concerns(change, &application), want, "{path} {paths:?}");
        assert!(concerns(unknown, &application), "{path} {paths:?}");
    }
}
