//! The command `wharf`. Everything it does is in the library of this crate.

fn main() -> std::process::ExitCode {
    wharf_cli::main()
}
