"""The same commands to PostgreSQL 15 and to pgspool: the same answers, word for word.

Only positions, identifiers and ports differ; they are masked.
"""

import re
import unittest

import psycopg2
import psycopg2.extras

from postgres import Postgres
from server import USER, ServerTest

SLOT = ("--slot", "s")
START = (*SLOT, "--start", "--no-loop", "-f", "-")

# pg_recvlogical calls, in order, each on the state that the ones before left.
RECVLOGICAL = [
    START,
    (*SLOT, "--drop-slot"),
    (*SLOT, "--create-slot", "-P", "test_decoding"),
    (*SLOT, "--create-slot", "-P", "test_decoding"),
    (*SLOT, "--create-slot", "-P", "test_decoding", "--if-not-exists"),
    ("--slot", "Not-A-Name", "--create-slot", "-P", "test_decoding"),
    ("--slot", "odd", "--create-slot", "-P", "no_such_plugin"),
    (*START, "-o", "no-such-option=1"),
    (*START, "-o", "include-xids=perhaps"),
    (*SLOT, "--drop-slot"),
    (*SLOT, "--drop-slot"),
]

# Statements on one replication connection, in order.
STATEMENTS = [
    "SELECT pg_catalog.set_config('search_path', '', false)",
    "SHOW data_directory_mode",
    "SHOW no_such_setting",
    "IDENTIFY_SYSTEM",
    "IDENTIFY_SYSTEM;",
    "CREATE_REPLICATION_SLOT \"a\" LOGICAL \"test_decoding\"",
    "CREATE_REPLICATION_SLOT \"a\" LOGICAL \"test_decoding\" (SNAPSHOT 'nothing')",
    "CREATE_REPLICATION_SLOT b LOGICAL test_decoding ( TWO_PHASE,  SNAPSHOT 'nothing')",
    "CREATE_REPLICATION_SLOT c TEMPORARY LOGICAL test_decoding NOEXPORT_SNAPSHOT",
    "READ_REPLICATION_SLOT a",
    "READ_REPLICATION_SLOT missing",
    "DROP_REPLICATION_SLOT b WAIT",
    "DROP_REPLICATION_SLOT \"a\"",
    "DROP_REPLICATION_SLOT a",
    "START_REPLICATION SLOT missing LOGICAL 0/0",
    "START_REPLICATION SLOT missing LOGICAL nonsense",
    "CREATE_REPLICATION_SLOT",
]


def masked(text):
    """Without what no two servers share, and without where in PostgreSQL it happened.

    A hint of ours that says what pgspool has instead is more than PostgreSQL says, not different.
    """
    text = re.sub(r"CONTEXT: .*\n", "", text)
    text = re.sub(r"HINT:  pgspool has .*\n", "", text)
    text = re.sub(r"port \d+", "port N", text)
    text = re.sub(r"PID \d+", "PID N", text)
    text = re.sub(r"\b[0-9A-F]+/[0-9A-F]+\b", "X/X", text)
    return re.sub(r"\b[0-9A-F]{8}-[0-9A-F]{8}-\d+\b", "SNAPSHOT", text)


class SameAsPostgresql(ServerTest):
    @classmethod
    def setUpClass(cls):
        cls.postgres = Postgres()
        cls.addClassCleanup(cls.postgres.stop)

    def test_pg_recvlogical_ends_with_the_same_code_and_words(self):
        for arguments in RECVLOGICAL:
            with self.subTest(" ".join(arguments)):
                answers = [
                    (done.returncode, masked(done.stderr), done.stdout)
                    for done in (
                        self.postgres.recvlogical(*arguments),
                        self.server.recvlogical(*arguments),
                    )
                ]
                self.assertEqual(answers[1], answers[0])

    def test_replication_commands_have_the_same_columns_and_errors(self):
        theirs = self.cursor(self.postgres)
        ours = self.cursor(self.server)
        for statement in STATEMENTS:
            with self.subTest(statement):
                self.assertEqual(self.answer(ours, statement), self.answer(theirs, statement))

    def cursor(self, server):
        connection = psycopg2.connect(
            host="127.0.0.1",
            port=server.port,
            user=USER,
            dbname="pgspool",
            connection_factory=psycopg2.extras.LogicalReplicationConnection,
        )
        self.addCleanup(connection.close)
        return connection.cursor()

    @staticmethod
    def answer(cursor, statement):
        """Columns (name, type), number of rows with their nulls, command tag; or the error."""
        try:
            cursor.execute(statement)
        except psycopg2.Error as error:
            # How PostgreSQL's parser words a syntax error is not copied.
            words = None if error.pgcode == "42601" else masked(str(error))
            return error.pgcode, words
        columns = [(c.name, c.type_code) for c in cursor.description or []]
        rows = cursor.fetchall() if cursor.description else []
        return columns, [[value is None for value in row] for row in rows], cursor.statusmessage


if __name__ == "__main__":
    unittest.main()
