//! tower: the layer in front of a service, and the services that answer beside it.

mod extensions;
mod event_lines;
mod event_ids;
mod listed_answer;
mod report;
mod listed_events;
mod stream_end;
mod stream_state;
mod events;
mod body;
mod session;
mod refusal;
mod content;
mod exchange;
mod hidden_headers;
mod cors;
mod bearer_auth;
mod documents;
mod metadata_service;
mod notice_service;
mod server_metadata_service;

pub(crate) use bearer_auth::handle;
pub use bearer_auth::{BearerAuth, BearerAuthLayer};
pub use body::ResponseBody;
pub(crate) use extensions::{Anonymous, Raised};
pub use metadata_service::MetadataService;
pub use notice_service::NoticeService;
pub use server_metadata_service::ServerMetadataService;
