"""pg_receivewal and pg_basebackup want physical replication: refused cleanly, never half-served."""

import unittest

from server import ServerTest


class Physical(ServerTest):
    def test_pg_receivewal_is_refused(self):
        done = self.server.physical("pg_receivewal", "-D", self.folder, "--no-loop")
        self.assertEqual(done.returncode, 1)
        self.assertIn('could not send replication command "START_REPLICATION"', done.stderr)

    def test_pg_receivewal_gets_no_slot(self):
        done = self.server.physical("pg_receivewal", "--slot", "phys", "--create-slot")
        self.assertEqual(done.returncode, 1)
        self.assertIn('could not send replication command "CREATE_REPLICATION_SLOT', done.stderr)

    def test_pg_basebackup_is_refused(self):
        done = self.server.physical("pg_basebackup", "-D", self.folder / "backup", "-X", "none")
        self.assertEqual(done.returncode, 1)
        self.assertIn("could not initiate base backup: ERROR:", done.stderr)

    def test_the_server_serves_on_afterwards(self):
        self.server.physical("pg_receivewal", "-D", self.folder, "--no-loop")
        self.assertEqual(self.server.psql("-c", "SHOW server_version").returncode, 0)


if __name__ == "__main__":
    unittest.main()
