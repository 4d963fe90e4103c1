//! Expressions as users of Argo CD write them, and hostile ones.

use serde_json::{Value, json};

use super::{Expression, Fuel, Path, Step};

fn fuel() -> Fuel {
    Fuel::new(100_000, 10_000_000)
}

fn said(path: &Path) -> String {
    let steps = path.iter().map(|step| match step {
        Step::Key(key) => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
        Step::Index(index) => format!("/{index}"),
    });
    steps.collect()
}

/// The paths that an expression selects, as JSON pointers.
fn select(expression: &str, object: &Value) -> Result<Vec<String>, String> {
    let paths = Expression::read(expression)?.select(object, &fuel())?;
    Ok(paths.iter().map(said).collect())
}

/// One object with a little of everything that the expressions below look at.
fn object() -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "web",
            "namespace": "shop",
            "creationTimestamp": null,
            "labels": { "app": "web", "controlledByLeader": "true", "helm.sh/chart": "web-1.0.0" },
            "annotations": {
                "deployment.kubernetes.io/revision": "3",
                "kubectl.kubernetes.io/restartedAt": "now",
                "meta.helm.sh/release-name": "web",
                "vault.hashicorp.com/path": "app1",
                "custom/ignore-replicas": "true",
            },
            "finalizers": ["foregroundDeletion", "example.com/keep"],
        },
        "data": { "tls.crt": "a", "tls.key": "b", "ca.crt": "c" },
        "spec": {
            "replicas": 3,
            "clusterIP": "10.0.0.1",
            "conversion": { "webhook": { "clientConfig": { "caBundle": "x" } } },
            "rules": [{ "host": "a.example" }, { "host": "b.example", "http": { "paths": [{ "path": "/" }] } }],
            "to": { "weight": 80 },
            "alternateBackends": [{ "name": "canary", "weight": 20 }],
            "ports": [{ "name": "http", "nodePort": 30080 }, { "name": "grpc", "nodePort": null }],
            "metrics": [{ "type": "Resource", "resource": { "name": "cpu" } }, { "type": "Pods" }],
            "volumeClaimTemplates": [
                { "metadata": { "name": "data", "creationTimestamp": null }, "spec": { "volumeMode": "Filesystem" },
                  "status": { "phase": "Pending" } },
            ],
            "template": {
                "metadata": { "annotations": { "linkerd.io/proxy-version": "2", "checksum/config": "abc" } },
                "spec": {
                    "containers": [
                        { "name": "app", "image": "shop/web:v1", "env": [
                            { "name": "HOST", "value": "a" }, { "name": "DD_VERSION", "value": "1" } ],
                          "resources": { "limits": { "cpu": "1000m" }, "requests": { "cpu": "1" } } },
                        { "name": "istio-proxy", "image": "istio:latest", "args": ["proxy", "--log=1"] },
                    ],
                    "initContainers": [{ "name": "istio-init", "image": "istio:latest" }],
                    "volumes": [
                        { "name": "vault-secrets", "emptyDir": {} },
                        { "name": "config", "configMap": { "name": "web", "defaultMode": 420 } },
                    ],
                },
            },
        },
        "webhooks": [
            { "name": "a", "clientConfig": { "caBundle": "x" }, "failurePolicy": "Fail",
              "namespaceSelector": { "matchExpressions": [{ "key": "control-plane" }, { "key": "kept" }] } },
            { "name": "b", "clientConfig": { "caBundle": "y" } },
        ],
        "status": { "conditions": [{ "type": "Ready" }, { "type": "Stalled" }] },
    })
}

#[test]
fn what_users_write_works() {
    let app = "/spec/template/spec/containers/0";
    let proxy = "/spec/template/spec/containers/1";
    let cases: Vec<(&str, Vec<String>)> = vec![
        (".spec.replicas", vec!["/spec/replicas".into()]),
        (".data", vec!["/data".into()]),
        (".status", vec!["/status".into()]),
        (".spec.clusterIP", vec!["/spec/clusterIP".into()]),
        (".metadata.labels.\"helm.sh/chart\"", vec!["/metadata/labels/helm.sh~1chart".into()]),
        (
            ".metadata.annotations[\"deployment.kubernetes.io/revision\"]",
            vec!["/metadata/annotations/deployment.kubernetes.io~1revision".into()],
        ),
        (
            ".metadata.annotations.[\"kubectl.kubernetes.io/restartedAt\"]",
            vec!["/metadata/annotations/kubectl.kubernetes.io~1restartedAt".into()],
        ),
        (".data[\"tls.crt\"], .data[\"tls.key\"]", vec!["/data/tls.crt".into(), "/data/tls.key".into()]),
        (".data | .[\"ca.crt\"]", vec!["/data/ca.crt".into()]),
        (
            ".webhooks[]?.clientConfig.caBundle",
            vec!["/webhooks/0/clientConfig/caBundle".into(), "/webhooks/1/clientConfig/caBundle".into()],
        ),
        (
            ".webhooks[].clientConfig.caBundle",
            vec!["/webhooks/0/clientConfig/caBundle".into(), "/webhooks/1/clientConfig/caBundle".into()],
        ),
        (".webhooks[0].clientConfig.caBundle", vec!["/webhooks/0/clientConfig/caBundle".into()]),
        (
            ".webhooks[]?.namespaceSelector.matchExpressions[]? | select(.key == \"control-plane\")",
            vec!["/webhooks/0/namespaceSelector/matchExpressions/0".into()],
        ),
        (".webhooks[] | select(.name == \"b\") | .clientConfig", vec!["/webhooks/1/clientConfig".into()]),
        (".webhooks[1:][].clientConfig.caBundle", vec!["/webhooks/1/clientConfig/caBundle".into()]),
        (
            ".spec.conversion.webhook.clientConfig.caBundle",
            vec!["/spec/conversion/webhook/clientConfig/caBundle".into()],
        ),
        (".spec.template.spec.containers[] | select(.name == \"istio-proxy\")", vec![proxy.into()]),
        (".spec.template.spec.containers[] | select(.name == \"app\").image", vec![format!("{app}/image")]),
        (
            ".spec.template.spec.containers[] | select(.name == \"app\" or .name == \"istio-proxy\") | .image",
            vec![format!("{app}/image"), format!("{proxy}/image")],
        ),
        (".spec.template.spec.containers[] | select(.image | endswith(\":latest\"))", vec![proxy.into()]),
        (
            ".spec.template.spec.containers[] | select(.image | contains(\"shop/\")) | .image",
            vec![format!("{app}/image")],
        ),
        (
            ".spec.template.spec.containers[] | select(.name | test(\"^istio-\")) | .args",
            vec![format!("{proxy}/args")],
        ),
        (
            ".spec.template.spec.containers[] | select(.name | test(\"^ISTIO\"; \"i\")) | .args[0]",
            vec![format!("{proxy}/args/0")],
        ),
        (
            ".spec.template.spec.containers[].env[]? | select(.name == \"HOST\") | .value",
            vec![format!("{app}/env/0/value")],
        ),
        (
            ".spec.template.spec.containers[].env[] | select(.name | startswith(\"DD_\"))",
            vec![format!("{app}/env/1")],
        ),
        (
            ".spec.template.spec.containers[].env[]? | select(.name | IN(\"HOST\", \"PORT\"))",
            vec![format!("{app}/env/0")],
        ),
        (
            ".spec.template.spec.containers[]?.resources?.limits?.cpu",
            vec![format!("{app}/resources/limits/cpu"), format!("{proxy}/resources/limits/cpu")],
        ),
        (
            ".spec.template.spec.containers[] | .resources | select(. != null) | .limits, .requests",
            vec![format!("{app}/resources/limits"), format!("{app}/resources/requests")],
        ),
        (
            ".spec.template.spec.containers[] | select(any(.env[]?; .name == \"HOST\")) | .env",
            vec![format!("{app}/env")],
        ),
        (
            ".spec.template.spec.initContainers[] | select(.name == \"istio-init\")",
            vec!["/spec/template/spec/initContainers/0".into()],
        ),
        (
            ".spec.template.spec.initContainers, .spec.template.spec.containers[].imagePullPolicy",
            vec![
                "/spec/template/spec/initContainers".into(),
                format!("{app}/imagePullPolicy"),
                format!("{proxy}/imagePullPolicy"),
            ],
        ),
        (
            ".spec.template.spec.volumes[] | select(.name | startswith(\"vault-\"))",
            vec!["/spec/template/spec/volumes/0".into()],
        ),
        (
            ".spec.template.spec.volumes[]? | .configMap?.defaultMode | select(. != null)",
            vec!["/spec/template/spec/volumes/1/configMap/defaultMode".into()],
        ),
        (
            ".spec.template.metadata.annotations[\"linkerd.io/proxy-version\"]",
            vec!["/spec/template/metadata/annotations/linkerd.io~1proxy-version".into()],
        ),
        (
            ".spec.template.metadata.annotations | .[keys[] | select(startswith(\"checksum/\"))]",
            vec!["/spec/template/metadata/annotations/checksum~1config".into()],
        ),
        (
            ".metadata.annotations | to_entries[] | select(.key | startswith(\"meta.\")) | .key as $k | $k | empty",
            vec![],
        ),
        (".spec.volumeClaimTemplates[]?.status", vec!["/spec/volumeClaimTemplates/0/status".into()]),
        (
            ".spec.volumeClaimTemplates[].metadata.creationTimestamp",
            vec!["/spec/volumeClaimTemplates/0/metadata/creationTimestamp".into()],
        ),
        (
            ".spec.volumeClaimTemplates[] | .apiVersion, .kind",
            vec![
                "/spec/volumeClaimTemplates/0/apiVersion".into(),
                "/spec/volumeClaimTemplates/0/kind".into(),
            ],
        ),
        (".spec.ports[] | select(.nodePort != null) | .nodePort", vec!["/spec/ports/0/nodePort".into()]),
        (".spec.alternateBackends[]?.weight", vec!["/spec/alternateBackends/0/weight".into()]),
        (".spec.metrics[] | select(.resource.name == \"cpu\")", vec!["/spec/metrics/0".into()]),
        (".spec.metrics[] | select(has(\"resource\") | not)", vec!["/spec/metrics/1".into()]),
        (".spec.rules[]?.http?.paths[]?.path", vec!["/spec/rules/1/http/paths/0/path".into()]),
        (".status.conditions[]? | select(.type == \"Ready\")", vec!["/status/conditions/0".into()]),
        (
            ".metadata.finalizers[] | select(. == \"foregroundDeletion\")",
            vec!["/metadata/finalizers/0".into()],
        ),
        (".metadata.finalizers[-1]", vec!["/metadata/finalizers/1".into()]),
        (
            "select(.metadata.labels.controlledByLeader == \"true\").spec.replicas",
            vec!["/spec/replicas".into()],
        ),
        ("select(.metadata.name | test(\"^api\")) | .spec.replicas", vec![]),
        (
            "select((.metadata.annotations // {}) | has(\"vault.hashicorp.com/path\")) | .data",
            vec!["/data".into()],
        ),
        ("if .kind == \"Deployment\" then .spec.replicas else empty end", vec!["/spec/replicas".into()]),
        (
            ".metadata?.annotations?[\"custom/ignore-replicas\"] as $ignore | if $ignore == \"true\" then .spec.replicas else null end",
            vec!["/spec/replicas".into()],
        ),
        (
            ".metadata?.annotations?[\"absent\"] as $ignore | if $ignore == \"true\" then .spec.replicas else null end",
            vec![],
        ),
        (
            ".. | objects | select(has(\"caBundle\")) | .caBundle",
            vec![
                "/spec/conversion/webhook/clientConfig/caBundle".into(),
                "/webhooks/0/clientConfig/caBundle".into(),
                "/webhooks/1/clientConfig/caBundle".into(),
            ],
        ),
        ("..|.emptyDir? | select(. != null)", vec!["/spec/template/spec/volumes/0/emptyDir".into()]),
        ("(.spec.absent // .spec.to).weight", vec!["/spec/to/weight".into()]),
        ("first(.webhooks[] | select(.clientConfig)) | .name", vec!["/webhooks/0/name".into()]),
        ("getpath([\"spec\", \"to\", \"weight\"])", vec!["/spec/to/weight".into()]),
        (".spec.template.spec.containers | map(select(.name == \"x\")) | empty", vec![]),
    ];
    assert!(cases.len() >= 40);
    let object = object();
    for (expression, want) in cases {
        let mut got = select(expression, &object).unwrap_or_else(|error| panic!("{expression}: {error}"));
        got.sort();
        let mut want = want;
        want.sort();
        assert_eq!(got, want, "{expression}");
    }
}

#[test]
fn what_is_not_there_selects_nothing() {
    for expression in [
        ".spec.template.spec.containers[].image",
        ".webhooks[].clientConfig.caBundle",
        ".kind[]",
        ".kind.replicas",
        ".metadata[0]",
        ".spec.containers[] | select(.name | test(\"a\"))",
        ".spec[] | select(startswith(\"a\"))",
        ".spec | all(. == 1) | select(.) | empty",
    ] {
        assert_eq!(select(expression, &json!({ "kind": "X", "metadata": {} })), Ok(vec![]), "{expression}");
    }
    // What one branch does not find keeps no other from being found.
    let object = json!({ "spec": { "containers": [{ "image": "a" }] } });
    assert_eq!(
        select(".spec.initContainers[].image, .spec.containers[].image", &object),
        Ok(vec!["/spec/containers/0/image".to_owned()])
    );
}

#[test]
fn what_is_wrong_is_said() {
    for (expression, want) in [
        ("", "is no jq expression: it ends too early"),
        (".spec[", "is no jq expression: it ends too early"),
        (".spec | | .a", "is no jq expression: it cannot be read at \"|\""),
        (".spec.replicas §", "is no jq expression: it cannot be read at \"§\""),
        ("$x", "names $x, which is not defined"),
        (".data.tls-cert", "uses the function cert/0, which is not served"),
        (".spec | del(.a)", "uses the function del/1, which is not served"),
        ("def f: f; f", "uses def, which is not served"),
        ("reduce .[] as $x (0; . + $x)", "uses reduce, which is not served"),
        ("label $out | .a", "uses label and break"),
        (".a |= 1", "uses an assignment"),
        (". as [$a, $b] | .a", "uses a pattern of several variables"),
        ("try .a catch .b", "uses catch"),
        ("@base64 \"\\(.a)\"", "uses @base64"),
        ("\"a\"", "gives values that are not fields"),
        (".metadata.annotations | keys[]", "gives values that are not fields"),
        (".spec.replicas + 1", "gives values that are not fields"),
    ] {
        let error = select(expression, &object()).expect_err(expression);
        assert!(error.starts_with(want), "{expression}: {error}");
    }
    assert!(select(&".a".repeat(3000), &object()).expect_err("long").contains("longer than 4096 bytes"));
    assert!(select(&"(".repeat(3000), &object()).expect_err("deep").contains("nests more than 32"));
    assert!(select(&".|".repeat(1000), &object()).expect_err("many").contains("more than 300 words"));
    assert!(select(&"-".repeat(1000), &object()).is_err());
    assert!(select(&"try ".repeat(1000), &object()).is_err());
    // What just fits is read and evaluated without trouble.
    assert_eq!(select(&format!("{}.a", ".|".repeat(145)), &json!({ "a": 1 })), Ok(vec!["/a".to_owned()]));
    assert!(select(&format!("{}1", "-".repeat(290)), &json!({})).is_err());
}

#[test]
fn nothing_reaches_the_outside() {
    for name in [
        "env",
        "$ENV",
        "input",
        "inputs",
        "now",
        "halt",
        "debug",
        "input_filename",
        "$__loc__",
        "getpath",
        "range(9)",
    ] {
        assert!(select(&format!("{name} | .a"), &object()).is_err(), "{name}");
    }
}

#[test]
fn hostile_expressions_end() {
    let big = json!({
        "list": (0..20_000).collect::<Vec<_>>(),
        "text": "a".repeat(200_000),
        "texts": (0..20_000).map(|n| n.to_string()).collect::<Vec<_>>(),
    });
    for expression in [
        "..|..|..|..|..|..",
        "[..]|[.,.]|[.,.]|[.,.]|[.,.]|[.,.]|[.,.]|[.,.]|[.,.]|[.,.]|[.,.]",
        "recurse([.])",
        "recurse(.)",
        "recurse(.,.)",
        ".list[] as $a | .list[] as $b | .list[] as $c | .a",
        ".list | contains(.)",
        ". as $all | .list | inside($all.list)",
        ".list - .list",
        ".text as $t | .texts | join($t)",
        ".text + .text + .text + .text | . + . + . + . | . + . + . + . | . + . + . + . | length",
        ".text | test(\"(a*)*(a*)*(a*)*b\")",
        ".text | test(\"(a{1,100}){1,100}b\")",
        "[.texts[] | . as $x | .text]",
        ".text as $t | [$t,$t,$t,$t] as $u | [$u,$u,$u,$u] as $v | [$v,$v,$v,$v] as $w | [$w,$w,$w,$w] | tojson",
        "\"\\(.text)\\(.text)\\(.text)\" as $t | \"\\($t)\\($t)\\($t)\" as $u | \"\\($u)\\($u)\\($u)\" | length",
        "[.list[], .list[], .list[], .list[], .list[]] | add",
    ] {
        let fuel = fuel();
        let read = Expression::read(expression).unwrap_or_else(|error| panic!("{expression}: {error}"));
        let _ = read.select(&big, &fuel);
        assert!(fuel.left.get() >= 9_900_000, "{expression}: one evaluation took more than its share");
    }
    let endless = select("recurse(.)", &json!({ "a": 1 }));
    assert!(endless.expect_err("endless").starts_with("takes too many steps"));
}

#[test]
fn all_evaluations_together_are_bounded() {
    let fuel = Fuel::new(1000, 1500);
    let read = Expression::read("recurse(.)").expect("readable");
    assert!(read.select(&json!({}), &fuel).is_err());
    assert_eq!(fuel.left.get(), 500);
    let plain = Expression::read(".a").expect("readable");
    assert!(plain.select(&json!({}), &fuel).is_ok());
    assert!(read.select(&json!({}), &fuel).is_err());
    assert_eq!(fuel.left.get(), 0);
    assert!(plain.select(&json!({}), &fuel).is_err());
}

#[test]
fn values_are_as_jq_says() {
    // Each condition holds.
    for condition in [
        "1 == 1.0",
        "1 < \"a\"",
        "null < false",
        "[1,2] < [1,3]",
        "{} > []",
        "({a: 1} | .a) == 1",
        "({\"a\": 1} | has(\"a\"))",
        "([1,2] | length) == 2",
        "(null | length) == 0",
        "(\"äb\" | length) == 2",
        "([3,1,2] | sort) == [1,2,3]",
        "([1,[2,[3]]] | flatten) == [1,2,3]",
        "([1,2] | add) == 3",
        "([\"a\",\"b\"] | add) == \"ab\"",
        "([[1],[2]] | add) == [1,2]",
        "(\"a,b\" | split(\",\")) == [\"a\",\"b\"]",
        "([\"a\",1,null] | join(\"-\")) == \"a-1-\"",
        "(\"v1.2\" | ltrimstr(\"v\")) == \"1.2\"",
        "(\"12\" | tonumber) == 12",
        "(12 | tostring) == \"12\"",
        "(\"{\\\"a\\\":1}\" | fromjson | .a) == 1",
        "([1,2,3] | any(. > 2))",
        "([1,2,3] | all(. > 0))",
        "([true,false] | any)",
        "(\"foobar\" | contains(\"bar\"))",
        "({a: {b: \"xy\"}} | contains({a: {b: \"x\"}}))",
        "([\"foobar\"] | contains([\"bar\"]))",
        "(\"bar\" | inside(\"foobar\"))",
        "(1 + 2 * 3) == 7",
        "(7 % 3) == 1",
        "(-1 | . < 0)",
        "([1,2] - [2]) == [1]",
        "(null + 1) == 1",
        "(\"a\" | ascii_upcase) == \"A\"",
        "({a: 1} | to_entries) == [{key: \"a\", value: 1}]",
        "({a: 1, b: 2} | with_entries(select(.value > 1))) == {b: 2}",
        "(\"\\(1 + 1)x\") == \"2x\"",
        "([.a[]?] | length) == 0",
        "(false // 1) == 1",
        "([false, 2] | .[] // 9) == 2",
        "isempty(empty)",
        "([limit(2; 1, 2, 3)]) == [1, 2]",
        "(\"abcd\"[1:3]) == \"bc\"",
        "([1,2,3][:-1]) == [1,2]",
        "(\"abc\" | index(\"c\")) == 2",
        "([1,1,2] | unique) == [1,2]",
        "([1,3] | max) == 3",
        "true and (false | not)",
        "(3 / 2) == 1.5",
        "(\"x\" as $x | {$x}) == {x: \"x\"}",
        "({a: 5} | {a}) == {a: 5}",
        "(1 | floor) == 1",
        "({a: 1} + {b: 2}) == {a: 1, b: 2}",
        "([1,2] | map(. + 1)) == [2,3]",
        "(\"x\" | type) == \"string\"",
    ] {
        let got = select(&format!("select({condition}) | .a"), &json!({ "a": 1 }));
        assert_eq!(got, Ok(vec!["/a".to_owned()]), "{condition}");
    }
}
