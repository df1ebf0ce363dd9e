//! The `highwater` program. Exits with 0 after a clean stop, 1 after a failure, 2 if the arguments or the
//! configuration are wrong, 3 if `highwater log` found something that is not sound or
//! `highwater adopt` refused.

use std::process::ExitCode;

use highwater_broker::{
    adopt,
    cli::{self, Command},
    commands, demo, logging, serve, tools,
};

fn main() -> ExitCode {
    let invocation = match cli::parse(std::env::args_os()) {
        Ok(invocation) => invocation,
        Err(error) => {
            // Help goes to standard output, mistakes to standard error; if neither can be written, the code stays.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    // What recovery has to say is part of what a tool shows.
    let quiet = matches!(invocation.command, Command::Log(_) | Command::Adopt(_) | Command::Client(_))
        && std::env::var_os(logging::VARIABLE).is_none();
    let level = invocation.log_level.as_deref().or(quiet.then_some("off"));
    if let Err(error) = logging::start(level) {
        eprintln!("highwater: {error}");
        return ExitCode::from(2);
    }
    match invocation.command {
        Command::Serve(arguments) => match serve::run(&arguments) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&error, error.exit_code()),
        },
        Command::Log(arguments) => match tools::run(&arguments) {
            Ok(code) => ExitCode::from(code),
            Err(error) => failed(&error, error.exit_code()),
        },
        Command::Adopt(arguments) => match adopt::run(&arguments) {
            Ok(code) => ExitCode::from(code),
            Err(error) => failed(&error, error.exit_code()),
        },
        Command::Client(arguments) => match commands::run(&arguments) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&error, error.exit_code()),
        },
        Command::Completion(shell) => match cli::write_completion(shell, &mut std::io::stdout()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&error, 1),
        },
        Command::Demo(arguments) => match demo::run(&arguments) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&error, 1),
        },
    }
}

fn failed(error: &dyn std::error::Error, code: u8) -> ExitCode {
    eprintln!("highwater: {error}");
    ExitCode::from(code)
}
