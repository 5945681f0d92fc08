use std::process::ExitCode;

use clap::Parser;

#[derive(Parser)]
enum Verb {
    Butane(pxe_serve::cli::butane::ButaneArgs),
}

fn main() -> ExitCode {
    match Verb::parse() {
        Verb::Butane(args) => pxe_serve::cli::butane::run(&args),
    }
}
