{{- /* Problems with train.runtimeRef, as a JSON list. */}}
{{- define "osft-pipeline.problems.runtime" -}}
{{- $found := list -}}
{{- $ref := .Values.train.runtimeRef -}}
{{- $defaults := (.Files.Get "defaults.yaml" | fromYaml).train -}}
{{- if not $ref.name -}}
{{- range $key := list "kind" "patches" -}}
{{- if ne (get $ref $key) (get $defaults.runtimeRef $key) -}}
{{- $found = append $found (printf "train.runtimeRef.%s is %s and train.runtimeRef.name is empty, so it would be ignored. Set train.runtimeRef.name to the installed runtime, or remove it." $key (get $ref $key)) -}}
{{- end -}}
{{- end -}}
{{- else if .Values.train.enabled -}}
{{- if ne .Values.ordering "hooks" -}}
{{- $found = append $found (printf "train.runtimeRef.name is %s and ordering is cluster, in which one TrainJob runs all four stages: only the chart's own runtime has a job for each. Set ordering to hooks and hooks.timeoutMinutes to helm's --timeout, or remove train.runtimeRef.name." $ref.name) -}}
{{- end -}}
{{- if eq .Values.train.runAs "job" -}}
{{- $found = append $found (printf "train.runtimeRef.name is %s and train.runAs is job, which uses no runtime. Set train.runAs to trainjob, or remove train.runtimeRef.name." $ref.name) -}}
{{- end -}}
{{- if include "osft-pipeline.downloads" (dict "root" . "stage" "train") -}}
{{- $found = append $found "data.runAs is initContainer and train.runtimeRef.name is set: a TrainJob cannot add a container to an installed runtime. Set data.runAs to job." -}}
{{- end -}}
{{- with include "osft-pipeline.unpatched" . | fromJsonArray -}}
{{- $found = append $found (printf "the pods of training set %s, which a TrainJob cannot change in an installed runtime (train.runtimeRef.patches is %s). Set that in the runtime and remove it from train.pod; what stageDefaults sets, set to empty in train.pod." (join " and " .) $ref.patches) -}}
{{- end -}}
{{- $mounted := list -}}
{{- range (include "osft-pipeline.podOptions" (dict "root" . "stage" "train") | fromJson).extraVolumeMounts -}}
{{- if has .name $mounted -}}
{{- $found = append $found (printf "train.pod.extraVolumeMounts mounts the volume %s twice, and a TrainJob mounts each volume once in an installed runtime. List the volume under a second name in train.pod.extraVolumes." .name) -}}
{{- end -}}
{{- $mounted = append $mounted .name -}}
{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end }}

{{- /* Pod options of training that are set and that a TrainJob cannot change in an installed runtime, as a JSON list of keys. */}}
{{- define "osft-pipeline.unpatched" -}}
{{- $found := list -}}
{{- $options := include "osft-pipeline.podOptions" (dict "root" . "stage" "train") | fromJson -}}
{{- range list "priorityClassName" "runtimeClassName" "schedulerName" "topologySpreadConstraints" -}}
{{- if get $options . }}{{ $found = append $found . }}{{ end -}}
{{- end -}}
{{- $own := list "retries" "ttlSeconds" -}}
{{- if eq .Values.train.runtimeRef.patches "podTemplateOverrides" -}}
{{- $own = concat $own (list "deadlineMinutes" "terminationGraceSeconds" "podSecurityContext" "securityContext") -}}
{{- end -}}
{{- $defaults := (.Files.Get "defaults.yaml" | fromYaml).train.pod -}}
{{- range $key, $value := pick .Values.train.pod "retries" "ttlSeconds" "deadlineMinutes" "terminationGraceSeconds" "podSecurityContext" "securityContext" -}}
{{- if and (has $key $own) (not (kindIs "invalid" $value)) (ne (toJson $value) (get $defaults $key | toJson)) }}{{ $found = append $found $key }}{{ end -}}
{{- end -}}
{{- toJson $found -}}
{{- end }}

{{- /* What the cluster's runtimes lack, asked with the rights of the installer; an empty text where there is nothing to say. */}}
{{- define "osft-pipeline.runtimeProblem" -}}
{{- $ref := .Values.train.runtimeRef -}}
{{- $usable := list -}}
{{- $all := list -}}
{{- $space := eq $ref.kind "TrainingRuntime" | ternary .Release.Namespace "" -}}
{{- range (lookup "trainer.kubeflow.org/v1alpha1" $ref.kind $space "").items -}}
{{- $all = append $all .metadata.name -}}
{{- $torch := hasKey (get .spec "mlPolicy" | default dict) "torch" -}}
{{- $name := .metadata.name -}}
{{- range .spec.template.spec.replicatedJobs -}}
{{- $trains := eq "trainer" (dig "template" "metadata" "labels" "trainer.kubeflow.org/trainjob-ancestor-step" "" .) -}}
{{- $job := .name -}}
{{- range .template.spec.template.spec.containers -}}
{{- if and $torch $trains (eq $job "node") (eq .name "node") }}{{ $usable = append $usable $name }}{{ end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if not (has $ref.name $usable) -}}
{{- $seen := has $ref.name $all | ternary (printf "%s %s has no job that this chart can use: expected mlPolicy.torch, and a job node with the label trainer.kubeflow.org/trainjob-ancestor-step: trainer and a container node" $ref.kind $ref.name) (printf "%s %s does not exist" $ref.kind $ref.name) -}}
{{- printf "train.runtimeRef: %s. Usable here: %s. Correct train.runtimeRef, or remove it to use the chart's own runtime." $seen (join ", " $usable | default "none") -}}
{{- end -}}
{{- end }}
