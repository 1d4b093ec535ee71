//! The cluster, and both ways of sending a context into a pod of it.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::{Build, Sent};
use crate::process::{capture, command, run_quietly};
use crate::services::machine::Machine;
use crate::services::run_dir::RunDir;
use crate::services::{Class, Services};

const SINK: &str = include_str!("sink.py");
/// The one that every cluster has.
const NAMESPACE: &str = "default";
const POD: &str = "wharf-bench";
/// What the registry is asked for.
const MANIFEST: &str = "Accept: application/vnd.docker.distribution.manifest.v2+json";

/// A cluster, and what is needed to send something into it.
pub(super) struct Cluster {
    kubectl: PathBuf,
    time: PathBuf,
    kubeconfig: String,
    /// An image with Python.
    executor: String,
    /// An image that is in the registry: "builds" end with it.
    image: String,
    folder: PathBuf,
}

impl Cluster {
    /// Finds or starts the cluster of the tests.
    pub(super) fn find(folder: &Path, run_dir: &RunDir, machine: &mut Machine) -> Result<Cluster> {
        let services = Services::set_up_some(&[Class::Registry, Class::Cluster], run_dir, machine)?;
        if let Some((class, why)) = services.missing.first() {
            bail!("{} is missing: {why}", class.name());
        }
        machine.program("pigz", &["pigz"])?;
        let variable = |name: &str| {
            let found = services.variables.iter().find(|(known, _)| *known == name);
            let (_, value) = found.with_context(|| format!("the services do not give {name}"))?;
            Ok::<String, anyhow::Error>(value.clone())
        };
        let cluster = Cluster {
            kubectl: machine.unpacked("kubernetes-client")?.join("usr/bin/kubectl"),
            time: machine.program("time", &["time"])?,
            kubeconfig: variable("WHARF_TEST_KUBECONFIG")?,
            executor: variable("WHARF_TEST_KANIKO_IMAGE")?,
            image: variable("WHARF_TEST_CLUSTER_PARENT_IMAGE")?,
            folder: folder.to_owned(),
        };
        let digest = digest_of(&cluster.image, machine)?;
        fs::write(cluster.stack_file(), cluster.stack(&digest)?.to_string())?;
        fs::write(cluster.pod_file(), cluster.pod().to_string())?;
        // What a run that was interrupted has left.
        cluster.remove_pod()?;
        Ok(cluster)
    }

    fn remove_pod(&self) -> Result<()> {
        let delete = ["delete", "--ignore-not-found", "--grace-period=1", "pod", POD];
        run_quietly(&mut self.kubectl(&delete))
    }

    /// A build whose executor throws the context away.
    pub(super) fn build(&self, wharf: &Path, context: &Path) -> Result<Build> {
        let memory = self.folder.join("memory");
        let mut build = command(&self.time, ["--format=%M", "--output"]);
        build.arg(&memory).arg(wharf);
        build.args(["build", "-t", &self.image, "--progress", "json", "--stack-file"]);
        build.arg(self.stack_file()).arg(context);
        let start = Instant::now();
        let mut child = build.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let seen = Seen::in_events(child.stderr.take().context("the build has no events")?, start)?;
        ended_well(&mut child, &build, &seen.text)?;
        let memory = fs::read_to_string(memory)?;
        Ok(Build {
            sent: seen.sent()?,
            memory: memory.trim().parse::<u64>()? << 10,
        })
    }

    /// `tar`, with a program that compresses, into `kubectl attach`.
    pub(super) fn attach(&self, compressor: &str, context: &Path) -> Result<Sent> {
        let start = Instant::now();
        run_quietly(self.kubectl(&["create", "--filename"]).arg(self.pod_file()))?;
        let ready = ["wait", "--for=condition=Ready", "--timeout=120s", "pod", POD];
        run_quietly(&mut self.kubectl(&ready))?;
        let mut seen = Seen {
            running: Some(start.elapsed()),
            ..Seen::default()
        };
        let mut tar = command(
            "tar",
            ["--create", "--use-compress-program", compressor, "--directory"],
        );
        let mut tar = tar.arg(context).arg(".").stdout(Stdio::piped()).spawn()?;
        let archive = tar.stdout.take().context("tar has no output")?;
        let mut attach = self.kubectl(&["attach", "--stdin", POD]);
        attach.stdin(archive).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = attach.spawn()?;
        seen.lines(child.stdout.take().context("kubectl has no output")?, start)?;
        ended_well(&mut child, &attach, &seen.text)?;
        ensure!(tar.wait()?.success(), "tar failed");
        self.remove_pod()?;
        seen.sent()
    }

    fn kubectl(&self, words: &[&str]) -> Command {
        let mut kubectl = command(
            &self.kubectl,
            ["--kubeconfig", &self.kubeconfig, "--namespace", NAMESPACE],
        );
        kubectl.args(words);
        kubectl
    }

    fn stack_file(&self) -> PathBuf {
        self.folder.join("stack.yaml")
    }

    fn pod_file(&self) -> PathBuf {
        self.folder.join("pod.json")
    }

    fn stack(&self, digest: &str) -> Result<Value> {
        let (registry, _) = self.image.split_once('/').context("an image of a registry")?;
        Ok(json!({
            "name": "bench",
            "image_builder": {"flavor": "kaniko", "config": {
                "kubeconfig": self.kubeconfig,
                "kubernetes_namespace": NAMESPACE,
                "executor_image": self.executor,
                "allow_local_registry": true,
                "env": [{"name": "SINK_DIGEST", "value": digest}],
                "pod_template": {"spec": {"containers": [sink()]}},
            }},
            "container_registry": {"flavor": "default", "config": {"uri": registry}},
        }))
    }

    /// The pod as wharf's is, as far as it matters here.
    fn pod(&self) -> Value {
        let mut container = sink();
        container["image"] = json!(self.executor);
        container["stdin"] = json!(true);
        container["stdinOnce"] = json!(true);
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": POD},
            "spec": {"restartPolicy": "Never", "containers": [container]},
        })
    }
}

fn sink() -> Value {
    json!({"name": "kaniko", "imagePullPolicy": "IfNotPresent", "command": ["python3", "-c", SINK]})
}

fn digest_of(image: &str, machine: &mut Machine) -> Result<String> {
    let parts = image.split_once('/').zip(image.rsplit_once(':'));
    let ((registry, _), (name, tag)) = parts.context("an image of a registry, with a tag")?;
    let repository = &name[registry.len() + 1..];
    let address = format!("http://{registry}/v2/{repository}/manifests/{tag}");
    let mut curl = command(
        machine.program("curl", &["curl"])?,
        ["--silent", "--fail", "--head"],
    );
    let answer = capture(curl.args(["--header", MANIFEST, &address]))?;
    let digest = answer.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("docker-content-digest")
            .then(|| value.trim().to_owned())
    });
    digest.with_context(|| format!("the registry tells no digest of {image}"))
}

fn ended_well(child: &mut Child, command: &Command, said: &str) -> Result<()> {
    let status = child.wait()?;
    match status.success() {
        true => Ok(()),
        false => bail!("{command:?} failed: {status}\n{said}"),
    }
}

/// What was read from a program while it ran, as times since it was started.
#[derive(Debug, Default)]
struct Seen {
    running: Option<Duration>,
    received: Option<(Duration, u64)>,
    text: String,
}

impl Seen {
    /// Reads wharf's events.
    fn in_events(output: impl Read, start: Instant) -> Result<Seen> {
        let mut seen = Seen::default();
        for line in BufReader::new(output).lines() {
            let (line, now) = (line?, start.elapsed());
            let event = serde_json::from_str::<Value>(&line).unwrap_or_default();
            let data = &event["data"];
            match event["event"].as_str() {
                Some("step") if data["id"] == "kaniko start" && data["state"]["is"] == "done" => {
                    seen.running = Some(now);
                }
                Some("log") => seen.line(data["line"].as_str().unwrap_or_default(), now),
                Some(_) => {}
                None => seen.line(&line, now),
            }
        }
        Ok(seen)
    }

    /// Reads what kubectl passes on.
    fn lines(&mut self, output: impl Read, start: Instant) -> Result<()> {
        for line in BufReader::new(output).lines() {
            self.line(&line?, start.elapsed());
        }
        Ok(())
    }

    fn line(&mut self, line: &str, now: Duration) {
        match received(line) {
            Some(bytes) => self.received = Some((now, bytes)),
            None => {
                self.text += line;
                self.text += "\n";
            }
        }
    }

    fn sent(self) -> Result<Sent> {
        let all = self.running.zip(self.received);
        let (to_running, (end, bytes)) =
            all.with_context(|| format!("the pod did not say what it got:\n{}", self.text))?;
        Ok(Sent {
            to_running,
            sending: end.saturating_sub(to_running),
            bytes,
        })
    }
}

/// What the pod says at its end.
fn received(line: &str) -> Option<u64> {
    let count = line.strip_prefix("received ")?.strip_suffix(" bytes")?;
    count.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_tell_when_the_pod_runs_and_what_it_got() {
        let events = r#"{"event":"step","data":{"id":"kaniko start","state":{"is":"started"}}}
{"event":"log","data":{"line":"received 7 bytes"}}
{"event":"step","data":{"id":"kaniko start","state":{"is":"done"}}}
error: no"#;
        let seen = Seen::in_events(events.as_bytes(), Instant::now()).unwrap();
        assert_eq!(seen.text, "error: no\n");
        assert_eq!(seen.sent().unwrap().bytes, 7);
    }

    #[test]
    fn a_pod_that_says_nothing_is_no_measurement() {
        let error = Seen::in_events(b"killed".as_slice(), Instant::now())
            .unwrap()
            .sent();
        assert!(error.unwrap_err().to_string().contains("killed"));
    }
}
