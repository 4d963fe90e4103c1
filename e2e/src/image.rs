//! Writes container images as docker archives: one layer of files, and any
//! number of names for it that differ in their configuration.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

use crate::cache::hex;

/// What a layer holds.
pub(crate) enum Entry {
    /// An executable or plain file; its directories are made as needed.
    File { path: String, mode: u32, bytes: Vec<u8> },
    /// A symbolic link.
    Link { path: String, target: String },
    /// A directory that everybody may write to.
    Scratch { path: String },
}

/// One name for the layer, and how it runs.
pub(crate) struct Config {
    pub(crate) tag: String,
    pub(crate) entrypoint: Vec<String>,
    pub(crate) env: Vec<String>,
    pub(crate) user: String,
}

/// Writes an archive with one image per config, all of the same layer.
pub(crate) fn write_archive(path: &Path, entries: &[Entry], configs: &[Config]) -> Result<()> {
    let layer = layer(entries)?;
    let layer_digest = digest(&layer);
    let layer_path = format!("{layer_digest}/layer.tar");
    let fresh = path.with_extension("new");
    let file = File::create(&fresh).with_context(|| format!("cannot create {}", fresh.display()))?;
    let mut archive = Builder::new(file);
    put_file(&mut archive, &layer_path, 0o644, &layer)?;
    let mut manifest = Vec::new();
    for config in configs {
        let text = serde_json::to_vec(&json!({
            "architecture": architecture(),
            "os": "linux",
            "config": {"Entrypoint": config.entrypoint, "Env": config.env, "User": config.user, "WorkingDir": "/"},
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{layer_digest}")]},
        }))?;
        let config_path = format!("{}.json", digest(&text));
        put_file(&mut archive, &config_path, 0o644, &text)?;
        manifest.push(json!({"Config": config_path, "RepoTags": [config.tag], "Layers": [layer_path]}));
    }
    put_file(&mut archive, "manifest.json", 0o644, &serde_json::to_vec(&manifest)?)?;
    archive.into_inner()?.flush()?;
    std::fs::rename(&fresh, path).with_context(|| format!("cannot create {}", path.display()))
}

/// A layer's bytes depend on its entries only, so that equal content has an
/// equal digest.
fn layer(entries: &[Entry]) -> Result<Vec<u8>> {
    let mut builder = Builder::new(Vec::new());
    let mut made = BTreeSet::new();
    for entry in entries {
        let (Entry::File { path, .. } | Entry::Link { path, .. } | Entry::Scratch { path }) = entry;
        for (slash, _) in path.match_indices('/') {
            if made.insert(path[..slash].to_owned()) {
                put_special(&mut builder, &path[..slash], EntryType::Directory, 0o755, None)?;
            }
        }
        match entry {
            Entry::File { path, mode, bytes } => put_file(&mut builder, path, *mode, bytes)?,
            Entry::Link { path, target } => {
                put_special(&mut builder, path, EntryType::Symlink, 0o777, Some(target))?;
            }
            Entry::Scratch { path } => {
                if made.insert(path.clone()) {
                    put_special(&mut builder, path, EntryType::Directory, 0o1777, None)?;
                }
            }
        }
    }
    Ok(builder.into_inner()?)
}

fn put_file<W: Write>(builder: &mut Builder<W>, path: &str, mode: u32, bytes: &[u8]) -> Result<()> {
    let mut header = Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(mode);
    header.set_mtime(0);
    builder.append_data(&mut header, path, bytes).with_context(|| format!("cannot pack {path}"))
}

fn put_special<W: Write>(
    builder: &mut Builder<W>,
    path: &str,
    kind: EntryType,
    mode: u32,
    target: Option<&str>,
) -> Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(0);
    header.set_mode(mode);
    header.set_mtime(0);
    match target {
        Some(target) => builder.append_link(&mut header, path, target),
        None => builder.append_data(&mut header, path, &[][..]),
    }
    .with_context(|| format!("cannot pack {path}"))
}

fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// This machine's architecture, as images name it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
