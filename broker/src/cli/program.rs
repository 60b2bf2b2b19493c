//! What is typed to call this program: who is told a command copies it into the shell that started it.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// The name of the binary.
const NAME: &str = "odradek";

/// How this process's program is called: by its name where the `PATH` finds it by that, otherwise by
/// the path by which it was started.
#[must_use]
pub fn typed() -> String {
    let (Ok(program), Ok(here)) = (std::env::current_exe(), std::env::current_dir()) else {
        return NAME.to_owned();
    };
    let started_as = std::env::args_os().next().unwrap_or_default();
    let path = std::env::var_os("PATH").unwrap_or_default();
    typed_at(&here, &program, Path::new(&started_as), &path)
}

/// The same for `program`, which was started as `started_as` in the folder `here`.
fn typed_at(here: &Path, program: &Path, started_as: &Path, path: &OsStr) -> String {
    let mut candidates = std::env::split_paths(path).map(|folder| here.join(folder).join(NAME));
    let found = candidates.find(|candidate| is_executable(candidate));
    if found.is_some_and(|found| is_same(&found, program)) {
        return NAME.to_owned();
    }
    // A caller may give a program any name.
    let is_path = is_same(&here.join(started_as), program);
    let path = if is_path { started_as } else { program };
    let short = path.strip_prefix(here).unwrap_or(path).display().to_string();
    // Without a slash, a shell would look for it in the `PATH`.
    quoted(if short.contains('/') { short } else { format!("./{short}") })
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

fn is_same(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

/// As one word of a shell.
fn quoted(word: String) -> String {
    if word.chars().all(|c| c.is_alphanumeric() || "/._-+,:@%".contains(c)) {
        return word;
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    use tempfile::TempDir;

    use super::*;

    /// An executable file at `at` below a folder.
    fn program(here: &TempDir, at: &str) -> PathBuf {
        let path = here.path().canonicalize().unwrap().join(at);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, at).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn its_name_is_enough_where_the_path_finds_it_first() {
        let here = TempDir::new().unwrap();
        let (ours, others) = (program(&here, "ours/odradek"), program(&here, "others/odradek"));
        let typed = |path: &str| typed_at(here.path(), &ours, &ours, OsStr::new(path));
        assert_eq!(typed("/nowhere:ours"), "odradek");
        assert_eq!(typed("ours:others"), "odradek");
        assert_ne!(typed("others:ours"), "odradek");
        fs::set_permissions(others, Permissions::from_mode(0o644)).unwrap();
        assert_eq!(typed("others:ours"), "odradek", "what cannot be run is passed over");
        symlink(&ours, here.path().join("odradek")).unwrap();
        assert_eq!(typed(""), "odradek", "an empty entry is the folder itself");
    }

    #[test]
    fn a_path_is_as_short_as_it_can_be() {
        let here = TempDir::new().unwrap();
        let ours = program(&here, "target/release/odradek");
        let here = ours.ancestors().nth(3).unwrap();
        let typed = |at: &Path, as_: &str| typed_at(at, &ours, Path::new(as_), OsStr::new("/bin"));
        let absolute = ours.to_str().unwrap();
        for started_as in ["target/release/odradek", absolute, "odradek", ""] {
            assert_eq!(typed(here, started_as), "target/release/odradek", "{started_as}");
        }
        let inside = ours.parent().unwrap();
        for started_as in ["./odradek", absolute, "another name"] {
            assert_eq!(typed(inside, started_as), "./odradek", "{started_as}");
        }
        assert_eq!(typed(&here.join("target"), "../target/release/odradek"), {
            "../target/release/odradek"
        });
        assert_eq!(typed(Path::new("/bin"), absolute), absolute);
    }

    #[test]
    fn a_path_is_one_word() {
        let here = TempDir::new().unwrap();
        let ours = program(&here, "it's here/odradek");
        let typed = typed_at(ours.ancestors().nth(2).unwrap(), &ours, &ours, OsStr::new(""));
        assert_eq!(typed, r"'it'\''s here/odradek'");
    }
}
