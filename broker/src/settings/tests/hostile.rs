use proptest::prelude::*;

use super::*;
use crate::settings::table;

fn key() -> impl Strategy<Value = String> {
    let known: Vec<&'static str> = table::all().map(|setting| setting.name).collect();
    prop_oneof![
        4 => proptest::sample::select(known).prop_map(str::to_owned),
        1 => "[a-z.]{0,20}",
        1 => ".{0,20}",
    ]
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        "[A-Z]{1,5}://[a-z0-9.:\\[\\]]{0,12}:[0-9]{0,6}",
        "[a-z0-9]{1,6}://[a-z0-9./%]{0,12}",
        "(true|false|[a-z,:*0-9 ]{0,20})",
        ".{0,40}",
    ]
}

/// Whatever they are, if they are taken they can be described.
fn exercise(result: Result<Settings, SettingsError>) {
    match result {
        Ok(settings) => assert!(settings.describe().count() > 300),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

proptest! {
    #[test]
    fn any_flags_are_taken_or_refused(pairs in prop::collection::vec((key(), value()), 0..6)) {
        let flags: Vec<String> = pairs.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        exercise(from_flags(&flags));
    }

    #[test]
    fn any_environment_is_taken_or_refused(
        pairs in prop::collection::vec((key(), prop::collection::vec(1_u8.., 0..20)), 0..6),
    ) {
        use std::os::unix::ffi::OsStringExt;
        let environment = pairs.into_iter().map(|(key, value)| {
            let name = format!("ODRADEK_{}", key.to_ascii_uppercase().replace('.', "_"));
            (OsString::from(name), OsString::from_vec(value))
        });
        let sources = Sources { environment: environment.collect(), ..Sources::default() };
        exercise(Settings::load(&sources).map(|(settings, _)| settings));
    }

    #[test]
    fn any_text_is_taken_or_refused_as_a_file(text in ".{0,200}") {
        exercise(from_toml(&text));
    }

    #[test]
    fn any_toml_is_taken_or_refused(
        pairs in prop::collection::vec((key(), value(), any::<bool>()), 0..6),
    ) {
        let mut text = String::new();
        for (key, value, quoted) in pairs {
            let key = if quoted { format!("{key:?}") } else { key };
            text.push_str(&format!("{key} = {value:?}\n"));
        }
        exercise(from_toml(&text));
    }
}

#[test]
fn deep_and_wide_files_are_refused_without_harm() {
    let deep_key = format!("{}a = 1", "a.".repeat(200_000));
    let deep_array = format!("a = {}", "[".repeat(200_000));
    let deep_table = format!("a = {}", "{a = ".repeat(200_000));
    let deep_header = format!("[{}a]", "a.".repeat(200_000));
    for text in [deep_key, deep_array, deep_table, deep_header] {
        let told = from_toml(&text).unwrap_err().to_string();
        assert!(told.len() < 4096, "{} bytes: {told:.200}", told.len());
    }
}
