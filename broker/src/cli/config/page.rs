//! The page of documentation on all settings, made from their tables.

use std::fmt::{self, Write};

use crate::settings::kind::{Allowed, Kind};
use crate::settings::setting::{Effect, Setting, Update};
use crate::settings::table;
use crate::topic_settings::table::{self as topic_table, TopicSetting};

const INTRODUCTION: &str = "\
# Settings

This page is made from the tables of settings in the code: `odradek config --markdown` prints it.

Settings carry Kafka's names where Kafka has them. They come from these sources, of which a later one
wins: the defaults below; the file of `--config FILE`, in TOML; the environment, where `ODRADEK_` and
the name in upper case with `_` for each dot set it (`ODRADEK_NODE_ID`); `--set KEY=VALUE` on the
command line, which may be repeated. `odradek config` shows every setting with its value and source.

```toml
# Tables and dotted keys mean the same.
node.id = 1
listeners = \"PLAINTEXT://10.0.0.1:9092\"

[storage]
url = \"s3://bucket/prefix\"
```

TOML lets no key be both a value and a table: where one name begins another, as with
`max.connections` and `max.connections.per.ip`, write the longer one in quotes
(`\"max.connections.per.ip\" = 5`).

An unknown key or a wrong value ends the start with a message that names its source and the nearest
key. A key of Kafka's that has no effect here is a warning, and so are the variables that Kubernetes
sets beside a service of the name `odradek` (`ODRADEK_SERVICE_HOST`, `ODRADEK_PORT`).

*Altered* says whether AlterConfigs may change the setting of a running broker: `read-only` needs a
restart, `cluster-wide` can be set for one broker or for all. Numbers are plain, as in Kafka:
milliseconds, bytes, counts.
";

const TOPICS: &str = "\
## Settings of topics

They are set when a topic is made and altered at any time, and every one that Kafka 4.1 knows is
checked, stored and described as Kafka does. Where a topic has none of its own, the broker's counts:
the first of those named that is given.
";

const INERT: &str = "\
## Kafka's settings without effect

They are known, checked and described, and giving one is a warning. The default is Kafka's.
";

/// The whole page.
#[must_use]
pub fn settings_page() -> String {
    let mut page = String::from(INTRODUCTION);
    // Writing to a String cannot fail.
    let _ = write_tables(&mut page);
    page
}

fn write_tables(page: &mut String) -> fmt::Result {
    for group in table::GROUPS {
        write!(page, "\n## {}\n\n", group.title)?;
        page.push_str("| Setting | Type | Default | Altered | Meaning |\n|---|---|---|---|---|\n");
        for setting in group.settings {
            write_setting(page, setting)?;
        }
    }
    write!(page, "\n{TOPICS}\n")?;
    page.push_str(
        "| Setting | Type | Default | Broker's setting | Meaning |\n|---|---|---|---|---|\n",
    );
    for setting in topic_table::ALL {
        write_topic_setting(page, setting)?;
    }
    write!(page, "\n{INERT}")?;
    for settings in table::without_effect() {
        write_inert(page, settings)?;
    }
    Ok(())
}

fn write_setting(page: &mut String, setting: &Setting) -> fmt::Result {
    let own = if setting.effect == Effect::Own { " (Odradek's own)" } else { "" };
    let kind = type_with_bounds(setting.kind, &setting.allowed);
    let default = code(setting.default);
    let update = setting.update.name();
    writeln!(
        page,
        "| `{}`{own} | {kind} | {default} | {update} | {} |",
        setting.name,
        setting.doc()
    )
}

fn write_topic_setting(page: &mut String, setting: &TopicSetting) -> fmt::Result {
    let kind = type_with_bounds(setting.kind, &setting.allowed);
    let default = code(Some(setting.default));
    let broker: Vec<String> = setting.broker.iter().map(|(name, _)| format!("`{name}`")).collect();
    let broker = if broker.is_empty() { "-".to_owned() } else { broker.join(", ") };
    let effect = if setting.in_effect { "" } else { "No effect here. " };
    let name = setting.name;
    writeln!(page, "| `{name}` | {kind} | {default} | {broker} | {effect}{} |", setting.doc)
}

/// Those that have no effect for one reason, which stands above them.
fn write_inert(page: &mut String, settings: &[Setting]) -> fmt::Result {
    let Some(first) = settings.first() else { return Ok(()) };
    let reason = first.doc().trim_start_matches("No effect here. ");
    write!(page, "\n{reason}\n\n")?;
    for setting in settings {
        let alterable = if setting.update == Update::ReadOnly { "" } else { ", can be altered" };
        let default = code(setting.default);
        writeln!(page, "- `{}`: {}, {default}{alterable}", setting.name, setting.kind.name())?;
    }
    Ok(())
}

fn type_with_bounds(kind: Kind, allowed: &Allowed) -> String {
    match allowed.to_string() {
        bounds if bounds.is_empty() => kind.name().to_owned(),
        bounds => format!("{}: {bounds}", kind.name()),
    }
}

/// A default, with room to break a long list of elements.
fn code(value: Option<&str>) -> String {
    match value {
        None => "none".to_owned(),
        Some("") => "empty".to_owned(),
        Some(value) => format!("`{value}`"),
    }
}
