{{- /*
What the pods of a stage may reach. A NetworkPolicy has addresses and ports of pods, not host names: a host outside the
cluster becomes its port, and a Service of the cluster becomes its namespace, because the port of its pods is unknown here.
*/}}

{{- /* Addresses that a stage connects to, as a JSON list. Params: root, stage. */}}
{{- define "osft-pipeline.reaches" -}}
{{- $root := .root -}}
{{- $found := list -}}
{{- if eq .stage "download" -}}
{{- $found = include "osft-pipeline.reaches.download" $root | fromJsonArray -}}
{{- else if eq .stage "train" -}}
{{- with $root.Values.train -}}
{{- if or .tracking.wandb.project (include "osft-pipeline.givesSecret" $root.Values.secrets.wandb) }}{{ $found = append $found "https://" }}{{ end -}}
{{- with .tracking.mlflow.uri }}{{ $found = append $found . | concat (list "https://") }}{{ end -}}
{{- if regexMatch "^\\w+://" .checkpoints.storage -}}
{{- $found = concat $found (list "https://" "http://" $root.Values.data.s3.endpoint) -}}
{{- end -}}
{{- end -}}
{{- else if eq .stage "eval" -}}
{{- with $root.Values.eval -}}
{{- if eq .backend "openai" }}{{ $found = append $found .baseUrl }}{{ end -}}
{{- end -}}
{{- with $root.Values.train.tracking -}}
{{- if .wandb.project }}{{ $found = append $found "https://" }}{{ end -}}
{{- with .mlflow.uri }}{{ $found = append $found . }}{{ end -}}
{{- end -}}
{{- else if eq .stage "register" -}}
{{- with include "osft-pipeline.registry" $root }}{{ $found = append $found . }}{{ end -}}
{{- end -}}
{{- /* Proxies, mirrors and servers that only the environment of a stage names. */ -}}
{{- if $found -}}
{{- range $name, $value := (include "osft-pipeline.podOptions" . | fromJson).env -}}
{{- if kindIs "string" $value -}}
{{- if or (regexMatch "^\\w+://" $value) (regexMatch "(?i)_proxy$" $name) }}{{ $found = append $found $value }}{{ end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if or (include "osft-pipeline.downloads" .) (and (eq .stage "preflight") $root.Values.data.enabled $root.Values.preflight.addresses) -}}
{{- $found = concat $found (include "osft-pipeline.reaches" (dict "root" $root "stage" "download") | fromJsonArray) -}}
{{- end -}}
{{- if and (eq .stage "preflight") $root.Values.register.enabled $root.Values.preflight.addresses -}}
{{- $found = concat $found (include "osft-pipeline.reaches" (dict "root" $root "stage" "register") | fromJsonArray) -}}
{{- end -}}
{{- $found | compact | uniq | toJson -}}
{{- end }}

{{- /* With a source outside the cluster also ports 443 and 80, for redirects and for addresses from a Secret. */}}
{{- define "osft-pipeline.reaches.download" -}}
{{- $found := list -}}
{{- range include "osft-pipeline.sources" . | fromJsonArray -}}
{{- if regexMatch "^https?://" . }}{{ $found = append $found . }}
{{- else if hasPrefix "s3://" . }}{{ $found = append $found ($.Values.data.s3.endpoint | default "https://") }}
{{- else if not (regexMatch "^(pvc://|/)" .) }}{{ $found = append $found (include "osft-pipeline.hub" $ | default "https://") }}{{ end -}}
{{- end -}}
{{- if or $found (include "osft-pipeline.secretUri" . | trimAll "\"") }}{{ $found = concat $found (list "https://" "http://") }}{{ end -}}
{{- toJson $found -}}
{{- end }}

{{- define "osft-pipeline.givesSecret" -}}
{{- if .existing }}true{{ end }}{{ range .create }}{{ if . }}true{{ end }}{{ end -}}
{{- end }}

{{- /* Host and port of an address, as JSON; the port is 0 where neither the address nor its scheme names one. */}}
{{- define "osft-pipeline.endpoint" -}}
{{- $authority := regexReplaceAll "(?s)^([A-Za-z][-+.A-Za-z0-9]*://)?([^/?#]*@)?([^/?#]*).*$" . "${3}" -}}
{{- $port := regexFind ":[0-9]{1,9}$" $authority -}}
{{- $usual := hasPrefix "https://" . | ternary 443 (hasPrefix "http://" . | ternary 80 0) -}}
{{- dict "host" (trimSuffix $port $authority) "port" (empty $port | ternary $usual (trimPrefix ":" $port | int)) | toJson -}}
{{- end }}

{{- /* Ports of all addresses and namespaces of Services in the cluster, as JSON. Params: root, stage. */}}
{{- define "osft-pipeline.targets" -}}
{{- $ports := list -}}
{{- $namespaces := list -}}
{{- range include "osft-pipeline.reaches" . | fromJsonArray -}}
{{- $endpoint := include "osft-pipeline.endpoint" . | fromJson -}}
{{- with $endpoint.port }}{{ $ports = append $ports (int .) }}{{ end -}}
{{- if regexMatch "^([-a-z0-9]+[.])+svc([.]|$)" $endpoint.host -}}
{{- $namespaces = append $namespaces (regexFind "[-a-z0-9]+[.]svc([.]|$)" $endpoint.host | splitList "." | first) -}}
{{- else if and (regexMatch "^[a-z][-a-z0-9]*$" $endpoint.host) (ne $endpoint.host "localhost") -}}
{{- $namespaces = append $namespaces $.root.Release.Namespace -}}
{{- end -}}
{{- end -}}
{{- $named := dict -}}
{{- range $ports }}{{ $_ := set $named (printf "%05d" .) . }}{{ end -}}
{{- $sorted := list -}}
{{- range $_, $port := $named }}{{ $sorted = append $sorted $port }}{{ end -}}
{{- dict "ports" $sorted "namespaces" ($namespaces | uniq | sortAlpha) | toJson -}}
{{- end }}

{{- /* Ports of a rule as Kubernetes writes them. Params: protocols, ports. */}}
{{- define "osft-pipeline.policyPorts" -}}
{{- $found := list -}}
{{- range $port := .ports }}{{ range $.protocols }}{{ $found = append $found (dict "protocol" . "port" (int $port)) }}{{ end }}{{ end -}}
{{- toJson $found -}}
{{- end }}

{{- /* Rules for the traffic that a stage needs, as JSON of ingress and egress. Params: root, stage. */}}
{{- define "osft-pipeline.policyRules" -}}
{{- $values := .root.Values.networkPolicy -}}
{{- $targets := include "osft-pipeline.targets" . | fromJson -}}
{{- $peers := and (eq .stage "train") (gt (int .root.Values.train.nodes) 1) -}}
{{- $egress := list -}}
{{- $ingress := list -}}
{{- /* Kubeflow Trainer gives the first node as a host name, even if there is only one node. */ -}}
{{- if and $values.dnsPorts (or (eq .stage "train") $targets.ports $targets.namespaces) -}}
{{- $egress = append $egress (dict "ports" (include "osft-pipeline.policyPorts" (dict "protocols" (list "UDP" "TCP") "ports" $values.dnsPorts) | fromJsonArray)) -}}
{{- end -}}
{{- with $targets.ports -}}
{{- $egress = append $egress (dict "ports" (include "osft-pipeline.policyPorts" (dict "protocols" (list "TCP") "ports" .) | fromJsonArray)) -}}
{{- end -}}
{{- $to := list -}}
{{- range $targets.namespaces }}{{ $to = append $to (dict "namespaceSelector" (dict "matchLabels" (dict "kubernetes.io/metadata.name" .))) }}{{ end -}}
{{- with $to }}{{ $egress = append $egress (dict "to" .) }}{{ end -}}
{{- if and (has .stage (list "wait" "cleanup")) $values.apiServerPorts -}}
{{- $egress = append $egress (dict "ports" (include "osft-pipeline.policyPorts" (dict "protocols" (list "TCP") "ports" $values.apiServerPorts) | fromJsonArray)) -}}
{{- end -}}
{{- if $peers -}}
{{- $same := list (dict "podSelector" (dict "matchLabels" (include "osft-pipeline.podLabels" . | fromYaml))) -}}
{{- $egress = append $egress (dict "to" $same) -}}
{{- $ingress = append $ingress (dict "from" $same) -}}
{{- end -}}
{{- /* Preflight's policy does not rely on the policy that denies, which is created later. */ -}}
{{- range eq .stage "preflight" | ternary $values.extraEgress list }}{{ $egress = append $egress . }}{{ end -}}
{{- dict "ingress" $ingress "egress" $egress | toJson -}}
{{- end }}

{{- /* Labels that select the pods of a release, or of one stage of it. Params: root, stage (empty: all). */}}
{{- define "osft-pipeline.policyPods" -}}
{{- $labels := omit (include "osft-pipeline.podLabels" . | fromYaml) "osft-pipeline/run" -}}
{{- dict "matchLabels" (.stage | empty | ternary (omit $labels "app.kubernetes.io/component") $labels) | toJson -}}
{{- end }}
