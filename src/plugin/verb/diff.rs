//! `diff APP`: what the next sync would change, object by object.
//!
//! What is wanted comes from the Application's repository, or from a directory; what would become of it says the server,
//! by a dry run of the very apply that a sync makes. Everything is read with the user's own rights, and Secrets' values
//! are never shown. Ends with 0 when nothing differs, 1 when something does, 2 when that cannot be said.

use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow};
use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};
use similar::TextDiff;
use tidegate_controller::survey::{self, Origin, Request};
use tidegate_engine::sync::{Change, Difference, differences};
use tokio::signal::unix::{SignalKind, signal};

use super::application::find;
use crate::Exit;
use crate::cli::Output;
use crate::session::Session;

/// Lines around a change.
const CONTEXT: usize = 3;

/// Show what the next sync of an application would change; the exit code is 1 when that is anything.
///
/// The repository is read from here, with the credentials that the cluster has for it if you may read them; with --local a
/// directory stands for it. The server is asked by dry runs, so you need the rights that applying takes.
#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// Name of the application.
    name: String,
    /// A branch, tag or commit; that of the spec when absent.
    #[arg(long, conflicts_with = "local")]
    revision: Option<String>,
    /// Take this directory for the one that spec.source.path names in the repository.
    #[arg(long, value_name = "PATH")]
    local: Option<PathBuf>,
    /// Form of the output.
    #[arg(short, long, value_enum, value_name = "FORM")]
    output: Option<Output>,
}

impl Diff {
    /// Shows the differences.
    pub(crate) async fn run(&self, session: &mut Session<'_>) -> Result<Exit> {
        match self.compare(session).await {
            Ok((found, wanted)) => {
                self.print(session, &found, &wanted)?;
                Ok(if found.is_empty() { Exit::Done } else { Exit::Differs })
            }
            // Not 1, which says that something differs.
            Err(error) => {
                session.terminal.warn(&format!("Error: {error:#}"))?;
                Ok(Exit::NotCompared)
            }
        }
    }

    /// The differences, and what the wanted side is called.
    async fn compare(&self, session: &mut Session<'_>) -> Result<(Vec<Difference>, String)> {
        let mut application = find(session, &self.name).await?;
        application.metadata.managed_fields = None;
        let cluster = session.config.clone().ok_or_else(|| anyhow!("there is no connection to a cluster"))?;
        let store = Store::create()?;
        let origin = match &self.local {
            Some(path) => Origin::Directory(path.clone()),
            None => Origin::Repository { revision: self.revision.clone() },
        };
        let application = serde_json::to_value(application)?;
        let request = Request { cluster, application, origin, store: store.0.clone(), now: Timestamp::now() };
        let world = tokio::select! {
            world = survey::application(request) => world,
            code = stopped() => {
                let code = code?;
                drop(store);
                // The thread that fetches would be waited for otherwise, and somebody wants this to end.
                std::process::exit(code);
            }
        };
        let world = world.map_err(|why| {
            let hint =
                if self.local.is_some() { "" } else { "; --local PATH compares with a directory here" };
            anyhow!("{why}{hint}")
        })?;
        let revision = world.source.as_ref().and_then(|source| source.as_ref().ok());
        let wanted = revision.map(|fetched| fetched.revision.clone()).unwrap_or_default();
        Ok((differences(&world).map_err(|why| anyhow!(why))?, wanted))
    }

    fn print(&self, session: &mut Session<'_>, found: &[Difference], wanted: &str) -> Result<()> {
        match self.output {
            Some(Output::Json) => session.terminal.print_json(&values(found)),
            Some(Output::Yaml) => session.terminal.print_yaml(&values(found)),
            Some(Output::Name) => {
                found.iter().try_for_each(|difference| session.terminal.say(&difference.key.to_string()))
            }
            Some(Output::Wide) | None => {
                for difference in found {
                    session.terminal.print(&text(difference, wanted)?)?;
                }
                Ok(())
            }
        }
    }
}

/// Waits until somebody ends the command; gives the exit code that shells know.
async fn stopped() -> Result<i32> {
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    Ok(tokio::select! {
        _ = interrupted.recv() => 130,
        _ = terminated.recv() => 143,
    })
}

/// A directory for the repository that goes with the command.
struct Store(PathBuf);

impl Store {
    fn create() -> Result<Self> {
        let nanoseconds = Timestamp::now().as_nanosecond();
        let path = std::env::temp_dir().join(format!("tidegate-diff-{}-{nanoseconds}", std::process::id()));
        // What a repository holds is for those who may read it.
        let mut made = std::fs::DirBuilder::new();
        made.mode(0o700).create(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // What is left in a directory for temporary files harms nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The differences as data.
fn values(found: &[Difference]) -> Vec<Value> {
    let value = |difference: &Difference| {
        json!({
            "group": difference.key.group,
            "kind": difference.key.kind,
            "namespace": difference.key.namespace,
            "name": difference.key.name,
            "change": word(difference.what),
            "refused": difference.refused,
            "live": difference.live,
            "wanted": difference.wanted,
        })
    };
    found.iter().map(value).collect()
}

fn word(change: Change) -> &'static str {
    match change {
        Change::Create => "create",
        Change::Update => "update",
        Change::Prune => "prune",
        Change::Keep => "keep",
        Change::TakeOver => "takeOver",
    }
}

/// One object as people read it: a heading, what is to be known, and a unified diff.
fn text(difference: &Difference, wanted: &str) -> Result<String> {
    let mut text = format!("===== {} =====\n", difference.key);
    let note = match difference.what {
        Change::Create | Change::Update => None,
        Change::Prune => Some("not in Git: a sync deletes it only with --prune"),
        Change::Keep => Some("not in Git, and kept by Prune=false"),
        Change::TakeOver => Some("equal; a sync only takes over fields that another tool applied"),
    };
    text.extend(note.map(|note| format!("# {note}\n")));
    text.extend(difference.refused.as_ref().map(|why| format!("# refused: {why}\n")));
    let (before, after) = (yaml(difference.live.as_ref())?, yaml(difference.wanted.as_ref())?);
    let diff = TextDiff::from_lines(&before, &after);
    let unified = diff.unified_diff().context_radius(CONTEXT).header("cluster", wanted).to_string();
    Ok(text + &unified)
}

fn yaml(object: Option<&Value>) -> Result<String> {
    object.map_or_else(|| Ok(String::new()), |object| Ok(serde_saphyr::to_string(object)?))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::{Store, stopped, text};
    use serde_json::json;
    use tidegate_engine::sync::{Change, Difference, Key};

    #[test]
    fn the_clone_is_for_its_owner_and_goes() {
        let store = Store::create().unwrap();
        let path = store.0.clone();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        std::fs::write(path.join("object"), "x").unwrap();
        drop(store);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn whoever_ends_the_command_is_heard() {
        for (name, want) in [("INT", 130), ("TERM", 143)] {
            let send = async {
                let pid = std::process::id().to_string();
                std::process::Command::new("kill").args(["-s", name, &pid]).status().unwrap()
            };
            // The first is asked first, so that it listens when the signal comes.
            let (code, sent) = tokio::join!(biased; stopped(), send);
            assert!(sent.success());
            assert_eq!(code.unwrap(), want);
        }
    }

    #[test]
    fn a_change_reads_like_a_patch() {
        let map = |value: &str| json!({ "apiVersion": "v1", "kind": "ConfigMap", "data": { "a": value } });
        let key =
            Key { kind: "ConfigMap".into(), namespace: "shop".into(), name: "a".into(), ..Key::default() };
        let difference = Difference {
            key,
            live: Some(map("one")),
            wanted: Some(map("two")),
            what: Change::Update,
            refused: Some("no".into()),
        };
        assert_eq!(
            text(&difference, "abc").unwrap(),
            "===== ConfigMap shop/a =====\n# refused: no\n--- cluster\n+++ abc\n@@ -1,4 +1,4 @@\n \
             apiVersion: v1\n data:\n-  a: one\n+  a: two\n kind: ConfigMap\n"
        );
        let gone = Difference { wanted: None, what: Change::Prune, refused: None, ..difference };
        let shown = text(&gone, "abc").unwrap();
        assert!(shown.contains("# not in Git: a sync deletes it only with --prune\n"), "{shown}");
        assert!(shown.contains("-  a: one\n") && !shown.contains("\n+ "), "{shown}");
    }
}
