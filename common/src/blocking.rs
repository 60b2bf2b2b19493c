//! Work that blocks, such as that on files: aside where there are threads for it, and at once where a
//! runtime has but one. A simulation and most tests have one, and there all that happens is in an order
//! that can be repeated.

use std::panic::resume_unwind;

use tokio::runtime::{Handle, RuntimeFlavor};

/// Runs `work`, which may block, and gives what it gives. Panics if it does.
pub async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    if Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread {
        return work();
    }
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(panic) => resume_unwind(panic.into_panic()),
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::run;

    #[tokio::test]
    async fn a_runtime_of_one_thread_does_it_there() {
        assert_eq!(run(|| thread::current().id()).await, thread::current().id());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_runtime_of_many_does_it_aside() {
        let here =
            tokio::spawn(async { (thread::current().id(), run(|| thread::current().id()).await) });
        let (here, there) = here.await.unwrap();
        assert_ne!(here, there);
    }
}
