#!/bin/bash
# traffic.sh FOLDER: about 150 requests of every common shape in some seconds. FOLDER is the one of up.sh.
set -u; D=$1; LABTAG=${LABTAG:-50}
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
A=/api/v1/namespaces
# discovery and non-resource paths, allowed and refused
for c in admin alice anon bad; do for p in /healthz /version /api /apis /metrics /foo/bar "$A"; do rq $c GET "$p"; done; done
rq admin HEAD /healthz; rq admin OPTIONS "$A/default/pods"; rq admin GET //api/v1/pods
UA='ünïcode "quote" \back	tab <&>' rq admin GET "$A/team-a/pods"
rq admin GET "$A/team-a/pods" -H 'X-Forwarded-For: 203.0.113.7, 198.51.100.2'
# objects, secrets among them
js admin POST "$A/team-a/configmaps" '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"cfg"},"data":{"a":"1 < 2 & 3"}}'
js admin POST "$A/team-a/secrets" '{"apiVersion":"v1","kind":"Secret","metadata":{"name":"db"},"stringData":{"password":"correct horse battery"}}'
js admin POST "$A/team-a/pods" '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p1"},"spec":{"nodeName":"node-1","containers":[{"name":"c","image":"registry.example/app:1"}]}}'
js alice POST "$A/team-a/pods" '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p2"},"spec":{"containers":[{"name":"c","image":"i"}]}}'
js admin POST "$A/team-a/pods" '{"apiVersion":"v1","kind":"Pod",'
pt admin "$A/team-a/configmaps/cfg" merge-patch+json '{"data":{"b":"2"}}'
pt admin "$A/team-a/configmaps/cfg" json-patch+json '[{"op":"add","path":"/data/c","value":"3"}]'
pt admin "$A/team-a/secrets/db" merge-patch+json '{"stringData":{"user":"root"}}'
js admin POST "$A/team-a/serviceaccounts/bot/token" '{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{"expirationSeconds":3600}}'
js mallory POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews '{"apiVersion":"authorization.k8s.io/v1","kind":"SelfSubjectAccessReview","spec":{"resourceAttributes":{"verb":"get","resource":"secrets"}}}'
for c in admin alice bot carol mallory; do
  for p in "$A/team-a/pods" "$A/team-a/configmaps/cfg" "$A/team-a/secrets/db" "$A/team-a/secrets" /api/v1/secrets /api/v1/nodes/node-1 /apis/apps/v1/deployments \
    "$A/nope/pods" /apis/no.such.group/v1/things "$A/team-a/pods?labelSelector=app%3Dweb&limit=1"; do rq $c GET "$p"; done
done
rq admin GET /api/v1/nodes -H 'Impersonate-User: nobody' -H 'Impersonate-Group: dev'
MT=6 rq admin GET "$A/team-a/pods?watch=true&timeoutSeconds=1"; MT=6 rq mallory GET "$A/team-a/pods?watch=true&timeoutSeconds=1"
# kubectl, exec included
ka bob create deployment web -n team-b --image=registry.example/web:1 --replicas=2
ka bob scale deployment web -n team-b --replicas=3
ka admin exec -n team-a p1 -- sh -c 'id; cat /etc/shadow'
ka admin logs -n team-a p1
ka mallory get pods -A
ka bob delete deployment web -n team-b
rq admin DELETE "$A/team-a/pods/p1?gracePeriodSeconds=0"; rq admin DELETE "$A/team-a/secrets"; rq mallory DELETE "$A/team-a/configmaps/cfg"
rm -rf "$T"
echo "traffic: $SEQ requests"
