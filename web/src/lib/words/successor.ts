/** Whom a successor group is founded with. */
import type { Group, Member } from "../api/types";

/** The others, each once, however many devices they have. */
export function peopleOf(members: readonly Member[]): readonly Member[] {
  const seen = new Set<string>();
  return members.filter((member) => {
    if (member.is_me || member.removal_pending || seen.has(member.address)) return false;
    seen.add(member.address);
    return true;
  });
}

/** Addresses of those who are not heard now: left out unless they are chosen. */
export function supposedlyGone(group: Pick<Group, "round">, people: readonly Member[]): string[] {
  const missing = new Set(group.round.missing.map((person) => person.address));
  return people
    .filter((person) => person.dormant || missing.has(person.address))
    .map((person) => person.address);
}
