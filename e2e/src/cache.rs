//! Where built tools and images are kept: outside the source tree, keyed by
//! what they were built from, so that a changed pin is a new key.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use sha2::{Digest, Sha256};

/// Finds the cache: `TIDEGATE_CACHE`, else `tidegate` under the user's cache.
pub(crate) fn dir() -> Result<PathBuf> {
    let from = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let dir = from("TIDEGATE_CACHE")
        .or_else(|| from("XDG_CACHE_HOME").map(|dir| dir.join("tidegate")))
        .or_else(|| from("HOME").map(|dir| dir.join(".cache/tidegate")))
        .ok_or_else(|| anyhow!("no place for the cache: set TIDEGATE_CACHE or HOME"))?;
    fs::create_dir_all(&dir).with_context(|| format!("cannot create the cache {}", dir.display()))?;
    Ok(dir)
}

/// Takes the cache's lock of that name, so that two processes do not build the
/// same thing; it is released when the file is dropped.
pub(crate) fn lock(name: &str) -> Result<File> {
    let path = dir()?.join(format!("{name}.lock"));
    let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}

/// Removes the tools of that name that earlier pins left.
pub(crate) fn remove_old(name: &str, current: &Path) -> Result<()> {
    let prefix = format!("{name}-");
    for entry in fs::read_dir(dir()?.join("tools"))? {
        let path = entry?.path();
        let ours = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix));
        if ours && path != current {
            fs::remove_dir_all(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}

/// Hashes every file under `dir` with its name, and the extra words.
pub(crate) fn key(dir: &Path, words: &[&str]) -> Result<String> {
    let mut hash = Sha256::new();
    for word in words {
        hash.update(word.len().to_le_bytes());
        hash.update(word);
    }
    let mut files = Vec::new();
    list(dir, &mut files)?;
    files.sort();
    for path in files {
        let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        hash.update(path.strip_prefix(dir).unwrap_or(&path).to_string_lossy().as_bytes());
        hash.update(text.len().to_le_bytes());
        hash.update(text);
    }
    Ok(short(hash))
}

/// Hashes bytes as `key` does, for names of single files.
pub(crate) fn key_of_bytes(bytes: &[u8]) -> String {
    let mut hash = Sha256::new();
    hash.update(bytes);
    short(hash)
}

fn short(hash: Sha256) -> String {
    hex(&hash.finalize()).chars().take(12).collect()
}

/// Writes bytes in lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn list(dir: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            list(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}
