//! From the text of a JSONPath to its nodes.

use serde_json::Value;

use super::{Filter, Node, Part, Slice};

/// How deep unions and filters may contain others.
const DEEPEST: usize = 16;

pub(super) fn parse(text: &str) -> Result<Vec<Part>, String> {
    let mut reader = Reader { text, at: 0 };
    let mut parts = Vec::new();
    while !reader.rest().is_empty() {
        let plain = reader.rest().find('{').unwrap_or(reader.rest().len());
        if plain > 0 {
            parts.push(Part::Text(reader.take(plain).to_owned()));
            continue;
        }
        reader.take(1);
        parts.push(Part::List(action(&mut reader, 0)?));
    }
    Ok(parts)
}

/// Understands the inside of braces, as it stands in a filter or a union.
fn inner(text: &str, depth: usize) -> Result<Vec<Node>, String> {
    if depth > DEEPEST {
        return Err("the JSONPath is nested too deeply".to_owned());
    }
    let braced = format!("{text}}}");
    action(&mut Reader { text: &braced, at: 0 }, depth)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let taken = &self.rest()[..bytes];
        self.at += bytes;
        taken
    }

    /// Takes what comes before the first character of a kind.
    fn take_until(&mut self, ends: impl Fn(char) -> bool) -> &'a str {
        let bytes = self.rest().find(ends).unwrap_or(self.rest().len());
        self.take(bytes)
    }
}

/// Reads up to the closing brace.
fn action(reader: &mut Reader<'_>, depth: usize) -> Result<Vec<Node>, String> {
    let mut nodes = Vec::new();
    loop {
        let rest = reader.rest();
        if rest.starts_with('}') {
            reader.take(1);
            return Ok(nodes);
        }
        if rest.starts_with("[?(") {
            nodes.push(Node::Filter(filter(reader, depth)?));
            continue;
        }
        if rest.starts_with("..") {
            if nodes.last() == Some(&Node::Recursive) {
                return Err("invalid multiple recursive descent".to_owned());
            }
            reader.take(2);
            nodes.push(Node::Recursive);
            if reader.rest().starts_with(is_word) {
                nodes.push(field(reader));
            }
            continue;
        }
        match rest.chars().next() {
            None | Some('\r' | '\n') => return Err("unclosed action".to_owned()),
            Some(' ' | '@' | '$') => {
                reader.take(1);
            }
            Some('[') => array(reader, &mut nodes, depth)?,
            Some(quote @ ('"' | '\'')) => nodes.push(Node::Text(quoted(reader, quote)?)),
            Some('.') => {
                reader.take(1);
                nodes.push(field(reader));
            }
            Some(letter) if letter == '+' || letter == '-' || letter.is_numeric() => {
                nodes.push(number(reader)?);
            }
            Some(letter) if is_word(letter) => nodes.push(identifier(reader)),
            Some(letter) => return Err(unrecognized(letter)),
        }
    }
}

/// A character that no action begins with, as Go shows it.
fn unrecognized(letter: char) -> String {
    let code = format!("unrecognized character in action: U+{:04X}", u32::from(letter));
    if letter.is_control() { code } else { format!("{code} '{letter}'") }
}

fn is_word(letter: char) -> bool {
    letter == '_' || letter.is_alphanumeric()
}

fn is_terminator(letter: char) -> bool {
    matches!(letter, ' ' | '\t' | '\r' | '\n' | '.' | ',' | '[' | ']' | '$' | '@' | '{' | '}')
}

/// A name up to the next character that ends one; a backslash keeps the character after it in the name.
fn field(reader: &mut Reader<'_>) -> Node {
    let mut name = String::new();
    loop {
        let plain = reader.take_until(|letter| letter == '\\' || is_terminator(letter));
        name.push_str(plain);
        if !reader.rest().starts_with('\\') {
            break;
        }
        reader.take(1);
        // Backslashes go, also one that was kept by another.
        if let Some(letter) = reader.rest().chars().next() {
            reader.take(letter.len_utf8());
            if letter != '\\' {
                name.push(letter);
            }
        }
    }
    if name == "*" { Node::Wildcard } else { Node::Field(name) }
}

fn identifier(reader: &mut Reader<'_>) -> Node {
    match reader.take_until(is_terminator) {
        "true" => Node::Constant(true.into()),
        "false" => Node::Constant(false.into()),
        "range" => Node::Range,
        "end" => Node::End,
        other => Node::Unknown(other.to_owned()),
    }
}

fn number(reader: &mut Reader<'_>) -> Result<Node, String> {
    let sign = usize::from(reader.rest().starts_with(['+', '-']));
    let digits = reader.rest()[sign..].find(|letter: char| letter != '.' && !letter.is_numeric());
    let text = reader.take(digits.map_or(reader.rest().len(), |digits| sign + digits));
    let value = text.parse::<i64>().map(Value::from).ok();
    let value = value.or_else(|| {
        let is_number = text.contains(|letter: char| letter.is_ascii_digit());
        text.parse::<f64>().ok().filter(|_| is_number).map(Value::from)
    });
    value.map(Node::Constant).ok_or_else(|| format!("cannot parse number {text}"))
}

/// A text in quotes, without them and with its escapes read.
fn quoted(reader: &mut Reader<'_>, quote: char) -> Result<String, String> {
    let rest = reader.rest();
    let end = (1..rest.len()).find(|at| {
        let byte = rest.as_bytes()[*at];
        byte == b'\n' || byte == quote as u8 && rest.as_bytes()[at - 1] != b'\\'
    });
    let Some(end) = end.filter(|end| rest.as_bytes()[*end] != b'\n') else {
        return Err("unterminated quoted string".to_owned());
    };
    let text = &reader.take(end + 1)[1..end];
    unescaped(text, quote).ok_or_else(|| format!("unquote string {text} error invalid syntax"))
}

fn unescaped(text: &str, quote: char) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            out.push(letter);
            continue;
        }
        out.push(match letters.next()? {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'v' => '\u{b}',
            '\\' => '\\',
            letter if letter == quote => letter,
            kind @ ('x' | 'u' | 'U') => {
                let digits = [('x', 2), ('u', 4), ('U', 8)].iter().find(|(of, _)| *of == kind)?.1;
                let code: String = letters.by_ref().take(digits).collect();
                char::from_u32(u32::from_str_radix(&code, 16).ok().filter(|_| code.len() == digits)?)?
            }
            _ => return None,
        });
    }
    Some(out)
}

/// What stands in brackets: an index, a part of a list, a name in quotes, or several of these.
fn array(reader: &mut Reader<'_>, nodes: &mut Vec<Node>, depth: usize) -> Result<(), String> {
    let end = reader.rest().find([']', '\n']).filter(|end| reader.rest()[*end..].starts_with(']'));
    let Some(end) = end else { return Err("unterminated array".to_owned()) };
    let text = &reader.take(end + 1)[1..end];
    let text = if text == "*" { ":" } else { text };
    if text.contains(',') {
        let members = text.split(',').map(|one| inner(&format!("[{}]", one.trim_matches(' ')), depth + 1));
        nodes.push(Node::Union(members.collect::<Result<_, _>>()?));
        return Ok(());
    }
    let named = text.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
    if let Some(name) = named.filter(|name| !name.contains('\'')) {
        nodes.extend(inner(&format!(".{name}"), depth + 1)?);
        return Ok(());
    }
    nodes.push(Node::Slice(slice(text)?));
    Ok(())
}

fn slice(text: &str) -> Result<Slice, String> {
    let is_whole =
        |part: &&str| part.strip_prefix('-').unwrap_or(part).bytes().all(|letter| letter.is_ascii_digit());
    let parts: Vec<&str> = text.split(':').collect();
    if parts.len() > 3 || !parts.iter().all(is_whole) {
        return Err(format!("invalid array index {text}"));
    }
    let index = |at: usize| match parts.get(at) {
        None | Some(&"") => Ok(None),
        Some(part) => part.parse().map(Some).map_err(|_| format!("array index {part} is not a number")),
    };
    let (from, to, step): (Option<i64>, _, _) = (index(0)?, index(1)?, index(2)?);
    let single = parts.len() == 1;
    let to = if single { Some(from.unwrap_or(0).saturating_add(1)) } else { to };
    Ok(Slice { from, to, single, step })
}

fn filter(reader: &mut Reader<'_>, depth: usize) -> Result<Filter, String> {
    reader.take("[?(".len());
    let text = filter_text(reader)?;
    let is_operator = |letter: char| matches!(letter, '!' | '<' | '>' | '=');
    let start = text.find(is_operator).filter(|start| *start > 0);
    let Some(start) = start else { return Ok(Filter::Exists(inner(text, depth + 1)?)) };
    let mut length = text[start..].find(|letter| !is_operator(letter)).unwrap_or(text.len() - start);
    if start + length == text.len() {
        // Something must be left to compare with.
        length -= 1;
    }
    if length == 0 {
        return Ok(Filter::Exists(inner(text, depth + 1)?));
    }
    let (left, rest) = text.split_at(start);
    let (operator, right) = rest.split_at(length);
    let (left, right) = (inner(left, depth + 1)?, inner(right, depth + 1)?);
    Ok(Filter::Compare { left, operator: operator.to_owned(), right })
}

/// The text up to the parenthesis that ends a filter: the first one outside of quotes.
fn filter_text<'a>(reader: &mut Reader<'a>) -> Result<&'a str, String> {
    let rest = reader.rest();
    let (mut quote, mut closed) = (None, false);
    for (at, letter) in rest.char_indices() {
        match (letter, quote) {
            ('\n', _) => break,
            ('"' | '\'', None) => quote = Some(letter),
            ('"' | '\'', Some(open)) => {
                closed |= letter == open && rest.as_bytes()[at - 1] != b'\\';
            }
            (')', _) if quote.is_some() == closed => {
                let text = reader.take(at);
                reader.take(1);
                if !reader.rest().starts_with(']') {
                    return Err("unclosed array expect ]".to_owned());
                }
                reader.take(1);
                return Ok(text);
            }
            _ => {}
        }
    }
    Err("unterminated filter".to_owned())
}
