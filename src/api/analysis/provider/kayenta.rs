//! Settings for Kayenta.

use crate::omit::{blank, empty};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Comparison by Kayenta.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = [
    "address", "application", "canaryConfigName", "metricsAccountName", "configurationAccountName",
    "storageAccountName", "threshold", "scopes"
]))]
pub struct KayentaMetric {
    /// Address of the server.
    pub address: String,
    /// Application.
    pub application: String,
    /// Name of the canary configuration.
    pub canary_config_name: String,
    /// Account for metrics.
    pub metrics_account_name: String,
    /// Account for configuration.
    pub configuration_account_name: String,
    /// Account for storage.
    pub storage_account_name: String,
    /// Scores that pass.
    pub threshold: KayentaThreshold,
    /// What to compare.
    pub scopes: Vec<KayentaScope>,
    /// Compares with the time before.
    #[serde(skip_serializing_if = "empty")]
    pub lookback: bool,
}

/// Scores that pass.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["pass", "marginal"]))]
pub struct KayentaThreshold {
    /// Least score of a success.
    pub pass: i64,
    /// Least score that is not a failure.
    pub marginal: i64,
}

/// What to compare.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name", "controlScope", "experimentScope"]))]
pub struct KayentaScope {
    /// Name.
    pub name: String,
    /// The stable side.
    pub control_scope: ScopeDetail,
    /// The canary side.
    pub experiment_scope: ScopeDetail,
}

/// One side of a comparison.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["scope", "region", "step"]))]
pub struct ScopeDetail {
    /// Scope.
    pub scope: String,
    /// Region.
    pub region: String,
    /// Seconds between samples.
    pub step: i64,
    /// Start of the time.
    #[serde(skip_serializing_if = "blank")]
    pub start: Option<String>,
    /// End of the time.
    #[serde(skip_serializing_if = "blank")]
    pub end: Option<String>,
}
