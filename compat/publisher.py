"""What a subscriber subscribes to: pgspool or, to prove the tests themselves, a real PostgreSQL 15.

`PGSPOOL_PUBLISHER=postgresql` chooses the latter. Both take the same SQL.
"""

import json
import os
import pathlib
import shutil
import signal
import tempfile
import time
import unittest

import psycopg

from postgres import PORTS, Postgres
from server import PATIENCE, USER, Server

REAL = os.environ.get("PGSPOOL_PUBLISHER") == "postgresql"


class Publisher:
    """A server with tables, publications and slots, that can be stopped, killed and started again."""

    def __init__(self, *settings):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="pgspool-compat-"))
        self.settings = settings
        self.real = REAL
        self.server = None
        try:
            self.server = Postgres() if REAL else Server(self.folder / "data", *settings)
        except BaseException:
            self.close()
            raise
        self.port = self.server.port

    def close(self):
        if self.server is not None:
            self.server.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def password(self):
        return "unused" if self.real else self.server.password()

    def conninfo(self):
        return (f"host=127.0.0.1 port={self.port} user={USER} dbname=pgspool"
                f" password={self.password()}")

    def connect(self):
        """A connection that takes SQL, each statement a transaction of its own."""
        return psycopg.connect(self.conninfo(), autocommit=True)

    def sql(self, *statements):
        """Runs statements and returns the rows of the last one."""
        with self.connect() as connection:
            for statement in statements:
                cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else None

    def shut_down(self):
        if self.real:
            self.server.shut_down()
            return
        code = self.server.stop()
        assert code == 0, f"exit code {code}"

    def kill(self):
        if self.real:
            self.server.kill()
        else:
            self.server.stop(signal.SIGKILL)

    def start_again(self):
        """Goes on with the same data at the same port."""
        if self.real:
            self.server.start_again()
            return
        for left in reversed(range(PORTS)):
            try:
                self.server = Server(self.folder / "data", *self.settings, port=self.port)
                return
            except AssertionError as error:
                # Whoever tries to connect meanwhile may connect from this port, for a moment.
                if not left or "Address already in use" not in str(error):
                    raise
                time.sleep(1)

    def log_text(self):
        return self.server.log_text()

    def confirmed(self, slot):
        """Waits until the slot confirmed all there is."""
        head = self.sql("SELECT pg_current_wal_lsn()")[0][0]
        asked = f"SELECT confirmed_flush_lsn >= '{head}' FROM pg_replication_slots" \
                f" WHERE slot_name = '{slot}'"
        eventually(lambda: self.sql(asked) == [(True,)], f"{slot} to confirm {head}")


class PublisherTest(unittest.TestCase):
    """A test with a publisher of its own."""

    def setUp(self):
        self.publisher = Publisher()
        self.addCleanup(self.publisher.close)


def eventually(holds, what, patience=PATIENCE):
    """Waits until `holds()` is true and returns what it said."""
    deadline = time.monotonic() + patience
    while not (said := holds()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {patience} s for {what}")
        time.sleep(0.05)
    return said


def publish(connection, records):
    """Gives pgspool change records as documents."""
    with connection.cursor().copy("COPY pgspool.changes FROM STDIN (FORMAT ndjson)") as copy:
        copy.write("".join(json.dumps(record) + "\n" for record in records))
