"""/metrics as the parser of Prometheus's own Python client reads it, against the SQL views."""

import operator
import os
import re
import subprocess
import threading
import time
import unittest
import urllib.error
import urllib.request

import psycopg2
from prometheus_client.parser import text_string_to_metric_families

from server import PATIENCE, PG_BIN, USER, Server, ServerTest, record

STATUS = re.compile(r"^status on (http://127\.0\.0\.1:\d+)/$")
COUNTED = 500


class WatchedServer(Server):
    """A server that says where its metrics are. `admin` is where."""

    def _read_port(self):
        port = super()._read_port()
        self.admin = self._said(STATUS)
        return port

    def get(self, path, **headers):
        request = urllib.request.Request(self.admin + path, headers=headers)
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.headers, answer.read().decode()


class Metrics(ServerTest):
    def start(self, *settings):
        self._server = WatchedServer(self.data, "--admin", "127.0.0.1:0", *settings)
        self.addCleanup(self._server.stop)
        return self._server

    def families(self):
        """All families by name."""
        headers, text = self.server.get("/metrics")
        self.assertEqual(headers["Content-Type"], "text/plain; version=0.0.4")
        families = list(text_string_to_metric_families(text))
        names = [family.name for family in families]
        self.assertEqual(len(names), len(set(names)), "a name comes once")
        return {family.name: family for family in families}

    def sample(self, families, name, **labels):
        """The value of the one sample with these labels (and perhaps more)."""
        family = families[re.sub("_(total|bucket|count|sum)$", "", name)]
        fits = [
            sample.value
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]
        self.assertEqual(len(fits), 1, f"{name} {labels}: {family.samples}")
        return fits[0]

    def value(self, query):
        answer = self.server.psql("-Atc", query)
        self.assertEqual(answer.returncode, 0, answer.stderr)
        return answer.stdout.strip()

    def test_a_prometheus_parser_reads_what_the_views_say(self):
        self.value("SELECT pg_create_logical_replication_slot('warehouse', 'json')")
        lines = "".join(record(rid) + "\n" for rid in range(COUNTED))
        copied = self.server.psql(
            "-c", "COPY pgspool.changes FROM STDIN WITH (FORMAT ndjson)", input=lines
        )
        self.assertEqual(copied.returncode, 0, copied.stderr)
        families = self.families()
        for family in families.values():
            self.assertTrue(family.documentation, family.name)
            self.assertIn(family.type, ("gauge", "counter", "histogram"), family.name)
            for sample in family.samples:
                self.assertTrue(sample.name.startswith("pgspool_"), sample)
        database = {"database": "pgspool"}
        slot = {**database, "slot": "warehouse"}
        for name, labels, query in [
            ("pgspool_head_lsn_bytes", database, "SELECT pg_current_wal_lsn() - '0/0'"),
            ("pgspool_published_records_total", database, f"SELECT {COUNTED}"),
            ("pgspool_sync_records_sum", database, f"SELECT {COUNTED}"),
            ("pgspool_slot_lag_bytes", slot, "SELECT lag_bytes FROM pgspool.slots"),
            (
                "pgspool_slot_safe_wal_bytes",
                slot,
                "SELECT safe_wal_size FROM pg_replication_slots",
            ),
            ("pgspool_slot_retained_bytes", slot, "SELECT retained_bytes FROM pgspool.slots"),
            (
                "pgspool_slot_wal_status",
                {**slot, "wal_status": "reserved"},
                "SELECT (wal_status = 'reserved')::int FROM pg_replication_slots",
            ),
        ]:
            told = float(self.value(query))
            self.assertEqual(self.sample(families, name, **labels), told, name)

    def test_metrics_hold_while_a_copy_and_a_stream_run(self):
        self.value("SELECT pg_create_logical_replication_slot('warehouse', 'json')")
        reader = subprocess.Popen(
            [str(PG_BIN / "pg_recvlogical"), *self.server._address("pgspool"), "--slot",
             "warehouse", "--start", "--status-interval", "1", "--file", os.devnull],
        )
        self.addCleanup(reader.wait)
        self.addCleanup(reader.kill)
        connection = psycopg2.connect(host="127.0.0.1", port=self.server.port, user=USER,
                                      dbname="pgspool")
        self.addCleanup(connection.close)
        connection.autocommit = True
        cursor = connection.cursor()

        def told():
            cursor.execute(
                "SELECT pg_current_wal_lsn() - '0/0', restart_lsn - '0/0', total_bytes "
                "FROM pg_replication_slots JOIN pg_stat_replication_slots USING (slot_name)"
            )
            return [float(value) for value in cursor.fetchone()]

        first, seen = told(), []
        ended = threading.Event()
        producer = threading.Thread(target=self.produce, args=(ended,))
        producer.start()
        self.addCleanup(producer.join)
        self.addCleanup(ended.set)
        deadline = time.monotonic() + 60
        # Until all three have moved, and often enough.
        while len(seen) < 20 or not all(map(operator.gt, seen[-1], first)):
            self.assertLess(time.monotonic(), deadline, f"{first} {seen[-1:]}")
            low, families, high = told(), self.families(), told()
            slot = {"database": "pgspool", "slot": "warehouse"}
            seen.append([
                self.sample(families, "pgspool_head_lsn_bytes", database="pgspool"),
                self.sample(families, "pgspool_slot_restart_lsn_bytes", **slot),
                self.sample(families, "pgspool_slot_sent_bytes_total", **slot),
            ])
            for least, metric, most in zip(low, seen[-1], high):
                self.assertTrue(least <= metric <= most, f"{low} {seen[-1]} {high}")

    def produce(self, ended):
        """COPYs until told to end."""
        rid = 0
        while not ended.is_set():
            lines = "".join(record(rid + n) + "\n" for n in range(COUNTED))
            rid += COUNTED
            self.server.psql(
                "-c", "COPY pgspool.changes FROM STDIN WITH (FORMAT ndjson)", input=lines
            )

    def test_buckets_rise_to_the_count(self):
        copied = self.server.psql(
            "-c", "COPY pgspool.changes FROM STDIN WITH (FORMAT ndjson)", input=record(1) + "\n"
        )
        self.assertEqual(copied.returncode, 0, copied.stderr)
        families = self.families()
        for name in ("pgspool_sync_duration_seconds", "pgspool_sync_records"):
            samples = families[name].samples
            buckets = [s.value for s in samples if s.name.endswith("_bucket")]
            count = [s.value for s in samples if s.name.endswith("_count")]
            self.assertEqual(buckets, sorted(buckets), name)
            self.assertEqual([buckets[-1]], count, name)
            bounds = [float(s.labels["le"]) for s in samples if s.name.endswith("_bucket")]
            self.assertEqual(bounds, sorted(bounds), name)

    def test_it_is_ready_and_answers_no_stranger(self):
        self.assertEqual(self.server.get("/readyz")[1], "ready\n")
        self.assertIn("all well", self.server.get("/")[1])
        with self.assertRaises(urllib.error.HTTPError) as refused:
            self.server.get("/metrics", Host="evil.example")
        self.assertEqual(refused.exception.code, 421)


if __name__ == "__main__":
    unittest.main()
