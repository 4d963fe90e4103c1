//! What users may write, and what they are told about what they may not.

use serde_json::{Value, json};

use super::*;

fn setting() -> Setting {
    let arguments = [("stable-hash", "5f6d"), ("canary-hash", "7c9b"), ("other", "x")];
    let arguments = arguments.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Setting { namespace: "shop".to_owned(), arguments: arguments.into() }
}

fn query(config: Value) -> String {
    parse(&config, &setting()).unwrap().prometheus.query.unwrap()
}

#[test]
fn a_preset_and_the_hashes_of_the_run_are_enough() {
    let source = parse(&json!({"preset": "istio"}), &setting()).unwrap();
    let query = source.prometheus.query.clone().unwrap();
    assert!(query.contains(
        "label_replace(label_replace(sum by (pod, instance) (istio_requests_total{namespace=\"shop\",\
         pod=~\".+-7c9b-[a-z0-9]+\",reporter=\"destination\"}), \"tidegate_side\", \"canary\", \"\", \"\"), \
         \"tidegate_kind\", \"requests\", \"\", \"\")"
    ));
    assert_eq!(query.matches("5f6d").count(), 3);
    assert_eq!(
        (source.interval_seconds, source.history_seconds, source.bound_seconds),
        (10.0, 1800.0, 0.001)
    );
    let usual = Settings::default();
    let slow = Settings { harm: 0.05, ..usual };
    assert_eq!(source.terms, Terms { errors: usual, slow, ..Terms::default() });
}

#[test]
fn each_preset_makes_a_whole_query_that_tells_the_sides_apart() {
    for (name, preset) in preset::ALL {
        let mut config = json!({"preset": name, "namespace": "ns"});
        match preset.chosen() {
            Chosen::Hash => {}
            Chosen::Service => config
                .as_object_mut()
                .unwrap()
                .extend(json!({"stable": "shop", "canary": "shop-canary"}).as_object().unwrap().clone()),
            Chosen::Ingress => config["ingress"] = json!("shop"),
        }
        let query = query(config);
        let balance = |open: char, close: char| query.matches(open).count() == query.matches(close).count();
        assert!(balance('(', ')') && balance('{', '}') && !query.contains("{{"), "{name}: {query}");
        let parts: Vec<&str> = query.split(" or label_replace").collect();
        let half = parts.len() / 2;
        assert!(half == 2 || half == 3, "{name}: {query}");
        for (canary, stable) in parts[..half].iter().zip(&parts[half..]) {
            let renamed = canary.replace("\"tidegate_side\", \"canary\"", "\"tidegate_side\", \"stable\"");
            assert_ne!(
                renamed.trim_start_matches("label_replace"),
                *stable,
                "{name}: both sides are the same"
            );
        }
    }
}

#[test]
fn labels_that_prometheus_had_to_rename_are_asked_for_too() {
    let sides = json!({"stable": "shop", "canary": "next"});
    for (preset, parts) in [
        (
            "openshift-router",
            [
                "label_replace(haproxy_server_http_responses_total{exported_namespace=\"shop\",exported_service=\"next\",\
                 code=\"5xx\"}, \"pod\", \"$1\", \"exported_pod\", \"(.+)\") or ",
                "haproxy_server_http_responses_total{namespace=\"shop\",exported_namespace=\"\",service=\"next\"})",
            ],
        ),
        (
            "traefik",
            [
                "{exported_service=~\"(.+-svc-)?shop-next-[a-z0-9]+@.+",
                "traefik_service_requests_total{service=~\"(.+-svc-)?shop-next-",
            ],
        ),
    ] {
        let mut config = sides.clone();
        config["preset"] = json!(preset);
        let query = query(config);
        for part in parts {
            assert!(query.contains(part), "{preset}: {query}");
        }
    }
}

#[test]
fn probes_of_a_mesh_are_no_requests() {
    let query = query(json!({"preset": "linkerd"}));
    let users = "direction=\"inbound\",route_name!=\"probe\",target_port!=\"4191\"";
    assert_eq!(query.matches(users).count(), 6, "{query}");
}

#[test]
fn own_queries_and_numbers_as_text_are_taken() {
    let own = |which: &str| json!({"requests": format!("all{{v={which:?}}}"), "errors": format!("bad{{v={which:?}}}")});
    let config = json!({
        "canary": own("new"), "stable": own("old"), "interval": "30s", "history": "0s", "within": "20m",
        "falseAbort": "0.1%", "harm": "0.02", "mostErrors": 0.05, "tolerance": 2,
        "prometheus": {"address": "http://p:9090", "timeout": 5},
    });
    let source = parse(&config, &Setting::default()).unwrap();
    assert_eq!(source.prometheus.address.as_deref(), Some("http://p:9090"));
    assert!(source.prometheus.query.unwrap().contains("sum by (pod, instance) (bad{v=\"old\"})"));
    let Terms { errors, most_errors, within_seconds, .. } = source.terms;
    assert_eq!((errors.false_abort, errors.harm, errors.tolerance), (0.001, 0.02, 2.0));
    assert_eq!((most_errors, within_seconds, source.history_seconds), (Some(0.05), Some(1200.0), 0.0));
}

#[test]
fn a_limit_of_slow_requests_is_a_part_and_a_time() {
    let source = parse(
        &json!({"preset": "traefik", "stable": "s", "canary": "c", "mostSlow": "5%", "slowAfter": "300ms"}),
        &setting(),
    );
    assert_eq!(source.unwrap().terms.most_slow, Some(MostSlow { after_seconds: 0.3, part: 0.05 }));
}

#[test]
fn what_is_wrong_is_named_with_its_mend() {
    for (config, wanted) in [
        (json!(5), "its settings: must be fields with values"),
        (
            json!({"preset": "istio", "treshold": 1}),
            "treshold: there is no such field; the fields are preset, ",
        ),
        (json!({"preset": "envoy"}), "preset: there is no \"envoy\"; the presets are app, istio, "),
        (json!({}), "canary: needs the queries requests and errors"),
        (json!({"canary": {"requests": "r"}}), "canary.errors: needs a query"),
        (
            json!({"canary": {"requests": "r", "errors": "e", "total": "t"}}),
            "canary.total: there is no such field",
        ),
        (json!({"preset": "app", "canary": {"requests": "r"}}), "canary: has queries beside a preset"),
        (json!({"preset": "traefik", "canary": "c"}), "stable: name its Service"),
        (json!({"preset": "nginx"}), "ingress: name the stable Ingress"),
        (json!({"preset": "app", "stable": "a\"}"}), "stable: \"a\\\"}\" is no name"),
        (json!({"preset": "app", "falseAbort": 2}), "falseAbort: must lie between 0 and 1"),
        (json!({"preset": "app", "harm": "much"}), "harm: must be a number"),
        (json!({"preset": "app", "harm": true}), "harm: must be a number"),
        (json!({"preset": "app", "interval": 10}), "interval: must be a text"),
        (json!({"preset": "app", "interval": "10"}), "interval: must be a duration, such as 10s"),
        (json!({"preset": "app", "interval": "10ms"}), "interval: must be at least 1 s"),
        (json!({"preset": "app", "history": "2h"}), "history: must be at most 180 times the interval"),
        (json!({"preset": "app", "mostSlow": "5%"}), "slowAfter: says what is slow for mostSlow"),
        (json!({"preset": "app", "slowAfter": "1s"}), "mostSlow: says how many may be slower than slowAfter"),
        (
            json!({"preset": "app", "mostSlow": "5%", "slowAfter": "0s"}),
            "slowAfter: must be at least 0.001 s",
        ),
        (
            json!({"preset": "openshift-router", "stable": "s", "canary": "c", "mostSlow": 0.1, "slowAfter": "1s"}),
            "mostSlow: needs the durations of requests",
        ),
        (json!({"preset": "app", "tolerance": 0.5}), "tolerance: must be at least 1"),
        (json!({"preset": "app", "prometheus": {"query": "up"}}), "prometheus.query: there is no such field"),
        (json!({"preset": "app", "prometheus": {"timeout": "x"}}), "prometheus: invalid type"),
    ] {
        let told = parse(&config, &setting()).unwrap_err();
        assert!(told.starts_with(&format!("tidegate.dev/judge: {wanted}")), "{config}: {told}");
    }
    let told = parse(&json!({"preset": "app"}), &Setting { namespace: "ns".into(), ..Setting::default() });
    assert!(told.unwrap_err().contains("canary-hash of the run (valueFrom: {podTemplateHashValue: Latest})"));
}

#[test]
fn what_depends_on_arguments_is_left_open() {
    for config in [
        json!({"preset": "app", "stable": "{{args.a}}", "canary": "{{args.b}}", "harm": "{{args.c}}"}),
        json!({"preset": "{{args.preset}}"}),
        json!({"preset": "app", "mostSlow": "{{args.most}}", "slowAfter": "1s"}),
        json!({"preset": "app", "mostSlow": "5%", "slowAfter": "{{args.after}}"}),
        json!({"preset": "istio", "prometheus": {"address": "{{args.address}}"}, "interval": "{{args.i}}"}),
        json!({"preset": "nginx", "ingress": "{{args.ingress}}", "namespace": "{{args.namespace}}"}),
        json!({"canary": {"requests": "r{{args.x}}", "errors": "e"}, "stable": {"requests": "r", "errors": "e"}}),
    ] {
        assert_eq!(fault(&config), None, "{config}");
    }
    let told = fault(&json!({"preset": "app", "stable": "{{args.a}}", "falseAbort": 5})).unwrap();
    assert!(told.contains("falseAbort"), "{told}");
}
