"""Random statements over views: filters, joins, groups, windows, sets, CTEs, nested queries.

Each has an order over all its columns (or is compared as a bag), so its rows are the same anywhere.
"""

import random

from expressions import ARRAYS, LITERALS, NUMBERS, ORDERED, TIMES, WHOLE, Expressions, quoted

# Equalities that join views.
JOINS = [
    ("pg_class", "relnamespace", "pg_namespace", "oid"),
    ("pg_attribute", "attrelid", "pg_class", "oid"),
    ("pg_attribute", "atttypid", "pg_type", "oid"),
    ("pg_type", "typnamespace", "pg_namespace", "oid"),
    ("pg_index", "indrelid", "pg_class", "oid"),
    ("pg_constraint", "conrelid", "pg_class", "oid"),
    ("pg_publication_rel", "prpubid", "pg_publication", "oid"),
    ("pg_publication_rel", "prrelid", "pg_class", "oid"),
    ("pg_proc", "prorettype", "pg_type", "oid"),
    ("pg_stat_replication_slots", "slot_name", "pg_replication_slots", "slot_name"),
    ("pg_publication_tables", "pubname", "pg_publication", "pubname"),
    ("pg_class", "relname", "pg_publication_tables", "tablename"),
]
SHAPES = [
    "rows", "rows", "rows", "group", "group", "join", "join", "nested", "union", "window", "cte",
    "distinct_on", "lateral", "derived", "full_join", "first_of_each", "scalar_where", "two_ctes",
    "using", "three_way",
]
# The columns of the rows that are written into the statement.
SAMPLE = [
    ("i", "integer"), ("s", "smallint"), ("b", "bigint"), ("n", "numeric"), ("r", "real"),
    ("f", "double precision"), ("t", "text"), ("v", "character varying"), ("nm", "name"),
    ("ok", "boolean"), ("tz", "timestamp with time zone"), ("ts", "timestamp without time zone"),
    ("d", "date"), ("iv", "interval"), ("tm", "time without time zone"), ("u", "uuid"),
    ("j", "jsonb"), ("by", "bytea"), ("l", "pg_lsn"), ("ta", "text[]"), ("ia", "integer[]"),
]


class Statements:
    """Statements over `views`: name -> (columns with types, rows as text)."""

    def __init__(self, views, seed):
        self.views = views
        self.dice = random.Random(seed)
        self.make = Expressions(self.dice)

    def statement(self):
        """A statement and its parameters."""
        self.make.parameters, self.make.scope = [], []
        text = getattr(self, f"_{self.dice.choice(SHAPES)}")()
        return text, tuple(self.make.parameters)

    def _view(self):
        return self.dice.choice([*self.views, "", "", "", ""])

    def _from(self, view, alias):
        """The view under its alias; its columns come into scope."""
        if not view:
            return self._sample(alias)
        columns, rows = self.views[view]
        for at, (name, kind) in enumerate(columns):
            values = sorted({row[at] for row in rows if row[at] is not None})
            self.dice.shuffle(values)
            self.make.scope.append((f"{alias}.{name}", kind, values))
        return f"{{{view}}} {alias}"

    def _sample(self, alias):
        columns = self.dice.sample(SAMPLE, self.dice.randint(3, 7))
        rows = []
        for _ in range(self.dice.randint(1, 6)):
            values = [self.dice.choice([*LITERALS[kind], None]) for _, kind in columns]
            texts = ["NULL" if value is None else quoted(value) for value in values]
            rows.append("(" + ", ".join(f"{t}::{k}" for t, (_, k) in zip(texts, columns)) + ")")
        self.make.scope += [(f"{alias}.{name}", kind, []) for name, kind in columns]
        names = ", ".join(name for name, _ in columns)
        return f"(VALUES {', '.join(rows)}) AS {alias}({names})"

    def _where(self, word=" WHERE"):
        if self.dice.random() < 0.3:
            return ""
        glue = self.dice.choice([" AND ", " OR "])
        parts = [self.make.of("boolean") for _ in range(self.dice.choice([1, 1, 2, 3]))]
        return f"{word} {self.dice.choice(['', '', 'NOT '])}({glue.join(parts)})"

    def _tail(self, width):
        """An order over all columns, so that it is the same everywhere, and perhaps a limit."""
        columns = list(range(1, width + 1))
        self.dice.shuffle(columns)
        ways = ["", " DESC", " NULLS FIRST", " DESC NULLS LAST"]
        text = " ORDER BY " + ", ".join(f"{n}{self.dice.choice(ways)}" for n in columns)
        if self.dice.random() < 0.4:
            text += f" LIMIT {self._number(9)}"
            if self.dice.random() < 0.5:
                text += f" OFFSET {self._number(5)}"
        return text

    def _number(self, most):
        number = self.dice.randint(0, most)
        if self.dice.random() < 0.5:
            return str(number)
        self.make.parameters.append(self.dice.choice([number, str(number)]))
        return self.dice.choice(["%s", "%s::int"])

    def _columns(self, most=4):
        return [self.make.any() for _ in range(self.dice.randint(1, most))]

    # Parts are made in the order of the text: parameters are counted by it.

    def _rows(self):
        source = self._free(lambda: self._from(self._view(), "a"))
        columns = self._columns()
        distinct = self.dice.choice(["", "", "DISTINCT "])
        text = f"SELECT {distinct}{', '.join(columns)} FROM {source}"
        return text + self._where() + self._tail(len(columns))

    def _free(self, source):
        """What the FROM clause says; it has no parameters, so it may be made first."""
        return source()

    def _aggregate(self):
        kind = self.dice.choice(ORDERED)
        value = self.make.of(kind, 1)
        forms = ["count(*)", f"count({value})", f"count(DISTINCT {value})"]
        if kind not in ("boolean", "name", '"char"', "uuid", "bytea"):
            forms += [f"min({value})", f"max({value})"]
        if kind in WHOLE or kind == "numeric":
            forms += [f"sum({value})", f"avg({value})", f"sum(DISTINCT {value})", f"max({value})"]
        if kind in ("integer", "smallint"):
            forms += [f"max({value}) - min({value})"]
        if kind == "interval":
            forms += [f"sum({value})"]
        if kind == "boolean":
            forms += [f"bool_and({value})", f"bool_or({value})", f"every({value})"]
        if kind in ("text", "name"):
            forms += [f"string_agg({value}, ',' ORDER BY {value.replace('%s', 'NULL')})"]
        if kind not in ARRAYS and kind not in TIMES and kind != "interval":
            forms += [f"array_agg({value} ORDER BY 1)", f"array_agg(DISTINCT {value})"]
        form = self.dice.choice(forms)
        if form in ("count(*)",) and "%" in value:
            return f"count({value})"
        if "ORDER BY" in form and "%" in value:
            return f"max({value}::text)"
        if "ORDER BY 1" in form:
            form = form.replace("ORDER BY 1", f"ORDER BY {value}")
        if self.dice.random() < 0.15:
            form += f" FILTER (WHERE {self.make.of('boolean', 0)})"
        return form

    def _group(self):
        source = self._from(self._view(), "a")
        by = [self.make.any() for _ in range(self.dice.choice([1, 1, 2]))]
        aggregates = [self._aggregate() for _ in range(self.dice.randint(1, 3))]
        text = f"SELECT {', '.join(by + aggregates)} FROM {source}{self._where()}"
        text += " GROUP BY " + ", ".join(map(str, range(1, len(by) + 1)))
        if self.dice.random() < 0.4:
            text += " HAVING count(*) > " + self._number(2)
        return text + self._tail(len(by) + len(aggregates))

    def _join(self, kinds=("JOIN", "LEFT JOIN", "RIGHT JOIN", "JOIN")):
        left, left_key, right, right_key = self.dice.choice(JOINS)
        one, two = self._from(left, "a"), self._from(right, "b")
        columns = self._columns(3)
        text = f"SELECT {', '.join(columns)} FROM {one} {self.dice.choice(kinds)} {two}"
        text += f" ON a.{left_key} = b.{right_key}"
        if self.dice.random() < 0.3 and "FULL JOIN" not in kinds:
            text += f" AND {self.make.of('boolean', 1)}"
        return text + self._where() + self._tail(len(columns))

    def _full_join(self):
        return self._join(("FULL JOIN",))

    def _nested(self):
        left, left_key, right, right_key = self.dice.choice(JOINS)
        outer_source = self._from(right, "b")
        outer = self.make.any()
        mark = len(self.make.scope)
        inner_source = self._from(left, "a")
        on = f"a.{left_key} = b.{right_key}"
        form = self.dice.randint(0, 4)
        if form == 0:
            inner = f"(SELECT count(*) FROM {inner_source} WHERE {on} AND {self.make.of('boolean')})"
        elif form == 1:
            inner = f"EXISTS (SELECT 1 FROM {inner_source} WHERE {on} AND {self.make.of('boolean')})"
        elif form == 2:
            inner = f"b.{right_key} IN (SELECT a.{left_key} FROM {inner_source}{self._where()})"
        elif form == 3:
            value = self.make.of(self.dice.choice(["text", "integer", "bigint", "numeric"]))
            inner = f"(SELECT max({value}) FROM {inner_source} WHERE {on})"
        else:
            value = self.make.of("text")
            inner = f"ARRAY(SELECT {value} FROM {inner_source} WHERE {on} ORDER BY 1)"
            if "%" in value:
                inner = f"(SELECT count({value}) FROM {inner_source} WHERE {on})"
        del self.make.scope[mark:]
        text = f"SELECT {outer}, {inner} FROM {outer_source}{self._where()}"
        return text + self._tail(2)

    def _union(self):
        source = self._from(self._view(), "a")
        how = self.dice.choice(["UNION", "UNION ALL", "EXCEPT", "INTERSECT", "EXCEPT ALL"])
        if how == "EXCEPT ALL":
            how = "UNION"
        if self.dice.random() < 0.4:
            one, two = self.dice.sample(NUMBERS[:3] + NUMBERS[4:], 2)
        else:
            one = two = self.dice.choice(ORDERED)
        first = f"SELECT {self.make.of(one)} FROM {source}{self._where()}"
        second = f"SELECT {self.make.of(two)} FROM {source}{self._where()}"
        return f"{first} {how} {second}{self._tail(1)}"

    def _window(self):
        source = self._from(self._view(), "a")
        plain = [name for name, kind, _ in self.make.scope if kind in ORDERED]
        columns = self.dice.sample(plain, min(len(plain), self.dice.randint(1, 3)))
        order = ", ".join(f"{name}{self.dice.choice(['', ' DESC', ' NULLS FIRST'])}" for name in columns)
        value = self.dice.choice(columns)
        form = self.dice.choice([
            "row_number()", "rank()", "dense_rank()", "count(*)", f"lag({value})", f"lead({value})",
            f"first_value({value})", f"last_value({value})", "ntile(3)", f"count({value})",
            f"nth_value({value}, 2)", "percent_rank()", "cume_dist()", f"lag({value}, 2)",
            f"sum(length({value}::text))",
            f"sum(length({value}::text)::int8)", f"max({value}::text)", f"avg(length({value}::text))",
        ])
        part = self.dice.choice(["", f"PARTITION BY {self.dice.choice(columns)} "])
        frame = ""
        if self.dice.random() < 0.2 and "over" not in form:
            frame = self.dice.choice([
                " ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING", " ROWS UNBOUNDED PRECEDING",
                " RANGE BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING",
            ])
        over = f"{form} OVER ({part}ORDER BY {order}{frame})"
        text = f"SELECT {', '.join(columns)}, {over} FROM {source}{self._where()}"
        return text + self._tail(len(columns) + 1)

    def _inner(self, names):
        """A query whose columns have the names, with their types."""
        source = self._from(self._view(), "a")
        kinds = [self.dice.choice(ORDERED) for _ in names]
        columns = [f"{self.make.of(kind)} AS {name}" for kind, name in zip(kinds, names)]
        text = f"SELECT {', '.join(columns)} FROM {source}{self._where()}"
        self.make.scope = []
        return text, kinds

    def _cte(self):
        names = ["x", "y", "z"][: self.dice.randint(1, 3)]
        text, kinds = self._inner(names)
        self.make.scope = [(f"q.{name}", kind, []) for name, kind in zip(names, kinds)]
        columns = self._columns(3)
        word = self.dice.choice(["", "MATERIALIZED ", "NOT MATERIALIZED "])
        text = f"WITH q AS {word}({text}) SELECT {', '.join(columns)} FROM q"
        return text + self._where() + self._tail(len(columns))

    def _derived(self):
        names = ["x", "y"]
        source, kinds = None, None
        self.make.scope = []
        mark = self.make.parameters
        columns_first = self.dice.random() < 0.5
        source, kinds = self._inner(names)
        self.make.scope = [(f"q.{name}", kind, []) for name, kind in zip(names, kinds)]
        if columns_first or mark:
            return f"SELECT * FROM ({source}) q{self._where()}{self._tail(2)}"
        return f"SELECT q.y, q.x FROM ({source}) AS q{self._where()}{self._tail(2)}"

    def _distinct_on(self):
        source = self._from(self._view(), "a")
        plain = [name for name, kind, _ in self.make.scope if kind in ORDERED]
        columns = self.dice.sample(plain, min(len(plain), self.dice.randint(2, 3)))
        order = ", ".join(f"{name}{self.dice.choice(['', ' DESC'])}" for name in columns)
        text = f"SELECT DISTINCT ON ({columns[0]}) {', '.join(columns)} FROM {source}"
        return f"{text}{self._where()} ORDER BY {order}"

    def _lateral(self):
        source = self._from(self._view(), "a")
        arrays = [(name, kind) for name, kind, _ in self.make.scope if kind in ARRAYS]
        form = self.dice.randint(0, 3)
        if arrays and form < 2:
            name, kind = self.dice.choice(arrays)
            call, element = f"unnest({name})", ARRAYS[kind]
        elif form == 2:
            plain = [name for name, kind, _ in self.make.scope if kind in ("text", "name")]
            if not plain:
                return self._rows_of(source)
            call, element = f"unnest(string_to_array({self.dice.choice(plain)}::text, '_'))", "text"
        else:
            call, element = f"generate_series(1, {self.dice.randint(0, 4)})", "integer"
        if self.dice.random() < 0.4:
            source += f" CROSS JOIN LATERAL {call} WITH ORDINALITY AS e(v, at)"
            self.make.scope += [("e.v", element, []), ("e.at", "bigint", [])]
        else:
            source += f", {call} AS e(v)"
            self.make.scope.append(("e.v", element, []))
        columns = ["e.v", *self._columns(2)]
        text = f"SELECT {', '.join(columns)} FROM {source}"
        return text + self._where() + self._tail(len(columns))

    def _rows_of(self, source):
        columns = self._columns()
        text = f"SELECT {', '.join(columns)} FROM {source}"
        return text + self._where() + self._tail(len(columns))

    def _first_of_each(self):
        """The first rows of each group, by a window function in a nested query."""
        source = self._from(self._view(), "a")
        plain = [name for name, kind, _ in self.make.scope if kind in ORDERED]
        names = self.dice.sample(plain, min(len(plain), 3))
        inner = ", ".join(f"{name} AS c{number}" for number, name in enumerate(names))
        over = f"PARTITION BY {names[0]} ORDER BY {', '.join(names)}"
        text = f"SELECT q.* FROM (SELECT {inner}, row_number() OVER ({over}) AS n FROM {source}) q"
        return f"{text} WHERE q.n <= {self._number(3)}{self._tail(len(names) + 1)}"

    def _scalar_where(self):
        left, left_key, right, right_key = self.dice.choice(JOINS)
        outer = self._from(right, "b")
        columns = self._columns(3)
        inner = f"{{{left}}} a"
        on = f"a.{left_key} = b.{right_key}"
        every = f"SELECT a.{left_key} FROM {inner}"
        condition = self.dice.choice([
            f"(SELECT count(*) FROM {inner} WHERE {on}) >= {self.dice.randint(0, 3)}",
            f"NOT EXISTS (SELECT FROM {inner} WHERE {on})",
            f"b.{right_key} NOT IN ({every} WHERE a.{left_key} IS NOT NULL)",
            f"b.{right_key} = ANY ({every})",
            f"b.{right_key} = ANY (ARRAY({every}))",
            f"b.{right_key} < ALL ({every})",
        ])
        text = f"SELECT {', '.join(columns)} FROM {outer} WHERE {condition}"
        return text + self._where(" AND") + self._tail(len(columns))

    def _two_ctes(self):
        one, kinds = self._inner(["x", "y"])
        self.make.scope = [(f"q.{name}", kind, []) for name, kind in zip("xy", kinds)]
        two = f"SELECT {self.make.any()} AS z, count(*) AS n FROM q{self._where()} GROUP BY 1"
        text = f"WITH q AS ({one}), r AS ({two}) SELECT r.z, r.n, (SELECT count(*) FROM q) FROM r"
        return text + self._tail(3)

    def _using(self):
        one, two = self._from("pg_publication_tables", "a"), self._from("pg_publication", "b")
        columns = ["pubname", *self._columns(2)]
        join = self.dice.choice(["JOIN", "LEFT JOIN", "FULL JOIN", "NATURAL JOIN"])
        text = f"SELECT {', '.join(columns)} FROM {one} {join} {two}"
        text += "" if join == "NATURAL JOIN" else " USING (pubname)"
        return text + self._where() + self._tail(len(columns))

    def _three_way(self):
        views = [("pg_attribute", "a"), ("pg_class", "c"), ("pg_type", "t")]
        one, two, three = (self._from(view, alias) for view, alias in views)
        first, second = (self.dice.choice(["JOIN", "LEFT JOIN"]) for _ in range(2))
        columns = self._columns(3)
        text = f"SELECT {', '.join(columns)} FROM {one} {first} {two} ON a.attrelid = c.oid"
        text += f" {second} {three} ON t.oid = a.atttypid AND {self.make.of('boolean', 0)}"
        return text + self._where() + self._tail(len(columns))
