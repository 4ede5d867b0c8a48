{{- /* Spec of a Job, the same under a TrainJob and as a Helm hook. Params: root, stage, container. */}}
{{- define "osft-pipeline.jobSpec" -}}
{{- $options := include "osft-pipeline.podOptions" . | fromJson -}}
{{- /* If one of several nodes fails, the others fail with it: an attempt is one failure for each node. */ -}}
{{- $nodes := eq .stage "train" | ternary .root.Values.train.nodes 1 -}}
backoffLimit: {{ mul $options.retries $nodes }}
{{- if include "osft-pipeline.jobOfNodes" . }}
completionMode: Indexed
completions: {{ $nodes }}
parallelism: {{ $nodes }}
{{- end }}
{{- with include "osft-pipeline.deadline" (dict "root" .root "stage" .stage "minutes" $options.deadlineMinutes) }}
activeDeadlineSeconds: {{ . }}
{{- end }}
{{- /* Not under a TrainJob: JobSet would create a removed Job again. */}}
{{- if and (eq .root.Values.ordering "hooks") (ne .container "node") }}
{{- with $options.ttlSeconds }}
ttlSecondsAfterFinished: {{ int64 . }}
{{- end }}
{{- end }}
podFailurePolicy:
  rules:
    # 2: the user must fix something. 3: the gate failed. A retry would end the same way. All other codes are retried.
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
    # A drained node or a preempted pod does not count as a failure.
    - action: Ignore
      onPodConditions: [{type: DisruptionTarget, status: "True"}]
template:
  {{- include "osft-pipeline.podTemplate" . | nindent 2 }}
{{- end }}

{{- /* Seconds that a pod or Job may take; empty for no limit. Helm stops waiting after hooks.timeoutMinutes, so with ordering hooks
       nothing runs longer than that; the waiter runs as long as Helm waits. Params: root, stage, minutes (0: no limit of its own). */}}
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

{{- /* Kueue queues what uses a GPU; the small Jobs around it need no quota. */}}
{{- define "osft-pipeline.queueLabelsOf" -}}
{{- if or (eq .stage "train") (int (include "osft-pipeline.gpus" .)) }}{{ include "osft-pipeline.queueLabels" .root }}{{ end -}}
{{- end }}

{{- /* A stage with ordering hooks. Helm continues when its Job is done, and fails with its log if the Job fails.
       Finished Jobs are kept for their logs until the next upgrade. Params: root, stage, weight. */}}
{{- define "osft-pipeline.hookStage" -}}
{{- if and (eq .root.Values.ordering "hooks") (has .stage (include "osft-pipeline.podStages" .root | fromJsonArray)) }}
{{- $log := eq .stage "register" | ternary "hook-succeeded,hook-failed" "hook-failed" }}
{{- include "osft-pipeline.hookJob" (merge (dict "name" (include "osft-pipeline.jobName" .) "hook" "post-install,post-upgrade" "deletePolicy" "before-hook-creation" "logPolicy" $log) .) }}
{{- end }}
{{- end }}
