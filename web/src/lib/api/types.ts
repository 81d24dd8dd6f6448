/** The API's data types by their names; `npm run types` makes them from the node's OpenAPI document. */
import type { components } from "./schema";

type Schemas = components["schemas"];

export type Difference = Schemas["Difference"];
export type Done = Schemas["Done"];
export type Emergency = Schemas["Emergency"];
export type Group = Schemas["Group"];
export type GroupState = Schemas["GroupState"];
export type GroupSummary = Schemas["GroupSummary"];
export type Held = Schemas["Held"];
export type JoinRequest = Schemas["JoinRequest"];
export type Member = Schemas["Member"];
export type NewEmergency = Schemas["NewEmergency"];
export type NewGroup = Schemas["NewGroup"];
export type NewSettings = Schemas["NewSettings"];
export type NewSuccessor = Schemas["NewSuccessor"];
export type NodeInfo = Schemas["NodeInfo"];
export type Person = Schemas["Person"];
export type Policy = Schemas["Policy"];
export type PolicyChange = Schemas["PolicyChange"];
export type Problem = Schemas["Problem"];
export type Proposal = Schemas["Proposal"];
export type Round = Schemas["Round"];
export type Rule = Schemas["Rule"];
export type RuleChange = Schemas["RuleChange"];
export type ScoreMove = Schemas["ScoreMove"];
export type Scoring = Schemas["Scoring"];
export type Sharable = Schemas["Sharable"];
export type Successor = Schemas["Successor"];
export type Sync = Schemas["Sync"];
export type TimelineEntry = Schemas["TimelineEntry"];

/** What the events socket sends. */
export type News =
  | Schemas["TimelineNews"]
  | Schemas["GroupNews"]
  | Schemas["GroupsNews"]
  | Schemas["NodeNews"];
