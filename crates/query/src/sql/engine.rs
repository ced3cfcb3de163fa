//! The engine: plans a question over a snapshot, runs it on threads of its own, and writes the answer.
//!
//! The thread that asks only writes: it takes one batch after the other out of a short queue, and looks in between
//! whether the time is over or nobody wants the answer any more. So a slow reader slows the question, and a question
//! that will not end is left behind.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::{ParamValues, ScalarValue};
use datafusion::error::Result as PlannerResult;
use datafusion::execution::cache::cache_manager::CacheManagerConfig;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryPool};
use datafusion::execution::object_store::DefaultObjectStoreRegistry;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::logical_expr::LogicalPlanBuilder;
use datafusion::physical_plan::{SendableRecordBatchStream, execute_stream};
use datafusion::sql::parser::Statement;
use decklog_audit::Timestamp;
use decklog_audit::search::{SqlError, SqlErrorKind, SqlRequest, SqlSummary, Stop};
use futures_util::StreamExt;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use super::failure;
use super::guard::{guarded, slice_bytes};
use super::limits::{MAX_ROW_BYTES, SqlLimits};
use super::memory::QueryPool;
use super::output::Output;
use super::planner::Planner;
use super::snapshot::SqlSnapshot;
use super::statement::{self, Asked, Words};
use super::stored::{Reading, STORE_URL};
use super::tail::{JournalTail, TailCache};
use super::views::VIEWS;

/// How long the thread that asks waits for rows before it looks whether it is to go on.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Rows of so many bytes are written at once: as text they take more.
const WRITE_BYTES: usize = 8 << 20;
/// Batches between the question and the writer.
const QUEUED_BATCHES: usize = 2;
/// Stack of the threads: expressions nested as deep as the limits allow are walked over on it.
const STACK_BYTES: usize = 32 << 20;

/// Answers questions in SQL.
pub struct SqlEngine {
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
    environment: Arc<RuntimeEnv>,
    memory: Arc<dyn MemoryPool>,
    tail_cache: Arc<TailCache>,
    planner: Arc<Planner>,
    limits: SqlLimits,
}

impl Drop for SqlEngine {
    fn drop(&mut self) {
        // Whoever drops it may be a thread that must not wait.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// What the task of a question sends to who asked.
enum Piece {
    Schema(SchemaRef, Option<Vec<Option<String>>>),
    Rows(RecordBatch),
}

impl SqlEngine {
    /// An engine with threads of its own.
    ///
    /// # Errors
    /// When the threads cannot be started.
    pub fn new(limits: SqlLimits) -> Result<Self, SqlError> {
        let cannot = |reason: String| SqlError::new(SqlErrorKind::Failed, format!("cannot start the SQL engine: {reason}"));
        let n_threads = if limits.n_threads > 0 { limits.n_threads } else { std::thread::available_parallelism().map_or(1, std::num::NonZero::get) };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(n_threads)
            .thread_name("sql")
            .thread_stack_size(STACK_BYTES)
            .on_thread_start(limits.thread_start)
            // Time for limits, I/O for a table that lies on S3.
            .enable_all()
            .build()
            .map_err(|error| cannot(error.to_string()))?;
        let environment = RuntimeEnvBuilder::new()
            // Nothing of the events goes to another place on disk.
            .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
            .with_cache_manager(CacheManagerConfig::default().with_metadata_cache_limit(limits.footer_cache))
            .build_arc()
            .map_err(|error| cannot(error.to_string()))?;
        Ok(Self {
            runtime: Some(runtime),
            environment,
            memory: Arc::new(GreedyMemoryPool::new(limits.memory)),
            tail_cache: Arc::new(TailCache::new(limits.tail_cache)),
            planner: Arc::new(Planner::new(n_threads)),
            limits,
        })
    }

    /// Where decoded records of the journal's tail are kept from one question to the next.
    pub fn tail_cache(&self) -> &Arc<TailCache> {
        &self.tail_cache
    }

    /// Answers `request` from `snapshot`; hands the answer to `out` in pieces, until that breaks. `now` gives words such
    /// as `today` in filters their meaning. Blocks; not to be called on a thread that drives tasks.
    ///
    /// # Errors
    /// As [`decklog_audit::search::Searcher::sql`].
    pub fn answer(
        &self,
        snapshot: SqlSnapshot,
        request: &SqlRequest,
        now: Timestamp,
        out: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<SqlSummary, SqlError> {
        let Some(runtime) = &self.runtime else { return Err(SqlError::new(SqlErrorKind::Unavailable, "the SQL engine has ended")) };
        let limit = request.timeout.map_or(self.limits.timeout, |timeout| timeout.min(self.limits.timeout));
        let watch = Watch { deadline: Instant::now() + limit, limit, stop: &request.stop };
        let snapshot = Arc::new(snapshot);
        let (sender, mut pieces) = mpsc::channel(QUEUED_BATCHES);
        let question = Question {
            snapshot: Arc::clone(&snapshot),
            environment: self.query_environment(&snapshot),
            planner: Arc::clone(&self.planner),
            query: request.query.clone(),
            params: request.params.clone(),
            limit: request.limit,
            now,
            ended: Arc::default(),
        };
        // The waiting keeps its own time: the engine's threads may all be busy, and who keeps time there with them.
        let waiting = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let waiting = waiting.map_err(|error| SqlError::new(SqlErrorKind::Failed, format!("cannot wait for an answer: {error}")))?;
        let ended = Arc::clone(&question.ended);
        let task = runtime.spawn(question.run(sender));
        let _ending = Ending { task: task.abort_handle(), ended, snapshot: Arc::clone(&snapshot) };
        let mut writing = Writing { output: None, summary: SqlSummary::default(), limit: request.limit, request };
        // `out` is called between two waits, not within one: it may wait by itself, on another runtime.
        loop {
            watch.check()?;
            let received = waiting.block_on(async { tokio::time::timeout(LOOK_EVERY, pieces.recv()).await });
            match received {
                Err(_) => {}
                Ok(Some(piece)) => {
                    if writing.take(piece?, out)?.is_break() {
                        return Err(SqlError::new(SqlErrorKind::Stopped, "who asked has gone"));
                    }
                }
                Ok(None) => break,
            }
        }
        waiting.block_on(task).map_err(|_| SqlError::new(SqlErrorKind::Failed, "the query failed inside the planner; the log says where"))?;
        let summary = writing.finish(out)?;
        let mut gaps = snapshot.gaps.clone();
        gaps.extend(snapshot.tail.iter().flat_map(|tail| tail.gaps()));
        gaps.sort();
        gaps.dedup();
        Ok(SqlSummary { gaps, ..summary })
    }

    /// The common environment with a share of the memory, and nothing but the table to read from.
    fn query_environment(&self, snapshot: &SqlSnapshot) -> Arc<RuntimeEnv> {
        let mut environment = RuntimeEnv::clone(&self.environment);
        environment.memory_pool = Arc::new(QueryPool::new(Arc::clone(&self.memory), self.limits.query_memory));
        environment.object_store_registry = Arc::new(DefaultObjectStoreRegistry::new());
        if let Ok(url) = url::Url::parse(STORE_URL) {
            environment.register_object_store(&url, Arc::clone(&snapshot.store));
        }
        Arc::new(environment)
    }
}

/// Ends the task when nobody waits for it any more: where it waits itself, and where it is in a slow function.
struct Ending {
    task: tokio::task::AbortHandle,
    ended: Arc<AtomicBool>,
    snapshot: Arc<SqlSnapshot>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        self.task.abort();
        self.snapshot.tail.iter().for_each(JournalTail::close);
    }
}

struct Watch<'s> {
    deadline: Instant,
    limit: Duration,
    stop: &'s Stop,
}

impl Watch<'_> {
    fn check(&self) -> Result<(), SqlError> {
        if self.stop.is_stopped() {
            return Err(SqlError::new(SqlErrorKind::Stopped, "the query was stopped"));
        }
        if Instant::now() < self.deadline {
            return Ok(());
        }
        let help = "narrow the time, or ask for less".to_owned();
        Err(SqlError { help: Some(help), ..SqlError::new(SqlErrorKind::Timeout, format!("the query took longer than {} s", self.limit.as_secs_f64())) })
    }
}

/// The answer under way.
struct Writing<'r> {
    output: Option<Output>,
    summary: SqlSummary,
    limit: Option<usize>,
    request: &'r SqlRequest,
}

impl Writing<'_> {
    fn take(&mut self, piece: Piece, out: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) -> Result<ControlFlow<()>, SqlError> {
        match piece {
            Piece::Schema(schema, names) => {
                self.output = Some(Output::new(self.request.format, &schema, names.as_deref()).map_err(|error| failure::of(&error.into()))?);
            }
            Piece::Rows(rows) => {
                let room = self.limit.map_or(rows.num_rows(), |limit| limit.saturating_sub(usize::try_from(self.summary.n_rows).unwrap_or(usize::MAX)));
                self.summary.cut |= rows.num_rows() > room;
                let rows = rows.slice(0, rows.num_rows().min(room));
                self.summary.n_rows += rows.num_rows() as u64;
                let mut waiting = vec![rows];
                while let Some(rows) = waiting.pop() {
                    let bytes: usize = rows.columns().iter().map(slice_bytes).sum();
                    if bytes > WRITE_BYTES && rows.num_rows() > 1 {
                        let half = rows.num_rows() / 2;
                        waiting.extend([rows.slice(half, rows.num_rows() - half), rows.slice(0, half)]);
                        continue;
                    }
                    if bytes > MAX_ROW_BYTES {
                        let message = format!("a row of the answer has {} MiB, the limit is {} MiB", bytes >> 20, MAX_ROW_BYTES >> 20);
                        return Err(SqlError {
                            help: Some("ask for rows rather than for one list of all".to_owned()),
                            ..SqlError::new(SqlErrorKind::Memory, message)
                        });
                    }
                    if let Some(output) = self.output.as_mut().filter(|_| rows.num_rows() > 0) {
                        output.write(&rows).map_err(|error| failure::of(&error.into()))?;
                        if give(&output.take(), out).is_break() {
                            return Ok(ControlFlow::Break(()));
                        }
                    }
                }
            }
        }
        Ok(give(&self.output.as_mut().map(Output::take).unwrap_or_default(), out))
    }

    fn finish(self, out: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) -> Result<SqlSummary, SqlError> {
        if let Some(output) = self.output {
            let last = output.finish().map_err(|error| failure::of(&error.into()))?;
            if give(&last, out).is_break() {
                return Err(SqlError::new(SqlErrorKind::Stopped, "who asked has gone"));
            }
        }
        Ok(self.summary)
    }
}

fn give(bytes: &[u8], out: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) -> ControlFlow<()> {
    if bytes.is_empty() { ControlFlow::Continue(()) } else { out(bytes) }
}

/// What a task needs to find the answer.
struct Question {
    snapshot: Arc<SqlSnapshot>,
    environment: Arc<RuntimeEnv>,
    planner: Arc<Planner>,
    query: String,
    params: Vec<Option<String>>,
    limit: Option<usize>,
    now: Timestamp,
    ended: Arc<AtomicBool>,
}

type Sender = mpsc::Sender<Result<Piece, SqlError>>;

impl Question {
    async fn run(self, sender: Sender) {
        if let Err(error) = self.send_answer(&sender).await {
            // If nobody listens any more, nobody wants to know.
            let _ = sender.send(Err(error)).await;
        }
    }

    async fn send_answer(&self, sender: &Sender) -> Result<(), SqlError> {
        let (statement, names, words, limit) = match statement::parse(&self.query)? {
            Asked::Columns(view) => {
                let rows = columns_of(&view);
                let _ = sender.send(Ok(Piece::Schema(rows.schema(), None))).await;
                let _ = sender.send(Ok(Piece::Rows(rows))).await;
                return Ok(());
            }
            Asked::Rows { statement, names, words } => (statement, names, words, self.limit),
            Asked::Plan { statement, words } => (statement, None, words, None),
        };
        let statement = Statement::Statement(statement);
        let planned = match words {
            // What is wrong is told with all columns in view: which of them was meant?
            Some(words) => match self.plan(statement.clone(), limit, Some(&words)).await {
                Err(_) => self.plan(statement, limit, None).await,
                planned => planned,
            },
            None => self.plan(statement, limit, None).await,
        };
        let mut rows = planned.map_err(|error| failure::of(&error))?;
        // Nothing is handed out before the first rows are there: until then a question may begin again.
        let mut next = rows.next().await;
        if next.as_ref().is_none_or(Result::is_ok) && sender.send(Ok(Piece::Schema(rows.schema(), names))).await.is_err() {
            return Ok(());
        }
        while let Some(batch) = next {
            let batch = batch.map_err(|error| failure::of(&error))?;
            if sender.send(Ok(Piece::Rows(batch))).await.is_err() {
                break;
            }
            next = rows.next().await;
        }
        Ok(())
    }

    async fn plan(&self, statement: Statement, limit: Option<usize>, words: Option<&Words>) -> PlannerResult<SendableRecordBatchStream> {
        let reading = Reading { snapshot: Arc::clone(&self.snapshot), footers: self.environment.cache_manager.get_file_metadata_cache() };
        let state = self.planner.session(reading, Arc::clone(&self.environment), self.now, words).await?;
        let mut plan = state.statement_to_plan(statement).await?;
        let params: Vec<ScalarValue> = self.params.iter().map(|value| ScalarValue::Utf8(value.clone())).collect();
        plan = plan.with_param_values(ParamValues::from(params))?;
        SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false).verify_plan(&plan)?;
        plan = guarded(plan, &self.ended)?;
        if let Some(limit) = limit {
            // One more, to know whether there was more.
            plan = LogicalPlanBuilder::from(plan).limit(0, Some(limit.saturating_add(1)))?.build()?;
        }
        let plan = state.create_physical_plan(&plan).await?;
        execute_stream(plan, state.task_ctx())
    }
}

/// The columns of a view, as rows.
fn columns_of(view: &str) -> RecordBatch {
    let columns = VIEWS.iter().find(|of| of.name == view).map_or(&[][..], |of| of.columns);
    let fields = ["column_name", "data_type", "description"].map(|name| Field::new(name, DataType::Utf8, false));
    let schema = Arc::new(Schema::new(fields.to_vec()));
    let values: [ArrayRef; 3] = [
        Arc::new(columns.iter().map(|column| Some(column.name)).collect::<StringArray>()),
        Arc::new(columns.iter().map(|column| Some(column.sql_type)).collect::<StringArray>()),
        Arc::new(columns.iter().map(|column| Some(column.doc)).collect::<StringArray>()),
    ];
    RecordBatch::try_new(Arc::clone(&schema), values.to_vec()).unwrap_or_else(|_| RecordBatch::new_empty(schema))
}
