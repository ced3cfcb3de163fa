// What a panel says as long as there is no policy that it could ask about.

import { visible } from "../../state/hostile.ts";
import { check, checked, goToLine, isBlank, PROFILES, takeProfile, template } from "../../state/policy/policy.ts";
import { FailureBox } from "../States.tsx";

export function NeedsPolicy() {
  const said = checked.value;
  const { failure } = check.answer.value;
  if (isBlank.value)
    return (
      <div class="state">
        <h2>No policy yet.</h2>
        <p>Paste one into the editor, open a file, or begin with one of these:</p>
        <p class="acts">
          {PROFILES.map(({ name, words }) => (
            <button key={name} type="button" title={words} onClick={() => void takeProfile(name)}>
              {name}
            </button>
          ))}
        </p>
        {template.answer.value.failure && (
          <p class="danger" role="alert">
            {visible(template.answer.value.failure.message)}
          </p>
        )}
      </div>
    );
  // Nothing can be said without the check; the failure of one is told here, as it is of no panel.
  if (failure) return <FailureBox failure={failure} onRetry={() => check.again()} />;
  if (said === null || said.ok) return null;
  return (
    <div class="state is-failure">
      <p>
        kube-apiserver would not start with this policy
        {said.line !== undefined && (
          <>
            {": "}
            <button type="button" class="small" onClick={() => goToLine(said.line!)}>
              line {said.line}
            </button>
          </>
        )}
      </p>
      {said.error && <p>{visible(said.error)}</p>}
    </div>
  );
}
