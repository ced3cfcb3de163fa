-- One row per event. {columns} stands for all stored columns.
SELECT
    event_id({columns}) AS id,
    cluster,
    source,
    seq,
    ingested_at,
    time,
    received,
    CASE WHEN (stage IS DISTINCT FROM 'RequestReceived') AND (flags & 1) = 0 THEN CAST(time AS BIGINT) - CAST(received AS BIGINT) END AS latency_us,
    latency_part_us(annotations, 'total') AS latency_total_us,
    latency_part_us(annotations, 'etcd') AS latency_etcd_us,
    level,
    stage,
    verb,
    audit_id,
    request_uri,
    event_path(request_uri) AS path,
    user_agent,
    event_tool(user_agent) AS tool,
    username,
    user_uid,
    as_username,
    user_groups,
    as_groups,
    credential,
    CASE
        WHEN NOT starts_with(username, 'system:') THEN 'user'
        WHEN username = 'system:anonymous' THEN 'anonymous'
        WHEN starts_with(username, 'system:serviceaccount:') THEN 'serviceaccount'
        WHEN starts_with(username, 'system:node:') THEN 'node'
        WHEN username IS NOT NULL THEN 'system'
    END AS usertype,
    event_service_account(username) AS service_account,
    source_ips,
    event_peer(source_ips) AS peer_ip,
    sender,
    resource,
    subresource,
    api_group,
    api_version,
    namespace,
    name,
    object_uid,
    resource_version,
    code,
    reason,
    message,
    decision,
    authz_reason,
    CASE
        WHEN stage = 'Panic' THEN 'error'
        WHEN code = 401 OR code = 403 THEN 'denied'
        WHEN code < 400 THEN 'allowed'
        WHEN code IS NOT NULL THEN 'error'
    END AS outcome,
    CASE
        WHEN subresource IN ('exec', 'attach', 'portforward', 'proxy') THEN 'connect'
        WHEN verb IN ('get', 'list', 'watch', 'head', 'options') THEN 'read'
        WHEN verb = 'create'
            AND api_group IN ('authorization.k8s.io', 'authentication.k8s.io')
            AND resource IN ('subjectaccessreviews', 'selfsubjectaccessreviews', 'localsubjectaccessreviews', 'selfsubjectrulesreviews', 'tokenreviews', 'selfsubjectreviews')
            THEN 'read'
        WHEN verb IN ('create', 'update', 'patch', 'post', 'put') THEN 'change'
        WHEN verb IN ('delete', 'deletecollection') THEN 'delete'
        WHEN verb = 'proxy' THEN 'connect'
        WHEN verb IS NOT NULL THEN 'other'
    END AS verbclass,
    stage IS NOT NULL AND (
        stage = 'ResponseComplete' OR stage = 'Panic'
        OR (stage = 'ResponseStarted' AND code IS NOT NULL AND code = 401 AND username IS NULL)
    ) AS final,
    event_dryrun(request_uri) AS dryrun,
    (verb IS NOT NULL AND verb IN ('watch', 'proxy'))
        OR (subresource IS NOT NULL AND subresource IN ('proxy', 'exec', 'attach', 'portforward', 'log')) AS longrunning,
    annotations,
    user_extra,
    request_object,
    response_object,
    event_line({columns}) AS event,
    CAST(event_bytes AS BIGINT) AS event_bytes
FROM stored
