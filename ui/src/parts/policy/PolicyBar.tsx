// What can be done with the policy as a whole: templates, files, copies, and the kube-apiserver it is for.

import { useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { save } from "../../state/download.ts";
import { visible } from "../../state/hostile.ts";
import { asConfigMap, asFlag, FILE, normal } from "../../state/policy/handing.ts";
import { text } from "../../state/policy/kept.ts";
import { isBlank, PROFILES, TARGETS, take, takeProfile, target, template } from "../../state/policy/policy.ts";
import { changePolicy } from "../../state/view.ts";
import { Icon } from "../Mark.tsx";
import { Menu } from "../Menu.tsx";

/** Larger than any policy: kube-apiserver's own are a few kilobytes. */
const MAX_FILE = 1024 * 1024;

export function PolicyBar() {
  return (
    <div class="policy-bar">
      <TemplateMenu />
      <OpenFile
        label="Open file"
        onText={(read) => {
          take(read);
          changePolicy({ pane: "editor" }, "replace");
        }}
      />
      <KeepMenu />
      <label class="target">
        <span class="target-long">for kube-apiserver</span>
        <select
          aria-label="kube-apiserver's version"
          value={target.value}
          onChange={(event) => {
            target.value = event.currentTarget.value;
          }}
        >
          {TARGETS.map((version) => (
            <option key={version}>{version}</option>
          ))}
        </select>
      </label>
    </div>
  );
}

function TemplateMenu() {
  const { failure } = template.answer.value;
  return (
    <Menu label="Template">
      {(close) => (
        <div class="template-menu">
          {PROFILES.map(({ name, words }) => (
            <button
              key={name}
              type="button"
              onClick={() => {
                void takeProfile(name).then(() => {
                  if (template.answer.peek().failure === null) close();
                });
              }}
            >
              <b>{name}</b> <span class="muted">{words}</span>
            </button>
          ))}
          {failure && (
            <p class="danger" role="alert">
              {visible(failure.message)}
            </p>
          )}
          <p class="muted">It takes the place of the text; Ctrl+Z brings that back.</p>
        </div>
      )}
    </Menu>
  );
}

/** A button that reads a file of this machine; nothing is sent anywhere. */
export function OpenFile({ label, onText }: { label: string; onText(text: string): void }) {
  const input = useRef<HTMLInputElement>(null);
  const words = useSignal("");
  const read = async (file: File | undefined) => {
    if (!file) return;
    words.value =
      file.size > MAX_FILE ? `${visible(file.name)} has ${file.size.toLocaleString("en")} bytes; a policy has 1 MiB at most.` : "";
    if (words.value === "") onText(normal(await file.text()));
    if (input.current) input.current.value = ""; // the same file again is a change too
  };
  return (
    <>
      <button type="button" onClick={() => input.current?.click()}>
        <Icon name="open" /> {label}
      </button>
      <input
        ref={input}
        type="file"
        hidden
        aria-label={label}
        accept=".yaml,.yml,.json,text/yaml,application/yaml,application/json"
        onChange={(event) => void read(event.currentTarget.files?.[0])}
      />
      {words.value && (
        <span class="danger" role="alert">
          {words.value}
        </span>
      )}
    </>
  );
}

function KeepMenu() {
  const copied = useSignal("");
  const copy = (name: string, what: string) => {
    navigator.clipboard.writeText(what).then(
      () => (copied.value = name),
      () => (copied.value = "refused"),
    );
  };
  return (
    <Menu label="Keep">
      {(close) => (
        <>
          <button
            type="button"
            disabled={isBlank.value}
            onClick={() => {
              close();
              save(new Blob([text.value], { type: "application/yaml" }), FILE);
            }}
          >
            <Icon name="down" /> Download
          </button>
          <button type="button" disabled={isBlank.value} onClick={() => copy("map", asConfigMap(text.value))}>
            <Icon name="copy" /> {copied.value === "map" ? "Copied" : "Copy as ConfigMap"}
          </button>
          <button type="button" onClick={() => copy("flag", asFlag())}>
            <Icon name="copy" /> {copied.value === "flag" ? "Copied" : "Copy as flag"}
          </button>
          {copied.value === "refused" && <p class="danger">The browser did not allow it.</p>}
          <p class="muted">
            The flag is <code>{asFlag()}</code>
          </p>
        </>
      )}
    </Menu>
  );
}
