//! Tests of the gateway, one file per topic, with sockets of this machine.

mod architecture;
mod forward_auth;
mod keys;
mod monitoring;
mod proxy;
mod tls;
mod world;
