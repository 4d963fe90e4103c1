//! Sync options: of an Application (`spec.syncPolicy.syncOptions`) and of one object (an annotation).

use serde_json::Value;

use super::object::annotation;
use super::plan::Propagation;

/// The annotation that holds the options of one object, separated by commas.
const OBJECT_OPTIONS: &str = "argocd.argoproj.io/sync-options";

/// Options that are acted on, for an Application.
const KNOWN: [&str; 17] = [
    "CreateNamespace=true",
    "CreateNamespace=false",
    "PruneLast=true",
    "PruneLast=false",
    "Prune=false",
    "Prune=true",
    "Delete=false",
    "Delete=true",
    "ServerSideApply=true",
    "ApplyOutOfSyncOnly=true",
    "ApplyOutOfSyncOnly=false",
    "RespectIgnoreDifferences=true",
    "RespectIgnoreDifferences=false",
    "FailOnSharedResource=true",
    "FailOnSharedResource=false",
    "SkipDryRunOnMissingResource=true",
    "SkipDryRunOnMissingResource=false",
];
/// Options that change what is deleted or replaced and are not implemented.
const REFUSED: [&str; 4] = ["Replace=true", "Force=true", "Prune=confirm", "Delete=confirm"];

/// How an option is served.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Service {
    /// It is acted on, or changes nothing.
    Served,
    /// It is not acted on, and nothing is lost by that.
    Ignored,
    /// It is not implemented, and going on without it would delete or keep the wrong things.
    Refused,
}

/// How an option is served.
pub(super) fn service(option: &str) -> Service {
    let option = option.trim();
    if REFUSED.contains(&option) {
        Service::Refused
    } else if KNOWN.contains(&option) || propagation_of(option).is_some() {
        Service::Served
    } else {
        Service::Ignored
    }
}

/// Whether a list of options has this one, compared literally after trimming.
pub(super) fn has(options: &[String], option: &str) -> bool {
    options.iter().any(|given| given.trim() == option)
}

/// The options of one object.
pub(super) fn of_object(object: &Value) -> Vec<String> {
    let text = annotation(object, OBJECT_OPTIONS).unwrap_or_default();
    text.split(',').map(|option| option.trim().to_owned()).filter(|option| !option.is_empty()).collect()
}

/// Whether an object has this option, or its Application has and the object does not say otherwise.
pub(super) fn applies(object: &Value, application: &[String], option: &str) -> bool {
    let own = of_object(object);
    let name = option.split_once('=').map_or(option, |(name, _)| name);
    let says_otherwise =
        own.iter().any(|given| given.split_once('=').is_some_and(|(given, _)| given == name));
    has(&own, option) || (!says_otherwise && has(application, option))
}

/// How deletions reach the objects that a deleted object owns; foreground unless an option says otherwise.
pub(super) fn propagation(options: &[String]) -> Propagation {
    options.iter().find_map(|option| propagation_of(option.trim())).unwrap_or_default()
}

fn propagation_of(option: &str) -> Option<Propagation> {
    match option.strip_prefix("PrunePropagationPolicy=")? {
        "foreground" => Some(Propagation::Foreground),
        "background" => Some(Propagation::Background),
        "orphan" => Some(Propagation::Orphan),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_objects_word_beats_its_applications() {
        let plain = json!({ "metadata": {} });
        let keeps =
            json!({ "metadata": { "annotations": { OBJECT_OPTIONS: "PruneLast=true, Prune=false" } } });
        let prunes = json!({ "metadata": { "annotations": { OBJECT_OPTIONS: "Prune=true" } } });
        let application = vec![" Prune=false".to_owned()];
        assert!(applies(&keeps, &[], "Prune=false"));
        assert!(applies(&plain, &application, "Prune=false"));
        assert!(!applies(&prunes, &application, "Prune=false"));
        assert!(!applies(&plain, &[], "Prune=false"));
    }

    #[test]
    fn what_changes_deletion_is_refused() {
        for (option, want) in [
            ("CreateNamespace=true", Service::Served),
            ("PrunePropagationPolicy=orphan", Service::Served),
            ("PrunePropagationPolicy=sideways", Service::Ignored),
            ("Validate=false", Service::Ignored),
            ("Nonsense", Service::Ignored),
            (" Replace=true", Service::Refused),
            ("Prune=confirm", Service::Refused),
        ] {
            assert_eq!(service(option), want, "{option}");
        }
    }
}
