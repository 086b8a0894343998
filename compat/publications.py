"""Publications made at random for the tables of a workload, that PostgreSQL and pgspool both take.

A `Round` is a few publications of every kind, and what they become halfway: all tables, lists of
tables with column lists and row filters, schemas; each publishes only some operations. PostgreSQL
refuses updates and deletes that a publication cannot bear, so a round also says what the workload
may do meanwhile: tables without a replica identity are only filled and emptied (`only_filled`), and
columns that a publication names stay (`held`). `end` lifts that.
"""

from workload import KEY_TEXT, NUMBER, literal, quoted

OPERATIONS = ["insert", "update", "delete", "truncate"]
ROWS_CHANGE = {"update", "delete"}
SIGNS = ["=", "<>", "<", "<=", ">", ">="]
WHOLE = {"smallint", "integer", "bigint"}
TEXTS = {"text", "varchar", "varchar(10)", "char(5)", "bpchar"}
# Types whose values a filter may compare, here too.
COMPARED = WHOLE | TEXTS | {
    "real", "double precision", "numeric", "numeric(10,2)", "bytea", "uuid", "date", "time",
    "time(3)", "timestamp", "timestamp(2)", "timestamptz", "timestamptz(0)", "interval", "oid",
    "inet", "jsonb", '"char"', "pg_lsn", "integer[]", "text[]", "double precision[]", "uuid[]", "bytea[]",
}  # fmt: skip
PATTERNS = ["LIKE 'a%'", "NOT LIKE '_'", "LIKE '%''%'", "LIKE ''", "ILIKE 'N%'", "~ '^[a-z]'",
            "!~ '[0-9]$'", "~* 'UNC'"]  # fmt: skip


class Published:
    """A table in a publication: its columns (None for all) and filter."""

    def __init__(self, table, columns=None, where=None):
        self.table, self.columns, self.where = table, columns, where

    def __str__(self):
        listed = f" ({', '.join(map(quoted, self.columns))})" if self.columns else ""
        where = f" WHERE ({self.where})" if self.where else ""
        return self.table.full_name + listed + where


class Publication:
    """`holds` is "all", or schemas, or tables with what is published of them."""

    def __init__(self, name, publish, holds):
        self.name, self.publish, self.holds = name, publish, holds

    def objects(self):
        if self.holds == "all":
            return "ALL TABLES"
        if isinstance(self.holds[0], Published):
            return "TABLE " + ", ".join(map(str, self.holds))
        return "TABLES IN SCHEMA " + ", ".join(map(quoted, self.holds))

    def option(self):
        return f"(publish = '{', '.join(self.publish)}')"

    def create(self):
        return f"CREATE PUBLICATION {quoted(self.name)} FOR {self.objects()} WITH {self.option()}"

    def alter(self, before):
        """What makes it out of what it was before."""
        if self.publish != before.publish:
            yield f"ALTER PUBLICATION {quoted(self.name)} SET {self.option()}"
        if self.holds != "all":
            yield f"ALTER PUBLICATION {quoted(self.name)} SET {self.objects()}"


class Round:
    """Publications as they are `before` and `after` its half."""

    def __init__(self, rng, tables):
        self.rng, self.tables = rng, tables
        # Whole rows conflict with column lists: without these, more publications go together.
        self.with_lists = rng.random() < 0.6
        schemas = sorted({table.schema for table in tables})
        published = {name: self._operations() for name in ["all", "Listed", 'fil"tered', "schemas"]}
        halves = []
        for _ in range(2):
            if rng.random() < 0.3:
                published["all"] = self._operations()
            halves.append({
                "all": "all",
                "Listed": rng.sample(tables, rng.randrange(3, len(tables))),
                'fil"tered': rng.sample(tables, rng.randrange(3, len(tables))),
                "schemas": rng.sample(schemas, rng.randrange(1, len(schemas) + 1)),
            })  # fmt: skip
            halves[-1] = {name: (list(published[name]), holds) for name, holds in halves[-1].items()}
        for half in halves:
            for publish, holds in half.values():
                self._restrict(publish, holds)
        self.before, self.after = map(self._half, halves)
        self.names = [publication.name for publication in self.before]

    def _operations(self):
        if self.rng.random() < 0.4:
            return OPERATIONS
        chosen = self.rng.sample(OPERATIONS, self.rng.randrange(1, 4))
        return [operation for operation in OPERATIONS if operation in chosen]

    def _restrict(self, publish, holds):
        if not ROWS_CHANGE & set(publish):
            return
        for table in self.tables:
            held = holds == "all" or table in holds or table.schema in holds
            if held and (table.kind in ("no key", "nothing") or self.rng.random() < 0.05):
                table.only_filled = True

    def _half(self, half):
        # Publications agree on the columns of a table, but for a few.
        lists = {table: self._columns(table) for table in self.tables}
        made = []
        for name, (publish, holds) in half.items():
            if name in ("Listed", 'fil"tered'):
                often = 0.9 if name == 'fil"tered' else 0.3
                holds = [self._published(table, publish, lists, often) for table in holds]
            made.append(Publication(name, publish, holds))
        return made

    def _published(self, table, publish, lists, often):
        columns = lists[table] if self.rng.random() < 0.95 else self._columns(table)
        free = table.live()
        if ROWS_CHANGE & set(publish) and not table.only_filled and not table.is_full:
            free = [table.columns[place] for place in table.key]
        if ROWS_CHANGE & set(publish) and not table.only_filled and table.is_full:
            columns = None
        where = self._filter(table, free, 2) if self.rng.random() < often else None
        # What a list lacks stays, too: see below.
        table.held |= {column.name for column in table.live()} if columns else set()
        return Published(table, columns, where)

    def _columns(self, table):
        """A column list with the key in it; None for no list."""
        if not self.with_lists or self.rng.random() < 0.5:
            return None
        names = [column.name for column in table.live()]
        key = [table.columns[place].name for place in table.key]
        chosen = set(key + self.rng.sample(names, self.rng.randrange(1, len(names) + 1)))
        # A list of all columns counts as none, but in PostgreSQL 15 not for a table that ever lost a
        # column, which is a documented difference (docs/sql.md): there is no such list here.
        if table.dropped and len(chosen) == len(names):
            return None
        return self.rng.sample(sorted(chosen), len(chosen))

    def _filter(self, table, columns, depth):
        dice = self.rng.random()
        if depth and dice < 0.4:
            parts = (self._filter(table, columns, depth - 1) for _ in range(2))
            return self.rng.choice([" AND ", " OR "]).join(f"({part})" for part in parts)
        if depth and dice < 0.5:
            return f"NOT ({self._filter(table, columns, depth - 1)})"
        column = self.rng.choice(columns)
        table.held.add(column.name)
        return self._comparison(table, column)

    def _comparison(self, table, column):
        name, kind, rng = quoted(column.name), column.type.name, self.rng
        ways = [f"{name} IS NULL", f"{name} IS NOT NULL"]
        if kind == "boolean":
            ways += [name, f"{name} IS NOT TRUE", f"{name} = 'f'", f"NOT {name}"]
        if kind in WHOLE:
            ways += [f"{name} % {rng.randrange(1, 5)} = {rng.randrange(2)}"] * 3
        if kind in TEXTS:
            ways += [f"{name} {rng.choice(PATTERNS)}"] * 3
        if kind in COMPARED:
            one, two = (self._literal(table, column) for _ in range(2))
            ways += [f"{name} {rng.choice(SIGNS)} {one}"] * 4
            ways += [f"{name} BETWEEN {one} AND {two}", f"{name} IS DISTINCT FROM {one}"]
            # PostgreSQL casts a list for varchar in a way that a filter may not have.
            if not kind.startswith("varchar"):
                ways += [f"{name} IN ({one}, {two})"] * 2
        return rng.choice(ways)

    def _literal(self, table, column):
        if column.type is NUMBER:
            return str(self.rng.randrange(table.counted + 10))
        if column.large:
            return "'x'"
        if column.type is KEY_TEXT:
            return literal(self.rng.choice(["", "a", "it's", "ünï", f"a{table.counted}"]))
        return literal(column.type.make(self.rng))

    def create(self):
        return [publication.create() for publication in self.before]

    def alter(self):
        """What leads from the first half to the second."""
        pairs = zip(self.before, self.after)
        return [statement for before, after in pairs for statement in after.alter(before)]

    def drop(self):
        return [f"DROP PUBLICATION {', '.join(map(quoted, self.names))}"]

    def end(self):
        for table in self.tables:
            table.only_filled, table.held = False, set()
