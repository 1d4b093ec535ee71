//! What the daemon says in the headers of a file sync request.

use percent_encoding::percent_decode_str;
use tonic::metadata::MetadataMap;

/// Which part of which directory the daemon wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Which directory.
    pub(crate) name: String,
    /// If there are any: only what matches one of these.
    pub(crate) include: Vec<String>,
    /// Nothing that matches these.
    pub(crate) exclude: Vec<String>,
    /// Like `include`, and what is found behind symbolic links on the way to these.
    pub(crate) follow: Vec<String>,
}

impl Wanted {
    pub(crate) fn from_metadata(metadata: &MetadataMap) -> Self {
        Self {
            name: values(metadata, "dir-name")
                .into_iter()
                .next()
                .unwrap_or_default(),
            include: values(metadata, "include-patterns"),
            exclude: values(metadata, "exclude-patterns"),
            follow: values(metadata, "followpaths"),
        }
    }

    /// Whether this is the look at the ignore file that comes before the transfer of the context proper.
    pub(crate) fn is_ignore_file(&self) -> bool {
        let wanted = self.follow.iter().chain(&self.include);
        let mut wanted = wanted.peekable();
        wanted.peek().is_some() && wanted.all(|path| path.ends_with(".dockerignore"))
    }
}

/// All values of a key. A value outside of ASCII cannot stand in a header; the daemon then escapes all values of
/// the key the way a URL's query is escaped, and says so in a second key.
fn values(metadata: &MetadataMap, key: &str) -> Vec<String> {
    let escaped = metadata.get(format!("{key}-encoded").as_str());
    let escaped = escaped.is_some_and(|flag| matches!(flag.as_bytes(), b"1" | b"t" | b"true"));
    let text = |value: &str| match escaped {
        true => percent_decode_str(&value.replace('+', " "))
            .decode_utf8_lossy()
            .into_owned(),
        false => value.to_owned(),
    };
    let all = metadata.get_all(key).into_iter();
    all.map(|value| text(&String::from_utf8_lossy(value.as_bytes())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_values_are_read_back() {
        let mut metadata = MetadataMap::new();
        metadata.insert("dir-name", "context".parse().unwrap());
        metadata.append("exclude-patterns", "a+b%2Bc%2F%C3%BC".parse().unwrap());
        metadata.append("exclude-patterns", "%21x".parse().unwrap());
        metadata.insert("exclude-patterns-encoded", "1".parse().unwrap());
        metadata.append("followpaths", "a+b%2F".parse().unwrap());
        let wanted = Wanted::from_metadata(&metadata);
        assert_eq!(wanted.name, "context");
        assert_eq!(wanted.exclude, ["a b+c/ü", "!x"]);
        assert_eq!(
            wanted.follow,
            ["a+b%2F"],
            "a key that is not marked is taken as it stands"
        );
    }

    #[test]
    fn only_the_look_at_the_ignore_file_is_one() {
        let wanted = |follow: &[&str]| Wanted {
            follow: follow.iter().map(|path| (*path).to_owned()).collect(),
            ..Wanted::default()
        };
        assert!(wanted(&[".dockerignore"]).is_ignore_file());
        assert!(!wanted(&["src", ".dockerignore"]).is_ignore_file());
        assert!(!wanted(&[]).is_ignore_file());
    }
}
