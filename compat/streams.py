"""A life that every client of a stream lives: it follows changes, is stopped, and resumes.

A client is a program that prints events as lines of JSON (see walstream/src/bin/pgoutput-client.rs)
and stops when its standard input has a line.
"""

import json
import os
import queue
import subprocess
import threading

from publisher import PATIENCE, PublisherTest, eventually

TABLE = "CREATE TABLE items (id int PRIMARY KEY, name text, price numeric(8,2), doc jsonb)"
PUBLICATION = "CREATE PUBLICATION shop FOR TABLE items"
ALL = "id, name, price, doc"
ONE = {"id": "1", "name": "one", "price": "1.50", "doc": '{"a": [1, null]}'}
TWO = {"id": "2", "name": "zwölf 'quoted' \\ \t\n", "price": None, "doc": None}

# Groups of statements, each one transaction, with the events that they are.
FIRST = [
    (["""INSERT INTO items VALUES (1, 'one', 1.5, '{"a":[1,null]}')""",
      r"INSERT INTO items (name, id) VALUES (E'zwölf ''quoted'' \\ \t\n', 2)"],
     [("insert", None, ONE), ("insert", None, TWO)]),
    (["UPDATE items SET name = 'uno', price = 2, doc = NULL WHERE id = 1"],
     [("update", None, {"id": "1", "name": "uno", "price": "2.00", "doc": None})]),
    (["UPDATE items SET id = 20, name = '', price = -1, doc = '[]' WHERE id = 2"],
     [("update", {"id": "2"}, {"id": "20", "name": "", "price": "-1.00", "doc": "[]"})]),
    (["DELETE FROM items WHERE id = 20"], [("delete", {"id": "20"}, None)]),
]
SECOND = [
    (["INSERT INTO items VALUES (3, 'three', NULL, NULL)", "DELETE FROM items WHERE id = 1"],
     [("insert", None, {"id": "3", "name": "three", "price": None, "doc": None}),
      ("delete", {"id": "1"}, None)]),
    (["INSERT INTO items VALUES (4, repeat('x', 100000), 0, NULL)"
      if os.environ.get("PGSPOOL_PUBLISHER") == "postgresql" else
      f"INSERT INTO items VALUES (4, '{'x' * 100_000}', 0, NULL)"],
     [("insert", None, {"id": "4", "name": "x" * 100_000, "price": "0.00", "doc": None})]),
]


def transactions(groups):
    """What the groups are as transactions of changes."""
    return [
        [{"op": op, "table": "public.items", "old": old, "new": new} for op, old, new in changes]
        for _, changes in groups
    ]


class Client:
    """A running client. `next()` is its next event."""

    def __init__(self, command, password, folder=None):
        self.process = subprocess.Popen(
            [str(part) for part in command],
            env={**os.environ, "PGPASSWORD": password},
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self.lines, self.said = queue.Queue(), []
        for read in (self._read_events, self._read_trouble):
            threading.Thread(target=read, daemon=True).start()

    def _read_events(self):
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def _read_trouble(self):
        self.said.extend(self.process.stderr)

    def next(self):
        try:
            line = self.lines.get(timeout=PATIENCE)
        except queue.Empty:
            line = None
        if line is None:
            raise AssertionError(f"no more events:\n{''.join(self.said)}")
        return json.loads(line)

    def rest(self):
        """What a client that has ended said before."""
        self.process.wait(PATIENCE)
        events = []
        while (line := self.lines.get(timeout=PATIENCE)) is not None:
            if line.endswith("\n"):  # its last one may be cut
                events.append(json.loads(line))
        return events

    def wait_for(self, op):
        event = self.next()
        assert event["op"] == op, f"{event} instead of {op}\n{''.join(self.said)}"
        return event

    def stop(self):
        """Ends it in good order."""
        self.process.stdin.write("stop\n")
        self.process.stdin.flush()
        self.wait_for("stopped")
        code = self.process.wait(PATIENCE)
        assert code == 0, f"exit code {code}\n{''.join(self.said)}"

    def end(self):
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            pipe.close()


class StreamTest(PublisherTest):
    """A publisher with a table, and clients that follow it."""

    def prepare(self, slot, plugin):
        self.publisher.sql(
            TABLE, PUBLICATION,
            f"SELECT * FROM pg_create_logical_replication_slot('{slot}', '{plugin}')")

    def client(self, *command):
        client = Client(command, self.publisher.password())
        self.addCleanup(client.end)
        client.wait_for("started")
        return client

    def publish(self, groups):
        with self.publisher.connect() as connection:
            for statements, _ in groups:
                with connection.transaction():
                    for statement in statements:
                        connection.execute(statement)

    def transaction(self, client):
        """The changes of the next transaction, and the position of its commit."""
        client.wait_for("begin")
        changes = []
        while (event := client.next())["op"] != "commit":
            changes.append(event)
        return changes, event["lsn"]

    def follow(self, client, groups):
        """Demands the transactions of the groups, in order; the last one's position."""
        for wanted in transactions(groups):
            changes, lsn = self.transaction(client)
            self.assertEqual([alike(change) for change in changes],
                             [alike(change) for change in wanted])
        return lsn

    def confirmed_and_free(self, slot, lsn):
        asked = (f"SELECT confirmed_flush_lsn >= '{lsn}', active FROM pg_replication_slots"
                 f" WHERE slot_name = '{slot}'")
        eventually(lambda: self.publisher.sql(asked) == [(True, False)], f"{slot} to be at {lsn}")

    def live_a_life(self, slot, *command):
        """A stream of pgoutput, stopped and resumed."""
        self.prepare(slot, "pgoutput")
        client = self.client(*command)
        self.publish(FIRST)
        lsn = self.follow(client, FIRST)
        self.publisher.sql("SELECT pg_logical_emit_message(true, 'note', 'höre')")
        (message,), lsn = self.transaction(client)
        self.assertEqual(message, {"op": "message", "prefix": "note", "content": "höre"})
        client.stop()
        self.confirmed_and_free(slot, lsn)
        self.publish(SECOND)
        client = self.client(*command)
        lsn = self.follow(client, SECOND)
        client.stop()
        self.confirmed_and_free(slot, lsn)
        self.publisher.sql(f"SELECT pg_drop_replication_slot('{slot}')")


def alike(change):
    """A change without what clients tell differently: of an old row its key's columns only."""
    old = change.get("old")
    if old is not None:
        old = {name: value for name, value in old.items() if value is not None}
    return {**change, "old": old, "new": change.get("new")}
