"""A pgspool server of one's own: a temporary data folder, a free port on loopback."""

import json
import os
import pathlib
import queue
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest
import zlib

ROOT = pathlib.Path(__file__).resolve().parent.parent
BIN = os.environ.get("PGSPOOL_BIN", str(ROOT / "target/release/pgspool"))
PG_BIN = pathlib.Path(os.environ.get("PG_BIN", "/usr/lib/postgresql/15/bin"))
FIXTURES = ROOT / "tests/fixtures/reddb"
USER = "pgspool"
# Seconds, longer than anything that is not broken takes.
PATIENCE = 180
LISTENING = re.compile(r"^listening on 127\.0\.0\.1:(\d+)$")


class Clients:
    """PostgreSQL's client programs, for a server at `port`."""

    def _address(self, database):
        return ["-h", "127.0.0.1", "-p", str(self.port), "-U", USER, "-d", database]

    def psql(self, *arguments, database="pgspool", **options):
        return run([PG_BIN / "psql", "-X", *self._address(database), *arguments], **options)

    def recvlogical(self, *arguments, database="pgspool", **options):
        return run([PG_BIN / "pg_recvlogical", *self._address(database), *arguments], **options)

    def physical(self, program, *arguments):
        address = ["-h", "127.0.0.1", "-p", str(self.port), "-U", USER]
        return run([PG_BIN / program, *address, *arguments])


class Server(Clients):
    """`pgspool serve`, ready when made. `port` is where."""

    def __init__(self, data, *settings, port=0):
        self.data = pathlib.Path(data)
        self.log = open(self.data.parent / "server.log", "a+", encoding="utf-8")
        command = [BIN, "serve", "--data", str(data), "--listen", f"127.0.0.1:{port}", *settings]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=self.log, text=True, stdin=subprocess.DEVNULL
        )
        # Read by a thread of its own, which goes on when nobody asks: it may print more.
        self.lines = queue.Queue()
        threading.Thread(target=self._read_lines, daemon=True).start()
        self.port = self._read_port()
        self.password_file = self.data / "owner.pgpass"
        # All clients are libpq's and look there, those that tests start and those in this process.
        os.environ["PGPASSFILE"] = str(self.password_file)

    def _read_lines(self):
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def _read_port(self):
        return int(self._said(LISTENING))

    def _said(self, wanted):
        """What a line that it prints holds; a server that never prints it is killed."""
        deadline = time.monotonic() + PATIENCE
        trouble = "the server did not start"
        try:
            while (line := self.lines.get(timeout=max(deadline - time.monotonic(), 0))) is not None:
                found = wanted.match(line)
                if found:
                    return found.group(1)
        except queue.Empty:
            trouble = f"not said within {PATIENCE} s: {wanted.pattern}"
        self.process.kill()
        self.process.wait()
        raise AssertionError(f"{trouble}:\n{self.log_text()}")

    def password(self):
        """The owner's password, as the first start wrote it."""
        lines = self.password_file.read_text(encoding="utf-8").splitlines()
        line = next(line for line in lines if not line.startswith("#"))
        return line.split(f":*:{USER}:", 1)[1]

    def log_text(self):
        self.log.seek(0)
        return self.log.read()

    def stop(self, sig=signal.SIGTERM, timeout=PATIENCE):
        """Stops the server and returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(sig)
        try:
            code = self.process.wait(timeout)
        finally:
            self.process.kill()
            self.process.wait()
            self.log.close()
        return code


def run(command, timeout=PATIENCE, **options):
    """Runs a client to its end with its output as text."""
    command = [str(part) for part in command]
    options.setdefault("stdin", subprocess.DEVNULL if "input" not in options else None)
    if options["stdin"] is None:
        del options["stdin"]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=timeout, check=False, **options
    )


def pgspool(*arguments):
    """Runs one of the offline tools."""
    return run([BIN, *arguments])


def record(rid, operation="insert", collection="orders", **more):
    """A change record as a producer writes it."""
    fields = {"operation": operation, "collection": collection, "rid": rid, "kind": "row"}
    if operation in ("insert", "update"):
        fields["entity_bytes_hex"] = f"{rid:08x}"
    return json.dumps({**fields, **more})


def crc(payload):
    return f"{zlib.crc32(payload):08x}"


def expected(name):
    """The rows of NAME.expected.tsv as dictionaries."""
    lines = (FIXTURES / f"{name}.expected.tsv").read_text(encoding="utf-8").splitlines()
    keys = lines[0].split("\t")
    return [dict(zip(keys, line.split("\t"))) for line in lines[1:]]


class ServerTest(unittest.TestCase):
    """A test with a server of its own, started by the first use of `self.server`."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="pgspool-compat-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.data = self.folder / "data"
        self._server = None

    def start(self, *settings):
        self._server = Server(self.data, *settings)
        self.addCleanup(self._server.stop)
        return self._server

    @property
    def server(self):
        return self._server or self.start()

    def copy_in(self, lines, database="pgspool"):
        """Loads records with psql's \\copy and demands success."""
        path = self.folder / "records.ndjson"
        path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        done = self.server.psql(
            "-c", f"\\copy pgspool.changes from '{path}' with (format ndjson)", database=database
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.strip(), f"COPY {len(lines)}")
