{{- /* The run as a JobSet: one replicated Job for each stage, chained. Everything about pods is here and not in the TrainJob,
       whose fields for pods differ: podTemplateOverrides in Trainer 2.1, runtimePatches since 2.2. */}}
{{- define "osft-pipeline.runtimeSpec" -}}
{{- $stages := eq .Values.ordering "hooks" | ternary (list "train") (include "osft-pipeline.podStages" . | fromJsonArray) -}}
mlPolicy:
  numNodes: {{ int64 .Values.train.nodes }}
  torch: {}
template:
  metadata:
    labels:
      {{- include "osft-pipeline.podLabels" (dict "root" . "stage" "run") | nindent 6 }}
  spec:
    # No ttlSecondsAfterFinished: if a failed JobSet is removed, Trainer runs the whole job again.
    replicatedJobs:
      {{- $previous := "" }}
      {{- range $stage := $stages }}
      {{- $name := eq $stage "train" | ternary "node" $stage }}
      - name: {{ $name | quote }}
        {{- with $previous }}
        # Its pods are created when the previous stage is done, so that no GPU is held idle.
        dependsOn: [{name: {{ . | quote }}, status: Complete}]
        {{- end }}
        template:
          metadata:
            annotations:
              {{- include "osft-pipeline.orderAnnotations" $ | nindent 14 }}
            labels:
              {{- include "osft-pipeline.podLabels" (dict "root" $ "stage" $stage) | nindent 14 }}
              {{- if eq $stage "train" }}
              trainer.kubeflow.org/trainjob-ancestor-step: trainer
              {{- end }}
          spec:
            {{- include "osft-pipeline.jobSpec" (dict "root" $ "stage" $stage "container" $name) | nindent 12 }}
      {{- $previous = $name }}
      {{- end }}
{{- end }}

{{- /* The same on Trainer 2.1 to 2.3. Without `trainer` no PET_ variables would be set. */}}
{{- define "osft-pipeline.trainJobSpec" -}}
trainer:
  numNodes: {{ int64 .Values.train.nodes }}
  numProcPerNode: {{ include "osft-pipeline.processes" . | int64 }}
  {{- if include "osft-pipeline.installed" . }}
  {{- include "osft-pipeline.installed.container" . | nindent 2 }}
  {{- end }}
{{- end }}
