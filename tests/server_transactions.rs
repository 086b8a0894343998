//! Transactions as a state of the session: what is published, set and defined in one counts
//! together or not at all, over the simple protocol.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::as_conversions)]
#![allow(clippy::panic, missing_docs)]

mod support;

use std::time::Duration;

use support::{Message, RawClient, TestServer, line};

fn tags(client: &mut RawClient, query: &str) -> String {
    client.query(query).iter().map(|m| m.tag).collect()
}

fn text(client: &mut RawClient, query: &str) -> String {
    client.row(query)[0].clone().unwrap()
}

/// Copies lines with these ids in one COPY.
fn copy(client: &mut RawClient, ids: &[u64]) -> Vec<Message> {
    client.begin_copy();
    for &id in ids {
        client.copy_data(&line(id));
    }
    client.end_copy()
}

/// Reads what is published from its creation on.
struct Reader(RawClient);

impl Reader {
    fn start(server: &TestServer) -> Self {
        let mut client = server.replication();
        client.create_slot("reader", "test_decoding");
        Self(client)
    }

    /// The ids of all records, transaction by transaction.
    fn published(mut self, server: &TestServer) -> Vec<Vec<u64>> {
        const END: u64 = 999_999;
        server.publish([END]);
        self.0.stream("reader");
        let mut found: Vec<Vec<u64>> = vec![];
        loop {
            let (_, text) = self.0.data();
            if text.starts_with("BEGIN") {
                found.push(vec![]);
            } else if let Some(at) = text.find("rid[bigint]:") {
                let digits = text[at + 12..].chars().take_while(char::is_ascii_digit);
                let id = digits.collect::<String>().parse().unwrap();
                if id == END {
                    found.pop();
                    return found;
                }
                found.last_mut().unwrap().push(id);
            }
        }
    }
}

#[test]
fn a_block_is_published_as_one_transaction_or_not_at_all() {
    let server = TestServer::start();
    let reader = Reader::start(&server);
    let mut client = server.session();
    client.query("BEGIN");
    assert_eq!(copy(&mut client, &[1, 2])[0].tag_text(), "COPY 2");
    copy(&mut client, &[3]);
    assert_eq!(client.query("COMMIT")[0].tag_text(), "COMMIT");
    client.query("BEGIN");
    copy(&mut client, &[4]);
    client.query("ROLLBACK");
    client.query("BEGIN");
    copy(&mut client, &[5]);
    client.query("nonsense");
    assert_eq!(client.query("COMMIT")[0].tag_text(), "ROLLBACK");
    client.query("BEGIN");
    copy(&mut client, &[6]);
    client.query("SAVEPOINT a");
    copy(&mut client, &[7]);
    client.query("nonsense");
    assert_eq!(client.query("ROLLBACK TO a")[0].tag_text(), "ROLLBACK");
    copy(&mut client, &[8]);
    client.query("RELEASE a");
    client.query("COMMIT");
    let mut lost = server.session();
    lost.query("BEGIN");
    copy(&mut lost, &[9]);
    drop(lost);
    copy(&mut client, &[10, 11]);
    let expected = [vec![1, 2, 3], vec![6, 8], vec![10], vec![11]];
    assert_eq!(reader.published(&server), expected);
}

#[test]
fn a_string_of_statements_is_one_transaction() {
    let server = TestServer::start();
    let mut client = server.session();
    let query = "SET my.a = 'x'; SET LOCAL my.b = 'y'; SELECT nosuch";
    assert_eq!(tags(&mut client, query), "CCEZ");
    assert_eq!(text(&mut client, "SHOW my.a"), "", "the error undid it");
    assert_eq!(tags(&mut client, "SET my.a = 'x'; SELECT 1"), "CTDCZ");
    assert_eq!(text(&mut client, "SHOW my.a"), "x");
    let answer = client.query("SET my.a = 'z'; BEGIN; SET my.c = '1'");
    assert_eq!(answer.last().unwrap().body, b"T");
    client.query("ROLLBACK");
    assert_eq!(
        text(&mut client, "SHOW my.a"),
        "x",
        "BEGIN made it part of the block"
    );
    assert_eq!(
        tags(&mut client, "SET my.a = 'z'; COMMIT; SELECT nosuch"),
        "CNCEZ"
    );
    assert_eq!(text(&mut client, "SHOW my.a"), "z", "COMMIT ended it");
    assert_eq!(client.failure("SELECT 1; SAVEPOINT a"), "25P01");
    assert_eq!(client.failure("SELECT 1; DISCARD ALL"), "25001");
    assert_eq!(tags(&mut client, "SET my.a = 'w'; foo"), "EZ");
    assert_eq!(text(&mut client, "SHOW my.a"), "z", "nothing was executed");
}

#[test]
fn errors_say_where_in_the_whole_string_they_are() {
    let server = TestServer::start();
    let mut client = server.session();
    let query = "SELECT 'ä'; SELECT nosuch";
    let answer = client.query(query);
    let error = answer.iter().find(|m| m.tag == 'E').unwrap().fields();
    assert_eq!(
        (error[&'C'].as_str(), error[&'P'].as_str()),
        ("42703", "20")
    );
}

#[test]
fn settings_follow_their_transaction() {
    let server = TestServer::start();
    let mut client = server.session();
    let query = "BEGIN; SET TimeZone = 'Europe/Berlin'";
    assert_eq!(tags(&mut client, query), "CCSZ");
    assert_eq!(
        tags(&mut client, "ROLLBACK"),
        "CSZ",
        "the client is told that it is back"
    );
    assert_eq!(text(&mut client, "SHOW TimeZone"), "Etc/UTC");
    client.query("BEGIN; SET LOCAL my.a = '1'");
    assert_eq!(text(&mut client, "SHOW my.a"), "1");
    client.query("COMMIT");
    assert_eq!(text(&mut client, "SHOW my.a"), "");
    let answer = client.query("SET LOCAL my.a = '1'");
    assert_eq!(answer[0].fields()[&'C'], "25P01");
    assert_eq!(answer[1].tag_text(), "SET");
    assert_eq!(text(&mut client, "SHOW my.a"), "");
}

#[test]
fn modes_are_those_of_the_transaction() {
    let server = TestServer::start();
    let mut client = server.session();
    client.query("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY");
    assert_eq!(
        text(&mut client, "SHOW transaction_isolation"),
        "repeatable read"
    );
    assert_eq!(text(&mut client, "SHOW transaction_read_only"), "on");
    assert_eq!(
        client.failure("COPY pgspool.changes FROM STDIN (FORMAT ndjson)"),
        "25006"
    );
    assert_eq!(tags(&mut client, "ROLLBACK AND CHAIN"), "CZ");
    assert_eq!(text(&mut client, "SHOW transaction_read_only"), "on");
    client.query("SET TRANSACTION READ WRITE");
    assert_eq!(text(&mut client, "SHOW transaction_read_only"), "off");
    client.query("COMMIT");
    assert_eq!(
        text(&mut client, "SHOW TRANSACTION ISOLATION LEVEL"),
        "read committed"
    );
    assert_eq!(client.failure("COMMIT AND CHAIN"), "25P01");
    client.query("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY");
    assert_eq!(
        client.failure("COPY pgspool.changes FROM STDIN (FORMAT ndjson)"),
        "25006"
    );
    assert_eq!(
        client.query("SET TRANSACTION READ ONLY")[0].fields()[&'C'],
        "25P01"
    );
}

#[test]
fn cursors_give_their_rows_piece_by_piece() {
    let server = TestServer::start();
    let mut client = server.session();
    assert_eq!(client.failure("DECLARE c CURSOR FOR SELECT 1"), "25P01");
    client.query("BEGIN");
    client.query("DECLARE c CURSOR FOR VALUES (1), (2), (3), (4), (5)");
    assert_eq!(tags(&mut client, "FETCH 2 FROM c"), "TDDCZ");
    assert_eq!(text(&mut client, "FETCH c"), "3");
    assert_eq!(client.query("MOVE 1 IN c")[0].tag_text(), "MOVE 1");
    let answer = client.query("FETCH ALL FROM c");
    assert_eq!(answer[1].values(), [Some("5".to_owned())]);
    assert_eq!(answer[2].tag_text(), "FETCH 1");
    assert_eq!(tags(&mut client, "FETCH c"), "TCZ");
    assert_eq!(client.query("CLOSE c")[0].tag_text(), "CLOSE CURSOR");
    assert_eq!(client.failure("FETCH c"), "34000");
    client.query("ROLLBACK");
}

#[test]
fn prepared_statements_of_sql_and_of_the_protocol_share_their_names() {
    let server = TestServer::start();
    let mut client = server.session();
    assert_eq!(
        tags(&mut client, "PREPARE p (int, text) AS SELECT $1, $2"),
        "CZ"
    );
    assert_eq!(client.failure("PREPARE p AS SELECT 1"), "42P05");
    let row = client.row("EXECUTE p ((3), 'a,b')");
    assert_eq!(row, [Some("3".to_owned()), Some("a,b".to_owned())]);
    let answer = client.query("EXECUTE p (1)");
    assert_eq!(answer[0].code(), "42601");
    client.message(b'C', b"Sp\0");
    client.message(b'S', b"");
    assert_eq!(client.until_ready().len(), 2);
    assert_eq!(client.failure("EXECUTE p (1, 'a')"), "26000");
    client.query("PREPARE p AS SELECT 1");
    assert_eq!(
        client.query("DEALLOCATE ALL")[0].tag_text(),
        "DEALLOCATE ALL"
    );
    assert_eq!(client.failure("DEALLOCATE p"), "26000");
}

/// A query that runs for as long as nobody stops it.
const ENDLESS: &str = "SELECT 1 FROM pg_type a, pg_type b, pg_type c, pg_type d, pg_type e \
     WHERE a.typname = e.typname AND b.typname IS NULL";

#[test]
fn a_statement_ends_at_its_timeout() {
    let server = TestServer::start();
    let mut client = server.session();
    client.query("SET statement_timeout = 100");
    let answer = client.query(ENDLESS);
    let error = answer.iter().find(|m| m.tag == 'E').unwrap().fields();
    assert_eq!(error[&'C'], "57014");
    assert_eq!(error[&'M'], "canceling statement due to statement timeout");
    client.query("SET statement_timeout = 0");
    assert_eq!(text(&mut client, "SELECT 1"), "1");
}

#[test]
fn a_client_that_waits_in_a_block_for_too_long_is_let_go() {
    let server = TestServer::start();
    let mut client = server.session();
    client.query("SET idle_in_transaction_session_timeout = 50; BEGIN");
    // The string is one transaction, so the block is what it ended with.
    let error = client.read().unwrap().fields();
    assert_eq!((&error[&'C'][..], &error[&'S'][..]), ("25P03", "FATAL"));
    assert_eq!(client.read(), None);
}

#[test]
fn rows_are_sent_as_they_come_and_no_further_than_they_are_read() {
    let server = TestServer::start();
    let mut client = server.session();
    client.send_query("SELECT 1 FROM pg_type a, pg_type b, pg_type c, pg_type d");
    assert_eq!(client.read().unwrap().tag, 'T');
    assert_eq!(client.read().unwrap().values(), [Some("1".to_owned())]);
    // Nothing is read for a while, then the client leaves in the middle.
    std::thread::sleep(Duration::from_millis(200));
    drop(client);
    let report = server.stop();
    assert_eq!((report.num_aborted, report.num_panicked), (0, 0));
}

#[test]
fn definitions_of_a_block_are_made_at_its_commit() {
    let server = TestServer::start();
    let publications = |server: &TestServer| {
        let set = server.engine().relations().current();
        let names = set.publications.iter().map(|found| found.name.clone());
        names.collect::<Vec<_>>()
    };
    let mut client = server.replication();
    client.query("BEGIN");
    assert_eq!(text(&mut client, "SHOW statement_timeout;"), "0");
    let query = "SET statement_timeout = 90000; CREATE PUBLICATION dbz FOR ALL TABLES;";
    let answer = client.query(query);
    assert_eq!(answer[1].tag_text(), "CREATE PUBLICATION");
    client.query("SET statement_timeout = '0';");
    assert!(publications(&server).is_empty());
    assert_eq!(
        client.failure("CREATE PUBLICATION dbz"),
        "42710",
        "told at once"
    );
    client.query("ROLLBACK");
    assert!(publications(&server).is_empty());
    client.query("BEGIN; CREATE PUBLICATION dbz FOR ALL TABLES; SAVEPOINT a");
    client.query("CREATE PUBLICATION other; ROLLBACK TO a");
    client.query("CREATE TABLE orders (id bigint PRIMARY KEY); COMMIT");
    assert_eq!(publications(&server), ["dbz"]);
    assert!(
        server
            .engine()
            .relations()
            .current()
            .relation("public", "orders")
            .is_some()
    );
    let answer = client.query("DROP PUBLICATION IF EXISTS nosuch");
    assert_eq!(answer[0].tag, 'N');
    assert_eq!(answer[1].tag_text(), "DROP PUBLICATION");
    client.query("BEGIN READ ONLY");
    assert_eq!(client.failure("DROP PUBLICATION dbz"), "25006");
    client.query("ROLLBACK");
    assert_eq!(
        tags(&mut client, "CREATE PUBLICATION x; SELECT nosuch"),
        "CEZ"
    );
    assert_eq!(
        publications(&server),
        ["dbz"],
        "the string was one transaction"
    );
}
