/** What people are called. A name is what somebody calls themselves: shown, never trusted. */
import type { Person } from "../api/types";

export function shortAddress(address: string): string {
  return address.length <= 13 ? address : `${address.slice(0, 6)}…${address.slice(-4)}`;
}

export function nameOf(person: Pick<Person, "address" | "name">): string {
  return person.name.trim() === "" ? shortAddress(person.address) : person.name;
}

export const capital = (text: string): string => text.slice(0, 1).toUpperCase() + text.slice(1);

/** "1 member", "3 members". */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString("en-GB")} ${count === 1 ? one : many}`;
}
