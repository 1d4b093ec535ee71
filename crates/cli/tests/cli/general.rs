//! Help, version, completions, closed pipes, `doctor`.

use std::io::Read;
use std::process::Stdio;

use crate::support::Sandbox;

#[test]
fn help_goes_to_standard_output_and_lists_the_exit_codes() {
    let sandbox = Sandbox::new();
    let help = sandbox.run(&["--help"]).ok();
    for text in [
        "Usage: wharf",
        "completions",
        "130  Stopped by Ctrl-C",
        "NO_COLOR",
    ] {
        assert!(help.contains(text), "{text}");
    }
    assert!(
        sandbox
            .run(&["build", "--help"])
            .ok()
            .contains("--add-host <HOST:IP>")
    );
    assert!(sandbox.run(&["--version"]).ok().starts_with("wharf "));
}

#[test]
fn without_a_command_there_is_help_on_standard_error() {
    let run = Sandbox::new().run(&[] as &[&str]);
    assert_eq!(run.code, 2);
    assert_eq!(run.stdout, "");
    assert!(run.stderr.contains("Usage: wharf"));
}

#[test]
fn every_shell_gets_a_script_that_knows_the_commands() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = Sandbox::new().run(&["completions", shell]).ok();
        for word in ["image-builder", "--dockerignore", "digest"] {
            let known = script.contains(word) || script.contains(word.trim_start_matches('-'));
            assert!(known, "{word} in the script for {shell}");
        }
    }
}

#[test]
fn the_script_for_bash_is_one() {
    let sandbox = Sandbox::new();
    let script = sandbox.run(&["completions", "bash"]).ok();
    let path = sandbox.write("wharf.bash", &script);
    let checked = std::process::Command::new("bash")
        .arg("-n")
        .arg(path)
        .status()
        .unwrap();
    assert!(checked.success());
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let sandbox = Sandbox::new();
    for arguments in [
        &["completions", "bash"][..],
        &["--help"],
        &["image-builder", "flavor", "list"],
    ] {
        let mut child = sandbox
            .command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let mut stderr = String::new();
        child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0), "{stderr}");
        assert_eq!(stderr, "");
    }
}

#[test]
fn a_full_disk_under_standard_output_is_a_failure() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let sandbox = Sandbox::new();
    let output = sandbox
        .command(&["completions", "bash"])
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(12));
    assert!(String::from_utf8_lossy(&output.stderr).contains("could not write to standard output"));
}

#[test]
fn doctor_says_what_is_broken_and_how_to_mend_it() {
    let sandbox = Sandbox::new();
    let host = "unix:///nothing/here.sock";
    let run = sandbox.run(&["doctor", "--host", host]);
    assert_eq!(run.code, 14, "{run:#?}");
    for text in [
        "engine",
        "/nothing/here.sock",
        "→",
        "disk of the context",
        "clock",
    ] {
        assert!(run.stdout.contains(text), "{text} in {run:#?}");
    }
    let run = sandbox.run(&["doctor", "--host", host, "--output", "json"]);
    assert_eq!(run.code, 14);
    let report: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(report["status"], "problem");
    let checks = report["checks"].as_array().unwrap();
    let problems = checks.iter().filter(|check| check["status"] == "problem");
    assert!(problems.clone().count() > 0);
    assert!(
        problems.into_iter().all(|check| check["cure"].is_string()),
        "{report:#}"
    );
}

#[test]
fn flavors_are_listed_and_described() {
    let sandbox = Sandbox::new();
    let list = sandbox.run(&["image-builder", "flavor", "list"]).ok();
    assert!(list.lines().any(|line| line.starts_with("local ")), "{list}");
    let json = sandbox
        .run(&["image-builder", "flavor", "list", "--output", "json"])
        .ok();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let local = json
        .as_array()
        .unwrap()
        .iter()
        .find(|flavor| flavor["name"] == "local")
        .unwrap();
    assert_eq!(local["available"], true);
    let described = sandbox
        .run(&["image-builder", "flavor", "describe", "local"])
        .ok();
    assert!(described.contains("use_subprocess_call (boolean"), "{described}");
    sandbox
        .run(&["image-builder", "flavor", "describe", "locl"])
        .failed(4, &["no image builder flavor `locl`", "local"]);
}

#[test]
#[ignore = "needs a Docker engine"]
fn engine_doctor_finds_nothing_broken() {
    let sandbox = Sandbox::new();
    let host = std::env::var("WHARF_TEST_ENGINE").unwrap();
    let run = sandbox.run(&["doctor", "--host", &host]);
    assert!(run.stdout.contains("BuildKit"), "{run:#?}");
    assert_eq!(run.code, 0, "{run:#?}");
}
