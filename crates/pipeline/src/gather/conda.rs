//! What of a conda environment can be said in a requirements file.
//!
//! Images are made with pip and uv, which know nothing of conda's packages. Where a conda package is the same as
//! one on PyPI, and the lock file says so, its exact version is taken from there.

use std::collections::BTreeMap;

use serde::Deserialize;
use wharf_core::{Error, ErrorKind, Result};

use super::pyproject::Exported;

/// Conda packages that an image with Python has in its own way.
const PART_OF_THE_IMAGE: [&str; 6] = ["python", "pip", "setuptools", "wheel", "uv", "conda"];

/// The platforms whose packages are taken, the first one that a lock file has.
const PLATFORMS: [&str; 3] = ["linux-64", "linux-aarch64", "noarch"];

/// How many packages a message names.
const SHOWN: usize = 10;

#[derive(Deserialize)]
struct PixiLock {
    #[serde(default)]
    version: u32,
    #[serde(default)]
    environments: BTreeMap<String, PixiEnvironment>,
    #[serde(default)]
    packages: Vec<PixiPackage>,
}

#[derive(Deserialize)]
struct PixiEnvironment {
    packages: BTreeMap<String, Vec<PixiLink>>,
}

/// A package of an environment: its URL is the key of [`PixiPackage`].
#[derive(Deserialize)]
struct PixiLink {
    conda: Option<String>,
    pypi: Option<String>,
}

#[derive(Deserialize)]
struct PixiPackage {
    conda: Option<String>,
    pypi: Option<String>,
    name: Option<String>,
    version: Option<String>,
    #[serde(default)]
    purls: Option<Vec<String>>,
}

/// The default environment of a `pixi.lock`.
pub(super) fn pixi(text: &str) -> Result<Exported> {
    let lock: PixiLock = serde_saphyr::from_str(text).map_err(unreadable)?;
    if lock.version != 6 {
        let message = format!(
            "version {} of pixi's lock file is not known, only 6",
            lock.version
        );
        return Err(Error::new(ErrorKind::InvalidInput, message)
            .with_hint("Run `pixi lock` with a current pixi, or set `pyproject_export_command`."));
    }
    let environment = lock.environments.get("default");
    let links = environment.and_then(|environment| {
        PLATFORMS
            .iter()
            .find_map(|platform| environment.packages.get(*platform))
    });
    let links = links.ok_or_else(|| {
        Error::new(
            ErrorKind::InvalidInput,
            "the lock file has no `default` environment for Linux",
        )
        .with_hint("Add `linux-64` to the platforms of the project, and run `pixi lock`.")
    })?;
    let mut lines = Vec::new();
    let mut left_out = Vec::new();
    for link in links {
        let package = lock
            .packages
            .iter()
            .find(|package| match (&link.conda, &link.pypi) {
                (Some(url), _) => package.conda.as_ref() == Some(url),
                (_, url) => package.pypi.is_some() && package.pypi == *url,
            });
        match package.map(PixiPackage::requirement) {
            Some(Ok(Some(line))) => lines.push(line),
            Some(Ok(None)) => {}
            Some(Err(name)) => left_out.push(name),
            None => return Err(incomplete(link)),
        }
    }
    lines.sort();
    Ok(Exported {
        text: lines.iter().map(|line| format!("{line}\n")).collect(),
        warnings: without_counterpart(&left_out).into_iter().collect(),
    })
}

impl PixiPackage {
    /// The line of a requirements file, none if every image has it; else the name of what only conda has.
    fn requirement(&self) -> std::result::Result<Option<String>, String> {
        if let (Some(url), Some(name)) = (&self.pypi, &self.name) {
            return Ok(Some(match &self.version {
                Some(version) if url.contains("://") => format!("{name}=={version}"),
                // A path: what is said about local projects is said where the text is read.
                _ => url.clone(),
            }));
        }
        let file = self
            .conda
            .as_deref()
            .and_then(|url| url.rsplit('/').next())
            .unwrap_or_default();
        let (name, version) = conda_name(file).unwrap_or((file, ""));
        if PART_OF_THE_IMAGE.contains(&name) {
            return Ok(None);
        }
        let purl = self
            .purls
            .iter()
            .flatten()
            .find_map(|purl| purl.strip_prefix("pkg:pypi/"));
        match purl {
            Some(purl) => {
                let name = purl.split(['?', '@', '#']).next().unwrap_or(purl);
                Ok(Some(format!("{name}=={version}")))
            }
            None => Err(name.to_owned()),
        }
    }
}

/// Name and version in `name-version-build.conda`.
fn conda_name(file: &str) -> Option<(&str, &str)> {
    let stem = file
        .strip_suffix(".conda")
        .or_else(|| file.strip_suffix(".tar.bz2"))?;
    let (stem, _build) = stem.rsplit_once('-')?;
    stem.rsplit_once('-')
}

fn without_counterpart(names: &[String]) -> Option<String> {
    // Names that begin with an underscore choose between variants and hold nothing.
    let names: Vec<&str> = names
        .iter()
        .map(String::as_str)
        .filter(|name| !name.starts_with('_'))
        .collect();
    (!names.is_empty()).then(|| {
        format!(
            "the lock file has packages that are not on PyPI, and that the image gets only from its parent image: {}",
            some_of(&names)
        )
    })
}

fn some_of(names: &[&str]) -> String {
    let shown = names[..names.len().min(SHOWN)].join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn incomplete(link: &PixiLink) -> Error {
    let url = link
        .conda
        .as_ref()
        .or(link.pypi.as_ref())
        .map_or("?", String::as_str);
    let message = format!("the lock file does not describe the package {url}");
    Error::new(ErrorKind::InvalidInput, message).with_hint("Run `pixi lock`.")
}

fn unreadable(source: serde_saphyr::Error) -> Error {
    Error::new(ErrorKind::InvalidInput, "the file is not what its name says").with_source(source)
}

#[derive(Deserialize)]
struct EnvironmentFile {
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Dependency {
    Conda(String),
    Pip { pip: Vec<String> },
}

/// A conda environment file whose packages come from PyPI.
pub(super) fn environment_file(text: &str) -> Result<Exported> {
    let file: EnvironmentFile = serde_saphyr::from_str(text).map_err(unreadable)?;
    let mut lines = Vec::new();
    let mut conda = Vec::new();
    for dependency in &file.dependencies {
        match dependency {
            Dependency::Pip { pip } => lines.extend(pip.iter().map(|line| format!("{line}\n"))),
            Dependency::Conda(spec) => {
                let package = spec.rsplit("::").next().unwrap_or(spec);
                let end = package
                    .find(['=', '<', '>', '!', '~', ' ', '['])
                    .unwrap_or(package.len());
                if !PART_OF_THE_IMAGE.contains(&&package[..end]) {
                    conda.push(spec.as_str());
                }
            }
        }
    }
    if !conda.is_empty() {
        let message = format!("the environment needs packages of conda: {}", some_of(&conda));
        return Err(Error::new(ErrorKind::Unsupported, message).with_hint(
            "Images are made with pip and uv. Set `dockerfile` to one that makes the environment, or list the \
             packages with `replicate_local_python_environment`.",
        ));
    }
    Ok(Exported::plain(lines.concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIXI: &str = r"
version: 6
environments:
  default:
    channels:
    - url: https://conda.anaconda.org/conda-forge/
    indexes:
    - https://pypi.org/simple
    packages:
      linux-64:
      - conda: https://conda.anaconda.org/conda-forge/linux-64/_libgcc_mutex-0.1-conda_forge.tar.bz2
      - conda: https://conda.anaconda.org/conda-forge/linux-64/openssl-3.4.0-h7b32b05_1.conda
      - conda: https://conda.anaconda.org/conda-forge/linux-64/python-3.11.9-hb806964_0_cpython.conda
      - conda: https://conda.anaconda.org/conda-forge/linux-64/py-opencv-4.10.0-py311_1.conda
      - pypi: https://files.pythonhosted.org/packages/aa/six-1.16.0-py2.py3-none-any.whl
      osx-arm64:
      - pypi: https://files.pythonhosted.org/packages/aa/six-1.16.0-py2.py3-none-any.whl
packages:
- conda: https://conda.anaconda.org/conda-forge/linux-64/_libgcc_mutex-0.1-conda_forge.tar.bz2
  sha256: fe51
- conda: https://conda.anaconda.org/conda-forge/linux-64/openssl-3.4.0-h7b32b05_1.conda
  purls: []
- conda: https://conda.anaconda.org/conda-forge/linux-64/python-3.11.9-hb806964_0_cpython.conda
  purls: []
- conda: https://conda.anaconda.org/conda-forge/linux-64/py-opencv-4.10.0-py311_1.conda
  purls:
  - pkg:pypi/opencv-python?source=hash-mapping
- pypi: https://files.pythonhosted.org/packages/aa/six-1.16.0-py2.py3-none-any.whl
  name: six
  version: 1.16.0
";

    #[test]
    fn pixi_packages_with_a_counterpart_are_pinned_and_the_rest_is_told() {
        let exported = pixi(PIXI).unwrap();
        assert_eq!(exported.text, "opencv-python==4.10.0\nsix==1.16.0\n");
        assert_eq!(exported.warnings.len(), 1);
        assert!(
            exported.warnings[0].ends_with("parent image: openssl"),
            "{}",
            exported.warnings[0]
        );
    }

    #[test]
    fn other_pixi_files_are_refused() {
        for text in [
            "version: 5\n",
            "version: 6\nenvironments: {}\n",
            "- x",
            "version: 6\nenvironments: {default: {packages: {linux-64: [{pypi: https://h/x.whl}]}}}\n",
        ] {
            assert_eq!(
                pixi(text).err().unwrap().kind(),
                ErrorKind::InvalidInput,
                "{text}"
            );
        }
    }

    #[test]
    fn a_conda_environment_of_pip_packages_is_a_list_of_requirements() {
        let text = "name: x\nchannels: [conda-forge]\ndependencies:\n- conda-forge::python=3.11\n- pip>=23\n- pip:\n  - \
                    torch==2.6.0\n  - -r more.txt\n";
        assert_eq!(
            environment_file(text).unwrap().text,
            "torch==2.6.0\n-r more.txt\n"
        );
        let error = environment_file("dependencies: [python=3.11, numpy=1.26, cudatoolkit]")
            .err()
            .unwrap();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(
            error.message().ends_with("numpy=1.26, cudatoolkit"),
            "{}",
            error.message()
        );
    }
}
