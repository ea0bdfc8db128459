{{- define "hubline.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "hubline.selector" -}}
app.kubernetes.io/name: hubline
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "hubline.labels" -}}
{{ include "hubline.selector" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "hubline.redisSelector" -}}
app.kubernetes.io/name: hubline-redis
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- /* The secret that the chart makes. */ -}}
{{- define "hubline.secret" -}}
{{ include "hubline.name" . }}-secret
{{- end }}

{{- /* Changes when a secret does that instances read at their start: values of this chart, and what is in secrets of yours, where the chart is
rendered in the cluster. The password that the chart makes never changes. */ -}}
{{- define "hubline.secretsChecksum" -}}
{{- $secrets := list .Values.database.connectionString .Values.admin.key }}
{{- range list .Values.database.existingSecret .Values.admin.existingSecret .Values.redis.existingSecret .Values.externalRedis.existingSecret .Values.settingsSecret }}
{{- if . }}{{ $secrets = append $secrets ((lookup "v1" "Secret" $.Release.Namespace .).data | default dict) }}{{ end }}
{{- end }}
{{- $secrets | toJson | sha256sum }}
{{- end }}

{{- /* What cannot work together. */ -}}
{{- define "hubline.check" -}}
{{- if not (or .Values.database.existingSecret .Values.database.connectionString) }}
{{- fail "database.existingSecret or database.connectionString is needed: several instances share one PostgreSQL" }}
{{- end }}
{{- if and (not .Values.redis.enabled) (not .Values.externalRedis.existingSecret) }}
{{- fail "externalRedis.existingSecret is needed where redis.enabled is false: without Redis each instance is a server of its own" }}
{{- end }}
{{- if and .Values.gateway.enabled (not .Values.gateway.parentRefs) }}
{{- fail "gateway.parentRefs is needed: the Gateways whose requests come here" }}
{{- end }}
{{- end }}
