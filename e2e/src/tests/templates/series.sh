#!/bin/sh
# Writes what the exporters of many products would answer now, for versions whose behaviour is known: old and good err once
# in a thousand requests, bad in every fifth, quiet gets none. SHAPE says who it is: a pod about itself, whose labels
# namespace and pod come from its target; or a router about the Services of all versions, whose labels collide with those
# of its own pod (kept) or do not (plain).
seconds=$(($(date +%s) - START))

# A counter: its name, its labels, and by how much it grows in a second.
counter() {
  echo "$1{$2} $((seconds * $3))"
}

# A gauge: its name, its labels, its value.
gauge() {
  echo "$1{$2} $3"
}

# A histogram: its name, its labels, a fast bound and a slow one. Between the two lie the slow requests.
histogram() {
  counter "$1_bucket" "$2,le=\"$3\"" "$fast"
  counter "$1_bucket" "$2,le=\"$4\"" "$requests"
  counter "$1_bucket" "$2,le=\"+Inf\"" "$requests"
  counter "$1_count" "$2" "$requests"
}

# Sets how a version behaves, each second.
behave() {
  requests=10000 errors=10 fast=9900
  case "$1" in
    bad) errors=2000 fast=5000 ;;
    quiet) requests=0 errors=0 fast=0 ;;
  esac
  fine=$((requests - errors))
}

application() {
  counter http_requests_total 'code="200"' "$fine"
  counter http_requests_total 'code="503"' "$errors"
  histogram http_request_duration_seconds 'code="200"' 0.1 2.5
}

istio() {
  counter istio_requests_total 'reporter="destination",response_code="200",destination_workload="shop"' "$fine"
  counter istio_requests_total 'reporter="destination",response_code="503",destination_workload="shop"' "$errors"
  # What the pod asks of others, and it is not to be blamed for their answers.
  counter istio_requests_total 'reporter="source",response_code="503",destination_workload="other"' 50000
  histogram istio_request_duration_milliseconds 'reporter="destination",response_code="200"' 100 2500
}

linkerd() {
  counter response_total 'direction="inbound",target_port="8080",status_code="200",classification="success"' "$fine"
  counter response_total 'direction="inbound",target_port="8080",status_code="503",classification="failure"' "$errors"
  # Probes, the proxy's own port, and what the pod asks of others.
  counter response_total 'direction="inbound",target_port="8080",route_name="probe",classification="success"' 90000
  counter response_total 'direction="inbound",target_port="4191",classification="success"' 90000
  counter response_total 'direction="outbound",target_port="80",classification="failure"' 50000
  histogram response_latency_ms 'direction="inbound",target_port="8080",status_code="200"' 100 2500
}

# cAdvisor and kube-state-metrics, about two containers of which one has no limits.
kubernetes() {
  cpu=2 periods=10 throttled=1 memory=50000000 restarts=0
  case "$VERSION" in
    bad) cpu=0.5 throttled=5 memory=95000000 restarts=2 ;;
    quiet) periods=0 throttled=0 ;;
  esac
  counter container_cpu_usage_seconds_total 'container="shop"' 1
  counter container_cpu_usage_seconds_total 'container="sidecar"' 7
  gauge kube_pod_container_resource_limits 'container="shop",resource="cpu",unit="core"' "$cpu"
  counter container_cpu_cfs_periods_total 'container="shop"' "$periods"
  counter container_cpu_cfs_throttled_periods_total 'container="shop"' "$throttled"
  gauge container_memory_working_set_bytes 'container="shop"' "$memory"
  gauge container_memory_working_set_bytes 'container="sidecar"' 900000000
  gauge kube_pod_container_resource_limits 'container="shop",resource="memory",unit="byte"' 100000000
  gauge kube_pod_container_status_restarts_total 'container="shop"' "$restarts"
}

# A level of which nothing was logged yet has no series in some libraries.
logback() {
  counter logback_events_total 'level="info"' 10
  if [ "$VERSION" = bad ]; then counter logback_events_total 'level="error"' 1; fi
}

# Services and Ingresses begin with the name of the shape, so that both kinds of labels are asked for.
routers() {
  own="namespace=\"$NAMESPACE\","
  if [ "$SHAPE" = plain ]; then own=""; fi
  haproxy="${own}route=\"shop\",service=\"$SHAPE-$1\""
  counter haproxy_server_http_responses_total "$haproxy,pod=\"$SHAPE-$1-a1b2c\",server=\"10.0.0.1:8080\",code=\"2xx\"" "$fine"
  counter haproxy_server_http_responses_total "$haproxy,pod=\"$SHAPE-$1-a1b2c\",server=\"10.0.0.1:8080\",code=\"5xx\"" "$errors"
  nginx="${own}ingress=\"$SHAPE-$1\",canary=\"$NAMESPACE-$SHAPE-$1-80\""
  nginx nginx_ingress_controller "$nginx"
  service="service=\"$NAMESPACE-$SHAPE-$1-80@kubernetescrd\",method=\"GET\",protocol=\"http\""
  counter traefik_service_requests_total "$service,code=\"200\"" "$fine"
  counter traefik_service_requests_total "$service,code=\"503\"" "$errors"
  histogram traefik_service_request_duration_seconds "$service,code=\"200\"" 0.1 2.5
  envoy "httproute/$NAMESPACE/$SHAPE-$1/rule/0/backend/1"
  # The stable side of the same Ingress and of the same HTTPRoute.
  behave old
  nginx nginx_ingress_controller "${own}ingress=\"$SHAPE-$1\",canary=\"\""
  envoy "httproute/$NAMESPACE/$SHAPE-$1/rule/0/backend/0"
}

nginx() {
  counter "$1_requests" "$2,status=\"200\"" "$fine"
  counter "$1_requests" "$2,status=\"503\"" "$errors"
  histogram "$1_request_duration_seconds" "$2,status=\"200\"" 0.1 2.5
}

envoy() {
  name="envoy_cluster_name=\"$1\""
  counter envoy_cluster_upstream_rq_total "$name" "$requests"
  counter envoy_cluster_upstream_rq_xx "$name,envoy_response_code_class=\"2\"" "$fine"
  counter envoy_cluster_upstream_rq_xx "$name,envoy_response_code_class=\"5\"" "$errors"
  histogram envoy_cluster_upstream_rq_time "$name" 100 2500
}

# kafka_exporter says -1 of a partition that the group has not read yet.
kafka() {
  lag=10
  case "$1" in
    bad) lag=5000 ;;
    quiet) lag=0 ;;
  esac
  gauge kafka_consumergroup_lag "consumergroup=\"$1\",topic=\"orders\",partition=\"0\"" "$lag"
  gauge kafka_consumergroup_lag "consumergroup=\"$1\",topic=\"orders\",partition=\"1\"" -1
}

if [ "$SHAPE" = pod ]; then
  behave "$VERSION"
  application && istio && linkerd && kubernetes && logback
else
  for version in old good bad quiet; do
    behave "$version"
    routers "$version"
    if [ "$SHAPE" = plain ]; then kafka "$version"; fi
  done
fi
