//! Tools whose work continues after their answer.

use std::time::Duration;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, CreateTaskResult, ErrorData,
    InputRequiredResult,
};
use rmcp::task_manager::{TaskContext, TaskExit, TaskManager, TaskOptions};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::words::{asked, input, text};
use super::{Context, Result, read};

pub(crate) const TOOLS: &[&str] = &[
    "confirm_delete",
    "failing_job",
    "multi_input",
    "protocol_error_job",
    "slow_compute",
    "test_tool_with_task",
];

/// Refuses clients that did not declare support for tasks.
pub(crate) fn expect_known(context: &Context) -> Result<()> {
    if is_known(context) {
        return Ok(());
    }
    let required = json!({ "extensions": { "io.modelcontextprotocol/tasks": {} } });
    Err(ErrorData::missing_required_client_capability(read(required)?))
}

/// Starts a task, if the client supports tasks.
pub(crate) async fn call(
    tasks: &TaskManager,
    request: CallToolRequestParams,
    context: &Context,
) -> Result<CallToolResponse> {
    if !is_known(context) && request.name == "slow_compute" {
        return Ok(done("computed")?.into());
    }
    expect_known(context)?;
    if request.name == "test_tool_with_task" && request.input_responses.is_none() {
        let name = asked("What is your name?", json!({ "name": { "type": "string" } }));
        return Ok(read::<InputRequiredResult>(input(&[("user_name", name)], None))?.into());
    }
    let task = tasks.spawn(TaskOptions::new(), |task| Box::pin(work(task, request)));
    Ok(CallToolResponse::Task(CreateTaskResult::new(task)))
}

async fn work(
    task: TaskContext,
    request: CallToolRequestParams,
) -> std::result::Result<CallToolResult, TaskExit> {
    let sure = || read(asked("Are you sure?", json!({ "ok": { "type": "boolean" } })));
    let heard = match &*request.name {
        "slow_compute" => {
            let seconds = request.arguments.as_ref().and_then(|all| all.get("seconds")?.as_u64());
            tokio::select! {
                () = sleep(Duration::from_secs(seconds.unwrap_or(1))) => json!("computed"),
                () = task.cancelled() => return Err(TaskExit::Cancelled),
            }
        }
        "failing_job" => {
            sleep(Duration::from_millis(300)).await;
            let failed =
                json!({ "resultType": "complete", "isError": true, "content": [text("failed")] });
            return Ok(read(failed)?);
        }
        "protocol_error_job" => return Err(ErrorData::internal_error("broken", None).into()),
        "confirm_delete" => task.request_input("confirm", sure()?).await?,
        "multi_input" => {
            let (one, two) = tokio::try_join!(
                task.request_input("one", sure()?),
                task.request_input("two", sure()?)
            )?;
            json!([one, two])
        }
        _ => json!(request.input_responses),
    };
    Ok(done(&heard.to_string())?)
}

fn is_known(context: &Context) -> bool {
    context.client_capabilities().is_some_and(|capabilities| capabilities.supports_tasks())
}

fn done(what: &str) -> Result<CallToolResult> {
    let content: Value = text(what);
    read(json!({ "resultType": "complete", "content": [content] }))
}
