"""Who comes in with PostgreSQL's own clients: passwords, rules, rights, the first start's files."""

import getpass
import os
import re
import stat
import unittest

import psycopg2

from server import PG_BIN, ServerTest, run


class Auth(ServerTest):
    def setUp(self):
        super().setUp()
        self.start()

    def answer(self, *arguments, user="pgspool", database="pgspool", password=None):
        """Runs psql as somebody; by the password file unless a password is given."""
        environment = dict(os.environ)
        if password is not None:
            environment["PGPASSWORD"] = password
        address = ["-h", "127.0.0.1", "-p", str(self.server.port), "-U", user, "-d", database]
        return run([PG_BIN / "psql", "-X", "-w", "-At", *address, *arguments], env=environment)

    def refused(self, words, **who):
        done = self.answer("-c", "SELECT 1", **who)
        self.assertEqual(done.returncode, 2, done.stdout)
        self.assertIn(words, done.stderr)

    def sql(self, text):
        done = self.answer("-c", text)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.strip()

    def test_the_lines_of_the_password_file_work_as_they_are(self):
        path = self.server.password_file
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        lines = path.read_text(encoding="utf-8").splitlines()
        line = next(line for line in lines if "PGPASSFILE=" in line).lstrip("# ")
        environment = {key: value for key, value in os.environ.items() if key != "PGPASSFILE"}
        environment["PATH"] = f"{PG_BIN}:{environment['PATH']}"
        done = run(["bash", "-c", f"{line} -w -Atc 'SELECT current_user'"], env=environment)
        self.assertEqual((done.stdout.strip(), done.stderr), ("pgspool", ""))
        uri = next(line for line in lines if "postgresql://" in line).lstrip("# ")
        done = run([PG_BIN / "psql", "-w", "-Atc", "SELECT current_user", uri], env=environment)
        self.assertEqual((done.stdout.strip(), done.stderr), ("pgspool", ""))

    def test_the_files_of_a_first_start_are_private(self):
        for name in ["pg_hba.conf", "owner.pgpass", "scram.secret", "roles.json"]:
            mode = stat.S_IMODE((self.data / name).stat().st_mode)
            self.assertEqual(mode, 0o600, name)

    def test_the_password_stays_over_a_restart(self):
        before = self.server.password()
        self.server.stop()
        self.start()
        self.assertEqual(self.server.password(), before)
        self.assertEqual(self.sql("SELECT current_user"), "pgspool")

    def test_a_wrong_password_and_an_unknown_role_read_the_same(self):
        words = 'FATAL:  password authentication failed for user "{}"'
        self.refused(words.format("pgspool"), password="wrong")
        self.refused(words.format("nobody"), user="nobody", password="wrong")
        self.refused("fe_sendauth: no password supplied", user="nobody")
        logged = self.server.log_text()
        self.assertIn('role "nobody" does not exist', logged)
        self.assertNotIn("wrong", logged.replace("wrong_", ""))

    def test_psycopg2_and_pg_recvlogical_need_the_password_too(self):
        place = {"host": "127.0.0.1", "port": self.server.port, "dbname": "pgspool"}
        connection = psycopg2.connect(user="pgspool", password=self.server.password(), **place)
        connection.close()
        with self.assertRaisesRegex(psycopg2.OperationalError, "password authentication failed"):
            psycopg2.connect(user="pgspool", password="wrong", **place)
        slot = ["--slot", "s", "--create-slot", "-P", "json"]
        self.assertEqual(self.server.recvlogical(*slot).returncode, 0)
        done = self.server.recvlogical("--slot", "t", "--create-slot", env={
            **os.environ, "PGPASSWORD": "wrong"
        })
        self.assertEqual(done.returncode, 1)
        self.assertIn("password authentication failed", done.stderr)

    def test_a_role_comes_in_with_its_own_password_until_it_may_not(self):
        self.sql("CREATE ROLE ann LOGIN PASSWORD 'of ann'")
        self.sql("GRANT CONNECT ON DATABASE pgspool TO ann")
        done = self.answer("-c", "SELECT current_user", user="ann", password="of ann")
        self.assertEqual((done.stdout.strip(), done.stderr), ("ann", ""))
        self.refused("password authentication failed", user="ann", password="of bob")
        self.sql("ALTER ROLE ann NOLOGIN")
        self.refused(
            'FATAL:  role "ann" is not permitted to log in', user="ann", password="of ann"
        )
        self.refused("password authentication failed", user="ann", password="of bob")
        self.sql("ALTER ROLE ann LOGIN VALID UNTIL '2001-01-01'")
        self.refused("password authentication failed", user="ann", password="of ann")
        self.sql("DROP ROLE ann")
        self.refused("password authentication failed", user="ann", password="of ann")

    def test_rules_count_after_a_reload_and_mistakes_change_nothing(self):
        rules = self.data / "pg_hba.conf"
        good = rules.read_text(encoding="utf-8")
        number = good.count("\n") + 1
        rules.write_text(good + "host all all 10.0.0.0/99 trust\n", encoding="utf-8")
        self.sql("SELECT pg_reload_conf()")
        self.until_logged(f"line {number}: invalid CIDR mask in address")
        wrong = self.sql("SELECT line_number, error FROM pg_hba_file_rules WHERE error IS NOT NULL")
        self.assertEqual(wrong, f'{number}|invalid CIDR mask in address "10.0.0.0/99"')
        self.assertEqual(self.sql("SELECT 1"), "1")

        rules.write_text("host all ann,bob all reject\n" + good, encoding="utf-8")
        self.sql("SELECT pg_reload_conf()")
        self.until_logged("configuration reloaded")
        self.refused(
            'pg_hba.conf rejects connection for host "127.0.0.1", user "ann", '
            'database "pgspool", no encryption',
            user="ann",
        )
        shown = "SELECT type, database, user_name, address, netmask, auth_method, options FROM "
        self.assertEqual(
            self.sql(f"{shown} pg_hba_file_rules LIMIT 1"), "host|{all}|{ann,bob}|all||reject|"
        )

    def test_a_wrong_file_refuses_to_start_with_its_lines(self):
        self.server.stop()
        rules = self.data / "pg_hba.conf"
        rules.write_text("host all all all md5\nlocal all all trust\nlocl\n", encoding="utf-8")
        with self.assertRaises(AssertionError) as caught:
            self.start()
        text = str(caught.exception)
        self.assertRegex(text, r'line 1: authentication method "md5" is not supported')
        self.assertRegex(text, r'line 3: invalid connection type "locl"')

    def test_a_unix_socket_knows_its_user_by_a_map(self):
        self.server.stop()
        (self.data / "pg_hba.conf").write_text("local all all peer map=os\n", encoding="utf-8")
        me = getpass.getuser()
        (self.data / "pg_ident.conf").write_text(f"os {me} pgspool\n", encoding="utf-8")
        self.start()
        port = self.server.port
        address = ["-h", self.data, "-p", str(port), "-d", "pgspool", "-w", "-Atc"]
        done = run([PG_BIN / "psql", "-X", "-U", "pgspool", *address, "SELECT current_user"])
        self.assertEqual((done.stdout.strip(), done.stderr), ("pgspool", ""))
        done = run([PG_BIN / "psql", "-X", "-U", "somebody", *address, "SELECT 1"])
        self.assertIn('Peer authentication failed for user "somebody"', done.stderr)
        done = run([PG_BIN / "psql", "-X", "-U", "pgspool", *address,
                    "SELECT map_name, sys_name, pg_username FROM pg_ident_file_mappings"])
        self.assertEqual(done.stdout.strip(), f"os|{me}|pgspool")

    def until_logged(self, words):
        for _ in range(200):
            if re.search(re.escape(words), self.server.log_text()):
                return
            self.server.process.poll()
            run(["sleep", "0.05"])
        self.fail(f"never logged: {words}\n{self.server.log_text()}")


if __name__ == "__main__":
    unittest.main()
