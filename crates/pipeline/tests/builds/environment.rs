//! What is set in an image: variables, entrypoint.

use serde_json::json;
use wharf_testkit::services;

use crate::support::{Project, Way};

everywhere!(values_are_read_back_as_they_were, the_entrypoint_is_run_as_it_is);

/// What quoting is done for.
const HARD: [(&str, &str); 12] = [
    ("QUOTES", r#"it's "hard" `id` ''"#),
    ("DOLLARS", "$HOME ${HOME} $$ $(id) ${HOME:-x} \\$HOME"),
    ("BACKSLASHES", r"c:\temp\new \\ \"),
    ("LINES", "one\ntwo\n\n  three\n"),
    ("CARRIAGE", "a\r\nb\tc"),
    ("UNICODE", "é日本☺\u{200d}"),
    ("BLANKS", "  a  b  "),
    ("COMMENT", "# not a comment"),
    ("CONTINUED", "ends with \\\nand goes on"),
    ("EMPTY", ""),
    ("JSON", r#"{"a": ["b\"c", {"d": null}]}"#),
    ("EQUALS", "a=b c=d"),
];

async fn values_are_read_back_as_they_were(way: Way) {
    let mut project = Project::new();
    let mut settings =
        json!({"parent_image": services::busybox_image(), "environment": {}, "runtime_environment": {}});
    for (name, value) in HARD {
        // What a variable holds is not looked into again, so that a value may hold `${HOME}`.
        let given = match value {
            "" => "".to_owned(),
            _ => format!("${{HARD_{name}}}"),
        };
        project = project.variable(&format!("HARD_{name}"), value);
        settings["environment"][name] = json!(given);
        settings["runtime_environment"][format!("LATER_{name}")] = json!(given);
    }
    let built = project.build(way, settings).await;
    let config = way.inspect(built.image());
    let set: Vec<&str> = config["Config"]["Env"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|variable| variable.as_str())
        .collect();
    for (name, value) in HARD {
        for name in [name.to_owned(), format!("LATER_{name}")] {
            let expected = format!("{name}={value}");
            assert!(
                set.contains(&expected.as_str()),
                "{expected:?} is not in {set:#?}"
            );
        }
    }
    assert!(
        !set.iter().any(|variable| variable.starts_with("WHARF_")),
        "{set:?}"
    );
    let seen = built.run(&["sh", "-c", "printf %s \"$LINES|$DOLLARS|$LATER_QUOTES\""]);
    assert_eq!(seen, format!("{}|{}|{}", HARD[3].1, HARD[1].1, HARD[0].1));
}

async fn the_entrypoint_is_run_as_it_is(way: Way) {
    let words = [
        "printf",
        "%s|",
        "a b",
        "$HOME",
        "it's",
        "\"q\"",
        "*",
        "back\\slash",
        "",
    ];
    let settings = json!({"parent_image": services::busybox_image(), "environment": {"A": "1"}});
    let built = Project::new().build_with_entrypoint(way, settings, &words).await;
    assert_eq!(built.run(&["more"]), "a b|$HOME|it's|\"q\"|*|back\\slash||more|");
}
