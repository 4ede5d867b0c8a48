{{- /* Spec of a Job, the same under a TrainJob and as a Helm hook. Params: root, stage, container. */}}
{{- define "osft-pipeline.jobSpec" -}}
{{- $options := include "osft-pipeline.podOptions" . | fromJson -}}
{{- /* One bad node of several takes the others down with it: an attempt is one failure for each node. */ -}}
{{- $nodes := eq .stage "train" | ternary .root.Values.train.nodes 1 -}}
backoffLimit: {{ mul $options.retries $nodes }}
{{- with include "osft-pipeline.deadline" (dict "root" .root "stage" .stage "minutes" $options.deadlineMinutes) }}
activeDeadlineSeconds: {{ . }}
{{- end }}
{{- /* Never under a TrainJob: JobSet would make a Job again that has gone. */}}
{{- if and (eq .root.Values.ordering "hooks") (ne .container "node") }}
{{- with $options.ttlSeconds }}
ttlSecondsAfterFinished: {{ int64 . }}
{{- end }}
{{- end }}
podFailurePolicy:
  rules:
    # 2: the user must fix something. 3: a gate refused. Trying again would say the same. 75 and all else is tried again.
    - action: FailJob
      onExitCodes: {containerName: {{ .container | default .stage | quote }}, operator: In, values: [2, 3]}
    {{- if include "osft-pipeline.downloads" . }}
    - action: FailJob
      onExitCodes: {containerName: download, operator: In, values: [2, 3]}
    {{- end }}
    {{- if include "osft-pipeline.checksEval" . }}
    - action: FailJob
      onExitCodes: {containerName: eval-check, operator: In, values: [2, 3]}
    {{- end }}
    # A drained node or a preempted pod is nobody's failure.
    - action: Ignore
      onPodConditions: [{type: DisruptionTarget, status: "True"}]
template:
  {{- include "osft-pipeline.podTemplate" . | nindent 2 }}
{{- end }}

{{- /* Seconds that a pod or Job may take; empty for no limit. Helm gives up after hooks.timeoutMinutes, so nothing of ordering hooks
       runs longer than that; the waiter lives as long as Helm waits. Params: root, stage, minutes (0: no limit of its own). */}}
{{- define "osft-pipeline.deadline" -}}
{{- $helm := eq .root.Values.ordering "hooks" | ternary .root.Values.hooks.timeoutMinutes 0 | float64 -}}
{{- $own := eq .stage "wait" | ternary 0 .minutes | float64 -}}
{{- $minutes := and $own $helm | empty | ternary (or $own $helm) (minf $own $helm) -}}
{{- if $minutes }}{{ mulf $minutes 60 | int64 }}{{ end -}}
{{- end }}

{{- /* A Job that is a Helm hook. Params: root, stage, name, hook, weight, deletePolicy, logPolicy. */}}
{{- define "osft-pipeline.hookJob" -}}
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ .name | quote }}
  labels:
    {{- include "osft-pipeline.labels" . | nindent 4 }}
    {{- with include "osft-pipeline.queueLabelsOf" . }}
    {{- trim . | nindent 4 }}
    {{- end }}
  annotations:
    {{- include "osft-pipeline.orderAnnotations" .root | nindent 4 }}
    helm.sh/hook: {{ .hook | quote }}
    helm.sh/hook-weight: {{ .weight | quote }}
    helm.sh/hook-delete-policy: {{ .deletePolicy | quote }}
    helm.sh/hook-output-log-policy: {{ .logPolicy | quote }}
spec:
  {{- include "osft-pipeline.jobSpec" . | nindent 2 }}
{{- end }}

{{- /* Kueue holds back what takes a GPU; the small Jobs around it need no quota. */}}
{{- define "osft-pipeline.queueLabelsOf" -}}
{{- if or (eq .stage "train") (int (include "osft-pipeline.gpus" .)) }}{{ include "osft-pipeline.queueLabels" .root }}{{ end -}}
{{- end }}

{{- /* A stage of ordering hooks. Helm goes on when its Job is done, and fails with its log when the Job fails.
       Finished Jobs stay for their logs until the next upgrade. Params: root, stage, weight. */}}
{{- define "osft-pipeline.hookStage" -}}
{{- if and (eq .root.Values.ordering "hooks") (has .stage (include "osft-pipeline.podStages" .root | fromJsonArray)) }}
{{- $log := eq .stage "register" | ternary "hook-succeeded,hook-failed" "hook-failed" }}
{{- include "osft-pipeline.hookJob" (merge (dict "name" (include "osft-pipeline.jobName" .) "hook" "post-install,post-upgrade" "deletePolicy" "before-hook-creation" "logPolicy" $log) .) }}
{{- end }}
{{- end }}
