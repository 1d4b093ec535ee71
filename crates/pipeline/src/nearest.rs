//! The name that was probably meant.

/// How alike two names must be, from 0 to 1 (Jaro and Winkler), before one is suggested for the other.
const ALIKE: f64 = 0.75;

/// The known name that is most like this one, if any is like it at all. Case does not matter.
pub(crate) fn nearest<'a>(known: impl IntoIterator<Item = &'a str>, name: &str) -> Option<&'a str> {
    let name = name.to_lowercase();
    let (likeness, best) = known
        .into_iter()
        .map(|one| (strsim::jaro_winkler(&one.to_lowercase(), &name), one))
        .max_by(|(one, _), (other, _)| one.total_cmp(other))?;
    (likeness > ALIKE).then_some(best)
}

/// `, did you mean …?`, or nothing.
pub(crate) fn suggestion<'a>(known: impl IntoIterator<Item = &'a str>, name: &str) -> String {
    match nearest(known, name) {
        Some(meant) => format!(", did you mean `{meant}`?"),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognized_and_an_alien_is_not() {
        let known = ["requirements", "required_integrations", "user"];
        assert_eq!(nearest(known, "requirement"), Some("requirements"));
        assert_eq!(nearest(known, "User"), Some("user"));
        assert_eq!(nearest(known, "zzz"), None);
    }
}
