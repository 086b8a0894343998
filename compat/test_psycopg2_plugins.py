"""psycopg2 2.9: pgoutput, wal2json and test_decoding, stopped and resumed; and slots through SQL."""

import json
import re
import select
import struct
import time
import unittest

import psycopg2
import psycopg2.extras

from publisher import PATIENCE
from server import USER
from streams import FIRST, PUBLICATION, SECOND, TABLE, StreamTest, alike, transactions

PGOUTPUT = {"proto_version": "1", "publication_names": "shop"}


class Psycopg2Plugins(StreamTest):
    def connect(self):
        connection = psycopg2.connect(
            host="127.0.0.1", port=self.publisher.port, user=USER, dbname="pgspool",
            password=self.publisher.password(),
            connection_factory=psycopg2.extras.LogicalReplicationConnection,
        )
        self.addCleanup(connection.close)
        return connection

    def make(self, plugin):
        self.publisher.sql(TABLE, PUBLICATION)
        connection = self.connect()
        connection.cursor().create_replication_slot("psycopg2", output_plugin=plugin)
        connection.close()

    def messages(self, groups, options, wanted):
        """Publishes, reads `wanted` messages, confirms them, and ends."""
        self.publish(groups)
        connection = self.connect()
        cursor = connection.cursor()
        cursor.start_replication(slot_name="psycopg2", decode=False, options=options,
                                 status_interval=1)
        messages, deadline = [], time.monotonic() + PATIENCE
        while len(messages) < wanted:
            message = cursor.read_message()
            if message is None:
                self.assertGreater(deadline, time.monotonic(), [m.payload for m in messages])
                select.select([cursor], [], [], 1)
                continue
            messages.append(message)
        lsn = messages[-1].data_start
        cursor.send_feedback(write_lsn=lsn, flush_lsn=lsn, apply_lsn=lsn, reply=True, force=True)
        said = cursor.io_timestamp
        while cursor.io_timestamp == said and time.monotonic() < deadline:
            self.assertIsNone(cursor.read_message(), "more than was published")
            select.select([cursor], [], [], 0.1)
        connection.close()
        self.confirmed_and_free("psycopg2", f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}")
        return [message.payload for message in messages]

    def test_pgoutput_is_followed_and_resumed(self):
        self.make("pgoutput")
        for groups in (FIRST, SECOND):
            wanted = [[alike(change) for change in changes] for changes in transactions(groups)]
            # Begin and Commit of each, its changes, and one Relation message a stream.
            count = sum(len(changes) + 2 for changes in wanted) + 1
            self.assertEqual(decoded(self.messages(groups, PGOUTPUT, count)), wanted)

    def test_wal2json_format_2_is_followed_and_resumed(self):
        self.make("wal2json")
        options = {"format-version": "2", "include-lsn": "true"}
        for groups in (FIRST, SECOND):
            wanted = transactions(groups)
            count = sum(len(changes) + 2 for changes in wanted)
            lines = [json.loads(one) for one in self.messages(groups, options, count)]
            self.assertEqual([line["action"] for line in lines],
                             [action for changes in wanted for action in
                              ["B", *(change["op"][0].upper() for change in changes), "C"]])
            changes = [line for line in lines if line["action"] in "IUD"]
            for line, change in zip(changes, (one for changes in wanted for one in changes)):
                self.assertRegex(line["lsn"], r"^[0-9A-F]+/[0-9A-F]+$")
                self.assertEqual((line["schema"], line["table"]), ("public", "items"))
                if change["new"] is not None:
                    self.assertEqual(columns(line["columns"]), change["new"])
                if change["old"] is not None:
                    self.assertEqual(columns(line["identity"]), change["old"])

    def test_test_decoding_is_followed_and_resumed(self):
        self.make("test_decoding")
        for groups in (FIRST, SECOND):
            wanted = [line for changes in transactions(groups)
                      for line in ["BEGIN", *map(test_decoding, changes), "COMMIT"]]
            lines = [one.decode() for one in
                     self.messages(groups, {"include-xids": "0"}, len(wanted))]
            self.assertEqual(lines, wanted)

    def test_slots_are_made_read_and_dropped_through_sql(self):
        self.publisher.sql(TABLE, PUBLICATION)
        connection = psycopg2.connect(self.publisher.conninfo())
        self.addCleanup(connection.close)
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute("select * from pg_create_logical_replication_slot('p2sql','pgoutput')")
        cursor.fetchall()
        self.publish(FIRST)
        wanted = [[alike(change) for change in changes] for changes in transactions(FIRST)]
        options = ",".join(f"'{name}','{value}'" for name, value in PGOUTPUT.items())
        for function in ("peek", "get"):
            cursor.execute(f"select * from pg_logical_slot_{function}_binary_changes"
                           f"('p2sql',NULL,NULL,{options})")
            self.assertEqual(decoded([bytes(row[2]) for row in cursor.fetchall()]), wanted)
        cursor.execute(f"select * from pg_logical_slot_get_binary_changes"
                       f"('p2sql',NULL,NULL,{options})")
        self.assertEqual(cursor.fetchall(), [])
        cursor.execute("select pg_drop_replication_slot('p2sql')")
        cursor.execute("select * from pg_replication_slots")
        self.assertEqual(cursor.fetchall(), [])


def columns(told):
    """wal2json's columns as text."""
    return {
        one["name"]: one["value"] if one["value"] is None or isinstance(one["value"], str)
        else f"{one['value']:.2f}" if one["type"].startswith("numeric") else str(one["value"])
        for one in told
    }


TYPES = {"id": "integer", "name": "text", "price": "numeric", "doc": "jsonb"}


def test_decoding(change):
    """The line of a change."""
    def row(values):
        return " ".join(
            f"{name}[{TYPES[name]}]:" + (
                "null" if value is None else value if TYPES[name] in ("integer", "numeric")
                else "'" + value.replace("'", "''") + "'")
            for name, value in values.items())

    line = f"table public.items: {change['op'].upper()}:"
    if change["op"] == "update" and change["old"]:
        return f"{line} old-key: {row(change['old'])} new-tuple: {row(change['new'])}"
    return f"{line} {row(change['new'] or change['old'])}"


def decoded(messages):
    """pgoutput messages (protocol 1, text) as transactions of changes."""
    relations, all_changes, changes = {}, [], None
    for message in messages:
        tag, reader = message[:1], Reader(message[1:])
        if tag == b"B":
            assert changes is None, "Begin inside of a transaction"
            changes = []
        elif tag == b"C":
            all_changes.append(changes)
            changes = None
        elif tag == b"R":
            oid, schema, name = reader.number("I"), reader.string(), reader.string()
            reader.number("c")
            relations[oid] = f"{schema}.{name}", [
                (reader.number("B"), reader.string(), reader.number("Ii"))[1]
                for _ in range(reader.number("H"))]
        elif tag in b"IUD":
            changes.append(reader.change(tag, relations))
        else:
            raise AssertionError(f"unexpected: {message}")
    assert changes is None, "no Commit"
    return all_changes


class Reader:
    """Takes a message's parts off its front."""

    def __init__(self, left):
        self.left = left

    def take(self, count):
        taken, self.left = self.left[:count], self.left[count:]
        assert len(taken) == count, "a short message"
        return taken

    def number(self, kind):
        return struct.unpack(f"!{kind}", self.take(struct.calcsize(f"!{kind}")))[0]

    def string(self):
        found = re.match(rb"([^\0]*)\0", self.left)
        self.left = self.left[found.end():]
        return found[1].decode()

    def row(self, names):
        assert self.number("H") == len(names)
        return {name: self.value() for name in names}

    def value(self):
        kind = self.take(1)
        if kind == b"n":
            return None
        assert kind == b"t", kind
        return self.take(self.number("I")).decode()

    def change(self, tag, relations):
        table, names = relations[self.number("I")]
        rows = {}
        while self.left:
            kind = self.take(1)
            rows["new" if kind == b"N" else "old"] = self.row(names)
        ops = {b"I": "insert", b"U": "update", b"D": "delete"}
        return alike({"op": ops[tag], "table": table, **rows})


if __name__ == "__main__":
    unittest.main()
