// How a policy leaves the page: as a file, as a ConfigMap, as the flag that names it.

/** Where kube-apiserver's own documentation keeps it. */
const PATH = "/etc/kubernetes/audit-policy.yaml";
export const FILE = "audit-policy.yaml";

/** A ConfigMap with the policy, for control planes that run in a cluster. */
export function asConfigMap(text: string): string {
  const head = `apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: audit-policy\n  namespace: kube-system\ndata:\n  ${FILE}: `;
  // A block takes lines as they are, but no control characters, and its first line may not begin with a space of its own.
  const isBlock =
    !/[\u0000-\u0008\u000b-\u001f\u007f-\u0084\u0086-\u009f\ufeff]|[\ud800-\udfff](?![\udc00-\udfff])/.test(text) && !/^[ \n]/.test(text);
  if (!isBlock) return `${head}${JSON.stringify(text)}\n`;
  const lines = text.replace(/\n+$/, "").split("\n");
  return `${head}|\n${lines.map((line) => (line === "" ? "" : `    ${line}`)).join("\n")}\n`;
}

export function asFlag(): string {
  return `--audit-policy-file=${PATH}`;
}

/** What an editor holds: lines end in a line feed. */
export function normal(text: string): string {
  return text.replace(/^\ufeff/, "").replace(/\r\n?/g, "\n");
}
