{{- /* Problems with addresses, as a JSON list. They are not in the schema, because Helm prints a value that violates it, and
       these problems must not repeat a credential. */}}

{{- define "osft-pipeline.problems.addresses" -}}
{{- $found := list -}}
{{- $patterns := dict "data.s3.endpoint" "^(https?://[^\\s/?#@]+/?)?$" "eval.baseUrl" "^(https?://\\S+)?$" -}}
{{- $rows := "hf://<org>/<dataset>, s3://<bucket>/<key>, https://<address>, pvc://<claim>/<path> or an absolute path" -}}
{{- $sources := dict "data.uri" $rows "data.evalUri" $rows "model.uri" "hf://<org>/<model>, pvc://<claim>/<path> or an absolute path" -}}
{{- range $pair := include "osft-pipeline.givenAddresses" . | fromJsonArray -}}
{{- if include "osft-pipeline.holdsCredential" $pair.address -}}
{{- $found = append $found (printf "%s carries a credential, which would be readable in the cluster's objects, so it is not repeated here. Expected an address without user info and without a token or a signature. Set the credential with secrets.*, or store the address of the rows in a Secret and refer to it in data.pod.env.OSFT_DATA_URI: {valueFrom: {secretKeyRef: ...}}." $pair.key) -}}
{{- else if not (regexMatch (get $patterns $pair.key | default "^\\S*$") $pair.address) -}}
{{- $found = append $found (printf "%s is %q. Expected %s. Correct it." $pair.key $pair.address (hasKey $patterns $pair.key | ternary "http(s)://<host>[:<port>]" "an address without spaces")) -}}
{{- else if hasKey $sources $pair.key -}}
{{- with include "osft-pipeline.unsupported" (dict "address" $pair.address "expected" (get $sources $pair.key)) }}{{ $found = append $found (printf "%s: %s" $pair.key .) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- toJson ($found | uniq) -}}
{{- end }}

{{- /* The message of the download stage for a source that it does not support; empty for one that it supports.
       Params: address, expected. */}}
{{- define "osft-pipeline.unsupported" -}}
{{- $scheme := regexFind "^[^:/]*://" .address | lower -}}
{{- $name := regexReplaceAll "^[^:/]*://" .address "" -}}
{{- /* Names without an owner need their scheme. */ -}}
{{- $owner := empty $scheme | ternary "\\w[\\w.-]*/" "(\\w[\\w.-]*/)?" -}}
{{- $known := contains "s3://" .expected | ternary "^(hf|s3|https?|pvc)://$" "^(hf|pvc)://$" -}}
{{- if and $scheme (not (regexMatch $known $scheme)) -}}
unsupported scheme {{ $scheme }} in {{ .address }}. Expected {{ .expected }}.
{{- /* Angle brackets were copied from documentation. */ -}}
{{- else if or (regexMatch "^(s3|https?)://[^/]*[<>]" (lower .address)) (not (or (and $scheme (ne $scheme "hf://")) (hasPrefix "/" .address) (regexMatch (print "^((datasets|models)/)?" $owner "\\w[\\w.-]*(:[^@/:<>]+)?(@[^@<>]+)?$") $name))) -}}
'{{ $scheme }}{{ $name }}' is not a supported address. Expected {{ .expected }}.
{{- end -}}
{{- end }}

{{- /* Every value that is an address, as a JSON list of key and address. */}}
{{- define "osft-pipeline.givenAddresses" -}}
{{- $found := list -}}
{{- $uris := dict "data.uri" .Values.data.uri "data.evalUri" .Values.data.evalUri "model.uri" .Values.model.uri -}}
{{- range $key, $value := $uris -}}
{{- range include "osft-pipeline.uris" $value | fromJsonArray }}{{ $found = append $found (dict "key" $key "address" .) }}{{ end -}}
{{- end -}}
{{- range $key, $value := dict "data.s3.endpoint" .Values.data.s3.endpoint "register.address" .Values.register.address "register.uri" .Values.register.uri "eval.baseUrl" .Values.eval.baseUrl "train.tracking.mlflow.uri" .Values.train.tracking.mlflow.uri "train.checkpoints.storage" .Values.train.checkpoints.storage "data.pod.env.HF_ENDPOINT or stageDefaults.env.HF_ENDPOINT" (include "osft-pipeline.hub" .) -}}
{{- $found = append $found (dict "key" $key "address" (toString $value)) -}}
{{- end -}}
{{- toJson $found -}}
{{- end }}

{{- /* Whether an address has user info, with or without a scheme, or a parameter that is a credential. The names are those of
       SIGNS and MAY_SIGN in osft_workspace/signing.py. In hf:// an `@` also precedes a revision. */}}
{{- define "osft-pipeline.holdsCredential" -}}
{{- $hub := regexMatch "(?i)^hf:/+" . -}}
{{- if regexMatch "(?i)[?&;#](x-(amz|goog|ms)-[\\w.%+\\[\\]-]*|[\\w.%+\\[\\]-]*(token|signature|secret|passw(or)?d|passphrase|credentials?|authorization|session[_-]?id)|[\\w.%+\\[\\]-]*(api|access|subscription|account|storage|shared|secret|private|signing)[-_.]?key([-_.]?id)?|googleaccessid|key-pair-id|policy|expires|sig|hmac|jwt|sas|key|auth|pass|pwd)=" . -}}true
{{- else if $hub -}}
{{- if and (regexMatch "^[^/]+/+([^/@]*:[^@]*|[^/@]+)@[^@/]+/" .) (not (regexMatch "^[^/]+/+[^/@]+@refs/" .)) }}true{{ end -}}
{{- else if regexMatch "^(\\w[\\w+.-]*:)?/+([^/?#]*|[^/?#@:\\[]*:([^/?#@]*[^0-9/?#@][^/?#@]*)?[/?#][^@]*)@" . -}}
{{- if not (hasPrefix "/" . | and (not (hasPrefix "//" .))) }}true{{ end -}}
{{- else if and (regexMatch "^[^/@:\\s]+:[^/][^@]*@" .) (not (regexMatch "^[^/@]+@refs/" .)) }}true
{{- end -}}
{{- end }}
