//! The library from outside, a file for each question, in a world without sockets.

mod architecture;
mod keys;
mod logs;
mod origins;
mod refusals;
mod verifiers;
mod world;
