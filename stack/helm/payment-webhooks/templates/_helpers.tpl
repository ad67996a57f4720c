{{- define "pw.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- /* Short enough that every suffix still fits into 63 characters. */ -}}
{{- define "pw.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "pw.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "pw.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "pw.selector" -}}
app.kubernetes.io/name: {{ include "pw.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "pw.labels" -}}
{{ include "pw.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: payment-webhooks
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "pw.image" -}}
{{- $tag := .tag | default .root.Values.image.tag | default .root.Chart.AppVersion -}}
{{- printf "%s:%s" .root.Values.image.repository $tag | quote -}}
{{- end -}}

{{- define "pw.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (ternary (include "pw.fullname" .) "default" .Values.serviceAccount.create) -}}
{{- end -}}

{{- /* One variable out of an existing Secret. */ -}}
{{- define "pw.secretEnv" -}}
- name: {{ .name }}
  valueFrom:
    secretKeyRef:
      name: {{ .from.existingSecret }}
      key: {{ .from.key }}
{{- end -}}

{{- /* A number of values.yaml as the programs read it: 1000000, never 1e+06. */ -}}
{{- define "pw.plain" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) -}}
{{- . | int64 -}}
{{- else -}}
{{- . | toString -}}
{{- end -}}
{{- end -}}

{{- define "pw.settings" -}}
{{- range $name, $value := .Values.settings }}
- name: {{ $name }}
  value: {{ include "pw.plain" $value | quote }}
{{- end }}
{{- if or .Values.sources.toml .Values.sources.existingConfigMap }}
- name: SOURCES_FILE
  value: /etc/payment-webhooks/sources.toml
{{- end }}
{{- end -}}

{{- /* The seconds of a setting, rounded up, or its default in the program. */ -}}
{{- define "pw.seconds" -}}
{{- $value := index .root.Values.settings .name | default .default -}}
{{- ceil (float64 $value) | int64 -}}
{{- end -}}

{{- define "pw.podSecurity" -}}
automountServiceAccountToken: false
# Otherwise a Service called `gateway` would set GATEWAY_PORT to a URL.
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "pw.containerSecurity" -}}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end -}}

{{- define "pw.mounts" -}}
- name: tmp
  mountPath: /tmp
{{- if or .Values.sources.toml .Values.sources.existingConfigMap }}
- name: sources
  mountPath: /etc/payment-webhooks
  readOnly: true
{{- end }}
{{- end -}}

{{- define "pw.volumes" -}}
- name: tmp
  emptyDir: {sizeLimit: 64Mi}
{{- if or .Values.sources.toml .Values.sources.existingConfigMap }}
- name: sources
  configMap:
    name: {{ .Values.sources.existingConfigMap | default (printf "%s-sources" (include "pw.fullname" .)) }}
{{- end }}
{{- end -}}

{{- define "pw.podAnnotations" -}}
checksum/sources: {{ .root.Values.sources.toml | sha256sum }}
{{- with .own }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "pw.placement" -}}
{{- with .own.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .own.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if .root.Values.topologySpread.enabled }}
topologySpreadConstraints:
  {{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: {{ $.root.Values.topologySpread.whenUnsatisfiable }}
    labelSelector:
      matchLabels:
        {{- include "pw.selector" $ | nindent 8 }}
    # Only the Pods of this rollout count, else the former ones decide where new ones go.
    matchLabelKeys: [pod-template-hash]
  {{- end }}
{{- end }}
{{- end -}}

{{- define "pw.probes" -}}
startupProbe:
  httpGet: {path: /healthz, port: {{ .port }}}
  periodSeconds: 2
  timeoutSeconds: 3
  failureThreshold: 30
readinessProbe:
  httpGet: {path: {{ .ready }}, port: {{ .port }}}
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 2
livenessProbe:
  httpGet: {path: /healthz, port: {{ .port }}}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
{{- end -}}

{{- /* Not empty where workers ask an API to confirm events. */ -}}
{{- define "pw.confirms" -}}
{{- range .Values.secrets.apis }}{{ if .confirm }}yes{{ end }}{{ end -}}
{{- end -}}
