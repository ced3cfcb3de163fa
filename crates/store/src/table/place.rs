//! Where a table lies: a local directory or a prefix of an S3 bucket, as an object store rooted at the table.
//!
//! Used by the log, the writer and searches. What a local place is told to keep is durable when the call
//! returns ([`durable`]); what S3 acknowledged is durable by its own word. Nothing here knows what a table is.

pub mod durable;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::aws::{AmazonS3Builder, S3ConditionalPut};
use object_store::prefix::PrefixStore;
use url::Url;

use durable::DurableFiles;

/// Where a table lies. Written as a path, a `file:` URL or `s3://bucket/prefix`.
#[derive(Clone, Debug)]
pub struct TablePlace(Place);

#[derive(Clone, Debug)]
enum Place {
    Local(PathBuf),
    S3 { bucket: String, prefix: String },
    Given { store: Arc<dyn ObjectStore>, url: Url },
}

/// Why a place cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// No text at all.
    #[error("the table's place is empty; give a directory or `s3://bucket/prefix`")]
    Empty,
    /// A URL of a scheme that is not served.
    #[error("`{text}` is at no place a table can lie; give a directory or `s3://bucket/prefix`")]
    Scheme {
        /// What was given.
        text: String,
    },
    /// An S3 URL with something missing or superfluous.
    #[error("`{text}` names no place in a bucket: {problem}; write `s3://bucket/prefix`")]
    S3Url {
        /// What was given.
        text: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The S3 client could not be built, say for a malformed endpoint in `AWS_ENDPOINT`.
    #[error("cannot reach `{place}` with the settings of the environment (AWS_*)")]
    S3Settings {
        /// The place.
        place: String,
        /// What was wrong.
        #[source]
        source: object_store::Error,
    },
    /// The directory cannot be made or opened.
    #[error("cannot use the table's directory `{}`", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl TablePlace {
    /// Reads a place: a path, a `file:` URL, or `s3://bucket/prefix`.
    ///
    /// # Errors
    ///
    /// For an empty text, another scheme, an S3 URL without a bucket or a prefix, or with a user, port or query.
    pub fn parse(text: &str) -> Result<Self, PlaceError> {
        let text = text.trim();
        let Some((scheme, _)) = text.split_once("://") else {
            return if text.is_empty() { Err(PlaceError::Empty) } else { Ok(Self::local(text)) };
        };
        let unserved = || PlaceError::Scheme { text: text.to_owned() };
        let url = Url::parse(text).map_err(|_| unserved())?;
        match scheme.to_ascii_lowercase().as_str() {
            "file" => url.to_file_path().map(Self::local).map_err(|()| unserved()),
            "s3" | "s3a" => Self::s3(text, &url),
            _ => Err(unserved()),
        }
    }

    fn s3(text: &str, url: &Url) -> Result<Self, PlaceError> {
        let wrong = |problem| PlaceError::S3Url { text: text.to_owned(), problem };
        let bucket = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| wrong("the bucket is missing"))?;
        if !url.username().is_empty() || url.password().is_some() || url.port().is_some() {
            return Err(wrong("credentials and endpoint belong into AWS_* variables"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("`?` and `#` mean nothing here"));
        }
        let prefix = object_store::path::Path::from_url_path(url.path()).map_err(|_| wrong("the prefix is malformed"))?;
        if prefix.as_ref().is_empty() {
            return Err(wrong("the prefix is missing"));
        }
        Ok(Self(Place::S3 { bucket: bucket.to_owned(), prefix: prefix.as_ref().to_owned() }))
    }

    /// A local directory, which need not exist yet.
    pub fn local(directory: impl Into<PathBuf>) -> Self {
        Self(Place::Local(directory.into()))
    }

    /// Inside an object store that the caller has, rooted at the table; `url` is what it is called.
    pub fn in_store(url: Url, store: Arc<dyn ObjectStore>) -> Self {
        Self(Place::Given { store, url })
    }

    /// What the place is called: `file:///…/` or `s3://bucket/prefix/`.
    ///
    /// # Errors
    ///
    /// If the current directory, to which a relative path belongs, cannot be found.
    pub fn url(&self) -> Result<Url, PlaceError> {
        match &self.0 {
            Place::Local(path) => {
                let absolute = std::path::absolute(path).map_err(|source| PlaceError::Directory { path: path.clone(), source })?;
                Url::from_directory_path(absolute).map_err(|()| PlaceError::Scheme { text: path.display().to_string() })
            }
            Place::S3 { .. } => Url::parse(&format!("{self}/")).map_err(|_| PlaceError::Scheme { text: self.to_string() }),
            Place::Given { url, .. } => Ok(url.clone()),
        }
    }

    /// The object store of the place, rooted at the table; a local directory is made (0700) where it is missing.
    ///
    /// # Errors
    ///
    /// If the directory cannot be made or the S3 client not be built. Whether S3 answers shows only later.
    pub fn store(&self) -> Result<Arc<dyn ObjectStore>, PlaceError> {
        match &self.0 {
            Place::Local(path) => DurableFiles::create(path)
                .map(|files| Arc::new(files) as Arc<dyn ObjectStore>)
                .map_err(|source| PlaceError::Directory { path: path.clone(), source }),
            Place::S3 { bucket, prefix } => self.s3_store(bucket, prefix),
            Place::Given { store, .. } => Ok(Arc::clone(store)),
        }
    }

    /// As [`store`](Self::store), but makes nothing: `None` if the local directory is missing.
    ///
    /// # Errors
    ///
    /// As for [`store`](Self::store).
    pub fn existing_store(&self) -> Result<Option<Arc<dyn ObjectStore>>, PlaceError> {
        if let Place::Local(path) = &self.0
            && !path.try_exists().map_err(|source| PlaceError::Directory { path: path.clone(), source })?
        {
            return Ok(None);
        }
        self.store().map(Some)
    }

    fn s3_store(&self, bucket: &str, prefix: &str) -> Result<Arc<dyn ObjectStore>, PlaceError> {
        // A commit is a put that must fail if the version exists (If-None-Match): the environment must not be
        // able to switch that off.
        let client = AmazonS3Builder::from_env()
            .with_bucket_name(bucket)
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .build()
            .map_err(|source| PlaceError::S3Settings { place: self.to_string(), source })?;
        Ok(Arc::new(PrefixStore::new(client, prefix)))
    }

    /// The directory, if the place is local.
    pub fn directory(&self) -> Option<&Path> {
        match &self.0 {
            Place::Local(path) => Some(path),
            _ => None,
        }
    }

    /// Makes durable what `directory` of the table lists. A write that failed or was cut off by the end of the
    /// process may show there without being durable; before anything relies on it, this is called.
    pub(crate) fn confirm(&self, directory: &str) -> std::io::Result<()> {
        match &self.0 {
            Place::Local(path) => durable::sync_directory(&path.join(directory)),
            // What S3 shows it has.
            Place::S3 { .. } | Place::Given { .. } => Ok(()),
        }
    }
}

impl fmt::Display for TablePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Local(path) => path.display().fmt(f),
            Place::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
            Place::Given { url, .. } => url.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, &str>) {
        match (TablePlace::parse(text), expected) {
            (Ok(place), Ok(expected)) => assert_eq!(place.to_string(), expected),
            (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "`{error}` lacks `{expected}`"),
            (got, expected) => panic!("`{text}`: {got:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn places_as_text() {
        check("/var/lib/decklog/table", Ok("/var/lib/decklog/table"));
        check("table", Ok("table"));
        check("file:///srv/table", Ok("/srv/table"));
        check("s3://bucket/a/b/", Ok("s3://bucket/a/b"));
        check("s3a://bucket/a", Ok("s3://bucket/a"));
        check(" ", Err("is empty"));
        check("s3://bucket", Err("the prefix is missing"));
        check("s3:///prefix", Err("the bucket is missing"));
        check("s3://key:secret@bucket/a", Err("AWS_*"));
        check("s3://bucket/a?x=1", Err("mean nothing"));
        check("gs://bucket/a", Err("`gs://bucket/a` is at no place"));
    }

    #[test]
    fn urls_end_with_a_slash() {
        assert_eq!(TablePlace::local("/srv/table").url().unwrap().as_str(), "file:///srv/table/");
        assert_eq!(TablePlace::parse("s3://bucket/a/b").unwrap().url().unwrap().as_str(), "s3://bucket/a/b/");
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_a_place_or_an_error(text in ".{0,80}") {
            let _ = TablePlace::parse(&text);
        }
    }
}
