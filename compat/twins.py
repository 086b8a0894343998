"""pgspool and PostgreSQL 15 side by side, with the same rows behind the same names.

The rows of pgspool's views are copied into tables of PostgreSQL's schema `twin`, so one statement
can run on both: `{pg_class}` in it becomes `pg_catalog.pg_class` here and `twin.pg_class` there.
"""

import itertools
import re
import struct

import psycopg

from postgres import Postgres
from server import USER

# Types that PostgreSQL lets no table be filled with from text; their text is compared instead.
AS_TEXT = {"pg_node_tree": "text", "aclitem[]": "text[]", "anyarray": "text"}


# What is not supported is said in each server's own words.
OWN_WORDS = {"0A000"}


class Twins:
    """Both servers, connected."""

    def __init__(self, pgspool):
        self.postgres = Postgres()
        self.here = connect(pgspool.port)
        self.there = connect(self.postgres.port)
        self.schemas = {}

    def close(self):
        self.here.close()
        self.there.close()
        self.postgres.stop()

    def copy(self, name, schema="pg_catalog"):
        """Copies a view's rows to PostgreSQL: its columns with their types, and its rows as text.

        The rows are in a table, `twin.name` is a view of it: only a view may have a column `xmin`.
        """
        self.there.execute("CREATE SCHEMA IF NOT EXISTS twin")
        columns = self.here.execute(
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
            " WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum",
            (f"{schema}.{name}",),
        ).fetchall()
        kinds = [AS_TEXT.get(kind, kind) for _, kind in columns]
        typed = ", ".join(f"c{number} {kind}" for number, kind in enumerate(kinds))
        named = ", ".join(f'c{number} AS "{column}"' for number, (column, _) in enumerate(columns))
        self.there.execute(f'CREATE TABLE twin."{name} rows" ({typed})')
        self.there.execute(f'CREATE VIEW twin."{name}" AS SELECT {named} FROM twin."{name} rows"')
        # The names that reg* types print mean other objects there, or none.
        via = ["::oid" if kind.startswith("reg") else "" for kind in kinds]
        texts = ", ".join(f'"{column}"{oid}::text' for (column, _), oid in zip(columns, via))
        rows = self.here.execute(f'SELECT {texts} FROM {schema}."{name}"').fetchall()
        values = ", ".join(f"%s::text{oid}::{kind}" for oid, kind in zip(via, kinds))
        with self.there.cursor() as cursor:
            cursor.executemany(f'INSERT INTO twin."{name} rows" VALUES ({values})', rows)
        self.there.execute(f'ANALYZE twin."{name} rows"')
        self.schemas[name] = schema
        return columns, rows

    def ask(self, statement, parameters=None, binary=False):
        """The statement's answers, here and there."""
        names = "{(" + "|".join(self.schemas) + ")}"
        here = re.sub(names, self._name, statement)
        # As long as here, so that errors have the same position.
        there = re.sub(names, lambda m: f"twin.{m[1]}".ljust(len(self._name(m))), statement)
        return answer(self.here, here, parameters, binary), answer(
            self.there, there, parameters, binary
        )

    def _name(self, found):
        """What a name in a statement is here."""
        return f"{self.schemas[found[1]]}.{found[1]}"


def connect(port):
    connection = psycopg.connect(
        host="127.0.0.1", port=port, user=USER, dbname="pgspool", autocommit=True
    )
    # Values are compared as the server wrote them.
    for oid in range(6000):
        connection.adapters.register_loader(oid, Raw)
        connection.adapters.register_loader(oid, RawBinary)
    return connection


class Raw(psycopg.adapt.Loader):
    """Hands a value's text on as it came."""

    def load(self, data):
        return bytes(data).decode("utf-8", "backslashreplace")


class RawBinary(psycopg.adapt.Loader):
    """Hands a binary value's bytes on, in hexadecimal."""

    format = psycopg.pq.Format.BINARY

    def load(self, data):
        return bytes(data).hex()


class Answer:
    """Columns (name and type) with rows, or an error: its SQLSTATE, words and position."""

    def __init__(self, columns=None, rows=None, error=None, message=None, position=None):
        self.columns, self.rows = columns, rows
        self.error, self.message, self.position = error, message, position

    def __eq__(self, other):
        return self._compared() == other._compared()

    def _compared(self):
        said = None if self.error in OWN_WORDS else (self.message, self.position)
        return self.columns, self.rows, self.error, said

    def by_value(self, binary):
        """The same without what a sort does not see: two values that are equal and look different
        (0 and 0.00, 1 month and 30 days) may stand in either order, or for each other."""
        if self.error:
            return self
        looks = [LOOKS.get((kind, binary), str) for _, kind in self.columns]
        rows = [tuple(value if value is None else look(value) for look, value in zip(looks, row))
                for row in self.rows]
        return Answer(columns=self.columns, rows=rows)

    def __repr__(self):
        if self.error:
            return f"{self.error}: {self.message} (at {self.position})"
        return f"{self.columns}, {len(self.rows)} rows"

    def beside(self, other):
        """Both, with the first rows that differ."""
        both = f"here:  {self!r}\nthere: {other!r}"
        for one, two in itertools.zip_longest(self.rows or [], other.rows or []):
            if one != two and not (self.error or other.error):
                return f"{both}\nhere:  {one}\nthere: {two}"
        return both


def numeric_text(text):
    return text.rstrip("0").rstrip(".") if "." in text else text


def numeric_binary(value):
    """Without its number of digits to be shown."""
    return value[:12] + value[16:]


def interval_text(text):
    """Its length in microseconds."""
    total = 0
    for number, unit in re.findall(r"(-?\d+) (year|mon|day)s?", text):
        total += int(number) * {"year": 360, "mon": 30, "day": 1}[unit] * 86_400_000_000
    for sign, hours, minutes, seconds in re.findall(r"(-?)(\d+):(\d+):([\d.]+)", text):
        length = (int(hours) * 60 + int(minutes)) * 60_000_000 + round(float(seconds) * 1_000_000)
        total += -length if sign else length
    return total


def interval_binary(value):
    microseconds, days, months = struct.unpack(">qii", bytes.fromhex(value))
    return microseconds + (days + 30 * months) * 86_400_000_000


# How values of types are compared that may look different and be equal; by OID, and if binary.
LOOKS = {
    (1700, False): numeric_text, (1700, True): numeric_binary,
    (1186, False): interval_text, (1186, True): interval_binary,
}  # fmt: skip


def answer(connection, statement, parameters=None, binary=False):
    """Runs a statement in the extended protocol."""
    try:
        cursor = connection.cursor(binary=binary)
        cursor.execute(statement, parameters, prepare=True)
    except psycopg.Error as error:
        return Answer(
            error=error.sqlstate or type(error).__name__,
            message=error.diag.message_primary or str(error),
            position=error.diag.statement_position,
        )
    if cursor.description is None:
        return Answer(columns=[], rows=[cursor.statusmessage])
    columns = [(column.name, column.type_code) for column in cursor.description]
    return Answer(columns=columns, rows=cursor.fetchall())
