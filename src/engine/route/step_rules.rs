//! Rules that steps add to a route of the Gateway API: requests with a header for the canary, and mirrored requests.
//!
//! Input: the rules of a route as they are, and the routes that the steps ask for. Output: the rules as they should be:
//! the users' own in their order, then those of the steps. A rule of a step is known by its name, one of managedRoutes,
//! with a number behind it where the route has several rules to add it for; where a cluster is too old to keep names of
//! rules, by its content.

use serde_json::{Value, json};
use tidegate_api::rollout::{CanaryStep, HeaderRoutingMatch, RouteMatch, SetMirrorRoute, StringMatch};

use super::{Sides, StepRoute};
use crate::covers::covers;

/// The rules of a route with those of the steps, for each rule that the Rollout weights; nothing when they are as wanted.
///
/// `source` says where the canary stands among the backends of a rule that names both Services.
pub(super) fn with_step_rules(
    rules: &[Value],
    wanted: &[StepRoute<'_>],
    sides: &Sides<'_>,
    source: impl Fn(&Value, &Sides<'_>) -> Option<usize>,
) -> Option<Vec<Value>> {
    let own = without_names(rules, sides);
    let nameless = nameless(&own, sides, &source);
    let users = own.iter().filter(|rule| !is_one_of(rule, &nameless));
    let mut next: Vec<Value> = users.map(|rule| (*rule).clone()).collect();
    for made in made(&own, wanted, sides, &source) {
        let nameless = [without_name(made.clone())];
        let same = |rule: &&Value| covers(rule, &made) || is_one_of(rule, &nameless);
        // What a newer server filled in stays, and weights of mirrored rules move by themselves.
        let known = rules.iter().find(same).cloned();
        next.push(known.unwrap_or(made));
    }
    (next != rules).then_some(next)
}

/// Whether any rule is one of a step.
pub(super) fn any(
    rules: &[Value],
    sides: &Sides<'_>,
    source: impl Fn(&Value, &Sides<'_>) -> Option<usize>,
) -> bool {
    let own = without_names(rules, sides);
    let nameless = nameless(&own, sides, source);
    own.len() < rules.len() || own.iter().any(|rule| is_one_of(rule, &nameless))
}

/// The rules that do not have the name of a managed route.
fn without_names<'r>(rules: &'r [Value], sides: &Sides<'_>) -> Vec<&'r Value> {
    rules.iter().filter(|rule| !is_named(rule, sides)).collect()
}

/// The rules that routes of steps make of these.
fn made(
    own: &[&Value],
    routes: &[StepRoute<'_>],
    sides: &Sides<'_>,
    source: impl Fn(&Value, &Sides<'_>) -> Option<usize>,
) -> Vec<Value> {
    routes.iter().flat_map(|route| rules_of(own, route, |rule| source(rule, sides))).collect()
}

/// The rules that any step makes of these, as a cluster shows them that keeps no names of rules.
fn nameless(
    own: &[&Value],
    sides: &Sides<'_>,
    source: impl Fn(&Value, &Sides<'_>) -> Option<usize>,
) -> Vec<Value> {
    let all = all_routes(sides);
    let mut possible = made(own, &all, sides, &source);
    // With the promotion the canary's Service became the stable one, and its rules may still be there.
    possible.extend(sides.of_the_last_turn().into_iter().flat_map(|sides| made(own, &all, &sides, &source)));
    possible.into_iter().map(without_name).collect()
}

/// Whether a rule without a name has all that one of these has.
fn is_one_of(rule: &Value, nameless: &[Value]) -> bool {
    rule.get("name").is_none() && nameless.iter().any(|made| covers(rule, made))
}

/// Every route that any step asks for.
fn all_routes<'a>(sides: &Sides<'a>) -> Vec<StepRoute<'a>> {
    let canary = sides.rollout.spec.strategy.canary.as_ref();
    let steps = canary.map(|canary| canary.steps.as_slice()).unwrap_or_default();
    steps.iter().flat_map(routes_of).collect()
}

fn routes_of(step: &CanaryStep) -> Vec<StepRoute<'_>> {
    let header = step.set_header_route.as_deref().filter(|route| !route.match_.is_empty());
    let mirror = step.set_mirror_route.as_deref().filter(|route| !route.match_.is_empty());
    header.map(StepRoute::Header).into_iter().chain(mirror.map(StepRoute::Mirror)).collect()
}

/// Whether a rule has the name of a managed route, with or without a number.
fn is_named(rule: &Value, sides: &Sides<'_>) -> bool {
    let Some(name) = rule.get("name").and_then(Value::as_str) else { return false };
    let routing =
        sides.rollout.spec.strategy.canary.as_ref().and_then(|canary| canary.traffic_routing.as_ref());
    let mut managed = routing.and_then(|routing| routing.managed_routes.as_ref()).into_iter().flatten();
    managed.any(|managed| {
        name.strip_prefix(managed.name.as_str()).is_some_and(|rest| {
            let number = rest.strip_prefix('-').unwrap_or("x");
            rest.is_empty() || !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
        })
    })
}

/// One rule for each of the users' rules that names both Services.
fn rules_of(own: &[&Value], route: &StepRoute<'_>, source: impl Fn(&Value) -> Option<usize>) -> Vec<Value> {
    let sources = own.iter().filter_map(|rule| Some((*rule, source(rule)?)));
    let rules = sources.enumerate().map(|(number, (rule, canary))| {
        let mut made = rule.clone();
        made["name"] = match number {
            0 => json!(route.name()),
            number => json!(format!("{}-{number}", route.name())),
        };
        match route {
            StepRoute::Header(header) => {
                let mut backend = rule["backendRefs"][canary].clone();
                backend["weight"] = json!(1);
                made["backendRefs"] = json!([backend]);
                made["matches"] = with_headers(rule, header.match_.iter().map(header_match).collect());
            }
            StepRoute::Mirror(mirror) => mirrored(&mut made, &rule["backendRefs"][canary], mirror),
        }
        made
    });
    rules.collect()
}

/// Each match of a rule, for requests with these headers only.
fn with_headers(rule: &Value, headers: Vec<Value>) -> Value {
    let matches = rule.get("matches").and_then(Value::as_array).cloned().unwrap_or_default();
    let matches = if matches.is_empty() { vec![json!({})] } else { matches };
    let narrowed = matches.into_iter().map(|mut one| {
        let is_new = |known: &Value| headers.iter().all(|header| !same_header(header, known));
        let known = one.get("headers").and_then(Value::as_array).cloned().unwrap_or_default();
        let all: Vec<Value> = known.into_iter().filter(is_new).chain(headers.iter().cloned()).collect();
        one["headers"] = json!(all);
        one
    });
    Value::Array(narrowed.collect())
}

/// Names of headers do not care for case.
fn same_header(one: &Value, other: &Value) -> bool {
    let name = |header: &Value| header["name"].as_str().unwrap_or_default().to_ascii_lowercase();
    name(one) == name(other)
}

fn header_match(header: &HeaderRoutingMatch) -> Value {
    header.header_value.as_ref().map_or(Value::Null, |value| named_match(&header.header_name, value))
}

fn named_match(name: &str, value: &StringMatch) -> Value {
    let (kind, value) = text_match(value);
    json!({ "name": name, "type": kind, "value": value })
}

/// A prefix becomes an expression, because headers are matched by nothing in between.
fn text_match(value: &StringMatch) -> (&'static str, String) {
    let set = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    match (set(&value.exact), set(&value.regex), set(&value.prefix)) {
        (Some(exact), _, _) => ("Exact", exact),
        (None, Some(regex), _) => ("RegularExpression", regex),
        (None, None, prefix) => {
            ("RegularExpression", format!("{}.*", regex::escape(&prefix.unwrap_or_default())))
        }
    }
}

/// Lets a copy of a rule send copies of the requests that match to the canary; the weights stay those of the rule.
fn mirrored(rule: &mut Value, canary: &Value, mirror: &SetMirrorRoute) {
    let mut backend = canary.clone();
    if let Some(backend) = backend.as_object_mut() {
        backend.remove("weight");
    }
    let mut filter = json!({ "type": "RequestMirror", "requestMirror": { "backendRef": backend } });
    if let Some(percentage) = mirror.percentage.filter(|percentage| *percentage != 100) {
        filter["requestMirror"]["percent"] = json!(percentage);
    }
    let mut filters = rule.get("filters").and_then(Value::as_array).cloned().unwrap_or_default();
    filters.push(filter);
    rule["filters"] = Value::Array(filters);
    rule["matches"] = Value::Array(mirror.match_.iter().map(request_match).collect());
}

fn request_match(wanted: &RouteMatch) -> Value {
    let mut one = json!({});
    if let Some(method) = wanted.method.as_ref().and_then(|method| method.exact.as_ref()) {
        one["method"] = json!(method);
    }
    if let Some(path) = &wanted.path {
        one["path"] = match path.prefix.as_deref().filter(|prefix| !prefix.is_empty()) {
            Some(prefix) => json!({ "type": "PathPrefix", "value": prefix }),
            None => {
                let (kind, value) = text_match(path);
                json!({ "type": kind, "value": value })
            }
        };
    }
    if !wanted.headers.is_empty() {
        one["headers"] = wanted.headers.iter().map(|(name, value)| named_match(name, value)).collect();
    }
    one
}

fn without_name(mut rule: Value) -> Value {
    if let Some(rule) = rule.as_object_mut() {
        rule.remove("name");
    }
    rule
}

#[cfg(test)]
mod tests {
    use tidegate_api::rollout::{Rollout, SetHeaderRoute};

    use super::*;

    fn rollout(steps: &Value) -> Rollout {
        let routing = json!({ "managedRoutes": [{ "name": "testers" }, { "name": "copies" }] });
        let canary = json!({ "steps": steps, "trafficRouting": routing });
        let spec = json!({ "strategy": { "canary": canary } });
        serde_json::from_value(json!({ "metadata": { "name": "shop" }, "spec": spec })).unwrap()
    }

    fn sides(rollout: &Rollout) -> Sides<'_> {
        Sides { rollout, canary_service: "canary", stable_service: "stable", max: 100, max_named: false }
    }

    fn header(value: Value) -> SetHeaderRoute {
        let one = json!({ "headerName": "X-Tester", "headerValue": value });
        serde_json::from_value(json!({ "name": "testers", "match": [one] })).unwrap()
    }

    /// The canary is the second backend of every rule that has two, unless the two took turns.
    fn source(rule: &Value, sides: &Sides<'_>) -> Option<usize> {
        let place = usize::from(sides.canary_service == "canary");
        (rule["backendRefs"].as_array()?.len() == 2).then_some(place)
    }

    fn user_rule(path: &str) -> Value {
        json!({
            "matches": [{ "path": { "type": "PathPrefix", "value": path } }],
            "timeouts": { "request": "5s" },
            "backendRefs": [{ "name": "stable", "weight": 80 }, { "name": "canary", "port": 80, "weight": 20 }],
        })
    }

    #[test]
    fn each_weighted_rule_gets_one_for_the_canary_alone() {
        let rollout = rollout(&json!([]));
        let docs = json!({ "backendRefs": [{ "name": "docs" }] });
        let rules = [user_rule("/a"), docs, user_rule("/b")];
        let header = header(json!({ "prefix": "a.b" }));
        let next = with_step_rules(&rules, &[StepRoute::Header(&header)], &sides(&rollout), source).unwrap();
        assert_eq!(next[..3], rules);
        let matched = json!({ "name": "X-Tester", "type": "RegularExpression", "value": "a\\.b.*" });
        let made = |name: &str, path: &str| {
            json!({
                "name": name,
                "matches": [{ "path": { "type": "PathPrefix", "value": path }, "headers": [matched] }],
                "timeouts": { "request": "5s" },
                "backendRefs": [{ "name": "canary", "port": 80, "weight": 1 }],
            })
        };
        assert_eq!(next[3..], [made("testers", "/a"), made("testers-1", "/b")]);
        assert!(any(&next, &sides(&rollout), source));
        let again = with_step_rules(&next, &[StepRoute::Header(&header)], &sides(&rollout), source);
        assert_eq!(again, None, "nothing is left to do");
        assert_eq!(with_step_rules(&next, &[], &sides(&rollout), source).unwrap(), rules);
    }

    #[test]
    fn what_a_server_filled_in_or_left_out_makes_no_second_rule() {
        let wanted = header(json!({ "exact": "yes" }));
        let rollout = rollout(&json!([{ "setHeaderRoute": wanted }]));
        let wanted = [StepRoute::Header(&wanted)];
        let mut next = with_step_rules(&[user_rule("/")], &wanted, &sides(&rollout), source).unwrap();
        next[1]["matches"][0]["method"] = json!("GET");
        assert_eq!(with_step_rules(&next, &wanted, &sides(&rollout), source), None);
        // A cluster whose HTTPRoutes have no names of rules.
        next[1].as_object_mut().unwrap().remove("name");
        assert_eq!(with_step_rules(&next, &wanted, &sides(&rollout), source), None);
        assert_eq!(with_step_rules(&next, &[], &sides(&rollout), source).unwrap(), [user_rule("/")]);
    }

    #[test]
    fn a_rule_without_a_name_is_known_when_the_services_have_taken_turns() {
        let wanted = header(json!({ "exact": "yes" }));
        let rollout = rollout(&json!([{ "setHeaderRoute": wanted }]));
        let wanted = [StepRoute::Header(&wanted)];
        let mut next = with_step_rules(&[user_rule("/")], &wanted, &sides(&rollout), source).unwrap();
        next[1].as_object_mut().unwrap().remove("name");
        fn turned(rollout: &Rollout) -> Sides<'_> {
            Sides { canary_service: "stable", stable_service: "canary", ..sides(rollout) }
        }
        assert!(!any(&next, &turned(&rollout), source), "without ping-pong it is a user's");
        let pair = json!({ "pingService": "canary", "pongService": "stable" });
        let mut paired = rollout.clone();
        paired.spec.strategy.canary.as_mut().unwrap().ping_pong = serde_json::from_value(pair).unwrap();
        assert_eq!(with_step_rules(&next, &[], &turned(&paired), source).unwrap(), [user_rule("/")]);
    }

    #[test]
    fn a_mirror_keeps_the_weights_and_copies_its_share() {
        let rollout = rollout(&json!([]));
        let path = json!({ "method": { "exact": "GET" }, "path": { "prefix": "/a" } });
        let mirror = json!({ "name": "copies", "percentage": 35, "match": [path] });
        let mirror: SetMirrorRoute = serde_json::from_value(mirror).unwrap();
        let wanted = [StepRoute::Mirror(&mirror)];
        let next = with_step_rules(&[user_rule("/")], &wanted, &sides(&rollout), source).unwrap();
        assert_eq!(next[1]["backendRefs"], user_rule("/")["backendRefs"]);
        assert_eq!(
            next[1]["matches"],
            json!([{ "method": "GET", "path": { "type": "PathPrefix", "value": "/a" } }])
        );
        let backend = json!({ "name": "canary", "port": 80 });
        let filter =
            json!({ "type": "RequestMirror", "requestMirror": { "backendRef": backend, "percent": 35 } });
        assert_eq!(next[1]["filters"], json!([filter]));
        assert_eq!(with_step_rules(&next, &wanted, &sides(&rollout), source), None);
    }
}
