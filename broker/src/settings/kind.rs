//! Types of settings and the values that each allows, with the messages Kafka gives for the others.

use std::fmt;

/// The type of a setting, as DescribeConfigs tells it (KIP-226, KIP-569).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`, in any case.
    Boolean,
    /// Text.
    String,
    /// A 32-bit signed number.
    Int,
    /// A 16-bit signed number.
    Short,
    /// A 64-bit signed number.
    Long,
    /// A floating-point number.
    Double,
    /// Texts separated by commas.
    List,
    /// The name of a Java class; nothing here loads one.
    Class,
    /// Text that is never shown.
    Password,
}

impl Kind {
    /// The number that stands for the type in a DescribeConfigs answer.
    #[must_use]
    pub fn code(self) -> i8 {
        match self {
            Self::Boolean => 1,
            Self::String => 2,
            Self::Int => 3,
            Self::Short => 4,
            Self::Long => 5,
            Self::Double => 6,
            Self::List => 7,
            Self::Class => 8,
            Self::Password => 9,
        }
    }

    /// The type's name in Kafka's documentation, in lower case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::String => "string",
            Self::Int => "int",
            Self::Short => "short",
            Self::Long => "long",
            Self::Double => "double",
            Self::List => "list",
            Self::Class => "class",
            Self::Password => "password",
        }
    }
}

/// What a setting's value must be, beyond its type.
#[derive(Clone, Copy, Debug)]
pub enum Allowed {
    /// Every value of the type.
    Any,
    /// A number not below this one.
    AtLeast(i64),
    /// A number within these bounds, both included.
    Between(i64, i64),
    /// A number within the first two, or the third.
    BetweenOr(i64, i64, i64),
    /// A floating-point number within these bounds, both included.
    RealBetween(f64, f64),
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// One of these texts, in any case.
    OneOfAnyCase(&'static [&'static str]),
    /// A list of which each element is one of these texts.
    EachOf(&'static [&'static str]),
    /// `*`, or a list of `partition:broker`.
    ThrottledReplicas,
    /// What this function accepts; it says why not.
    When(fn(&str) -> Result<(), String>),
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any | Self::When(_) => Ok(()),
            Self::AtLeast(low) => write!(f, "{low} or more"),
            Self::Between(low, high) => write!(f, "{low} to {high}"),
            Self::BetweenOr(low, high, also) => write!(f, "{low} to {high}, or {also}"),
            Self::RealBetween(low, high) => write!(f, "{low} to {high}"),
            Self::OneOf(texts) | Self::OneOfAnyCase(texts) => {
                write!(f, "one of {}", texts.join(", "))
            }
            Self::EachOf(texts) => write!(f, "any of {}", texts.join(", ")),
            Self::ThrottledReplicas => f.write_str("*, or a list of partition:broker"),
        }
    }
}

/// A value that its setting does not allow; the message is Kafka's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Invalid value {value} for configuration {name}: {reason}")]
pub struct InvalidValue {
    /// The setting.
    pub name: String,
    /// The value refused, or stars where it is a secret.
    pub value: String,
    /// Why.
    pub reason: String,
}

/// Checks `text` as a value of the setting `name`.
pub fn check(name: &str, kind: Kind, allowed: &Allowed, text: &str) -> Result<(), InvalidValue> {
    let text = text.trim();
    let reason = reason_against(name, kind, allowed, text);
    reason.map_or(Ok(()), |reason| {
        let value = match (kind, allowed) {
            (Kind::Password, _) => MASK.to_owned(),
            (_, Allowed::EachOf(texts)) => first_not_of(texts, text).unwrap_or_default(),
            (Kind::List, _) => format!("[{}]", elements(text).join(", ")),
            _ => text.to_owned(),
        };
        Err(InvalidValue { name: name.to_owned(), value, reason })
    })
}

/// What is shown in a secret's place.
pub const MASK: &str = "********";

/// The elements of a list setting; none if it is empty.
#[must_use]
pub fn elements(text: &str) -> Vec<String> {
    let text = text.trim();
    if text.is_empty() {
        return Vec::new();
    }
    text.split(',').map(|element| element.trim().to_owned()).collect()
}

/// A value as Kafka shows it: `TRUE` as `true`, `+5` as `5`, `a , b` as `a,b`.
#[must_use]
pub fn canonical(kind: Kind, text: &str) -> String {
    let text = text.trim();
    let shown = match kind {
        Kind::Boolean => Some(text.to_ascii_lowercase()),
        Kind::Int | Kind::Short | Kind::Long => text.parse::<i64>().ok().map(|n| n.to_string()),
        Kind::Double => plain_real(text),
        Kind::List => Some(elements(text).join(",")),
        Kind::String | Kind::Class | Kind::Password => None,
    };
    shown.unwrap_or_else(|| text.to_owned())
}

/// A number of the size that Java writes without an exponent.
fn plain_real(text: &str) -> Option<String> {
    let number = text.parse::<f64>().ok()?;
    let is_plain = number == 0.0 || (1e-3..1e7).contains(&number.abs());
    is_plain.then(|| format!("{number:?}"))
}

fn reason_against(name: &str, kind: Kind, allowed: &Allowed, text: &str) -> Option<String> {
    match kind {
        Kind::Boolean
            if text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false") =>
        {
            None
        }
        Kind::Boolean => Some("Expected value to be either true or false".to_owned()),
        Kind::Int => number_reason::<i32>(text, allowed, "INT"),
        Kind::Short => number_reason::<i16>(text, allowed, "SHORT"),
        Kind::Long => number_reason::<i64>(text, allowed, "LONG"),
        Kind::Double => real_reason(text, allowed),
        Kind::String | Kind::List | Kind::Class | Kind::Password => {
            text_reason(name, text, allowed)
        }
    }
}

fn number_reason<N: std::str::FromStr + Into<i64>>(
    text: &str,
    allowed: &Allowed,
    kind: &str,
) -> Option<String> {
    let Ok(number) = text.parse::<N>() else {
        return Some(format!("Not a number of type {kind}"));
    };
    let number: i64 = number.into();
    let (low, high) = match *allowed {
        Allowed::AtLeast(low) => (low, i64::MAX),
        Allowed::Between(low, high) => (low, high),
        Allowed::BetweenOr(low, high, also) => {
            let fits = (low..=high).contains(&number) || number == also;
            let reason = format!("Value must be between {low} and {high} or equal to {also}");
            return (!fits).then_some(reason);
        }
        Allowed::When(accepts) => return accepts(text).err(),
        _ => return None,
    };
    if number < low {
        Some(format!("Value must be at least {low}"))
    } else if number > high {
        Some(format!("Value must be no more than {high}"))
    } else {
        None
    }
}

fn real_reason(text: &str, allowed: &Allowed) -> Option<String> {
    let number = match text.parse::<f64>() {
        Ok(number) if !number.is_nan() => number,
        _ => return Some("Not a number of type DOUBLE".to_owned()),
    };
    match *allowed {
        Allowed::RealBetween(low, _) if number < low => {
            Some(format!("Value must be at least {low}"))
        }
        Allowed::RealBetween(_, high) if number > high => {
            Some(format!("Value must be no more than {high}"))
        }
        _ => None,
    }
}

fn text_reason(name: &str, text: &str, allowed: &Allowed) -> Option<String> {
    match allowed {
        Allowed::OneOf(texts) => (!texts.contains(&text)).then(|| must_be_one_of(texts)),
        Allowed::OneOfAnyCase(texts) => {
            let fits = texts.iter().any(|one| one.eq_ignore_ascii_case(text));
            (!fits).then(|| must_be_one_of(texts))
        }
        Allowed::EachOf(texts) => first_not_of(texts, text).map(|_| must_be_one_of(texts)),
        Allowed::ThrottledReplicas => (!is_throttled_replicas(text)).then(|| {
            format!(
                "{name} must be the literal '*' or a list of replicas in the following format: \
                 [partitionId]:[brokerId],[partitionId]:[brokerId],..."
            )
        }),
        Allowed::When(accepts) => accepts(text).err(),
        _ => None,
    }
}

fn must_be_one_of(texts: &[&str]) -> String {
    format!("String must be one of: {}", texts.join(", "))
}

fn first_not_of(texts: &[&str], list: &str) -> Option<String> {
    elements(list).into_iter().find(|element| !texts.contains(&element.as_str()))
}

fn is_throttled_replicas(text: &str) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let is_pair = |element: &String| {
        element.split_once(':').is_some_and(|(partition, broker)| {
            is_number(partition.trim()) && is_number(broker.trim())
        })
    };
    text == "*" || elements(text).iter().all(is_pair)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: Kind, allowed: Allowed, text: &str) -> Option<String> {
        check("x", kind, &allowed, text).err().map(|e| e.to_string())
    }

    #[test]
    fn messages_are_those_of_kafka() {
        // Each was read off Apache Kafka 4.1.1.
        let expect = [
            (Kind::Long, Allowed::AtLeast(-1), "abc", "abc", "Not a number of type LONG"),
            (Kind::Long, Allowed::AtLeast(-1), "", "", "Not a number of type LONG"),
            (Kind::Long, Allowed::AtLeast(-1), "-2", "-2", "Value must be at least -1"),
            (
                Kind::Int,
                Allowed::AtLeast(0),
                "3000000000",
                "3000000000",
                "Not a number of type INT",
            ),
            (Kind::Int, Allowed::Between(1, 17), "18", "18", "Value must be no more than 17"),
            (
                Kind::Int,
                Allowed::BetweenOr(1, 9, -1),
                "0",
                "0",
                "Value must be between 1 and 9 or equal to -1",
            ),
            (
                Kind::Boolean,
                Allowed::Any,
                "yes",
                "yes",
                "Expected value to be either true or false",
            ),
            (
                Kind::Double,
                Allowed::RealBetween(0.0, 1.0),
                "1.1",
                "1.1",
                "Value must be no more than 1",
            ),
            (
                Kind::List,
                Allowed::EachOf(&["compact", "delete"]),
                "delete,foo",
                "foo",
                "String must be one of: compact, delete",
            ),
            (
                Kind::List,
                Allowed::ThrottledReplicas,
                "*,0:1",
                "[*, 0:1]",
                "x must be the literal '*' or a list of replicas in the following format: \
                 [partitionId]:[brokerId],[partitionId]:[brokerId],...",
            ),
        ];
        for (kind, allowed, text, shown, reason) in expect {
            let expected = format!("Invalid value {shown} for configuration x: {reason}");
            assert_eq!(message(kind, allowed, text), Some(expected));
        }
    }

    #[test]
    fn what_kafka_takes_is_taken() {
        let taken = [
            (Kind::Long, Allowed::AtLeast(-1), " 5 "),
            (Kind::Long, Allowed::AtLeast(-1), "+5"),
            (Kind::Boolean, Allowed::Any, "TRUE"),
            (Kind::List, Allowed::EachOf(&["compact", "delete"]), "compact, delete"),
            (Kind::List, Allowed::EachOf(&["compact", "delete"]), ""),
            (Kind::List, Allowed::ThrottledReplicas, " 0:1 "),
            (Kind::List, Allowed::ThrottledReplicas, "*"),
            (Kind::List, Allowed::ThrottledReplicas, ""),
            (Kind::Double, Allowed::RealBetween(0.0, 1.0), "1e-3"),
        ];
        for (kind, allowed, text) in taken {
            assert_eq!(message(kind, allowed, text), None, "{text}");
        }
    }

    #[test]
    fn values_are_shown_as_kafka_shows_them() {
        let expect = [
            (Kind::Boolean, "TRUE", "true"),
            (Kind::Long, " +5", "5"),
            (Kind::Double, " 0.50", "0.5"),
            (Kind::Double, "1", "1.0"),
            (Kind::Double, "1.7976931348623157E308", "1.7976931348623157E308"),
            (Kind::List, " delete ,compact", "delete,compact"),
            (Kind::String, "a , b", "a , b"),
        ];
        for (kind, text, shown) in expect {
            assert_eq!(canonical(kind, text), shown);
        }
    }

    #[test]
    fn a_secret_is_not_in_the_message() {
        let refuse = |_: &str| Err("no".to_owned());
        let shown = message(Kind::Password, Allowed::When(refuse), "hunter2").unwrap();
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
