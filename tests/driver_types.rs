//! Every type that clients meet, as Rust's own PostgreSQL client sends and reads it: binary
//! parameters and binary results, compared with PostgreSQL's known binary forms.
//!
//! With `PGSPOOL_POSTGRES` set to a connection string the same is asked of that server, which
//! tells whether the forms here are PostgreSQL's.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod support;

use std::error::Error;

use support::TestServer;
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Config, NoTls};

/// A value's bytes as they are on the wire, of any type.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Raw(Vec<u8>);

impl<'a> FromSql<'a> for Raw {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(raw.to_vec()))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

impl ToSql for Raw {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// One value: its type's name and OID, its text, its bytes.
struct Value {
    type_name: &'static str,
    oid: u32,
    text: &'static str,
    bytes: Vec<u8>,
}

fn value(type_name: &'static str, oid: u32, text: &'static str, bytes: impl AsRef<[u8]>) -> Value {
    let bytes = bytes.as_ref().to_vec();
    Value {
        type_name,
        oid,
        text,
        bytes,
    }
}

/// The header of an array of one dimension.
fn array(element: u32, num: i32, from: i32, elements: &[&[u8]]) -> Vec<u8> {
    let has_null = 0_i32;
    let mut bytes = vec![];
    for word in [1, has_null, i32::try_from(element).unwrap(), num, from] {
        bytes.extend_from_slice(&word.to_be_bytes());
    }
    for element in elements {
        let len = i32::try_from(element.len()).unwrap();
        bytes.extend_from_slice(&len.to_be_bytes());
        bytes.extend_from_slice(element);
    }
    bytes
}

fn words(words: &[i16]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

fn interval(us: i64, days: i32, months: i32) -> Vec<u8> {
    let mut bytes = us.to_be_bytes().to_vec();
    bytes.extend_from_slice(&days.to_be_bytes());
    bytes.extend_from_slice(&months.to_be_bytes());
    bytes
}

fn scalars() -> Vec<Value> {
    vec![
        value("bool", 16, "true", [1]),
        value("bool", 16, "false", [0]),
        value("bytea", 17, "\\x00ff27", [0, 0xff, 0x27]),
        value("bytea", 17, "\\x", []),
        value("\"char\"", 18, "r", b"r"),
        value("name", 19, "a slot", b"a slot"),
        value("int8", 20, "-9223372036854775808", i64::MIN.to_be_bytes()),
        value("int2", 21, "-2", (-2_i16).to_be_bytes()),
        value("int4", 23, "2147483647", i32::MAX.to_be_bytes()),
        value("text", 25, "it's ü", "it's ü"),
        value("text", 25, "", ""),
        value("oid", 26, "4294967295", u32::MAX.to_be_bytes()),
        value("xid", 28, "4294967295", u32::MAX.to_be_bytes()),
        value("float8", 701, "0.1", 0.1_f64.to_be_bytes()),
        value("float8", 701, "-Infinity", f64::NEG_INFINITY.to_be_bytes()),
        value("float8", 701, "1e+300", 1e300_f64.to_be_bytes()),
        value("inet", 869, "127.0.0.1/32", [2, 32, 0, 4, 127, 0, 0, 1]),
        value("inet", 869, "10.1.0.0/16", [2, 16, 0, 4, 10, 1, 0, 0]),
        value(
            "inet",
            869,
            "::1/128",
            [
                3, 128, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
            ],
        ),
        value("varchar", 1043, "json", "json"),
        value("pg_lsn", 3220, "1/16B3748", 0x1_016B_3748_u64.to_be_bytes()),
        value("xid8", 5069, "18446744073709551615", u64::MAX.to_be_bytes()),
    ]
}

fn compounds() -> Vec<Value> {
    vec![
        value(
            "int2vector",
            22,
            "1 2",
            array(21, 2, 0, &[&[0, 1], &[0, 2]]),
        ),
        value(
            "name[]",
            1003,
            "{a,\"b c\"}",
            array(19, 2, 1, &[b"a", b"b c"]),
        ),
        value("text[]", 1009, "{x,\"\"}", array(25, 2, 1, &[b"x", b""])),
        value("text[]", 1009, "{}", [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 25]),
        value(
            "timestamptz",
            1184,
            "2000-01-02 00:00:00.5+00",
            (86_400_500_000_i64).to_be_bytes(),
        ),
        value(
            "timestamptz",
            1184,
            "1999-12-31 23:59:59.999999+00",
            (-1_i64).to_be_bytes(),
        ),
        value("timestamptz", 1184, "infinity", i64::MAX.to_be_bytes()),
        value("interval", 1186, "00:00:00.000123", interval(123, 0, 0)),
        value(
            "interval",
            1186,
            "1 year 2 mons -3 days +04:00:00",
            interval(14_400_000_000, -3, 14),
        ),
        value("numeric", 1700, "0", words(&[0, 0, 0, 0])),
        value(
            "numeric",
            1700,
            "12345.678",
            words(&[3, 1, 0, 3, 1, 2345, 6780]),
        ),
        value("numeric", 1700, "-0.0001", words(&[1, -1, 0x4000, 4, 1])),
        value("numeric", 1700, "1.50", words(&[2, 0, 0, 2, 1, 5000])),
        value("numeric", 1700, "NaN", words(&[0, 0, -0x4000, 0])),
        value("numeric", 1700, "100000000", words(&[1, 2, 0, 0, 1])),
    ]
}

fn more() -> Vec<Value> {
    vec![
        value(
            "int2[]",
            1005,
            "{1,-2}",
            array(21, 2, 1, &[&[0, 1], &[255, 254]]),
        ),
        value("int4[]", 1007, "{7}", array(23, 1, 1, &[&[0, 0, 0, 7]])),
        value(
            "int4[]",
            1007,
            "[0:1]={7,8}",
            array(23, 2, 0, &[&[0, 0, 0, 7], &[0, 0, 0, 8]]),
        ),
        value(
            "numeric[]",
            1231,
            "{1.50,NaN}",
            array(
                1700,
                2,
                1,
                &[&words(&[2, 0, 0, 2, 1, 5000]), &words(&[0, 0, -0x4000, 0])],
            ),
        ),
        value(
            "jsonb",
            3802,
            "{\"a\": [1, null]}",
            b"\x01{\"a\": [1, null]}",
        ),
        value("date", 1082, "1999-12-31", (-1_i32).to_be_bytes()),
        value("date", 1082, "infinity", i32::MAX.to_be_bytes()),
        value("time", 1083, "00:00:01.5", 1_500_000_i64.to_be_bytes()),
        value(
            "timestamp",
            1114,
            "2000-01-02 00:00:00.5",
            86_400_500_000_i64.to_be_bytes(),
        ),
        value("timestamp", 1114, "-infinity", i64::MIN.to_be_bytes()),
        value(
            "uuid",
            2950,
            "00112233-4455-6677-8899-aabbccddeeff",
            0x0011_2233_4455_6677_8899_aabb_ccdd_eeff_u128.to_be_bytes(),
        ),
        value("float4", 700, "0.1", 0.1_f32.to_be_bytes()),
        value("float4", 700, "NaN", f32::NAN.to_be_bytes()),
    ]
}

async fn connect(config: &Config) -> Client {
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("SET TimeZone = 'UTC'").await.unwrap();
    client
}

/// A client of pgspool, or of the server that the environment names.
async fn client() -> (Option<TestServer>, Client) {
    if let Ok(conninfo) = std::env::var("PGSPOOL_POSTGRES") {
        return (None, connect(&conninfo.parse().unwrap()).await);
    }
    let server = TestServer::start();
    let mut config = Config::new();
    config.host(server.address.ip().to_string());
    config.port(server.address.port());
    config.user("ann").dbname("pgspool");
    let client = connect(&config).await;
    (Some(server), client)
}

#[tokio::test]
async fn every_type_goes_there_and_back_in_postgresqls_binary_form() {
    let (_server, client) = client().await;
    for value in scalars().into_iter().chain(compounds()).chain(more()) {
        let Value {
            type_name,
            oid,
            text,
            bytes,
        } = value;
        let what = format!("{type_name} {text}");
        let query = format!("SELECT $1::{type_name} AS v, CAST($1::{type_name} AS text) AS t");
        let statement = client.prepare(&query).await.expect(&what);
        assert_eq!(statement.params()[0].oid(), oid, "{what}");
        assert_eq!(statement.columns()[0].type_().oid(), oid, "{what}");
        let raw = Raw(bytes);
        let row = client.query_one(&statement, &[&raw]).await.expect(&what);
        assert_eq!(row.get::<_, Raw>(0), raw, "{what}");
        assert_eq!(row.get::<_, &str>(1), text, "{what}");
        let row = client.query_one(&statement, &[&None::<Raw>]).await.unwrap();
        assert_eq!(row.get::<_, Option<Raw>>(0), None, "{what}");
        let literal = text.replace('\'', "''");
        let query = format!("SELECT '{literal}'::{type_name}");
        let row = client.query_one(&query, &[]).await.expect(&what);
        assert_eq!(row.get::<_, Raw>(0), raw, "{what} as a literal");
    }
}

/// PostgreSQL has no binary form of them: a query that is to answer with one fails.
#[tokio::test]
async fn a_type_without_a_binary_form_is_refused() {
    let (_server, client) = client().await;
    let query = "SELECT '{=r}'::aclitem[]";
    let statement = client.prepare(query).await.unwrap();
    assert_eq!(statement.columns()[0].type_(), &Type::ACLITEM_ARRAY);
    let error = client.query(query, &[]).await.unwrap_err();
    assert_eq!(
        error.code().map(|code| code.code()),
        Some("42883"),
        "{error:?}"
    );
}

#[tokio::test]
async fn the_clients_own_types_are_read_and_sent() {
    use std::net::IpAddr;
    use std::time::{Duration, SystemTime};
    use tokio_postgres::types::PgLsn;

    let (_server, client) = client().await;
    let lsn: PgLsn = "0/2A".parse().unwrap();
    let time = SystemTime::UNIX_EPOCH + Duration::from_micros(1_700_000_000_123_456);
    let names = vec!["a".to_owned(), "b c".to_owned()];
    let address: IpAddr = "192.0.2.7".parse().unwrap();
    let query = "SELECT $1::bool, $2::bytea, $3::\"char\", $4::name, $5::int8, $6::int2, \
                 $7::int4, $8::text, $9::oid, $10::float8, $11::inet, $12::name[], $13::text[], \
                 $14::varchar, $15::timestamptz, $16::pg_lsn";
    let row = client
        .query_one(
            query,
            &[
                &true,
                &&b"\0\xff"[..],
                &114_i8,
                &"n",
                &(1_i64 << 40),
                &-7_i16,
                &7_i32,
                &"text",
                &4_000_000_000_u32,
                &2.5_f64,
                &address,
                &names,
                &names,
                &"v",
                &time,
                &lsn,
            ],
        )
        .await
        .unwrap();
    assert!(row.get::<_, bool>(0));
    assert_eq!(row.get::<_, &[u8]>(1), b"\0\xff");
    assert_eq!(row.get::<_, i8>(2), 114);
    assert_eq!(row.get::<_, &str>(3), "n");
    assert_eq!(row.get::<_, i64>(4), 1 << 40);
    assert_eq!(row.get::<_, i16>(5), -7);
    assert_eq!(row.get::<_, i32>(6), 7);
    assert_eq!(row.get::<_, &str>(7), "text");
    assert_eq!(row.get::<_, u32>(8), 4_000_000_000);
    assert_eq!(row.get::<_, f64>(9).to_bits(), 2.5_f64.to_bits());
    assert_eq!(row.get::<_, IpAddr>(10), address);
    assert_eq!(row.get::<_, Vec<String>>(11), names);
    assert_eq!(row.get::<_, Vec<String>>(12), names);
    assert_eq!(row.get::<_, &str>(13), "v");
    assert_eq!(row.get::<_, SystemTime>(14), time);
    assert_eq!(row.get::<_, PgLsn>(15), lsn);
}

#[tokio::test]
async fn binary_parameters_that_are_no_value_are_refused() {
    let (_server, client) = client().await;
    let mut wrong = vec![];
    for (type_name, bytes, code) in [
        ("int4", &[0, 0, 1][..], "08P01"),
        ("int4", &[0, 0, 0, 0, 1], "22P03"),
        ("bool", &[], "08P01"),
        ("text", b"\xff", "22021"),
        ("name", b"a\0b", "22021"),
        ("timestamptz", &[0; 4], "08P01"),
        ("numeric", &[0, 1], "08P01"),
        ("text[]", &[0, 0, 0], "08P01"),
        ("pg_lsn", &[0; 7], "08P01"),
        ("int8", &[0; 4], "08P01"),
        ("float8", &[0; 9], "22P03"),
        ("uuid", &[0; 15], "08P01"),
        ("jsonb", b"\x02{}", "XX000"),
        ("jsonb", b"\x01{", "22P02"),
        ("date", &[0; 3], "08P01"),
        ("timestamptz", &[0; 9], "22P03"),
        ("numeric", &[0, 1, 0, 0, 0x40, 1, 0, 0, 0, 1], "22P03"),
        ("inet", &[2, 33, 0, 4, 1, 2, 3, 4], "22P03"),
        ("inet", &[9, 32, 0, 4, 1, 2, 3, 4], "22P03"),
        ("int4[]", &[0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 23], "54000"),
        ("int4[]", &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 25], "42804"),
        ("interval", &[0; 12], "08P01"),
    ] {
        let query = format!("SELECT $1::{type_name}");
        let raw = Raw(bytes.to_vec());
        let error = client.query_one(&query, &[&raw]).await.err();
        let error = error.as_ref().and_then(tokio_postgres::Error::code);
        let found = error.map(tokio_postgres::error::SqlState::code);
        if found != Some(code) {
            wrong.push(format!("{type_name} {bytes:?}: {found:?}, not {code}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    client.query_one("SELECT 1", &[]).await.unwrap();
}

#[tokio::test]
async fn records_and_void_have_postgresqls_binary_form() {
    let (_server, client) = client().await;
    let plugin = "test_decoding";
    let row = client
        .query_one(
            "SELECT pg_create_logical_replication_slot($1, $2)",
            &[&"driver_record", &plugin],
        )
        .await
        .unwrap();
    assert_eq!(row.columns()[0].type_(), &Type::RECORD);
    let bytes = row.get::<_, Raw>(0).0;
    let word = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    assert_eq!((word(0), word(4), word(8)), (2, 19, 13), "{bytes:?}");
    assert_eq!(&bytes[12..25], b"driver_record");
    assert_eq!((word(25), word(29), bytes.len()), (3220, 8, 41));
    let slot = client
        .query_one(
            "SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = $1",
            &[&"driver_record"],
        )
        .await
        .unwrap();
    assert_eq!(slot.get::<_, Raw>(0).0, bytes[33..]);
    let row = client
        .query_one("SELECT pg_drop_replication_slot($1)", &[&"driver_record"])
        .await
        .unwrap();
    assert_eq!(row.columns()[0].type_(), &Type::VOID);
    assert_eq!(row.get::<_, Option<Raw>>(0), Some(Raw(vec![])));
}
