//! `ToolCall`: the one call of a tool in the message of a request.

/// The one call of a tool in the message of a request, which may be answered with a result of the tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ToolCall<'m> {
    /// Its `id`, as JSON.
    pub(crate) id: &'m str,
    /// Whether it is the one message of a batch, whose answer is one too.
    pub(crate) is_in_batch: bool,
}
