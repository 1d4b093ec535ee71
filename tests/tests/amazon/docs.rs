//! What docs/builders/aws.md shows can be pasted.

use wharf::core::stack::StackSpec;

const GUIDE: &str = include_str!("../../../docs/builders/aws.md");

/// The blocks of code in a language.
fn blocks(language: &str) -> Vec<&'static str> {
    let start = format!("```{language}\n");
    let blocks = GUIDE.split(start.as_str()).skip(1);
    blocks.filter_map(|rest| rest.split("```").next()).collect()
}

#[test]
fn stacks_are_stacks_and_policies_are_json() {
    let stacks: Vec<&str> = blocks("yaml")
        .into_iter()
        .filter(|block| block.contains("image_builder:"))
        .collect();
    assert_eq!(stacks.len(), 2);
    for text in stacks {
        let spec: StackSpec = serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        wharf::flavors()
            .stack(&spec)
            .unwrap_or_else(|error| panic!("{}\n{text}", error.report()));
    }
    let policies = blocks("json");
    assert_eq!(policies.len(), 2);
    for text in policies {
        let policy: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(policy["Version"], "2012-10-17");
    }
}
