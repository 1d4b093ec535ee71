//! Which remote of a checkout has its commit.

use gix::revision::walk::Sorting;
use gix::traverse::commit::simple::CommitTimeOrder;
use gix::{ObjectId, Repository};
use wharf_core::Result;

use super::git::unreadable;
use super::index_credentials::without_login;

/// A remote, and whether it has the commit that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Remote {
    /// The URL to fetch from, without credentials.
    pub(super) url: String,
    pub(super) service: Service,
    /// Some branch of it, as last seen, has the commit.
    pub(super) has_commit: bool,
}

/// Who answers under a remote's URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    GitHub,
    GitLab,
    Plain,
}

impl Service {
    /// The name in plans and records.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::GitHub => "github",
            Self::GitLab => "gitlab",
            Self::Plain => "git",
        }
    }

    /// The packages that fetch code from it inside an image.
    pub(super) fn requirements(self) -> &'static [&'static str] {
        match self {
            Self::GitHub => &["pygithub"],
            Self::GitLab => &["python-gitlab"],
            Self::Plain => &[],
        }
    }

    fn of_host(host: &str) -> Self {
        let host = host.to_ascii_lowercase();
        // Own installations are mostly named `github.company.example`.
        let is = |name: &str| host == format!("{name}.com") || host.starts_with(&format!("{name}."));
        match (is("github"), is("gitlab")) {
            (true, _) => Self::GitHub,
            (_, true) => Self::GitLab,
            _ => Self::Plain,
        }
    }
}

/// The remote that has a commit; if none has, the one that it would be pushed to. `None`: there are no remotes.
///
/// Remotes are asked in this order: that of the current branch, `origin`, the others by name. Nothing is fetched:
/// what counts are the branches as last seen, and what the last fetch brought, since a build service fetches one
/// commit without naming it.
///
/// # Errors
///
/// [`Io`](wharf_core::ErrorKind::Io) if the repository cannot be read.
pub(super) fn remote_with(repository: &Repository, commit: ObjectId) -> Result<Option<Remote>> {
    let names = ordered_names(repository)?;
    let mut first = None;
    for (position, name) in names.iter().enumerate() {
        let tips = tips(repository, name, &names, position == 0)?;
        let has_commit = is_reachable(repository, &tips, commit)?;
        let remote = describe(repository, name, has_commit)?;
        if has_commit {
            return Ok(Some(remote));
        }
        first = first.or(Some(remote));
    }
    if let Some(first) = &mut first
        && was_fetched(repository, commit)
    {
        first.has_commit = true;
    }
    Ok(first)
}

fn ordered_names(repository: &Repository) -> Result<Vec<String>> {
    let mut names: Vec<String> = repository
        .remote_names()
        .iter()
        .map(|name| name.to_string())
        .collect();
    let branch = repository.head_name().map_err(unreadable)?;
    let of_branch = branch
        .and_then(|branch| repository.branch_remote_name(branch.shorten(), gix::remote::Direction::Fetch))
        .map(|name| name.as_bstr().to_string());
    names.sort_by_key(|name| (Some(name) != of_branch.as_ref(), name != "origin", name.clone()));
    Ok(names)
}

fn describe(repository: &Repository, name: &str, has_commit: bool) -> Result<Remote> {
    let remote = repository.find_remote(name).map_err(unreadable)?;
    let url = remote.url(gix::remote::Direction::Fetch);
    Ok(Remote {
        url: url.map(|url| address(repository, url)).unwrap_or_default(),
        service: url
            .and_then(gix::Url::host)
            .map_or(Service::Plain, Service::of_host),
        has_commit,
    })
}

/// A URL without credentials; a path in its absolute form.
fn address(repository: &Repository, url: &gix::Url) -> String {
    let text = url.to_bstring().to_string();
    match (&url.scheme, url.password(), repository.workdir()) {
        (gix::url::Scheme::File, _, Some(root)) if !text.contains("://") => {
            let path = root.join(&text);
            path.canonicalize().unwrap_or(path).display().to_string()
        }
        // The user of an SSH URL is part of the address.
        (gix::url::Scheme::Ssh, None, _) => text,
        _ => without_login(&text),
    }
}

/// The commits that the branches of a remote are known to be at. `is_first`: branches of no known remote count,
/// too, such as `refs/remotes/pull/1/merge`.
fn tips(repository: &Repository, name: &str, names: &[String], is_first: bool) -> Result<Vec<ObjectId>> {
    let references = repository.references().map_err(unreadable)?;
    let mut tips = Vec::new();
    for reference in references.remote_branches().map_err(unreadable)? {
        let mut reference = reference.map_err(unreadable)?;
        let branch = reference.name().shorten().to_string();
        let belongs = |name: &String| {
            branch
                .strip_prefix(name.as_str())
                .is_some_and(|rest| rest.starts_with('/'))
        };
        // The name of a remote may be the beginning of another's.
        let owner = names
            .iter()
            .filter(|name| belongs(name))
            .max_by_key(|name| name.len());
        if owner.map_or(is_first, |owner| owner == name)
            && let Ok(id) = reference.peel_to_id()
        {
            tips.push(id.detach());
        }
    }
    tips.sort_unstable();
    tips.dedup();
    Ok(tips)
}

fn is_reachable(repository: &Repository, tips: &[ObjectId], commit: ObjectId) -> Result<bool> {
    if tips.contains(&commit) {
        return Ok(true);
    }
    if tips.is_empty() {
        return Ok(false);
    }
    let time = repository
        .find_commit(commit)
        .and_then(|commit| commit.time())
        .map_err(unreadable)?;
    // Older commits cannot have it among their ancestors. A wrong clock makes a pushed commit look as if it was
    // not, which costs an upload and nothing else.
    let sorting = Sorting::ByCommitTimeCutoff {
        order: CommitTimeOrder::NewestFirst,
        seconds: time.seconds,
    };
    let walk = repository
        .rev_walk(tips.iter().copied())
        .sorting(sorting)
        .all()
        .map_err(unreadable)?;
    for info in walk {
        if info.map_err(unreadable)?.id == commit {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether the last `git fetch` asked for just this commit, or for a tag on it.
fn was_fetched(repository: &Repository, commit: ObjectId) -> bool {
    let Ok(text) = std::fs::read_to_string(repository.git_dir().join("FETCH_HEAD")) else {
        return false;
    };
    text.lines()
        .filter_map(|line| ObjectId::from_hex(line.split('\t').next()?.as_bytes()).ok())
        .any(|id| {
            id == commit
                || repository
                    .find_object(id)
                    .and_then(|object| object.peel_to_kind(gix::objs::Kind::Commit))
                    .is_ok_and(|object| object.id == commit)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_known_by_their_host() {
        for (host, service) in [
            ("github.com", Service::GitHub),
            ("GitHub.com", Service::GitHub),
            ("github.corp.example", Service::GitHub),
            ("gitlab.com", Service::GitLab),
            ("gitlab.corp.example", Service::GitLab),
            ("git.example", Service::Plain),
            ("notgithub.com", Service::Plain),
            ("example.com", Service::Plain),
        ] {
            assert_eq!(Service::of_host(host), service, "{host}");
        }
    }
}
