//! What an AppProject permits: repositories, destinations and kinds.

use serde_json::Value;
use tidegate_api::source::{
    AppProjectSpec, ApplicationDestination, ApplicationSource, GroupKind, ProjectDestination, SyncWindow,
};

use super::address;
use super::glob;
use super::object::{Key, text};

/// The name of the project that exists even when nobody made it.
pub(super) const DEFAULT: &str = "default";
/// The address by which the cluster that Tidegate runs in is named.
pub(super) const IN_CLUSTER_SERVER: &str = "https://kubernetes.default.svc";
/// The name of the same cluster.
pub(super) const IN_CLUSTER_NAME: &str = "in-cluster";

/// The rules that an Application is under, or why there are none.
pub(super) fn rules(name: &str, found: Option<&Value>) -> Result<AppProjectSpec, String> {
    match found {
        Some(project) => serde_json::from_value(project.get("spec").cloned().unwrap_or_default())
            .map_err(|error| format!("AppProject {name} cannot be read: {error}")),
        None if name == DEFAULT => Ok(permissive()),
        None => Err(format!("Application referencing project {name} which does not exist")),
    }
}

/// What upstream writes into the default project when it makes it.
fn permissive() -> AppProjectSpec {
    let all = || Some("*".to_owned());
    AppProjectSpec {
        source_repos: Some(vec!["*".to_owned()]),
        destinations: Some(vec![ProjectDestination { server: all(), name: None, namespace: all() }]),
        cluster_resource_whitelist: Some(vec![GroupKind {
            group: "*".to_owned(),
            kind: "*".to_owned(),
            name: None,
        }]),
        ..AppProjectSpec::default()
    }
}

/// Whether a project permits what an Application asks for; the sentences are upstream's.
pub(super) fn violations(
    rules: &AppProjectSpec,
    name: &str,
    source: &ApplicationSource,
    destination: &ApplicationDestination,
) -> Vec<String> {
    let mut found = Vec::new();
    if !permits_source(rules, &source.repo_url) {
        let repository = address::redacted(&source.repo_url);
        found.push(format!("application repo {repository} is not permitted in project '{name}'"));
    }
    let namespace = destination.namespace.as_deref().unwrap_or_default();
    if !permits_destination(rules, namespace) {
        let server = destination.server.as_deref().unwrap_or(IN_CLUSTER_SERVER);
        found.push(format!(
            "application destination server '{server}' and namespace '{namespace}' do not match any of the \
             allowed destinations in project '{name}'"
        ));
    }
    found
}

/// Whether a repository may be read: some pattern permits it, and no pattern with `!` denies it. A pattern
/// with `!` permits nothing by itself, as upstream documents (its code lets it permit everything else), and
/// denies a repository by whatever scheme, user or port it is read.
fn permits_source(rules: &AppProjectSpec, repository: &str) -> bool {
    if address::is_devious(repository) {
        return false;
    }
    let normal = address::normal(repository);
    let place = address::place(repository);
    let mut permitted = false;
    for pattern in rules.source_repos.iter().flatten() {
        let Some(denied) = pattern.strip_prefix('!') else {
            permitted |= glob::permits(&address::normal(pattern), &normal, Some('/'));
            continue;
        };
        let is_place = |place: &String| {
            address::place(denied).is_some_and(|denied| glob::matches(&denied, place, Some('/')))
        };
        if glob::matches(&address::normal(denied), &normal, Some('/')) || place.as_ref().is_some_and(is_place)
        {
            return false;
        }
    }
    permitted
}

/// Whether a namespace of the cluster may be written to: some rule permits it, and none with `!` denies it.
pub(super) fn permits_destination(rules: &AppProjectSpec, namespace: &str) -> bool {
    let matches = |pattern: &Option<String>, value: &str| {
        glob::permits(pattern.as_deref().unwrap_or_default(), value, None)
    };
    let denies = |pattern: &Option<String>| glob::denies(pattern.as_deref().unwrap_or_default());
    let mut permitted = false;
    for rule in rules.destinations.iter().flatten() {
        let parts =
            [(&rule.server, IN_CLUSTER_SERVER), (&rule.name, IN_CLUSTER_NAME), (&rule.namespace, namespace)];
        if parts.iter().any(|(pattern, value)| denies(pattern) && !matches(pattern, value)) {
            return false;
        }
        let only_denies = parts.iter().any(|(pattern, _)| denies(pattern));
        let cluster = matches(&rule.server, IN_CLUSTER_SERVER) || matches(&rule.name, IN_CLUSTER_NAME);
        permitted |= cluster && matches(&rule.namespace, namespace) && !only_denies;
    }
    permitted
}

/// Whether an object of this kind may be written. The black lists win; no white list of cluster kinds
/// permits none of them, no white list of namespaced kinds permits all of them.
pub(super) fn permits_kind(rules: &AppProjectSpec, key: &Key, namespaced: bool) -> bool {
    let listed = |list: &Option<Vec<GroupKind>>| {
        list.iter().flatten().any(|rule| {
            glob::matches(&rule.group, &key.group, None)
                && glob::matches(&rule.kind, &key.kind, None)
                && rule
                    .name
                    .as_deref()
                    .is_none_or(|name| name.is_empty() || glob::matches(name, &key.name, None))
        })
    };
    if namespaced {
        (rules.namespace_resource_whitelist.is_none() || listed(&rules.namespace_resource_whitelist))
            && !listed(&rules.namespace_resource_blacklist)
    } else {
        listed(&rules.cluster_resource_whitelist) && !listed(&rules.cluster_resource_blacklist)
    }
}

/// Whether an object may be written where it is: by its kind and by its namespace.
pub(super) fn permits_object(rules: &AppProjectSpec, key: &Key, namespaced: bool) -> bool {
    permits_kind(rules, key, namespaced) && (!namespaced || permits_destination(rules, &key.namespace))
}

/// The windows that concern an Application. None of them is honoured yet, so one is enough to stop a sync.
pub(super) fn windows<'a>(
    rules: &'a AppProjectSpec,
    application: &str,
    namespace: &str,
) -> Vec<&'a SyncWindow> {
    let any = |globs: &Option<Vec<String>>, values: &[&str]| {
        globs.iter().flatten().any(|glob| values.iter().any(|value| glob::matches(glob, value, None)))
    };
    let concerns = |window: &&SyncWindow| {
        any(&window.applications, &[application])
            || any(&window.namespaces, &[namespace])
            || any(&window.clusters, &[IN_CLUSTER_SERVER, IN_CLUSTER_NAME])
    };
    rules.sync_windows.iter().flatten().filter(concerns).collect()
}

/// The ServiceAccount to act as in a destination namespace, as a user name; nothing when the project names
/// none.
///
/// # Errors
/// The project names some, and none is for this destination.
pub fn service_account(project: Option<&Value>, namespace: &str) -> Result<Option<String>, String> {
    let Some(project) = project else { return Ok(None) };
    let name = text(project, "/metadata/name");
    let rules = rules(name, Some(project))?;
    let accounts = rules.destination_service_accounts.unwrap_or_default();
    if accounts.is_empty() {
        return Ok(None);
    }
    let found = accounts.iter().find(|account| {
        glob::matches(&account.server, IN_CLUSTER_SERVER, None)
            && glob::matches(account.namespace.as_deref().unwrap_or_default(), namespace, None)
    });
    let Some(account) = found.map(|account| account.default_service_account.trim()).filter(|a| !a.is_empty())
    else {
        return Err(format!(
            "no matching service account found for destination server {IN_CLUSTER_SERVER} and namespace \
             {namespace} in project {name}; add it to spec.destinationServiceAccounts"
        ));
    };
    let (namespace, account) = account.split_once(':').unwrap_or((namespace, account));
    Ok(Some(format!("system:serviceaccount:{namespace}:{account}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(spec: Value) -> AppProjectSpec {
        serde_json::from_value(spec).unwrap()
    }

    #[test]
    fn the_default_project_need_not_exist() {
        let rules = rules("default", None).unwrap();
        assert!(permits_source(&rules, "https://git.example/shop"));
        assert!(permits_destination(&rules, "anywhere"));
        assert!(super::rules("team", None).unwrap_err().contains("does not exist"));
    }

    #[test]
    fn repositories_are_compared_in_their_normal_form() {
        let rules = read(
            json!({ "sourceRepos": ["https://git.example/team/*", "!https://git.example/team/secret"] }),
        );
        for (repository, want) in [
            ("https://git.example/team/shop.git", true),
            ("https://GIT.example/team/shop", true),
            ("https://git.example/team/sub/shop", false),
            ("https://git.example/team/secret.git", false),
            ("https://git.example/other/shop", false),
            ("https://git.example/team/../other", false),
        ] {
            assert_eq!(permits_source(&rules, repository), want, "{repository}");
        }
    }

    #[test]
    fn what_is_denied_is_denied_in_every_spelling() {
        for denied in [
            "!https://git.example/team/secret",
            "!git@git.example:team/secret",
            "!https://git.example/team/s*",
        ] {
            let rules = read(json!({ "sourceRepos": ["*", "https://git.example/**", denied] }));
            for repository in [
                "https://git.example/team/secret",
                "https://git.example/team/%73ecret",
                "https://git.example/team/secre%54.git",
                "https://git.example//team//secret/",
                "https:///git.example/team/secret",
                "https://git.example.:443/team/secret",
                "http://me:pw@git.example:8080/team/secret",
                "https://git.example\\team/secret",
                "https://git.example/team/sec\tret",
                "git@git.example:team/secret",
                "git@git.example:/team/secret",
                "me@git.example:team//secret.git",
                "ssh://git@git.example:22/team/secret",
                "ssh://git.example:2222/team/secret",
                "git+ssh://git@git.example/team/secret",
                "SSH+git://git@ssh.git.example:443/team/secret",
            ] {
                assert!(!permits_source(&rules, repository), "{denied}: {repository}");
            }
            for other in [
                "https://git.example/team/open",
                "git@git.example:team/open",
                "https://git.example.evil/team/secret",
            ] {
                assert!(permits_source(&rules, other), "{denied}: {other}");
            }
        }
    }

    #[test]
    fn destinations_may_deny() {
        let rules = read(json!({ "destinations": [
            { "server": "https://kubernetes.default.svc", "namespace": "prod-*" },
            { "name": "in-cluster", "namespace": "shop" },
            { "server": "https://elsewhere", "namespace": "far" },
            { "server": "*", "namespace": "!kube-*" },
        ] }));
        for (namespace, want) in [("prod-a", true), ("shop", true), ("kube-system", false)] {
            assert_eq!(permits_destination(&rules, namespace), want, "{namespace}");
        }
        let rules = read(json!({ "destinations": [{ "server": "https://elsewhere", "namespace": "*" }] }));
        assert!(!permits_destination(&rules, "shop"));
        let only_denies = read(json!({ "destinations": [{ "server": "*", "namespace": "!kube-*" }] }));
        assert!(!permits_destination(&only_denies, "shop"));
    }

    #[test]
    fn kinds_are_permitted_by_scope() {
        let key = |group: &str, kind: &str| Key { group: group.into(), kind: kind.into(), ..Key::default() };
        let rules = read(json!({
            "clusterResourceWhitelist": [{ "group": "", "kind": "Namespace" }],
            "namespaceResourceBlacklist": [{ "group": "*", "kind": "ResourceQuota" }],
        }));
        assert!(permits_kind(&rules, &key("", "Namespace"), false));
        assert!(!permits_kind(&rules, &key("rbac.authorization.k8s.io", "ClusterRole"), false));
        assert!(permits_kind(&rules, &key("apps", "Deployment"), true));
        assert!(!permits_kind(&rules, &key("", "ResourceQuota"), true));
        let none = read(json!({ "namespaceResourceWhitelist": [] }));
        assert!(!permits_kind(&none, &key("apps", "Deployment"), true));
    }

    #[test]
    fn the_first_service_account_that_matches_counts() {
        let project = json!({ "metadata": { "name": "team" }, "spec": { "destinationServiceAccounts": [
            { "server": "*", "namespace": "shop", "defaultServiceAccount": "deployer" },
            { "server": "*", "namespace": "s*", "defaultServiceAccount": "ci:robot" },
        ] } });
        let account = |namespace: &str| service_account(Some(&project), namespace);
        assert_eq!(account("shop"), Ok(Some("system:serviceaccount:shop:deployer".to_owned())));
        assert_eq!(account("sales"), Ok(Some("system:serviceaccount:ci:robot".to_owned())));
        assert!(account("other").unwrap_err().contains("no matching service account"));
        assert_eq!(service_account(None, "shop"), Ok(None));
    }

    #[test]
    fn only_windows_that_concern_the_application_count() {
        let rules = read(json!({ "syncWindows": [
            { "kind": "deny", "schedule": "* * * * *", "duration": "1h", "applications": ["prod-*"] },
        ] }));
        assert_eq!(windows(&rules, "prod-shop", "shop").len(), 1);
        assert_eq!(windows(&rules, "shop", "shop").len(), 0);
    }
}
