{{- /* Problems with model.fromRun, as a JSON list. Whether there is such a run, and whether it is finished, only the download
       stage can see. */}}
{{- define "osft-pipeline.problems.chain" -}}
{{- $found := list -}}
{{- with .Values.model -}}
{{- if .fromRun -}}
{{- if .uri -}}
{{- $shown := include "osft-pipeline.holdsCredential" .uri | empty | ternary .uri "an address that carries a credential" -}}
{{- $found = append $found (printf "model.fromRun is %s and model.uri is %s: both name the base model. Remove one of them." .fromRun $shown) -}}
{{- end -}}
{{- if .revision -}}
{{- $found = append $found (printf "model.fromRun is %s and model.revision is %s: a run has no revisions. Remove model.revision." .fromRun .revision) -}}
{{- end -}}
{{- if eq .fromRun $.Release.Name -}}
{{- $found = append $found (printf "model.fromRun is %s, the name of this release: its newest run would be this one. Set model.fromRun to the run id of an earlier run, such as %s-3fa9c1d2 (osft runs lists them)." .fromRun .fromRun) -}}
{{- else if eq .fromRun $.Values.runId -}}
{{- $found = append $found (printf "model.fromRun and runId are both %s: a run cannot continue itself. Set model.fromRun to an earlier run." .fromRun) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with .Values.eval -}}
{{- if and .enabled $.Values.model.fromRun (not .holdout.enabled) (not (kindIs "invalid" .gates.maxEarlierRise)) -}}
{{- $found = append $found "eval.gates.maxEarlierRise is set and eval.holdout.enabled is false: the held-out rows of earlier tasks are not measured. Set eval.holdout.enabled to true, or remove eval.gates.maxEarlierRise." -}}
{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end }}
