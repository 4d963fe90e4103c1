//! Turns the files of a directory into objects.
//!
//! Input: file names, relative to the source's path, and their bytes. Output: the objects in a fixed order,
//! or one sentence that names the file that is wrong. A file that may be a manifest and cannot be read fails
//! the whole render: the objects it held yesterday must not be taken for deleted.

use std::collections::BTreeMap;

use serde_json::Value;
use tidegate_api::source::DirectorySource;

use super::glob;
use super::hook;
use super::object::{Key, list, text};

/// The most that all files of one source may hold together, as upstream.
pub const SIZE_LIMIT_BYTES: usize = 10 * 1024 * 1024;

/// A file that holds this anywhere is no manifest.
const SKIP_MARKER: &[u8] = b"+argocd:skip-file-rendering";
/// Files whose presence at the top of the path means that a tool renders it.
const TOOL_FILES: [(&str, &str); 4] = [
    ("kustomization.yaml", "Kustomize"),
    ("kustomization.yml", "Kustomize"),
    ("Kustomization", "Kustomize"),
    ("Chart.yaml", "Helm"),
];

/// The objects of a source.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Render {
    /// In the order of file names, then of documents.
    pub objects: Vec<Manifest>,
}

/// One object and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// The file.
    pub file: String,
    /// The object.
    pub object: Value,
}

/// Whether the bytes of a file are needed to render.
#[must_use]
pub fn is_needed(path: &str, directory: &DirectorySource) -> bool {
    is_selected(path, directory) || steers_tools(path)
}

/// Whether a file at the top of the path decides which tool renders it, or with which parameters.
fn steers_tools(path: &str) -> bool {
    TOOL_FILES.iter().any(|(name, _)| *name == path) || is_override(path)
}

/// Whether a file overrides parts of the source, as image updaters write it.
fn is_override(path: &str) -> bool {
    path == ".argocd-source.yaml" || (path.starts_with(".argocd-source-") && path.ends_with(".yaml"))
}

/// Whether a file is read as manifests: by its ending, its depth, and the two globs.
fn is_selected(path: &str, directory: &DirectorySource) -> bool {
    let ending = path.rsplit_once('.').map(|(_, ending)| ending);
    if !matches!(ending, Some("yaml" | "yml" | "json" | "jsonnet")) {
        return false;
    }
    if path.contains('/') && directory.recurse != Some(true) {
        return false;
    }
    let set = |glob: &Option<String>| glob.clone().filter(|glob| !glob.is_empty());
    if set(&directory.exclude).is_some_and(|exclude| glob::matches(&exclude, path, None)) {
        return false;
    }
    set(&directory.include).is_none_or(|include| glob::matches(&include, path, None))
}

/// Renders the files of one source.
///
/// # Errors
/// One sentence that names the file and what to do about it.
pub fn render(files: &BTreeMap<String, Vec<u8>>, directory: &DirectorySource) -> Result<Render, String> {
    refuse_tools(files, directory)?;
    let mut objects = Vec::new();
    let mut size = 0;
    for (path, bytes) in files.iter().filter(|(path, _)| is_selected(path, directory) && !is_override(path)) {
        size += bytes.len();
        if size > SIZE_LIMIT_BYTES {
            return Err(format!("the manifests up to {path} exceed {SIZE_LIMIT_BYTES} bytes together"));
        }
        if bytes.windows(SKIP_MARKER.len()).any(|window| window == SKIP_MARKER) {
            continue;
        }
        if path.ends_with(".jsonnet") {
            return Err(format!(
                "{path} is Jsonnet, which is not implemented yet; keep it out with spec.source.directory.exclude"
            ));
        }
        for document in documents(path, bytes)? {
            collect(path, document, &mut objects)?;
        }
    }
    Ok(Render { objects })
}

/// Refuses a path that a tool would render. `directory.recurse` says that it holds plain manifests, as
/// upstream; a kustomization is refused later even so, by its API group.
fn refuse_tools(files: &BTreeMap<String, Vec<u8>>, directory: &DirectorySource) -> Result<(), String> {
    if let Some(path) = files.keys().find(|path| is_override(path)) {
        return Err(format!(
            "{path} overrides parts of the source, which is not implemented yet; remove the file"
        ));
    }
    if directory.recurse == Some(true) {
        return Ok(());
    }
    match TOOL_FILES.iter().find(|(name, _)| files.contains_key(*name)) {
        Some((name, tool)) => Err(format!(
            "{name} asks for {tool}, which is not implemented yet; point spec.source.path at plain manifests"
        )),
        None => Ok(()),
    }
}

/// Reads the documents of a file. A file that cannot be read is no manifest unless it looks like one.
fn documents(path: &str, bytes: &[u8]) -> Result<Vec<Value>, String> {
    let read = if path.ends_with(".json") {
        serde_json::from_slice(bytes).map(|document| vec![document]).map_err(|error| error.to_string())
    } else {
        // YAML 1.1, as Kubernetes reads it: `0644` is octal and the last of two equal keys counts. No
        // snippets, because errors are shown to people who may not see a Secret.
        let options = serde_saphyr::options! {
            legacy_octal_numbers: true,
            duplicate_keys: serde_saphyr::DuplicateKeyPolicy::LastWins,
            with_snippet: false,
        };
        serde_saphyr::from_slice_multiple_with_options(bytes, options).map_err(|error| error.to_string())
    };
    match read {
        Ok(documents) => Ok(documents),
        Err(error) if looks_like_manifest(bytes) => {
            Err(format!("{path} cannot be read: {}", one_line(&error)))
        }
        Err(_) => Ok(Vec::new()),
    }
}

/// Whether a broken file was meant as a manifest.
fn looks_like_manifest(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    text.lines().any(|line| {
        let line =
            line.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '{' | '-' | '"' | '\''));
        ["apiVersion", "kind", "metadata"].iter().any(|name| line.starts_with(name))
    })
}

/// An error without line breaks.
fn one_line(error: &str) -> String {
    error.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Adds the objects of one document: none, one, or those of a list.
fn collect(path: &str, document: Value, objects: &mut Vec<Manifest>) -> Result<(), String> {
    let has = |name: &str| document.get(name).is_some_and(|value| !value.is_null());
    if !has("apiVersion") && !has("kind") && !has("metadata") {
        return Ok(());
    }
    let kind = text(&document, "/kind");
    if kind.ends_with("List") && document.get("items").is_some_and(Value::is_array) {
        for item in list(&document, "/items") {
            collect(path, item.clone(), objects)?;
        }
        return Ok(());
    }
    // Hooks alone may leave it to the sync to name them.
    let made = hook::is_hook(&document).then(|| text(&document, "/metadata/generateName"));
    let name = Some(text(&document, "/metadata/name")).filter(|name| !name.is_empty()).or(made);
    for (value, field) in [
        (text(&document, "/apiVersion"), "apiVersion"),
        (kind, "kind"),
        (name.unwrap_or_default(), "metadata.name"),
    ] {
        if value.is_empty() {
            return Err(format!("{path} holds an object without {field} ({})", Key::of(&document)));
        }
    }
    if text(&document, "/apiVersion").starts_with("kustomize.config.k8s.io/") {
        return Err(format!(
            "{path} asks for Kustomize, which is not implemented yet; keep it out with spec.source.directory.exclude"
        ));
    }
    objects.push(Manifest { file: path.to_owned(), object: document });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(list: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
        list.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect()
    }

    fn names(render: &Render) -> Vec<String> {
        render.objects.iter().map(|m| format!("{}:{}", m.file, text(&m.object, "/metadata/name"))).collect()
    }

    const A: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";
    const B: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n";

    #[test]
    fn documents_lists_and_json_become_objects() {
        let both = format!("---\n{A}---\n# nothing\n---\n{B}");
        let list = r#"{"apiVersion":"v1","kind":"List","items":[
            {"apiVersion":"v1","kind":"Secret","metadata":{"name":"c"}}]}"#;
        let given =
            files(&[("both.yml", &both), ("list.json", list), ("notes.txt", "x"), ("values.yaml", "a: 1")]);
        let render = render(&given, &DirectorySource::default()).unwrap();
        assert_eq!(names(&render), ["both.yml:a", "both.yml:b", "list.json:c"]);
    }

    #[test]
    fn numbers_and_booleans_are_those_of_yaml_1_1() {
        let given = files(&[(
            "a.yaml",
            "apiVersion: v1\nkind: X\nmetadata: {name: a}\nmode: 0644\non: yes\ntext: \"yes\"\nbig: 12345678901",
        )]);
        let render = render(&given, &DirectorySource::default()).unwrap();
        let object = &render.objects[0].object;
        assert_eq!(object["mode"], 0o644);
        assert_eq!(object["text"], "yes");
        assert_eq!(object["big"], 12_345_678_901_i64);
    }

    #[test]
    fn a_broken_manifest_fails_the_render_and_names_its_file() {
        for (name, text, want) in [
            ("bad.yaml", "apiVersion: v1\nkind: [", "bad.yaml cannot be read"),
            ("bad.json", "{\"kind\": \"X\",", "bad.json cannot be read"),
            (
                "bad.yaml",
                "kind: ConfigMap\nmetadata: {name: x}",
                "bad.yaml holds an object without apiVersion",
            ),
            ("bad.yaml", "apiVersion: v1\nkind: ConfigMap", "bad.yaml holds an object without metadata.name"),
            ("bad.yaml", "metadata: {name: x}", "bad.yaml holds an object without apiVersion"),
        ] {
            let error =
                render(&files(&[("a.yaml", A), (name, text)]), &DirectorySource::default()).unwrap_err();
            assert!(error.starts_with(want), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn only_hooks_may_be_named_by_the_sync() {
        let job = "apiVersion: batch/v1\nkind: Job\nmetadata:\n  generateName: migrate-\n";
        let hook = format!("{job}  annotations: {{argocd.argoproj.io/hook: PreSync}}\n");
        assert_eq!(
            names(&render(&files(&[("a.yaml", &hook)]), &DirectorySource::default()).unwrap()),
            ["a.yaml:"]
        );
        let error = render(&files(&[("a.yaml", job)]), &DirectorySource::default()).unwrap_err();
        assert!(error.starts_with("a.yaml holds an object without metadata.name"), "{error}");
    }

    #[test]
    fn a_broken_secret_is_not_shown() {
        let text = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData:\n  a: s3cret\n bad";
        let error = render(&files(&[("s.yaml", text)]), &DirectorySource::default()).unwrap_err();
        assert!(!error.contains("s3cret"), "{error}");
    }

    #[test]
    fn what_is_no_manifest_is_left_out() {
        let marked = format!("# +argocd:skip-file-rendering\n{A}");
        let given = files(&[
            ("broken.yaml", "{{ template }}: ["),
            ("scalar.yaml", "hello"),
            ("marked.yaml", &marked),
        ]);
        assert_eq!(render(&given, &DirectorySource::default()), Ok(Render::default()));
    }

    #[test]
    fn depth_and_globs_select_files() {
        let given = files(&[("a.yaml", A), ("deep/b.yaml", B)]);
        let top = DirectorySource::default();
        let all = DirectorySource { recurse: Some(true), ..top.clone() };
        let only_deep = DirectorySource { include: Some("{deep,other}/*".into()), ..all.clone() };
        let not_deep = DirectorySource { exclude: Some("deep/*".into()), ..all.clone() };
        for (directory, want) in [
            (top, vec!["a.yaml:a"]),
            (all, vec!["a.yaml:a", "deep/b.yaml:b"]),
            (only_deep, vec!["deep/b.yaml:b"]),
            (not_deep, vec!["a.yaml:a"]),
        ] {
            assert_eq!(names(&render(&given, &directory).unwrap()), want);
        }
    }

    #[test]
    fn what_a_tool_would_render_is_refused() {
        for (name, text, want) in [
            ("kustomization.yaml", "resources: []", "Kustomize"),
            ("Kustomization", "resources: []", "Kustomize"),
            ("Chart.yaml", "name: x", "Helm"),
            ("x.jsonnet", "{}", "Jsonnet"),
            (".argocd-source-shop.yaml", "{}", "overrides"),
        ] {
            let error =
                render(&files(&[("a.yaml", A), (name, text)]), &DirectorySource::default()).unwrap_err();
            assert!(error.contains(want) && error.contains(name), "{error}");
            assert!(is_needed(name, &DirectorySource::default()));
        }
        let nested = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nmetadata: {name: k}";
        let all = DirectorySource { recurse: Some(true), ..DirectorySource::default() };
        assert!(
            render(&files(&[("deep/kustomization.yaml", nested)]), &all).unwrap_err().contains("Kustomize")
        );
    }
}
