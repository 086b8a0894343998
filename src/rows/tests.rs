//! What a record is as rows: values of every type, keys, old rows, and what is refused.

use proptest::prelude::*;

use super::*;
use crate::change::{ChangeRecord, Fields};
use crate::datum::parse_type_name;
use crate::lsn::Lsn;
use crate::relations::{Relation, RelationColumn, RelationKey, RelationSet, ReplicaIdentity};

fn column(attnum: i16, name: &str, type_name: &str, not_null: bool) -> RelationColumn {
    let (column_type, typmod) = parse_type_name(type_name).unwrap();
    RelationColumn {
        name: name.to_owned(),
        attnum,
        column_type,
        typmod,
        not_null,
        dropped: false,
        upstream_type: None,
    }
}

fn table(name: &str, columns: Vec<RelationColumn>, key: &[i16]) -> Relation {
    let primary = RelationKey {
        index_oid: 20_001,
        constraint_oid: 20_002,
        name: format!("{name}_pkey"),
        columns: key.to_vec(),
        primary: true,
    };
    Relation {
        columns,
        keys: if key.is_empty() {
            vec![]
        } else {
            vec![primary]
        },
        declared: true,
        ..Relation::unnoted("public", name)
    }
}

fn set(relations: Vec<Relation>) -> RelationSet {
    RelationSet {
        relations,
        ..RelationSet::default()
    }
}

fn orders() -> Relation {
    let mut dropped = column(2, "gone", "int4", false);
    dropped.dropped = true;
    let columns = vec![
        column(1, "id", "int4", true),
        dropped,
        column(3, "note", "text", false),
        column(4, "qty", "numeric(6,2)", true),
    ];
    table("orders", columns, &[1])
}

fn cells(row: &Row) -> String {
    let texts = row.cells().map(|cell| match cell {
        Cell::Null => "NULL".to_owned(),
        Cell::Unchanged => "?".to_owned(),
        Cell::Text(text) => text.to_owned(),
    });
    texts.collect::<Vec<_>>().join("|")
}

fn old_cells(old: Option<OldRow<'_>>) -> String {
    match old {
        None => "-".to_owned(),
        Some(OldRow::Key(row)) => format!("K {}", cells(row)),
        Some(OldRow::Full(row)) => format!("O {}", cells(row)),
    }
}

/// What a record does, as text.
fn read(set: &RelationSet, record: &ChangeRecord) -> Result<Vec<String>, RowError> {
    let mut told = Vec::new();
    let fields = Fields::of(record).unwrap();
    RecordReader::default().read::<RowError>(Lsn::new(64), &fields, set, &mut |change| {
        told.push(match change.action {
            Action::Insert { table, new } => format!("I {} {}", table.name, cells(new)),
            Action::Update { table, old, new } => {
                format!("U {} {} -> {}", table.name, old_cells(old), cells(new))
            }
            Action::Delete { table, old } => format!("D {} {}", table.name, old_cells(old)),
            Action::Truncate { tables, .. } => format!("T {}", tables[0].name),
            Action::Message { prefix, .. } => format!("M {prefix}"),
        });
        Ok(())
    })?;
    Ok(told)
}

/// What is wrong with a record, and in which column.
fn refusal(set: &RelationSet, record: &ChangeRecord) -> String {
    let error = read(set, record).unwrap_err();
    assert_eq!((error.lsn, error.schema.as_ref()), (Lsn::new(64), "public"));
    match &error.column {
        Some(column) => format!("{error} [{column}]"),
        None => error.to_string(),
    }
}

fn insert(document: &str) -> ChangeRecord {
    ChangeRecord::insert("orders", 1).with_entity(document)
}

fn update(document: &str) -> ChangeRecord {
    ChangeRecord::update("orders", 1).with_entity(document)
}

#[test]
fn values_become_what_json_populate_record_makes_of_them() {
    let mut wrong = Vec::new();
    for line in include_str!("../../tests/fixtures/rows/values.tsv").lines() {
        let mut parts = line.splitn(3, '\t');
        let [kind, value, wanted] = [(); 3].map(|()| parts.next().unwrap());
        // A year before the first is none of ours.
        if value.contains(" BC") {
            continue;
        }
        // A column of json keeps the spelling of all of its value here.
        let wanted = if (kind, value) == ("json", r#""\u0041""#) {
            r#"="\u0041""#
        } else {
            wanted
        };
        let set = set(vec![table("t", vec![column(1, "c", kind, false)], &[])]);
        let record = ChangeRecord::insert("t", 1).with_entity(format!("{{\"c\": {value}}}"));
        let found = match read(&set, &record) {
            Ok(told) => match told[0].strip_prefix("I t ").unwrap() {
                "NULL" if value == "null" => "NULL".to_owned(),
                text => format!("={}", text.replace('\n', "\\n")),
            },
            Err(error) => {
                assert_eq!(error.column.as_deref(), Some("c"));
                format!("!{error}")
            }
        };
        // Which SQLSTATE an error has is said elsewhere.
        let wanted = match wanted
            .strip_prefix('!')
            .and_then(|error| error.split_once(' '))
        {
            Some((_, message)) => format!("!{message}"),
            None => wanted.to_owned(),
        };
        if found != wanted {
            wrong.push(format!("{kind} {value}: {found}, wanted {wanted}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_document_is_the_row_of_a_declared_table() {
    let set = set(vec![orders()]);
    for (document, wanted) in [
        (r#"{"id":1,"note":"a","qty":2}"#, "I orders 1|a|2.00"),
        (r#" { "qty" : 2 , "id" : 1 } "#, "I orders 1|NULL|2.00"),
        (
            r#"{"id":1,"id":7,"n\u006fte":"\u0061","qty":"1"}"#,
            "I orders 7|a|1.00",
        ),
        (
            r#"{"id":1,"note":null,"qty":1.005}"#,
            "I orders 1|NULL|1.01",
        ),
    ] {
        assert_eq!(
            read(&set, &insert(document)).unwrap(),
            [wanted],
            "{document}"
        );
    }
}

#[test]
fn what_does_not_fit_names_the_column() {
    let set = set(vec![orders()]);
    let no_object = "the entity of a record of table \"orders\" is not a JSON object";
    for (document, wanted) in [
        (
            r#"{"id":"x","qty":1}"#,
            "invalid input syntax for type integer: \"x\" [id]",
        ),
        (r#"{"id":1,"qty":10000}"#, "numeric field overflow [qty]"),
        (
            r#"{"id":1}"#,
            "null value in column \"qty\" of relation \"orders\" violates not-null constraint [qty]",
        ),
        (
            r#"{"id":1,"qty":1,"gone":1}"#,
            "column \"gone\" of relation \"orders\" does not exist [gone]",
        ),
        ("[1]", no_object),
        (r#"{"id":1,}"#, "invalid input syntax for type json"),
        ("", no_object),
    ] {
        assert_eq!(refusal(&set, &insert(document)), wanted, "{document}");
    }
    let update = update(r#"{"id":1,"qty":1}"#).with_unchanged(["nosuch"]);
    assert!(refusal(&set, &update).starts_with("column \"nosuch\" of relation"));
    let bare = ChangeRecord::insert("orders", 1).with_entity([0xff]);
    assert!(refusal(&set, &bare).starts_with("the entity of"));
}

#[test]
#[allow(clippy::too_many_lines)] // One table of cases.
fn old_rows_are_said_as_the_replica_identity_says() {
    let mut index = orders();
    index.keys.push(RelationKey {
        index_oid: 30_000,
        constraint_oid: 30_001,
        name: "orders_qty_key".to_owned(),
        columns: vec![4],
        primary: false,
    });
    index.replica_identity = ReplicaIdentity::Index(30_000);
    let with = |replica_identity| Relation {
        replica_identity,
        ..orders()
    };
    let keyless = table("orders", orders().columns, &[]);
    let old = r#"{"id":5,"note":"x","qty":3}"#;
    let new = r#"{"id":6,"qty":3}"#;
    let moved = update(new).with_old(old);
    let delete = || ChangeRecord::delete("orders", 9);
    for (table, record, wanted) in [
        (
            orders(),
            moved.clone(),
            "U orders K 5|NULL|NULL -> 6|NULL|3.00",
        ),
        (
            orders(),
            update(new).with_old(r#"{"id":6}"#),
            "U orders - -> 6|NULL|3.00",
        ),
        (orders(), update(new), "U orders - -> 6|NULL|3.00"),
        (
            with(ReplicaIdentity::Full),
            moved.clone(),
            "U orders O 5|x|3.00 -> 6|NULL|3.00",
        ),
        (
            with(ReplicaIdentity::Full),
            update(new),
            "U orders - -> 6|NULL|3.00",
        ),
        (
            with(ReplicaIdentity::Nothing),
            moved.clone(),
            "U orders - -> 6|NULL|3.00",
        ),
        (index.clone(), moved.clone(), "U orders - -> 6|NULL|3.00"),
        (keyless.clone(), moved, "U orders - -> 6|NULL|3.00"),
        (orders(), delete().with_old(old), "D orders K 5|NULL|NULL"),
        (
            orders(),
            delete().with_entity(old),
            "D orders K 5|NULL|NULL",
        ),
        (orders(), delete(), "D orders K 9|NULL|NULL"),
        (
            index.clone(),
            delete().with_old(old),
            "D orders K NULL|NULL|3.00",
        ),
        (
            with(ReplicaIdentity::Full),
            delete().with_old(old),
            "D orders O 5|x|3.00",
        ),
        (
            with(ReplicaIdentity::Full),
            delete(),
            "D orders O 9|NULL|NULL",
        ),
        (
            with(ReplicaIdentity::Nothing),
            delete().with_old(old),
            "D orders -",
        ),
        (keyless.clone(), delete().with_old(old), "D orders -"),
    ] {
        let told = read(&set(vec![table.clone()]), &record).unwrap();
        assert_eq!(told, [wanted], "{:?} {record:?}", table.replica_identity);
    }
    let refused = refusal(&set(vec![index]), &delete());
    assert!(
        refused.starts_with("the record does not name the key"),
        "{refused}"
    );
}

#[test]
fn what_an_update_does_not_carry_is_unchanged() {
    let set = set(vec![orders()]);
    for (record, wanted) in [
        (
            update(r#"{"id":5,"note":"a"}"#).with_unchanged(["qty"]),
            "U orders - -> 5|a|?",
        ),
        (
            update(r#"{"note":"a"}"#).with_unchanged(["qty", "id"]),
            "U orders - -> 1|a|?",
        ),
        (
            update(r#"{"note":"a"}"#)
                .with_unchanged(["qty", "id"])
                .with_old(r#"{"id":4}"#),
            "U orders - -> 4|a|?",
        ),
        (
            update(r#"{"id":5,"note":null,"qty":1}"#).with_unchanged(["note"]),
            "U orders - -> 5|NULL|1.00",
        ),
    ] {
        assert_eq!(read(&set, &record).unwrap(), [wanted]);
    }
}

#[test]
fn a_collection_is_a_table_of_its_records_parts() {
    let metadata = serde_json::json!({"zz": 1, "a": [true]});
    let insert = ChangeRecord::insert("c", 7)
        .with_kind("graph_node")
        .with_entity(r#"{"bb":1,"a":"x"}"#)
        .with_metadata(metadata);
    let hex = hex::encode(r#"{"bb":1,"a":"x"}"#);
    let document = r#"{"a": "x", "bb": 1}"#;
    let noted = Relation::unnoted("public", "c");
    for set in [RelationSet::default(), set(vec![noted.clone()])] {
        let told = read(&set, &insert).unwrap();
        let wanted = format!(r#"I c 7|node|\x{hex}|{document}|{{"a": [true], "zz": 1}}"#);
        assert_eq!(told, [wanted]);
        let update = ChangeRecord::update("c", 7).with_unchanged(["entity", "metadata", "x"]);
        assert_eq!(read(&set, &update).unwrap(), ["U c - -> 7|row|?|?|?"]);
        let old = ChangeRecord::delete("c", 7).with_old(r#"{"a":1}"#);
        let wanted = format!(
            r#"D c O 7|NULL|\x{}|{{"a": 1}}|NULL"#,
            hex::encode(r#"{"a":1}"#)
        );
        assert_eq!(read(&set, &old).unwrap(), [wanted]);
        let delete = ChangeRecord::delete("c", 7).with_entity("{}");
        assert_eq!(
            read(&set, &delete).unwrap(),
            ["D c K 7|NULL|NULL|NULL|NULL"]
        );
        let refresh = ChangeRecord::refresh("c", ["{}", "x"]);
        let rows = [
            "T c",
            r"I c NULL|item|\x7b7d|{}|NULL",
            r"I c NULL|item|\x78|NULL|NULL",
        ];
        assert_eq!(read(&set, &refresh).unwrap(), rows);
    }
    let nothing = Relation {
        replica_identity: ReplicaIdentity::Nothing,
        ..noted
    };
    let old = ChangeRecord::delete("c", 7).with_old("{}");
    assert_eq!(read(&set(vec![nothing]), &old).unwrap(), ["D c -"]);
}

/// PostgreSQL could not take it as a value of jsonb.
#[test]
fn what_no_jsonb_can_hold_is_no_document() {
    for entity in [
        r#"{"a":"\u0000"}"#,
        r#"{"a":"\ud800"}"#,
        "{",
        "5",
        r#"[1e999999]"#,
    ] {
        let record = ChangeRecord::insert("c", 7).with_entity(entity);
        let told = read(&RelationSet::default(), &record).unwrap();
        assert!(told[0].ends_with("|NULL|NULL"), "{told:?}");
    }
}

#[test]
fn refreshes_and_truncates_of_a_declared_table_are_its_rows() {
    let set = set(vec![orders()]);
    let refresh = ChangeRecord::refresh("orders", [r#"{"id":1,"qty":1}"#, r#"{"id":2,"qty":2}"#]);
    let wanted = ["T orders", "I orders 1|NULL|1.00", "I orders 2|NULL|2.00"];
    assert_eq!(read(&set, &refresh).unwrap(), wanted);
    let refresh = ChangeRecord::refresh("orders", [r#"{"id":1,"qty":1}"#, r#"{"id":2}"#]);
    assert!(refusal(&set, &refresh).starts_with("null value in column"));
    assert_eq!(
        read(&set, &ChangeRecord::truncate("orders")).unwrap(),
        ["T orders"]
    );
    let message = ChangeRecord::message(true, "p", "x");
    assert_eq!(read(&set, &message).unwrap(), ["M p"]);
}

#[test]
fn a_long_exponent_stays_as_it_was_spelled() {
    let set = set(vec![table("t", vec![column(1, "c", "jsonb", false)], &[])]);
    for (document, wanted) in [
        (
            r#"{"c":[1e40,1e41,1E-41,0e99]}"#,
            "I t [10000000000000000000000000000000000000000, 1e41, 1E-41, 0e99]",
        ),
        (
            r#"{"c":{"b":1,"a":{"bb":1,"b":[{}]}}}"#,
            r#"I t {"a": {"b": [{}], "bb": 1}, "b": 1}"#,
        ),
    ] {
        let record = ChangeRecord::insert("t", 1).with_entity(document);
        assert_eq!(read(&set, &record).unwrap(), [wanted]);
    }
    let record = ChangeRecord::insert("t", 1).with_entity(r#"{"c":1e999999}"#);
    assert!(refusal(&set, &record).starts_with("value overflows numeric format"));
}

fn all_types() -> Relation {
    const TYPES: &[&str] = &[
        "int2",
        "int4",
        "int8",
        "numeric",
        "numeric(8,3)",
        "float4",
        "float8",
        "bool",
        "text",
        "varchar(5)",
        "char(3)",
        "bytea",
        "date",
        "time",
        "timestamp",
        "timestamptz",
        "interval",
        "uuid",
        "json",
        "jsonb",
        "inet",
        "cidr",
        "int4[]",
        "text[]",
        "jsonb[]",
        "bool[]",
        "timestamptz[]",
        "oid",
        "name",
    ];
    let names = TYPES.iter().enumerate();
    let columns = names.map(|(at, kind)| {
        let number = i16::try_from(at + 2).unwrap();
        column(number, &format!("c\"{at}"), kind, false)
    });
    let mut all = vec![column(1, "id", "int8", true)];
    all.extend(columns);
    table("all", all, &[1])
}

#[test]
fn a_row_as_a_document_reads_back_as_the_same_row() {
    let table = all_types();
    let rows = [
        "5|1|-2|3|1.50|2.000|1.5|1e+100|t|a\"\\\n|äöü|ab |\\x00ff|2024-01-31|01:02:03.5|\
         2024-01-02 03:04:05|2024-01-02 03:04:05+00|1 day 02:00:00|\
         a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11|{\"b\":1, \"a\" : [1]}|{\"a\": [1], \"b\": 1}|\
         10.0.0.1|10.0.0.0/8|{1,NULL,-3}|{a,\"b,\\\"\",NULL,\"NULL\",\"\"}|{\"{\\\"a\\\": 1}\",NULL}|\
         {t,f}|{\"2024-01-02 03:04:05+00\"}|7|n",
        "-6|NULL|NULL|NULL|NaN|-0.001|NaN|-Infinity|f||NULL|   |\\x|infinity|24:00:00|infinity|\
         -infinity|-00:00:01|NULL|\"x\"|\"x\"|::1|::/0|[0:1]={1,2}|{{a,b},{c,d}}|{}|{}|NULL|NULL|",
    ];
    for text in rows {
        let row: Row = text
            .split('|')
            .map(|cell| {
                if cell == "NULL" {
                    Cell::Null
                } else {
                    Cell::Text(cell)
                }
            })
            .collect();
        let set = set(vec![table.clone()]);
        let record = insert_record("all", &table, &row).unwrap();
        assert_eq!(record.entity_id, if text.starts_with('5') { 5 } else { 0 });
        assert_eq!(read(&set, &record).unwrap(), [format!("I all {text}")]);
        let record = update_record("all", &table, None, &row).unwrap();
        assert_eq!(read(&set, &record).unwrap(), [format!("U all - -> {text}")]);
        let record = delete_record("all", &table, &row).unwrap();
        assert!(read(&set, &record).unwrap()[0].starts_with("D all K "));
    }
}

#[test]
fn a_partial_row_is_an_update_of_what_it_has() {
    let table = orders();
    let set = set(vec![table.clone()]);
    let new: Row = [Cell::Text("5"), Cell::Text("b"), Cell::Unchanged]
        .into_iter()
        .collect();
    let record = update_record("orders", &table, None, &new).unwrap();
    assert_eq!(record.entity_id, 5);
    assert_eq!(read(&set, &record).unwrap(), ["U orders - -> 5|b|?"]);
    let old: Row = [Cell::Text("4"), Cell::Unchanged, Cell::Unchanged]
        .into_iter()
        .collect();
    let record = update_record("orders", &table, Some(&old), &new).unwrap();
    assert_eq!(
        read(&set, &record).unwrap(),
        ["U orders K 4|NULL|NULL -> 5|b|?"]
    );
    let record = delete_record("orders", &table, &old).unwrap();
    assert_eq!(record.old.as_deref(), Some(br#"{"id":4}"#.as_slice()));
    assert_eq!(read(&set, &record).unwrap(), ["D orders K 4|NULL|NULL"]);
}

#[test]
fn a_null_of_json_is_refused_in_a_document() {
    for kind in ["json", "jsonb"] {
        let table = table("t", vec![column(1, "c", kind, false)], &[]);
        let row: Row = [Cell::Text(" null ")].into_iter().collect();
        let error = insert_record("t", &table, &row).unwrap_err();
        assert!(matches!(error.fault, RowFault::JsonNull { .. }));
    }
}

/// JSON of any shape, and text that is nearly JSON.
fn any_document() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        any::<i64>().prop_map(|value| value.to_string()),
        "-?[0-9]{1,3}(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,3})?",
        "\\PC{0,12}".prop_map(|text| serde_json::to_string(&text).unwrap()),
        "[0-9:. +T/{},\\-\"\\\\]{0,20}".prop_map(|text| serde_json::to_string(&text).unwrap()),
    ];
    let value = leaf.prop_recursive(4, 24, 4, |inner| {
        let members = prop::collection::vec(("[a-c]{0,2}", inner.clone()), 0..4);
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            members.prop_map(|members| {
                let member = |(key, value): &(String, String)| format!("\"{key}\": {value}");
                format!(
                    "{{{}}}",
                    members.iter().map(member).collect::<Vec<_>>().join(",")
                )
            }),
        ]
    });
    let columns = prop::collection::vec((0_usize..29, value), 0..8);
    let document = columns.prop_map(|columns| {
        let member = |(at, value): &(usize, String)| format!("\"c\\\"{at}\":{value}");
        let members: Vec<_> = columns.iter().map(member).collect();
        format!("{{\"id\":1,{}}}", members.join(",")).replace(",}", "}")
    });
    (document, any::<prop::sample::Index>(), 0_u8..8).prop_map(|(text, at, kind)| {
        // Most stay whole; some are cut or get an odd character.
        let at = at.index(text.len());
        match kind {
            0 => text.chars().take(at).collect(),
            1 => text.chars().skip(at).collect(),
            2 => text.replacen(['"', ',', '}'], "\\", 1),
            _ => text,
        }
    })
}

proptest! {
    /// What is read once reads the same when it is made a document again.
    #[test]
    fn any_document_is_a_row_or_refused_and_a_row_is_a_document(text in any_document()) {
        let table = all_types();
        let set = set(vec![table.clone()]);
        let whole = ChangeRecord::insert("all", 1).with_entity(text.as_str());
        let fields = Fields::of(&whole).unwrap();
        let mut reader = RecordReader::default();
        let mut again = None;
        let told = reader.read::<RowError>(Lsn::ZERO, &fields, &set, &mut |change| {
            if let Action::Insert { new, .. } = change.action {
                again = Some((cells(new), insert_record("all", &table, new)));
            }
            Ok(())
        });
        prop_assert_eq!(told.is_ok(), again.is_some());
        if let Some((row, Ok(record))) = again {
            prop_assert_eq!(read(&set, &record).unwrap(), [format!("I all {row}")]);
        }
        let old = ChangeRecord::update("c", 1).with_entity(text.as_str()).with_old(text.as_str());
        prop_assert!(read(&RelationSet::default(), &old).is_ok());
    }

    /// Bytes of any kind never make it panic.
    #[test]
    fn any_bytes_are_a_row_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let set = set(vec![all_types()]);
        for name in ["all", "c"] {
            let record = ChangeRecord::update(name, 1).with_entity(bytes.clone()).with_old(bytes.clone());
            let _ = read(&set, &record);
        }
    }
}

fn wide(num_columns: i16) -> Relation {
    let name = |number: i16| format!("c{number}");
    let columns = (1..=num_columns).map(|number| column(number, &name(number), "int4", false));
    table("wide", columns.collect(), &[1])
}

#[test]
fn members_in_any_order_and_again_and_again_cost_no_search_through_all_columns() {
    let set = set(vec![wide(1600)]);
    let members = "\"c1600\":0,".repeat(500_000);
    let entity = format!("{{{members}\"c1600\":7,\"c1\":5}}");
    let record = ChangeRecord::insert("wide", 5).with_entity(entity);
    let began = std::time::Instant::now();
    let found = read(&set, &record).unwrap().join("\n");
    assert!(
        found.contains("5|NULL|") && found.contains("|NULL|7"),
        "{found}"
    );
    let took = began.elapsed();
    assert!(took < std::time::Duration::from_secs(30), "{took:?}");
}

#[test]
fn a_wide_table_that_changed_is_read_by_its_new_columns() {
    let (before, mut after) = (wide(40), wide(40));
    after.columns.swap(10, 30);
    after.columns[3].dropped = true;
    let (before, after) = (set(vec![before]), set(vec![after]));
    let record = ChangeRecord::insert("wide", 1).with_entity(r#"{"c31":31,"c11":11,"c1":1}"#);
    let gone = ChangeRecord::insert("wide", 1).with_entity(r#"{"c4":4,"c1":1}"#);
    let mut reader = RecordReader::default();
    let mut place_of = |set: &RelationSet, text: &str| {
        let fields = Fields::of(&record).unwrap();
        let mut found = None;
        let each = &mut |change: Change<'_>| {
            if let Action::Insert { new, .. } = change.action {
                found = new.cells().position(|cell| cell == Cell::Text(text));
            }
            Ok::<(), RowError>(())
        };
        reader.read(Lsn::ZERO, &fields, set, each).unwrap();
        found.unwrap()
    };
    for _ in 0..3 {
        assert_eq!((place_of(&before, "31"), place_of(&before, "11")), (30, 10));
        // One column before them is dropped.
        assert_eq!((place_of(&after, "31"), place_of(&after, "11")), (9, 29));
    }
    assert!(read(&before, &gone).is_ok());
    let mut reader = RecordReader::default();
    let gone = Fields::of(&gone).unwrap();
    assert!(reader.check(&gone, &before).is_ok());
    assert!(reader.check(&gone, &after).is_err());
}

#[test]
fn more_names_than_columns_cannot_be_unchanged() {
    let set = set(vec![orders()]);
    let update = |names: Vec<&str>| {
        let entity = r#"{"id":1,"qty":2}"#;
        let record = ChangeRecord::update("orders", 1).with_entity(entity);
        read(&set, &record.with_unchanged(names))
    };
    assert!(update(vec!["note"; 4]).is_ok());
    let error = update(vec!["note"; 5]).unwrap_err();
    let wanted = "the record calls more columns unchanged than relation \"orders\" has";
    assert_eq!(error.to_string(), wanted);
}
