//! The program of upstream's end-to-end tests, built once into the cache, and the names of its tests.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::argo::{self, Source};
use crate::{cache, tools};

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
        tools::built_once(NAME, &target, |fresh| compile(&source, fresh))?;
        let directory = source.directory.join(PACKAGE);
        let tests = tests_of(&directory)?;
        Ok(Self { program: target.join("e2e.test"), directory, version: source.version, tests })
    }

    /// The names of a suite's tests.
    pub(super) fn tests(&self, go_type: &str) -> &[String] {
        self.tests.get(go_type).map_or(&[], Vec::as_slice)
    }
}

fn compile(source: &Source, fresh: &Path) -> Result<()> {
    let (program, package) = (fresh.join("e2e.test"), format!("./{PACKAGE}"));
    let rest = ["-tags=e2e".as_ref(), "-o".as_ref(), program.as_os_str(), package.as_ref()];
    tools::go(&source.directory, &["test", "-c"], tools::LINK_FLAGS, rest)
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
