//! The JSON fields of a pod template and of a canary step, in Go's order.
//!
//! Generated from k8s.io/api v0.34.5 and argo-rollouts v1.10.1; the fields marked
//! "newer" are those of a later Kubernetes. To make it again, see
//! e2e/tools/oracle/README.md. Never edited by hand.

use super::fields::Field;
use super::fields::Kind::*;

const AWS_ELASTIC_BLOCK_STORE_VOLUME_SOURCE: &[Field] = &[
    Field::new("volumeID", Text),
    Field::new("fsType", Text).omit(),
    Field::new("partition", Int32).omit(),
    Field::new("readOnly", Flag).omit(),
];
const AFFINITY: &[Field] = &[
    Field::new("nodeAffinity", Struct(NODE_AFFINITY)).pointer().omit(),
    Field::new("podAffinity", Struct(POD_AFFINITY)).pointer().omit(),
    Field::new("podAntiAffinity", Struct(POD_ANTI_AFFINITY)).pointer().omit(),
];
const ANALYSIS_RUN_ARGUMENT: &[Field] = &[
    Field::new("name", Text),
    Field::new("value", Text).omit(),
    Field::new("valueFrom", Struct(ARGUMENT_VALUE_FROM)).pointer().omit(),
];
const ANALYSIS_RUN_METADATA: &[Field] =
    &[Field::new("labels", Map(&Text)).omit(), Field::new("annotations", Map(&Text)).omit()];
const ANALYSIS_TEMPLATE_REF: &[Field] =
    &[Field::new("templateName", Text), Field::new("clusterScope", Flag).pointer().omit()];
const APP_ARMOR_PROFILE: &[Field] =
    &[Field::new("type", Text), Field::new("localhostProfile", Text).pointer().omit()];
const ARGUMENT_VALUE_FROM: &[Field] = &[
    Field::new("podTemplateHashValue", Text).pointer().omit(),
    Field::new("fieldRef", Struct(FIELD_REF)).pointer().omit(),
];
const AZURE_DISK_VOLUME_SOURCE: &[Field] = &[
    Field::new("diskName", Text),
    Field::new("diskURI", Text),
    Field::new("cachingMode", Text).pointer().omit(),
    Field::new("fsType", Text).pointer().omit(),
    Field::new("readOnly", Flag).pointer().omit(),
    Field::new("kind", Text).pointer().omit(),
];
const AZURE_FILE_VOLUME_SOURCE: &[Field] =
    &[Field::new("secretName", Text), Field::new("shareName", Text), Field::new("readOnly", Flag).omit()];
const CSI_VOLUME_SOURCE: &[Field] = &[
    Field::new("driver", Text),
    Field::new("readOnly", Flag).pointer().omit(),
    Field::new("fsType", Text).pointer().omit(),
    Field::new("volumeAttributes", Map(&Text)).omit(),
    Field::new("nodePublishSecretRef", Struct(LOCAL_OBJECT_REFERENCE)).pointer().omit(),
];
pub(super) const CANARY_STEP: &[Field] = &[
    Field::new("setWeight", Int32).pointer().omit(),
    Field::new("pause", Struct(ROLLOUT_PAUSE)).pointer().omit(),
    Field::new("experiment", Struct(ROLLOUT_EXPERIMENT_STEP)).pointer().omit(),
    Field::new("analysis", Struct(ROLLOUT_ANALYSIS)).pointer().omit(),
    Field::new("setCanaryScale", Struct(SET_CANARY_SCALE)).pointer().omit(),
    Field::new("setHeaderRoute", Struct(SET_HEADER_ROUTE)).pointer().omit(),
    Field::new("setMirrorRoute", Struct(SET_MIRROR_ROUTE)).pointer().omit(),
    Field::new("plugin", Struct(PLUGIN_STEP)).pointer().omit(),
];
const CAPABILITIES: &[Field] =
    &[Field::new("add", List(&Text)).omit(), Field::new("drop", List(&Text)).omit()];
const CEPH_FS_VOLUME_SOURCE: &[Field] = &[
    Field::new("monitors", List(&Text)),
    Field::new("path", Text).omit(),
    Field::new("user", Text).omit(),
    Field::new("secretFile", Text).omit(),
    Field::new("secretRef", Struct(LOCAL_OBJECT_REFERENCE)).pointer().omit(),
    Field::new("readOnly", Flag).omit(),
];
const CINDER_VOLUME_SOURCE: &[Field] = &[
    Field::new("volumeID", Text),
    Field::new("fsType", Text).omit(),
    Field::new("readOnly", Flag).omit(),
    Field::new("secretRef", Struct(LOCAL_OBJECT_REFERENCE)).pointer().omit(),
];
const CLUSTER_TRUST_BUNDLE_PROJECTION: &[Field] = &[
    Field::new("name", Text).pointer().omit(),
    Field::new("signerName", Text).pointer().omit(),
    Field::new("labelSelector", Struct(LABEL_SELECTOR)).pointer().omit(),
    Field::new("optional", Flag).pointer().omit(),
    Field::new("path", Text),
    Field::new("user", Int64).pointer().omit(), // newer
];
const CONFIG_MAP_ENV_SOURCE: &[Field] =
    &[Field::new("name", Text).omit(), Field::new("optional", Flag).pointer().omit()];
const CONFIG_MAP_KEY_SELECTOR: &[Field] = &[
    Field::new("name", Text).omit(),
    Field::new("key", Text),
    Field::new("optional", Flag).pointer().omit(),
];
const CONFIG_MAP_PROJECTION: &[Field] = &[
    Field::new("name", Text).omit(),
    Field::new("items", List(&Struct(KEY_TO_PATH))).omit(),
    Field::new("optional", Flag).pointer().omit(),
];
const CONFIG_MAP_VOLUME_SOURCE: &[Field] = &[
    Field::new("name", Text).omit(),
    Field::new("items", List(&Struct(KEY_TO_PATH))).omit(),
    Field::new("defaultMode", Int32).pointer().omit(),
    Field::new("optional", Flag).pointer().omit(),
    Field::new("defaultUser", Int64).pointer().omit(), // newer
];
const CONTAINER: &[Field] = &[
    Field::new("name", Text),
    Field::new("image", Text).omit(),
    Field::new("command", List(&Text)).omit(),
    Field::new("args", List(&Text)).omit(),
    Field::new("workingDir", Text).omit(),
    Field::new("ports", List(&Struct(CONTAINER_PORT))).omit(),
    Field::new("envFrom", List(&Struct(ENV_FROM_SOURCE))).omit(),
    Field::new("env", List(&Struct(ENV_VAR))).omit(),
    Field::new("resources", Struct(RESOURCE_REQUIREMENTS)),
    Field::new("resizePolicy", List(&Struct(CONTAINER_RESIZE_POLICY))).omit(),
    Field::new("restartPolicy", Text).pointer().omit(),
    Field::new("restartPolicyRules", List(&Struct(CONTAINER_RESTART_RULE))).omit(),
    Field::new("volumeMounts", List(&Struct(VOLUME_MOUNT))).omit(),
    Field::new("volumeDevices", List(&Struct(VOLUME_DEVICE))).omit(),
    Field::new("livenessProbe", Struct(PROBE)).pointer().omit(),
    Field::new("readinessProbe", Struct(PROBE)).pointer().omit(),
    Field::new("startupProbe", Struct(PROBE)).pointer().omit(),
    Field::new("lifecycle", Struct(LIFECYCLE)).pointer().omit(),
    Field::new("terminationMessagePath", Text).omit(),
    Field::new("terminationMessagePolicy", Text).omit(),
    Field::new("imagePullPolicy", Text).omit(),
    Field::new("securityContext", Struct(SECURITY_CONTEXT)).pointer().omit(),
    Field::new("stdin", Flag).omit(),
    Field::new("stdinOnce", Flag).omit(),
    Field::new("tty", Flag).omit(),
];
const CONTAINER_PORT: &[Field] = &[
    Field::new("name", Text).omit(),
    Field::new("hostPort", Int32).omit(),
    Field::new("containerPort", Int32),
    Field::new("protocol", Text).omit(),
    Field::new("hostIP", Text).omit(),
];
const CONTAINER_RESIZE_POLICY: &[Field] =
    &[Field::new("resourceName", Text), Field::new("restartPolicy", Text)];
const CONTAINER_RESTART_RULE: &[Field] = &[
    Field::new("action", Text).omit(),
    Field::new("exitCodes", Struct(CONTAINER_RESTART_RULE_ON_EXIT_CODES)).pointer().omit(),
];
const CONTAINER_RESTART_RULE_ON_EXIT_CODES: &[Field] =
    &[Field::new("operator", Text).omit(), Field::new("values", List(&Int32)).omit()];
const DOWNWARD_API_PROJECTION: &[Field] =
    &[Field::new("items", List(&Struct(DOWNWARD_API_VOLUME_FILE))).omit()];
const DOWNWARD_API_VOLUME_FILE: &[Field] = &[
    Field::new("path", Text),
    Field::new("fieldRef", Struct(OBJECT_FIELD_SELECTOR)).pointer().omit(),
    Field::new("resourceFieldRef", Struct(RESOURCE_FIELD_SELECTOR)).pointer().omit(),
    Field::new("mode", Int32).pointer().omit(),
    Field::new("user", Int64).pointer().omit(), // newer
];
const DOWNWARD_API_VOLUME_SOURCE: &[Field] = &[
    Field::new("items", List(&Struct(DOWNWARD_API_VOLUME_FILE))).omit(),
    Field::new("defaultMode", Int32).pointer().omit(),
    Field::new("defaultUser", Int64).pointer().omit(), // newer
];
const DRY_RUN: &[Field] = &[Field::new("metricName", Text)];
const EMPTY_DIR_VOLUME_SOURCE: &[Field] = &[
    Field::new("medium", Text).omit(),
    Field::new("sizeLimit", Quantity).pointer().omit(),
    Field::new("mode", Int32).pointer().omit(), // newer
];
const ENV_FROM_SOURCE: &[Field] = &[
    Field::new("prefix", Text).omit(),
    Field::new("configMapRef", Struct(CONFIG_MAP_ENV_SOURCE)).pointer().omit(),
    Field::new("secretRef", Struct(SECRET_ENV_SOURCE)).pointer().omit(),
];
const ENV_VAR: &[Field] = &[
    Field::new("name", Text),
    Field::new("value", Text).omit(),
    Field::new("valueFrom", Struct(ENV_VAR_SOURCE)).pointer().omit(),
];
const ENV_VAR_SOURCE: &[Field] = &[
    Field::new("fieldRef", Struct(OBJECT_FIELD_SELECTOR)).pointer().omit(),
    Field::new("resourceFieldRef", Struct(RESOURCE_FIELD_SELECTOR)).pointer().omit(),
    Field::new("configMapKeyRef", Struct(CONFIG_MAP_KEY_SELECTOR)).pointer().omit(),
    Field::new("secretKeyRef", Struct(SECRET_KEY_SELECTOR)).pointer().omit(),
    Field::new("fileKeyRef", Struct(FILE_KEY_SELECTOR)).pointer().omit(),
];
const EPHEMERAL_CONTAINER: &[Field] = &[
    Field::new("name", Text),
    Field::new("image", Text).omit(),
    Field::new("command", List(&Text)).omit(),
    Field::new("args", List(&Text)).omit(),
    Field::new("workingDir", Text).omit(),
    Field::new("ports", List(&Struct(CONTAINER_PORT))).omit(),
    Field::new("envFrom", List(&Struct(ENV_FROM_SOURCE))).omit(),
    Field::new("env", List(&Struct(ENV_VAR))).omit(),
    Field::new("resources", Struct(RESOURCE_REQUIREMENTS)),
    Field::new("resizePolicy", List(&Struct(CONTAINER_RESIZE_POLICY))).omit(),
    Field::new("restartPolicy", Text).pointer().omit(),
    Field::new("restartPolicyRules", List(&Struct(CONTAINER_RESTART_RULE))).omit(),
    Field::new("volumeMounts", List(&Struct(VOLUME_MOUNT))).omit(),
    Field::new("volumeDevices", List(&Struct(VOLUME_DEVICE))).omit(),
    Field::new("livenessProbe", Struct(PROBE)).pointer().omit(),
    Field::new("readinessProbe", Struct(PROBE)).pointer().omit(),
    Field::new("startupProbe", Struct(PROBE)).pointer().omit(),
    Field::new("lifecycle", Struct(LIFECYCLE)).pointer().omit(),
    Field::new("terminationMessagePath", Text).omit(),
    Field::new("terminationMessagePolicy", Text).omit(),
    Field::new("imagePullPolicy", Text).omit(),
    Field::new("securityContext", Struct(SECURITY_CONTEXT)).pointer().omit(),
    Field::new("stdin", Flag).omit(),
    Field::new("stdinOnce", Flag).omit(),
    Field::new("tty", Flag).omit(),
    Field::new("targetContainerName", Text).omit(),
];
const EPHEMERAL_VOLUME_SOURCE: &[Field] =
    &[Field::new("volumeClaimTemplate", Struct(PERSISTENT_VOLUME_CLAIM_TEMPLATE)).pointer().omit()];
const EVICTION_RESPONDER: &[Field] = &[Field::new("name", Text), Field::new("priority", Int32).pointer()];
const EXEC_ACTION: &[Field] = &[Field::new("command", List(&Text)).omit()];
const FC_VOLUME_SOURCE: &[Field] = &[
    Field::new("targetWWNs", List(&Text)).omit(),
    Field::new("lun", Int32).pointer().omit(),
    Field::new("fsType", Text).omit(),
    Field::new("readOnly", Flag).omit(),
    Field::new("wwids", List(&Text)).omit(),
];
const FIELD_REF: &[Field] = &[Field::new("fieldPath", Text)];
const FILE_KEY_SELECTOR: &[Field] = &[
    Field::new("volumeName", Text),
    Field::new("path", Text),
    Field::new("key", Text),
    Field::new("optional", Flag).pointer().omit(),
];
const FLEX_VOLUME_SOURCE: &[Field] = &[
    Field::new("driver", Text),
    Field::new("fsType", Text).omit(),
    Field::new("secretRef", Struct(LOCAL_OBJECT_REFERENCE)).pointer().omit(),
    Field::new("readOnly", Flag).omit(),
    Field::new("options", Map(&Text)).omit(),
];
const FLOCKER_VOLUME_SOURCE: &[Field] =
    &[Field::new("datasetName", Text).omit(), Field::new("datasetUUID", Text).omit()];
const GCE_PERSISTENT_DISK_VOLUME_SOURCE: &[Field] = &[
    Field::new("pdName", Text),
    Field::new("fsType", Text).omit(),
    Field::new("partition", Int32).omit(),
    Field::new("readOnly", Flag).omit(),
];
const GRPC_ACTION: &[Field] = &[
    Field::new("port", Int32),
    Field::new("service", Text).pointer(),
    Field::new("mode", Text).pointer().omit(), // newer
];
const GIT_REPO_VOLUME_SOURCE: &[Field] = &[
    Field::new("repository", Text),
    Field::new("revision", Text).omit(),
    Field::new("directory", Text).omit(),
];
const GLUSTERFS_VOLUME_SOURCE: &[Field] =
    &[Field::new("endpoints", Text), Field::new("path", Text), Field::new("readOnly", Flag).omit()];
const HTTP_GET_ACTION: &[Field] = &[
    Field::new("path", Text).omit(),
    Field::new("port", IntOrString),
    Field::new("host", Text).omit(),
    Field::new("scheme", Text).omit(),
    Field::new("httpHeaders", List(&Struct(HTTP_HEADER))).omit(),
    Field::new("protocol", Text).pointer().omit(), // newer
];
const HTTP_HEADER: &[Field] = &[Field::new("name", Text), Field::new("value", Text)];
const HEADER_ROUTING_MATCH: &[Field] =
    &[Field::new("headerName", Text), Field::new("headerValue", Struct(STRING_MATCH)).pointer()];
const HOST_ALIAS: &[Field] = &[Field::new("ip", Text), Field::new("hostnames", List(&Text)).omit()];
const HOST_PATH_VOLUME_SOURCE: &[Field] =
    &[Field::new("path", Text), Field::new("type", Text).pointer().omit()];
const ISCSI_VOLUME_SOURCE: &[Field] = &[
    Field::new("targetPortal", Text),
    Field::new("iqn", Text),
    Field::new("lun", Int32),
    Field::new("iscsiInterface", Text).omit(),
    Field::new("fsType", Text).omit(),
    Field::new("readOnly", Flag).omit(),
    Field::new("portals", List(&Text)).omit(),
    Field::new("chapAuthDiscovery", Flag).omit(),
    Field::new("chapAuthSession", Flag).omit(),
    Field::new("secretRef", Struct(LOCAL_OBJECT_REFERENCE)).pointer().omit(),
    Field::new("initiatorName", Text).pointer().omit(),
];
const IMAGE_VOLUME_SOURCE: &[Field] =
    &[Field::new("reference", Text).omit(), Field::new("pullPolicy", Text).omit()];
const KEY_TO_PATH: &[Field] = &[
    Field::new("key", Text),
    Field::new("path", Text),
    Field::new("mode", Int32).pointer().omit(),
    Field::new("user", Int64).pointer().omit(), // newer
];
const LABEL_SELECTOR: &[Field] = &[
    Field::new("matchLabels", Map(&Text)).omit(),
    Field::new("matchExpressions", List(&Struct(LABEL_SELECTOR_REQUIREMENT))).omit(),
];
const LABEL_SELECTOR_REQUIREMENT: &[Field] =
    &[Field::new("key", Text), Field::new("operator", Text), Field::new("values", List(&Text)).omit()];
const LIFECYCLE: &[Field] = &[
    Field::new("postStart", Struct(LIFECYCLE_HANDLER)).pointer().omit(),
    Field::new("preStop", Struct(LIFECYCLE_HANDLER)).pointer().omit(),
    Field::new("stopSignal", Text).pointer().omit(),
];
const LIFECYCLE_HANDLER: &[Field] = &[
    Field::new("exec", Struct(EXEC_ACTION)).pointer().omit(),
    Field::new("httpGet", Struct(HTTP_GET_ACTION)).pointer().omit(),
    Field::new("tcpSocket", Struct(TCP_SOCKET_ACTION)).pointer().omit(),
    Field::new("sleep", Struct(SLEEP_ACTION)).pointer().omit(),
];
const LOCAL_OBJECT_REFERENCE: &[Field] = &[Field::new("name", Text).omit()];
const MANAGED_FIELDS_ENTRY: &[Field] = &[
    Field::new("manager", Text).omit(),
    Field::new("operation", Text).omit(),
    Field::new("apiVersion", Text).omit(),
    Field::new("time", Time).pointer().omit(),
    Field::new("fieldsType", Text).omit(),
    Field::new("fieldsV1", Raw).pointer().omit(),
    Field::new("subresource", Text).omit(),
];
const MEASUREMENT_RETENTION: &[Field] = &[Field::new("metricName", Text), Field::new("limit", Int32)];
const NFS_VOLUME_SOURCE: &[Field] =
    &[Field::new("server", Text), Field::new("path", Text), Field::new("readOnly", Flag).omit()];
const NODE_AFFINITY: &[Field] = &[
    Field::new("requiredDuringSchedulingIgnoredDuringExecution", Struct(NODE_SELECTOR)).pointer().omit(),
    Field::new("preferredDuringSchedulingIgnoredDuringExecution", List(&Struct(PREFERRED_SCHEDULING_TERM)))
        .omit(),
];
const NODE_SELECTOR: &[Field] = &[Field::new("nodeSelectorTerms", List(&Struct(NODE_SELECTOR_TERM)))];
const NODE_SELECTOR_REQUIREMENT: &[Field] =
    &[Field::new("key", Text), Field::new("operator", Text), Field::new("values", List(&Text)).omit()];
const NODE_SELECTOR_TERM: &[Field] = &[
    Field::new("matchExpressions", List(&Struct(NODE_SELECTOR_REQUIREMENT))).omit(),
    Field::new("matchFields", List(&Struct(NODE_SELECTOR_REQUIREMENT))).omit(),
];
const OBJECT_FIELD_SELECTOR: &[Field] =
    &[Field::new("apiVersion", Text).omit(), Field::new("fieldPath", Text)];
const OBJECT_META: &[Field] = &[
    Field::new("name", Text).omit(),
    Field::new("generateName", Text).omit(),
    Field::new("namespace", Text).omit(),
    Field::new("selfLink", Text).omit(),
    Field::new("uid", Text).omit(),
    Field::new("resourceVersion", Text).omit(),
    Field::new("generation", Int64).omit(),
    Field::new("creationTimestamp", Time).omit(),
    Field::new("deletionTimestamp", Time).pointer().omit(),
    Field::new("deletionGracePeriodSeconds", Int64).pointer().omit(),
    Field::new("labels", Map(&Text)).omit(),
    Field::new("annotations", Map(&Text)).omit(),
    Field::new("ownerReferences", List(&Struct(OWNER_REFERENCE))).omit(),
    Field::new("finalizers", List(&Text)).omit(),
    Field::new("managedFields", List(&Struct(MANAGED_FIELDS_ENTRY))).omit(),
];
const OWNER_REFERENCE: &[Field] = &[
    Field::new("apiVersion", Text),
    Field::new("kind", Text),
    Field::new("name", Text),
    Field::new("uid", Text),
    Field::new("controller", Flag).pointer().omit(),
    Field::new("blockOwnerDeletion", Flag).pointer().omit(),
];
const PERSISTENT_VOLUME_CLAIM_SPEC: &[Field] = &[
    Field::new("accessModes", List(&Text)).omit(),
    Field::new("selector", Struct(LABEL_SELECTOR)).pointer().omit(),
    Field::new("resources", Struct(VOLUME_RESOURCE_REQUIREMENTS)),
    Field::new("volumeName", Text).omit(),
    Field::new("storageClassName", Text).pointer().omit(),
    Field::new("volumeMode", Text).pointer().omit(),
    Field::new("dataSource", Struct(TYPED_LOCAL_OBJECT_REFERENCE)).pointer().omit(),
    Field::new("dataSourceRef", Struct(TYPED_OBJECT_REFERENCE)).pointer().omit(),
    Field::new("volumeAttributesClassName", Text).pointer().omit(),
];
const PERSISTENT_VOLUME_CLAIM_TEMPLATE: &[Field] =
    &[Field::new("metadata", Struct(OBJECT_META)), Field::new("spec", Struct(PERSISTENT_VOLUME_CLAIM_SPEC))];
const PERSISTENT_VOLUME_CLAIM_VOLUME_SOURCE: &[Field] =
    &[Field::new("claimName", Text), Field::new("readOnly", Flag).omit()];
const PHOTON_PERSISTENT_DISK_VOLUME_SOURCE: &[Field] =
    &[Field::new("pdID", Text), Field::new("fsType", Text).omit()];
const PLUGIN_STEP: &[Field] = &[Field::new("name", Text), Field::new("config", Raw).omit()];
const POD_AFFINITY: &[Field] = &[
    Field::new("requiredDuringSchedulingIgnoredDuringExecution", List(&Struct(POD_AFFINITY_TERM))).omit(),
    Field::new("preferredDuringSchedulingIgnoredDuringExecution", List(&Struct(WEIGHTED_POD_AFFINITY_TERM)))
        .omit(),
];
const POD_AFFINITY_TERM: &[Field] = &[
    Field::new("labelSelector", Struct(LABEL_SELECTOR)).pointer().omit(),
    Field::new("namespaces", List(&Text)).omit(),
    Field::new("topologyKey", Text),
    Field::new("namespaceSelector", Struct(LABEL_SELECTOR)).pointer().omit(),
    Field::new("matchLabelKeys", List(&Text)).omit(),
    Field::new("mismatchLabelKeys", List(&Text)).omit(),
];
const POD_ANTI_AFFINITY: &[Field] = &[
    Field::new("requiredDuringSchedulingIgnoredDuringExecution", List(&Struct(POD_AFFINITY_TERM))).omit(),
    Field::new("preferredDuringSchedulingIgnoredDuringExecution", List(&Struct(WEIGHTED_POD_AFFINITY_TERM)))
        .omit(),
];
const POD_CERTIFICATE_PROJECTION: &[Field] = &[
    Field::new("signerName", Text).omit(),
    Field::new("keyType", Text).omit(),
    Field::new("maxExpirationSeconds", Int32).pointer().omit(),
    Field::new("credentialBundlePath", Text).omit(),
    Field::new("keyPath", Text).omit(),
    Field::new("certificateChainPath", Text).omit(),
    Field::new("userAnnotations", Map(&Text)).omit(), // newer
    Field::new("user", Int64).pointer().omit(),       // newer
];
const POD_DNS_CONFIG: &[Field] = &[
    Field::new("nameservers", List(&Text)).omit(),
    Field::new("searches", List(&Text)).omit(),
    Field::new("options", List(&Struct(POD_DNS_CONFIG_OPTION))).omit(),
];
const POD_DNS_CONFIG_OPTION: &[Field] =
    &[Field::new("name", Text).omit(), Field::new("value", Text).pointer().omit()];
const POD_OS: &[Field] = &[Field::new("name", Text)];
const POD_READINESS_GATE: &[Field] = &[Field::new("conditionType", Text)];
const POD_RESOURCE_CLAIM: &[Field] = &[
    Field::new("name", Text),
    Field::new("resourceClaimName", Text).pointer().omit(),
    Field::new("resourceClaimTemplateName", Text).pointer().omit(),
];
const POD_SCHEDULING_GATE: &[Field] = &[Field::new("name", Text)];
const POD_SCHEDULING_GROUP: &[Field] = &[Field::new("podGroupName", Text).pointer().omit()];
const POD_SECURITY_CONTEXT: &[Field] = &[
    Field::new("seLinuxOptions", Struct(SE_LINUX_OPTIONS)).pointer().omit(),
    Field::new("windowsOptions", Struct(WINDOWS_SECURITY_CONTEXT_OPTIONS)).pointer().omit(),
    Field::new("runAsUser", Int64).pointer().omit(),
    Field::new("runAsGroup", Int64).pointer().omit(),
    Field::new("runAsNonRoot", Flag).pointer().omit(),
    Field::new("supplementalGroups", List(&Int64)).omit(),
    Field::new("supplementalGroupsPolicy", Text).pointer().omit(),
    Field::new("fsGroup", Int64).pointer().omit(),
    Field::new("sysctls", List(&Struct(SYSCTL))).omit(),
    Field::new("fsGroupChangePolicy", Text).pointer().omit(),
    Field::new("seccompProfile", Struct(SECCOMP_PROFILE)).pointer().omit(),
    Field::new("appArmorProfile", Struct(APP_ARMOR_PROFILE)).pointer().omit(),
    Field::new("seLinuxChangePolicy", Text).pointer().omit(),
];
const POD_SPEC: &[Field] = &[
    Field::new("volumes", List(&Struct(VOLUME))).omit(),
    Field::new("initContainers", List(&Struct(CONTAINER))).omit(),
    Field::new("containers", List(&Struct(CONTAINER))),
    Field::new("ephemeralContainers", List(&Struct(EPHEMERAL_CONTAINER))).omit(),
    Field::new("restartPolicy", Text).omit(),
    Field::new("terminationGracePeriodSeconds", Int64).pointer().omit(),
    Field::new("activeDeadlineSeconds", Int64).pointer().omit(),
    Field::new("dnsPolicy", Text).omit(),
    Field::new("nodeSelector", Map(&Text)).omit(),
    Field::new("serviceAccountName", Text).omit(),
    Field::new("serviceAccount", Text).omit(),
    Field::new("automountServiceAccountToken", Flag).pointer().omit(),
    Field::new("nodeName", Text).omit(),
    Field::new("hostNetwork", Flag).omit(),
    Field::new("hostPID", Flag).omit(),
    Field::new("hostIPC", Flag).omit(),
    Field::new("shareProcessNamespace", Flag).pointer().omit(),
    Field::new("securityContext", Struct(POD_SECURITY_CONTEXT)).pointer().omit(),
    Field::new("imagePullSecrets", List(&Struct(LOCAL_OBJECT_REFERENCE))).omit(),
    Field::new("hostname", Text).omit(),
    Field::new("subdomain", Text).omit(),
    Field::new("affinity", Struct(AFFINITY)).pointer().omit(),
    Field::new("schedulerName", Text).omit(),
    Field::new("tolerations", List(&Struct(TOLERATION))).omit(),
    Field::new("hostAliases", List(&Struct(HOST_ALIAS))).omit(),
    Field::new("priorityClassName", Text).omit(),
    Field::new("priority", Int32).pointer().omit(),
    Field::new("dnsConfig", Struct(POD_DNS_CONFIG)).pointer().omit(),
    Field::new("readinessGates", List(&Struct(POD_READINESS_GATE))).omit(),
    Field::new("runtimeClassName", Text).pointer().omit(),
    Field::new("enableServiceLinks", Flag).pointer().omit(),
    Field::new("preemptionPolicy", Text).pointer().omit(),
    Field::new("overhead", Map(&Quantity)).omit(),
    Field::new("topologySpreadConstraints", List(&Struct(TOPOLOGY_SPREAD_CONSTRAINT))).omit(),
    Field::new("setHostnameAsFQDN", Flag).pointer().omit(),
    Field::new("os", Struct(POD_OS)).pointer().omit(),
    Field::new("hostUsers", Flag).pointer().omit(),
    Field::new("schedulingGates", List(&Struct(POD_SCHEDULING_GATE))).omit(),
    Field::new("resourceClaims", List(&Struct(POD_RESOURCE_CLAIM))).omit(),
    Field::new("resources", Struct(RESOURCE_REQUIREMENTS)).pointer().omit(),
    Field::new("hostnameOverride", Text).pointer().omit(),
    Field::new("schedulingGroup", Struct(POD_SCHEDULING_GROUP)).pointer().omit(), // newer
    Field::new("evictionResponders", List(&Struct(EVICTION_RESPONDER))).omit(),   // newer
];
const POD_TEMPLATE_METADATA: &[Field] =
    &[Field::new("labels", Map(&Text)).omit(), Field::new("annotations", Map(&Text)).omit()];
pub(super) const POD_TEMPLATE_SPEC: &[Field] =
    &[Field::new("metadata", Struct(OBJECT_META)), Field::new("spec", Struct(POD_SPEC))];
const PORTWORX_VOLUME_SOURCE: &[Field] =
    &[Field::new("volumeID", Text), Field::new("fsType", Text).omit(), Field::new("readOnly", Flag).omit()];
const PREFERRED_SCHEDULING_TERM: &[Field] =
    &[Field::new("weight", Int32), Field::new("preference", Struct(NODE_SELECTOR_TERM))];
const PROBE: &[Field] = &[
    Field::new("exec", Struct(EXEC_ACTION)).pointer().omit(),
    Field::new("httpGet", Struct(HTTP_GET_ACTION)).pointer().omit(),
    Field::new("tcpSocket", Struct(TCP_SOCKET_ACTION)).pointer().omit(),
    Field::new("grpc", Struct(GRPC_ACTION)).pointer().omit(),
    Field::new("initialDelaySeconds", Int32).omit(),
    Field::new("timeoutSeconds", Int32).omit(),
    Field::new("periodSeconds", Int32).omit(),
    Field::new("successThreshold", Int32).omit(),
    Field::new("failureThreshold", Int32).omit(),
    Field::new("terminationGracePeriodSeconds", Int64).pointer().omit(),
];
const PROJECTED_VOLUME_SOURCE: &[Field] = &[
    Field::new("sources", List(&Struct(VOLUME_PROJECTION))),
    Field::new("defaultMode", Int32).pointer().omit(),
    Field::new("defaultUser", Int64).pointer().omit(), // newer
];
const QUOBYTE_VOLUME_SOURCE: &[Field] = &[
    Field::new("registry", Text),
    Field::new("volume", Text),
    Field::new("readOnly", Flag).omit(),
    Field::new("user", Text).omit(),
    Field::new("group", Text).omit(),
    Field::new("tenant", Text).omit(),
];
const RBD_VOLUME_SOURCE: &[Field] = &[
    Field::new("monitors", List(&Text)),
    Field::new("image", Text),
    Field::new("fsType", Text).omit(),
    Field::new("pool", Text).omit(),
    Field::new("user", Text).omit(),
    Field::new("keyring", Text).omit(),
    Field::new("secretRef", Struct(LOCAL_OBJECT_REFERENCE)).pointer().omit(),
    Field::new("readOnly", Flag).omit(),
];
const RESOURCE_CLAIM: &[Field] = &[Field::new("name", Text), Field::new("request", Text).omit()];
const RESOURCE_FIELD_SELECTOR: &[Field] = &[
    Field::new("containerName", Text).omit(),
    Field::new("resource", Text),
    Field::new("divisor", Quantity),
];
const RESOURCE_REQUIREMENTS: &[Field] = &[
    Field::new("limits", Map(&Quantity)).omit(),
    Field::new("requests", Map(&Quantity)).omit(),
    Field::new("claims", List(&Struct(RESOURCE_CLAIM))).omit(),
];
const ROLLOUT_ANALYSIS: &[Field] = &[
    Field::new("templates", List(&Struct(ANALYSIS_TEMPLATE_REF))).omit(),
    Field::new("args", List(&Struct(ANALYSIS_RUN_ARGUMENT))).omit(),
    Field::new("dryRun", List(&Struct(DRY_RUN))).omit(),
    Field::new("measurementRetention", List(&Struct(MEASUREMENT_RETENTION))).omit(),
    Field::new("analysisRunMetadata", Struct(ANALYSIS_RUN_METADATA)).pointer().omit(),
];
const ROLLOUT_EXPERIMENT_STEP: &[Field] = &[
    Field::new("templates", List(&Struct(ROLLOUT_EXPERIMENT_TEMPLATE))),
    Field::new("duration", Text).omit(),
    Field::new("analyses", List(&Struct(ROLLOUT_EXPERIMENT_STEP_ANALYSIS_TEMPLATE_REF))).omit(),
    Field::new("dryRun", List(&Struct(DRY_RUN))).omit(),
    Field::new("analysisRunMetadata", Struct(ANALYSIS_RUN_METADATA)),
    Field::new("scaleDownDelaySeconds", Int32).pointer().omit(),
];
const ROLLOUT_EXPERIMENT_STEP_ANALYSIS_TEMPLATE_REF: &[Field] = &[
    Field::new("name", Text),
    Field::new("templateName", Text),
    Field::new("clusterScope", Flag).pointer().omit(),
    Field::new("args", List(&Struct(ANALYSIS_RUN_ARGUMENT))).omit(),
    Field::new("requiredForCompletion", Flag).omit(),
];
const ROLLOUT_EXPERIMENT_TEMPLATE: &[Field] = &[
    Field::new("name", Text),
    Field::new("specRef", Text),
    Field::new("replicas", Int32).pointer().omit(),
    Field::new("metadata", Struct(POD_TEMPLATE_METADATA)),
    Field::new("selector", Struct(LABEL_SELECTOR)).pointer().omit(),
    Field::new("weight", Int32).pointer().omit(),
    Field::new("service", Struct(TEMPLATE_SERVICE)).pointer().omit(),
];
const ROLLOUT_PAUSE: &[Field] = &[Field::new("duration", IntOrString).pointer().omit()];
const ROUTE_MATCH: &[Field] = &[
    Field::new("method", Struct(STRING_MATCH)).pointer().omit(),
    Field::new("path", Struct(STRING_MATCH)).pointer().omit(),
    Field::new("headers", Map(&Struct(STRING_MATCH))).omit(),
];
const SE_LINUX_OPTIONS: &[Field] = &[
    Field::new("user", Text).omit(),
    Field::new("role", Text).omit(),
    Field::new("type", Text).omit(),
    Field::new("level", Text).omit(),
];
const SCALE_IO_VOLUME_SOURCE: &[Field] = &[
    Field::new("gateway", Text),
    Field::new("system", Text),
    Field::new("secretRef", Struct(LOCAL_OBJECT_REFERENCE)).pointer(),
    Field::new("sslEnabled", Flag).omit(),
    Field::new("protectionDomain", Text).omit(),
    Field::new("storagePool", Text).omit(),
    Field::new("storageMode", Text).omit(),
    Field::new("volumeName", Text).omit(),
    Field::new("fsType", Text).omit(),
    Field::new("readOnly", Flag).omit(),
];
const SECCOMP_PROFILE: &[Field] =
    &[Field::new("type", Text), Field::new("localhostProfile", Text).pointer().omit()];
const SECRET_ENV_SOURCE: &[Field] =
    &[Field::new("name", Text).omit(), Field::new("optional", Flag).pointer().omit()];
const SECRET_KEY_SELECTOR: &[Field] = &[
    Field::new("name", Text).omit(),
    Field::new("key", Text),
    Field::new("optional", Flag).pointer().omit(),
];
const SECRET_PROJECTION: &[Field] = &[
    Field::new("name", Text).omit(),
    Field::new("items", List(&Struct(KEY_TO_PATH))).omit(),
    Field::new("optional", Flag).pointer().omit(),
];
const SECRET_VOLUME_SOURCE: &[Field] = &[
    Field::new("secretName", Text).omit(),
    Field::new("items", List(&Struct(KEY_TO_PATH))).omit(),
    Field::new("defaultMode", Int32).pointer().omit(),
    Field::new("optional", Flag).pointer().omit(),
    Field::new("defaultUser", Int64).pointer().omit(), // newer
];
const SECURITY_CONTEXT: &[Field] = &[
    Field::new("capabilities", Struct(CAPABILITIES)).pointer().omit(),
    Field::new("privileged", Flag).pointer().omit(),
    Field::new("seLinuxOptions", Struct(SE_LINUX_OPTIONS)).pointer().omit(),
    Field::new("windowsOptions", Struct(WINDOWS_SECURITY_CONTEXT_OPTIONS)).pointer().omit(),
    Field::new("runAsUser", Int64).pointer().omit(),
    Field::new("runAsGroup", Int64).pointer().omit(),
    Field::new("runAsNonRoot", Flag).pointer().omit(),
    Field::new("readOnlyRootFilesystem", Flag).pointer().omit(),
    Field::new("allowPrivilegeEscalation", Flag).pointer().omit(),
    Field::new("procMount", Text).pointer().omit(),
    Field::new("seccompProfile", Struct(SECCOMP_PROFILE)).pointer().omit(),
    Field::new("appArmorProfile", Struct(APP_ARMOR_PROFILE)).pointer().omit(),
];
const SERVICE_ACCOUNT_TOKEN_PROJECTION: &[Field] = &[
    Field::new("audience", Text).omit(),
    Field::new("expirationSeconds", Int64).pointer().omit(),
    Field::new("path", Text),
    Field::new("user", Int64).pointer().omit(), // newer
];
const SET_CANARY_SCALE: &[Field] = &[
    Field::new("weight", Int32).pointer().omit(),
    Field::new("replicas", Int32).pointer().omit(),
    Field::new("matchTrafficWeight", Flag).omit(),
];
const SET_HEADER_ROUTE: &[Field] =
    &[Field::new("name", Text).omit(), Field::new("match", List(&Struct(HEADER_ROUTING_MATCH))).omit()];
const SET_MIRROR_ROUTE: &[Field] = &[
    Field::new("name", Text),
    Field::new("match", List(&Struct(ROUTE_MATCH))).omit(),
    Field::new("percentage", Int32).pointer().omit(),
];
const SLEEP_ACTION: &[Field] = &[Field::new("seconds", Int64)];
const STORAGE_OS_VOLUME_SOURCE: &[Field] = &[
    Field::new("volumeName", Text).omit(),
    Field::new("volumeNamespace", Text).omit(),
    Field::new("fsType", Text).omit(),
    Field::new("readOnly", Flag).omit(),
    Field::new("secretRef", Struct(LOCAL_OBJECT_REFERENCE)).pointer().omit(),
];
const STRING_MATCH: &[Field] =
    &[Field::new("exact", Text).omit(), Field::new("prefix", Text).omit(), Field::new("regex", Text).omit()];
const SYSCTL: &[Field] = &[Field::new("name", Text), Field::new("value", Text)];
const TCP_SOCKET_ACTION: &[Field] = &[Field::new("port", IntOrString), Field::new("host", Text).omit()];
const TEMPLATE_SERVICE: &[Field] = &[Field::new("name", Text).omit()];
const TOLERATION: &[Field] = &[
    Field::new("key", Text).omit(),
    Field::new("operator", Text).omit(),
    Field::new("value", Text).omit(),
    Field::new("effect", Text).omit(),
    Field::new("tolerationSeconds", Int64).pointer().omit(),
];
const TOPOLOGY_SPREAD_CONSTRAINT: &[Field] = &[
    Field::new("maxSkew", Int32),
    Field::new("topologyKey", Text),
    Field::new("whenUnsatisfiable", Text),
    Field::new("labelSelector", Struct(LABEL_SELECTOR)).pointer().omit(),
    Field::new("minDomains", Int32).pointer().omit(),
    Field::new("nodeAffinityPolicy", Text).pointer().omit(),
    Field::new("nodeTaintsPolicy", Text).pointer().omit(),
    Field::new("matchLabelKeys", List(&Text)).omit(),
];
const TYPED_LOCAL_OBJECT_REFERENCE: &[Field] =
    &[Field::new("apiGroup", Text).pointer(), Field::new("kind", Text), Field::new("name", Text)];
const TYPED_OBJECT_REFERENCE: &[Field] = &[
    Field::new("apiGroup", Text).pointer(),
    Field::new("kind", Text),
    Field::new("name", Text),
    Field::new("namespace", Text).pointer().omit(),
];
const VOLUME: &[Field] = &[
    Field::new("name", Text),
    Field::new("hostPath", Struct(HOST_PATH_VOLUME_SOURCE)).pointer().omit(),
    Field::new("emptyDir", Struct(EMPTY_DIR_VOLUME_SOURCE)).pointer().omit(),
    Field::new("gcePersistentDisk", Struct(GCE_PERSISTENT_DISK_VOLUME_SOURCE)).pointer().omit(),
    Field::new("awsElasticBlockStore", Struct(AWS_ELASTIC_BLOCK_STORE_VOLUME_SOURCE)).pointer().omit(),
    Field::new("gitRepo", Struct(GIT_REPO_VOLUME_SOURCE)).pointer().omit(),
    Field::new("secret", Struct(SECRET_VOLUME_SOURCE)).pointer().omit(),
    Field::new("nfs", Struct(NFS_VOLUME_SOURCE)).pointer().omit(),
    Field::new("iscsi", Struct(ISCSI_VOLUME_SOURCE)).pointer().omit(),
    Field::new("glusterfs", Struct(GLUSTERFS_VOLUME_SOURCE)).pointer().omit(),
    Field::new("persistentVolumeClaim", Struct(PERSISTENT_VOLUME_CLAIM_VOLUME_SOURCE)).pointer().omit(),
    Field::new("rbd", Struct(RBD_VOLUME_SOURCE)).pointer().omit(),
    Field::new("flexVolume", Struct(FLEX_VOLUME_SOURCE)).pointer().omit(),
    Field::new("cinder", Struct(CINDER_VOLUME_SOURCE)).pointer().omit(),
    Field::new("cephfs", Struct(CEPH_FS_VOLUME_SOURCE)).pointer().omit(),
    Field::new("flocker", Struct(FLOCKER_VOLUME_SOURCE)).pointer().omit(),
    Field::new("downwardAPI", Struct(DOWNWARD_API_VOLUME_SOURCE)).pointer().omit(),
    Field::new("fc", Struct(FC_VOLUME_SOURCE)).pointer().omit(),
    Field::new("azureFile", Struct(AZURE_FILE_VOLUME_SOURCE)).pointer().omit(),
    Field::new("configMap", Struct(CONFIG_MAP_VOLUME_SOURCE)).pointer().omit(),
    Field::new("vsphereVolume", Struct(VSPHERE_VIRTUAL_DISK_VOLUME_SOURCE)).pointer().omit(),
    Field::new("quobyte", Struct(QUOBYTE_VOLUME_SOURCE)).pointer().omit(),
    Field::new("azureDisk", Struct(AZURE_DISK_VOLUME_SOURCE)).pointer().omit(),
    Field::new("photonPersistentDisk", Struct(PHOTON_PERSISTENT_DISK_VOLUME_SOURCE)).pointer().omit(),
    Field::new("projected", Struct(PROJECTED_VOLUME_SOURCE)).pointer().omit(),
    Field::new("portworxVolume", Struct(PORTWORX_VOLUME_SOURCE)).pointer().omit(),
    Field::new("scaleIO", Struct(SCALE_IO_VOLUME_SOURCE)).pointer().omit(),
    Field::new("storageos", Struct(STORAGE_OS_VOLUME_SOURCE)).pointer().omit(),
    Field::new("csi", Struct(CSI_VOLUME_SOURCE)).pointer().omit(),
    Field::new("ephemeral", Struct(EPHEMERAL_VOLUME_SOURCE)).pointer().omit(),
    Field::new("image", Struct(IMAGE_VOLUME_SOURCE)).pointer().omit(),
];
const VOLUME_DEVICE: &[Field] = &[Field::new("name", Text), Field::new("devicePath", Text)];
const VOLUME_MOUNT: &[Field] = &[
    Field::new("name", Text),
    Field::new("readOnly", Flag).omit(),
    Field::new("recursiveReadOnly", Text).pointer().omit(),
    Field::new("mountPath", Text),
    Field::new("subPath", Text).omit(),
    Field::new("mountPropagation", Text).pointer().omit(),
    Field::new("subPathExpr", Text).omit(),
    Field::new("bindMountOptions", List(&Text)).omit(), // newer
];
const VOLUME_PROJECTION: &[Field] = &[
    Field::new("secret", Struct(SECRET_PROJECTION)).pointer().omit(),
    Field::new("downwardAPI", Struct(DOWNWARD_API_PROJECTION)).pointer().omit(),
    Field::new("configMap", Struct(CONFIG_MAP_PROJECTION)).pointer().omit(),
    Field::new("serviceAccountToken", Struct(SERVICE_ACCOUNT_TOKEN_PROJECTION)).pointer().omit(),
    Field::new("clusterTrustBundle", Struct(CLUSTER_TRUST_BUNDLE_PROJECTION)).pointer().omit(),
    Field::new("podCertificate", Struct(POD_CERTIFICATE_PROJECTION)).pointer().omit(),
];
const VOLUME_RESOURCE_REQUIREMENTS: &[Field] =
    &[Field::new("limits", Map(&Quantity)).omit(), Field::new("requests", Map(&Quantity)).omit()];
const VSPHERE_VIRTUAL_DISK_VOLUME_SOURCE: &[Field] = &[
    Field::new("volumePath", Text),
    Field::new("fsType", Text).omit(),
    Field::new("storagePolicyName", Text).omit(),
    Field::new("storagePolicyID", Text).omit(),
];
const WEIGHTED_POD_AFFINITY_TERM: &[Field] =
    &[Field::new("weight", Int32), Field::new("podAffinityTerm", Struct(POD_AFFINITY_TERM))];
const WINDOWS_SECURITY_CONTEXT_OPTIONS: &[Field] = &[
    Field::new("gmsaCredentialSpecName", Text).pointer().omit(),
    Field::new("gmsaCredentialSpec", Text).pointer().omit(),
    Field::new("runAsUserName", Text).pointer().omit(),
    Field::new("hostProcess", Flag).pointer().omit(),
];
