{{/* The store, for every pod that uses it: where it is, and who the pod is there. */}}

{{- define "fruits.storage.endpoint" -}}
{{- if .Values.storage.endpoint -}}
{{- .Values.storage.endpoint -}}
{{- else if .Values.minio.enabled -}}
http://{{ include "fruits.fullname" . }}-minio:9000
{{- end -}}
{{- end -}}

{{- define "fruits.storage.secretName" -}}
{{- .Values.storage.existingSecret | default (printf "%s-store" (include "fruits.fullname" .)) -}}
{{- end -}}

{{/* Environment variables, read by fruits and by the AWS SDK inside Hadoop. */}}
{{- define "fruits.storage.env" -}}
- name: AWS_REGION
  value: {{ .Values.storage.region }}
{{- with include "fruits.storage.endpoint" . }}
- name: AWS_ENDPOINT_URL
  value: {{ . }}
{{- end }}
{{- if eq .Values.storage.credentials "secret" }}
{{- $secret := include "fruits.storage.secretName" . }}
- name: AWS_ACCESS_KEY_ID
  valueFrom: {secretKeyRef: {name: {{ $secret }}, key: AWS_ACCESS_KEY_ID}}
- name: AWS_SECRET_ACCESS_KEY
  valueFrom: {secretKeyRef: {name: {{ $secret }}, key: AWS_SECRET_ACCESS_KEY}}
{{- if not .Values.minio.enabled }}
- name: AWS_SESSION_TOKEN
  valueFrom: {secretKeyRef: {name: {{ $secret }}, key: AWS_SESSION_TOKEN, optional: true}}
{{- end }}
{{- end }}
{{- end -}}

{{/* Hadoop's S3A for what starts without `fruits`, as a JSON object: `fruits` itself takes the variables above. The
provider of the credentials is named, never searched for. */}}
{{- define "fruits.storage.hadoopConf" -}}
{{- $provider := get (dict
      "secret" "software.amazon.awssdk.auth.credentials.EnvironmentVariableCredentialsProvider"
      "irsa" "software.amazon.awssdk.auth.credentials.WebIdentityTokenFileCredentialsProvider"
      "podIdentity" "software.amazon.awssdk.auth.credentials.ContainerCredentialsProvider"
    ) .Values.storage.credentials -}}
{{- $conf := dict
      "fs.s3a.endpoint.region" .Values.storage.region
      "fs.s3a.aws.credentials.provider" $provider -}}
{{- with include "fruits.storage.endpoint" . -}}
{{- $_ := set $conf "fs.s3a.endpoint" . -}}
{{- if not (regexMatch "\\.amazonaws\\.com(\\.cn)?(:|/|$)" .) -}}
{{- $_ := set $conf "fs.s3a.path.style.access" "true" -}}
{{- end -}}
{{- end -}}
{{- include "fruits.properties" (list $conf .Values.job.hadoopConf) -}}
{{- end -}}

{{/* Where the event log goes, for Hadoop. */}}
{{- define "fruits.eventLog.uri" -}}
{{- tpl .Values.eventLog.uri . | replace "s3://" "s3a://" -}}
{{- end -}}
