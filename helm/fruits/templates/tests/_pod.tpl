{{/* A pod of `helm test`. Takes a dict of `root`, `name`, `serviceAccount`, `token` (whether one is mounted), `args` and
`env`. */}}
{{- define "fruits.tests.pod" -}}
apiVersion: v1
kind: Pod
metadata:
  name: {{ include "fruits.fullname" .root }}-test-{{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "fruits.labels" .root | nindent 4 }}
    app.kubernetes.io/component: test
  annotations:
    helm.sh/hook: test
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
spec:
  restartPolicy: Never
  serviceAccountName: {{ .serviceAccount }}
  {{- if not (kindIs "invalid" .token) }}
  automountServiceAccountToken: {{ .token }}
  {{- end }}
  {{- with include "fruits.imagePullSecrets" .root }}
  {{- . | nindent 2 }}
  {{- end }}
  securityContext:
    {{- toYaml .root.Values.podSecurityContext | nindent 4 }}
  containers:
    - name: test
      image: {{ include "fruits.image" .root }}
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      args:
        {{- toYaml .args | nindent 8 }}
      {{- with .env }}
      env:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      resources:
        requests: {cpu: 50m, memory: 128Mi}
        limits: {memory: 256Mi}
      securityContext:
        {{- toYaml .root.Values.securityContext | nindent 8 }}
      volumeMounts:
        {{- include "fruits.writableMounts" .root | nindent 8 }}
        - {name: tests, mountPath: /etc/fruits, readOnly: true}
  volumes:
    {{- include "fruits.writableVolumes" .root | nindent 4 }}
    - name: tests
      configMap: {name: {{ include "fruits.fullname" .root }}-tests}
{{- end -}}
