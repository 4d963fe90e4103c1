//! Which provider a metric asks, chosen once: what it is asked, by which account, and how its answer is read follow from that.
//!
//! Input: a metric's settings. Output: those of its provider, if one request is enough for it.

use serde_json::Value;
use tidegate_api::analysis::{
    CloudWatchMetric, DatadogMetric, GraphiteMetric, InfluxdbMetric, MetricProvider, NewRelicMetric,
    PrometheusMetric, SkyWalkingMetric, WavefrontMetric, WebMetric,
};

use super::flagger::Plugin;
use super::{dynatrace, external, google, splunk};

/// The settings of a provider.
#[derive(Clone, Copy)]
pub(super) enum Provider<'a> {
    Prometheus(&'a PrometheusMetric),
    Web(&'a WebMetric),
    Datadog(&'a DatadogMetric),
    NewRelic(&'a NewRelicMetric),
    CloudWatch(&'a CloudWatchMetric),
    Graphite(&'a GraphiteMetric),
    Influxdb(&'a InfluxdbMetric),
    Wavefront(&'a WavefrontMetric),
    SkyWalking(&'a SkyWalkingMetric),
    Dynatrace(&'a Value),
    External(&'a Value),
    Google(&'a Value),
    Splunk(&'a Value),
}

impl<'a> Provider<'a> {
    /// The provider that is named; validation lets nobody name two.
    pub(super) fn of(settings: &'a MetricProvider) -> Option<Self> {
        let plugin = |known: &Plugin| settings.plugin.get(known.name);
        let named = [
            settings.prometheus.as_ref().map(Self::Prometheus),
            settings.web.as_ref().map(Self::Web),
            settings.datadog.as_ref().map(Self::Datadog),
            settings.new_relic.as_ref().map(Self::NewRelic),
            settings.cloud_watch.as_ref().map(Self::CloudWatch),
            settings.graphite.as_ref().map(Self::Graphite),
            settings.influxdb.as_ref().map(Self::Influxdb),
            settings.wavefront.as_ref().map(Self::Wavefront),
            settings.skywalking.as_ref().map(Self::SkyWalking),
            plugin(&dynatrace::PLUGIN).map(Self::Dynatrace),
            plugin(&external::PLUGIN).map(Self::External),
            plugin(&google::PLUGIN).map(Self::Google),
            plugin(&splunk::PLUGIN).map(Self::Splunk),
        ];
        named.into_iter().flatten().next()
    }

    /// Whether it measures a vector of samples, one for each series or point. What there is where nothing was measured differs:
    /// an empty vector, nil (Datadog), or an error before anybody is asked (InfluxDB, Wavefront).
    pub(super) fn yields_samples(self) -> bool {
        match self {
            Self::Prometheus(_)
            | Self::Graphite(_)
            | Self::Influxdb(_)
            | Self::Wavefront(_)
            | Self::Dynatrace(_)
            | Self::External(_)
            | Self::Google(_)
            | Self::Splunk(_) => true,
            Self::Datadog(metric) => is_grouped(metric),
            Self::Web(_) | Self::NewRelic(_) | Self::CloudWatch(_) | Self::SkyWalking(_) => false,
        }
    }
}

/// Whether a query yields a number for each group of tags, which version 1 of the API does not.
fn is_grouped(metric: &DatadogMetric) -> bool {
    let is_v1 = matches!(metric.api_version.as_deref(), None | Some("" | "v1"));
    let mut queries = metric.query.iter().chain(metric.queries.values());
    !is_v1 && queries.any(|query| query.contains("by {") || query.contains("by{"))
}
