{{- /* What can be wrong with names, and with text that no object can hold. What a single value may hold stands in
       values.schema.json. Each list is JSON. */}}

{{- define "osft-pipeline.problems.names" -}}
{{- $found := list -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" .Release.Name) -}}
{{- $found = append $found (printf "the release is called %q, and a TrainJob's name starts with a letter and holds only small letters, digits and dashes. Choose such a name." .Release.Name) -}}
{{- end -}}
{{- if not (regexMatch "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$" .Release.Namespace) -}}
{{- $found = append $found (printf "the namespace is called %q, and Kubernetes allows at most 63 lower-case letters, digits and dashes, with a letter or digit at both ends. Correct --namespace." .Release.Namespace) -}}
{{- end -}}
{{- $names := list (include "osft-pipeline.releaseName" (dict "root" . "stage" "credentials")) -}}
{{- if include "osft-pipeline.usesTrainer" . }}{{ $names = append $names (include "osft-pipeline.runtimeName" .) }}{{ end -}}
{{- if eq .Values.ordering "hooks" }}{{ $names = append $names (include "osft-pipeline.jobName" (dict "root" . "stage" "download")) }}{{ end -}}
{{- $longest := "" -}}
{{- range $names }}{{ if gt (len .) (len $longest) }}{{ $longest = . }}{{ end }}{{ end -}}
{{- if gt (len $longest) 40 -}}
{{- $cause := empty $.Values.runId | ternary "release's name" "runId or the release's name" -}}
{{- $found = append $found (printf "the name %s has %d characters; 40 is the most, because pods add to it. Shorten the %s by %d." $longest (len $longest) $cause (sub (len $longest) 40)) -}}
{{- end -}}
{{- toJson $found -}}
{{- end }}

{{- /* A claim that a pvc:// address names becomes a volume and a folder to mount it at. */}}
{{- define "osft-pipeline.problems.claims" -}}
{{- $found := list -}}
{{- $addresses := dict "data.uri" .Values.data.uri "data.evalUri" .Values.data.evalUri "model.uri" .Values.model.uri -}}
{{- range $key, $value := $addresses -}}
{{- range include "osft-pipeline.uris" $value | fromJsonArray -}}
{{- $claim := trimPrefix "pvc://" . | splitList "/" | first -}}
{{- /* What may be a credential is not repeated. */ -}}
{{- $shown := regexReplaceAll "[?#&;].*$" (regexReplaceAll "^.*@" $claim "...@") "?..." -}}
{{- if and (hasPrefix "pvc://" .) (or (gt (len $claim) 253) (not (regexMatch "^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$" $claim))) -}}
{{- $found = append $found (printf "%s names the claim %q, and Kubernetes allows no such name: at most 253 lower-case letters, digits, dashes and dots, with a letter or digit at both ends and beside each dot. Write pvc://<claim>/<path>." $key (trunc 64 $shown)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end }}

{{- /* Control characters, which YAML, the arguments of a program or a terminal could not hold, in any text or key. */}}
{{- define "osft-pipeline.problems.texts" -}}
{{- $found := list -}}
{{- range include "osft-pipeline.controlled" (dict "value" (omit .Values "global") "path" "") | splitList "\n" | compact -}}
{{- $found = append $found (printf "%s holds a control character, which no object, argument or log may hold. Remove it; tabs and line breaks may stay." .) -}}
{{- end -}}
{{- toJson $found -}}
{{- end }}

{{- /* Paths of the texts and keys with a control character, each on a line; the value may be a secret and is not shown.
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
