{{- /* Problems with which stages run, and with their Jobs, as a JSON list. */}}

{{- define "osft-pipeline.problems.order" -}}
{{- $found := list -}}
{{- $stages := include "osft-pipeline.stages" . | fromJsonArray -}}
{{- $hooks := eq .Values.ordering "hooks" -}}
{{- if not .Values.enabled -}}
{{- $found = append $found "enabled is false, which is possible only where a parent chart lists this chart with `condition: osft-pipeline.enabled` in its Chart.yaml. Add the condition there. To run fewer stages, set enabled to true and data.enabled, train.enabled, eval.enabled or register.enabled to false." -}}
{{- end -}}
{{- if not $stages -}}
{{- $found = append $found "data.enabled, train.enabled, eval.enabled and register.enabled are all false. Set at least one of them to true." -}}
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
{{- $found = append $found (printf "data.runAs is initContainer and data.pod sets %s, which applies to the whole training pod. Set it in train.pod instead." (join " and " .)) -}}
{{- end -}}
{{- end -}}
{{- if and (eq .Values.train.runAs "job") (not $hooks) -}}
{{- $found = append $found "train.runAs is job and ordering is cluster, which runs all stages in one TrainJob. Set ordering to hooks, which needs no Kubeflow Trainer, and hooks.timeoutMinutes to helm's --timeout." -}}
{{- end -}}
{{- if and $hooks (not .Values.hooks.timeoutMinutes) -}}
{{- $found = append $found "ordering is hooks and hooks.timeoutMinutes is empty: Helm stops waiting for a stage after its --timeout, 5 minutes by default, while the stage continues. Install with --timeout 24h and set hooks.timeoutMinutes to 1440." -}}
{{- end -}}
{{- if and (eq .Values.train.runAs "job") .Values.queue.suspend -}}
{{- $found = append $found "queue.suspend is true and train.runAs is job: only a TrainJob can be created suspended. Set queue.suspend to false." -}}
{{- end -}}
{{- $gone := list -}}
{{- range list "data" "train" "eval" "register" -}}
{{- $options := include "osft-pipeline.podOptions" (dict "root" $ "stage" (eq . "data" | ternary "download" .)) | fromJson -}}
{{- $limits := get $options.resources "limits" | default dict -}}
{{- $section := . -}}
{{- range $name, $asked := get $options.resources "requests" | default dict -}}
{{- if and (hasKey $limits $name) (gt (include "osft-pipeline.amount" $asked | float64) (include "osft-pipeline.amount" (get $limits $name) | float64)) -}}
{{- $found = append $found (printf "%s.pod.resources requests %v of %s and limits it to %v: Kubernetes rejects a request above its limit. Lower the request or raise the limit." $section $asked $name (get $limits $name)) -}}
{{- end -}}
{{- end -}}
{{- if hasKey $limits $options.gpuResource -}}
{{- $found = append $found (printf "%s.pod.resources.limits names %s, which %s.gpus sets. Remove it." . $options.gpuResource .) -}}
{{- end -}}
{{- if $options.ttlSeconds }}{{ $gone = append $gone . }}{{ end -}}
{{- end -}}
{{- if and $gone (not $hooks) -}}
{{- $found = append $found (printf "stageDefaults or the pod of %s sets ttlSeconds and ordering is cluster, where a finished Job that is removed would run again. Remove ttlSeconds; `helm uninstall` removes the Jobs." (join ", " $gone)) -}}
{{- end -}}
{{- if and (not .Values.queue.name) .Values.queue.priorityClass -}}
{{- $found = append $found "queue.priorityClass is set and queue.name is empty. Set queue.name to the LocalQueue." -}}
{{- end -}}
{{- toJson $found -}}
{{- end }}
