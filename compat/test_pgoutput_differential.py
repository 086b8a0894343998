"""pgoutput beside PostgreSQL's: the same tables, changes and publications, the same messages.

Messages are decoded by `pgoutput.py` and compared field by field. PGSPOOL_SEED replays a run;
PGSPOOL_TRANSACTIONS sets how many transactions there are.
"""

import collections
import dataclasses
import os
import random
import subprocess
import unittest

import psycopg

import pgoutput
from pgoutput import Begin, Commit, Delete, Insert, Message, Relation, Truncate, Update
from postgres import Postgres
from publications import Round
from server import PATIENCE, PG_BIN, USER, ServerTest
from workload import Certain, Workload, quoted

TRANSACTIONS = int(os.environ.get("PGSPOOL_TRANSACTIONS", "240"))
# Transactions between two looks at the streams, under one set of publications.
ROUND = 40
SLOT = "pgoutput"
CREATE_SLOT = f"SELECT pg_create_logical_replication_slot('{SLOT}', 'pgoutput')"
DROP_SLOT = f"SELECT pg_drop_replication_slot('{SLOT}')"
OPTIONS = [
    {"proto_version": "1"},
    {"proto_version": "1", "binary": "true"},
    {"proto_version": "1", "messages": "true"},
    {"proto_version": "1", "binary": "true", "messages": "true"},
    {"proto_version": "2", "streaming": "on"},
    {"proto_version": "2", "streaming": "on", "binary": "true", "messages": "true"},
    {"proto_version": "3", "messages": "true", "two_phase": "false"},
]
RANDOM_SETS = 12
# What a run must see to be worth anything: `Certain` has all of it.
WANTED = ["Insert", "Update", "Update K", "Update O", "Delete K", "Delete O", "Truncate", "Message",
          "Relation", *map("value {}".format, "nutb")]


class PgoutputDifferential(ServerTest):
    def test_messages_are_as_postgresql_sends_them(self):
        self.seed = int(os.environ.get("PGSPOOL_SEED", random.SystemRandom().randrange(1 << 32)))
        print(f"PGSPOOL_SEED={self.seed}", flush=True)
        self.rng = random.Random(self.seed + 1)
        postgres = Postgres(autovacuum="off")
        self.addCleanup(postgres.stop)
        self.sides = self.server, postgres
        self.here, self.there = (self._connect(side.port) for side in self.sides)
        self.workload = Workload(self.seed)
        self._run_both(self.workload.definitions())
        self.refused = self.done = 0
        self.seen = collections.Counter()
        self._certain()
        while self.done < TRANSACTIONS:
            self._round()
        print(f"{TRANSACTIONS} transactions, {self.refused} errors the same; messages and values"
              f" the same: {dict(self.seen)}")

    def _certain(self):
        """Every kind of message and of value, whatever the seed."""
        certain = Certain()
        self._run_both(certain.definitions())
        for statement in certain.storage():
            self.there.execute(statement)
        tables = ", ".join(map(quoted, certain.NAMES))
        self._run_both([f"CREATE PUBLICATION certain FOR TABLE {tables}", CREATE_SLOT])
        for changes in certain.transactions():
            self._run(changes)
        for options in OPTIONS:
            self._compare(["certain"], options)
        self._run_both([DROP_SLOT, "DROP PUBLICATION certain"])
        self.assertEqual([kind for kind in WANTED if not self.seen[kind]], [])

    def _round(self):
        made = Round(self.rng, self.workload.tables)
        self._run_both(made.create())
        self._storage()
        self._run_both([CREATE_SLOT])
        self._transactions(ROUND // 2)
        # In the middle of the stream tables and publications become others.
        self._run_both(self.workload.redefinitions())
        self._storage()
        self._transactions(ROUND // 4)
        self._run_both(made.alter())
        self._transactions(ROUND - ROUND // 2 - ROUND // 4)
        for names, options in self._choices(made.names):
            self._compare(names, options)
        self._compare_streams(self.rng.choice(made.names), self.rng.choice(OPTIONS))
        self._run_both([DROP_SLOT, *made.drop()])
        made.end()

    def _choices(self, names):
        """All options, all publications, and more of both at random."""
        yield from (([self.rng.choice(names)], options) for options in OPTIONS)
        yield from (([name], self.rng.choice(OPTIONS)) for name in names)
        for _ in range(RANDOM_SETS):
            some = self.rng.sample(names, self.rng.choice([2, 2, 2, 3]))
            yield some, self.rng.choice(OPTIONS)

    def _connect(self, port):
        connection = psycopg.connect(
            host="127.0.0.1", port=port, user=USER, dbname="pgspool", autocommit=True
        )
        self.addCleanup(connection.close)
        return connection

    def _run_both(self, statements):
        for statement in statements:
            answers = [answer(connection, statement) for connection in (self.here, self.there)]
            about = f"seed {self.seed}: {statement}"
            self.assertEqual(*answers, about)
            self.assertIsNone(answers[0], about)

    def _storage(self):
        for statement in self.workload.storage():
            self.there.execute(statement)

    def _transactions(self, count):
        for _ in range(min(count, TRANSACTIONS - self.done)):
            self.done += 1
            changes = self.workload.transaction()
            if not changes[0].alone and self.rng.random() < 0.05:
                changes.append(self.workload.truncate_together())
            self._run(changes)

    def _run(self, changes):
        """One transaction on both."""
        lines = "".join(change.record + "\n" for change in changes)
        in_block = not changes[0].alone
        for connection in (self.here, self.there):
            if in_block:
                connection.execute("BEGIN")
        for change in changes:
            try:
                change.run_there(self.there)
            except psycopg.Error as error:
                self.fail(f"seed {self.seed}: {error}\n{change.sql}")
        try:
            with self.here.cursor() as cursor:
                with cursor.copy("COPY pgspool.changes FROM STDIN WITH (FORMAT ndjson)") as copy:
                    copy.write(lines)
        except psycopg.Error as error:
            self.fail(f"seed {self.seed}: {error}\n{lines}")
        for connection in (self.here, self.there):
            if in_block:
                connection.execute("COMMIT")

    def _compare(self, names, options):
        listed = {**options, "publication_names": ",".join(map(quoted, names))}
        here, there = (peeked(connection, listed) for connection in (self.here, self.there))
        about = f"seed {self.seed}, {names} {options}"
        if isinstance(here, Refused) or isinstance(there, Refused):
            self.assertEqual(here, there, about)
            self.refused += 1
            return
        if "streaming" in options:
            plain = {name: listed[name] for name in listed if name != "streaming"}
            self.assertEqual(peeked(self.here, {**plain, "proto_version": "1"}), here, about)
        self._same(list(map(pgoutput.decode, here)), list(map(pgoutput.decode, there)), about)

    def _compare_streams(self, name, options):
        """What pg_recvlogical receives is the same, too."""
        listed = {**options, "publication_names": quoted(name)}
        peeks = [pgoutput.decode(data) for data in peeked(self.here, listed)]
        here, there = (self._received(side, connection, listed)
                       for side, connection in zip(self.sides, (self.here, self.there)))
        about = f"seed {self.seed}, the stream of {name} {options}"
        self._same(here, there, about)
        self._same(here, peeks, about)

    def _received(self, side, connection, options):
        end = connection.execute("SELECT pg_current_wal_lsn()").fetchone()[0]
        chosen = [word for option in options.items() for word in ("-o", "=".join(option))]
        done = subprocess.run(
            [PG_BIN / "pg_recvlogical", "-h", "127.0.0.1", "-p", str(side.port), "-U", USER,
             "-d", "pgspool", "--slot", SLOT, "--start", "--no-loop", "-s", "1", "-f", "-",
             f"--endpos={end}", *chosen],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        self.assertEqual(done.returncode, 0, done.stderr)
        return pgoutput.decode_lines(done.stdout)

    def _same(self, here, there, about):
        self._check_frames(here, about)
        self._check_frames(there, about)
        self.assertEqual(repeated_relations(here), [], about)
        ours, theirs = normal(here), normal(there)
        for place, (one, two) in enumerate(zip(ours, theirs)):
            if one != two:
                self.fail(f"{about}, message {place}:\n{beside(one, two)}")
        more = (ours + theirs)[min(len(ours), len(theirs)):][:1]
        self.assertEqual(len(ours), len(theirs), f"{about}: {more}")
        self.seen.update(kind for message in here for kind in kinds(message))

    def _check_frames(self, messages, about):
        """What is not compared holds together: positions and times of one transaction."""
        begin, ended = None, 0
        for message in messages:
            if isinstance(message, Begin):
                self.assertIsNone(begin, about)
                begin = message
            elif isinstance(message, Commit):
                self.assertIsNotNone(begin, about)
                self.assertEqual((begin.final_lsn, begin.time), (message.lsn, message.time), about)
                self.assertLess(message.lsn, message.end_lsn, about)
                self.assertLess(ended, message.end_lsn, about)
                begin, ended = None, message.end_lsn
            elif isinstance(message, Message):
                self.assertEqual(message.transactional, begin is not None, about)
            elif not isinstance(message, Relation):
                self.assertIsNotNone(begin, about)
        self.assertIsNone(begin, about)


class Strictness(unittest.TestCase):
    """The decoder that the comparison trusts."""

    MESSAGES = [
        b"B" + bytes(16) + b"\0\0\0\7", b"C\0" + bytes(24), b"O" + bytes(8) + b"o\0",
        b"R\0\0\0\1s\0t\0d\0\1\1c\0\0\0\0\x17\xff\xff\xff\xff", b"Y\0\0\0\1s\0t\0",
        b"I\0\0\0\1N\0\2nt\0\0\0\1x", b"U\0\0\0\1K\0\1t\0\0\0\1xN\0\1u",
        b"U\0\0\0\1N\0\1b\0\0\0\1\0", b"D\0\0\0\1O\0\1t\0\0\0\0",
        b"T\0\0\0\1\3\0\0\0\1", b"M\1" + bytes(8) + b"p\0\0\0\0\1x",
        b"S\0\0\0\1\1", b"E", b"c\0\0\0\1\0" + bytes(24), b"A\0\0\0\1\0\0\0\1",
    ]  # fmt: skip

    def test_a_message_is_read_whole_or_refused(self):
        for data in self.MESSAGES:
            pgoutput.decode(data)
            for broken in [data[:end] for end in range(len(data))] + [data + b"\0"]:
                with self.assertRaises(pgoutput.Malformed, msg=broken):
                    pgoutput.decode(broken)

    def test_no_bytes_do_anything_but_decode_or_be_refused(self):
        rng = random.Random(0)
        for _ in range(20_000):
            data = bytearray(rng.choice(self.MESSAGES))
            for _ in range(rng.randrange(1, 4)):
                data[rng.randrange(len(data))] = rng.randrange(256)
            try:
                pgoutput.decode(bytes(data), in_stream=rng.random() < 0.5)
            except pgoutput.Malformed:
                pass


@dataclasses.dataclass(frozen=True)
class Refused:
    """An error."""

    state: str
    message: str
    detail: str | None = None


def answer(connection, statement):
    """The error that a statement makes."""
    try:
        connection.execute(statement)
    except psycopg.Error as error:
        return Refused(error.sqlstate, error.diag.message_primary, error.diag.message_detail)
    return None


def peeked(connection, options):
    """The bytes of all messages, or the error."""
    flat = [word for option in options.items() for word in option]
    marks = "".join(", %s" for _ in flat)
    try:
        rows = connection.execute(
            f"SELECT data FROM pg_logical_slot_peek_binary_changes('{SLOT}', NULL, NULL{marks})",
            flat,
        ).fetchall()
    except psycopg.Error as error:
        return Refused(error.sqlstate, error.diag.message_primary)
    return [row[0] for row in rows]


def repeated_relations(messages):
    """Relation messages that say what was said before: pgspool sends none."""
    known, repeated = {}, []
    for message in messages:
        if isinstance(message, Relation):
            if known.get(message.oid) == message:
                repeated.append(message)
            known[message.oid] = message
    return repeated


def normal(messages):
    """The messages as they are compared: each change with the description of its table, so that it
    does not matter how often and when exactly that was said."""
    known, out = {}, []

    def table(oid, *rows):
        relation = known[oid]
        for row in rows:
            if row is not None and len(row) != len(relation.columns):
                raise AssertionError(f"{len(row)} values for {relation}")
        return dataclasses.replace(relation, oid=0)

    for message in messages:
        match message:
            case Relation():
                known[message.oid] = message
            case Begin():
                out.append(("begin",))
            case Commit():
                out.append(("commit", message.flags))
            case Insert():
                out.append(("insert", message.xid, table(message.relation, message.new), message.new))
            case Update():
                described = table(message.relation, message.old, message.new)
                out.append(("update", message.xid, described, message.old_kind, message.old, message.new))
            case Delete():
                described = table(message.relation, message.old)
                out.append(("delete", message.xid, described, message.old_kind, message.old))
            case Truncate():
                # TRUNCATE of several tables is a record for each here (docs/sql.md), so each of
                # its tables counts as a message.
                out.extend(("truncate", message.xid, table(oid), message.cascade,
                            message.restart_identity) for oid in message.relations)
            case Message():
                out.append(("message", message.xid, message.transactional, message.prefix,
                            message.content))
            case _:
                # All types are built in, and nothing is streamed in parts.
                raise AssertionError(f"unexpected: {message}")
    return out


def kinds(message):
    """What a message is, and what values it has."""
    old = getattr(message, "old_kind", None)
    yield type(message).__name__ + (f" {old}" if old else "")
    for row in (getattr(message, "old", None), getattr(message, "new", None)):
        yield from (f"value {value.kind}" for value in row or ())


def beside(one, two):
    """Two messages, from a little before where they differ."""
    here, there = repr(one), repr(two)
    same = next((at for at, (a, b) in enumerate(zip(here, there)) if a != b),
                min(len(here), len(there)))
    begin = max(0, same - 600)
    return "\n".join(f"{side} ...{text[begin:same]}>>>{text[same:same + 300]}"
                     for side, text in (("   here", here), ("  there", there)))


if __name__ == "__main__":
    unittest.main()
