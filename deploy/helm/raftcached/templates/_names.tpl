{{/* The name of the objects: that of the release, with the chart's if it does not say so. */}}
{{- define "raftcached.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "raftcached.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "raftcached.labels" -}}
{{ include "raftcached.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* The Secret of the log ports. */}}
{{- define "raftcached.secret" -}}
{{- .Values.secret.existingSecret | default (include "raftcached.name" .) -}}
{{- end -}}

{{/* How Prometheus speaks to the admin port. */}}
{{- define "raftcached.scheme" -}}
{{- if .Values.peerTLS.existingSecret -}}HTTPS{{- else -}}HTTP{{- end -}}
{{- end -}}

{{/* server.json: the servers by the names that the headless Service gives them. */}}
{{- define "raftcached.config" -}}
{{- $name := include "raftcached.name" . -}}
{{- $servers := list -}}
{{- range $i := until (int .Values.replicas) -}}
{{- $host := printf "%s-%d.%s-servers.%s.svc.%s" $name $i $name $.Release.Namespace $.Values.clusterDomain -}}
{{- $servers = append $servers (dict "id" $i "host" $host "clientPort" 11211 "logPort" 11311 "adminPort" 11411 "adminHost" $host) -}}
{{- end -}}
{{- $config := dict "servers" $servers "memoryLimitMiB" (int .Values.memoryLimitMiB) "secretFile" "/run/secrets/raftcached/secret" "replaceEmpty" .Values.replaceEmpty -}}
{{- if .Values.users.existingSecret -}}
{{- $_ := set $config "authFile" "/run/secrets/users/users" -}}
{{- end -}}
{{- if .Values.tls.existingSecret -}}
{{- $_ := merge $config (dict "tls" true "tlsCert" "/run/secrets/tls/tls.crt" "tlsKey" "/run/secrets/tls/tls.key") -}}
{{- if .Values.tls.verifyClients -}}
{{- $_ := merge $config (dict "tlsCA" "/run/secrets/tls/ca.crt" "tlsVerify" 2) -}}
{{- end -}}
{{- end -}}
{{- if .Values.peerTLS.existingSecret -}}
{{- $_ := merge $config (dict "peerCertFile" "/run/secrets/peers/server.crt" "peerKeyFile" "/run/secrets/peers/server.key" "peerCAFile" "/run/secrets/peers/ca.crt" "peerTLS" .Values.peerTLS.mode) -}}
{{- end -}}
{{- merge $config .Values.settings | toPrettyJson -}}
{{- end -}}
