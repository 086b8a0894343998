"""Generated statements over the views, on PostgreSQL 15 over the same rows and here.

Filters, joins, aggregates, ordering, casts, parameters, in text and in binary. Any difference fails
but an honest refusal: 0A000 or 42601 of what PostgreSQL answers with rows, or 0A000 of what PostgreSQL
refuses for a reason it finds behind the part we do not support. Of those there may be few; any other
SQLSTATE is a difference. PGSPOOL_SEED replays a run; PGSPOOL_SQL_STATEMENTS sets how many.
"""

import os
import random
import unittest

from server import ServerTest
from statements import Statements
from twins import Twins

STATEMENTS = int(os.environ.get("PGSPOOL_SQL_STATEMENTS", "400"))
NOT_SUPPORTED = "0A000"
NOT_UNDERSTOOD = "42601"
MOST_REFUSED = 0.02

VIEWS = [
    "pg_class", "pg_attribute", "pg_type", "pg_namespace", "pg_index", "pg_constraint",
    "pg_publication", "pg_publication_rel", "pg_publication_tables", "pg_replication_slots",
    "pg_settings", "pg_proc", "pg_stat_replication_slots", "pg_roles", "pg_database",
]
OUR_VIEWS = ["slots"]
# Answers that are the same but for the order of equal values that look different.
MOST_LOOSE = 0.01
# What of a statement that failed on both servers is fine: nobody learns from many of them.
MOST_FAILED = 0.1
# Statements that find nothing prove little: a statement finds this many rows, taken over all.
LEAST_ROWS = 10


class Differential(ServerTest):
    def test_generated_statements_answer_as_postgresql_does(self):
        self._make_something_to_see()
        twins = Twins(self.server)
        self.addCleanup(twins.close)
        views = {view: twins.copy(view) for view in VIEWS}
        views |= {view: twins.copy(view, "pgspool") for view in OUR_VIEWS}
        seed = int(os.environ.get("PGSPOOL_SEED", random.SystemRandom().randrange(1 << 32)))
        print(f"PGSPOOL_SEED={seed}", flush=True)
        statements = Statements(views, seed)
        refused, wrong, failed, loose, rows = [], [], [], [], 0
        for number in range(STATEMENTS):
            statement, parameters = statements.statement()
            binary = number % 2 == 1
            here, there = twins.ask(statement, parameters, binary)
            text = f"{statement}\n{parameters}\n{here.beside(there)}"
            if here == there:
                rows += len(here.rows or [])
                failed += [text] if here.error else []
            elif honest(here.error, there.error):
                refused.append(text)
            elif here.by_value(binary) == there.by_value(binary):
                loose.append(text)
            else:
                wrong.append(text)
        print(f"{rows} rows the same, {len(failed)} failed as there, {len(refused)} refused,"
              f" {len(loose)} with equal values in another order")
        if wrong:
            self.fail(some(f"{len(wrong)} of {STATEMENTS}, seed {seed}", wrong))
        if os.environ.get("PGSPOOL_SQL_SAY_REFUSED"):
            print(some("refused", refused))
        if len(refused) > STATEMENTS * MOST_REFUSED:
            self.fail(some(f"{len(refused)} refused, seed {seed}", refused))
        if len(loose) > STATEMENTS * MOST_LOOSE:
            self.fail(some(f"{len(loose)} are equal by value only, seed {seed}", loose))
        self.assertGreater(rows, STATEMENTS * LEAST_ROWS, f"rows compared, seed {seed}")
        if len(failed) > STATEMENTS * MOST_FAILED:
            self.fail(some(f"{len(failed)} failed on both, seed {seed}", failed))

    def _make_something_to_see(self):
        statements = [
            "CREATE TABLE orders (id bigint PRIMARY KEY, name text NOT NULL, price numeric(10,2), at timestamptz, tags text[])",
            "CREATE TABLE pairs (a int, b int, c varchar(20), PRIMARY KEY (a, b))",
            "CREATE TABLE plain (x jsonb, y uuid, z bool)",
            "ALTER TABLE plain REPLICA IDENTITY FULL",
            "CREATE PUBLICATION p1 FOR TABLE orders (id, name) WHERE (id > 5), pairs",
            "CREATE PUBLICATION p2 FOR ALL TABLES WITH (publish = 'insert')",
            "CREATE PUBLICATION p3 FOR TABLES IN SCHEMA public",
        ]
        statements += [
            f"SELECT pg_create_logical_replication_slot('slot_{number}', '{plugin}')"
            for number, plugin in enumerate(["json", "test_decoding", "json"] * 4)
        ]
        statements += [
            "SELECT pgspool.publish('{\"operation\":\"insert\",\"collection\":\"events\",\"rid\":1,\"kind\":\"row\",\"entity_bytes_hex\":\"00\"}')",
            "SELECT pg_replication_slot_advance('slot_1', pg_current_wal_lsn())",
        ]
        done = self.server.psql("-q", *[part for s in statements for part in ("-c", s)])
        self.assertEqual(done.returncode, 0, done.stderr)


def honest(here, there):
    """A refusal that says of itself that it is our limit, not the statement's fault."""
    return here == NOT_SUPPORTED or (here == NOT_UNDERSTOOD and not there)


def some(title, texts):
    return "\n\n".join([title, *texts[:60]])


if __name__ == "__main__":
    unittest.main()
