//! The `kalends` program: exit codes, and nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    kalends::cli::main()
}
