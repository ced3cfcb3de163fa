"""Alerts and the dashboard: they parse, fire when they should, and ask only for metrics that there are."""

import json
import re
import unittest

from common import CHART, HERE, ROOT, folder, rendered, run, tools

RULES = CHART / "files/rules.yaml"
DASHBOARD = json.loads((CHART / "files/dashboard.json").read_text())
# kube-apiserver's own, for the alerts about it.
OTHERS = {"apiserver_audit_error_total", "apiserver_audit_event_total", "apiserver_audit_level_total", "apiserver_audit_requests_rejected_total"}


def rules() -> list[dict]:
    text = RULES.read_text()
    return [rule for group in json.loads(run(tools() / "strict", stdin=f"kind: rules\n{text}"))["groups"] for rule in group["rules"]]


def documented() -> set[str]:
    """The metrics of docs/metrics.md, histograms with their three series."""
    found = set()
    for line in (ROOT / "docs/metrics.md").read_text().splitlines():
        cells = line.split("|")
        if len(cells) > 4 and cells[1].strip().startswith("`"):
            kinds = [kind.strip() for kind in cells[2].split(",")]
            names = re.findall(r"`(\w+)`", cells[1])
            for index, name in enumerate(names):
                kind = kinds[min(index, len(kinds) - 1)]
                found |= {f"{name}_{part}" for part in ("bucket", "sum", "count")} if kind == "histogram" else {name}
    return found


def metrics_of(expression: str) -> set[str]:
    return set(re.findall(r"\b(?:decklog|apiserver)_\w+", expression))


def queries() -> list[tuple[str, str]]:
    return [(panel["title"], target["expr"]) for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]


class Alerts(unittest.TestCase):
    def test_they_parse(self):
        run("promtool", "check", "rules", RULES)

    def test_they_fire_when_they_should(self):
        cases = folder() / "alerts.yaml"
        cases.write_text((HERE / "alerts.yaml").read_text().replace("RULES", str(RULES)))
        run("promtool", "test", "rules", cases)

    def test_each_has_a_case_a_severity_and_a_runbook(self):
        cases = (HERE / "alerts.yaml").read_text()
        runbooks = re.findall(r"^## (\w+)$", (ROOT / "docs/runbooks.md").read_text(), re.M)
        names = [rule["alert"] for rule in rules()]
        self.assertEqual(names, runbooks)
        for rule in rules():
            name = rule["alert"]
            self.assertIn(f"alertname: {name}\n", cases, "no case where it fires")
            self.assertIn(rule["labels"]["severity"], ("critical", "warning"))
            self.assertEqual(rule["annotations"]["runbook_url"], f"https://decklog.io/docs/runbooks.md#{name.lower()}")
            self.assertTrue(rule["annotations"]["summary"] and rule["annotations"]["description"])

    def test_they_ask_for_metrics_that_there_are(self):
        for rule in rules():
            self.assertLessEqual(metrics_of(rule["expr"]), documented() | OTHERS, rule["alert"])

    def test_the_chart_takes_them_over(self):
        objects = rendered("everything")
        rule = objects["PrometheusRule/decklog-audit-log"]
        shipped = [rule for group in rule["spec"]["groups"] for rule in group["rules"]]
        self.assertEqual([rule["alert"] for rule in shipped], [rule["alert"] for rule in rules() if rule["alert"] != "KubeAuditLevelShift"])
        self.assertEqual([rule["expr"] for rule in shipped], [rule["expr"] for rule in rules() if rule["alert"] != "KubeAuditLevelShift"])
        self.assertEqual(shipped[0]["annotations"]["runbook_url"], "https://wiki.example/decklogdown")
        text = folder() / "rules.yaml"
        text.write_text(json.dumps({"groups": rule["spec"]["groups"]}))
        run("promtool", "check", "rules", text)


class Dashboard(unittest.TestCase):
    def test_panels_are_told_apart_and_do_not_overlap(self):
        taken = set()
        for panel in DASHBOARD["panels"]:
            place = panel["gridPos"]
            cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
            self.assertFalse(cells & taken, panel["title"])
            self.assertLessEqual(place["x"] + place["w"], 24)
            taken |= cells
        self.assertEqual(len({panel["id"] for panel in DASHBOARD["panels"]}), len(DASHBOARD["panels"]))
        for panel in DASHBOARD["panels"]:
            if panel["type"] != "row":
                self.assertTrue(panel["description"], panel["title"])
                self.assertEqual(panel["datasource"]["uid"], "${datasource}")

    def test_queries_parse(self):
        asked = folder() / "queries.yaml"
        plain = [re.sub(r"\$__rate_interval", "5m", query).replace("$job", ".*").replace("$instance", ".*") for _, query in queries()]
        asked.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": [{"record": f"query:{index}", "expr": query} for index, query in enumerate(plain)]}]}))
        run("promtool", "check", "rules", asked)

    def test_it_asks_for_metrics_that_there_are(self):
        for title, query in queries():
            self.assertLessEqual(metrics_of(query), documented(), title)

    def test_the_chart_takes_it_over(self):
        found = rendered("everything")["ConfigMap/decklog-audit-log-dashboard"]
        self.assertEqual(json.loads(found["data"]["decklog.json"]), DASHBOARD)
        self.assertEqual(found["metadata"]["labels"]["grafana_dashboard"], "1")
        self.assertEqual(found["metadata"]["annotations"]["grafana_folder"], "Security")
