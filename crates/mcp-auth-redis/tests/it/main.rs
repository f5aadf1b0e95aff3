//! With a real server: `redis-server` of Redis or Valkey.

mod failures;
mod limits;
mod proofs;
mod revocations;
mod server;
mod operator;
mod tls;
mod world;
