//! pxe-serve: one inventory in, everything a freshly reinstalled node needs out.

pub mod butane;
pub mod cli;
pub mod report;
