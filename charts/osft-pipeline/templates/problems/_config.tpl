{{- /* Problems with train.configMap, as a JSON list. Its keys are checked by the stages, which know them. */}}
{{- define "osft-pipeline.problems.config" -}}
{{- $found := list -}}
{{- with .Values.train.configMap -}}
{{- if and .name .content -}}
{{- $found = append $found "train.configMap.name and train.configMap.content are both set. Remove one." -}}
{{- end -}}
{{- if .content -}}
{{- /* A test compares this list with what the stages read. */ -}}
{{- $sections := list "ModelConfig" "QuantizationConfig" "LoraConfig" "TrainingArguments" "DataCollator" "DatasetConfig" -}}
{{- $document := .content | fromYaml -}}
{{- $given := hasKey $document "training_config" | ternary (get $document "training_config") $document -}}
{{- if or (hasKey $document "Error") (not $document) (not (kindIs "map" $given)) (and (hasKey $document "training_config") (gt (len $document) 1)) -}}
{{- $found = append $found (printf "train.configMap.content is not a YAML mapping training_config with the sections %s. Correct it, for instance with --set-file train.configMap.content=training_config.yaml." (join ", " $sections)) -}}
{{- else -}}
{{- range $section, $_ := $given -}}
{{- if not (has $section $sections) -}}
{{- $found = append $found (printf "train.configMap has the section %s, expected %s. Correct it." $section (join ", " $sections)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end }}
