//! A store in memory for simulations. Requests take time and happen somewhere between question and
//! answer, whatever becomes of who asked: a put that left its sender may land after it died. What goes
//! wrong follows from the [`Weather`]. Nothing of it is used by the broker.
//!
//! Time is tokio's, and that of all who share the store must be one. No task and no thread carries
//! requests: what is due happens when anybody asks for anything, in the order of its times.

#[cfg(test)]
mod tests;
mod weather;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::client::HttpErrorKind;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use odradek_common::random::SharedRandom;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

use super::Operation;
use super::faulty::{answer, broken};

pub use self::weather::{Fate, Weather};

/// A store in memory; clones are the same store, with the same way to it.
#[derive(Clone)]
pub struct SimStore {
    inner: Arc<Inner>,
    /// Who uses it, if somebody is named.
    host: Option<Arc<str>>,
}

/// What is done to the store when its time has come.
type Effect = Box<dyn FnOnce(&InMemory) + Send>;

/// Sees what happens: the operation, its key, and whether it succeeded.
type Observer = Arc<dyn Fn(Operation, &Path, bool) + Send + Sync>;

/// What the store claims of a put though it is not so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// It is done, and never will be.
    Forgets,
    /// It is done, and will be so much later.
    Hurries(Duration),
}

/// Says of which puts the store lies, by the host that puts and the key.
type Lies = Box<dyn Fn(&str, &Path) -> Option<Lie> + Send>;

struct Inner {
    store: InMemory,
    random: SharedRandom,
    state: Mutex<State>,
}

struct State {
    weather: Weather,
    /// What hosts have in place of that.
    of_hosts: BTreeMap<String, Weather>,
    /// By time and number.
    pending: BTreeMap<(Instant, u64), Effect>,
    next: u64,
    met: BTreeMap<Fate, u64>,
    observer: Option<Observer>,
    lies: Option<Lies>,
}

impl SimStore {
    /// An empty store.
    #[must_use]
    pub fn new(random: SharedRandom, weather: Weather) -> Self {
        let state = State {
            weather,
            of_hosts: BTreeMap::new(),
            pending: BTreeMap::new(),
            next: 0,
            met: BTreeMap::new(),
            observer: None,
            lies: None,
        };
        let state = Mutex::new(state);
        Self { inner: Arc::new(Inner { store: InMemory::new(), random, state }), host: None }
    }

    /// The same store as `host` reaches it.
    #[must_use]
    pub fn seen_from(&self, host: &str) -> Self {
        Self { inner: self.inner.clone(), host: Some(host.into()) }
    }

    /// Changes the weather for requests from now on.
    pub fn change_weather(&self, change: impl FnOnce(&mut Weather)) {
        change(&mut self.inner.state.lock().weather);
    }

    /// Gives `host` a weather of its own for requests from now on, or that of all others again.
    pub fn set_weather_of(&self, host: &str, weather: Option<Weather>) {
        let mut state = self.inner.state.lock();
        match weather {
            Some(weather) => state.of_hosts.insert(host.to_owned(), weather),
            None => state.of_hosts.remove(host),
        };
    }

    /// Shows everything that happens from now on to `observer`, which must not use the store.
    pub fn observe(&self, observer: impl Fn(Operation, &Path, bool) + Send + Sync + 'static) {
        self.inner.state.lock().observer = Some(Arc::new(observer));
    }

    /// From now on claims of puts for which `lies` says so what is not so: to show that this is noticed.
    pub fn lie_about(&self, lies: impl Fn(&str, &Path) -> Option<Lie> + Send + 'static) {
        self.inner.state.lock().lies = Some(Box::new(lies));
    }

    /// How many requests met which fate.
    #[must_use]
    pub fn met(&self) -> BTreeMap<Fate, u64> {
        self.inner.state.lock().met.clone()
    }

    /// Lets happen what is due.
    fn settle(&self) {
        let now = Instant::now();
        loop {
            let mut state = self.inner.state.lock();
            let Some(first) = state.pending.first_entry() else { return };
            if first.key().0 > now {
                return;
            }
            let effect = first.remove();
            drop(state);
            effect(&self.inner.store);
        }
    }

    fn lie(&self, key: &Path) -> Option<Lie> {
        let state = self.inner.state.lock();
        let lies = state.lies.as_ref()?;
        lies(self.host.as_deref().unwrap_or_default(), key)
    }

    /// A request and what it does.
    async fn request<T: Send + 'static>(
        &self,
        operation: Operation,
        key: &Path,
        effect: impl FnOnce(&InMemory) -> Option<Result<T>> + Send + 'static,
    ) -> Result<T> {
        let result = Arc::new(Mutex::new(None));
        let now = Instant::now();
        let plan = {
            let mut state = self.inner.state.lock();
            let own = self.host.as_ref().and_then(|host| state.of_hosts.get(&**host));
            let plan = own.unwrap_or(&state.weather).plan(operation, &*self.inner.random);
            *state.met.entry(plan.fate).or_default() += 1;
            if let Some(happens) = plan.happens {
                let (result, key) = (result.clone(), key.clone());
                let observer = state.observer.clone();
                let number = state.next;
                state.next += 1;
                let effect = move |store: &InMemory| {
                    let done = effect(store);
                    if let Some(observer) = observer {
                        observer(operation, &key, matches!(done, Some(Ok(_))));
                    }
                    *result.lock() = done;
                };
                state.pending.insert((now + happens, number), Box::new(effect));
            }
            plan
        };
        sleep_until(now + plan.answered).await;
        self.settle();
        match plan.fate {
            Fate::Fair | Fate::Slow => {
                let done = result.lock().take();
                done.unwrap_or_else(|| Err(broken(HttpErrorKind::Unknown)))
            }
            Fate::Unavailable => Err(answer("503 Service Unavailable: SlowDown")),
            Fate::AnswerLost => Err(broken(HttpErrorKind::Timeout)),
            Fate::Late => Err(broken(HttpErrorKind::Interrupted)),
            Fate::Away => Err(broken(HttpErrorKind::Connect)),
        }
    }

    fn listed(
        &self,
        prefix: Option<&Path>,
        list: impl FnOnce(&InMemory) -> BoxStream<'static, Result<ObjectMeta>> + Send + 'static,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let (this, key) = (self.clone(), prefix.cloned().unwrap_or_default());
        let names = async move {
            let all = |store: &InMemory| list(store).try_collect::<Vec<_>>().now_or_never();
            let names = this.request(Operation::List, &key, all).await?;
            Ok::<_, Error>(stream::iter(names.into_iter().map(Ok)))
        };
        stream::once(names).try_flatten().boxed()
    }
}

impl fmt::Display for SimStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimStore")
    }
}

impl fmt::Debug for SimStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimStore")
    }
}

#[async_trait]
impl ObjectStore for SimStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        let key = location.clone();
        let put = move |store: &InMemory| store.put_opts(&key, payload, opts).now_or_never();
        let Some(lie) = self.lie(location) else {
            return self.request(Operation::Put, location, put).await;
        };
        if let Lie::Hurries(later) = lie {
            let mut state = self.inner.state.lock();
            let number = state.next;
            state.next += 1;
            let effect = move |store: &InMemory| drop(put(store));
            state.pending.insert((Instant::now() + later, number), Box::new(effect));
        }
        let claim = |_: &InMemory| {
            Some(Ok(PutResult { e_tag: None, version: None, extensions: Default::default() }))
        };
        self.request(Operation::Put, location, claim).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.store.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let operation = if options.head { Operation::Head } else { Operation::Get };
        let key = location.clone();
        let get = move |store: &InMemory| store.get_opts(&key, options).now_or_never();
        self.request(operation, location, get).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let (key, ranges) = (location.clone(), ranges.to_vec());
        let get = move |store: &InMemory| store.get_ranges(&key, &ranges).now_or_never();
        self.request(Operation::Get, location, get).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let this = self.clone();
        let delete = move |location: Result<Path>| {
            let this = this.clone();
            async move {
                let location = location?;
                let key = location.clone();
                let delete = move |store: &InMemory| store.delete(&key).now_or_never();
                this.request(Operation::Delete, &location, delete).await?;
                Ok(location)
            }
        };
        locations.then(delete).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let under = prefix.cloned();
        self.listed(prefix, move |store| store.list(under.as_ref()))
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let (under, offset) = (prefix.cloned(), offset.clone());
        self.listed(prefix, move |store| store.list_with_offset(under.as_ref(), &offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let (key, under) = (prefix.cloned().unwrap_or_default(), prefix.cloned());
        let list = move |store: &InMemory| store.list_with_delimiter(under.as_ref()).now_or_never();
        self.request(Operation::List, &key, list).await
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(Error::NotSupported { source: "a simulated store copies nothing".into() })
    }
}
