/** The form in which a person proposes other settings for a group. Pure. */
import type { Group, NewSettings } from "../api/types";
import { changeOf, draftOf, type PolicyDraft, rebased, type Values, valuesOf } from "./draft";
import type { Settings } from "./words";

/** As agreed now, or the name of a preset. */
export const NOW = "now";

export interface Form {
  name: string;
  description: string;
  policy: PolicyDraft;
  /** Whose values fill in what was not typed. */
  start: string;
  /** What was filled in before anything was typed. */
  base: Settings;
}

export function settingsOf(group: Pick<Group, "name" | "description" | "policy">): Settings | null {
  return group.policy === null
    ? null
    : { name: group.name, description: group.description, values: group.policy };
}

export const formOf = (now: Settings): Form => ({
  name: now.name,
  description: now.description,
  policy: draftOf(now.values),
  start: NOW,
  base: now,
});

/** The group has agreed on something else meanwhile: what was typed stays. */
export function realigned(form: Form, now: Settings): Form {
  const { base } = form;
  const values = form.start === NOW ? now.values : base.values;
  return {
    name: form.name === base.name ? now.name : form.name,
    description: form.description === base.description ? now.description : form.description,
    policy: rebased(form.policy, base.values, values),
    start: form.start,
    base: { ...now, values },
  };
}

export function startedFrom(form: Form, start: string, values: Values): Form {
  return {
    ...form,
    policy: rebased(form.policy, form.base.values, values),
    start,
    base: { ...form.base, values },
  };
}

/** What the members are asked; spaces around a name say nothing. */
export const wanted = (form: Form): Settings => ({
  name: form.name.trim(),
  description: form.description.trim(),
  values: valuesOf(form.policy),
});

export function proposalOf(now: Settings, form: Form): NewSettings {
  const then = wanted(form);
  return {
    ...(then.name === now.name ? {} : { name: then.name }),
    ...(then.description === now.description ? {} : { description: then.description }),
    policy: changeOf(now.values, then.values),
  };
}
