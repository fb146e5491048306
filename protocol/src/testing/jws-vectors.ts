import {
  type Vector,
  accepted,
  base64url,
  compact,
  refused,
  signatureBytes,
  sortedJson,
  token,
  writeVectors,
} from "./vector-writing.ts";
import { ED25519_FORGERIES, ES256_FORGERIES, otherSpelling } from "./malleable-signatures.ts";
import { anaKey, bramKey, strangerKey } from "./vector-world.ts";

const TYP = "example+jwt";
const PAYLOAD = '{"hello":"world"}';
const ANA = { typ: TYP, key: anaKey.publicJwk };
const BRAM = { typ: TYP, key: bramKey.publicJwk };

const good = token(TYP, { hello: "world" }, anaKey);
const goodEs256 = token(TYP, { hello: "world" }, bramKey);
const [head = "", body = "", tail = ""] = good.split(".");

/** A token of Ana's with this header, or with these header members beside the usual ones. */
function withHeader(header: string): string {
  return compact(header, PAYLOAD, anaKey);
}

function withMember(member: Record<string, string | number | boolean | string[] | Record<string, string>>): string {
  return withHeader(JSON.stringify({ alg: "EdDSA", kid: anaKey.kid, typ: TYP, ...member }));
}

/** The same bytes in a spelling that lenient decoders accept: the unused low bits of the last character set. */
function withStrayBits(segment: string): string {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  return segment.slice(0, -1) + (alphabet[alphabet.indexOf(segment.at(-1) ?? "") + 1] ?? "");
}

const NOT_ALLOWED = [
  "none",
  "None",
  "HS256",
  "HS512",
  "RS256",
  "PS256",
  "ES384",
  "ES512",
  "ES256K",
  "Ed25519",
  "eddsa",
  "es256",
  "",
];
const FOREIGN_MEMBERS = {
  crit: ["exp"],
  jwk: { kty: "OKP", crv: "Ed25519", x: String(strangerKey.publicJwk["x"]) },
  jku: "https://evil.example/keys.json",
  x5u: "https://evil.example/chain.pem",
  x5c: ["MIIB"],
  b64: false,
  cty: "JWT",
  zip: "DEF",
  enc: "A128GCM",
  iss: "https://evil.example",
};

function syntax(): readonly Vector[] {
  const odd = withHeader(`{"alg":"EdDSA","kid":"${anaKey.kid}","typ":"${TYP}"} `);
  return [
    refused("nothing", "jws_malformed", { ...ANA, token: "" }),
    refused("two segments", "jws_malformed", { ...ANA, token: `${head}.${body}` }),
    refused("four segments", "jws_malformed", { ...ANA, token: `${good}.${tail}` }),
    refused("five segments, as of an encrypted token", "jws_malformed", { ...ANA, token: `${good}.${tail}.${tail}` }),
    refused("a padded header", "jws_malformed", { ...ANA, token: `${head}=.${body}.${tail}` }),
    refused("a padded payload", "jws_malformed", { ...ANA, token: `${head}.${body}=.${tail}` }),
    refused("a padded signature", "jws_malformed", { ...ANA, token: `${good}==` }),
    refused("a space before", "jws_malformed", { ...ANA, token: ` ${good}` }),
    refused("a space after", "jws_malformed", { ...ANA, token: `${good} ` }),
    refused("a line feed after", "jws_malformed", { ...ANA, token: `${good}\n` }),
    refused("a line feed inside", "jws_malformed", {
      ...ANA,
      token: `${head}.${body.slice(0, 4)}\n${body.slice(4)}.${tail}`,
    }),
    refused("base64 instead of base64url", "jws_malformed", { ...ANA, token: `${head}.${body}.${"+/".repeat(43)}` }),
    refused("a character outside the alphabet", "jws_malformed", {
      ...ANA,
      token: `${head}.${body}.${tail.slice(0, -1)}*`,
    }),
    refused("stray bits in the header", "jws_malformed", {
      ...ANA,
      token: [withStrayBits(odd.split(".")[0] ?? ""), ...odd.split(".").slice(1)].join("."),
    }),
    refused("stray bits in the payload", "jws_malformed", { ...ANA, token: `${head}.${withStrayBits(body)}.${tail}` }),
    refused("stray bits in the signature", "jws_malformed", {
      ...ANA,
      token: `${head}.${body}.${withStrayBits(tail)}`,
    }),
    refused("a segment of a length that no bytes have", "jws_malformed", {
      ...ANA,
      token: `${head}.${body}.${tail}AAA`,
    }),
    refused("JSON serialization", "jws_malformed", {
      ...ANA,
      token: JSON.stringify({ protected: head, payload: body, signature: tail }),
    }),
    refused("an empty header", "json_malformed", { ...ANA, token: `.${body}.${tail}` }),
    refused("an empty payload", "json_malformed", { ...ANA, token: `${head}..${tail}` }),
    refused("a header that is no object", "json_malformed", { ...ANA, token: withHeader('["EdDSA"]') }),
    refused("a payload that is no object", "json_malformed", {
      ...ANA,
      token: compact(sortedJson({ alg: "EdDSA", kid: anaKey.kid, typ: TYP }), '"hello"', anaKey),
    }),
    refused("a payload with a member twice", "json_malformed", {
      ...ANA,
      token: compact(sortedJson({ alg: "EdDSA", kid: anaKey.kid, typ: TYP }), '{"a":1,"a":2}', anaKey),
    }),
    refused("a payload with a fraction", "json_malformed", {
      ...ANA,
      token: compact(sortedJson({ alg: "EdDSA", kid: anaKey.kid, typ: TYP }), '{"exp":1.5}', anaKey),
    }),
    refused("a header with alg twice", "json_malformed", {
      ...ANA,
      token: withHeader(`{"alg":"EdDSA","alg":"none","kid":"${anaKey.kid}","typ":"${TYP}"}`),
    }),
    refused("a header with kid twice, once behind an escape", "json_malformed", {
      ...ANA,
      token: withHeader(`{"alg":"EdDSA","kid":"${anaKey.kid}","typ":"${TYP}","\\u006bid":"x"}`),
    }),
  ];
}

function headers(): readonly Vector[] {
  const unsigned = `${base64url(JSON.stringify({ alg: "none", kid: anaKey.kid, typ: TYP }))}.${body}.`;
  return [
    refused("alg none and no signature", "alg_not_allowed", { ...ANA, token: unsigned }),
    ...NOT_ALLOWED.map((alg) => refused(`alg "${alg}"`, "alg_not_allowed", { ...ANA, token: withMember({ alg }) })),
    refused("alg as a list", "alg_not_allowed", { ...ANA, token: withMember({ alg: ["EdDSA"] }) }),
    refused("no alg", "alg_not_allowed", { ...ANA, token: withHeader(sortedJson({ kid: anaKey.kid, typ: TYP })) }),
    refused("another typ", "typ_wrong", { ...ANA, token: withMember({ typ: "consent+jwt" }) }),
    refused("typ JWT", "typ_wrong", { ...ANA, token: withMember({ typ: "JWT" }) }),
    refused("typ in capital letters", "typ_wrong", { ...ANA, token: withMember({ typ: TYP.toUpperCase() }) }),
    refused("typ with application/ before it", "typ_wrong", {
      ...ANA,
      token: withMember({ typ: `application/${TYP}` }),
    }),
    refused("no typ", "typ_wrong", { ...ANA, token: withHeader(sortedJson({ alg: "EdDSA", kid: anaKey.kid })) }),
    refused("no kid", "header_invalid", { ...ANA, token: withHeader(sortedJson({ alg: "EdDSA", typ: TYP })) }),
    refused("an empty kid", "header_invalid", { ...ANA, token: withMember({ kid: "" }) }),
    refused("kid as a number", "header_invalid", { ...ANA, token: withMember({ kid: 1 }) }),
    refused("a header member __proto__", "header_invalid", {
      ...ANA,
      token: withHeader(`{"__proto__":{"x":1},"alg":"EdDSA","kid":"${anaKey.kid}","typ":"${TYP}"}`),
    }),
    ...Object.entries(FOREIGN_MEMBERS).map(([name, value]) =>
      refused(`a header member ${name}`, "header_invalid", { ...ANA, token: withMember({ [name]: value }) }),
    ),
  ];
}

function signatures(): readonly Vector[] {
  const input = `${head}.${body}`;
  const swapped = signatureBytes(goodEs256.slice(0, goodEs256.lastIndexOf(".")), bramKey);
  const es256Head = goodEs256.slice(0, goodEs256.lastIndexOf("."));
  return [
    refused("no signature", "signature_invalid", { ...ANA, token: `${input}.` }),
    refused("a signature of zeros", "signature_invalid", {
      ...ANA,
      token: `${input}.${base64url(new Uint8Array(64))}`,
    }),
    refused("a signature of zeros in ES256", "signature_invalid", {
      ...BRAM,
      token: `${es256Head}.${base64url(new Uint8Array(64))}`,
    }),
    refused("a signature cut short", "signature_invalid", {
      ...ANA,
      token: `${input}.${base64url(Buffer.from(tail, "base64url").subarray(0, 63))}`,
    }),
    refused("a signature with a byte more", "signature_invalid", {
      ...ANA,
      token: `${input}.${base64url(Buffer.concat([Buffer.from(tail, "base64url"), Buffer.of(0)]))}`,
    }),
    refused("an ES256 signature as s‖r", "signature_invalid", {
      ...BRAM,
      token: `${es256Head}.${base64url(Buffer.concat([swapped.subarray(32), swapped.subarray(0, 32)]))}`,
    }),
    refused("a stranger's signature", "signature_invalid", {
      ...ANA,
      token: compact(sortedJson({ alg: "EdDSA", kid: anaKey.kid, typ: TYP }), PAYLOAD, strangerKey),
    }),
    refused("another payload under the same signature", "signature_invalid", {
      ...ANA,
      token: `${head}.${base64url('{"hello":"worle"}')}.${tail}`,
    }),
    refused("another header under the same signature", "signature_invalid", {
      ...ANA,
      token: `${base64url(sortedJson({ alg: "EdDSA", kid: "other", typ: TYP }))}.${body}.${tail}`,
    }),
    refused("ES256 in the header, an Ed25519 key at the verifier", "key_alg_mismatch", { ...ANA, token: goodEs256 }),
    refused("EdDSA in the header, a P-256 key at the verifier", "key_alg_mismatch", { ...BRAM, token: good }),
  ];
}

function malleated(): readonly Vector[] {
  const input = `${head}.${body}`;
  const es256 = goodEs256.slice(0, goodEs256.lastIndexOf("."));
  return [
    ...Object.entries(ED25519_FORGERIES).map(([name, forge]) =>
      refused(name, "signature_invalid", { ...ANA, token: `${input}.${base64url(forge(input, anaKey))}` }),
    ),
    ...Object.entries(ES256_FORGERIES).map(([name, forge]) =>
      refused(name, "signature_invalid", {
        ...BRAM,
        token: `${es256}.${base64url(forge(signatureBytes(es256, bramKey)))}`,
      }),
    ),
  ];
}

export function writeJwsVectors(): void {
  const spaced = withHeader(` { "typ" : "${TYP}" , "kid" : "${anaKey.kid}" , "alg" : "EdDSA" } `);
  const es256 = goodEs256.slice(0, goodEs256.lastIndexOf("."));
  const answer = { kid: anaKey.kid, payload: { hello: "world" } };
  writeVectors(
    "compact-jws.json",
    "The gate before every compact JWS, then the signature. The verifier expects `typ` and has chosen `key`.",
    [
      accepted("a token signed with Ed25519", { ...ANA, token: good }, answer),
      accepted("a token signed with ES256", { ...BRAM, token: goodEs256 }, { ...answer, kid: bramKey.kid }),
      accepted(
        "the other signature by ES256, with n − s: honest signers make either",
        { ...BRAM, token: `${es256}.${base64url(otherSpelling(signatureBytes(es256, bramKey)))}` },
        { ...answer, kid: bramKey.kid },
      ),
      accepted(
        "a header in another order and with white space: its bytes are what is signed",
        { ...ANA, token: spaced },
        answer,
      ),
      ...syntax(),
      ...headers(),
      ...signatures(),
      ...malleated(),
    ],
  );
}
