use super::{
    ClientArguments, ClientCommand, CommandError, cluster::Cluster, configs, consume, groups, output::Output,
    produce, topics,
};

/// Does it, and writes to standard output.
///
/// # Errors
/// [`CommandError`]. What had been written by then stays written, and what had been changed stays changed.
pub fn run(arguments: &ClientArguments) -> Result<(), CommandError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(CommandError::io("starting"))?;
    let mut out = Output::standard(arguments.json);
    let done = runtime.block_on(async {
        let mut cluster = Cluster::connect(&arguments.bootstrap).await?;
        match &arguments.command {
            ClientCommand::Topics(action) => topics::run(&mut cluster, action, &mut out).await,
            ClientCommand::Produce(arguments) => produce::run(&mut cluster, arguments, &mut out).await,
            ClientCommand::Consume(arguments) => consume::run(&mut cluster, arguments, &mut out).await,
            ClientCommand::Groups(action) => groups::run(&mut cluster, action, &mut out).await,
            ClientCommand::Configs(action) => configs::run(&mut cluster, action, &mut out).await,
        }
    });
    // What was found out before an error is shown as well.
    let flushed = out.flush();
    match done.and(flushed) {
        Err(error) if error.is_closed_pipe() => Ok(()),
        done => done,
    }
}

/// The two sides of `key=value`.
pub(super) fn pair(text: &str) -> Result<(&str, &str), CommandError> {
    text.split_once('=')
        .filter(|(key, _)| !key.is_empty())
        .ok_or_else(|| CommandError::Invalid(format!("{text:?} is not of the form key=value")))
}
