//! Real small programs and files for the tests of this module.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::ToolEnvironment;

/// A directory for files, and one with programs that comes first in `PATH`.
pub(crate) struct Tools {
    directory: tempfile::TempDir,
}

impl Tools {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("bin")).unwrap();
        std::fs::create_dir(directory.path().join("work")).unwrap();
        Self { directory }
    }

    /// Adds a program: the text of a shell script.
    pub(crate) fn script(self, name: &str, text: &str) -> Self {
        write_script(&self.bin().join(name), text);
        self
    }

    /// Adds a file in the working directory.
    pub(crate) fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.root().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        self
    }

    pub(crate) fn bin(&self) -> PathBuf {
        self.directory.path().join("bin")
    }

    /// The working directory, without links in its path.
    pub(crate) fn root(&self) -> PathBuf {
        self.directory.path().canonicalize().unwrap().join("work")
    }

    /// An environment with the programs, and what scripts need: no Python is in it.
    pub(crate) fn environment(&self) -> ToolEnvironment {
        let mut path = self.bin().into_os_string();
        path.push(":");
        path.push(self.basics());
        ToolEnvironment::empty(self.root()).with("PATH", path)
    }

    /// A directory with the programs that scripts use, and no Python.
    fn basics(&self) -> PathBuf {
        let basics = self.directory.path().join("basics");
        if !basics.exists() {
            std::fs::create_dir(&basics).unwrap();
            for name in ["sh", "cat", "sleep", "head", "yes", "awk", "echo", "true", "git"] {
                if let Some(real) = real_program(name) {
                    std::os::unix::fs::symlink(real, basics.join(name)).unwrap();
                }
            }
        }
        basics
    }
}

pub(crate) fn write_script(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// A Python of this machine: not one of the scripts that choose between several.
pub(crate) fn real_python() -> PathBuf {
    let output = std::process::Command::new("python3")
        .args(["-c", "import sys; print(sys.executable)"])
        .output();
    PathBuf::from(String::from_utf8(output.unwrap().stdout).unwrap().trim())
}

fn real_program(name: &str) -> Option<PathBuf> {
    let directories = ["/usr/bin", "/bin", "/usr/local/bin"];
    directories
        .iter()
        .map(|directory| Path::new(directory).join(name))
        .find(|path| path.exists())
}
