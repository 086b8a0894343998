"""Random expressions of a wanted type over the columns in scope, as PostgreSQL writes them.

None of them fails on its values: divisors and lengths are literals, sums stay small. `%` is written
`%%`, a parameter `%s`, `%t` (text) or `%b` (binary); a percent sign in literals is left out.
"""

import decimal

NUMBERS = ["smallint", "integer", "bigint", "oid", "numeric", "real", "double precision"]
WHOLE = ["smallint", "integer", "bigint"]
TEXTS = ["text", "name", "character varying"]
TIMES = ["timestamp with time zone", "timestamp without time zone", "date"]
ARRAYS = {"text[]": "text", "name[]": "name", "integer[]": "integer", "smallint[]": "smallint"}
ORDERED = (
    NUMBERS + TEXTS + TIMES + list(ARRAYS)
    + ['"char"', "boolean", "pg_lsn", "interval", "time without time zone", "uuid", "bytea"]
)
SHORT = {
    "integer": ["integer", "int", "int4"], "bigint": ["bigint", "int8"], "smallint": ["int2"],
    "double precision": ["float8", "double precision"], "real": ["float4", "real"],
    "timestamp with time zone": ["timestamptz"], "timestamp without time zone": ["timestamp"],
    "character varying": ["varchar"], "boolean": ["bool", "boolean"],
    "time without time zone": ["time"],
}
LITERALS = {
    "smallint": ["0", "1", "-7", "300"],
    "integer": ["0", "1", "2", "-3", "7", "100", "4096"],
    "bigint": ["0", "1", "-5", "12345678901", "42"],
    "oid": ["0", "11", "25", "2200", "4000000000"],
    "numeric": ["0", "1.50", "-2.25", "0.001", "100", "12345678901234567890.5", "1e3"],
    "real": ["0", "1.5", "-2.25", "0.1", "1e10", "NaN"],
    "double precision": ["0", "1.5", "-2.25", "0.1", "1e100", "Infinity", "NaN", "123456789.125"],
    "text": ["", "a", "abc", "Hello World", "pg_class", "o'clock", "x_y", "h\u00e9llo", "12", " pad "],
    "name": ["oid", "pg_class", "a", "orders", "relname"],
    "character varying": ["", "b", "int4", "Zebra"],
    '"char"': ["r", "i", "v", "b"],
    "boolean": ["true", "f", "yes", "0"],
    "pg_lsn": ["0/0", "0/10", "0/A", "1/0", "0/1000000", "16/B374D848"],
    "timestamp with time zone": ["2024-02-29 12:34:56.789+00", "1999-12-31 23:59:59+02", "infinity"],
    "timestamp without time zone": ["2024-02-29 12:34:56.789", "1970-01-01", "2038-01-19 03:14:07"],
    "date": ["2024-02-29", "1999-12-31", "2000-01-01"],
    "interval": ["1 day", "02:03:04.5", "1 mon -1 day", "90 minutes", "1 year 2 mons"],
    "time without time zone": ["00:00", "12:34:56.789", "23:59:59"],
    "uuid": ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "00000000-0000-0000-0000-000000000000"],
    "bytea": ["\\x00ff", "\\x", "\\xdeadbeef"],
    "jsonb": ['{"a": 1, "b": [1, 2, "x"], "c": null}', "[1, 2.50, \"q\"]", '"s"', "null"],
    "text[]": ["{a,b}", "{}", '{"x y",NULL,""}', "{orders}"],
    "name[]": ["{id,name}", "{}"],
    "integer[]": ["{1,2,3}", "{}", "{7,NULL}"],
    "smallint[]": ["{1,2}", "{3}"],
}
# Expressions by their type: `<type>` stands for another expression, `[type]` for a literal.
FORMS = {
    "smallint": ["<integer-small>::int2", "- <smallint>"],
    "integer": [
        "<integer> + 1", "<integer-small> * 2", "- <integer>", "<integer> / 2", "<integer> / -7",
        "<integer> %% 7", "abs(<integer>)", "length(<text>)", "char_length(<text>)",
        "octet_length(<text>)", "position([text] in <text>)", "strpos(<text>, [text])",
        "<boolean>::int", "(<smallint>)::int4", "mod(<integer>, 5)", "<integer> & 255",
        "<integer> | 6", "<integer> # 3", "~ <integer>", "<integer-small> << 2", "<integer> >> 1",
        "cardinality(<text[]>)", "array_length(<text[]>, 1)", "array_upper(<integer[]>, 1)",
        "<date> - [date]", "(<integer[]>)[1]", "array_position(<text[]>, 'a')", "ascii(<text>)",
        "least(<integer>, 5)", "greatest(<integer>, <smallint>)", "nullif(<integer>, 1)",
        "bit_length(<text>)", "sign(<integer>)::int", "(<numeric-small>)::integer",
        "<smallint> + <integer-small>",
    ],
    "integer-small": ["<integer> %% 97", "length(<text>) - 1"],
    "bigint": [
        "<integer>::bigint", "<bigint> + 1", "<integer>::int8 * 1000", "<bigint> / 3",
        "<bigint> %% 11", "<oid>::bigint", "abs(<bigint>)", "<integer> + <bigint>",
        "coalesce(<bigint>, 0)", "gcd(<integer>::int8, 12)", "div(<numeric-small>, 2)::bigint",
    ],
    "oid": ["<oid>", "abs(<integer>)::oid", "coalesce(<oid>, 0::oid)"],
    "numeric": [
        "<integer>::numeric / 3", "round(<numeric>, 1)", "trunc(<numeric>)", "ceil(<numeric>)",
        "floor(<numeric>)", "abs(<numeric>)", "<numeric> + <integer>", "<integer> * 1.5",
        "<numeric> - 0.25", "- <numeric>", "<numeric> * 2", "<numeric> / 7", "mod(<numeric>, 3)",
        "<pg_lsn> - '0/10'::pg_lsn", "pg_wal_lsn_diff(<pg_lsn>, '0/10')", "<numeric>::numeric(30,3)",
        "extract(year from <timestamp with time zone-finite>)", "extract(dow from <date>)",
        "extract(epoch from <timestamp with time zone-finite>)", "sqrt(abs(<integer>)::numeric)",
        "power(2, <integer-small>::numeric %% 9)", "<bigint> / 2.0", "round(<numeric>)",
        "extract(minute from <interval>)", "greatest(<numeric>, <integer>)", "sign(<numeric>)",
        "<numeric> %% 5", "<numeric-small>",
    ],
    "numeric-small": ["<integer>::numeric / 3", "<integer-small> * 1.25", "round(<integer> / 7.0, 2)"],
    "real": ["<integer>::real", "<smallint>::float4 / 3 + 0::real",  "<real> + 1::real", "0::real - <real>"],
    "double precision": [
        "<integer>::float8 / 3", "<double precision> + 1", "<double precision> / 3 + 0",
        "round(<double precision>) + 0", "floor(<double precision>)", "<numeric>::float8",
        "abs(<double precision>)", "<integer> * 0.1::float8 + 0", "sqrt(abs(<integer>))",
        "<real> + <integer>", "0 - <double precision>", "ceil(<double precision>) + 0",
        "date_part('hour', <timestamp with time zone-finite>)", "<real>::float8",
        "greatest(<double precision>, 0)", "trunc(<double precision>) + 0", "<numeric> + 1::float8",
    ],
    "text": [
        "upper(<text>)", "lower(<name>::text)", "<text> || '!'", "<name> || '.' || <text>",
        "<text> || <integer>", "<integer> || <text>", "substr(<text>, 2, 3)", "left(<text>, 4)",
        "right(<text>, -1)", "replace(<text>, 'a', 'bb')", "lpad(<text>, 6, '*')",
        "rpad(<text>, 5)", "trim(<text>)", "ltrim(<text>, 'a_')", "btrim(<text>, 'xyz')",
        "split_part(<text>, '_', 2)", "repeat(<text>, 2)", "reverse(<text>)", "md5(<text>)",
        "initcap(<text>)", "concat(<text>, <integer>, <boolean>)", "concat_ws('-', <text>, <name>)",
        "format('%%s:%%I:%%L', <integer>, coalesce(<text>, 'x'), <text>)", "to_hex(<integer>)",
        "quote_ident(<text>)",
        "quote_literal(<text>)", "quote_nullable(<text>)", "translate(<text>, 'aeo', '43')",
        "overlay(<text> placing 'Q' from 2 for 1)", "substring(<text> from 2 for 2)",
        "substring(<text> from '[a-c]+')", "regexp_replace(<text>, '[aeiou]', '*', 'g')",
        "coalesce(<text>, '-')", "nullif(<text>, 'a')", "<integer>::text", "<boolean>::text",
        "<numeric>::text", "<pg_lsn>::text", "<double precision>::text", "<bigint>::varchar::text",
        "to_char(<timestamp with time zone-finite>, 'YYYY-MM-DD HH24:MI:SS')", "<interval>::text",
        "to_char(<date>, 'Dy DD Mon')", "array_to_string(<text[]>, ',', '?')", "<text[]>::text",
        "encode(<bytea>, 'hex')", "CAST(<oid> AS text)", "greatest(<text>, <name>)", "<text>::text",
        "(<text[]>)[2]", "jsonb_typeof(<jsonb>)", "<jsonb> ->> 'a'", "<jsonb>::text", "<date>::text",
        "pg_size_pretty(<bigint>)", "<\"char\">::text",
        "<text>::varchar(3)::text", "<timestamp with time zone>::text", "<real>::text",
        "pg_typeof(<integer>)::text", "<uuid>::text",
        "string_to_array(<text>, '_')::text", "regexp_replace(<text>, '(.)(.)', '\\2\\1')",
    ],
    "name": ["<text>::name", "coalesce(<name>, 'none'::name)"],
    "character varying": ["<text>::varchar", "<text>::varchar(4)"],
    '"char"': ['<text>::"char"'],
    "boolean": [
        "<boolean> AND <boolean>", "<boolean> OR <boolean>", "NOT <boolean>", "<boolean> IS TRUE",
        "<boolean> IS NOT FALSE", "<boolean> IS UNKNOWN", "<text> LIKE 'p%%'", "<name> LIKE '%%a_e%%'",
        "<text> NOT LIKE '%%o'", "<name> ILIKE 'P%%'", "<text> ~ '^[a-m]'", "<name> !~ 'r$'",
        "<text> ~* 'A.*E'", "starts_with(<text>, 'pg')",
        "<integer> BETWEEN 1 AND 100", 
        "<text[]> @> ARRAY['a']", "<integer[]> && '{1,7}'", "<integer> = ANY (<integer[]>)",
        "<smallint> = ANY (<smallint[]>)", "<text> = ANY (<text[]>)", "<integer> <> ALL (<integer[]>)",
        "(<integer>, <text>) = (1, 'a')", "(<integer>, <text>) < (<integer>, <text>)",
        "<integer> < <bigint>", "<integer> >= <numeric>", "<double precision> < <integer>",
        "<numeric> = <double precision>", "<integer> = <oid>::int8", "<text> = <name>",
        "<integer> = <boolean>::int", "<jsonb> ? 'a'", "<jsonb> @> '{\"a\": 1}'", "<name> ~~ 'p%%'",
        "<real> > <numeric>", "<real> <= <double precision>", "<date> < <timestamp without time zone>",
        "<text> IN ('a', <text>, 'pg_class')", "<integer> NOT IN (1, 2, <integer>)",
        "<text> LIKE left(<text>, 2) || '%%'", "<text> < <name>", "<smallint> = <bigint>",
    ],
    "pg_lsn": ["<pg_lsn> + 16", "<pg_lsn> + 1", "greatest(<pg_lsn>, '0/100')"],
    "timestamp with time zone": [
        "<timestamp with time zone-finite> + <interval>", "to_timestamp(<integer>)",
        "date_trunc('hour', <timestamp with time zone-finite>)", "<date>::timestamptz",
        "<timestamp without time zone>::timestamptz",
        "<timestamp without time zone> AT TIME ZONE 'UTC'",
    ],
    "timestamp with time zone-finite": ["[finite]", "to_timestamp(<integer>)", "[finite] + '1 day'"],
    "timestamp without time zone": [
        "<timestamp with time zone> AT TIME ZONE 'UTC'", "<date> + <time without time zone>",
        "<timestamp without time zone> - <interval>", "<date>::timestamp",
    ],
    "date": ["<timestamp with time zone-finite>::date", "<date> + 3", "<date> - 30"],
    "interval": [
        "<interval> * 2", "<interval> + '1 hour'", "- <interval>", "justify_hours(<interval>)",
        "(<date> + <time without time zone>) - '2020-01-01'", "make_interval(days => <integer-small>)",
    ],
    "time without time zone": ["<timestamp without time zone>::time", "<time without time zone>"],
    "uuid": ["md5(<text>)::uuid"],
    "bytea": ["convert_to(<text>, 'UTF8')", "<bytea> || '\\x01'", "decode(md5(<text>), 'hex')"],
    "jsonb": [
        "<jsonb> -> 'b'", "<jsonb> #> '{b,1}'", "<jsonb> || '{\"z\": 1}'",
    ],
    "text[]": [
        "string_to_array(<text>, '_')", "ARRAY[<text>, <text>]", "array_append(<text[]>, <text>)",
        "<text[]> || 'z'::text", "ARRAY[<text>, NULL]", "array_remove(<text[]>, 'a')",
        "<text[]> || ARRAY['k']", "(<text[]>)[1:2]", "array_cat(<text[]>, <text[]>)",
        "regexp_split_to_array(<text>, 'a')", "<name[]>::text[]",
    ],
    "name[]": ["ARRAY[<name>]", "<text[]>::name[]"],
    "integer[]": ["ARRAY[<integer>, 3]", "<integer[]> || 4", "array_append(<integer[]>, <integer>)"],
    "smallint[]": ["ARRAY[<smallint>, 1::int2]"],
}
FINITE = "'2024-02-29 12:34:56.789+00'::timestamptz"
EQUAL = ["=", "<>", "<", "<=", ">", ">=", "IS DISTINCT FROM", "IS NOT DISTINCT FROM"]


class Expressions:
    """Makes expressions; `scope` is the columns there are (text, type, values seen)."""

    def __init__(self, dice):
        self.dice = dice
        self.scope = []
        self.parameters = []

    def any(self, depth=2, kinds=ORDERED):
        """An expression of a type that can be ordered, mostly one that a column has."""
        here = [kind for _, kind, _ in self.scope if kind in kinds]
        if here and self.dice.random() < 0.7:
            return self.of(self.dice.choice(here), depth)
        return self.of(self.dice.choice([kind for kind in kinds if kind in FORMS]), depth)

    def of(self, kind, depth=2):
        """An expression of `kind`, in brackets where it is not a single word."""
        roll = self.dice.random()
        forms = FORMS.get(kind)
        plain = kind.split("-")[0] if kind.endswith(("-small", "-finite")) else kind
        if plain == kind:
            columns = [name for name, its, _ in self.scope if its == kind]
            if columns and (depth <= 0 or roll < 0.45):
                return self.dice.choice(columns)
            if depth <= 0 or not forms or roll < 0.55:
                return self.operand(kind)
            if roll < 0.62:
                return self._either(kind, depth - 1)
        elif depth < -1 and plain != kind:
            return {"integer-small": "3", "numeric-small": "2.50"}.get(kind, FINITE)
        if kind == "boolean" and self.dice.random() < 0.45:
            return self._comparison(depth - 1)
        return f"({self._fill(self.dice.choice(forms), depth - 1)})"

    def operand(self, kind):
        """A literal or a parameter, mostly a value that a column of the type has."""
        known = [value for _, its, values in self.scope if its == kind for value in values[:40]]
        usual = LITERALS.get(kind, [])
        text = self.dice.choice(known if known and self.dice.random() < 0.6 or not usual else usual)
        short = self.dice.choice(SHORT.get(kind, [kind]))
        if "%" in text or self.dice.random() > 0.3:
            return self._literal(text, kind, short)
        value = as_python(text, kind)
        # What a driver knows of a value's type is sent only with a value of a Python type.
        self.parameters.append(value)
        if isinstance(value, str):
            return f"%s::{short}"
        return f"{self.dice.choice(['%s', '%t', '%b'])}::{short}"

    def bare(self, kind):
        """An operand whose type is left to its neighbour."""
        known = [value for _, its, values in self.scope if its == kind for value in values[:40]]
        text = self.dice.choice(known or LITERALS.get(kind, ["1"]))
        if "%" in text or self.dice.random() < 0.5:
            return quoted(text)
        self.parameters.append(text)
        return "%s"

    def bare_list(self, kind):
        """A parameter that is an array whose type is left to its neighbour."""
        known = [value for _, its, values in self.scope if its == kind for value in values[:40]]
        some = [self.dice.choice(known + LITERALS[kind]) for _ in range(self.dice.randint(0, 3))]
        words = [word.replace("\\", "\\\\").replace('"', '\\"') for word in some]
        self.parameters.append("{" + ",".join(f'"{word}"' for word in words) + "}")
        return "%s"

    def list_of(self, kind):
        """A parameter that is an array of values of the type."""
        known = [value for _, its, values in self.scope if its == kind for value in values[:40]]
        known = [value for value in known + LITERALS.get(kind, []) if "%" not in value]
        some = [as_python(self.dice.choice(known), kind) for _ in range(self.dice.randint(1, 4))]
        self.parameters.append(some)
        return f"%s::{self.dice.choice(SHORT.get(kind, [kind]))}[]"

    def _literal(self, text, kind, short):
        forms = [f"{quoted(text)}::{short}", f"CAST({quoted(text)} AS {short})"]
        if kind in ("integer", "bigint") and text.lstrip("-").isdigit() and self._is(text, kind):
            forms += [text, f"({text})"] if not text.startswith("-") else [f"({text})"]
        if kind == "boolean":
            forms += ["true", "false", "NULL::bool"]
        if kind == "numeric" and "." in text:
            forms += [f"({text})"]
        if self.dice.random() < 0.05:
            return f"NULL::{short}"
        return self.dice.choice(forms)

    def _is(self, text, kind):
        """Whether a bare number of this text has the type."""
        small = abs(int(text)) < 1 << 31
        return small == (kind == "integer")

    def _either(self, kind, depth):
        # Parameters are counted in the order of the text.
        form = self.dice.choice([
            "CASE WHEN <boolean> THEN <-> ELSE <-> END", "CASE WHEN <boolean> THEN <-> END",
            "CASE <integer> WHEN 1 THEN <-> WHEN 2 THEN NULL ELSE <-> END", "coalesce(<->, <->)",
        ])
        return self._fill(form.replace("<->", f"<{kind}>"), depth + 1)

    def _comparison(self, depth):
        columns = [kind for _, kind, _ in self.scope if kind in ORDERED and kind != "boolean"]
        kind = self.dice.choice(columns or ["integer"])
        one, roll = self.of(kind, depth), self.dice.random()
        if roll < 0.1:
            return f"({one} IS {self.dice.choice(['', 'NOT '])}NULL)"
        if roll < 0.15 and kind not in ARRAYS:
            word = self.dice.choice(["= ANY", "<> ALL", "< ANY"])
            return f"({one} {word} ({self.bare_list(kind)}))"
        if roll < 0.2 and kind not in ARRAYS:
            return f"({one} {self.dice.choice(['= ANY', '<> ALL'])} ({self.list_of(kind)}))"
        if roll < 0.3:
            return f"({one} BETWEEN {self.bare(kind)} AND {self.operand(kind)})"
        if roll < 0.4:
            some = ", ".join(self.bare(kind) for _ in range(3))
            return f"({one} {self.dice.choice(['', 'NOT '])}IN ({some}))"
        other = self.bare(kind) if roll < 0.8 else self.of(kind, depth)
        return f"({one} {self.dice.choice(EQUAL)} {other})"

    def _fill(self, form, depth):
        text, rest = "", form
        while "<" in rest or "[" in rest:
            found = None
            for at, sign in enumerate(rest):
                end = rest.find(">" if sign == "<" else "]", at)
                name = rest[at + 1 : end] if sign in "<[" and end > at else None
                if sign == "<" and name in FORMS:
                    found = (at, end, self.of(name, depth))
                elif sign == "[" and name == "finite":
                    found = (at, end, FINITE)
                elif sign == "[" and name in FORMS:
                    found = (at, end, quoted(self.dice.choice(LITERALS[name])))
                if found:
                    break
            if not found:
                break
            at, end, filled = found
            text, rest = text + rest[:at] + filled, rest[end + 1 :]
        return text + rest


def quoted(text):
    return "'" + text.replace("'", "''").replace("%", "%%") + "'"


def as_python(text, kind):
    """A value as a program has it."""
    if kind in ("smallint", "integer", "bigint"):
        return int(text)
    if kind == "numeric":
        return decimal.Decimal(text)
    if kind == "double precision":
        return float(text)
    if kind == "boolean":
        return text in ("true", "t", "yes", "1")
    return text
