//! What wharf reads of a Dockerfile: the images it starts from, and where a step stands in it.

mod instructions;
mod steps;

pub use self::instructions::{Instruction, instructions};
pub use self::steps::step_lines;

/// The images that a Dockerfile names in `FROM` and `COPY --from`, each once, in order.
///
/// Arguments are replaced: by what `argument` gives for them, else by their default in the Dockerfile. Stages
/// of the Dockerfile itself and `scratch` are no images. A name that stays empty or holds an argument nobody
/// knows is left out.
///
/// ```
/// let text = "ARG TAG=3.12\nFROM python:${TAG} AS base\nFROM base\nCOPY --from=r.example/tools:1 /t /t\n";
/// let images = wharf_core::dockerfile::parent_images(text, |_| None);
/// assert_eq!(images, ["python:3.12", "r.example/tools:1"]);
/// ```
#[must_use]
pub fn parent_images(dockerfile: &str, argument: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut reader = Reader::default();
    dockerfile.lines().for_each(|line| reader.line(line));
    let value = |name: &str| {
        let default = || {
            reader
                .defaults
                .iter()
                .rev()
                .find(|(known, _)| known == name)
                .map(|(_, value)| value.clone())
        };
        argument(name).or_else(default)
    };
    let mut images: Vec<String> = Vec::new();
    for image in reader.images.iter().map(|image| substitute(image, &value)) {
        let is_stage = reader.stages.contains(&image.to_ascii_lowercase()) || image.parse::<usize>().is_ok();
        if !image.is_empty() && image != "scratch" && !is_stage && !images.contains(&image) {
            images.push(image);
        }
    }
    images
}

#[derive(Default)]
struct Reader {
    defaults: Vec<(String, String)>,
    images: Vec<String>,
    stages: Vec<String>,
}

impl Reader {
    fn line(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        match words.next().unwrap_or_default().to_ascii_uppercase().as_str() {
            "ARG" => self.defaults.extend(
                words
                    .filter_map(|word| word.split_once('='))
                    .map(|(name, value)| (name.to_owned(), value.trim_matches(['"', '\'']).to_owned())),
            ),
            "FROM" => {
                let mut words = words.skip_while(|word| word.starts_with("--"));
                self.images.extend(words.next().map(str::to_owned));
                if words.next().is_some_and(|word| word.eq_ignore_ascii_case("as")) {
                    self.stages.extend(words.next().map(str::to_ascii_lowercase));
                }
            }
            "COPY" => self.images.extend(
                words
                    .find_map(|word| word.strip_prefix("--from="))
                    .map(str::to_owned),
            ),
            _ => {}
        }
    }
}

/// Replaces `$NAME`, `${NAME}` and `${NAME:-default}`.
fn substitute(text: &str, value: &impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let (expression, behind) = match after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some(parts) => parts,
            None => after.split_at(
                after
                    .find(|c: char| !c.is_alphanumeric() && c != '_')
                    .unwrap_or(after.len()),
            ),
        };
        let (name, default) = expression.split_once(":-").unwrap_or((expression, ""));
        out.push_str(
            &value(name)
                .filter(|value| !value.is_empty())
                .unwrap_or_else(|| default.to_owned()),
        );
        rest = behind;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_replaced_and_stages_are_no_images() {
        let dockerfile = "ARG BASE=r.example/a\nARG TAG\nFROM --platform=linux/amd64 ${BASE}:$TAG AS Build\n\
                          from ${MIRROR:-docker.io}/b\nCOPY --from=build /x /y\nCOPY --from=0 /x /y\n\
                          COPY --from=other.example/c:1 /x /y\nFROM scratch\nRUN echo FROM z\n";
        let argument = |name: &str| (name == "TAG").then(|| "7".to_owned());
        assert_eq!(
            parent_images(dockerfile, argument),
            ["r.example/a:7", "docker.io/b", "other.example/c:1"]
        );
    }
}
