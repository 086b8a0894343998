//! Records of declared tables over a connection: what does not fit is refused, and what is stored
//! is decoded as what it was when it was stored.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::as_conversions)]
#![allow(clippy::panic, missing_docs)]

mod support;

use pgspool::change::ChangeRecord;
use pgspool::clock::Moment;
use pgspool::lsn::Lsn;
use support::{RawClient, TestServer};

const TABLE: &str = "CREATE TABLE items (id int PRIMARY KEY, qty numeric(5,2) NOT NULL, \
                     note varchar(5))";

fn line(rid: u64, document: &str) -> String {
    let hex = hex::encode(document);
    format!(
        "{{\"operation\":\"insert\",\"collection\":\"items\",\"rid\":{rid},\
         \"entity_bytes_hex\":\"{hex}\"}}\n"
    )
}

fn good(rid: u64) -> String {
    line(rid, &format!(r#"{{"id":{rid},"qty":{rid}}}"#))
}

/// The answer to a COPY: its tag, or SQLSTATE, message and context.
fn copy(client: &mut RawClient, lines: &str) -> String {
    client.begin_copy();
    client.copy_data(lines);
    let answers = client.end_copy();
    match answers[0].tag {
        'E' => told(&answers[0]),
        _ => answers[0].tag_text(),
    }
}

fn told(error: &support::Message) -> String {
    let fields = error.fields();
    let field = |code: char| fields.get(&code).map_or("", String::as_str);
    format!("{} {}; {}", field('C'), field('M'), field('W'))
}

/// Statements that must work.
fn run(client: &mut RawClient, statements: &[&str]) {
    for statement in statements {
        let answers = client.query(statement);
        assert!(
            answers.iter().all(|answer| answer.tag != 'E'),
            "{statement}: {answers:?}"
        );
    }
}

/// What `test_decoding` says of all that is stored, without BEGIN and COMMIT.
fn decoded(server: &TestServer, slot: &str, n: usize) -> Vec<String> {
    let mut client = server.replication();
    client.stream(slot);
    let mut changes = Vec::new();
    while changes.len() < n {
        let (_, text) = client.data();
        if !text.starts_with("BEGIN") && !text.starts_with("COMMIT") {
            changes.push(text);
        }
    }
    changes
}

#[test]
fn a_document_that_does_not_fit_is_refused_and_nothing_of_its_batch_is_stored() {
    let server = TestServer::start();
    let mut client = server.session();
    run(&mut client, &[TABLE]);
    assert_eq!(copy(&mut client, &(good(1) + &good(2))), "COPY 2");
    let head = server.engine().head();
    let within = "COPY changes, line 1";
    for (document, wanted) in [
        (
            r#"{"id":"x","qty":1}"#,
            "22P02 invalid input syntax for type integer: \"x\"; table public.items, column id",
        ),
        (
            r#"{"id":3,"qty":1000}"#,
            "22003 numeric field overflow; table public.items, column qty",
        ),
        (
            r#"{"id":3}"#,
            "23502 null value in column \"qty\" of relation \"items\" violates not-null \
             constraint; table public.items, column qty",
        ),
        (
            r#"{"id":3,"qty":1,"note":"longer"}"#,
            "22001 value too long for type character varying(5); table public.items, column note",
        ),
        (
            r#"{"id":3,"qty":1,"x":1}"#,
            "22P02 column \"x\" of relation \"items\" does not exist; table public.items, column x",
        ),
        (
            "5",
            "22P02 the entity of a record of table \"items\" is not a JSON object; \
             table public.items",
        ),
    ] {
        let wanted = format!("{wanted}\n{within}");
        assert_eq!(copy(&mut client, &line(3, document)), wanted, "{document}");
        // Through SQL, too.
        let record = line(3, document).replace('\'', "''");
        let call = format!("SELECT pgspool.publish('{}')", record.trim_end());
        let answers = client.query(&call);
        let error = answers.iter().find(|answer| answer.tag == 'E').unwrap();
        assert_eq!(told(error)[..5], wanted[..5]);
        // In a block nothing of it is stored.
        run(&mut client, &["BEGIN"]);
        assert_eq!(copy(&mut client, &good(3)), "COPY 1");
        assert!(copy(&mut client, &(good(4) + &line(5, document))).starts_with(&wanted[..5]));
        run(&mut client, &["ROLLBACK"]);
        // Through the library.
        let engine = server.engine();
        let mut batch = engine.batch(Moment::now());
        let bad = ChangeRecord::insert("items", 5).with_entity(document);
        let fine = ChangeRecord::insert("items", 4).with_entity(r#"{"id":4,"qty":4}"#);
        assert!(batch.push(&bad).is_err());
        assert!(
            batch
                .push_transaction(&[fine.clone(), bad.clone()])
                .is_err()
        );
        assert!(batch.push_at(Lsn::new(1 << 40), &[fine, bad]).is_err());
        assert!(batch.is_empty());
        assert_eq!(server.engine().head(), head, "{document}");
    }
    // Deletes and collections that nobody declared.
    let delete = r#"{"operation":"delete","collection":"items","rid":2}"#;
    let free = r#"{"operation":"insert","collection":"free","rid":2,"entity_bytes_hex":"00"}"#;
    assert_eq!(copy(&mut client, &format!("{delete}\n{free}\n")), "COPY 2");
    server.stop();
}

#[test]
fn a_change_that_no_subscriber_could_place_is_refused_while_its_table_is_published() {
    let server = TestServer::start();
    let mut client = server.session();
    run(
        &mut client,
        &["CREATE TABLE items (id int, qty int)", "BEGIN"],
    );
    let update = good(1).replace("insert", "update");
    let delete = good(1).replace("insert", "delete");
    // Nobody is told of it: `test_decoding` and `json` need no key.
    assert_eq!(copy(&mut client, &update), "COPY 1");
    run(
        &mut client,
        &["COMMIT", "CREATE PUBLICATION p FOR TABLE items"],
    );
    let refused = copy(&mut client, &(good(1) + &update));
    let words = "55000 cannot update table \"items\" because it does not have a replica identity \
                 and publishes updates";
    assert!(refused.starts_with(words), "{refused}");
    let refused = copy(&mut client, &delete);
    let words = "55000 cannot delete from table \"items\" because it does not have a replica \
                 identity and publishes deletes";
    assert!(refused.starts_with(words), "{refused}");
    run(&mut client, &["ALTER TABLE items REPLICA IDENTITY FULL"]);
    assert_eq!(copy(&mut client, &(update + &delete)), "COPY 2");
    run(
        &mut client,
        &[
            "ALTER TABLE items REPLICA IDENTITY NOTHING",
            "ALTER PUBLICATION p SET (publish = 'insert')",
        ],
    );
    assert_eq!(copy(&mut client, &delete), "COPY 1");
}

#[test]
fn a_block_sees_its_own_definitions_and_its_commit_those_of_others() {
    let server = TestServer::start();
    let mut client = server.session();
    let mut other = server.session();
    run(&mut client, &["BEGIN", TABLE]);
    assert!(copy(&mut client, &line(1, "{}")).starts_with("23502"));
    run(&mut client, &["ROLLBACK", "BEGIN", TABLE, "SAVEPOINT a"]);
    run(
        &mut client,
        &["ALTER TABLE items ADD COLUMN more int NOT NULL"],
    );
    assert_eq!(
        copy(&mut client, &line(1, r#"{"id":1,"qty":1,"more":2}"#)),
        "COPY 1"
    );
    run(&mut client, &["ROLLBACK TO a"]);
    assert_eq!(copy(&mut client, &good(1)), "COPY 1");
    run(&mut client, &["COMMIT"]);
    let head = server.engine().head();
    assert!(head > Lsn::ZERO);

    // A record that the block's own definition makes unfit.
    run(&mut client, &["BEGIN"]);
    assert_eq!(copy(&mut client, &good(2)), "COPY 1");
    run(
        &mut client,
        &["ALTER TABLE items ADD COLUMN more int NOT NULL"],
    );
    assert_eq!(client.failure("COMMIT"), "23502");
    assert_eq!(server.engine().head(), head);

    // And one that somebody else's does.
    run(&mut client, &["BEGIN"]);
    assert_eq!(copy(&mut client, &(good(2) + &good(3))), "COPY 2");
    run(&mut other, &["ALTER TABLE items DROP COLUMN qty"]);
    assert_eq!(client.failure("COMMIT"), "22P02");
    assert_eq!(server.engine().head(), head);

    // What somebody else made fit meanwhile is taken.
    run(&mut client, &["BEGIN"]);
    assert_eq!(copy(&mut client, &line(2, r#"{"id":2}"#)), "COPY 1");
    run(&mut other, &["ALTER TABLE items ADD COLUMN late text"]);
    assert_eq!(
        copy(&mut client, &line(3, r#"{"id":3,"late":"x"}"#)),
        "COPY 1"
    );
    run(&mut client, &["COMMIT"]);
    assert!(server.engine().head() > head);
    server.stop();
}

#[test]
fn old_records_decode_with_the_relation_of_their_time() {
    let server = TestServer::start();
    let mut client = server.session();
    server.replication().create_slot("s", "test_decoding");
    assert_eq!(copy(&mut client, &line(9, r#"{"id":9}"#)), "COPY 1");
    run(&mut client, &[TABLE]);
    assert_eq!(copy(&mut client, &good(1)), "COPY 1");
    run(
        &mut client,
        &["ALTER TABLE items DROP COLUMN qty, ADD COLUMN at timestamptz NOT NULL"],
    );
    let with_time = line(2, r#"{"id":2,"at":"2024-01-02T03:04:05+01","note":"n"}"#);
    assert_eq!(copy(&mut client, &with_time), "COPY 1");
    run(&mut client, &["DROP TABLE items"]);
    let hex = hex::encode(r#"{"id":9}"#);
    assert_eq!(
        decoded(&server, "s", 3),
        [
            &format!(
                "table public.items: INSERT: rid[bigint]:9 kind[text]:'row' \
                 entity[bytea]:'\\x{hex}' document[jsonb]:'{{\"id\": 9}}' metadata[jsonb]:null"
            ),
            "table public.items: INSERT: id[integer]:1 qty[numeric]:1.00 \
             note[character varying]:null",
            "table public.items: INSERT: id[integer]:2 note[character varying]:'n' \
             at[timestamp with time zone]:'2024-01-02 02:04:05+00'",
        ]
    );
    server.stop();
}

/// Damage, or what an import brought: the stream says which record it is, and goes no further.
#[test]
fn a_stored_record_that_is_no_row_ends_the_stream_with_its_place() {
    let server = TestServer::start();
    let mut client = server.session();
    server.replication().create_slot("s", "test_decoding");
    run(&mut client, &[TABLE]);
    let engine = server.engine();
    let mut batch = engine.batch(Moment::now());
    let stored = batch.push_with(|out| {
        let before = br#"{"collection":"items","entity_bytes_hex":"7b7d","kind":"row","lsn":"#;
        let behind = br#","operation":"insert","rid":1,"term":1,"timestamp":1}"#;
        out.extend_from_slice(before);
        out.extend_from_slice(behind);
        Ok::<_, pgspool::engine::PublishError>(before.len())
    });
    stored.unwrap();
    let lsn = Lsn::new(engine.publish(batch).unwrap().last_lsn.get() - 56);
    let mut stream = server.replication();
    stream.stream("s");
    let answers = stream.until(|message| message.tag == 'E');
    let error = answers.last().unwrap();
    let wanted = format!(
        "23502 null value in column \"id\" of relation \"items\" violates not-null constraint; \
         record at {lsn}, table public.items, column id"
    );
    assert!(told(error).starts_with(&wanted), "{}", told(error));
    drop(stream);
    drop(client);
    server.stop();
}
