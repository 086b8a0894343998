"""pgbench on an upstream, pgspool that captures it, and subscribers: nothing is lost, whatever dies."""

import itertools
import subprocess
import threading
import time
import unittest

import psycopg2

from capturing import DATABASE, SHOP, SLOT, CaptureTest, Stream
from postgres import Postgres
from publisher import eventually
from server import PG_BIN, USER

TABLES = ["pgbench_accounts", "pgbench_branches", "pgbench_tellers", "pgbench_history"]
KILLS = 10
# Seconds that pgbench runs, until the upstream is restarted under it and behind that: longer than
# the kills of that time take.
RUN, RUN_BEHIND = 60, 20
# What both do at least, for the kills to hit something.
TRANSACTIONS = 2000


class EndToEnd(CaptureTest):
    def setUp(self):
        super().setUp()
        self.cluster = Postgres(wal_retrieve_retry_interval="100ms",
                                max_logical_replication_workers=8)
        self.addCleanup(self.cluster.stop)

    def pgbench(self, server, database, *arguments):
        return [str(PG_BIN / "pgbench"), "-h", "127.0.0.1", "-p", str(server.port), "-U", USER,
                *arguments, database]

    def prepare(self, server, database):
        made = subprocess.run(self.pgbench(server, database, "-i", "-q", "-s", "1"),
                              capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual(made.returncode, 0, made.stderr)

    def subscribe(self, name, **options):
        """A database of its own that subscribes, with the tables as they are upstream."""
        made = self.cluster.psql("-c", f"CREATE DATABASE {name}")
        self.assertEqual(made.returncode, 0, made.stderr)
        self.prepare(self.cluster, name)
        options = {"copy_data": "false", **options}
        said = ", ".join(f"{option} = {value}" for option, value in options.items())
        self.ask(name, f"CREATE SUBSCRIPTION {name} CONNECTION '{self.conninfo_here()}"
                       f" password={self.server.password()}' PUBLICATION bench WITH ({said})")
        self.addCleanup(self.forget, name)

    def forget(self, name):
        self.ask(name, f"ALTER SUBSCRIPTION {name} DISABLE",
                 f"ALTER SUBSCRIPTION {name} SET (slot_name = NONE)", f"DROP SUBSCRIPTION {name}")

    def ask(self, database, *statements):
        done = self.cluster.psql("-At", *itertools.chain(*(("-c", s) for s in statements)),
                                 database=database)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.strip()

    def test_all_hold_the_upstreams_rows_after_restarts_and_kills(self):
        self.prepare(self.upstream, DATABASE)
        self.upstream.sql("CREATE PUBLICATION bench FOR ALL TABLES")
        self.capture("bench")
        for name, options in [("first", {}), ("second", {}), ("third", {"binary": "true"})]:
            self.subscribe(name, **options)
        self.here("SELECT pg_create_logical_replication_slot('reader', 'pgoutput')")
        reader = Reader(self)
        reader.start()
        self.trouble()
        end = self.caught_up()
        self.one_is_behind_only_here()
        self.ask("second", "ALTER SUBSCRIPTION second ENABLE")
        for name in ("first", "second", "third"):
            self.confirmed(name, end)
            for table in TABLES:
                wanted = self.upstream.psql("-At", "-c", sum_of(table), database=DATABASE).stdout.strip()
                self.assertEqual(self.ask(name, sum_of(table)), wanted, f"{name}.{table}")
        reader.until(end)
        history = self.upstream.sql("SELECT count(*) FROM pgbench_history")[0][0]
        self.assertEqual(reader.num_history, history)
        self.assertEqual(len(reader.ends), len(set(reader.ends)))
        self.assertEqual(reader.ends, sorted(reader.ends))
        self.assertGreater(history, TRANSACTIONS)

    def work(self, seconds):
        """pgbench on the upstream, running."""
        bench = subprocess.Popen(
            self.pgbench(self.upstream, DATABASE, "-n", "-c", "2", "-T", str(seconds), "-R", "400"),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.addCleanup(bench.communicate)
        self.addCleanup(bench.kill)
        return bench

    def trouble(self):
        """Kills pgspool ten times, restarts the upstream, and takes one subscriber away."""
        bench = self.work(RUN)
        for number in range(KILLS):
            time.sleep(1.5)
            self.kill_here()
            self.start_here()
            if number == KILLS // 2:
                self.ask("second", "ALTER SUBSCRIPTION second DISABLE")
                self.assertIsNone(bench.poll())
                self.upstream.shut_down()
                # It ends with the upstream: more work behind that.
                bench.communicate(timeout=120)
                self.upstream.start_again()
                bench = self.work(RUN_BEHIND)
        self.assertIsNone(bench.poll(), "every kill hits a busy upstream")
        said, _ = bench.communicate(timeout=120)
        self.assertEqual(bench.returncode, 0, said)

    def one_is_behind_only_here(self):
        """The disabled subscriber's WAL is kept here, and not upstream."""
        held = "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint" \
               " FROM pg_replication_slots WHERE slot_name = "
        behind = self.here(f"{held}'second'")[0][0]
        self.assertGreater(behind, 100_000)
        # Slots let go of WAL when running transactions are listed: with each checkpoint.
        eventually(lambda: self.upstream.sql("CHECKPOINT", f"{held}'{SLOT}'")[0][0] * 10 < behind,
                   "the upstream's slot to follow")
        self.assertEqual(self.upstream.sql("SELECT count(*) FROM pg_replication_slots")[0][0], 1)
        self.assertGreaterEqual(self.here(f"{held}'second'")[0][0], behind)

    def confirmed(self, slot, end):
        asked = f"SELECT confirmed_flush_lsn >= '{end}'::pg_lsn FROM pg_replication_slots" \
                f" WHERE slot_name = '{slot}'"
        eventually(lambda: self.here(asked) == [(True,)], f"{slot} to confirm {end}")


class Reader(threading.Thread):
    """A consumer that keeps its own place, as one does that stores it with its data."""

    def __init__(self, test):
        super().__init__(daemon=True)
        self.test, self.place, self.ends, self.num_history = test, 0, [], 0
        self.done = threading.Event()
        test.addCleanup(self.done.set)

    def run(self):
        while not self.done.is_set():
            try:
                self.follow()
            except psycopg2.Error:
                time.sleep(0.1)

    def follow(self):
        options = {"proto_version": "1", "publication_names": "bench"}
        start = f"{self.place >> 32:X}/{self.place & 0xFFFFFFFF:X}"
        stream = Stream(self.test.conninfo_here(SHOP), "reader", options, start)
        pending, history = 0, None
        try:
            while not self.done.is_set():
                message = stream.cursor.read_message()
                if message is None:
                    time.sleep(0.01)
                    continue
                payload = bytes(message.payload)
                if payload[:1] == b"R" and b"pgbench_history\0" in payload:
                    history = payload[1:5]
                elif payload[:1] == b"B":
                    pending = 0
                elif payload[:1] == b"I" and payload[1:5] == history:
                    pending += 1
                elif payload[:1] == b"C":
                    self.place = int.from_bytes(payload[10:18], "big")
                    self.ends.append(self.place)
                    self.num_history += pending
                    stream.confirm(self.place)
        finally:
            stream.close()

    def until(self, end):
        """Waits until it has everything that it is to get."""
        asked = "SELECT count(*) FROM pgbench_history"
        wanted = self.test.upstream.sql(asked)[0][0]
        eventually(lambda: self.num_history >= wanted, f"the reader to have {wanted} rows by {end}")
        self.done.set()
        self.join(60)


def sum_of(table):
    """The table's rows as one value."""
    row = "md5(string_agg(t::text, '|' ORDER BY t::text))"
    return f"SELECT count(*), {row} FROM {table} t"


if __name__ == "__main__":
    unittest.main()
