//! Looks through a request before the decoder sees it, without allocating: the decoder reserves
//! what a count announces, takes the size of a tagged field on trust, and knows no limits.
//!
//! What passes has only counts that its bytes can hold, a bounded number of elements, lengths
//! within its bytes, and UTF-8 in its texts. Nesting is bounded by
//! the layouts, none of which refers to itself.

use crate::schema::{self, Element, Field, Kind, Schema};
use crate::versions;
use crate::wire::Cursor;
pub use crate::wire::Fault;
use kafka_protocol::messages::ApiKey;
use odradek_common::limits::{CLIENT_ANSWER_ELEMENTS, REQUEST_ELEMENTS, UNKNOWN_TAG_ELEMENTS};

/// Why a request's body must not be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("field {field}, byte {at}: {fault}")]
pub struct GuardError {
    /// The field, by its name in Kafka's message definitions.
    pub field: &'static str,
    /// Where reading stopped, in bytes from the start of the body.
    pub at: usize,
    /// What is wrong.
    pub fault: Fault,
}

/// Checks the body of a request (what stands behind its header); how many bytes it takes. What
/// follows them is let be, as Kafka's broker does: librdkafka 2.x sends Metadata 13 with three bytes
/// too many.
///
/// # Errors
/// The first thing found wrong, or [`Fault::NotServed`].
pub fn check(api: ApiKey, version: i16, body: &[u8]) -> Result<usize, GuardError> {
    measure(api, version, body, REQUEST_ELEMENTS).map(|size| size.bytes)
}

/// What a request's body comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Bytes that it takes of those given.
    pub bytes: usize,
    /// Elements that it decodes to, as they count against [`REQUEST_ELEMENTS`].
    pub elements: usize,
}

/// As [`check`], for at most so many elements, and how much the decoder makes of the body.
///
/// # Errors
/// Those of [`check`]; [`Fault::Elements`] as soon as there are more.
pub fn measure(
    api: ApiKey,
    version: i16,
    body: &[u8],
    elements: usize,
) -> Result<Size, GuardError> {
    walk(schema::request(api), api, version, body, elements)
}

/// Checks the body of an answer, for a client: as [`check`], with the number of elements that a
/// client takes.
///
/// # Errors
/// Those of [`check`].
pub fn check_answer(api: ApiKey, version: i16, body: &[u8]) -> Result<usize, GuardError> {
    let size = walk(schema::responses::response(api), api, version, body, CLIENT_ANSWER_ELEMENTS)?;
    Ok(size.bytes)
}

fn walk(
    schema: Option<&'static Schema>,
    api: ApiKey,
    version: i16,
    body: &[u8],
    elements: usize,
) -> Result<Size, GuardError> {
    let served = versions::is_served(api, version);
    let Some(schema) = schema.filter(|_| served) else {
        return Err(GuardError { field: "header", at: 0, fault: Fault::NotServed });
    };
    let mut walk = Walk {
        cursor: Cursor::new(body),
        version,
        flexible: schema.is_flexible(version),
        elements_left: elements,
        field: "body",
    };
    match walk.structure(schema.fields) {
        Ok(()) => {
            Ok(Size { bytes: walk.cursor.position(), elements: elements - walk.elements_left })
        }
        Err(fault) => Err(GuardError { field: walk.field, at: walk.cursor.position(), fault }),
    }
}

struct Walk<'a> {
    cursor: Cursor<'a>,
    version: i16,
    flexible: bool,
    elements_left: usize,
    /// The field looked at last.
    field: &'static str,
}

impl Walk<'_> {
    fn structure(&mut self, fields: &'static [Field]) -> Result<(), Fault> {
        let version = self.version;
        for field in fields.iter().filter(|field| field.tag.is_none() && field.is_in(version)) {
            self.field(field)?;
        }
        if self.flexible { self.tagged(fields) } else { Ok(()) }
    }

    fn field(&mut self, field: &'static Field) -> Result<(), Fault> {
        self.field = field.name;
        let nullable = field.is_nullable(self.version);
        match field.kind {
            Kind::Boolean => self.cursor.take(1).map(drop),
            Kind::Fixed(bytes) => self.cursor.take(bytes).map(drop),
            Kind::String => self.string(nullable),
            Kind::Bytes => {
                let bytes = self.cursor.bytes(self.flexible)?;
                if bytes.is_some() || nullable { Ok(()) } else { Err(Fault::Null) }
            }
            Kind::Array(element) => self.array(element, nullable),
            Kind::Structure(fields) if nullable && field.tag.is_none() => {
                match self.cursor.int8()? {
                    -1 => Ok(()),
                    1 => self.structure(fields),
                    other => Err(Fault::Marker(other)),
                }
            }
            Kind::Structure(fields) => self.structure(fields),
        }
    }

    fn string(&mut self, nullable: bool) -> Result<(), Fault> {
        match self.cursor.string(self.flexible)? {
            Some(text) => std::str::from_utf8(text).map(drop).map_err(|_| Fault::Utf8),
            None if nullable => Ok(()),
            None => Err(Fault::Null),
        }
    }

    fn array(&mut self, element: Element, nullable: bool) -> Result<(), Fault> {
        let count = self.cursor.count(self.flexible)?;
        if count == -1 {
            return if nullable { Ok(()) } else { Err(Fault::Null) };
        }
        let least = match element {
            Element::Fixed(bytes) => bytes,
            Element::String if self.flexible => 1,
            Element::String => 2,
            Element::Structure(fields) => schema::least_bytes(fields, self.version, self.flexible),
        };
        let left = self.cursor.remaining();
        let count = usize::try_from(count)
            .ok()
            .filter(|count| count.checked_mul(least).is_some_and(|bytes| bytes <= left))
            .ok_or(Fault::Count(count, left))?;
        self.spend(count)?;
        match element {
            Element::Fixed(bytes) => self.cursor.take(count * bytes).map(drop),
            Element::String => (0..count).try_for_each(|_| self.string(false)),
            Element::Structure(fields) => (0..count).try_for_each(|_| self.structure(fields)),
        }
    }

    /// The tagged fields behind a structure: known ones must fill their size exactly, as the
    /// decoder does not look at it; unknown ones are passed over.
    fn tagged(&mut self, fields: &'static [Field]) -> Result<(), Fault> {
        let count = self.cursor.uvarint()?;
        // A tagged field is at least a tag and a size.
        let left = self.cursor.remaining();
        if usize::try_from(count).ok().is_none_or(|count| count > left / 2) {
            return Err(Fault::Count(i64::from(count), left));
        }
        for _ in 0..count {
            let tag = self.cursor.uvarint()?;
            let size = self.cursor.uvarint()?;
            let left = self.cursor.remaining();
            let fits = usize::try_from(size).ok().filter(|size| *size <= left);
            let size = fits.ok_or(Fault::Length(i64::from(size), left))?;
            match fields.iter().find(|field| field.tag == Some(tag)) {
                Some(field) if field.is_in(self.version) => self.known_tag(field, size)?,
                Some(_) => return Err(Fault::Tag(tag)),
                None => {
                    self.spend(UNKNOWN_TAG_ELEMENTS)?;
                    self.cursor.take(size)?;
                }
            }
        }
        Ok(())
    }

    fn known_tag(&mut self, field: &'static Field, size: usize) -> Result<(), Fault> {
        let start = self.cursor.position();
        self.field(field)?;
        let taken = self.cursor.position() - start;
        if taken == size { Ok(()) } else { Err(Fault::TagSize { size, taken }) }
    }

    fn spend(&mut self, elements: usize) -> Result<(), Fault> {
        self.elements_left = self.elements_left.checked_sub(elements).ok_or(Fault::Elements)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(api: ApiKey, version: i16, body: &[u8]) -> Fault {
        check(api, version, body).unwrap_err().fault
    }

    /// A fetch request without topics, up to its tagged fields, at 12 to 14.
    fn fetch_before_tags() -> Vec<u8> {
        [&[0; 25][..], &[1, 1, 1]].concat()
    }

    #[test]
    fn null_is_taken_from_the_version_on_that_allows_it() {
        let null = (-1_i32).to_be_bytes();
        assert_eq!(fault(ApiKey::Metadata, 0, &null), Fault::Null);
        assert!(check(ApiKey::Metadata, 1, &null).is_ok());
    }

    #[test]
    fn a_count_must_be_carried_by_the_bytes_that_are_left() {
        let two_topics_of_none = [0, 0, 0, 2, 0, 0];
        assert_eq!(fault(ApiKey::Metadata, 0, &two_topics_of_none), Fault::Count(2, 2));
        assert_eq!(fault(ApiKey::Metadata, 0, &[0xff, 0xff, 0xff, 0xfe]), Fault::Count(-2, 0));
        let tags = [&fetch_before_tags()[..], &[3, 50, 0, 51]].concat();
        assert_eq!(fault(ApiKey::Fetch, 12, &tags), Fault::Count(3, 3));
    }

    #[test]
    fn known_tagged_fields_are_of_their_size_and_their_version() {
        let with_tags = |tags: &[u8]| [&fetch_before_tags()[..], tags].concat();
        let cluster_id = with_tags(&[1, 0, 3, 3, b'i', b'd']);
        assert!(check(ApiKey::Fetch, 12, &cluster_id).is_ok());
        let lying = with_tags(&[1, 0, 2, 3, b'i', b'd']);
        assert_eq!(fault(ApiKey::Fetch, 12, &lying), Fault::TagSize { size: 2, taken: 3 });
        // The replica's state comes with version 15.
        let too_early = with_tags(&[1, 1, 0]);
        assert_eq!(fault(ApiKey::Fetch, 12, &too_early), Fault::Tag(1));
        let unknown = with_tags(&[1, 77, 2, 1, 2]);
        assert!(check(ApiKey::Fetch, 12, &unknown).is_ok());
    }

    #[test]
    fn an_optional_structure_has_one_of_two_markers() {
        let with_cursor = |cursor: &[u8]| [&[1, 0, 0, 0, 9][..], cursor, &[0]].concat();
        let api = ApiKey::DescribeTopicPartitions;
        assert!(check(api, 0, &with_cursor(&[0xff])).is_ok());
        assert!(check(api, 0, &with_cursor(&[1, 2, b't', 0, 0, 0, 3, 0])).is_ok());
        assert_eq!(fault(api, 0, &with_cursor(&[0])), Fault::Marker(0));
    }

    #[test]
    fn elements_of_one_request_are_limited() {
        let groups = |count: usize| {
            let mut body = u32::try_from(count).unwrap().to_be_bytes().to_vec();
            body.resize(4 + 2 * count, 0);
            body
        };
        assert!(check(ApiKey::DescribeGroups, 0, &groups(REQUEST_ELEMENTS)).is_ok());
        let more = groups(REQUEST_ELEMENTS + 1);
        assert_eq!(fault(ApiKey::DescribeGroups, 0, &more), Fault::Elements);
    }

    #[test]
    fn what_a_request_decodes_to_is_measured() {
        let topics = [0, 0, 0, 2, 0, 1, b'a', 0, 1, b'b'];
        let measured = |most| measure(ApiKey::Metadata, 0, &topics, most);
        assert_eq!(measured(2), Ok(Size { bytes: 10, elements: 2 }));
        assert_eq!(measured(1).unwrap_err().fault, Fault::Elements);
        let tag = [&fetch_before_tags()[..], &[1, 77, 2, 1, 2]].concat();
        let elements = measure(ApiKey::Fetch, 12, &tag, 10).map(|size| size.elements);
        assert_eq!(elements, Ok(UNKNOWN_TAG_ELEMENTS));
    }

    #[test]
    fn answers_are_checked_by_their_own_layout() {
        // No throttling, and 2^31-1 brokers.
        let brokers = [0, 0, 0, 0, 0x80, 0x80, 0x80, 0x80, 0x08];
        let error = check_answer(ApiKey::Metadata, 12, &brokers).unwrap_err();
        assert_eq!(error.fault, Fault::Count(i64::from(i32::MAX), 0));
        assert!(check_answer(ApiKey::Metadata, 0, &[0; 8]).is_ok(), "no brokers and no topics");
    }

    #[test]
    fn an_error_names_field_and_place() {
        let error = check(ApiKey::Heartbeat, 0, &[0, 1, 0xff, 0, 0, 0, 1, 0, 0]).unwrap_err();
        assert_eq!(error, GuardError { field: "group_id", at: 3, fault: Fault::Utf8 });
        assert_eq!(fault(ApiKey::Vote, 0, &[]), Fault::NotServed);
        assert_eq!(fault(ApiKey::Produce, 2, &[]), Fault::NotServed);
    }
}
