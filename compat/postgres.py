"""A PostgreSQL 15 server of one's own, to compare with: a temporary cluster on loopback.

PostgreSQL refuses to run as root, so its programs run as the user `postgres` then.
"""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from server import PATIENCE, PG_BIN, Clients

SETTINGS = {
    "wal_level": "logical",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "max_replication_slots": "20",
    "timezone": "UTC",
}


# How many ports to try.
PORTS = 5


class Postgres(Clients):
    """A running cluster with the role and database that the tests use. `port` is where."""

    def __init__(self, **settings):
        self.settings = {**SETTINGS, **settings}
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="pgspool-postgres-"))
        self.as_postgres = []
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")
            self.as_postgres = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        self.data = self.folder / "data"
        try:
            self._run("initdb", "-D", self.data, "-A", "trust", "-U", "pgspool", "-E", "UTF8",
                      "--locale=C.UTF-8", "--no-sync")
            self._start()
            made = self.psql("-c", "CREATE DATABASE pgspool", database="postgres")
            assert made.returncode == 0, made.stderr
        except BaseException:
            self.stop()
            raise

    def _start(self):
        """Starts on a port that is free; somebody else may take it first."""
        for attempt in range(PORTS):
            self.port = free_port()
            log = self.folder / f"log{attempt}"
            try:
                self._start_at_port(log)
                return
            except AssertionError as error:
                said = log.read_text(encoding="utf-8") if log.exists() else ""
                if "Address already in use" not in said or attempt + 1 == PORTS:
                    raise AssertionError(f"{error}\n{said}") from error

    def _start_at_port(self, log):
        options = " ".join(f"-c {name}='{value}'" for name, value in self.settings.items())
        self._run("pg_ctl", "-D", self.data, "-w", "-l", log,
                  "-o", f"-p {self.port} {options}", "start")

    def shut_down(self):
        """Ends it in good order; `start_again` goes on with the same data at the same port."""
        self._run("pg_ctl", "-D", self.data, "-w", "-m", "fast", "stop")

    def kill(self):
        """Kills all its processes at once, as a power failure would."""
        postmaster = int((self.data / "postmaster.pid").read_text(encoding="utf-8").split()[0])
        listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(postmaster)],
                                stdout=subprocess.PIPE, text=True, check=False)
        for pid in [postmaster, *map(int, listed.stdout.split())]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def start_again(self):
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self._start_at_port(self.folder / "log-again")
                return
            except AssertionError:
                # Its killed processes may still be dying.
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def log_text(self):
        return "".join(log.read_text(encoding="utf-8", errors="replace")
                       for log in sorted(self.folder.glob("log*")))

    def _run(self, program, *arguments):
        command = [*self.as_postgres, str(PG_BIN / program), *map(str, arguments)]
        done = subprocess.run(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    def stop(self):
        try:
            if (self.data / "postmaster.pid").exists():
                self._run("pg_ctl", "-D", self.data, "-m", "immediate", "stop")
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
