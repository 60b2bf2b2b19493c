//! What an error of an object store means: whether to try again, and what to tell people.

use std::error::Error as StdError;
use std::io::{self, ErrorKind};

use object_store::Error;
use object_store::client::HttpError;

use super::file::SyncFailed;
use super::retrying::{CutShort, TookTooLong};

/// What an error of an object store means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// There is no such object. (A missing bucket is [`StoreErrorKind::Permanent`].)
    NotFound,
    /// There is such an object already. After a put that was tried more than once, or that was
    /// sent more than once, it may be our own: read it.
    AlreadyExists,
    /// It will not go away by itself: a sentence for people.
    Permanent(String),
    /// It may well be gone the next time: time-outs, lost connections, 5xx, "slow down".
    /// Whether the request took effect is unknown.
    Transient,
    /// The range begins past the object's end, or is empty.
    InvalidRange,
    /// Anything else; trying again is not known to help.
    Other,
}

impl StoreErrorKind {
    /// A short word for metrics.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::AlreadyExists => "already_exists",
            Self::Permanent(_) => "permanent",
            Self::Transient => "transient",
            Self::InvalidRange => "invalid_range",
            Self::Other => "other",
        }
    }
}

/// Says what `error` means.
#[must_use]
pub fn classify(error: &Error) -> StoreErrorKind {
    let answer = Answer::find(error);
    match error {
        Error::NotFound { .. } if answer.says_no_bucket() => permanent(NO_BUCKET),
        Error::NotFound { .. } => StoreErrorKind::NotFound,
        // S3's answer to one of several simultaneous creates: that one has landed nothing.
        Error::AlreadyExists { .. } if answer.says(&CONFLICT_CODES) => StoreErrorKind::Transient,
        Error::AlreadyExists { .. } => StoreErrorKind::AlreadyExists,
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => denied(&answer),
        Error::NotImplemented { .. } | Error::NotSupported { .. } => {
            StoreErrorKind::Permanent(format!("the store cannot do this: {error}"))
        }
        Error::Generic { .. } if answer.says(&CONFLICT_CODES) => StoreErrorKind::Transient,
        Error::Generic { .. } => of_answer(&answer, error),
        _ => StoreErrorKind::Other,
    }
}

/// `error` such that the library's kinds say what they seem to: "not found" is a missing object and
/// no missing bucket, "already exists" is an object that is there and no lost race between
/// simultaneous puts that landed nothing.
pub(super) fn straighten(error: Error) -> Error {
    let kind = classify(&error);
    match (&error, kind) {
        (Error::NotFound { .. }, StoreErrorKind::Permanent(_))
        | (Error::AlreadyExists { .. }, StoreErrorKind::Transient) => {
            Error::Generic { store: "store", source: Box::new(error) }
        }
        _ => error,
    }
}

/// One sentence for people: what the store's error means, and what it said.
#[must_use]
pub fn describe(error: &Error) -> String {
    let text = error.to_string();
    match classify(error) {
        StoreErrorKind::Permanent(sentence) => sentence,
        StoreErrorKind::Transient if METADATA_SERVICES.iter().any(|at| text.contains(at)) => {
            format!(
                "no credentials were found, neither in the settings nor in the environment nor \
                 from the machine's metadata service ({text})"
            )
        }
        StoreErrorKind::Transient => {
            format!("the store cannot be reached or fails ({})", with_cause(error, text))
        }
        _ => text,
    }
}

/// Adds the innermost cause, such as a refused connection: the outer errors often do not tell it.
fn with_cause(error: &Error, text: String) -> String {
    let mut next = error.source();
    let mut cause = None;
    while let Some(inner) = next {
        cause = Some(inner.to_string());
        next = inner.source();
    }
    match cause {
        Some(cause) if !text.contains(&cause) => format!("{text}: {cause}"),
        _ => text,
    }
}

/// Where cloud machines ask for credentials when nothing is configured.
const METADATA_SERVICES: [&str; 3] =
    ["169.254.169.254", "metadata.google.internal", "169.254.170.2"];

const NO_BUCKET: &str = "the bucket (or container) does not exist";

/// Error codes of the answers of S3, Google and Azure, by what they mean.
const NO_BUCKET_CODES: [&str; 3] =
    ["NoSuchBucket", "ContainerNotFound", "The specified bucket does not exist"];
const CONFLICT_CODES: [&str; 2] = ["ConditionalRequestConflict", "OperationAborted"];
/// 4xx and 200 answers that are worth another try.
const PASSING_CODES: [&str; 8] = [
    "SlowDown",
    "InternalError",
    "ServiceUnavailable",
    "ServerBusy",
    "OperationTimedOut",
    "OperationAborted",
    "RequestTimeout<",
    "IncompleteBody",
];

/// What the service has answered, as far as the error tells.
struct Answer {
    /// The HTTP status.
    status: Option<u16>,
    /// The whole chain of errors as text, the answer's body included.
    text: String,
    /// True if no answer came or it broke off.
    broken: bool,
    /// The kind of an error of the local disk.
    disk: Option<ErrorKind>,
    sync_failed: bool,
}

impl Answer {
    fn find(error: &Error) -> Self {
        let mut found = Self {
            status: None,
            text: String::new(),
            broken: false,
            disk: None,
            sync_failed: false,
        };
        let mut next: Option<&(dyn StdError + 'static)> = Some(error);
        while let Some(error) = next {
            let text = error.to_string();
            found.status = found.status.or_else(|| status_in(&text));
            // Some errors tell their sources, some do not.
            if !found.text.contains(&text) {
                found.text.push_str(&text);
                found.text.push(' ');
            }
            found.broken |=
                error.is::<HttpError>() || error.is::<TookTooLong>() || error.is::<CutShort>();
            found.sync_failed |= error.is::<SyncFailed>();
            found.disk = found.disk.or(error.downcast_ref::<io::Error>().map(io::Error::kind));
            next = error.source();
        }
        found
    }

    fn says(&self, codes: &[&str]) -> bool {
        codes.iter().any(|code| self.text.contains(code))
    }

    fn says_no_bucket(&self) -> bool {
        self.says(&NO_BUCKET_CODES)
    }
}

/// The HTTP status in an error's text: the library gives it in no other way.
fn status_in(text: &str) -> Option<u16> {
    let after = text.split_once("non-2xx status code: ")?.1;
    after.get(..3)?.parse().ok()
}

fn permanent(sentence: &str) -> StoreErrorKind {
    StoreErrorKind::Permanent(sentence.to_owned())
}

fn denied(answer: &Answer) -> StoreErrorKind {
    permanent(if answer.says(&["RequestTimeTooSkewed"]) {
        "the store refuses our requests because this machine's clock is wrong"
    } else if answer.says(&["InvalidAccessKeyId"]) {
        "the store does not know the access key"
    } else if answer.says(&["SignatureDoesNotMatch", "AuthenticationFailed"]) {
        "the secret key does not fit the access key"
    } else {
        "access denied: the credentials do not allow this on the bucket and prefix, or none were found \
         (storage.access.key.id and storage.secret.access.key, or the environment of the cloud)"
    })
}

fn of_answer(answer: &Answer, error: &Error) -> StoreErrorKind {
    // A status is only looked for: the library's list and delete errors come as generic ones.
    match answer.status {
        Some(404) if answer.says_no_bucket() => permanent(NO_BUCKET),
        Some(404) => StoreErrorKind::NotFound,
        Some(416) => StoreErrorKind::InvalidRange,
        Some(401 | 403) => denied(answer),
        Some(408 | 429) => StoreErrorKind::Transient,
        Some(501 | 505) => StoreErrorKind::Permanent(format!("the store cannot do this: {error}")),
        Some(500..) => StoreErrorKind::Transient,
        Some(300..400) => wrong_place(),
        Some(405) => permanent("the endpoint does not speak the store's protocol"),
        Some(400..500) => of_refusal(answer),
        _ => without_status(answer),
    }
}

fn wrong_place() -> StoreErrorKind {
    permanent("the bucket is in another region than the one configured, or the endpoint is wrong")
}

fn of_refusal(answer: &Answer) -> StoreErrorKind {
    if answer.says(&PASSING_CODES) {
        StoreErrorKind::Transient
    } else if answer.says(&["AuthorizationHeaderMalformed", "IllegalLocationConstraint"]) {
        wrong_place()
    } else if answer.says(&["ExpiredToken", "InvalidToken", "TokenRefreshRequired"]) {
        permanent("the session token is invalid or has expired")
    } else if answer.says(&["InvalidBucketName"]) {
        permanent("this is not a name that a bucket can have")
    } else {
        StoreErrorKind::Other
    }
}

fn without_status(answer: &Answer) -> StoreErrorKind {
    if answer.sync_failed {
        return StoreErrorKind::Permanent(answer.text.clone());
    }
    if answer.text.contains("without LOCATION") {
        return wrong_place();
    }
    if answer.says(&["URL scheme is not allowed"]) {
        return permanent("the endpoint is http://, and storage.allow.http is not set");
    }
    if answer.broken {
        return StoreErrorKind::Transient;
    }
    // The text of the crate's own error, whose type it keeps to itself.
    if answer.says(&["Wanted range starting at", "Range started at"]) {
        return StoreErrorKind::InvalidRange;
    }
    match answer.disk {
        Some(kind) => of_disk(kind, &answer.text),
        None if answer.says(&["code: AccessDenied"]) => denied(answer),
        None if answer.says(&PASSING_CODES) => StoreErrorKind::Transient,
        None => StoreErrorKind::Other,
    }
}

fn of_disk(kind: ErrorKind, text: &str) -> StoreErrorKind {
    match kind {
        // Somebody may make room.
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => StoreErrorKind::Transient,
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem | ErrorKind::Unsupported => {
            StoreErrorKind::Permanent(format!("the directory cannot be used as a store: {text}"))
        }
        _ => StoreErrorKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
        Error::Generic { store: "S3", source: source.into() }
    }

    /// As the library puts it, which `store::http_tests` holds it to.
    fn status(status: &str) -> Error {
        generic(format!("Server returned non-2xx status code: {status}"))
    }

    #[test]
    fn errors_without_an_answer() {
        let full = io::Error::from(ErrorKind::StorageFull);
        assert_eq!(classify(&generic(full)), StoreErrorKind::Transient);
        let read_only = io::Error::from(ErrorKind::ReadOnlyFilesystem);
        assert!(matches!(classify(&generic(read_only)), StoreErrorKind::Permanent(_)));
        assert_eq!(classify(&generic("whatever")), StoreErrorKind::Other);
        assert_eq!(classify(&generic(TookTooLong)), StoreErrorKind::Transient);
        let deleted = "DeleteObjects request failed for key a: x (code: SlowDown)";
        assert_eq!(classify(&generic(deleted)), StoreErrorKind::Transient);
        let denied = "DeleteObjects request failed for key a: x (code: AccessDenied)";
        assert!(matches!(classify(&generic(denied)), StoreErrorKind::Permanent(_)));
    }

    #[test]
    fn errors_by_status() {
        for passing in [
            "500 Internal Server Error: ",
            "503 Service Unavailable: <Code>SlowDown</Code>",
            "429 Too Many Requests: ",
            "408 Request Timeout: ",
            "400 Bad Request: <Code>RequestTimeout</Code>",
        ] {
            assert_eq!(classify(&status(passing)), StoreErrorKind::Transient, "{passing}");
        }
        for lasting in [
            "301 Moved Permanently: ",
            "403 Forbidden: ",
            "501 Not Implemented: ",
            "404 Not Found: <Code>NoSuchBucket</Code>",
            "400 Bad Request: <Code>ExpiredToken</Code>",
        ] {
            let kind = classify(&status(lasting));
            assert!(matches!(kind, StoreErrorKind::Permanent(_)), "{lasting}: {kind:?}");
        }
        assert_eq!(classify(&status("416 Range Not Satisfiable: ")), StoreErrorKind::InvalidRange);
        assert_eq!(classify(&status("400 Bad Request: ")), StoreErrorKind::Other);
    }

    #[test]
    fn a_conflict_has_landed_nothing_and_a_missing_bucket_is_no_missing_object() {
        let exists = |text: &str| Error::AlreadyExists { path: "a".into(), source: text.into() };
        assert_eq!(classify(&exists("412")), StoreErrorKind::AlreadyExists);
        let conflict = "409 Conflict: <Code>ConditionalRequestConflict</Code>";
        assert_eq!(classify(&exists(conflict)), StoreErrorKind::Transient);
        let missing = |text: &str| Error::NotFound { path: "a".into(), source: text.into() };
        assert_eq!(classify(&missing("<Code>NoSuchKey</Code>")), StoreErrorKind::NotFound);
        let bucket = classify(&missing("<Code>NoSuchBucket</Code>"));
        assert_eq!(bucket, permanent(NO_BUCKET));
    }

    #[test]
    fn people_are_told_what_is_wrong() {
        let denied = Error::PermissionDenied {
            path: "a".into(),
            source: "<Code>SignatureDoesNotMatch</Code>".into(),
        };
        assert_eq!(describe(&denied), "the secret key does not fit the access key");
        let down = describe(&status("503 Service Unavailable: "));
        assert!(down.starts_with("the store cannot be reached or fails"), "{down}");
    }
}
