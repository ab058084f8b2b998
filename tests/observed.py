"""What those who run it see: /metrics, /readyz, the health details; the dashboard and the alerts name what is there."""

import http.server
import json
import pathlib
import re
import shutil
import subprocess
import tempfile
import threading
import unittest

import yaml
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from jumelle_server import ROOT, wait_until
from shop import Inbox, Shop, basic, identified, viewed, workspace

TOOLS = """\
destinations:
  mailer: {connector: webhook, url: "URL", allow_private: true}
activations:
  mail: {segment: lookers, destination: mailer, purpose: marketing, channel: email, map: {email: identifiers.email}}
"""
DASHBOARD = ROOT / "deploy" / "grafana" / "jumelle.json"
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yaml"
METRIC = re.compile(r"\bjumelle_[a-z0-9_]+")


def expressions():
    """Every query of the dashboard and every rule, by where it stands."""
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel.get("targets", []):
            yield f"dashboard: {panel['title']}", target["expr"]
    for group in yaml.safe_load(ALERTS.read_text())["groups"]:
        for rule in group["rules"]:
            yield f"alert: {rule['alert']}", rule["expr"]


class Collector:
    """What an OpenTelemetry collector is to those who send: `POST /v1/traces`, protobuf."""

    def __enter__(self):
        collector = self
        self.spans = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.path == "/v1/traces":
                    asked = ExportTraceServiceRequest.FromString(body)
                    scopes = [scope for resource in asked.resource_spans for scope in resource.scope_spans]
                    collector.spans += [span for scope in scopes for span in scope.spans]
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def named(self, name):
        return [span for span in self.spans if span.name == name]


class Observed(unittest.TestCase):
    def start(self, answer=lambda message: 204):
        self.inbox = self.enterContext(Inbox(answer))
        self.shop = self.enterContext(Shop(workspace(TOOLS.replace("URL", self.inbox.url))))

    def live(self):
        """One message that leaves, one event of each kind that is dropped."""
        bad = {"type": "track", "event": "no one"}
        self.shop.send(viewed("ana", "m1", seconds=1), viewed("ana", "m2"), identified("ana", email="ana@example.org"), bad)
        self.shop.send(viewed("ana", "m1"))
        self.shop.consent({"email": "ana@example.org"}, "granted", channel="email")
        wait_until(self.inbox.taken, "delivered")
        wait_until(lambda: self.shop.metric("jumelle_deliveries_total", destination="mailer", state="sent") == 1, "recorded")
        self.shop.call("GET", "/v1/session", admin=False)
        wait_until(lambda: self.details()["durations"][3]["count"], "the tables are written once")

    def test_the_details_add_up(self):
        self.start()
        self.live()
        seen = self.details()
        self.assertEqual((True, None, False, 0), (seen["ready"], seen["why"], seen["computing"], seen["lag"]["entries"]))
        counts = {one["key"]: one["count"] for one in seen["durations"]}
        self.assertEqual(["commit", "processed", "sent", "flush"], list(counts))
        self.assertEqual(1, counts["sent"])
        self.assertGreaterEqual(counts["commit"], 4)
        for one in seen["durations"]:
            self.assertTrue(0 <= one["p50_ms"] <= one["p99_ms"] <= one["max_ms"], one)
        dropped = {(one["what"], one["reason"]): one["count"] for one in seen["dropped"]}
        self.assertEqual(1, dropped[("duplicate", None)])
        self.assertEqual(1, dropped[("unauthorized", "token")])
        self.assertEqual(1, sum(count for (what, _), count in dropped.items() if what == "quarantined"))
        (outbox,) = seen["outboxes"]
        self.assertEqual(("mailer", 0, 0, "closed"), tuple(outbox[key] for key in ("destination", "queued", "dead", "circuit")))
        self.assertEqual(1, seen["people"]["cached"])
        self.assertGreater(seen["people"]["hits"], 0)
        stores = {store["key"]: store for store in seen["stores"]}
        self.assertEqual({"history", "tables"}, set(stores))
        self.assertIn("people", {part["part"] for part in stores["tables"]["parts"]})
        self.assertTrue(all(store["journals"] >= 1 and store["disk_bytes"] > 0 for store in stores.values()), stores)
        self.assertGreater(seen["memory_bytes"], 1 << 20)

    def details(self):
        return self.shop.get("/v1/health/details")

    def test_traces_go_to_a_collector_and_follow_the_caller(self):
        collector = self.enterContext(Collector())
        shop = self.enterContext(Shop(workspace(), "--otlp-endpoint", collector.url, "--trace-ratio", "1"))
        caller, trace = "00f067aa0ba902b7", "4bf92f3577b34da6a3ce929d0e0e4736"
        body = {"batch": [viewed("zoe-b1", "m1"), identified("zoe-b1", email="zoe@example.org")]}
        headers = {**basic("wk_site"), "traceparent": f"00-{trace}-{caller}-01"}
        self.assertEqual(200, shop.call("POST", "/v1/batch", body, headers=headers, admin=False).status)
        shop.call("GET", "/v1/profiles/email:zoe@example.org")
        wait_until(lambda: collector.named("GET /v1/profiles/{id}") or None, "the spans are sent")
        (request,) = collector.named("POST /v1/batch")
        self.assertEqual((trace, caller), (request.trace_id.hex(), request.parent_span_id.hex()))
        self.assertEqual(Span.SPAN_KIND_SERVER, request.kind)
        attributes = {one.key: one.value for one in request.attributes}
        self.assertEqual(200, attributes["http.response.status_code"].int_value)
        for name in ["decode", "commit"]:
            (inner,) = collector.named(name)
            self.assertEqual((request.trace_id, request.span_id), (inner.trace_id, inner.parent_span_id), name)
            self.assertTrue(request.start_time_unix_nano <= inner.start_time_unix_nano <= inner.end_time_unix_nano)
        wait_until(lambda: collector.named("fold") or None, "the fold's spans are sent")
        self.assertNotIn("zoe", "".join(map(str, collector.spans)), "no personal data in a trace")

    def test_a_tool_that_is_down_is_seen(self):
        self.start(lambda message: 500)
        self.shop.send(viewed("ana", seconds=1), viewed("ana"), identified("ana", email="ana@example.org"))
        self.shop.consent({"email": "ana@example.org"}, "granted", channel="email")
        wait_until(lambda: self.shop.metric("jumelle_delivery_failures_total", destination="mailer"), "tried")
        (outbox,) = wait_until(lambda: [o for o in self.details()["outboxes"] if o["queued"] == 1], "it waits")
        self.assertIsNotNone(outbox["oldest_queued_at"])
        wait_until(lambda: self.shop.metric("jumelle_outbox_oldest_seconds", destination="mailer") > 0, "its age")
        self.assertTrue(self.details()["ready"], "a tool that is down is no reason to take no events")

    def test_dashboard_and_alerts_name_metrics_that_are_there(self):
        self.start()
        self.live()
        text = self.shop.call("GET", "/metrics").body.decode()
        given = {line.split("{")[0].split(" ")[0] for line in text.splitlines() if line and not line.startswith("#")}
        # Some are counted for the first time when it happens; the descriptions name all that there can be.
        source = (ROOT / "crates" / "server" / "src" / "operations.rs").read_text()
        described = set(re.findall(r'\("(jumelle_[a-z0-9_]+)", "', source))
        rare = {
            "jumelle_alarms_total", "jumelle_census_seconds", "jumelle_connections_refused_total", "jumelle_corrected_identifiers_total",
            "jumelle_delivery_failures_total", "jumelle_files_total", "jumelle_inbound_unknown_total", "jumelle_lapsed_people_total",
            "jumelle_limited_total", "jumelle_reconciliation_drift", "jumelle_results_total", "jumelle_splits_total",
            "jumelle_replayed_deliveries_total", "jumelle_test_calls_total",
        }  # fmt: skip
        found = list(expressions())
        self.assertGreater(len(found), 20)
        for where, expression in found:
            for metric in METRIC.findall(expression):
                with self.subTest(where, metric=metric):
                    self.assertIn(metric, given | (rare & described))
        undescribed = {re.sub("_(bucket|sum|count)$", "", name) for name in given} - described
        self.assertEqual(set(), undescribed, "each metric says what it is")

    def test_the_rules_parse(self):
        groups = yaml.safe_load(ALERTS.read_text())["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        self.assertGreater(len(rules), 8)
        for rule in rules:
            self.assertEqual({"alert", "expr", "for", "labels", "annotations"}, set(rule))
            self.assertIn(rule["labels"]["severity"], ("page", "ticket"))
            self.assertEqual({"summary", "description"}, set(rule["annotations"]))
        promtool = shutil.which("promtool")
        if promtool is None:
            self.skipTest("promtool is not installed: the expressions are not parsed")
        # The dashboard's queries as rules, so that they are parsed too; Grafana puts its own span in the place of its variable.
        queries = [expr.replace("$__rate_interval", "5m") for where, expr in expressions() if where.startswith("dashboard")]
        records = [{"record": f"test:query:{n}", "expr": expr} for n, expr in enumerate(queries)]
        with tempfile.TemporaryDirectory() as directory:
            dashboard = pathlib.Path(directory) / "dashboard.yaml"
            dashboard.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": records}]}))
            for file in (ALERTS, dashboard):
                checked = subprocess.run([promtool, "check", "rules", str(file)], capture_output=True, text=True, check=False)
                self.assertEqual(0, checked.returncode, checked.stdout + checked.stderr)


if __name__ == "__main__":
    unittest.main()
