//! Expressions as users of Argo CD write them, and hostile ones.

use serde_json::{Value, json};

use super::{Expression, Fuel, Step, function};

fn fuel() -> Fuel {
    Fuel::new(100_000, 10_000_000)
}

fn said(path: &[Step]) -> String {
    let steps = path.iter().map(|step| match step {
        Step::Key(key) => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
        Step::Index(index) => format!("/{index}"),
    });
    steps.collect()
}

/// The paths that an expression selects, as JSON pointers.
fn select(expression: &str, object: &Value) -> Result<Vec<String>, String> {
    let paths = Expression::read(expression)?.select(object, &fuel())?;
    Ok(paths.iter().map(|path| said(path)).collect())
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

/// Expressions and what each selects in [`object`], as JSON pointers.
const USED: &[(&str, &[&str])] = &[
    (".spec.replicas", &["/spec/replicas"]),
    (".data", &["/data"]),
    (".status", &["/status"]),
    (".spec.clusterIP", &["/spec/clusterIP"]),
    (".metadata.labels.\"helm.sh/chart\"", &["/metadata/labels/helm.sh~1chart"]),
    (
        ".metadata.annotations[\"deployment.kubernetes.io/revision\"]",
        &["/metadata/annotations/deployment.kubernetes.io~1revision"],
    ),
    (
        ".metadata.annotations.[\"kubectl.kubernetes.io/restartedAt\"]",
        &["/metadata/annotations/kubectl.kubernetes.io~1restartedAt"],
    ),
    (".data[\"tls.crt\"], .data[\"tls.key\"]", &["/data/tls.crt", "/data/tls.key"]),
    (".data | .[\"ca.crt\"]", &["/data/ca.crt"]),
    (
        ".webhooks[]?.clientConfig.caBundle",
        &["/webhooks/0/clientConfig/caBundle", "/webhooks/1/clientConfig/caBundle"],
    ),
    (
        ".webhooks[].clientConfig.caBundle",
        &["/webhooks/0/clientConfig/caBundle", "/webhooks/1/clientConfig/caBundle"],
    ),
    (".webhooks[0].clientConfig.caBundle", &["/webhooks/0/clientConfig/caBundle"]),
    (
        ".webhooks[]?.namespaceSelector.matchExpressions[]? | select(.key == \"control-plane\")",
        &["/webhooks/0/namespaceSelector/matchExpressions/0"],
    ),
    (".webhooks[] | select(.name == \"b\") | .clientConfig", &["/webhooks/1/clientConfig"]),
    (".webhooks[1:][].clientConfig.caBundle", &["/webhooks/1/clientConfig/caBundle"]),
    (".spec.conversion.webhook.clientConfig.caBundle", &["/spec/conversion/webhook/clientConfig/caBundle"]),
    (
        ".spec.template.spec.containers[] | select(.name == \"istio-proxy\")",
        &["/spec/template/spec/containers/1"],
    ),
    (
        ".spec.template.spec.containers[] | select(.name == \"app\").image",
        &["/spec/template/spec/containers/0/image"],
    ),
    (
        ".spec.template.spec.containers[] | select(.name == \"app\" or .name == \"istio-proxy\") | .image",
        &["/spec/template/spec/containers/0/image", "/spec/template/spec/containers/1/image"],
    ),
    (
        ".spec.template.spec.containers[] | select(.image | endswith(\":latest\"))",
        &["/spec/template/spec/containers/1"],
    ),
    (
        ".spec.template.spec.containers[] | select(.image | contains(\"shop/\")) | .image",
        &["/spec/template/spec/containers/0/image"],
    ),
    (
        ".spec.template.spec.containers[] | select(.name | test(\"^istio-\")) | .args",
        &["/spec/template/spec/containers/1/args"],
    ),
    (
        ".spec.template.spec.containers[] | select(.name | test(\"^ISTIO\"; \"i\")) | .args[0]",
        &["/spec/template/spec/containers/1/args/0"],
    ),
    (
        ".spec.template.spec.containers[].env[]? | select(.name == \"HOST\") | .value",
        &["/spec/template/spec/containers/0/env/0/value"],
    ),
    (
        ".spec.template.spec.containers[].env[] | select(.name | startswith(\"DD_\"))",
        &["/spec/template/spec/containers/0/env/1"],
    ),
    (
        ".spec.template.spec.containers[].env[]? | select(.name | IN(\"HOST\", \"PORT\"))",
        &["/spec/template/spec/containers/0/env/0"],
    ),
    (
        ".spec.template.spec.containers[]?.resources?.limits?.cpu",
        &[
            "/spec/template/spec/containers/0/resources/limits/cpu",
            "/spec/template/spec/containers/1/resources/limits/cpu",
        ],
    ),
    (
        ".spec.template.spec.containers[] | .resources | select(. != null) | .limits, .requests",
        &[
            "/spec/template/spec/containers/0/resources/limits",
            "/spec/template/spec/containers/0/resources/requests",
        ],
    ),
    (
        ".spec.template.spec.containers[] | select(any(.env[]?; .name == \"HOST\")) | .env",
        &["/spec/template/spec/containers/0/env"],
    ),
    (
        ".spec.template.spec.initContainers[] | select(.name == \"istio-init\")",
        &["/spec/template/spec/initContainers/0"],
    ),
    (
        ".spec.template.spec.initContainers, .spec.template.spec.containers[].imagePullPolicy",
        &[
            "/spec/template/spec/initContainers",
            "/spec/template/spec/containers/0/imagePullPolicy",
            "/spec/template/spec/containers/1/imagePullPolicy",
        ],
    ),
    (
        ".spec.template.spec.volumes[] | select(.name | startswith(\"vault-\"))",
        &["/spec/template/spec/volumes/0"],
    ),
    (
        ".spec.template.spec.volumes[]? | .configMap?.defaultMode | select(. != null)",
        &["/spec/template/spec/volumes/1/configMap/defaultMode"],
    ),
    (
        ".spec.template.metadata.annotations[\"linkerd.io/proxy-version\"]",
        &["/spec/template/metadata/annotations/linkerd.io~1proxy-version"],
    ),
    (
        ".spec.template.metadata.annotations | .[keys[] | select(startswith(\"checksum/\"))]",
        &["/spec/template/metadata/annotations/checksum~1config"],
    ),
    (
        ".metadata.annotations | to_entries[] | select(.key | startswith(\"meta.\")) | .key as $k | $k | empty",
        &[],
    ),
    (".spec.volumeClaimTemplates[]?.status", &["/spec/volumeClaimTemplates/0/status"]),
    (
        ".spec.volumeClaimTemplates[].metadata.creationTimestamp",
        &["/spec/volumeClaimTemplates/0/metadata/creationTimestamp"],
    ),
    (
        ".spec.volumeClaimTemplates[] | .apiVersion, .kind",
        &["/spec/volumeClaimTemplates/0/apiVersion", "/spec/volumeClaimTemplates/0/kind"],
    ),
    (".spec.ports[] | select(.nodePort != null) | .nodePort", &["/spec/ports/0/nodePort"]),
    (".spec.alternateBackends[]?.weight", &["/spec/alternateBackends/0/weight"]),
    (".spec.metrics[] | select(.resource.name == \"cpu\")", &["/spec/metrics/0"]),
    (".spec.metrics[] | select(has(\"resource\") | not)", &["/spec/metrics/1"]),
    (".spec.rules[]?.http?.paths[]?.path", &["/spec/rules/1/http/paths/0/path"]),
    (".status.conditions[]? | select(.type == \"Ready\")", &["/status/conditions/0"]),
    (".metadata.finalizers[] | select(. == \"foregroundDeletion\")", &["/metadata/finalizers/0"]),
    (".metadata.finalizers[-1]", &["/metadata/finalizers/1"]),
    ("select(.metadata.labels.controlledByLeader == \"true\").spec.replicas", &["/spec/replicas"]),
    ("select(.metadata.name | test(\"^api\")) | .spec.replicas", &[]),
    ("select((.metadata.annotations // {}) | has(\"vault.hashicorp.com/path\")) | .data", &["/data"]),
    ("if .kind == \"Deployment\" then .spec.replicas else empty end", &["/spec/replicas"]),
    (
        ".metadata?.annotations?[\"custom/ignore-replicas\"] as $ignore | if $ignore == \"true\" then .spec.replicas else null end",
        &["/spec/replicas"],
    ),
    (
        ".metadata?.annotations?[\"absent\"] as $ignore | if $ignore == \"true\" then .spec.replicas else null end",
        &[],
    ),
    (
        ".. | objects | select(has(\"caBundle\")) | .caBundle",
        &[
            "/spec/conversion/webhook/clientConfig/caBundle",
            "/webhooks/0/clientConfig/caBundle",
            "/webhooks/1/clientConfig/caBundle",
        ],
    ),
    ("..|.emptyDir? | select(. != null)", &["/spec/template/spec/volumes/0/emptyDir"]),
    ("(.spec.absent // .spec.to).weight", &["/spec/to/weight"]),
    ("first(.webhooks[] | select(.clientConfig)) | .name", &["/webhooks/0/name"]),
    ("getpath([\"spec\", \"to\", \"weight\"])", &["/spec/to/weight"]),
    (".spec.template.spec.containers | map(select(.name == \"x\")) | empty", &[]),
];

#[test]
fn what_users_write_works() {
    let object = object();
    for (expression, want) in USED {
        let mut got = select(expression, &object).unwrap_or_else(|error| panic!("{expression}: {error}"));
        got.sort();
        let mut want = want.to_vec();
        want.sort_unstable();
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
fn parts_of_a_text_are_paid_for_before_they_are_made() {
    let text = json!("a,".repeat(50_000));
    let price = |between: &str| function::surcharge("split", &text, &[&json!(between)]);
    assert_eq!((price(""), price(","), price("a,a"), price("b")), (100_000, 50_000, 25_000, 0));
    let lines = json!({ "a": 1, "text": "a line of a usual length\n".repeat(8000) });
    assert!(select("select(.text | split(\"\\n\") | length > 9) | .a", &lines).is_ok());
}

#[test]
fn regular_expressions_are_paid_for_by_what_they_may_take() {
    let tests = |count: usize| {
        let tests: Vec<String> = (0..count).map(|n| format!("(.a | test(\"x{n}\"))")).collect();
        select(&format!("select({}) | .a", tests.join(" or ")), &json!({ "a": "y" }))
    };
    assert_eq!(tests(10), Ok(Vec::new()));
    assert!(tests(20).expect_err("too many").starts_with("takes too many steps"));
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
