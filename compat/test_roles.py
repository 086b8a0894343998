"""Roles through psql 15: its own commands about them, and a password that it hashes itself."""

import os
import unittest

from server import PG_BIN, USER, ServerTest, run

ROLES = """
create role boss superuser login replication;
create user app replication publish connection limit 3 password 'open sesame';
create role watch monitor valid until '2040-01-01 00:00:00+00';
grant connect on database pgspool to app;
"""


class Roles(ServerTest):
    def answer(self, text):
        done = self.server.psql("-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-f", "-",
                                input=text + "\n")
        self.assertEqual((done.returncode, done.stderr), (0, ""), text)
        return done.stdout.splitlines()

    def test_du_lists_roles_with_what_they_may_do(self):
        self.answer(ROLES)
        listed = self.answer("\\du")
        self.assertIn("app|Replication", listed)
        self.assertIn("3 connections|{}", listed)
        self.assertIn("watch|Cannot login", listed)
        self.assertIn("Password valid until 2040-01-01 00:00:00+00|{pg_monitor}", listed)
        whole = "\n".join(listed)
        self.assertIn("Superuser, Create role, Create DB, Replication, Bypass RLS", whole)

    def test_l_shows_who_may_use_a_database(self):
        self.answer(ROLES)
        self.assertIn("app=Cc/", "\n".join(self.answer("\\l")))

    def test_password_sends_a_verifier_that_is_kept(self):
        self.answer(ROLES)
        command = [PG_BIN / "psql", "-X", *self.server._address("pgspool"),
                   "-c", "\\password app"]
        # Without a terminal psql reads both answers from its input.
        done = run(command, input="new one\nnew one\n", start_new_session=True,
                   env={**os.environ, "LC_ALL": "C"})
        self.assertEqual(done.returncode, 0, done.stderr)
        query = "select rolpassword from pg_authid where rolname = 'app'"
        [verifier] = self.answer(query)
        self.assertRegex(verifier, r"^SCRAM-SHA-256\$4096:[^$:]+\$[^$:]+:[^$:]+$")
        [shown] = self.answer("select query from pg_stat_activity where query like 'ALTER%'") or [""]
        self.assertNotIn("SCRAM", shown)
        self.assertNotEqual(USER, "app")


if __name__ == "__main__":
    unittest.main()
