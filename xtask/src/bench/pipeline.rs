//! Pipelines: planning many steps, building many images, and building where nothing changed.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Result;

use super::buildx::Buildx;
use super::ratio::Ratios;
use super::{in_turns, timed, write_file};
use crate::process::{command, run_quietly};
use crate::services::engine::docker;
use crate::services::images;

/// How many steps the large plan has, and how many distinct settings.
const STEPS: usize = 300;
const SETTINGS: usize = 40;
/// How many images are built at once.
const IMAGES: usize = 8;

/// Steps that need no code but what is in their image.
const NO_CODE: &str = "allow_download_from_code_repository: false, allow_download_from_artifact_store: false, \
                       allow_including_files_in_images: false";

/// A folder with pipelines, and the services that their images go through.
#[derive(Debug)]
pub(super) struct Pipelines<'a> {
    pub(super) wharf: &'a Path,
    pub(super) folder: PathBuf,
}

/// Where images are built and pushed.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) engine: String,
    pub(super) registry: String,
}

impl Place {
    /// The parent of every image, in the registry as parents are.
    fn parent(&self) -> Result<String> {
        let image = format!("{}/wharf-bench/busybox:1", self.registry);
        run_quietly(&mut docker(&self.engine, &["tag", images::BUSYBOX, &image]))?;
        run_quietly(&mut docker(&self.engine, &["push", &image]))?;
        Ok(image)
    }
}

impl Pipelines<'_> {
    /// Planning many steps against planning one: what is the same in both, such as asking Python for its version,
    /// is most of the time of either.
    pub(super) fn plan(&self, runs: usize) -> Result<Ratios> {
        for (name, steps) in [("many.yaml", STEPS), ("one.yaml", 1)] {
            write_file(&self.folder.join(name), pipeline_of(steps).as_bytes())?;
        }
        let plan = |file: &str| {
            let arguments = [
                "pipeline",
                "plan",
                file,
                "--code-repository",
                "off",
                "--output",
                "json",
            ];
            self.wharf(&arguments)
        };
        in_turns(
            runs,
            || timed(&mut plan("many.yaml")),
            || timed(&mut plan("one.yaml")),
        )
    }

    /// Eight images at once against one after the other. Each waits a second, as for a download, and none is cached.
    pub(super) fn jobs(&self, place: &Place, runs: usize) -> Result<Ratios> {
        let parent = place.parent()?;
        let mut file =
            format!("settings: {{docker: {{install_stack_requirements: false, {NO_CODE}}}}}\nsteps:\n");
        for number in 0..IMAGES {
            let dockerfile = format!("FROM {parent}\nRUN sleep 1; echo {number} > /made\n");
            write_file(
                &self.folder.join(format!("Dockerfile.{number}")),
                dockerfile.as_bytes(),
            )?;
            let options = "parent_image_build_config: {build_options: {nocache: true}}";
            let _ = writeln!(
                file,
                "  s{number}: {{settings: {{docker: {{dockerfile: Dockerfile.{number}, {options}}}}}}}"
            );
        }
        write_file(&self.folder.join("jobs.yaml"), file.as_bytes())?;
        let build = |jobs: &str| self.build(place, &["jobs.yaml", "--no-reuse", "--jobs", jobs]);
        in_turns(runs, || timed(&mut build("8")), || timed(&mut build("1")))
    }

    /// A context with nothing changed since it was built and pushed: `wharf pipeline build` against `docker buildx build`,
    /// which is what `docker build` is today, and `docker push`.
    pub(super) fn unchanged(
        &self,
        place: &Place,
        buildx: &Buildx,
        tree: &Path,
        runs: usize,
    ) -> Result<Ratios> {
        let dockerfile = format!(
            "FROM {}\nWORKDIR /app\nCOPY . .\nRUN find . | wc -l\n",
            place.parent()?
        );
        let path = tree.join("Dockerfile.pipeline");
        fs::write(&path, dockerfile)?;
        let settings = format!(
            "settings:\n  docker: {{install_stack_requirements: false, {NO_CODE}, dockerfile: '{}', \
             build_context_root: '{}'}}\n",
            path.display(),
            tree.display()
        );
        write_file(&self.folder.join("unchanged.yaml"), settings.as_bytes())?;
        let theirs = || {
            let name = format!("{}/wharf-bench/docker:1", place.registry);
            let mut build = buildx.build(&place.engine, &name, tree);
            build.arg("--file").arg(&path).stdout(Stdio::null());
            let mut push = docker(&place.engine, &["push", "--quiet", &name]);
            Ok::<Duration, anyhow::Error>(timed(&mut build)? + timed(push.stdout(Stdio::null()))?)
        };
        in_turns(
            runs,
            || timed(&mut self.build(place, &["unchanged.yaml"])),
            theirs,
        )
    }

    fn build(&self, place: &Place, arguments: &[&str]) -> Command {
        let mut build = self.wharf(&["pipeline", "build"]);
        build.args(arguments);
        build.args(["--code-repository", "off", "--progress", "plain", "--registry"]);
        build
            .arg(format!("{}/wharf-bench", place.registry))
            .env("DOCKER_HOST", &place.engine);
        build
    }

    fn wharf(&self, arguments: &[&str]) -> Command {
        let mut wharf = command(self.wharf, arguments);
        wharf.current_dir(&self.folder).stdout(Stdio::null());
        wharf
    }
}

/// A pipeline of many steps that share some settings.
fn pipeline_of(steps: usize) -> String {
    let mut text =
        "settings: {docker: {parent_image: 'python:3.11-slim', apt_packages: [git]}}\nsteps:\n".to_owned();
    for step in 0..steps {
        let number = step % SETTINGS;
        let _ = writeln!(
            text,
            "  step_{step}: {{settings: {{docker: {{requirements: [numpy==1.{number}, pandas], user: u{number}}}}}}}"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steps_share_forty_settings() {
        let text = pipeline_of(STEPS);
        assert_eq!(text.lines().count(), STEPS + 2);
        let settings = text.lines().skip(2).filter_map(|line| line.split_once(": "));
        let distinct: std::collections::BTreeSet<&str> = settings.map(|(_, settings)| settings).collect();
        assert_eq!(distinct.len(), SETTINGS);
    }
}
