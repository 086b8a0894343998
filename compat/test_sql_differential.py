"""Generated statements over the views, on PostgreSQL 15 over the same rows and here.

Filters, joins, aggregates, ordering, casts, parameters, in text and in binary. Any difference fails
but an honest refusal (0A000, 42601), and of those there may be few. PGSPOOL_SEED replays a run;
PGSPOOL_SQL_STATEMENTS sets how many.
"""

import os
import random
import unittest

from server import ServerTest
from twins import Twins

STATEMENTS = int(os.environ.get("PGSPOOL_SQL_STATEMENTS", "400"))
HONEST = {"0A000", "42601"}
MOST_REFUSED = 0.02

# What can be compared and ordered, by type as format_type prints it.
NUMBERS = {"integer", "smallint", "bigint", "oid", "real", "double precision", "numeric"}
TEXTS = {"text", "name", '"char"'}
ORDERED = NUMBERS | TEXTS | {"boolean", "pg_lsn", "timestamp with time zone", "xid"} - {"xid"}

# Views and the equalities that join them.
VIEWS = [
    "pg_class", "pg_attribute", "pg_type", "pg_namespace", "pg_index", "pg_constraint",
    "pg_publication", "pg_publication_rel", "pg_publication_tables", "pg_replication_slots",
    "pg_settings", "pg_proc",
]
JOINS = [
    ("pg_class", "relnamespace", "pg_namespace", "oid"),
    ("pg_attribute", "attrelid", "pg_class", "oid"),
    ("pg_attribute", "atttypid", "pg_type", "oid"),
    ("pg_type", "typnamespace", "pg_namespace", "oid"),
    ("pg_index", "indrelid", "pg_class", "oid"),
    ("pg_constraint", "conrelid", "pg_class", "oid"),
    ("pg_publication_rel", "prpubid", "pg_publication", "oid"),
    ("pg_publication_rel", "prrelid", "pg_class", "oid"),
    ("pg_proc", "prorettype", "pg_type", "oid"),
]


class Generator:
    """Statements over `views`: name -> (columns with types, rows)."""

    def __init__(self, views, seed):
        self.views = views
        self.dice = random.Random(seed)

    def statement(self):
        """A statement with its parameters, and whether its rows have an order."""
        self.parameters = []
        kind = self.dice.choice(["rows", "rows", "rows", "group", "join", "join", "nested", "union"])
        return getattr(self, f"_{kind}")()

    def _columns(self, view, types=ORDERED):
        return [(name, kind) for name, kind in self.views[view][0] if kind in types]

    def _value(self, view, column):
        """A literal or parameter taken from the column, sometimes beside it."""
        names = [name for name, _ in self.views[view][0]]
        at = names.index(column)
        known = [row[at] for row in self.views[view][1] if row[at] is not None]
        return self.dice.choice(known) if known else None

    def _operand(self, text, kind):
        if self.dice.random() < 0.35 and "%" not in text:
            self.parameters.append(text)
            return "%s" if kind in TEXTS and kind != '"char"' else f"%s::{kind}"
        quoted = "'" + text.replace("'", "''").replace("%", "%%") + "'"
        forms = [quoted, f"{quoted}::{kind}"]
        if kind in NUMBERS and text.lstrip("-").isdigit():
            forms += [text, f"({text})"]
        return self.dice.choice(forms)

    def _condition(self, view, alias):
        column, kind = self.dice.choice(self._columns(view))
        name = f"{alias}.{column}"
        text = self._value(view, column)
        if text is None or self.dice.random() < 0.1:
            return f"{name} IS {self.dice.choice(['', 'NOT '])}NULL"
        if kind == "boolean":
            return self.dice.choice([name, f"NOT {name}", f"{name} IS TRUE", f"{name} = {self._operand(text, kind)}"])
        operator = self.dice.choice(["=", "<>", "<", "<=", ">", ">=", "in", "between", "any", "like"])
        if operator == "in":
            others = [self._operand(self._value(view, column), kind) for _ in range(3)]
            return f"{name} {self.dice.choice(['', 'NOT '])}IN ({', '.join(others)})"
        if operator == "between":
            return f"{name} BETWEEN {self._operand(text, kind)} AND {self._operand(self._value(view, column), kind)}"
        if operator == "any":
            others = ", ".join(self._operand(self._value(view, column), kind) for _ in range(2))
            return f"{name} = ANY (ARRAY[{others}]::{kind}[])"
        if operator == "like":
            if kind not in {"text", "name"}:
                operator = "="
            else:
                part = text[: self.dice.randint(1, 4)].replace("'", "''").replace("%", "").replace("\\", "")
                pattern = self.dice.choice([f"{part}%%", f"%%{part}%%", f"_{part[1:]}%%"])
                return f"{name} {self.dice.choice(['LIKE', 'NOT LIKE', 'ILIKE'])} '{pattern}'"
        return f"{name} {operator} {self._operand(text, kind)}"

    def _where(self, view, alias):
        conditions = [self._condition(view, alias) for _ in range(self.dice.randint(0, 3))]
        if not conditions:
            return ""
        glue = self.dice.choice([" AND ", " OR "])
        text = glue.join(conditions)
        return f" WHERE {self.dice.choice(['', 'NOT '])}({text})"

    def _expression(self, view, alias):
        column, kind = self.dice.choice(self._columns(view))
        name = f"{alias}.{column}"
        forms = [name, name, f"{name}::text", f"coalesce({name}::text, '-')"]
        if kind in {"integer", "smallint", "bigint"}:
            forms += [f"{name} + 1", f"{name} * 2", f"- {name}", f"{name} / 2", f"{name}::numeric / 3",
                      f"{name}::int8", f"abs({name})", f"{name} % 7"]
        if kind in {"text", "name"}:
            forms += [f"upper({name})", f"length({name})", f"{name} || '!'", f"substr({name}, 2, 3)",
                      f"left({name}, 4)", f"position('a' in {name})", f"replace({name}, 'a', 'b')"]
        if kind == "pg_lsn":
            forms += [f"{name} - '0/0'::pg_lsn", f"pg_wal_lsn_diff({name}, '0/10')", f"{name} + 16"]
        if kind == "boolean":
            forms += [f"NOT {name}", f"CASE WHEN {name} THEN 1 ELSE 0 END", f"{name}::int"]
        return self.dice.choice(forms)

    def _order(self, width):
        """An order over all columns, so that it is the same everywhere."""
        columns = list(range(1, width + 1))
        self.dice.shuffle(columns)
        each = [f"{column}{self.dice.choice(['', ' DESC', ' NULLS FIRST', ' DESC NULLS LAST'])}" for column in columns]
        return " ORDER BY " + ", ".join(each)

    def _tail(self, width):
        text = self._order(width)
        if self.dice.random() < 0.4:
            text += f" LIMIT {self.dice.randint(0, 9)}"
            if self.dice.random() < 0.5:
                text += f" OFFSET {self.dice.randint(0, 5)}"
        return text

    def _rows(self):
        view = self.dice.choice(VIEWS)
        width = self.dice.randint(1, 4)
        columns = [self._expression(view, "a") for _ in range(width)]
        distinct = self.dice.choice(["", "", "DISTINCT "])
        return f"SELECT {distinct}{', '.join(columns)} FROM {{{view}}} a{self._where(view, 'a')}{self._tail(width)}"

    def _aggregate(self, view, alias):
        column, kind = self.dice.choice(self._columns(view))
        name = f"{alias}.{column}"
        forms = ["count(*)", f"count({name})", f"count(DISTINCT {name})"]
        if kind != "boolean":
            forms += [f"min({name})", f"max({name})"] if kind != '"char"' and kind != "name" else []
        if kind in {"integer", "smallint", "bigint"}:
            forms += [f"sum({name})", f"avg({name})", f"sum({name}) FILTER (WHERE {name} > 1)"]
        if kind == "boolean":
            forms += [f"bool_and({name})", f"bool_or({name})"]
        if kind in {"text", "name"}:
            forms += [f"string_agg({name}, ',' ORDER BY {name})", f"array_agg({name} ORDER BY {name} DESC)"]
        return self.dice.choice(forms)

    def _group(self):
        view = self.dice.choice(VIEWS)
        by = self._expression(view, "a")
        aggregates = [self._aggregate(view, "a") for _ in range(self.dice.randint(1, 3))]
        having = self.dice.choice(["", "", " HAVING count(*) > 1"])
        columns = ", ".join([by, *aggregates])
        return f"SELECT {columns} FROM {{{view}}} a{self._where(view, 'a')} GROUP BY 1{having}{self._tail(len(aggregates) + 1)}"

    def _join(self):
        left, left_key, right, right_key = self.dice.choice(JOINS)
        join = self.dice.choice(["JOIN", "LEFT JOIN", "RIGHT JOIN", "JOIN"])
        more = f" AND {self._condition(right, 'b')}" if self.dice.random() < 0.4 else ""
        columns = [self._expression(left, "a"), self._expression(right, "b")]
        return (f"SELECT {', '.join(columns)} FROM {{{left}}} a {join} {{{right}}} b"
                f" ON a.{left_key} = b.{right_key}{more}{self._where(left, 'a')}{self._tail(2)}")

    def _nested(self):
        left, left_key, right, right_key = self.dice.choice(JOINS)
        outer = self._expression(right, "b")
        inner = self._condition(left, "a")
        form = self.dice.choice([
            f"(SELECT count(*) FROM {{{left}}} a WHERE a.{left_key} = b.{right_key})",
            f"EXISTS (SELECT 1 FROM {{{left}}} a WHERE a.{left_key} = b.{right_key} AND {inner})",
            f"b.{right_key} IN (SELECT a.{left_key} FROM {{{left}}} a WHERE {inner})",
        ])
        return f"SELECT {outer}, {form} FROM {{{right}}} b{self._tail(2)}"

    def _union(self):
        view = self.dice.choice(VIEWS)
        column = self._expression(view, "a")
        how = self.dice.choice(["UNION", "UNION ALL", "EXCEPT", "INTERSECT"])
        one = f"SELECT {column} FROM {{{view}}} a{self._where(view, 'a')}"
        two = f"SELECT {column} FROM {{{view}}} a{self._where(view, 'a')}"
        return f"{one} {how} {two}{self._tail(1)}"


class Differential(ServerTest):
    def test_generated_statements_answer_as_postgresql_does(self):
        self._make_something_to_see()
        twins = Twins(self.server)
        self.addCleanup(twins.close)
        views = {view: twins.copy(view) for view in VIEWS}
        seed = int(os.environ.get("PGSPOOL_SEED", random.SystemRandom().randrange(1 << 32)))
        print(f"PGSPOOL_SEED={seed}", flush=True)
        generator = Generator(views, seed)
        refused, wrong = [], []
        for number in range(STATEMENTS):
            statement = generator.statement()
            parameters = tuple(generator.parameters) or None
            if parameters is None:
                statement = statement.replace("%%", "%")
            here, there = twins.ask(statement, parameters, binary=number % 2 == 1)
            if here != there:
                if here.error in HONEST and not there.error:
                    refused.append((statement, here))
                else:
                    wrong.append(f"{statement}\n{parameters}\nhere:  {here!r}\nthere: {there!r}")
        self.assertFalse(wrong, f"{len(wrong)} of {STATEMENTS}, seed {seed}:\n" + "\n\n".join(wrong[:20]))
        most = STATEMENTS * MOST_REFUSED
        self.assertLessEqual(len(refused), most, f"seed {seed}: refused: {refused[:20]}")

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


if __name__ == "__main__":
    unittest.main()
