//! What `pip freeze` says about packages that were installed from this machine's disk.

use std::path::Path;

use wharf_core::Result;

use super::requirement_lines::{Meaning, local_path, logical_lines, meaning, normal_name, package_name};

/// A list of packages that another machine can install.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Portable {
    pub(super) text: String,
    pub(super) warnings: Vec<String>,
}

/// A line that names a place on this machine's disk.
#[derive(Debug, PartialEq, Eq)]
enum LocalLine {
    /// A project that lies here. No index has it.
    Project,
    /// Something that was built elsewhere, as conda does it: only its name is of use.
    Built { name: String },
    /// A package file whose name has the version.
    File {
        name: String,
        version: String,
        is_here: bool,
    },
}

/// Asks for the versions of installed packages: pairs of name and version.
pub(super) type Versions<'v> = &'v dyn Fn(&[String]) -> Result<Vec<(String, String)>>;

/// Rewrites the lines of a list of installed packages that name places on this machine.
///
/// 1. Local projects are left out, with a warning: the image gets them with its code, or not at all.
/// 2. Packages that were built from a directory that is gone, as all of conda's are, become `name==version`.
///    `versions` is asked only if there are any.
/// 3. So do package files; a warning says so if the file is still here, as no index may have it.
///
/// # Errors
///
/// Those of `versions`.
pub(super) fn without_local_builds(text: &str, versions: Versions<'_>) -> Result<Portable> {
    if !text.contains('/') {
        return Ok(Portable {
            text: text.to_owned(),
            warnings: Vec::new(),
        });
    }
    let names = logical_lines(text).filter_map(|line| match local_line(&line.joined()) {
        Some(LocalLine::Built { name }) => Some(name),
        _ => None,
    });
    let names: Vec<String> = names.collect();
    let versions = if names.is_empty() {
        Vec::new()
    } else {
        versions(&names)?
    };
    let mut portable = Portable::default();
    for line in logical_lines(text) {
        let (joined, raw) = (line.joined(), line.raw);
        match local_line(&joined) {
            None => portable.text.push_str(&format!("{raw}\n")),
            Some(LocalLine::Project) => portable.leave_out_project(&joined),
            Some(LocalLine::File {
                name,
                version,
                is_here,
            }) => {
                portable.pin(&name, &version);
                if is_here {
                    portable.warn_of_file(&joined, &version);
                }
            }
            Some(LocalLine::Built { name }) => {
                let version = versions
                    .iter()
                    .find(|(known, _)| normal_name(known) == normal_name(&name));
                match version {
                    Some((_, version)) => portable.pin(&name, version),
                    None => portable.leave_out_project(&joined),
                }
            }
        }
    }
    Ok(portable)
}

impl Portable {
    fn pin(&mut self, name: &str, version: &str) {
        self.text.push_str(&format!("{name}=={version}\n"));
    }

    fn warn_of_file(&mut self, line: &str, version: &str) {
        self.warnings.push(format!(
            "`{line}` is installed from a file on this machine. The image installs version {version} from an index \
             instead, if there is such a version."
        ));
    }

    fn leave_out_project(&mut self, line: &str) {
        self.warnings.push(format!(
            "`{line}` is installed from this machine's disk and is left out. Install local projects with \
             `local_project_install_command`."
        ));
        // pip's own remark about it stands in the line above.
        let remark = self.text.trim_end().rfind('\n').map_or(0, |at| at + 1);
        if self.text[remark..].starts_with("# Editable") {
            self.text.truncate(remark);
        }
    }
}

fn local_line(line: &str) -> Option<LocalLine> {
    let meaning = meaning(line);
    let path = Path::new(local_path(&meaning)?);
    let Meaning::Package(requirement) = meaning else {
        return Some(LocalLine::Project);
    };
    let name = requirement.split('@').next().unwrap_or_default().trim();
    if package_name(name).is_none() || path.is_dir() {
        return Some(LocalLine::Project);
    }
    let name = name.to_owned();
    Some(match wheel_version(path) {
        Some(version) => LocalLine::File {
            name,
            version,
            is_here: path.is_file(),
        },
        None => LocalLine::Built { name },
    })
}

/// The version in the name of a wheel.
fn wheel_version(path: &Path) -> Option<String> {
    let stem = path.file_name()?.to_str()?.strip_suffix(".whl")?;
    stem.split('-').nth(1).map(|version| version.replace("%2B", "+"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nobody(_: &[String]) -> Result<Vec<(String, String)>> {
        panic!("nothing has to be asked")
    }

    #[test]
    fn what_is_portable_stays_to_the_letter() {
        for text in [
            "",
            "numpy==1\n\n# c\nsix==1",
            "x @ git+https://h/r@1\n-e git+https://h/r.git@1#egg=y\nz @ https://h/z.whl\n",
        ] {
            let portable = without_local_builds(text, &nobody).unwrap();
            assert_eq!((portable.text.as_str(), portable.warnings.len()), (text, 0));
        }
    }

    #[test]
    fn a_build_whose_version_nobody_knows_is_left_out() {
        let portable = without_local_builds("a @ file:///croot/a/work\nb==1\n", &|names| {
            assert_eq!(names, ["a"]);
            Ok(Vec::new())
        });
        let portable = portable.unwrap();
        assert_eq!((portable.text.as_str(), portable.warnings.len()), ("b==1\n", 1));
    }

    #[test]
    fn wheels_have_their_version_in_their_name() {
        let text = "torch @ file:///w/torch-2.6.0%2Bcpu-cp311-cp311-linux_x86_64.whl#sha256=1\n";
        let portable = without_local_builds(text, &nobody).unwrap();
        assert_eq!(portable.text, "torch==2.6.0+cpu\n");
        assert_eq!(portable.warnings, [""; 0]);
        let directory = tempfile::tempdir().unwrap();
        let wheel = directory.path().join("mine-1.0-py3-none-any.whl");
        std::fs::write(&wheel, "").unwrap();
        let portable =
            without_local_builds(&format!("mine @ file://{}\n", wheel.display()), &nobody).unwrap();
        assert_eq!(portable.text, "mine==1.0\n");
        assert!(
            portable.warnings[0].contains("version 1.0"),
            "{:?}",
            portable.warnings
        );
    }
}
