{{- /* Problems with images, as a JSON list. */}}

{{- define "osft-pipeline.problems.images" -}}
{{- $found := list -}}
{{- $homeless := list -}}
{{- range prepend (include "osft-pipeline.stages" . | fromJsonArray) "download" | uniq -}}
{{- $own := index $.Values.images (include "osft-pipeline.imageKey" (dict "root" $ "image" .)) -}}
{{- if not (or $.Values.images.registry $own.repository) }}{{ $homeless = append $homeless . }}{{ end -}}
{{- end -}}
{{- with $homeless -}}
{{- $found = append $found (printf "images.registry is empty; expected the registry that the cluster pulls the images of %s from. Build and push them with `make images PUSH=<registry>` and set images.registry to it, or install a published chart, which names its images." (join ", " .)) -}}
{{- end -}}
{{- with .Values.images.evalVllm -}}
{{- $backend := $.Values.eval.backend -}}
{{- if and $.Values.eval.enabled (has $backend (list "vllm" "auto")) -}}
{{- if not (or .repository .tag .digest) -}}
{{- $found = append $found (printf "eval.backend is %s and the eval image does not contain vLLM. Build one that does (images/eval/README.md) and name it in images.evalVllm, or set eval.backend to hf." $backend) -}}
{{- end -}}
{{- if not (include "osft-pipeline.gpus" (dict "root" $ "stage" "eval") | int) -}}
{{- $found = append $found (printf "eval.backend is %s and eval.gpus is 0 (empty: 0 where train.gpus is 0), and vLLM in the eval image runs on GPUs only. Set eval.gpus to 1 or more, or eval.backend to hf." $backend) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end }}
