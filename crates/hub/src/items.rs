//! Values of the application for each connection.

use crate::Caller;

/// Values that hub methods keep for one connection, one for each type (ASP.NET Core's `Context.Items`).
///
/// They live as long as the connection, and are there from `on_connected` to `on_disconnected`; filters get them from
/// [`Caller::items`]. A connection that never uses them pays nothing for them. They stay on the instance with the
/// connection: other instances do not see them.
///
/// Calls of one client may run side by side (`HubOptions::maximum_parallel_invocations_per_client`): each function here is
/// atomic, and [`update`](Items::update) reads and writes in one step.
///
/// ```
/// use hubline_hub::{Hub, Items};
///
/// #[derive(Clone, Default)]
/// struct Calls(u32);
///
/// async fn count(items: Items) -> u32 {
///     items.update(|calls: &mut Calls| {
///         calls.0 += 1;
///         calls.0
///     })
/// }
/// let hub: Hub = Hub::new("Example").method("Count", count);
/// ```
#[derive(Debug, Clone)]
pub struct Items(Caller);

impl Items {
    pub(crate) fn of(caller: Caller) -> Self {
        Self(caller)
    }

    /// The value of this type, cloned; `None` if there is none.
    pub fn get<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        self.0.0.items().lock().get::<T>().cloned()
    }

    /// Puts a value in, in the place of the one of this type, which is returned.
    pub fn insert<T: Clone + Send + Sync + 'static>(&self, value: T) -> Option<T> {
        self.0.0.items().lock().insert(value)
    }

    /// Takes the value of this type out.
    pub fn remove<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        self.0.0.items().lock().remove::<T>()
    }

    /// Changes the value of this type, which is the default if there is none yet, and returns what `change` returns.
    ///
    /// `change` runs under a lock: it must not use these items itself, nor block.
    pub fn update<T, R>(&self, change: impl FnOnce(&mut T) -> R) -> R
    where
        T: Clone + Default + Send + Sync + 'static,
    {
        change(self.0.0.items().lock().get_or_insert_default::<T>())
    }
}
