/** Which group is open and, on small screens, which of the three panes is seen. The group is in the address. */

export type Pane = "groups" | "conversation" | "glance";

const GROUP = "#/group/";

/** The one-time code of an address as `demls node` prints it, else null. */
export function codeIn(hash: string): string | null {
  const code = hash.replace(/^#/u, "");
  return code === "" || code.startsWith("/") ? null : decodeURIComponent(code);
}

export function groupIn(hash: string): string | null {
  return hash.startsWith(GROUP) ? decodeURIComponent(hash.slice(GROUP.length)) : null;
}

export class Route {
  group = $state<string | null>(groupIn(location.hash));
  pane = $state<Pane>(groupIn(location.hash) === null ? "groups" : "conversation");
  /** The proposal that the conversation is asked to scroll to. */
  shownProposal = $state<string | null>(null);

  /** Follows the browser's back and forward; returns how to stop it. */
  start(): () => void {
    const follow = () => {
      this.group = groupIn(location.hash);
      this.pane = this.group === null ? "groups" : "conversation";
    };
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }

  open(group: string): void {
    this.group = group;
    this.pane = "conversation";
    const hash = GROUP + encodeURIComponent(group);
    if (location.hash !== hash) history.pushState(null, "", hash);
  }

  showProposal(proposal: string): void {
    this.shownProposal = proposal;
    this.pane = "conversation";
  }

  close(): void {
    this.group = null;
    this.pane = "groups";
    history.replaceState(null, "", location.pathname + location.search);
  }
}
