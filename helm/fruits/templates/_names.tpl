{{/* Names and labels. */}}

{{- define "fruits.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* The release's name, and the chart's behind it where the release is called something else. */}}
{{- define "fruits.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "fruits.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "fruits.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "fruits.jobName" -}}
{{- .Values.job.name | default (include "fruits.fullname" .) -}}
{{- end -}}

{{- define "fruits.selectorLabels" -}}
app.kubernetes.io/name: {{ include "fruits.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "fruits.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "fruits.selectorLabels" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "fruits.image" -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}

{{/* Pull secrets as a pod wants them. */}}
{{- define "fruits.imagePullSecrets" -}}
{{- with .Values.image.pullSecrets -}}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end -}}
{{- end -}}

{{- define "fruits.driver.serviceAccountName" -}}
{{- $account := .Values.driver.serviceAccount -}}
{{- $account.name | default (ternary (printf "%s-driver" (include "fruits.fullname" .)) "default" $account.create) -}}
{{- end -}}

{{- define "fruits.executor.serviceAccountName" -}}
{{- $account := .Values.executor.serviceAccount -}}
{{- $account.name | default (ternary (printf "%s-executor" (include "fruits.fullname" .)) "default" $account.create) -}}
{{- end -}}

{{/* Annotations of a service account: the role for IRSA, then what the values say. */}}
{{- define "fruits.serviceAccountAnnotations" -}}
{{- $role := dict -}}
{{- if and (eq .root.Values.storage.credentials "irsa") .root.Values.storage.roleArn -}}
{{- $role = dict "eks.amazonaws.com/role-arn" .root.Values.storage.roleArn -}}
{{- end -}}
{{- with merge (deepCopy .account.annotations) $role -}}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end -}}
{{- end -}}
