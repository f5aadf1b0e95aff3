//! Tools that request input in their answer, and are called again with that input.

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ErrorData, InputRequiredResult,
};
use serde_json::{Value, json};

use super::words::{asked, input, sampled, text};
use super::{Context, Result, declares, read};

/// Requests the input that is still missing, or completes the call.
pub(crate) fn call(request: &CallToolRequestParams, context: &Context) -> Result<CallToolResponse> {
    let name_of = |property: &str| json!({ property: { "type": "string" } });
    let roots = || json!({ "method": "roots/list", "params": {} });
    let name = || asked("What is your name?", name_of("name"));
    let answers = request.input_responses.clone().unwrap_or_default();
    let state = request.request_state.as_deref();
    let (questions, next): (Vec<(&str, Value)>, _) = match (&*request.name, state) {
        ("test_input_required_result_elicitation", _) => (vec![("user_name", name())], None),
        ("test_input_required_result_sampling", _) => {
            (vec![("capital_question", sampled("What is the capital of France?", 100))], None)
        }
        ("test_input_required_result_list_roots", _) => (vec![("client_roots", roots())], None),
        (
            "test_input_required_result_request_state"
            | "test_input_required_result_tampered_state",
            _,
        ) => {
            let ok = json!({ "ok": { "type": "boolean" } });
            (vec![("confirm", asked("Please confirm", ok))], Some("state-1"))
        }
        ("test_input_required_result_multiple_inputs", _) => (
            vec![
                ("user_name", name()),
                ("greeting", sampled("Generate a greeting", 50)),
                ("client_roots", roots()),
            ],
            Some("state-1"),
        ),
        ("test_input_required_result_multi_round", None) => {
            (vec![("step1", asked("Step 1: What is your name?", name_of("name")))], Some("state-1"))
        }
        ("test_input_required_result_multi_round", _) => {
            let color = asked("Step 2: What is your favorite color?", name_of("color"));
            (vec![("step2", color)], Some("state-2"))
        }
        _ => {
            let all = [
                ("user_name", "elicitation", name()),
                ("greeting", "sampling", sampled("Hello", 50)),
            ];
            let known = all.into_iter().filter(|(_, capability, _)| declares(context, capability));
            (known.map(|(key, _, question)| (key, question)).collect(), None)
        }
    };
    if state.is_some_and(|state| !["state-1", "state-2"].contains(&state)) {
        return Err(ErrorData::invalid_params("the request state was changed", None));
    }
    let is_answered = state == next
        && questions.iter().all(|(key, _)| answers.get(*key).is_some_and(Value::is_object))
        && answers
            .values()
            .any(|answer| answer["action"] != "accept" || answer["content"].is_object());
    if !is_answered {
        return Ok(read::<InputRequiredResult>(input(&questions, next))?.into());
    }
    let heard = format!("state-ok, {}", json!(answers));
    Ok(read::<CallToolResult>(json!({ "resultType": "complete", "content": [text(&heard)] }))?
        .into())
}
