//! Answers against answers, with the list of those that deviate.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Deviations {
    reasons: BTreeMap<String, String>,
    deviations: BTreeMap<String, Deviation>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Deviation {
    reason: String,
    expected: Value,
}

/// A case: its name, wharf's answer, ZenML's in the same form.
pub(crate) type Answer = (String, Value, Value);

/// Compares answers; those listed under `part` may deviate, and then must.
pub(crate) fn compare(part: &str, answers: Vec<Answer>) {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/conformance/{part}_deviations.json"));
    let text =
        std::fs::read_to_string(&path).unwrap_or_else(|_| r#"{"reasons": {}, "deviations": {}}"#.into());
    let listed: Deviations = serde_json::from_str(&text).unwrap();
    if std::env::var_os("WHARF_UPDATE").is_some() {
        return update(&path, listed, answers);
    }
    let (mut agreeing, mut deviating) = (0, 0);
    let mut wrong: Vec<String> = Vec::new();
    let mut unseen: Vec<&String> = listed.deviations.keys().collect();
    for (name, answer, peer) in &answers {
        unseen.retain(|known| *known != name);
        match listed.deviations.get(name) {
            None if answer == peer => agreeing += 1,
            None => wrong.push(format!(
                "{name}:\n  wharf {answer}\n  ZenML {peer}\n  and not listed"
            )),
            Some(_) if answer == peer => wrong.push(format!("{name}: listed, but it agrees")),
            Some(deviation) if *answer != deviation.expected => wrong.push(format!(
                "{name}:\n  wharf  {answer}\n  listed {}",
                deviation.expected
            )),
            Some(deviation) if !listed.reasons.contains_key(&deviation.reason) => {
                wrong.push(format!("{name}: there is no reason {:?}", deviation.reason));
            }
            Some(_) => deviating += 1,
        }
    }
    wrong.extend(
        unseen
            .iter()
            .map(|name| format!("{name}: listed, but there is no such case")),
    );
    println!(
        "{part}: {agreeing} of {} agree with ZenML, {deviating} deviate for a listed reason",
        answers.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn update(path: &Path, mut listed: Deviations, answers: Vec<Answer>) {
    for (name, answer, peer) in answers {
        if answer == peer {
            listed.deviations.remove(&name);
            continue;
        }
        let unsorted = || Deviation {
            reason: "unsorted".into(),
            expected: Value::Null,
        };
        listed.deviations.entry(name).or_insert_with(unsorted).expected = answer;
    }
    std::fs::write(path, format!("{:#}\n", serde_json::to_value(listed).unwrap())).unwrap();
}
