//! A policy as loaded, and the request it is asked about. Values only; who loads and who evaluates stand beside this file.

/// `audit.k8s.io/v1` Policy after loading. Texts are kept as written: a level or a stage may be a word that Kubernetes does not
/// know, which only a policy that skipped validation can hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Asked in this order, the first that matches decides; a request that none matches is not recorded.
    pub rules: Vec<Rule>,
    /// Stages that no request gets an event for, beside those a rule names.
    pub omit_stages: Vec<String>,
    /// Whether `managedFields` are left out of bodies where a rule does not say.
    pub omit_managed_fields: bool,
}

/// One rule. An empty list asks nothing, except that a rule with resources only matches resource requests and one with
/// `nonResourceURLs` only others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// `None`, `Metadata`, `Request` or `RequestResponse`.
    pub level: String,
    /// User names, compared exactly.
    pub users: Vec<String>,
    /// The user must be in one of these groups.
    pub user_groups: Vec<String>,
    /// Verbs in lower case, as request info gives them.
    pub verbs: Vec<String>,
    /// Kinds of resources, by API group.
    pub resources: Vec<GroupResources>,
    /// Namespaces; `""` stands for resources that have none.
    pub namespaces: Vec<String>,
    /// Paths; one `*` is allowed as the last character.
    pub non_resource_urls: Vec<String>,
    /// Stages that a request decided by this rule gets no event for.
    pub omit_stages: Vec<String>,
    /// Overrides the policy's own value if given.
    pub omit_managed_fields: Option<bool>,
}

/// Resources of one API group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupResources {
    /// The group's name without a version; `""` is the core group, `*` all of them from Kubernetes 1.36 on.
    pub group: String,
    /// `pods`, `pods/log`, `pods/*`, `*/scale`, `*`, `*/*`; none at all stands for every resource of the group.
    pub resources: Vec<String>,
    /// Names of objects; none at all stands for every name.
    pub resource_names: Vec<String>,
}

/// What a policy is asked about: the attributes that authorization sees of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes<'a> {
    /// Who asks; none where authentication has not named anyone.
    pub user: Option<User<'a>>,
    /// In lower case, as request info gives it: `get`, `list`, `watch`, `create` and so on; the method of a non-resource request.
    pub verb: &'a str,
    /// Empty where the request has none.
    pub namespace: &'a str,
    /// Empty for the core group.
    pub api_group: &'a str,
    /// Empty for non-resource requests.
    pub api_version: &'a str,
    /// Empty for non-resource requests.
    pub resource: &'a str,
    /// Empty where there is none.
    pub subresource: &'a str,
    /// The object's name; empty for lists, and for creations before the server chose one.
    pub name: &'a str,
    /// The decoded path of the request.
    pub path: &'a str,
    /// Whether the path is one of a resource.
    pub is_resource_request: bool,
}

/// Who asks, as far as a policy looks at it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct User<'a> {
    /// The user's name; may be empty.
    pub name: &'a str,
    /// The groups the server put the user in.
    pub groups: &'a [&'a str],
}
