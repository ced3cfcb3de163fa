//! The planner's session: what a question may name, and the rules by which it is planned.
//!
//! Views are planned and optimised once; the session of each question says which snapshot they read. A question that names
//! its columns sees views of these alone: every rule of the planner looks at all columns there are.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datafusion::catalog::memory::{MemoryCatalogProvider, MemoryCatalogProviderList, MemorySchemaProvider};
use datafusion::catalog::{CatalogProvider, CatalogProviderList, SchemaProvider};
use datafusion::common::Column;
use datafusion::datasource::{TableProvider, ViewTable};
use datafusion::error::Result;
use datafusion::execution::SessionStateDefaults;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::{AggregateUDF, Expr, LogicalPlanBuilder, ScalarUDF, WindowUDF};
use datafusion::optimizer::{Optimizer, OptimizerRule};
use datafusion::prelude::SessionConfig;
use decklog_audit::Timestamp;
use tokio::sync::OnceCell;

use super::counted::CountHeld;
use super::functions::{self, MatchStoredRows};
use super::statement::Words;
use super::stored::{Reading, StoredEvents};
use super::views::{self, STORED, VIEWS};
use super::yielding::Yielding;

const CATALOG: &str = "decklog";
const SCHEMA: &str = "public";
/// What a question reads that names no column: small, and never missing.
const ANY_COLUMN: &str = "seq";
/// Views of some columns that are kept for the next question.
const MAX_NARROW: usize = 256;

/// What is the same for all questions.
pub(super) struct Planner {
    n_threads: usize,
    scalars: Vec<Arc<ScalarUDF>>,
    aggregates: Vec<Arc<AggregateUDF>>,
    windows: Vec<Arc<WindowUDF>>,
    rules: Vec<Arc<dyn OptimizerRule + Send + Sync>>,
    views: OnceCell<[Arc<ViewTable>; 2]>,
    /// Views of some columns, by view and by the columns as bits.
    narrow: Mutex<HashMap<(usize, u64), Arc<ViewTable>>>,
}

impl Planner {
    /// Plans for that many threads.
    pub(super) fn new(n_threads: usize) -> Self {
        let mut aggregates = SessionStateDefaults::default_aggregate_functions();
        aggregates.extend(functions::aggregates());
        Self {
            n_threads,
            scalars: SessionStateDefaults::default_scalar_functions(),
            aggregates,
            windows: SessionStateDefaults::default_window_functions(),
            rules: optimizer_rules(),
            views: OnceCell::new(),
            narrow: Mutex::default(),
        }
    }

    /// The session of one question, which names no columns but those among its `words`; `None` is any.
    ///
    /// # Errors
    /// When the views cannot be planned.
    pub(super) async fn session(&self, reading: Reading, environment: Arc<RuntimeEnv>, now: Timestamp, words: Option<&Words>) -> Result<SessionState> {
        let whole = self.views.get_or_try_init(|| self.plan_views(&environment)).await?;
        let mut views = Vec::with_capacity(whole.len());
        for (index, (info, view)) in VIEWS.iter().zip(whole).enumerate() {
            let view = match words.filter(|words| words.contains(info.name)) {
                Some(words) => self.narrowed(index, view, words, &environment)?,
                None => Arc::clone(view),
            };
            views.push((info.name, view as Arc<dyn TableProvider>));
        }
        let config = self.config().with_extension(Arc::new(reading));
        Ok(self.state(config, catalogs(&views)?, &environment, functions::public(now)))
    }

    /// The view with those of its columns that are among `words`.
    fn narrowed(&self, index: usize, view: &Arc<ViewTable>, words: &Words, environment: &Arc<RuntimeEnv>) -> Result<Arc<ViewTable>> {
        let columns = VIEWS[index].columns;
        let is_asked = |name: &str| words.contains(name);
        let mut bits = (0..columns.len().min(64)).filter(|at| is_asked(columns[*at].name)).fold(0, |bits, at| bits | 1_u64 << at);
        if columns.len() > 64 || bits.count_ones() as usize > columns.len() / 2 {
            return Ok(Arc::clone(view));
        }
        if bits == 0 {
            // Rows are counted by some column.
            bits = 1 << columns.iter().position(|column| column.name == ANY_COLUMN).unwrap_or(0);
        }
        if let Some(known) = self.narrow().get(&(index, bits)) {
            return Ok(Arc::clone(known));
        }
        let is_kept = |name: &str| columns.iter().enumerate().any(|(at, column)| bits >> at & 1 == 1 && column.name == name);
        let plan = view.logical_plan();
        let kept = plan.schema().iter().filter(|(_, field)| is_kept(field.name())).map(|(of, field)| Expr::Column(Column::from((of, field))));
        let narrow = LogicalPlanBuilder::from(plan.clone()).project(kept.collect::<Vec<_>>())?.build()?;
        let state = self.state(self.config(), catalogs(&[])?, environment, functions::of_views());
        let narrow = Arc::new(ViewTable::new(state.optimize(&narrow)?, None));
        let mut known = self.narrow();
        if known.len() >= MAX_NARROW {
            known.clear();
        }
        known.insert((index, bits), Arc::clone(&narrow));
        Ok(narrow)
    }

    fn narrow(&self) -> MutexGuard<'_, HashMap<(usize, u64), Arc<ViewTable>>> {
        self.narrow.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn plan_views(&self, environment: &Arc<RuntimeEnv>) -> Result<[Arc<ViewTable>; 2]> {
        let inside = self.state(self.config(), catalogs(&[(STORED, Arc::new(StoredEvents))])?, environment, functions::of_views());
        let events = optimised(&inside, &*views::events(&inside).await?)?;
        let inside =
            self.state(self.config(), catalogs(&[(VIEWS[0].name, Arc::clone(&events) as Arc<dyn TableProvider>)])?, environment, functions::of_views());
        let requests = optimised(&inside, &*views::requests(&inside).await?)?;
        Ok([events, requests])
    }

    fn config(&self) -> SessionConfig {
        let mut config = SessionConfig::new()
            .with_target_partitions(self.n_threads)
            .with_information_schema(false)
            .with_create_default_catalog_and_schema(false)
            .with_default_catalog_and_schema(CATALOG, SCHEMA);
        let options = config.options_mut();
        options.sql_parser.collect_spans = true;
        options.execution.parquet.pushdown_filters = true;
        options.execution.parquet.reorder_filters = true;
        options.execution.enable_recursive_ctes = false;
        config
    }

    fn state(&self, config: SessionConfig, catalogs: Arc<MemoryCatalogProviderList>, environment: &Arc<RuntimeEnv>, functions: Vec<ScalarUDF>) -> SessionState {
        let scalars = self.scalars.iter().cloned().chain(functions.into_iter().map(Arc::new)).collect();
        SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(Arc::clone(environment))
            .with_catalog_list(catalogs)
            .with_scalar_functions(scalars)
            .with_aggregate_functions(self.aggregates.clone())
            .with_window_functions(self.windows.clone())
            .with_expr_planners(SessionStateDefaults::default_expr_planners())
            .with_table_function_list(SessionStateDefaults::default_table_functions())
            .with_optimizer_rules(self.rules.clone())
            .with_physical_optimizer_rule(Arc::new(CountHeld))
            .with_physical_optimizer_rule(Arc::new(Yielding))
            .build()
    }
}

/// The view with a plan that needs no second look at what is not asked for.
fn optimised(state: &SessionState, view: &ViewTable) -> Result<Arc<ViewTable>> {
    Ok(Arc::new(ViewTable::new(state.optimize(view.logical_plan())?, None)))
}

fn catalogs(tables: &[(&str, Arc<dyn TableProvider>)]) -> Result<Arc<MemoryCatalogProviderList>> {
    let schema = MemorySchemaProvider::new();
    for (name, table) in tables {
        schema.register_table((*name).to_owned(), Arc::clone(table))?;
    }
    let catalog = MemoryCatalogProvider::new();
    catalog.register_schema(SCHEMA, Arc::new(schema))?;
    let catalogs = MemoryCatalogProviderList::new();
    catalogs.register_catalog(CATALOG.to_owned(), Arc::new(catalog));
    Ok(Arc::new(catalogs))
}

/// The planner's rules, and ours before common parts of conditions are taken out of them. What a question does not
/// select of the views is forgotten first: the other rules would look at all of it.
fn optimizer_rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let mut rules = Optimizer::new().rules;
    let place = rules.iter().position(|rule| rule.name() == "common_sub_expression_eliminate").unwrap_or(rules.len());
    rules.insert(place, Arc::new(MatchStoredRows));
    if let Some(narrow) = rules.iter().find(|rule| rule.name() == "optimize_projections").cloned() {
        rules.insert(0, narrow);
    }
    rules
}
