//! What a daemon adds to an error besides its text.
//!
//! BuildKit puts its own types as JSON into the details of the status. Daemons that put nothing there, such as
//! Docker Engine 20.10, are understood by their text alone.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bollard_buildkit_proto::google::rpc::Status as WireStatus;
use prost::Message as _;
use serde::Deserialize;

use super::SourceLocation;

/// The details that matter here.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Details {
    /// The digest of the step.
    pub(super) vertex: Option<String>,
    pub(super) exit_code: Option<i64>,
    pub(super) location: Option<SourceLocation>,
}

#[derive(Deserialize)]
struct Vertex {
    #[serde(default)]
    digest: String,
}

#[derive(Deserialize)]
struct Exit {
    #[serde(default, rename = "Code", alias = "code")]
    code: i64,
}

#[derive(Deserialize)]
struct Source {
    info: Option<Info>,
    #[serde(default)]
    ranges: Vec<Range>,
}

#[derive(Deserialize)]
struct Info {
    #[serde(default)]
    filename: String,
    /// Base64, as Go writes bytes into JSON.
    #[serde(default)]
    data: String,
}

#[derive(Deserialize)]
struct Range {
    start: Option<Position>,
    end: Option<Position>,
}

#[derive(Deserialize)]
struct Position {
    #[serde(default)]
    line: u32,
}

impl Details {
    /// Reads what can be read, and passes over the rest.
    pub(super) fn from_bytes(bytes: &[u8]) -> Self {
        let mut out = Self::default();
        for detail in WireStatus::decode(bytes).unwrap_or_default().details {
            let kind = detail.type_url.rsplit('/').next().unwrap_or_default();
            match kind {
                "errdefs.Vertex+json" => out.set_vertex(&detail.value),
                "gatewayapi.ExitMessage+json" => out.set_exit_code(&detail.value),
                "errdefs.Source+json" => out.set_location(&detail.value),
                _ => {}
            }
        }
        out
    }

    fn set_vertex(&mut self, json: &[u8]) {
        let vertex = serde_json::from_slice::<Vertex>(json).ok();
        let digest = vertex
            .map(|vertex| vertex.digest)
            .filter(|digest| !digest.is_empty());
        self.vertex = self.vertex.take().or(digest);
    }

    fn set_exit_code(&mut self, json: &[u8]) {
        let exit = serde_json::from_slice::<Exit>(json).ok();
        self.exit_code = self.exit_code.or(exit.map(|exit| exit.code));
    }

    fn set_location(&mut self, json: &[u8]) {
        let source = serde_json::from_slice::<Source>(json).ok();
        self.location = self.location.take().or_else(|| location(source?));
    }
}

fn location(source: Source) -> Option<SourceLocation> {
    let starts = source.ranges.iter().filter_map(|range| range.start.as_ref());
    let ends = source.ranges.iter().filter_map(|range| range.end.as_ref());
    let first_line = starts.clone().map(|at| at.line).filter(|line| *line > 0).min()?;
    let last_line = starts.chain(ends).map(|at| at.line).max()?;
    let info = source.info?;
    let text = STANDARD
        .decode(info.data)
        .ok()
        .and_then(|text| String::from_utf8(text).ok());
    Some(SourceLocation {
        file: info.filename,
        first_line,
        last_line,
        text: text.filter(|text| !text.is_empty()),
    })
}

#[cfg(test)]
mod tests {
    use bollard_buildkit_proto::google::protobuf::Any;

    use super::*;

    fn details(parts: &[(&str, &str)]) -> Details {
        let any = |(kind, json): &(&str, &str)| Any {
            type_url: format!("github.com/moby/buildkit/{kind}"),
            value: json.as_bytes().to_vec(),
        };
        let status = WireStatus {
            code: 2,
            message: String::new(),
            details: parts.iter().map(any).collect(),
        };
        Details::from_bytes(&status.encode_to_vec())
    }

    #[test]
    fn the_step_its_exit_code_and_its_place_are_read() {
        let source = r#"{"info":{"filename":"Dockerfile","data":"RlJPTSBhClJVTiBi","language":"Dockerfile"},
            "ranges":[{"start":{"line":2},"end":{"line":4,"character":7}}]}"#;
        let found = details(&[
            ("stack.Stack+json", r#"{"frames":[]}"#),
            ("gatewayapi.ExitMessage+json", r#"{"Code":137}"#),
            ("errdefs.Solve+json", r#"{"inputIDs":["a"],"Op":{}}"#),
            ("errdefs.Vertex+json", r#"{"digest":"sha256:1"}"#),
            ("errdefs.Source+json", source),
        ]);
        let location = SourceLocation {
            file: "Dockerfile".into(),
            first_line: 2,
            last_line: 4,
            text: Some("FROM a\nRUN b".into()),
        };
        let expected = Details {
            vertex: Some("sha256:1".into()),
            exit_code: Some(137),
            location: Some(location),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn nonsense_is_passed_over() {
        assert_eq!(Details::from_bytes(b""), Details::default());
        assert_eq!(Details::from_bytes(b"\xff\xff\xff"), Details::default());
        assert_eq!(details(&[("errdefs.Source+json", "[]")]), Details::default());
        assert_eq!(
            details(&[("errdefs.Source+json", r#"{"ranges":[{}]}"#)]),
            Details::default()
        );
    }
}
