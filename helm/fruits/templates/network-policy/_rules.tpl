{{/* Parts of the policies. Each is one rule of `ingress` or `egress`. */}}

{{/* Pods of this release, by component. Takes a dict of `root` and `components`. */}}
{{- define "fruits.networkPolicy.pods" -}}
podSelector:
  matchLabels:
    {{- include "fruits.selectorLabels" .root | nindent 4 }}
  matchExpressions:
    - {key: app.kubernetes.io/component, operator: In, values: [{{ join ", " .components }}]}
{{- end -}}

{{- define "fruits.networkPolicy.dns" -}}
- to:
    {{- toYaml .Values.networkPolicy.dns.to | nindent 4 }}
  ports:
    - {protocol: UDP, port: 53}
    - {protocol: TCP, port: 53}
{{- end -}}

{{- define "fruits.networkPolicy.apiServer" -}}
- to:
    {{- range .Values.networkPolicy.apiServer.cidrs }}
    - ipBlock: {cidr: {{ . }}}
    {{- end }}
  ports:
    {{- range .Values.networkPolicy.apiServer.ports }}
    - {protocol: TCP, port: {{ include "fruits.scalar" . }}}
    {{- end }}
{{- end -}}

{{/* MinIO's pod; or the addresses of the store outside, at its ports, and what gives out credentials there. */}}
{{- define "fruits.networkPolicy.store" -}}
{{- if .Values.minio.enabled -}}
- to:
    - {{ include "fruits.networkPolicy.pods" (dict "root" . "components" (list "minio")) | nindent 6 | trim }}
  ports:
    - {protocol: TCP, port: 9000}
{{- else -}}
{{- $ports := list -}}
{{- range .Values.networkPolicy.store.ports -}}
{{- $ports = append $ports (include "fruits.scalar" .) -}}
{{- end -}}
{{- with .Values.storage.endpoint -}}
{{- $ports = append $ports (regexFind "[0-9]+$" (urlParse .).host | default (ternary "80" "443" (hasPrefix "http:" .))) -}}
{{- end -}}
- to:
    {{- range .Values.networkPolicy.store.cidrs }}
    - ipBlock:
        cidr: {{ . }}
        {{- if eq . "0.0.0.0/0" }}
        # The nodes' metadata, with the nodes' credentials.
        except: [169.254.169.254/32]
        {{- end }}
    {{- end }}
  ports:
    {{- range uniq $ports }}
    - {protocol: TCP, port: {{ . }}}
    {{- end }}
{{- if eq .Values.storage.credentials "podIdentity" }}
# The agent of EKS Pod Identity.
- to:
    - ipBlock: {cidr: 169.254.170.23/32}
  ports:
    - {protocol: TCP, port: 80}
{{- end }}
{{- end }}
{{- end -}}

{{- define "fruits.networkPolicy.metadata" -}}
metadata:
  name: {{ include "fruits.fullname" .root }}-{{ .component }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "fruits.labels" .root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
spec:
  podSelector:
    matchLabels:
      {{- include "fruits.selectorLabels" .root | nindent 6 }}
      app.kubernetes.io/component: {{ .component }}
  policyTypes: [Ingress, Egress]
{{- end -}}
