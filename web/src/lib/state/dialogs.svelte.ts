/** Which dialog is open, and what has been filled in; closing one keeps its draft. */
import type { Member, NewGroup } from "../api/types";

export type OpenDialog =
  | { readonly kind: "found" }
  | { readonly kind: "join" }
  | { readonly kind: "contact" }
  | { readonly kind: "invite"; readonly group: string }
  | { readonly kind: "remove"; readonly group: string; readonly member: Member }
  | { readonly kind: "leave"; readonly group: string }
  | { readonly kind: "forget"; readonly group: string };

const NO_GROUP: NewGroup = { name: "", description: "", preset: "day" };

export class Dialogs {
  open = $state.raw<OpenDialog | null>(null);
  found = $state<NewGroup>({ ...NO_GROUP });
  join = $state({ invite: "" });
  invite = $state({ contact: "", days: 7 });

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
}
