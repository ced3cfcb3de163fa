//! The planner's session: what a question may name, and the rules by which it is planned.
//!
//! Views are planned and optimised once; the session of each question says which snapshot they read.

use std::sync::Arc;

use datafusion::catalog::memory::{MemoryCatalogProvider, MemoryCatalogProviderList, MemorySchemaProvider};
use datafusion::catalog::{CatalogProvider, CatalogProviderList, SchemaProvider};
use datafusion::datasource::{TableProvider, ViewTable};
use datafusion::error::Result;
use datafusion::execution::SessionStateDefaults;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::{AggregateUDF, ScalarUDF, WindowUDF};
use datafusion::optimizer::{Optimizer, OptimizerRule};
use datafusion::prelude::SessionConfig;
use decklog_audit::Timestamp;
use tokio::sync::OnceCell;

use super::counted::CountHeld;
use super::functions::{self, MatchStoredRows};
use super::stored::{Reading, StoredEvents};
use super::views::{self, STORED, VIEWS};
use super::yielding::Yielding;

const CATALOG: &str = "decklog";
const SCHEMA: &str = "public";

/// What is the same for all questions.
pub(super) struct Planner {
    n_threads: usize,
    scalars: Vec<Arc<ScalarUDF>>,
    aggregates: Vec<Arc<AggregateUDF>>,
    windows: Vec<Arc<WindowUDF>>,
    rules: Vec<Arc<dyn OptimizerRule + Send + Sync>>,
    views: OnceCell<Arc<MemoryCatalogProviderList>>,
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
        }
    }

    /// The session of one question.
    ///
    /// # Errors
    /// When the views cannot be planned.
    pub(super) async fn session(&self, reading: Reading, environment: Arc<RuntimeEnv>, now: Timestamp) -> Result<SessionState> {
        let catalogs = self.views.get_or_try_init(|| self.plan_views(&environment)).await?;
        let config = self.config().with_extension(Arc::new(reading));
        Ok(self.state(config, Arc::clone(catalogs), &environment, functions::public(now)))
    }

    async fn plan_views(&self, environment: &Arc<RuntimeEnv>) -> Result<Arc<MemoryCatalogProviderList>> {
        let inside = self.state(self.config(), catalogs(&[(STORED, Arc::new(StoredEvents))])?, environment, functions::of_views());
        let events = optimised(&inside, &*views::events(&inside).await?)?;
        let inside = self.state(self.config(), catalogs(&[(VIEWS[0].name, Arc::clone(&events))])?, environment, functions::of_views());
        let requests = optimised(&inside, &*views::requests(&inside).await?)?;
        catalogs(&[(VIEWS[0].name, events), (VIEWS[1].name, requests)])
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
fn optimised(state: &SessionState, view: &ViewTable) -> Result<Arc<dyn TableProvider>> {
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
