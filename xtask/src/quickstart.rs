//! `cargo xtask quickstart`: from a machine with nothing but Rust to an image in a registry and its model's score.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::metadata::Workspace;
use crate::process::{capture, cargo, command, run, workspace_root};
use crate::services::engine::{self, docker};
use crate::services::machine::{Machine, find};
use crate::services::run_dir::RunDir;
use crate::services::{images, lock_set_up, registry};
use crate::target_dir::{cache, in_ci};

/// What the example's Dockerfile starts from where a public registry can be reached.
const PUBLIC_PARENT: &str = "python:3.12-slim";

/// Where the quickstart's parts are.
#[derive(Debug)]
struct Parts {
    engine: String,
    registry: String,
    parent: String,
}

/// Runs the task; `yes` installs without asking.
pub(crate) fn run_task(yes: bool) -> Result<()> {
    let mut machine = Machine::default();
    let engine = running_engine();
    if !yes && !in_ci() {
        ask(engine.as_deref())?;
    }
    let run_dir = RunDir::temporary()?;
    let parts = set_up(&run_dir, &mut machine, engine)?;
    let image = build(&parts)?;
    let score = capture(&mut docker(&parts.engine, &["run", "--rm", &image]))?;
    drop(run_dir);
    println!("image  {image}");
    println!("score  {}", score.trim());
    say_what_stays(&machine, &parts);
    Ok(())
}

/// The engine the user has, as `wharf` itself would find it.
fn running_engine() -> Option<String> {
    let chosen = std::env::var("DOCKER_HOST")
        .ok()
        .filter(|address| !address.is_empty());
    chosen.or_else(engine::of_the_machine)
}

fn ask(engine: Option<&str>) -> Result<()> {
    let question = question(engine, |program| find(program).is_some());
    if !io::stdin().is_terminal() {
        bail!("{question}\nNobody can answer here; say `cargo xtask quickstart --yes`");
    }
    eprint!("{question}\nContinue? [y/N] ");
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    if !matches!(answer.trim(), "y" | "Y" | "yes") {
        bail!("nothing was done");
    }
    Ok(())
}

/// What is going to happen, as far as it can be known before.
fn question(engine: Option<&str>, has: impl Fn(&str) -> bool) -> String {
    let mut lines = vec![match engine {
        Some(address) => format!("The engine at {address} is used."),
        None if has("dockerd") => "No engine answers: one is started, and stopped at the end.".to_owned(),
        None => {
            "No engine answers: docker.io and iptables are installed with apt-get; an engine is started, and \
                 stopped at the end."
                .to_owned()
        }
    }];
    if !has("debootstrap") {
        lines.push("debootstrap is installed with apt-get if no public registry can be reached.".to_owned());
    }
    lines.push(format!(
        "A registry is unpacked into {}, started, and stopped at the end.",
        cache().display()
    ));
    lines.join("\n")
}

fn set_up(run_dir: &RunDir, machine: &mut Machine, engine: Option<String>) -> Result<Parts> {
    let _lock = lock_set_up()?;
    let engine = match engine {
        Some(address) => address,
        None => {
            eprintln!("no engine answers: starting one");
            engine::start(run_dir, machine)?
        }
    };
    machine.program("docker", &["docker-cli"])?;
    let registry = registry::start(run_dir, machine)?;
    let parent = parent_image(machine, &engine)?;
    Ok(Parts {
        engine,
        registry,
        parent,
    })
}

fn parent_image(machine: &mut Machine, engine: &str) -> Result<String> {
    eprintln!("pulling {PUBLIC_PARENT}");
    if images::can_pull(engine, PUBLIC_PARENT) {
        return Ok(PUBLIC_PARENT.to_owned());
    }
    eprintln!("it cannot be pulled: making a parent image from packages of Debian instead");
    let archive = images::python(machine)?;
    images::import(engine, &archive)?;
    Ok(archive.name.to_owned())
}

/// Builds and pushes the example with the command; gives what it wrote to stdout.
fn build(parts: &Parts) -> Result<String> {
    let wharf = build_command()?;
    let tag = format!("{}/wharf-quickstart:1", parts.registry);
    let parent = format!("PARENT_IMAGE={}", parts.parent);
    let mut wharf = command(
        wharf,
        [
            "build",
            "examples/quickstart",
            "-t",
            &tag,
            "--build-arg",
            &parent,
            "--push",
        ],
    );
    wharf
        .current_dir(workspace_root())
        .env("DOCKER_HOST", &parts.engine)
        .stderr(std::process::Stdio::inherit());
    eprintln!("$ wharf build examples/quickstart -t {tag} --build-arg {parent} --push");
    checked_digest(&capture(&mut wharf)?)
}

fn build_command() -> Result<PathBuf> {
    run(&mut cargo(["build", "--locked", "--package", "wharf-cli"]))?;
    let binary = Workspace::read()?.target_directory()?.join("debug/wharf");
    if !Path::is_file(&binary) {
        bail!("cargo built no {}", binary.display());
    }
    Ok(binary)
}

/// The one line the command promises for a pushed image: `repository@sha256:…`.
fn checked_digest(stdout: &str) -> Result<String> {
    let line = stdout.strip_suffix('\n').unwrap_or(stdout);
    let (_, digest) = line
        .split_once("@sha256:")
        .with_context(|| format!("{stdout:?} names no digest"))?;
    if line.contains(char::is_whitespace)
        || digest.len() != 64
        || !digest.bytes().all(|byte| byte.is_ascii_hexdigit())
    {
        bail!("{stdout:?} is not one line with a digest");
    }
    Ok(line.to_owned())
}

fn say_what_stays(machine: &Machine, parts: &Parts) {
    eprintln!("\nWhat the quickstart started is stopped.");
    if !machine.installed().is_empty() {
        eprintln!("Left installed: {}.", machine.installed().join(", "));
    }
    eprintln!(
        "Left in {}: downloads and images, to be quick next time.",
        cache().display()
    );
    if running_engine().as_ref() == Some(&parts.engine) {
        eprintln!(
            "Left on the engine at {}: the image wharf-quickstart and {}.",
            parts.engine, parts.parent
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_line_with_a_digest_will_do() {
        let line = format!("127.0.0.1:5000/a@sha256:{}\n", "0a".repeat(32));
        assert_eq!(checked_digest(&line).unwrap(), line.trim_end());
        checked_digest("127.0.0.1:5000/a:1\n").unwrap_err();
        checked_digest(&format!("noise\n{line}")).unwrap_err();
        checked_digest(&format!("{line}noise\n")).unwrap_err();
    }

    #[test]
    fn the_question_names_what_would_be_installed() {
        let nothing = question(None, |_| false);
        assert!(
            nothing.contains("docker.io") && nothing.contains("debootstrap"),
            "{nothing}"
        );
        let everything = question(Some("unix:///x"), |_| true);
        assert!(
            !everything.contains("apt-get") && everything.contains("unix:///x"),
            "{everything}"
        );
    }
}
