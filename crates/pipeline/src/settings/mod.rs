//! Docker settings of pipelines and steps: what they say, and how they are read from a file.
//!
//! Settings stand under `settings.docker` for a pipeline and under `steps.<name>.settings.docker` for a step. A
//! step's settings override the pipeline's attribute by attribute: what a step says about `environment`
//! replaces the pipeline's `environment` as a whole.

mod deprecated;
mod file;
mod keys;
mod node;
mod problem;
mod read;
mod reader;
mod schema;
mod substitute;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};
use wharf_core::Result;
use wharf_core::options::DockerBuildOptions;

pub use self::file::{PipelineFile, StepSettings};
pub use self::problem::Problem;
pub use self::schema::schema;
pub use self::substitute::{Lookup, replace as substitute_text};
use crate::inputs::EnvironmentExport;

/// What the image of a step is made of. The attributes have ZenML's names and meanings.
///
/// A value that is empty says the same as one that is absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct DockerSettings {
    /// The image to start from. Default: ZenML's image for the active Python and ZenML, or Python's own slim
    /// image where there is no ZenML. Ignored with `dockerfile`.
    #[schemars(default)]
    pub parent_image: Option<String>,
    /// The tag of the image. Default: `<pipeline>-<step>-<key>`.
    #[schemars(default)]
    pub image_tag: Option<String>,
    /// The path of a Dockerfile to build first; the image of the step is that image, or is built on top of it.
    #[schemars(default)]
    pub dockerfile: Option<String>,
    /// The directory that `dockerfile` may copy from. Default: none, only the Dockerfile itself is sent.
    #[schemars(default)]
    pub build_context_root: Option<String>,
    /// How the image of `dockerfile` is built.
    #[schemars(default)]
    pub parent_image_build_config: Option<DockerBuildConfig>,
    /// Run the step in `parent_image` as it is; nothing is built and nothing is added.
    #[schemars(default)]
    pub skip_build: bool,
    /// Build even if an image that would do exists.
    #[schemars(default)]
    pub prevent_build_reuse: bool,
    /// The repository for the image, below the registry's address. Default: the registry's default repository.
    #[schemars(default)]
    pub target_repository: Option<String>,
    /// The program that installs Python packages.
    #[schemars(default)]
    pub python_package_installer: PythonPackageInstaller,
    /// Options of the installer, without leading dashes: a value, or null (or true) for an option without one.
    #[schemars(default, with = "BTreeMap<String, schema::Scalar>")]
    #[serde(serialize_with = "schema::arguments")]
    pub python_package_installer_args: Vec<InstallerArgument>,
    /// What follows `RUN --mount=` where packages are installed, for example
    /// `type=cache,target=/root/.cache/uv`. Without effect on builders that have no cache mounts.
    #[schemars(default)]
    pub python_package_installer_cache_mount: Option<String>,
    /// Whether `requirements.txt` or `pyproject.toml` of the source root is left alone when no attribute names
    /// requirements.
    #[schemars(default = "schema::yes")]
    pub disable_automatic_requirements_detection: bool,
    /// Install what is installed in the active Python environment: true or `pip_freeze`, `poetry_export`, or a
    /// command that prints requirements.
    #[schemars(default, with = "schema::Replicate")]
    #[serde(serialize_with = "schema::replicate")]
    pub replicate_local_python_environment: Option<EnvironmentExport>,
    /// The path of a `pyproject.toml` whose dependencies are installed.
    #[schemars(default)]
    pub pyproject_path: Option<String>,
    /// The command that prints the dependencies of `pyproject_path` as requirements; `{directory}` in it is the
    /// project's directory. Default: `uv export`, else `poetry export`.
    #[schemars(default)]
    pub pyproject_export_command: Option<Vec<String>>,
    /// Requirements: a list, or the path of a requirements file.
    #[schemars(default)]
    pub requirements: Option<Requirements>,
    /// ZenML integrations whose packages are installed.
    #[schemars(default)]
    pub required_integrations: Vec<String>,
    /// Whether the packages are installed that the stack's components need.
    #[schemars(default = "schema::yes")]
    pub install_stack_requirements: bool,
    /// Accepted for ZenML; without effect on images of pipelines.
    #[schemars(default = "schema::yes")]
    pub install_deployment_requirements: bool,
    /// A shell command that installs the project from its files, run in `/app` inside the image.
    #[schemars(default)]
    pub local_project_install_command: Option<String>,
    /// Debian packages to install.
    #[schemars(default)]
    pub apt_packages: Vec<String>,
    /// Environment variables, set before anything is installed.
    #[schemars(default, with = "BTreeMap<String, schema::Scalar>")]
    pub environment: BTreeMap<String, String>,
    /// Environment variables, set after everything else.
    #[schemars(default, with = "BTreeMap<String, schema::Scalar>")]
    pub runtime_environment: BTreeMap<String, String>,
    /// Who owns `/app` and runs the entrypoint: `user`, `uid`, `user:group` or `uid:gid`.
    #[schemars(default)]
    pub user: Option<String>,
    /// How the image is built.
    #[schemars(default)]
    pub build_config: Option<DockerBuildConfig>,
    /// Whether the code may be put into the image.
    #[schemars(default = "schema::yes")]
    pub allow_including_files_in_images: bool,
    /// Whether the step may fetch the code from its repository.
    #[schemars(default = "schema::yes")]
    pub allow_download_from_code_repository: bool,
    /// Whether the step may fetch the code from the artifact store.
    #[schemars(default = "schema::yes")]
    pub allow_download_from_artifact_store: bool,
}

/// The program that installs Python packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PythonPackageInstaller {
    /// pip, as the parent image has it.
    Pip,
    /// uv; it is installed where the parent image has none and something needs it.
    #[default]
    Uv,
}

/// An option of the installer: `--name` or `--name=value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstallerArgument {
    /// The name, without dashes at its front.
    pub name: String,
    /// The value; none: the option has none.
    pub value: Option<String>,
}

/// Where the user's own requirements are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Requirements {
    /// In a file.
    File(String),
    /// In the settings themselves.
    List(Vec<String>),
}

/// How an image is built.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct DockerBuildConfig {
    /// Options of the build, under ZenML's, the Docker SDK's or the `docker build` command's names.
    #[schemars(default)]
    pub build_options: Map<String, Value>,
    /// The path of an ignore file. Default: the one that is found in the context.
    #[schemars(default)]
    pub dockerignore: Option<String>,
}

impl DockerBuildConfig {
    /// The options in the form that builders take.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](wharf_core::ErrorKind::InvalidInput) listing every value of the wrong form. Options read
    /// from a file were checked there.
    pub fn options(&self) -> Result<DockerBuildOptions> {
        DockerBuildOptions::from_map(&self.build_options)
    }
}

impl Default for DockerSettings {
    fn default() -> Self {
        Self {
            parent_image: None,
            image_tag: None,
            dockerfile: None,
            build_context_root: None,
            parent_image_build_config: None,
            skip_build: false,
            prevent_build_reuse: false,
            target_repository: None,
            python_package_installer: PythonPackageInstaller::default(),
            python_package_installer_args: Vec::new(),
            python_package_installer_cache_mount: None,
            disable_automatic_requirements_detection: true,
            replicate_local_python_environment: None,
            pyproject_path: None,
            pyproject_export_command: None,
            requirements: None,
            required_integrations: Vec::new(),
            install_stack_requirements: true,
            install_deployment_requirements: true,
            local_project_install_command: None,
            apt_packages: Vec::new(),
            environment: BTreeMap::new(),
            runtime_environment: BTreeMap::new(),
            user: None,
            build_config: None,
            allow_including_files_in_images: true,
            allow_download_from_code_repository: true,
            allow_download_from_artifact_store: true,
        }
    }
}

impl DockerSettings {
    /// Reads settings as they stand under `settings.docker`, in YAML or JSON. The second part of the answer are
    /// warnings about what is deprecated. Variables are looked up in `environment`.
    ///
    /// # Errors
    ///
    /// [`InvalidConfiguration`](wharf_core::ErrorKind::InvalidConfiguration) listing everything that is wrong,
    /// with line, attribute and accepted form.
    ///
    /// ```
    /// use wharf_pipeline::DockerSettings;
    ///
    /// let (settings, warnings) = DockerSettings::from_yaml("apt_packages: [git]\nuser: ml\n", &|_| None)?;
    /// assert_eq!(settings.apt_packages, ["git"]);
    /// assert!(warnings.is_empty());
    /// # Ok::<(), wharf_core::Error>(())
    /// ```
    pub fn from_yaml(text: &str, environment: Lookup<'_>) -> Result<(Self, Vec<String>)> {
        file::settings_alone(text, environment)
    }
}
