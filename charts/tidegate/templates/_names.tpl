{{/* The name of everything in the release: its own, shortened to what a label may hold. */}}
{{- define "tidegate.name" -}}
{{ .Release.Name | trunc 52 | trimSuffix "-" }}
{{- end }}

{{/* Names of objects without a namespace, so that two releases do not meet. */}}
{{- define "tidegate.clusterName" -}}
{{- if eq .Release.Name .Release.Namespace }}{{ include "tidegate.name" . }}{{ else }}{{ printf "%s-%s" .Release.Namespace (include "tidegate.name" .) | trunc 63 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "tidegate.serviceAccount" -}}
{{ .Values.serviceAccount.name | default (include "tidegate.name" .) }}
{{- end }}

{{- define "tidegate.syncServiceAccount" -}}
{{ .Values.sync.serviceAccount.name | default (printf "%s-sync" (include "tidegate.name" .)) }}
{{- end }}

{{- define "tidegate.selector" -}}
app.kubernetes.io/name: tidegate
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "tidegate.labels" -}}
{{ include "tidegate.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | quote }}
{{- end }}
