//! Where Docker and Podman keep logins.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::file::{self, AuthFile};
use super::helper::{self, HelperError};
use super::{CredentialSource, RegistryAuth, RegistryCredentials};
use crate::{Error, ImageReference, Result, Secret};

/// The variable that holds logins as Docker's configuration file would.
pub(super) const AUTH_VARIABLE: &str = "DOCKER_AUTH_CONFIG";
/// How long a credential helper may take.
const HELPER_LIMIT: Duration = Duration::from_secs(30);

/// Finds what `docker login` and `podman login` left.
///
/// Looked at, in this order: the variable `DOCKER_AUTH_CONFIG`; Docker's `config.json` in `DOCKER_CONFIG`
/// or `~/.docker`; Podman's `REGISTRY_AUTH_FILE`, `$XDG_RUNTIME_DIR/containers/auth.json` and
/// `~/.config/containers/auth.json`. Within each: the helper for this registry, the helper for all, the
/// logins that stand in the file itself. The first that has something for the image wins.
///
/// It is a snapshot of the environment, so that a test, or a server that acts for somebody else, can bring
/// its own.
#[derive(Debug, Clone)]
pub struct DockerConfigLocator {
    pub(super) auth_config: Option<Secret>,
    files: Vec<PathBuf>,
    pub(super) path: Option<OsString>,
    helper_limit: Duration,
}

impl Default for DockerConfigLocator {
    fn default() -> Self {
        Self::empty()
    }
}

impl DockerConfigLocator {
    /// Finds nothing.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            auth_config: None,
            files: Vec::new(),
            path: None,
            helper_limit: HELPER_LIMIT,
        }
    }

    /// The places that this process's environment gives.
    #[must_use]
    pub fn from_env() -> Self {
        Self::from_variables(|name| std::env::var_os(name))
    }

    /// The places that these environment variables give: `DOCKER_AUTH_CONFIG`, `DOCKER_CONFIG`,
    /// `REGISTRY_AUTH_FILE`, `XDG_RUNTIME_DIR`, `XDG_CONFIG_HOME`, `HOME` (`USERPROFILE` on Windows) and
    /// `PATH`. An empty variable counts as absent.
    #[must_use]
    pub fn from_variables(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let directory = |name: &str| variable(name).map(PathBuf::from);
        let home = directory(if cfg!(windows) { "USERPROFILE" } else { "HOME" });
        let below_home = |path: &str| home.as_ref().map(|home| home.join(path));
        let files = [
            directory("DOCKER_CONFIG")
                .or_else(|| below_home(".docker"))
                .map(|at| at.join("config.json")),
            directory("REGISTRY_AUTH_FILE"),
            directory("XDG_RUNTIME_DIR").map(|at| at.join("containers/auth.json")),
            directory("XDG_CONFIG_HOME")
                .or_else(|| below_home(".config"))
                .map(|at| at.join("containers/auth.json")),
        ];
        Self {
            auth_config: variable(AUTH_VARIABLE).map(|text| Secret::new(text.to_string_lossy())),
            files: files.into_iter().flatten().collect(),
            path: variable("PATH"),
            helper_limit: HELPER_LIMIT,
        }
    }

    /// How long a credential helper may take before it is killed. 30 seconds by default.
    #[must_use]
    pub fn with_helper_limit(mut self, limit: Duration) -> Self {
        self.helper_limit = limit;
        self
    }

    /// The files that are looked at, in order, whether they exist or not.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// What is stored for an image's repository; `None` when nothing is.
    ///
    /// # Errors
    ///
    /// A file that is there and cannot be read, and a helper that is missing or fails
    /// ([`InvalidConfiguration`](crate::ErrorKind::InvalidConfiguration),
    /// [`Unauthenticated`](crate::ErrorKind::Unauthenticated), [`Timeout`](crate::ErrorKind::Timeout)).
    /// No error shows a password. Dropping the future kills a helper that runs.
    pub async fn credentials(&self, image: &ImageReference) -> Result<Option<RegistryCredentials>> {
        if let Some(text) = &self.auth_config {
            let file = AuthFile::parse(text.expose())
                .map_err(|error| error.with_context("variable", AUTH_VARIABLE))?;
            let found = self
                .look_into(&file, image, CredentialSource::Variable(AUTH_VARIABLE))
                .await?;
            if found.is_some() {
                return Ok(found);
            }
        }
        for path in &self.files {
            let Some(file) = AuthFile::read(path)? else {
                continue;
            };
            let found = self
                .look_into(&file, image, CredentialSource::File(path.clone()))
                .await
                .map_err(|error| error.with_context("path", path.display().to_string()))?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    async fn look_into(
        &self,
        file: &AuthFile,
        image: &ImageReference,
        source: CredentialSource,
    ) -> Result<Option<RegistryCredentials>> {
        if let Some(name) = file.helper(image)
            && let Some(auth) = self.ask(name, image).await?
        {
            return Ok(Some(from_helper(name, auth)));
        }
        let mut missing: Option<Error> = None;
        if let Some(name) = file.store() {
            match self.ask(name, image).await {
                Ok(Some(auth)) => return Ok(Some(from_helper(name, auth))),
                Ok(None) => {}
                // The file may have come from another machine, with logins of its own beside the helper.
                Err(HelperError::Missing(error)) => missing = Some(error),
                Err(HelperError::Failed(error)) => return Err(error),
            }
        }
        match (file.stored(image)?, missing) {
            (Some(auth), _) => Ok(Some(RegistryCredentials { auth, source })),
            (None, Some(error)) => Err(error),
            (None, None) => Ok(None),
        }
    }

    async fn ask(&self, name: &str, image: &ImageReference) -> Result<Option<RegistryAuth>, HelperError> {
        helper::get(
            name,
            file::server_key(image),
            self.path.as_deref(),
            self.helper_limit,
        )
        .await
    }
}

fn from_helper(name: &str, auth: RegistryAuth) -> RegistryCredentials {
    RegistryCredentials {
        auth,
        source: CredentialSource::Helper(name.to_owned()),
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::collections::HashMap;
    use std::os::unix::fs::PermissionsExt as _;

    use tempfile::TempDir;

    use super::*;
    use crate::ErrorKind;

    /// A home directory, and variables that lead nowhere else.
    struct Home {
        dir: TempDir,
        variables: HashMap<&'static str, OsString>,
    }

    impl Home {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let home = dir.path().as_os_str().to_owned();
            let variables = HashMap::from([("HOME", home.clone()), ("PATH", home)]);
            Self { dir, variables }
        }

        fn set(mut self, name: &'static str, value: &str) -> Self {
            self.variables.insert(name, value.into());
            self
        }

        fn write(self, name: &str, text: &str) -> Self {
            let path = self.dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
            self
        }

        fn helper(self, name: &str, script: &str) -> Self {
            let file = format!("docker-credential-{name}");
            let home = self.write(&file, &format!("#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n"));
            let mode = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(home.dir.path().join(file), mode).unwrap();
            home
        }

        fn locator(&self) -> DockerConfigLocator {
            DockerConfigLocator::from_variables(|name| self.variables.get(name).cloned())
        }

        async fn ask(&self, image: &str) -> Result<Option<String>> {
            let found = self.locator().credentials(&image.parse().unwrap()).await?;
            Ok(found.map(|found| {
                assert!(!format!("{found:?}").contains("planted"));
                match found.auth {
                    RegistryAuth::Basic { username, password } => format!("{username} {}", password.expose()),
                    RegistryAuth::IdentityToken(token) => format!("identity {}", token.expose()),
                    RegistryAuth::Bearer(token) => format!("bearer {}", token.expose()),
                }
            }))
        }
    }

    fn login(registry: &str, user: &str) -> String {
        format!(r#"{{"auths": {{"{registry}": {{"username": "{user}", "password": "planted"}}}}}}"#)
    }

    #[tokio::test]
    async fn the_places_are_looked_at_in_order() {
        let mut home = Home::new();
        let root = home.dir.path().to_str().unwrap().to_owned();
        let image = "r.example/app";
        assert_eq!(home.ask(image).await.unwrap(), None);
        let places = [
            (".config/containers/auth.json", None),
            ("run/containers/auth.json", Some(("XDG_RUNTIME_DIR", "run"))),
            ("authfile.json", Some(("REGISTRY_AUTH_FILE", "authfile.json"))),
            (".docker/config.json", None),
        ];
        for (user, (file, variable)) in places.into_iter().enumerate() {
            home = home.write(file, &login("r.example", &user.to_string()));
            if let Some((name, value)) = variable {
                home = home.set(name, &format!("{root}/{value}"));
            }
            assert_eq!(
                home.ask(image).await.unwrap(),
                Some(format!("{user} planted")),
                "{file}"
            );
        }
        let home = home
            .set("DOCKER_CONFIG", &root)
            .write("config.json", &login("r.example", "moved"));
        assert_eq!(home.ask(image).await.unwrap().as_deref(), Some("moved planted"));
        let home = home.set("DOCKER_AUTH_CONFIG", &login("r.example", "variable"));
        assert_eq!(
            home.ask(image).await.unwrap().as_deref(),
            Some("variable planted")
        );
        // Nothing for this registry in the first places: the later ones are still asked.
        let home = home.write(".config/containers/auth.json", &login("s.example", "last"));
        assert_eq!(
            home.ask("s.example/app").await.unwrap().as_deref(),
            Some("last planted")
        );
        assert!(!format!("{:?}", home.locator()).contains("planted"));
    }

    #[tokio::test]
    async fn a_helper_is_asked_with_the_name_that_docker_uses() {
        let echo = r#"read -r server; printf '{"Username":"%s","Secret":"planted"}' "$1 $server""#;
        let home = Home::new()
            .helper("own", echo)
            .helper("all", r#"printf '{"Username":"<token>","Secret":"planted"}'"#)
            .write(
                ".docker/config.json",
                r#"{"credHelpers": {"r.example:5000": "own", "docker.io": "own"}, "credsStore": "all"}"#,
            );
        let answer = |server: &str| Some(format!("get {server} planted"));
        assert_eq!(
            home.ask("r.example:5000/app").await.unwrap(),
            answer("r.example:5000")
        );
        assert_eq!(
            home.ask("python").await.unwrap(),
            answer("https://index.docker.io/v1/")
        );
        assert_eq!(
            home.ask("s.example/app").await.unwrap().as_deref(),
            Some("identity planted")
        );
        let found = home
            .locator()
            .credentials(&"s.example/app".parse().unwrap())
            .await
            .unwrap();
        assert_eq!(
            found.unwrap().source.to_string(),
            "the credential helper docker-credential-all"
        );
    }

    #[tokio::test]
    async fn a_helper_without_an_answer_leaves_the_file() {
        let stored = r#""auths": {"r.example": {"auth": "dTpwbGFudGVk"}}"#;
        let home = Home::new()
            .helper("none", "echo 'credentials not found in native keychain'; exit 1")
            .write(
                ".docker/config.json",
                &format!(r#"{{"credsStore": "none", {stored}}}"#),
            );
        assert_eq!(
            home.ask("r.example/app").await.unwrap().as_deref(),
            Some("u planted")
        );
        assert_eq!(home.ask("s.example/app").await.unwrap(), None);
        let home = home.write(
            ".docker/config.json",
            &format!(r#"{{"credsStore": "gone", {stored}}}"#),
        );
        assert_eq!(
            home.ask("r.example/app").await.unwrap().as_deref(),
            Some("u planted")
        );
    }

    #[tokio::test]
    async fn a_missing_helper_is_named_with_the_cure() {
        for config in [
            r#"{"credsStore": "desktop"}"#,
            r#"{"credHelpers": {"r.example": "desktop"}}"#,
        ] {
            let home = Home::new().write(".docker/config.json", config);
            let error = home.ask("r.example/app").await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfiguration);
            assert!(
                error
                    .message()
                    .contains("docker-credential-desktop is not installed")
            );
            let report = error.report();
            assert!(
                report.contains("config.json") && report.contains("on PATH"),
                "{report}"
            );
        }
    }

    #[tokio::test]
    async fn what_goes_wrong_with_a_helper_shows_no_secret() {
        let ask = async |script: &str| {
            let home = Home::new()
                .helper("x", script)
                .write(".docker/config.json", r#"{"credsStore": "x"}"#);
            let error = home.ask("r.example/app").await.unwrap_err();
            assert!(
                !format!("{error:?} {}", error.report()).contains("planted"),
                "{error:?}"
            );
            error
        };
        let error = ask("echo 'the keychain is locked' >&2; exit 3").await;
        assert!(error.message().contains("the keychain is locked"), "{error}");
        let failed = r#"echo '{"Username":"u","Secret":"planted"}'; exit 1"#;
        assert_eq!(ask(failed).await.kind(), ErrorKind::Unauthenticated);
        assert_eq!(
            ask(r#"echo '{"Secret":["planted"]}'"#).await.kind(),
            ErrorKind::Unexpected
        );
        assert_eq!(ask("echo planted").await.kind(), ErrorKind::Unexpected);
    }

    #[tokio::test]
    async fn a_helper_that_hangs_is_given_up() {
        let home = Home::new()
            .helper("slow", "exec sleep 600")
            .write(".docker/config.json", r#"{"credsStore": "slow"}"#);
        let locator = home.locator().with_helper_limit(Duration::from_millis(200));
        let error = locator
            .credentials(&"r.example/app".parse().unwrap())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert!(error.message().contains("0.2 seconds"), "{error}");
    }

    #[tokio::test]
    async fn a_helper_is_killed_when_nobody_waits_for_it() {
        let home = Home::new()
            .helper("slow", "exec 3>\"${0%/*}/alive\"; exec sleep 600")
            .write(".docker/config.json", r#"{"credsStore": "slow"}"#);
        let fifo = home.dir.path().join("alive");
        assert!(
            std::process::Command::new("mkfifo")
                .arg(&fifo)
                .status()
                .unwrap()
                .success()
        );
        // Opening a fifo waits for the other end: the helper runs when this returns.
        let opened = tokio::task::spawn_blocking(move || std::fs::File::open(fifo).unwrap());
        let (locator, image) = (home.locator(), "r.example/app".parse().unwrap());
        let mut alive = tokio::select! {
            found = locator.credentials(&image) => panic!("the helper answered: {found:?}"),
            opened = opened => opened.unwrap(),
        };
        // Its end is read only when no process holds the other one any more.
        let end = tokio::task::spawn_blocking(move || std::io::Read::read(&mut alive, &mut [0]).unwrap());
        let end = tokio::time::timeout(Duration::from_secs(30), end).await;
        assert_eq!(end.unwrap().unwrap(), 0);
    }

    #[tokio::test]
    async fn a_helper_is_no_path_and_no_command_line() {
        for name in ["../x", "x y", "/bin/sh"] {
            let home = Home::new().write(".docker/config.json", &format!(r#"{{"credsStore": "{name}"}}"#));
            let error = home.ask("r.example/app").await.unwrap_err();
            assert!(error.message().contains("is not a name"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_file_that_is_wrong_is_named() {
        let home = Home::new().write(".docker/config.json", "{\"auths\": \"planted\"}");
        let error = home.ask("r.example/app").await.unwrap_err();
        assert!(
            error.report().contains(".docker/config.json"),
            "{}",
            error.report()
        );
        assert!(!error.report().contains("planted"));
        let home = Home::new().write(".docker/config.json", "");
        assert_eq!(home.ask("r.example/app").await.unwrap(), None);
    }
}
