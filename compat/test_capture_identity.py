"""A consumer gets from pgspool what it would get from the upstream itself, byte for byte.

The same workload is read twice: from slots of the upstream, and from slots of a pgspool that
captures it. PGSPOOL_SEED replays a run; PGSPOOL_TRANSACTIONS sets how many transactions there are.
"""

import os
import random
import re
import unittest
from concurrent.futures import ThreadPoolExecutor

import psycopg

from capturing import SHOP, SLOT, CaptureTest, Stream, seed_of_run
from publisher import eventually
from workload import Workload

TRANSACTIONS = int(os.environ.get("PGSPOOL_TRANSACTIONS", "200"))
PUBLICATION = "everything"
PGOUTPUT = [
    {"proto_version": "1", "publication_names": PUBLICATION},
    {"proto_version": "1", "publication_names": PUBLICATION, "messages": "true"},
    {"proto_version": "2", "publication_names": PUBLICATION, "messages": "true"},
]
TEXT = [
    ("test_decoding", {"skip-empty-xacts": "on"}),
    ("test_decoding", {"skip-empty-xacts": "on", "include-timestamp": "on", "include-xids": "off"}),
    ("wal2json", {}),
    ("wal2json", {"include-xids": "1", "include-timestamp": "1", "include-lsn": "1",
                  "include-type-oids": "1", "include-origin": "1"}),
    ("wal2json", {"format-version": "2"}),
    ("wal2json", {"format-version": "2", "include-xids": "1", "include-timestamp": "1",
                  "include-lsn": "1", "include-schemas": "1", "include-types": "1"}),
]  # fmt: skip
# Types and tables that the random workload does not make.
OWN_TYPES = [
    "CREATE TYPE mood AS ENUM ('sad', 'it''s ok', 'happy')",
    "CREATE DOMAIN positive AS int CHECK (value > 0)",
    "CREATE TYPE pair AS (a int, b text)",
    "CREATE TABLE typed (id int PRIMARY KEY, m mood, ms mood[], p positive, c pair, cs pair[],"
    " r int4range, mr int4multirange, h inet, u uuid, x xml, ts tsvector, v varchar(20),"
    " n numeric(10,3), t3 timestamptz(3), b bit(3), bv varbit(9), ch char(5), pt point)",
    "CREATE TABLE toasted (id int PRIMARY KEY, big text, small text)",
    "ALTER TABLE toasted ALTER big SET STORAGE EXTERNAL",
    "CREATE TABLE toasted_full (id int PRIMARY KEY, big text, small text)",
    "ALTER TABLE toasted_full ALTER big SET STORAGE EXTERNAL",
    "ALTER TABLE toasted_full REPLICA IDENTITY FULL",
    "CREATE TABLE nothing (a int, b text)",
    "CREATE TABLE changing (id int PRIMARY KEY, note text)",
    "CREATE TABLE one (id int PRIMARY KEY, note text)",
    "CREATE TABLE two (id int PRIMARY KEY, one int REFERENCES one)",
]  # fmt: skip
TYPED = (
    "INSERT INTO typed VALUES (1, 'it''s ok', '{sad,happy}', 5, '(1,x)', '{\"(2,y)\"}', '[1,5)',"
    " '{[1,3),[7,9)}', '10.0.0.1/8', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '<a/>', 'a fat cat',"
    " 'short', 1.5, '2024-02-29 12:00:00.123456+02', '101', '1010', 'ab', '(1,2)')"
)


class SameBytes(CaptureTest):
    UPSTREAM = {"autovacuum": "off", "logical_decoding_work_mem": "64kB",
                "max_replication_slots": "40", "max_wal_senders": "40"}

    # Text has no positions by which `without_repeated` could put messages into one order: behind
    # each stands a change of the same transaction then.
    spaced = False

    def setUp(self):
        super().setUp()
        self.seed = seed_of_run()
        print(f"PGSPOOL_SEED={self.seed}", flush=True)
        self.rng = random.Random(self.seed + 1)
        self.workload = Workload(self.seed)
        self.upstream.sql(*OWN_TYPES, *self.workload.definitions(), *self.workload.storage(),
                          f"CREATE PUBLICATION {PUBLICATION} FOR ALL TABLES")
        self.capture(PUBLICATION)
        self.caught_up()

    def slots(self, *names_and_plugins):
        """The same slots on both sides, before anything happens."""
        for name, plugin in names_and_plugins:
            made = f"SELECT pg_create_logical_replication_slot('{name}', '{plugin}')"
            self.upstream.sql(made)
            self.here(made)

    def run_workload(self):
        """Everything, while pgspool is killed or paused now and then."""
        with ThreadPoolExecutor(2) as threads, self.upstream.connect() as connection:
            writers = [threads.submit(self._write_beside, number) for number in range(2)]
            for number in range(TRANSACTIONS):
                self._transaction(connection)
                if number % 50 == 25:
                    self._redefine(connection)
                if number % 60 == 30:
                    self._interrupt(connection)
            self._special(connection)
            for writer in writers:
                writer.result()

    def _redefine(self, connection):
        for statement in [*self.workload.redefinitions(), *self.workload.storage()]:
            connection.execute(statement)

    def _interrupt(self, connection):
        """A while in which nobody reads upstream; half of them with definitions and rows."""
        if self.rng.random() < 0.5:
            self.kill_here()
            self.start_here()
            return
        self.here(f"PAUSE {SHOP}")
        active = f"SELECT active FROM pg_replication_slots WHERE slot_name = '{SLOT}'"
        eventually(lambda: self.upstream.sql(active) == [(False,)], "the slot to be free")
        self._redefine(connection)
        number = self.rng.randrange(1 << 30)
        for statement in [
            f"ALTER TABLE changing ADD COLUMN c{number} int DEFAULT 1",
            f"INSERT INTO changing (id, c{number}) VALUES ({number}, 2)",
            "ALTER TABLE changing DROP COLUMN note",
            f"UPDATE changing SET c{number} = 3",
            "ALTER TABLE changing ADD COLUMN note text DEFAULT 'new'",
            "DELETE FROM changing",
        ]:
            connection.execute(statement)
        for _ in range(5):
            self._transaction(connection)
        self.here(f"RESUME {SHOP}")

    def _transaction(self, connection):
        changes = self.workload.transaction()
        if changes[0].alone:
            connection.execute(changes[0].sql)
            return
        with connection.transaction():
            for change in changes:
                self._change(connection, change.sql)
                if self.spaced and "pg_logical_emit_message" in change.sql:
                    connection.execute("INSERT INTO nothing VALUES (0, 'behind a message')")
                if self.rng.random() < 0.1:
                    self._rolled_back_part(connection)

    def _change(self, connection, statement):
        """A change; one of a table without a replica identity is refused, and not missed."""
        if not statement.startswith(("UPDATE", "DELETE")):
            connection.execute(statement)
            return
        try:
            with connection.transaction():
                connection.execute(statement)
        except psycopg.errors.ObjectNotInPrerequisiteState:
            pass

    def _rolled_back_part(self, connection):
        """A subtransaction that is kept or not."""
        keep = self.rng.random() < 0.5
        number = self.rng.randrange(1 << 30)
        connection.execute("SAVEPOINT part")
        connection.execute("INSERT INTO nothing VALUES (%s, 'part')", (number,))
        if not keep:
            connection.execute("ROLLBACK TO SAVEPOINT part")
        connection.execute("RELEASE SAVEPOINT part")

    def _write_beside(self, number):
        """Another writer, whose transactions lie among the others'."""
        rng = random.Random(self.seed + 100 + number)
        with self.upstream.connect() as connection:
            for place in range(TRANSACTIONS // 4):
                with connection.transaction():
                    for _ in range(rng.choice([1, 1, 1, 2, 2, 3, 300])):
                        connection.execute("INSERT INTO nothing VALUES (%s, repeat('y', %s))",
                                           (number * 1_000_000 + place, rng.randrange(300)))

    def _special(self, connection):
        """What the random workload does not do, each at least once."""
        big = "(SELECT string_agg(md5(n::text), '') FROM generate_series(1, 300) n)"
        for statement in [
            TYPED,
            "UPDATE typed SET m = 'happy', ms = NULL",
            "DELETE FROM typed",
            f"INSERT INTO toasted VALUES (1, {big}, 'a')",
            "UPDATE toasted SET small = 'b'",
            "UPDATE toasted SET id = 2",
            "DELETE FROM toasted",
            f"INSERT INTO toasted_full VALUES (1, {big}, 'a')",
            "UPDATE toasted_full SET small = 'b'",
            "DELETE FROM toasted_full",
            "INSERT INTO one VALUES (1), (2)",
            "INSERT INTO two VALUES (1, 1)",
            "TRUNCATE one, two RESTART IDENTITY",
            "TRUNCATE one CASCADE",
            "SELECT pg_logical_emit_message(true, 'inside', 'ünï')",
            "SELECT pg_logical_emit_message(false, 'outside', 'alone')",
            "SELECT pg_logical_emit_message(false, '', '')",
            "ALTER TABLE one ADD COLUMN more mood DEFAULT 'sad'",
            "INSERT INTO one VALUES (3, 'x', 'happy')",
            "ALTER TABLE one DROP COLUMN note",
            "INSERT INTO one VALUES (4, 'sad')",
            "ALTER TABLE one RENAME TO uno",
            "INSERT INTO uno VALUES (5, 'sad')",
            "ALTER TABLE uno REPLICA IDENTITY FULL",
            "UPDATE uno SET more = NULL",
            "CREATE TABLE late (id int PRIMARY KEY)",
            "INSERT INTO late SELECT generate_series(1, 3)",
            "DROP TABLE late",
            "INSERT INTO nothing SELECT n, repeat('z', 100) FROM generate_series(1, 3000) n",
        ]:
            connection.execute(statement)
        # Definitions and rows in one transaction, and in a part of one that is rolled back.
        with connection.transaction():
            connection.execute("INSERT INTO uno VALUES (6, 'sad')")
            connection.execute("ALTER TABLE uno ADD COLUMN inside int")
            connection.execute("INSERT INTO uno VALUES (7, 'sad', 1)")
            connection.execute("SAVEPOINT a")
            connection.execute("ALTER TABLE uno ADD COLUMN never int")
            connection.execute("INSERT INTO uno VALUES (8, 'sad', 1, 2)")
            connection.execute("ROLLBACK TO SAVEPOINT a")
            connection.execute("INSERT INTO uno SELECT n, 'sad', n FROM generate_series(100, 2000) n")

    def both(self, slot, options, end):
        streams = []
        for conninfo in (self.upstream.conninfo(), self.conninfo_here()):
            stream = Stream(conninfo, slot, options)
            streams.append(stream.read(end))
            stream.close()
        return streams

    def compare(self, what, there, here):
        for place, (wanted, ours) in enumerate(zip(there, here)):
            if ours != wanted:
                self.fail(f"seed {self.seed}, {what}, message {place}:\n  here {shown(ours)}\n"
                          f" there {shown(wanted)}\nbefore {[shown(m) for m in there[max(0, place - 3):place]]}")
        self.assertEqual(len(here), len(there), f"seed {self.seed}, {what}")
        self.assertGreater(len(here), TRANSACTIONS)

    def test_pgoutput_sends_the_upstreams_bytes_and_headers(self):
        self.slots(("pgoutput", "pgoutput"))
        self.run_workload()
        end = self.caught_up()
        for options in PGOUTPUT:
            there, here = self.both("pgoutput", options, end)
            self.compare(f"pgoutput {options}", without_repeated(there), without_repeated(here))

    def test_text_plugins_write_the_upstreams_text(self):
        self.spaced = True
        self.slots(("test_decoding", "test_decoding"), ("wal2json", "wal2json"))
        self.run_workload()
        end = self.caught_up()
        for plugin, options in TEXT:
            there, here = self.both(plugin, options, end)
            there, here = ([message.decode() for _, _, message in side] for side in (there, here))
            if plugin == "wal2json":
                there, here = without_empty(there), without_empty(here)
            self.compare(f"{plugin} {options}", there, here)

    def test_a_consumer_goes_from_the_upstream_to_pgspool_and_back(self):
        self.slots(("moving", "pgoutput"))
        self.run_workload()
        end = self.caught_up()
        options = PGOUTPUT[0]
        stream = Stream(self.upstream.conninfo(), "moving", options)
        wanted = transactions(stream.read(end))
        stream.close()
        sides = [self.upstream.conninfo(), self.conninfo_here()]
        seen, position, turn = [], 0, 0
        while len(seen) < len(wanted):
            stream = Stream(sides[turn % 2], "moving", options, text(position))
            some = transactions(stream.read(end, count=self.rng.randrange(1, 4000)))
            take = some[: self.rng.randrange(1, 60)]
            if take:
                seen += take
                position = take[-1]
                stream.confirm(position)
            stream.close()
            turn += 1
            self.assertEqual(seen, wanted[: len(seen)], f"seed {self.seed}, turn {turn}")
        self.assertGreater(turn, 3)


def without_repeated(messages):
    """The messages but descriptions that say once more what was said of that table or type.

    A logical message has the position of the change behind it, and where one of the two is of a
    subtransaction, PostgreSQL sends either first: it depends on what else is in its heap. Here the
    logical message comes first.
    """
    said, kept = {}, []
    for start, end, payload in messages:
        if payload[:1] in (b"R", b"Y"):
            about = payload[:5]
            if said.get(about) == payload:
                continue
            said[about] = payload
        if payload[:1] == b"M" and kept and kept[-1][0] == start and kept[-1][2][:1] in b"IUD":
            kept.insert(-1, (start, end, payload))
        else:
            kept.append((start, end, payload))
    return kept


def without_empty(texts):
    """wal2json's texts but those of transactions in which nothing happened to a row: definitions, say.

    They are not captured; wal2json has no option that leaves them out.
    """
    kept = []
    for text in texts:
        # wal2json forgets to count anew before a message that stands alone: its JSON is broken then.
        text = re.sub(r'("change":\[),(?=\{)', r"\1", text)
        if text.endswith('"change":[]}'):
            continue
        if text.startswith('{"action":"C"') and kept and kept[-1].startswith('{"action":"B"'):
            kept.pop()
            continue
        kept.append(text)
    return kept


def transactions(messages):
    """The ends of the transactions."""
    return [int.from_bytes(payload[10:18], "big") for _, _, payload in messages if payload[:1] == b"C"]


def text(position):
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"


def shown(message):
    if isinstance(message, str):
        return message[:3000]
    start, end, payload = message
    return f"{text(start)} {text(end)} {payload[:400]}"


if __name__ == "__main__":
    unittest.main()
