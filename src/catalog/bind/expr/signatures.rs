//! Which function a call means, and its arguments as that function takes them.

use super::super::{Binder, Node, Typed, unsupported};
use super::calls::{takes_json, takes_text};
use super::coerce::Coercion;
use super::resolve::{self, Choice};
use super::{runtime, types};
use crate::catalog::functions::{self, Function};
use crate::datum::{Names, PgType};
use crate::pgerror::PgError;

/// What a call names.
pub(super) struct Callee<'c> {
    pub(super) schema: Option<&'c str>,
    pub(super) name: &'c str,
    /// Names of the last arguments.
    pub(super) names: &'c [String],
    /// The last argument is the array that a variadic function would collect.
    pub(super) spread: bool,
}

impl<'c> Callee<'c> {
    /// A function of `pg_catalog`, its arguments by their places.
    pub(super) const fn plain(name: &'c str) -> Self {
        Self {
            schema: None,
            name,
            names: &[],
            spread: false,
        }
    }
}

/// A call whose function is known.
pub(super) struct Resolved {
    pub(super) function: &'static Function,
    /// For each argument of the function: which of the values it is; the rest are defaults.
    slots: Vec<Option<usize>>,
    /// Values from this one on are collected in an array.
    collected: Option<usize>,
    /// What ANYELEMENT and its like stand for.
    pub(super) element: Option<PgType>,
}

impl Binder<'_> {
    /// The function that `name` means over values; the last `names.len()` of them are named.
    pub(super) fn resolve_call(
        &self,
        callee: &Callee<'_>,
        values: &[Typed],
    ) -> Result<Resolved, PgError> {
        let actual: Vec<PgType> = values.iter().map(|value| value.ty).collect();
        let mut candidates = Vec::new();
        let mut signatures = Vec::new();
        for function in self.functions_named(callee.schema, callee.name) {
            if let Some((resolved, types)) = arranged(function, actual.len(), callee) {
                candidates.push(resolved);
                signatures.push(types);
            }
        }
        let described = || describe(callee, &actual);
        match resolve::choose(&signatures, &actual) {
            Choice::One(index) => {
                let mut resolved = candidates.swap_remove(index);
                let types = signatures.swap_remove(index);
                resolved.element = self.element_for(&types, &actual)?;
                Ok(resolved)
            }
            Choice::None => {
                self.schema_exists(callee.schema)?;
                let message = format!("function {} does not exist", described());
                Err(PgError::error("42883", message).with_hint(
                    "No function matches the given name and argument types. \
                     You might need to add explicit type casts.",
                ))
            }
            Choice::Ambiguous => {
                let message = format!("function {} is not unique", described());
                Err(PgError::error("42725", message).with_hint(
                    "Could not choose a best candidate function. \
                     You might need to add explicit type casts.",
                ))
            }
        }
    }

    /// Functions of that name; without a schema those of all schemas that are searched.
    pub(super) fn functions_named(
        &self,
        schema: Option<&str>,
        name: &str,
    ) -> Vec<&'static Function> {
        match schema {
            Some(_) => functions::find(schema, name).to_vec(),
            None => {
                let schemas = self.context.search_path().iter();
                let found = schemas.flat_map(|schema| functions::find(Some(schema), name));
                found.copied().collect()
            }
        }
    }

    fn schema_exists(&self, schema: Option<&str>) -> Result<(), PgError> {
        let Some(schema) = schema else {
            return Ok(());
        };
        let ours = ["pg_catalog", "information_schema", "public", "pgspool"];
        let names = functions::CatalogNames::new(self.context);
        if ours.contains(&schema) || names.oid_of(PgType::REGNAMESPACE, schema).is_some() {
            return Ok(());
        }
        Err(PgError::error(
            "3F000",
            format!("schema \"{schema}\" does not exist"),
        ))
    }

    /// What ANYELEMENT stands for, given what was passed.
    fn element_for(&self, types: &[PgType], actual: &[PgType]) -> Result<Option<PgType>, PgError> {
        let mut elements = Vec::new();
        let mut any = false;
        for (declared, given) in types.iter().zip(actual) {
            if !types::is_polymorphic(*declared) {
                continue;
            }
            any = true;
            let is_array = matches!(*declared, PgType::ANYARRAY | PgType::ANYCOMPATIBLEARRAY);
            if is_array {
                elements.extend(types::element_of(*given));
            } else {
                elements.push(*given);
            }
        }
        if !any {
            return Ok(None);
        }
        if elements.iter().all(|ty| *ty == PgType::UNKNOWN) {
            let message = "could not determine polymorphic type because input has type unknown";
            return Err(PgError::error("42804", message).nowhere());
        }
        self.common_type("ARRAY", elements).map(Some)
    }

    /// The arguments in the function's order, each as its code takes it.
    pub(super) fn call_arguments(
        &self,
        resolved: &Resolved,
        values: Vec<Typed>,
    ) -> Result<Vec<String>, PgError> {
        let function = resolved.function;
        let mut values: Vec<Option<Typed>> = values.into_iter().map(Some).collect();
        let mut texts = Vec::with_capacity(function.args.len());
        for (position, declared) in function.args.iter().enumerate() {
            let last = position.saturating_add(1) == function.args.len();
            if let Some(from) = resolved.collected
                && last
            {
                let element = collected_type(*declared);
                let mut items = Vec::new();
                for value in values.iter_mut().skip(from).filter_map(Option::take) {
                    let item = self.argument(function, value, element, resolved.element)?;
                    let is_text = element == PgType::ANY || types::is_polymorphic(element);
                    items.push(if is_text {
                        item
                    } else {
                        self.as_text(&Typed::of(item, element))
                    });
                }
                texts.push(super::arrays::written(&items));
                continue;
            }
            if function.variadic && last && takes_json(function) {
                return Err(unsupported(&format!("{} of VARIADIC", function.name)));
            }
            let value = match resolved.slots.get(position).copied().flatten() {
                Some(index) => values.get_mut(index).and_then(Option::take),
                None => {
                    let missing = function.args.len().saturating_sub(position);
                    let index = function.defaults.len().checked_sub(missing);
                    index
                        .and_then(|index| function.defaults.get(index))
                        .map(|text| default(text))
                }
            };
            let value =
                value.ok_or_else(|| unsupported(&format!("this call of {}", function.name)))?;
            texts.push(self.argument(function, value, *declared, resolved.element)?);
        }
        Ok(texts)
    }

    /// An argument as JSON text.
    fn as_json(&self, function: &Function, value: Typed) -> Result<String, PgError> {
        let value = self.settled(value)?;
        // Of arrays it puts each on a line of its own.
        let lines = function.name == "json_agg" && types::element_of(value.ty).is_some();
        if lines || matches!(value.ty, PgType::RECORD | PgType::RECORD_ARRAY) {
            let (name, ty) = (function.name, types::display(value.ty));
            return Err(unsupported(&format!("{name} of type {ty}")));
        }
        let (ty, text) = (value.ty.0, value.text());
        Ok(format!("{}({ty}, {text})", runtime::JSON))
    }

    fn argument(
        &self,
        function: &Function,
        value: Typed,
        declared: PgType,
        element: Option<PgType>,
    ) -> Result<String, PgError> {
        let element = element.unwrap_or(PgType::TEXT);
        match declared {
            PgType::ANY | PgType::ANYELEMENT | PgType::ANYARRAY if takes_json(function) => {
                self.as_json(function, value)
            }
            PgType::ANY => {
                let value = self.settled(value)?;
                if takes_text(function) {
                    return Ok(self.as_text(&value));
                }
                Ok(value.text().to_owned())
            }
            PgType::ANYARRAY | PgType::ANYCOMPATIBLEARRAY => {
                // A vector is read as the array that it is.
                if types::element_of(value.ty) == Some(element) {
                    return Ok(value.text().to_owned());
                }
                let array = types::array_of(element).unwrap_or(PgType::TEXT_ARRAY);
                Ok(self
                    .coerce(value, array, Coercion::Implicit)?
                    .text()
                    .to_owned())
            }
            PgType::ANYELEMENT | PgType::ANYNONARRAY | PgType::ANYCOMPATIBLE => {
                let value = self.coerce(value, element, Coercion::Implicit)?;
                if takes_text(function) {
                    return Ok(self.as_text(&value));
                }
                Ok(value.text().to_owned())
            }
            ty => Ok(self
                .coerce(value, ty, Coercion::Implicit)?
                .text()
                .to_owned()),
        }
    }
}

/// A default as its table has it: a literal of SQL.
fn default(text: &str) -> Typed {
    let node = match text
        .strip_prefix('\'')
        .and_then(|rest| rest.strip_suffix('\''))
    {
        Some(inner) => Node::Literal(inner.replace("''", "'")),
        None if text.eq_ignore_ascii_case("null") => Node::Null,
        None => Node::Literal(text.to_owned()),
    };
    Typed::with(node, PgType::UNKNOWN)
}

/// How values fit into a function's arguments, and the types that they must have; `None` if their
/// number or names do not fit.
fn arranged(
    function: &'static Function,
    num_values: usize,
    callee: &Callee<'_>,
) -> Option<(Resolved, Vec<PgType>)> {
    let names = callee.names;
    if callee.spread && (!function.variadic || num_values != function.args.len()) {
        return None;
    }
    let num_args = function.args.len();
    let mut resolved = Resolved {
        function,
        slots: vec![None; num_args],
        collected: None,
        element: None,
    };
    let num_fixed = num_args.saturating_sub(1);
    if function.variadic && !callee.spread && names.is_empty() && num_values >= num_args {
        let (last, fixed) = function.args.split_last()?;
        for (index, slot) in resolved.slots.iter_mut().take(num_fixed).enumerate() {
            *slot = Some(index);
        }
        resolved.collected = Some(num_fixed);
        let mut types = fixed.to_vec();
        types.resize(num_values, collected_type(*last));
        return Some((resolved, types));
    }
    if num_values > num_args {
        return None;
    }
    let num_positional = num_values.checked_sub(names.len())?;
    let mut types = Vec::with_capacity(num_values);
    for index in 0..num_values {
        let position = match index.checked_sub(num_positional) {
            None => index,
            Some(named) => {
                let name = names.get(named)?;
                function.arg_names.iter().position(|known| known == name)?
            }
        };
        let slot = resolved.slots.get_mut(position)?;
        if slot.replace(index).is_some() {
            return None;
        }
        types.push(*function.args.get(position)?);
    }
    let num_required = num_args.saturating_sub(function.defaults.len());
    let complete = resolved
        .slots
        .iter()
        .take(num_required)
        .all(Option::is_some);
    complete.then_some((resolved, types))
}

fn describe(callee: &Callee<'_>, actual: &[PgType]) -> String {
    let names = callee.names;
    let num_positional = actual.len().saturating_sub(names.len());
    let args: Vec<String> = actual
        .iter()
        .enumerate()
        .map(|(index, ty)| {
            let ty = types::display(*ty);
            let named = index
                .checked_sub(num_positional)
                .and_then(|index| names.get(index));
            named.map_or(ty.clone(), |name| format!("{name} => {ty}"))
        })
        .collect();
    let schema = callee
        .schema
        .map_or(String::new(), |schema| format!("{schema}."));
    format!("{schema}{}({})", callee.name, args.join(", "))
}

/// The type of what a variadic argument collects.
fn collected_type(array: PgType) -> PgType {
    match array {
        PgType::ANY => PgType::ANY,
        PgType::ANYARRAY => PgType::ANYELEMENT,
        _ => types::element_of(array).unwrap_or(PgType::TEXT),
    }
}
