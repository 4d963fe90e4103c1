//! kubectl as a person has it: with the plugin `tidegate` in the path.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use crate::tools;

/// Where kubectl finds the plugin, and on which cluster it works.
pub(super) struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
    namespace: String,
    plugins: PathBuf,
}

impl Kubectl {
    /// `tidegate` is the program that is the plugin, too.
    pub(super) fn new(kubeconfig: &Path, namespace: &str, tidegate: &Path) -> Result<Self> {
        let program =
            if crate::command::exists("kubectl") { PathBuf::from("kubectl") } else { tools::kubectl()? };
        let plugins = tidegate.parent().context("the program is in no directory")?.join("plugins");
        std::fs::create_dir_all(&plugins).with_context(|| format!("cannot create {}", plugins.display()))?;
        let link = plugins.join("kubectl-tidegate");
        let _old = std::fs::remove_file(&link);
        symlink(tidegate, &link).with_context(|| format!("cannot create {}", link.display()))?;
        Ok(Self { program, kubeconfig: kubeconfig.to_owned(), namespace: namespace.to_owned(), plugins })
    }

    /// The directory of the plugin.
    pub(super) fn path(&self) -> String {
        self.plugins.display().to_string()
    }

    /// Runs `kubectl ARGS` in the Rollout's namespace, unless they name another, and returns what it wrote.
    pub(super) async fn run(&self, args: &[&str]) -> Result<String> {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new(&self.program);
        command.args(args);
        if !args.contains(&"--namespace") {
            command.args(["--namespace", &self.namespace]);
        }
        let done = command
            .env("KUBECONFIG", &self.kubeconfig)
            .env("PATH", format!("{}:{path}", self.plugins.display()))
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .context("cannot start kubectl")?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if !done.status.success() {
            bail!(
                "`kubectl {}` ended with {}:\n{}{}",
                args.join(" "),
                done.status,
                text(&done.stdout),
                text(&done.stderr)
            );
        }
        Ok(text(&done.stdout))
    }

    /// What helps to see why something did not happen.
    pub(super) async fn diagnosis(&self) -> String {
        let questions: [&[&str]; 4] = [
            &["tidegate", "get", "rollout", "shop"],
            &["get", "application.argoproj.io", "--namespace", "tidegate", "--output", "yaml"],
            &["get", "events", "--sort-by=.metadata.creationTimestamp"],
            &["logs", "--namespace", "tidegate", "--selector=app.kubernetes.io/name=tidegate", "--tail=60"],
        ];
        let mut text = String::new();
        for question in questions {
            let answer = self.run(question).await.unwrap_or_else(|error| format!("{error:#}"));
            text.push_str(&format!("$ kubectl {}\n{answer}\n", question.join(" ")));
        }
        text
    }
}
