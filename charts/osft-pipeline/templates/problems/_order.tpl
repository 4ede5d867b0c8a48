{{- /* What can be wrong with who runs what. Each list is JSON. */}}

{{- define "osft-pipeline.problems.order" -}}
{{- $found := list -}}
{{- $stages := include "osft-pipeline.stages" . | fromJsonArray -}}
{{- $hooks := eq .Values.ordering "hooks" -}}
{{- if not .Values.enabled -}}
{{- $found = append $found "enabled is false, which no parent chart acts on: this chart is not a dependency, or its parent's Chart.yaml lacks `condition: osft-pipeline.enabled`. Add the condition there. To run fewer stages, set enabled back to true and data.enabled, train.enabled, eval.enabled or register.enabled to false." -}}
{{- end -}}
{{- if not $stages -}}
{{- $found = append $found "data, train, eval and register are all switched off. Set enabled: true for at least one." -}}
{{- end -}}
{{- $skipped := list -}}
{{- if and (not .Values.data.enabled) .Values.train.enabled }}{{ $skipped = append $skipped "data" }}{{ end -}}
{{- if and (not .Values.train.enabled) (or .Values.eval.enabled .Values.register.enabled) }}{{ $skipped = append $skipped "train" }}{{ end -}}
{{- if and $skipped (not .Values.runId) -}}
{{- $found = append $found (printf "%s.enabled is false, so later stages need the records of an earlier run, and runId is empty. Set runId to that run's folder below <workspace>/runs/, such as %s." (join ".enabled and " $skipped) (include "osft-pipeline.runId" .)) -}}
{{- end -}}
{{- if include "osft-pipeline.downloads" (dict "root" . "stage" "train") -}}
{{- if not .Values.train.enabled -}}
{{- $found = append $found "data.runAs is initContainer and train.enabled is false: there is no training pod to download in. Set data.runAs to job." -}}
{{- end -}}
{{- $own := list -}}
{{- $defaults := (.Files.Get "defaults.yaml" | fromYaml).data.pod -}}
{{- range $key, $value := omit .Values.data.pod "resources" "env" "extraVolumes" "extraVolumeMounts" "securityContext" -}}
{{- if not (or (kindIs "invalid" $value) (eq (toJson $value) (toJson (get $defaults $key)))) }}{{ $own = append $own $key }}{{ end -}}
{{- end -}}
{{- with $own -}}
{{- $found = append $found (printf "data.runAs is initContainer and data.pod sets %s, which is the whole pod's. Set it in train.pod." (join " and " .)) -}}
{{- end -}}
{{- end -}}
{{- if and (eq .Values.train.runAs "job") (not $hooks) -}}
{{- $found = append $found "train.runAs is job and ordering is cluster, where a TrainJob keeps the order. Set ordering to hooks, which needs no Kubeflow Trainer, and hooks.timeoutMinutes to helm's --timeout." -}}
{{- end -}}
{{- if and (eq .Values.train.runAs "job") (gt (int .Values.train.nodes) 1) -}}
{{- $found = append $found (printf "train.runAs is job and train.nodes is %d: a plain Job trains on one node. Set train.nodes to 1, or train.runAs to trainjob." (int .Values.train.nodes)) -}}
{{- end -}}
{{- if and $hooks (not .Values.hooks.timeoutMinutes) -}}
{{- $found = append $found "ordering is hooks and hooks.timeoutMinutes is empty: Helm gives up on a stage after its --timeout, 5 minutes by default, and the stage runs on alone. Install with --timeout 24h and set hooks.timeoutMinutes to 1440." -}}
{{- end -}}
{{- if and (eq .Values.train.runAs "job") .Values.queue.suspend -}}
{{- $found = append $found "queue.suspend is true and train.runAs is job: only a TrainJob can be made suspended. Set queue.suspend to false." -}}
{{- end -}}
{{- $gone := list -}}
{{- range list "data" "train" "eval" "register" -}}
{{- $options := include "osft-pipeline.podOptions" (dict "root" $ "stage" (eq . "data" | ternary "download" .)) | fromJson -}}
{{- $limits := get $options.resources "limits" | default dict -}}
{{- $section := . -}}
{{- range $name, $asked := get $options.resources "requests" | default dict -}}
{{- if and (hasKey $limits $name) (gt (include "osft-pipeline.amount" $asked | float64) (include "osft-pipeline.amount" (get $limits $name) | float64)) -}}
{{- $found = append $found (printf "%s.pod.resources asks for %v of %s and limits it to %v: Kubernetes would refuse the pod. Change both." $section $asked $name (get $limits $name)) -}}
{{- end -}}
{{- end -}}
{{- if hasKey $limits $options.gpuResource -}}
{{- $found = append $found (printf "%s.pod.resources.limits names %s, which %s.gpus sets. Leave it out." . $options.gpuResource .) -}}
{{- end -}}
{{- if $options.ttlSeconds }}{{ $gone = append $gone . }}{{ end -}}
{{- end -}}
{{- if and $gone (not $hooks) -}}
{{- $found = append $found (printf "stageDefaults or the pod of %s sets ttlSeconds and ordering is cluster, where a finished Job that goes away would run again. Empty it; `helm uninstall` clears up." (join ", " $gone)) -}}
{{- end -}}
{{- if and (not .Values.queue.name) .Values.queue.priorityClass -}}
{{- $found = append $found "queue.priorityClass is set and queue.name is empty. Name the LocalQueue." -}}
{{- end -}}
{{- toJson $found -}}
{{- end }}
