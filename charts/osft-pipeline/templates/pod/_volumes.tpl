{{- /* Volumes of a pod and their mounts, in the same order. Params: root, stage, options. */}}

{{- define "osft-pipeline.volumes" -}}
{{- $extra := .options.extraVolumes }}
{{- $claims := eq .stage "download" | ternary (include "osft-pipeline.claims" .root | fromJsonArray) list }}
{{- if include "osft-pipeline.downloads" . }}
{{- $extra = concat $extra (include "osft-pipeline.podOptions" (dict "root" .root "stage" "download") | fromJson).extraVolumes | uniq }}
{{- $claims = include "osft-pipeline.claims" .root | fromJsonArray }}
{{- end }}
{{- if include "osft-pipeline.checksEval" . }}
{{- $extra = concat $extra (include "osft-pipeline.podOptions" (dict "root" .root "stage" "eval") | fromJson).extraVolumes | uniq }}
{{- end }}
- name: tmp
  emptyDir: {}
- name: shm
  emptyDir:
    medium: Memory
    sizeLimit: {{ .options.shmSize | quote }}
{{- if include "osft-pipeline.mountsWorkspace" . }}
- name: workspace
  persistentVolumeClaim:
    claimName: {{ include "osft-pipeline.claimName" .root | quote }}
{{- end }}
{{- range $index, $claim := $claims }}
- name: claim-{{ $index }}
  persistentVolumeClaim:
    claimName: {{ $claim | quote }}
    # Read-only here too, otherwise fsGroup would give every file in it to group 0.
    readOnly: true
{{- end }}
{{- if has .stage (list "register" "preflight") }}
{{- include "osft-pipeline.caVolume" .root }}
{{- end }}
{{- include "osft-pipeline.configVolume" . }}
{{- range $extra }}
- {{ toRawJson . }}
{{- end }}
{{- end }}

{{- define "osft-pipeline.volumeMounts" -}}
- name: tmp
  mountPath: /tmp
- name: shm
  mountPath: /dev/shm
{{- if include "osft-pipeline.mountsWorkspace" (dict "root" .root "stage" (not .check | ternary .stage "preflight")) }}
- name: workspace
  mountPath: /workspace
  {{- if eq .stage "verify" }}
  readOnly: true
  {{- end }}
{{- end }}
{{- range $index, $claim := eq .stage "download" | ternary (include "osft-pipeline.claims" .root | fromJsonArray) list }}
- name: claim-{{ $index }}
  mountPath: {{ print "/mnt/pvc/" $claim | quote }}
  readOnly: true
{{- end }}
{{- if and (has .stage (list "register" "preflight")) (include "osft-pipeline.caVolume" .root) }}
- name: ca
  mountPath: /etc/osft/ca
  readOnly: true
{{- end }}
{{- if include "osft-pipeline.mountsConfig" . }}
- name: training-config
  mountPath: /etc/osft/training
  readOnly: true
{{- end }}
{{- range .options.extraVolumeMounts }}
- {{ toRawJson . }}
{{- end }}
{{- end }}

{{- /* CA of the registry. Optional, so that preflight can start and report a missing one. */}}
{{- define "osft-pipeline.caVolume" -}}
{{- with .Values.register }}
{{- if and .enabled (or .tls.caSecret .tls.caConfigMap) }}
- name: ca
  {{- if .tls.caSecret }}
  secret:
    secretName: {{ .tls.caSecret | quote }}
  {{- else }}
  configMap:
    name: {{ .tls.caConfigMap | quote }}
  {{- end }}
    items: [{key: {{ .tls.caKey | quote }}, path: ca.crt}]
    optional: true
{{- end }}
{{- end }}
{{- end }}
