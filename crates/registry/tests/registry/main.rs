//! The client against scripted servers on loopback, and against a real registry where one is given.

#![allow(clippy::unwrap_used, reason = "a test may unwrap, in its helpers too")]

mod login;
mod manifests;
mod real;
mod server;
mod transport;
