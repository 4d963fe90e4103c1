//! Rules of Kubernetes for names, labels and label selectors.

use super::field::{Field, FieldError};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use std::collections::BTreeMap;

const NAME_RULE: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
     alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
     '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const VALUE_RULE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', \
     and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used \
     for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const DNS_LABEL_RULE: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and \
     must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
     '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN_RULE: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or \
     '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
     '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

/// Longest label name, label value or DNS label.
const PART_LENGTH_MAX: usize = 63;
/// Longest DNS subdomain.
const SUBDOMAIN_LENGTH_MAX: usize = 253;

/// Checks every label and expression of a selector.
pub(crate) fn check_selector(selector: &LabelSelector, path: &Field, errors: &mut Vec<FieldError>) {
    if let Some(labels) = &selector.match_labels {
        check_labels(labels, &path.child("matchLabels"), errors);
    }
    for (index, expression) in selector.match_expressions.iter().flatten().enumerate() {
        check_expression(expression, &path.child("matchExpressions").index(index), errors);
    }
}

fn check_expression(expression: &LabelSelectorRequirement, path: &Field, errors: &mut Vec<FieldError>) {
    let values = expression.values.as_deref().unwrap_or_default();
    match expression.operator.as_str() {
        "In" | "NotIn" if values.is_empty() => {
            let needed = "must be specified when `operator` is 'In' or 'NotIn'";
            errors.push(path.child("values").required(needed));
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            let unwanted = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            errors.push(path.child("values").forbidden(unwanted));
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        operator => errors.push(path.child("operator").invalid(operator, "not a valid selector operator")),
    }
    for problem in label_name_problems(&expression.key) {
        errors.push(path.child("key").invalid(&expression.key, &problem));
    }
    for (index, value) in values.iter().enumerate() {
        for problem in label_value_problems(value) {
            errors.push(path.child("values").index(index).invalid(value, &problem));
        }
    }
}

/// Checks the names and values of labels.
pub(crate) fn check_labels(labels: &BTreeMap<String, String>, path: &Field, errors: &mut Vec<FieldError>) {
    for (name, value) in labels {
        for problem in label_name_problems(name) {
            errors.push(path.invalid(name, &problem));
        }
        for problem in label_value_problems(value) {
            errors.push(path.invalid(value, &problem));
        }
    }
}

/// Tells whether a selector can be evaluated at all.
pub(crate) fn is_usable(selector: &LabelSelector) -> bool {
    let mut errors = Vec::new();
    check_selector(selector, &Field::new(""), &mut errors);
    errors.is_empty()
}

/// Tells whether a selector selects these labels.
#[must_use]
pub fn selects(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    let wanted = selector.match_labels.iter().flatten().all(|(name, value)| labels.get(name) == Some(value));
    wanted && selector.match_expressions.iter().flatten().all(|expression| holds(expression, labels))
}

fn holds(expression: &LabelSelectorRequirement, labels: &BTreeMap<String, String>) -> bool {
    let value = labels.get(&expression.key);
    let among = value.is_some_and(|value| expression.values.iter().flatten().any(|one| one == value));
    match expression.operator.as_str() {
        "In" => among,
        "NotIn" => !among,
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        _ => false,
    }
}

/// Says what is wrong with the name of a label or annotation.
pub(crate) fn label_name_problems(text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let name = match text.split_once('/') {
        None => text,
        Some((_, name)) if name.contains('/') => {
            return vec![format!(
                "a qualified name {NAME_RULE} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            )];
        }
        Some((prefix, name)) => {
            if prefix.is_empty() {
                problems.push("prefix part must be non-empty".to_owned());
            } else {
                problems.extend(
                    subdomain_problems(prefix).into_iter().map(|problem| format!("prefix part {problem}")),
                );
            }
            name
        }
    };
    if name.is_empty() {
        problems.push("name part must be non-empty".to_owned());
    } else if name.len() > PART_LENGTH_MAX {
        problems.push(format!("name part must be no more than {PART_LENGTH_MAX} characters"));
    }
    if !is_name(name) {
        problems.push(format!("name part {NAME_RULE}"));
    }
    problems
}

/// Says what is wrong with the value of a label.
pub(crate) fn label_value_problems(text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if text.len() > PART_LENGTH_MAX {
        problems.push(format!("must be no more than {PART_LENGTH_MAX} characters"));
    }
    if !text.is_empty() && !is_name(text) {
        problems.push(VALUE_RULE.to_owned());
    }
    problems
}

/// Says what is wrong with the name of a container.
pub(crate) fn dns_label_problems(text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if text.len() > PART_LENGTH_MAX {
        problems.push(format!("must be no more than {PART_LENGTH_MAX} characters"));
    }
    if !is_dns_label(text) {
        problems.push(DNS_LABEL_RULE.to_owned());
    }
    problems
}

/// Says what is wrong with the name of most objects.
pub(crate) fn subdomain_problems(text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if text.len() > SUBDOMAIN_LENGTH_MAX {
        problems.push(format!("must be no more than {SUBDOMAIN_LENGTH_MAX} characters"));
    }
    if !text.split('.').all(is_dns_label) {
        problems.push(SUBDOMAIN_RULE.to_owned());
    }
    problems
}

fn is_name(text: &str) -> bool {
    is_bounded(text, |c| c.is_ascii_alphanumeric(), |c| matches!(c, '-' | '_' | '.'))
}

fn is_dns_label(text: &str) -> bool {
    is_bounded(text, |c| c.is_ascii_lowercase() || c.is_ascii_digit(), |c| c == '-')
}

/// Tells whether a text starts and ends with an outer character and has nothing else but outer and inner ones.
fn is_bounded(text: &str, outer: impl Fn(char) -> bool, inner: impl Fn(char) -> bool) -> bool {
    text.starts_with(&outer) && text.ends_with(&outer) && text.chars().all(|c| outer(c) || inner(c))
}
