"""psql 15: producing with \\copy, and the few statements that it can be used for."""

import unittest

from server import ServerTest, record


class Psql(ServerTest):
    def copy(self, text):
        path = self.folder / "given.ndjson"
        path.write_text(text, encoding="utf-8")
        return self.server.psql(
            "-v", "VERBOSITY=verbose",
            "-c", f"\\copy pgspool.changes from '{path}' with (format ndjson)",
        )

    def test_copy_counts_the_records_that_are_durable(self):
        self.copy_in([record(rid) for rid in range(1, 1001)])

    def test_copy_of_nothing_is_copy_0(self):
        done = self.copy("")
        self.assertEqual((done.returncode, done.stdout.strip()), (0, "COPY 0"), done.stderr)

    def test_a_last_line_without_its_end_counts(self):
        done = self.copy(record(1) + "\n" + record(2))
        self.assertEqual((done.returncode, done.stdout.strip()), (0, "COPY 2"), done.stderr)

    def test_records_come_through_a_pipe(self):
        done = self.server.psql(
            "-c", "\\copy pgspool.changes from pstdin with (format ndjson)", input=record(1) + "\n"
        )
        self.assertEqual((done.returncode, done.stdout.strip()), (0, "COPY 1"), done.stderr)

    def test_a_bad_line_is_named_and_what_came_before_it_stays(self):
        done = self.copy(record(1) + "\n" + record(2) + "\nthis is not json\n" + record(4) + "\n")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("22P02", done.stderr)
        self.assertIn("line 3", done.stderr)
        self.assertRegex(done.stderr, r"DETAIL: .*\b2\b.*\b[0-9A-F]+/[0-9A-F]+")

    def test_copy_into_anything_else_is_refused(self):
        path = self.folder / "given.ndjson"
        path.write_text(record(1) + "\n", encoding="utf-8")
        done = self.server.psql("-c", f"\\copy orders from '{path}'")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("ERROR", done.stderr)

    def copied(self):
        """The position and the row id of every retained record."""
        done = self.server.psql("-At", "-c", "SELECT lsn, rid FROM pgspool.changes ORDER BY lsn, rid")
        self.assertEqual(done.returncode, 0, done.stderr)
        return [tuple(line.split("|")) for line in done.stdout.splitlines()]

    def copy_twice_in_a_block(self, end):
        paths = []
        for rid in (1, 2):
            paths.append(self.folder / f"given{rid}.ndjson")
            paths[-1].write_text(record(rid) + "\n", encoding="utf-8")
        copies = [f"\\copy pgspool.changes from '{path}' with (format ndjson)" for path in paths]
        script = "\n".join(["BEGIN;", *copies, f"{end};", ""])
        done = self.server.psql("-v", "VERBOSITY=verbose", "-f", "-", input=script)
        self.assertEqual(done.stderr, "")
        self.assertEqual(done.stdout.split("\n"), ["BEGIN", "COPY 1", "COPY 1", end, ""])

    def test_copies_of_one_transaction_have_one_position(self):
        self.copy_twice_in_a_block("COMMIT")
        positions, rids = zip(*self.copied())
        self.assertEqual((len(set(positions)), rids), (1, ("1", "2")))

    def test_a_copy_rolled_back_is_not_there(self):
        self.copy_twice_in_a_block("ROLLBACK")
        self.assertEqual(self.copied(), [])

    def test_a_table_that_is_not_there_is_an_undefined_table(self):
        done = self.server.psql("-v", "VERBOSITY=verbose", "-c", "SELECT * FROM orders")
        self.assertEqual(done.returncode, 1)
        self.assertIn('ERROR:  42P01: relation "orders" does not exist\nLINE 1:', done.stderr)

    def test_a_published_collection_has_no_rows_to_read(self):
        self.copy_in([record(1)])
        done = self.server.psql("-v", "VERBOSITY=verbose", "-c", "SELECT * FROM orders")
        self.assertEqual(done.returncode, 1)
        self.assertIn("ERROR:  0A000: ", done.stderr)
        self.assertIn("pgspool.changes", done.stderr)

    def test_an_unknown_database_is_refused(self):
        done = self.server.psql("-c", "SHOW server_version", database="nowhere")
        self.assertEqual(done.returncode, 2)
        self.assertIn('database "nowhere" does not exist', done.stderr)

    def test_a_replication_command_is_a_syntax_error_on_a_normal_connection(self):
        done = self.server.psql("-v", "VERBOSITY=verbose", "-c", "IDENTIFY_SYSTEM")
        self.assertEqual(done.returncode, 1)
        self.assertIn("42601", done.stderr)


if __name__ == "__main__":
    unittest.main()
