{{- /* Environment of a container: what every stage needs, its Secrets, then the user's variables, which override these. Params: root, stage, check. */}}
{{- define "osft-pipeline.env" -}}
{{- $root := .root }}
{{- $stage := .stage }}
{{- $env := dict
  "OSFT_WORKSPACE" "/workspace"
  "OSFT_WORKSPACE_CLAIM" (include "osft-pipeline.claimName" $root)
  "OSFT_RUN_ID" (include "osft-pipeline.runId" $root)
  "OSFT_PVC_ROOT" "/mnt/pvc"
  "HOME" "/tmp/home"
  "PYTHONUNBUFFERED" "1" }}
{{- if ne (include "osft-pipeline.section" $stage) "preflight" }}
{{- $_ := merge $env (dict
  "HF_HOME" "/tmp/hf"
  "XDG_CACHE_HOME" "/tmp/cache"
  "TRITON_CACHE_DIR" "/tmp/triton"
  "TORCHINDUCTOR_CACHE_DIR" "/tmp/inductor"
  "NUMBA_CACHE_DIR" "/tmp/numba"
  "MPLCONFIGDIR" "/tmp/matplotlib") }}
{{- end }}
{{- if include "osft-pipeline.offline" . }}
{{- $_ := merge $env (dict "HF_HUB_OFFLINE" "1" "HF_DATASETS_OFFLINE" "1") }}
{{- end }}
{{- if has $stage (list "train" "eval") }}
{{- /* Less fragmentation of GPU memory, so fewer out-of-memory errors. */}}
{{- $_ := set $env "PYTORCH_CUDA_ALLOC_CONF" "expandable_segments:True" }}
{{- end }}
{{- if and (include "osft-pipeline.jobOfNodes" .) (not .check) }}
{{- /* What Kubeflow Trainer would set. */}}
{{- $job := include "osft-pipeline.jobName" . }}
{{- $_ := merge $env (dict
  "PET_NODE_RANK" (dict "valueFrom" (dict "fieldRef" (dict "fieldPath" "metadata.annotations['batch.kubernetes.io/job-completion-index']")))
  "PET_MASTER_ADDR" (printf "%s-0.%s" $job $job)
  "PET_MASTER_PORT" "29400") }}
{{- end }}
{{- /* A check contacts no server, and Secrets of this release do not exist yet. */}}
{{- range not .check | ternary (include "osft-pipeline.secretRefs" .) "[]" | fromJsonArray }}
{{- $ref := dict "name" .secret "key" .key }}
{{- /* Optional, so that preflight can start and report a missing key. */}}
{{- if eq $stage "preflight" }}{{ $_ := set $ref "optional" true }}{{ end }}
{{- $_ := set $env .env (dict "valueFrom" (dict "secretKeyRef" $ref)) }}
{{- end }}
{{- if eq $stage "preflight" }}
{{- range include "osft-pipeline.givenRefs" $root | fromJsonArray }}
{{- $_ := set $env .env (dict "valueFrom" (dict "secretKeyRef" (dict "name" .secret "key" .key "optional" true))) }}
{{- end }}
{{- end }}
{{- range $name, $value := (include "osft-pipeline.podOptions" . | fromJson).env }}
{{- /* Optional for helpers: a missing Secret must not stop preflight or an uninstall. */}}
{{- if and (kindIs "map" $value) (or $.check (eq (include "osft-pipeline.section" $stage) "preflight")) }}
{{- range $ref := pick $value.valueFrom "secretKeyRef" "configMapKeyRef" }}{{ $_ := set $ref "optional" true }}{{ end }}
{{- end }}
{{- $_ := set $env $name $value }}
{{- end }}
{{- range $name, $value := $env }}
- name: {{ $name | quote }}
{{- if kindIs "map" $value }}
  valueFrom: {{ toRawJson $value.valueFrom }}
{{- else }}
  value: {{ kindIs "float64" $value | ternary (toJson $value) (toString $value) | toRawJson }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Whether a stage never contacts the hub. */}}
{{- define "osft-pipeline.offline" -}}
{{- if has .stage (list "train" "eval" "register") }}true{{ end -}}
{{- end }}
