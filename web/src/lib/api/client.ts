/** How the page asks the node: one function a route, typed answers, and the two ways it can fail. */
import type {
  Done,
  Group,
  GroupSummary,
  Member,
  NewEmergency,
  NewGroup,
  NewSettings,
  NewSuccessor,
  NodeInfo,
  Policy,
  Problem,
  Proposal,
  Sharable,
  TimelineEntry,
} from "./types";

/** The node answered no. `message` is its sentence for people. */
export class Refused extends Error {
  override readonly name = "Refused";

  constructor(
    readonly status: number,
    readonly code: string,
    sentence: string,
  ) {
    super(sentence);
  }

  get isSessionMissing(): boolean {
    return this.status === 401;
  }
}

/** The node did not answer at all. */
export class Unreachable extends Error {
  override readonly name = "Unreachable";

  constructor() {
    super(
      "Your node does not answer. Nothing that you wrote is lost; see whether demls node is still running.",
    );
  }
}

const PREFIX = "/api/v1";

export type Fetch = (input: string, init: RequestInit) => Promise<Response>;

export type Client = ReturnType<typeof createClient>;

export function createClient(fetch: Fetch) {
  async function ask<Answer>(method: string, path: string, body?: unknown): Promise<Answer> {
    let response: Response;
    try {
      response = await fetch(PREFIX + path, {
        method,
        headers: body === undefined ? {} : { "Content-Type": "application/json" },
        body: body === undefined ? null : JSON.stringify(body),
        credentials: "same-origin",
        cache: "no-store",
      });
    } catch {
      throw new Unreachable();
    }
    if (!response.ok) throw await refusal(response);
    if (response.status === 204) return undefined as Answer;
    return (await response.json()) as Answer;
  }

  const group = (id: string) => `/groups/${encodeURIComponent(id)}`;

  return {
    openSession: (code: string) => ask<undefined>("POST", "/session", { code }),
    node: () => ask<NodeInfo>("GET", "/node"),
    contact: () => ask<Sharable>("GET", "/contact"),
    presets: () => ask<Policy[]>("GET", "/presets"),
    groups: () => ask<GroupSummary[]>("GET", "/groups"),
    found: (asked: NewGroup) => ask<Group>("POST", "/groups", asked),
    join: (invite: string) => ask<Group>("POST", "/groups/join", { invite }),
    group: (id: string) => ask<Group>("GET", group(id)),
    members: (id: string) => ask<Member[]>("GET", `${group(id)}/members`),
    timeline: (id: string, limit: number, before?: number) =>
      ask<TimelineEntry[]>(
        "GET",
        `${group(id)}/timeline?limit=${limit}${before === undefined ? "" : `&before=${before}`}`,
      ),
    /** `client_id`: sent again under the same one, a message is said once. */
    send: (id: string, text: string, client_id?: string) =>
      ask<Done>("POST", `${group(id)}/messages`, { text, client_id }),
    invite: (id: string, lifetime_ms: number, open: boolean) =>
      ask<Sharable>("POST", `${group(id)}/invites`, { lifetime_ms, open }),
    inviteContact: (id: string, contact: string) =>
      ask<Done>("POST", `${group(id)}/invitations`, { contact }),
    openEmergency: (id: string, asked: NewEmergency) =>
      ask<Done>("POST", `${group(id)}/emergencies`, asked),
    remove: (id: string, address: string) => ask<Done>("POST", `${group(id)}/removals`, { address }),
    proposeSettings: (id: string, asked: NewSettings) =>
      ask<Done>("POST", `${group(id)}/settings`, asked),
    foundSuccessor: (id: string, asked: NewSuccessor) =>
      ask<Group>("POST", `${group(id)}/successors`, asked),
    rejoin: (id: string) => ask<Done>("POST", `${group(id)}/rejoin`),
    joinSuccessor: (id: string, founder: string) =>
      ask<Group>("POST", `${group(id)}/successors/${encodeURIComponent(founder)}/join`),
    proposal: (id: string, proposal: string) =>
      ask<Proposal>("GET", `${group(id)}/proposals/${encodeURIComponent(proposal)}`),
    vote: (id: string, proposal: string, yes: boolean) =>
      ask<Done>("POST", `${group(id)}/proposals/${encodeURIComponent(proposal)}/vote`, { yes }),
    sponsor: (id: string, request: string) =>
      ask<Done>("POST", `${group(id)}/requests/${encodeURIComponent(request)}/sponsor`),
    dismiss: (id: string, request: string) =>
      ask<Done>("POST", `${group(id)}/requests/${encodeURIComponent(request)}/dismiss`),
    leave: (id: string) => ask<Done>("POST", `${group(id)}/leave`),
    refreshKeys: (id: string) => ask<Done>("POST", `${group(id)}/refresh-keys`),
    forget: (id: string) => ask<undefined>("DELETE", group(id)),
  };
}

async function refusal(response: Response): Promise<Refused> {
  try {
    const problem = (await response.json()) as Partial<Problem>;
    if (typeof problem.sentence === "string" && problem.sentence !== "") {
      return new Refused(response.status, problem.code ?? "unknown", problem.sentence);
    }
  } catch {
    // Not the node's own answer: say what is known.
  }
  return new Refused(
    response.status,
    "unknown",
    `The node refused this and gave no reason (HTTP ${response.status}). Its log may tell more.`,
  );
}
