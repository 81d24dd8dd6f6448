/** The steward list as a picture tells it: who, in which order, and what is to be said about somebody. */
import type { Group, Member, Person } from "../api/types";

export interface Turn {
  readonly person: Person;
  readonly role: Member["role"];
  /** What the role means. */
  readonly words: string;
  readonly isDormant: boolean;
  readonly hasLostTurn: boolean;
  readonly remarks: readonly string[];
}

const WORDS: Readonly<Record<Member["role"], string>> = {
  "epoch steward": "makes the next commit",
  "backup steward": "steps in if it does not come",
  steward: "has a later turn",
  member: "has no turn",
};

/** In the order of turns. `members` may still be on their way: then nobody is remarked on. */
export function turnsOf(
  group: Pick<Group, "stewards" | "epoch_steward" | "backup_steward">,
  members: readonly Member[],
): readonly Turn[] {
  const named = new Set(group.stewards.map((person) => person.address));
  const known = new Map<string, Member>();
  for (const member of members) {
    // Of somebody's several devices, the one that there is something to say about.
    const isFirst = !known.has(member.address) || member.remarks.length > 0;
    if (named.has(member.address) && isFirst) known.set(member.address, member);
  }
  return group.stewards.map((person) => {
    const member = known.get(person.address);
    const role = roleOf(person, group);
    return {
      person,
      role,
      words: WORDS[role],
      isDormant: member?.dormant ?? false,
      hasLostTurn: member?.lost_turn ?? false,
      remarks: member?.remarks ?? [],
    };
  });
}

function roleOf(person: Person, group: Pick<Group, "epoch_steward" | "backup_steward">): Member["role"] {
  if (person.address === group.epoch_steward?.address) return "epoch steward";
  return person.address === group.backup_steward?.address ? "backup steward" : "steward";
}
