//! Where things lie in the store's directory.

use std::path::{Component, Path as FsPath, PathBuf};

use object_store::Result;
use object_store::path::Path;

use super::generic;

/// The directory of temporary files, in the store's root.
const TEMPORARY: &str = ".tmp";
/// The lock's name in it.
const LOCK: &str = "lock";
/// Longest file name that is asked of a file system; most allow 255 bytes.
const NAME_BYTES_MAX: usize = 240;

/// The directory of temporary files.
pub(super) fn temporaries(root: &FsPath) -> PathBuf {
    root.join(TEMPORARY)
}

/// The file whose lock guards the directory.
pub(super) fn lock(root: &FsPath) -> PathBuf {
    root.join(TEMPORARY).join(LOCK)
}

/// The file of the object `location`.
pub(super) fn object(root: &FsPath, location: &Path) -> Result<PathBuf> {
    if location.is_root() || location.as_ref().starts_with(TEMPORARY) {
        return Err(generic(format!("'{location}' cannot be the name of an object here")));
    }
    Ok(folder(root, location))
}

/// The directory that holds what begins with `prefix`.
pub(super) fn folder(root: &FsPath, prefix: &Path) -> PathBuf {
    let mut path = root.to_owned();
    path.extend(prefix.parts().map(|part| part.as_ref().to_owned()));
    path
}

/// The key of what lies at `path`; none if it is no place of an object.
pub(super) fn key(root: &FsPath, path: &FsPath) -> Option<Path> {
    let text = path.strip_prefix(root).ok()?.to_str()?;
    if text.starts_with(TEMPORARY) {
        return None;
    }
    Path::parse(text).ok()
}

/// The name of the `number`th temporary file, for an object in the directory `dir`. It tells the
/// directory, unless that is too long for a name.
pub(super) fn temporary(root: &FsPath, number: u64, dir: &FsPath) -> PathBuf {
    let relative = dir.strip_prefix(root).unwrap_or(dir).to_string_lossy();
    let escaped = relative.replace('%', "%25").replace('/', "%2F");
    let mut name = format!("{number}-{escaped}");
    if name.len() > NAME_BYTES_MAX {
        name = number.to_string();
    }
    temporaries(root).join(name)
}

/// The directory that a temporary file was meant for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum MeantFor {
    /// This one.
    Dir(PathBuf),
    /// The name could not hold it.
    Unknown,
    /// It is the lock.
    Lock,
}

/// Reads the name of the temporary file `path`.
pub(super) fn meant_for(root: &FsPath, path: &FsPath) -> MeantFor {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        return MeantFor::Unknown;
    };
    if name == LOCK {
        return MeantFor::Lock;
    }
    let Some((_, escaped)) = name.split_once('-') else { return MeantFor::Unknown };
    let relative = PathBuf::from(escaped.replace("%2F", "/").replace("%25", "%"));
    // Whoever put such a file there, we do not leave our directory.
    if relative.components().all(|part| matches!(part, Component::Normal(_))) {
        MeantFor::Dir(root.join(relative))
    } else {
        MeantFor::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "/data/store";

    fn root() -> &'static FsPath {
        FsPath::new(ROOT)
    }

    #[test]
    fn keys_and_files_stand_for_one_another() {
        for key in ["a", "a/b", "a/%2E%2E/b", "x y/ü", "a/.tmp"] {
            let location = Path::parse(key).unwrap();
            let path = object(root(), &location).unwrap();
            assert_eq!(super::key(root(), &path), Some(location));
        }
        assert_eq!(object(root(), &Path::from("..")).unwrap(), root().join("%2E%2E"));
    }

    #[test]
    fn the_temporaries_are_no_objects() {
        assert!(object(root(), &Path::from(".tmp/1-")).is_err());
        assert!(object(root(), &Path::from("")).is_err());
        assert_eq!(key(root(), &lock(root())), None);
    }

    #[test]
    fn a_temporary_tells_its_directory() {
        for dir in ["", "a", "a/b", "50%/a%2Fb"] {
            let dir = root().join(dir);
            let path = temporary(root(), 7, &dir);
            assert_eq!(meant_for(root(), &path), MeantFor::Dir(dir));
        }
        let long = temporary(root(), 7, &root().join("x/".repeat(200)));
        assert_eq!(meant_for(root(), &long), MeantFor::Unknown);
        assert_eq!(meant_for(root(), &lock(root())), MeantFor::Lock);
        let astray = temporaries(root()).join("1-..%2F..%2Fetc");
        assert_eq!(meant_for(root(), &astray), MeantFor::Unknown);
    }
}
