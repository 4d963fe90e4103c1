//! Patches of a Rollout: first its status subresource, and the whole object where there is none.

use anyhow::Result;
use serde_json::Value;

use crate::kind::Kind;
use crate::session::{Failure, Part, Session};

/// What one command changes in a Rollout.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Patches {
    /// For the status subresource.
    pub(crate) status: Option<Value>,
    /// For the object.
    pub(crate) spec: Option<Value>,
    /// For the object, when its CRD has no status subresource: both in one.
    pub(crate) unified: Value,
}

impl Patches {
    /// A change of the status alone.
    pub(crate) fn status(patch: Value) -> Self {
        Self { status: Some(patch.clone()), spec: None, unified: patch }
    }

    /// Sends them.
    pub(crate) async fn send(&self, session: &Session<'_>, name: &str) -> Result<()> {
        let mut spec = self.spec.as_ref();
        if let Some(status) = &self.status {
            match session.merge(Kind::Rollout, name, status, Part::Status).await {
                Ok(()) => {}
                // CRDs before v0.10 had no such subresource; if it is the Rollout that is missing, the next
                // patch says so.
                Err(Failure::NotFound(_)) => spec = Some(&self.unified),
                Err(failure @ (Failure::Conflict(_) | Failure::Other(_))) => return Err(failure.into()),
            }
        }
        if let Some(spec) = spec {
            session.merge(Kind::Rollout, name, spec, Part::Object).await?;
        }
        Ok(())
    }
}
