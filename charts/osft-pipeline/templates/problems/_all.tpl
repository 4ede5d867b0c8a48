{{- /* Values that contradict each other, and what the cluster lacks: all problems together, each with how to fix it.
       Rules for a single value are in values.schema.json. */}}
{{- define "osft-pipeline.validate" -}}
{{- $problems := list -}}
{{- range list "data" "chain" "train" "config" "limits" "method" "eval" "register" "order" "runtime" "names" "claims" "texts" "network" "images" "workspace" "secrets" "cluster" -}}
{{- range include (print "osft-pipeline.problems." .) $ | fromJsonArray -}}
{{- /* A message repeats values: characters that end a line or control a terminal are replaced by question marks. */ -}}
{{- $problems = append $problems (regexReplaceAllLiteral "[\\x00-\\x1f\\x7f-\\x{9f}\\x{2028}-\\x{202e}\\x{2066}-\\x{2069}]" . "?") -}}
{{- end -}}
{{- end -}}
{{- if $problems -}}
{{- fail (printf "\n\n%d problem%s in the values; nothing was created.\n- %s\n" (len $problems) (len $problems | eq 1 | ternary "" "s") (join "\n- " $problems)) -}}
{{- end -}}
{{- end }}
