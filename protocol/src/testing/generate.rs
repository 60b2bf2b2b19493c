//! Wire bytes of a message, made from its layout alone and so independent of the crate that
//! encodes and decodes messages.

use crate::schema::{Element, Field, Kind, Schema};
use crate::wire::put_uvarint;

/// What a message is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// Nothing is null, nothing is empty, every tagged field is there.
    Full,
    /// As chance has it, unknown tagged fields too.
    Random,
}

/// A message at `version`; the same `seed` makes the same message.
pub(crate) fn generate(schema: &Schema, version: i16, style: Style, seed: u64) -> Vec<u8> {
    let mut maker = Maker {
        version,
        flexible: schema.is_flexible(version),
        style,
        state: seed | 1,
        out: Vec::new(),
    };
    maker.structure(schema.fields);
    maker.out
}

struct Maker {
    version: i16,
    flexible: bool,
    style: Style,
    state: u64,
    out: Vec<u8>,
}

impl Maker {
    /// A number below `end`, by xorshift.
    fn below(&mut self, end: u16) -> u16 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let [.., high, low] = (self.state >> 11).to_be_bytes();
        u16::from_be_bytes([high, low]) % end
    }

    fn byte_below(&mut self, end: u8) -> u8 {
        self.below(end.into()).to_le_bytes()[0]
    }

    fn chance(&mut self, one_in: u16) -> bool {
        self.style == Style::Random && self.below(one_in) == 0
    }

    fn structure(&mut self, fields: &'static [Field]) {
        let version = self.version;
        for field in fields.iter().filter(|field| field.tag.is_none() && field.is_in(version)) {
            self.field(field);
        }
        if self.flexible {
            self.tagged(fields);
        }
    }

    fn field(&mut self, field: &'static Field) {
        let null = field.is_nullable(self.version) && self.chance(3);
        match field.kind {
            Kind::Boolean => {
                let value = self.style == Style::Full || self.below(2) == 1;
                self.out.push(u8::from(value));
            }
            Kind::Fixed(bytes) => self.number(bytes),
            Kind::String if null => self.length(-1, 2),
            Kind::String => self.string(),
            Kind::Bytes | Kind::Array(_) if null => self.length(-1, 4),
            Kind::Bytes => {
                let size = self.size(40);
                self.length(size.into(), 4);
                self.number(size.into());
            }
            Kind::Array(element) => self.array(element),
            Kind::Structure(_) if null => self.out.push(0xff),
            Kind::Structure(fields) => {
                if field.is_nullable(self.version) && field.tag.is_none() {
                    self.out.push(1);
                }
                self.structure(fields);
            }
        }
    }

    fn array(&mut self, element: Element) {
        let count = self.size(3);
        self.length(count.into(), 4);
        for _ in 0..count {
            match element {
                Element::Fixed(bytes) => self.number(bytes),
                Element::String => self.string(),
                Element::Structure(fields) => self.structure(fields),
            }
        }
    }

    fn string(&mut self) {
        let characters = self.size(8);
        let text: String = (0..characters)
            .map(|_| if self.chance(6) { 'ß' } else { char::from(b'a' + self.byte_below(26)) })
            .collect();
        self.length(text.len().try_into().unwrap(), 2);
        self.out.extend(text.as_bytes());
    }

    /// Bytes of a number, none of which makes it the default of any field.
    fn number(&mut self, bytes: usize) {
        for _ in 0..bytes {
            let byte = 1 + self.byte_below(0x70);
            self.out.push(byte);
        }
    }

    /// How many there are of something, at most `most`.
    fn size(&mut self, most: u16) -> u16 {
        let least = u16::from(self.style == Style::Full);
        least + self.below(most + 1 - least)
    }

    /// A length, in `wide` bytes or, in flexible versions, as a number of one more.
    fn length(&mut self, length: i64, wide: usize) {
        if self.flexible {
            put_uvarint(&mut self.out, u32::try_from(length + 1).unwrap());
        } else {
            self.out.extend(&length.to_be_bytes()[8 - wide..]);
        }
    }

    /// The tagged fields of a structure. A known one is full, as the encoder leaves out what has
    /// its default value.
    fn tagged(&mut self, fields: &'static [Field]) {
        let mut entries = Vec::new();
        for field in fields {
            let Some(tag) = field.tag.filter(|_| field.is_in(self.version)) else { continue };
            if !self.chance(2) {
                let style = std::mem::replace(&mut self.style, Style::Full);
                let outer = std::mem::take(&mut self.out);
                self.field(field);
                entries.push((tag, std::mem::replace(&mut self.out, outer)));
                self.style = style;
            }
        }
        if self.chance(4) {
            let size = self.below(5).into();
            entries.push((60 + u32::from(self.below(400)), vec![7; size]));
        }
        entries.sort_by_key(|(tag, _)| *tag);
        put_uvarint(&mut self.out, entries.len().try_into().unwrap());
        for (tag, value) in entries {
            put_uvarint(&mut self.out, tag);
            put_uvarint(&mut self.out, value.len().try_into().unwrap());
            self.out.extend(value);
        }
    }
}
