//! Questions that multiply rows give others their turn, and end when they are told to.
//!
//! A task is stopped, and lets its thread do something else, only where it waits. What reads files waits there now and then; a join
//! makes thousands of batches of one that it has read, and whatever is above it works on them without a pause. So each operator
//! that makes many rows of few is followed by one that pauses after some batches.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::unnest::UnnestExec;

/// Puts a pause above every join and every operator that takes lists apart.
#[derive(Debug)]
pub(super) struct Yielding;

impl PhysicalOptimizerRule for Yielding {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let pause = |node: Arc<dyn ExecutionPlan>| {
            if node.children().len() < 2 && !node.is::<UnnestExec>() {
                return Ok(Transformed::no(node));
            }
            Ok(Transformed::yes(Arc::new(CooperativeExec::new(node)) as Arc<dyn ExecutionPlan>))
        };
        Ok(plan.transform_up(pause)?.data)
    }

    fn name(&self) -> &str {
        "yielding"
    }

    fn schema_check(&self) -> bool {
        true
    }
}
