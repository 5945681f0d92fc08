//! The field's own terms as types: a value that exists is valid, and cannot break out of a config file.
//!
//! Each is parsed from text by `FromStr`; the error says what is wrong and, in [`Invalid::help`], what to write.

mod network;
mod node;
mod snapshot;
mod software;
mod token;

pub use network::*;
pub use node::*;
pub use snapshot::*;
pub use software::*;
pub use token::*;

/// Why a text is not what it should be, and the remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Invalid {
    pub message: String,
    pub help: String,
}

impl Invalid {
    pub fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Invalid { message: message.into(), help: help.into() }
    }
}

/// A newtype over `String` whose one way in is `FromStr` with the given rule.
macro_rules! text_newtype {
    ($(#[$doc:meta])* $name:ident, $rule:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::ids::Invalid;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let rule: fn(&str) -> Result<String, $crate::ids::Invalid> = $rule;
                rule(text).map($name)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}
pub(crate) use text_newtype;
