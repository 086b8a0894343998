"""test_decoding and wal2json beside PostgreSQL's: the same tables and changes, the same text.

PGSPOOL_SEED replays a run; PGSPOOL_TRANSACTIONS sets how many transactions there are.
"""

import os
import random
import re
import unittest

import psycopg

from postgres import Postgres
from server import USER, ServerTest
from workload import Workload

TRANSACTIONS = int(os.environ.get("PGSPOOL_TRANSACTIONS", "240"))
# Transactions between two looks at the streams; columns come and go there.
ROUND = 40
# What differs in any case: ids of transactions, times, positions.
APART = [
    (re.compile(r"\b(BEGIN|COMMIT) \d+"), r"\1 N"),
    (re.compile(r"\(at [^)]*\)"), "(at T)"),
    (re.compile(r'("xid": ?)\d+'), r"\1N"),
    (re.compile(r'("timestamp": ?)"[^"]*"(?=[,}\n])'), r'\1"T"'),
    # wal2json forgets to count anew before a message that stands alone: its JSON is broken then.
    (re.compile(r'^(\{\s*"change": ?\[\s*),(?=\{)'), r"\1"),
    (re.compile(r'("(?:next)?lsn": ?)"[0-9A-F]+/[0-9A-F]+"'), r'\1"L"'),
]
SWITCHES = {
    "test_decoding": ["include-xids", "include-timestamp", "skip-empty-xacts", "only-local",
                      "include-rewrites", "stream-changes"],
    "wal2json": ["include-xids", "include-timestamp", "include-origin", "include-lsn", "include-schemas",
                 "include-types", "include-type-oids", "include-typmod", "include-domain-data-type",
                 "include-column-positions", "include-not-null", "include-default", "include-pk",
                 "include-transaction", "pretty-print", "write-in-chunks"],
}  # fmt: skip
# Sets of options that a round looks at, besides random ones.
ALWAYS = [
    ("test_decoding", {}),
    ("wal2json", {}),
    ("wal2json", {"format-version": "2"}),
    ("wal2json", {"include-pk": "1", "pretty-print": "1", "include-type-oids": "1"}),
    ("wal2json", {"format-version": "2", "include-pk": "1", "include-not-null": "1",
                  "include-column-positions": "1", "include-default": "1", "include-lsn": "1"}),
]  # fmt: skip
RANDOM_SETS = 6


class TextPlugins(ServerTest):
    def test_text_is_as_postgresql_writes_it(self):
        seed = int(os.environ.get("PGSPOOL_SEED", random.SystemRandom().randrange(1 << 32)))
        print(f"PGSPOOL_SEED={seed}", flush=True)
        self.seed, self.rng = seed, random.Random(seed + 1)
        postgres = Postgres(autovacuum="off")
        self.addCleanup(postgres.stop)
        self.here, self.there = self._connect(self.server.port), self._connect(postgres.port)
        self.workload = Workload(seed)
        self._define(self.workload.definitions())
        compared = 0
        for first in range(0, TRANSACTIONS, ROUND):
            for connection in (self.here, self.there):
                for plugin in SWITCHES:
                    connection.execute("SELECT pg_create_logical_replication_slot(%s, %s)", (plugin, plugin))
            for _ in range(min(ROUND, TRANSACTIONS - first)):
                self._run(self.workload.transaction())
            sets = ALWAYS + [self._options() for _ in range(RANDOM_SETS)]
            compared += sum(self._compare(plugin, options) for plugin, options in sets)
            for connection in (self.here, self.there):
                for plugin in SWITCHES:
                    connection.execute("SELECT pg_drop_replication_slot(%s)", (plugin,))
            self._define(self.workload.redefinitions())
        print(f"{TRANSACTIONS} transactions, {compared} messages the same")
        self.assertGreater(compared, TRANSACTIONS)

    def _connect(self, port):
        connection = psycopg.connect(
            host="127.0.0.1", port=port, user=USER, dbname="pgspool", autocommit=True
        )
        self.addCleanup(connection.close)
        return connection

    def _define(self, statements):
        for statement in statements:
            self.here.execute(statement)
            self.there.execute(statement)
        for statement in self.workload.storage():
            self.there.execute(statement)

    def _run(self, changes):
        """One transaction on both."""
        lines = "".join(change.record + "\n" for change in changes)
        for block in ([] if changes[0].alone else ["BEGIN"], ):
            for connection in (self.there, self.here) if block else ():
                connection.execute(block[0])
            for change in changes:
                change.run_there(self.there)
            try:
                with self.here.cursor() as cursor:
                    with cursor.copy("COPY pgspool.changes FROM STDIN WITH (FORMAT ndjson)") as copy:
                        copy.write(lines)
            except psycopg.Error as error:
                self.fail(f"seed {self.seed}: {error}\n{lines}")
            if block:
                self.there.execute("COMMIT")
                self.here.execute("COMMIT")

    def _options(self):
        plugin = self.rng.choice(["test_decoding", "wal2json", "wal2json"])
        names = self.rng.sample(SWITCHES[plugin], self.rng.randrange(len(SWITCHES[plugin]) + 1))
        options = {name: self.rng.choice(["1", "0", "on", "off", "t", "no"]) for name in names}
        if plugin == "wal2json":
            table = self.rng.choice(self.workload.tables)
            name = ".".join(re.sub(r"([\\., *\t])", r"\\\1", part) for part in (table.schema, table.name))
            some = {
                "format-version": self.rng.choice(["1", "2"]),
                "filter-tables": self.rng.choice([name, "sales.*", f"{name}, *.t1", "*.*"]),
                "add-tables": self.rng.choice([f"public.*,{name}", "*.t0", "My\\ Schema.*"]),
                "actions": self.rng.choice(["insert", "update, delete", "truncate", "insert,truncate"]),
                "filter-msg-prefixes": self.rng.choice(["p", "p,q", "x"]),
                "add-msg-prefixes": self.rng.choice(["p", "x"]),
            }
            options |= {name: some[name] for name in some if self.rng.random() < 0.3}
        return plugin, options

    def _compare(self, plugin, options):
        here, there = (self._texts(connection, plugin, options) for connection in (self.here, self.there))
        for place, (ours, wanted) in enumerate(zip(here, there)):
            if ours != wanted:
                self.fail(f"seed {self.seed}, {plugin} {options}, message {place}:\n"
                          f"   here {shown(ours, wanted)}\n  there {shown(wanted, ours)}")
        self.assertEqual(len(here), len(there), f"seed {self.seed}, {plugin} {options}")
        return len(here)

    def _texts(self, connection, plugin, options):
        flat = [word for option in options.items() for word in option]
        marks = "".join(", %s" for _ in flat)
        rows = connection.execute(
            f"SELECT data FROM pg_logical_slot_peek_changes(%s, NULL, NULL{marks})", [plugin, *flat]
        )
        return [apart(row[0]) for row in rows]


def apart(text):
    for pattern, instead in APART:
        text = pattern.sub(instead, text)
    return text


def shown(text, other):
    """The text from a little before where it differs."""
    same = next((at for at, (a, b) in enumerate(zip(text, other)) if a != b), min(len(text), len(other)))
    begin = max(0, same - 200)
    return f"{text[:60]} ...[{begin}] {text[begin:same]}>>>{text[same:same + 200]}"


if __name__ == "__main__":
    unittest.main()
