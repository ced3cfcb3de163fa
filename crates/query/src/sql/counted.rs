//! Memory that the planner does not tell the pool of: window functions hold their input, and lists that an aggregate has
//! gathered are copied when they are done. So what goes into these is counted here.

use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, SendableRecordBatchStream};
use futures_util::StreamExt;

use super::guard::slice_bytes;

/// Aggregates that hold every value, and copy all of them at the end.
const GATHERING: [&str; 2] = ["array_agg", "string_agg"];

/// Puts a [`Counted`] below each window function and each aggregate that gathers values.
#[derive(Debug)]
pub(super) struct CountHeld;

impl PhysicalOptimizerRule for CountHeld {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let count = |node: Arc<dyn ExecutionPlan>| {
            let gathers = |aggregate: &AggregateExec| aggregate.aggr_expr().iter().any(|of| GATHERING.contains(&of.fun().name()));
            let is_held = node.is::<WindowAggExec>() || node.is::<BoundedWindowAggExec>() || node.downcast_ref::<AggregateExec>().is_some_and(gathers);
            if !is_held {
                return Ok(Transformed::no(node));
            }
            let children = node.children().into_iter().map(|child| Arc::new(Counted { input: Arc::clone(child) }) as Arc<dyn ExecutionPlan>).collect();
            Ok(Transformed::yes(node.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))?))
        };
        Ok(plan.transform_up(count)?.data)
    }

    fn name(&self) -> &str {
        "count_held"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Hands on what it gets, and counts it as held until its reader is done.
#[derive(Debug)]
struct Counted {
    input: Arc<dyn ExecutionPlan>,
}

impl DisplayAs for Counted {
    fn fmt_as(&self, _kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Counted")
    }
}

impl ExecutionPlan for Counted {
    fn name(&self) -> &str {
        "Counted"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn apply_expressions(&self, _visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>, _options: ReplaceChildrenOptions) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(match children.pop() {
            Some(input) => Arc::new(Self { input }),
            None => self,
        })
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let held = MemoryConsumer::new("window").register(context.memory_pool());
        let input = self.input.execute(partition, context)?;
        let schema = input.schema();
        let counted = input.map(move |batch| {
            let batch = batch?;
            held.try_grow(batch.columns().iter().map(slice_bytes).sum())?;
            Ok(batch)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, counted)))
    }
}
