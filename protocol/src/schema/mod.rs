//! The layout of messages as tables: what stands where at which version. The guard walks requests
//! and answers by them; tests also make messages from them.

mod admin;
mod cluster;
mod data;
mod groups;
pub(crate) mod responses;

use kafka_protocol::messages::ApiKey;

/// The layout of one message at all its versions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schema {
    /// The API it belongs to.
    pub(crate) api: ApiKey,
    /// The first flexible version (KIP-482): compact lengths, tagged fields behind each structure.
    flexible_since: Option<i16>,
    /// The fields of the outermost structure.
    pub(crate) fields: &'static [Field],
}

impl Schema {
    pub(crate) const fn new(
        api: ApiKey,
        flexible_since: Option<i16>,
        fields: &'static [Field],
    ) -> Self {
        Self { api, flexible_since, fields }
    }

    /// True if `version` is a flexible one.
    pub(crate) fn is_flexible(&self, version: i16) -> bool {
        self.flexible_since.is_some_and(|since| version >= since)
    }
}

/// One field of a structure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// The tag, for a field that stands among the tagged ones.
    pub(crate) tag: Option<u32>,
    since: i16,
    until: i16,
    nullable_since: i16,
}

/// What a field holds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// One byte, 0 or 1.
    Boolean,
    /// A number or an id of so many bytes.
    Fixed(usize),
    /// Text of at most 32,767 bytes.
    String,
    /// Bytes, record batches among them.
    Bytes,
    /// Any number of elements.
    Array(Element),
    /// A nested structure.
    Structure(&'static [Field]),
}

/// What an array's elements are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Element {
    /// Numbers of so many bytes.
    Fixed(usize),
    /// Texts.
    String,
    /// Structures.
    Structure(&'static [Field]),
}

impl Field {
    const fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, tag: None, since: i16::MIN, until: i16::MAX, nullable_since: i16::MAX }
    }

    const fn since(self, version: i16) -> Self {
        Self { since: version, ..self }
    }

    const fn until(self, version: i16) -> Self {
        Self { until: version, ..self }
    }

    const fn nullable(self) -> Self {
        self.nullable_since(i16::MIN)
    }

    const fn nullable_since(self, version: i16) -> Self {
        Self { nullable_since: version, ..self }
    }

    const fn tagged(self, tag: u32) -> Self {
        Self { tag: Some(tag), ..self }
    }

    /// True if the field exists at `version`.
    pub(crate) fn is_in(&self, version: i16) -> bool {
        (self.since..=self.until).contains(&version)
    }

    /// True if the field may be null at `version`.
    pub(crate) fn is_nullable(&self, version: i16) -> bool {
        version >= self.nullable_since
    }

    /// The least number of bytes that the field takes at `version`.
    fn least_bytes(&self, version: i16, flexible: bool) -> usize {
        match self.kind {
            _ if self.tag.is_some() || !self.is_in(version) => 0,
            Kind::Boolean => 1,
            Kind::Fixed(bytes) => bytes,
            Kind::String | Kind::Bytes | Kind::Array(_) if flexible => 1,
            Kind::String => 2,
            Kind::Bytes | Kind::Array(_) => 4,
            Kind::Structure(_) if self.is_nullable(version) => 1,
            Kind::Structure(fields) => least_bytes(fields, version, flexible),
        }
    }
}

/// The least number of bytes that a structure of these fields takes at `version`.
pub(crate) fn least_bytes(fields: &[Field], version: i16, flexible: bool) -> usize {
    let tags = usize::from(flexible);
    tags + fields.iter().map(|field| field.least_bytes(version, flexible)).sum::<usize>()
}

const fn boolean(name: &'static str) -> Field {
    Field::new(name, Kind::Boolean)
}

const fn int8(name: &'static str) -> Field {
    Field::new(name, Kind::Fixed(1))
}

const fn int16(name: &'static str) -> Field {
    Field::new(name, Kind::Fixed(2))
}

const fn int32(name: &'static str) -> Field {
    Field::new(name, Kind::Fixed(4))
}

const fn int64(name: &'static str) -> Field {
    Field::new(name, Kind::Fixed(8))
}

const fn uuid(name: &'static str) -> Field {
    Field::new(name, Kind::Fixed(16))
}

const fn string(name: &'static str) -> Field {
    Field::new(name, Kind::String)
}

const fn bytes(name: &'static str) -> Field {
    Field::new(name, Kind::Bytes)
}

const fn int8s(name: &'static str) -> Field {
    Field::new(name, Kind::Array(Element::Fixed(1)))
}

const fn int32s(name: &'static str) -> Field {
    Field::new(name, Kind::Array(Element::Fixed(4)))
}

const fn strings(name: &'static str) -> Field {
    Field::new(name, Kind::Array(Element::String))
}

const fn array(name: &'static str, fields: &'static [Field]) -> Field {
    Field::new(name, Kind::Array(Element::Structure(fields)))
}

const fn structure(name: &'static str, fields: &'static [Field]) -> Field {
    Field::new(name, Kind::Structure(fields))
}

/// The layout of the requests of `api`, `None` if it is not served.
pub(crate) fn request(api: ApiKey) -> Option<&'static Schema> {
    [data::REQUESTS, groups::REQUESTS, admin::REQUESTS, cluster::REQUESTS]
        .into_iter()
        .flatten()
        .find(|schema| schema.api == api)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::versions::SERVED;

    #[test]
    fn every_api_served_has_one_layout_and_no_other_has() {
        for row in SERVED {
            assert!(request(row.api).is_some(), "{:?} has no layout", row.api);
        }
        let layouts = data::REQUESTS.len() + groups::REQUESTS.len() + admin::REQUESTS.len();
        assert_eq!(layouts + cluster::REQUESTS.len(), SERVED.len());
    }

    #[test]
    fn flexible_versions_are_those_of_the_request_header() {
        for row in SERVED {
            let schema = request(row.api).unwrap();
            for version in row.min..=row.max {
                let header = row.api.request_header_version(version);
                assert_eq!(schema.is_flexible(version), header == 2, "{:?} {version}", row.api);
            }
        }
    }
}
