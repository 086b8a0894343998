"""Where SQL over an embedded engine goes wrong: each trap, run on PostgreSQL 15 and here."""

import unittest

from server import ServerTest
from twins import Twins

# Name of the trap, then statements. `{x}` is a view, the same rows on both sides.
TRAPS = {
    "lsn_order_is_by_value_not_by_text": [
        "SELECT '0/A'::pg_lsn < '0/10'::pg_lsn, '1/0'::pg_lsn > '0/FFFFFFFF'::pg_lsn",
        "SELECT max(v) FROM (VALUES ('0/A'::pg_lsn), ('0/10'), ('F/0'), ('10/0')) t(v)",
        "SELECT v FROM (VALUES ('0/A'::pg_lsn), ('0/10'), ('F/0'), (NULL), ('10/0')) t(v) ORDER BY v",
        "SELECT slot_name FROM {pg_replication_slots} WHERE restart_lsn > '0/A' ORDER BY restart_lsn, 1",
        "SELECT '0/10'::pg_lsn - '0/A'::pg_lsn, '0/A'::pg_lsn - '0/10', '0/10'::pg_lsn + 16, '0/10'::pg_lsn - 6::numeric",
        "SELECT pg_wal_lsn_diff('1/0', '0/FFFFFFF8'), pg_size_pretty(pg_wal_lsn_diff('10/0', '0/0'))",
        "SELECT '0/0'::pg_lsn - 1",
        "SELECT 'zz/1'::pg_lsn",
    ],
    "nulls_sort_last_ascending_and_first_descending": [
        "SELECT v FROM (VALUES (2), (NULL), (1)) t(v) ORDER BY v",
        "SELECT v FROM (VALUES (2), (NULL), (1)) t(v) ORDER BY v DESC",
        "SELECT v FROM (VALUES (2), (NULL), (1)) t(v) ORDER BY v NULLS FIRST",
        "SELECT v FROM (VALUES (2), (NULL), (1)) t(v) ORDER BY v DESC NULLS LAST",
        "SELECT v, row_number() OVER (ORDER BY v DESC) FROM (VALUES (2), (NULL), (1)) t(v) ORDER BY 2",
        "SELECT array_agg(v ORDER BY v), string_agg(v::text, ',' ORDER BY v DESC) FROM (VALUES (2), (NULL), (1)) t(v)",
    ],
    "like_minds_case_and_ilike_does_not": [
        "SELECT 'Abc' LIKE 'abc', 'Abc' ILIKE 'aBC', 'Abc' LIKE 'A%', 'Abc' NOT LIKE '_bc', 'a%c' LIKE 'a\\%c'",
        "SELECT 'a_c' LIKE 'a!_c' ESCAPE '!', 'abc' LIKE 'a!_c' ESCAPE '!', 'abc' ~~ 'a%', 'ABC' ~~* 'a%', NULL LIKE 'a'",
        "SELECT relname FROM {pg_class} WHERE relname LIKE 'pg_publication%' ORDER BY 1",
        "SELECT relname FROM {pg_class} WHERE relname ILIKE 'PG_PUBLICATION%' ORDER BY 1",
        "SELECT relname FROM {pg_class} WHERE relname ~ '^pg_(class|type)$' OR relname ~* '^PG_PROC$' ORDER BY 1",
        "SELECT 'abc' ~ 'B', 'abc' ~* 'B', 'abc' !~ 'z', 'abc' OPERATOR(pg_catalog.~) '^(abc)$' COLLATE pg_catalog.default",
    ],
    "an_operator_ends_before_a_sign": [
        "SELECT '[1,2]'::jsonb->-1, '[1,2]'::jsonb->>-2, 1 <-1, 1>-1, 1<=-1, 2*-1, 6/-2, 1=-1, 1<>-1, 2+-1, 2- -1, 2-+1",
        "SELECT 1 <--1\n 2",
        "SELECT 1 ->+ 1",
        "SELECT 2 *-+- 3",
    ],
    "a_quoted_name_is_never_a_string": [
        'SELECT "nosuch" FROM {pg_class}',
        'SELECT "relname" FROM {pg_class} WHERE relname = \'pg_class\'',
        'SELECT "RelName" FROM {pg_class}',
        'SELECT RELNAME FROM {pg_class} WHERE relname = \'pg_type\'',
        "SELECT 1 AS \"Odd Name\", 2 AS \"a\"\"b\"",
    ],
    "bare_columns_beside_aggregates_are_refused": [
        "SELECT relname, count(*) FROM {pg_class}",
        "SELECT relkind, count(*) FROM {pg_class} GROUP BY relkind ORDER BY 2 DESC, 1",
        "SELECT relkind FROM {pg_class} GROUP BY relkind HAVING count(*) > 1 ORDER BY 1",
        "SELECT relkind || 'x' FROM {pg_class} GROUP BY relkind ORDER BY 1",
        "SELECT relname FROM {pg_class} WHERE count(*) > 1",
        "SELECT relkind AS k, count(*) FROM {pg_class} GROUP BY k ORDER BY k",
        "SELECT relkind, count(*) FROM {pg_class} GROUP BY 1 ORDER BY 1",
    ],
    "arithmetic_has_postgresqls_types": [
        "SELECT 7 / 2, -7 / 2, 7 % -2, 7 / 2.0, 7.0 / 3, 1 / 3::float8, 10::int8 / 4",
        "SELECT 1 + 1.5, 2 ^ 10, 5 - 7, - 3, 2 * 3.50, 0.1 + 0.2, 1e3",
        "SELECT 1 / 0",
        "SELECT 2147483647 + 1",
        "SELECT 9223372036854775807 + 1",
        "SELECT 2147483648, 9223372036854775808, 32767::int2 + 1::int2",
        "SELECT '12' + 3, '1.5'::numeric * 2, 1 + NULL, '5'::int8 > 4",
        "SELECT 'a' + 1",
        "SELECT 1 + 'x'::text",
        "SELECT sum(v), avg(v), min(v), max(v), count(v) FROM (VALUES (1), (2), (NULL), (4)) t(v)",
        "SELECT sum(v), avg(v) FROM (VALUES (1.50), (2.25)) t(v)",
        "SELECT sum(v::int8), sum(v::float8), avg(v::float8) FROM (VALUES (1), (2), (4)) t(v)",
        "SELECT round(2.5), round(-2.5), round(2.567, 2), trunc(2.9), ceil(1.1), floor(-1.1), abs(-3), mod(7, 3)",
        "SELECT 1.0 = 1.00, 10.0 > 9.5, '10'::numeric > '9'::numeric, v FROM (VALUES (1.0), (1.00), (2)) t(v) ORDER BY v, v::text",
        "SELECT DISTINCT v > 1 FROM (VALUES (1.0), (1.00), (2)) t(v) ORDER BY 1",
        "SELECT count(DISTINCT v) FROM (VALUES (1.0), (1.00), (2)) t(v)",
        "SELECT 2.5::int, 3.5::int, -2.5::int, '7'::int2, 1::bool, true::int, 1.5::float8::int",
        "SELECT 300::int2, 70000::int2",
    ],
    "correlated_subqueries_see_the_outer_row": [
        "SELECT c.relname, (SELECT count(*) FROM {pg_attribute} a WHERE a.attrelid = c.oid AND a.attnum > 0) FROM {pg_class} c WHERE c.relname IN ('pg_class', 'pg_type') ORDER BY 1",
        "SELECT relname FROM {pg_class} c WHERE EXISTS (SELECT 1 FROM {pg_index} i WHERE i.indrelid = c.oid) ORDER BY 1",
        "SELECT relname FROM {pg_class} c WHERE oid IN (SELECT prrelid FROM {pg_publication_rel}) ORDER BY 1",
        "SELECT relname, ARRAY(SELECT attname FROM {pg_attribute} a WHERE a.attrelid = c.oid AND attnum > 0 ORDER BY attnum) FROM {pg_class} c WHERE relname = 'orders'",
        "SELECT (SELECT oid FROM {pg_class})",
        "SELECT (SELECT 1 WHERE false), NOT EXISTS (SELECT 1 WHERE false)",
    ],
    "lateral_functions_see_earlier_tables": [
        "SELECT t.v, s FROM (VALUES (1), (2), (3)) t(v), LATERAL generate_series(1, t.v) s ORDER BY 1, 2",
        "SELECT t.v, s FROM (VALUES (1), (2), (3)) t(v), generate_series(1, t.v) s ORDER BY 1, 2",
        "SELECT t.v, u FROM (VALUES ('{a,b}'::text[]), ('{}')) t(v), unnest(t.v) u ORDER BY 2",
        "SELECT t.v, u FROM (VALUES ('{a,b}'::text[]), ('{}')) t(v) LEFT JOIN LATERAL unnest(t.v) u ON true ORDER BY 1, 2",
        "SELECT relname, k FROM {pg_index} i JOIN {pg_class} c ON c.oid = i.indrelid, unnest(i.indkey) k ORDER BY 1, 2",
    ],
    "int2vector_prints_without_braces": [
        "SELECT '1 2'::int2vector, '{1,2}'::int2[], ('1 2'::int2vector)[0], ('{1,2}'::int2[])[1]",
        "SELECT indkey, 1 = ANY(indkey), array_length(indkey, 1) FROM {pg_index} ORDER BY 1",
        "SELECT prattrs FROM {pg_publication_rel} ORDER BY 1",
        "SELECT indkey::int2[] FROM {pg_index} ORDER BY 1",
    ],
    "arrays_are_arrays": [
        "SELECT 1 = ANY('{1,2}'::int[]), 3 = ANY(ARRAY[1,2]), 1 <> ALL('{2,3}'::int[]), 'a' = ANY('{a,b}'), NULL = ANY('{1}'::int[])",
        "SELECT array_length(ARRAY[1,2,3], 1), array_upper('{}'::int[], 1), ARRAY['a','b'] || 'c'::text, (ARRAY[5,6])[2], (ARRAY[5,6])[3]",
        "SELECT array_to_string(ARRAY['a',NULL,'b'], ','), array_to_string(ARRAY['a',NULL], ',', '*'), array_position('{a,b}'::text[], 'b'), array_remove('{1,2,1}'::int[], 1)",
        "SELECT ARRAY[1,2] = ARRAY[1,2], '{a,\"b c\",NULL}'::text[], ARRAY[]::text[], ARRAY(SELECT v FROM (VALUES (2), (1)) t(v) ORDER BY v)",
        "SELECT unnest(ARRAY['x','y']) AS u, generate_series(1, 2)",
        "SELECT string_to_array('a,b,,c', ','), cardinality('{1,2}'::int[]), array_append('{1}'::int[], 2)",
    ],
    "arrays_are_ordered_by_their_elements": [
        "SELECT v FROM (VALUES (ARRAY[10]), (ARRAY[2]), (ARRAY[2,1]), ('{}'), (NULL), ('{NULL}')) t(v) ORDER BY v DESC",
        "SELECT ARRAY[10] < ARRAY[2], ARRAY[1,2] > ARRAY[1], max(v), min(v) FROM (VALUES (ARRAY[10]), (ARRAY[2])) t(v)",
        "SELECT v, row_number() OVER (ORDER BY v) FROM (VALUES (ARRAY[10]), (ARRAY[2]), (ARRAY[2,1])) t(v) ORDER BY v",
        "SELECT DISTINCT v FROM (VALUES (ARRAY[1.0]), (ARRAY[1.00]), (ARRAY[2])) t(v) ORDER BY v",
        "SELECT v FROM (VALUES ('{0/A}'::pg_lsn[]), ('{0/10}'), ('{1/0}')) t(v) ORDER BY v",
        "SELECT array_agg(v ORDER BY v), array_agg(DISTINCT v), array_agg(DISTINCT v ORDER BY v DESC) FROM (VALUES (10), (2), (2)) t(v)",
        "SELECT array_agg(DISTINCT v) FROM (VALUES ('0/A'::pg_lsn), ('0/10'), ('0/A')) t(v)",
        "SELECT u FROM unnest('{10,2,1}'::int[]) u ORDER BY u",
        "SELECT unnest('{0/A,0/10,1/0}'::pg_lsn[]) AS u ORDER BY u DESC",
    ],
    "addresses_are_ordered_by_their_bytes": [
        "SELECT v FROM (VALUES ('10.0.0.1'::inet), ('9.0.0.1'), ('::1'), ('10.0.0.0/8'), (NULL)) t(v) ORDER BY v",
        "SELECT max(v), min(v) FROM (VALUES ('10.0.0.1'::inet), ('9.0.0.1'), ('::1')) t(v)",
    ],
    "windows": [
        "SELECT relkind, count(*), sum(count(*)) OVER (), rank() OVER (ORDER BY count(*) DESC) FROM {pg_class} GROUP BY relkind ORDER BY 1",
        "SELECT relkind, count(*) * 100 / sum(count(*)) OVER () AS share, sum(count(*)) OVER (ORDER BY relkind) FROM {pg_class} GROUP BY relkind ORDER BY 1",
        "SELECT v, sum(v) OVER (ORDER BY v), avg(v) OVER () FROM (VALUES (1.5), (3), (NULL), (2)) t(v) ORDER BY v",
        "SELECT v, sum(v) OVER (ORDER BY v ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING) FROM (VALUES (1.5), (NULL), (3), (2)) t(v) ORDER BY v",
        "SELECT v, sum(v) OVER (ORDER BY v ROWS BETWEEN 2 PRECEDING AND 1 PRECEDING) FROM (VALUES (1::int8), (3), (2)) t(v) ORDER BY v",
        "SELECT v, sum(v) FILTER (WHERE v > 1) OVER (ORDER BY v) FROM (VALUES (1::int8), (3), (2)) t(v) ORDER BY v",
        "SELECT v, string_agg(v::text, ',') OVER (ORDER BY v), array_agg(v) OVER (ORDER BY v DESC) FROM (VALUES (1), (3), (2)) t(v) ORDER BY v",
        "SELECT v, sum(v) OVER w, rank() OVER w FROM (VALUES (1), (3), (2)) t(v) WINDOW w AS (ORDER BY v) ORDER BY v",
        "SELECT v, sum(v) OVER (w ROWS UNBOUNDED PRECEDING) FROM (VALUES (1), (3), (2)) t(v) WINDOW w AS (ORDER BY v) ORDER BY v",
        "SELECT v, sum(v) OVER (w ORDER BY v) FROM (VALUES (1), (3), (2)) t(v) WINDOW w AS (PARTITION BY v % 2) ORDER BY v",
        "SELECT sum(v) OVER (w PARTITION BY v) FROM (VALUES (1)) t(v) WINDOW w AS (ORDER BY v)",
        "SELECT sum(v) OVER (w ORDER BY v) FROM (VALUES (1)) t(v) WINDOW w AS (ORDER BY v)",
        "SELECT sum(v) OVER (w) FROM (VALUES (1)) t(v) WINDOW w AS (ORDER BY v ROWS UNBOUNDED PRECEDING)",
        "SELECT sum(v) OVER nosuch FROM (VALUES (1)) t(v)",
        "SELECT v, lag(v) OVER (ORDER BY v), lead(v, 1, 0) OVER (ORDER BY v), first_value(v) OVER (ORDER BY v), ntile(2) OVER (ORDER BY v), dense_rank() OVER (ORDER BY v) FROM (VALUES (1), (3), (2)) t(v) ORDER BY v",
    ],
    "syntax_that_few_parsers_know": [
        "SELECT 5 BETWEEN SYMMETRIC 7 AND 3, 5 NOT BETWEEN SYMMETRIC 7 AND 3, 5 BETWEEN ASYMMETRIC 3 AND 7, 5 BETWEEN SYMMETRIC 3 + 4 AND NULL",
        "SELECT v FROM (VALUES (1), (5), (9)) t(v) WHERE v BETWEEN SYMMETRIC 4 + 2 AND 1 ORDER BY v",
        "SELECT trim(TRAILING FROM 'ab  '), trim(LEADING FROM '  ab'), trim(BOTH FROM ' ab '), trim(FROM ' a '), trim(BOTH 'x' FROM 'xax'), trim(TRAILING 'x' FROM 'axx')",
        "SELECT (1, NULL) IS NULL, ROW(NULL, NULL) IS NULL, (NULL, 1) IS NOT NULL, ROW(1, 2) IS NOT NULL",
        "SELECT (1, 'a') = (1, 'a'), (1, 2) < (1, 3), ROW(1, 'a b'), (1, 2) IN ((1, 2), (5, 6))",
        "TABLE {pg_replication_slots} ORDER BY slot_name LIMIT 1",
        "SELECT current_schema, current_schema(), current_schemas(true), current_schemas(false)",
        "SELECT pg_typeof(NULL), pg_typeof('a'), pg_typeof(ARRAY[1]), pg_typeof(1::int2)",
    ],
    "set_returning_functions_in_the_select_list": [
        "SELECT generate_series(1, 3)",
        "SELECT generate_series(1, 3) AS n ORDER BY n DESC",
        "SELECT 'x', unnest('{1,2}'::int[]) * 1",
        "SELECT (information_schema._pg_expandarray(indkey)).n, (information_schema._pg_expandarray(indkey)).x FROM {pg_index} ORDER BY indexrelid, 1",
        "SELECT * FROM generate_series(3, 1, -1) AS s(r)",
        "SELECT s.r * 2 FROM generate_series(1, 3) AS s(r)",
        "SELECT * FROM unnest('{a,b}'::text[]) WITH ORDINALITY AS u(v, n)",
        "SELECT count(*) FROM generate_series(1, 0)",
    ],
    "distinct_on_keeps_the_first_of_each": [
        "SELECT DISTINCT ON (relkind) relkind, relname FROM {pg_class} ORDER BY relkind, relname",
        "SELECT DISTINCT ON (relkind) relname FROM {pg_class} ORDER BY relkind, relname DESC",
        "SELECT DISTINCT ON (relkind) relname FROM {pg_class} ORDER BY relname",
        "SELECT DISTINCT relkind FROM {pg_class} ORDER BY 1",
    ],
    "reserved_words_are_columns_where_postgresql_lets_them": [
        "SELECT e.values FROM (SELECT 1 AS values) e",
        "SELECT t.\"order\", t.name, t.type FROM (SELECT 1 AS \"order\", 2 AS name, 3 AS type) t",
        "SELECT e.values, e.key FROM (VALUES (1, 2)) e(values, key)",
        "SELECT 1 AS user, 2 AS select, 3 AS from",
    ],
    "headings_are_postgresqls": [
        "SELECT count(*), max(relname), 1, 'a', 1 + 1, relname::text, CASE WHEN true THEN 1 END, ARRAY[1] FROM {pg_class} GROUP BY relname ORDER BY relname LIMIT 1",
        "SELECT coalesce(NULL, 1), nullif(1, 2), greatest(1, 2), EXISTS (SELECT 1), (SELECT 5 AS inner_name), NULL, true, current_database() IS NULL",
        "SELECT 1::int8, '1'::pg_lsn IS NULL, (ARRAY[1,2])[1], cast(1 AS text), now() IS NULL, -1, not true, row_number() OVER ()",
        "SELECT extract(year FROM timestamptz '2026-01-02 03:04:05+00'), interval '1 day', date '2026-01-02'",
    ],
    "values_lists_and_aliases": [
        "VALUES (1, 'a'), (2, 'b')",
        "SELECT * FROM (VALUES (1, 'a'), (2, NULL)) v(x, y) ORDER BY x DESC",
        "SELECT v.* FROM (VALUES (1, 1.5), (2, 2)) v(x, y)",
        "VALUES (1), ('x')",
        "WITH w(a) AS (VALUES (1), (2)) SELECT sum(a) FROM w",
        "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT * FROM r",
    ],
    "set_operations_find_their_types": [
        "SELECT 1 UNION SELECT 2 UNION ALL SELECT 2 ORDER BY 1",
        "SELECT NULL UNION SELECT 'a' ORDER BY 1",
        "SELECT 1 UNION SELECT 1.5 ORDER BY 1",
        "SELECT 1 UNION SELECT 'x'",
        "SELECT relname FROM {pg_class} EXCEPT SELECT relname FROM {pg_class} WHERE relname > 'pg_c' ORDER BY 1",
        "SELECT 1, 2 UNION SELECT 3",
        "SELECT 'a' AS x INTERSECT SELECT 'a' ORDER BY x",
    ],
    "times_and_intervals": [
        "SELECT timestamptz '2026-01-02 03:04:05+00' - timestamptz '2026-01-01 00:00:00+00', timestamptz '2026-01-31 00:00:00+00' + interval '1 month'",
        "SELECT interval '1 day' > interval '23 hours', interval '1 month 2 days 03:04:05.678', interval '-1 hour', '90 minutes'::interval",
        "SELECT extract(epoch FROM interval '1 day 1 hour'), extract(epoch FROM timestamptz '2026-01-01 00:00:00+00'), date_trunc('hour', timestamptz '2026-01-02 03:04:05+00')",
        "SELECT v FROM (VALUES (interval '1 day'), ('2 hours'), (NULL), ('1 month')) t(v) ORDER BY v",
        "SELECT max(v), min(v), sum(v) FROM (VALUES (interval '1 day'), ('2 hours')) t(v)",
        "SELECT timestamptz 'nonsense'",
        "SELECT date '2026-03-01' - date '2026-02-01', date '2026-02-28' + 1, timestamp '2026-01-01 00:00' < timestamp '2026-01-02'",
    ],
    "three_valued_logic": [
        "SELECT NULL AND false, NULL OR true, NOT NULL, NULL IS TRUE, true IS NOT UNKNOWN, 1 IS DISTINCT FROM NULL, NULL IS NOT DISTINCT FROM NULL",
        "SELECT 1 IN (2, NULL), 1 NOT IN (2, NULL), 1 IN (1, NULL), 2 BETWEEN 1 AND NULL",
        "SELECT 1 WHERE NULL",
        "SELECT 1 WHERE 1",
        "SELECT CASE WHEN NULL THEN 1 ELSE 2 END, CASE 1 WHEN NULL THEN 1 WHEN 1 THEN 2 END",
        "SELECT coalesce(NULL, NULL, 3), nullif(3, 3), greatest(1, NULL, 3), least(NULL, 2)",
    ],
    "errors_have_postgresqls_codes": [
        "SELECT * FROM nosuch",
        "SELECT nosuch()",
        "SELECT relname FROM {pg_class} a, {pg_class} b",
        "SELECT x.relname FROM {pg_class}",
        "SELEC 1",
        "SELECT 1 FROM",
        "SELECT 'a'::int",
        "SELECT 1 = 'x'::text",
        "SELECT lower(1)",
        "SELECT 1 LIMIT -1",
        "SELECT 'x' ~ '('",
        "SELECT * FROM {pg_class} ORDER BY 99",
        "SELECT 1 AS a, 2 AS a ORDER BY a",
        "SELECT DISTINCT relname FROM {pg_class} ORDER BY relkind",
        "SELECT t.* FROM {pg_class}",
        "SELECT 'nosuchrel'::regclass",
        "SELECT current_setting('no.such')",
        "SELECT 5 FROM {pg_class} JOIN {pg_type} USING (nosuch)",
        "SELECT sum(sum(1))",
        "SELECT count(*) FILTER (WHERE relkind = 'v') FROM {pg_class} WHERE count(*) > 0",
    ],
    "joins": [
        "SELECT n.nspname, count(c.oid) FROM {pg_namespace} n LEFT JOIN {pg_class} c ON c.relnamespace = n.oid GROUP BY 1 ORDER BY 1",
        "SELECT * FROM (VALUES (1, 'a'), (2, 'b')) x(i, l) FULL JOIN (VALUES (2, 'c'), (3, 'd')) y(i, r) USING (i) ORDER BY 1",
        "SELECT * FROM (VALUES (1, 'a')) x(i, l) NATURAL JOIN (VALUES (1, 'c')) y(i, r)",
        "SELECT x.*, y.* FROM (VALUES (1)) x(a) RIGHT JOIN (VALUES (1), (2)) y(b) ON a = b ORDER BY b",
        "SELECT count(*) FROM {pg_namespace} a CROSS JOIN {pg_namespace} b",
        "SELECT i FROM (VALUES (1, 'a'), (2, 'b')) x(i, l) LEFT JOIN (VALUES (2, 'c')) y(i, r) USING (i) ORDER BY i",
    ],
    "text_functions": [
        "SELECT upper('abc'), lower('ABC'), length('äbc'), substr('abcdef', 2, 3), substring('abcdef' FROM 2 FOR 2), position('c' IN 'abc'), trim('  a '), ltrim('xxa', 'x')",
        "SELECT 'a' || 1, 'a' || NULL, concat('a', NULL, 1), concat_ws('-', 'a', NULL, 'b'), repeat('ab', 2), replace('abc', 'b', 'x'), split_part('a.b.c', '.', 2)",
        "SELECT lpad('7', 3, '0'), left('abc', 2), right('abc', 2), reverse('abc'), strpos('abc', 'c'), quote_ident('A b'), quote_literal('it''s'), format('%s-%I-%L', 'a', 'B c', 'd')",
        "SELECT md5('a'), encode('\\x01ff'::bytea, 'hex'), '\\x01ff'::bytea, octet_length('ä'), ascii('a'), chr(98), to_hex(255), initcap('ab cd')",
        "SELECT E'a\\nb', 'it''s', $$dollar$$, $x$a$$b$x$, U&'\\0041'",
        "SELECT string_agg(v, ', ' ORDER BY v DESC), array_agg(v), bool_and(v > 'a'), bool_or(v > 'b') FROM (VALUES ('b'), ('a'), ('c')) t(v)",
    ],
    "casts_and_names": [
        "SELECT 'pg_class'::regclass, 'pg_class'::regclass::oid, 1259::regclass, 'int4'::regtype, 23::regtype, 'pg_catalog'::regnamespace",
        "SELECT format_type(1184, NULL), format_type(1043, 14), format_type(1009, -1), format_type(1700, 655366)",
        "SELECT true::text, 1::text, 1.50::text, '0/16'::pg_lsn::text, NULL::text, 'x'::\"char\", 'abc'::name, '{1,2}'::int[]::text",
        "SELECT 't'::bool, 'no'::bool, 'on'::bool, '1'::bool",
        "SELECT 'maybe'::bool",
        "SELECT pg_typeof(1), pg_typeof('a'::text), pg_typeof(NULL), pg_typeof(1.5), pg_typeof(now())",
        "SELECT 'abc'::varchar(2), 'abc'::char(5) || 'x', 1.567::numeric(3,1)",
    ],
    "json": [
        "SELECT '{\"a\": 1, \"b\": [1, 2]}'::jsonb, '{\"a\":{\"b\":\"c\"}}'::jsonb -> 'a' ->> 'b', '[1,2]'::jsonb -> 1, jsonb_typeof('null')",
        "SELECT '{\"a\":1}'::jsonb @> '{\"a\":1}', '{\"a\":1}'::jsonb ? 'a', jsonb_array_length('[1,2,3]'), '{\"b\":1,\"a\":2}'::json",
        "SELECT '{bad'::jsonb",
    ],
    "json_is_made_of_values": [
        "SELECT to_json(1), to_json('a'::text), to_jsonb(ARRAY[1,2]), json_build_object('a', 1, 'b', NULL), jsonb_build_object('a', 'x'::text), json_build_array(1, 'a', NULL)",
        "SELECT json_agg(v), jsonb_agg(v), json_object_agg(v::text, v), jsonb_object_agg(v, v) FROM (VALUES (1), (2)) t(v)",
        "SELECT to_json('a')",
        "SELECT to_json(NULL::int), to_json(true), to_json(1.50), to_json('NaN'::float8), to_json(1e20::float8), to_json('0/16'::pg_lsn), to_json(1::oid), to_json('a\"b\\c'::text), to_json('{\"b\" : 1}'::json), to_jsonb('{\"b\" : 1}'::json)",
        "SELECT to_json(timestamptz '2026-01-02 03:04:05.6+00'), to_json(timestamp '2026-01-02 03:04:05'), to_json(date '2026-01-02'), to_json('infinity'::timestamptz), to_json(interval '1 day'), to_json(time '01:02:03'), to_json(timestamptz '2026-01-02 03:04:05.6+00' - interval '3000 years')",
        "SELECT to_json(ARRAY[[1,2],[3,NULL]]), to_json('{}'::text[]), array_to_json(ARRAY['a','b\"']), to_json('1 2'::int2vector), to_json(ARRAY[true,false]), to_json(ARRAY['{\"a\": 1}'::jsonb])",
        "SELECT json_build_object(), json_build_array(), jsonb_build_object(), jsonb_build_array(), json_build_object(1, 2, true, ARRAY[1,2], 'x', now() IS NULL)",
        "SELECT json_build_object('a')",
        "SELECT json_build_object(NULL, 1)",
        "SELECT json_build_object(ARRAY[1], 1)",
        "SELECT json_agg(v) FROM (VALUES (1)) t(v) WHERE false",
        "SELECT json_agg(v ORDER BY v DESC), jsonb_agg(v) FILTER (WHERE v > 1), json_agg(NULL::int) FROM (VALUES (1), (2)) t(v)",
        "SELECT json_object_agg(NULL::text, v) FROM (VALUES (1), (2)) t(v)",
        "SELECT jsonb_object_agg(k, v) FROM (VALUES ('a', 1), ('a', 2), ('b', NULL)) t(k, v)",
        "SELECT jsonb_agg(ARRAY[v]) FROM (VALUES (1), (2)) t(v)",
        "SELECT json_build_array(relname, relkind, oid) FROM {pg_class} WHERE relname = 'pg_class'",
        "SELECT jsonb_agg(jsonb_build_object('slot', slot_name, 'lsn', restart_lsn, 'active', active) ORDER BY slot_name) FROM {pg_replication_slots}",
        "SELECT relkind, json_agg(relname ORDER BY relname) -> 0 FROM {pg_class} GROUP BY relkind ORDER BY 1",
        "SELECT v, json_agg(v) OVER (ORDER BY v) FROM (VALUES (1), (2)) t(v)",
    ],
    "parameters_of_functions_have_defaults_and_names": [
        "SELECT current_setting('server_encoding', true), current_setting('nosuch.one', missing_ok => true)",
        "SELECT pg_size_pretty(1::int8), pg_size_pretty(10240::int8), pg_size_pretty(1048576000::numeric), pg_size_bytes('1 GB')",
        "SELECT has_table_privilege('pg_class', 'select'), pg_table_is_visible('pg_class'::regclass), pg_get_userbyid(10) = current_user",
    ],
}

# A record that the statement makes has no binary form here, see docs/sql.md.
TEXT_ONLY = {
    statement
    for statement in TRAPS["syntax_that_few_parsers_know"]
    if "ROW(1, 'a b')" in statement
}

# Statements with the parameters that each is run with.
PARAMETERS = {
    "patterns": [
        ("SELECT relname FROM {pg_class} WHERE relname LIKE %s ORDER BY 1", ("pg\\_c%",), ("PG%",), (None,)),
        ("SELECT relname FROM {pg_class} WHERE relname ILIKE %s ORDER BY 1", ("PG_CL%",)),
        ("SELECT 'a' LIKE %s, 'a' ~ %s, %s NOT LIKE 'b%%'", ("a", "^a$", "b")),
    ],
    "limits": [
        ("SELECT relname FROM {pg_class} ORDER BY 1 LIMIT %s", (2,), (0,), (None,), (-1,), ("3",), ("x",)),
        ("SELECT relname FROM {pg_class} ORDER BY 1 LIMIT 2 OFFSET %s", (1,), (None,), (-1,)),
    ],
    "arrays": [
        ("SELECT relname FROM {pg_class} WHERE relname = ANY(%s) ORDER BY 1", (["pg_class", "pg_type"],), ([],), (None,), (["pg_class", None],)),
        ("SELECT relname FROM {pg_class} WHERE relkind = ANY(%s) ORDER BY 1", (["r"],), (["v", "i"],)),
        ("SELECT nspname FROM {pg_namespace} WHERE oid = ANY(%s) ORDER BY 1", ([11, 2200],)),
        ("SELECT nspname FROM {pg_namespace} WHERE nspname <> ALL(%s) ORDER BY 1", (["public"],)),
        ("SELECT unnest(%s::text[]), cardinality(%s::int4[])", (["a", None], [1, 2])),
        ("SELECT 2 = ANY(%s)", ([1, 2],), ([1],), ([1, None],)),
    ],
    "function_arguments": [
        ("SELECT upper(%s), length(%s), substr(%s, %s)", ("a", "äb", "abc", 2)),
        ("SELECT pg_wal_lsn_diff(%s, %s)", ("0/20", "0/10"), ("0/10", None), ("x", "0/1")),
        ("SELECT pg_size_pretty(%s::int8), coalesce(%s, 'x'), format_type(%s, %s)", (1024, None, 23, None)),
        ("SELECT current_setting(%s)", ("server_encoding",), ("no.such",)),
        ("SELECT current_setting(%s, %s)", ("no.such", True)),
        ("SELECT * FROM generate_series(%s::int8, %s::int8)", (1, 3), (3, 1), (None, 1)),
        ("SELECT concat(%s::text, %s::int4), greatest(%s, 2)", ("a", 7, 1)),
        ("SELECT split_part(%s, %s, %s)", ("a.b", ".", 2), ("a.b", ".", 0)),
    ],
    "operators_and_lists": [
        ("SELECT relname FROM {pg_class} WHERE oid = %s", (1259,), ("1259",), ("x",)),
        ("SELECT relname FROM {pg_class} WHERE relname IN (%s, %s) ORDER BY 1", ("pg_class", "pg_type")),
        ("SELECT slot_name FROM {pg_replication_slots} WHERE restart_lsn > %s ORDER BY 1", ("0/0",), ("F/0",), ("bad",)),
        ("SELECT slot_name FROM {pg_replication_slots} WHERE active = %s ORDER BY 1", (False,), ("no",)),
        ("SELECT %s::pg_lsn + %s::numeric, %s::interval * 2", ("0/1", 16, "1 hour")),
        ("SELECT 1 + %s, 1.5 * %s, 'a' || %s, %s", (2, 2, "b", "unknown")),
        ("SELECT CASE WHEN %s THEN %s ELSE 1 END", (True, 2), (None, 2)),
        ("SELECT %s IS NULL", (None,), ("a",)),
        ("SELECT x FROM (VALUES (%s), (1)) v(x) ORDER BY 1", (3,)),
        ("SELECT 1 / %s", (0,)),
    ],
}


class Traps(ServerTest):
    def setUp(self):
        super().setUp()
        setup = self.server.psql(
            "-q",
            "-c", "CREATE TABLE orders (id bigint PRIMARY KEY, name text, price numeric(10,2), tags text[])",
            "-c", "CREATE TABLE pairs (a int, b int, c text, PRIMARY KEY (a, b))",
            "-c", "CREATE PUBLICATION p FOR TABLE orders (id, name) WHERE (id > 5), pairs",
            "-c", "SELECT pg_create_logical_replication_slot('one', 'json')",
            "-c", "SELECT pg_create_logical_replication_slot('two', 'test_decoding')",
        )
        self.assertEqual(setup.returncode, 0, setup.stderr)
        self.twins = Twins(self.server)
        self.addCleanup(self.twins.close)
        for view in (
            "pg_class", "pg_type", "pg_attribute", "pg_namespace", "pg_index",
            "pg_publication_rel", "pg_replication_slots",
        ):
            self.twins.copy(view)

    def test_each_trap_is_answered_as_postgresql_answers(self):
        for trap, statements in TRAPS.items():
            for statement in statements:
                for binary in (False, True):
                    self.compare(trap, statement, binary=binary)

    def compare(self, trap, statement, parameters=None, binary=False):
        with self.subTest(trap=trap, statement=statement, parameters=parameters, binary=binary):
            here, there = self.twins.ask(statement, parameters, binary)
            if binary and statement in TEXT_ONLY:
                self.assertEqual((here.error, there.error), ("0A000", None), here.beside(there))
                return
            self.assertEqual(here, there, "\n" + here.beside(there))

    def test_parameters_have_the_types_that_postgresql_finds(self):
        for trap, statements in PARAMETERS.items():
            for statement, *rows in statements:
                for parameters in rows:
                    for binary in (False, True):
                        self.compare(trap, statement, parameters, binary)


if __name__ == "__main__":
    unittest.main()
