//! Checkouts of every kind, made with the `git` command.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::git::GitCheckout;
use super::{GitCheckouts, ToolEnvironment};
use crate::inputs::{CodeRepositories, LocalRepository, RepositoryCode, RepositoryDifference};

/// A directory with a bare repository `remote.git` and a checkout `work` of it, clean and pushed.
pub(super) struct Sandbox {
    directory: tempfile::TempDir,
}

impl Sandbox {
    pub(super) fn new() -> Self {
        let sandbox = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        sandbox.git("", &["init", "-q", "--bare", "-b", "main", "remote.git"]);
        sandbox.git("", &["init", "-q", "-b", "main", "work"]);
        sandbox.git("work", &["remote", "add", "origin", "../remote.git"]);
        sandbox.write("work/train.py", "print(1)\n");
        sandbox.write("work/sub/step.py", "print(2)\n");
        sandbox.write("work/.gitignore", "*.log\nignored/\n");
        sandbox.commit("work");
        sandbox.git("work", &["push", "-q", "-u", "origin", "main"]);
        sandbox
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().canonicalize().unwrap().join(name)
    }

    pub(super) fn write(&self, name: &str, content: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub(super) fn git(&self, directory: &str, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "protocol.file.allow=always"])
            .args(arguments)
            .current_dir(self.path(directory))
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .envs([("GIT_AUTHOR_NAME", "a"), ("GIT_AUTHOR_EMAIL", "a@example.com")])
            .envs([
                ("GIT_COMMITTER_NAME", "c"),
                ("GIT_COMMITTER_EMAIL", "c@example.com"),
            ])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub(super) fn commit(&self, directory: &str) -> String {
        self.git(directory, &["add", "-A"]);
        self.git(directory, &["commit", "-q", "--allow-empty", "-m", "c"]);
        self.git(directory, &["rev-parse", "HEAD"])
    }

    fn local(&self, directory: &str) -> LocalRepository {
        GitCheckouts::default().local(&self.path(directory)).unwrap()
    }

    fn usable(&self, directory: &str) -> RepositoryCode {
        match self.local(directory) {
            LocalRepository::Usable(code) => code,
            other => panic!("{other:?}"),
        }
    }

    fn difference(&self, directory: &str) -> RepositoryDifference {
        match self.local(directory) {
            LocalRepository::Unusable(difference) => difference,
            other => panic!("{other:?}"),
        }
    }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

#[test]
fn a_clean_pushed_checkout_is_usable_from_every_directory_of_it() {
    let sandbox = Sandbox::new();
    let commit = sandbox.git("work", &["rev-parse", "HEAD"]);
    let code = sandbox.usable("work");
    assert_eq!(
        (code.commit, code.branch.as_deref(), code.subdirectory.as_str()),
        (commit, Some("main"), "")
    );
    assert_eq!((code.kind.as_str(), code.requirements.len()), ("git", 0));
    assert_eq!(Path::new(&code.url), sandbox.path("remote.git"));
    assert_eq!(sandbox.usable("work/sub").subdirectory, "sub");
}

#[test]
fn changes_of_every_kind_are_named() {
    let sandbox = Sandbox::new();
    sandbox.write("work/train.py", "print(9)\n");
    let uncommitted = |files: &[&str]| RepositoryDifference::Uncommitted(names(files));
    // The whole checkout counts, whichever directory is the source root.
    assert_eq!(sandbox.difference("work/sub"), uncommitted(&["train.py"]));
    sandbox.git("work", &["add", "train.py"]);
    assert_eq!(sandbox.difference("work"), uncommitted(&["train.py"]));
    std::fs::remove_file(sandbox.path("work/sub/step.py")).unwrap();
    sandbox.write("work/new.py", "");
    assert_eq!(
        sandbox.difference("work"),
        uncommitted(&["sub/step.py", "train.py"])
    );
    // Staged and changed again: named once.
    sandbox.write("work/train.py", "print(10)\n");
    assert_eq!(
        sandbox.difference("work"),
        uncommitted(&["sub/step.py", "train.py"])
    );
}

#[test]
fn a_file_that_was_only_touched_is_no_change() {
    let sandbox = Sandbox::new();
    let file = std::fs::File::options()
        .write(true)
        .open(sandbox.path("work/train.py"))
        .unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1))
        .unwrap();
    drop(file);
    sandbox.usable("work");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(sandbox.path("work/train.py"), mode).unwrap();
    assert_eq!(
        sandbox.difference("work"),
        RepositoryDifference::Uncommitted(names(&["train.py"]))
    );
}

#[test]
fn untracked_files_count_unless_they_are_to_be_ignored() {
    let sandbox = Sandbox::new();
    sandbox.write("work/x.log", "");
    sandbox.write("work/ignored/y", "");
    sandbox.write("work/.wharf/.gitignore", "*\n!.gitignore\n");
    sandbox.write("work/sub/.zen/config.yaml", "");
    sandbox.usable("work");
    sandbox.write("work/new/a.py", "");
    sandbox.write("work/b.py", "");
    assert_eq!(
        sandbox.difference("work"),
        RepositoryDifference::Untracked(names(&["b.py", "new"]))
    );
    for (name, value, usable) in [
        ("WHARF_CODE_REPOSITORY_IGNORE_UNTRACKED_FILES", "True", true),
        ("ZENML_CODE_REPOSITORY_IGNORE_UNTRACKED_FILES", "1", true),
        ("WHARF_CODE_REPOSITORY_IGNORE_UNTRACKED_FILES", "false", false),
        ("WHARF_CODE_REPOSITORY_IGNORE_UNTRACKED_FILES", "", false),
    ] {
        let checkouts = GitCheckouts::new(&ToolEnvironment::empty("/").with(name, value));
        let local = checkouts.local(&sandbox.path("work")).unwrap();
        assert_eq!(
            matches!(local, LocalRepository::Usable(_)),
            usable,
            "{name}={value}"
        );
    }
    // Changes to tracked files are never ignored.
    sandbox.write("work/train.py", "x");
    let checkouts = ignoring();
    assert!(matches!(
        checkouts.local(&sandbox.path("work")).unwrap(),
        LocalRepository::Unusable(RepositoryDifference::Uncommitted(_))
    ));
}

fn ignoring() -> GitCheckouts {
    GitCheckouts::new(&ToolEnvironment::empty("/").with("WHARF_CODE_REPOSITORY_IGNORE_UNTRACKED_FILES", "1"))
}

#[test]
fn a_commit_has_to_be_pushed() {
    let sandbox = Sandbox::new();
    let pushed = sandbox.git("work", &["rev-parse", "HEAD"]);
    let newer = sandbox.commit("work");
    assert_eq!(
        sandbox.difference("work"),
        RepositoryDifference::Unpushed(newer.clone())
    );
    sandbox.git("work", &["push", "-q", "origin", "HEAD:refs/heads/other"]);
    assert_eq!(sandbox.usable("work").commit, newer);
    // An older commit is in the remote's history.
    sandbox.git("work", &["checkout", "-q", "--detach", &pushed]);
    let code = sandbox.usable("work");
    assert_eq!((code.commit, code.branch), (pushed, None));
}

#[test]
fn without_remote_or_commit_nothing_can_be_fetched() {
    let sandbox = Sandbox::new();
    sandbox.git("work", &["remote", "remove", "origin"]);
    assert_eq!(sandbox.difference("work"), RepositoryDifference::NoRemote);
    sandbox.git("", &["init", "-q", "fresh"]);
    assert_eq!(sandbox.difference("fresh"), RepositoryDifference::NoRemote);
}

#[test]
fn directories_that_git_does_not_know_are_in_no_checkout() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("plain")).unwrap();
    assert_eq!(sandbox.local("plain"), LocalRepository::None);
    assert_eq!(sandbox.local("remote.git"), LocalRepository::None);
    sandbox.write("work/ignored/p/run.py", "");
    assert_eq!(sandbox.local("work/ignored/p"), LocalRepository::None);
    sandbox.write("work/untracked/run.py", "");
    assert_eq!(sandbox.local("work/untracked"), LocalRepository::None);
}

#[test]
fn the_remote_that_has_the_commit_is_taken() {
    let sandbox = Sandbox::new();
    sandbox.git("", &["init", "-q", "--bare", "fork.git"]);
    sandbox.git("work", &["remote", "add", "a-fork", "../fork.git"]);
    sandbox.git("work", &["remote", "add", "origin-2", "../none.git"]);
    let newer = sandbox.commit("work");
    sandbox.git("work", &["push", "-q", "a-fork", "HEAD:refs/heads/x"]);
    let code = sandbox.usable("work");
    assert!(code.url.ends_with("fork.git") && code.commit == newer, "{code:?}");
    sandbox.git("work", &["push", "-q", "origin", "main"]);
    assert!(sandbox.usable("work").url.ends_with("remote.git"));
}

#[test]
fn urls_lose_their_credentials_and_tell_the_service() {
    let sandbox = Sandbox::new();
    for (url, shown, kind, packages) in [
        (
            "https://oauth2:t0ken@gitlab.com/g/s/p.git",
            "https://gitlab.com/g/s/p.git",
            "gitlab",
            &["python-gitlab"][..],
        ),
        (
            "git@github.com:o/r.git",
            "git@github.com:o/r.git",
            "github",
            &["pygithub"],
        ),
        (
            "https://ghp_x@github.com/o/r",
            "https://github.com/o/r",
            "github",
            &["pygithub"],
        ),
        (
            "ssh://git@git.example:22/r.git",
            "ssh://git@git.example:22/r.git",
            "git",
            &[],
        ),
    ] {
        sandbox.git("work", &["remote", "set-url", "origin", url]);
        let code = sandbox.usable("work");
        assert_eq!((code.url.as_str(), code.kind.as_str()), (shown, kind));
        assert_eq!(code.requirements, names(packages));
    }
}

#[test]
fn linked_worktrees_and_shallow_clones_are_checkouts() {
    let sandbox = Sandbox::new();
    sandbox.commit("work");
    let head = sandbox.commit("work");
    sandbox.git("work", &["push", "-q", "origin", "main"]);
    sandbox.git(
        "work",
        &["worktree", "add", "-q", "--detach", "../linked", "main"],
    );
    assert_eq!(sandbox.usable("linked/sub").subdirectory, "sub");
    sandbox.write("linked/train.py", "x");
    assert!(matches!(
        sandbox.difference("linked"),
        RepositoryDifference::Uncommitted(_)
    ));
    sandbox.usable("work");
    let url = format!("file://{}", sandbox.path("remote.git").display());
    sandbox.git("", &["clone", "-q", "--depth=1", &url, "shallow"]);
    assert_eq!(sandbox.usable("shallow").commit, head);
    sandbox.commit("shallow");
    assert!(matches!(
        sandbox.difference("shallow"),
        RepositoryDifference::Unpushed(_)
    ));
}

#[test]
fn a_commit_that_a_build_service_fetched_alone_is_pushed() {
    let sandbox = Sandbox::new();
    let commit = sandbox.git("work", &["rev-parse", "HEAD"]);
    let url = format!("file://{}", sandbox.path("remote.git").display());
    sandbox.git("", &["init", "-q", "ci"]);
    sandbox.git("ci", &["remote", "add", "origin", &url]);
    sandbox.git("ci", &["fetch", "-q", "--depth=1", "origin", &commit]);
    sandbox.git("ci", &["checkout", "-q", "--detach", "FETCH_HEAD"]);
    assert_eq!(sandbox.usable("ci").commit, commit);
    // The merge of a pull request has a branch that belongs to no remote.
    sandbox.git(
        "ci",
        &[
            "fetch",
            "-q",
            "origin",
            &format!("+{commit}:refs/remotes/pull/7/merge"),
        ],
    );
    std::fs::remove_file(sandbox.path("ci/.git/FETCH_HEAD")).unwrap();
    assert_eq!(sandbox.usable("ci").commit, commit);
}

#[test]
fn a_changed_submodule_is_a_change() {
    let sandbox = Sandbox::new();
    sandbox.git("", &["clone", "-q", "remote.git", "lib-work"]);
    sandbox.git("work", &["submodule", "add", "-q", "../remote.git", "lib"]);
    sandbox.commit("work");
    sandbox.git("work", &["push", "-q", "origin", "main"]);
    sandbox.usable("work");
    // The submodule is a checkout of its own.
    assert_eq!(sandbox.usable("work/lib").subdirectory, "");
    sandbox.write("work/lib/train.py", "changed");
    let changed = RepositoryDifference::Uncommitted(names(&["lib"]));
    assert_eq!(sandbox.difference("work"), changed);
    sandbox.commit("work/lib");
    assert_eq!(sandbox.difference("work"), changed);
}

#[test]
fn a_checkout_that_is_broken_is_an_error() {
    let sandbox = Sandbox::new();
    std::fs::write(sandbox.path("work/.git/HEAD"), "rubbish").unwrap();
    let error = GitCheckouts::default().local(&sandbox.path("work")).unwrap_err();
    assert_eq!(error.kind(), wharf_core::ErrorKind::Io);
}

#[test]
fn the_files_of_a_directory_are_those_that_git_would_take() {
    let sandbox = Sandbox::new();
    sandbox.write("work/sub/new.py", "");
    sandbox.write("work/sub/x.log", "");
    sandbox.write("work/sub/deep/y.py", "");
    sandbox.write("work/subway/z.py", "");
    std::fs::remove_file(sandbox.path("work/train.py")).unwrap();
    let files = |directory: &str| {
        let checkout = GitCheckout::around(&sandbox.path(directory)).unwrap().unwrap();
        checkout.files().unwrap()
    };
    let paths = |names: &[&str]| names.iter().map(PathBuf::from).collect::<Vec<_>>();
    assert_eq!(files("work/sub"), paths(&["deep/y.py", "new.py", "step.py"]));
    let all = [
        ".gitignore",
        "sub/deep/y.py",
        "sub/new.py",
        "sub/step.py",
        "subway/z.py",
    ];
    assert_eq!(files("work"), paths(&all));
}
