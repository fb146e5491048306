import {
  DATASET_CHECKS,
  type CheckOutcome,
  type DatasetCheckId,
  type DatasetReport,
  type DatasetSummary,
} from "@licet/sdk";
import { describe, expect, it } from "vitest";
import { renderChecklist, verdictOf } from "./checklist.ts";
import { MAX_COLUMNS, createTerminal } from "./terminal.ts";
import { exitCodeOf } from "./verify-manifest.ts";

const terminal = createTerminal({ out: { write: () => true }, err: { write: () => true }, wantsColour: true });
const IDS = Object.keys(DATASET_CHECKS).filter((id): id is DatasetCheckId => Object.hasOwn(DATASET_CHECKS, id));

const SUMMARY: DatasetSummary = {
  dataset_id: "ds_1",
  name: "A sample",
  version: 1,
  state: "active",
  items: { total: 3, standing: 3, withdrawn: 0 },
  withdrawn: [],
  withdrawn_lines: [],
  consents: 2,
  fingerprint: "0".repeat(64),
  usable: true,
};

function reportOf(
  over: {
    readonly outcomes?: Partial<Record<DatasetCheckId, CheckOutcome>>;
    readonly detail?: string;
    readonly summary?: Partial<DatasetSummary>;
  } = {},
): DatasetReport {
  const checks = IDS.map((id) => ({
    id,
    title: DATASET_CHECKS[id],
    outcome: over.outcomes?.[id] ?? "passed",
    detail: over.detail ?? "some detail",
  }));
  return { checks, summary: { ...SUMMARY, ...over.summary }, items: [], seen: {} };
}

const WITHDRAWN = {
  state: "partially_revoked",
  items: { total: 3, standing: 1, withdrawn: 2 },
  withdrawn: [{ at: "2026-01-18T12:05:00Z", jti: "ctok_AAAAAAAAAAAAAAAAAAAAAA" }],
} as const satisfies Partial<DatasetSummary>;

const UNKNOWN = { usable: false } as const;

describe("the checklist", () => {
  it("ticks every check and says that the dataset may be used", () => {
    const text = renderChecklist(reportOf(), terminal);
    expect(text.split("\n").filter((line) => line.startsWith("✓ "))).toHaveLength(IDS.length + 1);
    expect(text).toMatch(/^A sample \(ds_1, version 1\)\n3 works, 3 of them standing\n/);
    expect(text.split("\n").at(-1)).toBe(
      "✓ This dataset may be used: all 3 works stand, under 2 consents that verify.",
    );
  });

  it("explains what failed and what it kept from being checked", () => {
    const text = renderChecklist(
      reportOf({ outcomes: { items_root: "failed", item_status: "unknown", withdrawn: "unknown" }, summary: UNKNOWN }),
      terminal,
    );
    expect(text).toContain("✗ The items are all there, as published\n    some detail\n");
    expect(text).toContain(
      "? Every item, and the consent it stands on, is unrevoked and unexpired\n? What was withdrawn is shown as withdrawn\n    some detail\n",
    );
    expect(text.split("\n").at(-1)).toBe(`✗ Do not use this dataset: 1 check of ${IDS.length} failed.`);
  });

  it("names the culprits of a failed check, up to a few", () => {
    const offences = Array.from(
      { length: 12 },
      (_, index) => ({ at: `content_${index}`, code: "item_withdrawn", detail: "it was withdrawn" }) as const,
    );
    const report = reportOf({ summary: UNKNOWN });
    const checks = report.checks.map((check) =>
      check.id === "item_status" ? ({ ...check, outcome: "failed", offences } as const) : check,
    );
    const text = renderChecklist({ ...report, checks }, terminal);
    expect(text).toContain("    – content_9: it was withdrawn\n    … and 2 more");
    expect(text).not.toContain("content_10");
  });

  it("lists what is withdrawn", () => {
    const text = renderChecklist(reportOf({ summary: WITHDRAWN }), terminal);
    expect(text).toContain(
      "Withdrawn: 2 works of this version may no longer be used.\n    – the consent ctok_AAAAAAAAAAAAAAAAAAAAAA, at 2026-01-18T12:05:00Z\n",
    );
    expect(text).toContain("✗ 2 of 3 works may not be used any more. The other 1 may");
  });

  it("keeps within 100 columns and shows no control characters of a hostile platform", () => {
    const detail = `\u001b[2J\u001b]0;title\u0007\u202eevil\nline ${"x".repeat(300)}`;
    const text = renderChecklist(
      reportOf({ outcomes: { key_set: "failed" }, detail, summary: { name: "\u001b[31mred", usable: false } }),
      terminal,
    );
    expect(text.replaceAll("\n", "")).not.toMatch(/[\p{Cc}\u202e]/u);
    expect(Math.max(...text.split("\n").map((line) => line.length))).toBeLessThanOrEqual(MAX_COLUMNS);
  });
});

describe("the verdict", () => {
  it("ends with 0 only when nothing failed and nothing is withdrawn", () => {
    expect(exitCodeOf(verdictOf(reportOf()), {})).toBe(0);
    expect(exitCodeOf(verdictOf(reportOf({ outcomes: { items: "unknown" }, summary: UNKNOWN })), {})).toBe(0);
    expect(exitCodeOf(verdictOf(reportOf({ outcomes: { items: "failed" }, summary: UNKNOWN })), {})).toBe(1);
    expect(exitCodeOf(verdictOf(reportOf({ summary: WITHDRAWN })), {})).toBe(1);
  });

  it("accepts withdrawn works with --allow-partial, and failures never", () => {
    expect(exitCodeOf(verdictOf(reportOf({ summary: WITHDRAWN })), { allowPartial: true })).toBe(0);
    expect(
      exitCodeOf(verdictOf(reportOf({ outcomes: { items: "failed" }, summary: { ...WITHDRAWN, usable: false } })), {
        allowPartial: true,
      }),
    ).toBe(1);
  });
});
