//! Questions asked over the network, each with a deadline. Thin: what an answer means is decided elsewhere, by pure code.

pub mod api;
pub mod http;
pub mod kubectl;
pub mod neighbours;
mod program;
pub mod ssh;
pub mod tls;
pub mod ways;
pub mod web;
