//! `pg_settings` and `pg_file_settings`.

use std::sync::Arc;

use crate::catalog::functions::Row;
use crate::catalog::{Context, SettingRow};

use super::Rows;
use super::cell::{NULL, array, row};

/// `pg_settings`
pub(super) fn settings(context: &Arc<Context>) -> Rows {
    let settings = context.host.settings().into_iter();
    settings.map(setting_row).collect::<Vec<Row>>().into()
}

fn setting_row(setting: SettingRow) -> Row {
    row![
        setting.name,
        setting.setting,
        setting.unit,
        setting.category,
        setting.short_desc,
        // extra_desc
        NULL,
        setting.context,
        setting.vartype,
        setting.source,
        setting.min_val,
        setting.max_val,
        setting.enumvals.map(array),
        setting.boot_val,
        setting.reset_val,
        setting.sourcefile,
        setting.sourceline,
        setting.pending_restart,
    ]
}

/// `pg_file_settings`: those that come from the configuration file.
pub(super) fn file_settings(context: &Arc<Context>) -> Rows {
    let settings = context.host.settings().into_iter();
    let from_file = settings.filter(|setting| setting.sourcefile.is_some());
    let rows = (1_i32..).zip(from_file).map(|(number, setting)| {
        let applied = !setting.pending_restart;
        row![
            setting.sourcefile,
            setting.sourceline,
            number,
            setting.name,
            setting.setting,
            applied,
            (!applied).then_some("setting could not be applied"),
        ]
    });
    rows.collect::<Vec<Row>>().into()
}
