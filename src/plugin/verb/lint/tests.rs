use super::*;
use crate::document::Source;

const ROLLOUT: &str = "apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata:
  name: shop
spec:
  replica: 2
  selector:
    matchLabels: {app: shop}
  template:
    metadata:
      labels: {app: shop}
    spec:
      containers:
      - name: shop
        image: shop:1
  strategy:
    canary:
      canaryService: shop-canary
      stableService: shop-stable
      steps:
      - setWeight: 120
      - pause: {duration: \"1 hour\"}
      - analysis:
          templates:
          - templateName: success
";

const AROUND: &str = "apiVersion: v1
kind: Service
metadata:
  name: shop-canary
spec:
  selector: {app: cart}
---
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata:
  name: success
spec:
  metrics:
  - name: rate
    interval: 1m
    provider:
      plugin:
        acme/x: {}
";

fn source(name: &str, text: &str) -> Source {
    Source { name: name.to_owned(), text: text.to_owned() }
}

fn lines(sources: &[Source]) -> Vec<String> {
    report(sources).findings.iter().map(ToString::to_string).collect()
}

#[test]
fn everything_is_told_with_its_place() {
    let sources = [source("rollout.yaml", ROLLOUT), source("around.yaml", AROUND)];
    let want = [
        "around.yaml:17:7: warning: AnalysisTemplate success: spec.metrics[0].provider.plugin: Forbidden: this release \
         of Tidegate cannot act on this field; use another provider, or of the plugins tidegate.dev/judge, \
         tidegate.dev/dynatrace, tidegate.dev/externalmetrics, tidegate.dev/splunk, tidegate.dev/stackdriver",
        "rollout.yaml:6:3: error: Rollout shop: spec.replica: Forbidden: unknown field \"replica\"; did you mean \
         \"replicas\"?",
        "rollout.yaml:18:7: error: Rollout shop: spec.strategy.canary.canaryService: Invalid value: \"shop-canary\": \
         Service \"shop-canary\" has unmatch label \"app\" in rollout",
        "rollout.yaml:21:9: error: Rollout shop: spec.strategy.steps[0].setWeight: Invalid value: 120: SetWeight needs \
         to be between 0 and 100",
        "rollout.yaml:22:17: error: Rollout shop: spec.strategy.steps[1].pause.duration: Invalid value: -1: Duration \
         needs to be greater than 0",
        "rollout.yaml:24:11: error: Rollout shop: spec.strategy.canary.steps[2].analysis.templates: Invalid value: \
         \"success\": AnalysisTemplate success has metric rate which runs indefinitely. Invalid value for count: <nil>",
    ];
    assert_eq!(lines(&sources), want);
    let report = report(&sources);
    assert_eq!(report.summary(), "3 objects checked: 5 errors, 1 warning");
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(
        json["findings"][1],
        serde_json::json!({
            "file": "rollout.yaml", "line": 6, "column": 3, "severity": "error", "kind": "Rollout", "name": "shop",
            "field": "spec.replica", "message": "Forbidden: unknown field \"replica\"; did you mean \"replicas\"?",
        })
    );
}

#[test]
fn what_is_in_no_file_may_be_in_the_cluster() {
    let fine = ROLLOUT.replace("replica:", "replicas:").replace("120", "20").replace("\"1 hour\"", "1h");
    let report = report(&[source("rollout.yaml", &fine)]);
    assert_eq!(report.summary(), "1 object checked: 0 errors, 0 warnings", "{:?}", report.findings);
}

#[test]
fn a_file_that_cannot_be_read_does_not_hide_the_others() {
    let said = lines(&[source("a.yaml", "a: [1\n"), source("rollout.yaml", ROLLOUT)]);
    assert!(said[0].starts_with("a.yaml:"), "{said:?}");
    assert!(said.iter().any(|line| line.starts_with("rollout.yaml:6:3:")));
    let nothing = lines(&[source("x.yaml", "kind: ConfigMap\napiVersion: v1\n")]);
    assert!(nothing[0].contains("nothing to check"), "{nothing:?}");
}

#[test]
fn experiments_have_rules_of_their_own() {
    let text = "apiVersion: argoproj.io/v1alpha1
kind: Experiment
metadata: {name: e}
spec:
  templates:
  - {name: a, minReadySeconds: 700, selector: {matchLabels: {a: b}}, template: {spec: {containers: [{name: c, image: d}]}}}
  - {name: a, selector: {matchLabels: {a: b}}, template: {spec: {containers: [{name: c}]}}}
";
    let said = lines(&[source("e.yaml", text)]);
    assert_eq!(
        said,
        [
            "e.yaml:6:15: error: Experiment e: spec.templates[0].minReadySeconds: Invalid value: 700: must not be \
             greater than progressDeadlineSeconds",
            "e.yaml:7:6: error: Experiment e: spec.templates[1].name: Duplicate value: \"a\"",
        ]
    );
}

#[test]
fn missing_data_is_warned_of_and_wrong_words_about_it_are_errors() {
    let text = "apiVersion: argoproj.io/v1alpha1
kind: ClusterAnalysisTemplate
metadata:
  name: rates
  annotations:
    tidegate.dev/min-samples: latency=3
    tidegate.dev/on-no-data: latency=hold
spec:
  args:
  - name: limit
  metrics:
  - name: errors
    failureCondition: result[0] > {{args.limit}}
    provider: {prometheus: {address: http://p, query: q}}
  - name: latency
    successCondition: len(result) > 0 && result[0] < 1
    provider: {prometheus: {address: http://p, query: q}}
";
    let name = "ClusterAnalysisTemplate rates";
    assert_eq!(
        lines(&[source("t.yaml", text)]),
        [
            format!(
                "t.yaml:6:5: error: {name}: metadata.annotations[tidegate.dev/min-samples]: Invalid value: \
                 \"latency=3\": metric \"latency\" is measured 1 times only, and could never end Successful: write \
                 \"latency=1\" or less"
            ),
            format!(
                "t.yaml:7:5: error: {name}: metadata.annotations[tidegate.dev/on-no-data]: Invalid value: \
                 \"latency=hold\": write wait, inconclusive or fail, and for a single metric \"latency=wait\""
            ),
            format!(
                "t.yaml:13:5: warning: {name}: spec.metrics[0].failureCondition: \"result[0] > {{{{args.limit}}}}\": it is \
                 an error on an empty vector (no data), and with Argo Rollouts it passes on NaN (0/0): write \
                 \"len(result) == 0 || isNaN(result[0]) || (result[0] > {{{{args.limit}}}})\", or say with the \
                 annotation tidegate.dev/on-no-data what to do then"
            ),
        ]
    );
    let mended = text.replace("latency=3", "'1'").replace("latency=hold", "wait");
    let report = report(&[source("t.yaml", &mended)]);
    assert_eq!(report.summary(), "1 object checked: 0 errors, 0 warnings", "{:?}", report.findings);
}

#[test]
fn runs_are_checked_with_their_arguments() {
    let text = "apiVersion: argoproj.io/v1alpha1
kind: AnalysisRun
metadata:
  generateName: rates-
spec:
  args:
  - name: limit
    value: '0.05'
  - name: count
    value: '3'
  metrics:
  - name: errors
    failureCondition: result[0] > {{args.limit}}
    provider: {prometheus: {address: http://p, query: q}}
  - name: latency
    count: '{{args.count}}'
    successCondition: len(result) > 0 && result[0] < often
    provider: {prometheus: {address: http://p, query: q}}
";
    let errors = |text: &str| {
        let lines = lines(&[source("r.yaml", text)]);
        lines.into_iter().filter(|line| line.contains(" error: ")).collect::<Vec<_>>()
    };
    assert_eq!(
        lines(&[source("r.yaml", text)]),
        [
            "r.yaml:13:5: warning: AnalysisRun : spec.metrics[0].failureCondition: \"result[0] > {{args.limit}}\": it is an \
             error on an empty vector (no data), and with Argo Rollouts it passes on NaN (0/0): write \"len(result) == 0 \
             || isNaN(result[0]) || (result[0] > {{args.limit}})\", or say with the annotation tidegate.dev/on-no-data \
             what to do then",
            "r.yaml:17:5: error: AnalysisRun : spec.metrics[1].successCondition: Invalid value: unknown name often",
        ]
    );
    let named = text.replace("often", "1");
    let said = errors(&named);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].ends_with("spec.metrics[1]: Invalid value: interval must be specified when count > 1"));
    let timed = named.replace("    count:", "    interval: 1m\n    count:");
    assert_eq!(errors(&timed), [""; 0]);
    let open = timed.replace("\n    value: '3'", "");
    let why = "Unable to resolve metric arguments: argument \"count\" was not supplied";
    assert_eq!(errors(&open), [format!("r.yaml:5:1: error: AnalysisRun : spec: Invalid value: {why}")]);
}

/// What `kubectl argo rollouts lint` prints and ends with, by its own source.
#[test]
fn in_the_words_of_the_other_plugin() {
    let run = |text: &str| {
        let documents = document::documents(&source("f", text)).unwrap();
        findings::of_upstream(&documents)
            .map(|errors| errors.iter().map(|error| error.body()).collect::<Vec<_>>())
    };
    assert_eq!(
        run(ROLLOUT),
        Err("error unmarshaling JSON: while decoding JSON: json: unknown field \"replica\"".to_owned())
    );
    let known = ROLLOUT.replace("replica:", "replicas:");
    assert_eq!(
        run(&format!("{known}---\n{AROUND}")).unwrap(),
        [
            "Invalid value: 120: SetWeight needs to be between 0 and 100",
            "Invalid value: -1: Duration needs to be greater than 0",
            "Invalid value: \"shop-canary\": Service \"shop-canary\" has unmatch label \"app\" in rollout",
        ]
    );
    assert_eq!(run("kind: ConfigMap\n"), Ok(vec![]));
}
