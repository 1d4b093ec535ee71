//! Large packages that seldom change, apart from small ones that often do.
//!
//! In one layer, one new small package builds and pushes gigabytes anew. In two layers, the first with the large
//! packages alone, it does not. That must not change what is installed, and does not under these conditions:
//!
//! 1. The text names every package that is installed, each at one exact version: it is a lock. Only whoever made
//!    the text knows the former; the latter is checked here.
//! 2. The large packages are installed with `--no-deps`, and then the whole text as ever: the installer finds
//!    the large ones there, and adds what is missing.

use super::index_credentials::SECRET_MARK;
use super::requirement_lines::{LogicalLine, Meaning, local_path, logical_lines, meaning, package_name};

/// Packages whose wheels have some hundred megabytes, and what belongs to them by version.
const HEAVY: [&str; 33] = [
    "bitsandbytes",
    "catboost",
    "deepspeed",
    "faiss-cpu",
    "faiss-gpu",
    "flash-attn",
    "flashinfer-python",
    "h2o",
    "jaxlib",
    "libtpu",
    "libtpu-nightly",
    "llama-cpp-python",
    "llvmlite",
    "mxnet",
    "onnxruntime-gpu",
    "paddlepaddle",
    "paddlepaddle-gpu",
    "pyspark",
    "sgl-kernel",
    "tensorflow",
    "tensorflow-cpu",
    "tensorflow-cpu-aws",
    "tensorflow-intel",
    "tensorrt",
    "tf-nightly",
    "torch",
    "torch-xla",
    "torchaudio",
    "torchvision",
    "triton",
    "vllm",
    "xformers",
    "xgboost",
];

/// How the names of whole families of them begin.
const HEAVY_FAMILIES: [&str; 14] = [
    "cudf-",
    "cugraph-",
    "cuml-",
    "cupy-",
    "jax-cuda",
    "jax-rocm",
    "libcudf-",
    "libcugraph-",
    "libcuml-",
    "libraft-",
    "mxnet-cu",
    "nvidia-",
    "pytorch-triton",
    "tensorrt-",
];

/// The text of the first of two layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeavySplit {
    /// The large packages with the options of the whole text, to be installed with `--no-deps` before the whole
    /// text is.
    pub heavy: String,
    /// Their names, sorted, each once.
    pub names: Vec<String>,
}

/// Splits the text of a lock. `None` if it has no large packages, has nothing but them, or if a split could change
/// what is installed: some requirement is not at one exact version, is from this machine's disk, or is in another
/// file.
///
/// ```
/// use wharf_pipeline::gather::heavy::split_heavy;
/// let split = split_heavy("numpy==2.2.0\ntorch==2.6.0\n").unwrap();
/// assert_eq!(split.heavy, "torch==2.6.0\n");
/// assert!(split_heavy("numpy\ntorch==2.6.0\n").is_none());
/// ```
#[must_use]
pub fn split_heavy(lock: &str) -> Option<HeavySplit> {
    let mut split = HeavySplit {
        heavy: String::new(),
        names: Vec::new(),
    };
    let mut has_light = false;
    for line in logical_lines(lock) {
        match part(&line)? {
            Part::Nothing => {}
            Part::Option => split.add(&line),
            Part::Light => has_light = true,
            Part::Heavy(name) => {
                split.add(&line);
                split.names.push(name);
            }
        }
    }
    split.names.sort();
    split.names.dedup();
    (has_light && !split.names.is_empty()).then_some(split)
}

/// What a line means for the split.
enum Part {
    Nothing,
    Option,
    Light,
    Heavy(String),
}

/// None: with this line no split is safe.
fn part(line: &LogicalLine<'_>) -> Option<Part> {
    let joined = line.joined();
    let meaning = meaning(joined.trim());
    match &meaning {
        // Another index is another layer, also where it is a secret.
        Meaning::Nothing if line.raw.starts_with(SECRET_MARK) => Some(Part::Option),
        Meaning::Nothing => Some(Part::Nothing),
        Meaning::Option => Some(Part::Option),
        Meaning::Package(requirement) if local_path(&meaning).is_none() => {
            let name = package_name(requirement)?;
            is_exact(requirement).then(|| match is_heavy(&name) {
                true => Part::Heavy(name),
                false => Part::Light,
            })
        }
        _ => None,
    }
}

/// One version and no other: `name==1.2`, `name===1.2`, or a URL.
fn is_exact(requirement: &str) -> bool {
    let requirement = requirement.split(';').next().unwrap_or(requirement);
    let requirement = requirement.split(" --").next().unwrap_or(requirement);
    if let Some((name, url)) = requirement.split_once('@') {
        return package_name(name.trim()).is_some() && url.contains("://");
    }
    let Some((name, version)) = requirement.split_once("==") else {
        return false;
    };
    let inexact = ['<', '>', '!', '~', ',', '*'];
    let version = version.trim_start_matches('=').trim();
    !version.is_empty() && !name.contains(inexact) && !version.contains(inexact)
}

fn is_heavy(name: &str) -> bool {
    HEAVY.contains(&name) || HEAVY_FAMILIES.iter().any(|family| name.starts_with(family))
}

impl HeavySplit {
    fn add(&mut self, line: &LogicalLine<'_>) {
        let text = if line.requirement.is_empty() {
            line.raw
        } else {
            line.requirement
        };
        self.heavy.push_str(text);
        self.heavy.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_packages_go_first_with_the_options_and_their_hashes() {
        let lock = "# lock\n--index-url https://h/simple\nNumPy==2.2.0\ntorch==2.6.0 ; sys_platform == 'linux' \\\n    \
                    --hash=sha256:1 \\\n    --hash=sha256:2\n    # via x\nnvidia-cublas-cu12 == 12.4.5.8\nsix==1.17.0\n";
        let split = split_heavy(lock).unwrap();
        assert_eq!(
            split.heavy,
            "--index-url https://h/simple\ntorch==2.6.0 ; sys_platform == 'linux' \\\n    --hash=sha256:1 \\\n    \
             --hash=sha256:2\nnvidia-cublas-cu12 == 12.4.5.8\n"
        );
        assert_eq!(split.names, ["nvidia-cublas-cu12", "torch"]);
    }

    #[test]
    fn an_index_that_is_a_secret_is_part_of_the_first_layer() {
        let text = "-i https://u:p@h/s\ntorch==2.6.0\nsix==1\n";
        let public = super::super::index_credentials::split_requirements(text, &|_| None).text;
        let split = split_heavy(&public).unwrap();
        assert_eq!(
            split.heavy,
            "# from a build secret: -i https://***@h/s\ntorch==2.6.0\n"
        );
    }

    #[test]
    fn a_change_of_a_small_package_leaves_the_first_layer_alone() {
        let heavy = |version: &str| {
            split_heavy(&format!("torch==2.6.0\nsix=={version}\n"))
                .unwrap()
                .heavy
        };
        assert_eq!(heavy("1.16.0"), heavy("1.17.0"));
    }

    #[test]
    fn what_is_not_exact_is_not_split() {
        for line in [
            "numpy",
            "numpy>=2",
            "numpy==2.*",
            "numpy==2,<3",
            "numpy!=1,==2",
            "numpy~=2.0",
            "numpy ; python_version == '3.11'",
            "-e .",
            "./lib",
            "-r more.txt",
            "-c bounds.txt",
            "git+https://h/r.git",
            "x @ file:///a/x.whl",
        ] {
            assert_eq!(
                split_heavy(&format!("torch==2.6.0\nsix==1\n{line}\n")),
                None,
                "{line}"
            );
        }
        for line in [
            "numpy===2.0",
            "numpy == 2.0",
            "numpy[x]==2.0 ; python_version >= '3.9'",
            "x @ https://h/x-1-py3-none-any.whl",
            "x @ git+https://h/r@4f2a0c",
            "numpy==2.0 --hash=sha256:1",
        ] {
            assert!(
                split_heavy(&format!("torch==2.6.0\n{line}\n")).is_some(),
                "{line}"
            );
        }
    }

    #[test]
    fn there_have_to_be_both_kinds() {
        for lock in [
            "",
            "six==1\nnumpy==2\n",
            "torch==2.6.0\ntriton==3.2.0\n",
            "--pre\n",
        ] {
            assert_eq!(split_heavy(lock), None, "{lock}");
        }
    }
}
