"""An upstream PostgreSQL 15 and a pgspool that captures one of its databases."""

import os
import random
import signal
import time

import psycopg
import psycopg2
import psycopg2.extras

from postgres import PORTS, Postgres
from publisher import eventually
from server import PATIENCE, USER, Server, ServerTest

# The upstream's database, and the one here that captures it.
DATABASE = "pgspool"
SHOP = "shop"
SLOT = "pgspool_shop"


class Upstream(Postgres):
    """The PostgreSQL that is captured."""

    def conninfo(self, database=DATABASE):
        return f"host=127.0.0.1 port={self.port} user={USER} dbname={database}"

    def connect(self, database=DATABASE):
        return psycopg.connect(self.conninfo(database), autocommit=True)

    def sql(self, *statements, database=DATABASE):
        """Runs statements and returns the rows of the last one."""
        with self.connect(database) as connection:
            for statement in statements:
                cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else None

    def end(self):
        """A position behind everything that was committed, up to which WAL is flushed."""
        return self.sql("SELECT pg_logical_emit_message(true, 'end', '')",
                        "SELECT pg_current_wal_flush_lsn()")[0][0]


class CaptureTest(ServerTest):
    """A test with an upstream of its own, and pgspool beside it."""

    UPSTREAM = {}

    def setUp(self):
        super().setUp()
        self.upstream = Upstream(**self.UPSTREAM)
        self.addCleanup(self.upstream.stop)

    def capture(self, publication="everything", slot=SLOT, **options):
        """Makes the database that captures the upstream."""
        options = {"upstream": self.upstream.conninfo(), "publication": publication,
                   "slot": slot, **options}
        said = ", ".join(f"{name} = '{value}'" for name, value in options.items())
        made = self.server.psql("-c", f"CREATE DATABASE {SHOP} WITH ({said})")
        self.assertEqual(made.returncode, 0, made.stderr)

    def here(self, *statements, database=SHOP):
        """Runs statements on pgspool and returns the rows of the last one."""
        with self.connect_here(database) as connection:
            for statement in statements:
                cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else None

    def connect_here(self, database=SHOP):
        return psycopg.connect(self.conninfo_here(database), autocommit=True)

    def conninfo_here(self, database=SHOP):
        return f"host=127.0.0.1 port={self.server.port} user={USER} dbname={database}"

    def state(self):
        """The capture's row as a dictionary."""
        with self.connect_here() as connection:
            cursor = connection.execute("SELECT * FROM pgspool.captures")
            names = [column.name for column in cursor.description]
            return dict(zip(names, cursor.fetchone()))

    def caught_up(self, patience=PATIENCE):
        """Waits until all that is committed upstream was received here; returns that position."""
        end = self.upstream.end()
        asked = f"SELECT pg_current_wal_lsn() >= '{end}'::pg_lsn"
        try:
            eventually(lambda: self.here(asked) == [(True,)], f"{end} to be received", patience)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.state()}\n{self.server.log_text()[-3000:]}") from error
        return end

    def kill_here(self):
        self._server.stop(signal.SIGKILL)

    def start_here(self, *settings):
        """Goes on with the same data at the same port."""
        for left in reversed(range(PORTS)):
            try:
                self._server = Server(self.data, *settings, port=self._server.port)
                self.addCleanup(self._server.stop)
                return
            except AssertionError as error:
                # Whoever tries to connect meanwhile may connect from this port, for a moment.
                if not left or "Address already in use" not in str(error):
                    raise
                time.sleep(1)


class Stream:
    """A replication stream read by psycopg2: messages with their headers, as bytes."""

    def __init__(self, conninfo, slot, options=None, start="0/0"):
        self.connection = self.cursor = None
        eventually(lambda: self._started(conninfo, slot, options or {}, start), f"{slot} to be free")

    def _started(self, conninfo, slot, options, start):
        """Whether the stream runs; who had the slot before may not have noticed its end yet."""
        self.connection = psycopg2.connect(
            conninfo, connection_factory=psycopg2.extras.LogicalReplicationConnection)
        self.cursor = self.connection.cursor()
        try:
            self.cursor.start_replication(slot_name=slot, options=options, decode=False,
                                          start_lsn=start)
        except psycopg2.errors.ObjectInUse:
            self.close()
            return False
        return True

    def read(self, end=None, count=None):
        """(start, end, payload) of messages until all before `end` came, or so many."""
        until = None if end is None else lsn(end)
        messages = []
        deadline = time.monotonic() + PATIENCE
        while count is None or len(messages) < count:
            message = self.cursor.read_message()
            if message is not None:
                messages.append((message.data_start, message.wal_end, bytes(message.payload)))
                deadline = time.monotonic() + PATIENCE
                continue
            if until is not None and self.cursor.wal_end >= until:
                return messages
            if time.monotonic() > deadline:
                raise AssertionError(f"waited {PATIENCE} s; {len(messages)} messages came")
            # Its answer is a keepalive, which says how far the server is.
            self.cursor.send_feedback(reply=True, force=True)
            time.sleep(0.02)
        return messages

    def confirm(self, position):
        self.cursor.send_feedback(flush_lsn=position, apply_lsn=position, write_lsn=position,
                                  force=True)

    def close(self):
        self.cursor.close()
        self.connection.close()


def lsn(text):
    high, low = text.split("/")
    return int(high, 16) << 32 | int(low, 16)


def seed_of_run():
    """What PGSPOOL_SEED says, or something new."""
    return int(os.environ.get("PGSPOOL_SEED", random.SystemRandom().randrange(1 << 32)))
