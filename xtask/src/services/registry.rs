//! Registries on loopback, one open to everybody and one with a password.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;

use anyhow::{Context, Result};

use super::http::{free_port, status_of_port};
use super::machine::Machine;
use super::run_dir::{RunDir, ServiceDir};
use crate::process::{capture, command};

/// Another program may take a port between our finding it and the registry's listening.
const ATTEMPTS: usize = 3;
const USER: &str = "wharf";

/// Starts a registry without a password. Gives `127.0.0.1:PORT`.
pub(crate) fn start(run_dir: &RunDir, machine: &mut Machine) -> Result<String> {
    let service = run_dir.service("registry")?;
    let address = serve(&service, machine, None)?;
    service.note("address", &address)?;
    Ok(address)
}

/// Starts a registry that wants a password. Gives `USER:PASSWORD@127.0.0.1:PORT`.
pub(crate) fn start_with_password(run_dir: &RunDir, machine: &mut Machine) -> Result<String> {
    let service = run_dir.service("registry-auth")?;
    let password = random_word()?;
    let address = serve_with_login(&service, machine, USER, &password)?;
    let address = format!("{USER}:{password}@{address}");
    service.note("address", &address)?;
    Ok(address)
}

/// Starts a registry that takes one user's password, under a name of its own. Gives `127.0.0.1:PORT`.
pub(crate) fn start_for(
    name: &str,
    login: (&str, &str),
    run_dir: &RunDir,
    machine: &mut Machine,
) -> Result<String> {
    let service = run_dir.service(name)?;
    let address = serve_with_login(&service, machine, login.0, login.1)?;
    service.note("address", &address)?;
    Ok(address)
}

fn serve_with_login(
    service: &ServiceDir,
    machine: &mut Machine,
    user: &str,
    password: &str,
) -> Result<String> {
    let htpasswd = machine.program("htpasswd", &["apache2-utils"])?;
    // The registry reads bcrypt entries only.
    let entry = capture(&mut command(htpasswd, ["-nbB", user, password]))?;
    service.note("htpasswd", &entry)?;
    serve(service, machine, Some("htpasswd"))
}

fn serve(service: &ServiceDir, machine: &mut Machine, passwords: Option<&str>) -> Result<String> {
    // Only unpacked: the package's own service would listen on port 5000 of every network.
    let program = machine
        .unpacked("docker-registry")?
        .join("usr/bin/docker-registry");
    let expected = if passwords.is_some() { 401 } else { 200 };
    let mut last = Ok(());
    for _ in 0..ATTEMPTS {
        let port = free_port()?;
        service.note("config.yml", &configuration(service, port, passwords))?;
        let config = service.join("config.yml");
        let mut daemon = command(&program, [""; 0]);
        daemon
            .arg("serve")
            .arg(config)
            .env("OTEL_TRACES_EXPORTER", "none");
        last = service.start(daemon, || status_of_port(port, "/v2/") == Some(expected));
        if last.is_ok() {
            return Ok(format!("127.0.0.1:{port}"));
        }
        service.stop();
    }
    last.map(|()| String::new())
}

fn configuration(service: &ServiceDir, port: u16, passwords: Option<&str>) -> String {
    let storage = service.join("storage");
    let mut text = format!(
        "version: 0.1\nlog: {{level: warn}}\nhttp: {{addr: \"127.0.0.1:{port}\"}}\n\
         storage: {{filesystem: {{rootdirectory: \"{}\"}}, delete: {{enabled: true}}}}\n",
        storage.display()
    );
    if let Some(file) = passwords {
        let path = service.join(file);
        text += &format!(
            "auth: {{htpasswd: {{realm: wharf-test, path: \"{}\"}}}}\n",
            path.display()
        );
    }
    text
}

fn random_word() -> Result<String> {
    let mut bytes = [0; 12];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .context("no random numbers")?;
    Ok(bytes.iter().fold(String::new(), |mut word, byte| {
        let _ = write!(word, "{byte:02x}");
        word
    }))
}
