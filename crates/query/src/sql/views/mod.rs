//! The views: what they are called, their columns, and how they are made of the stored columns.

use std::sync::Arc;

use datafusion::datasource::ViewTable;
use datafusion::error::Result;
use datafusion::execution::SessionState;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use decklog_store::table::COLUMNS;

mod columns;

pub use columns::{VIEWS, View, ViewColumn};

const EVENTS: &str = include_str!("events.sql");
const REQUESTS: &str = include_str!("requests.sql");

/// The name of the stored columns inside [`EVENTS`].
pub(super) const STORED: &str = "stored";

/// The view `events`; `state` has the stored columns and the functions of views.
pub(super) async fn events(state: &SessionState) -> Result<Arc<ViewTable>> {
    let columns: Vec<&str> = COLUMNS.iter().map(|info| info.name).collect();
    view(state, &EVENTS.replace("{columns}", &columns.join(", "))).await
}

/// The view `requests`; `state` has the view `events`.
pub(super) async fn requests(state: &SessionState) -> Result<Arc<ViewTable>> {
    view(state, REQUESTS).await
}

async fn view(state: &SessionState, text: &str) -> Result<Arc<ViewTable>> {
    let statement = Parser::new(&PostgreSqlDialect {}).try_with_sql(text)?.parse_statement()?;
    let plan = state.statement_to_plan(Statement::Statement(Box::new(statement))).await?;
    Ok(Arc::new(ViewTable::new(plan, None)))
}
