//! A kubectl plugin as a person or a CI job runs it: a line of arguments, an exit code, what it printed.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

use crate::scene::Scene;
use crate::{images, tools};

/// How a command ended.
pub(super) struct Answer {
    pub(super) code: i32,
    pub(super) out: String,
    pub(super) error: String,
}

/// A plugin, told which cluster and namespace.
pub(super) struct Client {
    program: PathBuf,
    scene: Arc<Scene>,
    namespace: String,
}

impl Client {
    /// Tidegate's own plugin.
    pub(super) async fn own(scene: &Arc<Scene>) -> Result<Self> {
        Self::own_in(scene, scene.namespace()).await
    }

    /// The same for another namespace than the test's.
    pub(super) async fn own_in(scene: &Arc<Scene>, namespace: &str) -> Result<Self> {
        let image = tokio::task::spawn_blocking(images::tidegate).await??;
        Ok(Self { program: image.program, scene: Arc::clone(scene), namespace: namespace.to_owned() })
    }

    /// Argo Rollouts' plugin.
    pub(super) async fn upstream(scene: &Arc<Scene>) -> Result<Self> {
        let program = tokio::task::spawn_blocking(tools::argo_plugin).await??;
        Ok(Self { program, scene: Arc::clone(scene), namespace: scene.namespace().to_owned() })
    }

    /// A command that can be started.
    pub(super) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(line.split_whitespace())
            .args(["--namespace", &self.namespace])
            .env("KUBECONFIG", self.scene.cluster().kubeconfig())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    pub(super) async fn run(&self, line: &str) -> Result<Answer> {
        let done = self.command(line).output().await.with_context(|| format!("cannot start {line}"))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let code = done.status.code().context("the plugin was killed")?;
        Ok(Answer { code, out: text(&done.stdout), error: text(&done.stderr) })
    }

    /// Runs a command that must end with this exit code and print these words; gives what it printed.
    pub(super) async fn expect(&self, line: &str, code: i32, words: &[&str]) -> Result<String> {
        let answer = self.run(line).await?;
        let all = format!("{}{}", answer.out, answer.error);
        ensure!(answer.code == code, "`{line}` ended with {} and not {code}:\n{all}", answer.code);
        for word in words {
            ensure!(all.contains(word), "`{line}` does not say {word:?}:\n{all}");
        }
        Ok(answer.out)
    }

    /// Runs a command that must succeed, and print for each row a line that has all of its parts. Columns are as wide as they
    /// like: one blank in a part stands for any number of them.
    pub(super) async fn shows(&self, line: &str, rows: &[&[&str]]) -> Result<String> {
        let out = self.expect(line, 0, &[]).await?;
        let lines: Vec<String> =
            out.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        for row in rows {
            let found = lines.iter().any(|line| row.iter().all(|part| line.contains(part)));
            ensure!(found, "`{line}` has no line with {row:?}:\n{out}");
        }
        Ok(out)
    }
}
