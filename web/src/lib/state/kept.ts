/** What the browser keeps: drafts for as long as the tab lives, how far one has read for good. Never messages. */

export interface Kept {
  draft(group: string): string;
  keepDraft(group: string, text: string): void;
  readUpTo(): Readonly<Record<string, number>>;
  keepReadUpTo(marks: Readonly<Record<string, number>>): void;
}

/** `owner` keeps two nodes apart that are opened under the same address, one after the other. */
export function keptIn(tab: Storage, browser: Storage, owner: string): Kept {
  const draftKey = (group: string) => `demls ${owner} draft ${group}`;
  const marksKey = `demls ${owner} read`;
  return {
    draft: (group) => attempt(() => tab.getItem(draftKey(group))) ?? "",
    keepDraft: (group, text) =>
      attempt(() => (text === "" ? tab.removeItem(draftKey(group)) : tab.setItem(draftKey(group), text))),
    readUpTo: () => readMarks(attempt(() => browser.getItem(marksKey)) ?? "{}"),
    keepReadUpTo: (marks) => attempt(() => browser.setItem(marksKey, JSON.stringify(marks))),
  };
}

function readMarks(text: string): Record<string, number> {
  const value = attempt(() => JSON.parse(text) as unknown);
  if (typeof value !== "object" || value === null) return {};
  return Object.fromEntries(Object.entries(value).filter(([, mark]) => typeof mark === "number"));
}

/** A browser may forbid or fill its storage; the page works without. */
function attempt<T>(run: () => T): T | undefined {
  try {
    return run();
  } catch {
    return undefined;
  }
}
