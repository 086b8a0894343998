//! What publications say of changes, as a table.

use super::*;
use crate::datum::PgType;
use crate::lsn::Lsn;
use crate::relations::{
    PUBLIC_OID, Publication, PublishedSchema, PublishedTable, RelationColumn, RelationKey,
    ReplicaIdentity,
};

const T: u32 = 20_000;
const U: u32 = 20_001;

fn column(name: &str, attnum: i16, column_type: PgType) -> RelationColumn {
    RelationColumn {
        name: name.to_owned(),
        attnum,
        column_type,
        typmod: -1,
        not_null: false,
        dropped: false,
        upstream_type: None,
    }
}

/// `(id int, gone int, a int, b text)`, `gone` dropped.
fn table(oid: u32, name: &str) -> Relation {
    let mut columns = vec![
        column("id", 1, PgType::INT4),
        column("gone", 2, PgType::INT4),
        column("a", 3, PgType::INT4),
        column("b", 4, PgType::TEXT),
    ];
    columns[1].dropped = true;
    Relation {
        oid,
        row_type_oid: oid + 100,
        array_type_oid: oid + 200,
        schema: "public".to_owned(),
        name: name.to_owned(),
        columns,
        keys: vec![RelationKey {
            index_oid: oid + 300,
            constraint_oid: oid + 400,
            name: format!("{name}_pkey"),
            columns: vec![1],
            primary: true,
        }],
        replica_identity: ReplicaIdentity::Default,
        declared: true,
        upstream: None,
        since: Lsn::ZERO,
    }
}

/// A publication of nothing: `publish` has letters of insert, update, delete, truncate.
fn publication(name: &str, publish: &str) -> Publication {
    Publication {
        oid: 30_000,
        name: name.to_owned(),
        all_tables: false,
        insert: publish.contains('i'),
        update: publish.contains('u'),
        delete: publish.contains('d'),
        truncate: publish.contains('t'),
        via_root: false,
        captured: false,
        tables: Vec::new(),
        schemas: Vec::new(),
    }
}

fn of_table(name: &str, publish: &str, columns: Option<&[i16]>, filter: &str) -> Publication {
    let mut made = publication(name, publish);
    made.tables.push(PublishedTable {
        oid: 31_000,
        relation: T,
        columns: columns.map(<[i16]>::to_vec),
        filter: (!filter.is_empty()).then(|| filter.to_owned()),
        filter_columns: Vec::new(),
    });
    made
}

fn of_schema(name: &str, publish: &str) -> Publication {
    let mut made = of_table(name, publish, None, "(a > 1000)");
    made.schemas.push(PublishedSchema {
        oid: 32_000,
        schema: PUBLIC_OID,
    });
    made
}

fn of_all(name: &str, publish: &str) -> Publication {
    Publication {
        all_tables: true,
        ..publication(name, publish)
    }
}

fn set(publications: Vec<Publication>) -> Arc<RelationSet> {
    Arc::new(RelationSet {
        relations: vec![table(T, "t"), table(U, "u")],
        publications,
        ..RelationSet::default()
    })
}

fn row(cells: &str) -> Row {
    cells
        .split(' ')
        .map(|cell| match cell {
            "null" => Cell::Null,
            "same" => Cell::Unchanged,
            text => Cell::Text(text),
        })
        .collect()
}

fn words(row: &Row) -> String {
    let word = |cell| match cell {
        Cell::Null => "null",
        Cell::Unchanged => "same",
        Cell::Text(text) => text,
    };
    row.cells().map(word).collect::<Vec<_>>().join(" ")
}

/// What is shown of a change, in words: `+` a new row, `-` a row of before, `0` a truncation.
fn shown(publications: &mut Publications, set: &Arc<RelationSet>, change: &str) -> String {
    let t = set.relation_by_oid(T).unwrap();
    let both = [t, set.relation_by_oid(U).unwrap()];
    let (old, new) = change.split_once(" > ").unwrap_or(("", change));
    let (sign, rest) = new.split_at(1);
    let (new, before) = (row(rest), row(old));
    let action = match sign {
        "+" if old.is_empty() => Action::Insert {
            table: t,
            new: &new,
        },
        "=" => Action::Update {
            table: t,
            old: (!old.is_empty()).then_some(OldRow::Full(&before)),
            new: &new,
        },
        "-" if rest.is_empty() => Action::Delete {
            table: t,
            old: None,
        },
        "-" => Action::Delete {
            table: t,
            old: Some(OldRow::Key(&new)),
        },
        _ => Action::Truncate {
            tables: &both,
            cascade: false,
            restart_identity: true,
        },
    };
    let lsn = Lsn::new(8);
    let change = Change { lsn, action };
    match publications.decide(set, &change) {
        Err(error) => error.to_string(),
        Ok(None) => "nothing".to_owned(),
        Ok(Some(Shown::Insert { columns, new, .. })) => format!("+{} {columns:?}", words(new)),
        Ok(Some(Shown::Update {
            columns, old, new, ..
        })) => {
            let old = old.map(|old| format!("{} > ", words(old.row())));
            format!("{}={} {columns:?}", old.unwrap_or_default(), words(new))
        }
        Ok(Some(Shown::Delete { columns, old, .. })) => {
            format!("-{} {columns:?}", words(old.row()))
        }
        Ok(Some(Shown::Truncate { tables, .. })) => {
            let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
            format!("0 {}", names.join(" "))
        }
        Ok(Some(Shown::Message { .. })) => "a message".to_owned(),
    }
}

#[test]
#[allow(clippy::too_many_lines)] // a table
fn a_change_is_shown_as_its_publications_say() {
    let all = "iudt";
    let filtered = || of_table("p", all, None, "(a > 5)");
    let cases: Vec<(Vec<Publication>, &str, &str)> = vec![
        (vec![of_all("p", all)], "+1 2 x", "+1 2 x [0, 1, 2]"),
        (vec![of_all("p", all)], "=1 2 x", "=1 2 x [0, 1, 2]"),
        (
            vec![of_all("p", all)],
            "1 1 x > =1 2 x",
            "1 1 x > =1 2 x [0, 1, 2]",
        ),
        (
            vec![of_all("p", all)],
            "-1 null null",
            "-1 null null [0, 1, 2]",
        ),
        (vec![of_all("p", all)], "-", "nothing"),
        (vec![of_all("p", all)], "0", "0 t u"),
        // Operations.
        (vec![of_all("p", "d")], "+1 2 x", "nothing"),
        (vec![of_all("p", "d")], "=1 2 x", "nothing"),
        (
            vec![of_all("p", "d")],
            "-1 null null",
            "-1 null null [0, 1, 2]",
        ),
        (vec![of_all("p", "iud")], "0", "nothing"),
        (vec![of_table("p", "t", None, "")], "0", "0 t"),
        (vec![of_table("p", "t", None, "")], "+1 2 x", "nothing"),
        (
            vec![of_all("p", "d"), of_table("q", "i", None, "")],
            "+1 2 x",
            "+1 2 x [0, 1, 2]",
        ),
        // A table that is not held.
        (vec![publication("p", all)], "+1 2 x", "nothing"),
        (vec![publication("p", all)], "0", "nothing"),
        // Column lists, by number; the dropped column has no place.
        (
            vec![of_table("p", all, Some(&[1, 4]), "")],
            "+1 2 x",
            "+1 2 x [0, 2]",
        ),
        (
            vec![
                of_table("p", all, Some(&[1, 4]), ""),
                of_table("q", "t", Some(&[1, 4]), ""),
            ],
            "+1 2 x",
            "+1 2 x [0, 2]",
        ),
        (
            vec![of_table("p", all, Some(&[1, 3, 4]), ""), of_all("q", all)],
            "+1 2 x",
            "+1 2 x [0, 1, 2]",
        ),
        (
            vec![of_table("p", all, Some(&[1, 4]), ""), of_all("q", all)],
            "+1 2 x",
            "cannot use different column lists for table \"public.t\" in different publications",
        ),
        // Filters.
        (vec![filtered()], "+1 6 x", "+1 6 x [0, 1, 2]"),
        (vec![filtered()], "+1 5 x", "nothing"),
        (vec![filtered()], "+1 null x", "nothing"),
        (vec![filtered()], "0", "0 t"),
        (vec![filtered()], "-1 6 null", "-1 6 null [0, 1, 2]"),
        (vec![filtered()], "-1 5 null", "nothing"),
        (
            vec![filtered(), of_table("q", "i", None, "")],
            "+1 5 x",
            "+1 5 x [0, 1, 2]",
        ),
        (
            vec![filtered(), of_table("q", "i", None, "")],
            "-1 5 null",
            "nothing",
        ),
        (
            vec![filtered(), of_table("q", "i", None, "(a < 3)")],
            "+1 2 x",
            "+1 2 x [0, 1, 2]",
        ),
        (
            vec![filtered(), of_table("q", "i", None, "(a < 3)")],
            "+1 4 x",
            "nothing",
        ),
        (
            vec![filtered(), of_table("q", "i", None, "(a < 3)")],
            "-1 2 x",
            "nothing",
        ),
        (
            vec![filtered(), of_schema("q", "i")],
            "+1 5 x",
            "+1 5 x [0, 1, 2]",
        ),
        (vec![of_schema("p", all)], "+1 5 x", "+1 5 x [0, 1, 2]"),
        // Updates that cross a filter.
        (
            vec![filtered()],
            "1 6 x > =1 7 y",
            "1 6 x > =1 7 y [0, 1, 2]",
        ),
        (vec![filtered()], "1 6 x > =1 2 y", "-1 6 x [0, 1, 2]"),
        (vec![filtered()], "1 2 x > =1 7 y", "+1 7 y [0, 1, 2]"),
        (vec![filtered()], "1 2 x > =1 3 y", "nothing"),
        (vec![filtered()], "1 null x > =1 null y", "nothing"),
        (vec![filtered()], "=1 7 y", "=1 7 y [0, 1, 2]"),
        (vec![filtered()], "=1 3 y", "nothing"),
        // What is unchanged is taken from the old row.
        (
            vec![filtered()],
            "1 6 x > =1 same y",
            "1 6 x > =1 same y [0, 1, 2]",
        ),
        (vec![filtered()], "1 2 x > =1 same y", "nothing"),
        (
            vec![of_table("p", all, None, "(id > 5)")],
            "1 2 x > =7 3 same",
            "+7 3 x [0, 1, 2]",
        ),
        (
            vec![of_table("p", all, None, "(id > 5)")],
            "1 null null > =7 3 same",
            "+7 3 same [0, 1, 2]",
        ),
        (vec![filtered()], "=1 same y", "nothing"),
        // Errors.
        (
            vec![of_table("p", all, None, "((6 / a) > 1)")],
            "+1 0 x",
            "division by zero",
        ),
        (
            vec![of_table("p", all, None, "((1 / 0) > a)")],
            "-1 0 x",
            "division by zero",
        ),
        (
            vec![of_all("r", all)],
            "+1 2 x",
            "publication \"p\" does not exist",
        ),
    ];
    for (publications, change, expected) in cases {
        let mut names = vec!["p".to_owned()];
        let named = publications
            .iter()
            .map(|publication| publication.name.clone());
        names.extend(named.filter(|name| name == "q"));
        let said = format!("{publications:?}: {change}");
        let set = set(publications);
        let mut publications = Publications::new(names);
        assert_eq!(shown(&mut publications, &set, change), expected, "{said}");
        // What is decided once stays so.
        assert_eq!(shown(&mut publications, &set, change), expected, "{said}");
    }
}

#[test]
fn a_change_counts_under_the_definitions_of_its_time() {
    let before = set(vec![of_table("p", "iudt", None, "(a > 5)")]);
    let after = set(vec![of_table("p", "iudt", None, "(a < 5)")]);
    let mut publications = Publications::new(vec!["p".to_owned()]);
    for _ in 0..2 {
        assert_eq!(shown(&mut publications, &before, "+1 2 x"), "nothing");
        assert_eq!(
            shown(&mut publications, &after, "+1 2 x"),
            "+1 2 x [0, 1, 2]"
        );
    }
    let none = set(Vec::new());
    let missing = "publication \"p\" does not exist";
    assert_eq!(shown(&mut publications, &none, "+1 2 x"), missing);
    assert_eq!(shown(&mut publications, &none, "0"), missing);
}

#[test]
fn a_filter_that_cannot_be_read_is_an_error() {
    for filter in [
        "",
        "(",
        "(a > )",
        "(a > 1",
        "a",
        "(nobody > 1)",
        "(a ~ 1)",
        "(a > 1) b",
    ] {
        let refused = Filter::compile(filter, &table(T, "t"));
        assert!(
            matches!(refused, Err(PublicationError::Filter(_))),
            "{filter}"
        );
    }
    for (depth, is_right) in [(240, true), (5_000, false)] {
        let deep = format!("{}true{}", "(NOT ".repeat(depth), ")".repeat(depth));
        assert_eq!(Filter::compile(&deep, &table(T, "t")).is_ok(), is_right);
    }
}
