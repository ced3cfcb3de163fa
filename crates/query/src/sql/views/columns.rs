//! The columns of the views, in order, as `SHOW COLUMNS` and docs/sql.md give them.

/// A view.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// Its name.
    pub name: &'static str,
    /// What a row is.
    pub doc: &'static str,
    /// Its columns in order.
    pub columns: &'static [ViewColumn],
}

/// A column of a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ViewColumn {
    /// Its name.
    pub name: &'static str,
    /// Its type, as PostgreSQL calls it.
    pub sql_type: &'static str,
    /// What it holds.
    pub doc: &'static str,
}

const fn column(name: &'static str, sql_type: &'static str, doc: &'static str) -> ViewColumn {
    ViewColumn { name, sql_type, doc }
}

/// All views.
pub const VIEWS: &[View] = &[
    View { name: "events", doc: "One row per event.", columns: EVENTS },
    View { name: "requests", doc: "One row per request: its last event (`final`).", columns: &REQUESTS },
];

const EVENTS: &[ViewColumn] = &[
    column("id", "text", "the event's id: 32 hexadecimal digits; is computed, so asking by it reads everything"),
    column("cluster", "text", "decklog's name of the cluster"),
    column("source", "text", "the source it came through"),
    column("seq", "bigint", "its place in the journal; unique"),
    column("ingested_at", "timestamptz", "when decklog took it in"),
    column("time", "timestamptz", "stageTimestamp, by which events are ordered; where it is missing requestReceivedTimestamp, else `ingested_at`"),
    column("received", "timestamptz", "requestReceivedTimestamp"),
    column("latency_us", "bigint", "microseconds from `received` to `time`; NULL on RequestReceived"),
    column("latency_total_us", "bigint", "what kube-apiserver noted of the whole request, in microseconds; requests over 500 ms only"),
    column("latency_etcd_us", "bigint", "what kube-apiserver noted of etcd, in microseconds; requests over 500 ms only"),
    column("level", "text", "None, Metadata, Request or RequestResponse"),
    column("stage", "text", "RequestReceived, ResponseStarted, ResponseComplete or Panic"),
    column("verb", "text", "the verb; may be empty"),
    column("audit_id", "text", "auditID: one per request, but the client may have chosen it"),
    column("request_uri", "text", "path and query as sent"),
    column("path", "text", "the part of `request_uri` before `?`"),
    column("user_agent", "text", "the client's own description"),
    column("tool", "text", "`user_agent` up to the first `/` or space"),
    column("username", "text", "who authenticated; NULL on 401"),
    column("user_uid", "text", "that user's uid"),
    column("as_username", "text", "whom the user acts as, once that was allowed"),
    column("user_groups", "text[]", "that user's groups"),
    column("as_groups", "text[]", "the groups the user acts with"),
    column("credential", "text", "the id of the certificate or token used"),
    column("usertype", "text", "serviceaccount, node, anonymous, system or user"),
    column("service_account", "text", "the service account that asked, as namespace/name"),
    column("source_ips", "text[]", "all but the last are the client's to write"),
    column("peer_ip", "text", "the last of `source_ips`: who was connected"),
    column("sender", "text", "the address or file the event came from"),
    column("resource", "text", "objectRef.resource"),
    column("subresource", "text", "objectRef.subresource, such as exec, status, log"),
    column("api_group", "text", "objectRef.apiGroup; NULL for the core group"),
    column("api_version", "text", "objectRef.apiVersion"),
    column("namespace", "text", "objectRef.namespace; NULL for cluster-wide objects"),
    column("name", "text", "objectRef.name; NULL on lists and most creates"),
    column("object_uid", "text", "objectRef.uid"),
    column("resource_version", "text", "objectRef.resourceVersion"),
    column("code", "int", "the HTTP status code; NULL on RequestReceived"),
    column("reason", "text", "responseStatus.reason, such as NotFound"),
    column("message", "text", "responseStatus.message"),
    column("decision", "text", "how authorization decided: allow or forbid"),
    column("authz_reason", "text", "why, such as the binding"),
    column("outcome", "text", "allowed (code below 400), denied (401, 403) or error (any other, and Panic)"),
    column("verbclass", "text", "connect, read, change, delete or other: what the request does, whatever its verb"),
    column("final", "boolean", "the request's last event; never NULL"),
    column("dryrun", "boolean", "the query has dryRun=All; never NULL"),
    column("longrunning", "boolean", "watch, proxy, exec, attach, portforward, log; never NULL"),
    column("annotations", "text", "annotations as JSON"),
    column("user_extra", "text", "user.extra as JSON"),
    column("request_object", "text", "requestObject: the JSON as it came"),
    column("response_object", "text", "responseObject: the JSON as it came"),
    column("event", "text", "the event as it was stored, byte for byte"),
    column("event_bytes", "bigint", "its length in bytes"),
];

const REQUESTS: [ViewColumn; EVENTS.len() + 1] = {
    let mut columns = [column("ended", "timestamptz", "when the request ended: the same as `time`"); EVENTS.len() + 1];
    let mut index = 0;
    while index < EVENTS.len() {
        columns[index] = EVENTS[index];
        index += 1;
    }
    columns
};
