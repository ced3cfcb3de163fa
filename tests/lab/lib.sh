# Sourced by the traffic scripts; needs $D, the folder of up.sh, and $LAB_BIN.
export PATH=$LAB_BIN:$PATH
D=$(readlink -f "$D")
. "$D/env"
SEQ=0 T=$(mktemp -d)
REQLOG=${REQLOG:-$D/requests.tsv}
: >"$REQLOG"

tok() {
  case $1 in
    admintok) echo admin-token-0001 ;; alice) echo alice-token-0002 ;; bob) echo bob-token-0003 ;; carol) echo carol-token-0004 ;;
    mallory) echo mallory-token-0005 ;; trent) echo trent-token-0006 ;; bad) echo not-a-token ;;
    bot) sed -n 's/.*token: \(.*\)}}\]/\1/p' "$D/bot.kubeconfig" ;;
  esac
}

# rq CREDENTIAL METHOD PATH [curl arguments]: one request with a fixed Audit-ID; body in $T/body, status in $ST.
rq() {
  local c=$1 m=$2 p=$3; shift 3
  SEQ=$((SEQ + 1)) AID=$(printf '1ab000%s-0000-4000-8000-%012d' "${LABTAG:-00}" "$SEQ")
  local a=() mm=(-X "$m")
  case $c in
    admin | scheduler | kcm | kube-proxy | node-1 | dave) a=(--cert "$PKI/$c.crt" --key "$PKI/$c.key") ;;
    anon) ;;
    *) a=(-H "Authorization: Bearer $(tok "$c")") ;;
  esac
  [ "$m" = HEAD ] && mm=(-I)
  ST=$(curl -sS -g --max-time "${MT:-15}" --cacert "$PKI/ca.crt" "${a[@]}" "${mm[@]}" -H "Audit-ID: $AID" -A "${UA:-lab-curl/1.0 (linux/amd64) traffic}" \
    -D "$T/hdr" -o "$T/body" -w '%{http_code}' "$@" "$SRV$p" 2>"$T/err")
  printf '%s\t%s\t%s\t%s\t%s\n' "$AID" "$c" "$m" "$p" "$ST" >>"$REQLOG"
  : >"$T/hdr"
}
js() { rq "$1" "$2" "$3" -H 'Content-Type: application/json' -d "$4" "${@:5}"; }
# pt CREDENTIAL PATH json-patch+json|merge-patch+json|strategic-merge-patch+json|apply-patch+yaml BODY
pt() { rq "$1" PATCH "$2" -H "Content-Type: application/$3" -d "$4" "${@:5}"; }
ka() { timeout 20 kubectl --kubeconfig="$D/$1.kubeconfig" --cache-dir="$T/cache-$1" "${@:2}" >>"$T/k.out" 2>>"$T/k.err" </dev/null; }
