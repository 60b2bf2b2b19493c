use super::*;
use kafka_protocol::messages::MetadataRequest;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{RequestHeader as CrateHeader, TopicName};
use kafka_protocol::protocol::{Encodable, StrBytes};

fn frame(api: ApiKey, version: i16, body: &RequestKind) -> Bytes {
    let mut bytes = bytes::BytesMut::new();
    CrateHeader::default()
        .with_request_api_key(api as i16)
        .with_request_api_version(version)
        .with_correlation_id(99)
        .with_client_id(Some(StrBytes::from_static_str("me")))
        .with_unknown_tagged_fields(if api.request_header_version(version) >= 2 {
            [(5, Bytes::from_static(b"tag"))].into()
        } else {
            Default::default()
        })
        .encode(&mut bytes, api.request_header_version(version))
        .unwrap();
    body.encode(&mut bytes, version).unwrap();
    bytes.freeze()
}

fn metadata(version: i16) -> Bytes {
    let topic =
        MetadataRequestTopic::default().with_name(Some(TopicName(StrBytes::from_static_str("t"))));
    let body = MetadataRequest::default().with_topics(Some(vec![topic]));
    frame(ApiKey::Metadata, version, &body.into())
}

#[test]
fn header_and_body_are_read_at_both_header_versions() {
    for version in [1, 13] {
        let request = decode(metadata(version)).unwrap();
        assert_eq!(request.header.correlation_id, 99);
        assert_eq!(request.header.client_id.as_deref(), Some("me"));
        let RequestKind::Metadata(body) = request.body else { panic!("another request") };
        assert_eq!(body.topics.unwrap()[0].name.as_ref().unwrap().as_str(), "t");
    }
}

#[test]
fn what_a_request_will_take_is_known_before_it_is_decoded() {
    assert!(check(metadata(1), 0).unwrap_err().is_too_many_elements());
    let checked = check(metadata(1), 1).unwrap();
    assert_eq!(checked.elements(), 1);
    assert_eq!(checked.decoded_bytes(), metadata(1).len() + REQUEST_ELEMENT_BYTES);
    assert_eq!(checked.decode().unwrap(), decode(metadata(1)).unwrap());
}

#[test]
fn a_frame_too_short_for_its_header_is_an_error() {
    let whole = metadata(13);
    for end in 0..whole.len() {
        assert!(decode(whole.slice(..end)).is_err(), "{end} bytes were taken");
    }
    assert!(matches!(decode(Bytes::from_static(&[0])), Err(DecodeError::Header(_))));
}

#[test]
fn what_is_not_served_is_told_apart() {
    let unknown = Bytes::from_static(&[0x7f, 0xff, 0, 1, 0, 0, 0, 9]);
    assert!(matches!(
        decode(unknown),
        Err(DecodeError::UnknownApi { api_key: 0x7fff, version: 1 })
    ));

    let vote = Bytes::from_static(&[0, 52, 0, 0, 0, 0, 0, 9]);
    assert!(matches!(decode(vote), Err(DecodeError::UnknownApi { api_key: 52, .. })));

    let newer = Bytes::from_static(&[0, 18, 0, 5, 0, 0, 0, 9, 0xff, 0xff, 0]);
    let Err(DecodeError::UnsupportedVersion { api, version, correlation_id }) = decode(newer)
    else {
        panic!("an unsupported version was not told")
    };
    assert_eq!((api, version, correlation_id), (ApiKey::ApiVersions, 5, 9));

    let old_produce = Bytes::from_static(&[0, 0, 0, 2, 0, 0, 0, 9]);
    assert!(matches!(decode(old_produce), Err(DecodeError::UnsupportedVersion { .. })));
}

#[test]
fn a_lying_count_is_malformed() {
    let mut lying = metadata(1).to_vec();
    let count = lying.len() - 7;
    lying[count..count + 4].copy_from_slice(&i32::MAX.to_be_bytes());
    let Err(DecodeError::Malformed { reason, .. }) = decode(lying.into()) else {
        panic!("a count of 2^31-1 was taken")
    };
    assert_eq!((reason.field, reason.fault), ("topics", Fault::Count(i64::from(i32::MAX), 3)));
}
