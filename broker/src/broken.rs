//! Laws that the simulation breaks on purpose, each at one place, to see that its checkers notice. No setting and
//! no flag leads here: a law is broken only where whoever builds the [`crate::process::World`] says so.

/// A law to break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    /// 2.2: what is produced is acknowledged once its slot has landed. Broken: when it is appended.
    DurableFirst,
    /// 3.3: a handover states an end below which everything has landed. Broken: it does not wait for the slots
    /// in flight, and states the end of those before them.
    LandedFirst,
    /// 3.4: a takeover seals and reads what the fenced owner left. Broken: it goes by the metadata alone.
    SealedFirst,
}
