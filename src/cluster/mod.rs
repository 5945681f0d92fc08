//! Choices about the living cluster, as functions of what was asked and found out: no sockets, no clock.

mod reinstall;

pub use reinstall::before_reinstall;
