//! Power cuts and killed processes.

use super::*;

/// Writes and trims until it is done or the disk fails; says how many slots were acknowledged and
/// from where on they must be there.
async fn workload(files: &SimFiles) -> (u64, u64) {
    let Ok(wal) = try_open(files, 1) else { return (0, 0) };
    let mut trimmed = 0;
    for number in 0..24 {
        if put(&wal, number).await.is_err() {
            return (number, trimmed);
        }
        if number % 5 == 4 {
            // The trim command was read as committed before, so recovery starts behind it.
            trimmed = number - 2;
            let slots: Vec<_> = (0..trimmed).map(at).collect();
            let _ = wal.delete(&slots).await;
        }
    }
    (24, trimmed)
}

/// What a start after a crash finds must be all that was acknowledged, and at most one more.
async fn check(files: &SimFiles, acknowledged: u64, trimmed: u64) -> Result<u64, String> {
    let wal = try_open(files, 2).map_err(|e| format!("does not start: {e}"))?;
    let found = recover(&wal, trimmed).await.map_err(|e| format!("does not recover: {e}"))?;
    if !(acknowledged..=acknowledged + 1).contains(&found.end.0) {
        return Err(format!("ends at {}, acknowledged up to {acknowledged}", found.end.0));
    }
    for range in found.slots.iter().flat_map(|slot| &slot.ranges) {
        let crate::range::Place::Slot(at) = range.range.place else { unreachable!() };
        let bytes = wal.read(at, range.range.position, range.range.length).await;
        let bytes = bytes.map_err(|e| format!("{at:?} cannot be read: {e}"))?;
        if odradek_common::batch::crc32c(&bytes) != range.range.crc {
            return Err(format!("{at:?} is damaged"));
        }
    }
    Ok(found.end.0)
}

#[tokio::test]
async fn a_power_cut_after_any_step_loses_nothing_acknowledged() {
    let whole = SimFiles::new();
    assert_eq!(workload(&whole).await, (24, 17));
    let steps = whole.steps();
    assert!(steps > 80, "{steps}");
    for step in 0..steps {
        let files = SimFiles::new();
        files.halt_after(step);
        let (acknowledged, trimmed) = workload(&files).await;
        for seed in 0..6 {
            let disk = files.power_cut(&*random(seed));
            let end = check(&disk, acknowledged, trimmed).await;
            let end = end.unwrap_or_else(|e| panic!("step {step}, seed {seed}: {e}"));
            // What was recovered once is recovered again, after another power cut too: somebody
            // may have built upon it.
            let again = disk.power_cut(&*random(seed + 100));
            let same = check(&again, end, trimmed).await;
            assert_eq!(same, Ok(end), "step {step}, seed {seed}");
        }
    }
}

/// Each sync is needed: if any one of them lies, some power cut shows it.
#[tokio::test]
async fn a_sync_left_out_is_caught() {
    let whole = SimFiles::new();
    workload(&whole).await;
    let mut uncaught = Vec::new();
    for nth in 1..=whole.syncs() {
        if !lie_is_caught(nth).await {
            uncaught.push(nth);
        }
    }
    assert!(
        uncaught.is_empty(),
        "of {} syncs these could be left out: {uncaught:?}",
        whole.syncs()
    );
}

async fn lie_is_caught(nth: u64) -> bool {
    let whole = SimFiles::new();
    workload(&whole).await;
    for step in 0..=whole.steps() {
        let files = SimFiles::new();
        files.lie_at_sync(nth);
        files.halt_after(step);
        let (acknowledged, trimmed) = workload(&files).await;
        if files.syncs() < nth {
            continue;
        }
        for seed in 0..12 {
            if check(&files.power_cut(&*random(seed)), acknowledged, trimmed).await.is_err() {
                return true;
            }
        }
    }
    false
}

/// A process that dies leaves in the page cache what it had not synced. The next one must not
/// build upon that before it is on the disk.
#[tokio::test]
async fn what_a_dead_process_left_unsynced_is_synced_before_it_counts() {
    let whole = SimFiles::new();
    workload(&whole).await;
    for step in 0..whole.steps() {
        let files = SimFiles::new();
        files.halt_after(step);
        let (acknowledged, trimmed) = workload(&files).await;
        files.heal();
        let end = check(&files, acknowledged, trimmed).await;
        let end = end.unwrap_or_else(|e| panic!("step {step}: {e}"));
        for seed in 0..6 {
            let disk = files.power_cut(&*random(seed));
            assert_eq!(check(&disk, end, trimmed).await, Ok(end), "step {step}, seed {seed}");
        }
    }
}

/// Linux takes pages that it failed to write for written: the next process reads them, and its own
/// sync does not write them. They must be written again before they count, however often that fails.
#[tokio::test]
async fn what_a_failed_sync_left_is_written_again_before_it_counts() {
    let whole = SimFiles::new();
    workload(&whole).await;
    for nth in 1..=whole.count(Op::Sync) {
        for failed_starts in 0..2 {
            let files = SimFiles::new();
            files.fail_nth(Op::Sync, nth, ErrorKind::Other);
            let (acknowledged, trimmed) = workload(&files).await;
            files.heal();
            for _ in 0..failed_starts {
                files.fail_nth(Op::Sync, 1, ErrorKind::Other);
                try_open(&files, 2).unwrap_err();
                files.heal();
            }
            let end = check(&files, acknowledged, trimmed).await;
            let end = end.unwrap_or_else(|e| panic!("sync {nth}: {e}"));
            for seed in 0..6 {
                let disk = files.power_cut(&*random(seed));
                let told = format!("sync {nth}, seed {seed}");
                assert_eq!(check(&disk, end, trimmed).await, Ok(end), "{told}");
            }
        }
    }
}

/// A second process goes on after the first was killed, in an epoch of its own: it takes over what
/// there is, deletes it, and writes; and then the power fails.
async fn second_life(files: &SimFiles, trimmed: u64) -> (u64, u64) {
    let Ok(wal) = try_open(files, 3) else { return (0, 0) };
    let Ok(old) = recover(&wal, trimmed).await else { return (0, 0) };
    let _ = wal.delete(&(0..old.end.0).map(at).collect::<Vec<_>>()).await;
    let in_epoch_2 = |number| chain(2).slot(SlotNumber(number));
    let mut trimmed = 0;
    for number in 0..10 {
        let slot = slot(in_epoch_2(number), bytes_of(number + 3));
        if wal.put(&slot).await.is_err() {
            return (number, trimmed);
        }
        if number == 6 {
            trimmed = 5;
            let _ = wal.delete(&(0..trimmed).map(in_epoch_2).collect::<Vec<_>>()).await;
        }
    }
    (10, trimmed)
}

#[tokio::test]
async fn a_power_cut_in_a_second_life_loses_nothing_acknowledged() {
    let whole = SimFiles::new();
    workload(&whole).await;
    for killed_at in (30..=whole.steps()).step_by(6) {
        for step in 0.. {
            let files = SimFiles::new();
            files.halt_after(killed_at);
            let (_, trimmed) = workload(&files).await;
            files.heal();
            let before = files.steps();
            files.halt_after(step);
            let (acknowledged, trimmed) = second_life(&files, trimmed).await;
            for seed in 0..4 {
                let disk = files.power_cut(&*random(seed));
                let told = format!("killed at {killed_at}, cut at {step}, seed {seed}");
                let wal = try_open(&disk, 4).unwrap_or_else(|e| panic!("{told}: {e}"));
                let found = wal.recover(chain(2), SlotNumber(trimmed), 2, 0).await;
                let end = found.unwrap_or_else(|e| panic!("{told}: {e}")).end.0;
                assert!((acknowledged..=acknowledged + 1).contains(&end), "{told}: {end}");
            }
            if files.steps() - before < step {
                break;
            }
        }
    }
}
