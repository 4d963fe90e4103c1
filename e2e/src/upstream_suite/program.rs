//! The program of upstream's end-to-end tests, built once into the cache, and the names of its tests.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::argo::{self, Source};
use crate::command::{command, run_in_terminal};
use crate::{cache, say};

/// Its directory in the cache begins with this.
const NAME: &str = "upstream-suite";
/// The package of the tests, below the module's root.
const PACKAGE: &str = "test/e2e";

/// A program that runs any of the tests.
pub(super) struct TestProgram {
    pub(super) program: PathBuf,
    /// Where it must run: it finds its manifests beside itself.
    pub(super) directory: PathBuf,
    /// Upstream's version.
    pub(super) version: String,
    /// The names of the tests, by the Go type of their suite.
    tests: BTreeMap<String, Vec<String>>,
}

impl TestProgram {
    /// Builds it unless the cache has it.
    pub(super) fn build() -> Result<Self> {
        let source = argo::rollouts_source()?;
        let target = cache::dir()?.join("tools").join(format!("{NAME}-{}", source.version));
        let _lock = cache::lock(NAME)?;
        if !target.is_dir() {
            compile(&source, &target)?;
            cache::remove_old(NAME, &target)?;
        }
        let directory = source.directory.join(PACKAGE);
        let tests = tests_of(&directory)?;
        Ok(Self { program: target.join("e2e.test"), directory, version: source.version, tests })
    }

    /// The names of a suite's tests.
    pub(super) fn tests(&self, go_type: &str) -> &[String] {
        self.tests.get(go_type).map_or(&[], Vec::as_slice)
    }
}

fn compile(source: &Source, target: &Path) -> Result<()> {
    say(format!("building upstream's tests {} (once; kept in {})", source.version, target.display()));
    let start = Instant::now();
    let fresh = target.with_extension("new");
    fs::create_dir_all(&fresh).with_context(|| format!("cannot create {}", fresh.display()))?;
    // The flags that the other Go programs are built with, so that packages in Go's own cache are the same.
    let flags = ["-tags=e2e", "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags=-s -w"];
    let mut go = command("go", &["test", "-c"]);
    go.args(flags).arg("-o").arg(fresh.join("e2e.test")).arg(format!("./{PACKAGE}"));
    go.current_dir(&source.directory).env("CGO_ENABLED", "0").env("GOFLAGS", "").env("GOWORK", "off");
    run_in_terminal(&mut go).context("cannot build upstream's tests")?;
    fs::rename(&fresh, target).with_context(|| format!("cannot create {}", target.display()))?;
    say(format!("built upstream's tests in {} s", start.elapsed().as_secs()));
    Ok(())
}

/// Reads the names of all tests out of their source.
fn tests_of(directory: &Path) -> Result<BTreeMap<String, Vec<String>>> {
    let mut tests: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for entry in fs::read_dir(directory).with_context(|| format!("cannot list {}", directory.display()))? {
        let path = entry?.path();
        if !path.to_string_lossy().ends_with("_test.go") {
            continue;
        }
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        for (go_type, test) in text.lines().filter_map(test_of_suite) {
            tests.entry(go_type.to_owned()).or_default().push(test.to_owned());
        }
    }
    ensure!(!tests.is_empty(), "no test in {}", directory.display());
    Ok(tests)
}

/// The suite's type and the test's name, if a line of Go begins a test of a suite.
fn test_of_suite(line: &str) -> Option<(&str, &str)> {
    let (receiver, rest) = line.strip_prefix("func (")?.split_once(") ")?;
    let (test, _) = rest.split_once("()")?;
    Some((receiver.split_once('*')?.1, test)).filter(|(_, test)| test.starts_with("Test"))
}

#[cfg(test)]
mod tests {
    use super::test_of_suite;

    #[test]
    fn tests_of_suites_are_told_from_other_functions() {
        let read = test_of_suite;
        assert_eq!(read("func (s *TideSuite) TestEbb() {"), Some(("TideSuite", "TestEbb")));
        assert_eq!(read("func (s *TideSuite) SetupSuite() {"), None);
        assert_eq!(read("func (s *TideSuite) check(t *fixtures.Then) {"), None);
        assert_eq!(read("func TestTideSuite(t *testing.T) {"), None);
    }
}
