"""psycopg2 2.9: both plugins, acknowledgements, reconnect and resume, an imported spool."""

import json
import select
import time
import unittest

import psycopg2
import psycopg2.errorcodes
import psycopg2.extras

from publisher import eventually
from server import FIXTURES, PATIENCE, ServerTest, USER, crc, expected, pgspool, record


class Psycopg2(ServerTest):
    def connect(self, database="pgspool"):
        connection = psycopg2.connect(
            host="127.0.0.1",
            port=self.server.port,
            user=USER,
            dbname=database,
            connection_factory=psycopg2.extras.LogicalReplicationConnection,
        )
        self.addCleanup(connection.close)
        return connection

    def create(self, slot, plugin="json", database="pgspool"):
        """Makes a slot and returns the row of the reply."""
        connection = self.connect(database)
        cursor = connection.cursor()
        cursor.create_replication_slot(slot, output_plugin=plugin)
        row = cursor.fetchone()
        connection.close()
        return row

    def start(self, *settings, slot=None, database="pgspool", options=None):
        """With `slot`: a started cursor. Without: the server (see ServerTest)."""
        if slot is None:
            return super().start(*settings)
        connection = self.connect(database)
        cursor = connection.cursor()
        cursor.start_replication(slot_name=slot, decode=False, options=options, status_interval=10)
        return cursor

    def read(self, cursor, count):
        """The next `count` messages."""
        messages = []
        deadline = time.monotonic() + PATIENCE
        while len(messages) < count:
            message = cursor.read_message()
            if message is not None:
                messages.append(message)
                continue
            self.assertGreater(deadline, time.monotonic(), f"only {len(messages)} of {count}")
            select.select([cursor], [], [], 1)
        return messages

    def nothing_more(self, cursor, seconds=0.5):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.assertIsNone(cursor.read_message())
            select.select([cursor], [], [], 0.1)

    def confirm(self, cursor, lsn):
        cursor.send_feedback(write_lsn=lsn, flush_lsn=lsn, apply_lsn=lsn, reply=True, force=True)

    def refused(self, action, code):
        with self.assertRaises(psycopg2.Error) as caught:
            action()
        self.assertEqual(caught.exception.pgcode, code, caught.exception)

    def test_identify_system_names_the_database(self):
        cursor = self.connect().cursor()
        cursor.execute("IDENTIFY_SYSTEM")
        system, timeline, position, database = cursor.fetchone()
        self.assertGreater(int(system), 0)
        self.assertEqual(int(timeline), 1)
        self.assertRegex(position, r"^[0-9A-F]+/[0-9A-F]+$")
        self.assertNotEqual(position, "0/0", "clients take it for no position")
        self.assertEqual(database, "pgspool")

    def test_a_slot_made_without_options_comes_with_a_snapshot_name(self):
        name, position, snapshot, plugin = self.create("plain")
        self.assertEqual((name, plugin), ("plain", "json"))
        self.assertRegex(position, r"^[0-9A-F]+/[0-9A-F]+$")
        self.assertTrue(snapshot)

    def test_a_slot_is_made_once(self):
        self.create("once")
        self.refused(lambda: self.create("once"), psycopg2.errorcodes.DUPLICATE_OBJECT)

    def test_a_slot_in_use_is_refused_and_free_when_its_connection_ends(self):
        self.create("busy")
        holder = self.start(slot="busy")
        self.refused(lambda: self.start(slot="busy"), psycopg2.errorcodes.OBJECT_IN_USE)
        holder.connection.close()
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self.start(slot="busy")
                return
            except psycopg2.Error as error:
                self.assertEqual(error.pgcode, psycopg2.errorcodes.OBJECT_IN_USE)
                self.assertGreater(deadline, time.monotonic(), "the slot stayed in use")
                time.sleep(0.05)

    def test_a_missing_slot_is_refused(self):
        self.refused(lambda: self.start(slot="none"), psycopg2.errorcodes.UNDEFINED_OBJECT)

    def test_a_dropped_slot_is_gone(self):
        self.create("short")
        cursor = self.connect().cursor()
        cursor.drop_replication_slot("short")
        self.refused(
            lambda: cursor.drop_replication_slot("short"), psycopg2.errorcodes.UNDEFINED_OBJECT
        )

    def test_json_delivers_every_record_in_order(self):
        self.create("json")
        self.copy_in([record(rid, metadata={"n": 2**53 + rid}) for rid in range(1, 501)])
        messages = self.read(self.start(slot="json"), 500)
        seen = [json.loads(message.payload) for message in messages]
        self.assertEqual([one["rid"] for one in seen], list(range(1, 501)))
        self.assertEqual([one["metadata"]["n"] for one in seen], [2**53 + r for r in range(1, 501)])
        positions = [message.data_start for message in messages]
        self.assertEqual(positions, sorted(set(positions)))
        self.assertEqual([one["lsn"] for one in seen], positions)

    def test_test_decoding_delivers_transactions(self):
        self.create("text", "test_decoding")
        self.copy_in([record(1), record(1, "update"), record(1, "delete")])
        cursor = self.start(slot="text", options={"include-xids": "1"})
        lines = [message.payload.decode() for message in self.read(cursor, 9)]
        for at, operation in ((0, "INSERT"), (3, "UPDATE"), (6, "DELETE")):
            self.assertRegex(lines[at], r"^BEGIN \d+$")
            self.assertTrue(lines[at + 1].startswith(f"table public.orders: {operation}:"))
            self.assertRegex(lines[at + 2], r"^COMMIT \d+$")
            self.assertEqual(lines[at].split()[1], lines[at + 2].split()[1])

    def test_a_stream_resumes_after_the_confirmed_record(self):
        self.create("resume")
        self.copy_in([record(rid) for rid in range(1, 101)])
        cursor = self.start(slot="resume")
        messages = self.read(cursor, 60)
        self.confirm(cursor, messages[36].data_start)
        self.nothing_more_is_lost(cursor)
        seen = [json.loads(m.payload)["rid"] for m in self.read(self.start(slot="resume"), 63)]
        self.assertEqual(seen, list(range(38, 101)))

    def nothing_more_is_lost(self, cursor):
        """Ends a stream once its feedback was taken: the server answers it with a keepalive."""
        self.read(cursor, 40)
        deadline = time.monotonic() + PATIENCE
        before = cursor.io_timestamp
        while cursor.io_timestamp == before and time.monotonic() < deadline:
            cursor.read_message()
            select.select([cursor], [], [], 0.1)
        cursor.connection.close()

    def test_new_records_reach_a_waiting_subscriber(self):
        self.create("live")
        cursor = self.start(slot="live")
        self.nothing_more(cursor, 0.2)
        for rid in range(1, 6):
            self.copy_in([record(rid)])
            (message,) = self.read(cursor, 1)
            self.assertEqual(json.loads(message.payload)["rid"], rid)
            self.confirm(cursor, message.data_start)

    def test_what_was_confirmed_stays_confirmed_over_a_restart(self):
        self.create("restart")
        self.copy_in([record(rid) for rid in range(1, 11)])
        cursor = self.start(slot="restart")
        messages = self.read(cursor, 10)
        self.confirm(cursor, messages[6].data_start)
        other = self.connect().cursor()

        def noted():
            other.execute("SELECT confirmed_flush_lsn - '0/0' FROM pg_replication_slots")
            return int(other.fetchone()[0]) == messages[6].data_start

        eventually(noted, "the confirmation to arrive")
        cursor.connection.close()
        self.assertEqual(self.server.stop(), 0)
        self.start()
        seen = [json.loads(m.payload)["rid"] for m in self.read(self.start(slot="restart"), 3)]
        self.assertEqual(seen, [8, 9, 10])

    def test_a_stopping_server_ends_idle_streams_and_exits_0(self):
        self.create("idle")
        self.start(slot="idle")
        self.assertEqual(self.server.stop(), 0)

    def test_an_imported_subscriber_goes_on_at_its_slot(self):
        done = pgspool(
            *("import", "--data", self.data, "--reddb", FIXTURES / "shop.rdb"),
            *("--database", "shop", "--slot-plugin", "json"),
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        cursor = self.start(slot="warehouse", database="shop")
        rows = [row for row in expected("shop") if int(row["lsn"]) > 400]
        messages = self.read(cursor, len(rows))
        self.assertEqual(len(messages), 200)
        for row, message in zip(rows, messages):
            self.assertEqual(message.data_start, int(row["lsn"]) * 64)
            self.assertEqual(crc(message.payload), row["payload_crc32"])
        self.nothing_more(cursor)

    def test_an_imported_invalid_slot_says_why(self):
        pgspool(
            *("import", "--data", self.data, "--reddb", FIXTURES / "shop.rdb"),
            *("--database", "shop"),
        )
        self.refused(
            lambda: self.start(slot="audit", database="shop"),
            psycopg2.errorcodes.OBJECT_NOT_IN_PREREQUISITE_STATE,
        )


if __name__ == "__main__":
    unittest.main()
