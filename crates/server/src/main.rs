//! The program `hubline`.

use std::process::ExitCode;

fn main() -> ExitCode {
    hubline_server::main()
}
