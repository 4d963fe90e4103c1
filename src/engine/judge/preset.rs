//! Counters whose names and labels are known: those of meshes, of routers, and of applications by convention.
//!
//! Input: the word by which a side is chosen. Output: expressions in PromQL whose series are counters. Meshes and
//! applications count by pod, and a pod's name holds the hash of its template. Routers count by what they send to.

/// What counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Preset {
    App,
    Istio,
    Linkerd,
    OpenshiftRouter,
    Nginx,
    Traefik,
    EnvoyGateway,
}

/// Expressions for one side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Queries {
    pub(super) requests: String,
    pub(super) errors: String,
    /// With the label `le`.
    pub(super) buckets: Option<String>,
}

/// By what a preset tells the sides apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chosen {
    /// The pod template hash in the name of a pod.
    Hash,
    /// The name of a Service, or what the router makes of it.
    Service,
    /// One Ingress has both.
    Ingress,
}

/// All of them by the name that users write.
pub(super) const ALL: [(&str, Preset); 7] = [
    ("app", Preset::App),
    ("istio", Preset::Istio),
    ("linkerd", Preset::Linkerd),
    ("openshift-router", Preset::OpenshiftRouter),
    ("nginx", Preset::Nginx),
    ("traefik", Preset::Traefik),
    ("envoy-gateway", Preset::EnvoyGateway),
];

impl Preset {
    pub(super) fn of(name: &str) -> Option<Self> {
        ALL.iter().find(|(known, _)| *known == name).map(|(_, preset)| *preset)
    }

    pub(super) fn chosen(self) -> Chosen {
        match self {
            Self::App | Self::Istio | Self::Linkerd => Chosen::Hash,
            Self::OpenshiftRouter | Self::Traefik | Self::EnvoyGateway => Chosen::Service,
            Self::Nginx => Chosen::Ingress,
        }
    }

    /// Labels that tell counters apart; without `pod` nobody knows which pod of a version a counter belongs to.
    pub(super) fn labels(self) -> &'static str {
        match self {
            Self::App | Self::Istio | Self::Linkerd | Self::OpenshiftRouter => "pod, instance",
            Self::Nginx | Self::Traefik | Self::EnvoyGateway => "instance",
        }
    }

    /// Seconds in the unit of the buckets' bounds.
    pub(super) fn bound_seconds(self) -> f64 {
        match self {
            Self::Istio | Self::Linkerd | Self::EnvoyGateway => 0.001,
            Self::App | Self::OpenshiftRouter | Self::Nginx | Self::Traefik => 1.0,
        }
    }

    /// The counters of one side; `word` is of the kind that [`Preset::chosen`] says, and `stable` that of the stable
    /// side, after which some routers name both.
    pub(super) fn queries(self, namespace: &str, word: &str, stable: &str, is_canary: bool) -> Queries {
        let pods = format!("namespace=\"{namespace}\",pod=~\".+-{word}-[a-z0-9]+\"");
        match self {
            Self::App => counted("http_requests_total", &pods, "code=~\"5..\"")
                .and_buckets(format!("http_request_duration_seconds_bucket{{{pods}}}")),
            Self::Istio => {
                let pods = format!("{pods},reporter=\"destination\"");
                counted("istio_requests_total", &pods, "response_code=~\"5..\"")
                    .and_buckets(format!("istio_request_duration_milliseconds_bucket{{{pods}}}"))
            }
            Self::Linkerd => {
                // The kubelet's probes, and whoever scrapes the proxy itself, are no users.
                let pods =
                    format!("{pods},direction=\"inbound\",route_name!=\"probe\",target_port!=\"4191\"");
                counted("response_total", &pods, "classification=\"failure\"")
                    .and_buckets(format!("response_latency_ms_bucket{{{pods}}}"))
            }
            Self::OpenshiftRouter => openshift(namespace, word),
            Self::Nginx => nginx(namespace, word, is_canary),
            Self::Traefik => traefik(namespace, word, is_canary.then_some(stable)),
            Self::EnvoyGateway => {
                let cluster = format!("envoy_cluster_name=\"httproute/{namespace}/{word}\"");
                let errors =
                    format!("envoy_cluster_upstream_rq_xx{{{cluster},envoy_response_code_class=\"5\"}}");
                Queries { errors, ..counted("envoy_cluster_upstream_rq_total", &cluster, "") }
                    .and_buckets(format!("envoy_cluster_upstream_rq_time_bucket{{{cluster}}}"))
            }
        }
    }
}

/// The requests of a counter, and those of them that are errors.
fn counted(counter: &str, labels: &str, errors: &str) -> Queries {
    Queries {
        requests: format!("{counter}{{{labels}}}"),
        errors: format!("{counter}{{{labels},{errors}}}"),
        buckets: None,
    }
}

impl Queries {
    fn and_buckets(self, buckets: String) -> Self {
        Self { buckets: Some(buckets), ..self }
    }
}

/// The same where labels are called otherwise once Prometheus keeps those of its targets: both ways, that one first.
fn kept_or_plain(counter: &str, buckets: &str, [kept, plain]: &[String; 2], errors: &str) -> Queries {
    let [kept, plain] = [kept, plain]
        .map(|labels| counted(counter, labels, errors).and_buckets(format!("{buckets}{{{labels}}}")));
    Queries {
        requests: format!("{} or {}", kept.requests, plain.requests),
        errors: format!("{} or {}", kept.errors, plain.errors),
        buckets: kept.buckets.zip(plain.buckets).map(|(kept, plain)| format!("{kept} or {plain}")),
    }
}

/// Traefik names what it sends to by namespace, Service and port: behind the rule of an HTTPRoute, and with an Ingress in
/// between where it reads these as ingress-nginx does. There alone another Service of the namespace whose name ends in
/// `-WORD` looks the same; and the backend of a canary Ingress is called as the stable one, `beside`, with a suffix. Where
/// Prometheus keeps the labels of its targets, of which a ServiceMonitor gives them `service`, Traefik's own label is
/// `exported_service`.
fn traefik(namespace: &str, word: &str, beside: Option<&str>) -> Queries {
    let own = format!("(.+-svc-)?{namespace}-{word}-[a-z0-9]+@.+");
    let of_ingress = |rest: &str| format!("|{namespace}-.+-{rest}@kubernetesingressnginx");
    let named = of_ingress(&format!("{word}-[a-z0-9]+"));
    let suffixed = beside.map(|stable| of_ingress(&format!("{stable}-[a-z0-9]+-canary")));
    let name = format!("=~\"{own}{named}{}\"", suffixed.unwrap_or_default());
    kept_or_plain(
        "traefik_service_requests_total",
        "traefik_service_request_duration_seconds_bucket",
        &[format!("exported_service{name}"), format!("service{name}")],
        "code=~\"5..\"",
    )
}

/// OpenShift's own Prometheus keeps the labels of its targets, which are the router's pods; what the router says of the
/// Service and the pod behind it is `exported_service` and `exported_pod` there.
fn openshift(namespace: &str, service: &str) -> Queries {
    let counter = "haproxy_server_http_responses_total";
    let both = |more: &str| {
        format!(
            "label_replace({counter}{{exported_namespace=\"{namespace}\",exported_service=\"{service}\"{more}}}, \
             \"pod\", \"$1\", \"exported_pod\", \"(.+)\") \
             or {counter}{{namespace=\"{namespace}\",exported_namespace=\"\",service=\"{service}\"{more}}}"
        )
    };
    Queries { requests: both(""), errors: both(",code=\"5xx\""), buckets: None }
}

/// ingress-nginx counts requests for a canary Ingress under the Ingress beside it, with the label `canary` set. Where
/// Prometheus keeps the labels of its targets, `namespace` is the router's own, and the Ingress's is `exported_namespace`.
fn nginx(namespace: &str, ingress: &str, is_canary: bool) -> Queries {
    let side = format!("ingress=\"{ingress}\",canary{}", if is_canary { "!=\"\"" } else { "=\"\"" });
    kept_or_plain(
        "nginx_ingress_controller_requests",
        "nginx_ingress_controller_request_duration_seconds_bucket",
        &[
            format!("exported_namespace=\"{namespace}\",{side}"),
            format!("namespace=\"{namespace}\",exported_namespace=\"\",{side}"),
        ],
        "status=~\"5..\"",
    )
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::*;

    /// What Traefik 3.7 called the two sides of a shop, by the provider that read the route.
    const OF_TRAEFIK: [(&str, &str); 4] = [
        ("ns-shop-shop-stable-80@kubernetesingressnginx", "stable"),
        // The canary Ingress only adds a suffix to what its stable one is called.
        ("ns-shop-shop-stable-80-canary@kubernetesingressnginx", "canary"),
        (
            "httproute-ns-shop-gw-gateways-web-ep-web-0-2b1cafc973-svc-ns-shop-stable-0@kubernetesgateway",
            "stable",
        ),
        (
            "httproute-ns-shop-gw-gateways-web-ep-web-0-2b1cafc973-svc-ns-shop-canary-1@kubernetesgateway",
            "canary",
        ),
    ];

    /// The pattern of a query, which Prometheus matches against the whole label.
    fn pattern(queries: &Queries) -> Regex {
        let pattern = queries.requests.split('"').nth(1).unwrap();
        Regex::new(&format!("^(?:{pattern})$")).unwrap()
    }

    #[test]
    fn traefik_is_told_apart_whatever_reads_its_routes() {
        let of = |side: &str| {
            pattern(&Preset::Traefik.queries("ns", &format!("shop-{side}"), "shop-stable", side == "canary"))
        };
        let crd = ["stable", "canary"].map(|side| (format!("ns-shop-{side}-http@kubernetescrd"), side));
        let seen = OF_TRAEFIK.map(|(label, side)| (label.to_owned(), side));
        for (label, wanted) in seen.into_iter().chain(crd) {
            for side in ["stable", "canary"] {
                assert_eq!(of(side).is_match(&label), side == wanted, "{side} {label}");
            }
        }
    }

    #[test]
    fn a_service_is_not_taken_for_one_that_only_begins_with_its_name() {
        let of = |word: &str, is_canary| pattern(&Preset::Traefik.queries("ns", word, "shop", is_canary));
        let (stable, canary) = (of("shop", false), of("shop-canary", true));
        let of_ingress =
            ["ns-web-shop-80", "ns-web-shop-80-canary", "ns-web-shop-canary-80", "other-web-shop-80"]
                .map(|label| format!("{label}@kubernetesingressnginx"));
        assert_eq!(
            [0, 1, 2, 3].map(|at: usize| stable.is_match(&of_ingress[at])),
            [true, false, false, false]
        );
        assert_eq!(
            [0, 1, 2, 3].map(|at: usize| canary.is_match(&of_ingress[at])),
            [false, true, true, false]
        );
        let direct =
            ["ns-shop-80@kubernetes", "ns-shop-canary-80@kubernetescrd", "ns-old-shop-80@kubernetescrd"];
        assert_eq!(direct.map(|label| stable.is_match(label)), [true, false, false], "nor that ends with it");
        assert_eq!(direct.map(|label| canary.is_match(label)), [false, true, false]);
    }
}
