/** What a proposal card says beyond the node's own sentences. */
import type { Proposal } from "../api/types";
import { duration, until } from "./durations";
import { moment } from "./times";

export function statusWord(proposal: Proposal, now: number): string {
  switch (proposal.status) {
    case "open":
      return proposal.deadline > now ? `${duration(proposal.deadline - now)} left` : "Counting";
    case "approved":
      return "Approved";
    case "rejected":
      return "Rejected";
    case "committed":
      return "Committed";
    case "withdrawn":
      return "Withdrawn";
    case "noted":
      return "Noted";
  }
}

/** My vote, and whether it is final. */
export function myVote(proposal: Proposal): string {
  if (proposal.by_nodes) return nodesVote(proposal);
  if (proposal.my_vote !== null) return `You voted ${proposal.my_vote ? "yes" : "no"}. A vote is final.`;
  if (proposal.status !== "open") return "You did not vote.";
  if (proposal.may_vote) return "A vote is final.";
  return proposal.decided_by === "stewards"
    ? "The stewards decide this; you have no vote on it."
    : "You have no vote on this.";
}

function nodesVote(proposal: Proposal): string {
  if (proposal.my_vote !== null) return `Your node voted ${proposal.my_vote ? "yes" : "no"}.`;
  return proposal.status === "open" ? "Your node has not voted yet." : "Your node did not vote.";
}

/** What happens, and when, if I do nothing. Empty once it is over. */
export function ifNothing(proposal: Proposal, now: number): string {
  if (proposal.status === "approved") return "Approved: it happens with the next commit.";
  if (proposal.status !== "open") return "";
  if (proposal.deadline <= now) return "The time is up; the votes are being counted.";
  if (proposal.by_nodes) return `Nothing to do: the nodes decide it ${until(proposal.deadline, now)} at the latest.`;
  const when = `${until(proposal.deadline, now)}, at ${moment(proposal.deadline, now)}`;
  if (proposal.my_vote !== null || !proposal.may_vote)
    return `Decided ${when}, or as soon as enough have voted.`;
  if (proposal.emergency?.node_votes === true) return nodeSaysYes(proposal.emergency.nodes_vote_at, now);
  return proposal.silence_is_yes
    ? `Your silence counts as yes ${when}.`
    : `Your silence does not count as yes; it closes ${when}.`;
}

/** An emergency that the own node has confirmed. */
function nodeSaysYes(at: number, now: number): string {
  return at <= now
    ? "Your node says yes now, since you have not voted."
    : `If you do not vote, your node says yes ${until(at, now)}, at ${moment(at, now)}.`;
}

export const isUndecided = (proposal: Proposal): boolean =>
  proposal.status === "open" || proposal.status === "approved";

export const needsMyVote = (proposal: Proposal): boolean =>
  proposal.status === "open" && proposal.may_vote && !proposal.by_nodes && proposal.my_vote === null;

/** Does the proposal concern one person, whose address then tells who is meant? */
export const isOfOne = (proposal: Proposal): boolean =>
  proposal.kind !== "election" && proposal.kind !== "settings";

/** The heading of a card; what a change of the settings comes to stands below it, line by line. */
export const heading = (proposal: Proposal): string =>
  proposal.kind === "settings" && proposal.differences.length > 0 ? "Change the settings" : proposal.title;

export interface Tally {
  readonly yes: number;
  readonly silent: number;
  readonly no: number;
  readonly needed: number;
}

/** The widths of the bar in parts of 100: yes from the left, no from the right, the silent between. */
export function tally(proposal: Pick<Proposal, "voters" | "yes" | "no" | "silent" | "needed">): Tally {
  const share = (count: number) => (proposal.voters === 0 ? 0 : (100 * count) / proposal.voters);
  return {
    yes: share(proposal.yes),
    silent: share(proposal.silent),
    no: share(proposal.no),
    needed: Math.min(100, share(proposal.needed)),
  };
}
