//! tower integration: the layer in front of a service, and services for metadata and security events.

mod extensions;
mod sse_lines;
mod sse_event_ids;
mod sent_events;
mod json_list_filter;
mod json_rpc;
mod open_request;
mod sse_list_filter;
mod stream_deadline;
mod token_watch;
mod decision_log;
mod stream_state;
mod sse_body;
mod response_body;
mod session_ids;
mod denial_response;
mod content_headers;
mod caller_scope;
mod pending_response;
mod stripped_headers;
mod cors;
mod bearer_auth;
mod document_responses;
mod unknown_paths;
mod metadata_service;
mod security_event_receiver;
mod server_metadata_service;

pub(crate) use bearer_auth::handle;
pub use bearer_auth::{BearerAuth, BearerAuthLayer};
pub(crate) use decision_log::RequestNames;
pub(crate) use extensions::{Anonymous, HandlerDenial};
pub use metadata_service::MetadataService;
pub use response_body::ResponseBody;
pub use security_event_receiver::SecurityEventReceiver;
pub use server_metadata_service::ServerMetadataService;
