//! How the parts of the cluster are set up, and how they are reached.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use serde_json::{Value, json};

use super::super::http::free_port;
use super::super::machine::privileged;
use super::super::run_dir::ServiceDir;
use super::binaries::Binaries;
use crate::process::{capture, command, run_quietly, succeeds};

/// The ways into the cluster: two users with tokens, and the server's own certificate.
#[derive(Debug)]
pub(super) struct Access {
    folder: PathBuf,
    port: u16,
    admin_token: String,
    node_token: String,
}

impl Access {
    /// Makes tokens and keys in the API server's folder.
    pub(super) fn make(server: &ServiceDir, port: u16) -> Result<Access> {
        let access = Access {
            folder: server.join(""),
            port,
            admin_token: random_word()?,
            node_token: random_word()?,
        };
        let tokens = format!(
            "{},admin,admin,system:masters\n{},system:node:127.0.0.1,node,\"system:nodes,system:masters\"\n",
            access.admin_token, access.node_token
        );
        server.note("tokens.csv", &tokens)?;
        run_quietly(
            command("openssl", ["genrsa", "-out"])
                .arg(access.key())
                .arg("2048"),
        )?;
        Ok(access)
    }

    pub(super) fn admin(&self) -> PathBuf {
        self.folder.join("admin.kubeconfig")
    }

    fn node(&self) -> PathBuf {
        self.folder.join("node.kubeconfig")
    }

    fn key(&self) -> PathBuf {
        self.folder.join("accounts.key")
    }

    fn certificate(&self) -> PathBuf {
        self.folder.join("certificates/apiserver.crt")
    }

    /// Whether the API server has this, and says so to its administrator.
    pub(super) fn answers(&self, path: &str) -> bool {
        self.certificate().is_file() && self.curl(path).is_ok_and(|mut curl| succeeds(&mut curl))
    }

    /// What the API server has there.
    pub(super) fn get(&self, path: &str) -> Result<Value> {
        Ok(serde_json::from_str(&capture(&mut self.curl(path)?)?)?)
    }

    /// The token is in a file: everybody on the machine can read the words of a command.
    fn curl(&self, path: &str) -> Result<Command> {
        let header = self.folder.join("header");
        fs::write(&header, format!("Authorization: Bearer {}\n", self.admin_token))?;
        let mut curl = command(
            "curl",
            ["--silent", "--fail", "--max-time", "5", "--noproxy", "*"],
        );
        curl.arg("--cacert").arg(self.certificate());
        curl.arg("--header").arg(format!("@{}", header.display()));
        curl.arg(format!("https://127.0.0.1:{}{path}", self.port));
        Ok(curl)
    }

    /// Kubeconfigs, which may be written as JSON, with the certificate that the server made for itself.
    pub(super) fn write_kubeconfigs(&self) -> Result<()> {
        for (path, token) in [(self.admin(), &self.admin_token), (self.node(), &self.node_token)] {
            let server = format!("https://127.0.0.1:{}", self.port);
            let kubeconfig = json!({
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "wharf-test", "cluster": {
                    "server": server, "certificate-authority": self.certificate(),
                }}],
                "users": [{"name": "user", "user": {"token": token}}],
                "contexts": [{"name": "wharf-test", "context": {"cluster": "wharf-test", "user": "user"}}],
                "current-context": "wharf-test",
            });
            fs::write(path, kubeconfig.to_string())?;
        }
        Ok(())
    }
}

pub(super) fn api_server(binaries: &Binaries, server: &ServiceDir, access: &Access, etcd: &str) -> Command {
    let mut command = command(binaries.path("kube-apiserver"), [""; 0]);
    command.args([
        format!("--etcd-servers={etcd}"),
        format!("--secure-port={}", access.port),
        "--bind-address=127.0.0.1".to_owned(),
        "--advertise-address=127.0.0.1".to_owned(),
        option("cert-dir", &server.join("certificates")),
        option("token-auth-file", &server.join("tokens.csv")),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--anonymous-auth=false".to_owned(),
        "--service-account-issuer=https://kubernetes.default".to_owned(),
        option("service-account-key-file", &access.key()),
        option("service-account-signing-key-file", &access.key()),
        "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
        "--allow-privileged=true".to_owned(),
        "--insecure-port=0".to_owned(),
        "--kubelet-preferred-address-types=Hostname".to_owned(),
    ]);
    command
}

pub(super) fn controllers(binaries: &Binaries, access: &Access) -> Command {
    let mut command = command(binaries.path("kube-controller-manager"), [""; 0]);
    command.args([
        option("kubeconfig", &access.admin()),
        option("service-account-private-key-file", &access.key()),
        option("root-ca-file", &access.certificate()),
        "--leader-elect=false".to_owned(),
        "--port=0".to_owned(),
        "--secure-port=0".to_owned(),
    ]);
    command
}

pub(super) fn scheduler(binaries: &Binaries, access: &Access) -> Command {
    let mut command = command(binaries.path("kube-scheduler"), [""; 0]);
    command.args([
        option("kubeconfig", &access.admin()),
        "--leader-elect=false".to_owned(),
        "--port=0".to_owned(),
        "--secure-port=0".to_owned(),
    ]);
    command
}

/// A kubelet that leaves the machine as it is: no rules for packets, no groups of processes beside its containers', no
/// clearing of disks.
pub(super) fn kubelet(
    binaries: &Binaries,
    service: &ServiceDir,
    access: &Access,
    engine: &str,
) -> Result<Command> {
    let configuration = json!({
        "kind": "KubeletConfiguration",
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "address": "127.0.0.1",
        "port": free_port()?,
        "healthzPort": 0,
        "authentication": {"anonymous": {"enabled": true}, "webhook": {"enabled": false}},
        "authorization": {"mode": "AlwaysAllow"},
        "cgroupDriver": "cgroupfs",
        "cgroupsPerQOS": false,
        "enforceNodeAllocatable": [],
        "makeIPTablesUtilChains": false,
        "failSwapOn": false,
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"nodefs.available": "64Mi", "imagefs.available": "64Mi"},
        "resolvConf": "/etc/resolv.conf",
    });
    service.note("kubelet.json", &configuration.to_string())?;
    let mut command = privileged(binaries.path("kubelet"), [""; 0]);
    command.args([
        option("kubeconfig", &access.node()),
        option("config", &service.join("kubelet.json")),
        option("root-dir", &service.join("root")),
        option("cert-dir", &service.join("certificates")),
        "--hostname-override=127.0.0.1".to_owned(),
        format!("--docker-endpoint={engine}"),
        format!("--pod-infra-container-image={}", super::images::PAUSE),
        "--container-runtime=docker".to_owned(),
        "--network-plugin=".to_owned(),
    ]);
    Ok(command)
}

/// An option with a path.
fn option(name: &str, value: &Path) -> String {
    format!("--{name}={}", value.display())
}

fn random_word() -> Result<String> {
    Ok(capture(&mut command("openssl", ["rand", "-hex", "16"]))?
        .trim()
        .to_owned())
}
