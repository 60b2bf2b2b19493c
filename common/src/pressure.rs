//! How producers are slowed before they are stopped.

use std::time::Duration;

use crate::limits::ROOM_DELAY_MAX;

/// How long an append has to wait while so much of a limit is used: nothing up to half of it, then the longer the
/// fuller it is; `None` at the limit: until there is room.
#[must_use]
pub fn delay(used: u64, limit: u64) -> Option<Duration> {
    if used >= limit {
        return None;
    }
    let free = limit / 2;
    let over = u128::from(used.saturating_sub(free));
    let permille = over * 1000 / u128::from(limit - free);
    Some(ROOM_DELAY_MAX * u32::try_from(permille).unwrap_or(1000) / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rises_from_half_of_the_limit_on_and_ends_there() {
        assert_eq!(delay(0, 0), None);
        assert_eq!(delay(0, 1), Some(Duration::ZERO));
        assert_eq!(delay(500, 1000), Some(Duration::ZERO));
        assert_eq!(delay(750, 1000), Some(ROOM_DELAY_MAX / 2));
        assert_eq!(delay(u64::MAX - 1, u64::MAX), Some(ROOM_DELAY_MAX * 999 / 1000));
        assert_eq!(delay(1000, 1000), None);
    }
}
