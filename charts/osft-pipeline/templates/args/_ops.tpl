{{- /* Arguments of osft-ops, which runs around the stages in the download image. */}}

{{- /* Everything that preflight checks. Secrets that this release creates do not exist yet and are not checked. */}}
{{- define "osft-pipeline.args.preflight" -}}
{{- $workspace := include "osft-pipeline.mountsWorkspace" (dict "root" . "stage" "preflight") }}
{{- $required := list }}
{{- range include "osft-pipeline.secretRefs" (dict "root" . "stage" "preflight") | fromJsonArray }}
{{- $required = append $required (printf "%s=secret %s in namespace %s lacks the key %s: correct secrets.%s, or run osft secrets %s." .env .secret $.Release.Namespace .key .group .group) }}
{{- end }}
{{- range include "osft-pipeline.givenRefs" . | fromJsonArray }}
{{- $required = append $required (printf "%s=secret %s in namespace %s lacks the key %s: create it, or correct %s or stageDefaults.env." .env .secret $.Release.Namespace .key .path) }}
{{- end }}
{{- $files := list }}
{{- with .Values.register.tls }}
{{- if include "osft-pipeline.caVolume" $ }}
{{- $files = append $files (printf "/etc/osft/ca/ca.crt=%s %s in namespace %s lacks the key %s: correct register.tls." (.caSecret | empty | ternary "config map" "secret") (.caSecret | default .caConfigMap) $.Release.Namespace .caKey) }}
{{- end }}
{{- end }}
{{- if include "osft-pipeline.mountsConfig" (dict "root" . "stage" "preflight") }}
{{- $files = append $files (printf "/etc/osft/training/training_config.yaml=config map %s in namespace %s lacks the key %s: create it, or correct train.configMap." .Values.train.configMap.name .Release.Namespace .Values.train.configMap.key) }}
{{- end }}
- preflight
{{- include "osft-pipeline.flags" (list
  (list "workspace" ($workspace | empty | ternary "/tmp" "/workspace"))
  (list "min-free-gib" ($workspace | empty | ternary "" .Values.workspace.minFreeGiB))
  (list "require-env" $required)
  (list "require-file" $files)
  (list "address" (include "osft-pipeline.addresses" . | fromJsonArray))
) }}
{{- if and $workspace .Values.train.enabled (not .Values.data.enabled) }}
- {{ print "--plan-run=" (include "osft-pipeline.runId" .) | quote }}
{{- include "osft-pipeline.args.plan" . }}
{{- end }}
{{- end }}

{{- /* helm test: every stage of this release is done and its files are complete. */}}
{{- define "osft-pipeline.args.verify" -}}
- verify
{{- include "osft-pipeline.flags" (list (list "stage" (include "osft-pipeline.stages" . | fromJsonArray))) }}
{{- end }}

{{- define "osft-pipeline.args.wait" -}}
- wait-trainjob
- {{ include "osft-pipeline.trainJobName" . | quote }}
- {{ print "--namespace=" .Release.Namespace | quote }}
{{- end }}

{{- /* By label, because earlier runs of this release left objects too. The TrainJob is deleted first: Trainer before 2.3
       keeps a runtime that is in use. The claim is deleted last, when no pod mounts it. */}}
{{- define "osft-pipeline.args.cleanup" -}}
- delete
- trainjob
- job
- pod
- trainingruntime
{{- if .Values.networkPolicy.enabled }}
- networkpolicy
{{- end }}
{{- if include "osft-pipeline.dropsClaim" . }}
- {{ print "persistentvolumeclaim/" (include "osft-pipeline.claimName" .) | quote }}
{{- end }}
- {{ print "--namespace=" .Release.Namespace | quote }}
- {{ printf "--selector=app.kubernetes.io/name=%s,app.kubernetes.io/instance=%s,app.kubernetes.io/component!=cleanup" .Chart.Name .Release.Name | quote }}
{{- end }}

{{- /* Addresses that must answer before anything starts, as a JSON list of KEY=URL. */}}
{{- define "osft-pipeline.addresses" -}}
{{- $found := list -}}
{{- if .Values.preflight.addresses -}}
{{- with include "osft-pipeline.registry" . }}{{ $found = append $found (print "register.address=" .) }}{{ end -}}
{{- if .Values.data.enabled -}}
{{- range include "osft-pipeline.proxied" . | empty | ternary (include "osft-pipeline.sources" . | fromJsonArray) list -}}
{{- if regexMatch "^https?://" . -}}
{{- $found = append $found (print "data.uri=" (regexFind "^https?://[^/?#]+" .)) -}}
{{- else if and (hasPrefix "s3://" .) $.Values.data.s3.endpoint -}}
{{- $found = append $found (print "data.s3.endpoint=" $.Values.data.s3.endpoint) -}}
{{- else if not (regexMatch "^(s3://|pvc://|/)" .) -}}
{{- with include "osft-pipeline.hub" $ }}{{ $found = append $found (print "the model hub=" .) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $found | uniq | toJson -}}
{{- end }}

{{- /* The registry's address as the stage reads it, scheme, host and port; empty where nothing is registered. */}}
{{- define "osft-pipeline.registry" -}}
{{- with .Values.register -}}
{{- if and .enabled .address -}}
{{- $url := regexFind "^https?://[^/?#]+" (regexMatch "^https?://" .address | ternary .address (print "http://" .address)) -}}
{{- $port := or (int .port) (contains "://" .address | ternary "" 8080) | toString -}}
{{- $url }}{{ or (regexMatch ":[0-9]+$" $url) (eq $port "") | ternary "" (print ":" $port) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- /* Whether the download uses a proxy: then preflight cannot check the addresses. */}}
{{- define "osft-pipeline.proxied" -}}
{{- $env := (include "osft-pipeline.podOptions" (dict "root" . "stage" "download") | fromJson).env -}}
{{- range list "HTTP_PROXY" "http_proxy" "HTTPS_PROXY" "https_proxy" }}{{ if hasKey $env . }}true{{ end }}{{ end -}}
{{- end }}

{{- /* The address of the hub, unless it comes from a Secret. */}}
{{- define "osft-pipeline.hub" -}}
{{- $env := (include "osft-pipeline.podOptions" (dict "root" . "stage" "download") | fromJson).env -}}
{{- $hub := get $env "HF_ENDPOINT" | default "https://huggingface.co" -}}
{{- if kindIs "string" $hub }}{{ $hub }}{{ end -}}
{{- end }}
