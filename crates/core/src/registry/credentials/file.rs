//! The form of Docker's `config.json` and Podman's `auth.json`.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;

use super::RegistryAuth;
use crate::{Error, ErrorKind, ImageReference, Result, Secret};

/// Docker Hub's key, which Docker has kept from the first version of the API.
pub(super) const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";

/// Base64 as Docker writes it; other programs leave the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What matters here of a configuration file. Everything else in it is left alone.
#[derive(Debug, Default, Deserialize)]
pub(super) struct AuthFile {
    #[serde(default)]
    auths: BTreeMap<String, AuthEntry>,
    #[serde(default, rename = "credHelpers")]
    cred_helpers: BTreeMap<String, String>,
    #[serde(default, rename = "credsStore")]
    creds_store: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct AuthEntry {
    #[serde(default)]
    auth: Option<Secret>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<Secret>,
    #[serde(default)]
    identitytoken: Option<Secret>,
    #[serde(default)]
    registrytoken: Option<Secret>,
}

impl AuthFile {
    /// Reads the text of a file. The error says where it is wrong and shows nothing of it.
    pub(super) fn parse(text: &str) -> Result<Self> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        serde_json::from_str(text).map_err(|error| {
            let place = format!("line {}, column {}", error.line(), error.column());
            Error::new(
                ErrorKind::InvalidConfiguration,
                format!("the registry credentials are not JSON of the right form ({place})"),
            )
        })
    }

    /// Reads a file; `None` when there is none.
    pub(super) fn read(path: &Path) -> Result<Option<Self>> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text)
                .map(Some)
                .map_err(|error| error.with_context("path", path.display().to_string())),
            Err(error) if is_absent(error.kind()) => Ok(None),
            Err(error) => Err(Error::io("the registry credentials cannot be read", path, error)),
        }
    }

    /// The helper that this file names for the image's registry, and for it alone.
    pub(super) fn helper(&self, image: &ImageReference) -> Option<&str> {
        let (_, name) = best_match(&self.cred_helpers, image, |name| !name.is_empty())?;
        Some(name)
    }

    /// The helper that this file names for all registries.
    pub(super) fn store(&self) -> Option<&str> {
        self.creds_store.as_deref().filter(|name| !name.is_empty())
    }

    /// Every helper that this file names.
    pub(super) fn helpers(&self) -> BTreeSet<&str> {
        let own = self.cred_helpers.values().map(String::as_str);
        own.chain(self.store()).filter(|name| !name.is_empty()).collect()
    }

    /// The registries for which something stands in this file itself.
    pub(super) fn registries(&self) -> impl Iterator<Item = &str> {
        let usable = self.auths.iter().filter(|(_, entry)| entry.is_usable());
        usable.map(|(registry, _)| registry.as_str())
    }

    /// The credentials that stand in this file for the image.
    pub(super) fn stored(&self, image: &ImageReference) -> Result<Option<RegistryAuth>> {
        match best_match(&self.auths, image, AuthEntry::is_usable) {
            Some((key, entry)) => entry.auth().map_err(|error| error.with_context("registry", key)),
            None => Ok(None),
        }
    }
}

fn is_absent(kind: std::io::ErrorKind) -> bool {
    matches!(
        kind,
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
    )
}

fn filled(secret: Option<&Secret>) -> Option<&Secret> {
    secret.filter(|secret| !secret.is_empty())
}

impl AuthEntry {
    /// Docker leaves empty entries for what a helper keeps.
    fn is_usable(&self) -> bool {
        let secrets = [
            &self.auth,
            &self.password,
            &self.identitytoken,
            &self.registrytoken,
        ];
        secrets
            .into_iter()
            .any(|secret| filled(secret.as_ref()).is_some())
    }

    fn auth(&self) -> Result<Option<RegistryAuth>> {
        if let Some(token) = filled(self.identitytoken.as_ref()) {
            return Ok(Some(RegistryAuth::IdentityToken(token.clone())));
        }
        if let Some(token) = filled(self.registrytoken.as_ref()) {
            return Ok(Some(RegistryAuth::Bearer(token.clone())));
        }
        if let Some(auth) = filled(self.auth.as_ref()) {
            return decoded(auth).map(Some);
        }
        let password = filled(self.password.as_ref()).cloned();
        Ok(self
            .username
            .clone()
            .zip(password)
            .map(|(username, password)| RegistryAuth::Basic { username, password }))
    }
}

/// Reads `base64(user:password)`. Old clients padded the password with zero bytes.
fn decoded(auth: &Secret) -> Result<RegistryAuth> {
    let wrong = || {
        Error::new(
            ErrorKind::InvalidConfiguration,
            "the stored login is not user:password in base64",
        )
        .with_hint("Log in again with docker login or podman login.")
    };
    let bytes = BASE64.decode(auth.expose().trim()).map_err(|_| wrong())?;
    let text = String::from_utf8(bytes).map_err(|_| wrong())?;
    let (username, password) = text.split_once(':').ok_or_else(wrong)?;
    Ok(RegistryAuth::Basic {
        username: username.to_owned(),
        password: Secret::new(password.trim_end_matches('\0')),
    })
}

/// The entry whose key is the image's registry or the longest parent of its repository. Among keys that
/// mean the same, the spelling that Docker writes comes first.
fn best_match<'a, V>(
    entries: &'a BTreeMap<String, V>,
    image: &ImageReference,
    usable: impl Fn(&V) -> bool,
) -> Option<(&'a str, &'a V)> {
    let repository = format!("{}/{}", image.domain().to_ascii_lowercase(), image.path());
    let exact = server_key(image);
    entries
        .iter()
        .filter(|(_, value)| usable(value))
        .filter_map(|(key, value)| Some((covered(key, &repository)?, key, value)))
        .min_by_key(|(length, key, _)| (Reverse(*length), key.as_str() != exact))
        .map(|(_, key, value)| (key.as_str(), value))
}

/// How much of a repository's name a key covers; `None` when it is another one's.
fn covered(key: &str, repository: &str) -> Option<usize> {
    let key = normalized(key);
    let rest = repository.strip_prefix(&key)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(key.len())
}

/// A key without scheme and API version, and with Docker Hub's present name.
fn normalized(key: &str) -> String {
    let (is_url, key) = match key.split_once("://") {
        Some((_, rest)) => (true, rest),
        None => (false, key),
    };
    let (host, path) = key.split_once('/').unwrap_or((key, ""));
    let host = match host.to_ascii_lowercase().as_str() {
        "index.docker.io" | "registry-1.docker.io" => "docker.io".to_owned(),
        host => host.to_owned(),
    };
    match path.trim_matches('/') {
        "" => host,
        "v1" | "v2" if is_url || host == "docker.io" => host,
        path => format!("{host}/{path}"),
    }
}

/// The name under which Docker stores and asks for a registry's credentials.
pub(super) fn server_key(image: &ImageReference) -> &str {
    match image.domain() {
        "docker.io" => DOCKER_HUB_KEY,
        domain => domain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(json: &str, image: &str) -> Option<String> {
        let file = AuthFile::parse(json).unwrap();
        file.stored(&image.parse().unwrap())
            .unwrap()
            .map(|auth| match auth {
                RegistryAuth::Basic { username, password } => format!("{username}:{}", password.expose()),
                RegistryAuth::IdentityToken(token) => format!("identity {}", token.expose()),
                RegistryAuth::Bearer(token) => format!("bearer {}", token.expose()),
            })
    }

    #[test]
    fn every_form_of_an_entry_is_read() {
        let cases = [
            (r#"{"auth": "dXNlcjpwOnc="}"#, Some("user:p:w")),
            (r#"{"auth": "dXNlcjpwOnc"}"#, Some("user:p:w")),
            (r#"{"auth": "dXNlcjpwdwAA"}"#, Some("user:pw")),
            (r#"{"username": "user", "password": "pw"}"#, Some("user:pw")),
            (
                r#"{"auth": "dXNlcjpwdw==", "identitytoken": "t"}"#,
                Some("identity t"),
            ),
            (r#"{"registrytoken": "t"}"#, Some("bearer t")),
            (r#"{"auth": "", "email": "x"}"#, None),
            ("{}", None),
        ];
        for (entry, expected) in cases {
            let json = format!(r#"{{"auths": {{"r.example": {entry}}}, "psFormat": 1}}"#);
            assert_eq!(found(&json, "r.example/app").as_deref(), expected, "{entry}");
        }
    }

    #[test]
    fn the_longest_key_wins_on_a_path_boundary() {
        let entry = |name: &str| format!(r#"{{"username": "{name}", "password": "p"}}"#);
        let keys = [
            "r.example",
            "r.example/org",
            "r.example/org/app",
            "https://s.example/v2/",
            "[::1]:5000",
        ];
        let entries: Vec<String> = keys
            .iter()
            .map(|key| format!("\"{key}\": {}", entry(key)))
            .collect();
        let json = format!(r#"{{"auths": {{{}}}}}"#, entries.join(","));
        for (image, key) in [
            ("r.example/app", Some("r.example")),
            ("r.example/org2/app", Some("r.example")),
            ("r.example/org/other", Some("r.example/org")),
            ("r.example/org/app:1", Some("r.example/org/app")),
            ("r.example/org/app/sub", Some("r.example/org/app")),
            ("R.example/app", Some("r.example")),
            ("s.example/v2/x", Some("https://s.example/v2/")),
            ("[::1]:5000/app", Some("[::1]:5000")),
            ("r.example:5000/app", None),
            ("r.example.org/app", None),
            ("python", None),
        ] {
            let expected = key.map(|key| format!("{key}:p"));
            assert_eq!(found(&json, image), expected, "{image}");
        }
    }

    #[test]
    fn docker_hub_has_many_names() {
        for key in [
            "https://index.docker.io/v1/",
            "index.docker.io",
            "docker.io",
            "https://docker.io",
            "registry-1.docker.io",
            "https://registry-1.docker.io/v2/",
            "docker.io/library",
        ] {
            let json = format!(r#"{{"auths": {{"{key}": {{"auth": "dTpw"}}}}}}"#);
            assert_eq!(found(&json, "python:3.12").as_deref(), Some("u:p"), "{key}");
            assert_eq!(found(&json, "r.example/python"), None, "{key}");
        }
        let both =
            r#"{"auths": {"docker.io": {"auth": "dTpv"}, "https://index.docker.io/v1/": {"auth": "dTpw"}}}"#;
        assert_eq!(found(both, "python").as_deref(), Some("u:p"));
    }

    #[test]
    fn helpers_are_for_their_registry() {
        let json =
            r#"{"credHelpers": {"gcr.io": "gcloud", "index.docker.io": "hub"}, "credsStore": "desktop"}"#;
        let file = AuthFile::parse(json).unwrap();
        assert_eq!(file.helper(&"gcr.io/p/app".parse().unwrap()), Some("gcloud"));
        assert_eq!(file.helper(&"python".parse().unwrap()), Some("hub"));
        assert_eq!(file.helper(&"eu.gcr.io/p/app".parse().unwrap()), None);
        assert_eq!(file.store(), Some("desktop"));
    }

    #[test]
    fn errors_and_debug_show_nothing_of_the_file() {
        let planted = [
            r#"{"auths": {"r.example": {"auth": ["planted"]}}}"#,
            r#"{"auths": {"r.example": "planted"}}"#,
            r#"{"auths": planted}"#,
        ];
        for text in planted {
            let error = AuthFile::parse(text).unwrap_err();
            assert!(!format!("{error:?}").contains("planted"), "{error:?}");
        }
        let coded = BASE64.encode("planted without a colon");
        let text = format!(r#"{{"auths": {{"r.example": {{"auth": "{coded}", "password": "planted"}}}}}}"#);
        let file = AuthFile::parse(&text).unwrap();
        let error = file.stored(&"r.example/app".parse().unwrap()).unwrap_err();
        let shown = format!("{file:?} {error:?} {}", error.report());
        assert!(!shown.contains("planted") && !shown.contains(&coded), "{shown}");
    }
}
