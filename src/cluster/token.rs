//! k3s' token in its two forms: the password alone, and `K10…::server:PASSWORD` with the digest of the cluster's CA.

/// Whether both join the same cluster; the short form says nothing about the CA.
pub fn same_token(one: &str, other: &str) -> bool {
    match (full(one), full(other)) {
        (Some(_), Some(_)) | (None, None) => one == other,
        (Some((_, password)), None) => password == other,
        (None, Some((_, password))) => password == one,
    }
}

fn full(token: &str) -> Option<(&str, &str)> {
    token.strip_prefix("K10")?.split_once("::server:")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_and_the_full_form_of_a_token_are_the_same() {
        for (one, other, same) in [
            ("secret", "secret", true),
            ("secret", "K10abc::server:secret", true),
            ("K10abc::server:secret", "secret", true),
            ("K10abc::server:secret", "K10abc::server:secret", true),
            ("K10abc::server:secret", "K10def::server:secret", false),
            ("secret", "K10abc::server:other", false),
            ("secret", "other", false),
            ("K10abc", "K10abc", true),
        ] {
            assert_eq!(same_token(one, other), same, "{one} {other}");
        }
    }
}
