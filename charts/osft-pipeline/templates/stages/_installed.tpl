{{- /* Training on a runtime that is installed in the cluster (train.runtimeRef): its TrainJob has everything that the chart's own
       runtime would have, as far as a TrainJob can change a runtime. */}}

{{- /* Whether training uses such a runtime. */}}
{{- define "osft-pipeline.installed" -}}
{{- with .Values.train }}{{ if and .enabled .runtimeRef.name }}true{{ end }}{{ end -}}
{{- end }}

{{- /* The pod of training as JSON. The name of each of its volumes is its own, because a volume of the runtime with the same
       name would be mixed with it. */}}
{{- define "osft-pipeline.installed.pod" -}}
{{- $pod := include "osft-pipeline.podTemplate" (dict "root" . "stage" "train" "container" "node") | fromYaml -}}
{{- range concat $pod.spec.volumes (first $pod.spec.containers).volumeMounts -}}
{{- if has .name (list "tmp" "shm" "workspace") }}{{ $_ := set . "name" (print "osft-" .name) }}{{ end -}}
{{- end -}}
{{- toRawJson $pod -}}
{{- end }}

{{- /* How a TrainJob changes the pods of the runtime. */}}
{{- define "osft-pipeline.installed.patches" -}}
{{- $pod := include "osft-pipeline.installed.pod" . | fromJson -}}
{{- $node := first $pod.spec.containers -}}
{{- $old := eq .Values.train.runtimeRef.patches "podTemplateOverrides" -}}
{{- $spec := pick $pod.spec "serviceAccountName" "imagePullSecrets" "nodeSelector" "tolerations" "affinity" "volumes" -}}
{{- $container := pick $node "name" "volumeMounts" -}}
{{- if not $old -}}
{{- $spec = merge $spec (pick $pod.spec "securityContext" "terminationGracePeriodSeconds") -}}
{{- $container = merge $container (pick $node "securityContext") -}}
{{- end -}}
{{- $template := dict "metadata" $pod.metadata "spec" (set $spec "containers" (list $container)) -}}
{{- if $old -}}
podTemplateOverrides:
  - targetJobs: [{name: node}]
    metadata: {{ toRawJson $template.metadata }}
    spec: {{ toRawJson $template.spec }}
{{- else -}}
{{- with include "osft-pipeline.deadline" (dict "root" . "stage" "train" "minutes" (include "osft-pipeline.podOptions" (dict "root" . "stage" "train") | fromJson).deadlineMinutes) -}}
activeDeadlineSeconds: {{ . }}
{{ end -}}
runtimePatches:
  - manager: osft-pipeline/chart
    trainingRuntimeSpec:
      template:
        spec:
          replicatedJobs:
            - name: node
              template:
                metadata:
                  labels:
                    {{- include "osft-pipeline.podLabels" (dict "root" . "stage" "train") | nindent 20 }}
                spec:
                  template:
                    metadata: {{ toRawJson $template.metadata }}
                    spec: {{ toRawJson $template.spec }}
{{- end }}
{{- end }}

{{- /* What a TrainJob sets in the container of the runtime. */}}
{{- define "osft-pipeline.installed.container" -}}
{{- $node := first (include "osft-pipeline.installed.pod" . | fromJson).spec.containers -}}
image: {{ $node.image | quote }}
command: {{ toRawJson $node.command }}
args: {{ toRawJson $node.args }}
env: {{ toRawJson $node.env }}
resourcesPerNode: {{ toRawJson $node.resources }}
{{- end }}
