{{- /* Values that contradict each other, and what a live cluster lacks: gathered, each with its remedy, and shown at once.
       What one value alone can be wrong about stands in values.schema.json. */}}
{{- define "osft-pipeline.validate" -}}
{{- $problems := list -}}
{{- range list "data" "train" "eval" "register" "order" "names" "workspace" "secrets" "cluster" "capacity" -}}
{{- $problems = concat $problems (include (print "osft-pipeline.problems." .) $ | fromJsonArray) -}}
{{- end -}}
{{- if $problems -}}
{{- fail (printf "\n\n%d problem%s in the values; nothing was created.\n- %s\n" (len $problems) (len $problems | eq 1 | ternary "" "s") (join "\n- " $problems)) -}}
{{- end -}}
{{- end }}
