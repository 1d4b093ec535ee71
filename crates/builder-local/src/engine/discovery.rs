//! Which engine is meant: what the user said, else what is there.
//!
//! 1. The address in the builder's configuration or the command's `--host`.
//! 2. The Docker context in the builder's configuration.
//! 3. `DOCKER_HOST`, with `DOCKER_TLS_VERIFY` and `DOCKER_CERT_PATH`.
//! 4. `DOCKER_CONTEXT`, else the context that `docker context use` chose, unless it is `default`.
//! 5. `CONTAINER_HOST`.
//! 6. The sockets engines have by default: Docker's, rootless Docker's, Docker Desktop's, Colima's, Rancher
//!    Desktop's, OrbStack's, Podman's, rootless Podman's, Podman machine's. The first that answers is taken.
//!
//! Whoever says which engine (1 to 5) gets that one or an error: falling back to another would build in a
//! place nobody asked for. Rules 3 and 4 are the `docker` command's.

use wharf_core::Result;

use super::contexts;
use super::endpoint::{Endpoint, TlsFiles};
use super::environment::{HostEnvironment, exists};

/// An endpoint and why it is tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Where the engine may listen.
    pub endpoint: Endpoint,
    /// Who says so: `DOCKER_HOST`, `the Docker context prod`, `the default socket of Podman`.
    pub reason: String,
}

/// What the configuration of the builder says about the engine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EngineChoice {
    /// An address, in the form of `DOCKER_HOST`.
    pub host: Option<String>,
    /// The name of a Docker context.
    pub context: Option<String>,
}

/// The endpoints to try, in order. Of several the first that answers is meant.
///
/// # Errors
///
/// When an address or context was named and is wrong.
pub fn candidates(choice: &EngineChoice, environment: &HostEnvironment) -> Result<Vec<Candidate>> {
    if let Some(named) = named(choice, environment)? {
        return Ok(vec![named]);
    }
    let sockets = environment.default_sockets().into_iter();
    Ok(sockets
        .map(|(engine, path)| Candidate {
            endpoint: Endpoint::Unix(path),
            reason: format!("the default socket of {engine}"),
        })
        .collect())
}

fn named(choice: &EngineChoice, environment: &HostEnvironment) -> Result<Option<Candidate>> {
    if let Some(host) = &choice.host {
        return address(host, environment, "the host that was asked for").map(Some);
    }
    if let Some(context) = &choice.context {
        return context_candidate(context, environment);
    }
    if let Some(host) = &environment.docker_host {
        return address(host, environment, "DOCKER_HOST").map(Some);
    }
    if let Some(context) = chosen_context(environment)? {
        return context_candidate(&context, environment);
    }
    match &environment.container_host {
        Some(host) => Ok(Some(Candidate {
            endpoint: host.parse()?,
            reason: "CONTAINER_HOST".into(),
        })),
        None => Ok(None),
    }
}

fn address(host: &str, environment: &HostEnvironment, reason: &str) -> Result<Candidate> {
    let endpoint: Endpoint = host.parse()?;
    let wants_tls = environment.docker_tls_verify || environment.docker_cert_path.is_some();
    let endpoint = match environment.tls_directory() {
        Some(directory) if wants_tls => endpoint.with_tls(TlsFiles {
            directory,
            verify: environment.docker_tls_verify,
        }),
        _ => endpoint,
    };
    Ok(Candidate {
        endpoint,
        reason: reason.to_owned(),
    })
}

fn chosen_context(environment: &HostEnvironment) -> Result<Option<String>> {
    if let Some(name) = &environment.docker_context {
        return Ok(Some(name.clone()).filter(|name| name != contexts::DEFAULT));
    }
    match environment.docker_directory() {
        Some(directory) if exists(&directory) => contexts::current(&directory),
        _ => Ok(None),
    }
}

fn context_candidate(name: &str, environment: &HostEnvironment) -> Result<Option<Candidate>> {
    let Some(directory) = environment
        .docker_directory()
        .filter(|_| name != contexts::DEFAULT)
    else {
        return Ok(None);
    };
    let endpoint = contexts::endpoint(&directory, name)?;
    Ok(Some(Candidate {
        endpoint,
        reason: format!("the Docker context {name}"),
    }))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use wharf_core::ErrorKind;

    use super::*;

    fn environment(home: &Path) -> HostEnvironment {
        HostEnvironment {
            home: Some(home.into()),
            runtime_directory: Some("/run/user/7".into()),
            root: "/".into(),
            ..HostEnvironment::default()
        }
    }

    fn write_context(home: &Path, name: &str, host: &str) {
        use sha2::{Digest as _, Sha256};
        let id: String = Sha256::digest(name.as_bytes())
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let directory = home.join(".docker/contexts/meta").join(id);
        std::fs::create_dir_all(&directory).unwrap();
        let meta = serde_json::json!({"Name": name, "Endpoints": {"docker": {"Host": host}}});
        std::fs::write(directory.join("meta.json"), meta.to_string()).unwrap();
    }

    fn only(choice: &EngineChoice, environment: &HostEnvironment) -> String {
        let candidates = candidates(choice, environment).unwrap();
        assert_eq!(candidates.len(), 1);
        format!("{} ({})", candidates[0].endpoint, candidates[0].reason)
    }

    #[test]
    fn nobody_said_anything_so_the_default_sockets_are_tried_in_order() {
        let home = tempfile::tempdir().unwrap();
        let found = candidates(&EngineChoice::default(), &environment(home.path())).unwrap();
        let paths: Vec<String> = found
            .iter()
            .map(|candidate| candidate.endpoint.to_string())
            .collect();
        assert_eq!(paths[0], "unix:///var/run/docker.sock");
        assert_eq!(paths[1], "unix:///run/user/7/docker.sock");
        for part in [
            ".docker/run",
            ".colima/default",
            ".rd/",
            "run/podman/podman.sock",
            "/run/user/7/podman",
        ] {
            assert!(paths.iter().any(|path| path.contains(part)), "{part}");
        }
    }

    #[test]
    fn docker_host_goes_before_contexts_and_the_configuration_before_both() {
        let home = tempfile::tempdir().unwrap();
        write_context(home.path(), "prod", "tcp://prod:2375");
        let mut environment = environment(home.path());
        environment.docker_context = Some("prod".into());
        assert_eq!(
            only(&EngineChoice::default(), &environment),
            "tcp://prod:2375 (the Docker context prod)"
        );
        environment.docker_host = Some("tcp://env:1".into());
        assert_eq!(
            only(&EngineChoice::default(), &environment),
            "tcp://env:1 (DOCKER_HOST)"
        );
        let choice = EngineChoice {
            host: Some("/x.sock".into()),
            context: None,
        };
        assert_eq!(
            only(&choice, &environment),
            "unix:///x.sock (the host that was asked for)"
        );
    }

    #[test]
    fn the_context_in_use_is_honoured_and_docker_config_moves_it() {
        let home = tempfile::tempdir().unwrap();
        write_context(home.path(), "colima", "unix:///colima.sock");
        std::fs::write(
            home.path().join(".docker/config.json"),
            r#"{"currentContext":"colima"}"#,
        )
        .unwrap();
        let mut environment = environment(home.path());
        assert_eq!(
            only(&EngineChoice::default(), &environment),
            "unix:///colima.sock (the Docker context colima)"
        );
        environment.docker_config = Some(home.path().join("elsewhere"));
        assert!(candidates(&EngineChoice::default(), &environment).unwrap().len() > 1);
    }

    #[test]
    fn an_unknown_context_is_an_error_that_lists_the_known_ones() {
        let home = tempfile::tempdir().unwrap();
        write_context(home.path(), "prod", "tcp://prod:2375");
        let mut environment = environment(home.path());
        environment.docker_context = Some("prd".into());
        let error = candidates(&EngineChoice::default(), &environment).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.hint().unwrap().contains("default, prod"));
    }

    #[test]
    fn tls_is_spoken_when_the_variables_say_so() {
        let home = tempfile::tempdir().unwrap();
        let mut environment = environment(home.path());
        environment.docker_host = Some("tcp://h:2376".into());
        environment.docker_tls_verify = true;
        environment.docker_cert_path = Some("/certs".into());
        let found = candidates(&EngineChoice::default(), &environment).unwrap();
        let expected = TlsFiles {
            directory: "/certs".into(),
            verify: true,
        };
        assert_eq!(
            found[0].endpoint,
            Endpoint::Tcp {
                host: "h".into(),
                port: 2376,
                tls: Some(expected)
            }
        );
    }
}
