//! What the installers in an image must know to use private package indexes.

use wharf_core::options::BuildOption;
use wharf_core::{Result, Secret};

use super::questions::Questions;
use crate::dockerfile::{is_place, secret_line};
use crate::gather::index_credentials::secret_mark;
use crate::gather::index_logins::{PLACE_VARIABLES, netrc, places};
use crate::inputs::{IndexLogin, IndexPlace};
use crate::requirements::RequirementsFile;
use crate::settings::DockerSettings;

/// Says in each requirements file which options of the installer are secrets: what is installed depends on where it
/// comes from, and nothing else of a secret changes the image.
pub(super) fn mark_secret_options(settings: &DockerSettings, files: &mut [RequirementsFile]) {
    let options = settings.python_package_installer_args.iter();
    let marks: String = options
        .filter_map(secret_line)
        .map(|line| secret_mark(line.expose()) + "\n")
        .collect();
    for file in files.iter_mut().filter(|file| !file.is_blank()) {
        file.content.insert_str(0, &marks);
        if let Some(large) = &mut file.large {
            large.insert_str(0, &marks);
        }
    }
}

/// The logins that this machine has for the places that an image's packages come from.
#[derive(Debug, Clone, Default)]
pub(super) struct IndexLogins(Vec<(String, IndexLogin)>);

impl IndexLogins {
    /// Looks the places up that settings and requirements name. Each host is looked up once.
    pub(super) fn find(
        settings: &DockerSettings,
        files: &[RequirementsFile],
        questions: &mut Questions<'_>,
    ) -> Result<Self> {
        let is_installing = files.iter().any(|file| !file.is_blank());
        if !is_installing && settings.local_project_install_command.is_none() {
            return Ok(Self::default());
        }
        let mut found: Vec<(String, IndexLogin)> = Vec::new();
        for place in all_places(settings, files) {
            if found.iter().any(|(host, _)| *host == place.host) {
                continue;
            }
            if let Some(login) = questions.login(&place)? {
                found.push((place.host, login));
            }
        }
        Ok(Self(found))
    }

    /// The logins as a file for the installers.
    pub(super) fn secret(&self) -> Option<Secret> {
        (!self.0.is_empty()).then(|| netrc(&self.0))
    }

    /// What the user should know where a builder cannot be given the logins. Without them the place may still have
    /// what is wanted, so that this is no error.
    pub(super) fn warning(&self) -> Option<String> {
        let hosts: Vec<&str> = self.0.iter().map(|(host, _)| host.as_str()).collect();
        (!hosts.is_empty()).then(|| {
            format!(
                "The login of this machine for {} does not reach the build: this builder cannot keep it out of the \
                 image. Builders that can: {}.",
                hosts.join(", "),
                BuildOption::Secrets.served_by()
            )
        })
    }
}

fn all_places(settings: &DockerSettings, files: &[RequirementsFile]) -> Vec<IndexPlace> {
    let options = settings.python_package_installer_args.iter();
    let options = options
        .filter(|option| is_place(option))
        .filter_map(|option| option.value.as_deref());
    let variables = settings.environment.iter();
    let variables = variables
        .filter(|(name, _)| PLACE_VARIABLES.contains(&name.as_str()))
        .map(|(_, value)| value.as_str());
    let mut all: Vec<IndexPlace> = options.chain(variables).flat_map(places).collect();
    for file in files {
        all.extend(places(&file.content));
        let included = file.included.iter();
        all.extend(included.flat_map(|file| places(&String::from_utf8_lossy(&file.content))));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requirements::GatheredRequirements;

    #[test]
    fn another_secret_index_is_another_text() {
        let text = |index: &str| {
            let settings =
                format!("python_package_installer_args: {{extra-index-url: '{index}', upgrade: null}}");
            let (settings, _) = DockerSettings::from_yaml(&settings, &|_| None).unwrap();
            let gathered = GatheredRequirements {
                stack: vec!["six".into()],
                ..GatheredRequirements::default()
            };
            let mut files = gathered.into_files().unwrap();
            mark_secret_options(&settings, &mut files);
            files.remove(0).content
        };
        assert_eq!(
            text("https://me:planted@a.example/s"),
            "# from a build secret: --extra-index-url https://***@a.example/s\nsix"
        );
        assert_eq!(text("https://me:1@a.example"), text("https://me:2@a.example"));
        assert_ne!(text("https://me:1@a.example"), text("https://me:1@b.example"));
        assert_eq!(text("https://a.example"), "six");
    }

    #[test]
    fn places_are_looked_for_in_options_variables_and_requirements() {
        let settings = "
python_package_installer_args: {index: 'mine=https://a.example/s', link-mode: 'https://no.example'}
environment: {PIP_EXTRA_INDEX_URL: 'https://b.example https://c.example', HOME_PAGE: 'https://no.example'}
";
        let (settings, _) = DockerSettings::from_yaml(settings, &|_| None).unwrap();
        let gathered = GatheredRequirements {
            own: Some(crate::inputs::RequirementsText::plain(
                "--find-links https://d.example\nsix",
            )),
            ..GatheredRequirements::default()
        };
        let places = all_places(&settings, &gathered.into_files().unwrap());
        let hosts: Vec<&str> = places.iter().map(|place| place.host.as_str()).collect();
        assert_eq!(hosts, ["a.example", "b.example", "c.example", "d.example"]);
        assert_eq!(places[0].name.as_deref(), Some("mine"));
    }
}
