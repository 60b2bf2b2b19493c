//! How records are printed.

use std::io::{self, Write};

use odradek_protocol::records::Record;
use serde_json::{Value, json};

/// What is printed of a record; each ends with a line feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// The value.
    Value,
    /// The key, a tab, the value.
    KeyAndValue,
    /// A JSON object.
    Json,
}

impl Style {
    /// Prints `record` of a partition of `topic`. Bytes are printed as they are, null as `null`.
    pub(super) fn print(
        self,
        topic: &str,
        partition: i32,
        record: &Record,
        out: &mut impl Write,
    ) -> io::Result<()> {
        match self {
            Self::Json => {
                serde_json::to_writer(&mut *out, &as_json(topic, partition, record))?;
            }
            Self::KeyAndValue => {
                out.write_all(record.key.as_deref().unwrap_or(b"null"))?;
                out.write_all(b"\t")?;
                out.write_all(record.value.as_deref().unwrap_or(b"null"))?;
            }
            Self::Value => out.write_all(record.value.as_deref().unwrap_or(b"null"))?,
        }
        out.write_all(b"\n")
    }
}

fn as_json(topic: &str, partition: i32, record: &Record) -> Value {
    // A list, as a key may be there more than once.
    let headers = record.headers.iter();
    let headers: Vec<Value> = headers
        .map(|header| json!({"key": text(Some(&header.key)), "value": text(header.value.as_deref())}))
        .collect();
    json!({
        "topic": topic,
        "partition": partition,
        "offset": record.offset,
        "timestamp": record.timestamp_ms,
        "key": text(record.key.as_deref()),
        "value": text(record.value.as_deref()),
        "headers": headers,
    })
}

/// Text as a string; bytes that are no UTF-8 as an object with their hexadecimal digits.
fn text(bytes: Option<&[u8]>) -> Value {
    let Some(bytes) = bytes else { return Value::Null };
    match std::str::from_utf8(bytes) {
        Ok(text) => json!(text),
        Err(_) => {
            let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            json!({ "hex": digits })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use odradek_protocol::records::Header;

    fn printed(style: Style, record: &Record) -> String {
        let mut out = Vec::new();
        style.print("t", 3, record, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_record_is_a_line() {
        let header = Header { key: Bytes::from_static(b"h"), value: None };
        let mut record = Record {
            offset: 5,
            timestamp_ms: 9,
            key: None,
            value: Some(Bytes::from_static(b"v")),
            headers: vec![header],
        };
        assert_eq!(printed(Style::Value, &record), "v\n");
        assert_eq!(printed(Style::KeyAndValue, &record), "null\tv\n");
        record.key = Some(Bytes::from_static(b"\xff\x01"));
        let read: Value = serde_json::from_str(&printed(Style::Json, &record)).unwrap();
        let expected = json!({
            "topic": "t", "partition": 3, "offset": 5, "timestamp": 9,
            "key": {"hex": "ff01"}, "value": "v", "headers": [{"key": "h", "value": null}],
        });
        assert_eq!(read, expected);
    }
}
