"""The binary forms that tests/driver_types.rs knows are PostgreSQL's: the same test, run against it."""

import json
import os
import subprocess
import unittest

from postgres import Postgres
from server import PATIENCE, ROOT, USER


class DriverTypes(unittest.TestCase):
    def setUp(self):
        self.postgres = Postgres()
        self.addCleanup(self.postgres.stop)

    def test_postgresql_reads_and_writes_the_same_bytes(self):
        conninfo = f"host=127.0.0.1 port={self.postgres.port} user={USER} dbname=pgspool"
        done = subprocess.run(
            [built()],
            env={**os.environ, "PGSPOOL_POSTGRES": conninfo},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertRegex(done.stdout, r"test result: ok\. [1-9]\d* passed; 0 failed; 0 ignored")


def built():
    """The test's program; cargo builds it unless it is there."""
    command = ["cargo", "test", "--locked", "--no-run", "--test", "driver_types",
               "--message-format", "json"]
    done = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable") and message.get("target", {}).get("name") == "driver_types":
            return message["executable"]
    raise AssertionError(f"cargo built no driver_types:\n{done.stderr}")


if __name__ == "__main__":
    unittest.main()
