//! Follows an object beside a test and keeps every state it went through, so that a test can say what never happened.

use std::fmt::Debug;
use std::pin::pin;

use anyhow::{Context, Result};
use futures::StreamExt;
use kube::api::{Api, DynamicObject};
use kube::runtime::watcher::watch_object;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::scene::PATIENCE;

/// Whoever follows; dropping it ends that.
pub(super) struct Witness<T> {
    seen: watch::Receiver<Vec<T>>,
    task: JoinHandle<()>,
}

impl<T: Clone + Debug + PartialEq + Send + Sync + 'static> Witness<T> {
    /// Follows an object from now on, by what `read` makes of it. A watch brings every write, however short a
    /// state lasts; what reads the same as before is kept once.
    pub(super) fn of(
        api: Api<DynamicObject>,
        name: &str,
        read: impl Fn(&Value) -> Option<T> + Send + 'static,
    ) -> Self {
        let (keep, seen) = watch::channel(Vec::new());
        let name = name.to_owned();
        let task = tokio::spawn(async move {
            let mut states = pin!(watch_object(api, &name));
            while let Some(state) = states.next().await {
                // A watch that breaks is taken up again by the stream itself.
                let Ok(Some(object)) = state else { continue };
                let state = serde_json::to_value(&object).ok().and_then(|object| read(&object));
                keep.send_if_modified(|kept: &mut Vec<T>| match state {
                    Some(state) if kept.last() != Some(&state) => {
                        kept.push(state);
                        true
                    }
                    Some(_) | None => false,
                });
            }
        });
        Self { seen, task }
    }

    /// Everything that was seen so far, in order.
    pub(super) fn seen(&self) -> Vec<T> {
        self.seen.borrow().clone()
    }

    /// Waits until this was seen last.
    pub(super) async fn until_last(&self, wanted: &T) -> Result<Vec<T>> {
        let mut seen = self.seen.clone();
        let found = seen.wait_for(|seen| seen.last() == Some(wanted));
        match tokio::time::timeout(PATIENCE, found).await {
            Ok(found) => Ok(found.context("the watch ended")?.clone()),
            Err(_late) => anyhow::bail!("{wanted:?} did not come; seen: {:?}", self.seen()),
        }
    }
}

impl<T> Drop for Witness<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}
