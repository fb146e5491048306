import { z } from "@hono/zod-openapi";
import { type Result, accept, refuse } from "@licet/protocol";
import { createHash, createPublicKey } from "node:crypto";
import { parseCertificate } from "../client-certificates.ts";
import { webUrlSchema } from "../parameters.ts";

export const AUTH_METHODS = [
  "client_secret_basic",
  "private_key_jwt",
  "tls_client_auth",
  "self_signed_tls_client_auth",
] as const;
export type AuthMethod = (typeof AUTH_METHODS)[number];

/** Signatures that clients may use, in assertions and in DPoP proofs. */
export const CLIENT_ALGORITHMS = ["ES256", "Ed25519", "EdDSA"] as const;

const MAX_KEYS = 8;
const MAX_KID_LENGTH = 128;
const MAX_CERTIFICATE_LENGTH = 16_384;

const publicKeySchema = z
  .looseObject({
    kty: z.enum(["EC", "OKP"]),
    crv: z.enum(["P-256", "Ed25519"]),
    kid: z.string().min(1).max(MAX_KID_LENGTH).optional(),
  })
  .refine(
    (jwk) => !("d" in jwk),
    "expected a public key, got a private one: make a new one, this one is no longer secret",
  );

const nameSchema = z.string().min(1).max(1_024);

/** The members of client metadata (RFC 7591 section 2, RFC 8705 section 2, RFC 9449 section 5.2) that say how a client shows who it is. */
export const clientAuthenticationShape = {
  token_endpoint_auth_method: z.enum(AUTH_METHODS).default("client_secret_basic"),
  jwks: z.strictObject({ keys: z.array(publicKeySchema).min(1).max(MAX_KEYS) }).optional(),
  jwks_uri: webUrlSchema.optional(),
  certificate: z
    .string()
    .max(MAX_CERTIFICATE_LENGTH)
    .optional()
    .openapi({ description: "The certificate of self_signed_tls_client_auth, in PEM" }),
  tls_client_auth_subject_dn: nameSchema.optional(),
  tls_client_auth_san_dns: nameSchema.optional(),
  tls_client_auth_san_uri: nameSchema.optional(),
  tls_client_auth_san_ip: nameSchema.optional(),
  tls_client_auth_san_email: nameSchema.optional(),
  tls_client_certificate_bound_access_tokens: z.boolean().optional(),
  dpop_bound_access_tokens: z.boolean().optional(),
};

const SUBJECT_MEMBERS = [
  "tls_client_auth_subject_dn",
  "tls_client_auth_san_dns",
  "tls_client_auth_san_uri",
  "tls_client_auth_san_ip",
  "tls_client_auth_san_email",
] as const;

const inputSchema = z.object(clientAuthenticationShape);
export type ClientAuthenticationInput = z.infer<typeof inputSchema>;

/** How a client shows who it is, as it is stored. */
export interface ClientAuthentication {
  readonly method: AuthMethod;
  /** Client metadata as oidc-provider reads it. */
  readonly metadata: Readonly<Record<string, unknown>>;
}

/** What this server can check; see LICET_MTLS_PORT, LICET_TRUSTED_PROXIES and LICET_MTLS_CA. */
export interface CertificateSupport {
  readonly seesCertificates: boolean;
  readonly hasAuthorities: boolean;
}

/** Refuses (`input_invalid`) members that do not belong to the method, and methods that this server could not check. */
export function readClientAuthentication(
  input: ClientAuthenticationInput,
  support: CertificateSupport,
): Result<ClientAuthentication> {
  const method = input.token_endpoint_auth_method;
  const isTls = method === "tls_client_auth" || method === "self_signed_tls_client_auth";
  const isCertificateBound = input.tls_client_certificate_bound_access_tokens ?? isTls;
  if ((isTls || isCertificateBound) && !support.seesCertificates)
    return refuse(
      "input_invalid",
      "expected LICET_MTLS_PORT or LICET_TRUSTED_PROXIES, since no client certificate arrives here otherwise",
    );
  if (isTls && !isCertificateBound)
    return refuse(
      "input_invalid",
      `tls_client_certificate_bound_access_tokens: expected true with ${method}, got false`,
    );
  if (isCertificateBound && input.dpop_bound_access_tokens === true)
    return refuse("input_invalid", "expected tokens bound to a certificate or by DPoP, got both");
  const credentials = readCredentials(input, support);
  if (!credentials.ok) return credentials;
  return accept({
    method,
    metadata: {
      ...credentials.value,
      ...(isCertificateBound ? { tls_client_certificate_bound_access_tokens: true } : {}),
      ...(input.dpop_bound_access_tokens === true ? { dpop_bound_access_tokens: true } : {}),
    },
  });
}

type Credentials = Readonly<Record<string, unknown>>;

function readCredentials(input: ClientAuthenticationInput, support: CertificateSupport): Result<Credentials> {
  const given = ["jwks", "jwks_uri", "certificate", ...SUBJECT_MEMBERS].filter((name) =>
    Object.entries(input).some(([key, value]) => key === name && value !== undefined),
  );
  switch (input.token_endpoint_auth_method) {
    case "client_secret_basic":
      return given.length === 0 ? accept({}) : refuseMembers("no", given);
    case "private_key_jwt":
      return readKeys(input, given);
    case "self_signed_tls_client_auth":
      return given.length === 1 && input.certificate !== undefined
        ? readOwnCertificate(input.certificate)
        : refuseMembers("certificate, and no other", given);
    case "tls_client_auth":
      if (!support.hasAuthorities)
        return refuse(
          "input_invalid",
          "expected LICET_MTLS_CA, since nobody says otherwise whose certificates tls_client_auth accepts",
        );
      return given.length === 1 && given[0]?.startsWith("tls_client_auth_") === true
        ? accept(
            Object.fromEntries(
              SUBJECT_MEMBERS.flatMap((name) => (input[name] === undefined ? [] : [[name, input[name]]])),
            ),
          )
        : refuseMembers(`one of ${SUBJECT_MEMBERS.join(" ")}`, given);
  }
}

function refuseMembers(expected: string, given: readonly string[]) {
  return refuse(
    "input_invalid",
    `expected ${expected} of the members about keys and certificates, got ${given.join(", ") || "none"}`,
  );
}

function readKeys({ jwks, jwks_uri }: ClientAuthenticationInput, given: readonly string[]): Result<Credentials> {
  if (given.length !== 1 || (jwks === undefined && jwks_uri === undefined))
    return refuseMembers("either jwks or jwks_uri", given);
  if (jwks === undefined) return accept({ jwks_uri });
  const wrong = jwks.keys.findIndex((jwk) => !isUsable(jwk));
  return wrong === -1
    ? accept({ jwks: { keys: jwks.keys.map((jwk) => publicMembers(jwk)) } })
    : refuse("input_invalid", `jwks.keys.${wrong}: expected a public key of kty OKP/Ed25519 or EC/P-256`);
}

function isUsable(jwk: Record<string, unknown>): boolean {
  try {
    createPublicKey({ key: publicMembers(jwk), format: "jwk" });
    return true;
  } catch {
    return false;
  }
}

function publicMembers({ kty, crv, x, y, kid }: Record<string, unknown>): Record<string, unknown> {
  return { kty, crv, x, ...(y === undefined ? {} : { y }), ...(kid === undefined ? {} : { kid }), use: "sig" };
}

/** RFC 8705 section 2.2: the certificate is registered as a key with `x5c`. */
function readOwnCertificate(pem: string): Result<Credentials> {
  const certificate = parseCertificate(pem);
  if (certificate === undefined) return refuse("input_invalid", "certificate: expected one X.509 certificate in PEM");
  const jwk = certificate.publicKey.export({ format: "jwk" });
  const thumbprint = createHash("sha256").update(certificate.raw).digest("base64url");
  return accept({
    jwks: { keys: [{ ...jwk, use: "sig", x5c: [certificate.raw.toString("base64")], "x5t#S256": thumbprint }] },
  });
}
