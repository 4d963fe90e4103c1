//! Reads files of one commit from the store.

use gix::objs::tree::EntryKind;
use gix::{ObjectId, Repository, Tree};

use super::access::Access;
use super::fetch::chain;
use super::{Files, GitError, Limits, Question};

/// How a file begins that only stands for one kept elsewhere by Git LFS.
const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";

/// Reads the files below the path that are needed.
///
/// What cannot be read and may be needed is an error, never left out: a manifest that seems to be gone would
/// lead to a deletion.
pub(super) fn files(
    repository: &Repository,
    access: &Access,
    commit: ObjectId,
    question: &Question,
    limits: Limits,
    is_needed: &dyn Fn(&str) -> bool,
) -> Result<Files, GitError> {
    let mut reader =
        Reader { access, commit, question, limits, is_needed, files: Files::new(), bytes: 0, entries: 0 };
    let commit = repository.find_commit(commit).map_err(|error| reader.broken(&error))?;
    let mut tree = commit.tree().map_err(|error| reader.broken(&error))?;
    let path = question.path.as_str();
    for step in path.split('/').filter(|step| !step.is_empty() && *step != ".") {
        let found = tree.find_entry(step).map(|entry| (entry.kind(), entry.object_id()));
        tree = match found {
            Some((EntryKind::Tree, id)) => repository.find_tree(id).map_err(|error| reader.broken(&error))?,
            Some((EntryKind::Link, _)) => {
                return Err(reader.unfit(format!("{path}: {step} is a symbolic link")));
            }
            Some((EntryKind::Commit, _)) => {
                return Err(
                    reader.unfit(format!("{path}: {step} is a submodule, which is not implemented yet"))
                );
            }
            Some((EntryKind::Blob | EntryKind::BlobExecutable, _)) => {
                return Err(reader.unfit(format!("{path}: app path is not a directory")));
            }
            None => return Err(reader.unfit(format!("{path}: app path does not exist"))),
        };
    }
    reader.walk(&tree, "")?;
    Ok(reader.files)
}

/// Reads below one directory.
struct Reader<'a> {
    access: &'a Access,
    commit: ObjectId,
    question: &'a Question,
    limits: Limits,
    is_needed: &'a dyn Fn(&str) -> bool,
    files: Files,
    bytes: usize,
    entries: usize,
}

impl Reader<'_> {
    fn walk(&mut self, tree: &Tree<'_>, below: &str) -> Result<(), GitError> {
        for entry in tree.iter() {
            let entry = entry.map_err(|error| self.broken(&error))?;
            self.entries += 1;
            if self.entries > self.limits.entries {
                return Err(
                    self.unfit(format!("there are more than {} files below the path", self.limits.entries))
                );
            }
            let path = format!("{below}{}", entry.filename());
            match entry.kind() {
                EntryKind::Blob | EntryKind::BlobExecutable if (self.is_needed)(&path) => {
                    self.read(tree.repo, entry.object_id(), path)?;
                }
                EntryKind::Blob | EntryKind::BlobExecutable => {}
                EntryKind::Tree if self.question.recurse => {
                    let tree = tree.repo.find_tree(entry.object_id()).map_err(|error| self.broken(&error))?;
                    self.walk(&tree, &format!("{path}/"))?;
                }
                EntryKind::Tree => {}
                EntryKind::Link if (self.is_needed)(&path) => {
                    return Err(self.unfit(format!("{path} is a symbolic link")));
                }
                EntryKind::Link => {}
                EntryKind::Commit if self.question.recurse => {
                    return Err(self.unfit(format!("{path} is a submodule, which is not implemented yet")));
                }
                EntryKind::Commit => {}
            }
        }
        Ok(())
    }

    fn read(&mut self, repository: &Repository, id: ObjectId, path: String) -> Result<(), GitError> {
        let size = repository.find_header(id).map_err(|error| self.broken(&error))?.size();
        self.bytes = self.bytes.saturating_add(usize::try_from(size).unwrap_or(usize::MAX));
        if self.bytes > self.limits.read_bytes {
            let limit = self.limits.read_bytes;
            return Err(self.unfit(format!("the files below the path hold more than {limit} bytes")));
        }
        let mut blob = repository.find_blob(id).map_err(|error| self.broken(&error))?;
        if blob.data.starts_with(LFS_POINTER) {
            return Err(self.unfit(format!("{path} is kept by Git LFS, which is not implemented yet")));
        }
        self.files.insert(path, blob.take_data());
        Ok(())
    }

    fn unfit(&self, why: String) -> GitError {
        GitError::Unfit { repository: self.access.shown(), commit: self.commit.to_string(), why }
    }

    fn broken(&self, error: &gix::Error) -> GitError {
        GitError::Store { repository: self.access.shown(), why: chain(error) }
    }
}
