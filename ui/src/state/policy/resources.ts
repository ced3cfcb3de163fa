// Kubernetes' own resources with their API group and kubectl's short names: what a pasted kubectl line means.

/** Group, then each resource with its other names. */
const GROUPS: [string, string][] = [
  [
    "",
    "bindings configmaps,cm endpoints,ep events,ev limitranges,limits namespaces,ns nodes,no persistentvolumeclaims,pvc " +
      "persistentvolumes,pv pods,po podtemplates replicationcontrollers,rc resourcequotas,quota secrets serviceaccounts,sa services,svc",
  ],
  ["apps", "controllerrevisions daemonsets,ds deployments,deploy replicasets,rs statefulsets,sts"],
  ["batch", "cronjobs,cj jobs"],
  ["autoscaling", "horizontalpodautoscalers,hpa"],
  ["networking.k8s.io", "ingresses,ing ingressclasses networkpolicies,netpol"],
  ["rbac.authorization.k8s.io", "clusterrolebindings clusterroles rolebindings roles"],
  ["storage.k8s.io", "csidrivers csinodes storageclasses,sc volumeattachments"],
  ["policy", "poddisruptionbudgets,pdb"],
  ["coordination.k8s.io", "leases"],
  ["discovery.k8s.io", "endpointslices"],
  ["scheduling.k8s.io", "priorityclasses,pc"],
  ["admissionregistration.k8s.io", "mutatingwebhookconfigurations validatingwebhookconfigurations validatingadmissionpolicies"],
  ["apiextensions.k8s.io", "customresourcedefinitions,crd,crds"],
  ["apiregistration.k8s.io", "apiservices"],
  ["certificates.k8s.io", "certificatesigningrequests,csr"],
  ["authentication.k8s.io", "tokenreviews selfsubjectreviews"],
  ["authorization.k8s.io", "subjectaccessreviews selfsubjectaccessreviews localsubjectaccessreviews selfsubjectrulesreviews"],
];

/** Resources that are in no namespace: a line that names none means the default one for all others. */
const CLUSTER_WIDE = new Set(
  (
    "namespaces nodes persistentvolumes ingressclasses clusterrolebindings clusterroles csidrivers csinodes storageclasses " +
    "volumeattachments priorityclasses mutatingwebhookconfigurations validatingwebhookconfigurations validatingadmissionpolicies " +
    "customresourcedefinitions apiservices certificatesigningrequests tokenreviews selfsubjectreviews subjectaccessreviews " +
    "selfsubjectaccessreviews selfsubjectrulesreviews"
  ).split(" "),
);

const KNOWN = new Map<string, { resource: string; group: string }>();
for (const [group, words] of GROUPS) {
  for (const word of words.split(" ")) {
    const [resource, ...shorts] = word.split(",") as [string, ...string[]];
    const known = { resource, group };
    // kubectl takes the singular too: policies, ingresses and priorityclasses end otherwise than the rest.
    const singular = resource
      .replace(/ies$/, "y")
      .replace(/(ss)es$/, "$1")
      .replace(/([^s])s$/, "$1");
    for (const name of [resource, singular, ...shorts]) if (!KNOWN.has(name)) KNOWN.set(name, known);
  }
}

/** `deploy`, `deployments.apps`, `pods/log`, `widgets.v1.example.com`: what they name. */
export function resourceOf(word: string): { resource: string; group: string; version?: string; subresource?: string } {
  const [full, subresource] = word.split("/", 2) as [string, string?];
  const [first, ...rest] = full.split(".") as [string, ...string[]];
  const known = KNOWN.get(first.toLowerCase());
  const isVersion = rest[0] !== undefined && /^v\d+((alpha|beta)\d+)?$/.test(rest[0]);
  const group = rest.slice(isVersion ? 1 : 0).join(".");
  return {
    resource: known?.resource ?? first,
    group: group || (rest.length === 0 ? (known?.group ?? "") : ""),
    ...(isVersion ? { version: rest[0]! } : {}),
    ...(subresource ? { subresource } : {}),
  };
}

export function isClusterWide(resource: string): boolean {
  return CLUSTER_WIDE.has(resource);
}
