//! The Git kinds of `argoproj.io/v1alpha1`: Application and AppProject.
//!
//! Input and output are the objects as Argo CD writes them: every upstream field is accepted by the
//! schema. What Tidegate acts on is typed; the rest is free-form and survives a round trip untouched.
//! These files know nothing of Git, of the cluster, or of what a field leads to.

mod application;
mod project;
mod schema;
mod status;

pub use application::{
    Application, ApplicationDestination, ApplicationSource, ApplicationSpec, Automated, Backoff,
    DirectorySource, IgnoreDifferences, Info, InitiatedBy, ManagedNamespaceMetadata, Operation, Retry,
    SyncOperation, SyncOperationResource, SyncPolicy, SyncStrategy, SyncStrategyApply,
};
pub use project::{
    AppProject, AppProjectSpec, DestinationServiceAccount, GroupKind, JwtToken, OrphanedResourceKey,
    OrphanedResources, ProjectDestination, ProjectRole, SignatureKey, SyncWindow,
};
pub use status::{
    ApplicationStatus, ComparedTo, Condition, HealthCode, HealthStatus, History, OperationPhase,
    OperationState, ResourceResult, ResourceStatus, ResultCode, Summary, SyncCode, SyncResult, SyncStatus,
};
