//! The views of the schema `pgspool`.

use crate::datum::{PgType, type_by_name};

use super::{Source, View, captures, slots, spools, streams};

/// A line for each view (name, description), then one for each of its columns (name, type,
/// description). A view keeps its place, and with it its OID: new ones go to the end.
const PGSPOOL: &str = include_str!("pgspool.tsv");

const FIRST_OID: u32 = 9001;
const FIRST_ROW_TYPE: u32 = 9101;
const FIRST_ARRAY_TYPE: u32 = 9201;

/// All views of ours.
pub(super) fn views() -> Vec<View> {
    let mut oids = (FIRST_OID..).zip(FIRST_ROW_TYPE..).zip(FIRST_ARRAY_TYPE..);
    let mut views: Vec<View> = Vec::new();
    for line in PGSPOOL.lines() {
        let mut fields = line.split('\t');
        match (fields.next(), fields.next(), fields.next(), fields.next()) {
            (Some("view"), Some(name), description, None) => {
                let Some(((oid, row_type_oid), array_type_oid)) = oids.next() else {
                    break;
                };
                views.push(View {
                    schema: "pgspool",
                    name,
                    oid,
                    row_type_oid,
                    array_type_oid,
                    kind: 'v',
                    columns: Vec::new(),
                    attributes: Vec::new(),
                    description,
                    source: source(name),
                });
            }
            (_, Some(name), Some(ty), description) => {
                let ty = type_by_name(ty).unwrap_or(PgType::UNKNOWN);
                if let Some(view) = views.last_mut() {
                    view.push(name, ty, description);
                }
            }
            _other => {}
        }
    }
    views
}

fn source(name: &str) -> Source {
    Source::Rows(match name {
        "slots" => slots::own_slots,
        "segments" => spools::segments,
        "replicas" => streams::replicas,
        "commit_waits" => streams::commit_waits,
        "databases" => spools::databases,
        "producers" => spools::producers,
        "topology" => streams::topology,
        "captures" => captures::captures,
        _changes => return Source::Changes,
    })
}
