{{- /* A container of a pod. Params: root, stage, options, container; check: the stage only checks its options. */}}
{{- define "osft-pipeline.container" -}}
{{- $helper := eq (include "osft-pipeline.section" .stage) "preflight" -}}
name: {{ .container | default .stage | quote }}
image: {{ include "osft-pipeline.image" (dict "root" .root "image" ($helper | ternary "download" .stage)) | quote }}
imagePullPolicy: {{ .root.Values.images.pullPolicy | quote }}
command: [{{ $helper | ternary "osft-ops" (print "osft-" .stage) | quote }}]
args:
  {{- if .check }}
  - --check
  {{- end }}
  {{- include "osft-pipeline.arguments" . | trim | nindent 2 }}
# The root is read-only, and some libraries write to their working directory.
workingDir: /tmp
env:
  {{- include "osft-pipeline.env" . | trim | nindent 2 }}
resources: {{ include "osft-pipeline.resources" . }}
securityContext: {{ toRawJson .options.securityContext }}
# After a crash `kubectl describe` shows the end of the log.
terminationMessagePolicy: FallbackToLogsOnError
volumeMounts:
  {{- include "osft-pipeline.volumeMounts" . | trim | nindent 2 }}
{{- end }}

{{- /* Requests and limits with the stage's GPUs. Kubernetes uses a GPU limit as the request too. */}}
{{- define "osft-pipeline.resources" -}}
{{- $resources := .options.resources -}}
{{- $gpus := include "osft-pipeline.gpus" . | int -}}
{{- if and $gpus (not .check) -}}
{{- $limits := get $resources "limits" | default dict -}}
{{- $_ := set $limits .options.gpuResource $gpus -}}
{{- $_ := set $resources "limits" $limits -}}
{{- end -}}
{{- toRawJson $resources -}}
{{- end }}

{{- /* registry/repository/stage:tag@digest; the tag is the chart's appVersion by default. Params: root, image. */}}
{{- define "osft-pipeline.image" -}}
{{- $images := .root.Values.images -}}
{{- $own := index $images (include "osft-pipeline.imageKey" .) -}}
{{- $name := $own.repository | default (list $images.registry $images.repository .image | compact | join "/") -}}
{{- printf "%s:%s" $name ($own.tag | default $images.tag | default .root.Chart.AppVersion) -}}
{{- with $own.digest }}@{{ . }}{{ end -}}
{{- end }}

{{- /* Key under `images` of the image of a stage: evaluation with vLLM has its own image. Params: root, image. */}}
{{- define "osft-pipeline.imageKey" -}}
{{- and (eq .image "eval") (has .root.Values.eval.backend (list "vllm" "auto")) | ternary "evalVllm" .image -}}
{{- end }}
