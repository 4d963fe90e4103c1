//! Phases that several tools write, as enums that survive a value from the future.
//!
//! An absent or empty phase is `None`; a value this build does not know is `Unknown`.

use schemars::JsonSchema;
use serde::de::{DeserializeOwned, IntoDeserializer, value::StrDeserializer};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Overall state of an AnalysisRun, of one of its metrics or measurements, or of an Experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum AnalysisPhase {
    Pending,
    Running,
    Successful,
    Failed,
    Error,
    Inconclusive,
    #[serde(other)]
    Unknown,
}

impl AnalysisPhase {
    /// Tells whether nothing will be measured any more.
    pub fn is_completed(self) -> bool {
        match self {
            Self::Successful | Self::Failed | Self::Error | Self::Inconclusive => true,
            Self::Pending | Self::Running | Self::Unknown => false,
        }
    }

    /// Returns the phase as it stands in the JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Successful => "Successful",
            Self::Failed => "Failed",
            Self::Error => "Error",
            Self::Inconclusive => "Inconclusive",
            Self::Unknown => "Unknown",
        }
    }
}

/// What a Rollout's status says about it in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RolloutPhase {
    Healthy,
    Degraded,
    Progressing,
    Paused,
    #[serde(other)]
    Unknown,
}

impl RolloutPhase {
    /// Returns the phase as it stands in the JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "Healthy",
            Self::Degraded => "Degraded",
            Self::Progressing => "Progressing",
            Self::Paused => "Paused",
            Self::Unknown => "Unknown",
        }
    }
}

/// State of one template of an Experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TemplateStatusCode {
    Progressing,
    Running,
    Successful,
    Failed,
    Error,
    #[serde(other)]
    Unknown,
}

/// Reads a phase whose empty text means that there is none yet.
pub(crate) fn deserialize<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    let text = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
    if text.is_empty() {
        return Ok(None);
    }
    let text: StrDeserializer<'_, D::Error> = text.as_str().into_deserializer();
    T::deserialize(text).map(Some)
}

/// Writes a phase that upstream's schema requires to be there: an absent one is the empty text.
pub(crate) fn serialize<S, T>(phase: &Option<T>, serializer: S) -> Result<S::Ok, S::Error>
where
    S: Serializer,
    T: Serialize,
{
    match phase {
        Some(phase) => phase.serialize(serializer),
        None => serializer.serialize_str(""),
    }
}

/// Schema of every phase: a text without an enumeration, as upstream's CRDs have it.
macro_rules! phase_schema {
    ($($phase:ident),*) => {$(
        impl JsonSchema for $phase {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($phase).into()
            }
            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                String::json_schema(generator)
            }
        }
    )*};
}
phase_schema!(AnalysisPhase, RolloutPhase, TemplateStatusCode);
