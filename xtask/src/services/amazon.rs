//! A server that plays Amazon's services, and Amazon's own command; both from the Python package index.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::engine::docker;
use super::http::{free_port, status_of_port};
use super::images;
use super::machine::{Machine, remove};
use super::run_dir::{RunDir, ServiceDir};
use crate::bench::buildx;
use crate::process::{capture, command, run_quietly, succeeds};
use crate::target_dir::cache;

/// What is installed. The environment is made anew when this changes.
const PACKAGES: [&str; 2] = ["moto[server]==5.2.5", "awscli==1.46.3"];

/// The image in which builds of CodeBuild run.
const IMAGE: &str = "wharf-test/codebuild:1";

/// What the server gives out as the login at ECR.
pub(crate) const ECR_LOGIN: (&str, &str) = ("AWS", "123456789012-auth-token");

/// Another program may take a port between our finding it and the server's listening.
const ATTEMPTS: usize = 3;

/// For a server that is measured: it keeps objects in memory, and memory that it has once had. How long the disk takes,
/// and the system to find pages for another GiB, differs more from run to run than what is compared. It takes some 6 GiB.
const KEEP_MEMORY: [(&str, &str); 5] = [
    ("MOTO_S3_DEFAULT_KEY_BUFFER_SIZE", "4294967296"),
    ("MALLOC_ARENA_MAX", "1"),
    ("MALLOC_MMAP_MAX_", "0"),
    ("MALLOC_TRIM_THRESHOLD_", "17179869184"),
    ("MALLOC_TOP_PAD_", "67108864"),
];

/// Starts the server. Gives `http://127.0.0.1:PORT`.
pub(crate) fn start(run_dir: &RunDir, machine: &mut Machine) -> Result<String> {
    start_with(&[], run_dir, machine)
}

/// Starts a server that takes about the same time for the same requests.
pub(crate) fn start_to_measure(run_dir: &RunDir, machine: &mut Machine) -> Result<String> {
    start_with(&KEEP_MEMORY, run_dir, machine)
}

fn start_with(settings: &[(&str, &str)], run_dir: &RunDir, machine: &mut Machine) -> Result<String> {
    let programs = programs(machine)?;
    let service = run_dir.service("amazon")?;
    let address = serve(&service, &programs.join("moto_server"), settings)?;
    service.note("address", &address)?;
    Ok(address)
}

/// The command `aws`.
pub(crate) fn aws_command(machine: &mut Machine) -> Result<PathBuf> {
    Ok(programs(machine)?.join("aws"))
}

fn serve(service: &ServiceDir, program: &Path, settings: &[(&str, &str)]) -> Result<String> {
    let mut last = Ok(());
    for _ in 0..ATTEMPTS {
        let port = free_port()?;
        let mut daemon = command(program, ["-H", "127.0.0.1", "-p", &port.to_string()]);
        // Uploads lie in memory and in temporary files, which go with the service.
        daemon
            .env("TMPDIR", service.join(""))
            .env("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
            .envs(settings.iter().copied());
        last = service.start(daemon, || status_of_port(port, "/moto-api/").is_some());
        if last.is_ok() {
            return Ok(format!("http://127.0.0.1:{port}"));
        }
        service.stop();
    }
    last.map(|()| String::new())
}

/// The folder with the programs, in a virtual environment that is made once; that takes about a minute.
fn programs(machine: &mut Machine) -> Result<PathBuf> {
    let folder = cache().join(format!("python-{}", recipe()));
    let programs = folder.join("bin");
    if programs.join("complete").is_file() {
        return Ok(programs);
    }
    eprintln!(
        "installing {}, once; it is kept in {}",
        PACKAGES.join(" and "),
        folder.display()
    );
    remove(&folder)?;
    let python = machine.program("python3", &["python3"])?;
    let make = || {
        succeeds(&mut command(
            &python,
            [Path::new("-m"), Path::new("venv"), &folder],
        ))
    };
    if !make() {
        machine.install(&["python3-venv"])?;
        remove(&folder)?;
        run_quietly(&mut command(
            &python,
            [Path::new("-m"), Path::new("venv"), &folder],
        ))?;
    }
    let pip = programs.join("pip");
    let quiet = ["install", "--quiet", "--disable-pip-version-check"];
    run_quietly(&mut command(pip, quiet.into_iter().chain(PACKAGES)))?;
    fs::write(programs.join("complete"), "").context("cannot note that the environment is complete")?;
    Ok(programs)
}

fn recipe() -> String {
    let mut hasher = DefaultHasher::new();
    PACKAGES.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// Sees to it that the engine has the image in which builds run: the Python image with `aws` and `docker`. Gives its
/// name.
pub(crate) fn import_image(address: &str, service: &ServiceDir) -> Result<String> {
    let parent = capture(&mut docker(
        address,
        &["image", "inspect", "--format", "{{.Id}}", images::PYTHON],
    ))?;
    let wanted = format!("{}-{}", recipe(), parent.trim());
    let format = "{{index .Config.Labels \"wharf.recipe\"}}";
    let known = capture(&mut docker(
        address,
        &["image", "inspect", "--format", format, IMAGE],
    ));
    if known.is_ok_and(|recipe| recipe.trim() == wanted) {
        return Ok(IMAGE.to_owned());
    }
    let folder = service.join("image");
    fs::create_dir_all(&folder)?;
    let client = Client::find()?;
    client.copy(&folder)?;
    let dockerfile = format!(
        "FROM {}\nRUN pip install --quiet --no-cache-dir {}\nCOPY docker /usr/local/bin/\n\
         COPY cli-plugins /usr/local/lib/docker/cli-plugins\nLABEL wharf.recipe={wanted}\n",
        images::PYTHON,
        PACKAGES[1]
    );
    fs::write(folder.join("Dockerfile"), dockerfile)?;
    run_quietly(docker(address, &["build", "--quiet", "--tag", IMAGE]).arg(&folder))?;
    fs::remove_dir_all(&folder)?;
    Ok(IMAGE.to_owned())
}

/// A Docker client that builds with BuildKit: by itself before version 23, with buildx from then on.
#[derive(Debug)]
struct Client {
    program: PathBuf,
    buildx: Option<PathBuf>,
}

impl Client {
    /// The first on the `PATH` that does so by itself, else the first and Debian's buildx.
    fn find() -> Result<Client> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let programs: Vec<PathBuf> = std::env::split_paths(&path)
            .map(|folder| folder.join("docker"))
            .filter(|file| file.is_file())
            .collect();
        let by_itself = |program: &&PathBuf| {
            let mut help = command(program, ["build", "--help"]);
            help.env("DOCKER_BUILDKIT", "1")
                .env("DOCKER_CONFIG", "/nonexistent");
            let plugin =
                succeeds(command(program, ["buildx", "version"]).env("DOCKER_CONFIG", "/nonexistent"));
            !plugin && succeeds(&mut help)
        };
        if let Some(program) = programs.iter().find(by_itself) {
            return Ok(Client {
                program: program.clone(),
                buildx: None,
            });
        }
        let program = programs
            .into_iter()
            .next()
            .context("there is no command docker")?;
        Ok(Client {
            program,
            buildx: Some(buildx::plugin()?),
        })
    }

    /// Puts the files beside a Dockerfile.
    fn copy(&self, folder: &Path) -> Result<()> {
        let copy = |from: &Path, to: PathBuf| {
            fs::copy(from, to)
                .with_context(|| format!("cannot copy {}", from.display()))
                .map(drop)
        };
        fs::create_dir_all(folder.join("cli-plugins"))?;
        copy(&self.program, folder.join("docker"))?;
        match &self.buildx {
            Some(plugin) => copy(plugin, folder.join("cli-plugins/docker-buildx")),
            None => Ok(()),
        }
    }
}
