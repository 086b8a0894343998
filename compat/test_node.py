"""pg-logical-replication 2.5 for Node.js: its three plugins. It confirms each position plus one."""

import unittest

from server import ROOT
from streams import FIRST, SECOND, StreamTest, alike, transactions

CLIENT = ["node", ROOT / "compat/node_client.js"]


class PgLogicalReplication(StreamTest):
    def follower(self, plugin, slot):
        return self.client(*CLIENT, plugin, self.publisher.port, slot, "shop")

    def test_pgoutput_lives_its_life(self):
        self.live_a_life("node_pgoutput", *CLIENT, "pgoutput", self.publisher.port,
                         "node_pgoutput", "shop")

    def test_wal2json_is_followed_and_resumed(self):
        self.two_parts("wal2json", self.follow_wal2json)

    def test_test_decoding_is_followed_and_resumed(self):
        self.two_parts("test_decoding", self.follow_test_decoding)

    def two_parts(self, plugin, follow):
        slot = f"node_{plugin}"
        self.prepare(slot, plugin)
        again = []
        for groups in (FIRST, SECOND):
            self.publish(groups)
            client = self.follower(plugin, slot)
            lsn = follow(client, again + groups)
            # PostgreSQL's wal2json calls a transaction by the position where it begins.
            again = groups[-1:] if self.publisher.real and plugin == "wal2json" else []
            client.stop()
            self.confirmed_and_free(slot, lsn)

    def follow_wal2json(self, client, groups):
        for wanted in transactions(groups):
            event = client.wait_for("wal2json")
            self.assertIn("timestamp", event["document"])
            changes = [changed(change) for change in event["document"]["change"]]
            self.assertEqual(changes, [alike(change) for change in wanted])
        return event["lsn"]

    def follow_test_decoding(self, client, groups):
        for wanted in transactions(groups):
            begin = client.wait_for("test_decoding")["line"]
            self.assertEqual(begin["trx"], "BEGIN")
            for change in wanted:
                line = client.wait_for("test_decoding")["line"]
                self.assertEqual((line["schema"], line["table"]), ("public", "items"))
                self.assertEqual(line["action"], change["op"].upper())
                if change["old"] is None:
                    values = {one["name"]: one["value"] for one in line["data"]}
                    # The library's parser takes the first quote in a value for its end.
                    name = change["new"]["name"].split("'")[0]
                    self.assertEqual(values, {**change["new"], "name": name})
            event = client.wait_for("test_decoding")
            self.assertEqual((event["line"]["trx"], event["line"]["xid"]),
                             ("COMMIT", begin["xid"]))
            self.assertTrue(event["line"]["time"])
        return event["lsn"]


def changed(change):
    """A change of wal2json's document in the words of all clients."""
    new, old = change.get("columnnames"), change.get("oldkeys")
    return {
        "op": change["kind"],
        "table": f"{change['schema']}.{change['table']}",
        "old": old and texts(old["keynames"], old["keytypes"], old["keyvalues"])
        if change["kind"] == "delete" or moved(change) else None,
        "new": new and texts(new, change["columntypes"], change["columnvalues"]),
    }


def moved(change):
    """wal2json always tells an update's key; here it counts when it changed."""
    old = change.get("oldkeys")
    if not old:
        return False
    new = dict(zip(change["columnnames"], change["columnvalues"]))
    return [new[name] for name in old["keynames"]] != old["keyvalues"]


def texts(names, types, values):
    """Columns as text: numbers come as JSON's numbers."""
    return {
        name: value if value is None or isinstance(value, str)
        else f"{value:.2f}" if kind.startswith("numeric") else str(value)
        for name, kind, value in zip(names, types, values)
    }


if __name__ == "__main__":
    unittest.main()
