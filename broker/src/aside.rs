//! Looking into batches without holding up those who did not send them: what decompresses to much
//! is looked through on threads of its own, a few at a time.

use odradek_common::batch::{Batch, Compression};
use odradek_common::blocking;
use odradek_common::limits::{
    BATCHES_LOOKED_INTO, DECOMPRESSED_AT_ONCE_BYTES, DECOMPRESSED_BATCH_BYTES,
};
use odradek_protocol::compression::DecompressError;
use odradek_protocol::records::RecordsError;
use tokio::sync::Semaphore;

/// Places for batches that decompress to much. Those who wait for one hold nothing but their request.
static PLACES: Semaphore = Semaphore::const_new(BATCHES_LOOKED_INTO);

/// What `look` finds in a batch, of which it may decompress as many bytes as it is told. It is tried
/// at once with few, and again aside if these do not suffice.
///
/// # Errors
/// Those of `look`.
pub(crate) async fn look_into<T, F>(batch: &Batch, look: F) -> Result<T, RecordsError>
where
    T: Send + 'static,
    F: Fn(&Batch, usize) -> Result<T, RecordsError> + Send + 'static,
{
    if batch.header.compression()? == Compression::None {
        return look(batch, DECOMPRESSED_BATCH_BYTES);
    }
    match look(batch, DECOMPRESSED_AT_ONCE_BYTES) {
        Err(RecordsError::Decompress(DecompressError::OverCap { .. })) => {}
        found => return found,
    }
    let batch = batch.clone();
    // The semaphore is never closed.
    let _place = PLACES.acquire().await;
    blocking::run(move || look(&batch, DECOMPRESSED_BATCH_BYTES)).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partition::testing::batch_of;

    /// A batch that is said to be compressed.
    fn compressed() -> Batch {
        let mut batch = batch_of(&[(None, "v")], 1);
        batch.header.attributes |= 4;
        batch
    }

    fn over_cap(cap_bytes: usize) -> RecordsError {
        DecompressError::OverCap { cap_bytes }.into()
    }

    #[tokio::test]
    async fn what_is_small_is_looked_through_where_it_is() {
        let here = std::thread::current().id();
        let batch = compressed();
        let there = look_into(&batch, |_, cap| Ok((cap, std::thread::current().id()))).await;
        assert_eq!(there.unwrap(), (DECOMPRESSED_AT_ONCE_BYTES, here));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_large_is_looked_through_elsewhere_up_to_the_cap() {
        let here = std::thread::current().id();
        let batch = compressed();
        let there = look_into(&batch, |_, cap| {
            if cap < DECOMPRESSED_BATCH_BYTES {
                return Err(over_cap(cap));
            }
            Ok(std::thread::current().id())
        });
        assert_ne!(there.await.unwrap(), here);
        let refused = look_into(&batch, |_, cap| Err::<(), _>(over_cap(cap))).await;
        let error = refused.unwrap_err().to_string();
        assert!(error.contains(&DECOMPRESSED_BATCH_BYTES.to_string()), "{error}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn only_so_many_are_looked_through_at_once() {
        use std::sync::Arc;
        use std::sync::atomic::{AtomicUsize, Ordering};
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let looks = (0..8).map(|_| {
            let (now, most) = (Arc::clone(&now), Arc::clone(&most));
            async move {
                look_into(&compressed(), move |_, cap| {
                    if cap < DECOMPRESSED_BATCH_BYTES {
                        return Err(over_cap(cap));
                    }
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::yield_now();
                    now.fetch_sub(1, Ordering::SeqCst);
                    Ok(())
                })
                .await
            }
        });
        for looked in futures::future::join_all(looks).await {
            looked.unwrap();
        }
        assert!((1..=BATCHES_LOOKED_INTO).contains(&most.load(Ordering::SeqCst)));
    }
}
