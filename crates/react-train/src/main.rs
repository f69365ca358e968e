//! The `react-train` program.

fn main() -> std::process::ExitCode {
    react_train::main()
}
