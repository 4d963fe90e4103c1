//! Router plugins that are served natively: their free JSON, read once into what a router needs.
//!
//! Input: `trafficRouting.plugins`. Output: routes by name and by selector, and what is wrong with a configuration.
//! Field names are read as Go reads them, without regard to case. What cannot be read is told and left out: an abort
//! works with the rest.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::{Map, Value};

use super::field::{Field, FieldError};
use super::labels;
use crate::rollout::{CanaryStrategy, Rollout, RolloutSpec};

/// The plugin name of the Gateway API.
pub(super) const GATEWAY: &str = "argoproj-labs/gatewayAPI";
/// The plugin name of OpenShift Routes.
pub(super) const OPENSHIFT: &str = "argoproj-labs/openshift";

/// Routes that one Rollout may name or select: each is a write per step.
pub const ROUTES_MAX: usize = 100;
/// Largest weight of a backendRef, by the Gateway API.
const GATEWAY_WEIGHT_MAX: i32 = 1_000_000;
/// Largest weight of a Route's backend, by OpenShift's API.
const OPENSHIFT_WEIGHT_MAX: i32 = 256;

const LABEL_KEY: &str = "rollouts.argoproj.io/gatewayapi-canary";
const LABEL_VALUE: &str = "in-progress";
const ACTIVE_KEY: &str = "rollouts.argoproj.io/gatewayapi-active-rollouts";

/// What the plugins of a Rollout ask for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PluginRouting {
    pub gateway: Option<GatewayRouting>,
    pub openshift: Option<OpenShiftRouting>,
}

/// Routes of the Gateway API.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GatewayRouting {
    /// Namespace of the routes; that of the Rollout when absent.
    pub namespace: Option<String>,
    pub named: Vec<NamedRoute>,
    pub selected: Vec<SelectedRoutes>,
    /// What marks a route while its canary has weight; `None` where nobody wants a mark.
    pub mark: Option<ProgressMark>,
}

/// Kinds of Gateway API routes that are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GatewayKind {
    Http,
    Grpc,
}

/// One route by its name.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedRoute {
    pub kind: GatewayKind,
    pub name: String,
    /// The one rule to route; all that name the stable Service when absent.
    pub rule: Option<String>,
    /// Whether header and mirror steps add rules to it.
    pub takes_steps: bool,
    /// Where the name stands in the configuration, such as `httpRoutes[0].name`.
    pub field: String,
}

/// All routes that a selector selects.
#[derive(Clone, Debug, PartialEq)]
pub struct SelectedRoutes {
    pub kind: GatewayKind,
    pub selector: LabelSelector,
    pub field: &'static str,
}

/// The label of a route with a canary, and the annotation that says whose canaries.
#[derive(Clone, Debug, PartialEq)]
pub struct ProgressMark {
    pub key: String,
    pub value: String,
    pub active_key: String,
}

/// OpenShift Routes by name; they are in the Rollout's namespace.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OpenShiftRouting {
    pub routes: Vec<String>,
}

/// Names of the fields for one kind of Gateway API route.
struct Fields {
    kind: GatewayKind,
    one: &'static str,
    one_rule: &'static str,
    many: &'static str,
    selector: &'static str,
}

const SERVED: [Fields; 2] = [
    Fields {
        kind: GatewayKind::Http,
        one: "httpRoute",
        one_rule: "httpRouteRuleName",
        many: "httpRoutes",
        selector: "httpRouteSelector",
    },
    Fields {
        kind: GatewayKind::Grpc,
        one: "grpcRoute",
        one_rule: "grpcRouteRuleName",
        many: "grpcRoutes",
        selector: "grpcRouteSelector",
    },
];
const UNSERVED: [&str; 6] =
    ["tcpRoute", "tcpRoutes", "tcpRouteSelector", "tlsRoute", "tlsRoutes", "tlsRouteSelector"];

/// Reads the plugins of a Rollout, and says what is wrong with them.
#[must_use]
pub fn plugin_routing(rollout: &Rollout) -> (PluginRouting, Vec<FieldError>) {
    let (mut routing, mut errors) = (PluginRouting::default(), Vec::new());
    let Some(canary) = &rollout.spec.strategy.canary else { return (routing, errors) };
    let Some(traffic) = &canary.traffic_routing else { return (routing, errors) };
    let path = Field::new("spec").child("strategy").child("trafficRouting");
    if let Some(config) = traffic.plugins.get(GATEWAY) {
        let at = plugin_path(&path, GATEWAY);
        routing.gateway = Reader { config, at: &at, errors: &mut errors }.gateway();
        check_weight(traffic.max_traffic_weight, GATEWAY_WEIGHT_MAX, GATEWAY, &path, &mut errors);
    }
    if let Some(config) = traffic.plugins.get(OPENSHIFT) {
        let at = plugin_path(&path, OPENSHIFT);
        let namespace = rollout.metadata.namespace.as_deref().unwrap_or_default();
        routing.openshift = Reader { config, at: &at, errors: &mut errors }.openshift(namespace);
        check_weight(traffic.max_traffic_weight, OPENSHIFT_WEIGHT_MAX, OPENSHIFT, &path, &mut errors);
    }
    if routing != PluginRouting::default() {
        check_services(canary, &mut errors);
    }
    (routing, errors)
}

/// Reads what the Gateway API plugin is told alone, as far as it can be read.
pub(super) fn gateway_routing(spec: &RolloutSpec) -> Option<GatewayRouting> {
    let traffic = spec.strategy.canary.as_ref()?.traffic_routing.as_ref()?;
    let config = traffic.plugins.get(GATEWAY)?;
    Reader { config, at: &plugin_path(&Field::new("spec"), GATEWAY), errors: &mut Vec::new() }.gateway()
}

/// Says what a valid Rollout asks of plugins that nobody here serves: the path, and what to do instead.
pub(super) fn unserved(plugins: &BTreeMap<String, Value>, path: &Field) -> Vec<(Field, &'static str)> {
    let mut found = Vec::new();
    for (name, config) in plugins {
        let at = plugin_path(path, name);
        if name == GATEWAY {
            let fields = UNSERVED.into_iter().filter(|field| is_set(config, field));
            found.extend(fields.map(|field| (at.child(field), "use httpRoute or grpcRoute")));
        } else if name != OPENSHIFT {
            let mend = "use argoproj-labs/gatewayAPI, argoproj-labs/openshift or trafficRouting.nginx";
            found.push((at, mend));
        }
    }
    found
}

fn plugin_path(routing: &Field, name: &str) -> Field {
    routing.child("plugins").key(name)
}

fn check_weight(weight: Option<i32>, most: i32, plugin: &str, path: &Field, errors: &mut Vec<FieldError>) {
    if let Some(weight) = weight.filter(|weight| *weight > most) {
        let why = format!("must be at most {most} with plugin {plugin}, whose routes hold no larger weight");
        errors.push(path.child("maxTrafficWeight").invalid(weight, &why));
    }
}

/// Checks that both Services are named: without them no backend of a route is anybody's. Upstream's validation lets this
/// pass, and its plugins fail in each round.
fn check_services(canary: &CanaryStrategy, errors: &mut Vec<FieldError>) {
    if canary.ping_pong.is_some() {
        return;
    }
    let path = Field::new("spec").child("strategy");
    for (field, name) in
        [("stableService", &canary.stable_service), ("canaryService", &canary.canary_service)]
    {
        if name.as_deref().unwrap_or_default().is_empty() {
            errors.push(path.child(field).invalid("", super::canary::BOTH_SERVICES));
        }
    }
}

/// The value of a field, whatever the case of its name; the exact name first.
fn get<'v>(config: &'v Value, name: &str) -> Option<&'v Value> {
    let fields: &Map<String, Value> = config.as_object()?;
    let same = |(key, _): &(&String, &Value)| key.eq_ignore_ascii_case(name);
    fields
        .get(name)
        .or_else(|| fields.iter().find(same).map(|(_, value)| value))
        .filter(|value| !value.is_null())
}

fn is_set(config: &Value, name: &str) -> bool {
    get(config, name).is_some_and(|value| {
        value.as_str() != Some("") && value.as_array().is_none_or(|list| !list.is_empty())
    })
}

/// Reads one configuration and collects what is wrong with it.
struct Reader<'r> {
    config: &'r Value,
    at: &'r Field,
    errors: &'r mut Vec<FieldError>,
}

impl<'r> Reader<'r> {
    fn gateway(mut self) -> Option<GatewayRouting> {
        self.object()?;
        let mut routing = GatewayRouting {
            namespace: self.name(self.config, "namespace", self.at, labels::dns_label_problems),
            mark: self.mark(),
            ..GatewayRouting::default()
        };
        for fields in SERVED {
            let rule = self.text(self.config, fields.one_rule, self.at);
            if let Some(name) = self.name(self.config, fields.one, self.at, labels::subdomain_problems) {
                routing.named.push(NamedRoute {
                    kind: fields.kind,
                    name,
                    rule,
                    field: fields.one.to_owned(),
                    takes_steps: true,
                });
            }
            self.several(&fields, &mut routing.named);
            if let Some(selector) = self.selector(fields.selector) {
                routing.selected.push(SelectedRoutes { kind: fields.kind, selector, field: fields.selector });
            }
        }
        let named_twice = |(index, route): &(usize, &NamedRoute)| {
            routing
                .named
                .iter()
                .take(*index)
                .any(|other| (other.kind, &other.name) == (route.kind, &route.name))
        };
        if let Some((_, twice)) = routing.named.iter().enumerate().find(named_twice) {
            self.errors.push(self.at.child(&twice.field).duplicate(&twice.name));
        }
        self.check_count(routing.named.len());
        let elsewhere = UNSERVED.into_iter().any(|field| is_set(self.config, field));
        if routing.named.is_empty() && routing.selected.is_empty() && !elsewhere && self.errors.is_empty() {
            self.errors.push(self.at.required("name a route: httpRoute, httpRoutes or httpRouteSelector"));
        }
        Some(routing)
    }

    fn openshift(mut self, namespace: &str) -> Option<OpenShiftRouting> {
        self.object()?;
        let mut routing = OpenShiftRouting::default();
        for (index, route) in self.list("routes").iter().enumerate() {
            let at = self.at.child("routes").index(index);
            let Some(name) = route.as_str() else {
                self.errors.push(at.invalid(route, "must be the name of a Route"));
                continue;
            };
            let (of, name) = name.split_once('/').map_or((None, name), |(of, name)| (Some(of), name));
            if of.is_some_and(|of| of != namespace) {
                let why =
                    "a Route reaches Services of its own namespace only: name one of the Rollout's namespace";
                self.errors.push(at.invalid(route, why));
            } else if let Some(problem) = labels::subdomain_problems(name).first() {
                self.errors.push(at.invalid(route, problem));
            } else if routing.routes.iter().any(|known| known == name) {
                self.errors.push(at.duplicate(name));
            } else {
                routing.routes.push(name.to_owned());
            }
        }
        self.check_count(routing.routes.len());
        if routing.routes.is_empty() && self.errors.is_empty() {
            self.errors.push(self.at.child("routes").required("name the Routes to be weighted"));
        }
        Some(routing)
    }

    fn object(&mut self) -> Option<()> {
        if self.config.is_object() {
            return Some(());
        }
        self.errors.push(self.at.invalid(self.config, "must be an object with the plugin's settings"));
        None
    }

    fn check_count(&mut self, count: usize) {
        if count > ROUTES_MAX {
            self.errors.push(self.at.invalid(count, &format!("names more than {ROUTES_MAX} routes")));
        }
    }

    fn list(&mut self, field: &str) -> &'r [Value] {
        match get(self.config, field) {
            None => &[],
            Some(Value::Array(list)) => list,
            Some(other) => {
                self.errors.push(self.at.child(field).invalid(other, "must be a list"));
                &[]
            }
        }
    }

    fn several(&mut self, fields: &Fields, named: &mut Vec<NamedRoute>) {
        for (index, route) in self.list(fields.many).iter().enumerate() {
            let at = self.at.child(fields.many).index(index);
            let rule = self.text(route, "ruleName", &at);
            let before = self.errors.len();
            match self.name(route, "name", &at, labels::subdomain_problems) {
                Some(name) => {
                    let field = format!("{}[{index}].name", fields.many);
                    let takes_steps = get(route, "useHeaderRoutes") == Some(&Value::Bool(true));
                    named.push(NamedRoute { kind: fields.kind, name, rule, takes_steps, field });
                }
                None if self.errors.len() == before => {
                    self.errors.push(at.child("name").required("name the route"));
                }
                None => {}
            }
        }
    }

    /// A text; nothing when it is absent or empty.
    fn text(&mut self, config: &Value, field: &str, at: &Field) -> Option<String> {
        let value = get(config, field)?;
        let Some(text) = value.as_str() else {
            self.errors.push(at.child(field).invalid(value, "must be a text"));
            return None;
        };
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// A text that is the name of an object.
    fn name(
        &mut self,
        config: &Value,
        field: &str,
        at: &Field,
        problems: fn(&str) -> Vec<String>,
    ) -> Option<String> {
        let name = self.text(config, field, at)?;
        let Some(problem) = problems(&name).into_iter().next() else { return Some(name) };
        self.errors.push(at.child(field).invalid(&name, &problem));
        None
    }

    fn selector(&mut self, field: &str) -> Option<LabelSelector> {
        let config = get(self.config, field)?;
        let at = self.at.child(field);
        let selector: LabelSelector = match serde_json::from_value(config.clone()) {
            Ok(selector) => selector,
            Err(error) => {
                self.errors.push(at.invalid(config, &error.to_string()));
                return None;
            }
        };
        let before = self.errors.len();
        labels::check_selector(&selector, &at, self.errors);
        if selector == LabelSelector::default() {
            self.errors.push(at.invalid(config, "an empty selector would select every route"));
        }
        (self.errors.len() == before).then_some(selector)
    }

    fn mark(&mut self) -> Option<ProgressMark> {
        let off = get(self.config, "disableInProgressLabel");
        if let Some(other) = off.filter(|off| !off.is_boolean()) {
            self.errors.push(self.at.child("disableInProgressLabel").invalid(other, "must be true or false"));
        }
        let key = self.name(self.config, "inProgressLabelKey", self.at, labels::label_name_problems);
        let value = self.name(self.config, "inProgressLabelValue", self.at, labels::label_value_problems);
        let active =
            self.name(self.config, "activeRolloutsAnnotationKey", self.at, labels::label_name_problems);
        (off != Some(&Value::Bool(true))).then(|| ProgressMark {
            key: key.unwrap_or_else(|| LABEL_KEY.to_owned()),
            value: value.unwrap_or_else(|| LABEL_VALUE.to_owned()),
            active_key: active.unwrap_or_else(|| ACTIVE_KEY.to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::valid::{unsupported, validate};

    fn rollout(plugins: Value) -> Rollout {
        serde_json::from_value(json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
            "metadata": { "name": "shop", "namespace": "web" },
            "spec": {
                "selector": { "matchLabels": { "app": "shop" } },
                "template": { "metadata": { "labels": { "app": "shop" } },
                              "spec": { "containers": [{ "name": "shop", "image": "shop:1" }] } },
                "strategy": { "canary": {
                    "canaryService": "shop-canary", "stableService": "shop-stable",
                    "trafficRouting": { "plugins": plugins },
                } },
            },
        }))
        .unwrap()
    }

    fn gateway(config: Value) -> (GatewayRouting, Vec<String>) {
        let (routing, errors) = plugin_routing(&rollout(json!({ GATEWAY: config })));
        (routing.gateway.unwrap_or_default(), errors.iter().map(ToString::to_string).collect())
    }

    fn names(routing: &GatewayRouting) -> Vec<(GatewayKind, &str)> {
        routing.named.iter().map(|route| (route.kind, route.name.as_str())).collect()
    }

    #[test]
    fn routes_are_read_in_every_spelling_of_upstream() {
        let cases = [
            json!({ "httpRoute": "a", "namespace": "web" }),
            json!({ "httproute": "a" }),
            json!({ "httpRoutes": [{ "name": "a", "useHeaderRoutes": true }] }),
            json!({ "httpRoutes": [{ "Name": "a" }], "somethingNewer": 7 }),
            json!({ "httpRoute": "a", "httpRoutes": null, "grpcRoutes": [] }),
        ];
        for config in cases {
            let (routing, errors) = gateway(config.clone());
            assert_eq!((names(&routing), errors), (vec![(GatewayKind::Http, "a")], vec![]), "{config}");
        }
        let (routing, _) =
            gateway(json!({ "httpRoute": "a", "grpcRoutes": [{ "name": "b", "ruleName": "r" }] }));
        assert_eq!(names(&routing), [(GatewayKind::Http, "a"), (GatewayKind::Grpc, "b")]);
        assert_eq!(routing.named[1].rule.as_deref(), Some("r"));
    }

    #[test]
    fn the_mark_has_upstreams_names_until_somebody_says_otherwise() {
        let (routing, _) = gateway(json!({ "httpRoute": "a" }));
        let mark = routing.mark.unwrap();
        assert_eq!((mark.key.as_str(), mark.value.as_str()), (LABEL_KEY, LABEL_VALUE));
        let (routing, _) =
            gateway(json!({ "httpRoute": "a", "inProgressLabelKey": "x/y", "inProgressLabelValue": "yes" }));
        assert_eq!(routing.mark.map(|mark| (mark.key, mark.value)), Some(("x/y".into(), "yes".into())));
        assert_eq!(gateway(json!({ "httpRoute": "a", "disableInProgressLabel": true })).0.mark, None);
    }

    #[test]
    fn what_is_wrong_is_told_by_field_and_the_rest_is_kept() {
        let at = "spec.strategy.trafficRouting.plugins[argoproj-labs/gatewayAPI]";
        let cases = [
            (
                json!("text"),
                format!("{at}: Invalid value: \"text\": must be an object with the plugin's settings"),
            ),
            (
                json!({}),
                format!("{at}: Required value: name a route: httpRoute, httpRoutes or httpRouteSelector"),
            ),
            (json!({ "httpRoute": 5 }), format!("{at}.httpRoute: Invalid value: 5: must be a text")),
            (json!({ "httpRoutes": {} }), format!("{at}.httpRoutes: Invalid value: {{}}: must be a list")),
            (
                json!({ "httpRoutes": [{}] }),
                format!("{at}.httpRoutes[0].name: Required value: name the route"),
            ),
            (
                json!({ "httpRoute": "a", "httpRoutes": [{ "name": "a" }] }),
                format!("{at}.httpRoutes[0].name: Duplicate value: \"a\""),
            ),
            (
                json!({ "httpRouteSelector": {} }),
                format!(
                    "{at}.httpRouteSelector: Invalid value: {{}}: an empty selector would select every route"
                ),
            ),
        ];
        for (config, want) in cases {
            assert_eq!(gateway(config).1, [want]);
        }
        for hostile in ["a/status", "../x", "a?dryRun=All", "A"] {
            assert_eq!(gateway(json!({ "httpRoute": hostile })).1.len(), 1, "{hostile}");
        }
        let (routing, errors) =
            gateway(json!({ "httpRoute": "a", "httpRoutes": [{ "name": 7 }, { "name": "b" }] }));
        assert_eq!(
            (names(&routing).len(), errors.len()),
            (2, 1),
            "an abort still reaches the routes that are known"
        );
    }

    #[test]
    fn openshift_routes_are_of_the_rollouts_namespace() {
        let read = |routes: Value| {
            let (routing, errors) = plugin_routing(&rollout(json!({ OPENSHIFT: { "routes": routes } })));
            (routing.openshift.unwrap_or_default().routes, errors.len())
        };
        assert_eq!(read(json!(["a", "web/b"])), (vec!["a".to_owned(), "b".to_owned()], 0));
        assert_eq!(read(json!(["other/b"])), (vec![], 1));
        assert_eq!(read(json!(["a", "web/a"])), (vec!["a".to_owned()], 1));
        assert_eq!(read(json!([])), (vec![], 1));
        assert_eq!(read(json!([{ "name": "a" }])), (vec![], 1));
    }

    #[test]
    fn weights_and_services_must_fit_the_routes() {
        let mut rollout = rollout(json!({ OPENSHIFT: { "routes": ["a"] }, GATEWAY: { "httpRoute": "a" } }));
        let canary = rollout.spec.strategy.canary.as_mut().unwrap();
        canary.traffic_routing.as_mut().unwrap().max_traffic_weight = Some(1000);
        canary.canary_service = None;
        let errors: Vec<String> = validate(&rollout).unwrap_err().iter().map(ToString::to_string).collect();
        assert_eq!(errors.len(), 2, "{errors:?}");
        assert!(errors[0].contains("maxTrafficWeight") && errors[0].contains("256"), "{errors:?}");
        assert!(errors[1].contains("canaryService"), "{errors:?}");
    }

    #[test]
    fn a_served_plugin_needs_both_services_and_another_is_left_alone() {
        let without = |plugins: Value| {
            let mut rollout = rollout(plugins);
            let canary = rollout.spec.strategy.canary.as_mut().unwrap();
            (canary.canary_service, canary.stable_service) = (None, Some(String::new()));
            let errors = validate(&rollout).err().unwrap_or_default();
            errors.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let missing = ["stableService", "canaryService"].map(|field| {
            format!(
                "spec.strategy.{field}: Invalid value: \"\": \
                 Canary service and Stable service must to be set to use Traffic Routing"
            )
        });
        assert_eq!(without(json!({ GATEWAY: { "httpRoute": "a" } })), missing);
        assert_eq!(without(json!({ OPENSHIFT: { "routes": ["a"] } })), missing);
        assert_eq!(without(json!({ "argoproj-labs/contour": { "httpProxies": ["a"] } })), [""; 0]);
    }

    #[test]
    fn other_plugins_and_kinds_are_named_as_not_served() {
        let refused = |plugins: Value| {
            let valid = validate(&rollout(plugins)).unwrap();
            unsupported(&valid).iter().map(|error| error.path.clone()).collect::<Vec<_>>()
        };
        let at = "spec.strategy.canary.trafficRouting.plugins";
        assert_eq!(
            refused(json!({ "argoproj-labs/contour": { "httpProxies": ["a"] } })),
            [format!("{at}[argoproj-labs/contour]")]
        );
        assert_eq!(
            refused(
                json!({ GATEWAY: { "httpRoute": "a", "tcpRoutes": [{ "name": "b" }], "tlsRoutes": [] } })
            ),
            [format!("{at}[{GATEWAY}].tcpRoutes")]
        );
        assert!(refused(json!({ GATEWAY: { "grpcRoute": "a" }, OPENSHIFT: { "routes": ["b"] } })).is_empty());
    }
}
