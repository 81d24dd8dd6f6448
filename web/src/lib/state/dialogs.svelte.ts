/** Which dialog is open, and what has been filled in; closing one keeps its draft. */
import type { Member, NewGroup } from "../api/types";
import type { PolicyDraft, Values } from "../settings/draft";
import type { Form } from "../settings/form";

export type OpenDialog =
  | { readonly kind: "found" }
  | { readonly kind: "join" }
  | { readonly kind: "contact" }
  | { readonly kind: "invite"; readonly group: string }
  | { readonly kind: "settings"; readonly group: string }
  | { readonly kind: "successor"; readonly group: string }
  | { readonly kind: "remove"; readonly group: string; readonly member: Member }
  | { readonly kind: "about"; readonly group: string; readonly address: string }
  | { readonly kind: "deadlock"; readonly group: string }
  | { readonly kind: "leave"; readonly group: string }
  | { readonly kind: "forget"; readonly group: string };

export interface FoundDraft {
  name: string;
  description: string;
  preset: NewGroup["preset"];
  /** Once somebody has looked at the rules: the preset's, and the form of them. */
  rules: { base: Values; policy: PolicyDraft } | null;
}

export interface SuccessorDraft {
  name: string;
  description: string;
  /** Addresses of members that are not to come along. */
  without: string[];
  /** The node has said that there is one already, and one more is wanted. */
  again: boolean;
}

const NO_GROUP: FoundDraft = { name: "", description: "", preset: "day", rules: null };

export class Dialogs {
  open = $state.raw<OpenDialog | null>(null);
  found = $state<FoundDraft>({ ...NO_GROUP });
  join = $state({ invite: "" });
  invite = $state({ contact: "", days: 7, open: false });
  /** By group. */
  settings = $state<Record<string, Form>>({});
  /** By group. */
  successors = $state<Record<string, SuccessorDraft>>({});

  show(dialog: OpenDialog): void {
    this.open = dialog;
  }

  close(): void {
    this.open = null;
  }

  founded(): void {
    this.found = { ...NO_GROUP };
    this.close();
  }

  joined(): void {
    this.join = { invite: "" };
    this.close();
  }

  settled(group: string): void {
    this.settings = without(this.settings, group);
    this.close();
  }

  succeeded(group: string): void {
    this.successors = without(this.successors, group);
    this.close();
  }
}

const without = <T>(drafts: Readonly<Record<string, T>>, group: string): Record<string, T> =>
  Object.fromEntries(Object.entries(drafts).filter(([id]) => id !== group));
