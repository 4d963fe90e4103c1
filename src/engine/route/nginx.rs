//! NGINX Ingress: a second Ingress, marked as canary, takes its share of the stable Ingress' requests, and those with a
//! header that a step names.
//!
//! Input: the stable and the canary Ingress. Output: the canary Ingress with the wanted weight and header. It is created
//! on the first round with weight 0 and never deleted; the stable Ingress is never touched. Names, annotations
//! and what is copied are those of Argo Rollouts' NGINX support, read by ingress-nginx and by Traefik alike. Both look at
//! the header first, then at the weight; both know one canary Ingress of a rule, so the two stand on the same one.

use serde_json::{Map, Value, json};
use tidegate_api::rollout::{NginxTrafficRouting, Rollout, SetHeaderRoute};

use super::{Fault, Objects, Routed, Router, Sides, StepRoute, Weights, range};
use crate::at::{at, at_mut};
use crate::plan::{Notice, Reference, RouteWrite};
use crate::rollout::world::{World, owner_reference};

const DEFAULT_PREFIX: &str = "nginx.ingress.kubernetes.io";
const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";
/// Annotations that choose requests by a header: its name, and the value or the expression that it has.
const BY_HEADER: [&str; 3] = ["canary-by-header", "canary-by-header-value", "canary-by-header-pattern"];
/// Which managed route those annotations are of: what users write there themselves stays.
const HEADER_ROUTE: &str = "tidegate.dev/header-route";
/// Longest name of an object whose name is a DNS subdomain.
const NAME_LIMIT: usize = 253;

pub(super) struct Nginx<'a> {
    spec: &'a NginxTrafficRouting,
}

impl<'a> Nginx<'a> {
    pub(super) fn new(spec: &'a NginxTrafficRouting) -> Self {
        Self { spec }
    }

    fn prefix(&self) -> &str {
        self.spec.annotation_prefix.as_deref().filter(|prefix| !prefix.is_empty()).unwrap_or(DEFAULT_PREFIX)
    }

    fn stable_ingresses(&self) -> Vec<&str> {
        let single = self.spec.stable_ingress.as_deref().filter(|name| !name.is_empty());
        single.into_iter().chain(self.spec.stable_ingresses.iter().map(String::as_str)).collect()
    }

    fn annotation(&self, name: &str) -> String {
        format!("{}/{name}", self.prefix())
    }

    /// Annotations of the canary Ingress; those that somebody else added to it stay.
    fn annotations(&self, stable: &Value, now: Option<&Value>, want: &Weights<'_>) -> Map<String, Value> {
        let mut annotations: Map<String, Value> = now
            .and_then(|now| at(now, "/metadata/annotations"))
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default();
        self.take_header_off(&mut annotations);
        if let Some(class) = at(stable, "/metadata/annotations").and_then(|all| all.get(CLASS_ANNOTATION)) {
            annotations.insert(CLASS_ANNOTATION.to_owned(), class.clone());
        }
        for (name, value) in &self.spec.additional_ingress_annotations {
            let prefix = format!("{}/", self.prefix());
            let name = if name.starts_with(&prefix) { name.clone() } else { format!("{prefix}{name}") };
            annotations.insert(name, json!(value));
        }
        for (name, value) in &self.spec.canary_ingress_annotations {
            annotations.insert(name.clone(), json!(value));
        }
        annotations.insert(self.annotation("canary"), json!("true"));
        annotations.insert(self.annotation("canary-weight"), json!(want.canary.to_string()));
        if want.sides.max_named {
            annotations.insert(self.annotation("canary-weight-total"), json!(want.sides.max.to_string()));
        }
        if let Some(header) = header_route(want) {
            let [value, pattern] = header_match(header);
            let name = header.match_.first().map(|one| one.header_name.clone());
            for (annotation, text) in BY_HEADER.into_iter().zip([name, value, pattern]) {
                annotations.extend(text.map(|text| (self.annotation(annotation), json!(text))));
            }
            annotations.insert(HEADER_ROUTE.to_owned(), json!(header.name));
        }
        annotations
    }

    /// Takes away what a step wrote.
    fn take_header_off(&self, annotations: &mut Map<String, Value>) {
        if annotations.remove(HEADER_ROUTE).is_some() {
            for name in BY_HEADER {
                annotations.remove(&self.annotation(name));
            }
        }
    }

    /// The canary Ingress with nothing but a lower weight or without a step's header, which needs no stable Ingress to be
    /// copied from.
    fn lowered(&self, canary: &Value, want: &Weights<'_>) -> Option<Value> {
        let is_heavy = weight_of(canary, self.prefix()) > want.canary;
        let has_header = has_header_route(canary) && header_route(want).is_none();
        if !controlled_by(canary, want.sides.rollout) || !is_heavy && !has_header {
            return None;
        }
        let mut object = canary.clone();
        let annotations = at_mut(&mut object, "/metadata/annotations").and_then(Value::as_object_mut)?;
        if is_heavy {
            annotations.insert(self.annotation("canary-weight"), json!(want.canary.to_string()));
        }
        if has_header {
            self.take_header_off(annotations);
        }
        Some(object)
    }

    /// The canary Ingress as it should be, or what keeps it from being written.
    fn wanted(
        &self,
        name: &str,
        stable: &Value,
        now: Option<&Value>,
        want: &Weights<'_>,
    ) -> Result<Value, String> {
        if let Some(now) = now
            && !controlled_by(now, want.sides.rollout)
        {
            return Err(format!(
                "ingress `{name}` exists but is not controlled by this Rollout: rename or delete it"
            ));
        }
        let rules = canary_rules(stable, want);
        if rules.is_empty() {
            let ingress = at(stable, "/metadata/name").and_then(Value::as_str).unwrap_or_default();
            return Err(format!(
                "ingress `{ingress}` has no rules using service {} backend",
                want.sides.stable_service
            ));
        }
        let mut object = now.cloned().unwrap_or_else(|| {
            json!({
                "apiVersion": "networking.k8s.io/v1",
                "kind": "Ingress",
                "metadata": {
                    "name": name,
                    "namespace": want.sides.rollout.metadata.namespace,
                    "ownerReferences": [owner_reference(want.sides.rollout)],
                },
            })
        });
        object["metadata"]["annotations"] = Value::Object(self.annotations(stable, now, want));
        let mut spec = Map::new();
        for field in ["ingressClassName", "tls"] {
            if let Some(value) = at(stable, &format!("/spec/{field}")) {
                spec.insert(field.to_owned(), value.clone());
            }
        }
        spec.insert("rules".to_owned(), Value::Array(rules));
        object["spec"] = Value::Object(spec);
        Ok(object)
    }
}

impl Router for Nginx<'_> {
    fn name(&self) -> &'static str {
        "Nginx"
    }

    fn needs(&self, sides: &Sides<'_>) -> Vec<Reference> {
        self.stable_ingresses()
            .into_iter()
            .flat_map(|stable| [ingress(stable), ingress(&canary_name(sides.rollout, stable))])
            .collect()
    }

    fn fault(&self, world: &World, sides: &Sides<'_>) -> Option<Fault> {
        let service = sides.stable_service;
        let single = self.spec.stable_ingress.as_deref().filter(|name| !name.is_empty());
        let single = single.map(|name| ("stableIngress", name));
        let several = self.spec.stable_ingresses.iter().map(|name| ("stableIngresses", name.as_str()));
        let all = || single.into_iter().chain(several.clone());
        let fault = |field: &str, value: String, why: String| {
            Some(Fault { path: format!("spec.strategy.canary.trafficRouting.nginx.{field}"), value, why })
        };
        let missing = all().find(|(_, name)| !world.routes.contains_key(&ingress(name)));
        if let Some((field, name)) = missing {
            let why = format!("ingress.networking.k8s.io {name:?} not found");
            // Upstream spells the list's name with a capital and shows the whole list.
            return match field {
                "stableIngress" => fault(field, name.to_owned(), why),
                _ => fault("StableIngresses", serde_json::json!(self.spec.stable_ingresses).to_string(), why),
            };
        }
        all().find_map(|(field, name)| {
            let reaches = world.routes.get(&ingress(name)).is_some_and(|ingress| reaches(ingress, service));
            let why = format!("ingress `{name}` has no rules using service {service} backend");
            if reaches { None } else { fault(field, name.to_owned(), why) }
        })
    }

    fn weights(&self, now: &Objects, sides: &Sides<'_>) -> (i32, i32) {
        // A canary Ingress that does not exist has no weight.
        let weights = self.stable_ingresses().into_iter().map(|stable| {
            let canary = now.get(&ingress(&canary_name(sides.rollout, stable)));
            canary.map_or(0, |canary| weight_of(canary, self.prefix()))
        });
        range(weights.map(|weight| (weight, weight)))
    }

    fn has_step_rules(&self, now: &Objects, sides: &Sides<'_>) -> bool {
        let mut names = self.stable_ingresses().into_iter().map(|stable| canary_name(sides.rollout, stable));
        names.any(|name| now.get(&ingress(&name)).is_some_and(|canary| has_header_route(canary)))
    }

    fn notices(&self, write: &RouteWrite) -> Vec<Notice> {
        let (name, weight) = (&write.reference.name, write.weight);
        vec![if write.from.is_none() {
            let message = format!("Creating canary ingress `{name}` with weight `{weight}`");
            Notice::normal("CreatingCanaryIngress", message)
        } else {
            let message = format!("Updating Ingress `{name}` to desiredWeight '{weight}'");
            Notice::normal("PatchingCanaryIngress", message)
        }]
    }

    fn route(&self, now: &Objects, want: &Weights<'_>) -> Routed {
        let mut writes = Vec::new();
        let mut refusal = None;
        for stable_name in self.stable_ingresses() {
            let name = canary_name(want.sides.rollout, stable_name);
            let canary = now.get(&ingress(&name)).map(AsRef::as_ref);
            let wanted = match now.get(&ingress(stable_name)) {
                Some(stable) => self.wanted(&name, stable, canary, want),
                None => Err(format!("ingress `{stable_name}` not found")),
            };
            let to = match wanted {
                Ok(to) => Some(to),
                Err(why) => {
                    refusal.get_or_insert(why);
                    canary.and_then(|canary| self.lowered(canary, want))
                }
            };
            if let Some(to) = to.filter(|to| canary != Some(to)) {
                let weight = weight_of(&to, self.prefix());
                writes.push(RouteWrite {
                    reference: ingress(&name),
                    from: canary.cloned(),
                    to,
                    weight,
                    max_weight: want.sides.max,
                });
            }
        }
        Routed { writes, refusal }
    }
}

fn ingress(name: &str) -> Reference {
    Reference::new("networking.k8s.io/v1", "Ingress", name)
}

/// Whether an Ingress sends anything to a Service.
fn reaches(ingress: &Value, service: &str) -> bool {
    let rules = at(ingress, "/spec/rules").and_then(Value::as_array);
    rules.into_iter().flatten().any(|rule| {
        let paths = at(rule, "/http/paths").and_then(Value::as_array);
        paths
            .into_iter()
            .flatten()
            .any(|path| at(path, "/backend/service/name").and_then(Value::as_str) == Some(service))
    })
}

/// `<rollout>-<ingress>-canary`, its beginning cut so that the whole is a valid name.
fn canary_name(rollout: &Rollout, stable: &str) -> String {
    let prefix = format!("{}-{stable}", rollout.metadata.name.as_deref().unwrap_or_default());
    let keep = prefix.len().min(NAME_LIMIT - "-canary".len());
    format!("{}-canary", prefix.get(..keep).unwrap_or(&prefix))
}

/// The weight that a canary Ingress shows; one without the canary mark takes no share.
fn weight_of(canary: &Value, prefix: &str) -> i32 {
    let annotation = |name: &str| {
        let annotations = at(canary, "/metadata/annotations");
        annotations.and_then(|all| all.get(format!("{prefix}/{name}"))).and_then(Value::as_str)
    };
    if annotation("canary") != Some("true") {
        return 0;
    }
    annotation("canary-weight").and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// The header route that steps ask for; validation sees to it that there is one at most.
fn header_route<'a>(want: &Weights<'a>) -> Option<&'a SetHeaderRoute> {
    want.steps.iter().find_map(|step| match step {
        StepRoute::Header(header) => Some(*header),
        StepRoute::Mirror(_) => None,
    })
}

/// Whether a canary Ingress takes requests by the header of a step.
fn has_header_route(canary: &Value) -> bool {
    at(canary, "/metadata/annotations").is_some_and(|all| all.get(HEADER_ROUTE).is_some())
}

/// The value that a header must have, or the expression that must be found in it. A prefix is an expression with an
/// anchor: ingress-nginx and Traefik look for one anywhere in the value.
fn header_match(header: &SetHeaderRoute) -> [Option<String>; 2] {
    let value = header.match_.first().and_then(|one| one.header_value.as_ref());
    let set = |text: Option<&String>| text.cloned().filter(|text| !text.is_empty());
    let exact = set(value.and_then(|value| value.exact.as_ref()));
    let regex = set(value.and_then(|value| value.regex.as_ref()));
    let prefix = set(value.and_then(|value| value.prefix.as_ref()));
    let anchored = prefix.map(|prefix| format!("^{}", regex::escape(&prefix)));
    let pattern = regex.or(anchored).filter(|_| exact.is_none());
    [exact, pattern]
}

fn controlled_by(object: &Value, rollout: &Rollout) -> bool {
    let Some(owners) = at(object, "/metadata/ownerReferences").and_then(Value::as_array) else {
        return false;
    };
    owners.iter().any(|owner| {
        owner["controller"] == json!(true) && owner["uid"].as_str() == rollout.metadata.uid.as_deref()
    })
}

/// The rules of the stable Ingress that reach the stable Service, reaching the canary Service instead.
///
/// A rule is kept whole, so that its other paths are still known to the router. Rules without `http` and backends
/// that are no Service are left out or left alone.
fn canary_rules(stable: &Value, want: &Weights<'_>) -> Vec<Value> {
    let Some(rules) = at(stable, "/spec/rules").and_then(Value::as_array) else { return Vec::new() };
    let mut kept = Vec::new();
    for rule in rules {
        let mut rule = rule.clone();
        let Some(paths) = at_mut(&mut rule, "/http/paths").and_then(Value::as_array_mut) else { continue };
        let mut found = false;
        for path in paths {
            let Some(name) = at_mut(path, "/backend/service/name") else { continue };
            if name.as_str() == Some(want.sides.stable_service) {
                *name = json!(want.sides.canary_service);
                found = true;
            }
        }
        if found {
            kept.push(rule);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;

    fn rollout() -> Rollout {
        serde_json::from_value(json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
            "metadata": {"name": "shop", "namespace": "web", "uid": "r1"},
            "spec": {},
        }))
        .unwrap()
    }

    fn stable() -> Value {
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": {"name": "shop", "annotations": {CLASS_ANNOTATION: "nginx", "other": "kept on stable only"}},
            "spec": {
                "ingressClassName": "nginx",
                "tls": [{"hosts": ["shop.test"]}],
                "rules": [
                    {"host": "shop.test", "http": {"paths": [
                        {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "shop-stable", "port": {"number": 80}}}},
                        {"path": "/help", "pathType": "Prefix", "backend": {"service": {"name": "help", "port": {"number": 80}}}},
                    ]}},
                    {"host": "docs.test", "http": {"paths": [
                        {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "docs", "port": {"number": 80}}}},
                    ]}},
                    {"host": "no-http.test"},
                ],
            },
        })
    }

    fn spec() -> NginxTrafficRouting {
        serde_json::from_value(json!({
            "stableIngress": "shop",
            "additionalIngressAnnotations": {"canary-by-header": "X-Canary"},
            "canaryIngressAnnotations": {"plain": "yes"},
        }))
        .unwrap()
    }

    fn want(rollout: &Rollout, canary: i32) -> Weights<'_> {
        let (canary_service, stable_service) = ("shop-canary", "shop-stable");
        let sides = Sides { rollout, canary_service, stable_service, max: 100, max_named: false };
        Weights { sides, canary, steps: &[], extras: &[] }
    }

    fn objects(canary: Option<Value>) -> Objects {
        let mut objects = Objects::from([(ingress("shop"), Arc::new(stable()))]);
        objects.extend(canary.map(|canary| (ingress("shop-shop-canary"), Arc::new(canary))));
        objects
    }

    fn written(routed: Routed) -> Vec<RouteWrite> {
        assert_eq!(routed.refusal, None);
        routed.writes
    }

    #[test]
    fn weight_is_taken_back_even_when_the_stable_ingress_is_gone() {
        let (rollout, spec) =
            (rollout(), NginxTrafficRouting { stable_ingress: Some("shop".into()), ..Default::default() });
        let router = Nginx::new(&spec);
        let mut now: Objects = BTreeMap::from([(ingress("shop"), Arc::new(stable()))]);
        let writes = written(router.route(&now, &want(&rollout, 40)));
        now.insert(ingress("shop-shop-canary"), Arc::new(writes[0].to.clone()));
        now.remove(&ingress("shop"));
        let higher = router.route(&now, &want(&rollout, 60));
        assert!(higher.refusal.is_some() && higher.writes.is_empty());
        let lower = router.route(&now, &want(&rollout, 0));
        assert!(lower.refusal.is_some());
        assert_eq!(weight_of(&lower.writes[0].to, DEFAULT_PREFIX), 0);
        assert_eq!(lower.writes[0].to["spec"], lower.writes[0].from.as_ref().unwrap()["spec"]);
    }

    #[test]
    fn creates_the_canary_ingress_from_rules_of_the_stable_service() {
        let (rollout, spec) = (rollout(), spec());
        let writes = written(Nginx::new(&spec).route(&objects(None), &want(&rollout, 0)));
        let to = &writes[0].to;
        assert_eq!(to["metadata"]["name"], "shop-shop-canary");
        assert_eq!(
            to["metadata"]["annotations"],
            json!({
                CLASS_ANNOTATION: "nginx", "plain": "yes",
                "nginx.ingress.kubernetes.io/canary": "true",
                "nginx.ingress.kubernetes.io/canary-by-header": "X-Canary",
                "nginx.ingress.kubernetes.io/canary-weight": "0",
            })
        );
        assert_eq!(to["spec"]["rules"].as_array().map(Vec::len), Some(1));
        assert_eq!(
            to.pointer("/spec/rules/0/http/paths/0/backend/service/name"),
            Some(&json!("shop-canary"))
        );
        assert_eq!(to.pointer("/spec/rules/0/http/paths/1/backend/service/name"), Some(&json!("help")));
        assert_eq!(to["spec"]["tls"], json!([{"hosts": ["shop.test"]}]));
    }

    #[test]
    fn what_was_written_reads_back_and_leaves_nothing_to_do() {
        let (rollout, spec) = (rollout(), spec());
        let nginx = Nginx::new(&spec);
        let mut canary = written(nginx.route(&objects(None), &want(&rollout, 30))).remove(0).to;
        canary["metadata"]["annotations"]["foreign"] = json!("stays");
        let now = objects(Some(canary));
        assert_eq!(nginx.weights(&now, &want(&rollout, 0).sides), (30, 30));
        assert_eq!(nginx.route(&now, &want(&rollout, 30)), Routed::default());
        let next = written(nginx.route(&now, &want(&rollout, 50)));
        assert_eq!(next[0].to["metadata"]["annotations"]["foreign"], "stays");
        assert_eq!(next[0].to["metadata"]["annotations"]["nginx.ingress.kubernetes.io/canary-weight"], "50");
    }

    #[test]
    fn a_header_is_matched_as_it_was_written_and_goes_without_a_trace() {
        let (rollout, spec) =
            (rollout(), NginxTrafficRouting { stable_ingress: Some("shop".into()), ..Default::default() });
        let nginx = Nginx::new(&spec);
        let plain = written(nginx.route(&objects(None), &want(&rollout, 20))).remove(0).to;
        let annotation = |object: &Value, name: &str| {
            let all = object["metadata"]["annotations"].clone();
            all.get(format!("{DEFAULT_PREFIX}/canary-by-header{name}"))
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        let mut now = objects(Some(plain.clone()));
        for (value, exact, pattern) in [
            (json!({ "exact": "yes" }), Some("yes"), None),
            (json!({ "prefix": "v1.2" }), None, Some(r"^v1\.2")),
            (json!({ "regex": "b.ta" }), None, Some("b.ta")),
        ] {
            let one = json!({ "headerName": "X-Tester", "headerValue": value });
            let header = json!({ "name": "testers", "match": [one] });
            let header: SetHeaderRoute = serde_json::from_value(header).unwrap();
            let steps = [StepRoute::Header(&header)];
            let want = Weights { steps: &steps, ..want(&rollout, 20) };
            let to = written(nginx.route(&now, &want)).remove(0).to;
            assert_eq!(annotation(&to, "").as_deref(), Some("X-Tester"));
            assert_eq!(annotation(&to, "-value").as_deref(), exact);
            assert_eq!(annotation(&to, "-pattern").as_deref(), pattern);
            now = objects(Some(to));
            assert!(nginx.has_step_rules(&now, &want.sides));
            assert_eq!(nginx.route(&now, &want), Routed::default(), "nothing is left to do");
        }
        let to = written(nginx.route(&now, &want(&rollout, 20))).remove(0).to;
        assert_eq!(to, plain);
        now.remove(&ingress("shop"));
        let lowered = nginx.route(&now, &want(&rollout, 20));
        assert!(lowered.refusal.is_some());
        assert_eq!(lowered.writes[0].to, plain, "a header is taken back when the stable Ingress is gone");
    }

    #[test]
    fn somebody_elses_ingress_is_refused_by_name() {
        let (rollout, spec) = (rollout(), spec());
        let routed = Nginx::new(&spec).route(&objects(Some(stable())), &want(&rollout, 10));
        assert!(routed.refusal.is_some_and(|why| why.contains("shop-shop-canary")));
    }

    #[test]
    fn long_names_are_cut_to_a_valid_length() {
        let mut rollout = rollout();
        rollout.metadata.name = Some("r".repeat(200));
        let name = canary_name(&rollout, &"i".repeat(100));
        assert_eq!(name.len(), NAME_LIMIT);
        assert!(name.ends_with("-canary"));
    }
}
