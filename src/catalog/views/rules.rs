//! `pg_hba_file_rules` and `pg_ident_file_mappings`: what the files say now, mistakes included,
//! whether it counts already or not.

use std::sync::Arc;

use crate::catalog::Context;
use crate::catalog::functions::Row;
use crate::datum::Datum;
use crate::hba::{Address, ConnectionType, HbaError, HbaRule, HbaRules, IdentMaps};

use super::Rows;
use super::cell::{NULL, array, row};

/// `pg_hba_file_rules`
pub(super) fn hba(context: &Arc<Context>) -> Rows {
    let text = context.host.hba_text();
    let lines = HbaRules::parse_lines(&text).into_iter();
    lines
        .map(|line| match line {
            Ok(rule) => rule_row(&rule),
            Err(HbaError { line, message }) => {
                row![
                    line_number(line),
                    NULL,
                    NULL,
                    NULL,
                    NULL,
                    NULL,
                    NULL,
                    NULL,
                    message
                ]
            }
        })
        .collect::<Vec<Row>>()
        .into()
}

fn rule_row(rule: &HbaRule) -> Row {
    let (address, netmask) = match (rule.connection, rule.address) {
        (ConnectionType::Local, _) => (None, None),
        (_, Address::All) => (Some("all".to_owned()), None),
        (_, Address::Net(net)) => (
            Some(net.addr().to_string()),
            Some(net.netmask().to_string()),
        ),
    };
    let options = rule.options();
    row![
        line_number(rule.line),
        rule.connection.name(),
        array(rule.databases.iter().map(ToString::to_string)),
        array(rule.users.iter().map(ToString::to_string)),
        address,
        netmask,
        rule.method.name(),
        if options.is_empty() {
            NULL
        } else {
            array(options)
        },
        NULL,
    ]
}

/// `pg_ident_file_mappings`
pub(super) fn ident(context: &Arc<Context>) -> Rows {
    let text = context.host.ident_text();
    let lines = IdentMaps::parse_lines(&text).into_iter();
    lines
        .map(|line| match line {
            Ok(map) => row![
                line_number(map.line),
                map.map,
                map.system_user,
                map.role,
                NULL
            ],
            Err(HbaError { line, message }) => {
                row![line_number(line), NULL, NULL, NULL, message]
            }
        })
        .collect::<Vec<Row>>()
        .into()
}

fn line_number(line: u32) -> Datum {
    Datum::Int(i64::from(line))
}
