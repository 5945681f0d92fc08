//! The program: everything it does is in the library, so that tests and other programs can have it.

fn main() -> std::process::ExitCode {
    pxe_serve::cli::main()
}
