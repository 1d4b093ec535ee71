//! `cargo xtask services up|down`: the services of the tests, left running for a while of development.

use anyhow::{Result, bail};

use super::Services;
use super::machine::Machine;
use super::run_dir::{RunDir, stop_shared};

/// Starts what does not run yet, leaves all of it running, and prints a line for the shell for each.
pub(crate) fn up() -> Result<()> {
    let mut run_dir = RunDir::shared()?;
    let services = Services::set_up(&run_dir, &mut Machine::default())?;
    if let Some((class, reason)) = services.missing.first() {
        bail!("{} could not be set up: {reason}", class.name());
    }
    run_dir.keep();
    for (name, value) in services.variables {
        println!("export {name}='{value}'");
    }
    Ok(())
}

/// Stops what [`up`] started.
pub(crate) fn down() -> Result<()> {
    stop_shared();
    Ok(())
}
