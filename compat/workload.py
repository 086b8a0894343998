"""Tables, rows and changes made at random, for PostgreSQL and for pgspool alike.

A `Workload` keeps a model of some tables. What it makes is the same on both: statements of SQL
that define the tables, and changes, each as a statement for PostgreSQL (`Change.sql`) and as a
change record for pgspool (`Change.record`, a line of ndjson). The seed decides everything.

    workload = Workload(seed)
    for statement in workload.definitions():            # run on both
    for statement in workload.storage():                # run on PostgreSQL only
    for changes in (workload.transaction() for _ in range(200)):
        BEGIN; run_there of each; COMMIT                # PostgreSQL
        BEGIN; COPY pgspool.changes of each record; COMMIT
    for statement in workload.redefinitions():          # on both, between two transactions

A change whose `alone` is true is a unit of its own and stands outside of a block.

Tables have every replica identity, keys of one and several columns, and names that must be quoted.
One column may hold a large value, which PostgreSQL keeps apart (TOAST) and does not send again when
an update leaves it as it was: the record then calls it `unchanged`.
"""

import json
import random
import uuid

from publisher import eventually

# Longer than what PostgreSQL keeps in the row itself; nothing else comes near.
LARGE = range(2500, 12000)
NAMES = [
    "id", "name", "Upper", "select", "order", 'quo"te', "sp ace", "ünï", "a.b", "x'y", "_under",
    "n1", "user", "ключ", "back\\slash", "tab\tle", "value", "semi;colon", "a-b", "CamelCase",
    "c" * 63, "col1", "time", "interval", "desc", "1st", "$dollar", "dol$lar", "{brace}", "a,b",
]  # fmt: skip
TEXTS = [
    "", " ", "a", "it's", '"quoted"', "back\\slash", "new\nline", "tab\there", "ünïcödé", "日本語",
    "NULL", "null", "\x01\x1f\x7f", "{a,b}", "a" * 120, "🐘", "\r\n\f\b", "</script>", "NaN", "t",
    "'';--", "\\x00", "unchanged-toast-datum",
]  # fmt: skip


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def literal(value):
    """A value's text as a constant of SQL."""
    return "NULL" if value is None else "'" + value.replace("'", "''") + "'"


class Type:
    """A type of a column: its name in SQL, and how a value's text is made.

    `spell` says how a text may stand in a document besides as a string: as `number`, `bool`, as
    JSON of its own (`json`), or as an `array`.
    """

    def __init__(self, name, make, spell=None):
        self.name, self.make, self.spell = name, make, spell


def of(*texts):
    return lambda rng: rng.choice(texts)


def whole(bits):
    def make(rng):
        top = 1 << (bits - 1)
        return str(rng.choice([0, 1, -1, top - 1, -top, rng.randrange(-top, top), rng.randrange(100)]))

    return make


def decimal(rng):
    places = rng.randrange(6)
    number = rng.randrange(-(10**6), 10**6)
    return rng.choice([f"{number / 10**places:.{places}f}", "0", "NaN", "1e20", "-0.00001",
                       "123456789012345678901234567890.123456789", "Infinity", "-Infinity"])


def fixed(rng):
    return f"{rng.randrange(-99999, 99999) / 100:.2f}"


def float8(rng):
    return rng.choice(["0", "-0", "1.5", "1e300", "1e-300", "NaN", "Infinity", "-Infinity", "0.1",
                       "123456789.123", "1e15", "1e16", repr(rng.random()), repr(rng.gauss(0, 1e9))])


def float4(rng):
    return rng.choice(["0", "-0", "1.5", "1e30", "1e-30", "NaN", "Infinity", "0.1", "16777217",
                       f"{rng.random():.6f}"])


def text(rng):
    if rng.random() < 0.7:
        return rng.choice(TEXTS)
    return "".join(chr(rng.choice([rng.randrange(32, 127), rng.randrange(160, 0x2000)]))
                   for _ in range(rng.randrange(30)))


def short(rng):
    return rng.choice(TEXTS)[:10]


def moment(rng):
    day = f"{rng.choice([1, 1970, 1999, 2024, 9999]):04}-{rng.randrange(1, 13):02}-{rng.randrange(1, 29):02}"
    clock = f"{rng.randrange(24):02}:{rng.randrange(60):02}:{rng.randrange(60):02}"
    return day, clock + rng.choice(["", ".5", ".123456", ".000001"])


def timestamp(rng):
    return rng.choice(["infinity", "-infinity", " ".join(moment(rng)), " ".join(moment(rng))])


def timestamptz(rng):
    zone = rng.choice(["+00", "+02", "-05:30", "Z"])
    return rng.choice(["infinity", " ".join(moment(rng)) + zone, " ".join(moment(rng)) + zone])


def interval(rng):
    return rng.choice(["1 day", "-1 year 2 mons", "00:00:01.5", "3 years -4 days 01:02:03", "0",
                       f"{rng.randrange(-999, 999)} hours", "1.234567 seconds"])


def bytea(rng):
    return "\\x" + rng.randbytes(rng.choice([0, 1, 4, 40])).hex()


def document(rng):
    spaced = {"separators": rng.choice([(",", ":"), (", ", ": "), (" , ", " : ")])}
    value = rng.choice([
        {"a": 1, "b": [True, None, "x'y\"z"]}, [], {}, [1.50, -0.0, 1e3], {"ü": {"nested": "日本"}},
        "text", 5, True, {"long key": 1, "k": 2, "kk": "a\nb"}, [[], [{}]], {"a": {"b": {"c": 1}}},
    ])
    return json.dumps(value, ensure_ascii=rng.random() < 0.5, **spaced)


def array(make, quote=False):
    def element(rng):
        if rng.random() < 0.15:
            return "NULL"
        value = make(rng)
        if quote:
            value = '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        return value

    def text(rng):
        return "{" + ",".join(element(rng) for _ in range(rng.randrange(4))) + "}"

    return text


TYPES = [
    Type("smallint", whole(16), "number"),
    Type("integer", whole(32), "number"),
    Type("bigint", whole(64), "number"),
    Type("real", float4),
    Type("double precision", float8),
    Type("numeric", decimal),
    Type("numeric(10,2)", fixed, "number"),
    Type("boolean", of("t", "f", "true", "no"), "bool"),
    Type("text", text),
    Type("varchar", text),
    Type("varchar(10)", short),
    Type("char(5)", lambda rng: rng.choice(TEXTS)[:5]),
    Type("bpchar", text),
    Type("name", text),
    Type('"char"', of("a", "", "'", '"', "\\", "\\303")),
    Type("bytea", bytea),
    Type("json", document, "json"),
    Type("jsonb", document, "json"),
    Type("uuid", lambda rng: str(uuid.UUID(int=rng.getrandbits(128)))),
    Type("date", lambda rng: rng.choice(["infinity", moment(rng)[0]])),
    Type("time", lambda rng: moment(rng)[1]),
    Type("time(3)", lambda rng: moment(rng)[1]),
    Type("timestamp", timestamp),
    Type("timestamp(2)", timestamp),
    Type("timestamptz", timestamptz),
    Type("timestamptz(0)", timestamptz),
    Type("interval", interval),
    Type("oid", of("0", "1", "4294967295"), "number"),
    Type("xid", of("3", "4294967295")),
    Type("xid8", of("3", "18446744073709551615")),
    Type("pg_lsn", of("0/0", "1/ABCDEF", "FFFFFFFF/FFFFFFFF")),
    Type("inet", of("1.2.3.4", "10.0.0.0/8", "::1", "2001:db8::/32")),
    Type("cidr", of("10.0.0.0/8", "2001:db8::/32")),
    Type("integer[]", array(whole(32)), "array"),
    Type("bigint[]", array(whole(64))),
    Type("text[]", array(lambda rng: rng.choice(TEXTS), quote=True)),
    Type("varchar(10)[]", array(short, quote=True)),
    Type("numeric(10,2)[]", array(fixed)),
    Type("boolean[]", array(of("t", "f"))),
    Type("double precision[]", array(float8)),
    Type("timestamptz[]", array(timestamptz, quote=True)),
    Type("uuid[]", array(lambda rng: str(uuid.UUID(int=rng.getrandbits(128))))),
    Type("jsonb[]", array(document, quote=True)),
    Type("bytea[]", array(bytea, quote=True)),
    Type("int2vector", of("1 2 3", "")),
    Type("oidvector", of("1 2 3", "")),
]


class Column:
    def __init__(self, name, kind, not_null=False, large=False):
        self.name, self.type, self.not_null, self.large = name, kind, not_null, large

    def definition(self):
        return f"{quoted(self.name)} {self.type.name}" + (" NOT NULL" if self.not_null else "")


NUMBER = Type("integer", None, "number")
KEY_TEXT = Type("text", None)


class Table:
    """A table and its rows. The first column counts the rows: it finds a row whatever its key."""

    def __init__(self, rng, schema, name, kind):
        self.rng, self.schema, self.name, self.kind = rng, schema, name, kind
        names = rng.sample(NAMES, rng.randrange(3, 14))
        self.columns = [Column(names[0], NUMBER, not_null=True)]
        if kind in ("composite", "index"):
            self.columns.append(Column(names[1], KEY_TEXT, not_null=True))
        for name in names[len(self.columns):]:
            self.columns.append(Column(name, rng.choice(TYPES), not_null=rng.random() < 0.1))
        if rng.random() < 0.5:
            self.columns.append(Column("large one", Type("text", None), large=True))
        self.key = {
            "single": [0], "composite": [1, 0], "text": [0], "full with key": [0], "nothing": [0],
            "index": [1], "index of key": [0],
        }.get(kind, [])  # fmt: skip
        self.dropped = set()
        # A table that is only filled and emptied, and columns that stay: a test that publishes sets them.
        self.only_filled, self.held = False, set()
        self.rows = {}
        self.counted = 0

    @property
    def full_name(self):
        return f"{quoted(self.schema)}.{quoted(self.name)}"

    @property
    def collection(self):
        return self.name if self.schema == "public" else f"{self.schema}.{self.name}"

    @property
    def is_full(self):
        return self.kind in ("full", "full with key")

    def live(self):
        return [column for column in self.columns if column.name not in self.dropped]

    def definitions(self):
        parts = [column.definition() for column in self.columns]
        key = ", ".join(quoted(self.columns[place].name) for place in self.key)
        if self.kind == "index":
            parts.append(f"PRIMARY KEY ({quoted(self.columns[0].name)})")
            parts.append(f"CONSTRAINT {quoted('by ' + self.name)} UNIQUE ({key})")
        elif self.key:
            parts.append(f"CONSTRAINT {quoted('key ' + self.name)} PRIMARY KEY ({key})")
        yield f"CREATE TABLE {self.full_name} ({', '.join(parts)})"
        identity = {
            "full": "FULL", "full with key": "FULL", "nothing": "NOTHING",
            "index": f"USING INDEX {quoted('by ' + self.name)}",
            "index of key": f"USING INDEX {quoted('key ' + self.name)}",
        }.get(self.kind)  # fmt: skip
        if identity:
            yield f"ALTER TABLE {self.full_name} REPLICA IDENTITY {identity}"

    def storage(self):
        """Keeps the large values apart and uncompressed, so that it is known which ones they are."""
        for column in self.live():
            if column.large:
                yield (f"ALTER TABLE {self.full_name} ALTER COLUMN {quoted(column.name)}"
                       " SET STORAGE EXTERNAL")

    def value(self, column, number):
        if column is self.columns[0]:
            return str(number)
        if column.type is KEY_TEXT:
            return f"{self.rng.choice(TEXTS[:10])}{number}"
        if not column.not_null and self.rng.random() < 0.2:
            return None
        if column.large:
            length = self.rng.choice(LARGE) if self.rng.random() < 0.7 else self.rng.randrange(20)
            return self.rng.choice("xy'\"") * length
        return column.type.make(self.rng)

    def next_number(self):
        self.counted += 1
        return self.counted

    def insert(self):
        number = self.next_number()
        row = {column.name: self.value(column, number) for column in self.live()}
        self.rows[number] = row
        names = ", ".join(quoted(name) for name in row)
        values = ", ".join(literal(value) for value in row.values())
        sql = f"INSERT INTO {self.full_name} ({names}) VALUES ({values})"
        return Change(sql, self.record("insert", number, entity=self.document(row)))

    def where(self, number):
        return f"WHERE {quoted(self.columns[0].name)} = {number}"

    def update(self):
        number = self.rng.choice(list(self.rows))
        old = self.rows.pop(number)
        new = dict(old)
        free = [c for c in self.live() if c is not self.columns[0] and c.type is not KEY_TEXT]
        chosen = self.rng.sample(free, self.rng.randrange(1, len(free) + 1) if free else 0)
        renumbered = not free or self.rng.random() < 0.25
        for column in chosen:
            new[column.name] = self.value(column, number)
        after = self.next_number() if renumbered else number
        if renumbered:
            chosen.append(self.columns[0])
            new[self.columns[0].name] = str(after)
        if self.kind in ("composite", "index") and self.rng.random() < 0.25:
            chosen.append(self.columns[1])
            new[self.columns[1].name] = self.value(self.columns[1], self.next_number())
        sets = ", ".join(f"{quoted(c.name)} = {literal(new[c.name])}" for c in chosen)
        sql = f"UPDATE {self.full_name} SET {sets} {self.where(number)}"
        unchanged = [c.name for c in self.live() if c not in chosen and self.is_apart(c, old)]
        entity = {name: value for name, value in new.items() if name not in unchanged}
        more = {"unchanged": unchanged} if unchanged else {}
        same_key = all(old[self.columns[place].name] == new[self.columns[place].name]
                       for place in self.key)
        # An update that says nothing of the row before left its key as it was.
        if not (same_key and not self.is_full and self.rng.random() < 0.3):
            more["old"] = self.document(self.known(old))
        self.rows[after] = new
        return Change(sql, self.record("update", after, entity=self.document(entity), **more))

    @staticmethod
    def is_apart(column, row):
        value = row[column.name]
        return column.large and value is not None and len(value) in LARGE

    def known(self, row):
        """What a producer says of the row before: all of it, or its key where that will do."""
        if self.is_full or not self.key or self.rng.random() < 0.5:
            return row
        key = [self.columns[place].name for place in self.key]
        return {name: row[name] for name in key}

    def delete(self):
        number = self.rng.choice(list(self.rows))
        row = self.rows.pop(number)
        sql = f"DELETE FROM {self.full_name} {self.where(number)}"
        how = self.rng.randrange(3)
        if how == 0 and self.key == [0] and not self.is_full:
            return Change(sql, self.record("delete", number))
        if how == 1 and not self.is_full:
            return Change(sql, self.record("delete", number, entity=self.document(row)))
        return Change(sql, self.record("delete", number, old=self.document(self.known(row))))

    def truncate(self):
        self.rows.clear()
        return Change(f"TRUNCATE {self.full_name}", self.record("truncate", 0))

    def document(self, row):
        """The JSON text of a row; a value that is NULL may also be missing."""
        types = {column.name: column.type for column in self.columns}
        members = [
            f"{json.dumps(name)}: {self.spelled(types[name], value)}"
            for name, value in row.items()
            if value is not None or self.rng.random() < 0.7
        ]
        self.rng.shuffle(members)
        return "{" + ", ".join(members) + "}"

    def spelled(self, kind, value):
        if value is None:
            return "null"
        if kind.spell == "json":
            return value
        bare = kind.spell and self.rng.random() < 0.5
        if bare and kind.spell == "number":
            return str(int(value)) if "." not in value else value
        if bare and kind.spell == "bool":
            return "true" if value in ("t", "true") else "false"
        if bare and kind.spell == "array":
            return "[" + value[1:-1].replace("NULL", "null") + "]"
        return json.dumps(value, ensure_ascii=self.rng.random() < 0.5)

    def record(self, operation, rid, entity=None, old=None, **more):
        members = {"operation": operation, "collection": self.collection, "rid": rid, "kind": "row"}
        if entity is not None:
            members["entity_bytes_hex"] = entity.encode().hex()
        line = json.dumps({**members, **more})
        # The row before is not read here: its text is kept as it is.
        return line if old is None else f'{line[:-1]}, "old": {old}}}'

    def add_column(self):
        kind = self.rng.choice(TYPES)
        name = f"added {len(self.columns)}"
        self.columns.append(Column(name, kind))
        for row in self.rows.values():
            row[name] = None
        yield f"ALTER TABLE {self.full_name} ADD COLUMN {quoted(name)} {kind.name}"

    def drop_column(self):
        held = {self.columns[place].name for place in self.key} | {self.columns[0].name} | self.held
        free = [column for column in self.live() if column.name not in held]
        if self.kind == "index":
            free = [column for column in free if column.type is not KEY_TEXT]
        if len(free) < 2:
            return
        gone = self.rng.choice(free)
        self.dropped.add(gone.name)
        for row in self.rows.values():
            del row[gone.name]
        yield f"ALTER TABLE {self.full_name} DROP COLUMN {quoted(gone.name)}"


class Change:
    """One change on both sides: a statement, and a line of ndjson."""

    def __init__(self, sql, record, alone=False):
        self.sql, self.record, self.alone = sql, record, alone

    def run_there(self, connection):
        """Runs the statement on PostgreSQL, until logical decoding sees what it wrote."""
        said = connection.execute(self.sql)
        if not self.alone:
            return
        # A message by itself makes no commit record, so nobody waits until it is written.
        end = said.fetchone()[0]
        flushed = f"SELECT pg_current_wal_flush_lsn() >= '{end}'"
        eventually(lambda: connection.execute(flushed).fetchone()[0], "the message to be written")


class Certain:
    """Two tables with changes of every kind and values of every kind in each run, whatever the seed.

    One table has a key, the other REPLICA IDENTITY FULL. They are apart from a workload's tables.
    """

    NAMES = ["certain key", "certain full"]

    def definitions(self):
        for name in self.NAMES:
            yield f"CREATE TABLE {quoted(name)} (id integer PRIMARY KEY, note text, large text)"
        yield f"ALTER TABLE {quoted(self.NAMES[1])} REPLICA IDENTITY FULL"

    def storage(self):
        for name in self.NAMES:
            yield f"ALTER TABLE {quoted(name)} ALTER COLUMN large SET STORAGE EXTERNAL"

    def transactions(self):
        """The changes of each transaction."""
        for name in self.NAMES:
            row = {"id": 1, "note": None, "large": "x" * LARGE.start}
            yield [self._change(name, "insert", None, row)]
            row, old = {**row, "note": "changed"}, row
            yield [self._change(name, "update", old, row, ["large"])]
            row, old = {**row, "id": 2, "large": "short"}, row
            yield [self._change(name, "update", old, row)]
            yield [self._change(name, "delete", row, None)]
            record = {"operation": "truncate", "collection": name, "rid": 0, "kind": "row"}
            yield [Change(f"TRUNCATE {quoted(name)}", json.dumps(record))]
        for transactional in (True, False):
            yield [message(transactional, "certain", "said")]

    @staticmethod
    def _change(name, operation, old, new, unchanged=()):
        record = {"operation": operation, "collection": name, "rid": 0, "kind": "row"}
        if new:
            entity = {column: value for column, value in new.items() if column not in unchanged}
            record["entity_bytes_hex"] = json.dumps(entity).encode().hex()
        if old:
            record["old"] = old
        if unchanged:
            record["unchanged"] = unchanged
        values = {column: literal(value and str(value)) for column, value in (new or {}).items()}
        if operation == "insert":
            sql = f"INSERT INTO {quoted(name)} VALUES ({', '.join(values.values())})"
        elif operation == "update":
            sets = [f"{column} = {values[column]}" for column in values if column not in unchanged]
            sql = f"UPDATE {quoted(name)} SET {', '.join(sets)} WHERE id = {old['id']}"
        else:
            sql = f"DELETE FROM {quoted(name)} WHERE id = {old['id']}"
        return Change(sql, json.dumps(record))


def message(transactional, prefix, content):
    sql = (f"SELECT pg_logical_emit_message({str(transactional).lower()}, {literal(prefix)},"
           f" {literal(content)})")
    record = {"operation": "message", "prefix": prefix, "transactional": transactional,
              "entity_bytes_hex": content.encode().hex()}
    return Change(sql, json.dumps(record), alone=not transactional)


KINDS = ["single", "composite", "no key", "full", "full with key", "nothing", "index", "index of key"]
SCHEMAS = ["public", "sales", "My Schema", 'q"s']
# How many rows a table may come to have, about.
ROWS = 30


class Workload:
    """Tables and what happens to them."""

    def __init__(self, seed, tables=10):
        self.rng = random.Random(seed)
        self.tables = []
        for number in range(tables):
            kind = KINDS[number % len(KINDS)]
            schema = self.rng.choice(SCHEMAS)
            name = f"{self.rng.choice(['t', 'Orders', 'sel ect', 'ü', 'q' + chr(34)])}{number}"
            self.tables.append(Table(self.rng, schema, name, kind))

    def definitions(self):
        for schema in SCHEMAS[1:]:
            yield f"CREATE SCHEMA {quoted(schema)}"
        for table in self.tables:
            yield from table.definitions()

    def storage(self):
        for table in self.tables:
            yield from table.storage()

    def redefinitions(self):
        """Columns that come and go."""
        for table in self.rng.sample(self.tables, 3):
            yield from self.rng.choice([table.add_column, table.drop_column])()

    def transaction(self):
        """The changes of one transaction."""
        if self.rng.random() < 0.03:
            return [self.message(False)]
        count = self.rng.choice([1, 1, 1, 2, 3, 5, 8])
        if self.rng.random() < 0.02:
            count = 200
        return [self.change() for _ in range(count)]

    def change(self):
        dice = self.rng.random()
        if dice < 0.03:
            return self.message(True)
        table = self.rng.choice(self.tables)
        if dice < 0.05:
            return table.truncate()
        if table.only_filled:
            return table.insert() if len(table.rows) < ROWS else table.truncate()
        if not table.rows or (dice < 0.45 and len(table.rows) < ROWS):
            return table.insert()
        return table.update() if dice < 0.8 else table.delete()

    def truncate_together(self):
        """Several tables in one statement, which is a record for each."""
        emptied = self.rng.sample(self.tables, self.rng.randrange(2, 4))
        records = [table.truncate().record for table in emptied]
        names = ", ".join(table.full_name for table in emptied)
        return Change(f"TRUNCATE {names}", "\n".join(records))

    def message(self, transactional):
        prefix = self.rng.choice(["p", "my prefix", "ü'", "a,b"])
        return message(transactional, prefix, self.rng.choice(TEXTS))
