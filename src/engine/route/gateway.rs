//! Gateway API: weights of the two Services in the rules of HTTPRoutes and GRPCRoutes.
//!
//! Input: the routes, by name or by selector. Output: the same routes, with the canary's weight in every rule that names
//! the stable Service, and with the mark of a canary in progress. All else in a rule stays, other backends and their
//! weights too. A rule is this Rollout's by the Services of its own namespace: a route may stand in another one, but
//! never sends anything to Services that only have the same names.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tidegate_api::valid::{GatewayKind, GatewayRouting, ProgressMark, ROUTES_MAX};

use super::experiment_backends;
use super::step_rules::{self, with_step_rules};
use super::{Acceptance, Fault, Objects, Routed, Router, Selection, Sides, Weights, range, share};
use crate::at::{at, at_mut};
use crate::plan::{Reference, RouteWrite};
use crate::rollout::world::World;

const API_VERSION: &str = "gateway.networking.k8s.io/v1";
/// A backend's weight where it names none, by the Gateway API.
const DEFAULT_WEIGHT: i64 = 1;
const PLUGIN: &str = "spec.strategy.canary.trafficRouting.plugins[argoproj-labs/gatewayAPI]";

pub(super) struct Gateway<'a> {
    spec: &'a GatewayRouting,
}

/// A route that exists, and the one rule in it that is meant, if any.
struct Route<'o> {
    reference: &'o Reference,
    object: &'o Value,
    rule: Option<&'o str>,
    /// Whether it takes the rules of steps.
    takes_steps: bool,
}

impl<'a> Gateway<'a> {
    pub(super) fn new(spec: &'a GatewayRouting) -> Self {
        Self { spec }
    }

    /// The namespace of the routes where it is another one than the Rollout's.
    fn namespace(&self, sides: &Sides<'_>) -> Option<String> {
        self.spec.namespace.clone().filter(|namespace| namespace != sides.home())
    }

    fn reference(&self, kind: GatewayKind, name: &str, sides: &Sides<'_>) -> Reference {
        let namespace = self.namespace(sides);
        Reference { namespace, ..Reference::new(API_VERSION, kind_name(kind), name) }
    }

    /// The routes that exist, each once; a name goes before a selector.
    fn routes<'o>(&'o self, now: &'o Objects, sides: &Sides<'_>) -> Vec<Route<'o>> {
        let mut routes: Vec<Route<'o>> = Vec::new();
        for named in &self.spec.named {
            let found = now.get_key_value(&self.reference(named.kind, &named.name, sides));
            routes.extend(found.map(|(reference, object)| Route {
                reference,
                object,
                rule: named.rule.as_deref(),
                takes_steps: named.takes_steps,
            }));
        }
        let named: BTreeSet<&Reference> = routes.iter().map(|route| route.reference).collect();
        let selections = self.selections(sides);
        let selected = now.iter().filter(|(reference, object)| {
            !named.contains(reference) && selections.iter().any(|one| one.holds(reference, object))
        });
        let selected =
            selected.map(|(reference, object)| Route { reference, object, rule: None, takes_steps: false });
        let selected: Vec<_> = selected.collect();
        routes.extend(selected);
        routes
    }

    /// The route as it should be, and what keeps it from that, if anything.
    fn wanted(&self, route: &Route<'_>, want: &Weights<'_>) -> (Value, Option<String>) {
        let mut object = route.object.clone();
        experiment_backends::drop_unwanted(&mut object, &want.sides, want.extras);
        // Rules of steps that are not wanted any more go first: once two Services have taken turns, these lead to the stable one alone.
        let rules = at_mut(&mut object, "/spec/rules").filter(|_| route.takes_steps);
        if let Some(rules) = rules
            && let Some(next) = rules.as_array().and_then(|rules| {
                with_step_rules(rules, want.steps, &want.sides, |rule, sides| pair(rule, route, sides))
            })
        {
            *rules = Value::Array(next);
        }
        let why = set_weights(&mut object, route, want);
        if let Some(mark) = &self.spec.mark {
            set_mark(&mut object, mark, want);
        }
        let (key, names) = experiment_backends::note(&object, &want.sides, want.extras);
        set_text(&mut object, "annotations", key, names.as_deref());
        (object, why)
    }
}

impl Router for Gateway<'_> {
    fn name(&self) -> &'static str {
        "GatewayAPI"
    }

    fn needs(&self, sides: &Sides<'_>) -> Vec<Reference> {
        self.spec.named.iter().map(|route| self.reference(route.kind, &route.name, sides)).collect()
    }

    fn selections(&self, sides: &Sides<'_>) -> Vec<Selection> {
        let selection = |selected: &tidegate_api::valid::SelectedRoutes| Selection {
            api_version: API_VERSION,
            kind: kind_name(selected.kind),
            namespace: self.namespace(sides),
            selector: selected.selector.clone(),
        };
        self.spec.selected.iter().map(selection).collect()
    }

    fn fault(&self, world: &World, sides: &Sides<'_>) -> Option<Fault> {
        let fault = |field: &str, value: &str, why: String| {
            Some(Fault { path: format!("{PLUGIN}.{field}"), value: value.to_owned(), why })
        };
        let unread = |kind: GatewayKind| {
            let kind = kind_name(kind);
            world.unread.get(kind).map(|why| format!("{kind} cannot be read: {why}"))
        };
        let want = Weights { sides: *sides, canary: 0, steps: &[], extras: &[] };
        let routes = self.routes(&world.routes, sides);
        for named in &self.spec.named {
            let reference = self.reference(named.kind, &named.name, sides);
            let why = match routes.iter().find(|route| *route.reference == reference) {
                Some(route) => self.wanted(route, &want).1,
                None => unread(named.kind).or_else(|| Some(format!("{reference} not found"))),
            };
            if let Some(why) = why {
                return fault(&named.field, &named.name, why);
            }
        }
        for (selected, selection) in self.spec.selected.iter().zip(self.selections(sides)) {
            let held = routes.iter().filter(|route| selection.holds(route.reference, route.object));
            let held: Vec<_> = held.collect();
            let why = match held.len() {
                0 => unread(selected.kind).or_else(|| Some(format!("selects no {}", selection.kind))),
                count if count > ROUTES_MAX => Some(format!("selects {count} routes, {ROUTES_MAX} at most")),
                _ => held.iter().find_map(|route| self.wanted(route, &want).1),
            };
            if let Some(why) = why {
                return fault(selected.field, &shown(&selection), why);
            }
        }
        None
    }

    fn weights(&self, now: &Objects, sides: &Sides<'_>) -> (i32, i32) {
        range(self.routes(now, sides).iter().filter_map(|route| weights_of(route, sides)))
    }

    fn has_step_rules(&self, now: &Objects, sides: &Sides<'_>) -> bool {
        self.routes(now, sides).iter().filter(|route| route.takes_steps).any(|route| {
            let rules = at(route.object, "/spec/rules").and_then(Value::as_array);
            rules.is_some_and(|rules| step_rules::any(rules, sides, |rule, sides| pair(rule, route, sides)))
        })
    }

    fn extras(&self, now: &Objects, sides: &Sides<'_>) -> BTreeMap<String, i32> {
        let mut all = BTreeMap::new();
        for route in self.routes(now, sides) {
            for (service, weight) in experiment_backends::weights(route.object, sides) {
                let most: &mut i32 = all.entry(service).or_default();
                *most = (*most).max(weight);
            }
        }
        all
    }

    fn acceptance(&self, now: &Objects, sides: &Sides<'_>) -> Acceptance {
        let routes = self.routes(now, sides);
        routes.iter().map(acceptance_of).max().unwrap_or(Acceptance::Silent)
    }

    fn route(&self, now: &Objects, want: &Weights<'_>) -> Routed {
        let mut routed = Routed::default();
        let mut found = BTreeSet::new();
        for route in self.routes(now, &want.sides) {
            found.insert(route.reference);
            let (to, why) = self.wanted(&route, want);
            routed.refusal = routed.refusal.or(why);
            if to != *route.object {
                routed.writes.push(RouteWrite {
                    reference: route.reference.clone(),
                    from: Some(route.object.clone()),
                    to,
                    weight: want.canary,
                    max_weight: want.sides.max,
                });
            }
        }
        let missing = self.needs(&want.sides).into_iter().find(|need| !found.contains(need));
        routed.refusal = routed.refusal.or_else(|| missing.map(|missing| format!("{missing} not found")));
        routed
    }
}

fn kind_name(kind: GatewayKind) -> &'static str {
    match kind {
        GatewayKind::Http => "HTTPRoute",
        GatewayKind::Grpc => "GRPCRoute",
    }
}

fn shown(selection: &Selection) -> String {
    serde_json::to_string(&selection.selector).unwrap_or_default()
}

/// Where the two Services stand among the backends of a rule.
#[derive(Debug, Default)]
struct Places {
    canary: Vec<usize>,
    stable: Vec<usize>,
}

/// Looks for the two Services in one rule; `of` is the namespace of the route.
fn places(backends: &[Value], of: &str, sides: &Sides<'_>) -> Places {
    let mut places = Places::default();
    for (index, backend) in backends.iter().enumerate() {
        let text = |field: &str| backend.get(field).and_then(Value::as_str);
        let is_service =
            text("group").unwrap_or_default().is_empty() && text("kind").is_none_or(|kind| kind == "Service");
        if !is_service || text("namespace").unwrap_or(of) != sides.home() {
            continue;
        }
        match text("name") {
            Some(name) if name == sides.stable_service => places.stable.push(index),
            Some(name) if name == sides.canary_service => places.canary.push(index),
            Some(_) | None => {}
        }
    }
    places
}

/// Where the canary stands in a rule that is the Rollout's to weight.
fn pair(rule: &Value, route: &Route<'_>, sides: &Sides<'_>) -> Option<usize> {
    let backends =
        rule.get("backendRefs").and_then(Value::as_array).filter(|_| is_meant(rule, route.rule))?;
    let places = places(backends, namespace_of(route, sides), sides);
    places.canary.first().copied().filter(|_| !places.stable.is_empty())
}

/// The namespace of a route.
fn namespace_of<'o>(route: &Route<'o>, sides: &Sides<'o>) -> &'o str {
    route.reference.namespace.as_deref().unwrap_or_else(|| sides.home())
}

fn is_meant(rule: &Value, wanted: Option<&str>) -> bool {
    wanted.is_none_or(|wanted| rule.get("name").and_then(Value::as_str) == Some(wanted))
}

/// Gives both Services their weights in every rule that names the stable one. Says what does not fit in words that say
/// what to change; all rules that fit are weighted all the same.
fn set_weights(object: &mut Value, route: &Route<'_>, want: &Weights<'_>) -> Option<String> {
    let sides = &want.sides;
    let (reference, of) = (route.reference, namespace_of(route, sides));
    let (stable, canary) = (sides.stable_service, sides.canary_service);
    let (mut why, mut count) = (None, 0);
    let rules = at_mut(object, "/spec/rules").and_then(Value::as_array_mut);
    for (index, rule) in rules.into_iter().flatten().enumerate() {
        if !is_meant(rule, route.rule) {
            continue;
        }
        let Some(backends) = rule.get_mut("backendRefs").and_then(Value::as_array_mut) else { continue };
        let places = places(backends, of, sides);
        if places.stable.is_empty() {
            continue;
        }
        count += 1;
        if places.canary.is_empty() {
            let text = format!(
                "{reference} names Service {stable} but not {canary} in spec.rules[{index}]: add a backendRef with name \
                 {canary} and weight 0 to it"
            );
            why.get_or_insert(text);
            continue;
        }
        if places.stable.len() > 1 || places.canary.len() > 1 {
            let text = format!(
                "{reference} names Service {stable} or {canary} more than once in spec.rules[{index}].backendRefs: name \
                 each once"
            );
            why.get_or_insert(text);
        }
        let given: i32 = want.extras.iter().map(|extra| extra.weight).sum();
        let stable = (sides.max - want.canary - given).max(0);
        for (places, weight) in [(places.stable, stable), (places.canary, want.canary)] {
            for (nth, place) in places.into_iter().enumerate() {
                backends[place]["weight"] = json!(if nth == 0 { weight } else { 0 });
            }
        }
        experiment_backends::put(backends, want.extras, of, sides);
    }
    if count == 0 && want.canary == 0 {
        take_orphans_out(object, route, sides);
    }
    why.or_else(|| (count == 0).then(|| unnamed(route, sides)))
}

/// Takes the weight off a canary whose stable side is not in the route any more, because somebody renamed it: an abort
/// must not wait until that is put right. A rule that has nothing but the canary stays as its owner made it.
fn take_orphans_out(object: &mut Value, route: &Route<'_>, sides: &Sides<'_>) {
    let rules = at_mut(object, "/spec/rules").and_then(Value::as_array_mut);
    for rule in rules.into_iter().flatten().filter(|rule| is_meant(rule, route.rule)) {
        let Some(backends) = rule.get_mut("backendRefs").and_then(Value::as_array_mut) else { continue };
        let places = places(backends, namespace_of(route, sides), sides);
        if places.canary.len() < backends.len() {
            places.canary.into_iter().for_each(|place| backends[place]["weight"] = json!(0));
        }
    }
}

/// Nothing in a route is this Rollout's.
fn unnamed(route: &Route<'_>, sides: &Sides<'_>) -> String {
    let rule = route.rule.map_or_else(|| "rule".to_owned(), |rule| format!("rule {rule:?}"));
    let home = if namespace_of(route, sides) == sides.home() {
        String::new()
    } else {
        format!(" of namespace {}", sides.home())
    };
    format!(
        "{} has no {rule} with Service {}{home} in its backendRefs",
        route.reference, sides.stable_service
    )
}

/// The smallest and the largest share of the canary in any rule that names the stable Service, in parts of all traffic,
/// rounded up. Where no rule does, because somebody renamed it, the share beside whatever is there.
fn weights_of(route: &Route<'_>, sides: &Sides<'_>) -> Option<(i32, i32)> {
    let rules = at(route.object, "/spec/rules").and_then(Value::as_array);
    let meant = rules.into_iter().flatten().filter(|rule| is_meant(rule, route.rule));
    let backends = meant.filter_map(|rule| rule.get("backendRefs").and_then(Value::as_array));
    let placed: Vec<_> =
        backends.map(|backends| (backends, places(backends, namespace_of(route, sides), sides))).collect();
    let extras = experiment_backends::known(route.object, sides);
    let is_orphaned = placed.iter().all(|(_, places)| places.stable.is_empty());
    let shares = placed.iter().filter_map(|(backends, places)| {
        let weight = |place: &usize| {
            let weight = backends.get(*place).and_then(|backend| backend.get("weight"));
            weight.and_then(Value::as_i64).unwrap_or(DEFAULT_WEIGHT).clamp(0, i64::from(i32::MAX))
        };
        let canary: i64 = places.canary.iter().map(weight).sum();
        let beside: Vec<usize> = if is_orphaned {
            (0..backends.len()).filter(|place| !places.canary.contains(place)).collect()
        } else {
            places.stable.clone()
        };
        let of_extras = if is_orphaned { 0 } else { experiment_backends::total(backends, &extras) };
        let rest = beside.iter().map(weight).sum::<i64>() + of_extras;
        (!beside.is_empty()).then(|| share(canary, rest, sides.max))
    });
    shares.fold(None, |known, share| {
        let (least, most) = known.unwrap_or((share, share));
        Some((least.min(share), most.max(share)))
    })
}

/// Marks a route as one with a canary, or takes the mark away. Several Rollouts may share a route: the annotation says
/// whose canaries have weight, and the label goes with the last of them. A label with somebody else's value stays.
fn set_mark(object: &mut Value, mark: &ProgressMark, want: &Weights<'_>) {
    let name = want.sides.rollout.metadata.name.as_deref().unwrap_or_default();
    let own = format!("{}/{name}", want.sides.home());
    let text = |object: &Value, map: &str, key: &str| {
        let known = at(object, "/metadata").and_then(|metadata| metadata.get(map)?.get(key));
        known.and_then(Value::as_str).map(str::to_owned)
    };
    let known = text(object, "annotations", &mark.active_key).unwrap_or_default();
    let mut active: BTreeSet<&str> = known.split(',').map(str::trim).filter(|one| !one.is_empty()).collect();
    if want.canary > 0 {
        active.insert(&own);
    } else {
        active.remove(own.as_str());
    }
    let active = active.into_iter().collect::<Vec<_>>().join(",");
    let label = text(object, "labels", &mark.key);
    if label.is_none() || label.as_ref() == Some(&mark.value) {
        let value = (!active.is_empty()).then_some(mark.value.as_str());
        set_text(object, "labels", &mark.key, value);
    }
    set_text(object, "annotations", &mark.active_key, (!active.is_empty()).then_some(active.as_str()));
}

/// Sets or removes one label or annotation, and leaves no empty map that was not there.
fn set_text(object: &mut Value, map: &str, key: &str, value: Option<&str>) {
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    match (value, metadata.get_mut(map).and_then(Value::as_object_mut)) {
        (Some(value), Some(known)) => {
            known.insert(key.to_owned(), json!(value));
        }
        (Some(value), None) => {
            metadata.insert(map.to_owned(), json!({ key: value }));
        }
        (None, Some(known)) => {
            if known.remove(key).is_some() && known.is_empty() {
                metadata.remove(map);
            }
        }
        (None, None) => {}
    }
}

/// What the parents of a route say. One that refuses it serves nothing, so it matters only where no other accepts; one
/// that accepted an older generation still serves the older weights.
fn acceptance_of(route: &Route<'_>) -> Acceptance {
    let list = |pointer: &str| at(route.object, pointer).and_then(Value::as_array).into_iter().flatten();
    let wanted: Vec<&Value> = list("/spec/parentRefs").collect();
    // Whoever the route does not belong to any more has left its last word, and will never say another.
    let parents = list("/status/parents")
        .filter(|parent| wanted.iter().any(|wanted| is_same_parent(wanted, &parent["parentRef"], route)));
    let generation = at(route.object, "/metadata/generation").and_then(Value::as_i64).unwrap_or(0);
    let (mut accepted, mut refused) = (false, None);
    for parent in parents {
        let gateway = at(parent, "/parentRef/name").and_then(Value::as_str).unwrap_or_default();
        let conditions = parent.get("conditions").and_then(Value::as_array).into_iter().flatten();
        let of_type =
            |condition: &&Value| condition["type"] == "Accepted" || condition["type"] == "Programmed";
        for condition in conditions.filter(of_type) {
            let observed = condition.get("observedGeneration").and_then(Value::as_i64);
            if condition["status"] != "True" {
                refused.get_or_insert_with(|| refusal(route, gateway, condition));
            } else if let Some(observed) = observed.filter(|observed| *observed < generation) {
                return Acceptance::Behind(format!(
                    "{} is at generation {generation}, gateway {gateway} has accepted {observed}",
                    route.reference
                ));
            } else {
                accepted = true;
            }
        }
    }
    if accepted {
        return Acceptance::Accepted;
    }
    refused.map_or(Acceptance::Silent, Acceptance::Refused)
}

/// Whether two references name the same parent; the Gateway API says what an absent field means.
fn is_same_parent(wanted: &Value, told: &Value, route: &Route<'_>) -> bool {
    let home = at(route.object, "/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
    let key = |parent: &Value| {
        let text = |field: &str, default: &str| {
            parent.get(field).and_then(Value::as_str).unwrap_or(default).to_owned()
        };
        let whose =
            [text("group", "gateway.networking.k8s.io"), text("kind", "Gateway"), text("namespace", home)];
        (whose, text("name", ""), text("sectionName", ""), parent.get("port").and_then(Value::as_i64))
    };
    key(wanted) == key(told)
}

fn refusal(route: &Route<'_>, gateway: &str, condition: &Value) -> String {
    let text = |field: &str| condition.get(field).and_then(Value::as_str).unwrap_or_default();
    let message: String = text("message").chars().take(200).collect();
    format!("gateway {gateway} does not serve {}: {} {message}", route.reference, text("reason"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tidegate_api::rollout::Rollout;
    use tidegate_api::valid::{NamedRoute, SelectedRoutes};

    use super::super::Extra;
    use super::*;

    fn rollout(name: &str) -> Rollout {
        serde_json::from_value(json!({ "metadata": { "name": name, "namespace": "web" }, "spec": {} }))
            .unwrap()
    }

    fn named(namespace: Option<&str>, rule: Option<&str>) -> GatewayRouting {
        let route = NamedRoute {
            kind: GatewayKind::Http,
            name: "shop".to_owned(),
            rule: rule.map(str::to_owned),
            field: "httpRoute".to_owned(),
            takes_steps: true,
        };
        GatewayRouting {
            namespace: namespace.map(str::to_owned),
            named: vec![route],
            ..GatewayRouting::default()
        }
    }

    fn mark() -> ProgressMark {
        ProgressMark { key: "canary".to_owned(), value: "yes".to_owned(), active_key: "whose".to_owned() }
    }

    fn weights(rollout: &Rollout, canary: i32, max: i32) -> Weights<'_> {
        let sides =
            Sides { rollout, canary_service: "canary", stable_service: "stable", max, max_named: false };
        Weights { sides, canary, steps: &[], extras: &[] }
    }

    fn route(rules: Value) -> Value {
        json!({ "metadata": { "name": "shop", "generation": 3 }, "spec": { "rules": rules } })
    }

    fn rule(weights: &[(&str, Option<i32>)]) -> Value {
        let backends: Vec<Value> = weights
            .iter()
            .map(|(name, weight)| match weight {
                Some(weight) => json!({ "name": name, "weight": weight }),
                None => json!({ "name": name }),
            })
            .collect();
        json!({ "backendRefs": backends })
    }

    /// What is written, and the weight that is shown before.
    fn routed(spec: &GatewayRouting, now: &Value, canary: i32, max: i32) -> (Routed, i32) {
        let rollout = rollout("shop");
        let (gateway, want) = (Gateway::new(spec), weights(&rollout, canary, max));
        let namespace = spec.namespace.clone();
        let reference = Reference { namespace, ..Reference::new(API_VERSION, "HTTPRoute", "shop") };
        let objects = Objects::from([(reference, Arc::new(now.clone()))]);
        (gateway.route(&objects, &want), gateway.weights(&objects, &want.sides).1)
    }

    #[test]
    fn every_rule_that_names_the_stable_service_gets_both_weights() {
        let docs = rule(&[("docs", None)]);
        let now = route(json!([
            rule(&[("stable", None), ("canary", None), ("third", Some(5))]),
            docs,
            rule(&[("canary", Some(0)), ("stable", Some(8))]),
            rule(&[("canary", Some(1))]),
        ]));
        let (written, shown) = routed(&named(None, None), &now, 20, 100);
        assert_eq!(shown, 50, "backends without weights share evenly");
        assert_eq!(written.refusal, None);
        let want = route(json!([
            rule(&[("stable", Some(80)), ("canary", Some(20)), ("third", Some(5))]),
            docs,
            rule(&[("canary", Some(20)), ("stable", Some(80))]),
            rule(&[("canary", Some(1))]),
        ]));
        assert_eq!(written.writes[0].to, want);
        assert_eq!(routed(&named(None, None), &want, 20, 100), (Routed::default(), 20));
    }

    #[test]
    fn shares_are_read_in_any_measure_and_never_as_less() {
        let cases = [
            ((Some(0), Some(0)), 100, 0),
            ((Some(0), Some(1)), 100, 0),
            ((Some(1), Some(0)), 100, 100),
            ((Some(1), Some(4)), 100, 20),
            ((Some(1), Some(999_999)), 100, 1),
            ((Some(999_999), Some(1)), 100, 100),
            ((Some(300), Some(700)), 1000, 300),
            ((None, Some(3)), 100, 25),
        ];
        for ((canary, stable), max, want) in cases {
            let now = route(json!([rule(&[("stable", stable), ("canary", canary)])]));
            assert_eq!(routed(&named(None, None), &now, 0, max).1, want, "{canary:?} {stable:?}");
        }
        let huge = json!([{ "backendRefs": [{ "name": "stable", "weight": i64::MAX }, { "name": "canary", "weight": i64::MAX }] }]);
        assert_eq!(routed(&named(None, None), &route(huge), 0, 100).1, 50);
    }

    #[test]
    fn what_does_not_fit_is_refused_with_what_to_change_and_lowered_where_it_can_be() {
        let cases = [
            (json!([rule(&[("stable", None)])]), "add a backendRef with name canary"),
            (json!([rule(&[("stable", None), ("stable", None), ("canary", None)])]), "more than once"),
            (json!([rule(&[("canary", None)])]), "has no rule with Service stable in its"),
            (json!([]), "has no rule"),
            (json!("text"), "has no rule"),
            (json!([{ "backendRefs": 5 }, 7]), "has no rule"),
        ];
        for (rules, want) in cases {
            let refusal = routed(&named(None, None), &route(rules.clone()), 20, 100).0.refusal.unwrap();
            assert!(refusal.contains(want), "{rules}: {refusal}");
        }
        let half =
            route(json!([rule(&[("stable", Some(1))]), rule(&[("stable", Some(60)), ("canary", Some(40))])]));
        let (written, shown) = routed(&named(None, None), &half, 0, 100);
        assert_eq!((shown, written.writes.len()), (40, 1));
        let renamed =
            route(json!([rule(&[("former", Some(60)), ("canary", Some(40))]), rule(&[("canary", None)])]));
        let (written, shown) = routed(&named(None, None), &renamed, 0, 100);
        assert_eq!(shown, 40, "a canary without its stable Service has its weight all the same");
        assert_eq!(written.writes[0].to["spec"]["rules"][0]["backendRefs"][1]["weight"], 0);
        assert_eq!(written.writes[0].to["spec"]["rules"][1], renamed["spec"]["rules"][1]);
        assert_eq!(routed(&named(None, None), &renamed, 20, 100).0.writes, []);
        let twice = route(json!([rule(&[("stable", Some(1)), ("canary", Some(3)), ("canary", Some(4))])]));
        let (written, _) = routed(&named(None, None), &twice, 0, 100);
        assert_eq!(routed(&named(None, None), &written.writes[0].to, 0, 100).1, 0);
    }

    #[test]
    fn one_rule_may_be_meant_and_the_others_stay() {
        let with_name = |name: &str, mut rule: Value| {
            rule["name"] = json!(name);
            rule
        };
        let pair = rule(&[("stable", Some(95)), ("canary", Some(0))]);
        let now = route(json!([with_name("live", pair.clone()), with_name("argo", pair)]));
        let (written, _) = routed(&named(None, Some("argo")), &now, 10, 100);
        let rules = &written.writes[0].to["spec"]["rules"];
        assert_eq!(rules[0], now["spec"]["rules"][0]);
        assert_eq!(rules[1]["backendRefs"][1]["weight"], 10);
        let missing = routed(&named(None, Some("none")), &now, 10, 100).0.refusal.unwrap();
        assert!(missing.contains("no rule \"none\""), "{missing}");
    }

    #[test]
    fn services_of_the_same_name_elsewhere_are_not_ours() {
        let spec = named(Some("infra"), None);
        let pair = rule(&[("stable", Some(1)), ("canary", Some(1))]);
        let (written, shown) = routed(&spec, &route(json!([pair])), 20, 100);
        assert_eq!((shown, written.writes.len()), (0, 0));
        assert!(
            written
                .refusal
                .unwrap()
                .contains("HTTPRoute infra/shop has no rule with Service stable of namespace web")
        );
        let ours = json!([{ "backendRefs": [
            { "name": "stable", "namespace": "web", "weight": 1 }, { "name": "canary", "namespace": "web", "weight": 0 },
            { "name": "stable", "kind": "Bucket", "group": "example.com" },
        ] }]);
        let (written, _) = routed(&spec, &route(ours), 20, 100);
        assert_eq!(written.refusal, None);
        assert_eq!(written.writes[0].to.pointer("/spec/rules/0/backendRefs/1/weight"), Some(&json!(20)));
    }

    #[test]
    fn the_mark_goes_with_the_last_canary_and_is_nobody_elses() {
        let (first, second) = (rollout("a"), rollout("b"));
        let mut object = json!({ "metadata": { "name": "shop", "labels": { "team": "x" } } });
        let before = object.clone();
        set_mark(&mut object, &mark(), &weights(&first, 20, 100));
        assert_eq!(object["metadata"]["labels"], json!({ "team": "x", "canary": "yes" }));
        set_mark(&mut object, &mark(), &weights(&second, 20, 100));
        assert_eq!(object["metadata"]["annotations"]["whose"], "web/a,web/b");
        set_mark(&mut object, &mark(), &weights(&first, 0, 100));
        assert_eq!(object["metadata"]["labels"]["canary"], "yes", "the other canary goes on");
        set_mark(&mut object, &mark(), &weights(&second, 0, 100));
        assert_eq!(object, before);
        let mut theirs = json!({ "metadata": { "labels": { "canary": "theirs" } } });
        let kept = theirs.clone();
        set_mark(&mut theirs, &mark(), &weights(&first, 20, 100));
        assert_eq!(theirs["metadata"]["labels"], kept["metadata"]["labels"]);
    }

    #[test]
    fn services_of_an_experiment_come_and_go_at_the_cost_of_the_stable_one() {
        let rollout = rollout("shop");
        let pair = rule(&[("stable", Some(80)), ("canary", Some(20))]);
        let theirs = rule(&[("probe", Some(3))]);
        let object = Arc::new(route(json!([pair, theirs])));
        let reference = Reference::new(API_VERSION, "HTTPRoute", "shop");
        let spec = named(None, None);
        let gateway = Gateway::new(&spec);
        let extras = [("probe-a", 10), ("probe-b", 5)];
        let extras =
            extras.map(|(service, weight)| Extra { service: service.to_owned(), port: 8080, weight });
        let want = |extras| Weights { extras, ..weights(&rollout, 20, 100) };
        let plain = Objects::from([(reference.clone(), object.clone())]);
        assert_eq!(gateway.route(&plain, &want(&[])), Routed::default(), "there is nothing to do");
        let to = gateway.route(&plain, &want(&extras)).writes.remove(0).to;
        assert_eq!(
            to["spec"]["rules"],
            json!([{ "backendRefs": [
                { "name": "stable", "weight": 65 }, { "name": "canary", "weight": 20 },
                { "name": "probe-a", "port": 8080, "weight": 10 }, { "name": "probe-b", "port": 8080, "weight": 5 },
            ] }, theirs])
        );
        let shared = Objects::from([(reference, Arc::new(to))]);
        let sides = want(&[]).sides;
        assert_eq!(
            gateway.weights(&shared, &sides).1,
            20,
            "what the others have changes nothing for the canary"
        );
        let shown = [("probe-a".to_owned(), 10), ("probe-b".to_owned(), 5)];
        assert_eq!(gateway.extras(&shared, &sides), shown.into());
        assert_eq!(gateway.route(&shared, &want(&extras)), Routed::default());
        let back = gateway.route(&shared, &want(&[])).writes.remove(0).to;
        assert_eq!(back, *object, "all of it goes, and nothing else");
    }

    #[test]
    fn backends_of_experiments_are_those_of_this_rollout_in_its_own_namespace() {
        let (ours, others) = (rollout("a"), rollout("b"));
        let mut object =
            route(json!([rule(&[("stable", Some(1)), ("canary", Some(0)), ("probe", Some(1))])]));
        object["metadata"]["annotations"] = json!({ "tidegate.dev/experiment-backends": "web/b/probe" });
        let spec = named(Some("edge"), None);
        let reference = Reference {
            namespace: Some("edge".to_owned()),
            ..Reference::new(API_VERSION, "HTTPRoute", "shop")
        };
        object["spec"]["rules"][0]["backendRefs"][0]["namespace"] = json!("web");
        object["spec"]["rules"][0]["backendRefs"][1]["namespace"] = json!("web");
        let objects = Objects::from([(reference, Arc::new(object))]);
        let gateway = Gateway::new(&spec);
        assert_eq!(gateway.extras(&objects, &weights(&ours, 0, 100).sides), Default::default());
        assert_eq!(
            gateway.extras(&objects, &weights(&others, 0, 100).sides),
            [("probe".to_owned(), 1)].into()
        );
        let extras = [Extra { service: "mine".to_owned(), port: 80, weight: 7 }];
        let want = Weights { extras: &extras, ..weights(&ours, 0, 100) };
        let to = gateway.route(&objects, &want).writes.remove(0).to;
        assert_eq!(
            to["metadata"]["annotations"]["tidegate.dev/experiment-backends"],
            "web/a/mine,web/b/probe"
        );
        let backend = &to["spec"]["rules"][0]["backendRefs"][3];
        assert_eq!(*backend, json!({ "name": "mine", "port": 80, "weight": 7, "namespace": "web" }));
    }

    #[test]
    fn routes_are_found_by_their_labels_once() {
        let mut spec = named(None, None);
        let selector = serde_json::from_value(json!({ "matchLabels": { "app": "shop" } })).unwrap();
        spec.selected.push(SelectedRoutes { kind: GatewayKind::Http, selector, field: "httpRouteSelector" });
        let pair = rule(&[("stable", Some(1)), ("canary", Some(0))]);
        let labelled = |name: &str, app: &str| {
            let mut object = route(json!([pair]));
            object["metadata"] = json!({ "name": name, "labels": { "app": app } });
            (Reference::new(API_VERSION, "HTTPRoute", name), Arc::new(object))
        };
        let objects =
            Objects::from([labelled("shop", "shop"), labelled("other", "shop"), labelled("foreign", "x")]);
        let rollout = rollout("shop");
        let routed = Gateway::new(&spec).route(&objects, &weights(&rollout, 20, 100));
        let names: Vec<&str> = routed.writes.iter().map(|write| write.reference.name.as_str()).collect();
        assert_eq!(names, ["shop", "other"]);
    }

    #[test]
    fn what_gateways_say_counts_by_generation() {
        let parent = |status: &str, observed: Option<i64>| {
            let mut condition = json!({ "type": "Accepted", "status": status, "reason": "NoMatchingParent" });
            if let Some(observed) = observed {
                condition["observedGeneration"] = json!(observed);
            }
            json!({ "parentRef": { "name": "eg" }, "conditions": [condition, { "type": "ResolvedRefs", "status": "False" }] })
        };
        let said = |parents: Value| {
            let mut object = route(json!([]));
            object["spec"]["parentRefs"] = json!([{ "name": "eg", "kind": "Gateway" }]);
            object["status"] = json!({ "parents": parents });
            let reference = Reference::new(API_VERSION, "HTTPRoute", "shop");
            acceptance_of(&Route { reference: &reference, object: &object, rule: None, takes_steps: false })
        };
        assert_eq!(said(json!([])), Acceptance::Silent);
        assert_eq!(said(json!([parent("True", Some(3))])), Acceptance::Accepted);
        assert_eq!(said(json!([parent("True", None)])), Acceptance::Accepted);
        assert_eq!(said(json!([parent("False", Some(3)), parent("True", Some(3))])), Acceptance::Accepted);
        assert!(matches!(
            said(json!([parent("True", Some(3)), parent("True", Some(2))])),
            Acceptance::Behind(_)
        ));
        assert!(
            matches!(said(json!([parent("False", Some(3))])), Acceptance::Refused(why) if why.contains("NoMatchingParent"))
        );
        let mut former = parent("True", Some(2));
        former["parentRef"]["name"] = json!("former");
        assert_eq!(said(json!([former, parent("True", Some(3))])), Acceptance::Accepted);
    }
}
