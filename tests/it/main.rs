//! Everything that can be tested without programs from elsewhere, in one binary.
#![allow(clippy::disallowed_methods, reason = "tests read the sources, write files and run the program")]

mod architecture;
mod bundle;
mod butane;
mod canary;
mod cli;
mod docs;
mod inventory;
mod ipxe;
mod laws;
mod lifecycle;
mod lint;
mod load;
mod node;
mod package;
mod rejoin;
mod render;
mod serving;
mod site;
mod static_files;
mod templates;
mod views;
