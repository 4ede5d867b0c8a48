{{- /* ServiceAccount, Role and RoleBinding of a helper. Params: root, stage, rules, annotations. */}}
{{- define "osft-pipeline.account.objects" -}}
{{- $name := include "osft-pipeline.releaseName" . }}
{{- $context := . }}
{{- range $kind := list "ServiceAccount" "Role" "RoleBinding" }}
---
apiVersion: {{ eq $kind "ServiceAccount" | ternary "v1" "rbac.authorization.k8s.io/v1" }}
kind: {{ $kind }}
metadata:
  name: {{ $name | quote }}
  labels:
    {{- omit (include "osft-pipeline.labels" $context | fromYaml) "osft-pipeline/run" | toYaml | nindent 4 }}
  {{- with $context.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- if eq $kind "ServiceAccount" }}
automountServiceAccountToken: false
{{- else if eq $kind "Role" }}
rules:
  {{- toYaml $context.rules | nindent 2 }}
{{- else }}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: {{ $name | quote }}}
subjects: [{kind: ServiceAccount, name: {{ $name | quote }}, namespace: {{ $context.root.Release.Namespace | quote }}}]
{{- end }}
{{- end }}
{{- end }}
