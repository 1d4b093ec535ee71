//! The local checkout of a code repository: is its code exactly what the repository has?

use std::path::Path;

use wharf_core::Result;

use super::ToolEnvironment;
use super::git::{GitCheckout, unreadable};
use super::git_remote::remote_with;
use crate::inputs::{CodeRepositories, LocalRepository, RepositoryCode, RepositoryDifference};

/// The variable that makes untracked files no obstacle, and the one that ZenML has for it.
const IGNORE_UNTRACKED: [&str; 2] = [
    "WHARF_CODE_REPOSITORY_IGNORE_UNTRACKED_FILES",
    "ZENML_CODE_REPOSITORY_IGNORE_UNTRACKED_FILES",
];

/// Git checkouts on disk.
///
/// The code of a checkout can be fetched from its repository under these conditions, asked in this order:
///
/// 1. Git tracks files in the source root.
/// 2. No tracked file of the whole checkout differs from the commit, in submodules neither.
/// 3. There are no untracked files, but for those that Git ignores and those in `.wharf` and `.zen`. With
///    `WHARF_CODE_REPOSITORY_IGNORE_UNTRACKED_FILES` set to `1`, `true`, `yes`, `on`, this is not asked. ZenML's
///    name for the variable works, too.
/// 4. There is a commit, and a remote.
/// 5. A branch of a remote is known to have the commit. Nothing is fetched to find out.
///
/// Linked worktrees, detached heads and shallow clones are checkouts like any other. A bare repository is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GitCheckouts {
    ignore_untracked: bool,
}

impl GitCheckouts {
    /// Reads the variables that say what to ignore.
    #[must_use]
    pub fn new(tools: &ToolEnvironment) -> Self {
        let value = IGNORE_UNTRACKED.iter().find_map(|name| tools.text(name));
        Self {
            ignore_untracked: value.is_some_and(says_yes),
        }
    }
}

fn says_yes(value: &str) -> bool {
    ["1", "t", "true", "y", "yes", "on"]
        .iter()
        .any(|yes| yes.eq_ignore_ascii_case(value.trim()))
}

impl CodeRepositories for GitCheckouts {
    fn local(&self, source_root: &Path) -> Result<LocalRepository> {
        let Some(checkout) = GitCheckout::around(source_root)? else {
            return Ok(LocalRepository::None);
        };
        Ok(match self.code(&checkout)? {
            Ok(code) => LocalRepository::Usable(code),
            Err(difference) => LocalRepository::Unusable(difference),
        })
    }
}

impl GitCheckouts {
    fn code(
        self,
        checkout: &GitCheckout,
    ) -> Result<std::result::Result<RepositoryCode, RepositoryDifference>> {
        let differences = checkout.differences(!self.ignore_untracked)?;
        if !differences.uncommitted.is_empty() {
            return Ok(Err(RepositoryDifference::Uncommitted(differences.uncommitted)));
        }
        if !differences.untracked.is_empty() {
            return Ok(Err(RepositoryDifference::Untracked(differences.untracked)));
        }
        let repository = &checkout.repository;
        let head = repository.head().map_err(unreadable)?;
        let Some(commit) = head.id().map(gix::Id::detach) else {
            return Ok(Err(RepositoryDifference::NoRemote));
        };
        let branch = head.referent_name().map(|name| name.shorten().to_string());
        Ok(match remote_with(repository, commit)? {
            None => Err(RepositoryDifference::NoRemote),
            Some(remote) if !remote.has_commit => Err(RepositoryDifference::Unpushed(commit.to_string())),
            Some(remote) => Ok(RepositoryCode {
                kind: remote.service.name().to_owned(),
                url: remote.url,
                commit: commit.to_string(),
                branch,
                subdirectory: checkout.subdirectory.clone(),
                requirements: remote
                    .service
                    .requirements()
                    .iter()
                    .map(ToString::to_string)
                    .collect(),
            }),
        })
    }
}
