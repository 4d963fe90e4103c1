//! Completion for `kubectl tidegate`: kubectl asks a program called `kubectl_complete-tidegate` what may come next.
//!
//! Input: the words typed so far, the last one perhaps unfinished. Output: one candidate a line, with a tab before its
//! description, and a last line that tells kubectl what else to do. No cluster is asked.

use clap::{Arg, Command};

/// What the last line says: do not offer files.
const NO_FILES: &str = ":4";

/// Answers kubectl.
pub(crate) fn answer(command: Command, words: &[String]) -> String {
    let mut command = command;
    // Gives subcommands the flags that are global, and the help.
    command.build();
    let lines = candidates(&command, words).into_iter().map(|(name, about)| match about.is_empty() {
        true => name,
        false => format!("{name}\t{about}"),
    });
    lines.chain([NO_FILES.to_owned()]).map(|line| line + "\n").collect()
}

/// What may stand where the last word is.
fn candidates(command: &Command, words: &[String]) -> Vec<(String, String)> {
    let (last, before) = words.split_last().map_or(("", &[][..]), |(last, before)| (last.as_str(), before));
    let mut current = command;
    for word in before.iter().filter(|word| !word.starts_with('-')) {
        current = current.find_subcommand(word).unwrap_or(current);
    }
    let about = |text: Option<&clap::builder::StyledStr>| text.map(ToString::to_string).unwrap_or_default();
    let mut found: Vec<(String, String)> = if last.starts_with('-') {
        let flags = current.get_arguments().filter(|argument| !argument.is_hide_set());
        flags.filter_map(|flag| Some((format!("--{}", flag.get_long()?), about(flag.get_help())))).collect()
    } else {
        let commands = current.get_subcommands().filter(|command| !command.is_hide_set());
        let names = commands.flat_map(|command| {
            let names = std::iter::once(command.get_name()).chain(command.get_visible_aliases());
            names.map(|name| (name.to_owned(), about(command.get_about()))).collect::<Vec<_>>()
        });
        names.chain(values(current)).collect()
    };
    found.retain(|(name, _)| name.starts_with(last));
    found
}

/// The words that a positional argument knows, such as the names of shells.
fn values(command: &Command) -> Vec<(String, String)> {
    let known = command.get_positionals().flat_map(Arg::get_possible_values);
    known.map(|value| (value.get_name().to_owned(), String::new())).collect()
}

#[cfg(test)]
mod tests {
    use super::answer;
    use crate::{Grammar, cli};

    fn offered(line: &str) -> Vec<String> {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let said = answer(cli::command(Grammar::Tidegate), &words);
        said.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect()
    }

    #[test]
    fn commands_flags_and_shells_are_offered() {
        assert_eq!(offered("pro"), ["promote", ":4"]);
        assert_eq!(offered("list ap"), ["applications", "application", "app", "apps", ":4"]);
        assert_eq!(offered("-n shop promote --fu"), ["--full", ":4"]);
        assert!(offered("get rollout web --name").contains(&"--namespace".to_owned()));
        assert_eq!(offered("completion fi"), ["fish", ":4"]);
        assert_eq!(offered("promote web"), [":4"]);
        assert!(!offered("").contains(&"dashboard".to_owned()), "what is not there is not offered");
    }
}
