"""pg_walstream 0.9 (compat/walstream): slot, refusals, stream, acknowledgements, CopyDone, drop."""

import os
import subprocess
import unittest

from server import PATIENCE, ROOT, ServerTest, record

CLIENT = os.environ.get(
    "WALSTREAM_BIN", str(ROOT / "target/compat/debug/walstream-client")
)
COUNT = 2000


class PgWalstream(ServerTest):
    def test_a_subscriber_lives_its_life(self):
        client = subprocess.Popen(
            [CLIENT, str(self.server.port), str(COUNT)],
            env={**os.environ, "PGPASSWORD": self.server.password()},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(client.kill)
        first = client.stdout.readline().strip()
        if first != "ready":
            self.fail(f"{first}\n{client.communicate(timeout=PATIENCE)[1]}")
        self.copy_in([record(rid) for rid in range(1, COUNT + 1)])
        out, trouble = client.communicate(timeout=PATIENCE)
        self.assertEqual(client.returncode, 0, trouble)
        lines = out.splitlines()
        self.assertEqual(lines[-1], "done")
        self.assertEqual(len(lines), COUNT + 1)
        for rid, line in enumerate(lines[:-1], start=1):
            self.assertIn(f'"rid":{rid},', line)


if __name__ == "__main__":
    unittest.main()
