import {
  type JsonMembers,
  type TestKey,
  type Vector,
  accepted,
  refused,
  signed,
  writeVectors,
} from "./vector-writing.ts";
import {
  CLOCKS,
  DAY,
  KEY_SET,
  NOW,
  ORIGIN,
  consentKey,
  documentKey,
  documentKeyEs256,
  instantAt,
  retiredKey,
  strangerKey,
} from "./vector-world.ts";

const NOTHING: JsonMembers = { done: 0, waiting: 0, failed: 0 };
const COMMITTED: JsonMembers = {
  leg: "committed",
  done: 3,
  waiting: 0,
  failed: 0,
  p50_ms: 4,
  p95_ms: 9,
  p99_ms: 9,
  worst_ms: 9,
};
const WEBHOOK: JsonMembers = {
  leg: "webhook",
  done: 40,
  waiting: 2,
  failed: 1,
  p50_ms: 31,
  p95_ms: 250,
  p99_ms: 5_120,
  worst_ms: 5_117_000,
  longest_waiting_ms: 86_400_000,
};

const PROPAGATION: JsonMembers = {
  type: "propagation",
  iss: ORIGIN,
  seq: 12,
  window_days: 30,
  from: instantAt(NOW - 29 * DAY),
  facts: 3,
  legs: [
    COMMITTED,
    { leg: "purge", ...NOTHING },
    { leg: "edge", ...NOTHING, waiting: 1, longest_waiting_ms: 0 },
    WEBHOOK,
    { leg: "acknowledgement", ...NOTHING },
  ],
  ...CLOCKS,
};

function asked(document: JsonMembers, key: TestKey = documentKey, now = NOW): JsonMembers {
  return { text: JSON.stringify(signed(document, key)), now };
}

function invalid(name: string, members: JsonMembers): Vector {
  return refused(name, "document_invalid", asked({ ...PROPAGATION, ...members }));
}

function without(members: JsonMembers, name: string): JsonMembers {
  return Object.fromEntries(Object.entries(members).filter(([member]) => member !== name));
}

function documents(): readonly Vector[] {
  const legs = (leg: JsonMembers): JsonMembers => ({ legs: [leg] });
  return [
    accepted("the times of a month", asked(PROPAGATION), { legs: 5, facts: 3 }),
    accepted("signed with ES256", asked(PROPAGATION, documentKeyEs256), { legs: 5, facts: 3 }),
    accepted("no leg at all", asked({ ...PROPAGATION, facts: 0, legs: [] }), { legs: 0, facts: 0 }),
    accepted("an unknown member is kept", asked({ ...PROPAGATION, note: "Rösti" }), { legs: 5, facts: 3 }),
    accepted("the last second of trust", asked(PROPAGATION, documentKey, NOW + 299), { legs: 5, facts: 3 }),
    refused("no longer trusted", "document_expired", asked(PROPAGATION, documentKey, NOW + 300)),
    refused("from the future", "document_expired", asked(PROPAGATION, documentKey, NOW - 61)),
    ...Object.keys(PROPAGATION).map((name) =>
      refused(`without ${name}`, "document_invalid", asked(without(PROPAGATION, name))),
    ),
    ...Object.keys(COMMITTED).map((name) => invalid(`a leg without ${name}`, legs(without(COMMITTED, name)))),
    invalid("a leg of another name", legs({ ...COMMITTED, leg: "telepathy" })),
    invalid("a leg that comes twice", { legs: [COMMITTED, COMMITTED] }),
    invalid("six legs", { legs: Array.from({ length: 6 }, () => COMMITTED) }),
    invalid("a 95th percentile below the median", legs({ ...COMMITTED, p95_ms: 3 })),
    invalid("a worst below the 99th percentile", legs({ ...COMMITTED, worst_ms: 8 })),
    invalid("times of nothing", legs({ ...COMMITTED, done: 0 })),
    invalid("a negative time", legs({ ...COMMITTED, p50_ms: -1 })),
    invalid("a count as text", legs({ ...COMMITTED, done: "3" })),
    refused("a time changed after signing", "signature_invalid", {
      text: JSON.stringify({ ...signed(PROPAGATION, documentKey), legs: [{ ...COMMITTED, p50_ms: 1 }] }),
      now: NOW,
    }),
    refused("signed by a stranger", "signature_missing", asked(PROPAGATION, strangerKey)),
    refused("signed by the consent key", "key_purpose_wrong", asked(PROPAGATION, consentKey)),
    refused("signed by a retired key", "key_not_in_force", asked(PROPAGATION, retiredKey)),
    refused("of another issuer", "document_invalid", asked({ ...PROPAGATION, iss: "https://other.example" })),
    refused("test: true", "test_document", asked({ ...PROPAGATION, test: true })),
    refused("no JSON", "json_malformed", { text: "<html>", now: NOW }),
  ];
}

export function writePropagationVectors(): void {
  writeVectors(
    "propagation.json",
    "What /propagation.json answers, read, verified with `key_set` and asked for freshness at `now`.",
    documents(),
    { key_set: KEY_SET },
  );
}
