//! A row of the table of settings.

use super::kind::{Allowed, InvalidValue, Kind, check};

/// What a setting does here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Kafka's, with Kafka's meaning.
    Kafka,
    /// Kafka's, known and described, but without effect here.
    Inert,
    /// Odradek's own.
    Own,
}

/// Whether AlterConfigs may change a setting of a running broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    /// No: a restart takes it in.
    ReadOnly,
    /// For one broker, by its id.
    PerBroker,
    /// For one broker or for all.
    ClusterWide,
}

impl Update {
    /// The mode as Kafka's documentation writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ReadOnly => "read-only",
            Self::PerBroker => "per-broker",
            Self::ClusterWide => "cluster-wide",
        }
    }
}

/// One setting of the broker.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Its key; Kafka's, where Kafka has it.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Its value unless one is given; `None` is Kafka's null.
    pub default: Option<&'static str>,
    /// What it may be.
    pub allowed: Allowed,
    /// What it does here.
    pub effect: Effect,
    /// Whether it can be altered while the broker runs.
    pub update: Update,
    pub(super) doc: &'static str,
}

impl Setting {
    /// What the setting means, in a sentence or two.
    #[must_use]
    pub fn doc(&self) -> &'static str {
        self.doc.trim()
    }

    /// Whether its value is never shown.
    #[must_use]
    pub fn is_sensitive(&self) -> bool {
        self.kind == Kind::Password
    }

    /// The environment variable that sets it.
    #[must_use]
    pub fn environment_name(&self) -> String {
        format!("{ENVIRONMENT_PREFIX}{}", self.name.to_ascii_uppercase().replace('.', "_"))
    }

    /// Checks a value.
    pub fn check(&self, text: &str) -> Result<(), InvalidValue> {
        check(self.name, self.kind, &self.allowed, text)
    }
}

/// What the names of all environment variables that are settings begin with.
pub const ENVIRONMENT_PREFIX: &str = "ODRADEK_";

/// Writes down a group of settings once: as a struct with a typed field each, as rows of the table
/// and as the reader that fills the struct. A field's documentation is its setting's.
macro_rules! settings {
    (
        $(#[doc = $about:literal])+
        pub struct $group:ident {
            $(
                $(#[doc = $doc:literal])+
                $key:literal => $field:ident: $ty:ty =
                    $kind:ident($default:expr), $allowed:expr, $effect:ident, $update:ident;
            )+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, PartialEq)]
        pub struct $group {
            $($(#[doc = $doc])+ pub $field: $ty,)+
        }

        impl $group {
            pub(crate) const TABLE: &'static [$crate::settings::setting::Setting] = &[
                $($crate::settings::setting::Setting {
                    name: $key,
                    kind: $crate::settings::kind::Kind::$kind,
                    default: $default,
                    allowed: $allowed,
                    effect: $crate::settings::setting::Effect::$effect,
                    update: $crate::settings::setting::Update::$update,
                    doc: concat!($($doc),+),
                },)+
            ];

            /// Keys and the fields that hold their values.
            #[cfg(test)]
            pub(crate) const FIELDS: &'static [(&'static str, &'static str)] =
                &[$(($key, stringify!($field)),)+];

            pub(crate) fn read(
                values: &$crate::settings::values::Values,
            ) -> Result<Self, $crate::settings::error::Problem> {
                Ok(Self { $($field: values.read($key)?,)+ })
            }
        }
    };
}
pub(crate) use settings;
