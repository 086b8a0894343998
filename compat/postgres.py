"""A PostgreSQL 15 server of one's own, to compare with: a temporary cluster on loopback.

PostgreSQL refuses to run as root, so its programs run as the user `postgres` then.
"""

import os
import pathlib
import shutil
import socket
import subprocess
import tempfile

from server import PG_BIN, Clients

SETTINGS = {
    "wal_level": "logical",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "max_replication_slots": "20",
}


class Postgres(Clients):
    """A running cluster with the role and database that the tests use. `port` is where."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="pgspool-postgres-"))
        self.as_postgres = []
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")
            self.as_postgres = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        self.port = free_port()
        self.data = self.folder / "data"
        self._run("initdb", "-D", self.data, "-A", "trust", "-U", "spool", "-E", "UTF8",
                  "--locale=C", "--no-sync")
        options = [f"-c {name}='{value}'" for name, value in SETTINGS.items()]
        self._run("pg_ctl", "-D", self.data, "-w", "-l", self.folder / "log",
                  "-o", f"-p {self.port} {' '.join(options)}", "start")
        made = self.psql("-c", "CREATE DATABASE pgspool", database="postgres")
        assert made.returncode == 0, made.stderr

    def _run(self, program, *arguments):
        command = [*self.as_postgres, str(PG_BIN / program), *map(str, arguments)]
        done = subprocess.run(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    def stop(self):
        try:
            self._run("pg_ctl", "-D", self.data, "-m", "immediate", "stop")
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
