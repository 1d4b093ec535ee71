//! The services that are measured with, each started when it is first asked for.

use anyhow::Result;

use super::pipeline::Place;
use crate::services::machine::Machine;
use crate::services::run_dir::RunDir;
use crate::services::{engine, images, known, lock_set_up, registry};

/// Stopped when this is dropped, as far as they are ours.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) run_dir: RunDir,
    pub(super) machine: Machine,
    engine: Option<String>,
    registry: Option<String>,
}

impl Stage {
    pub(super) fn new(run_dir: RunDir) -> Self {
        Self {
            run_dir,
            machine: Machine::default(),
            engine: None,
            registry: None,
        }
    }

    /// The engine to measure on, with the image that everything starts from.
    pub(super) fn engine(&mut self) -> Result<String> {
        if let Some(engine) = &self.engine {
            return Ok(engine.clone());
        }
        let _lock = lock_set_up()?;
        let engine = match known("WHARF_TEST_ENGINE", "engine").or_else(engine::of_the_machine) {
            Some(address) => address,
            None => engine::start(&self.run_dir, &mut self.machine)?,
        };
        self.machine.program("docker", &["docker-cli"])?;
        images::import(&engine, &images::busybox(&mut self.machine)?)?;
        Ok(self.engine.insert(engine).clone())
    }

    fn registry(&mut self) -> Result<String> {
        if let Some(registry) = &self.registry {
            return Ok(registry.clone());
        }
        let _lock = lock_set_up()?;
        let registry = match known("WHARF_TEST_REGISTRY", "registry") {
            Some(address) => address,
            None => registry::start(&self.run_dir, &mut self.machine)?,
        };
        Ok(self.registry.insert(registry).clone())
    }

    /// Where images are built and pushed.
    pub(super) fn place(&mut self) -> Result<Place> {
        Ok(Place {
            engine: self.engine()?,
            registry: self.registry()?,
        })
    }
}
