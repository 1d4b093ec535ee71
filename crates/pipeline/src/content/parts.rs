//! The parts of what goes into an image, each as a checksum.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use wharf_core::options::DockerBuildOptions;
use wharf_core::{Digest, Platform};

use crate::checksum::Checksum;
use crate::plan::BuildInstructions;

/// What goes into an image beside its Dockerfile, in parts. Records of builds keep them, so that a plan can say
/// what changed since.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentParts {
    /// The checksum of the files in the context's directory; none: the image gets none of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The added files: names and checksums.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// The options that change what comes out: names and checksums of the values, which may be long.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
    /// The platforms that the image is for, joined by commas: those of the options, else the
    /// [builder's own](wharf_core::builder::ImageBuilder::default_platform); where that is not known, Linux on the
    /// architecture of this machine for builders that work here, and nothing for others. So an image that was built
    /// on an ARM engine is not taken for one that was built on an Intel engine, and an image is found again while the
    /// engine is down.
    #[serde(default)]
    pub platform: String,
    /// Whether the options say the platforms.
    #[serde(default)]
    pub is_platform_given: bool,
    /// The parents' names, and what each meant.
    #[serde(default)]
    pub parents: BTreeMap<String, String>,
}

impl ContentParts {
    pub(crate) fn of(
        instructions: &BuildInstructions,
        code: Option<String>,
        parents: BTreeMap<String, String>,
        platform: Option<&Platform>,
    ) -> Self {
        let files = instructions.files.iter();
        let given = &instructions.options.platforms;
        Self {
            code,
            files: files
                .map(|(name, content)| (name.clone(), Digest::of_bytes(content).hex().to_owned()))
                .collect(),
            options: options(&instructions.options),
            platform: platforms(given, platform),
            is_platform_given: !given.is_empty(),
            parents,
        }
    }
}

fn platforms(given: &[Platform], own: Option<&Platform>) -> String {
    let own = own.into_iter().filter(|_| given.is_empty());
    let names: BTreeSet<String> = given.iter().chain(own).map(ToString::to_string).collect();
    names.into_iter().collect::<Vec<_>>().join(",")
}

/// The options that change what comes out, platforms left aside. Whether parents are pulled, caches used, and which secrets a step
/// may see does not.
fn options(options: &DockerBuildOptions) -> BTreeMap<String, String> {
    let DockerBuildOptions {
        build_args,
        labels,
        target,
        platforms: _,
        shm_size,
        network,
        extra_hosts,
        extra,
        pull: _,
        no_cache: _,
        cache_from: _,
        secrets: _,
        ssh: _,
    } = options;
    let all = [
        ("build_args", json!(build_args)),
        ("labels", json!(labels)),
        ("target", json!(target)),
        ("shm_size", json!(shm_size)),
        ("network", json!(network)),
        ("extra_hosts", json!(extra_hosts)),
        ("other options", json!(extra)),
    ];
    let given = all.into_iter().filter(|(_, value)| !is_empty(value));
    given
        .map(|(name, value)| {
            let mut sum = Checksum::new("wharf build option 1");
            sum.json(&value);
            (name.to_owned(), sum.finish())
        })
        .collect()
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
        _ => false,
    }
}
