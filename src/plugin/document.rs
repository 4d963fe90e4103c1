//! YAML and JSON files as objects that know where each of their fields stands.
//!
//! Input: files, folders or the standard input. Output: documents, each with its value and an index of places. The
//! values come from the same reader as everywhere else; the places from the events of its parser.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde_json::Value;
use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, Span};

/// Endings of the files that are taken from a folder.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];
/// Objects may be nested so deep, as far as places are concerned.
const DEPTH_MAX: usize = 200;

/// Line and column, both counted from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Place {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

impl Place {
    fn of(span: &Span) -> Self {
        Self { line: span.start.line(), column: span.start.col() + 1 }
    }
}

/// A text with the name of the file that it comes from.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) text: String,
}

/// One object of a file.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    pub(crate) file: String,
    pub(crate) value: Value,
    node: Node,
}

/// A text that is no YAML.
#[derive(Clone, Debug)]
pub(crate) struct Broken {
    pub(crate) place: Place,
    pub(crate) why: String,
}

/// What stands where. The place of a field is that of its name.
#[derive(Clone, Debug, Default)]
struct Node {
    place: Place,
    children: Vec<(String, Place, Node)>,
    is_null: bool,
}

/// Reads files, folders (the YAML and JSON files in them, with `deep` those in folders below as well) and `-`, the
/// standard input.
pub(crate) fn sources(paths: &[String], deep: bool) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    for path in paths {
        if path == "-" {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("cannot read the standard input")?;
            sources.push(Source { name: "<stdin>".to_owned(), text });
            continue;
        }
        let path = Path::new(path);
        if path.is_dir() {
            let mut files = Vec::new();
            files_in(path, deep, &mut files)?;
            if files.is_empty() {
                bail!("{}: no .yaml, .yml or .json file in it", path.display());
            }
            for file in files {
                sources.push(source(&file)?);
            }
        } else {
            sources.push(source(path)?);
        }
    }
    Ok(sources)
}

fn source(path: &Path) -> Result<Source> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Source { name: path.display().to_string(), text })
}

fn files_in(folder: &Path, deep: bool, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry.with_context(|| format!("cannot read {}", folder.display()))?.path());
    }
    paths.sort();
    for path in paths {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        // A link to a folder could lead in a circle.
        if path.is_dir() && !path.is_symlink() {
            if deep {
                files_in(&path, deep, files)?;
            }
        } else if ENDINGS.contains(&ending) {
            files.push(path);
        }
    }
    Ok(())
}

/// Reads the objects of a text; empty documents are left out.
pub(crate) fn documents(source: &Source) -> Result<Vec<Document>, Broken> {
    let options = serde_saphyr::options! { with_snippet: false };
    let values: Vec<Value> =
        serde_saphyr::from_multiple_with_options(&source.text, options).map_err(|error| {
            let place = error.location().map_or(Place { line: 1, column: 1 }, |location| Place {
                line: usize::try_from(location.line()).unwrap_or(1),
                column: usize::try_from(location.column()).unwrap_or(1),
            });
            Broken { place, why: error.to_string() }
        })?;
    let nodes: Vec<Node> = nodes(&source.text).into_iter().filter(|node| !node.is_null).collect();
    // Should the two ever disagree about what a document is, an object is told without its place.
    let agree = nodes.len() == values.len();
    let mut nodes = nodes.into_iter().filter(|_| agree);
    let document =
        |value| Document { file: source.name.clone(), value, node: nodes.next().unwrap_or_default() };
    Ok(values.into_iter().map(document).collect())
}

/// The roots of all documents of a text that can be read.
fn nodes(text: &str) -> Vec<Node> {
    let mut parser = Parser::new_from_str(text);
    let mut roots = Vec::new();
    while let Some(Ok((event, span))) = parser.next_event() {
        if event.is_node() {
            roots.extend(node(&mut parser, event, &span, 0));
        }
    }
    roots
}

type TextParser<'t> = Parser<'t, serde_saphyr::granit_parser::StrInput<'t>>;

/// The next event that is part of a value.
fn next<'t>(parser: &mut TextParser<'t>) -> Option<(Event<'t>, Span)> {
    loop {
        match parser.next_event()?.ok()? {
            (Event::Comment(..) | Event::Anchor(..), _) => {}
            other => return Some(other),
        }
    }
}

/// The node that begins with an event; nothing for what is no value, or where the text ends too early.
fn node<'t>(parser: &mut TextParser<'t>, event: Event<'t>, span: &Span, depth: usize) -> Option<Node> {
    let mut found = Node { place: Place::of(span), ..Node::default() };
    if depth > DEPTH_MAX {
        return None;
    }
    match event {
        Event::Scalar(text, style, ..) => {
            let text = text.as_ref();
            found.is_null =
                style == ScalarStyle::Plain && matches!(text, "" | "~" | "null" | "Null" | "NULL");
        }
        Event::Alias(_) | Event::UnresolvedAlias(_) => {}
        Event::SequenceStart(..) => loop {
            let (event, span) = next(parser)?;
            if matches!(event, Event::SequenceEnd) {
                break;
            }
            let item = node(parser, event, &span, depth + 1)?;
            found.children.push((found.children.len().to_string(), item.place, item));
        },
        Event::MappingStart(..) => loop {
            let (event, span) = next(parser)?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let place = Place::of(&span);
            let name = if let Event::Scalar(text, ..) = &event { text.to_string() } else { String::new() };
            node(parser, event, &span, depth + 1)?;
            let (event, span) = next(parser)?;
            found.children.push((name, place, node(parser, event, &span, depth + 1)?));
        },
        Event::StreamStart
        | Event::StreamEnd
        | Event::DocumentStart(..)
        | Event::DocumentEnd
        | Event::Anchor(..)
        | Event::Comment(..)
        | Event::SequenceEnd
        | Event::MappingEnd => return None,
        // What a later parser may tell of is no value either.
        _ => return None,
    }
    Some(found)
}

impl Document {
    /// Returns one text of the object, empty where there is none.
    pub(crate) fn text(&self, pointer: &str) -> &str {
        self.value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// Returns the group of the object's API, empty for the core one.
    pub(crate) fn group(&self) -> &str {
        self.text("/apiVersion").split_once('/').map_or("", |(group, _)| group)
    }

    /// Returns where a field stands, or else where the nearest thing around it begins.
    ///
    /// Paths are those of errors: `spec.strategy.steps[0].setWeight`, with a map's key in brackets. Upstream's leave
    /// out `canary` and `blueGreen` below `strategy`, so these are looked into as well.
    pub(crate) fn place(&self, path: &str) -> Place {
        let mut at = &self.node;
        let mut place = at.place;
        for segment in segments(path) {
            let found = at.child(&segment).or_else(|| {
                let deeper = ["canary", "blueGreen", "metadata"];
                deeper.iter().find_map(|name| at.child(name)?.1.child(&segment))
            });
            let Some((key, node)) = found else { break };
            (place, at) = (key, node);
        }
        place
    }
}

impl Node {
    fn child(&self, name: &str) -> Option<(Place, &Node)> {
        let exact = self.children.iter().find(|(known, ..)| known == name);
        let found =
            exact.or_else(|| self.children.iter().find(|(known, ..)| known.eq_ignore_ascii_case(name)));
        found.map(|(_, place, node)| (*place, node))
    }
}

/// The parts of a path: `a.b[0][x/y.z]` has a, b, 0 and x/y.z.
fn segments(path: &str) -> Vec<String> {
    let mut segments = vec![String::new()];
    let mut is_inside = false;
    for letter in path.chars() {
        match letter {
            '[' if !is_inside => {
                is_inside = true;
                segments.push(String::new());
            }
            ']' if is_inside => is_inside = false,
            '.' if !is_inside => segments.push(String::new()),
            letter => segments.last_mut().into_iter().for_each(|segment| segment.push(letter)),
        }
    }
    segments.retain(|segment| !segment.is_empty());
    segments
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# shop
kind: Rollout
spec:
  strategy:
    canary:
      steps:
      - setWeight: 5
      - {pause: {}, setWeight: 20}
      trafficRouting:
        plugins: {argoproj-labs/gatewayAPI: {httpRoute: shop}}
---
# nothing
---
kind: Service
metadata: &m
  name: x
";

    fn read(text: &str) -> Result<Vec<Document>, Broken> {
        documents(&Source { name: "f".to_owned(), text: text.to_owned() })
    }

    #[test]
    fn fields_are_found_where_they_stand() {
        let documents = read(TEXT).unwrap();
        let place = |index: usize, path: &str| {
            let Place { line, column } = documents[index].place(path);
            (line, column)
        };
        assert_eq!(documents.len(), 2);
        assert_eq!(place(0, ""), (2, 1));
        assert_eq!(place(0, "spec.strategy.canary.steps[0].setWeight"), (7, 9));
        assert_eq!(place(0, "spec.strategy.steps[1].setWeight"), (8, 21));
        assert_eq!(place(0, "spec.strategy.steps[1]"), (8, 9));
        assert_eq!(
            place(0, "spec.strategy.canary.trafficRouting.plugins[argoproj-labs/gatewayAPI].httpRoute"),
            (10, 46)
        );
        assert_eq!(
            place(0, "spec.strategy.canary.steps[7].pause"),
            (6, 7),
            "what is missing is near its list"
        );
        assert_eq!(place(1, "metadata.name"), (16, 3));
    }

    #[test]
    fn a_text_that_is_no_yaml_says_where() {
        let broken = read("a: 1\nb: [1, 2\nc: 3\n").unwrap_err();
        assert!(broken.place.line >= 2, "{broken:?}");
        let twice = read("a: 1\nb: 2\na: 3\n").unwrap_err();
        assert_eq!(twice.place.line, 3, "{twice:?}");
    }

    #[test]
    fn json_is_yaml() {
        let documents = read("{\"kind\": \"Rollout\",\n \"spec\": {\"replicas\": 1}}").unwrap();
        assert_eq!(documents[0].place("spec.replicas"), Place { line: 2, column: 11 });
    }
}
