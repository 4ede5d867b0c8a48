{{- /*
Gives every key that is missing from the values its default. Helm removes a key that is null, so a template that reads it
would fail or see an empty value (`train.gpus: null` must not train on the CPU). Every template that creates an object
includes this first; it changes `.Values` in place for all others. defaults.yaml is a generated copy of values.yaml, which
`.Files` does not contain. Then the values are checked, before any other template reads them.
*/}}
{{- define "osft-pipeline.defaults" -}}
{{- if not (hasKey . "Defaulted") -}}
{{- $defaults := .Files.Get "defaults.yaml" | fromYaml -}}
{{- include "osft-pipeline.fill" (dict "values" .Values "defaults" $defaults) -}}
{{- /* A run that continues an earlier one has no address of a model; one that the user gave stays, and is a problem. */ -}}
{{- if and .Values.model.fromRun (eq .Values.model.uri $defaults.model.uri) }}{{ $_ := set .Values.model "uri" "" }}{{ end -}}
{{- $_ := set . "Defaulted" true -}}
{{- include "osft-pipeline.validate" . -}}
{{- end -}}
{{- end }}

{{- /* Params: values (changed in place), defaults. */}}
{{- define "osft-pipeline.fill" -}}
{{- $values := .values -}}
{{- range $key, $default := .defaults -}}
{{- $value := index $values $key -}}
{{- if kindIs "invalid" $value -}}
{{- $_ := set $values $key $default -}}
{{- else if kindIs "map" $default -}}
{{- include "osft-pipeline.fill" (dict "values" $value "defaults" $default) -}}
{{- end -}}
{{- end -}}
{{- end }}
