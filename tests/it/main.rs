//! Everything that can be tested without programs from elsewhere, in one binary.
#![allow(clippy::disallowed_methods, reason = "tests read the sources, write files and run the program")]

#[path = "../api/mod.rs"]
mod api;
mod architecture;
mod bundle;
mod butane;
mod canary;
mod cli;
mod day2;
mod docs;
mod doctor;
mod fcos_stream;
mod inventory;
mod ipxe;
mod k3s_merge;
mod kubeconfig;
mod laws;
mod lifecycle;
mod lint;
mod load;
mod node;
mod package;
mod preparation;
mod probe;
mod promises;
mod reboots;
mod rejoin;
mod render;
mod serving;
mod site;
mod static_files;
mod templates;
mod tokens;
mod updates;
mod views;
