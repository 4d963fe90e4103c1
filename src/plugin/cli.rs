//! The commands and their arguments, in both grammars.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{Args, Command, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::connection::Connection;
use crate::verb::{
    abort::Abort, completion::Completion, create::Create, diff::Diff, explain::Explain, get::Get,
    history::History, later::Later, lint::Lint, list::List, pause::Pause, promote::Promote, refresh::Refresh,
    replay::Replay, restart::Restart, retry::Retry, rollback::Rollback, set::Set, status::Status, sync::Sync,
    terminate::Terminate, undo::Undo, version::Version,
};
use crate::{Grammar, switch};

/// Follow and steer progressive delivery on Kubernetes.
#[derive(Debug, Parser)]
#[command(disable_version_flag = true, no_binary_name = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) connection: Connection,
    #[command(flatten)]
    pub(crate) ignored: Ignored,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// Flags of the Argo Rollouts plugin that have no effect here, so that scripts that use them go on working.
#[derive(Debug, Args)]
pub(crate) struct Ignored {
    #[arg(short = 'v', long, global = true, hide = true)]
    kloglevel: Option<String>,
    #[arg(long, global = true, hide = true)]
    loglevel: Option<String>,
    #[arg(long, global = true, hide = true)]
    cache_dir: Option<String>,
    #[arg(long, global = true, hide = true)]
    disable_compression: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Get(Get),
    List(List),
    Status(Status),
    Promote(Promote),
    Abort(Abort),
    Retry(Retry),
    Pause(Pause),
    Restart(Restart),
    Undo(Undo),
    Set(Set),
    Terminate(Terminate),
    Create(Create),
    Lint(Lint),
    History(History),
    Explain(Explain),
    Replay(Replay),
    Diff(Diff),
    Sync(Sync),
    Refresh(Refresh),
    Rollback(Rollback),
    /// End the sync of applications that is under way.
    #[command(hide = true)]
    TerminateOp(Names),
    Version(Version),
    Completion(Completion),
    /// Commands of the Argo Rollouts plugin that are not part of this version.
    #[command(flatten)]
    Later(Later),
}

/// Form of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// More columns.
    Wide,
    Json,
    Yaml,
    /// Kind and name alone, for other commands to read.
    Name,
}

/// Names one or more objects.
#[derive(Debug, Args)]
pub(crate) struct Names {
    /// Names of the objects.
    #[arg(required = true, value_name = "NAME")]
    pub(crate) names: Vec<String>,
}

/// Describes the commands of a grammar to people and shells: switches are plain here. [`parse`] reads a line.
pub(crate) fn command(grammar: Grammar) -> Command {
    let command = Cli::command().name(grammar.program()).bin_name(grammar.typed());
    match grammar {
        Grammar::Tidegate => command,
        Grammar::Argo => command.about("Manage rollouts, in the words of the Argo Rollouts plugin"),
    }
}

/// Reads a line: the words after the name of the program.
///
/// # Errors
/// Fails with the text to show when help is asked for, and when the line is mistaken.
pub(crate) fn parse(
    grammar: Grammar,
    words: impl IntoIterator<Item = impl Into<OsString>>,
) -> Result<Cli, clap::Error> {
    let words: Vec<OsString> = words.into_iter().map(Into::into).collect();
    let described = command(grammar);
    match switch::with_values(described.clone()).try_get_matches_from(&words) {
        Ok(matches) => Cli::from_arg_matches(&matches),
        Err(told) => Err(plain_help(described, &words, &told).unwrap_or(told)),
    }
}

/// Returns the help without the values of switches, which hardly anybody writes; nothing when no help was told, or when
/// the line has such a value itself.
fn plain_help(described: Command, words: &[OsString], told: &clap::Error) -> Option<clap::Error> {
    let is_help =
        matches!(told.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand);
    let plain = if is_help { described.try_get_matches_from(words).err() } else { None };
    plain.filter(|plain| plain.kind() == told.kind())
}

#[cfg(test)]
mod tests {
    use super::{Cli, Verb, command};
    use crate::Grammar;

    fn parse(grammar: Grammar, line: &str) -> Result<Cli, clap::Error> {
        super::parse(grammar, line.split_whitespace())
    }

    #[test]
    fn the_description_is_consistent() {
        command(Grammar::Tidegate).debug_assert();
        command(Grammar::Argo).debug_assert();
    }

    /// Every line that the Argo Rollouts plugin documents for the verbs that exist here.
    #[test]
    fn the_lines_that_people_know_are_understood() {
        let lines = [
            "get rollout guestbook",
            "get rollout guestbook -w",
            "get rollout guestbook -w --timeout-seconds 60 --no-color",
            "get ro guestbook",
            "list rollouts",
            "list rollouts --name my-rollout",
            "list rollouts --all-namespaces --watch --timestamps",
            "status guestbook",
            "status guestbook --watch=false",
            "status --timeout 60s guestbook",
            "promote guestbook",
            "promote guestbook --full",
            "promote guestbook -c",
            "abort guestbook",
            "retry rollout guestbook",
            "retry experiment my-experiment",
            "get experiment my-experiment",
            "get experiment my-experiment -w --no-color",
            "list experiments",
            "list experiments --all-namespaces",
            "terminate experiment my-experiment",
            "pause guestbook",
            "restart guestbook",
            "restart guestbook --in 10s",
            "restart guestbook -i 2h30m",
            "undo guestbook --to-revision=3",
            "set image my-rollout containerName=imageName",
            "set image my-rollout *=imageName",
            "terminate analysisrun guestbook-877894d5b-4-success-rate.1",
            "version --short",
            "completion bash",
            "-n shop -v 4 --loglevel debug --context one get rollout guestbook",
            "get rollout guestbook --kubeconfig /tmp/k --as me --request-timeout 5s",
            "lint -f rollout.yaml",
            "dashboard -p 3100",
            "lint -f a.yaml -f deploy -R -o json",
            "lint --filename=-",
            "create -f my-experiment.yaml -w",
            "create -f a.yaml -f b.yaml --no-color",
            "create analysisrun --from-file my-analysis-template.yaml",
            "create analysisrun --global --from my-analysis-cluster-template --name x --generate-name y --instance-id z",
            "create ar --from x -a a=b --argument c=d=e",
            "history guestbook",
            "history rollout guestbook --revision 2 -o yaml",
            "history application guestbook -o wide",
            "get applications -A",
            "get application guestbook -o json",
            "get apps --watch",
            "sync guestbook --revision v1 --prune --dry-run --resource apps:Deployment:web --force --wait --timeout 5m",
            "refresh guestbook --hard --wait",
            "rollback guestbook 3 --prune",
            "diff guestbook --local ./deploy",
            "terminate application guestbook",
            "terminate-op guestbook",
            "explain rollout guestbook -o json",
            "explain guestbook",
            "explain analysisrun guestbook-877894d5b-4-success-rate.1 -o yaml",
            "explain ar x --no-color",
            "replay analysisrun x",
            "replay ar x --with other --global -o json",
        ];
        for line in lines {
            for grammar in [Grammar::Tidegate, Grammar::Argo] {
                assert!(parse(grammar, line).is_ok(), "{line}: {}", parse(grammar, line).unwrap_err());
            }
        }
    }

    #[test]
    fn mistakes_are_refused() {
        for line in [
            "",
            "get",
            "promote",
            "promote a b",
            "status",
            "abort",
            "set image a",
            "frobnicate",
            "retry",
            "history",
            "explain",
            "replay x",
            "replay ar x --global",
            "replay ar x --global=1",
            "promote a --full=maybe",
            "sync",
            "sync a --resource web",
            "diff a --local x --revision y",
            "rollback a b",
            "lint",
            "create",
            "create -f a analysisrun --from b",
            "create analysisrun --from x -a novalue",
        ] {
            assert!(parse(Grammar::Tidegate, line).is_err(), "{line}");
        }
    }

    #[test]
    fn help_shows_plain_switches() {
        for line in ["promote --help", "status -h", "list rollouts --help", "create"] {
            let help = parse(Grammar::Tidegate, line).unwrap_err().to_string();
            assert!(help.contains("Usage:") && !help.contains("BOOL"), "{line}: {help}");
        }
        let help = parse(Grammar::Tidegate, "promote --full=false --help").unwrap_err();
        assert_eq!(help.kind(), clap::error::ErrorKind::DisplayHelp);
        let mistake = parse(Grammar::Argo, "status web --watch=maybe").unwrap_err().to_string();
        assert!(mistake.contains("'maybe'") && mistake.contains("true, false"), "{mistake}");
    }

    #[test]
    fn a_rollout_is_retried_with_or_without_its_kind() {
        for line in ["retry web", "retry rollout web", "retry ro web"] {
            let Ok(Cli { verb: Verb::Retry(retry), .. }) = parse(Grammar::Tidegate, line) else {
                panic!("{line}");
            };
            assert_eq!(retry.rollouts(), Some(["web".to_owned()].as_slice()), "{line}");
        }
    }
}
