"""PostgreSQL 15 as the subscriber: its rows are what was published, whatever happens to either."""

import decimal
import itertools
import json
import os
import random
import threading
import unittest

import psycopg
from psycopg.types.json import Jsonb

from postgres import Postgres
from publisher import PublisherTest, eventually, publish
from server import USER

CHANGES = int(os.environ.get("PGSPOOL_CHANGES", "10000"))
NAMES = itertools.count(1)


def setUpModule():
    Cluster.postgres = Postgres(
        wal_retrieve_retry_interval="100ms", max_logical_replication_workers=8
    )


def tearDownModule():
    Cluster.postgres.stop()


class Cluster:
    """The cluster that all tests of this file subscribe with."""

    postgres = None


class Subscriber:
    """A database of its own in the cluster, with subscriptions to `publisher`."""

    def __init__(self, test, publisher):
        self.test, self.publisher = test, publisher
        self.cluster = Cluster.postgres
        self.database = f"subscriber{next(NAMES)}"
        made = self.cluster.psql("-c", f"CREATE DATABASE {self.database}")
        test.assertEqual(made.returncode, 0, made.stderr)

    def connect(self):
        return psycopg.connect(host="127.0.0.1", port=self.cluster.port, user=USER,
                               dbname=self.database, autocommit=True)

    def sql(self, *statements):
        with self.connect() as connection:
            for statement in statements:
                cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else None

    def subscribe(self, name, publications, **options):
        """CREATE SUBSCRIPTION without copying; it is dropped at the end of the test."""
        options = {"copy_data": "false", **options}
        said = ", ".join(f"{option} = {value}" for option, value in options.items())
        self.sql(f"CREATE SUBSCRIPTION {name} CONNECTION '{self.publisher.conninfo()}'"
                 f" PUBLICATION {publications} WITH ({said})")
        self.test.addCleanup(self.forget, name)

    def forget(self, name):
        """Drops a subscription without asking its publisher, if it is still there."""
        if self.sql(f"SELECT 1 FROM pg_subscription WHERE subname = '{name}'"):
            self.sql(f"ALTER SUBSCRIPTION {name} DISABLE",
                     f"ALTER SUBSCRIPTION {name} SET (slot_name = NONE)",
                     f"DROP SUBSCRIPTION {name}")

    def caught_up(self, name):
        """Waits until everything that is published was applied here."""
        try:
            self.publisher.confirmed(name)
        except AssertionError as error:
            raise AssertionError(
                f"{error}\n{self.cluster.log_text()[-3000:]}"
                f"\n---- publisher\n{self.publisher.log_text()[-3000:]}"
            ) from error


class Subscription(PublisherTest):
    def setUp(self):
        super().setUp()
        self.subscriber = Subscriber(self, self.publisher)

    def both(self, *statements):
        """Runs the same definitions on both sides."""
        self.publisher.sql(*statements)
        self.subscriber.sql(*statements)

    def holds(self, name, query, rows):
        self.subscriber.caught_up(name)
        self.assertEqual(self.subscriber.sql(query), rows)

    def test_rows_follow_inserts_updates_deletes_and_truncates(self):
        self.both("CREATE TABLE items (id int PRIMARY KEY, name text, price numeric(10,2))")
        self.publisher.sql("CREATE PUBLICATION shop FOR TABLE items")
        self.subscriber.subscribe("follower", "shop")
        everything = "SELECT id, name, price::text FROM items ORDER BY id"
        self.publisher.sql(
            "INSERT INTO items VALUES (1, 'one', 1.5), (2, 'two', NULL), (3, NULL, 3)",
            "INSERT INTO items (name, id) VALUES ('four', 4)",
        )
        self.holds("follower", everything, [
            (1, "one", "1.50"), (2, "two", None), (3, None, "3.00"), (4, "four", None)])
        self.publisher.sql(
            "UPDATE items SET name = 'ONE' WHERE id = 1",
            "UPDATE items SET id = 20, price = 2 WHERE id = 2",
            "DELETE FROM items WHERE id = 3",
        )
        self.holds("follower", everything, [
            (1, "ONE", "1.50"), (4, "four", None), (20, "two", "2.00")])
        with self.publisher.connect() as connection:
            with connection.transaction():
                connection.execute("DELETE FROM items WHERE id = 4")
                connection.execute("INSERT INTO items VALUES (5, 'five', 5)")
            with connection.cursor().copy("COPY items FROM STDIN") as copy:
                copy.write_row((6, "six\tand\\more\n", "6.25"))
                copy.write_row((7, None, None))
        self.holds("follower", everything, [
            (1, "ONE", "1.50"), (5, "five", "5.00"), (6, "six\tand\\more\n", "6.25"),
            (7, None, None), (20, "two", "2.00")])
        truncate(self.publisher, "items")
        self.holds("follower", everything, [])

    def test_a_disabled_subscription_goes_on_where_it_was(self):
        self.both("CREATE TABLE items (id int PRIMARY KEY, name text)")
        self.publisher.sql("CREATE PUBLICATION shop FOR ALL TABLES")
        self.subscriber.subscribe("pausing", "shop")
        self.publisher.sql("INSERT INTO items VALUES (1, 'before')")
        self.subscriber.caught_up("pausing")
        self.subscriber.sql("ALTER SUBSCRIPTION pausing DISABLE")
        self.slot_is_active("pausing", False)
        self.publisher.sql("INSERT INTO items VALUES (2, 'while')",
                           "UPDATE items SET name = 'changed' WHERE id = 1")
        self.subscriber.sql("ALTER SUBSCRIPTION pausing ENABLE")
        everything = "SELECT * FROM items ORDER BY id"
        self.holds("pausing", everything, [(1, "changed"), (2, "while")])
        self.subscriber.sql("ALTER SUBSCRIPTION pausing SET (binary = true, streaming = true)")
        self.publisher.sql("INSERT INTO items VALUES (3, 'after')")
        self.holds("pausing", everything, [(1, "changed"), (2, "while"), (3, "after")])

    def slot_is_active(self, name, active):
        asked = f"SELECT active FROM pg_replication_slots WHERE slot_name = '{name}'"
        eventually(lambda: self.publisher.sql(asked) == [(active,)], f"{name}: active = {active}")

    def test_publications_change_under_a_subscription(self):
        self.both("CREATE TABLE items (id int PRIMARY KEY, name text)",
                  "CREATE TABLE parts (a int, b text, n float8, PRIMARY KEY (a, b))",
                  "CREATE TABLE notes (id int8 PRIMARY KEY, body jsonb)")
        self.publisher.sql("CREATE PUBLICATION shop FOR TABLE items",
                           "CREATE PUBLICATION store FOR TABLE notes")
        self.subscriber.subscribe("changing", "shop")
        self.publisher.sql("INSERT INTO items VALUES (1, 'one')",
                           "INSERT INTO parts VALUES (1, 'unpublished', 0)",
                           "ALTER PUBLICATION shop ADD TABLE parts")
        self.subscriber.caught_up("changing")
        self.subscriber.sql(
            "ALTER SUBSCRIPTION changing REFRESH PUBLICATION WITH (copy_data = false)")
        self.tables_of("changing", ["items", "parts"])
        self.publisher.sql("INSERT INTO parts VALUES (2, 'published', 1.25)",
                           "INSERT INTO notes VALUES (1, '{}')")
        self.holds("changing", "SELECT * FROM parts", [(2, "published", 1.25)])
        self.assertEqual(self.subscriber.sql("SELECT * FROM items"), [(1, "one")])

        self.set_publication("changing", "shop, store")
        self.tables_of("changing", ["items", "notes", "parts"])
        self.publisher.sql("""INSERT INTO notes VALUES (2, '{"a": [1, null]}')""",
                           "DELETE FROM parts WHERE a = 2 AND b = 'published'")
        self.holds("changing", "SELECT * FROM notes", [(2, {"a": [1, None]})])
        self.assertEqual(self.subscriber.sql("SELECT * FROM parts"), [])

        self.set_publication("changing", "store")
        self.publisher.sql("INSERT INTO items VALUES (2, 'no more')",
                           "DELETE FROM notes WHERE id = 2")
        self.holds("changing", "SELECT * FROM notes", [])
        self.assertEqual(self.subscriber.sql("SELECT * FROM items"), [(1, "one")])

        self.subscriber.sql("DROP SUBSCRIPTION changing")
        self.assertEqual(
            self.publisher.sql("SELECT * FROM pg_replication_slots WHERE slot_name = 'changing'"),
            [])

    def set_publication(self, name, publications):
        """Changes them and waits for the stream that shows the new ones."""
        asked = f"SELECT active_pid FROM pg_replication_slots WHERE slot_name = '{name}'"
        before = self.publisher.sql(asked)
        self.subscriber.sql(
            f"ALTER SUBSCRIPTION {name} SET PUBLICATION {publications} WITH (copy_data = false)")
        eventually(lambda: self.publisher.sql(asked) not in (before, [(None,)]), "a new stream")

    def tables_of(self, name, tables):
        found = self.subscriber.sql(
            "SELECT srrelid::regclass::text, srsubstate FROM pg_subscription_rel"
            f" JOIN pg_subscription s ON s.oid = srsubid WHERE subname = '{name}' ORDER BY 1")
        self.assertEqual(found, [(table, "r") for table in tables])

    def test_filters_and_column_lists_decide_what_arrives(self):
        self.both("CREATE TABLE items (id int PRIMARY KEY, name text, secret text, price int)")
        self.publisher.sql("ALTER TABLE items REPLICA IDENTITY FULL")
        self.publisher.sql(
            "CREATE PUBLICATION cheap FOR TABLE items WHERE (price < 100)",
            "INSERT INTO items VALUES (1, 'before', 's', 1)",
        )
        self.subscriber.subscribe("filtered", "cheap")
        self.publisher.sql("INSERT INTO items VALUES (2, 'two', 's', 2), (3, 'three', 's', 300)",
                           "INSERT INTO items VALUES (4, 'four', 's', NULL)")
        self.holds("filtered", "SELECT * FROM items ORDER BY id", [(2, "two", "s", 2)])

        self.both("CREATE TABLE people (id int PRIMARY KEY, name text, secret text)")
        self.publisher.sql("CREATE PUBLICATION listed FOR TABLE people (id, name)")
        self.subscriber.subscribe("listing", "listed")
        self.publisher.sql("INSERT INTO people VALUES (1, 'one', 'hidden')",
                           "UPDATE people SET name = 'uno', secret = 'still' WHERE id = 1")
        self.holds("listing", "SELECT * FROM people", [(1, "uno", None)])

    def test_a_binary_subscriber_reads_an_enum_a_domain_and_arrays(self):
        columns = ("id int8 PRIMARY KEY, mood text, size int4, tags text[], counts int[],"
                   " b bool, n numeric, f float8, r real, d date, t time, ts timestamp,"
                   " tz timestamptz, i interval, u uuid, j json, jb jsonb, raw bytea,"
                   " c varchar(10), a inet, s int2, o oid, fixed char(5)")
        self.publisher.sql(f"CREATE TABLE kinds ({columns})",
                           "CREATE PUBLICATION shop FOR TABLE kinds")
        self.subscriber.sql(
            "CREATE TYPE feeling AS ENUM ('sad', 'happy')",
            "CREATE DOMAIN small AS int4 CHECK (VALUE < 100)",
            "CREATE TABLE kinds ("
            + columns.replace("mood text", "mood feeling").replace("size int4", "size small") + ")",
        )
        self.subscriber.subscribe("binaries", "shop", binary="true")
        self.publisher.sql(
            "INSERT INTO kinds VALUES (1, 'happy', 42, '{a,NULL,\"b c\",\"\\\\\"}', '{1,NULL,-3}',"
            " true, 12345678901234567890.0123, 1e300, -0.5, '2024-02-29', '23:59:59.5',"
            " '2024-02-29 12:00', '2024-02-29 12:00+02', '1 year 2 mons -3 days 04:05:06.7',"
            " 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{ \"k\":  1 }', '{\"k\": [1, \"x\"]}',"
            " '\\x00ff10', 'varying', '10.1.2.3/24', -7, 4000000000, 'ab')",
            "INSERT INTO kinds (id) VALUES (2)",
            "INSERT INTO kinds (id, n, f, ts, tags, counts) VALUES"
            " (3, 'NaN', '-Infinity', 'infinity', '{}', '{{1,2},{3,4}}')",
        )
        self.holds("binaries", "SELECT kinds::text FROM kinds ORDER BY id", [
            ('(1,happy,42,"{a,NULL,""b c"",""\\\\\\\\""}","{1,NULL,-3}",t,'
             "12345678901234567890.0123,1e+300,-0.5,2024-02-29,23:59:59.5,"
             '"2024-02-29 12:00:00","2024-02-29 10:00:00+00",'
             '"1 year 2 mons -3 days +04:05:06.7",a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11,'
             '"{ ""k"":  1 }","{""k"": [1, ""x""]}","\\\\x00ff10",varying,10.1.2.3/24,-7,'
             '4000000000,"ab   ")',),
            ("(2" + "," * 22 + ")",),
            ('(3,,,{},"{{1,2},{3,4}}",,NaN,-Infinity,,,,infinity' + "," * 11 + ")",),
        ])
        self.publisher.sql("UPDATE kinds SET mood = 'sad', size = 7, tags = '{z}' WHERE id = 1")
        self.holds("binaries", "SELECT mood::text, size, tags, counts FROM kinds WHERE id = 1",
                   [("sad", 7, ["z"], [1, None, -3])])

    def test_a_table_that_gets_columns_is_described_again(self):
        self.both("CREATE TABLE items (id int PRIMARY KEY, name text)")
        self.publisher.sql("CREATE PUBLICATION shop FOR ALL TABLES")
        self.subscriber.subscribe("growing", "shop")
        self.publisher.sql("INSERT INTO items VALUES (1, 'one'), (2, 'two')")
        self.subscriber.sql("ALTER TABLE items ADD COLUMN more int")
        self.publisher.sql("ALTER TABLE items ADD COLUMN more int",
                           "INSERT INTO items VALUES (3, 'three', 3)",
                           "UPDATE items SET more = 1 WHERE id = 1",
                           "ALTER TABLE items DROP COLUMN name",
                           "INSERT INTO items VALUES (4, 4)")
        self.holds("growing", "SELECT * FROM items ORDER BY id", [
            (1, "one", 1), (2, "two", None), (3, "three", 3), (4, None, 4)])

    def test_a_table_of_full_identity_is_followed_by_its_key(self):
        self.both("CREATE TABLE items (id int PRIMARY KEY, name text)",
                  "ALTER TABLE items REPLICA IDENTITY FULL")
        self.publisher.sql("CREATE PUBLICATION shop FOR TABLE items")
        self.subscriber.subscribe("whole", "shop")
        self.publisher.sql("INSERT INTO items VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd')",
                           "UPDATE items SET name = 'A' WHERE id = 1",
                           "UPDATE items SET id = 20 WHERE id = 2",
                           "UPDATE items SET id = 40, name = 'D' WHERE id = 4",
                           "DELETE FROM items WHERE id = 3")
        self.holds("whole", "SELECT * FROM items ORDER BY id",
                   [(1, "A"), (20, "b"), (40, "D")])

    def test_odd_names_and_a_key_that_is_an_index(self):
        self.both('CREATE SCHEMA "Odd"',
                  'CREATE TABLE "Odd"."It ems"'
                  ' (id int PRIMARY KEY, "Co de" text NOT NULL UNIQUE, name text)',
                  'ALTER TABLE "Odd"."It ems" REPLICA IDENTITY USING INDEX "It ems_Co de_key"')
        self.publisher.sql('CREATE PUBLICATION "Shop 1" FOR TABLES IN SCHEMA "Odd"',
                           "CREATE PUBLICATION other FOR ALL TABLES WITH (publish = 'insert')")
        self.subscriber.subscribe("odd", '"Shop 1", other', binary="true")
        table = '"Odd"."It ems"'
        self.publisher.sql(f"INSERT INTO {table} VALUES (1, 'a', 'x'), (2, 'b', 'y')",
                           f"UPDATE {table} SET name = 'z', \"Co de\" = 'c' WHERE \"Co de\" = 'a'",
                           f"DELETE FROM {table} WHERE \"Co de\" = 'b'")
        self.holds("odd", f"SELECT * FROM {table}", [(1, "c", "z")])

    def test_a_collection_that_nobody_declared_is_a_table(self):
        if self.publisher.real:
            return
        self.publisher.sql("CREATE PUBLICATION shop FOR ALL TABLES")
        self.subscriber.sql("CREATE TABLE orders (rid int8 PRIMARY KEY, kind text, entity bytea,"
                            " document jsonb, metadata jsonb)")
        order = {"collection": "orders", "kind": "row"}
        with self.publisher.connect() as connection:
            # The collection is known when the subscription is made.
            publish(connection, [{**order, "operation": "insert", "rid": 1}])
        self.subscriber.subscribe("collector", "shop", binary="true")
        with self.publisher.connect() as connection:
            publish(connection, [
                {**order, "operation": "insert", "rid": 2, "metadata": {"n": 1},
                 "entity_bytes_hex": b'{"total": 12.50}'.hex()},
                {**order, "operation": "insert", "rid": 3, "entity_bytes_hex": "00ff"},
                {**order, "operation": "insert", "rid": 4},
                {**order, "operation": "update", "rid": 3, "entity_bytes_hex": b"[]".hex()},
                {**order, "operation": "update", "rid": 2, "metadata": {"n": 2},
                 "unchanged": ["entity", "document"]},
                {**order, "operation": "delete", "rid": 4},
            ])
        self.holds("collector", "SELECT * FROM orders ORDER BY rid", [
            (2, "row", b'{"total": 12.50}', {"total": 12.5}, {"n": 2}),
            (3, "row", b"[]", [], None),
        ])

    def test_a_streaming_subscriber_takes_a_large_transaction(self):
        self.both("CREATE TABLE items (id int PRIMARY KEY, name text)")
        self.publisher.sql("CREATE PUBLICATION shop FOR TABLE items")
        self.subscriber.subscribe("streaming", "shop", streaming="on", binary="true")
        with self.publisher.connect() as connection, connection.transaction():
            with connection.cursor().copy("COPY items FROM STDIN") as copy:
                for key in range(20_000):
                    copy.write_row((key, f"{key} " + "x" * 100))
            connection.execute("DELETE FROM items WHERE id = 0")
        self.holds("streaming", "SELECT count(*), sum(id), sum(length(name)) FROM items", [
            (19_999, sum(range(20_000)),
             sum(len(f"{key} ") + 100 for key in range(1, 20_000)))])


def truncate(publisher, *tables):
    if publisher.real:
        publisher.sql(f"TRUNCATE {', '.join(tables)}")
        return
    with publisher.connect() as connection:
        publish(connection, [{"operation": "truncate", "collection": table} for table in tables])


# --- 10,000 changes with trouble on either side

TABLES = {
    "items": ("id int8 PRIMARY KEY, name text, price numeric, tags text[]", 1),
    "parts": ("a int, b text, n float8, flag bool, PRIMARY KEY (a, b)", 2),
    "notes": ("id int PRIMARY KEY, body jsonb, at date", 1),
}
COLUMNS = {
    "items": ["id", "name", "price", "tags"],
    "parts": ["a", "b", "n", "flag"],
    "notes": ["id", "body", "at"],
}
WORDS = ["", "a", "blank s", "quo'te", 'dou"ble', "back\\slash", "tab\tnew\nline", "ünïcødé 🐘",
         "NULL", "{}", "x" * 3000]


class Model:
    """The rows that there should be, and changes to them at random."""

    def __init__(self, dice):
        self.dice = dice
        self.rows = {table: {} for table in TABLES}
        self.fresh = itertools.count(1)

    def batch(self, size):
        """`size` changes (operation, table, old row, new row), with the rows that follow of them."""
        rows = {table: dict(known) for table, known in self.rows.items()}
        return [self.change(rows) for _ in range(size)], rows

    def change(self, rows):
        table = self.dice.choice(list(TABLES))
        known = rows[table]
        keys = TABLES[table][1]
        what = self.dice.random()
        if not known or what < 0.45:
            row = self.key(table) + self.values(table)
            known[row[:keys]] = row
            return "insert", table, None, row
        old = known[self.dice.choice(list(known))]
        if what > 0.9995:
            known.clear()
            return "truncate", table, None, None
        del known[old[:keys]]
        if what > 0.85:
            return "delete", table, old, None
        key = self.key(table) if what > 0.8 else old[:keys]
        values = self.values(table)
        row = key + tuple(
            before if self.dice.random() < 0.5 else after
            for before, after in zip(old[keys:], values)
        )
        known[row[:keys]] = row
        return "update", table, old, row

    def key(self, table):
        number = next(self.fresh)
        return (number, self.dice.choice(WORDS)) if table == "parts" else (number,)

    def values(self, table):
        some = self.dice.random
        values = {
            "items": lambda: (
                self.dice.choice(WORDS),
                decimal.Decimal(self.dice.randrange(-10**9, 10**9)) / 1000,
                [self.dice.choice([*WORDS[:-1], None]) for _ in range(self.dice.randrange(3))],
            ),
            "parts": lambda: (some() * 10.0 ** self.dice.randrange(-20, 20), some() < 0.5),
            "notes": lambda: (
                {"w": self.dice.choice(WORDS), "n": [self.dice.randrange(100), None, {}]},
                f"20{self.dice.randrange(10, 99)}-{self.dice.randrange(1, 13):02}-17",
            ),
        }[table]()
        return tuple(None if some() < 0.15 else value for value in values)


class Producer:
    """Publishes batches, each as one transaction, and knows after trouble whether one was taken."""

    def __init__(self, publisher, dice):
        self.publisher, self.dice = publisher, dice
        self.connection = None

    def publish(self, changes):
        """Returns when the batch is stored, exactly once, through whatever trouble."""
        while True:
            mark = None
            try:
                if self.connection is None:
                    self.connection = self.publisher.connect()
                with self.connection.transaction():
                    mark = self.mark()
                    self.send(changes)
                return
            except psycopg.OperationalError:
                self.connection = eventually(self.reconnect, "the publisher")
                if mark is not None and self.taken(mark):
                    return

    def reconnect(self):
        try:
            return self.publisher.connect()
        except psycopg.OperationalError:
            return None

    def mark(self):
        """What tells later whether this transaction was taken; nobody else publishes."""
        asked = "pg_current_xact_id()::text" if self.publisher.real else "pg_current_wal_lsn()"
        return self.connection.execute(f"SELECT {asked}").fetchone()[0]

    def taken(self, mark):
        """The connection may break once more before it says so."""
        def said():
            try:
                return (self.is_taken(mark),)
            except psycopg.OperationalError:
                self.connection = eventually(self.reconnect, "the publisher")
                return None

        return eventually(said, "the publisher to answer")[0]

    def is_taken(self, mark):
        asked = f"SELECT pg_current_wal_lsn() > '{mark}'"
        if self.publisher.real:
            asked = f"SELECT pg_xact_status('{mark}') = 'committed'"
        try:
            return self.connection.execute(asked).fetchone()[0]
        except psycopg.errors.InvalidParameterValue:  # a number that was lost in the crash
            return False

    def send(self, changes):
        """In one of the ways there are; the order of the changes stays."""
        ways = [self.send_literals, self.send_parameters]
        if not self.publisher.real:
            ways.append(self.send_documents)
        while changes:
            count = self.dice.randrange(1, len(changes) + 1)
            copied = list(itertools.takewhile(
                lambda change: change[0] == "insert" and change[1] == changes[0][1],
                changes[:count]))
            if copied and self.dice.random() < 0.5:
                count = len(copied)
                self.send_copy(copied)
            elif any(change[0] == "truncate" for change in changes[:count]):
                (self.send_literals if self.publisher.real else self.send_documents)(
                    changes[:count])
            else:
                self.dice.choice(ways)(changes[:count])
            changes = changes[count:]

    def send_copy(self, changes):
        with self.connection.cursor().copy(f"COPY {changes[0][1]} FROM STDIN") as copy:
            for _, _, _, row in changes:
                copy.write_row([adapted(value) for value in row])

    def send_literals(self, changes):
        cursor = psycopg.ClientCursor(self.connection)
        for change in changes:
            cursor.execute(*statement(*change))

    def send_parameters(self, changes):
        for change in changes:
            self.connection.execute(*statement(*change))

    def send_documents(self, changes):
        publish(self.connection, [self.document(*change) for change in changes])

    def document(self, operation, table, old, new):
        record = {"operation": operation, "collection": table, "rid": 0, "kind": "row"}
        names, keys = COLUMNS[table], TABLES[table][1]
        row = dict(zip(names, new or ()))
        if operation == "update":
            if self.dice.random() < 0.5:
                same = [name for name, before, after in zip(names, old, new)
                        if before == after and names.index(name) >= keys]
                record["unchanged"] = same
                row = {name: value for name, value in row.items() if name not in same}
            whole = self.dice.random() < 0.5
            if whole or old[:keys] != new[:keys]:
                record["old"] = plain(dict(zip(names if whole else names[:keys], old)))
        if operation == "delete":
            record["old"] = plain(dict(zip(names[:keys], old)))
        if operation in ("insert", "update"):
            record["entity_bytes_hex"] = json.dumps(plain(row)).encode().hex()
        return record


def plain(row):
    return {name: str(value) if isinstance(value, decimal.Decimal) else value
            for name, value in row.items()}


def adapted(value):
    return Jsonb(value) if isinstance(value, dict) else value


def statement(operation, table, old, new):
    """A change as SQL with its values."""
    names, keys = COLUMNS[table], TABLES[table][1]
    if operation == "truncate":
        return f"TRUNCATE {table}", []
    where = " AND ".join(f"{name} = %s" for name in names[:keys])
    if operation == "insert":
        return (f"INSERT INTO {table} VALUES ({', '.join(['%s'] * len(names))})",
                [adapted(value) for value in new])
    if operation == "delete":
        return f"DELETE FROM {table} WHERE {where}", list(old[:keys])
    changed = [(name, adapted(after)) for name, before, after in zip(names, old, new)
               if before != after] or [(names[-1], adapted(new[-1]))]
    sets = ", ".join(f"{name} = %s" for name, _ in changed)
    return (f"UPDATE {table} SET {sets} WHERE {where}",
            [value for _, value in changed] + list(old[:keys]))


class Trouble(PublisherTest):
    def test_a_subscriber_holds_the_producers_rows_after_restarts_and_kills_of_both(self):
        seed = int(os.environ.get("PGSPOOL_SEED") or random.randrange(2**32))
        print(f"subscriber under trouble: PGSPOOL_SEED={seed}", flush=True)
        dice = random.Random(seed)
        subscriber = Subscriber(self, self.publisher)
        for table, (columns, _) in TABLES.items():
            for side in (self.publisher, subscriber):
                side.sql(f"CREATE TABLE {table} ({columns})")
        self.publisher.sql("CREATE PUBLICATION everything FOR ALL TABLES")
        subscriber.subscribe("tough", "everything", streaming="on",
                             binary=dice.choice(["true", "false"]))
        self.produce(dice, subscriber)
        subscriber.caught_up("tough")
        for table, rows in self.model.rows.items():
            names = [f"{name}::text" if name == "at" else name for name in COLUMNS[table]]
            found = subscriber.sql(f"SELECT {', '.join(names)} FROM {table}")
            self.assertEqual(sorted(found, key=lambda row: row[0]),
                             sorted(rows.values(), key=lambda row: row[0]), f"seed {seed}: {table}")

    def produce(self, dice, subscriber):
        """Publishes all changes while trouble comes at random moments."""
        self.model = Model(dice)
        producer = Producer(self.publisher, dice)
        trouble = [self.restart_publisher, self.restart_publisher, self.kill_publisher,
                   lambda: self.restart_subscriber(subscriber),
                   lambda: self.kill_subscriber(subscriber)]
        dice.shuffle(trouble)
        moments = sorted(dice.sample(range(CHANGES // 10, CHANGES * 9 // 10), len(trouble)))
        done, running, self.failed = 0, None, []
        while done < CHANGES:
            if moments and done >= moments[0]:
                moments.pop(0)
                if running:
                    running.join()
                running = self.in_a_moment(trouble.pop(), dice.random() / 20)
            changes, rows = self.model.batch(min(dice.randrange(1, 60), CHANGES - done))
            producer.publish(changes)
            self.model.rows = rows
            done += len(changes)
        self.assertEqual((moments, trouble), ([], []))
        if running:
            running.join()
        self.assertEqual(self.failed, [])

    def in_a_moment(self, action, seconds):
        def act():
            try:
                action()
            except Exception as error:  # the test's thread tells of it
                self.failed.append(error)

        timer = threading.Timer(seconds, act)
        timer.start()
        return timer

    def restart_publisher(self):
        self.publisher.shut_down()
        self.publisher.start_again()

    def kill_publisher(self):
        self.publisher.kill()
        self.publisher.start_again()

    def restart_subscriber(self, subscriber):
        subscriber.cluster.shut_down()
        subscriber.cluster.start_again()

    def kill_subscriber(self, subscriber):
        subscriber.cluster.kill()
        subscriber.cluster.start_again()


if __name__ == "__main__":
    unittest.main()
