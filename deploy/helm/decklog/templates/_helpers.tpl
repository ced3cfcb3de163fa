{{- define "decklog.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "decklog.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "decklog.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Labels that never change: selectors. Takes (dict "root" $ "component" NAME). `kubectl decklog` finds the Service by the
first, whatever the release is called. */}}
{{- define "decklog.selector" -}}
app.kubernetes.io/name: decklog
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "decklog.labels" -}}
{{ include "decklog.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/part-of: decklog
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "decklog.image" -}}
{{- $name := .Values.image.repository -}}
{{- if .Values.image.registry }}{{ $name = printf "%s/%s" (trimSuffix "/" .Values.image.registry) $name }}{{ end -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $name .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "decklog.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "decklog.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "decklog.tlsSecret" -}}
{{- default (printf "%s-tls" (include "decklog.fullname" .)) .Values.tls.existingSecret -}}
{{- end -}}

{{- define "decklog.authSecret" -}}
{{- default (printf "%s-auth" (include "decklog.fullname" .)) .Values.auth.existingSecret -}}
{{- end -}}

{{/* What `kubectl decklog` trusts the server by. */}}
{{- define "decklog.caConfigMap" -}}
{{- printf "%s-ca" (include "decklog.fullname" .) -}}
{{- end -}}

{{/* The name that `forward` and Prometheus use for the server, and that its certificate has. */}}
{{- define "decklog.host" -}}
{{- printf "%s.%s.svc" (include "decklog.fullname" .) .Release.Namespace -}}
{{- end -}}

{{- define "decklog.dnsNames" -}}
{{- $name := include "decklog.fullname" . -}}
{{- $host := include "decklog.host" . -}}
{{- concat (list $host (printf "%s.cluster.local" $host) (printf "%s.%s" $name .Release.Namespace) $name "localhost") .Values.tls.hosts | toJson -}}
{{- end -}}

{{- define "decklog.ips" -}}
{{- concat (list "127.0.0.1") .Values.tls.ips | toJson -}}
{{- end -}}

{{/* decklog.yaml: what the chart decides, and `config` laid over it. */}}
{{- define "decklog.config" -}}
{{- $tls := dict "certFile" "/etc/decklog/tls/tls.crt" "keyFile" "/etc/decklog/tls/tls.key" -}}
{{- if .Values.tls.clientCASecret }}{{ $_ := set $tls "clientCAFile" "/etc/decklog/client-ca/ca.crt" }}{{ end -}}
{{- $server := dict "listen" "0.0.0.0:7443" "tls" $tls "auth" (dict "tokensFile" "/etc/decklog/auth/tokens") -}}
{{- if .Values.auth.kubernetes }}{{ $_ := set $server.auth "kubernetes" "on" }}{{ end -}}
{{- $config := dict "apiVersion" "decklog.io/v1alpha1" "kind" "Config" "dataDir" "/var/lib/decklog/data" "cluster" .Values.cluster "server" $server "log" (dict "format" "json") -}}
{{- mergeOverwrite $config (deepCopy .Values.config) | toYaml -}}
{{- end -}}

{{- define "decklog.check" -}}
{{- if and .Values.forward.enabled (not .Values.server.enabled) -}}
{{- if not .Values.forward.to }}{{ fail "forward.to: without a server in this release it must be the URL of one" }}{{ end -}}
{{- if not .Values.forward.tokenSecret.name }}{{ fail "forward.tokenSecret.name: without a server in this release it must name a Secret with the token" }}{{ end -}}
{{- end -}}
{{- if and .Values.metrics.podMonitor.enabled (not .Values.forward.statusPort) }}{{ fail "metrics.podMonitor.enabled: forward.statusPort must name the port to scrape" }}{{ end -}}
{{- if and .Values.tls.certManager.enabled (not .Values.tls.certManager.issuerRef.name) }}{{ fail "tls.certManager.issuerRef.name: who signs the certificate?" }}{{ end -}}
{{- if and .Values.tls.certManager.enabled .Values.tls.existingSecret }}{{ fail "tls.existingSecret and tls.certManager.enabled: only one of them" }}{{ end -}}
{{- end -}}

{{/* The authority of the server's certificate, for those who come by `kubectl decklog`. Takes (dict "root" $ "ca" PEM). */}}
{{- define "decklog.caObject" -}}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ include "decklog.caConfigMap" .root }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "decklog.labels" (dict "root" .root "component" "server") | nindent 4 }}
data:
  ca.crt: |
    {{- .ca | nindent 4 }}
{{- end -}}
