//! `react-train`, under another name, for the end-to-end tests.

fn main() -> std::process::ExitCode {
    react_train::main()
}
