#!/bin/bash
# up.sh POLICY FOLDER [kube-apiserver flags]: etcd, kube-apiserver, kube-controller-manager and a fake kubelet, all on
# 127.0.0.1, in about 10 s. FOLDER gets audit.log, pki/, logs/, pids/ and a kubeconfig for each user: admin, admin-token,
# alice (reads team-a), bob (edits), carol (views), dave (certificate, edits team-b), mallory and trent (no rights),
# bot (service account), node-1, scheduler, kcm, kube-proxy, anonymous, badtoken.
#   LAB_BIN         the folder that build.sh printed
#   PORT_BASE       first of ten free ports (etcd +1 and +2, kube-apiserver +3, controller manager +7, kubelet +8)
#   WEBHOOK_CONFIG  kubeconfig file for --audit-webhook-config-file
#   MAXSIZE         --audit-log-maxsize in MB (default: never rotates)
set -euo pipefail
lab=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export PATH=$LAB_BIN:$PATH
POLICY=$(readlink -f "$1"); mkdir -p "$2"; OUT=$(readlink -f "$2"); shift 2
P_EC=$((PORT_BASE + 1)) P_EP=$((PORT_BASE + 2)) P_API=$((PORT_BASE + 3)) P_KCM=$((PORT_BASE + 7)) P_KL=$((PORT_BASE + 8))
SRV=https://127.0.0.1:$P_API
mkdir -p "$OUT"/{pki,pids,logs}
cp "$POLICY" "$OUT/policy.yaml"
cd "$OUT/pki"

# ---- certificates and users ----
key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.key" 2>/dev/null; }
key ca
openssl req -x509 -new -key ca.key -subj /CN=lab-ca -days 3650 -out ca.crt -addext 'keyUsage=critical,digitalSignature,keyEncipherment,keyCertSign' 2>/dev/null
key sa
openssl ec -in sa.key -pubout -out sa.pub 2>/dev/null
cert() { # NAME SUBJECT EXTENSIONS
  key "$1"
  openssl req -new -key "$1.key" -subj "$2" -out "$1.csr" 2>/dev/null
  openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 3650 -out "$1.crt" -extfile <(printf '%s\n' "$3") 2>/dev/null
}
client=$'keyUsage=critical,digitalSignature\nextendedKeyUsage=clientAuth'
server=$'keyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\nsubjectAltName='
cert apiserver /CN=kube-apiserver "${server}IP:127.0.0.1,IP:10.96.0.1,DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc"
cert kubelet-server /CN=system:node:node-1/O=system:nodes "${server}IP:127.0.0.1"
cert kubelet-client /CN=kube-apiserver-kubelet-client/O=system:masters "$client"
cert admin /O=system:masters/CN=kubernetes-admin "$client"
cert kcm /CN=system:kube-controller-manager "$client"
cert scheduler /CN=system:kube-scheduler "$client"
cert kube-proxy /CN=system:kube-proxy "$client"
cert node-1 /O=system:nodes/CN=system:node:node-1 "$client"
cert dave /O=dev/O=team-b/CN=dave "$client"
cert front-proxy-client /CN=front-proxy-client "$client"
cat >tokens.csv <<T
admin-token-0001,admin,uid-admin,"system:masters"
alice-token-0002,alice,uid-alice,"dev,team-a"
bob-token-0003,bob,uid-bob,"ops"
carol-token-0004,carol@example.com,uid-carol,"auditors,example:readers"
mallory-token-0005,mallory,uid-mallory,"contractors"
trent-token-0006,trent,uid-trent
T
config() { # NAME USER
  cat >"$OUT/$1.kubeconfig" <<K
apiVersion: v1
kind: Config
clusters: [{name: lab, cluster: {server: "$SRV", certificate-authority: $OUT/pki/ca.crt}}]
users: [{name: u, user: {$2}}]
contexts: [{name: c, context: {cluster: lab, user: u}}]
current-context: c
K
}
for name in admin kcm scheduler kube-proxy node-1 dave; do config $name "client-certificate: $OUT/pki/$name.crt, client-key: $OUT/pki/$name.key"; done
config admin-token 'token: admin-token-0001'; config alice 'token: alice-token-0002'; config bob 'token: bob-token-0003'
config carol 'token: carol-token-0004'; config mallory 'token: mallory-token-0005'; config trent 'token: trent-token-0006'
config anonymous ''; config badtoken 'token: not-a-token'

# ---- processes: each number in pids/, by which down.sh ends them ----
start() { local n=$1; shift; setsid "$@" >"$OUT/logs/$n.log" 2>&1 </dev/null & echo $! >"$OUT/pids/$n"; }
start etcd etcd --name lab --data-dir "$OUT/etcd" --listen-client-urls http://127.0.0.1:$P_EC --advertise-client-urls http://127.0.0.1:$P_EC \
  --listen-peer-urls http://127.0.0.1:$P_EP --initial-advertise-peer-urls http://127.0.0.1:$P_EP --initial-cluster lab=http://127.0.0.1:$P_EP \
  --unsafe-no-fsync --log-level warn
audit=(--audit-policy-file="$OUT/policy.yaml" --audit-log-path="$OUT/audit.log" --audit-log-maxsize="${MAXSIZE:-102400}")
[ -n "${WEBHOOK_CONFIG:-}" ] && audit+=(--audit-webhook-config-file="$WEBHOOK_CONFIG")
start kube-apiserver kube-apiserver --etcd-servers=http://127.0.0.1:$P_EC --bind-address=127.0.0.1 --advertise-address=127.0.0.1 --secure-port=$P_API \
  --tls-cert-file=apiserver.crt --tls-private-key-file=apiserver.key --client-ca-file=ca.crt --token-auth-file=tokens.csv \
  --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --allow-privileged=true \
  --service-account-key-file=sa.pub --service-account-signing-key-file=sa.key --service-account-issuer=https://kubernetes.default.svc.cluster.local \
  --service-cluster-ip-range=10.96.0.0/16 --kubelet-client-certificate=kubelet-client.crt --kubelet-client-key=kubelet-client.key \
  --kubelet-certificate-authority=ca.crt --requestheader-client-ca-file=ca.crt --requestheader-allowed-names=front-proxy-client \
  --requestheader-username-headers=X-Remote-User --requestheader-group-headers=X-Remote-Group --requestheader-extra-headers-prefix=X-Remote-Extra- \
  --proxy-client-cert-file=front-proxy-client.crt --proxy-client-key-file=front-proxy-client.key \
  --endpoint-reconciler-type=none --kubelet-preferred-address-types=InternalIP "${audit[@]}" "$@"
ready=0
for _ in $(seq 240); do
  kill -0 "$(cat "$OUT/pids/kube-apiserver")" 2>/dev/null || break
  [ "$(curl -s --max-time 5 --cacert ca.crt --cert admin.crt --key admin.key $SRV/readyz || true)" = ok ] && { ready=1; break; }
  sleep 0.5
done
[ $ready = 1 ] || { echo "kube-apiserver is not ready:"; tail -5 "$OUT/logs/kube-apiserver.log"; "$lab/down.sh" "$OUT"; exit 1; }
start fakekubelet fakekubelet -addr 127.0.0.1:$P_KL -cert kubelet-server.crt -key kubelet-server.key
start kcm kube-controller-manager --kubeconfig="$OUT/kcm.kubeconfig" --authentication-kubeconfig="$OUT/kcm.kubeconfig" \
  --authorization-kubeconfig="$OUT/kcm.kubeconfig" --bind-address=127.0.0.1 --secure-port=$P_KCM --service-account-private-key-file=sa.key \
  --root-ca-file=ca.crt --cluster-signing-cert-file=ca.crt --cluster-signing-key-file=ca.key --use-service-account-credentials=true \
  --leader-elect=false --client-ca-file=ca.crt --controllers='*' \
  --node-monitor-grace-period=1h # the fake kubelet sends no heartbeats, and pods are to stay ready

# ---- what the traffic scripts expect to be there ----
K="kubectl --kubeconfig=$OUT/admin.kubeconfig --cache-dir=$OUT/kubectl-cache"
cat >"$OUT/bootstrap.yaml" <<B
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Namespace, metadata: {name: team-a, labels: {team: a}}}
- {apiVersion: v1, kind: Namespace, metadata: {name: team-b, labels: {team: b}}}
- {apiVersion: v1, kind: Node, metadata: {name: node-1, labels: {kubernetes.io/hostname: node-1}}}
- {apiVersion: v1, kind: ServiceAccount, metadata: {name: bot, namespace: team-a}}
- {apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: reader, namespace: team-a}, rules: [{apiGroups: ["", apps, batch], resources: ["*"], verbs: [get, list, watch]}]}
- {apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: alice-reader, namespace: team-a}, subjects: [{kind: User, name: alice, apiGroup: rbac.authorization.k8s.io}], roleRef: {kind: Role, name: reader, apiGroup: rbac.authorization.k8s.io}}
- {apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: bot, namespace: team-a}, rules: [{apiGroups: ["", apps, batch], resources: [pods, pods/exec, pods/log, configmaps, deployments, jobs, secrets], verbs: ["*"]}]}
- {apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: bot, namespace: team-a}, subjects: [{kind: ServiceAccount, name: bot, namespace: team-a}], roleRef: {kind: Role, name: bot, apiGroup: rbac.authorization.k8s.io}}
- {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: ops-edit}, subjects: [{kind: Group, name: ops, apiGroup: rbac.authorization.k8s.io}], roleRef: {kind: ClusterRole, name: edit, apiGroup: rbac.authorization.k8s.io}}
- {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: auditors-view}, subjects: [{kind: Group, name: auditors, apiGroup: rbac.authorization.k8s.io}], roleRef: {kind: ClusterRole, name: view, apiGroup: rbac.authorization.k8s.io}}
- {apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: dave-edit, namespace: team-b}, subjects: [{kind: User, name: dave, apiGroup: rbac.authorization.k8s.io}], roleRef: {kind: ClusterRole, name: edit, apiGroup: rbac.authorization.k8s.io}}
B
for _ in $(seq 20); do $K apply -f "$OUT/bootstrap.yaml" >"$OUT/logs/bootstrap.log" 2>&1 && break; sleep 0.5; done
$K patch node node-1 --subresource=status --type=merge -p '{"status":{"addresses":[{"type":"InternalIP","address":"127.0.0.1"}],"daemonEndpoints":{"kubeletEndpoint":{"Port":'$P_KL'}},"capacity":{"cpu":"8","memory":"32Gi","pods":"110"},"allocatable":{"cpu":"8","memory":"32Gi","pods":"110"},"conditions":[{"type":"Ready","status":"True","reason":"KubeletReady","lastHeartbeatTime":"2030-01-01T00:00:00Z","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}' >/dev/null
for ns in default team-a team-b; do for _ in $(seq 40); do $K -n $ns get sa default >/dev/null 2>&1 && break; sleep 0.5; done; done
config bot "token: $($K -n team-a create token bot --duration=24h)"
printf 'SRV=%s\nPORT_BASE=%s\nPKI=%s\n' "$SRV" "$PORT_BASE" "$OUT/pki" >"$OUT/env"
echo "up: $SRV"
