//! Reads the upstream's catalogs, at one moment of them.

use super::Seen;
use super::{SeenColumn, SeenKey, SeenMember, SeenPublication, SeenSchema, SeenTable, SeenType};
use crate::capture::upstream::{Connection, Rows, UpstreamError, literal};
use crate::datum::{PgType, info};
use crate::lsn::Lsn;

/// The first version with column lists, row filters and whole schemas.
const COLUMN_LISTS: u32 = 150_000;

/// Columns of the tables of the publications in `{}`, as far as they are published.
const COLUMNS: &str = "\
    SELECT DISTINCT a.attrelid, a.attnum, a.attname, a.atttypid, a.atttypmod, a.attnotnull \
    FROM pg_publication_tables p \
    JOIN pg_namespace n ON n.nspname = p.schemaname \
    JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename \
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
    WHERE p.pubname IN ({names}) AND {listed} ORDER BY a.attrelid, a.attnum";

const TABLES: &str = "\
    SELECT c.oid, n.oid, n.nspname, c.relname, c.relreplident, c.reltype, t.typarray \
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
    LEFT JOIN pg_type t ON t.oid = c.reltype \
    WHERE c.oid IN ({oids}) ORDER BY c.oid";

const KEYS: &str = "\
    SELECT i.indrelid, i.indexrelid, c.relname, i.indisprimary, i.indisreplident, i.indimmediate, \
    i.indkey, i.indnkeyatts, (SELECT k.oid FROM pg_constraint k WHERE k.conindid = i.indexrelid \
    AND k.contype IN ('p', 'u') ORDER BY k.oid LIMIT 1) \
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
    WHERE i.indrelid IN ({oids}) AND i.indisunique AND i.indisvalid \
    AND i.indpred IS NULL AND i.indexprs IS NULL ORDER BY i.indexrelid";

const TYPES: &str = "\
    WITH RECURSIVE base (oid, below) AS (SELECT t.oid, t.oid FROM pg_type t WHERE t.oid IN ({oids}) \
    UNION ALL SELECT b.oid, t.typbasetype FROM base b JOIN pg_type t ON t.oid = b.below \
    WHERE t.typtype = 'd') \
    SELECT b.oid, n.nspname, t.typname, format_type(b.oid, NULL) FROM base b \
    JOIN pg_type t ON t.oid = b.below JOIN pg_namespace n ON n.oid = t.typnamespace \
    WHERE t.typtype <> 'd' ORDER BY b.oid";

const PUBLICATIONS: &str = "\
    SELECT oid, pubname, puballtables, pubinsert, pubupdate, pubdelete, pubtruncate, pubviaroot \
    FROM pg_publication ORDER BY oid";

const SCHEMAS: &str = "\
    SELECT m.pnpubid, m.oid, n.oid, n.nspname FROM pg_publication_namespace m \
    JOIN pg_namespace n ON n.oid = m.pnnspid ORDER BY m.oid";

/// Tables of all publications: a partition has what is said of the nearest table above it.
const MEMBERS: &str = "\
    SELECT b.oid, c.oid, n.oid, m.oid, {list} FROM pg_publication_tables p \
    JOIN pg_publication b ON b.pubname = p.pubname \
    JOIN pg_namespace n ON n.nspname = p.schemaname \
    JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename \
    LEFT JOIN LATERAL (SELECT r.* FROM pg_publication_rel r WHERE r.prpubid = b.oid \
    AND (r.prrelid = c.oid OR r.prrelid IN \
    (SELECT a.relid FROM pg_partition_ancestors(c.oid) a)) \
    ORDER BY r.prrelid <> c.oid, r.oid LIMIT 1) m ON true \
    ORDER BY b.oid, c.oid";

const WITH_LISTS: &str = "p.rowfilter, m.prattrs IS NOT NULL, to_json(p.attnames)";

const WITHOUT_LISTS: &str = "NULL, false, '[]'";

const POSITION: &str = "\
    SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() \
    ELSE pg_current_wal_insert_lsn() END";

impl Seen {
    /// Looks at the catalogs for what `captured`, names of publications, publish.
    pub(in crate::capture) async fn look(
        connection: &mut Connection,
        captured: &[String],
    ) -> Result<Self, UpstreamError> {
        let before = position(connection).await?;
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        connection.query(begin.to_owned()).await?;
        let mut seen = Self {
            before,
            ..Self::default()
        };
        seen.read(connection, captured).await?;
        connection.query("COMMIT".to_owned()).await?;
        seen.after = position(connection).await?;
        Ok(seen)
    }

    async fn read(
        &mut self,
        connection: &mut Connection,
        captured: &[String],
    ) -> Result<(), UpstreamError> {
        let has_lists = connection.version() >= COLUMN_LISTS;
        let names: Vec<_> = captured.iter().map(|name| literal(name)).collect();
        let listed = match has_lists {
            true => "a.attname = ANY (p.attnames)",
            false => "a.attgenerated = ''",
        };
        let sql = COLUMNS.replace("{names}", &names.join(", "));
        let columns = connection.query(sql.replace("{listed}", listed)).await?;
        let of = |row: &Fields| (row.number::<u32>(0), column(row));
        let columns: Vec<_> = fields(columns).iter().map(of).collect();
        if !columns.is_empty() {
            let oids = list(columns.iter().map(|(table, _)| *table));
            let tables = connection.query(TABLES.replace("{oids}", &oids)).await?;
            let keys = connection.query(KEYS.replace("{oids}", &oids)).await?;
            let keys = fields(keys);
            for row in fields(tables) {
                self.tables.push(table(&row, &columns, &keys));
            }
            let foreign = columns.iter().map(|(_, column)| column.type_oid);
            let foreign = list(foreign.filter(|oid| info(PgType(*oid)).is_none()));
            if !foreign.is_empty() {
                let types = connection.query(TYPES.replace("{oids}", &foreign)).await?;
                self.types = fields(types).iter().map(type_of).collect();
            }
        }
        self.read_publications(connection, has_lists).await
    }

    async fn read_publications(
        &mut self,
        connection: &mut Connection,
        has_lists: bool,
    ) -> Result<(), UpstreamError> {
        let publications = connection.query(PUBLICATIONS.to_owned()).await?;
        self.publications = fields(publications).iter().map(publication).collect();
        let list = if has_lists { WITH_LISTS } else { WITHOUT_LISTS };
        let members = connection.query(MEMBERS.replace("{list}", list)).await?;
        for row in fields(members) {
            if let Some(publication) = self.publication_mut(row.number(0)) {
                publication.tables.push(member(&row));
            }
        }
        if !has_lists {
            return Ok(());
        }
        let schemas = connection.query(SCHEMAS.to_owned()).await?;
        for row in fields(schemas) {
            if let Some(publication) = self.publication_mut(row.number(0)) {
                let schema = SeenSchema {
                    oid: row.number(2),
                    name: row.text(3),
                };
                publication.schemas.push((row.number(1), schema));
            }
        }
        Ok(())
    }

    fn publication_mut(&mut self, oid: u32) -> Option<&mut SeenPublication> {
        let mut all = self.publications.iter_mut();
        all.find(|publication| publication.oid == oid)
    }
}

async fn position(connection: &mut Connection) -> Result<Lsn, UpstreamError> {
    let rows = connection.query(POSITION.to_owned()).await?;
    let text = rows.first().and_then(|row| row.first()?.as_deref());
    let position = text.and_then(|text| text.parse().ok());
    position.ok_or_else(|| UpstreamError::new("the upstream told no position of its WAL"))
}

/// The fields of a row of a catalog. What is no value of its type cannot come from there, and is
/// nothing here.
struct Fields(Vec<Option<String>>);

fn fields(rows: Rows) -> Vec<Fields> {
    rows.into_iter().map(Fields).collect()
}

impl Fields {
    fn get(&self, at: usize) -> Option<&str> {
        self.0.get(at)?.as_deref()
    }

    fn text(&self, at: usize) -> String {
        self.get(at).unwrap_or_default().to_owned()
    }

    fn number<N: std::str::FromStr + Default>(&self, at: usize) -> N {
        let parsed = self.get(at).and_then(|text| text.parse().ok());
        parsed.unwrap_or_default()
    }

    fn flag(&self, at: usize) -> bool {
        self.get(at) == Some("t")
    }

    /// An int2vector.
    fn numbers(&self, at: usize) -> Vec<i16> {
        let text = self.get(at).unwrap_or_default();
        let words = text.split_whitespace();
        words.filter_map(|word| word.parse().ok()).collect()
    }
}

/// OIDs once each, for IN.
fn list(oids: impl Iterator<Item = u32>) -> String {
    let oids: std::collections::BTreeSet<u32> = oids.collect();
    let oids: Vec<_> = oids.iter().map(ToString::to_string).collect();
    oids.join(", ")
}

fn column(row: &Fields) -> SeenColumn {
    SeenColumn {
        number: row.number(1),
        name: row.text(2),
        type_oid: row.number(3),
        typmod: row.number(4),
        not_null: row.flag(5),
    }
}

fn table(row: &Fields, columns: &[(u32, SeenColumn)], keys: &[Fields]) -> SeenTable {
    let oid = row.number(0);
    let columns = columns.iter().filter(|(table, _)| *table == oid);
    let keys = keys.iter().filter(|key| key.number::<u32>(0) == oid);
    SeenTable {
        oid,
        schema: SeenSchema {
            oid: row.number(1),
            name: row.text(2),
        },
        name: row.text(3),
        identity: row
            .get(4)
            .and_then(|text| text.bytes().next())
            .unwrap_or(b'd'),
        row_type: row.number(5),
        array_type: row.number(6),
        columns: columns.map(|(_, column)| column.clone()).collect(),
        keys: keys.map(key).collect(),
    }
}

fn key(row: &Fields) -> SeenKey {
    // Columns behind the key's own are only carried along.
    let mut columns = row.numbers(6);
    columns.truncate(row.number(7));
    SeenKey {
        index_oid: row.number(1),
        name: row.text(2),
        primary: row.flag(3),
        identity: row.flag(4),
        immediate: row.flag(5),
        columns,
        constraint_oid: row.number(8),
    }
}

fn type_of(row: &Fields) -> SeenType {
    // Without a search path every schema is said; here `public` is on it.
    let format_name = row.text(3);
    let short = format_name.strip_prefix("public.");
    SeenType {
        oid: row.number(0),
        schema: row.text(1),
        name: row.text(2),
        format_name: short.unwrap_or(&format_name).to_owned(),
    }
}

fn publication(row: &Fields) -> SeenPublication {
    SeenPublication {
        oid: row.number(0),
        name: row.text(1),
        all_tables: row.flag(2),
        insert: row.flag(3),
        update: row.flag(4),
        delete: row.flag(5),
        truncate: row.flag(6),
        via_root: row.flag(7),
        schemas: Vec::new(),
        tables: Vec::new(),
    }
}

fn member(row: &Fields) -> SeenMember {
    let table = row.number(1);
    let names = || serde_json::from_str(row.get(6).unwrap_or("[]")).unwrap_or_default();
    SeenMember {
        oid: row.get(3).map_or(table, |_| row.number(3)),
        table,
        schema: row.number(2),
        filter: row.get(4).map(str::to_owned),
        columns: row.flag(5).then(names),
    }
}
