//! Which Rollout a seed is about: its strategy, steps, limits and delays, and how kind its world is.
//!
//! Input: chance. Output: a Rollout, its templates, and the temper of the cluster around it.

use serde_json::{Value, json};
use tidegate_api::rollout::Rollout;

use crate::experiment_acts;
use crate::random::Random;
use crate::workloads::DEPLOYMENT;

pub(crate) const ROLLOUT: &str = "shop";
pub(crate) const CANARY_SERVICE: &str = "shop-canary";
pub(crate) const STABLE_SERVICE: &str = "shop-stable";
pub(crate) const PING_SERVICE: &str = "shop-ping";
pub(crate) const PONG_SERVICE: &str = "shop-pong";
pub(crate) const ACTIVE_SERVICE: &str = "shop-active";
pub(crate) const PREVIEW_SERVICE: &str = "shop-preview";
pub(crate) const INGRESSES: [Way; 2] = [Way::Ingress("shop"), Way::Ingress("shop-api")];
pub(crate) const HTTP_ROUTES: [Way; 2] = [Way::HttpRoute("web"), Way::HttpRoute("web-api")];
pub(crate) const ROUTES: [Way; 2] = [Way::Route("edge"), Way::Route("edge-api")];
/// Routes that steps may add.
pub(crate) const MANAGED_ROUTES: [&str; 2] = ["testers", "copies"];
pub(crate) const TEMPLATE: &str = "check";
/// Images that start; the others crash.
pub(crate) const GOOD_IMAGES: [&str; 4] = ["v1", "v2", "v3", "v4"];
pub(crate) const BAD_IMAGES: [&str; 2] = ["crash", "huge"];

/// One object that users made and that requests come through; no two have the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    Ingress(&'static str),
    HttpRoute(&'static str),
    Route(&'static str),
}

impl Way {
    /// All ways of all kinds.
    pub(crate) fn all() -> Vec<Self> {
        [INGRESSES, HTTP_ROUTES, ROUTES].concat()
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ingress(name) | Self::HttpRoute(name) | Self::Route(name) => name,
        }
    }

    /// The kind and the name.
    pub(crate) fn told(self) -> String {
        match self {
            Self::Ingress(name) => format!("Ingress {name}"),
            Self::HttpRoute(name) => format!("HTTPRoute {name}"),
            Self::Route(name) => format!("Route {name}"),
        }
    }

    /// Whether whoever serves it says which generation is in effect: one gateway does, another one does not.
    pub(crate) fn is_reported(self) -> bool {
        self == HTTP_ROUTES[0]
    }
}

/// What a simulation is about.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) rollout: Rollout,
    pub(crate) routed: bool,
    /// What is routed, of one router or of several.
    pub(crate) ways: Vec<Way>,
    /// The Services that users made.
    pub(crate) services: &'static [&'static str],
    /// Whether content that was aborted is not to be shipped again.
    pub(crate) holds: bool,
    /// Whether people make Experiments, too.
    pub(crate) experiments: bool,
    pub(crate) temper: Temper,
}

/// How the world around the controller behaves; times in milliseconds.
#[derive(Clone, Debug)]
pub(crate) struct Temper {
    /// Longest usual lag of a cache; one in twenty takes ten times as long.
    pub(crate) cache_lag: i64,
    pub(crate) endpoints_lag: i64,
    pub(crate) set_lag: i64,
    pub(crate) ingress_lag: i64,
    /// Shortest and longest time that a pod takes to become ready.
    pub(crate) pod_start: (i64, i64),
    pub(crate) run_length: i64,
    /// Longest time between two actions of users.
    pub(crate) user_rest: i64,
    /// Permille of writes that are refused or whose answer is lost, and of plans that a crash cuts short.
    pub(crate) write_failures: u64,
    pub(crate) crashes: u64,
    /// Permille of pods that lose their readiness once in a while.
    pub(crate) flaps: u64,
    /// Permille of analysis runs that do not end well.
    pub(crate) bad_runs: u64,
}

impl Temper {
    /// For stories: a world in which nothing fails and everything takes the same short time.
    #[cfg(test)]
    pub(crate) fn calm() -> Self {
        Self {
            cache_lag: 0,
            endpoints_lag: 200,
            set_lag: 100,
            ingress_lag: 500,
            pod_start: (3_000, 3_000),
            run_length: 20_000,
            user_rest: 0,
            write_failures: 0,
            crashes: 0,
            flaps: 0,
            bad_runs: 0,
        }
    }

    fn random(random: &mut Random) -> Self {
        Self {
            cache_lag: *random.pick(&[5, 50, 300, 1_000]),
            endpoints_lag: *random.pick(&[50, 500, 2_000]),
            set_lag: *random.pick(&[20, 200, 1_000]),
            ingress_lag: *random.pick(&[100, 1_000, 3_000]),
            pod_start: (0, *random.pick(&[500, 3_000, 20_000])),
            run_length: *random.pick(&[1_000, 10_000, 60_000]),
            user_rest: *random.pick(&[3_000, 20_000, 90_000]),
            write_failures: *random.pick(&[0, 10, 60]),
            crashes: *random.pick(&[0, 10, 60]),
            flaps: *random.pick(&[0, 20, 150]),
            bad_runs: *random.pick(&[0, 100, 400]),
        }
    }
}

/// Routers of a canary, its delays, and routes of its steps.
fn traffic(ways: &[Way], follows: bool, random: &mut Random, canary: &mut Value) {
    canary["trafficRouting"] = routing(ways, random);
    delays(random, canary);
    if *ways == HTTP_ROUTES[..1] && random.chance(600) {
        step_routes(random, canary);
    } else if *ways == INGRESSES[..1] && random.clone().below(5) < 2 {
        header_routes(random, canary);
    }
    if follows && let Some(fields) = canary.as_object_mut() {
        fields.insert("dynamicStableScale".to_owned(), json!(true));
        fields.remove("scaleDownDelaySeconds");
    }
}

impl Shape {
    /// The shape that a seed stands for.
    pub(crate) fn random(random: &mut Random) -> Self {
        // Chance of its own, so that seeds without Experiments tell what they always told.
        let mut aside = Random::new(random.clone().draw());
        let experiments = aside.chance(250);
        // A look ahead, so that a canary's seed tells the same story whatever other strategies there are.
        if random.clone().below(4) == 0 {
            return Self { experiments, ..Self::blue_green(random) };
        }
        let goes_back = random.clone().below(12) == 7;
        let follows = random.clone().below(5) < 2;
        let routed = random.chance(600);
        let services = routed || random.chance(400);
        let ways = if routed { ways(random) } else { Vec::new() };
        let temper = Temper::random(random);
        let mut canary = json!({ "steps": steps(random, routed) });
        if services {
            canary["canaryService"] = json!(CANARY_SERVICE);
            canary["stableService"] = json!(STABLE_SERVICE);
        }
        if routed {
            traffic(&ways, follows, random, &mut canary);
        }
        let only_http = ways.iter().all(|way| matches!(way, Way::HttpRoute(_)));
        // Looks ahead as well.
        let takes_turns = services && only_http && random.clone().below(5) < 2;
        if takes_turns {
            ping_pong(&mut canary);
        }
        limits(random, &mut canary);
        if experiments {
            experiment_acts::among(&mut aside, &mut canary, routed && only_http);
        }
        pods_by_role(random, &mut canary);
        if random.chance(200) {
            canary["analysis"] =
                json!({ "templates": [{ "templateName": TEMPLATE }], "startingStep": random.int(0, 2) });
        }
        let mut spec = json!({
            "replicas": random.int(0, 12),
            "strategy": { "canary": canary },
            "progressDeadlineSeconds": *random.pick(&[20, 60, 600]),
            "progressDeadlineAbort": random.chance(500),
            "minReadySeconds": *random.pick(&[0, 0, 0, 2, 10]),
            "revisionHistoryLimit": *random.pick(&[0, 1, 3, 10]),
        });
        if aside.chance(80) {
            spec["workloadRef"] = workload(&mut aside);
        }
        if goes_back {
            spec["rollbackWindow"] = json!({ "revisions": 2 });
        }
        if random.chance(100) {
            spec["replicas"] = Value::Null;
        }
        let holds = random.chance(300);
        let services: &[&str] = match (services, takes_turns) {
            (true, true) => &[PING_SERVICE, PONG_SERVICE],
            (true, false) => &[CANARY_SERVICE, STABLE_SERVICE],
            (false, _) => &[],
        };
        Self { rollout: rollout(spec, GOOD_IMAGES[0]), routed, ways, services, holds, experiments, temper }
    }

    /// A blue-green Rollout with the limits, pauses and analyses that a user may write.
    fn blue_green(random: &mut Random) -> Self {
        let temper = Temper::random(random);
        let mut strategy = json!({ "activeService": ACTIVE_SERVICE });
        let services: &[&str] = if random.chance(700) {
            strategy["previewService"] = json!(PREVIEW_SERVICE);
            &[ACTIVE_SERVICE, PREVIEW_SERVICE]
        } else {
            &[ACTIVE_SERVICE]
        };
        if random.chance(300) {
            strategy["previewReplicaCount"] = json!(random.int(0, 3));
        }
        match random.below(3) {
            0 => strategy["autoPromotionEnabled"] = json!(false),
            1 => strategy["autoPromotionSeconds"] = json!(*random.pick(&[1, 5, 30])),
            _ => {}
        }
        let analysis = json!({ "templates": [{ "templateName": TEMPLATE }] });
        for when in ["prePromotionAnalysis", "postPromotionAnalysis"] {
            if random.chance(400) {
                strategy[when] = analysis.clone();
            }
        }
        for delay in ["scaleDownDelaySeconds", "abortScaleDownDelaySeconds"] {
            if random.chance(600) {
                strategy[delay] = json!(*random.pick(&[0, 1, 5, 30, 120]));
            }
        }
        if random.chance(200) {
            strategy["scaleDownDelayRevisionLimit"] = json!(random.int(0, 1));
        }
        if random.chance(500) {
            strategy["maxUnavailable"] = random.pick(&[json!(0), json!(1), json!("50%")]).clone();
        }
        let mut spec = json!({
            "replicas": random.int(0, 12),
            "strategy": { "blueGreen": strategy },
            // Pods of a preview that become available one by one are no progress that the status could show.
            "progressDeadlineSeconds": *random.pick(&[60, 120, 600]),
            "progressDeadlineAbort": random.chance(500),
            "minReadySeconds": *random.pick(&[0, 0, 0, 2, 10]),
            "revisionHistoryLimit": *random.pick(&[1, 3, 10]),
        });
        if random.chance(200) {
            spec["rollbackWindow"] = json!({ "revisions": random.int(1, 3) });
        }
        let holds = random.chance(300);
        let rollout = rollout(spec, GOOD_IMAGES[0]);
        Self { rollout, routed: false, ways: Vec::new(), services, holds, experiments: false, temper }
    }
}

/// What pods have for their role, and whom they keep away from.
fn pods_by_role(random: &mut Random, canary: &mut Value) {
    match random.below(10) {
        0 => canary["antiAffinity"] = json!({ "requiredDuringSchedulingIgnoredDuringExecution": {} }),
        1 => {
            let weight = json!({ "weight": 1 });
            canary["antiAffinity"] = json!({ "preferredDuringSchedulingIgnoredDuringExecution": weight });
        }
        _ => {}
    }
    if random.chance(300) {
        let [canary_metadata, stable_metadata] = role_metadata(random);
        canary["canaryMetadata"] = canary_metadata;
        canary["stableMetadata"] = stable_metadata;
    }
}

/// Two Services that take turns, in place of one for each role.
fn ping_pong(canary: &mut Value) {
    if let Some(fields) = canary.as_object_mut() {
        fields.remove("canaryService");
        fields.remove("stableService");
    }
    canary["pingPong"] = json!({ "pingService": PING_SERVICE, "pongService": PONG_SERVICE });
}

/// A Deployment to take over from.
fn workload(random: &mut Random) -> Value {
    let mut reference = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": DEPLOYMENT });
    if let Some(mode) =
        random.pick(&[None, Some("never"), Some("onsuccess"), Some("progressively"), Some("progressively")])
    {
        reference["scaleDown"] = json!(mode);
    }
    reference
}

/// One router or two, each with one object or two.
fn ways(random: &mut Random) -> Vec<Way> {
    let kinds = [INGRESSES, HTTP_ROUTES, ROUTES];
    let first = random.below(3);
    let second = (first + 1 + random.below(2)) % 3;
    let second = random.chance(250).then_some(second);
    let mut ways = Vec::new();
    for kind in std::iter::once(first).chain(second) {
        let both = kinds[usize::try_from(kind).unwrap_or(0)];
        ways.extend_from_slice(if random.chance(250) { &both } else { &both[..1] });
    }
    ways
}

/// The trafficRouting that names these ways.
fn routing(ways: &[Way], random: &mut Random) -> Value {
    let name = |of: fn(&Way) -> Option<&'static str>| ways.iter().filter_map(of).collect::<Vec<_>>();
    let ingresses = name(|way| if let Way::Ingress(name) = way { Some(*name) } else { None });
    let http_routes = name(|way| if let Way::HttpRoute(name) = way { Some(*name) } else { None });
    let routes = name(|way| if let Way::Route(name) = way { Some(*name) } else { None });
    let mut routing = json!({});
    match ingresses.as_slice() {
        [] => {}
        [one] => routing["nginx"] = json!({ "stableIngress": one }),
        several => routing["nginx"] = json!({ "stableIngresses": several }),
    }
    if !http_routes.is_empty() {
        let named: Vec<Value> = http_routes.iter().map(|name| json!({ "name": name })).collect();
        let config = match http_routes.as_slice() {
            // Both are selected by their labels, so a selector stands for two names.
            [_, _] if random.chance(300) => {
                json!({ "httpRouteSelector": { "matchLabels": { "app": "shop" } } })
            }
            _ => json!({ "httpRoutes": named, "disableInProgressLabel": random.chance(300) }),
        };
        routing["plugins"]["argoproj-labs/gatewayAPI"] = config;
    }
    if !routes.is_empty() {
        routing["plugins"]["argoproj-labs/openshift"] = json!({ "routes": routes });
    }
    routing
}

/// A Rollout with a spec and the pod template of an image.
pub(crate) fn rollout(mut spec: Value, image: &str) -> Rollout {
    if spec["workloadRef"].is_null() {
        spec["selector"] = json!({ "matchLabels": { "app": "shop" } });
        spec["template"] = template(image);
    }
    if spec["replicas"].is_null()
        && let Some(fields) = spec.as_object_mut()
    {
        fields.remove("replicas");
    }
    let object = json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": { "name": ROLLOUT, "namespace": "sim", "uid": "rollout-1", "generation": 1 },
        "spec": spec,
    });
    serde_json::from_value(object).unwrap_or_default()
}

/// The pod template of an image.
pub(crate) fn template(image: &str) -> Value {
    json!({
        "metadata": { "labels": { "app": "shop" } },
        "spec": { "containers": [{ "name": "shop", "image": image, "ports": [{ "containerPort": 80 }] }] },
    })
}

/// What pods have while they are canary and while they are stable; one of the two may have nothing.
pub(crate) fn role_metadata(random: &mut Random) -> [Value; 2] {
    ["canary", "stable"].map(|role| match random.below(4) {
        0 => Value::Null,
        1 => json!({ "labels": { "role": role } }),
        2 => json!({ "annotations": { format!("shop.test/{role}"): "yes" } }),
        _ => json!({ "labels": { "role": role, format!("is-{role}"): "yes" }, "annotations": { "shop.test/role": role } }),
    })
}

/// Steps as a user may write them: weights, pauses with and without an end, analyses, sizes where a router splits the
/// traffic; sometimes none.
pub(crate) fn steps(random: &mut Random, routed: bool) -> Value {
    let count = random.int(0, 6);
    let steps = (0..count).map(|_| match random.below(if routed { 12 } else { 10 }) {
        0..=4 => json!({ "setWeight": *random.pick(&[0, 1, 5, 10, 20, 25, 40, 50, 60, 80, 99, 100]) }),
        5 | 6 => json!({ "pause": { "duration": *random.pick(&[1, 5, 30]) } }),
        7 => json!({ "pause": {} }),
        10 | 11 => json!({ "setCanaryScale": canary_scale(random) }),
        _ => json!({ "analysis": { "templates": [{ "templateName": TEMPLATE }] } }),
    });
    Value::Array(steps.collect())
}

/// Lets one HTTPRoute take header and mirror routes, and puts such steps among the others.
fn step_routes(random: &mut Random, canary: &mut Value) {
    canary["trafficRouting"]["managedRoutes"] =
        MANAGED_ROUTES.iter().map(|name| json!({ "name": name })).collect();
    canary["trafficRouting"]["plugins"]["argoproj-labs/gatewayAPI"] =
        json!({ "httpRoute": HTTP_ROUTES[0].name() });
    let Some(steps) = canary["steps"].as_array_mut() else { return };
    for _ in 0..random.int(1, 4) {
        let at = usize::try_from(random.below(steps.len() as u64 + 1)).unwrap_or(0);
        steps.insert(at, step_route(random));
    }
}

/// Puts steps among the others that send requests with a header to the canary Ingress.
fn header_routes(random: &mut Random, canary: &mut Value) {
    canary["trafficRouting"]["managedRoutes"] = json!([{ "name": MANAGED_ROUTES[0] }]);
    let Some(steps) = canary["steps"].as_array_mut() else { return };
    for _ in 0..random.int(1, 4) {
        let at = usize::try_from(random.below(steps.len() as u64 + 1)).unwrap_or(0);
        let (form, text) = *random.pick(&[("exact", "yes"), ("prefix", "y"), ("regex", "s$")]);
        let header = json!({ "headerName": "X-Tester", "headerValue": { form: text } });
        let route = match random.below(3) {
            0 => json!({ "name": MANAGED_ROUTES[0] }),
            _ => json!({ "name": MANAGED_ROUTES[0], "match": [header] }),
        };
        steps.insert(at, json!({ "setHeaderRoute": route }));
    }
}

fn step_route(random: &mut Random) -> Value {
    let header = json!({ "headerName": "X-Tester", "headerValue": { "exact": "yes" } });
    let path = json!({ "method": { "exact": "GET" }, "path": { "prefix": "/" } });
    match random.below(5) {
        0 => json!({ "setHeaderRoute": { "name": MANAGED_ROUTES[0] } }),
        1 | 2 => json!({ "setHeaderRoute": { "name": MANAGED_ROUTES[0], "match": [header] } }),
        3 => json!({ "setMirrorRoute": { "name": MANAGED_ROUTES[1], "percentage": 35, "match": [path] } }),
        _ => json!({ "setMirrorRoute": { "name": MANAGED_ROUTES[1] } }),
    }
}

fn canary_scale(random: &mut Random) -> Value {
    match random.below(3) {
        0 => json!({ "replicas": random.int(0, 14) }),
        1 => json!({ "weight": *random.pick(&[0, 1, 10, 25, 50, 100]) }),
        _ => json!({ "matchTrafficWeight": true }),
    }
}

fn limits(random: &mut Random, canary: &mut Value) {
    let choices = [json!(0), json!(1), json!(3), json!("10%"), json!("25%"), json!("100%")];
    if random.chance(700) {
        canary["maxSurge"] = random.pick(&choices).clone();
    }
    if random.chance(700) {
        canary["maxUnavailable"] = random.pick(&choices).clone();
    }
    if canary["maxSurge"] == json!(0) && canary["maxUnavailable"] == json!(0) {
        canary["maxUnavailable"] = json!(1);
    }
    if random.chance(100) {
        let kind = *random.pick(&["Percent", "Pods"]);
        canary["replicaProgressThreshold"] =
            json!({ "type": kind, "value": random.int(1, if kind == "Pods" { 3 } else { 100 }) });
    }
}

fn delays(random: &mut Random, canary: &mut Value) {
    if random.chance(600) {
        canary["scaleDownDelaySeconds"] = json!(*random.pick(&[0, 1, 5, 30, 120]));
    }
    if random.chance(600) {
        canary["abortScaleDownDelaySeconds"] = json!(*random.pick(&[0, 1, 5, 30, 120]));
    }
    if random.chance(150) {
        canary["scaleDownDelayRevisionLimit"] = json!(random.int(0, 2));
    }
    if random.chance(150) {
        canary["minPodsPerReplicaSet"] = json!(random.int(0, 4));
    }
    if random.chance(150) {
        // A Route of OpenShift holds no weight above 256.
        canary["trafficRouting"]["maxTrafficWeight"] = json!(250);
        canary["steps"] = json!([{ "setWeight": 10 }, { "setCanaryScale": { "weight": 100 } }, { "pause": { "duration": 5 } }, { "setWeight": 120 }]);
    }
}
