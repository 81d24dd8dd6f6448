/** Which commands the composer offers for what has been typed. The node carries them out. */
import type { Member } from "../api/types";
import { nameOf } from "./people";

export interface Hint {
  /** What the composer holds once it is chosen. */
  readonly text: string;
  readonly label: string;
  readonly explanation: string;
}

const COMMANDS: readonly Hint[] = [
  { text: "/ban ", label: "/ban 0x…", explanation: "ask the group to remove a member" },
  { text: "/leave", label: "/leave", explanation: "leave this group at its next commit" },
  { text: "/help", label: "/help", explanation: "say what can be typed here" },
];

const HINTS_MAX = 6;

export function hintsFor(draft: string, members: readonly Member[]): readonly Hint[] {
  if (!draft.startsWith("/") || draft.includes("\n")) return [];
  const ban = /^\/ban\s+(\S*)$/u.exec(draft);
  if (ban === null)
    return COMMANDS.filter((command) => command.text.startsWith(draft) && command.text !== draft);
  const wanted = (ban[1] ?? "").toLowerCase();
  const seen = new Set<string>();
  return members
    .filter((member) => {
      const isNew = !member.is_me && !seen.has(member.address);
      seen.add(member.address);
      return (
        isNew &&
        member.address !== wanted &&
        `${member.address} ${member.name.toLowerCase()}`.includes(wanted)
      );
    })
    .slice(0, HINTS_MAX)
    .map((member) => ({
      text: `/ban ${member.address}`,
      label: nameOf(member),
      explanation: member.address,
    }));
}
