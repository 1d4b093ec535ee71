//! A directory of a session, listed once however often the daemon looks at it.

use std::sync::Arc;

use tokio::sync::OnceCell;
use wharf_core::{Error, ErrorKind, Result};

use super::source::{SyncEntry, SyncSource};
use super::tree::Tree;

/// A source with its list of files.
pub(crate) struct Directory {
    pub(crate) source: Arc<dyn SyncSource>,
    listing: OnceCell<Arc<Listing>>,
}

/// What a source listed, and the same in sending order.
#[derive(Debug)]
pub(crate) struct Listing {
    pub(crate) entries: Arc<[SyncEntry]>,
    pub(crate) tree: Tree,
}

impl Listing {
    /// Lists a source. Blocks.
    pub(crate) fn new(source: &dyn SyncSource) -> Result<Self> {
        let entries = source.entries()?;
        let tree = Tree::new(&entries)?;
        Ok(Self { entries, tree })
    }
}

impl Directory {
    pub(crate) fn new(source: Arc<dyn SyncSource>) -> Arc<Self> {
        Arc::new(Self {
            source,
            listing: OnceCell::new(),
        })
    }

    /// The list; the first call makes it, and one that failed is made anew.
    pub(crate) async fn listing(&self) -> Result<Arc<Listing>> {
        let list = async || {
            let source = Arc::clone(&self.source);
            let listed = tokio::task::spawn_blocking(move || Listing::new(&*source).map(Arc::new)).await;
            listed.unwrap_or_else(|error| {
                Err(Error::new(ErrorKind::Unexpected, "listing a directory broke off").with_source(error))
            })
        };
        self.listing.get_or_try_init(list).await.cloned()
    }

    /// Begins to make the list, as the daemon will ask for it soon. If that fails, asking will say why.
    pub(crate) fn list_ahead(self: &Arc<Self>) {
        let directory = Arc::clone(self);
        tokio::spawn(async move { directory.listing().await.map(drop) });
    }
}
