//! What keeps a small text from making huge values: every function of a question is one of a list, and those that make
//! more than they are given are measured before they are called.
//!
//! The memory pool knows what operators hold, not what a function makes of one batch: `repeat('x', 1000000000)` is one
//! value, and thirty subqueries that each double a text make a gigabyte of a word. So [`guarded`] walks over the plan
//! before it is optimised and puts a [`Guarded`] function in the place of each that can grow.

mod growth;
mod wrapped;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::{DataFusionError, Result};
use datafusion::functions::regex::regexp_like;
use datafusion::functions::string::concat;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator, ScalarUDF, lit};
use decklog_audit::search::{SqlError, SqlErrorKind};

pub(super) use self::growth::{Growth, slice_bytes};
use self::wrapped::Guarded;

/// The functions a question may use beside decklog's own, by how much they make of what they get.
pub(super) const ALLOWED: &[(Growth, &[&str])] = &[
    (
        Growth::None,
        &[
            "abs",
            "acos",
            "acosh",
            "array_any_value",
            "array_compact",
            "array_dims",
            "array_distinct",
            "array_element",
            "array_except",
            "array_has",
            "array_has_all",
            "array_has_any",
            "array_intersect",
            "array_length",
            "array_max",
            "array_min",
            "array_ndims",
            "array_pop_back",
            "array_pop_front",
            "array_position",
            "array_positions",
            "array_remove",
            "array_remove_all",
            "array_remove_n",
            "array_reverse",
            "array_slice",
            "array_sort",
            "arrow_typeof",
            "ascii",
            "asin",
            "asinh",
            "atan",
            "atan2",
            "atanh",
            "bit_length",
            "btrim",
            "cardinality",
            "cbrt",
            "ceil",
            "character_length",
            "chr",
            "coalesce",
            "contains",
            "cos",
            "cosh",
            "cot",
            "current_date",
            "current_time",
            "date_bin",
            "date_part",
            "date_trunc",
            "decode",
            "degrees",
            "empty",
            "ends_with",
            "exp",
            "factorial",
            "find_in_set",
            "flatten",
            "floor",
            "from_unixtime",
            "gcd",
            "get_field",
            "greatest",
            "initcap",
            "isnan",
            "iszero",
            "lcm",
            "least",
            "left",
            "ln",
            "log",
            "log10",
            "log2",
            "lower",
            "ltrim",
            "make_date",
            "make_time",
            "map_extract",
            "map_keys",
            "map_values",
            "nanvl",
            "now",
            "nullif",
            "nvl",
            "nvl2",
            "octet_length",
            "pi",
            "power",
            "radians",
            "random",
            "reverse",
            "right",
            "round",
            "rtrim",
            "signum",
            "sin",
            "sinh",
            "split_part",
            "sqrt",
            "starts_with",
            "strpos",
            "substr",
            "substr_index",
            "tan",
            "tanh",
            "to_date",
            "to_hex",
            "to_local_time",
            "to_time",
            "to_timestamp",
            "to_timestamp_micros",
            "to_timestamp_millis",
            "to_timestamp_nanos",
            "to_timestamp_seconds",
            "to_unixtime",
            "translate",
            "trunc",
            "upper",
        ],
    ),
    (
        Growth::Sum,
        &[
            "array_append",
            "array_concat",
            "array_prepend",
            "array_replace",
            "array_replace_all",
            "array_replace_n",
            "array_union",
            "concat",
            "concat_ws",
            "encode",
            "make_array",
            "named_struct",
            "overlay",
            "string_to_array",
            "struct",
        ],
    ),
    (Growth::Repeated, &["array_repeat", "array_resize", "repeat"]),
    (Growth::Padded, &["lpad", "rpad"]),
    (Growth::Replaced, &["regexp_replace", "replace"]),
    (Growth::Joined, &["array_to_string"]),
    (Growth::Formatted, &["to_char"]),
    (Growth::Slow, &["regexp_count", "regexp_instr", "regexp_like", "regexp_match"]),
];

/// The plan with guarded functions. They give up soon after `ended` is set.
///
/// # Errors
/// When a function is none of [`ALLOWED`].
pub(super) fn guarded(plan: LogicalPlan, ended: &Arc<AtomicBool>) -> Result<LogicalPlan> {
    let of_node = |node: LogicalPlan| {
        let names = NamePreserver::new(&node);
        node.map_expressions(|expr| {
            let name = names.save(&expr);
            Ok(expr.transform_up(|expr| guard(expr, ended))?.update_data(|expr| name.restore(expr)))
        })
    };
    Ok(plan.transform_up_with_subqueries(of_node)?.data)
}

fn guard(expr: Expr, ended: &Arc<AtomicBool>) -> Result<Transformed<Expr>> {
    match expr {
        Expr::ScalarFunction(call) => {
            let Some(growth) = growth_of(&call.func)? else { return Ok(Transformed::no(Expr::ScalarFunction(call))) };
            Ok(Transformed::yes(wrap(&call.func, growth, call.args, ended)))
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let (ignore_case, negate) = match op {
                // Unlike the function, the operator gives NULL where one side is.
                Operator::StringConcat => {
                    let either_null = left.clone().is_null().or(right.clone().is_null());
                    let joined = wrap(&concat(), Growth::Sum, vec![*left, *right], ended);
                    let null = lit(datafusion::common::ScalarValue::Utf8(None));
                    return Ok(Transformed::yes(datafusion::logical_expr::when(either_null, null).otherwise(joined)?));
                }
                Operator::RegexMatch => (false, false),
                Operator::RegexIMatch => (true, false),
                Operator::RegexNotMatch => (false, true),
                Operator::RegexNotIMatch => (true, true),
                _ => return Ok(Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right }))),
            };
            let mut arguments = vec![*left, *right];
            if ignore_case {
                arguments.push(lit("i"));
            }
            let like = wrap(&regexp_like(), Growth::Slow, arguments, ended);
            Ok(Transformed::yes(if negate { Expr::Not(Box::new(like)) } else { like }))
        }
        other => Ok(Transformed::no(other)),
    }
}

fn wrap(function: &Arc<ScalarUDF>, growth: Growth, args: Vec<Expr>, ended: &Arc<AtomicBool>) -> Expr {
    let guarded = Guarded::new(Arc::clone(function), growth, Arc::clone(ended));
    Expr::ScalarFunction(ScalarFunction { func: Arc::new(ScalarUDF::from(guarded)), args })
}

/// How much a function can make; `None` where it needs no guard.
fn growth_of(function: &ScalarUDF) -> Result<Option<Growth>> {
    if super::functions::is_own(function.name()) || function.inner().is::<Guarded>() {
        return Ok(None);
    }
    let found = ALLOWED.iter().find(|(_, names)| names.contains(&function.name()));
    match found {
        Some((Growth::None, _)) => Ok(None),
        Some((growth, _)) => Ok(Some(*growth)),
        None => Err(DataFusionError::External(Box::new(SqlError {
            help: Some("docs/sql.md lists the functions there are".to_owned()),
            ..SqlError::new(SqlErrorKind::Forbidden, format!("the function `{}` is not available here", function.name()))
        }))),
    }
}

#[cfg(test)]
mod tests {
    use datafusion::execution::SessionStateDefaults;

    use super::*;

    #[test]
    fn every_allowed_function_exists_once() {
        let known = SessionStateDefaults::default_scalar_functions();
        let mut seen = std::collections::HashSet::new();
        let names = || ALLOWED.iter().flat_map(|(_, names)| names.iter());
        for name in names() {
            assert!(seen.insert(name), "`{name}` stands twice");
        }
        let missing: Vec<_> = names().filter(|name| !known.iter().any(|function| function.name() == **name)).collect();
        assert!(missing.is_empty(), "there are no {missing:?}");
    }
}
