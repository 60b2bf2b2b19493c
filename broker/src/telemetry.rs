//! The log: events of `tracing` on standard error, as lines for people or as JSON. Where they cannot be
//! written, to a disk that is full or a reader that is gone, they are dropped and the broker goes on.

use std::io::{self, IsTerminal, Write};

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::settings::{LogFormat, LogOutput};

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `log.level` cannot be read.
    #[error(
        "log.level: '{given}' is neither a level (error, warn, info, debug, trace) nor a list of \
         directives such as info,odradek_storage=debug: {source}"
    )]
    Level {
        /// The value.
        given: String,
        /// What the parser says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The process has a log already.
    #[error("the log is started already")]
    Started(#[from] tracing::subscriber::SetGlobalDefaultError),
}

/// Starts the log of this process. Settings are read before; what they warn of is logged after.
pub fn init(output: &LogOutput) -> Result<(), TelemetryError> {
    let colours = std::io::stderr().is_terminal();
    let subscriber = subscriber(output, || Dropping(io::stderr()), colours)?;
    tracing::subscriber::set_global_default(subscriber)?;
    Ok(())
}

/// Takes what cannot be written for written. Who is told of an error would tell of it on standard
/// error, and end the process because that fails.
struct Dropping<W>(W);

impl<W: Write> Write for Dropping<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(self.0.write(bytes).ok().filter(|written| *written > 0).unwrap_or(bytes.len()))
    }

    fn flush(&mut self) -> io::Result<()> {
        let _ = self.0.flush();
        Ok(())
    }
}

/// Silent unless the setting names it: it tells of each heartbeat, and of each that a voter which is away
/// does not answer. What matters of it the metadata tells.
const QUIET: &str = "openraft=off";

/// The filter of `log.level`: levels and directives as of `EnvFilter`, where a word alone is a level and
/// nothing else.
fn filter(level: &str) -> Result<EnvFilter, TelemetryError> {
    let wrong = |source| TelemetryError::Level { given: level.to_owned(), source };
    for word in level.split(',').map(str::trim).filter(|word| !word.contains(['=', '['])) {
        word.parse::<LevelFilter>().map_err(|e| wrong(e.into()))?;
    }
    let all = format!("{QUIET},{level}");
    EnvFilter::builder().parse(all).map_err(|e| wrong(e.into()))
}

type BoxedSubscriber = Box<dyn Subscriber + Send + Sync>;

fn subscriber<W>(
    output: &LogOutput,
    writer: W,
    colours: bool,
) -> Result<BoxedSubscriber, TelemetryError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = filter(&output.level)?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    Ok(match output.format {
        LogFormat::Text => Box::new(builder.with_ansi(colours).finish()),
        LogFormat::Json => Box::new(builder.json().flatten_event(true).finish()),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, level: &str) -> String {
        let written = Written::default();
        let writer = written.clone();
        let output = LogOutput { format, level: level.to_owned() };
        let subscriber = subscriber(&output, move || writer.clone(), false).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            tracing::debug!("not at info");
            tracing::info!(node = 7, "here");
        });
        let bytes = written.0.lock().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn text_is_a_line_an_event() {
        let text = logged(LogFormat::Text, "info");
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains("INFO") && text.contains("here node=7"), "{text}");
        assert_eq!(logged(LogFormat::Text, "debug").lines().count(), 2);
        assert_eq!(logged(LogFormat::Text, "warn"), "");
    }

    #[test]
    fn json_is_an_object_a_line() {
        let text = logged(LogFormat::Json, concat!("warn,", module_path!(), "=info"));
        let event: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
        assert_eq!(event["message"], "here");
        assert_eq!(event["node"], 7);
        assert_eq!(event["level"], "INFO");
    }

    #[test]
    fn a_wrong_level_is_told() {
        for level in ["odradek=loud", "nonsense", "info,nonsense"] {
            let output = LogOutput { format: LogFormat::Text, level: level.to_owned() };
            let error = subscriber(&output, io::sink, false).err().unwrap().to_string();
            assert!(error.starts_with(&format!("log.level: '{level}' is neither")), "{error}");
        }
    }

    #[test]
    fn openraft_is_quiet_unless_it_is_named() {
        let shown = |level| filter(level).unwrap().to_string();
        assert!(shown("info,odradek_storage=debug").contains("openraft=off"));
        assert!(!shown("openraft=debug").contains("openraft=off"));
    }

    #[test]
    fn what_cannot_be_written_is_dropped() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
        }
        let mut log = Dropping(Full);
        log.write_all(b"a line").unwrap();
        log.flush().unwrap();
    }
}
