"""Observability as a platform team has it: a Prometheus that scrapes the server, the alerts and the dashboard of
deploy/, the log, and docs/observability.md.

prometheus_test.py SPIKESERVE SPIKECTL
"""
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
DEPLOY = REPOSITORY / "deploy"
GUIDE = (REPOSITORY / "docs/observability.md").read_text()
SPIKESERVE, SPIKECTL = (pathlib.Path(path).resolve() for path in sys.argv[1:3])
CALLS = 37
# Only there with TLS.
OF_TLS = "spikeserve_tls_certificate_expiry_timestamp_seconds"


def get(url):
    with urllib.request.urlopen(url, timeout=10) as response:
        return response.read().decode()


def eventually(what, value, wanted):
    """Calls `value` until it returns `wanted`; the test's own timeout is the limit."""
    shown = None
    for _ in range(600):
        try:
            shown = value()
        except (urllib.error.URLError, ConnectionError) as error:
            shown = error
        if shown == wanted:
            return
        time.sleep(0.1)
    raise AssertionError(f"{what}: is {shown}, should become {wanted}")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    """The server, its log in a file."""

    def __init__(self, folder, *flags):
        self.log = pathlib.Path(folder) / "log"
        with open(self.log, "w") as log:
            self.process = subprocess.Popen([SPIKESERVE, "--listen=127.0.0.1:0", "--metrics-listen=127.0.0.1:0", *flags],
                                            stdout=subprocess.PIPE, stderr=log, text=True)
        self.lines = [self.process.stdout.readline() for _ in range(2)]
        self.address, self.metrics = (line.split()[-1] for line in self.lines)

    def page(self):
        return get(f"http://{self.metrics}/metrics")

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=60)
        self.process.stdout.close()
        return code

    def spikectl(self, *arguments):
        return subprocess.run([SPIKECTL, *arguments, "--server", self.address], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True)


def families(page):
    return {line.split()[2] for line in page.splitlines() if line.startswith("# TYPE ")}


def expressions():
    """What the alerts and the dashboard ask for, with the dashboard's variables filled in."""
    rules = (DEPLOY / "prometheus/spikeserve.rules.yml").read_text()
    # The part of YAML that the file uses: an expression on its line, or in the deeper lines after ">-".
    found = re.findall(r"^ +expr: (?!>-)(.*)$", rules, re.MULTILINE)
    found += [" ".join(lines.split()) for lines in re.findall(r"^ +expr: >-\n((?: {10,}.*\n)+)", rules, re.MULTILINE)]
    assert len(found) == rules.count("expr:") > 0
    dashboard = json.loads((DEPLOY / "grafana/spikeserve.json").read_text())
    for panel in dashboard["panels"]:
        found += [target["expr"] for target in panel["targets"]]
    return [expr.replace("$__rate_interval", "1m").replace("$instance", ".*") for expr in found]


class PrometheusTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.server = Server(cls.folder.name, "--log-slow-call=0", "--log-format=json",
                            f"--state-dir={cls.folder.name}/state")
        shutil.copy(DEPLOY / "prometheus/spikeserve.rules.yml", cls.folder.name)
        config = (DEPLOY / "prometheus/prometheus.yml").read_text()
        assert "127.0.0.1:9464" in config and "15s" in config
        config = config.replace("127.0.0.1:9464", cls.server.metrics).replace("15s", "1s")
        path = pathlib.Path(cls.folder.name) / "prometheus.yml"
        path.write_text(config)
        listen = f"127.0.0.1:{free_port()}"
        cls.api = f"http://{listen}/api/v1/"
        with open(path.with_suffix(".log"), "w") as log:
            cls.prometheus = subprocess.Popen(
                ["prometheus", f"--config.file={path}", f"--storage.tsdb.path={cls.folder.name}/data",
                 f"--web.listen-address={listen}"], stdout=log, stderr=log)

    @classmethod
    def tearDownClass(cls):
        cls.prometheus.terminate()
        cls.prometheus.wait(timeout=60)
        cls.server.end()
        cls.folder.cleanup()

    def query(self, expression):
        return json.loads(get(self.api + "query?" + urllib.parse.urlencode({"query": expression})))["data"]["result"]

    def test_prometheus_has_the_number_of_calls_that_were_made(self):
        eventually("up", lambda: [s["value"][1] for s in self.query('up{job="spikeserve"}')], ["1"])
        load = self.server.spikectl("load", "--method", "stca-loss", "--calls", str(CALLS))
        self.assertEqual(load.returncode, 0, load.stderr)
        # One more connects.
        eventually("calls", lambda: [s["value"][1] for s in self.query(
            'sum(spikeserve_calls_total{method="StcaLoss", code="OK"})')], [str(CALLS + 1)])
        eventually("times", lambda: [s["value"][1] for s in self.query(
            'spikeserve_call_compute_seconds_count{method="StcaLoss"}')], [str(CALLS + 1)])

    def test_the_alerts_are_loaded_and_none_fires(self):
        names = set(re.findall(r"- alert: (\w+)", (DEPLOY / "prometheus/spikeserve.rules.yml").read_text()))

        def healthy():
            rules = [rule for group in json.loads(get(self.api + "rules"))["data"]["groups"] for rule in group["rules"]]
            return {rule["name"] for rule in rules if rule["health"] == "ok" and rule["state"] != "firing"}

        eventually("rules", healthy, names)

    def test_each_expression_is_one_and_names_families_that_there_are(self):
        eventually("up", lambda: [s["value"][1] for s in self.query('up{job="spikeserve"}')], ["1"])
        known = families(self.server.page()) | {"up", OF_TLS}
        for expression in expressions():
            with self.subTest(expression):
                self.query(expression)  # Prometheus answers 400 to what it cannot read.
                names = re.findall(r"\b(?:spikeserve|process|exposer)_\w+|\bup\b", expression)
                self.assertTrue(names)
                for name in names:
                    self.assertIn(re.sub(r"_(bucket|sum|count)$", "", name), known)

    def test_what_an_alert_speaks_of_is_on_the_dashboard(self):
        rules = (DEPLOY / "prometheus/spikeserve.rules.yml").read_text()
        dashboard = (DEPLOY / "grafana/spikeserve.json").read_text()
        for name in set(re.findall(r"spikeserve_\w+", rules)):
            self.assertIn(name, dashboard)

    def test_promtool_finds_nothing_wrong(self):
        # promtool exits with 3 where it only finds fault with names.
        rules = DEPLOY / "prometheus/spikeserve.rules.yml"
        subprocess.run(["promtool", "check", "rules", rules], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["promtool", "check", "config", DEPLOY / "prometheus/prometheus.yml"], check=True,
                       stdout=subprocess.DEVNULL)
        checked = subprocess.run(["promtool", "check", "metrics"], input=self.server.page(), text=True,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual(checked.returncode, 0, checked.stdout)

    def test_the_alerts_say_what_they_should(self):
        folder = pathlib.Path(self.folder.name)
        tests = shutil.copy(REPOSITORY / "tests/ops/alerts_test.yml", folder)
        told = subprocess.run(["promtool", "test", "rules", tests], cwd=folder, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        self.assertEqual(told.returncode, 0, told.stdout)

    def test_the_guide_lists_the_families_and_no_others(self):
        listed = re.findall(r"^\| `((?:spikeserve|process)_\w+)`", GUIDE, re.MULTILINE)
        there = {name for name in families(self.server.page()) if not name.startswith("exposer_")} | {OF_TLS}
        self.assertEqual(sorted(listed), sorted(there))

    def test_the_guides_commands_work(self):
        environment = {**os.environ, "ADDRESS": self.server.address, "METRICS": self.server.metrics,
                       "PATH": f"{SPIKESERVE.parent}:{SPIKECTL.parent}:{os.environ['PATH']}"}
        commands = re.findall(r"^```sh\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)
        self.assertTrue(commands)
        for block in commands:
            subprocess.run(["bash", "-euo", "pipefail", "-c", block], check=True, env=environment, cwd=REPOSITORY,
                           stdout=subprocess.DEVNULL)

    def test_the_guides_line_of_the_log_is_as_the_servers(self):
        self.server.spikectl("network", "reset", "absent")
        examples = [json.loads(line) for block in re.findall(r"^```json\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)
                    for line in block.splitlines()]
        self.assertTrue(examples)
        for example in examples:
            fields = [name for name in example if name not in ("identity", "trace_id", "span_id")]
            # The server does not wait until a line is written.
            eventually("a line with these fields", lambda: any(
                list(json.loads(line)) == fields for line in self.server.log.read_text().splitlines(keepends=True)
                if line.endswith("\n")), True)


class ProcessTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def test_a_life_is_told_in_the_log_and_on_stdout(self):
        server = Server(self.folder)
        self.assertRegex(server.lines[0], r"^spikeserve listening on 127\.0\.0\.1:\d+$")
        self.assertRegex(server.lines[1], r"^spikeserve metrics on 127\.0\.0\.1:\d+$")
        self.assertEqual(server.end(), 0)
        # Where stderr is no terminal, it is JSON.
        lines = [json.loads(line) for line in server.log.read_text().splitlines()]
        self.assertEqual([line["message"] for line in lines], ["started", "listening", "metrics", "draining", "ended"])
        self.assertEqual(lines[0]["tls"], "off")
        self.assertEqual(lines[1]["address"], server.address)
        self.assertEqual(lines[3]["signal"], "SIGTERM")
        for line in lines:
            self.assertRegex(line["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")

    def test_failed_calls_are_in_the_log_and_good_ones_in_that_of_who_looks_for_them(self):
        for flags, logged, others in ((["--log-level=debug"], 1, 1), ([], 1, 0), (["--log-level=warning"], 0, 0)):
            server = Server(self.folder, *flags)
            server.spikectl("network", "reset", "absent")
            server.spikectl("network", "list")
            server.end()
            self.assertEqual(server.log.read_text().count('"ListNetworks"'), others)
            calls = [json.loads(line) for line in server.log.read_text().splitlines() if '"ResetNet"' in line]
            self.assertEqual(len(calls), logged)
            for call in calls:
                self.assertEqual(call["code"], "NOT_FOUND")
                self.assertIn("absent", call["status"])

    def test_the_expiry_of_the_certificate_and_the_drain_are_in_the_metrics(self):
        key, certificate = f"{self.folder}/key", f"{self.folder}/certificate"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-days", "30", "-subj", "/CN=localhost", "-keyout", key, "-out", certificate], check=True,
                       stderr=subprocess.DEVNULL)
        server = Server(self.folder, f"--tls-cert={certificate}", f"--tls-key={key}", "--drain-delay=1000",
                        "--log-level=off")

        def value(name):
            return float(re.search(rf"^{name} (\S+)$", server.page(), re.MULTILINE)[1])

        self.assertAlmostEqual(value(OF_TLS), time.time() + 30 * 86400, delta=3600)
        self.assertEqual(value("spikeserve_draining"), 0)
        server.process.send_signal(signal.SIGTERM)
        eventually("draining", lambda: value("spikeserve_draining"), 1)
        server.process.kill()
        server.process.wait()
        server.process.stdout.close()

    def test_text_is_for_people(self):
        server = Server(self.folder, "--log-format=text")
        server.end()
        self.assertRegex(server.log.read_text(), r"Z info    listening address=127\.0\.0\.1:\d+\n")

    def test_what_cannot_be_is_told_in_one_line(self):
        server = Server(self.folder)
        self.addCleanup(server.end)
        for flag, wanted in ((f"--metrics-listen={server.metrics}", f"cannot listen on {server.metrics}"),
                             ("--metrics-listen=nonsense", "need HOST:PORT"), ("--log-level=loud", "got loud"),
                             ("--log-format=xml", "got xml"), ("--log-slow-call=-1", "need seconds")):
            ended = subprocess.run([SPIKESERVE, "--listen=127.0.0.1:0", flag], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, timeout=60)
            self.assertEqual(ended.returncode, 2, flag)
            self.assertEqual(ended.stdout, "")
            self.assertRegex(ended.stderr, rf"^spikeserve: {flag.split('=')[0]}.*{re.escape(wanted)}.*\n$")

    def test_a_reader_of_the_log_that_is_gone_does_not_end_the_server(self):
        process = subprocess.Popen([SPIKESERVE, "--listen=127.0.0.1:0", "--log-slow-call=0"], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        address = process.stdout.readline().split()[-1]
        process.stderr.close()
        for _ in range(2):
            subprocess.run([SPIKECTL, "statistics", "--server", address], check=True, stdout=subprocess.DEVNULL)
        process.terminate()
        self.assertEqual(process.wait(timeout=60), 0)
        process.stdout.close()


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v"])
