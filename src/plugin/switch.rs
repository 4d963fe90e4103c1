//! Switches with a value, as command lines of Go programs have them: `--watch`, `--watch=false`, `-w=0`.
//!
//! Input: commands with plain switches, as people and shells get them described. Output: the same commands, ready to
//! parse: a switch takes a word behind an equals sign, and the last one of a line counts.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Arg, ArgAction, Command};

/// The words for true that Go knows.
pub(crate) const TRUE: [&str; 6] = ["true", "1", "t", "T", "TRUE", "True"];
/// The words for false that Go knows.
const FALSE: [&str; 6] = ["false", "0", "f", "F", "FALSE", "False"];

/// Lets every switch of a command and of the commands below it take a value.
pub(crate) fn with_values(command: Command) -> Command {
    command.mut_args(with_value).mut_subcommands(with_values)
}

/// Lets an argument take a value if it is a switch. One that is not on the line is false; a switch without values that
/// is declared as an `Option<bool>` is nothing, so that its verb may choose.
fn with_value(arg: Arg) -> Arg {
    let is_false_by_default = matches!(arg.get_action(), ArgAction::SetTrue);
    let has_no_values = arg.get_num_args().is_some_and(|number| !number.takes_values());
    if !is_false_by_default && !has_no_values {
        return arg;
    }
    let id = arg.get_id().clone();
    let arg = if is_false_by_default { arg.default_value("false") } else { arg };
    arg.action(ArgAction::Set)
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("true")
        .value_parser(boolean())
        .value_name("BOOL")
        .hide_possible_values(true)
        .hide_default_value(true)
        .overrides_with(id)
}

/// Reads the words that Go takes for a boolean, and no others.
fn boolean() -> impl TypedValueParser<Value = bool> {
    let words = [TRUE, FALSE].map(|[word, others @ ..]| PossibleValue::new(word).aliases(others));
    PossibleValuesParser::new(words).map(|word: String| TRUE.contains(&word.as_str()))
}

#[cfg(test)]
mod tests {
    use super::{FALSE, TRUE, with_values};
    use crate::{Exit, Grammar, cli, scripted};
    use clap::ArgMatches;

    /// What a line says about its last command.
    fn parsed(line: &str) -> Result<ArgMatches, clap::Error> {
        let command = with_values(cli::command(Grammar::Argo));
        let mut matches = command.try_get_matches_from(line.split_whitespace())?;
        while let Some((_, below)) = matches.remove_subcommand() {
            matches = below;
        }
        Ok(matches)
    }

    fn switched(line: &str, switch: &str) -> Option<bool> {
        let matches = parsed(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        matches.get_one::<bool>(switch).copied()
    }

    #[test]
    fn the_commands_are_consistent_with_values_as_well() {
        with_values(cli::command(Grammar::Tidegate)).debug_assert();
        with_values(cli::command(Grammar::Argo)).debug_assert();
    }

    #[test]
    fn a_switch_is_read_in_every_form_that_scripts_have() {
        let lines = [
            ("promote web", "full", false),
            ("promote web --full", "full", true),
            ("promote --full web", "full", true),
            ("promote web --full=true", "full", true),
            ("promote web --full=false", "full", false),
            ("promote web --full=false -c", "skip_current_step", true),
            ("promote web -a=true", "skip_all_steps", true),
            ("get rollout web", "watch", false),
            ("get rollout web -w", "watch", true),
            ("get rollout web -w=0", "watch", false),
            ("get rollout web --watch=false --no-color=T", "watch", false),
            ("get rollout web --watch=false --no-color=T", "no_color", true),
            ("get experiment compare --watch=1", "watch", true),
            ("get applications --watch=f", "watch", false),
            ("list rollouts -wA", "watch", true),
            ("list rollouts -wA", "all_namespaces", true),
            ("list rollouts -wA=false", "watch", true),
            ("list rollouts -wA=false", "all_namespaces", false),
            ("list rollouts --timestamps=True", "timestamps", true),
            ("list experiments --all-namespaces=FALSE", "all_namespaces", false),
            ("create -f a.yaml --watch=false --no-color=true", "watch", false),
            ("create -f a.yaml --watch=false --no-color=true", "no_color", true),
            ("create analysisrun --from a --global=TRUE", "global", true),
            ("version --short=F", "short", false),
            ("lint -Rf a.yaml", "recursive", true),
            ("lint -R=False -f a.yaml", "recursive", false),
            ("explain web --no-color=1", "no_color", true),
            ("history web --no-color=false", "no_color", false),
            ("replay ar x --global=0", "global", false),
            ("undo web --force=true", "force", true),
            ("set image web a=b --force=false", "force", false),
            ("sync site --prune=true --dry-run=false", "dry_run", false),
            ("refresh site --hard=true --wait=true", "wait", true),
            ("--insecure-skip-tls-verify=true abort web", "insecure_skip_tls_verify", true),
            ("abort web --insecure-skip-tls-verify=false", "insecure_skip_tls_verify", false),
            ("abort web --disable-compression=t", "disable_compression", true),
        ];
        for (line, switch, wanted) in lines {
            assert_eq!(switched(line, switch), Some(wanted), "{line}: {switch}");
        }
    }

    #[test]
    fn a_watch_of_the_status_is_absent_until_it_is_written() {
        for (line, wanted) in [
            ("status web", None),
            ("status web -w", Some(true)),
            ("status web --watch", Some(true)),
            ("status --watch=true web", Some(true)),
            ("status web --watch=false", Some(false)),
            ("status web -w=0", Some(false)),
        ] {
            assert_eq!(switched(line, "watch"), wanted, "{line}");
        }
    }

    #[test]
    fn the_words_are_those_of_go() {
        for (words, wanted) in [(TRUE, true), (FALSE, false)] {
            for word in words {
                assert_eq!(switched(&format!("promote web --full={word}"), "full"), Some(wanted), "{word}");
            }
        }
        for word in ["", "yes", "no", "on", "off", "TrUE", "2", "truth"] {
            assert!(parsed(&format!("promote web --full={word}")).is_err(), "{word:?}");
        }
    }

    #[test]
    fn a_value_needs_its_equals_sign() {
        let matches = parsed("promote --full false").unwrap();
        assert_eq!(matches.get_one::<String>("name").map(String::as_str), Some("false"));
        assert_eq!(matches.get_one::<bool>("full"), Some(&true));
        assert!(parsed("promote web --full false").is_err());
    }

    #[test]
    fn the_last_one_counts() {
        assert_eq!(switched("get rollout web --watch --watch=false", "watch"), Some(false));
        assert_eq!(switched("get rollout web -w=false -w", "watch"), Some(true));
        assert_eq!(switched("status web -w -w=false", "watch"), Some(false));
    }

    /// A shell that took a switch for an option would offer files behind it.
    #[test]
    fn shells_complete_plain_switches() {
        let ran = scripted::run(Grammar::Argo, "completion bash", &[]);
        assert_eq!(ran.exit.unwrap(), Exit::Done);
        for (switch, option) in [("--full", "--timeout"), ("--watch", "--namespace")] {
            assert!(ran.out.contains(&format!("{switch} ")), "{switch}");
            assert!(!ran.out.contains(&format!("{switch})")), "{switch}");
            assert!(ran.out.contains(&format!("{option})")), "{option}");
        }
    }
}
