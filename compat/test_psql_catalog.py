"""psql 15's commands that look at the catalog."""

import unittest

from server import USER, ServerTest, record

TABLE = """
create table t(id int primary key, name text, ts timestamptz, tags text[]);
create publication p for table t;
create publication p2 for table t (id,name) where (id>5);
"""

# What psql asks while the tab key is pressed (its own texts, for "t", "p", "d", "w").
COMPLETION = [
    "SELECT c.relname, NULL::pg_catalog.text FROM pg_catalog.pg_class c WHERE c.relkind IN "
    "('r', 'v', 'm', 'f', 'p') AND (c.relname) LIKE 't%' AND "
    "pg_catalog.pg_table_is_visible(c.oid) AND c.relnamespace <> (SELECT oid FROM "
    "pg_catalog.pg_namespace WHERE nspname = 'pg_catalog')",
    "SELECT pubname FROM pg_catalog.pg_publication WHERE pubname LIKE 'p%' LIMIT 1000",
    "SELECT datname FROM pg_catalog.pg_database WHERE datname LIKE 'p%' LIMIT 1000",
    "SELECT pg_catalog.lower(name) FROM pg_catalog.pg_settings WHERE pg_catalog.lower(name) "
    "LIKE pg_catalog.lower('wal%') LIMIT 1000",
    "SELECT slot_name FROM pg_catalog.pg_replication_slots WHERE slot_name LIKE '%' LIMIT 1000",
]


class PsqlCatalog(ServerTest):
    def setUp(self):
        super().setUp()
        self.answer(TABLE)

    def answer(self, text):
        done = self.server.psql("-v", "ON_ERROR_STOP=1", "-f", "-", input=text + "\n")
        self.assertEqual((done.returncode, done.stderr), (0, ""), text)
        return done.stdout

    def lines(self, text):
        done = self.server.psql("-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-f", "-", input=text + "\n")
        self.assertEqual((done.returncode, done.stderr), (0, ""), text)
        return done.stdout.splitlines()

    def test_tables_are_listed_and_views_of_the_system_are_not(self):
        for command in ("\\d", "\\dt"):
            self.assertEqual(self.lines(command), [f"public|t|table|{USER}"])
        self.assertEqual(self.lines("\\di"), [f"public|t_pkey|index|{USER}|t"])

    def test_a_collection_that_was_published_to_is_a_table(self):
        self.copy_in([record(1)])
        self.assertIn(f"public|orders|table|{USER}", self.lines("\\dt"))

    def test_a_table_is_described_with_its_key_and_publications(self):
        for command in ("\\d t", "\\d+ t"):
            shown = self.answer(command)
            for text in (
                'Table "public.t"',
                '"t_pkey" PRIMARY KEY, btree (id)',
                '"p"',
                '"p2" (id, name) WHERE (id > 5)',
            ):
                self.assertIn(text, shown)

    def test_our_views_are_described_with_what_each_column_is(self):
        shown = self.answer("\\d+ pgspool.slots")
        self.assertIn("everything up to here is confirmed as durable", shown)
        names = [line.split("|")[1] for line in self.lines("\\dv pgspool.*")]
        for name in ("slots", "segments", "replicas", "topology", "databases", "changes"):
            self.assertIn(name, names)

    def test_a_relation_of_postgresql_is_described(self):
        self.assertIn("restart_lsn", self.answer("\\d pg_replication_slots"))
        self.assertIn("sql_identifier", self.answer("\\d information_schema.tables"))

    def test_schemas_databases_roles(self):
        self.assertEqual(
            self.lines("\\dn"), [f"pgspool|{USER}", "public|pg_database_owner"]
        )
        self.assertTrue(any(line.startswith(f"pgspool|{USER}|UTF8|") for line in self.lines("\\l")))
        roles = self.lines("\\du")
        self.assertEqual(len(roles), 1)
        self.assertTrue(roles[0].startswith(f"{USER}|Superuser"), roles)

    def test_publications_are_shown_with_their_tables(self):
        shown = self.answer("\\dRp+")
        self.assertIn("Publication p", shown)
        self.assertIn('"public.t" (id, name) WHERE (id > 5)', shown)
        self.assertEqual([line.split("|")[0] for line in self.lines("\\dRp")], ["p", "p2"])

    def test_what_there_is_nothing_of_is_empty(self):
        for command in ("\\dx", "\\dm", "\\ds", "\\dRs", "\\dT", "\\df", "\\da public.*"):
            self.assertEqual(self.lines(command), [], command)

    def test_every_other_command_has_an_answer(self):
        for command in (
            "\\dt+ *.*", "\\d *.*", "\\dn+", "\\l+", "\\du+", "\\db+", "\\dp", "\\ddp", "\\do", "\\dC", "\\dD",
            "\\dconfig", "\\dconfig+ wal*", "\\df+ pgspool.*", "\\sf now", "\\sv pgspool.slots", "\\drds", "\\dRs+",
            "\\des", "\\det", "\\dew", "\\deu", "\\dF", "\\dFd", "\\dFp", "\\dFt", "\\dL", "\\dl", "\\dO+", "\\dP",
            "\\dT+ *", "\\dA", "\\dAc", "\\dAf", "\\dAo", "\\dAp", "\\dc", "\\dd", "\\dy", "\\dX", "\\da *", "\\dv *.*",
        ):
            self.lines(command)

    def test_functions_are_found_by_name(self):
        self.assertTrue(self.lines("\\df pg_catalog.pg_create_logical_replication_slot"))
        self.assertTrue(self.lines("\\df pgspool.*"))

    def test_conninfo_and_tab_completion(self):
        self.assertIn(f'as user "{USER}"', self.answer("\\conninfo"))
        for statement in COMPLETION:
            self.answer(statement + ";")


if __name__ == "__main__":
    unittest.main()
