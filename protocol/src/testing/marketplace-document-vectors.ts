import {
  type JsonMembers,
  type TestKey,
  type Vector,
  accepted,
  refused,
  signatureOf,
  signed,
} from "./vector-writing.ts";
import { LIFETIME, NOW, anaKey, instantAt, marketplaceKey, strangerKey } from "./vector-world.ts";

/** A key as it is registered. */
export function keyOf(key: TestKey, lifetime: JsonMembers = {}): JsonMembers {
  return { kid: key.kid, alg: key.alg, jwk: key.publicJwk, ...LIFETIME, ...lifetime };
}

/** A document that a marketplace signs, and how a vector asks about one. */
export interface MarketplaceDocument {
  readonly content: JsonMembers;
  /** What is refused for its form alone. */
  readonly shapeless: string;
  readonly ask: (document: JsonMembers, key?: JsonMembers | null) => JsonMembers;
}

/** What is the same for every document that a marketplace signs with a key it has registered. */
export function marketplaceDocumentVectors({ content, shapeless, ask }: MarketplaceDocument): readonly Vector[] {
  const document = (members: JsonMembers, key: TestKey = marketplaceKey): JsonMembers =>
    signed({ ...content, ...members }, key);
  const good = document({});
  const { signatures: [first] = [] } = good as { readonly signatures?: readonly JsonMembers[] };
  const signature: JsonMembers = first ?? {};
  const without = (name: string): JsonMembers =>
    signed(Object.fromEntries(Object.entries(content).filter(([member]) => member !== name)), marketplaceKey);
  return [
    accepted("signed with Ed25519", ask(document({}, anaKey), keyOf(anaKey))),
    accepted("an unknown member is covered", ask(document({ note: "Rösti" }))),
    accepted("test: true, where tests are allowed", { ...ask(document({ test: true })), allow_test: true }),
    ...Object.keys(content).map((member) => refused(`without ${member}`, shapeless, ask(without(member)))),
    refused("without signatures", shapeless, ask(content)),
    refused("of another type", shapeless, ask(document({ type: "usage-receipt" }))),
    refused("signed twice", shapeless, ask(signed(content, marketplaceKey, anaKey))),
    refused("a member added after signing", "signature_invalid", ask({ ...good, note: "and everything else" })),
    refused(
      "a signature made for another type",
      "signature_invalid",
      ask({ ...content, signatures: [signatureOf(content, marketplaceKey, "usage-receipt")] }),
    ),
    refused("no key is registered", "receipt_key_unknown", ask(good, null)),
    refused("by a key that is not registered", "receipt_key_unknown", ask(document({}, strangerKey))),
    refused(
      "by a key that was revoked",
      "key_not_in_force",
      ask(good, keyOf(marketplaceKey, { revoked_at: instantAt(NOW) })),
    ),
    refused(
      "the algorithm is not the key's",
      "key_alg_mismatch",
      ask({ ...good, signatures: [{ ...signature, alg: "EdDSA" }] }),
    ),
    refused("from a test marketplace", "test_document", ask(document({ test: true }))),
  ];
}
