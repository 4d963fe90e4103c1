//! Upstream's suites: those that are left out and the tests that cannot pass here, each with the reason.

use super::program::TestProgram;

/// One suite of upstream's, or a part of one.
#[derive(Clone, Copy)]
pub(super) struct Suite {
    pub(super) name: &'static str,
    /// The Go function `Test<of>Suite` runs it.
    of: &'static str,
    /// The Go type whose methods are its tests.
    go_type: &'static str,
    part: Part,
    /// Why it is not run unless somebody names it.
    pub(super) left_out: Option<&'static str>,
    /// Tests that cannot pass here, and why.
    pub(super) known: &'static [(&'static str, &'static str)],
}

/// Which of a suite's tests are meant.
#[derive(Clone, Copy)]
enum Part {
    All,
    AllBut(&'static [&'static str]),
    Only(&'static [&'static str]),
}

const ALB: &str = "routes by an ALB's Ingress, a router that this release does not have";
/// Upstream's controller writes a Rollout back whole, and so loses the value that the test's own client trips over.
const AS_WRITTEN: &str =
    "cannot read the Rollout as its user wrote it, and Tidegate writes no object back whole";
const ISTIO: &str = "needs Istio, a router that this release does not have";
const ROUTER: &str = "a router that this release does not have";

/// What these leave behind when they fail, no later test in the same namespace can read.
const MALFORMED: &[&str] = &["TestMalformedRollout", "TestMalformedRolloutEphemeralCtr"];

const MALFORMED_KNOWN: &[(&str, &str)] =
    &[("TestMalformedRollout", AS_WRITTEN), ("TestMalformedRolloutEphemeralCtr", AS_WRITTEN)];

/// All of them, those that take longest first.
pub(super) const SUITES: [Suite; 16] = [
    Suite { part: Part::AllBut(MALFORMED), ..suite("Functional", "FunctionalSuite", &[]) },
    suite("Analysis", "AnalysisSuite", &[]),
    suite(
        "Canary",
        "CanarySuite",
        &[
            ("TestCanaryScaleDownDelayWithProgressDeadline", ALB),
            ("TestCanaryScaleDownDelay", ALB),
            ("TestCanaryScaleDownOnAbort", ALB),
            ("TestCanaryUnScaleDownOnAbort", ALB),
            ("TestCanaryDynamicStableScale", ALB),
            ("TestCanaryDynamicStableScaleRollbackToStable", ALB),
        ],
    ),
    suite("Experiment", "ExperimentSuite", &[]),
    Suite {
        of: "Functional",
        part: Part::Only(MALFORMED),
        ..suite("Malformed", "FunctionalSuite", MALFORMED_KNOWN)
    },
    suite("Rollback", "RollbackSuite", &[]),
    suite("BlueGreen", "BlueGreenSuite", &[]),
    left_out("APISIX", "APISIXSuite", ROUTER),
    left_out("AppMesh", "AppMeshSuite", ROUTER),
    left_out(
        "AWS",
        "AWSSuite",
        "needs an AWS account, and an ALB is a router that this release does not have",
    ),
    left_out("HeaderRouting", "HeaderRouteSuite", ISTIO),
    left_out("Istio", "IstioSuite", ROUTER),
    left_out("MirrorRoute", "MirrorRouteSuite", ISTIO),
    left_out("SMI", "SMISuite", ROUTER),
    left_out("SMIIngress", "SMIIngressSuite", ROUTER),
    left_out(
        "StepPlugin",
        "StepPluginSuite",
        "step plugins are programs in Go that upstream's controller starts, and Tidegate does not",
    ),
];

const fn suite(
    name: &'static str,
    go_type: &'static str,
    known: &'static [(&'static str, &'static str)],
) -> Suite {
    Suite { name, of: name, go_type, part: Part::All, left_out: None, known }
}

const fn left_out(name: &'static str, go_type: &'static str, reason: &'static str) -> Suite {
    Suite { left_out: Some(reason), ..suite(name, go_type, &[]) }
}

impl Suite {
    /// The Go function that runs it.
    pub(super) fn function(&self) -> String {
        format!("Test{}Suite", self.of)
    }

    /// The arguments that let a Go test program run its tests and no others.
    pub(super) fn selection(&self) -> Vec<String> {
        let function = self.function();
        match self.part {
            Part::All => vec![format!("-test.run=^{function}$")],
            Part::AllBut(tests) => {
                vec![
                    format!("-test.run=^{function}$"),
                    format!("-test.skip=^{function}$/^({})$", tests.join("|")),
                ]
            }
            Part::Only(tests) => vec![format!("-test.run=^{function}$/^({})$", tests.join("|"))],
        }
    }

    /// The names of its tests.
    pub(super) fn tests(&self, program: &TestProgram) -> Vec<String> {
        let is_meant = |test: &&String| match self.part {
            Part::All => true,
            Part::AllBut(tests) => !tests.contains(&test.as_str()),
            Part::Only(tests) => tests.contains(&test.as_str()),
        };
        program.tests(self.go_type).iter().filter(is_meant).cloned().collect()
    }

    /// Why a test cannot pass here, if it cannot.
    pub(super) fn known(&self, test: &str) -> Option<&'static str> {
        self.known.iter().find(|(known, _)| *known == test).map(|(_, reason)| *reason)
    }

    /// A suite to test with.
    #[cfg(test)]
    pub(super) const fn example(known: &'static [(&'static str, &'static str)]) -> Self {
        suite("Tide", "TideSuite", known)
    }
}

#[cfg(test)]
mod tests {
    use super::{Part, Suite};

    #[test]
    fn a_part_of_a_suite_is_run_alone() {
        let all = Suite::example(&[]);
        assert_eq!(all.selection(), ["-test.run=^TestTideSuite$"]);
        let only = Suite { name: "Low", part: Part::Only(&["TestEbb", "TestMoon"]), ..all };
        assert_eq!(only.selection(), ["-test.run=^TestTideSuite$/^(TestEbb|TestMoon)$"]);
        let rest = Suite { part: Part::AllBut(&["TestEbb"]), ..all };
        assert_eq!(rest.selection(), ["-test.run=^TestTideSuite$", "-test.skip=^TestTideSuite$/^(TestEbb)$"]);
    }
}
