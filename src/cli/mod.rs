//! The command line: one verb a file, each loads, makes a pure call and prints.

pub mod serve;
