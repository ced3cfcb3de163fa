//! Local files as an object store in which every write is durable before it returns.
//!
//! `object_store`'s own local store links or renames a file into place without ever syncing it: after a power
//! cut a name can stand there with no content behind it, which for a commit means a table nobody can open.
//! Here a file is written under a name of its own in `_staging`, synced, moved to its place in one step, and the
//! directory synced. Reading, listing and deleting are `object_store`'s. Listings come sorted, as those
//! of S3 do, because readers of a Delta log rely on it.
//!
//! What a crash leaves in `_staging` belongs to nobody; the table's vacuum removes it.

use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyMode, CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions,
    PutPayload, PutResult, Result, UploadPart,
};

/// The directory of files that are being written.
pub const STAGING: &str = "_staging";

const STORE: &str = "durable local files";

/// A directory as an object store whose writes are durable when they return.
#[derive(Debug)]
pub struct DurableFiles {
    root: PathBuf,
    reading: LocalFileSystem,
}

impl DurableFiles {
    /// The files below `root`, which is made (0700) if it is missing.
    pub fn create(root: &FilePath) -> io::Result<Self> {
        let root = std::path::absolute(root)?;
        make_directory(&root)?;
        let reading = LocalFileSystem::new_with_prefix(&root).map_err(io::Error::other)?;
        Ok(Self { root, reading })
    }

    fn target(&self, location: &Path) -> PathBuf {
        location.parts().fold(self.root.clone(), |path, part| path.join(part.as_ref()))
    }

    async fn staged(&self) -> Result<Staged> {
        let directory = self.root.join(STAGING);
        blocking(move || Staged::create(&directory)).await
    }
}

impl fmt::Display for DurableFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DurableFiles({})", self.root.display())
    }
}

#[async_trait]
impl ObjectStore for DurableFiles {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        if let PutMode::Update(_) = options.mode {
            return Err(Error::NotImplemented { operation: "conditional update".to_owned(), implementer: STORE.to_owned() });
        }
        let staged = self.staged().await?;
        let target = self.target(location);
        let location = location.clone();
        blocking_result(move || {
            for bytes in &payload {
                staged.file().write_all(bytes).map_err(storage)?;
            }
            staged.place(&target, &location, options.mode == PutMode::Create)
        })
        .await?;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn put_multipart_opts(&self, location: &Path, _options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        let staged = Arc::new(self.staged().await?);
        Ok(Box::new(Upload { staged: Some(staged), target: self.target(location), location: location.clone(), offset: 0 }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.reading.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[std::ops::Range<u64>]) -> Result<Vec<bytes::Bytes>> {
        self.reading.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.reading.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        sorted(self.reading.list(prefix))
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        sorted(self.reading.list_with_offset(prefix, offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.reading.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let staged = self.staged().await?;
        let (source, target, to) = (self.target(from), self.target(to), to.clone());
        blocking_result(move || {
            io::copy(&mut File::open(source).map_err(storage)?, &mut staged.file()).map_err(storage)?;
            staged.place(&target, &to, options.mode == CopyMode::Create)
        })
        .await
    }
}

/// A file that is being written. Dropped before it was placed, it is removed.
#[derive(Debug)]
struct Staged {
    path: PathBuf,
    file: File,
}

impl Staged {
    fn create(directory: &FilePath) -> io::Result<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        make_directory(directory)?;
        loop {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let path = directory.join(format!("{}-{number}", std::process::id()));
            match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
                Ok(file) => return Ok(Self { path, file }),
                // Left by an earlier process of the same id.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn file(&self) -> &File {
        &self.file
    }

    /// Makes the file durable under its final name. A link refuses to take another's place, a rename does not:
    /// each is one step.
    fn place(&self, target: &FilePath, location: &Path, must_be_new: bool) -> Result<()> {
        self.file.sync_all().map_err(storage)?;
        let directory = target.parent().ok_or_else(|| storage(io::Error::other("a file needs a directory")))?;
        make_directory(directory).map_err(storage)?;
        if must_be_new {
            std::fs::hard_link(&self.path, target).map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => Error::AlreadyExists { path: location.to_string(), source: error.into() },
                _ => storage(error),
            })?;
        } else {
            std::fs::rename(&self.path, target).map_err(storage)?;
        }
        sync_directory(directory).map_err(storage)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // Gone already after a rename; what cannot be removed, vacuum will.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A file that comes in parts, each written at its offset.
#[derive(Debug)]
struct Upload {
    staged: Option<Arc<Staged>>,
    target: PathBuf,
    location: Path,
    offset: u64,
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, payload: PutPayload) -> UploadPart {
        let mut offset = self.offset;
        self.offset += payload.content_length() as u64;
        let staged = self.staged.clone();
        Box::pin(async move {
            let staged = staged.ok_or_else(finished)?;
            blocking(move || {
                for bytes in &payload {
                    staged.file().write_all_at(bytes, offset)?;
                    offset += bytes.len() as u64;
                }
                Ok(())
            })
            .await
        })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let staged = self.staged.take().ok_or_else(finished)?;
        let (target, location) = (self.target.clone(), self.location.clone());
        blocking_result(move || staged.place(&target, &location, false)).await?;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn abort(&mut self) -> Result<()> {
        self.staged = None;
        Ok(())
    }
}

fn finished() -> Error {
    storage(io::Error::other("the upload is over already"))
}

fn storage(source: io::Error) -> Error {
    Error::Generic { store: STORE, source: source.into() }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T> {
    blocking_result(move || work().map_err(storage)).await
}

async fn blocking_result<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await?
}

fn sorted(listing: BoxStream<'static, Result<ObjectMeta>>) -> BoxStream<'static, Result<ObjectMeta>> {
    stream::once(listing.try_collect::<Vec<_>>())
        .map_ok(|mut entries| {
            entries.sort_by(|a, b| a.location.cmp(&b.location));
            stream::iter(entries.into_iter().map(Ok))
        })
        .try_flatten()
        .boxed()
}

/// Makes a directory and those above it (0700), each durable in the one above it.
fn make_directory(directory: &FilePath) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    let above = directory.parent().ok_or_else(|| io::Error::other("the root directory is missing"))?;
    make_directory(above)?;
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    sync_directory(above)
}

/// Makes what a directory lists durable.
pub(super) fn sync_directory(directory: &FilePath) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests;
