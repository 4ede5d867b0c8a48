{{- /* Labels of objects. Params: root, stage. */}}
{{- define "osft-pipeline.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service | quote }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
{{ include "osft-pipeline.podLabels" . }}
{{- end }}

{{- /* Labels of pods: without versions, so that an upgrade of the chart alone changes no pod. Params: root, stage. */}}
{{- define "osft-pipeline.podLabels" -}}
app.kubernetes.io/name: {{ .root.Chart.Name | quote }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .stage | quote }}
osft-pipeline/run: {{ include "osft-pipeline.runId" .root | quote }}
{{- end }}

{{- /* Which stages the run has, on each of its objects: with ordering hooks a later stage has no object yet. */}}
{{- define "osft-pipeline.orderAnnotations" -}}
osft-pipeline/ordering: {{ .Values.ordering | quote }}
osft-pipeline/stages: {{ include "osft-pipeline.podStages" . | fromJsonArray | join "," | quote }}
{{- end }}

{{- /* Kueue finds its objects by these labels. */}}
{{- define "osft-pipeline.queueLabels" -}}
{{- with .Values.queue.name }}
kueue.x-k8s.io/queue-name: {{ . | quote }}
{{- end }}
{{- with .Values.queue.priorityClass }}
kueue.x-k8s.io/priority-class: {{ . | quote }}
{{- end }}
{{- end }}
