//! Settings for Amazon CloudWatch.

use crate::omit::{blank, empty};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Queries to Amazon CloudWatch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["metricDataQueries"]))]
pub struct CloudWatchMetric {
    /// Time that the queries cover; 5m when absent.
    #[serde(skip_serializing_if = "blank")]
    pub interval: Option<String>,
    /// Queries.
    pub metric_data_queries: Vec<CloudWatchMetricDataQuery>,
}

/// One query to Amazon CloudWatch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CloudWatchMetricDataQuery {
    /// Id.
    #[serde(skip_serializing_if = "blank")]
    pub id: Option<String>,
    /// Expression over other queries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expression: Option<String>,
    /// Label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Metric to read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric_stat: Option<CloudWatchMetricStat>,
    /// Seconds between data points.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period: Option<IntOrString>,
    /// Whether the result is wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub return_data: Option<bool>,
}

/// Metric of Amazon CloudWatch and how to sum it up.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CloudWatchMetricStat {
    /// Metric.
    #[serde(skip_serializing_if = "empty")]
    pub metric: CloudWatchMetricStatMetric,
    /// Seconds between data points.
    #[serde(skip_serializing_if = "empty")]
    pub period: IntOrString,
    /// Statistic, such as Sum.
    #[serde(skip_serializing_if = "blank")]
    pub stat: Option<String>,
    /// Unit.
    #[serde(skip_serializing_if = "blank")]
    pub unit: Option<String>,
}

/// Metric of Amazon CloudWatch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CloudWatchMetricStatMetric {
    /// Dimensions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dimensions: Vec<CloudWatchMetricStatMetricDimension>,
    /// Name of the metric.
    #[serde(skip_serializing_if = "blank")]
    pub metric_name: Option<String>,
    /// Namespace of the metric.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// Dimension of a metric of Amazon CloudWatch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CloudWatchMetricStatMetricDimension {
    /// Name.
    #[serde(skip_serializing_if = "blank")]
    pub name: Option<String>,
    /// Value.
    #[serde(skip_serializing_if = "blank")]
    pub value: Option<String>,
}
