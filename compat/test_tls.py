"""Encrypted connections with PostgreSQL's own clients: psql, pg_recvlogical, psycopg2, psycopg.

Certificates are made by openssl when a test begins; every way that must work has its wrong
variants beside it, which must be refused.
"""

import os
import shutil
import signal
import time
import unittest

import psycopg
import psycopg2
from psycopg2.extras import LogicalReplicationConnection

from server import PATIENCE, PG_BIN, ServerTest, USER, pgspool, record, run

RULES = """
hostnossl all plain    all trust
hostssl   all certified all cert
hostssl   all twofold  all scram-sha-256 clientcert=verify-full
hostssl   all all      all scram-sha-256
local     all all          scram-sha-256
"""
# What a client that is refused says, by variant; one that comes in says nothing.
WRONG_PASSWORD = 'password authentication failed for user "{}"'
EXPIRED = "alert certificate expired|certificate verify failed|reset|closed"
NO_WALSENDER = "must be superuser or replication role to start walsender"
MINE = "SELECT version, client_dn FROM pg_stat_ssl WHERE pid = pg_backend_pid()"


class Certificates:
    """An authority in a folder of its own, and what it signs."""

    def __init__(self, folder, name):
        self.folder = folder
        folder.mkdir()
        self.certificate = folder / "ca.crt"
        self.key = folder / "ca.key"
        openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", self.key, "-out", self.certificate, "-days", "30", "-subj", f"/CN={name}",
        )

    def issue(self, name, extensions, days="30"):
        """A certificate and its key, as paths."""
        base = self.folder / f"{name}-{len(list(self.folder.iterdir()))}"
        request, certificate, key = (base.with_suffix(s) for s in (".csr", ".crt", ".key"))
        openssl(
            "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", key, "-out", request, "-subj", f"/CN={name}",
        )
        more = base.with_suffix(".ext")
        more.write_text(extensions, encoding="utf-8")
        openssl(
            "x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key,
            "-CAcreateserial", "-out", certificate, "-days", days, "-extfile", more,
        )
        key.chmod(0o600)
        return certificate, key

    def server(self, *names):
        return self.issue("server", f"subjectAltName={','.join(names)}\nextendedKeyUsage=serverAuth")

    def client(self, name, days="30"):
        return self.issue(name, "extendedKeyUsage=clientAuth", days)


def openssl(*arguments):
    done = run(["openssl", *arguments])
    assert done.returncode == 0, done.stderr


class Tls(ServerTest):
    def setUp(self):
        super().setUp()
        self.ours = Certificates(self.folder / "ours", "our authority")
        self.theirs = Certificates(self.folder / "theirs", "somebody else")
        self.data.mkdir(mode=0o700)
        self.install(self.ours.server("DNS:localhost", "IP:127.0.0.1"))
        shutil.copy(self.ours.certificate, self.data / "root.crt")
        (self.data / "pg_hba.conf").write_text(RULES, encoding="utf-8")
        self.start("-c", "ssl=on", "-c", "ssl_ca_file=root.crt", "-c", "auth_delay=0")
        self.secret = self.server.password()
        for name, options in [
            ("plain", ""), ("certified", ""), ("twofold", f"PASSWORD '{self.secret}'"),
        ]:
            made = self.psql(f"CREATE ROLE {name} LOGIN SUPERUSER {options}", "sslmode=require")
            self.assertEqual(made.returncode, 0, made.stderr)

    def install(self, pair):
        for source, name in zip(pair, ["server.crt", "server.key"]):
            shutil.copy(source, self.data / name)
        (self.data / "server.key").chmod(0o600)

    def dsn(self, *options, user=USER, host="localhost"):
        words = [f"host={host}", f"port={self.server.port}", f"user={user}", "dbname=pgspool"]
        if host != "localhost" and not host.startswith("/"):
            words.append("hostaddr=127.0.0.1")
        if not any(option.startswith("password=") for option in options):
            words.append(f"password={self.secret}")
        return " ".join([*words, "connect_timeout=60", *options])

    def psql(self, sql, *options, **more):
        return run([PG_BIN / "psql", "-XAt", self.dsn(*options, **more), "-c", sql])

    def comes_in(self, *options, **more):
        done = self.psql(MINE, *options, **more)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.strip()

    def refused(self, words, *options, **more):
        done = self.psql(MINE, *options, **more)
        self.assertEqual(done.returncode, 2, done.stdout)
        self.assertRegex(done.stderr, words)

    def root(self):
        return f"sslrootcert={self.ours.certificate}"

    def test_psql_comes_in_encrypted_and_bound(self):
        self.assertEqual(self.comes_in("sslmode=require"), "TLSv1.3|")
        self.assertEqual(self.comes_in("sslmode=prefer"), "TLSv1.3|")
        verified = ("sslmode=verify-full", self.root())
        self.assertEqual(self.comes_in(*verified), "TLSv1.3|")
        self.assertEqual(self.comes_in(*verified, "channel_binding=require"), "TLSv1.3|")
        self.assertEqual(self.comes_in(*verified, "channel_binding=disable"), "TLSv1.3|")
        old = "ssl_max_protocol_version=TLSv1.2"
        self.assertEqual(self.comes_in(*verified, old, "channel_binding=require"), "TLSv1.2|")

    def test_every_wrong_variant_is_refused(self):
        self.refused("no pg_hba.conf entry .* no encryption", "sslmode=disable")
        self.assertEqual(self.comes_in("sslmode=disable", user="plain"), "|")
        self.refused("password authentication failed", "sslmode=require", user="plain")
        self.refused("password authentication failed", "sslmode=require", "password=wrong")
        self.refused("password authentication failed", "sslmode=require", user="nobody")
        self.refused("does not match host name", "sslmode=verify-full", self.root(),
                     host="other.example")
        foreign = f"sslrootcert={self.theirs.certificate}"
        self.refused("certificate verify failed", "sslmode=verify-full", foreign)
        self.refused("certificate verify failed", "sslmode=verify-ca", foreign)
        self.refused("channel binding", "sslmode=disable", "channel_binding=require", user="plain")
        self.refused("protocol version|alert|unsupported", "sslmode=require",
                     "ssl_min_protocol_version=TLSv1", "ssl_max_protocol_version=TLSv1.1")

    def with_certificate(self, pair):
        return "sslmode=verify-full", self.root(), f"sslcert={pair[0]}", f"sslkey={pair[1]}"

    def test_client_certificates(self):
        good = self.with_certificate(self.ours.client("certified"))
        self.assertEqual(self.comes_in(*good, user="certified"), "TLSv1.3|/CN=certified")
        both = self.with_certificate(self.ours.client("twofold"))
        self.assertEqual(self.comes_in(*both, user="twofold"), "TLSv1.3|/CN=twofold")
        self.refused("password authentication failed", *both, "password=wrong", user="twofold")
        self.refused("certificate authentication failed", *both, user="certified")
        self.refused("requires a valid client certificate", "sslmode=require", user="certified")
        self.refused("requires a valid client certificate", "sslmode=require", user="twofold")
        expired = self.with_certificate(self.ours.client("certified", days="-1"))
        self.refused("alert|expired|reset|closed", *expired, user="certified")
        foreign = self.with_certificate(self.theirs.client("certified"))
        self.refused("alert|unknown ca|reset|closed", *foreign, user="certified")

    def publish(self, dsn):
        """psql's \\copy of one record."""
        path = self.folder / "one.ndjson"
        path.write_text(record(1) + "\n", encoding="utf-8")
        copy = f"\\copy pgspool.changes from '{path}' with (format ndjson)"
        done = run([PG_BIN / "psql", "-XAt", "-v", "VERBOSITY=verbose", dsn, "-c", copy])
        return done.returncode == 0, done.stdout + done.stderr

    def receive(self, dsn):
        """pg_recvlogical makes a slot and drops it."""
        program = [PG_BIN / "pg_recvlogical", "-d", dsn, "--slot", "received"]
        made = run([*program, "--create-slot", "-P", "json"])
        if made.returncode:
            return False, made.stdout + made.stderr
        dropped = run([*program, "--drop-slot"])
        return dropped.returncode == 0, dropped.stdout + dropped.stderr

    def replicate(self, dsn):
        """psycopg2's logical replication connection makes a slot and drops it."""
        try:
            connection = psycopg2.connect(dsn, connection_factory=LogicalReplicationConnection)
            self.addCleanup(connection.close)
            cursor = connection.cursor()
            cursor.create_replication_slot("replicated", output_plugin="json")
            cursor.drop_replication_slot("replicated")
        except psycopg2.Error as error:
            return False, f"{error.pgcode}: {error}"
        return True, ""

    def test_every_client_in_every_variant(self):
        for statement in [
            "CREATE ROLE powerless LOGIN PASSWORD 'of somebody'",
            "GRANT CONNECT ON DATABASE pgspool TO powerless",
            "CREATE ROLE outside LOGIN REPLICATION PUBLISH PASSWORD 'of somebody'",
        ]:
            made = self.psql(statement, "sslmode=require")
            self.assertEqual(made.returncode, 0, made.stderr)
        good = self.with_certificate(self.ours.client("certified"))
        expired = self.with_certificate(self.ours.client("certified", days="-1"))
        secure, theirs = "sslmode=require", "password='of somebody'"
        clients = self.publish, self.receive, self.replicate
        for variant, user, options, *words in [
            ("wrong password", USER, [secure, "password=wrong"], WRONG_PASSWORD.format(USER)),
            ("unknown role", "nobody", [secure], WRONG_PASSWORD.format("nobody")),
            ("right is missing", "powerless", [secure, theirs],
             "ERROR:  42501: permission denied for ", NO_WALSENDER, NO_WALSENDER),
            ("database is not granted", "outside", [secure, theirs],
             'permission denied for database "pgspool"'),
            ("expired certificate", "certified", expired, EXPIRED),
            ("plain where hostssl", USER, ["sslmode=disable"],
             f'no pg_hba.conf entry for .*, user "{USER}", .*no encryption'),
            ("good certificate", "certified", good, None),
            ("sslmode=require", USER, [secure], None),
        ]:
            # One for all, or one for each.
            words = words * len(clients) if len(words) == 1 else words
            for client, expected in zip(clients, words, strict=True):
                with self.subTest(variant=variant, client=client.__name__):
                    comes_in, said = client(self.dsn(*options, user=user))
                    self.assertEqual(comes_in, expected is None, said)
                    if expected is not None:
                        self.assertRegex(said, expected)

    def test_direct_tls_and_psycopg(self):
        self.assertGreaterEqual(psycopg.pq.version(), 170000)
        direct = self.dsn("sslmode=verify-full", self.root(), "sslnegotiation=direct",
                          "channel_binding=require")
        with psycopg.connect(direct) as connection:
            self.assertEqual(connection.execute(MINE).fetchone(), ("TLSv1.3", None))
        with self.assertRaisesRegex(psycopg.OperationalError, "certificate verify failed"):
            psycopg.connect(self.dsn("sslmode=verify-full", "sslnegotiation=direct",
                                     f"sslrootcert={self.theirs.certificate}"))

    def test_psycopg2(self):
        dsn = self.dsn("sslmode=verify-full", self.root(), "channel_binding=require")
        connection = psycopg2.connect(dsn)
        self.addCleanup(connection.close)
        cursor = connection.cursor()
        cursor.execute(MINE)
        self.assertEqual(cursor.fetchone(), ("TLSv1.3", None))
        with self.assertRaisesRegex(psycopg2.OperationalError, "no pg_hba.conf entry"):
            psycopg2.connect(self.dsn("sslmode=disable"))

    def test_pg_recvlogical_streams_encrypted(self):
        source = self.dsn("sslmode=verify-full", self.root(), "channel_binding=require")
        begin = [PG_BIN / "pg_recvlogical", "-d", source, "--slot", "s", "-P", "json"]
        made = run([*begin, "--create-slot"])
        self.assertEqual(made.returncode, 0, made.stderr)
        path = self.folder / "records.ndjson"
        path.write_text("".join(record(n) + "\n" for n in range(1, 5001)), encoding="utf-8")
        loaded = self.psql(f"\\copy pgspool.changes from '{path}' with (format ndjson)",
                           "sslmode=require")
        self.assertEqual(loaded.stdout.strip(), "COPY 5000", loaded.stderr)
        head = self.psql("SELECT pg_current_wal_lsn()", "sslmode=require").stdout.strip()
        out = self.folder / "out.ndjson"
        done = run([*begin, "--start", "--endpos", head, "-f", out])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(out.read_text(encoding="utf-8").splitlines()), 5000)
        plain = run([PG_BIN / "pg_recvlogical", "-d", self.dsn("sslmode=disable"), "--slot", "s",
                     "--start", "--no-loop", "-f", "-"])
        self.assertNotEqual(plain.returncode, 0)
        self.assertIn("no pg_hba.conf entry", plain.stderr)

    def test_a_reload_shows_new_certificates_and_keeps_old_connections(self):
        old = self.dsn("sslmode=verify-full", self.root())
        connection = psycopg2.connect(old)
        self.addCleanup(connection.close)
        cursor = connection.cursor()
        self.install(self.theirs.server("DNS:localhost", "IP:127.0.0.1"))
        self.reload("configuration reloaded")
        theirs = f"sslrootcert={self.theirs.certificate}"
        self.assertEqual(self.comes_in("sslmode=verify-full", theirs), "TLSv1.3|")
        self.refused("certificate verify failed", "sslmode=verify-full", self.root())
        cursor.execute("SELECT 1")
        self.assertEqual(cursor.fetchone(), (1,))
        (self.data / "server.key").write_text("no key", encoding="utf-8")
        self.reload("could not load private key file")
        self.assertEqual(self.comes_in("sslmode=verify-full", theirs), "TLSv1.3|")
        (self.data / "server.key").chmod(0o644)
        self.reload("has group or world access")
        self.assertEqual(self.comes_in("sslmode=verify-full", theirs), "TLSv1.3|")

    def reload(self, words):
        before = self.server.log_text().count(words)
        self.server.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + PATIENCE
        while self.server.log_text().count(words) <= before:
            self.assertLess(time.monotonic(), deadline, self.server.log_text())
            time.sleep(0.05)

    def test_a_certificate_of_our_own_is_verified_by_its_copy(self):
        made = pgspool("cert", "--data", str(self.data), "--force", "--host", "db.example.org")
        self.assertEqual(made.returncode, 0, made.stderr)
        self.reload("configuration reloaded")
        root = f"sslrootcert={self.data / 'server.crt'}"
        verified = ("sslmode=verify-full", root, "channel_binding=require")
        self.assertEqual(self.comes_in(*verified), "TLSv1.3|")
        self.assertEqual(self.comes_in(*verified, host="db.example.org"), "TLSv1.3|")
        self.refused("does not match host name", *verified, host="other.example")

    def test_psql_uses_the_unix_socket(self):
        self.assertEqual(self.comes_in(host=str(self.data)), "|")
        self.refused("password authentication failed", "password=wrong", host=str(self.data))
        mode = os.stat(self.data / f".s.PGSQL.{self.server.port}").st_mode & 0o777
        self.assertEqual(mode, 0o700)


if __name__ == "__main__":
    unittest.main()
