"""Large transactions of an upstream: they come whole and once, in bounded memory, whatever dies.

PGSPOOL_LARGE_ROWS sets how many rows the largest has.
"""

import itertools
import os
import pathlib
import random
import subprocess
import threading
import time
import unittest

from capturing import DATABASE, SHOP, CaptureTest, lsn, seed_of_run
from postgres import Postgres
from publisher import eventually
from server import PATIENCE, PG_BIN, USER

ROWS = int(os.environ.get("PGSPOOL_LARGE_ROWS", "5000000"))
MIB = 1 << 20
# What the server may use while it has the largest transaction.
MEMORY = 400 * MIB
PUBLICATION = "everything"
PLAIN = ("proto_version=1",)
STREAMING = ("proto_version=2", "streaming=on")
# A row of this size, and how often it may be in memory; and one that cannot be received.
LONG_ROW = 120 * MIB
TOO_LONG_ROW = 128 * MIB
TIMES_LONG_ROW = 6


class Memory:
    """The most memory that a process had since this was made."""

    def __init__(self, process):
        self.folder = pathlib.Path("/proc") / str(process.pid)
        (self.folder / "clear_refs").write_text("5", encoding="utf-8")
        self.begin = time.monotonic()

    def peak(self):
        for line in (self.folder / "status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) << 10
        raise AssertionError("no VmHWM")

    def tell(self, what):
        seconds = time.monotonic() - self.begin
        print(f"{what}: {seconds:.1f} s, at most {self.peak() / MIB:.0f} MiB", flush=True)
        return self.peak()


class Counter:
    """pg_recvlogical, and how much of what was marked is in its output."""

    def __init__(self, test, slot, options, end=None):
        publication = ("-o", f"publication_names={PUBLICATION}")
        options = itertools.chain(*(("-o", option) for option in options))
        until = ("--endpos", end) if end else ()
        command = [PG_BIN / "pg_recvlogical", "-h", "127.0.0.1", "-p", test.server.port, "-U", USER,
                   "-d", SHOP, "-S", slot, "--start", "-f", "-", "--no-loop", *until, *publication,
                   *options]
        self.process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
        self.num_bytes = self.num_rows = self.num_ends = 0
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()
        test.addCleanup(self._end)

    def _read(self):
        rest = b""
        while block := os.read(self.process.stdout.fileno(), MIB):
            self.num_bytes += len(block)
            block = rest + block
            self.num_rows += block.count(MARK)
            self.num_ends += block.count(END)
            # Neither is counted twice: what is kept is shorter than one of them.
            rest = block[-(len(MARK) - 1):]

    def _end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()

    def wait(self):
        error = self.process.stderr.read().decode()
        code = self.process.wait(PATIENCE)
        self.thread.join(PATIENCE)
        return code, error


# What is in each row that is counted, and in the last one of a transaction.
MARK = b"<row>"
END = b"<end>"
TABLE = "CREATE TABLE items (id int, note text)"
SUM = "SELECT count(*), md5(string_agg(id || note, ',' ORDER BY id)) FROM items"


def rows(number):
    return f"INSERT INTO items SELECT n, '<row>' || n FROM generate_series(1, {number}) n"


class Large(CaptureTest):
    UPSTREAM = {"logical_decoding_work_mem": "64kB", "autovacuum": "off", "max_wal_size": "20GB",
                "checkpoint_timeout": "1h", "max_wal_senders": "20"}

    def begin(self, *settings, table=TABLE):
        self.settings = settings
        self.start(*settings)
        self.upstream.sql(table, f"CREATE PUBLICATION {PUBLICATION} FOR ALL TABLES")
        self.capture(PUBLICATION)
        self.caught_up()

    def slot(self, name):
        self.here(f"SELECT pg_create_logical_replication_slot('{name}', 'pgoutput')")

    def insert(self, number):
        """One transaction of so many rows; its end."""
        with self.upstream.connect() as connection, connection.transaction():
            connection.execute(rows(number))
            connection.execute("INSERT INTO items VALUES (0, '<end>')")
        return self.upstream.end()

    def read(self, slot, options, end):
        """Reads the slot to `end`, which it confirms."""
        counter = Counter(self, slot, options, end)
        code, error = counter.wait()
        self.assertEqual(code, 0, f"{error}\n{self.server.log_text()[-3000:]}")
        return counter

    def nothing_remains(self):
        """No bytes of a transaction under way, in memory or in a file that somebody holds."""
        eventually(lambda: self.state()["buffered_bytes"] == 0, "nothing to be in memory")
        self.assertEqual(self.state()["spilled_bytes"], 0)
        # The writer lets go of it a moment after the transaction is there; a long file takes time.
        eventually(lambda: not self.temporary_files(), "temporary files to go")

    def temporary_files(self):
        """Those that are open, whose names are gone, and those with a name."""
        folder = pathlib.Path(f"/proc/{self.server.process.pid}/fd")
        opened = []
        for descriptor in folder.iterdir():
            try:
                opened.append(os.readlink(descriptor))
            except FileNotFoundError:
                pass
        return [name for name in [*opened, *map(str, self.data.rglob("*"))]
                if "/transaction." in name]

    def holds_some(self, least):
        """Waits until so many bytes of a transaction under way are here."""
        def under_way():
            state = self.state()
            return state["buffered_bytes"] + state["spilled_bytes"] >= least
        eventually(under_way, f"{least} bytes to be under way")

    def test_the_largest_passes_in_bounded_memory(self):
        self.begin()
        self.slot("plain")
        self.slot("streaming")
        memory = Memory(self.server.process)
        end = self.insert(ROWS)
        print(f"{ROWS} rows upstream: {time.monotonic() - memory.begin:.1f} s", flush=True)
        end = self.caught_up()
        self.assertLess(memory.tell("received"), MEMORY)
        self.nothing_remains()
        for slot, options in [("plain", PLAIN), ("streaming", STREAMING)]:
            memory = Memory(self.server.process)
            counter = self.read(slot, options, end)
            self.assertLess(memory.tell(f"{slot}, {counter.num_bytes / MIB:.0f} MiB"), MEMORY)
            self.assertEqual((counter.num_rows, counter.num_ends), (ROWS, 1))
        self.nothing_remains()

    def test_it_comes_once_though_the_server_is_killed_in_the_middle(self):
        self.begin("-c", "capture_work_mem=1MB")
        self.slot("plain")
        self.slot("streaming")
        number = 300_000
        with self.upstream.connect() as connection:
            with connection.transaction():
                connection.execute(rows(number))
                # In the middle of receiving it, while it runs.
                self.holds_some(4 * MIB)
                self.again()
                connection.execute(rows(number))
                self.holds_some(4 * MIB)
                self.again()
                connection.execute("INSERT INTO items VALUES (0, '<end>')")
            # And when it was committed: somewhere between the first byte and the last sync.
            for _ in range(3):
                time.sleep(self.dice().random() / 2)
                self.again()
        end = self.caught_up()
        self.nothing_remains()
        num_bytes = {}
        for slot, options in [("plain", PLAIN), ("streaming", STREAMING)]:
            for _ in range(2):
                counter = Counter(self, slot, options)
                least = self.dice().randrange(1, 20 * MIB)
                eventually(lambda: counter.num_bytes >= least, "some of it to come")
                self.again()
                counter.wait()
            counter = self.read(slot, options, end)
            self.assertEqual((counter.num_rows, counter.num_ends), (2 * number, 1), slot)
            num_bytes[slot] = counter.num_bytes
            self.is_confirmed(slot, end)
        # A change that is streamed says whose it is.
        self.assertGreater(num_bytes["streaming"], num_bytes["plain"] + 4 * 2 * number)
        # It was confirmed, and does not come again.
        self.upstream.sql("INSERT INTO items VALUES (0, '<end>')")
        end = self.caught_up()
        for slot, options in [("plain", PLAIN), ("streaming", STREAMING)]:
            counter = self.read(slot, options, end)
            self.assertEqual((counter.num_rows, counter.num_ends), (0, 1), slot)

    def is_confirmed(self, slot, end):
        """The client's confirmation came, and is on disk: it may take a second by itself."""
        asked = f"SELECT confirmed_flush_lsn >= '{end}' FROM pg_replication_slots" \
                f" WHERE slot_name = '{slot}'"
        eventually(lambda: self.here(asked) == [(True,)], f"{slot} to be confirmed")
        eventually(lambda: self.here(f"SELECT active FROM pg_replication_slots"
                                     f" WHERE slot_name = '{slot}'") == [(False,)],
                   f"{slot} to be free")
        self.here(f"SELECT pg_replication_slot_advance('{slot}', confirmed_flush_lsn)"
                  f" FROM pg_replication_slots WHERE slot_name = '{slot}'")

    def again(self):
        self.kill_here()
        self.start_here(*self.settings)

    def dice(self):
        if not hasattr(self, "rng"):
            seed = seed_of_run()
            print(f"PGSPOOL_SEED={seed}", flush=True)
            self.rng = random.Random(seed)
        return self.rng

    def test_one_that_is_rolled_back_leaves_nothing(self):
        self.begin("-c", "capture_work_mem=1MB")
        self.slot("plain")
        with self.upstream.connect() as connection:
            connection.execute("BEGIN")
            connection.execute(rows(500_000))
            self.holds_some(4 * MIB)
            self.assertNotEqual(self.temporary_files(), [])
            connection.execute("ROLLBACK")
        self.upstream.sql("INSERT INTO items VALUES (0, '<end>')")
        end = self.caught_up()
        self.nothing_remains()
        self.assertLess(sum(file.stat().st_size for file in self.data.rglob("*.seg")), MIB)
        counter = self.read("plain", PLAIN, end)
        self.assertEqual((counter.num_rows, counter.num_ends), (0, 1))

    def test_capture_work_mem_bounds_what_four_at_once_have_in_memory(self):
        self.begin("-c", "capture_work_mem=8MB")
        self.slot("plain")
        number, most = 150_000, 0
        memory = Memory(self.server.process)
        writers = [threading.Thread(target=self.insert_slowly, args=(number,)) for _ in range(4)]
        for writer in writers:
            writer.start()
        spilled, seen = 0, 0
        with self.connect_here() as connection:
            while seen < 4:
                asked = "SELECT buffered_bytes, spilled_bytes, num_transactions FROM pgspool.captures"
                buffered, now, seen = connection.execute(asked).fetchone()
                most, spilled = max(most, buffered), max(spilled, now)
        for writer in writers:
            writer.join()
        end = self.caught_up()
        memory.tell(f"four at once, at most {most / MIB:.1f} MiB of work_mem")
        # One frame and one message may be above it.
        self.assertLessEqual(most, 8 * MIB + 2 * MIB)
        self.assertGreater(most, 4 * MIB)
        self.assertGreater(spilled, 8 * MIB)
        self.nothing_remains()
        counter = self.read("plain", PLAIN, end)
        self.assertEqual((counter.num_rows, counter.num_ends), (4 * number, 4))

    def subscribe(self, cluster, name, streaming):
        """A database of its own in the cluster, with a subscription."""
        made = cluster.psql("-c", f"CREATE DATABASE {name}")
        self.assertEqual(made.returncode, 0, made.stderr)
        conninfo = f"{self.conninfo_here()} password={self.server.password()}"
        made = cluster.psql(
            "-c", "CREATE TABLE items (id int PRIMARY KEY, note text)",
            "-c", f"CREATE SUBSCRIPTION {name} CONNECTION '{conninfo}' PUBLICATION {PUBLICATION}"
                  f" WITH (copy_data = false, streaming = {streaming})", database=name)
        self.assertEqual(made.returncode, 0, made.stderr)

    def insert_slowly(self, number):
        """A transaction whose pieces lie among those of others."""
        with self.upstream.connect() as connection, connection.transaction():
            for _ in range(10):
                connection.execute(rows(number // 10))
            connection.execute("INSERT INTO items VALUES (0, '<end>')")

    def test_a_very_long_row_passes(self):
        self.begin()
        self.upstream.sql("ALTER TABLE items ALTER note SET STORAGE EXTERNAL")
        self.slot("plain")
        self.slot("streaming")
        memory = Memory(self.server.process)
        self.upstream.sql(f"INSERT INTO items VALUES (1, '<row>' || repeat('x', {LONG_ROW}) || '<end>')")
        end = self.caught_up()
        self.assertLess(memory.tell("received a long row"), TIMES_LONG_ROW * LONG_ROW)
        self.nothing_remains()
        for slot, options in [("plain", PLAIN), ("streaming", STREAMING)]:
            memory = Memory(self.server.process)
            counter = self.read(slot, options, end)
            self.assertLess(memory.tell(f"sent a long row, {slot}"), TIMES_LONG_ROW * LONG_ROW)
            self.assertEqual((counter.num_rows, counter.num_ends), (1, 1))
            self.assertGreater(counter.num_bytes, LONG_ROW)

    def test_a_row_that_is_too_long_stops_the_capture_and_nothing_is_passed_over(self):
        self.begin()
        self.slot("plain")
        self.upstream.sql("ALTER TABLE items ALTER note SET STORAGE EXTERNAL",
                          "INSERT INTO items VALUES (1, '<row>')")
        self.caught_up()
        # One that is rolled back does not.
        with self.upstream.connect() as connection:
            connection.execute("BEGIN")
            connection.execute(f"INSERT INTO items VALUES (2, repeat('x', {TOO_LONG_ROW}))")
            eventually(lambda: "maximum allowed" in (self.state()["last_error"] or ""), "the row")
            connection.execute("ROLLBACK")
        self.upstream.sql("INSERT INTO items VALUES (1, '<row>')")
        before = self.caught_up()
        self.upstream.sql(f"INSERT INTO items VALUES (2, repeat('x', {TOO_LONG_ROW}))",
                          "INSERT INTO items VALUES (3, '<row>')")
        eventually(lambda: self.state()["state"] == "stopped", "the capture to stop")
        state = self.state()
        self.assertEqual(state["stop_cause"], "broken")
        self.assertIn("longer than can be received", state["stop_reason"])
        self.assertEqual(self.read("plain", PLAIN, before).num_rows, 2)
        confirmed = self.upstream.sql("SELECT confirmed_flush_lsn FROM pg_replication_slots")[0][0]
        self.assertLess(lsn(confirmed), lsn(self.upstream.end()))

    def test_subscribers_equal_the_upstream_streaming_or_not(self):
        self.begin("-c", "capture_work_mem=1MB",
                   table="CREATE TABLE items (id int PRIMARY KEY, note text)")
        cluster = Postgres(wal_retrieve_retry_interval="100ms", max_logical_replication_workers=8)
        self.addCleanup(cluster.stop)
        for name, streaming in [("follower", "off"), ("streamer", "on")]:
            self.subscribe(cluster, name, streaming)
        number = 300_000
        memory = Memory(self.server.process)
        with self.upstream.connect() as connection, connection.transaction():
            for part in range(10):
                connection.execute(f"SAVEPOINT s{part}")
                first = part * number // 10
                connection.execute(f"INSERT INTO items SELECT n, '<row>' || n FROM"
                                   f" generate_series({first + 1}, {first + number // 10}) n")
                connection.execute(f"UPDATE items SET note = note || '!' WHERE id % 10 = {part}")
                connection.execute("SAVEPOINT part_of_it")
                connection.execute(f"DELETE FROM items WHERE id % 100 = {part}")
                if part % 2:
                    connection.execute("ROLLBACK TO SAVEPOINT part_of_it")
                if part % 3 == 2:
                    connection.execute(f"ROLLBACK TO SAVEPOINT s{part}")
        end = self.caught_up()
        wanted = self.upstream.psql("-At", "-c", SUM, database=DATABASE).stdout
        for name in ("follower", "streamer"):
            asked = f"SELECT confirmed_flush_lsn >= '{end}'::pg_lsn FROM pg_replication_slots" \
                    f" WHERE slot_name = '{name}'"
            try:
                eventually(lambda: self.here(asked) == [(True,)], f"{name} to confirm {end}")
            except AssertionError as error:
                raise AssertionError(f"{error}\n{cluster.log_text()[-3000:]}") from error
            self.assertEqual(cluster.psql("-At", "-c", SUM, database=name).stdout, wanted, name)
        memory.tell("two subscribers")
        self.nothing_remains()


if __name__ == "__main__":
    unittest.main()
