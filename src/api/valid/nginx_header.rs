//! What a header route asks of NGINX's canary Ingress, which matches one header and takes some characters only.
//!
//! Input: a canary strategy with that router. Output: what its annotations cannot express, with the mend. ingress-nginx
//! leaves out a value that it does not take, and would then send requests with another value to the canary.

use super::field::{Field, FieldError};
use crate::rollout::{CanaryStrategy, NginxTrafficRouting, SetHeaderRoute, StringMatch};

/// Checks the header routes of all steps. `path` is that of the strategy.
pub(crate) fn check(canary: &CanaryStrategy, path: &Field, errors: &mut Vec<FieldError>) {
    let Some(nginx) = canary.traffic_routing.as_ref().and_then(|routing| routing.nginx.as_ref()) else {
        return;
    };
    let mut in_force: Option<&str> = None;
    let mut is_first = true;
    for (index, step) in canary.steps.iter().enumerate() {
        let Some(route) = &step.set_header_route else { continue };
        let at = path.child("steps").index(index).child("setHeaderRoute");
        let name = route.name.as_deref().unwrap_or_default();
        if route.match_.is_empty() {
            in_force = in_force.filter(|known| *known != name);
            continue;
        }
        if let Some(other) = in_force.filter(|known| *known != name) {
            let one = format!(
                "trafficRouting.nginx holds one header route at a time: end route {other:?} before, by a \
                 setHeaderRoute without match"
            );
            errors.push(at.invalid(name, &one));
        }
        in_force = Some(name);
        if std::mem::take(&mut is_first) {
            check_annotations(nginx, &path.child("trafficRouting").child("nginx"), errors);
        }
        check_matches(route, &at.child("match"), errors);
    }
}

/// Checks that no annotation of the user's stands where a step writes.
fn check_annotations(nginx: &NginxTrafficRouting, path: &Field, errors: &mut Vec<FieldError>) {
    let fields = [
        ("additionalIngressAnnotations", &nginx.additional_ingress_annotations),
        ("canaryIngressAnnotations", &nginx.canary_ingress_annotations),
    ];
    for (field, annotations) in fields {
        for (name, value) in annotations {
            if name.rsplit('/').next().is_some_and(|name| name.starts_with("canary-by-header")) {
                let taken = "setHeaderRoute writes this annotation: remove it, or the steps";
                errors.push(path.child(field).key(name).invalid(value, taken));
            }
        }
    }
}

fn check_matches(route: &SetHeaderRoute, path: &Field, errors: &mut Vec<FieldError>) {
    if route.match_.len() > 1 {
        let one =
            "trafficRouting.nginx matches one header: keep one, or use argoproj-labs/gatewayAPI instead";
        errors.push(path.invalid(&route.match_, one));
        return;
    }
    let Some(one) = route.match_.first() else { return };
    let at = path.index(0);
    let plain = |text: &str| text.chars().all(is_plain);
    if one.header_name.is_empty() || !plain(&one.header_name) {
        let why = format!("trafficRouting.nginx takes {PLAIN} in the name of a header only");
        errors.push(at.child("headerName").invalid(&one.header_name, &why));
    }
    let Some(value) = &one.header_value else { return };
    let StringMatch { exact, prefix, regex } = value;
    let at = at.child("headerValue");
    if let Some(exact) = exact.as_deref().filter(|exact| !exact.chars().all(|c| is_plain(c) || c == ' ')) {
        let why = format!("trafficRouting.nginx takes {PLAIN} and spaces in a value only; a regex may do");
        errors.push(at.child("exact").invalid(exact, &why));
    }
    for (field, text) in [("prefix", prefix), ("regex", regex)] {
        let fits = |text: &&str| !text.chars().all(|c| is_plain(c) || r"^$[](){}*+?|&=\".contains(c));
        if let Some(text) = text.as_deref().filter(fits) {
            let why = format!(r"trafficRouting.nginx takes {PLAIN} and ^$[](){{}}*+?|&=\ in a pattern only");
            errors.push(at.child(field).invalid(text, &why));
        }
    }
}

const PLAIN: &str = "letters, digits and -._~/:";

/// What ingress-nginx takes in any of these annotations.
fn is_plain(character: char) -> bool {
    character.is_ascii_alphanumeric() || "-._~/:".contains(character)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn told(nginx: Value, steps: Value) -> Vec<String> {
        let canary = json!({ "trafficRouting": { "nginx": nginx }, "steps": steps });
        let mut errors = Vec::new();
        check(&serde_json::from_value(canary).unwrap(), &Field::new("spec"), &mut errors);
        errors.into_iter().map(|error| error.path).collect()
    }

    fn header(route: &str, value: Value) -> Value {
        let one = json!({ "headerName": "X-Tester", "headerValue": value });
        json!({ "setHeaderRoute": { "name": route, "match": [one] } })
    }

    #[test]
    fn one_header_of_plain_characters_is_taken() {
        let gone = json!({ "setHeaderRoute": { "name": "a" } });
        let steps = json!([
            header("a", json!({ "exact": "v1.2 beta" })),
            header("a", json!({ "prefix": "v1[0-9]" })),
            gone,
            header("b", json!({ "regex": r"^v\d+$" })),
        ]);
        assert_eq!(
            told(json!({ "canaryIngressAnnotations": { "x/canary-by-cookie": "c" } }), steps),
            [""; 0]
        );
    }

    #[test]
    fn what_an_annotation_cannot_say_is_refused_by_its_field() {
        let one = json!({ "headerName": "X-Tester", "headerValue": { "exact": "a" } });
        let both = json!({ "setHeaderRoute": { "name": "a", "match": [one, one] } });
        let at = "spec.steps[0].setHeaderRoute.match";
        assert_eq!(told(json!({}), json!([both])), [at]);
        for (value, field) in [
            (json!({ "exact": "a;b" }), "headerValue.exact"),
            (json!({ "prefix": "a b" }), "headerValue.prefix"),
            (json!({ "regex": "a#" }), "headerValue.regex"),
        ] {
            assert_eq!(told(json!({}), json!([header("a", value)])), [format!("{at}[0].{field}")]);
        }
        let mut named = header("a", json!({ "exact": "a" }));
        named["setHeaderRoute"]["match"][0]["headerName"] = json!("X Tester");
        assert_eq!(told(json!({}), json!([named])), [format!("{at}[0].headerName")]);
    }

    #[test]
    fn a_second_route_and_a_users_own_annotation_are_in_the_way() {
        let exact = || json!({ "exact": "a" });
        assert_eq!(
            told(json!({}), json!([header("a", exact()), header("b", exact())])),
            ["spec.steps[1].setHeaderRoute"]
        );
        let own = json!({ "additionalIngressAnnotations": { "canary-by-header": "X" } });
        assert_eq!(
            told(own.clone(), json!([header("a", exact())])),
            ["spec.trafficRouting.nginx.additionalIngressAnnotations[canary-by-header]"]
        );
        assert_eq!(told(own, json!([{ "setWeight": 5 }])), [""; 0]);
    }
}
