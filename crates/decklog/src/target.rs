//! Where the events are that a reading command asks for: a server or a data directory, and how it is asked.

mod files;
mod local;
mod remote;

use std::path::{Path, PathBuf};

use decklog_audit::Timestamp;
use decklog_audit::search::{Extent, FacetRequest, Facets, Histogram, HistogramRequest, Order, SqlRequest, SqlSummary, TimeRange};
use decklog_store::TablePlace;

use crate::cli::TargetFlags;
use crate::client::{Client, answers, cluster};
use crate::commands::Context;
use crate::config::{SettingFlags, load_layers};
use crate::failure::{Failure, Failures};
use crate::invoked::Invoked;
use crate::place;

use local::Local;
pub(crate) use local::unreadable;

/// Asked when nothing is named.
pub(crate) const DEFAULT_SERVER: &str = "http://127.0.0.1:7080";
/// Read when nothing is named and no server answers.
const DEFAULT_DATA_DIR: &str = "./decklog-data";

/// What to ask.
#[derive(Clone)]
pub(crate) enum Target {
    /// The files, without a lock: also while a server writes them.
    DataDir {
        /// The data directory.
        path: PathBuf,
        /// Where its table lies.
        table: TablePlace,
    },
    /// A server.
    Server(Client),
    /// Log files, read into memory.
    Files(files::Loaded),
}

/// What flags and variables name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// A data directory; `None` is that of the configuration file.
    DataDir(Option<PathBuf>),
    /// A server's address.
    Server(String),
    /// The server inside the kubeconfig's cluster.
    Cluster,
    /// Nothing.
    Usual,
}

impl Choice {
    /// Flags go before variables, and these before what kubectl's plugin takes without any.
    pub(crate) fn of<'a>(flags: &TargetFlags, invoked: Invoked, variable: &dyn Fn(&str) -> Option<&'a str>) -> Self {
        if flags.data_dir.is_some() || flags.config.is_some() {
            return Self::DataDir(flags.data_dir.clone());
        }
        if let Some(url) = &flags.server {
            return Self::Server(url.clone());
        }
        if flags.kubeconfig.is_some() || flags.context.is_some() || flags.service.is_some() {
            return Self::Cluster;
        }
        if let Some(url) = variable("DECKLOG_SERVER") {
            return Self::Server(url.to_owned());
        }
        if let Some(path) = variable("DECKLOG_DATA_DIR") {
            return Self::DataDir(Some(PathBuf::from(path)));
        }
        if invoked.by_kubectl() { Self::Cluster } else { Self::Usual }
    }
}

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    /// Which events: a filter's text that was read once already.
    pub(crate) filter: String,
    /// From when to when.
    pub(crate) range: TimeRange,
    /// The newest so many; `None` is all.
    pub(crate) limit: Option<usize>,
    /// In which order.
    pub(crate) order: Order,
    /// By when words such as `today` are read.
    pub(crate) now: Timestamp,
}

/// What a search says beside the events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Events that match, handed out or not.
    pub(crate) n_matched: u64,
    /// The first and last time of what was looked at, where it is known.
    pub(crate) extent: Option<(Timestamp, Timestamp)>,
    /// What could not be read.
    pub(crate) gaps: Vec<String>,
}

/// Takes events as they are found: the stored line, and the event's time where it is known.
pub(crate) type Found<'a> = dyn FnMut(&[u8], Option<Timestamp>) -> Result<(), Failure> + 'a;

/// Takes an answer in pieces.
pub(crate) type Pieces<'a> = dyn FnMut(&[u8]) -> Result<(), Failure> + 'a;

/// Who answers: a store on this machine, or a server.
enum Reached<'a> {
    Here(Local),
    There(&'a Client),
}

impl Target {
    /// The target named by flags, then variables; for kubectl the kubeconfig's cluster; else a server on this machine, else
    /// the usual folder.
    pub(crate) fn choose(flags: &TargetFlags, context: &Context) -> Result<Self, Failures> {
        match Choice::of(flags, context.invoked, &|name| context.variable(name)) {
            Choice::DataDir(path) => Self::data_dir(path.as_deref(), flags, context),
            Choice::Server(url) => Ok(Self::Server(Client::new(&url, flags, context)?)),
            Choice::Cluster => Ok(Self::Server(crate::wiring::runtime()?.block_on(cluster::connect(flags, context))?)),
            Choice::Usual => Self::usual(flags, context),
        }
    }

    fn usual(flags: &TargetFlags, context: &Context) -> Result<Self, Failures> {
        if crate::wiring::runtime()?.block_on(answers(DEFAULT_SERVER)) {
            context.detail(&format!("asking {DEFAULT_SERVER}"));
            return Ok(Self::Server(Client::new(DEFAULT_SERVER, flags, context)?));
        }
        if matches!(Path::new(DEFAULT_DATA_DIR).try_exists(), Ok(true)) {
            context.detail(&format!("reading {DEFAULT_DATA_DIR}"));
            return Self::data_dir(Some(Path::new(DEFAULT_DATA_DIR)), flags, context);
        }
        let message = format!("no decklog server at {DEFAULT_SERVER}, and no data directory {DEFAULT_DATA_DIR}");
        Err(Failure::failed("no-target", message).help("decklog serve, or name one with --server or --data-dir").into())
    }

    /// A data directory with its table: where its server's configuration says, else where the directory itself says.
    fn data_dir(path: Option<&Path>, flags: &TargetFlags, context: &Context) -> Result<Self, Failures> {
        let (path, table) = match (path, &flags.config) {
            (Some(path), None) => (path.to_owned(), place::of_data_dir(path)?),
            (path, file) => {
                let given = SettingFlags::of([("data-dir", path.map(|path| path.display().to_string()))]);
                let config = load_layers(file.as_deref(), &given, &[], &context.environment)?.config;
                let table = place::of_config(&config)?;
                (config.data_dir, table)
            }
        };
        context.detail(&format!("reading {} and its table {table}", path.display()));
        Ok(Self::DataDir { path, table })
    }

    /// Log files as they are.
    pub(crate) fn of_files(paths: &[PathBuf], context: &Context) -> Result<Self, Failures> {
        files::Loaded::read(paths, context).map(Self::Files)
    }

    /// Who answers.
    fn reach(&self) -> Result<Reached<'_>, Failure> {
        Ok(match self {
            Self::DataDir { path, table } => Reached::Here(Local::open(path, table)?),
            Self::Files(loaded) => Reached::Here(loaded.local.clone()),
            Self::Server(client) => Reached::There(client),
        })
    }

    /// Hands every event of the answer to `found`, in order.
    pub(crate) fn search(&self, question: &Question, found: &mut Found<'_>) -> Result<Tally, Failures> {
        match self.reach()? {
            Reached::Here(local) => local.search(question, found),
            Reached::There(client) => remote::search(client, question, found),
        }
    }

    /// Only counts.
    pub(crate) fn count(&self, question: &Question) -> Result<Tally, Failures> {
        match self.reach()? {
            Reached::Here(local) => local.search(&Question { limit: Some(0), ..question.clone() }, &mut |_, _| Ok(())),
            Reached::There(client) => remote::count(client, question),
        }
    }

    /// Counts the values of fields, in the order asked for; limit and order of the question play no part.
    pub(crate) fn facets(&self, question: &Question, asked: &FacetRequest) -> Result<(Vec<Facets>, Tally), Failures> {
        match self.reach()? {
            Reached::Here(local) => local.facets(question, asked),
            Reached::There(client) => remote::facets(client, question, asked),
        }
    }

    /// Counts over time; limit and order of the question play no part.
    pub(crate) fn histogram(&self, question: &Question, asked: &HistogramRequest) -> Result<(Histogram, Tally), Failures> {
        match self.reach()? {
            Reached::Here(local) => local.histogram(question, asked),
            Reached::There(client) => remote::histogram(client, question, asked),
        }
    }

    /// What there is.
    pub(crate) fn extent(&self) -> Result<Extent, Failures> {
        match self.reach()? {
            Reached::Here(local) => local.extent(),
            Reached::There(client) => remote::extent(client),
        }
    }

    /// Answers a question in SQL; hands the answer to `out` in pieces of the format asked for.
    pub(crate) fn sql(&self, request: &SqlRequest, out: &mut Pieces<'_>) -> Result<SqlSummary, Failures> {
        match self.reach()? {
            Reached::Here(local) => local.sql(request, out),
            Reached::There(client) => remote::sql(client, request, out),
        }
    }

    /// Hands out events as they come, after the newest `last` that are there; ends only with a failure.
    pub(crate) fn tail(&self, question: &Question, last: usize, context: &Context, found: &mut Found<'_>) -> Result<(), Failures> {
        match (self, self.reach()?) {
            (Self::Files(_), _) => Err(Failure::usage("files", "files do not grow here").help("decklog serve --tail FILE").into()),
            (_, Reached::Here(local)) => local.tail(question, last, found),
            (_, Reached::There(client)) => remote::tail(client, question, last, context, found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_then_variables_then_the_programs_name() {
        let none = TargetFlags::default;
        let chosen = |flags: TargetFlags, invoked, variables: &[(&'static str, &'static str)]| {
            Choice::of(&flags, invoked, &|name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| *value))
        };
        let server = [("DECKLOG_SERVER", "http://s"), ("DECKLOG_DATA_DIR", "d"), ("DECKLOG_SERVICE", "a/b"), ("KUBECONFIG", "/k")];
        use Invoked::{Decklog, Kubectl, KubectlCompletion};
        assert_eq!(chosen(TargetFlags { data_dir: Some("x".into()), ..none() }, Kubectl, &server), Choice::DataDir(Some("x".into())));
        assert_eq!(chosen(TargetFlags { server: Some("http://x".to_owned()), ..none() }, Kubectl, &server), Choice::Server("http://x".to_owned()));
        for flags in [
            TargetFlags { kubeconfig: Some("k".into()), ..none() },
            TargetFlags { context: Some("c".to_owned()), ..none() },
            TargetFlags { service: Some("a/b".to_owned()), ..none() },
        ] {
            assert_eq!(chosen(flags, Decklog, &server), Choice::Cluster);
        }
        assert_eq!(chosen(none(), Kubectl, &server), Choice::Server("http://s".to_owned()));
        assert_eq!(chosen(none(), Kubectl, &server[1..]), Choice::DataDir(Some("d".into())));
        assert_eq!(chosen(none(), Decklog, &server[2..]), Choice::Usual, "a kubeconfig and a Service alone choose nothing");
        assert_eq!(chosen(none(), Kubectl, &[]), Choice::Cluster);
        assert_eq!(chosen(none(), KubectlCompletion, &[]), Choice::Cluster);
    }
}
