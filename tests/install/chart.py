"""The Helm chart and the static pods: rendered, checked against schemas, accepted by a real kube-apiserver and installed."""

import base64
import hashlib
import json
import os
import re
import unittest

import schemas
from common import CHART, HERE, ROOT, folder, kubectl, lab, objects, packages, render, rendered, run, tools, wait

VALUES = sorted(path.stem for path in (HERE / "values").glob("*.yaml"))
WITHOUT_CRD = {"PodMonitor", "ServiceMonitor", "PrometheusRule", "Certificate"}


def namespace(name: str, level: str) -> None:
    wanted = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"pod-security.kubernetes.io/enforce": level}}}
    kubectl("apply", "-f", "-", stdin=json.dumps(wanted))


def as_list(found: list[dict]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": found})


class Rendering(unittest.TestCase):
    def test_lint(self):
        for values in VALUES:
            run(tools() / "helm", "lint", "--strict", CHART, "-f", HERE / "values" / f"{values}.yaml")

    def test_each_value_is_in_the_schema(self):
        for setting, word in [("replicaCount=2", "replicaCount"), ("imagge.tag=1", "imagge"), ("image.tagg=1", "tagg"), ("cluster=a b", "cluster"), ("forward.tail=audit.log", "tail"), ("service.type=ExternalName", "type"), ("metrics.serviceMonitor.interval=30", "interval")]:
            self.assertIn(word, render(None, setting, fails=True), setting)

    def test_what_cannot_work_is_refused_with_the_reason(self):
        self.assertIn("forward.to", render(None, "server.enabled=false", "forward.enabled=true", fails=True))
        self.assertIn("forward.tokenSecret.name", render(None, "server.enabled=false", "forward.enabled=true", "forward.to=https://a", fails=True))
        self.assertIn("forward.statusPort", render(None, "metrics.podMonitor.enabled=true", fails=True))
        self.assertIn("issuerRef", render(None, "tls.certManager.enabled=true", fails=True))

    def test_every_object_has_the_usual_labels_and_the_namespace(self):
        for values in VALUES:
            for name, found in rendered(values).items():
                if name.endswith("-more"):
                    continue
                labels = found["metadata"]["labels"]
                for label in ("name", "instance", "component", "version", "managed-by", "part-of"):
                    self.assertIn(f"app.kubernetes.io/{label}", labels, name)
                self.assertEqual(labels["app.kubernetes.io/name"], "decklog", "what `kubectl decklog` looks for")
                if not found["kind"].startswith("Cluster"):
                    self.assertEqual(found["metadata"]["namespace"], "audit", name)

    def test_selectors_find_their_pods(self):
        for values in ("default", "everything"):
            found = rendered(values)
            pods = [item["spec"]["template"]["metadata"]["labels"] for item in found.values() if item["kind"] in ("StatefulSet", "DaemonSet")]
            for name, item in found.items():
                spec = item.get("spec", {})
                if item["kind"] == "Service":
                    selector = spec["selector"]
                elif "podSelector" in spec or ("selector" in spec and not item["kind"].endswith("Monitor")):
                    selector = spec.get("podSelector", spec.get("selector"))["matchLabels"]
                else:
                    continue
                self.assertEqual(sum(selector.items() <= labels.items() for labels in pods), 1, name)

    def test_only_a_changed_configuration_makes_a_new_pod(self):
        def pod(*settings):
            return rendered(None, *settings)["StatefulSet/decklog"]["spec"]["template"]

        self.assertEqual(pod(), pod("service.type=NodePort", "pdb.enabled=true"))
        self.assertNotEqual(pod()["metadata"], pod("config.retention.maxAge=30d")["metadata"])

    def test_no_pod_has_a_right_it_does_not_need(self):
        for values in VALUES:
            for name, item in rendered(values).items():
                if item["kind"] in ("StatefulSet", "DaemonSet"):
                    spec = item["spec"]["template"]["spec"]
                    asks_about_tokens = item["kind"] == "StatefulSet" and values == "everything"
                    self.assertEqual(spec["automountServiceAccountToken"], asks_about_tokens, name)
                    context = spec["containers"][0]["securityContext"]
                    self.assertEqual((context["readOnlyRootFilesystem"], context["allowPrivilegeEscalation"], context["capabilities"]), (True, False, {"drop": ["ALL"]}))

    def test_forward_mounts_the_folder_of_the_log(self):
        spec = rendered("forward-only")["DaemonSet/decklog-forward"]["spec"]["template"]["spec"]
        self.assertEqual([volume["hostPath"] for volume in spec["volumes"] if volume["name"] == "audit"], [{"path": "/var/log/apiserver", "type": "Directory"}])
        self.assertIn("--tail=/var/log/apiserver/audit.log", spec["containers"][0]["args"])
        self.assertIn("--to=https://decklog.example:7443", spec["containers"][0]["args"])

    def test_versions_are_one(self):
        version = re.search(r'(?ms)^\[workspace.package\].*?^version = "(.+?)"', (ROOT / "Cargo.toml").read_text())[1]
        chart = (CHART / "Chart.yaml").read_text()
        self.assertIn(f"\nversion: {version}\n", chart)
        self.assertIn(f'\nappVersion: "{version}"\n', chart)
        for pod in (ROOT / "deploy/static-pod").glob("*.yaml"):
            self.assertIn(f"image: decklog:{version}\n", pod.read_text())

    def test_the_package_is_the_chart(self):
        place = folder()
        run("tar", "--extract", "--gzip", "--directory", place, "--file", next(packages().glob("decklog-*.tgz")))
        run("diff", "--recursive", place / "decklog", CHART)
        run(tools() / "helm", "lint", "--strict", next(packages().glob("decklog-*.tgz")))


class InTheLab(unittest.TestCase):
    """A real kube-apiserver decides."""

    @classmethod
    def setUpClass(cls):
        lab()
        namespace("audit", "privileged")
        namespace("restricted", "restricted")

    def test_rendered_objects_are_accepted(self):
        n_objects = 0
        for values in VALUES:
            found = [item for item in objects(render(values)) if item["kind"] not in WITHOUT_CRD]
            answered = kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=as_list(found))
            self.assertEqual(answered.count("(server dry run)"), len(found), answered)
            n_objects += len(found)
        print(f"shown: {n_objects} rendered objects of {len(VALUES)} sets of values accepted by kube-apiserver (dry-run=server)")

    def test_they_are_valid_by_schema(self):
        place = folder()
        location = schemas.write(place)
        for values in VALUES:
            checked = run(tools() / "kubeconform", "-strict", "-summary", "-skip", ",".join(WITHOUT_CRD), "-schema-location", location, "-", stdin=render(values))
            self.assertIn("Invalid: 0, Errors: 0", checked)
        wrong = render(None).replace("terminationGracePeriodSeconds:", "terminationGraceSeconds:")
        self.assertIn("terminationGraceSeconds", run(tools() / "kubeconform", "-strict", "-schema-location", location, "-", stdin=wrong, fails=True))

    def test_the_server_is_a_restricted_pod_and_forward_is_not(self):
        def pod(template, name):
            return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "restricted"}, "spec": {**template["spec"], "serviceAccountName": "default", "volumes": [*template["spec"]["volumes"], {"name": "data", "emptyDir": {}}] if name == "server" else template["spec"]["volumes"]}})

        found = rendered(None, "forward.enabled=true")
        kubectl("create", "--dry-run=server", "-f", "-", stdin=pod(found["StatefulSet/decklog"]["spec"]["template"], "server"))
        refused = kubectl("create", "--dry-run=server", "-f", "-", stdin=pod(found["DaemonSet/decklog-forward"]["spec"]["template"], "forward"), fails=True)
        self.assertIn("hostPath", refused)

    def test_static_pods_are_accepted(self):
        for path in sorted((ROOT / "deploy/static-pod").glob("*.yaml")):
            kubectl("create", "--dry-run=server", "--validate=strict", "-f", path)

    def test_rotation_keeps_owner_and_mode_of_the_log(self):
        """What docs/install.md says of readers that are not root."""
        log = lab() / "audit.log"
        log.chmod(0o640)
        os.chown(log, 0, 65532)
        before = log.stat()
        pki = lab() / "pki"
        server = re.search(r"SRV=(\S+)", (lab() / "env").read_text())[1]
        # 1 MB (the lab's --audit-log-maxsize here) is some 1,200 requests.
        run("curl", "-sS", "--parallel", "--cacert", pki / "ca.crt", "--cert", pki / "admin.crt", "--key", pki / "admin.key", "-o", "/dev/null", f"{server}/api/v1/namespaces/none-[1-1600]")
        after = wait(lambda: log.exists() and log.stat().st_ino != before.st_ino and log.stat(), "the rotation")
        self.assertEqual((after.st_uid, after.st_gid, after.st_mode), (before.st_uid, before.st_gid, before.st_mode))

    def test_install_upgrade_uninstall(self):
        def helm(*words):
            return run(tools() / "helm", *words, "--namespace", "audit", "--kubeconfig", f"{lab()}/admin.kubeconfig")

        def get(kind, name):
            return json.loads(kubectl("get", "-n", "audit", kind, name, "-o", "json"))

        def checksum():
            return get("statefulset", "decklog")["spec"]["template"]["metadata"]["annotations"]["checksum/config"]

        notes = helm("install", "decklog", CHART, "--set", "forward.enabled=true,cluster=lab")
        self.assertIn("https://decklog.audit.svc:7443", notes)
        before, config = {name: get("secret", name)["data"] for name in ("decklog-tls", "decklog-auth")}, checksum()
        self.assertEqual(get("service", "decklog")["metadata"]["labels"]["app.kubernetes.io/name"], "decklog")
        helm("upgrade", "decklog", CHART, "--set", "forward.enabled=true,cluster=lab,config.retention.maxAge=30d")
        after = {name: get("secret", name)["data"] for name in before}
        self.assertEqual(before, after, "certificates and tokens survive an upgrade")
        self.assertNotEqual(config, checksum())
        # A token is changed by taking it out of the Secret.
        kubectl("patch", "-n", "audit", "secret", "decklog-auth", "--type=json", "-p", '[{"op": "remove", "path": "/data/forward.token"}]')
        helm("upgrade", "decklog", CHART, "--set", "forward.enabled=true,cluster=lab,config.retention.maxAge=30d")
        changed = {name: base64.b64decode(value) for name, value in get("secret", "decklog-auth")["data"].items()}
        self.assertNotEqual(changed["forward.token"], base64.b64decode(after["decklog-auth"]["forward.token"]))
        self.assertEqual(changed["read.token"], base64.b64decode(after["decklog-auth"]["read.token"]))
        self.assertIn(hashlib.sha256(changed["forward.token"]).hexdigest(), changed["tokens"].decode())
        helm("uninstall", "decklog")
        self.assertEqual(kubectl("get", "-n", "audit", "statefulset,daemonset,service,secret,configmap", "-l", "app.kubernetes.io/instance=decklog", "-o", "name"), "")
