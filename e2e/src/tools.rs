//! The Go programs that a cluster is made of, pinned in `e2e/tools/*/go.mod`,
//! and what it takes from Debian's archive. Each is built once into the cache; the
//! Go build cache is the user's own, so that modules share what they compile.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::cache;
use crate::command::{command, exists, output, run_in_terminal};
use crate::debian::{self, Program};
use crate::foreign;
use crate::say;

/// Programs have no symbols.
pub(crate) const LINK_FLAGS: &str = "-s -w";

/// One pinned module and the programs built from it.
struct Module {
    /// Directory under `e2e/tools`.
    dir: &'static str,
    /// Packages; each program is named as the last part of its package unless `rename` says otherwise.
    packages: &'static [&'static str],
    rename: Option<(&'static str, &'static str)>,
    /// Go variables that the linker sets, as each project's own build does.
    stamps: &'static [(&'static str, Stamp)],
}

/// What a program is told about itself.
enum Stamp {
    /// The version of a module that `go.mod` requires.
    Version(&'static str),
    /// That version without its `v`.
    Number(&'static str),
    /// The middle number of that version.
    Minor(&'static str),
    /// The same words always.
    Words(&'static str),
}

const KUBERNETES: Module = Module {
    dir: "kubernetes",
    packages: &[
        "k8s.io/kubernetes/cmd/kube-apiserver",
        "k8s.io/kubernetes/cmd/kube-controller-manager",
        "k8s.io/kubernetes/cmd/kube-proxy",
        "k8s.io/kubernetes/cmd/kube-scheduler",
        "k8s.io/kubernetes/cmd/kubectl",
        "k8s.io/kubernetes/cmd/kubelet",
    ],
    rename: None,
    stamps: &[
        ("k8s.io/component-base/version.gitVersion", Stamp::Version("k8s.io/kubernetes")),
        ("k8s.io/component-base/version.gitMajor", Stamp::Words("1")),
        ("k8s.io/component-base/version.gitMinor", Stamp::Minor("k8s.io/kubernetes")),
    ],
};
const ETCD: Module = Module {
    dir: "etcd",
    packages: &["go.etcd.io/etcd/server/v3"],
    // Go names a program after its package's path without the major version.
    rename: Some(("server", "etcd")),
    stamps: &[],
};
const COREDNS: Module = Module { dir: "coredns", packages: &["."], rename: None, stamps: &[] };
const TRAEFIK: Module = Module {
    dir: "traefik",
    packages: &["github.com/traefik/traefik/v3/cmd/traefik"],
    rename: None,
    stamps: &[],
};
const HELM: Module = Module {
    dir: "helm",
    packages: &["helm.sh/helm/v3/cmd/helm"],
    rename: None,
    stamps: &[
        ("helm.sh/helm/v3/internal/version.version", Stamp::Version("helm.sh/helm/v3")),
        // The Kubernetes that charts are rendered for when no cluster is asked.
        ("helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor", Stamp::Words("1")),
        ("helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor", Stamp::Minor("k8s.io/client-go")),
        ("helm.sh/helm/v3/pkg/lint/rules.k8sVersionMajor", Stamp::Words("1")),
        ("helm.sh/helm/v3/pkg/lint/rules.k8sVersionMinor", Stamp::Minor("k8s.io/client-go")),
    ],
};

/// Upstream's kubectl plugin, the client that Tidegate is tested with, and its controller, whose place Tidegate takes. The
/// module has no files of its dashboard's pages: the dashboard answers its API all the same.
const ARGO_ROLLOUTS: Module = Module {
    dir: "argo-rollouts",
    packages: &[
        "github.com/argoproj/argo-rollouts/cmd/kubectl-argo-rollouts",
        "github.com/argoproj/argo-rollouts/cmd/rollouts-controller",
    ],
    rename: None,
    stamps: &[(
        "github.com/argoproj/argo-rollouts/utils/version.version",
        Stamp::Number("github.com/argoproj/argo-rollouts"),
    )],
};

/// Simulates nodes and pods, for what takes more of them than a machine can run, or other ones.
const KWOK: Module =
    Module { dir: "kwok", packages: &["sigs.k8s.io/kwok/cmd/kwok"], rename: None, stamps: &[] };

/// Where the programs of a control plane are.
#[derive(Clone, Debug)]
pub(crate) struct ControlPlane {
    kubernetes: PathBuf,
    pub(crate) etcd: PathBuf,
}

/// Where each built program is.
#[derive(Clone, Debug)]
pub(crate) struct Tools {
    pub(crate) control: ControlPlane,
    pub(crate) coredns: PathBuf,
    pub(crate) traefik: PathBuf,
    pub(crate) prometheus: Program,
    pub(crate) haproxy: Program,
    pub(crate) sshd: Program,
}

impl Tools {
    /// Builds what is missing, the largest first.
    pub(crate) fn build() -> Result<Self> {
        foreign::fetch()?;
        Ok(Self {
            control: ControlPlane::build()?,
            coredns: COREDNS.build()?.join("coredns"),
            traefik: TRAEFIK.build()?.join("traefik"),
            prometheus: debian::prometheus()?,
            haproxy: debian::haproxy()?,
            sshd: debian::sshd()?,
        })
    }
}

impl ControlPlane {
    /// Builds what is missing.
    pub(crate) fn build() -> Result<Self> {
        Ok(Self { kubernetes: KUBERNETES.build()?, etcd: ETCD.build()?.join("etcd") })
    }

    /// A program of Kubernetes.
    pub(crate) fn kubernetes(&self, program: &str) -> PathBuf {
        self.kubernetes.join(program)
    }
}

/// The program that simulates nodes and pods, and what it is to make of them.
#[derive(Clone, Debug)]
pub(crate) struct Kwok {
    pub(crate) program: PathBuf,
    /// Nodes are ready at once, as YAML.
    pub(crate) nodes: String,
    /// Pods run at once and go at once, as YAML.
    pub(crate) pods: String,
}

impl Kwok {
    /// Between two stages.
    pub(crate) const BETWEEN: &str = "\n---\n";

    /// Builds it. It is not among the tools that `verify` builds.
    pub(crate) fn build() -> Result<Self> {
        let program = KWOK.build()?.join("kwok");
        let mut go = command("go", &["mod", "download", "-json", "sigs.k8s.io/kwok"]);
        go.current_dir(tools_dir().join(KWOK.dir)).env("GOFLAGS", "").env("GOWORK", "off");
        let told = output(&mut go).context("cannot find the module of kwok")?;
        let told: Value = serde_json::from_str(&told).context("cannot read what go mod download says")?;
        let module = PathBuf::from(told["Dir"].as_str().context("go does not say where kwok is")?);
        let stages = |of: &str| Self::stages(&module.join("kustomize/stage").join(of).join("fast"));
        Ok(Self { program, nodes: stages("node")?, pods: stages("pod")? })
    }

    /// The stages of a directory.
    fn stages(dir: &Path) -> Result<String> {
        let mut stages = Vec::new();
        for entry in fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))? {
            let path = entry?.path();
            if path.extension().is_some_and(|end| end == "yaml") && !path.ends_with("kustomization.yaml") {
                stages.push(fs::read_to_string(path)?);
            }
        }
        Ok(stages.join(Self::BETWEEN))
    }
}

/// Builds every tool there is.
pub(crate) fn build_all() -> Result<()> {
    Tools::build()?;
    argo_plugin()?;
    helm().map(drop)
}

/// Builds upstream's kubectl plugin, which some tests need.
pub(crate) fn argo_plugin() -> Result<PathBuf> {
    Ok(ARGO_ROLLOUTS.build()?.join("kubectl-argo-rollouts"))
}

/// Builds upstream's controller with its plugin.
pub(crate) fn argo_controller() -> Result<PathBuf> {
    Ok(ARGO_ROLLOUTS.build()?.join("rollouts-controller"))
}

/// Builds Helm, which `verify` and the demo need but the cluster does not.
pub(crate) fn helm() -> Result<PathBuf> {
    Ok(HELM.build()?.join("helm"))
}

/// Builds kubectl with the rest of Kubernetes.
pub(crate) fn kubectl() -> Result<PathBuf> {
    Ok(KUBERNETES.build()?.join("kubectl"))
}

/// Makes a directory of the cache unless it is there; `build` fills it, and those of the same name go that earlier pins
/// left.
pub(crate) fn built_once(name: &str, target: &Path, build: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let _lock = cache::lock(name)?;
    if target.is_dir() {
        return Ok(());
    }
    if !exists("go") {
        bail!(
            "the tool {name} must be built and Go is missing: install Go 1.26 or newer from https://go.dev/dl, \
             or use a cluster you have with --kubeconfig"
        );
    }
    say(format!("building {name} (once; kept in {})", target.display()));
    let start = Instant::now();
    let fresh = target.with_extension("new");
    fs::create_dir_all(&fresh).with_context(|| format!("cannot create {}", fresh.display()))?;
    build(&fresh).with_context(|| format!("cannot build the tool {name}"))?;
    fs::rename(&fresh, target).with_context(|| format!("cannot create {}", target.display()))?;
    cache::remove_old(name, target)?;
    say(format!("built {name} in {} s", start.elapsed().as_secs()));
    Ok(())
}

/// Runs Go in a module. All programs are built with the same flags, so that packages in Go's own cache are the same.
pub(crate) fn go<'a>(
    module: &Path,
    verb: &[&str],
    link_flags: &str,
    rest: impl IntoIterator<Item = &'a OsStr>,
) -> Result<()> {
    let mut go = command("go", verb);
    go.args(["-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags", link_flags]).args(rest);
    go.current_dir(module).env("CGO_ENABLED", "0").env("GOFLAGS", "").env("GOWORK", "off");
    run_in_terminal(&mut go)
}

impl Module {
    /// Returns the directory with the module's programs, built if need be.
    fn build(&self) -> Result<PathBuf> {
        let source = tools_dir().join(self.dir);
        let flags = self.link_flags(&source)?;
        let key = cache::key(&source, &[&flags, std::env::consts::ARCH])?;
        let target = cache::dir()?.join("tools").join(format!("{}-{key}", self.dir));
        let build = |fresh: &Path| {
            let output = fresh.as_os_str();
            let packages = self.packages.iter().map(OsStr::new);
            go(&source, &["build"], &flags, [OsStr::new("-o"), output].into_iter().chain(packages))?;
            let Some((from, to)) = self.rename else { return Ok(()) };
            fs::rename(fresh.join(from), fresh.join(to))
                .with_context(|| format!("no program {from} was built"))
        };
        built_once(self.dir, &target, build)?;
        Ok(target)
    }

    fn link_flags(&self, source: &Path) -> Result<String> {
        let path = source.join("go.mod");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let version = |module: &str| {
            required_version(&text, module)
                .with_context(|| format!("{} does not require {module}", path.display()))
        };
        let mut flags = LINK_FLAGS.to_owned();
        for (variable, stamp) in self.stamps {
            let value = match stamp {
                Stamp::Version(module) => version(module)?,
                Stamp::Number(module) => version(module)?.trim_start_matches('v'),
                Stamp::Minor(module) => version(module)?.split('.').nth(1).unwrap_or_default(),
                Stamp::Words(words) => words,
            };
            flags.push_str(&format!(" -X {variable}={value}"));
        }
        Ok(flags)
    }
}

/// The version of a module in the text of a `go.mod`.
fn required_version<'a>(text: &'a str, module: &str) -> Option<&'a str> {
    text.lines()
        .filter_map(|line| line.trim().trim_start_matches("require ").strip_prefix(module))
        .filter_map(|rest| rest.strip_prefix(' ')?.split_whitespace().next())
        .find(|word| word.starts_with('v'))
}

fn tools_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tools")
}

#[cfg(test)]
mod tests {
    use super::required_version;

    #[test]
    fn a_version_is_read_from_its_own_line_only() {
        let text = "require a.io/k v1.2.3\nrequire (\n\ta.io/kube/x v0.4.0 // indirect\n\ta.io/kube v1.34.4\n)\nreplace a.io/r => a.io/r v9.0.0\n";
        assert_eq!(required_version(text, "a.io/kube"), Some("v1.34.4"));
        assert_eq!(required_version(text, "a.io/k"), Some("v1.2.3"));
        assert_eq!(required_version(text, "a.io/r"), None);
    }
}
