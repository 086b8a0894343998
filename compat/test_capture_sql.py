"""psql 15 in a captured database: what it shows is what it shows of the upstream, and nothing is
taken."""

import time
import unittest

from postgres import Postgres
from server import PATIENCE, ServerTest

TABLES = """
    CREATE TYPE mood AS ENUM ('sad', 'fine');
    CREATE TABLE orders (id int PRIMARY KEY, total numeric(10,2) NOT NULL, tags text[]);
    CREATE TABLE logs (line text, how mood);
    ALTER TABLE logs REPLICA IDENTITY FULL;
    CREATE TABLE users (id int, email text NOT NULL UNIQUE);
    ALTER TABLE users REPLICA IDENTITY USING INDEX users_email_key;
    CREATE PUBLICATION p FOR TABLE orders, logs, users;
"""


class CaptureSql(ServerTest):
    def setUp(self):
        super().setUp()
        self.upstream = Postgres()
        self.addCleanup(self.upstream.stop)
        made = self.upstream.psql("-v", "ON_ERROR_STOP=1", "-c", TABLES)
        self.assertEqual(made.returncode, 0, made.stderr)
        self.say(
            "CREATE DATABASE shop WITH (upstream = 'host=127.0.0.1 "
            f"port={self.upstream.port} user=pgspool dbname=pgspool', publication = 'p')",
            database="pgspool",
        )

    def say(self, text, database="shop"):
        done = self.server.psql("-v", "ON_ERROR_STOP=1", "-At", "-c", text, database=database)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.rstrip("\n")

    def wait_for(self, text, wanted):
        deadline = time.monotonic() + PATIENCE
        while (found := self.say(text)) != wanted:
            self.assertLess(time.monotonic(), deadline, f"{text}: {found}")
            time.sleep(0.1)

    def test_the_database_is_listed_and_its_tables_are_those_of_the_upstream(self):
        self.assertIn("shop|", self.say("\\l", database="pgspool"))
        wanted = self.upstream.psql("-At", "-c", "\\dRp").stdout.count("\n")
        self.wait_for("SELECT count(*) FROM pg_publication", str(wanted))
        self.wait_for("SELECT count(*) FROM pg_publication_tables", "3")
        for command in ["\\d orders", "\\d logs", "\\d users"]:
            here = self.server.psql("-c", command, database="shop")
            there = self.upstream.psql("-c", command)
            self.assertEqual(here.returncode, 0, here.stderr)
            self.assertEqual(here.stdout, there.stdout, command)

    def test_the_view_of_captures_can_be_described_and_read(self):
        described = self.say("\\d pgspool.captures")
        self.assertIn("acknowledged_lsn|pg_lsn", described)
        self.wait_for("SELECT state FROM pgspool.captures", "streaming")
        shown = self.say("SELECT upstream, slot, stop_cause FROM pgspool.captures")
        self.assertIn("host=127.0.0.1", shown)
        self.assertTrue(shown.endswith("|pgspool_shop|"), shown)

    def test_nothing_is_taken_and_copy_is_refused_before_its_data(self):
        self.wait_for("SELECT count(*) FROM pg_publication_tables", "3")
        path = self.folder / "given"
        path.write_text("1\t2\t{}\n", encoding="utf-8")
        for text in ["INSERT INTO orders VALUES (1, 2)", "CREATE TABLE t ()",
                     f"\\copy orders from '{path}'", "CREATE PUBLICATION q"]:
            done = self.server.psql("-v", "VERBOSITY=verbose", "-c", text, database="shop")
            self.assertEqual(done.returncode, 1, text)
            self.assertIn("55000", done.stderr, text)

    def test_pause_holds_the_capture_up_until_resume(self):
        self.wait_for("SELECT state FROM pgspool.captures", "streaming")
        self.assertEqual(self.say("PAUSE shop", database="pgspool"), "PAUSE")
        self.wait_for("SELECT state FROM pgspool.captures", "paused")
        self.upstream.psql("-c", "INSERT INTO orders VALUES (1, 2)")
        self.assertEqual(self.say("RESUME"), "RESUME")
        self.wait_for("SELECT count(*) FROM pgspool.changes", "1")

    def test_an_unknown_publication_is_postgresqls_error(self):
        made = self.server.recvlogical("--slot", "s", "-P", "pgoutput", "--create-slot",
                                       database="shop")
        self.assertEqual(made.returncode, 0, made.stderr)
        self.upstream.psql("-c", "INSERT INTO orders VALUES (1, 2)")
        done = self.server.recvlogical(
            "--slot", "s", "--start", "-f", "-", "--no-loop", "-o", "proto_version=1",
            "-o", "publication_names=nowhere", database="shop")
        self.assertIn('publication "nowhere" does not exist', done.stderr)

    def test_dropping_leaves_the_upstreams_slot_and_says_so(self):
        done = self.server.psql("-c", "DROP DATABASE shop", database="pgspool")
        self.assertEqual(done.stdout, "DROP DATABASE\n", done.stderr)
        self.assertIn('replication slot "pgspool_shop" is left on the upstream', done.stderr)
        slots = self.upstream.psql("-At", "-c", "SELECT slot_name FROM pg_replication_slots")
        self.assertEqual(slots.stdout, "pgspool_shop\n")


if __name__ == "__main__":
    unittest.main()
