"""pgwire-replication 0.5 and pg_walstream 0.9 (compat/walstream): pgoutput, stopped and resumed."""

import os
import pathlib
import unittest

from server import ROOT
from streams import StreamTest

CLIENT = pathlib.Path(
    os.environ.get("WALSTREAM_BIN", str(ROOT / "target/compat/debug/walstream-client"))
).with_name("pgoutput-client")


class RustClients(StreamTest):
    def test_pgwire_replication_lives_its_life(self):
        self.live_a_life("pgwire", CLIENT, "pgwire", self.publisher.port, "pgwire", "shop")

    def test_pg_walstream_lives_its_life(self):
        self.live_a_life("walstream", CLIENT, "walstream", self.publisher.port, "walstream",
                         "shop")


if __name__ == "__main__":
    unittest.main()
