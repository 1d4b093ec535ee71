//! `wharf context explain`: what is big, and which rule kept or dropped a path.

use std::io::{self, Write};

use wharf_core::Result;
use wharf_core::context::{ExplainedPath, Explanation, Presence, RuleReference, SizedPath};

use super::{escaped, open, warn};
use crate::args::{ContextArgs, GlobalArgs};
use crate::display::palette::{Palette, paint};
use crate::display::text::{bytes, plural, width};
use crate::output::{self, Shown};

/// How many columns a path may take before the rule behind it moves to the right.
const PATH_COLUMNS: usize = 48;

/// Explains the context.
///
/// # Errors
/// Whatever stood in the way of reading the context or writing the result.
pub(super) async fn run(global: &GlobalArgs, args: &ContextArgs) -> Result<()> {
    let explanation = open(&args.root, &args.files).explain()?;
    warn(global, explanation.warnings.clone()).await?;
    output::print(global.output, &Explained(explanation))
}

struct Explained(Explanation);

impl Shown for Explained {
    type Json = Explanation;

    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        render(&self.0, &Palette::stdout(), out)
    }

    fn json(&self) -> &Explanation {
        &self.0
    }
}

/// What sums everything up stands at the end, where a terminal shows it.
fn render(explanation: &Explanation, palette: &Palette, out: &mut dyn Write) -> io::Result<()> {
    let shown = explanation.paths.iter().map(|path| width(&path.path));
    let columns = shown.max().unwrap_or(0).min(PATH_COLUMNS);
    for path in &explanation.paths {
        line(path, columns, palette, out)?;
    }
    sizes("largest directories", &explanation.largest_directories, out)?;
    sizes("largest files", &explanation.largest_files, out)?;
    let totals = &explanation.totals;
    let rules = match &explanation.ignore_file {
        Some(file) => format!("rules from {}", one_line(file)),
        None => "no ignore file".to_owned(),
    };
    writeln!(
        out,
        "\n{} in {}, {}, {}; {rules}",
        bytes(totals.bytes),
        plural(totals.files, "file"),
        plural(totals.symlinks, "link"),
        directories(totals.directories)
    )
}

fn line(path: &ExplainedPath, columns: usize, palette: &Palette, out: &mut dyn Write) -> io::Result<()> {
    let (sign, style, note) = match path.presence {
        Presence::Kept => ("+", palette.good, ""),
        Presence::KeptForContent => ("+", palette.good, "kept for what is in it, in spite of "),
        Presence::Added => ("+", palette.good, "added"),
        Presence::Dropped => ("-", palette.bad, ""),
        Presence::DroppedWhole => ("-", palette.bad, "with everything in it: "),
        _ => ("?", palette.warning, ""),
    };
    let kept = sign == "+" && !path.path.ends_with('/');
    let size = if kept { bytes(path.bytes) } else { String::new() };
    let name = one_line(&path.path);
    let gap = " ".repeat(columns.saturating_sub(width(&name)));
    let rule = path.rule.as_ref().map(rule).unwrap_or_default();
    let text = format!("{size:>9}  {name}{gap}  {note}{rule}");
    writeln!(out, "{} {}", paint(style, sign), text.trim_end())
}

fn rule(rule: &RuleReference) -> String {
    let file = rule.file.rsplit('/').next().unwrap_or_default();
    one_line(&format!("{file}:{} {}", rule.line, rule.pattern))
}

fn sizes(heading: &str, sizes: &[SizedPath], out: &mut dyn Write) -> io::Result<()> {
    if sizes.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{heading}:")?;
    for sized in sizes {
        writeln!(out, "{:>11}  {}", bytes(sized.bytes), one_line(&sized.path))?;
    }
    Ok(())
}

fn directories(count: u64) -> String {
    if count == 1 {
        "1 directory".to_owned()
    } else {
        format!("{count} directories")
    }
}

fn one_line(text: &str) -> String {
    String::from_utf8_lossy(&escaped(text.as_bytes())).into_owned()
}

#[cfg(test)]
mod tests {
    use wharf_core::context::ContextTotals;

    use super::*;

    fn path(path: &str, presence: Presence, bytes: u64, rule: Option<(u32, &str)>) -> ExplainedPath {
        ExplainedPath {
            path: path.into(),
            presence,
            bytes,
            rule: rule.map(|(line, pattern)| RuleReference {
                file: "/work/.dockerignore".into(),
                line,
                pattern: pattern.into(),
            }),
        }
    }

    #[test]
    fn each_path_stands_with_its_size_and_rule() {
        let explanation = Explanation {
            root: Some("/work".into()),
            ignore_file: Some("/work/.dockerignore".into()),
            totals: ContextTotals {
                files: 1,
                directories: 1,
                bytes: 1500,
                ..ContextTotals::default()
            },
            largest_directories: vec![SizedPath {
                path: "out/".into(),
                bytes: 1500,
            }],
            largest_files: Vec::new(),
            paths: vec![
                path("a\n.log", Presence::Dropped, 0, Some((1, "*.log"))),
                path("data/", Presence::DroppedWhole, 0, Some((2, "data"))),
                path("out/", Presence::KeptForContent, 0, Some((3, "out"))),
                path("out/keep", Presence::Kept, 1500, Some((4, "!out/keep"))),
                path("plain", Presence::Kept, 0, None),
            ],
            warnings: Vec::new(),
        };
        let mut out = Vec::new();
        render(&explanation, &Palette::default(), &mut out).unwrap();
        let expected = "\
-            a\\n.log   .dockerignore:1 *.log
-            data/     with everything in it: .dockerignore:2 data
+            out/      kept for what is in it, in spite of .dockerignore:3 out
+    1.5 kB  out/keep  .dockerignore:4 !out/keep
+       0 B  plain

largest directories:
     1.5 kB  out/

1.5 kB in 1 file, 0 links, 1 directory; rules from /work/.dockerignore
";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
