//! Query texts over an engine in memory.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::{Executor, prepare, testing};
use crate::datum::Datum;
use crate::engine::{Engine, EngineOptions};

/// A longer text is only prepared.
const MAX_RUN: usize = 200;
/// Rows of an answer that are asked for.
const MAX_ROWS: usize = 20;
/// With these a short text may ask for very much; it is only prepared.
const MUCH: &[&str] = &[
    "from", "with", "union", "series", "repeat", "pad", "sleep", "wait",
];

thread_local! {
    static SESSION: RefCell<(Arc<Engine>, Executor)> = RefCell::new({
        (testing::engine(EngineOptions::default()).0, Executor::new(2))
    });
}

/// Parses and binds the text; runs it if it only looks, and not at much.
pub(crate) fn fuzz(text: &str) {
    SESSION.with_borrow_mut(|(engine, executor)| {
        let context = testing::context(engine);
        let Ok(prepared) = prepare(&context, text, &[]) else {
            return;
        };
        let lower = text.to_lowercase();
        let is_much = text.len() > MAX_RUN || MUCH.iter().any(|word| lower.contains(word));
        if is_much || prepared.acts {
            return;
        }
        let params = vec![Datum::Null; prepared.params.len()];
        let mut num_rows = 0;
        let _refused = executor.run(&context, &prepared, &params, &mut |_| {
            num_rows += 1;
            if num_rows < MAX_ROWS {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        });
    });
}
