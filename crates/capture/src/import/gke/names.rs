//! What an entry's `resourceName` and `methodName` say of the request.
//!
//! `resourceName` holds group, version and path: `rbac.authorization.k8s.io/v1/namespaces/shop/rolebindings/debug`.
//! `methodName` holds the group reversed, the version, the resource and the verb:
//! `io.k8s.authorization.rbac.v1.rolebindings.create`; it is read only for the verb, and to tell a
//! namespace's subresource from a list of objects in it.

/// What the request is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) verb: String,
    /// Empty for the core group.
    pub(super) group: String,
    pub(super) version: String,
    pub(super) namespace: Option<String>,
    /// None where `resourceName` does not name one.
    pub(super) resource: Option<String>,
    pub(super) name: Option<String>,
    pub(super) subresource: Option<String>,
    /// Behind the subresource, such as the path that is asked of a proxy.
    rest: Option<String>,
    /// `resourceName`, where no resource can be read in it.
    unread: String,
}

impl Target {
    pub(super) fn new(resource_name: &str, method_name: &str) -> Self {
        let (method, verb) = method_name.rsplit_once('.').unwrap_or(("", method_name));
        let mut target = Self { verb: verb.to_owned(), ..Self::default() };
        let parts: Vec<&str> = resource_name.trim_matches('/').splitn(3, '/').collect();
        let [group, version, path] = parts[..] else {
            target.unread = resource_name.to_owned();
            return target;
        };
        target.group = if group == "core" { String::new() } else { group.to_owned() };
        target.version = version.to_owned();
        let path: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let of_namespace = method.ends_with(".namespaces") || method.contains(".namespaces.");
        match path[..] {
            // The namespace itself is in itself, as kube-apiserver sees it.
            ["namespaces", namespace] => {
                (target.resource, target.name) = (Some("namespaces".to_owned()), Some(namespace.to_owned()));
                target.namespace = Some(namespace.to_owned());
            }
            ["namespaces", namespace, subresource] if of_namespace => {
                (target.resource, target.name) = (Some("namespaces".to_owned()), Some(namespace.to_owned()));
                (target.namespace, target.subresource) = (Some(namespace.to_owned()), Some(subresource.to_owned()));
            }
            ["namespaces", namespace, ref path @ ..] if !path.is_empty() => {
                target.namespace = Some(namespace.to_owned());
                target.set_path(path);
            }
            ref path => target.set_path(path),
        }
        target
    }

    fn set_path(&mut self, path: &[&str]) {
        let mut path = path.iter().map(|part| (*part).to_owned());
        (self.resource, self.name, self.subresource) = (path.next(), path.next(), path.next());
        let rest: Vec<String> = path.collect();
        self.rest = (!rest.is_empty()).then(|| rest.join("/"));
    }

    /// Whether the request is answered by a connection.
    pub(super) fn is_connection(&self) -> bool {
        matches!(self.subresource.as_deref(), Some("exec" | "attach" | "portforward"))
    }

    /// The path of the request, as far as it can be told: its query is not in the entry.
    pub(super) fn request_uri(&self) -> String {
        let Some(resource) = &self.resource else {
            return format!("/{}", self.unread.trim_start_matches('/'));
        };
        let mut uri = if self.group.is_empty() { format!("/api/{}", self.version) } else { format!("/apis/{}/{}", self.group, self.version) };
        if let Some(namespace) = self.namespace.as_ref().filter(|_| resource != "namespaces") {
            uri.push_str("/namespaces/");
            uri.push_str(namespace);
        }
        // A new object is posted to its collection.
        let is_new = self.verb == "create" && self.subresource.is_none();
        let name = self.name.as_ref().filter(|_| !is_new && self.verb != "deletecollection");
        for part in [Some(resource), name, self.subresource.as_ref(), self.rest.as_ref()].into_iter().flatten() {
            uri.push('/');
            uri.push_str(part);
        }
        uri
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(resource_name: &str, method_name: &str, expected: &str, uri: &str) {
        let target = Target::new(resource_name, method_name);
        let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let parts = [
            target.verb.clone(),
            target.group.clone(),
            target.version.clone(),
            text(&target.namespace),
            text(&target.resource),
            text(&target.name),
            text(&target.subresource),
        ];
        assert_eq!((parts.join(" ").as_str(), target.request_uri().as_str()), (expected, uri));
    }

    #[test]
    fn every_shape() {
        check("core/v1/pods", "io.k8s.core.v1.pods.list", "list  v1 - pods - -", "/api/v1/pods");
        check("core/v1/namespaces", "io.k8s.core.v1.namespaces.list", "list  v1 - namespaces - -", "/api/v1/namespaces");
        check("core/v1/namespaces/foo", "io.k8s.core.v1.namespaces.get", "get  v1 foo namespaces foo -", "/api/v1/namespaces/foo");
        check("core/v1/namespaces/foo", "io.k8s.core.v1.namespaces.create", "create  v1 foo namespaces foo -", "/api/v1/namespaces");
        check(
            "core/v1/namespaces/foo/finalize",
            "io.k8s.core.v1.namespaces.finalize.update",
            "update  v1 foo namespaces foo finalize",
            "/api/v1/namespaces/foo/finalize",
        );
        check(
            "core/v1/namespaces/foo/status",
            "io.k8s.core.v1.namespaces.status.patch",
            "patch  v1 foo namespaces foo status",
            "/api/v1/namespaces/foo/status",
        );
        check("core/v1/namespaces/foo/pods", "io.k8s.core.v1.pods.list", "list  v1 foo pods - -", "/api/v1/namespaces/foo/pods");
        check("core/v1/namespaces/foo/pods", "io.k8s.core.v1.pods.deletecollection", "deletecollection  v1 foo pods - -", "/api/v1/namespaces/foo/pods");
        check("core/v1/namespaces/shop/pods/web", "io.k8s.core.v1.pods.create", "create  v1 shop pods web -", "/api/v1/namespaces/shop/pods");
        check(
            "core/v1/namespaces/shop/pods/web/exec",
            "io.k8s.core.v1.pods.exec.create",
            "create  v1 shop pods web exec",
            "/api/v1/namespaces/shop/pods/web/exec",
        );
        check(
            "core/v1/namespaces/shop/services/web/proxy/a/b",
            "io.k8s.core.v1.services.proxy.get",
            "get  v1 shop services web proxy",
            "/api/v1/namespaces/shop/services/web/proxy/a/b",
        );
        check("core/v1/nodes/n1/status", "io.k8s.core.v1.nodes.status.patch", "patch  v1 - nodes n1 status", "/api/v1/nodes/n1/status");
        check(
            "rbac.authorization.k8s.io/v1/namespaces/shop/rolebindings/debug",
            "io.k8s.authorization.rbac.v1.rolebindings.update",
            "update rbac.authorization.k8s.io v1 shop rolebindings debug -",
            "/apis/rbac.authorization.k8s.io/v1/namespaces/shop/rolebindings/debug",
        );
        check(
            "etcd.database.coreos.com/v1beta2/namespaces/db/etcdclusters/main",
            "com.coreos.database.etcd.v1beta2.etcdclusters.delete",
            "delete etcd.database.coreos.com v1beta2 db etcdclusters main -",
            "/apis/etcd.database.coreos.com/v1beta2/namespaces/db/etcdclusters/main",
        );
        check(
            "apiextensions.k8s.io/v1/customresourcedefinitions/x.y.z",
            "io.k8s.apiextensions.v1.customresourcedefinitions.get",
            "get apiextensions.k8s.io v1 - customresourcedefinitions x.y.z -",
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/x.y.z",
        );
        check("healthz", "io.k8s.get", "get   - - - -", "/healthz");
        check("apps/v1", "io.k8s.apps.v1.get", "get   - - - -", "/apps/v1");
        check("", "", "   - - - -", "/");
    }
}
