//! What is shown when something failed: the step, its last output, the place in the Dockerfile, the reason.

use std::fmt::Write as _;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use serde_json::json;
use wharf_core::{Error, ErrorKind};

use crate::display::model::StepView;
use crate::display::palette::{Palette, paint};
use crate::display::text::sanitize_lines;
use crate::display::{Model, ProgressMode};
use crate::{dockerfile, exit_code};

/// A failed command: the error and, where there was one, the build around it.
#[derive(Debug)]
pub struct Failure {
    /// What went wrong.
    pub error: Error,
    /// The exit code.
    pub code: u8,
    /// What the build's events added up to.
    pub model: Option<Box<Model>>,
    /// The Dockerfile of the build, where the error does not name it.
    pub dockerfile: Option<PathBuf>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            code: exit_code::of(error.kind()),
            error,
            model: None,
            dockerfile: None,
        }
    }
}

impl Failure {
    /// The text for standard error. With `--progress json` it is one JSON object, as every line there is.
    #[must_use]
    pub fn render(&self, progress: ProgressMode, palette: &Palette) -> String {
        match progress {
            ProgressMode::Json => self.json(),
            _ => self.text(palette),
        }
    }

    fn text(&self, palette: &Palette) -> String {
        let mut out = String::new();
        let mut report = sanitize_lines(&self.error.report());
        if self.error.kind() == ErrorKind::BuildFailed {
            out.push_str(&self.last_output(palette));
            if let Some(place) = self.place(palette) {
                out.push_str(&place);
                report = without_place(&report);
            }
        }
        let _ = writeln!(out, "{} {report}", paint(palette.bad, "error:"));
        out
    }

    fn json(&self) -> String {
        let context: serde_json::Map<String, serde_json::Value> = self
            .error
            .context()
            .map(|(key, value)| (key.to_owned(), value.into()))
            .collect();
        let data = json!({
            "name": exit_code::name(self.code),
            "exit_code": self.code,
            "message": self.error.to_string(),
            "context": context,
            "hint": self.error.hint(),
            "report": self.error.report(),
        });
        let line = json!({ "time": jiff::Timestamp::now(), "event": "error", "data": data });
        format!("{line}\n")
    }

    fn step(&self) -> Option<&StepView> {
        self.model.as_deref()?.failed_step(self.context("step"))
    }

    fn context(&self, wanted: &str) -> Option<&str> {
        let mut pairs = self.error.context();
        pairs.find(|(key, _)| *key == wanted).map(|(_, value)| value)
    }

    fn last_output(&self, palette: &Palette) -> String {
        let Some(step) = self.step() else {
            return String::new();
        };
        let mut out = format!("\n{} {}\n", paint(palette.bad, "failed:"), step.title());
        for line in &step.tail {
            let text = format!("  │ {:.3} {}", line.at.as_secs_f64(), line.text);
            let _ = writeln!(out, "{}", text.trim_end());
        }
        out
    }

    fn place(&self, palette: &Palette) -> Option<String> {
        let named = self.context("dockerfile").map(PathBuf::from);
        // A builder may know the file by the name that it has inside the context only.
        let candidates = [named.clone(), self.dockerfile.clone()];
        let path = candidates.into_iter().flatten().find(|path| path.is_file())?;
        let content = std::fs::read(&path).ok()?;
        let content = String::from_utf8_lossy(&content);
        let lines = self
            .lines()
            .or_else(|| dockerfile::find(&content, &self.step()?.name))?;
        let excerpt = dockerfile::excerpt(&content, &lines)?;
        let shown = named.unwrap_or(path);
        let heading = sanitize_lines(&format!("{}:{}", shown.display(), lines.start()));
        Some(format!("{}\n{excerpt}", paint(palette.dim, &heading)))
    }

    fn lines(&self) -> Option<RangeInclusive<usize>> {
        let number = |key| self.context(key).and_then(|text| text.parse::<usize>().ok());
        let start = number("dockerfile_line")?;
        Some(start..=number("dockerfile_end_line").unwrap_or(start).max(start))
    }
}

/// The report without the facts that the excerpt above it has shown.
fn without_place(report: &str) -> String {
    const SHOWN: [&str; 3] = ["  dockerfile: ", "  dockerfile_line: ", "  dockerfile_end_line: "];
    let lines = report
        .lines()
        .filter(|line| !SHOWN.iter().any(|shown| line.starts_with(shown)));
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use wharf_core::event::StepState;

    use super::*;
    use crate::display::fixture::{log, step};

    fn failed_build() -> (Failure, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("Dockerfile");
        std::fs::write(&path, "FROM python\nCOPY . .\nRUN python train.py\n").unwrap();
        let mut model = Model::default();
        model.apply(&step(0, "s", "[3/3] RUN python train.py", StepState::Started));
        model.apply(&log(250, Some("s"), "Traceback \x1b[31m(most recent call last)"));
        let error = StepState::Failed {
            error: "exit code: 1".into(),
        };
        model.apply(&step(300, "s", "[3/3] RUN python train.py", error));
        let error = Error::new(ErrorKind::BuildFailed, "the step ended with exit code 1");
        let failure = Failure {
            model: Some(Box::new(model)),
            dockerfile: Some(path),
            ..error.into()
        };
        (failure, folder)
    }

    #[test]
    fn a_failed_step_is_shown_with_its_output_and_place() {
        let (failure, folder) = failed_build();
        let text = failure.render(ProgressMode::Plain, &Palette::default());
        let expected = "
failed: [3/3] RUN python train.py
  │ 0.250 Traceback (most recent call last)
DIR/Dockerfile:3
    1 | FROM python
    2 | COPY . .
>>> 3 | RUN python train.py
error: the step ended with exit code 1
";
        let folder = folder.path().display().to_string();
        assert_eq!(text.replace(&folder, "DIR"), expected);
    }

    #[test]
    fn the_builder_s_own_place_wins() {
        let (mut failure, _folder) = failed_build();
        failure.error = Error::new(ErrorKind::BuildFailed, "no")
            .with_context("dockerfile", "Dockerfile")
            .with_context("dockerfile_line", "1")
            .with_context("dockerfile_end_line", "2");
        let text = failure.render(ProgressMode::Plain, &Palette::default());
        assert!(
            text.contains("\nDockerfile:1\n>>> 1 | FROM python\n>>> 2 | COPY . .\n    3 |"),
            "{text}"
        );
    }

    #[test]
    fn another_failure_shows_no_step() {
        let (mut failure, _folder) = failed_build();
        failure.error = Error::new(ErrorKind::PushFailed, "refused\x1b[2J").with_hint("Try again.");
        let text = failure.render(ProgressMode::Plain, &Palette::default());
        assert_eq!(text, "error: refused\n  help: Try again.\n");
    }

    #[test]
    fn with_json_progress_the_failure_is_json_too() {
        let (failure, _folder) = failed_build();
        let text = failure.render(ProgressMode::Json, &Palette::default());
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["event"], "error");
        assert_eq!(value["data"]["exit_code"], 1);
        assert_eq!(value["data"]["name"], "build_failed");
    }
}
