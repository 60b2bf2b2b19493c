//! The crate's decoder and encoder against the layouts: what the layout makes, the decoder reads
//! to the last byte and the encoder writes again byte for byte; and what the encoder writes, the
//! guard takes. A field missing, of another size or at another version breaks it.

use super::{Style, every_version, generate};
use crate::guard;
use crate::schema::{self, Schema, responses};
use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestKind, ResponseKind};
use proptest::prelude::*;

fn request_again(api: ApiKey, version: i16, wire: &[u8]) -> BytesMut {
    let mut body = Bytes::copy_from_slice(wire);
    let request = RequestKind::decode(api, &mut body, version).unwrap();
    assert!(body.is_empty(), "{api:?} {version}: {} bytes left", body.len());
    let mut again = BytesMut::new();
    request.encode(&mut again, version).unwrap();
    again
}

fn response_again(api: ApiKey, version: i16, wire: &[u8]) -> BytesMut {
    let mut body = Bytes::copy_from_slice(wire);
    let response = ResponseKind::decode(api, &mut body, version).unwrap();
    assert!(body.is_empty(), "{api:?} {version}: {} bytes left", body.len());
    let mut again = BytesMut::new();
    response.encode(&mut again, version).unwrap();
    again
}

fn made(
    layout: fn(ApiKey) -> Option<&'static Schema>,
    style: Style,
    seed: u64,
) -> impl Iterator<Item = (ApiKey, i16, Vec<u8>)> {
    every_version().map(move |(api, version)| {
        (api, version, generate(layout(api).unwrap(), version, style, seed))
    })
}

fn hold_requests(style: Style, seed: u64) {
    for (api, version, wire) in made(schema::request, style, seed) {
        let encoded = request_again(api, version, &wire);
        assert_eq!(encoded, wire, "{api:?} {version}");
        assert_eq!(guard::check(api, version, &encoded), Ok(encoded.len()), "{api:?} {version}");
    }
}

fn hold_responses(style: Style, seed: u64) {
    for (api, version, wire) in made(responses::response, style, seed) {
        assert_eq!(response_again(api, version, &wire), wire, "{api:?} {version}");
        assert_eq!(guard::check_answer(api, version, &wire), Ok(wire.len()), "{api:?} {version}");
    }
}

#[test]
fn every_request_with_every_field_at_every_version() {
    hold_requests(Style::Full, 7);
}

#[test]
fn every_response_with_every_field_at_every_version() {
    hold_responses(Style::Full, 7);
}

#[test]
fn a_request_cut_short_is_refused_and_what_follows_one_let_be() {
    for (api, version, wire) in made(schema::request, Style::Full, 11) {
        for end in 0..wire.len() {
            assert!(guard::check(api, version, &wire[..end]).is_err(), "{api:?} {version} {end}");
        }
        let longer = [&wire[..], &[0]].concat();
        assert_eq!(guard::check(api, version, &longer), Ok(wire.len()), "{api:?} {version}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_request_at_every_version(seed: u64) {
        hold_requests(Style::Random, seed);
    }

    #[test]
    fn any_response_at_every_version(seed: u64) {
        hold_responses(Style::Random, seed);
    }
}
