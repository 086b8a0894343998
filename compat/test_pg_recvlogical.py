"""pg_recvlogical 15: create, duplicate, start, endpos, drop."""

import unittest

from server import ServerTest, record


class PgRecvlogical(ServerTest):
    def create(self, slot, *options, plugin="test_decoding"):
        return self.server.recvlogical("--slot", slot, "--create-slot", "-P", plugin, *options)

    def follow(self, slot, *options, **more):
        """Streams to the end position in --endpos and returns the lines."""
        done = self.server.recvlogical(
            "--slot", slot, "--start", "--no-loop", "-f", "-", *options, **more
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.splitlines()

    def head(self):
        shown = self.server.psql("-At", "-c", "IDENTIFY_SYSTEM", database=self.replication())
        self.assertEqual(shown.returncode, 0, shown.stderr)
        return shown.stdout.strip().split("|")[2]

    @staticmethod
    def replication(database="pgspool"):
        return f"dbname={database} replication=database"

    def test_a_slot_is_made_once(self):
        self.assertEqual(self.create("made").returncode, 0)
        again = self.create("made")
        self.assertEqual(again.returncode, 1)
        self.assertIn('replication slot "made" already exists', again.stderr)

    def test_if_not_exists_takes_a_slot_that_is_there_as_made(self):
        self.assertEqual(self.create("made", "--if-not-exists").returncode, 0)
        self.assertEqual(self.create("made", "--if-not-exists").returncode, 0)

    def test_a_two_phase_slot_is_made(self):
        done = self.create("two", "--two-phase")
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_an_unknown_plugin_is_refused(self):
        done = self.create("odd", plugin="no_such_plugin")
        self.assertEqual(done.returncode, 1)
        self.assertIn("no_such_plugin", done.stderr)

    def test_a_dropped_slot_is_gone(self):
        self.create("short")
        done = self.server.recvlogical("--slot", "short", "--drop-slot")
        self.assertEqual(done.returncode, 0, done.stderr)
        again = self.server.recvlogical("--slot", "short", "--drop-slot")
        self.assertEqual(again.returncode, 1)
        self.assertIn('replication slot "short" does not exist', again.stderr)

    def test_a_missing_slot_cannot_be_started(self):
        done = self.server.recvlogical("--slot", "none", "--start", "--no-loop", "-f", "-")
        self.assertEqual(done.returncode, 1)
        self.assertIn('replication slot "none" does not exist', done.stderr)

    def test_endpos_ends_the_stream_with_every_record_and_success(self):
        self.create("all")
        self.copy_in([record(rid) for rid in range(1, 101)])
        lines = self.follow("all", "--endpos", self.head(), "-o", "include-xids=1")
        inserts = [line for line in lines if line.startswith("table public.orders: INSERT:")]
        self.assertEqual(len(inserts), 100)
        self.assertEqual(sum(line.startswith("BEGIN ") for line in lines), 100)
        self.assertEqual(sum(line.startswith("COMMIT ") for line in lines), 100)

    def test_endpos_needs_no_data_at_the_end(self):
        self.copy_in([record(1)])
        self.create("idle")
        self.assertEqual(self.follow("idle", "--endpos", self.head()), [])

    def test_what_was_received_does_not_come_again(self):
        self.create("once")
        self.copy_in([record(rid) for rid in range(1, 11)])
        first = self.follow("once", "--endpos", self.head(), "-o", "include-xids=0")
        self.copy_in([record(rid) for rid in range(11, 21)])
        second = self.follow("once", "--endpos", self.head(), "-o", "include-xids=0")
        self.assertEqual(len([line for line in first if "INSERT" in line]), 10)
        self.assertEqual(len([line for line in second if "INSERT" in line]), 10)
        self.assertFalse(set(first) & set(second) - {"BEGIN", "COMMIT"})

    def test_options_of_test_decoding_are_understood(self):
        self.create("options")
        self.copy_in([record(1), record(1, "delete")])
        lines = self.follow(
            "options",
            "--endpos",
            self.head(),
            *("-o", "include-xids=off", "-o", "include-timestamp", "-o", "skip-empty-xacts=1"),
        )
        self.assertEqual(lines[0], "BEGIN")
        self.assertRegex(lines[2], r"^COMMIT \(at \d{4}-\d\d-\d\d ")
        self.assertTrue(lines[4].startswith("table public.orders: DELETE:"), lines[4])

    def test_an_unknown_option_is_refused(self):
        self.create("odd")
        done = self.server.recvlogical(
            "--slot", "odd", "--start", "--no-loop", "-f", "-", "-o", "no-such-option=1"
        )
        self.assertEqual(done.returncode, 1)
        self.assertIn("no-such-option", done.stderr)

    def test_create_and_start_on_one_connection(self):
        self.copy_in([record(1)])
        done = self.server.recvlogical(
            *("--slot", "both", "--create-slot", "--start", "--no-loop", "-f", "-"),
            *("-P", "json", "--endpos", self.head()),
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout, "")

    def test_the_json_plugin_sends_one_line_a_record(self):
        self.create("json", plugin="json")
        self.copy_in([record(rid) for rid in range(1, 4)])
        lines = self.follow("json", "--endpos", self.head())
        self.assertEqual(len(lines), 3)
        self.assertIn('"collection":"orders"', lines[0])


if __name__ == "__main__":
    unittest.main()
