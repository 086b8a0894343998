//! OVER: partitions, order and frames.

use sqlparser::ast::{Ident, WindowFrameBound, WindowFrameUnits, WindowSpec, WindowType};

use super::super::{Binder, Scope, unsupported};
use super::coerce::Coercion;
use crate::datum::PgType;
use crate::pgerror::PgError;

impl Binder<'_> {
    /// ` OVER (...)`
    pub(super) fn window(&self, scope: &Scope<'_>, window: &WindowType) -> Result<String, PgError> {
        match window {
            WindowType::WindowSpec(spec) => {
                Ok(format!(" OVER ({})", self.window_spec(scope, spec)?))
            }
            WindowType::NamedWindow(ident) => {
                let spec = self.named_window(scope, ident)?;
                Ok(format!(" OVER ({})", self.window_spec(scope, spec)?))
            }
        }
    }

    fn named_window<'s>(
        &self,
        scope: &'s Scope<'_>,
        ident: &Ident,
    ) -> Result<&'s WindowSpec, PgError> {
        let name = super::types::folded(ident);
        let mut windows = scope.windows.iter();
        let Some((_, spec)) = windows.find(|(other, _)| *other == name) else {
            let message = format!("window \"{name}\" does not exist");
            return Err(self.at(ident.span, PgError::error("42704", message)));
        };
        Ok(spec)
    }

    /// `(w ORDER BY ...)`: the window `w` with what is added to it.
    fn window_over(
        &self,
        scope: &Scope<'_>,
        base: &Ident,
        spec: &WindowSpec,
    ) -> Result<String, PgError> {
        let name = super::types::folded(base);
        let mut whole = self.named_window(scope, base)?.clone();
        let parenthesis = self.lines.find_last(None, base.span.start, "(");
        let refused = |what: String| {
            let error = PgError::error("42P20", what);
            Err(match parenthesis {
                Some(position) => error.at(position),
                None => self.at(base.span, error),
            })
        };
        if !spec.partition_by.is_empty() {
            return refused(format!(
                "cannot override PARTITION BY clause of window \"{name}\""
            ));
        }
        if !spec.order_by.is_empty() {
            if !whole.order_by.is_empty() {
                return refused(format!(
                    "cannot override ORDER BY clause of window \"{name}\""
                ));
            }
            whole.order_by.clone_from(&spec.order_by);
        }
        if whole.window_frame.is_some() {
            return refused(format!(
                "cannot copy window \"{name}\" because it has a frame clause"
            ));
        }
        whole.window_frame.clone_from(&spec.window_frame);
        self.window_spec(scope, &whole)
    }

    fn window_spec(&self, scope: &Scope<'_>, spec: &WindowSpec) -> Result<String, PgError> {
        if let Some(base) = &spec.window_name {
            return self.window_over(scope, base, spec);
        }
        let mut parts = Vec::new();
        if !spec.partition_by.is_empty() {
            let keys: Result<Vec<String>, PgError> = spec
                .partition_by
                .iter()
                .map(|e| self.sort_key(&self.settled(self.expr(scope, e)?)?))
                .collect();
            parts.push(format!("PARTITION BY {}", keys?.join(", ")));
        }
        if !spec.order_by.is_empty() {
            parts.push(format!(
                "ORDER BY {}",
                self.order(scope, &spec.order_by)?.join(", ")
            ));
        }
        if let Some(frame) = &spec.window_frame {
            let units = match frame.units {
                WindowFrameUnits::Rows => "ROWS",
                WindowFrameUnits::Range => "RANGE",
                WindowFrameUnits::Groups => "GROUPS",
            };
            let offsets = frame.units != WindowFrameUnits::Range;
            let start = self.bound(scope, &frame.start_bound, offsets)?;
            parts.push(match &frame.end_bound {
                Some(end) => {
                    let end = self.bound(scope, end, offsets)?;
                    format!("{units} BETWEEN {start} AND {end}")
                }
                None => format!("{units} {start}"),
            });
        }
        Ok(parts.join(" "))
    }

    fn bound(
        &self,
        scope: &Scope<'_>,
        bound: &WindowFrameBound,
        offsets: bool,
    ) -> Result<String, PgError> {
        let (offset, word) = match bound {
            WindowFrameBound::CurrentRow => return Ok("CURRENT ROW".to_owned()),
            WindowFrameBound::Preceding(offset) => (offset, "PRECEDING"),
            WindowFrameBound::Following(offset) => (offset, "FOLLOWING"),
        };
        let Some(offset) = offset else {
            return Ok(format!("UNBOUNDED {word}"));
        };
        if !offsets {
            return Err(unsupported("a RANGE with an offset"));
        }
        let value = self.expr(scope, offset)?;
        let value = self.coerce(value, PgType::INT8, Coercion::Implicit)?;
        Ok(format!("{} {word}", value.text()))
    }
}
