{{- /* Problems with names, and with characters that no object can contain. Rules for a single value are in
       values.schema.json. Each list is JSON. */}}

{{- define "osft-pipeline.problems.names" -}}
{{- $found := list -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" .Release.Name) -}}
{{- $found = append $found (printf "the release is called %q; expected a name that starts with a letter and has only lower-case letters, digits and dashes, as a TrainJob needs. Choose another release name." .Release.Name) -}}
{{- end -}}
{{- if not (regexMatch "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$" .Release.Namespace) -}}
{{- $found = append $found (printf "the namespace is called %q; expected at most 63 lower-case letters, digits and dashes, with a letter or digit at both ends. Correct --namespace." .Release.Namespace) -}}
{{- end -}}
{{- $names := list (include "osft-pipeline.releaseName" (dict "root" . "stage" "credentials")) -}}
{{- if include "osft-pipeline.usesTrainer" . }}{{ $names = append $names (include "osft-pipeline.runtimeName" .) }}{{ end -}}
{{- if eq .Values.ordering "hooks" }}{{ $names = append $names (include "osft-pipeline.jobName" (dict "root" . "stage" "download")) }}{{ end -}}
{{- $longest := "" -}}
{{- range $names }}{{ if gt (len .) (len $longest) }}{{ $longest = . }}{{ end }}{{ end -}}
{{- if gt (len $longest) 40 -}}
{{- $cause := empty $.Values.runId | ternary "release's name" "runId or the release's name" -}}
{{- $found = append $found (printf "the name %s has %d characters; expected at most 40, because Kubernetes appends to it for pods. Shorten the %s by %d." $longest (len $longest) $cause (sub (len $longest) 40)) -}}
{{- end -}}
{{- toJson $found -}}
{{- end }}

{{- /* A claim in a pvc:// address becomes the name of a volume and part of its mount path. */}}
{{- define "osft-pipeline.problems.claims" -}}
{{- $found := list -}}
{{- $addresses := dict "data.uri" .Values.data.uri "data.evalUri" .Values.data.evalUri "model.uri" .Values.model.uri -}}
{{- range $key, $value := $addresses -}}
{{- range include "osft-pipeline.uris" $value | fromJsonArray -}}
{{- $claim := trimPrefix "pvc://" . | splitList "/" | first -}}
{{- /* Parts that could be a credential are not repeated. */ -}}
{{- $shown := regexReplaceAll "[?#&;].*$" (regexReplaceAll "^.*@" $claim "...@") "?..." -}}
{{- if and (hasPrefix "pvc://" .) (or (gt (len $claim) 253) (not (regexMatch "^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$" $claim))) -}}
{{- $found = append $found (printf "%s names the claim %q, which is not a valid name. Expected pvc://<claim>/<path>, where the claim has at most 253 lower-case letters, digits, dashes and dots, with a letter or digit at both ends and beside each dot. Correct it." $key (trunc 64 $shown)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end }}

{{- /* Control characters in any text or key, which YAML, arguments of a program or a terminal cannot contain. */}}
{{- define "osft-pipeline.problems.texts" -}}
{{- $found := list -}}
{{- range include "osft-pipeline.controlled" (dict "value" (omit .Values "global") "path" "") | splitList "\n" | compact -}}
{{- $found = append $found (printf "%s holds a control character; of those only tabs and line breaks are allowed. Remove it." .) -}}
{{- end -}}
{{- toJson $found -}}
{{- end }}

{{- /* Paths of the texts and keys with a control character, each on a line. The value is not shown, because it may be a secret.
       Params: value, path. */}}
{{- define "osft-pipeline.controlled" -}}
{{- $path := .path -}}
{{- $control := "[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x{9f}]" -}}
{{- if kindIs "map" .value -}}
{{- range $key, $value := .value -}}
{{- $at := print $path (empty $path | ternary "" ".") (regexMatch "^[-\\w./]+$" $key | ternary $key (printf "%q" $key)) -}}
{{- if regexMatch $control $key }}{{ print "the name " $at "\n" }}{{ end -}}
{{- include "osft-pipeline.controlled" (dict "value" $value "path" $at) -}}
{{- end -}}
{{- else if kindIs "slice" .value -}}
{{- range $index, $value := .value -}}
{{- include "osft-pipeline.controlled" (dict "value" $value "path" (printf "%s[%d]" $path $index)) -}}
{{- end -}}
{{- else if and (kindIs "string" .value) (regexMatch $control .value) -}}
{{- print $path "\n" -}}
{{- end -}}
{{- end }}
