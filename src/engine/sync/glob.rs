//! Globs as Argo CD reads them: `*`, `**`, `?`, `[a-z]`, `[!a]`, `{a,b}` and `\` for the next character.
//!
//! With a separator, `*` and `?` do not cross it and `**` does; without one, all cross everything.

use regex::Regex;

/// Whether the whole text matches; a pattern that cannot be read matches nothing.
pub(super) fn matches(pattern: &str, text: &str, separator: Option<char>) -> bool {
    Regex::new(&expression(pattern, separator)).is_ok_and(|regex| regex.is_match(text))
}

/// Like [`matches`], but `!pattern` matches what `pattern` does not, and `*` alone matches everything.
pub(super) fn permits(pattern: &str, text: &str, separator: Option<char>) -> bool {
    match pattern.strip_prefix('!') {
        Some(denied) => !matches(denied, text, separator),
        None => pattern == "*" || matches(pattern, text, separator),
    }
}

/// Whether a pattern denies what it names.
pub(super) fn denies(pattern: &str) -> bool {
    pattern.starts_with('!')
}

/// The regular expression of a glob.
fn expression(pattern: &str, separator: Option<char>) -> String {
    let one = separator.map_or_else(|| ".".to_owned(), |s| format!("[^{}]", regex::escape(&s.to_string())));
    let mut out = String::from("(?s)^");
    let mut depth = 0_usize;
    let mut rest = pattern.chars().peekable();
    while let Some(next) = rest.next() {
        match next {
            '*' if rest.next_if_eq(&'*').is_some() => out.push_str(".*"),
            '*' => out.push_str(&format!("{one}*")),
            '?' => out.push_str(&one),
            '[' => {
                out.push('[');
                if rest.next_if_eq(&'!').is_some() {
                    out.push('^');
                }
            }
            ']' => out.push(']'),
            '-' => out.push('-'),
            '{' => {
                depth += 1;
                out.push_str("(?:");
            }
            '}' if depth > 0 => {
                depth -= 1;
                out.push(')');
            }
            ',' if depth > 0 => out.push('|'),
            '\\' => out.extend(rest.next().map(|c| regex::escape(&c.to_string()))),
            literal => out.push_str(&regex::escape(&literal.to_string())),
        }
    }
    out.push('$');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_cross_slashes_only_when_doubled() {
        let slash = Some('/');
        for (pattern, text, want) in [
            ("https://git.example/shop", "https://git.example/shop", true),
            ("https://git.example/*", "https://git.example/shop", true),
            ("https://git.example/*", "https://git.example/team/shop", false),
            ("https://git.example/**", "https://git.example/team/shop", true),
            ("https://git?example/*", "https://gitxexample/shop", true),
            ("https://{a,b}.example/*", "https://b.example/shop", true),
            ("https://{a,b}.example/*", "https://c.example/shop", false),
            ("a.b", "axb", false),
            ("", "", true),
        ] {
            assert_eq!(matches(pattern, text, slash), want, "{pattern} on {text}");
        }
    }

    #[test]
    fn without_a_separator_a_star_crosses_everything() {
        for (pattern, text, want) in [
            ("*.yaml", "a/b.yaml", true),
            ("{a,b}/*", "b/c/d", true),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            (r"a\*", "a*", true),
            (r"a\*", "ab", false),
            ("[", "[", false),
            ("team-a", "team-b", false),
        ] {
            assert_eq!(matches(pattern, text, None), want, "{pattern} on {text}");
        }
    }

    #[test]
    fn an_exclamation_mark_denies() {
        assert!(permits("!kube-*", "shop", None));
        assert!(!permits("!kube-*", "kube-system", None));
        assert!(permits("*", "anything/at/all", Some('/')));
    }
}
